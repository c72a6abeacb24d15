"""State GeneratePart: writes the bytes of one part, then the receipt that proves the part."""

import contextlib
import resource
import tempfile
from collections import Counter
from typing import IO, Any, NamedTuple

from botocore.exceptions import ClientError
from isal import isal_zlib

from shared.engine.query import Query
from shared.engine.sources import SOURCES
from shared.errors import RowsMissing
from shared.files import work
from shared.files.formats import FORMATS
from shared.files.work import Part, Plan, Receipt, Work
from shared.lambda_ import aws
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics

_BLOCK = 1024 * 1024


class _Made(NamedTuple):
    """The result of writing the bytes of a part."""

    rows_read: int
    rows_written: int
    bytes_read: int
    fragment: dict[str, Any]


@function(__file__)
def handler(event: Event) -> dict[str, Any]:
    """Makes one part, unless the part has a receipt and its bytes match the receipt.

    Returns:
        ``{part, rows, bytes}``; ``rows`` counts the rows written.
    """
    files, part = Work(event["export_id"], event["plan"]), event["part"]
    receipt = _finished(files, part["part"])
    if receipt is None:
        plan = files.read_plan()
        with tempfile.TemporaryFile() as fragment:
            made = _write(plan, part, fragment)
            receipt = _store(files, part["part"], made, fragment)
        metrics.add_metric(name="RowsWritten", unit="Count", value=receipt["rows_written"])
        logger.info("part made", extra={"receipt": _to_log(receipt)})
    else:
        logger.info("part already made", extra={"receipt": _to_log(receipt)})
    return {"part": receipt["part"], "rows": receipt["rows_written"], "bytes": receipt["bytes"]}


def _finished(files: Work, part: int) -> Receipt | None:
    receipt = files.read_receipt(part)
    if receipt is None:
        return None
    try:
        etag = aws.s3().head_object(Bucket=work.bucket(), Key=files.part_key(part))["ETag"]
    except ClientError as error:
        if work.is_missing(error):
            return None
        raise
    return receipt if etag == receipt["etag"] else None


def _write(plan: Plan, part: Part, fragment: IO[bytes]) -> _Made:
    query = Query.planned(plan)
    source = SOURCES[plan["definition"]["source"]["type"]]
    writer = FORMATS[plan["format"]].writer(plan, fragment, first=part["part"] == 0, first_row=part.get("first_row"))
    rows_read = rows_written = 0
    fetched: Counter[str] = Counter()
    # A scan fetches ahead: close it at once when the writer fails.
    with contextlib.closing(source.scan(query, plan["schema"], part["sources"], fetched)) as scanned:
        for rows in scanned:
            output = query.apply(rows)
            writer.write(output)
            rows_read += rows.height
            rows_written += output.height
    if not rows_read:  # a file without rows has the same columns as a file with rows
        writer.write(query.apply(query.nothing(plan["schema"])))
    if rows_read != part["rows"]:
        raise RowsMissing(f"part {part['part']} read {rows_read} rows, but its plan has {part['rows']}")
    passing = part.get("rows_passing", rows_written) if query.filters else part["rows"]
    if rows_written != passing:
        message = f"part {part['part']} wrote {rows_written} rows, but its plan counted {passing}"
        raise RowsMissing(message)
    return _Made(rows_read, rows_written, fetched["bytes"], writer.close())


def _store(files: Work, part: int, made: _Made, fragment: IO[bytes]) -> Receipt:
    size, crc32 = fragment.tell(), 0
    fragment.seek(0)
    while block := fragment.read(_BLOCK):
        crc32 = isal_zlib.crc32(block, crc32)
    fragment.seek(0)
    etag = work.put_checked(files.part_key(part), fragment, size, crc32)
    receipt: Receipt = {
        "part": part,
        "etag": etag,
        "bytes": size,
        "crc32": crc32,
        "rows_read": made.rows_read,
        "rows_written": made.rows_written,
        "fragment": made.fragment,
        "bytes_read": made.bytes_read,
        # Linux reports units of 1,024 bytes.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    files.write_receipt(receipt)
    return receipt


def _to_log(receipt: Receipt) -> dict[str, Any]:
    """Omits the format's fragment data: the bounds of a Parquet column are values of rows, which no log may hold."""
    return {name: value for name, value in receipt.items() if name != "fragment"}
