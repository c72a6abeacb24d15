"""The result of a report's query: one Parquet file, made once for an export, and its receipt.

    work/<export>/query/<name>/<try>.parquet  the rows in the order of the file, and nothing else
    work/<export>/query/<name>/result.json    the receipt: see :class:`QueryResult`

The name is a hash of everything that the query is made of, except its data. The receipt is written once
("How to prevent object overwrites with conditional writes", Amazon S3 User Guide). So the first success is the
export's snapshot: every part and every retry reads the same rows, even after the datasets have changed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from shared.catalogue.choices import Key
from shared.catalogue.reports import Report
from shared.errors import QueryChanged, ServiceUnavailable
from shared.files import work
from shared.lambda_ import aws
from shared.records.table import Record

ENGINE = "duckdb 2.0.0"
"""Part of every result's name: another engine may give other rows, or another order of equal rows."""


_CONFLICT, _TRIES = "ConditionalRequestConflict", 5
"""409: another conditional write of the key is in progress. Its outcome is not known, so the write is tried again."""


class QueryResult(TypedDict):
    """result.json. ``bytes`` is the size of the object ``key``. ``rows`` is the number of rows that the engine wrote.

    ``sources`` holds the number of files, and a hash of the keys and ETags of all of them, by dataset.
    """

    name: str
    key: str
    etag: str
    bytes: int
    rows: int
    engine: str
    sources: dict[str, dict[str, Any]]


def choices(record: Record) -> tuple[list[str] | None, list[Key] | None]:
    """The columns and the order that a request chose; None where it chose nothing."""
    columns, sort = record.get("columns"), record.get("sort")
    return json.loads(columns) if columns else None, json.loads(sort) if sort else None


def name(report: Report, record: Record) -> str:
    """The name of the result of an export's query: 16 hexadecimal digits."""
    columns, sort = choices(record)
    content = {
        "engine": ENGINE,
        "definition": report.definition,
        "sql": report.sql,
        "parameters": json.loads(record["parameters"]),
        "tenant": record["owner"].split("#")[0],
        "columns": columns,
        "sort": sort,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def folder(export_id: str, result: str) -> str:
    """Prefix of the keys of a result."""
    return f"{work.folder(export_id)}query/{result}/"


def read(export_id: str, result: str) -> tuple[QueryResult, str] | None:
    """The receipt of a result whose file exists, and the receipt's ETag; None if there is no receipt."""
    try:
        answer = aws.s3().get_object(Bucket=work.bucket(), Key=_receipt_key(export_id, result))
    except ClientError as error:
        if work.is_missing(error):
            return None
        raise
    receipt: QueryResult = json.loads(answer["Body"].read())
    return receipt, answer["ETag"]


def require(export_id: str, result: str) -> QueryResult:
    """The receipt of a result, for the states after the query.

    Raises:
        QueryChanged: there is no such result. The report was changed, or a new version deployed, after the query ran.
    """
    found = read(export_id, result)
    if found is None:
        raise QueryChanged(
            f"the export has no result {result}: the report was changed, or a new version deployed, after its query ran"
        )
    return found[0]


def is_there(receipt: QueryResult) -> bool:
    """Whether the file of a receipt exists. S3 may remove it a day before its receipt."""
    try:
        return aws.s3().head_object(Bucket=work.bucket(), Key=receipt["key"])["ETag"] == receipt["etag"]
    except ClientError as error:
        if work.is_missing(error):
            return False
        raise


def publish(export_id: str, receipt: QueryResult, stale: str | None) -> QueryResult:
    """Writes a receipt, unless another try was first. Returns the receipt that stands.

    Args:
        stale: ETag of a receipt whose file no longer exists, which this receipt replaces.

    Raises:
        ServiceUnavailable: S3 did not decide between this write and another.
    """
    key, body = _receipt_key(export_id, receipt["name"]), json.dumps(receipt, separators=(",", ":")).encode()
    condition: dict[str, Any] = {"IfMatch": stale} if stale else {"IfNoneMatch": "*"}
    for _ in range(_TRIES):
        try:
            aws.s3().put_object(Bucket=work.bucket(), Key=key, Body=body, ContentType="application/json", **condition)
        except ClientError as error:
            if work.is_replaced(error):
                return require(export_id, receipt["name"])
            if work.is_missing(error) and stale:  # the stale receipt was removed, too
                condition = {"IfNoneMatch": "*"}
            elif error.response["Error"]["Code"] != _CONFLICT:
                raise
        else:
            return receipt
    raise ServiceUnavailable(f"{key}: S3 is busy with another write of the same object")


def _receipt_key(export_id: str, result: str) -> str:
    return f"{folder(export_id, result)}result.json"
