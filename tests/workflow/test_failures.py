"""What ends an attempt, and what is known of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from shared.engine import planning
from shared.engine.sources import objects, parquet_rows
from tests.workflow import flights

if TYPE_CHECKING:
    from tests.workflow.conftest import MakeWorld
    from tests.workflow.world import World

Patch = pytest.MonkeyPatch


def damage_first_page(world: World, _: Patch) -> None:
    body = bytearray(flights.parquet(flights.flights(2)))
    body[4:24] = b"\xff" * 20
    world.put(flights.key(2), bytes(body))


def _replace_while_it_is_read(world: World, patch: Patch) -> None:
    """The footer is of the file that was planned, the rows would be of another: no part is mixed of both."""
    patch.setattr(parquet_rows, "FOOTER_GUESS", 8)
    original = objects.blocks

    def blocks(key: str, *given: Any) -> Any:
        if key == flights.key(2):
            world.put_flights(2, count=4)
        return original(key, *given)

    patch.setattr(objects, "blocks", blocks)


def _refused_parameter(world: World, _: Patch) -> None:
    world.write(parameters=json.dumps({"from": "2013-01-01", "to": "2013-01-31", "gone": 1}))


class Failure(NamedTuple):
    arrange: Callable[[World, Patch], object]
    state: str
    error: str
    said: str = ""
    """What the error names."""
    part: str = ""
    """The part, or the first of those that may be first."""


FAILURES = {
    "the report is not deployed": Failure(
        lambda world, _: world.write(report="sales"), "PlanParts", "UnknownReport", "sales"
    ),
    "the report refuses the parameters now": Failure(_refused_parameter, "PlanParts", "ParametersRefused", "/gone"),
    "a file is no Parquet": Failure(
        lambda world, _: world.put(flights.key(2), b"a,b"), "PlanParts", "SourceUnreadable", flights.key(2)
    ),
    "a page is damaged": Failure(damage_first_page, "GeneratePart", "SourceUnreadable", flights.key(2), "2"),
    "a source is replaced after it was planned": Failure(
        lambda world, _: world.cloud.after("PlanParts", lambda _: world.put_flights(2, count=4)),
        "GeneratePart",
        "SourceChanged",
        flights.key(2),
        "2",
    ),
    "a source is replaced while it is read": Failure(
        _replace_while_it_is_read, "GeneratePart", "SourceChanged", flights.key(2), "2"
    ),
    "a source is gone after it was planned": Failure(
        lambda world, _: world.cloud.after("PlanParts", lambda _: world.delete(flights.key(2))),
        "GeneratePart",
        "SourceChanged",
        flights.key(2),
        "2",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_recorded_as_what_it_is_and_never_tried_again(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange, state, error, said, part = FAILURES[name]
    arrange(world, monkeypatch)
    execution = world.run()
    failed = world.record["failure"]["part"]
    assert failed >= part
    assert said in world.assert_failed(execution, state, error, failed or None)
    assert world.cloud.waits == []
    assert len(set(world.cloud.parts_called())) == len(world.cloud.parts_called())
    if state == "PlanParts":
        assert world.cloud.parts_called() == world.cloud.keys("work/") == []


def test_more_rows_than_are_allowed(make_world: MakeWorld) -> None:
    world = make_world(MaxRowsPerExport=15)
    said = world.assert_failed(world.run(), "PlanParts", "TooManyRows")
    assert "16" in said
    assert "15" in said


def test_the_first_part_that_says_why_it_failed_is_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caught = json.dumps({"Error": "SourceChanged", "Cause": ""})
    other = {"state": "GeneratePart", "type": "SourceChanged", "error": caught, "part": "3"}
    damage_first_page(world, monkeypatch)
    world.cloud.before("GeneratePart", lambda _: world.write(failure=other), part=2)
    world.assert_failed(world.run(), "GeneratePart", "SourceChanged", part=3)
    assert world.cloud.tasks["RecordPartFailure"] == 1


def test_after_a_failed_part_no_further_part_starts(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", flights.ROWS_PER_GROUP)
    world = make_world(MapConcurrency=1)
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=1)
    world.assert_failed(world.run(), "GeneratePart", "Runtime.ExitError", part=1)
    assert world.cloud.parts_called() == [0]


def test_a_part_that_lambda_refuses_for_good_is_tried_nine_times(make_world: MakeWorld) -> None:
    world = make_world(MapConcurrency=1)
    world.cloud.refuse("GeneratePart", "TooManyRequestsException")
    world.assert_failed(world.run(), "GeneratePart", "Lambda.TooManyRequestsException", part=0)
    assert world.cloud.tasks["GeneratePart"] == 1 + 8


def test_an_end_that_cannot_be_recorded_leaves_the_record_to_reconcile_exports(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    world.cloud.refuse("RecordFailed", "ValidationException")
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert world.record["status"] == "RUNNING"
    assert world.record["failure"]["part"] == "3"
    assert world.cloud.letters() == world.cloud.announcements() == []
