"""How the API finds, limits and shows an export."""

from __future__ import annotations

import datetime
import json
import os
import re
from http import HTTPStatus
from typing import Any, Literal, NotRequired, TypedDict, get_args

from shared.api import problems
from shared.api.explanations import explain_to_user, warn
from shared.api.http import Answer, Problem, Request
from shared.api.identity import Caller
from shared.lambda_ import clock
from shared.lambda_.telemetry import tag_logs
from shared.records import table
from shared.records.table import Record, Status

EXPIRED = "EXPIRED"
STATUSES = (*get_args(Status), EXPIRED)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Whether a text has the form of an export's id, a UUIDv7."""
    return _ID.fullmatch(text) is not None


def find(request: Request) -> Record:
    """The caller's export that the path names.

    Raises:
        Problem: 404, also for another owner's export, which is stored under another key.
    """
    owner, export_id = request.identify().owner, request.path["id"]
    record = table.get(owner, export_id) if is_id(export_id) else None
    if record is None:
        raise Problem(problems.NO_SUCH_EXPORT, "You have no export with this id.")
    tag_logs(export_id)
    return record


class Active(TypedDict):
    """How many exports are QUEUED or RUNNING, and how many more may be."""

    limit: int
    used: int
    remaining: int


def active_exports(caller: Caller) -> Active:
    """The caller's active exports."""
    return _active("MAX_ACTIVE_PER_OWNER", table.count_active(caller.owner))


def active_exports_of_tenant(caller: Caller) -> Active:
    """The active exports of all users of the caller's tenant."""
    return _active("MAX_ACTIVE_PER_TENANT", table.count_active_of_tenant(caller.tenant))


def _active(variable: str, used: int) -> Active:
    limit = int(os.environ[variable])
    return {"limit": limit, "used": used, "remaining": max(0, limit - used)}


def refuse_when_too_many(caller: Caller) -> None:
    """Checks that this caller may queue one more export.

    Raises:
        Problem: 429 when the caller or the tenant has reached the limit of active exports.
    """
    for who, count in (("You have", active_exports), ("Your tenant has", active_exports_of_tenant)):
        active = count(caller)
        if not active["remaining"]:
            detail = f"{who} {active['used']} queued or running exports; the limit is {active['limit']}."
            raise Problem(problems.TOO_MANY_ACTIVE, f"{detail} Wait until one has ended.")


def delete_after(now: datetime.datetime) -> int:
    """When DynamoDB removes a record that is queued now and never succeeds: seconds since the epoch."""
    return table.delete_after(now + datetime.timedelta(days=int(os.environ["RETENTION_DAYS"])))


def status(record: Record) -> str:
    """The record's status; EXPIRED once ``expires_at`` has passed. EXPIRED is derived and never written."""
    if record["status"] == "SUCCEEDED" and clock.parse(record["expires_at"]) <= clock.now():
        return EXPIRED
    return record["status"]


def location(request: Request, record: Record) -> str:
    """The URL of an export."""
    return f"{request.base_url}/exports/{record['export_id']}"


class Progress(TypedDict):
    """How many parts are done. ``parts_total`` is null until planned; both are null when not counted.

    ``phase`` is missing unless the export runs a query and its progress was counted.
    """

    parts_done: int | None
    parts_total: int | None
    phase: NotRequired[Literal["querying", "parts"]]


def progress_of(record: Record) -> Progress:
    """The progress as far as the record shows it, without reading S3."""
    if "parts_total" in record:
        return {"parts_done": record["parts_total"], "parts_total": record["parts_total"]}
    return {"parts_done": 0 if record["status"] == "QUEUED" and record["attempt"] == 1 else None, "parts_total": None}


def represent(request: Request, record: Record, progress: Progress) -> dict[str, Any]:
    """The export's JSON."""
    shown, here = status(record), location(request, record)
    links = {"self": here} | ({"file": f"{here}/file"} if shown == "SUCCEEDED" else {})
    return {
        "id": record["export_id"],
        "report": record["report"],
        "format": record["format"],
        "parameters": json.loads(record["parameters"]),
        "options": json.loads(record["options"]) | _of_every_format(record),
        **_chosen(record),
        "file_name": record["file_name"],
        "status": shown,
        "progress": progress,
        "created_at": record["created_at"],
        "started_at": record.get("started_at"),
        "finished_at": record.get("finished_at"),
        "expires_at": record.get("expires_at"),
        "rows": record.get("rows"),
        "bytes": record.get("bytes"),
        "crc32": record.get("crc32"),
        "attempt": record["attempt"],
        "warning": warn(record["warning"]) if record.get("warning") else None,
        "error": explain_to_user(record["failure"], record["report"])
        if shown == "FAILED" and "failure" in record
        else None,
        "links": links,
    }


def _chosen(record: Record) -> dict[str, Any]:
    """The requested columns and sort keys; without those that the request left to the report."""
    values: Any = record
    return {name: json.loads(values[name]) for name in ("columns", "sort") if name in record}


def _of_every_format(record: Record) -> dict[str, Any]:
    """The requested options that do not change the bytes of the file."""
    file_name = {"file_name": record["file_name_asked"]} if "file_name_asked" in record else {}
    return file_name | ({"notify": True} if "notify" in record else {})


def accepted(request: Request, record: Record, headers: dict[str, str] | None = None) -> Answer:
    """202 with a queued export and its URL."""
    more = {"Location": location(request, record), "Retry-After": "1"}
    return Answer(HTTPStatus.ACCEPTED, represent(request, record, progress_of(record)), more | (headers or {}))
