"""Gives each export its true final status. Runs when an execution has ended, and every five minutes for all exports."""

import datetime
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shared.errors import InvalidEvent
from shared.files import result, work
from shared.lambda_ import aws, clock, contract
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics
from shared.records import attempts, table
from shared.records.attempts import Execution
from shared.records.table import ACTIVE, SETTLING, Failure, Record

# The input of the state machine is the input of PlanParts, and `query` if the export runs a query.
_PLANNED: Any = contract.event_contract(str(Path(__file__).parents[1] / "plan_parts" / "app.py")).schema
_INPUT = contract.validator(_PLANNED | {"properties": _PLANNED["properties"] | {"query": {"const": True}}})
_LOST_AFTER = datetime.timedelta(minutes=2)
"""Until then an execution may not be visible yet: DescribeExecution is eventually consistent."""
_BUDGET_SECONDS = 240
"""Time limit for one run. The oldest exports come first; the next run, five minutes later, handles the rest."""
_THREADS = 8


class NotReconciled(Exception):
    """Some exports could not be reconciled; the next run tries again."""


@function(__file__)
def handler(event: Event) -> None:
    """Reconciles the attempt whose execution has ended, or every export that is active or settling."""
    if event["detail-type"] == "Step Functions Execution Status Change":
        reconcile(**_attempt(event["detail"]["input"]))
    else:
        _reconcile_all(sorted(table.unsettled(), key=lambda key: key[1]))


def _attempt(text: str) -> dict[str, Any]:
    """``{owner, export_id, attempt}`` of the execution's input.

    Raises:
        InvalidEvent: somebody started the execution with another input.
    """
    try:
        given: dict[str, Any] = json.loads(text)
        contract.require(_INPUT, given)
    except (ValueError, InvalidEvent) as error:
        raise InvalidEvent(f"/detail/input: {error}") from error
    return {name: given[name] for name in ("owner", "export_id", "attempt")}


def reconcile(owner: str, export_id: str, attempt: int | None = None) -> None:
    """Does the work that is left for an export. Safe at any time and in parallel.

    Args:
        owner: of the export.
        export_id: of the export.
        attempt: the attempt whose execution has ended; it may no longer be the current one.
    """
    record = table.get(owner, export_id)
    if attempt is not None and (record is None or record["attempt"] != attempt):
        _remove_files({"owner": owner, "export_id": export_id}, range(attempt, attempt + 1), record)
    elif record is not None and (record["status"] in ACTIVE or record.get("active_owner") == SETTLING):
        execution = attempts.execution(record)
        if execution is not None and execution.status == "RUNNING":
            if record["status"] == "CANCELLED":  # a FAILED export is about to send its dead letter
                attempts.stop(record)
        elif execution is None and record["status"] in ACTIVE and _age(record) < _LOST_AFTER:
            logger.info("no execution yet")
        elif execution is None and record["status"] == "QUEUED":
            attempts.start(record)
            _tell("started again", record)
        elif record["status"] in ACTIVE:
            _end(record, execution)
        else:
            _settle(record)


def _reconcile_all(keys: Iterable[tuple[str, str]]) -> None:
    deadline = time.monotonic() + _BUDGET_SECONDS

    def attempted(key: tuple[str, str]) -> bool:
        if time.monotonic() > deadline:
            return True
        try:
            reconcile(*key)
        except Exception:  # the other exports must not suffer from it
            logger.exception("not reconciled", extra={"export_id": key[1]})
            return False
        return True

    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(attempted, keys))
    if failed := done.count(False):
        raise NotReconciled(f"{failed} of {len(done)} exports could not be reconciled")


def _age(record: Record) -> datetime.timedelta:
    """The time since the attempt started, or since it was queued."""
    since = record.get("started_at") or record.get("queued_at") or record["created_at"]
    return clock.now() - clock.parse(since)


def _end(record: Record, execution: Execution | None) -> None:
    """Ends a record whose execution has ended: SUCCEEDED if its file is proven complete, else FAILED."""
    now = clock.stamp(clock.now())
    file = result.find(record) if record["status"] == "RUNNING" else None
    if file is not None:
        if table.succeed(record, file.result, file.plan, now):
            _tell("succeeded after all", record)
    elif table.fail(record, _failure(record, execution), now):
        _tell("failed", record)
        failed = table.get(record["owner"], record["export_id"])
        if failed is not None and failed["status"] == "FAILED":
            _settle(failed)


def _failure(record: Record, execution: Execution | None) -> Failure:
    if execution is None:
        kind, cause = "ExecutionVanished", "The execution no longer exists."
    elif execution.status == "TIMED_OUT":
        kind, cause = "ExecutionTimedOut", "The attempt took longer than MachineTimeoutSeconds."
    elif execution.status == "ABORTED":
        kind, cause = "ExecutionAborted", execution.cause or "The execution was stopped."
    else:
        kind, cause = execution.error or "ExecutionEnded", execution.cause or "The execution ended without a file."
    state = attempts.last_state(record) if execution else ""
    return {"state": state, "type": kind, "error": json.dumps({"Error": kind, "Cause": cause}), "part": ""}


def _settle(record: Record) -> None:
    """Does the work that is left for a FAILED or CANCELLED export whose execution has ended."""
    now = clock.now()
    if record.get("letter") == "due" and table.claim_dead_letter(record, now):
        _send_dead_letter(record)
        table.dead_letter_sent(record)
    # Up to this attempt: the export may have been retried meanwhile, and the next attempt may have made its file.
    _remove_files(record, range(record["attempt"] + 1), record)
    # A running worker cannot be stopped: until its timeout, AssembleFile may still leave a file.
    if (now - clock.parse(record["finished_at"])).total_seconds() > int(os.environ["ASSEMBLE_SECONDS"]):
        table.settled(record)


def _send_dead_letter(record: Record) -> None:
    """Sends the same message as the state SendToDeadLetters."""
    values: Any = record
    letter = {name: values[name] for name in ("owner", "export_id", "attempt", "failure")}
    letter["execution_arn"] = attempts.arn(record)
    aws.sqs().send_message(QueueUrl=os.environ["DEAD_LETTERS_URL"], MessageBody=json.dumps(letter))


def _remove_files(export: Record, of: range, record: Record | None) -> None:
    """Removes the files of these attempts that the record does not name. No caller ever had access to them."""
    named = record.get("file_key") if record else None
    for key in result.files(export, of):
        if key != named:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
            logger.info("orphan removed", extra={"key": key})


def _tell(what: str, record: Record) -> None:
    metrics.add_metric(name="ExportsReconciled", unit="Count", value=1)
    extra: Any = {"export_id": record["export_id"], "attempt": record["attempt"]}
    logger.warning(what, extra=extra)
