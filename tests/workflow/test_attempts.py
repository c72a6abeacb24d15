"""Attempts: started twice, made again, and any order of what can happen to an export."""

from __future__ import annotations

import os
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.files import work
from shared.records import attempts
from tests.support.moto_machine import moto_cloud, settle
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, OWNER, PARTS, World


def test_an_attempt_that_is_started_again_runs_once(world: World) -> None:
    world.run()
    before, called = world.record, len(world.cloud.calls)
    with mock.patch.dict(os.environ, {"STATE_MACHINE_ARN": world.cloud.machine_arn}):
        attempts.start(before)
    settle()
    assert (world.record, len(world.cloud.calls)) == (before, called)
    executions = world.cloud.stepfunctions.list_executions(stateMachineArn=world.cloud.machine_arn)["executions"]
    assert len(executions) == 1


def test_a_second_execution_of_an_attempt_that_succeeded_changes_nothing(world: World) -> None:
    world.run()
    before, body = world.record, world.file()
    execution = world.cloud.run(before, name="by-hand")
    world.assert_superseded(execution, "SUCCEEDED")
    assert (world.record, world.file()) == (before, body)


def test_a_second_execution_of_an_attempt_that_failed_changes_nothing(world: World) -> None:
    world.write(report="sales")
    world.run()
    before = world.record
    execution = world.cloud.run(before, name="by-hand")
    assert execution.path == "RecordRunning ! Superseded"
    assert world.record == before
    assert len(world.cloud.letters()) == 1


def test_the_next_attempt_makes_only_the_parts_that_are_missing(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3, times=1)
    world.run()
    made = {key for key in world.cloud.written if "/parts/" in key}
    world.cloud.written.clear()
    world.requeue()
    execution = world.run()
    assert execution.status == "SUCCEEDED"
    made_again = [key for key in world.cloud.written if "/parts/" in key]
    assert not made & set(made_again)
    assert len(made) + len(made_again) == PARTS
    assert world.file() == flights.expected_csv(1, 2)


def test_the_next_attempt_forgets_why_the_last_one_failed(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3, times=1)
    world.run()
    world.requeue()
    world.run()
    assert "failure" not in world.record
    assert "/2/" in world.record["file_key"]
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/FAILED", f"{EXPORT_ID}/2/SUCCEEDED"]
    assert len(world.cloud.letters()) == 1


def test_a_part_whose_bytes_are_not_those_of_its_receipt_is_made_again(world: World) -> None:
    world.cloud.crash("AssembleFile", "Runtime.ExitError", times=1)
    world.run()
    spoilt = world.work("parts/000001")[0]
    world.put(spoilt, b"other bytes")
    world.cloud.written.clear()
    world.requeue()
    world.run()
    assert [key for key in world.cloud.written if "/parts/" in key] == [spoilt]
    assert world.file() == flights.expected_csv(1, 2)


def test_a_source_that_changed_is_planned_anew(world: World) -> None:
    world.cloud.after("PlanParts", lambda _: world.put_flights(2, count=4))
    world.run()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    assert len(world.work("plan.json")) == 2
    assert world.record["rows"] == 6 + 3


def test_an_attempt_after_the_work_files_expired_makes_every_part_again(world: World) -> None:
    world.cloud.crash("AssembleFile", "Runtime.ExitError", times=1)
    world.run()
    for key in world.work(""):
        world.delete(key)
    world.cloud.written.clear()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    assert len([key for key in world.cloud.written if "/parts/" in key]) == PARTS
    assert world.file() == flights.expected_csv(1, 2)


def test_an_attempt_after_a_new_engine_was_deployed_makes_every_part_with_that_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.crash("AssembleFile", "Runtime.ExitError", times=1)
    world.run()
    monkeypatch.setattr(work, "ENGINE_VERSION", "next")
    world.cloud.written.clear()
    world.requeue()
    assert world.run().status == "SUCCEEDED"
    assert len([key for key in world.cloud.written if "/parts/" in key]) == PARTS
    assert world.file() == flights.expected_csv(1, 2)


CRASHES = ("PlanParts", "GeneratePart", "AssembleFile")
LISTED = {"QUEUED": OWNER, "FAILED": "settling", "CANCELLED": "settling"}
EVENTS = st.one_of(
    st.just(("run", None)),
    st.just(("cancel", None)),
    st.just(("requeue", None)),
    st.tuples(st.sampled_from(["crash", "cancel during"]), st.sampled_from(CRASHES)),
    st.tuples(st.just("lose"), st.sampled_from(["RecordRunning", "RecordSucceeded", "RecordFailed"])),
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(events=st.lists(EVENTS, min_size=2, max_size=5))
def test_whatever_happens_the_record_is_true(events: list[tuple[str, str | None]]) -> None:
    with moto_cloud() as cloud:
        world = World(cloud)
        for kind, where in events:
            _let_happen(world, kind, where)
            _assert_true(world)


def _let_happen(world: World, kind: str, where: str | None) -> None:
    status = world.record["status"]
    if kind == "cancel" and status == "QUEUED":
        world.cancel()
    elif kind == "requeue" and status in ("FAILED", "CANCELLED"):
        world.requeue()
    elif kind == "run":
        world.cloud.run(world.record, name=f"run-{len(world.cloud.calls)}-{world.cloud.tasks.total()}")
    elif kind == "crash":
        world.cloud.crash(str(where), "Runtime.ExitError", times=1)
    elif kind == "cancel during":
        world.cloud.before(str(where), lambda _: world.record["status"] == "RUNNING" and world.cancel())
    elif kind == "lose":
        world.cloud.lose_answer(str(where), "InternalServerError")


def _assert_true(world: World) -> None:
    record, files = world.record, world.cloud.keys("exports/")
    assert record["status"] in ("QUEUED", "SUCCEEDED", "FAILED", "CANCELLED")
    assert record.get("active_owner") == LISTED.get(record["status"])
    assert ("failure" in record) == (record["status"] == "FAILED")
    assert files == ([record["file_key"]] if record["status"] == "SUCCEEDED" else [])
    assert not files or world.file() == flights.expected_csv(1, 2)
    announced = world.cloud.announcements()
    assert len(announced) == len({each.rsplit("/", 1)[0] for each in announced})
    assert len(world.cloud.letters()) == sum(each.endswith("/FAILED") for each in announced)
    assert world.cloud.open_uploads() == []
