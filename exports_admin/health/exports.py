"""Checks of the exports themselves: those that take too long, and records and files that do not match."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from boto3.dynamodb.types import TypeDeserializer

from exports_admin.health.deployment import Finding, readable
from shared.api import exports
from shared.files import work
from shared.lambda_ import aws, clock
from shared.records import table
from shared.records.table import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports_admin.health.deployment import Deployment
    from shared.records.table import Record

_MOST = 100  # the oldest exports in the index, whose records are read
_NAMED = 5
_RECONCILED = datetime.timedelta(minutes=10)
"""After the state machine's timeout: docs/operations.md#what-reconcileexports-does."""
_SETTLED = datetime.timedelta(minutes=15 + 10)
"""An export settles 15 minutes after its end, in a run of the schedule."""
_REMEDY = "ReconcileExports should have ended this. Read its log: docs/operations.md#unreconciled"


def active(deployment: Deployment) -> Iterator[Finding]:
    """Whether no export is active for longer than the state machine and ReconcileExports may take."""
    most = datetime.timedelta(seconds=int(deployment.parameters["MachineTimeoutSeconds"])) + _RECONCILED
    late = [each for each in _unsettled() if each["status"] in ACTIVE and _since(each) > most]
    if late:
        yield Finding("problem", f"{_many(late)} active for more than {most}: {_names(late)}", _REMEDY)


def settling(_deployment: Deployment) -> Iterator[Finding]:
    """Whether the work that follows a failure or a cancellation is done in time."""
    late = [each for each in _unsettled() if each["status"] not in ACTIVE and _since(each) > _SETTLED]
    if late:
        yield Finding("problem", f"{_many(late)} settling for more than {_SETTLED}: {_names(late)}", _REMEDY)


def _unsettled() -> list[Record]:
    with readable("dynamodb"):
        oldest = sorted(table.unsettled(), key=lambda key: key[1])[:_MOST]
        records = [table.get(*key) for key in oldest]
    return [record for record in records if record]


def _since(record: Record) -> datetime.timedelta:
    since = record.get("finished_at") if record["status"] not in ACTIVE else record.get("queued_at")
    return clock.now() - clock.parse(since or record["created_at"])


def _many(records: list[Record]) -> str:
    return "1 export is" if len(records) == 1 else f"{len(records)} exports are"


def _names(records: list[Record]) -> str:
    return _listed([each["export_id"] for each in records])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def files(deployment: Deployment) -> Iterator[Finding]:
    """Whether every file has a record that names it, and every record that is SUCCEEDED its file.

    Reads the whole table and lists all files. A file of an attempt that may still run is not counted.
    """
    with readable("s3"):
        stored = set(work.keys("exports/"))
    named: set[str] = set()
    busy: set[str] = set()
    gone: list[str] = []
    for record in _records():
        if "file_key" in record and record["status"] == "SUCCEEDED":
            named.add(record["file_key"])
            if exports.status(record) == "SUCCEEDED" and record["file_key"] not in stored:
                gone.append(record["export_id"])
        elif record.get("active_owner"):
            busy.add(record["export_id"])
    orphans = sorted(key for key in stored - named if key.split("/")[3:4] and key.split("/")[3] not in busy)
    days = deployment.parameters["RetentionDays"]
    if orphans:
        what = f"No record names {len(orphans):,} of {len(stored):,} files: {_listed(orphans)}"
        remedy = f"Nobody can download them. S3 removes each {days} days after it was made; aws s3 rm does so now."
        yield Finding("warning", what, f"{remedy} See docs/howto/disaster.md#records-and-files")
    if gone:
        many = "1 export" if len(gone) == 1 else f"{len(gone):,} exports"
        what = f"The file of {many} that succeeded is gone: {_listed(gone)}"
        yield Finding("warning", what, "The owner requests it again. See docs/howto/disaster.md#records-and-files")


def _records() -> Iterator[Record]:
    deserialize = TypeDeserializer().deserialize
    with readable("dynamodb"):
        for page in aws.dynamodb().get_paginator("scan").paginate(TableName=os.environ["EXPORTS_TABLE"]):
            for item in page["Items"]:
                if not item["export_id"]["S"].startswith("key#"):
                    yield {name: deserialize(value) for name, value in item.items()}  # type: ignore[misc]
