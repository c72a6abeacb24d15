"""What ends an attempt, and what is known of it afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared import planning, work
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, PARTS

if TYPE_CHECKING:
    import pytest

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


def test_a_truncated_file(world: World) -> None:
    world.put(flights.key(2), flights.parquet(flights.flights(2))[:-FOOTER])
    said = world.assert_failed(world.run(), "PlanParts", "SourceUnreadable")
    assert flights.key(2) in said


def test_a_report_that_the_deployment_does_not_have(world: World) -> None:
    world.write(report="sales")
    said = world.assert_failed(world.run(), "PlanParts", "UnknownReport")
    assert "'sales'" in said


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


def test_a_source_that_is_gone_after_it_was_planned(world: World) -> None:
    world.cloud.after("PlanParts", lambda _: world.delete(flights.key(1)))
    execution = world.run()
    said = world.assert_failed(execution, "GeneratePart", "SourceChanged", int(world.record["failure"]["part"]))
    assert "is gone" in said


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
    assert "/gone: is not known here" in said


def test_parts_of_two_engines_are_not_put_together(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", flights.ROWS_PER_GROUP)
    world = make_world(MapConcurrency=1)
    world.cloud.after("GeneratePart", lambda _: monkeypatch.setattr(work, "ENGINE_VERSION", "2"), part=0)
    said = world.assert_failed(world.run(), "GeneratePart", "EngineChanged", part=1)
    assert "the plan is of engine 1; 2 is deployed since" in said


# AssembleFile


def test_an_engine_that_is_deployed_before_the_file_is_put_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.before("AssembleFile", lambda _: monkeypatch.setattr(work, "ENGINE_VERSION", "2"))
    world.assert_failed(world.run(), "AssembleFile", "EngineChanged")


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
    assert "replaced or removed since its receipt" in said


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
