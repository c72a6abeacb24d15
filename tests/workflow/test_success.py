"""An export that nothing happens to."""

from __future__ import annotations

import datetime
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from shared.engine import planning
from shared.lambda_ import clock
from shared.records import table
from tests.support.moto_machine import Execution, moto_cloud
from tests.workflow.world import EXPORT_ID, OWNER, PARTS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

Made = tuple[World, Execution]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """The export, and its only execution."""
    with pytest.MonkeyPatch.context() as patch, moto_cloud(MapConcurrency=PARTS) as cloud:
        patch.setattr(planning, "MIN_ROWS", 1)
        world = World(cloud)
        yield world, world.run()


def test_the_record_names_the_file_and_says_what_it_is(made: Made) -> None:
    world, execution = made
    world.assert_succeeded()
    record, body = world.record, world.file()
    assert record["file_key"] == f"exports/{OWNER.replace('#', '/')}/{EXPORT_ID}/1/flights.csv"
    assert record["rows"] == body.count(b"\n") - 1
    assert (record["bytes"], record["crc32"]) == (len(body), f"{zlib.crc32(body):08x}")
    assert record["parts_total"] == PARTS
    assert record["execution_arn"] == execution.arn
    assert record["warning"] == ""
    assert not {"active_owner", "failure"} & set(record)


def test_the_record_says_when_it_started_and_ended_and_how_long_the_file_is_kept(made: Made) -> None:
    record = made[0].record
    times = [clock.parse(record[name]) for name in ("created_at", "started_at", "finished_at", "expires_at")]
    assert times == sorted(times)
    days = int(made[0].cloud.template.parameters["RetentionDays"])
    assert datetime.timedelta(days=days, minutes=-1) < times[3] - times[2] <= datetime.timedelta(days=days)
    assert record["delete_after"] == table.delete_after(times[3])


def test_every_state_and_every_part_runs_once_and_as_many_parts_at_once_as_the_template_says(made: Made) -> None:
    world, execution = made
    assert world.cloud.parts_called() == list(range(PARTS))
    assert world.cloud.tasks == dict.fromkeys(set(execution.states[:-1]) - {"HasQuery", "FanOutParts"}, 1) | {
        "GeneratePart": PARTS
    }
    runs = world.cloud.stepfunctions.list_map_runs(executionArn=execution.arn)["mapRuns"]
    run = world.cloud.stepfunctions.describe_map_run(mapRunArn=runs[0]["mapRunArn"])
    assert (run["maxConcurrency"], run["toleratedFailureCount"]) == (PARTS, 0)


def test_the_map_writes_its_results_beside_the_plan(made: Made) -> None:
    world, _ = made
    (manifest,) = world.work("map-results/")
    assert manifest.startswith(f"work/{EXPORT_ID}/{world.record['plan']}/map-results/")
    assert json.loads(world.cloud.read(manifest))["DestinationBucket"] == world.cloud.bucket
