"""State GeneratePart: makes the bytes of one part, then the receipt that proves it."""

import base64
import tempfile
import zlib
from typing import IO, Any

from botocore.exceptions import ClientError

from shared import aws, work
from shared.errors import RowsMissing
from shared.formats import FORMATS
from shared.function import Event, function
from shared.query import Query
from shared.sources import SOURCES
from shared.telemetry import logger, metrics
from shared.work import Part, Plan, Receipt, Work

_BLOCK = 1024 * 1024


@function(__file__)
def handler(event: Event) -> dict[str, Any]:
    """Makes one part. A part whose receipt stands, and whose bytes are those of the receipt, is not made again.

    Returns:
        ``{part, rows, bytes}``, the rows being those written.
    """
    files, part = Work(event["export_id"], event["plan"]), event["part"]
    receipt = _finished(files, part["part"])
    if receipt is None:
        plan = files.read_plan()
        with tempfile.TemporaryFile() as fragment:
            rows_read, rows_written = _write(plan, part, fragment)
            receipt = _store(files, part["part"], rows_read, rows_written, fragment)
        metrics.add_metric(name="RowsWritten", unit="Count", value=rows_written)
        logger.info("part made", extra={"receipt": receipt})
    else:
        logger.info("part was there", extra={"receipt": receipt})
    return {"part": receipt["part"], "rows": receipt["rows_written"], "bytes": receipt["bytes"]}


def _finished(files: Work, part: int) -> Receipt | None:
    receipt = files.read_receipt(part)
    if receipt is None:
        return None
    try:
        found = aws.s3().head_object(Bucket=work.bucket(), Key=files.part_key(part))["ETag"]
    except ClientError as error:
        if work.is_missing(error):
            return None
        raise
    return receipt if found == receipt["etag"] else None


def _write(plan: Plan, part: Part, fragment: IO[bytes]) -> tuple[int, int]:
    """Rows read and rows written."""
    query = Query.planned(plan)
    source, file_format = SOURCES[plan["definition"]["source"]["type"]], FORMATS[plan["format"]]
    rows_read = rows_written = 0
    for rows in source.scan(query, plan["schema"], part["sources"]):
        output = query.apply(rows)
        file_format.write(output, plan, fragment)
        rows_read += rows.height
        rows_written += output.height
    if rows_read != part["rows"]:
        raise RowsMissing(f"part {part['part']} read {rows_read} rows; {part['rows']} were planned")
    return rows_read, rows_written


def _store(files: Work, part: int, rows_read: int, rows_written: int, fragment: IO[bytes]) -> Receipt:
    size, crc32 = fragment.tell(), 0
    fragment.seek(0)
    while block := fragment.read(_BLOCK):
        crc32 = zlib.crc32(block, crc32)
    fragment.seek(0)
    # S3 refuses the part when its bytes are not those of the checksum.
    etag = aws.s3().put_object(
        Bucket=work.bucket(),
        Key=files.part_key(part),
        Body=fragment,
        ContentLength=size,
        ChecksumCRC32=base64.b64encode(crc32.to_bytes(4, "big")).decode(),
    )["ETag"]
    receipt: Receipt = {
        "part": part,
        "etag": etag,
        "bytes": size,
        "crc32": crc32,
        "rows_read": rows_read,
        "rows_written": rows_written,
    }
    files.write_receipt(receipt)
    return receipt
