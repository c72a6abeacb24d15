"""What ends an attempt, and what is known of it afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from shared.catalogue import reports
from shared.engine import planning
from shared.engine.sources import objects, parquet, parquet_rows
from shared.files import work
from tests.support.moto_machine import ROOT
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, PARTS

if TYPE_CHECKING:
    from tests.workflow.conftest import MakeWorld
    from tests.workflow.world import World

FOOTER = 8
FIRST_PAGE = slice(4, 24)


def damage_first_page(world: World, month: int) -> None:
    body = bytearray(flights.parquet(flights.flights(month)))
    body[FIRST_PAGE] = b"\xff" * 20
    world.put(flights.key(month), bytes(body))


# PlanParts


def test_a_dataset_without_files(world: World) -> None:
    for month in (1, 2):
        world.delete(flights.key(month))
    said = world.assert_failed(world.run(), "PlanParts", "SourceMissing")
    assert "data/flights/" in said


BROKEN = {
    "its end is cut": (lambda file: file[:-FOOTER], "it does not end with PAR1"),
    "its beginning is cut": (lambda file: file[300:], "outside the file's data"),
    "it is empty": (lambda _: b"", "it has only 0 bytes"),
    "it is no Parquet at all": (lambda _: b"year,month\n2013,1\n", "it does not end with PAR1"),
    "its footer is encrypted": (lambda file: file[:-4] + b"PARE", "its footer is encrypted"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read(world: World, name: str) -> None:
    damage, why = BROKEN[name]
    world.put(flights.key(2), damage(flights.parquet(flights.flights(2))))
    said = world.assert_failed(world.run(), "PlanParts", "SourceUnreadable")
    assert f"s3://{world.cloud.bucket}/{flights.key(2)} is not readable Parquet" in said
    assert why in said
    assert world.cloud.keys("work/") == []


def test_a_column_of_a_type_that_its_declaration_does_not_allow(world: World) -> None:
    for month in (1, 2):
        rows = [flight | {"distance": str(flight["distance"])} for flight in flights.flights(month)]
        world.put(flights.key(month), flights.parquet(rows, distance=pl.String))
    said = world.assert_failed(world.run(), "PlanParts", "ColumnMismatch")
    assert "column distance is declared integer; the source gives string" in said


def test_a_row_group_that_is_larger_than_a_workers_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 100)
    said = world.assert_failed(world.run(), "PlanParts", "RowGroupTooLarge")
    assert flights.key(1) in said
    assert "at most 100 bytes are allowed" in said


def test_more_parts_than_an_upload_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", 1)
    monkeypatch.setattr(planning, "MAX_PARTS", 3)
    said = world.assert_failed(world.run(), "PlanParts", "TooManyParts")
    assert "16 rows in 2 files or tables need 4 parts; at most 3 are allowed" in said


def test_a_report_that_the_deployment_does_not_have(world: World) -> None:
    world.write(report="sales")
    said = world.assert_failed(world.run(), "PlanParts", "UnknownReport")
    assert "'sales'" in said


def test_an_expression_that_uses_other_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    report = reports.load(ROOT / "reports")["flights"]
    report.definition["columns"][3]["expression"] = "dep_time / SUM/**/(dep_time)"
    monkeypatch.setattr(reports, "report", lambda _: report)
    said = world.assert_failed(world.run(), "PlanParts", "InvalidDefinition")
    assert "flights.yaml: /columns/3/expression: dep_time: SUM is not an allowed function" in said


def test_more_rows_than_are_allowed(make_world: MakeWorld) -> None:
    world = make_world(MaxRowsPerExport=15)
    said = world.assert_failed(world.run(), "PlanParts", "TooManyRows")
    assert "16 rows" in said
    assert "15" in said


def test_a_file_with_another_type_in_a_column(world: World) -> None:
    rows = [flight | {"tailnum": None} for flight in flights.flights(2)]
    world.put(flights.key(2), flights.parquet(rows).replace(b"tailnum", b"tailnam"))
    said = world.assert_failed(world.run(), "PlanParts", "SourceSchemaMismatch")
    assert flights.key(2) in said


def test_nothing_is_planned_when_planning_fails(world: World) -> None:
    world.write(report="sales")
    world.run()
    assert world.cloud.invocations("GeneratePart") == 0
    assert world.cloud.keys("work/") == []


# GeneratePart


def test_a_damaged_page_fails_the_part_that_needs_it(world: World) -> None:
    damage_first_page(world, month=2)
    said = world.assert_failed(world.run(), "GeneratePart", "SourceUnreadable", part=2)
    assert flights.key(2) in said


def test_a_source_that_is_replaced_after_it_was_planned(world: World) -> None:
    world.cloud.after("PlanParts", lambda _: world.put_flights(2, count=4))
    execution = world.run()
    part = int(world.record["failure"]["part"])
    said = world.assert_failed(execution, "GeneratePart", "SourceChanged", part)
    assert part >= PARTS / 2
    assert "was replaced" in said


def test_a_source_that_is_replaced_between_two_requests_of_one_part(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its footer is of the file that was planned, its rows would be of another: no part is mixed of both."""
    monkeypatch.setattr(parquet_rows, "FOOTER_GUESS", 8)
    original = objects.blocks

    def blocks(key: str, *given: Any) -> Any:
        if key == flights.key(2):
            world.put_flights(2, count=4)
        return original(key, *given)

    monkeypatch.setattr(objects, "blocks", blocks)
    execution = world.run()
    said = world.assert_failed(execution, "GeneratePart", "SourceChanged", int(world.record["failure"]["part"]))
    assert f"{flights.key(2)} was replaced" in said


def test_a_source_that_is_gone_after_it_was_planned(world: World) -> None:
    world.cloud.after("PlanParts", lambda _: world.delete(flights.key(1)))
    execution = world.run()
    said = world.assert_failed(execution, "GeneratePart", "SourceChanged", int(world.record["failure"]["part"]))
    assert "was removed" in said


def test_a_part_without_enough_memory(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    world.assert_failed(world.run(), "GeneratePart", "Runtime.ExitError", part=3)


def test_the_first_part_that_says_why_it_failed_is_heard(world: World) -> None:
    caught = json.dumps({"Error": "SourceChanged", "Cause": ""})
    other = {"state": "GeneratePart", "type": "SourceChanged", "error": caught, "part": "3"}
    damage_first_page(world, month=2)
    world.cloud.before("GeneratePart", lambda _: world.write(failure=other), part=2)
    world.assert_failed(world.run(), "GeneratePart", "SourceChanged", part=3)
    assert world.cloud.tasks["RecordPartFailure"] == 1


def test_a_part_that_cannot_say_why_it_failed_leaves_the_maps_reason(world: World) -> None:
    damage_first_page(world, month=2)
    world.cloud.refuse("RecordPartFailure", "ValidationException")
    world.assert_failed(world.run(), "FanOutParts", "States.ExceedToleratedFailureThreshold")


def test_after_a_failed_part_no_further_part_starts(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", flights.ROWS_PER_GROUP)
    world = make_world(MapConcurrency=1)
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=1)
    world.assert_failed(world.run(), "GeneratePart", "Runtime.ExitError", part=1)
    assert world.cloud.parts_called() == [0]


def test_a_definition_that_refuses_the_requests_parameters_now(world: World) -> None:
    world.write(parameters=json.dumps({"from": "2013-01-01", "to": "2013-01-31", "gone": 1}))
    said = world.assert_failed(world.run(), "PlanParts", "ParametersRefused")
    assert "/gone: unknown field" in said


def test_parts_of_two_engines_are_not_put_together(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", flights.ROWS_PER_GROUP)
    world = make_world(MapConcurrency=1)
    planned = work.ENGINE_VERSION
    world.cloud.after("GeneratePart", lambda _: monkeypatch.setattr(work, "ENGINE_VERSION", "next"), part=0)
    said = world.assert_failed(world.run(), "GeneratePart", "EngineChanged", part=1)
    assert f"engine {planned} made the plan, but engine next was deployed" in said


# AssembleFile


def test_an_engine_that_is_deployed_before_the_file_is_put_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.before("AssembleFile", lambda _: monkeypatch.setattr(work, "ENGINE_VERSION", "next"))
    world.assert_failed(world.run(), "AssembleFile", "EngineChanged")


def test_a_plan_that_is_removed_on_the_way_is_told_and_may_be_made_again(world: World) -> None:
    """As a DELETE does that has seen the attempt before, while it is retried."""
    world.cloud.before("AssembleFile", lambda _: world.delete(world.work("plan.json")[0]))
    said = world.assert_failed(world.run(), "AssembleFile", "PartChanged")
    assert "plan.json was removed after it was written" in said


def test_a_missing_receipt_makes_no_short_file(world: World) -> None:
    world.cloud.before("AssembleFile", lambda _: world.delete(world.work("receipts/000002")[0]))
    said = world.assert_failed(world.run(), "AssembleFile", "RowsMissing")
    assert "part 2" in said


def test_a_receipt_of_fewer_rows_makes_no_short_file(world: World) -> None:
    def shorten(_: object) -> None:
        key = world.work("receipts/000002")[0]
        world.put(key, json.dumps(json.loads(world.cloud.read(key)) | {"rows_read": 3}).encode())

    world.cloud.before("AssembleFile", shorten)
    said = world.assert_failed(world.run(), "AssembleFile", "RowsMissing")
    assert "15 rows" in said


def test_a_part_that_is_replaced_after_its_receipt(world: World) -> None:
    world.cloud.before("AssembleFile", lambda _: world.put(world.work("parts/000002")[0], b"other bytes"))
    said = world.assert_failed(world.run(), "AssembleFile", "PartChanged")
    assert "replaced or removed after its receipt" in said


# The record and the dead letter


def test_a_run_that_cannot_be_recorded_fails(world: World) -> None:
    world.cloud.refuse("RecordRunning", "ValidationException", times=1)
    world.assert_failed(world.run(), "RecordRunning", "DynamoDB.ValidationException")
    assert world.cloud.calls == []


def test_a_success_that_cannot_be_recorded_fails_the_execution_and_keeps_the_file(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "DynamoDB.ValidationException")
    assert world.record["status"] == "RUNNING"
    assert world.record["active_owner"]
    (file,) = world.cloud.keys("exports/")
    assert world.cloud.read(file) == flights.expected_csv(1, 2)
    assert world.cloud.letters() == []
    assert world.cloud.announcements() == []


def test_a_failure_that_cannot_be_recorded_leaves_both_record_and_letter_to_reconcile_exports(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    world.cloud.refuse("RecordFailed", "ValidationException")
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert world.record["status"] == "RUNNING"
    assert world.record["failure"]["part"] == "3"
    assert world.cloud.letters() == []
    assert world.cloud.announcements() == []


def test_an_export_fails_all_the_same_when_its_letter_cannot_be_sent(world: World) -> None:
    world.write(report="sales")
    world.cloud.refuse("SendToDeadLetters", "InternalError")
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "UnknownReport")
    assert world.record["status"] == "FAILED"
    assert world.record["letter"] == "due"
    assert world.cloud.letters() == []
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/FAILED"]
