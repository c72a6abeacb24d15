"""DELETE /exports/{id}: cancels an export that is active, removes one that has ended."""

from http import HTTPStatus
from typing import Any

from shared import attempts, aws, clock, records, result, work
from shared.busy import busy, busy_when_aws_is
from shared.exports import find, progress_of, represent
from shared.function import Event, function
from shared.http import Answer, Request, serve
from shared.records import ACTIVE, Record
from shared.telemetry import logger

_ROUNDS = 3


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the export that was cancelled, 204 when it was removed, or a problem."""
    return serve({"DELETE /exports/{id}": delete_export}, event)


@busy_when_aws_is("Nothing was changed")
def delete_export(request: Request) -> Answer:
    """Cancels or removes the export, by what it is; when it becomes something else meanwhile, by what it is then."""
    for _ in range(_ROUNDS):
        record = find(request)
        if record["status"] in ACTIVE:
            if cancelled := _cancel(record):
                return Answer(HTTPStatus.ACCEPTED, represent(request, cancelled, progress_of(cancelled)))
        elif _remove(record):
            return Answer(HTTPStatus.NO_CONTENT)
    raise busy("The export keeps changing. Send the request again.")


def _cancel(record: Record) -> Record | None:
    """The export, which now is CANCELLED by us or by whoever was first; None when it is something else by now."""
    cancelled = records.cancel(record, clock.stamp(clock.now())) or _already_cancelled(record)
    if cancelled is None:
        return None
    logger.info("cancelled")
    try:
        attempts.stop(cancelled)
    except aws.FAILS:  # the record is the truth: ReconcileExports stops the execution
        logger.exception("not stopped")
    return cancelled


def _already_cancelled(record: Record) -> Record | None:
    found = records.get(record["owner"], record["export_id"])
    return found if found and (found["status"], found["attempt"]) == ("CANCELLED", record["attempt"]) else None


@busy_when_aws_is("Not everything was removed")
def _remove(record: Record) -> bool:
    """Removes the files, then the record that leads to them; False when the export is something else by now."""
    if record["status"] == "CANCELLED":  # the execution may run on, when it could not be stopped
        attempts.stop(record)
    named = {record["file_key"]} if "file_key" in record else set()
    # Up to this attempt: the export may be retried meanwhile, and the next one make its file.
    for key in named | set(result.files(record, range(record["attempt"] + 1))):
        aws.prompt_s3().delete_object(Bucket=work.bucket(), Key=key)
    removed = records.remove(record) or records.get(record["owner"], record["export_id"]) is None
    if removed:
        logger.info("removed")
    return removed
