"""An attempt at an export: its execution starts once, and workers work on it only while it is the current attempt."""

import json
import os
from typing import Any, Literal, NamedTuple

from shared.errors import NotRunning
from shared.lambda_ import aws
from shared.lambda_.telemetry import logger
from shared.records import table
from shared.records.table import Record


class Execution(NamedTuple):
    """The state of an attempt's execution."""

    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"]
    error: str
    cause: str


def name(record: Record) -> str:
    """The name of the execution of a record's attempt."""
    return f"{record['export_id']}-{record['attempt']}"


def arn(record: Record) -> str:
    """The ARN of the execution of a record's attempt."""
    return execution_arn(os.environ["STATE_MACHINE_ARN"], name(record))


def execution_arn(machine_arn: str, execution_name: str) -> str:
    """The ARN of an execution of a state machine ("Resource types defined by AWS Step Functions")."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{execution_name}"


def start(record: Record) -> None:
    """Starts the execution of a record's attempt.

    The name contains the attempt, so repeated calls start one execution only. A name that an open or closed execution
    already has means that the attempt was started. Only the input of an export that runs a query has ``query: true``.
    """
    attempt: dict[str, Any] = {name: record[name] for name in ("owner", "export_id", "attempt")}
    if record.get("queries"):
        attempt["query"] = True
    try:
        aws.stepfunctions().start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=name(record),
            input=json.dumps(attempt),
        )
    except aws.stepfunctions().exceptions.ExecutionAlreadyExists:
        logger.info("already started")


def stop(record: Record) -> None:
    """Stops the execution of a record's attempt. No-op if it has ended or never started."""
    try:
        aws.stepfunctions().stop_execution(executionArn=arn(record), cause="The export was cancelled.")
    except aws.stepfunctions().exceptions.ExecutionDoesNotExist:
        logger.info("not started")


def execution(record: Record) -> Execution | None:
    """The execution of a record's attempt; None when it does not exist."""
    try:
        described = aws.stepfunctions().describe_execution(executionArn=arn(record))
    except aws.stepfunctions().exceptions.ExecutionDoesNotExist:
        return None
    return Execution(described["status"], described.get("error", ""), described.get("cause", ""))


def last_state(record: Record) -> str:
    """The name of the state that the execution of a record's attempt entered last; "" when it entered none."""
    history = aws.stepfunctions().get_execution_history(executionArn=arn(record), reverseOrder=True, maxResults=100)
    entered = [event for event in history["events"] if "stateEnteredEventDetails" in event]
    last = max(entered, key=lambda event: event["id"], default=None)
    return last["stateEnteredEventDetails"]["name"] if last else ""


def running(event: dict[str, Any]) -> Record:
    """The record of a task's ``owner`` and ``export_id``, if it is RUNNING the task's ``attempt``.

    Raises:
        NotRunning: the export was cancelled, retried or removed, or has ended.
    """
    record = table.get(event["owner"], event["export_id"])
    if record is None or record["status"] != "RUNNING" or record["attempt"] != event["attempt"]:
        raise NotRunning(f"attempt {event['attempt']} of export {event['export_id']} is not RUNNING")
    return record
