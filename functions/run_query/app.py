"""State RunQuery: runs the query of a report, and stores its result as one Parquet file for the parts."""

import json
import os
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

from shared.catalogue import reports
from shared.errors import QueryTooLarge
from shared.files import query_results, work
from shared.files.query_results import QueryResult
from shared.lambda_ import aws
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger
from shared.queries import engine, tables
from shared.queries.engine import Limits
from shared.queries.statement import Statement
from shared.records import attempts
from shared.records.table import Record

_BLOCK = 1024 * 1024
_LARGEST = 5 * 1024**3
"""Bytes of an object that one PutObject may write ("Uploading objects", Amazon S3 User Guide)."""
_SHARE = 0.7
"""Share of the function's memory for DuckDB. The rest is for Python, and for what DuckDB does not count."""
_STORING = 60
"""Seconds of QUERY_SECONDS for the checksum and the upload of the largest result."""

engine.remove_left_over()


@function(__file__)
def handler(event: Event) -> dict[str, Any]:
    """Makes the result of an export's query, unless an earlier attempt has made it.

    Returns:
        ``{result, rows}``.
    """
    begun = time.monotonic()
    record = attempts.running(event)
    report = reports.report(record["report"])
    columns, sort = query_results.choices(record)
    report.require(json.loads(record["parameters"]), columns, sort, queries=record.get("queries", False))
    statement = Statement.of(report, record)
    found = query_results.read(record["export_id"], statement.name)
    if found and query_results.is_there(found[0]):
        receipt = found[0]
        logger.info("query already run", extra={"receipt": receipt})
    else:
        end = begun + float(os.environ["QUERY_SECONDS"]) - _STORING
        receipt = _run(statement, record, end, stale=found[1] if found else None)
        logger.info("query run", extra={"receipt": receipt})
    return {"result": receipt["name"], "rows": receipt["rows"]}


def _run(statement: Statement, record: Record, end: float, stale: str | None) -> QueryResult:
    """Runs a query, which must be done at ``end`` of the monotonic clock."""
    sources = tables.find(statement)
    limits = Limits(
        memory=int(int(os.environ["QUERY_MEMORY"]) * _SHARE),
        spill=int(os.environ["QUERY_SPILL"]),
        seconds=max(end - time.monotonic(), 1),
        rows=int(os.environ["MAX_ROWS_PER_EXPORT"]),
    )

    def still_wanted() -> None:
        try:
            attempts.running(dict(record))
        except aws.FAILS as error:
            if not aws.is_transient(error):
                raise
            logger.warning("the record could not be read while the query ran", exc_info=True)

    with engine.scratch() as folder:
        file, rows, fetched = engine.write(statement, sources, limits, still_wanted, folder)
        logger.info("query read", extra={"fetched_bytes": fetched})
        key = f"{query_results.folder(record['export_id'], statement.name)}{uuid.uuid4().hex}.parquet"
        receipt: QueryResult = {
            "name": statement.name,
            "key": key,
            "etag": _store(key, file),
            "bytes": file.stat().st_size,
            "rows": rows,
            "engine": query_results.ENGINE,
            "sources": {source.dataset.name: source.proof for source in sources},
        }
    return query_results.publish(record["export_id"], receipt, stale)


def _store(key: str, file: Path) -> str:
    """Uploads the result, and returns its ETag."""
    crc32, size = 0, file.stat().st_size
    if size > _LARGEST:
        raise QueryTooLarge(f"the result has {size} bytes; at most {_LARGEST} bytes are allowed: narrow the parameters")
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            crc32 = zlib.crc32(block, crc32)
        content.seek(0)
        return work.put_checked(key, content, size, crc32)
