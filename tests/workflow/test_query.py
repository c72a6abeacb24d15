"""An export whose rows a query chooses: its result is made once, is the snapshot of every attempt, and loses no row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from shared.engine import planning
from shared.records import table
from tests.support.moto_machine import moto_cloud
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def world() -> Iterator[World]:
    """Flights in an order of their own, four to a part."""
    with pytest.MonkeyPatch.context() as patch, moto_cloud(MapConcurrency=4) as cloud:
        patch.setattr(planning, "MIN_ROWS", 4)
        stage = World(cloud)
        stage.ask_in_order()
        yield stage


def retry(world: World) -> None:
    record: Any = world.record
    with world.cloud.as_function("RetryExport"):
        table.retry(record, record["queued_at"], record["delete_after"])


def test_a_retry_reads_the_result_of_the_first_attempt_even_after_the_data_has_changed(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", times=1, part=1)
    assert world.run().status == "FAILED"
    first = world.work("query/")
    for month in (1, 2):
        world.delete(flights.key(month))
    retry(world)
    assert world.run().status == "SUCCEEDED"
    assert world.file() == flights.expected_csv(1, 2)
    assert world.work("query/") == first
    assert len(first) == 2


def test_a_part_that_lacks_rows_of_the_result_fails(world: World) -> None:
    def lie(_: object) -> None:
        (key,) = world.work("parts.json")
        parts = json.loads(world.cloud.read(key))
        parts[0]["sources"][0]["rows"] -= 1
        world.put(key, json.dumps(parts).encode())

    world.cloud.after("PlanParts", lie)
    execution = world.run()
    assert "read 3 rows, but its plan has 4" in world.assert_failed(execution, "GeneratePart", "RowsMissing", part=0)


def test_a_result_that_lacks_rows_of_the_query_is_not_planned(world: World) -> None:
    def lie(_: object) -> None:
        (key,) = [each for each in world.work("query/") if each.endswith("result.json")]
        receipt = json.loads(world.cloud.read(key))
        world.put(key, json.dumps(receipt | {"rows": receipt["rows"] + 1}).encode())

    world.cloud.after("RunQuery", lie)
    said = world.assert_failed(world.run(), "PlanParts", "RowsMissing")
    assert "wrote 13 rows, but its file has 12" in said


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (lambda world: world.write(sort=json.dumps([{"column": "flight", "descending": True}])), "QueryChanged"),
        (lambda world: [world.delete(key) for key in world.work("query/")], "QueryChanged"),
        (lambda world: world.delete(world.work("query/")[0]), "SourceChanged"),
    ],
    ids=["the request's order is another", "the result is removed", "the file of the result is removed"],
)
def test_what_happens_between_the_query_and_the_plan_fails_the_export(
    world: World, happens: Callable[[World], object], error: str
) -> None:
    world.cloud.after("RunQuery", lambda _: happens(world))
    world.assert_failed(world.run(), "PlanParts", error)


def test_an_export_without_rows_has_its_columns(world: World) -> None:
    world.write(parameters=json.dumps({"from": "2014-01-01", "to": "2014-01-31"}))
    assert world.run().status == "SUCCEEDED"
    assert world.file().decode().removeprefix("\ufeff") == flights.HEADER


def test_the_record_tells_which_export_it_was(world: World) -> None:
    world.run()
    (receipt,) = [json.loads(world.cloud.read(key)) for key in world.work("query/") if key.endswith("result.json")]
    assert receipt["key"].startswith(f"work/{EXPORT_ID}/query/{receipt['name']}/")
    assert receipt["rows"] == world.record["rows"]
    assert receipt["sources"]["rows"]["files"] == 2
