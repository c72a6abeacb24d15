"""An attempt at an export: started once, and worked on only while it is the one that counts."""

import json
import os
from typing import Any

from shared import aws, records
from shared.errors import NotRunning
from shared.records import Record
from shared.telemetry import logger


def start(record: Record) -> None:
    """Starts the execution of a record's attempt.

    Its name holds the attempt, so however often this is called there is one execution: a name that is taken, open or
    closed, means that it was started.
    """
    attempt = {"owner": record["owner"], "export_id": record["export_id"], "attempt": record["attempt"]}
    try:
        aws.stepfunctions().start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=f"{record['export_id']}-{record['attempt']}",
            input=json.dumps(attempt),
        )
    except aws.stepfunctions().exceptions.ExecutionAlreadyExists:
        logger.info("already started")


def running(event: dict[str, Any]) -> Record:
    """The record of a task's ``owner``, ``export_id`` and ``attempt``, as long as it is that attempt that runs.

    Raises:
        NotRunning: it was cancelled, retried, removed, or has ended.
    """
    record = records.get(event["owner"], event["export_id"])
    if record is None or record["status"] != "RUNNING" or record["attempt"] != event["attempt"]:
        raise NotRunning(f"export {event['export_id']} is not RUNNING attempt {event['attempt']}")
    return record
