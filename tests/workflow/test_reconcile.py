"""Whatever broke down, ReconcileExports makes the record say what is true; twice at once is as good as once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from botocore.exceptions import EndpointConnectionError

import plan_parts.app
from plan_parts.app import handler as plan_parts_handler
from reconcile_exports import app
from shared.errors import InvalidEvent, ServiceUnavailable, SourceSchemaMismatch
from shared.files import assembly, result
from shared.files.formats import FORMATS
from shared.records import attempts
from tests.workflow.world import EXPORT_ID, OWNER

if TYPE_CHECKING:
    from tests.support.moto_machine import Execution
    from tests.workflow.world import World

FIFTEEN = 15 * 60 + 1


def assert_failed(world: World, state: str, error: str) -> dict[str, Any]:
    """The record is FAILED for this reason, one letter says so, it is announced once; the failure."""
    record = world.record
    assert record["status"] == "FAILED"
    assert (record["failure"]["state"], record["failure"]["type"]) == (state, error)
    assert record["finished_at"]
    assert "letter" not in record
    assert [letter["failure"] for letter in world.cloud.letters()] == [record["failure"]]
    assert world.cloud.letters()[0]["execution_arn"].endswith(f":{EXPORT_ID}-1")
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/FAILED"]
    assert world.cloud.keys("exports/") == []
    return dict(record["failure"])


# The file is there, the record is behind


@pytest.fixture
def behind(world: World) -> Execution:
    """An execution whose success could not be recorded."""
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "DynamoDB.ValidationException")
    assert world.record["status"] == "RUNNING"
    return execution


@pytest.mark.parametrize("hears_of_the_end", [True, False])
def test_a_success_that_could_not_be_recorded_is_recorded_once(
    world: World, behind: Execution, hears_of_the_end: bool
) -> None:
    world.reconcile(behind if hears_of_the_end else None)
    world.assert_succeeded()
    assert not world.unsettled()
    before = world.record
    world.reconcile(behind)
    world.reconcile()
    assert world.record == before
    assert world.cloud.keys("exports/") == [before["file_key"]]


def test_it_says_what_record_succeeded_would_have_said(world: World) -> None:
    execution = world.run()
    said = world.record
    world.cloud.update(
        world.export,
        "SET #status = :running, active_owner = :owner REMOVE #plan, parts_total, #rows, #bytes, crc32, file_key,"
        " expires_at, delete_after, detail_type, finished_at",
        running="RUNNING",
        owner=OWNER,
    )
    world.reconcile(execution)
    assert world.record.keys() == said.keys()
    different = {name for name in said if world.record[name] != said[name]}
    assert different <= {"finished_at", "expires_at", "delete_after"}


def _cut(world: World, _: pytest.MonkeyPatch) -> None:
    (file,) = world.cloud.keys("exports/")
    world.put(file, world.cloud.read(file)[:-1])


def _gone(name: str) -> Callable[[World, pytest.MonkeyPatch], None]:
    return lambda world, _: [world.delete(key) for key in world.work(name)] and None


def _receipt(body: bytes) -> Callable[[World, pytest.MonkeyPatch], None]:
    return lambda world, _: world.put(world.work("receipts/000001")[0], body)


def _layout(fault: Exception) -> Callable[[World, pytest.MonkeyPatch], None]:
    return lambda _, patch: patch.setattr(FORMATS["csv"], "layout", mock.Mock(side_effect=fault))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_cut, id="the file is not that of the receipts"),
        pytest.param(_gone("receipts/000002"), id="a receipt is gone"),
        pytest.param(_gone("plan.json"), id="the plan is gone"),
        pytest.param(_receipt(b"{"), id="a receipt is no JSON"),
        pytest.param(_receipt(b"{}"), id="a receipt is none"),
        pytest.param(_layout(SourceSchemaMismatch("other columns")), id="the parts are of several schemas"),
        pytest.param(_layout(LookupError("?")), id="the parts make no file"),
    ],
)
def test_without_proof_there_is_no_success(
    world: World,
    behind: Execution,
    spoil: Callable[[World, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(world, monkeypatch)
    world.reconcile(behind)
    assert_failed(world, "RecordSucceeded", "DynamoDB.ValidationException")


def test_the_parts_themselves_are_not_needed_for_the_proof(world: World, behind: Execution) -> None:
    _gone("parts/")(world, mock.Mock())
    world.reconcile(behind)
    world.assert_succeeded()


def test_a_fault_while_it_looks_decides_nothing(
    world: World, behind: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(result, "receipts", mock.Mock(side_effect=EndpointConnectionError(endpoint_url="https://s3")))
        with pytest.raises(ServiceUnavailable):
            world.reconcile(behind)
        with pytest.raises(app.NotReconciled, match="1 of 1"):
            world.reconcile()
    assert world.record["status"] == "RUNNING"


# The execution is over, nothing was made


def test_a_failure_that_could_not_be_recorded_is_recorded_with_the_parts_reason(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    world.cloud.refuse("RecordFailed", "ValidationException")
    world.reconcile(world.run())
    assert assert_failed(world, "GeneratePart", "Runtime.ExitError")["part"] == "3"


def test_what_no_catch_can_catch_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_parts.app, "handler", lambda *event: plan_parts_handler(*event) and {})
    world.reconcile(world.run())
    assert_failed(world, "PlanParts", "States.Runtime")


def test_an_execution_that_an_operator_stopped_is_recorded(world: World) -> None:
    arn = f"{world.cloud.machine_arn.replace(':stateMachine:', ':execution:')}:{EXPORT_ID}-1"
    world.cloud.before("PlanParts", lambda _: world.cloud.stepfunctions.stop_execution(executionArn=arn))
    world.reconcile(world.run())
    assert_failed(world, "PlanParts", "ExecutionAborted")


def test_an_execution_whose_time_was_up_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cloud.refuse("RecordFailed", "ValidationException")
    world.write(report="sales")
    world.run()
    monkeypatch.setattr(attempts, "execution", lambda _: attempts.Execution("TIMED_OUT", "States.Timeout", ""))
    world.reconcile()
    assert "MachineTimeoutSeconds" in assert_failed(world, "ExportFailed", "ExecutionTimedOut")["error"]


def _vanished(world: World) -> None:
    world.write(status="RUNNING", started_at=world.record["queued_at"])


def _retried(world: World) -> None:
    world.write(status="FAILED", created_at="2020-01-01T00:00:00.000Z", queued_at="2020-01-01T00:00:00.000Z")
    assert world.requeue()


@pytest.mark.parametrize(
    ("arrange", "status"), [(lambda _: None, "SUCCEEDED"), (_retried, "SUCCEEDED"), (_vanished, "FAILED")]
)
def test_an_execution_that_is_not_there_is_given_two_minutes(
    world: World, arrange: Callable[[World], object], status: str
) -> None:
    arrange(world)
    before = world.record["status"]
    world.reconcile(minutes=1.9)
    assert world.record["status"] == before
    world.reconcile(minutes=2)
    assert world.record["status"] == status
    if status == "FAILED":
        assert_failed(world, "", "ExecutionVanished")


# Dead letters


@pytest.fixture
def unsent(world: World) -> Execution:
    """An execution whose letter could not be sent."""
    world.write(report="sales")
    world.cloud.refuse("SendToDeadLetters", "InternalError")
    return world.run()


def test_two_at_once_send_the_letter_that_could_not_be_sent_once(
    world: World, unsent: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.record["letter"] == "due"
    send = app._send_dead_letter

    def send_while_another_runs(record: Any) -> None:
        monkeypatch.setattr(app, "_send_dead_letter", send)
        world.reconcile(unsent)
        send(record)

    monkeypatch.setattr(app, "_send_dead_letter", send_while_another_runs)
    world.reconcile(unsent)
    assert_failed(world, "PlanParts", "UnknownReport")


def test_a_letter_whose_sender_died_is_sent_after_two_minutes(
    world: World, unsent: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(app, "_send_dead_letter", mock.Mock(side_effect=RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            world.reconcile(unsent)
    world.reconcile()
    assert world.cloud.letters() == []
    world.reconcile(minutes=2.1)
    assert_failed(world, "PlanParts", "UnknownReport")


# What is left behind


def test_the_file_of_a_worker_that_was_killed_after_a_cancel_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = assembly.assemble

    def make_and_die(*arguments: Any) -> None:
        made(*arguments)
        world.cancel()
        raise SystemExit("killed")

    monkeypatch.setattr(assembly, "assemble", make_and_die)
    world.write(status="RUNNING")
    attempt = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1}
    planned = world.cloud.call("PlanParts", attempt)
    for part in json.loads(world.cloud.read(planned["parts_key"])):
        world.cloud.call("GeneratePart", attempt | {"plan": planned["plan"], "part": part})
    with pytest.raises(SystemExit):
        world.cloud.call("AssembleFile", attempt | {"plan": planned["plan"]})
    tenant, user = OWNER.split("#")
    for marker in ("", "1/"):  # of a folder, as a console leaves them
        world.put(f"exports/{tenant}/{user}/{EXPORT_ID}/{marker}", b"")
    assert len(world.cloud.keys("exports/")) == 3
    world.reconcile()
    assert world.cloud.keys("exports/") == []
    assert world.unsettled()
    world.reconcile(seconds=FIFTEEN)
    assert not world.unsettled()
    assert world.record["status"] == "CANCELLED"
    assert world.cloud.letters() == []
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/CANCELLED"]


def test_an_execution_of_a_cancelled_export_that_still_runs_is_stopped(world: World) -> None:
    world.cloud.before("PlanParts", lambda _: [world.reconcile(), world.cancel(), world.reconcile()])
    assert world.run().status in ("ABORTED", "FAILED")  # moto may say either; one that went on ends as Superseded
    assert world.record["status"] == "CANCELLED"


def test_the_end_of_an_older_attempt_removes_only_its_own_file(world: World, behind: Execution) -> None:
    world.cloud._refusals.clear()
    world.write(status="FAILED")
    world.requeue()
    world.run()
    assert len(world.cloud.keys("exports/")) == 2
    before = world.record
    world.reconcile(behind)
    assert world.cloud.keys("exports/") == [before["file_key"]]
    assert world.record == before


def test_the_end_of_a_removed_export_removes_its_file(world: World, behind: Execution) -> None:
    world.remove()
    world.reconcile(behind)
    assert world.cloud.keys("exports/") == []


@pytest.mark.parametrize(
    ("given", "said"), [('{"owner": "me"}', "/detail/input: /attempt: "), ("[]x", "/detail/input: ")]
)
def test_an_input_that_is_none_of_an_export_is_named(world: World, given: str, said: str) -> None:
    event = {"detail-type": "Step Functions Execution Status Change", "detail": {"status": "FAILED", "input": given}}
    with pytest.raises(InvalidEvent, match=said):
        world.cloud.call("ReconcileExports", event)
