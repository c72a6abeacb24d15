"""Makes each export end, as what is true of it: called when an execution has ended, and every five minutes for all."""

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

# The machine's input is handed on to PlanParts as it is.
_ATTEMPT = contract.event_contract(str(Path(__file__).parents[1] / "plan_parts" / "app.py"))
_LOST_AFTER = datetime.timedelta(minutes=2)
"""For so long an execution may not be seen yet: DescribeExecution is eventually consistent."""
_BUDGET_SECONDS = 240
"""After which no further export is looked at; the oldest come first, the rest in five minutes."""
_THREADS = 8


class NotReconciled(Exception):
    """Some exports could not be looked at; the next run tries again."""


@function(__file__)
def handler(event: Event) -> None:
    """Looks after the attempt whose execution has ended, or after every export that is active or settling."""
    if event["detail-type"] == "Step Functions Execution Status Change":
        reconcile(**_attempt(event["detail"]["input"]))
    else:
        _reconcile_all(sorted(table.unsettled(), key=lambda key: key[1]))


def _attempt(text: str) -> dict[str, Any]:
    """The execution's input: ``{owner, export_id, attempt}``.

    Raises:
        InvalidEvent: somebody started an execution with another one.
    """
    try:
        given: dict[str, Any] = json.loads(text)
        contract.require(_ATTEMPT, given)
    except (ValueError, InvalidEvent) as error:
        raise InvalidEvent(f"/detail/input: {error}") from error
    return given


def reconcile(owner: str, export_id: str, attempt: int | None = None) -> None:
    """Does what is left to do for an export; safe at any time, and twice at once.

    Args:
        owner: of the export.
        export_id: of the export.
        attempt: the one whose execution has ended, which may not be the one that counts any more.
    """
    record = table.get(owner, export_id)
    if attempt is not None and (record is None or record["attempt"] != attempt):
        _remove_files({"owner": owner, "export_id": export_id}, range(attempt, attempt + 1), record)
    elif record is not None and (record["status"] in ACTIVE or record.get("active_owner") == SETTLING):
        execution = attempts.execution(record)
        if execution is not None and execution.status == "RUNNING":
            if record["status"] == "CANCELLED":  # one that is FAILED is about to send its letter
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
        except Exception:  # one export's trouble is not another's
            logger.exception("not reconciled", extra={"export_id": key[1]})
            return False
        return True

    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(attempted, keys))
    if failed := done.count(False):
        raise NotReconciled(f"{failed} of {len(done)} exports could not be looked at")


def _age(record: Record) -> datetime.timedelta:
    """Since the attempt was queued, or since it began."""
    since = record.get("started_at") or record.get("queued_at") or record["created_at"]
    return clock.now() - clock.parse(since)


def _end(record: Record, execution: Execution | None) -> None:
    """The execution is over, the record does not say so: it succeeded if its file is proven, else it failed."""
    now = clock.stamp(clock.now())
    found = result.find(record) if record["status"] == "RUNNING" else None
    if found is not None:
        if table.succeed(record, found.result, found.plan, now):
            _tell("succeeded after all", record)
    elif table.fail(record, _failure(record, execution), now):
        _tell("failed", record)
        again = table.get(record["owner"], record["export_id"])
        if again is not None and again["status"] == "FAILED":
            _settle(again)


def _failure(record: Record, execution: Execution | None) -> Failure:
    if execution is None:
        kind, cause = "ExecutionVanished", "The execution is not there any more."
    elif execution.status == "TIMED_OUT":
        kind, cause = "ExecutionTimedOut", "The attempt took longer than MachineTimeoutSeconds."
    elif execution.status == "ABORTED":
        kind, cause = "ExecutionAborted", execution.cause or "The execution was stopped."
    else:
        kind, cause = execution.error or "ExecutionEnded", execution.cause or "The execution left no file."
    state = attempts.last_state(record) if execution else ""
    return {"state": state, "type": kind, "error": json.dumps({"Error": kind, "Cause": cause}), "part": ""}


def _settle(record: Record) -> None:
    """What is left to do for an export that is FAILED or CANCELLED and whose execution is over."""
    now = clock.now()
    if record.get("letter") == "due" and table.claim_dead_letter(record, now):
        _send_dead_letter(record)
        table.dead_letter_sent(record)
    # Up to this attempt: the export may have been retried since the record was read, and the next one made its file.
    _remove_files(record, range(record["attempt"] + 1), record)
    # A worker cannot be stopped: until AssembleFile's time is over, one may still leave a file.
    if (now - clock.parse(record["finished_at"])).total_seconds() > int(os.environ["ASSEMBLE_SECONDS"]):
        table.settled(record)


def _send_dead_letter(record: Record) -> None:
    """As SendToDeadLetters does."""
    known: Any = record
    letter = {name: known[name] for name in ("owner", "export_id", "attempt", "failure")}
    letter["execution_arn"] = attempts.arn(record)
    aws.sqs().send_message(QueueUrl=os.environ["DEAD_LETTERS_URL"], MessageBody=json.dumps(letter))


def _remove_files(export: Record, of: range, record: Record | None) -> None:
    """Removes files of these attempts at an export that the record does not name; nobody was ever given one."""
    named = record.get("file_key") if record else None
    for key in result.files(export, of):
        if key != named:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
            logger.info("orphan removed", extra={"key": key})


def _tell(what: str, record: Record) -> None:
    metrics.add_metric(name="ExportsReconciled", unit="Count", value=1)
    extra: Any = {"export_id": record["export_id"], "attempt": record["attempt"]}
    logger.warning(what, extra=extra)
