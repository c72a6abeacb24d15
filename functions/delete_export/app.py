"""DELETE /exports/{id}: cancels an active export, or removes an ended one."""

import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import Any

from shared.api import problems
from shared.api.exports import find, progress_of, represent, status
from shared.api.http import Answer, Problem, Request, invalid, serve
from shared.api.throttling import busy, throttling_as_503
from shared.files import result, work
from shared.lambda_ import aws, clock, contract
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger
from shared.records import attempts, table
from shared.records.table import ACTIVE, Record

_ROUNDS = 3
_BUDGET_SECONDS = 8
"""Time limit for removing objects: the function has 15 seconds, and the last call to AWS may take some of them."""
_QUERY = {"type": "object", "additionalProperties": False, "properties": {"if": {"enum": ["active"]}}}


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the cancelled export, 204 when the export was removed, or a problem."""
    return serve({"DELETE /exports/{id}": delete_export}, event)


@throttling_as_503("Nothing was changed")
def delete_export(request: Request) -> Answer:
    """Cancels an active export, or removes an ended one. If the status changes meanwhile, the new status decides.

    With ``?if=active`` it only cancels, even if the export ends meanwhile.
    """
    request.identify()
    if query_faults := contract.faults(_QUERY, request.query):
        raise invalid(query_faults)
    for _ in range(_ROUNDS):
        record = find(request)
        if record["status"] in ACTIVE:
            if cancelled := _cancel(record):
                return Answer(HTTPStatus.ACCEPTED, represent(request, cancelled, progress_of(cancelled)))
        elif "if" in request.query:
            detail = f"The export is {status(record)} and cannot be cancelled. Nothing was changed."
            raise Problem(problems.NOT_ACTIVE, detail)
        elif _remove(record):
            return Answer(HTTPStatus.NO_CONTENT)
    raise busy("The export keeps changing. Send the request again.")


def _cancel(record: Record) -> Record | None:
    """The CANCELLED export, also if another request cancelled it; None when it has another status or attempt."""
    cancelled = table.cancel(record, clock.stamp(clock.now())) or _already_cancelled(record)
    if cancelled is None:
        return None
    logger.info("cancelled")
    try:
        attempts.stop(cancelled)
    except aws.FAILS:  # the record says CANCELLED, so ReconcileExports stops the execution
        logger.exception("not stopped")
    return cancelled


def _already_cancelled(record: Record) -> Record | None:
    current = table.get(record["owner"], record["export_id"])
    return current if current and (current["status"], current["attempt"]) == ("CANCELLED", record["attempt"]) else None


@throttling_as_503("Not everything was removed")
def _remove(record: Record) -> bool:
    """Removes the files and the work files, which contain rows, and then the record; False when the record has changed.

    The record is last: after an interruption, the same request removes the rest.
    """
    if record["status"] == "CANCELLED":  # an earlier stop may have failed, so the execution may still run
        attempts.stop(record)
    named = {record["file_key"]} if "file_key" in record else set()
    # Up to this attempt: the export may be retried meanwhile, and the next attempt may make its file.
    files = named | set(result.files(record, range(record["attempt"] + 1)))
    work.remove(_while_there_is_time(chain(files, work.keys(work.folder(record["export_id"])))))
    removed = table.remove(record) or table.get(record["owner"], record["export_id"]) is None
    if removed:
        logger.info("removed")
    return removed


def _while_there_is_time(keys: Iterable[str]) -> Iterator[str]:
    deadline = time.monotonic() + _BUDGET_SECONDS
    for key in keys:
        if time.monotonic() > deadline:
            raise busy(
                "One request has no time to remove all objects of the export. Send the request again to continue."
            )
        yield key
