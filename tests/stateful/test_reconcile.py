"""Whatever broke down, ReconcileExports makes the record say what is true; twice at once is as good as once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from reconcile_exports.app import NotReconciled, handler
from shared.errors import InvalidEvent, ServiceUnavailable, SourceSchemaMismatch
from shared.files.formats import FORMATS
from tests.stateful.stage import OWNER, Stage, cancel_only
from tests.stateful.test_found import up_to
from tests.stateful.world import CONTEXT, Execution

REFUSED = "DynamoDB.ValidationException"


def run(stage: Stage) -> dict[str, Any]:
    """An export is asked for and runs to the end; the event of that."""
    assert stage.request() == 202
    stage.run_on()
    return stage.ends[0]


@pytest.fixture
def behind(stage: Stage) -> dict[str, Any]:
    """The end of an execution whose file is made, and whose success could not be recorded."""
    stage.fail("RecordSucceeded", REFUSED, 1)
    end = run(stage)
    assert stage.export["status"] == "RUNNING"
    return end


def files(stage: Stage) -> list[str]:
    return [key for key in stage.memory.objects if key.startswith("exports/")]


def assert_failed(stage: Stage, state: str, error: str) -> dict[str, Any]:
    """The record is FAILED for this reason, one letter says so, it is announced once, and no file is left."""
    record = stage.export
    assert record["status"] == "FAILED"
    assert (record["failure"]["state"], record["failure"]["type"]) == (state, error)
    assert "letter" not in record
    (letter,) = map(json.loads, stage.memory.letters)
    assert letter["failure"] == record["failure"]
    assert letter["execution_arn"].endswith(f":execution:test-report-export:{record['export_id']}-1")
    assert list(stage.laws.announced) == [f"{record['export_id']}/1/FAILED"]
    assert files(stage) == []
    return dict(record["failure"])


# The file is there, the record is behind


@pytest.mark.parametrize("hears_of_the_end", [True, False])
def test_a_success_that_could_not_be_recorded_is_recorded_once_as_record_succeeded_would_have(
    stage: Stage, behind: dict[str, Any], hears_of_the_end: bool
) -> None:
    stage.reconcile(behind if hears_of_the_end else None)
    record = stage.export
    assert record["status"] == "SUCCEEDED"
    stage.laws.hold()
    stage.reconcile(behind)
    stage.reconcile()
    assert stage.export == record
    assert files(stage) == [record["file_key"]]
    healthy = Stage()
    run(healthy)
    right = healthy.export
    assert record.keys() == right.keys()
    assert {name for name in record if record[name] != right[name]} <= {"finished_at", "expires_at", "delete_after"}


def _file(**different: Any) -> Callable[[Stage], object]:
    def spoil(stage: Stage) -> None:
        (key,) = files(stage)
        stage.memory.objects[key] = replace(stage.memory.objects[key], **different)

    return spoil


def _work(name: str, body: bytes | None = None) -> Callable[[Stage], object]:
    def spoil(stage: Stage) -> None:
        for key in [key for key in stage.memory.objects if key.startswith("work/") and name in key]:
            stage.memory.delete_object(key) if body is None else stage.memory.put_object(key, body)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_file(body=b"short"), id="the file is of another size"),
        pytest.param(_file(crc32="AAAAAA=="), id="the file is of another checksum"),
        pytest.param(_work("receipts/000001"), id="a receipt is gone"),
        pytest.param(_work("plan.json"), id="the plan is gone"),
        pytest.param(_work("receipts/000001", b"{"), id="a receipt is no JSON"),
        pytest.param(_work("receipts/000001", b"{}"), id="a receipt is none"),
    ],
)
def test_without_proof_there_is_no_success(
    stage: Stage, behind: dict[str, Any], spoil: Callable[[Stage], object]
) -> None:
    spoil(stage)
    stage.reconcile(behind)
    assert_failed(stage, "RecordSucceeded", REFUSED)


@pytest.mark.parametrize("fault", [SourceSchemaMismatch("other columns"), LookupError("?")], ids=repr)
def test_parts_that_no_file_can_be_made_of_end_the_export(
    stage: Stage, behind: dict[str, Any], fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FORMATS["csv"], "layout", mock.Mock(side_effect=fault))
    stage.reconcile(behind)
    assert_failed(stage, "RecordSucceeded", REFUSED)


def test_the_parts_themselves_are_not_needed_for_the_proof(stage: Stage, behind: dict[str, Any]) -> None:
    _work("parts/")(stage)
    stage.reconcile(behind)
    assert stage.export["status"] == "SUCCEEDED"


def test_a_fault_while_it_looks_decides_nothing(stage: Stage, behind: dict[str, Any]) -> None:
    stage.at_call = lambda invocation: "broken" if invocation.process.wants.service == "s3" else None  # type: ignore[union-attr]
    for begin, error in ((lambda: stage.tell_the_end(behind), ServiceUnavailable), (stage.schedule, NotReconciled)):
        invocation = begin()
        stage.finish(invocation)
        assert isinstance(invocation.process.error, error)
    assert stage.export["status"] == "RUNNING"


# The execution is over, nothing was made


def _failed_part(stage: Stage) -> None:
    stage.fail("GeneratePart", "Runtime.ExitError", 1, part=1)
    stage.fail("RecordFailed", REFUSED, 1)


def _ended(status: str) -> Callable[[Stage], object]:
    def end(stage: Stage) -> None:
        stage.close_execution(next(iter(stage.executions.values())), status)

    return lambda stage: stage.let_happen("before", "PlanParts", None, end)


@pytest.mark.parametrize(
    ("arrange", "state", "error", "part"),
    [
        pytest.param(_failed_part, "GeneratePart", "Runtime.ExitError", "1", id="RecordFailed is refused"),
        pytest.param(
            lambda stage: stage.fail("PlanParts", "States.Runtime", 1), "PlanParts", "States.Runtime", "", id="no Catch"
        ),
        pytest.param(_ended("ABORTED"), "PlanParts", "ExecutionAborted", "", id="aborted"),
        pytest.param(_ended("TIMED_OUT"), "PlanParts", "ExecutionTimedOut", "", id="timed out"),
        pytest.param(_ended("FAILED"), "PlanParts", "ExecutionEnded", "", id="ended otherwise"),
    ],
)
def test_a_failure_that_the_machine_did_not_record_is_recorded_with_its_reason(
    stage: Stage, arrange: Callable[[Stage], object], state: str, error: str, part: str
) -> None:
    arrange(stage)
    stage.reconcile(run(stage))
    failure = assert_failed(stage, state, error)
    assert failure["part"] == part
    assert ("MachineTimeoutSeconds" in failure["error"]) == (error == "ExecutionTimedOut")


def _lost_start(stage: Stage) -> None:
    assert stage.request() == 202


def _lost_retry(stage: Stage) -> None:
    stage.fail("PlanParts", "Runtime.ExitError", 1)
    run(stage)
    stage.pass_time(3600)
    assert stage.ask("POST", "/exports/{id}/retry") == 202


def _vanished(stage: Stage) -> None:
    assert stage.request() == 202
    stage.go_on(next(iter(stage.executions.values())), lambda state, _: state == "PlanParts")


@pytest.mark.parametrize(
    ("arrange", "status"), [(_lost_start, "SUCCEEDED"), (_lost_retry, "SUCCEEDED"), (_vanished, "FAILED")]
)
def test_an_execution_that_is_not_there_is_given_two_minutes(
    stage: Stage, arrange: Callable[[Stage], object], status: str
) -> None:
    arrange(stage)
    stage.executions.clear()
    before = stage.export
    stage.reconcile(minutes=1.9)
    assert stage.export == before
    stage.reconcile(minutes=2)
    stage.run_on()
    assert stage.export["status"] == status
    if status == "FAILED":
        assert_failed(stage, "", "ExecutionVanished")


# Dead letters


@pytest.fixture
def unsent(stage: Stage) -> dict[str, Any]:
    """The end of an execution whose letter could not be sent."""
    stage.fail("PlanParts", "UnknownReport", 1)
    stage.fail("SendToDeadLetters", "SQS.AmazonSQSException")
    end = run(stage)
    assert stage.export["letter"] == "due"
    return end


def test_two_at_once_send_the_letter_that_could_not_be_sent_once(stage: Stage, unsent: dict[str, Any]) -> None:
    first = stage.tell_the_end(unsent)
    up_to(stage, first, "SendMessage")
    stage.reconcile(unsent)
    stage.finish(first)
    assert_failed(stage, "PlanParts", "UnknownReport")


def test_a_letter_whose_sender_died_is_sent_after_two_minutes(stage: Stage, unsent: dict[str, Any]) -> None:
    first = stage.tell_the_end(unsent)
    up_to(stage, first, "SendMessage")
    stage.step(first, "killed before")
    stage.reconcile(minutes=1.9)
    assert stage.memory.letters == []
    stage.reconcile(minutes=2.1)
    assert_failed(stage, "PlanParts", "UnknownReport")


# What is left behind


def test_the_file_of_a_worker_that_was_killed_after_a_cancel_is_removed(stage: Stage) -> None:
    def cancel_and_kill(invocation: Any) -> str | None:
        if invocation.process.wants.operation != "CompleteMultipartUpload":
            return None
        cancel_only(stage)
        return "killed after"

    stage.at_call = cancel_and_kill
    end = run(stage)
    assert len(files(stage)) == 1
    for marker in ("", "1/"):  # of a folder, as a console leaves them
        stage.memory.put_object(f"exports/{OWNER.replace('#', '/')}/{stage.export['export_id']}/{marker}", b"")
    stage.reconcile(end)
    assert files(stage) == []
    stage.reconcile(minutes=14.9)
    assert "active_owner" in stage.export
    stage.reconcile(minutes=15.1)
    assert "active_owner" not in stage.export
    assert stage.export["status"] == "CANCELLED"


def test_an_execution_is_stopped_when_its_export_was_cancelled_and_left_alone_before(stage: Stage) -> None:
    def reconcile_cancel_and_reconcile(_: Stage) -> None:
        stage.reconcile()
        assert execution().stopped is None
        cancel_only(stage)
        stage.reconcile()

    def execution() -> Execution:
        return next(iter(stage.executions.values()))

    stage.let_happen("before", "PlanParts", None, reconcile_cancel_and_reconcile)
    run(stage)
    assert execution().walk.run.status == "ABORTED"
    assert stage.export["status"] == "CANCELLED"


def test_the_end_of_an_older_attempt_removes_only_its_own_file(stage: Stage, behind: dict[str, Any]) -> None:
    cancel_only(stage)
    assert stage.ask("POST", "/exports/{id}/retry") == 202
    stage.run_on()
    assert len(files(stage)) == 2
    before = stage.export
    stage.reconcile(behind)
    assert files(stage) == [before["file_key"]]
    assert stage.export == before


def test_the_end_of_a_removed_export_removes_its_file(stage: Stage, behind: dict[str, Any]) -> None:
    stage.memory.table.clear()
    stage.reconcile(behind)
    assert files(stage) == []


@pytest.mark.parametrize(
    ("given", "said"), [('{"owner": "me"}', "/detail/input: /attempt: "), ("[]x", "/detail/input: ")]
)
def test_an_input_that_is_none_of_an_export_is_named(given: str, said: str) -> None:
    event = {"detail-type": "Step Functions Execution Status Change", "detail": {"status": "FAILED", "input": given}}
    with pytest.raises(InvalidEvent, match=said):
        handler(event, CONTEXT)
