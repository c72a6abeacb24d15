"""GET /exports, /exports/{id}, /exports/{id}/file and /limits: the caller's own exports."""

import datetime
import os
from http import HTTPStatus
from typing import Any

from shared.api import cursors, problems
from shared.api.exports import (
    EXPIRED,
    STATUSES,
    Progress,
    active_exports,
    active_exports_of_tenant,
    find,
    progress_of,
    represent,
    status,
)
from shared.api.http import Answer, Problem, Request, invalid, serve
from shared.api.throttling import throttling_as_503
from shared.files import names, work
from shared.lambda_ import aws, clock, contract
from shared.lambda_.faults import Fault
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger
from shared.records import table
from shared.records.table import ACTIVE, Record

_URL_SECONDS = 300
_PAGE = 20
_EXAMINED = 500
"""Records examined for one page, 100 per query: the status is not a key of the table."""


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 200 or 302, or a problem."""
    routes = {
        "GET /exports": list_exports,
        "GET /exports/{id}": show_export,
        "GET /exports/{id}/file": hand_out_file,
        "GET /limits": show_limits,
    }
    return serve(routes, event)


@throttling_as_503("Nothing was changed")
def list_exports(request: Request) -> Answer:
    """A page of the caller's exports, newest first: ``{exports, cursor}``; the cursor is null on the last page.

    A page of a filtered list may have fewer exports than ``limit``, or none, if many exports have another status.
    The progress is what the records show: counting parts would list S3 for each export.
    """
    owner = request.identify().owner
    wanted, limit, before = _page(request.query, owner)
    page, last = _matching(owner, wanted, limit, before)
    shown = [represent(request, record, progress_of(record)) for record in page]
    cursor = cursors.write(last, owner, wanted) if last else None
    return Answer(HTTPStatus.OK, {"exports": shown, "cursor": cursor})


@throttling_as_503("Nothing was changed")
def show_export(request: Request) -> Answer:
    """One export."""
    record = find(request)
    headers = {"Retry-After": "1"} if record["status"] in ACTIVE else {}
    return Answer(HTTPStatus.OK, represent(request, record, _progress(record)), headers)


@throttling_as_503("Nothing was changed")
def hand_out_file(request: Request) -> Answer:
    """302 to a presigned URL, or 200 with the URL as JSON if the caller accepts JSON."""
    record = find(request)
    shown = status(record)
    if shown == EXPIRED:
        detail = f"The file expired at {record['expires_at']}. Request the export again."
        raise Problem(problems.EXPIRED, detail)
    if shown != "SUCCEEDED":
        detail = f"The export is {shown}. Only a SUCCEEDED export has a file."
        raise Problem(problems.NOT_READY, detail)
    lifetime = min(datetime.timedelta(seconds=_URL_SECONDS), clock.parse(record["expires_at"]) - clock.now())
    expires = clock.now() + lifetime
    url = aws.prompt_s3().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": work.bucket(),
            "Key": record["file_key"],
            "ResponseContentDisposition": names.content_disposition(record["file_name"]),
        },
        ExpiresIn=max(1, int(lifetime.total_seconds())),
    )
    logger.info("file address signed", extra={"owner": record["owner"], "expires_at": clock.stamp(expires)})
    if "application/json" in (request.header("Accept") or "").lower():
        body = {"url": url, "file_name": record["file_name"], "expires_at": clock.stamp(expires)}
        return Answer(HTTPStatus.OK, body)
    return Answer(HTTPStatus.FOUND, headers={"Location": url})


@throttling_as_503("Nothing was changed")
def show_limits(request: Request) -> Answer:
    """The limits of the deployment, and how many more exports the caller and the tenant may request now."""
    caller = request.identify()
    body = {
        "active_exports": active_exports(caller),
        "active_exports_of_tenant": active_exports_of_tenant(caller),
        "rows_per_export": int(os.environ["MAX_ROWS_PER_EXPORT"]),
        "retention_days": int(os.environ["RETENTION_DAYS"]),
    }
    return Answer(HTTPStatus.OK, body)


def _matching(owner: str, wanted: str | None, limit: int, before: str | None) -> tuple[list[Record], str | None]:
    """The next exports of a list, and the id of the last one examined; None at the end of the list."""
    page: list[Record] = []
    for examined, record in enumerate(table.newest_first(owner, before), start=1):
        if wanted in (None, status(record)):
            if len(page) == limit:
                return page, page[-1]["export_id"]
            page.append(record)
        if examined == _EXAMINED:
            return page, record["export_id"]
    return page, None


def _progress(record: Record) -> Progress:
    """The progress, counted from the receipts on each call: it survives retries and is the same in every process."""
    known = progress_of(record)
    if known["parts_done"] is not None:
        return known
    done, total = work.count_parts(record["export_id"]) or (0, None)
    progress: Progress = {"parts_done": done, "parts_total": total}
    if record.get("queries") and record["status"] == "RUNNING":
        progress["phase"] = "parts" if total else "querying"
    return progress


def _page(query: dict[str, str], owner: str) -> tuple[str | None, int, str | None]:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "status": {"enum": list(STATUSES)},
            "limit": {"type": "string", "pattern": "^([1-9][0-9]?|100)$"},
            "cursor": {"type": "string", "maxLength": 200},
        },
    }
    query_faults = contract.faults(schema, query)
    status, before = query.get("status"), None
    if "cursor" in query and not query_faults:
        before = cursors.read(query["cursor"], owner, status)
        if before is None:
            allowed = "the unchanged cursor of the previous page, from the same caller and with the same status"
            query_faults = [Fault(pointer="/cursor", detail="is not a cursor of this list", allowed=allowed)]
    if query_faults:
        raise invalid(query_faults)
    return status, int(query.get("limit", _PAGE)), before
