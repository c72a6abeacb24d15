"""An attempt at an export: started once, and worked on only while it is the one that counts."""

import json
import os
from typing import Any, Literal, NamedTuple

from shared.errors import NotRunning
from shared.lambda_ import aws
from shared.lambda_.telemetry import logger
from shared.records import table
from shared.records.table import Record


class Execution(NamedTuple):
    """How an attempt's execution stands."""

    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"]
    error: str
    cause: str


def name(record: Record) -> str:
    """Name of the execution of a record's attempt."""
    return f"{record['export_id']}-{record['attempt']}"


def arn(record: Record) -> str:
    """ARN of the execution of a record's attempt."""
    return execution_arn(os.environ["STATE_MACHINE_ARN"], name(record))


def execution_arn(machine_arn: str, execution_name: str) -> str:
    """ARN of an execution of a state machine ("Resource types defined by AWS Step Functions")."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{execution_name}"


def start(record: Record) -> None:
    """Starts the execution of a record's attempt.

    Its name holds the attempt, so however often this is called there is one execution: a name that is taken, open or
    closed, means that it was started.
    """
    attempt = {"owner": record["owner"], "export_id": record["export_id"], "attempt": record["attempt"]}
    try:
        aws.stepfunctions().start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=name(record),
            input=json.dumps(attempt),
        )
    except aws.stepfunctions().exceptions.ExecutionAlreadyExists:
        logger.info("already started")


def stop(record: Record) -> None:
    """Stops the execution of a record's attempt; one that has ended, or was never started, is no matter."""
    try:
        aws.stepfunctions().stop_execution(executionArn=arn(record), cause="The export was cancelled.")
    except aws.stepfunctions().exceptions.ExecutionDoesNotExist:
        logger.info("not started")


def execution(record: Record) -> Execution | None:
    """How the execution of a record's attempt stands; None when there is none."""
    try:
        found = aws.stepfunctions().describe_execution(executionArn=arn(record))
    except aws.stepfunctions().exceptions.ExecutionDoesNotExist:
        return None
    return Execution(found["status"], found.get("error", ""), found.get("cause", ""))


def last_state(record: Record) -> str:
    """Name of the state that the execution of a record's attempt entered last, "" when it entered none."""
    found = aws.stepfunctions().get_execution_history(executionArn=arn(record), reverseOrder=True, maxResults=100)
    entered = [event for event in found["events"] if "stateEnteredEventDetails" in event]
    last = max(entered, key=lambda event: event["id"], default=None)
    return last["stateEnteredEventDetails"]["name"] if last else ""


def running(event: dict[str, Any]) -> Record:
    """The record of a task's ``owner``, ``export_id`` and ``attempt``, as long as it is that attempt that runs.

    Raises:
        NotRunning: it was cancelled, retried, removed, or has ended.
    """
    record = table.get(event["owner"], event["export_id"])
    if record is None or record["status"] != "RUNNING" or record["attempt"] != event["attempt"]:
        raise NotRunning(f"export {event['export_id']} is not RUNNING attempt {event['attempt']}")
    return record
