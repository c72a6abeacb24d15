"""POST /exports/{id}/retry: starts another attempt at a FAILED or CANCELLED export."""

from typing import Any

from shared.api import problems
from shared.api.exports import accepted, delete_after, find, refuse_when_too_many, status
from shared.api.http import Answer, Problem, Request, invalid, serve
from shared.api.identity import Caller
from shared.api.throttling import throttling_as_503
from shared.lambda_ import aws, clock
from shared.lambda_.faults import Fault
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics
from shared.records import attempts, table
from shared.records.table import ACTIVE, Record

_RETRYABLE = ("FAILED", "CANCELLED")


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the export, or a problem."""
    return serve({"POST /exports/{id}/retry": retry_export}, event)


def retry_export(request: Request) -> Answer:
    """Records the next attempt and starts it. The new attempt reuses the parts that earlier attempts finished."""
    caller = request.identify()
    _refuse_body(request)
    retried = _record(request, caller)
    _start(retried)
    metrics.add_metric(name="ExportsRetried", unit="Count", value=1)
    logger.info("retried", extra={"attempt": retried["attempt"]})
    return accepted(request, retried)


def _refuse_body(request: Request) -> None:
    """Refuses a body with content: the record already defines the export."""
    if "".join((request.event.get("body") or "").split()) not in ("", "{}"):
        raise invalid([Fault(pointer="", detail="the body is not empty", allowed="no body, or {}")])


@throttling_as_503("Nothing was changed")
def _record(request: Request, caller: Caller) -> Record:
    """The export, QUEUED for its next attempt."""
    record = find(request)
    if record["status"] not in _RETRYABLE:
        raise _not_retryable(record)
    refuse_when_too_many(caller)
    now = clock.now()
    retried = table.retry(record, clock.stamp(now), delete_after(now))
    if retried is None:  # another request changed the export, or AWS's answer to this write was lost
        current = find(request)
        if current["status"] not in ACTIVE or current["attempt"] != record["attempt"] + 1:
            raise _not_retryable(current)
        return current
    return retried


def _not_retryable(record: Record) -> Problem:
    detail = f"The export is {status(record)}. Only a FAILED or CANCELLED export can be retried."
    return Problem(problems.NOT_RETRYABLE, detail)


def _start(record: Record) -> None:
    try:
        attempts.start(record)
    except aws.FAILS:  # ReconcileExports starts an export that is QUEUED for two minutes
        logger.exception("not started")
