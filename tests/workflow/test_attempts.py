"""Attempts: started twice, made again, those that no longer count; and what was asked for otherwise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from moto.s3.models import S3Backend

from shared.engine.sources import parquet_counts
from shared.files import work
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workflow.world import World


@pytest.mark.parametrize("report", ["flights", "sales"])
def test_a_second_execution_of_an_attempt_that_has_ended_changes_nothing(world: World, report: str) -> None:
    world.write(report=report)
    world.run()
    before, written = world.record, list(world.cloud.written)
    execution = world.cloud.run(before, name="by-hand")
    assert execution.path == "RecordRunning ! Superseded"
    assert (world.record, world.cloud.written) == (before, written)
    assert len(world.cloud.letters()) == (report == "sales")


def made_parts(world: World) -> list[str]:
    return [key for key in world.cloud.written if "/parts/" in key]


def test_the_next_attempt_makes_only_what_is_missing_and_forgets_why_the_last_one_failed(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3, times=1)
    world.run()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    made = made_parts(world)
    assert len(made) == len(set(made)) == PARTS
    assert world.file() == flights.expected_csv(1, 2)
    assert "failure" not in world.record
    assert "/2/" in world.record["file_key"]
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/FAILED", f"{EXPORT_ID}/2/SUCCEEDED"]
    assert len(world.cloud.letters()) == 1


def _spoil_a_part(world: World, _: pytest.MonkeyPatch) -> None:
    world.put(world.work("parts/000001")[0], b"other bytes")


def _expire(world: World, _: pytest.MonkeyPatch) -> None:
    for key in world.work(""):
        world.delete(key)


def _deploy(_: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(work, "ENGINE_VERSION", "next")


@pytest.mark.parametrize(("meanwhile", "parts"), [(_spoil_a_part, 1), (_expire, PARTS), (_deploy, PARTS)])
def test_parts_that_are_not_what_they_were_are_made_again(
    world: World,
    meanwhile: Callable[[World, pytest.MonkeyPatch], None],
    parts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.cloud.crash("AssembleFile", "Runtime.ExitError", times=1)
    world.run()
    meanwhile(world, monkeypatch)
    world.cloud.written.clear()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    assert len(made_parts(world)) == parts
    assert world.file() == flights.expected_csv(1, 2)


def test_a_source_that_changed_is_planned_anew(world: World) -> None:
    world.cloud.after("PlanParts", lambda _: world.put_flights(2, count=4))
    world.run()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    assert len(world.work("plan.json")) == 2
    assert world.record["rows"] == 6 + 3


# Attempts that no longer count


def test_another_attempt_than_the_records(world: World) -> None:
    execution = world.cloud.run(world.record | {"attempt": 2})
    world.assert_superseded(execution, "QUEUED")
    assert world.cloud.calls == []


def test_a_record_that_is_gone_does_not_come_back(world: World) -> None:
    world.remove()
    assert world.cloud.run(world.export).path == "RecordRunning ! Superseded"
    with pytest.raises(KeyError):
        world.record  # noqa: B018


def _once_the_file_is_there(do: Callable[[], object]) -> Any:
    stock = S3Backend.complete_multipart_upload

    def complete(*arguments: Any, **named: Any) -> Any:
        whole = stock(*arguments, **named)
        do()
        return whole

    return mock.patch.object(S3Backend, "complete_multipart_upload", complete)


def test_the_file_of_an_export_that_is_cancelled_while_it_is_put_together_is_removed(world: World) -> None:
    with _once_the_file_is_there(world.cancel):
        execution = world.run()
    world.assert_superseded(execution)
    assert world.cloud.keys("exports/") == []


def test_an_attempt_that_was_retried_meanwhile_leaves_everything_to_the_next(world: World) -> None:
    first = world.record
    world.cloud.before("AssembleFile", lambda _: [world.cancel(), world.requeue()])
    execution = world.cloud.run(first)
    world.assert_superseded(execution, "QUEUED")
    assert world.cloud.keys("exports/") == []
    assert world.run().status == "SUCCEEDED"


def test_a_late_worker_keeps_the_file_that_the_record_names(world: World) -> None:
    """Its answer was lost, another worker made the same file again, and the export succeeded meanwhile."""
    with _once_the_file_is_there(
        lambda: world.write(status="SUCCEEDED", file_key=world.cloud.keys("exports/")[0]),
    ):
        assert world.run().status == "SUCCEEDED"
    assert world.cloud.keys("exports/") == [world.record["file_key"]]


# What is asked for


@pytest.mark.parametrize(("files", "warning"), [(500, ""), (0, "NoCellReferences")])
def test_the_record_says_when_the_cells_of_a_spreadsheet_have_no_references(
    files: int, warning: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_counts, "MAX_FILES", files)
    world.write(format="xlsx", options=json.dumps({"timezone": "UTC"}))
    assert world.run().status == "SUCCEEDED"
    assert world.record["warning"] == warning


@pytest.mark.parametrize(
    ("first", "last", "months", "parts"), [("2012-01-01", "2012-01-31", [], 1), ("2013-02-01", "2013-02-28", [2], 2)]
)
def test_only_the_months_that_are_asked_for_are_read(
    first: str, last: str, months: list[int], parts: int, world: World
) -> None:
    world.write(parameters=json.dumps({"from": first, "to": last}))
    world.delete(flights.key(1))
    assert world.run().status == "SUCCEEDED"
    assert world.file() == flights.expected_csv(*months)
    assert (world.record["rows"], world.record["parts_total"]) == (6 * len(months), parts)
