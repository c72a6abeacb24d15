"""TimeoutSeconds of a state machine ends its executions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Cloud


def late_machine(cloud: Cloud) -> tuple[str, str]:
    """A machine that takes twice as long as it may and then records that it got there; its ARN and the table."""
    table = cloud.table()["TableName"]
    slow = cloud.function("import time\nhandler = lambda event, context: time.sleep(2)", Timeout=10)
    item = {"TableName": table, "Item": {"id": {"S": "recorded"}}}
    parameters = {"FunctionName": slow, "Payload": {}}
    retry = [{"ErrorEquals": ["States.ALL"]}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Record"}]
    ask: dict[str, Any] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
    }
    record = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": item,
        "End": True,
    }
    states = {"Ask": {**ask, "Retry": retry, "Catch": catch, "Next": "Record"}, "Record": record}
    return cloud.machine({"StartAt": "Ask", "TimeoutSeconds": 1, "States": states}), table


def test_stock_ignores_the_timeout(stock: Cloud) -> None:
    machine, table = late_machine(stock)
    assert stock.ended(stock.start(machine))["status"] == "SUCCEEDED"
    assert stock.client("dynamodb").scan(TableName=table)["Count"] == 1


def test_an_execution_that_takes_too_long_ends_as_timed_out(patched: Cloud) -> None:
    machine, _ = late_machine(patched)
    changes = patched.heard_on("default", {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}})
    ended = patched.ended(patched.start(machine))
    assert (ended["status"], ended["error"]) == ("TIMED_OUT", "States.Timeout")
    assert 0.9 < (ended["stopDate"] - ended["startDate"]).total_seconds() < 1.8
    assert [change["detail"]["status"] for change in patched.messages(changes, 2)] == ["RUNNING", "TIMED_OUT"]
    assert patched.history(ended["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_nothing_follows_when_the_late_task_answers(patched: Cloud) -> None:
    machine, table = late_machine(patched)
    execution = patched.start(machine)
    patched.ended(execution)
    before = patched.history(execution)
    logs = patched.client("logs")
    patched.until(lambda: finished_invocations(logs, machine, patched))
    assert patched.history(execution) == before
    assert patched.client("dynamodb").scan(TableName=table)["Count"] == 0
    assert patched.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "TIMED_OUT"


def finished_invocations(logs: Any, machine: str, cloud: Cloud) -> list[Any]:
    """The REPORT lines of the machine's function; they are written when an invocation has ended."""
    definition = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["definition"]
    group = f"/aws/lambda/{json.loads(definition)['States']['Ask']['Parameters']['FunctionName']}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return []
    return list(logs.filter_log_events(logGroupName=group, filterPattern="REPORT")["events"])
