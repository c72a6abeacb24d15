"""What ends an attempt, and what is known of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from shared.datasets import footers, objects
from shared.engine import planning
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
    patch.setattr(footers, "FOOTER_GUESS", 8)
    original = objects.blocks

    def blocks(version: objects.Version, *given: Any) -> Any:
        if version.key == flights.key(2):
            world.put_flights(2, count=4)
        return original(version, *given)

    patch.setattr(objects, "blocks", blocks)


def _refused_parameter(world: World, _: Patch) -> None:
    world.write(parameters=json.dumps({"from": "2013-01-01", "to": "2013-01-31", "gone": 1}))


def _after_planning(change: Callable[[World], object]) -> Callable[[World, Patch], object]:
    return lambda world, _: world.cloud.after("PlanParts", lambda _: change(world))


SOURCE = flights.key(2)
# What happens, the state that fails, its error, and what that names.
FAILURES: dict[str, tuple[Callable[[World, Patch], object], str, str, str]] = {
    "the report is not deployed": (lambda world, _: world.write(report="sales"), "PlanParts", "UnknownReport", "sales"),
    "the report refuses the parameters now": (_refused_parameter, "PlanParts", "ParametersRefused", "/gone"),
    "the report lacks a chosen column now": (
        lambda world, _: world.write(columns='["flight", "gone"]'),
        *("PlanParts", "ParametersRefused", "/columns/1"),
    ),
    "a file is no Parquet": (lambda world, _: world.put(SOURCE, b"a,b"), "PlanParts", "SourceUnreadable", SOURCE),
    "a page is damaged": (damage_first_page, "GeneratePart", "SourceUnreadable", SOURCE),
    "a source is replaced after it was planned": (
        _after_planning(lambda world: world.put_flights(2, count=4)),
        *("GeneratePart", "SourceChanged", SOURCE),
    ),
    "a source is replaced while it is read": (_replace_while_it_is_read, "GeneratePart", "SourceChanged", SOURCE),
    "a source is gone after it was planned": (
        _after_planning(lambda world: world.delete(SOURCE)),
        *("GeneratePart", "SourceChanged", SOURCE),
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_recorded_as_what_it_is_and_never_tried_again(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange, state, error, said = FAILURES[name]
    arrange(world, monkeypatch)
    execution = world.run()
    failed = world.record["failure"]["part"]
    assert failed in ([""] if state == "PlanParts" else ["2", "3"])  # the parts of the second month
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
