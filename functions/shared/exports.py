"""An export as the API shows it."""

from __future__ import annotations

import json
from typing import Any

from shared import clock
from shared.errors import explain
from shared.http import Request
from shared.records import Record

EXPIRED = "EXPIRED"
STATUSES = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", EXPIRED)


def status(record: Record) -> str:
    """The record's status; EXPIRED once ``expires_at`` has passed. That is derived, never written."""
    if record["status"] == "SUCCEEDED" and clock.parse(record["expires_at"]) <= clock.now():
        return EXPIRED
    return record["status"]


def location(request: Request, record: Record) -> str:
    """Address of an export."""
    return f"{request.base_url}/exports/{record['export_id']}"


def represent(request: Request, record: Record, parts: tuple[int, int] | None = None) -> dict[str, Any]:
    """The export's JSON.

    Args:
        parts: parts done and in all, where they are known.
    """
    shown, here = status(record), location(request, record)
    links = {"self": here} | ({"file": f"{here}/file"} if shown == "SUCCEEDED" else {})
    done, total = parts or (0, None)
    return {
        "id": record["export_id"],
        "report": record["report"],
        "format": record["format"],
        "parameters": json.loads(record["parameters"]),
        "options": json.loads(record["options"]),
        "status": shown,
        "progress": {"parts_done": done, "parts_total": total},
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
