"""An export as the API shows it."""

from __future__ import annotations

import json
from typing import Any, TypedDict, get_args

from shared import clock
from shared.errors import explain
from shared.http import Request
from shared.records import Record, Status

EXPIRED = "EXPIRED"
STATUSES = (*get_args(Status), EXPIRED)


def status(record: Record) -> str:
    """The record's status; EXPIRED once ``expires_at`` has passed. That is derived, never written."""
    if record["status"] == "SUCCEEDED" and clock.parse(record["expires_at"]) <= clock.now():
        return EXPIRED
    return record["status"]


def location(request: Request, record: Record) -> str:
    """Address of an export."""
    return f"{request.base_url}/exports/{record['export_id']}"


class Progress(TypedDict):
    """How many parts are done, of how many; the sum is null before there is a plan, both where nobody looked."""

    parts_done: int | None
    parts_total: int | None


def progress_of(record: Record) -> Progress:
    """The progress that the record alone tells."""
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
        "options": json.loads(record["options"]),
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
        "error": explain(record["failure"]) if shown == "FAILED" and "failure" in record else None,
        "links": links,
    }
