"""Attempts: made again, superseded, and failed for what a worker finds changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.files import work
from tests.stateful.stage import Happening, Stage, cancel_only, retry
from tests.stateful.world import PARTS


def run(stage: Stage) -> None:
    assert stage.request() == 202
    stage.run_on()


def noting_parts(stage: Stage) -> list[str]:
    """Keys of the parts that are put from now on."""
    put: list[str] = []

    def at_call(invocation: Any) -> None:
        wanted = invocation.process.wants
        if wanted.operation == "PutObject" and "/parts/" in wanted.parameters["Key"]:
            put.append(wanted.parameters["Key"])

    stage.at_call = at_call
    return put


def work_files(stage: Stage, name: str) -> list[str]:
    return [key for key in stage.memory.objects if key.startswith("work/") and f"/{name}" in key]


def succeeded(stage: Stage, attempt: int) -> None:
    assert (stage.export["status"], stage.export["attempt"]) == ("SUCCEEDED", attempt)
    stage.laws.hold()


# Made again


def test_the_next_attempt_makes_only_what_is_missing(stage: Stage) -> None:
    put = noting_parts(stage)
    stage.fail("GeneratePart", "Runtime.ExitError", 1, part=1)
    run(stage)
    retry(stage)
    stage.run_on()
    succeeded(stage, attempt=2)
    assert len(put) == len(set(put)) == PARTS


def _spoil_a_part(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.memory.put_object(work_files(stage, "parts/000001")[0], b"other bytes")


def _expire(stage: Stage, _: pytest.MonkeyPatch) -> None:
    for key in work_files(stage, ""):
        stage.memory.delete_object(key)


def _deploy(_: Stage, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(work, "ENGINE_VERSION", "next")


def _change_the_source(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.dataset.version += 1


@pytest.mark.parametrize(
    ("meanwhile", "parts"), [(_spoil_a_part, 1), (_expire, PARTS), (_deploy, PARTS), (_change_the_source, PARTS)]
)
def test_parts_that_are_not_what_they_were_are_made_again(
    stage: Stage,
    meanwhile: Callable[[Stage, pytest.MonkeyPatch], None],
    parts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage.fail("AssembleFile", "Runtime.ExitError", 1)
    run(stage)
    meanwhile(stage, monkeypatch)
    put = noting_parts(stage)
    retry(stage)
    stage.run_on()
    assert len(put) == parts
    succeeded(stage, attempt=2)


# Superseded


def _remove(stage: Stage) -> None:
    stage.memory.table.clear()


def _next_attempt(stage: Stage) -> None:
    item = next(each for each in stage.memory.table.values() if "status" in each)
    item["attempt"] = {"N": "2"}


@pytest.mark.parametrize("meanwhile", [cancel_only, _remove, _next_attempt])
def test_what_no_longer_counts_does_not_begin(stage: Stage, meanwhile: Happening) -> None:
    stage.request()
    meanwhile(stage)
    before = dict(stage.memory.table)
    stage.run_on()
    assert [each.walk.run.entered for each in stage.executions.values()] == [["RecordRunning", "Superseded"]]
    assert stage.memory.table == before
    assert not stage.memory.written


def once_the_file_is_there(stage: Stage, happening: Happening) -> None:
    """Lets something happen before AssembleFile looks whether its file is still wanted."""

    def at_call(invocation: Any) -> None:
        if invocation.process.wants.operation == "GetItem" and invocation.function == "AssembleFile" and files(stage):
            happening(stage)

    stage.at_call = at_call


def files(stage: Stage) -> list[str]:
    return [key for key in stage.memory.objects if key.startswith("exports/")]


def test_the_file_of_an_export_that_is_cancelled_while_it_is_put_together_is_removed(stage: Stage) -> None:
    once_the_file_is_there(stage, cancel_only)
    run(stage)
    assert stage.export["status"] == "CANCELLED"
    assert files(stage) == []


def test_a_late_worker_keeps_the_file_that_the_record_names(stage: Stage) -> None:
    """Its answer was lost, another worker made the same file again, and the export succeeded meanwhile."""

    def finish_without_it(_: Stage) -> None:
        stage.at_call = lambda _: None
        stage.close_execution(next(iter(stage.executions.values())), "FAILED")
        stage.reconcile(stage.ends[0])

    once_the_file_is_there(stage, finish_without_it)
    run(stage)
    assert [each.walk.run.status for each in stage.executions.values()] == ["FAILED"]
    succeeded(stage, attempt=1)


# What a worker finds changed


def _shorten_a_receipt(stage: Stage, _: pytest.MonkeyPatch) -> None:
    (key,) = work_files(stage, "receipts/000001")
    receipt = json.loads(stage.memory.objects[key].body) | {"rows_read": 1}
    stage.memory.put_object(key, json.dumps(receipt).encode())


def _removed(name: str) -> Callable[[Stage, pytest.MonkeyPatch], None]:
    return lambda stage, _: stage.memory.delete_object(work_files(stage, name)[0]) and None


@pytest.mark.parametrize(
    ("state", "meanwhile", "error", "said"),
    [
        pytest.param("GeneratePart", _deploy, "EngineChanged", "next", id="a new engine"),
        pytest.param("AssembleFile", _deploy, "EngineChanged", "next", id="a new engine, the parts are made"),
        pytest.param("AssembleFile", _removed("plan.json"), "PartChanged", "plan.json", id="no plan"),
        pytest.param("AssembleFile", _removed("receipts/000001"), "RowsMissing", "part 1", id="a receipt is missing"),
        pytest.param("AssembleFile", _shorten_a_receipt, "RowsMissing", "3", id="a receipt is of fewer rows"),
        pytest.param("AssembleFile", _spoil_a_part, "PartChanged", "000001", id="a part is replaced"),
    ],
)
def test_a_worker_that_finds_something_changed_says_so_and_makes_no_file(
    stage: Stage, state: str, meanwhile: Any, error: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 1 if state == "GeneratePart" else None
    stage.let_happen("before", state, part, lambda stage: meanwhile(stage, monkeypatch))
    run(stage)
    failure = stage.export["failure"]
    assert (failure["state"], failure["type"], failure["part"]) == (state, error, failure["part"] if part else "")
    assert said in failure["error"]
    assert (stage.retries, files(stage), len(stage.memory.letters)) == (0, [], 1)
