"""Nothing is stuck: what an execution did not record, ReconcileExports does."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import uuid_utils.compat as uuid

from tests.integration.deployed import stamp, until

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed


def reconcile(deployed: Deployed, caller: Caller, export_id: str) -> None:
    """Has one export looked after: the schedule would look after those that other tests made up, too."""
    attempt = {"owner": caller.owner, "export_id": export_id, "attempt": 1}
    detail = {"status": "FAILED", "input": json.dumps(attempt)}
    event = {"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail}
    answer = deployed.client("lambda").invoke(
        FunctionName=f"{deployed.name}-reconcile-exports", Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in answer, answer["Payload"].read()


def long_ago() -> str:
    return stamp(datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5))


def test_a_start_that_was_lost_is_made_up_for(deployed: Deployed, caller: Caller) -> None:
    export_id = deployed.fabricate(caller.owner, "QUEUED", queued_at=long_ago())
    reconcile(deployed, caller, export_id)
    ended = caller.follow({"links": {"self": f"/exports/{export_id}"}}).end
    assert ended["status"] == "SUCCEEDED", ended
    assert ended["rows"] == 31


def test_a_run_whose_execution_is_gone_is_over(deployed: Deployed, caller: Caller) -> None:
    export_id = deployed.fabricate(caller.owner, "RUNNING", started_at=long_ago())
    with deployed.listening(caller.owner) as announcements:
        reconcile(deployed, caller, export_id)
        export = caller.get(f"/exports/{export_id}").json
        assert export["status"] == "FAILED"
        assert export["error"]["type"] == "ExecutionVanished"
        assert export["error"]["retryable"]
        (event,) = announcements.of(export)
        assert event["detail-type"] == "Export Failed"
    assert deployed.letter(export_id)["failure"]["type"] == "ExecutionVanished"
    assert caller.get("/limits").json["active_exports"]["used"] == 0


def test_the_end_of_an_attempt_that_does_not_count_removes_its_file(deployed: Deployed, caller: Caller) -> None:
    name = deployed.fabricate(caller.owner, "QUEUED", report="none", export_id=str(uuid.uuid7()))
    record = {"owner": caller.owner, "export_id": name, "attempt": 2}  # an attempt that the record refuses
    orphan = f"exports/{caller.owner.replace('#', '/')}/{name}/2/flights.csv"
    deployed.write_json(orphan, "left behind")
    machine = deployed["state_machine_arn"]
    started = deployed.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=f"{name}-2", input=json.dumps(record)
    )
    describe = deployed.client("stepfunctions").describe_execution
    until(lambda: describe(executionArn=started["executionArn"])["status"] != "RUNNING", "the execution's end")
    until(lambda: orphan not in deployed.keys(orphan), "the orphan to be removed")
    deployed.update(caller.owner, name, "status", "CANCELLED")
