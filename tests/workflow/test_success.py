"""An export that nothing happens to."""

from __future__ import annotations

import datetime
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from shared.engine.sources import parquet_counts
from shared.lambda_ import clock
from shared.records import table
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, OWNER, PARTS

if TYPE_CHECKING:
    from tests.workflow.world import World


def test_the_file_holds_every_flight_of_the_tenant_and_no_other(world: World) -> None:
    execution = world.run()
    assert execution.status == "SUCCEEDED"
    assert world.file() == flights.expected_csv(1, 2)


def test_the_record_names_the_file_and_says_what_it_is(world: World) -> None:
    execution = world.run()
    record, body = world.record, world.file()
    assert record["status"] == "SUCCEEDED"
    assert record["file_key"] == f"exports/{OWNER.replace('#', '/')}/{EXPORT_ID}/1/flights.csv"
    assert record["rows"] == body.count(b"\n") - 1
    assert record["bytes"] == len(body)
    assert record["crc32"] == f"{zlib.crc32(body):08x}"
    assert record["parts_total"] == PARTS
    assert record["execution_arn"] == execution.arn
    assert "active_owner" not in record
    assert record["warning"] == ""
    assert "failure" not in record


@pytest.mark.parametrize(("files", "warning"), [(500, ""), (0, "NoCellReferences")])
def test_the_record_says_when_the_cells_of_a_spreadsheet_have_no_references(
    files: int, warning: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_counts, "MAX_FILES", files)
    world.write(format="xlsx", options=json.dumps({"timezone": "UTC"}))
    assert world.run().status == "SUCCEEDED"
    assert world.record["warning"] == warning


def test_the_record_says_when_it_started_and_ended_and_how_long_the_file_is_kept(world: World) -> None:
    world.run()
    record = world.record
    times = [clock.parse(record[name]) for name in ("created_at", "started_at", "finished_at", "expires_at")]
    assert times == sorted(times)
    days = int(world.cloud.template.parameters["RetentionDays"])
    kept = times[3] - times[2]
    assert datetime.timedelta(days=days, minutes=-1) < kept <= datetime.timedelta(days=days)
    assert record["delete_after"] == table.delete_after(times[3])


def test_every_state_and_every_part_runs_once(world: World) -> None:
    execution = world.run()
    assert execution.path == (
        "RecordRunning > PlanParts > FanOutParts > AssembleFile > RecordSucceeded > ExportSucceeded"
    )
    assert execution.children == ["GeneratePart"] * PARTS
    assert world.cloud.parts_called() == list(range(PARTS))
    assert world.cloud.tasks == dict.fromkeys(set(execution.states[:-1]) - {"FanOutParts"}, 1) | {"GeneratePart": PARTS}
    assert world.cloud.waits == []


def test_it_is_announced_once_and_leaves_no_dead_letter(world: World) -> None:
    world.run()
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/SUCCEEDED"]
    assert world.cloud.letters() == []
    assert world.cloud.open_uploads() == []


def test_the_map_writes_its_results_beside_the_plan(world: World) -> None:
    world.run()
    (manifest,) = world.work("map-results/")
    assert manifest.startswith(f"work/{EXPORT_ID}/{world.record['plan']}/map-results/")
    assert json.loads(world.cloud.read(manifest))["DestinationBucket"] == world.cloud.bucket


def test_the_map_runs_as_many_parts_at_once_as_the_template_says(world: World) -> None:
    execution = world.run()
    runs = world.cloud.stepfunctions.list_map_runs(executionArn=execution.arn)["mapRuns"]
    run = world.cloud.stepfunctions.describe_map_run(mapRunArn=runs[0]["mapRunArn"])
    assert run["maxConcurrency"] == PARTS
    assert run["toleratedFailureCount"] == 0


def test_an_export_without_a_flight_is_a_file_with_just_the_header(world: World) -> None:
    world.write(parameters=json.dumps({"from": "2012-01-01", "to": "2012-01-31"}))
    assert world.run().status == "SUCCEEDED"
    assert world.file() == flights.expected_csv()
    assert (world.record["rows"], world.record["parts_total"]) == (0, 1)


def test_a_months_flights_are_read_from_that_months_file_only(world: World) -> None:
    world.write(parameters=json.dumps({"from": "2013-02-01", "to": "2013-02-28"}))
    world.delete(flights.key(1))
    world.run()
    assert world.file() == flights.expected_csv(2)
    assert world.record["rows"] == 6
