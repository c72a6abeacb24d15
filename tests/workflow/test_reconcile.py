"""Whatever broke down, ReconcileExports makes the record say what is true; twice at once is as good as once."""

from __future__ import annotations

import json
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
from shared.records import attempts, table
from shared.records.attempts import Execution
from tests.workflow import flights
from tests.workflow.world import EXPORT_ID, OWNER

if TYPE_CHECKING:
    from tests.workflow.world import World

FIFTEEN = 15 * 60 + 1


def assert_failed(world: World, state: str, error: str, letters: int = 1) -> dict[str, Any]:
    """The record is FAILED for this reason, one letter says so, it is announced once; the failure."""
    record = world.record
    assert record["status"] == "FAILED"
    assert (record["failure"]["state"], record["failure"]["type"]) == (state, error)
    assert record["finished_at"]
    assert "letter" not in record
    found = world.cloud.letters()
    assert len(found) == letters
    assert all(letter["failure"] == record["failure"] for letter in found)
    assert all(letter["execution_arn"].endswith(f":{EXPORT_ID}-1") for letter in found)
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/FAILED"]
    assert world.cloud.keys("exports/") == []
    return dict(record["failure"])


# The file is there, the record is behind


def test_a_success_that_could_not_be_recorded_is_recorded(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    assert world.record["status"] == "RUNNING"
    world.reconcile(execution)
    assert world.record["status"] == "SUCCEEDED"
    assert world.file() == flights.expected_csv(1, 2)
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/SUCCEEDED"]
    assert world.cloud.letters() == []
    assert not world.unsettled()


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


def test_the_schedule_does_the_same_when_the_event_is_lost(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    world.run()
    world.reconcile()
    assert world.record["status"] == "SUCCEEDED"


def test_a_file_that_is_not_the_one_of_the_receipts_is_no_success(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    (file,) = world.cloud.keys("exports/")
    world.put(file, world.cloud.read(file)[:-1])
    world.reconcile(execution)
    assert_failed(world, "RecordSucceeded", "DynamoDB.ValidationException")


@pytest.mark.parametrize("gone", ["receipts/000002", "plan.json", "parts/"])
def test_without_proof_there_is_no_success(world: World, gone: str) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    for key in world.work(gone):
        world.delete(key)
    world.reconcile(execution)
    if gone == "parts/":  # the receipts say what the parts were
        assert world.record["status"] == "SUCCEEDED"
    else:
        assert_failed(world, "RecordSucceeded", "DynamoDB.ValidationException")


@pytest.mark.parametrize("receipt", [b"{", b"{}"], ids=["no JSON", "no receipt"])
def test_a_receipt_that_proves_nothing_ends_the_export_without_its_file(world: World, receipt: bytes) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    world.put(world.work("receipts/000001")[0], receipt)
    world.reconcile(execution)
    assert_failed(world, "RecordSucceeded", "DynamoDB.ValidationException")


@pytest.mark.parametrize(
    "fault", [SourceSchemaMismatch("the columns of part 1 differ from those of part 0"), LookupError("?")], ids=repr
)
def test_parts_that_no_file_can_be_made_of_end_the_export(
    world: World, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()
    monkeypatch.setattr(FORMATS["csv"], "layout", mock.Mock(side_effect=fault))
    world.reconcile(execution)
    assert_failed(world, "RecordSucceeded", "DynamoDB.ValidationException")


def test_a_fault_while_it_looks_decides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException")
    execution = world.run()

    def fail(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    with monkeypatch.context() as patch:
        patch.setattr(result, "receipts", fail)
        with pytest.raises(ServiceUnavailable):
            world.reconcile(execution)
        with pytest.raises(app.NotReconciled, match="1 of 1 exports"):
            world.reconcile()
    assert world.record["status"] == "RUNNING"
    world.reconcile()
    assert world.record["status"] == "SUCCEEDED"


def test_the_marker_of_a_folder_among_the_files_is_removed_with_what_nobody_wants(world: World) -> None:
    """A console that makes a folder leaves an object whose key ends in a slash."""
    execution = world.run()
    world.write(status="CANCELLED", active_owner="settling")
    tenant, user = OWNER.split("#")
    for marker in ("", "1/"):
        world.put(f"exports/{tenant}/{user}/{EXPORT_ID}/{marker}", b"")
    world.reconcile(seconds=FIFTEEN)
    assert not world.unsettled()
    assert [key for key in world.cloud.keys("exports/") if key.endswith("/")] == []
    assert execution.status == "SUCCEEDED"


# The execution is over, nothing was made


def test_a_failure_that_could_not_be_recorded_is_recorded_with_the_parts_reason(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    world.cloud.refuse("RecordFailed", "ValidationException")
    world.reconcile(world.run())
    assert assert_failed(world, "GeneratePart", "Runtime.ExitError")["part"] == "3"


def test_what_no_catch_can_catch_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_parts.app, "handler", lambda *event: plan_parts_handler(*event) and {})
    execution = world.run()
    assert (execution.status, execution.error) == ("FAILED", "States.Runtime")
    assert world.record["status"] == "RUNNING"
    world.reconcile(execution)
    assert_failed(world, "PlanParts", "States.Runtime")


def test_an_execution_that_an_operator_stopped_is_recorded(world: World) -> None:
    arn = f"{world.cloud.machine_arn.replace(':stateMachine:', ':execution:')}:{EXPORT_ID}-1"
    world.cloud.before("PlanParts", lambda _: world.cloud.stepfunctions.stop_execution(executionArn=arn))
    execution = world.run()
    assert execution.status == "ABORTED"
    world.reconcile(execution)
    assert_failed(world, "PlanParts", "ExecutionAborted")


def test_an_execution_whose_time_was_up_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cloud.refuse("RecordFailed", "ValidationException")
    world.cloud.crash("AssembleFile", "Runtime.ExitError")
    world.run()
    monkeypatch.setattr(attempts, "execution", lambda record: Execution("TIMED_OUT", "States.Timeout", ""))
    world.reconcile()
    said = assert_failed(world, "ExportFailed", "ExecutionTimedOut")
    assert "MachineTimeoutSeconds" in said["error"]


def test_an_execution_that_vanished_is_recorded(world: World) -> None:
    world.write(status="RUNNING", started_at=world.record["queued_at"])
    world.reconcile(minutes=1.9)
    assert world.record["status"] == "RUNNING"
    world.reconcile(minutes=2)
    assert_failed(world, "", "ExecutionVanished")


def test_an_execution_that_runs_is_left_alone(world: World) -> None:
    world.cloud.before("PlanParts", lambda _: world.reconcile())
    assert world.run().states[-1] == "ExportSucceeded"
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/SUCCEEDED"]


# Starts that were lost


def test_a_lost_start_is_made_up_for_after_two_minutes(world: World) -> None:
    world.reconcile(minutes=1.9)
    assert world.record["status"] == "QUEUED"
    world.reconcile(minutes=2)
    assert world.record["status"] == "SUCCEEDED"
    assert world.file() == flights.expected_csv(1, 2)


def test_a_lost_start_of_a_retry_counts_from_the_retry(world: World) -> None:
    world.write(status="FAILED", created_at="2020-01-01T00:00:00.000Z", queued_at="2020-01-01T00:00:00.000Z")
    assert world.requeue()
    world.reconcile(minutes=1.9)
    assert world.record["status"] == "QUEUED"
    world.reconcile(minutes=2)
    assert world.record["status"] == "SUCCEEDED"


# Dead letters


def test_a_letter_that_could_not_be_sent_is_sent(world: World) -> None:
    world.write(report="sales")
    world.cloud.refuse("SendToDeadLetters", "InternalError")
    execution = world.run()
    world.reconcile(execution)
    assert_failed(world, "PlanParts", "UnknownReport")


def test_two_at_once_send_one_letter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(report="sales")
    world.cloud.refuse("SendToDeadLetters", "InternalError")
    execution = world.run()
    send = app._send_dead_letter

    def send_while_another_runs(record: table.Record) -> None:
        monkeypatch.setattr(app, "_send_dead_letter", send)
        world.reconcile(execution)
        send(record)

    monkeypatch.setattr(app, "_send_dead_letter", send_while_another_runs)
    world.reconcile(execution)
    assert_failed(world, "PlanParts", "UnknownReport")


def test_a_letter_whose_sender_died_is_sent_after_two_minutes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(report="sales")
    world.cloud.refuse("SendToDeadLetters", "InternalError")
    execution = world.run()

    def die(_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(app, "_send_dead_letter", die)
        with pytest.raises(RuntimeError):
            world.reconcile(execution)
    world.reconcile()
    assert world.cloud.letters() == []
    world.reconcile(minutes=2.1)
    assert_failed(world, "PlanParts", "UnknownReport")


def test_a_sent_letter_that_could_not_be_noted_is_sent_again(world: World) -> None:
    world.write(report="sales")
    world.cloud.refuse("RecordLetterSent", "ValidationException")
    world.reconcile(world.run())
    assert_failed(world, "PlanParts", "UnknownReport", letters=2)


# What is left behind


def test_a_failed_export_is_settled_once_no_worker_can_be_left(world: World) -> None:
    world.write(report="sales")
    execution = world.run()
    world.reconcile(execution)
    assert world.unsettled()
    world.reconcile(seconds=FIFTEEN)
    assert not world.unsettled()
    assert_failed(world, "PlanParts", "UnknownReport")


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
    assert len(world.cloud.keys("exports/")) == 1
    world.reconcile()
    assert world.cloud.keys("exports/") == []
    assert world.record["status"] == "CANCELLED"
    assert world.unsettled()
    world.reconcile(seconds=FIFTEEN)
    assert not world.unsettled()
    assert world.cloud.letters() == []
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/CANCELLED"]


def test_an_execution_of_a_cancelled_export_that_still_runs_is_stopped(world: World) -> None:
    def cancel_and_reconcile(_: object) -> None:
        world.cancel()
        world.reconcile()

    world.cloud.before("PlanParts", cancel_and_reconcile)
    assert world.run().status in ("ABORTED", "FAILED")  # moto may say either; one that went on ends as Superseded
    assert world.record["status"] == "CANCELLED"


def test_the_end_of_an_older_attempt_removes_only_its_own_file(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException", times=1)
    first = world.run()
    world.write(status="FAILED")
    world.requeue()
    assert world.run().states[-1] == "ExportSucceeded"
    assert len(world.cloud.keys("exports/")) == 2
    before = world.record
    world.reconcile(first)
    assert world.cloud.keys("exports/") == [before["file_key"]]
    assert world.record == before


def test_the_end_of_a_removed_export_removes_its_file(world: World) -> None:
    execution = world.run()
    key = {"owner": {"S": OWNER}, "export_id": {"S": EXPORT_ID}}
    world.cloud.dynamodb.delete_item(TableName=world.cloud.table, Key=key)
    world.reconcile(execution)
    assert world.cloud.keys("exports/") == []


def test_an_export_that_succeeded_is_left_alone_however_often(world: World) -> None:
    execution = world.run()
    before = world.record
    for _ in range(2):
        world.reconcile(execution)
        world.reconcile()
    assert world.record == before
    assert world.file() == flights.expected_csv(1, 2)


def test_an_input_that_is_none_of_an_export_is_named(world: World) -> None:
    event = world.cloud.end_of(world.run().arn)
    event["detail"]["input"] = '{"owner": "me"}'
    with pytest.raises(InvalidEvent, match="/detail/input: /attempt: is missing"):
        world.cloud.call("ReconcileExports", event)
    event["detail"]["input"] = "[]x"
    with pytest.raises(InvalidEvent, match="/detail/input: Extra data"):
        world.cloud.call("ReconcileExports", event)
