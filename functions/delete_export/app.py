"""DELETE /exports/{id}: cancels an export that is active, removes one that has ended."""

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
"""After which nothing more is removed: the function has 15, and the last call of AWS may take some."""
_QUERY = {"type": "object", "additionalProperties": False, "properties": {"if": {"enum": ["active"]}}}


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the export that was cancelled, 204 when it was removed, or a problem."""
    return serve({"DELETE /exports/{id}": delete_export}, event)


@throttling_as_503("Nothing was changed")
def delete_export(request: Request) -> Answer:
    """Cancels or removes the export, by what it is; when it becomes something else meanwhile, by what it is then.

    With ``?if=active`` it only cancels, also when the export ends meanwhile.
    """
    request.identify()
    if found := contract.faults(_QUERY, request.query):
        raise invalid(found)
    for _ in range(_ROUNDS):
        record = find(request)
        if record["status"] in ACTIVE:
            if cancelled := _cancel(record):
                return Answer(HTTPStatus.ACCEPTED, represent(request, cancelled, progress_of(cancelled)))
        elif "if" in request.query:
            detail = f"The export is {status(record)}: there is nothing to cancel. Nothing was changed."
            raise Problem(problems.NOT_ACTIVE, detail)
        elif _remove(record):
            return Answer(HTTPStatus.NO_CONTENT)
    raise busy("The export keeps changing. Send the request again.")


def _cancel(record: Record) -> Record | None:
    """The export, which now is CANCELLED by us or by whoever was first; None when it is something else by now."""
    cancelled = table.cancel(record, clock.stamp(clock.now())) or _already_cancelled(record)
    if cancelled is None:
        return None
    logger.info("cancelled")
    try:
        attempts.stop(cancelled)
    except aws.FAILS:  # the record is the truth: ReconcileExports stops the execution
        logger.exception("not stopped")
    return cancelled


def _already_cancelled(record: Record) -> Record | None:
    found = table.get(record["owner"], record["export_id"])
    return found if found and (found["status"], found["attempt"]) == ("CANCELLED", record["attempt"]) else None


@throttling_as_503("Not everything was removed")
def _remove(record: Record) -> bool:
    """Removes the files and the work files, then the record that leads to them; False when it is another by now.

    Both hold rows. Whoever is interrupted leaves the record, so that the same request removes the rest.
    """
    if record["status"] == "CANCELLED":  # the execution may run on, when it could not be stopped
        attempts.stop(record)
    named = {record["file_key"]} if "file_key" in record else set()
    # Up to this attempt: the export may be retried meanwhile, and the next one make its file.
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
            raise busy("There is more to remove than one request has time for. Send the request again to go on.")
        yield key
