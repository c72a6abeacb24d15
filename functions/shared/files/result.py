"""The file of an attempt: its key, what the receipts prove of it, and what the record says of it."""

import base64
import datetime
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import RowsMissing
from shared.files import assembly, names, work
from shared.files.formats import FORMATS
from shared.files.segments import Segment, measure
from shared.files.work import Plan, Receipt, Work
from shared.lambda_ import aws, clock
from shared.lambda_.telemetry import logger
from shared.records import table
from shared.records.table import Record

_THREADS = 16


class Result(TypedDict):
    """What a SUCCEEDED record says of its file; numbers as text, as RecordSucceeded writes them."""

    key: str
    rows: str
    bytes: str
    crc32: str
    warning: str  # what the file lacks, "" where nothing
    parts_total: str
    expires_at: str
    delete_after: str


class Found(NamedTuple):
    """A file that is there, and the name of the plan that it was made by."""

    plan: str
    result: Result


def key(record: Record) -> str:
    """Key of the file of a record's attempt."""
    return f"{folder(record)}{record['attempt']}/{names.plain(record['file_name'])}"


def folder(record: Record) -> str:
    """Prefix of the files of all attempts at an export."""
    tenant, user = record["owner"].split("#")
    return f"exports/{tenant}/{user}/{record['export_id']}/"


def files(record: Record, attempts: range) -> Iterator[str]:
    """Keys of the files of these attempts at an export, found page by page.

    What lies beside them, such as the folder's own marker that a console leaves, counts as a file of every attempt.
    """
    prefix = folder(record)
    for found in work.keys(prefix):
        attempt = found.removeprefix(prefix).split("/")[0]
        if not attempt.isdecimal() or int(attempt) in attempts:
            yield found


def receipts(files: Work, plan: Plan) -> list[Receipt]:
    """The receipt of every part, in order.

    Raises:
        RowsMissing: a part has none, or the rows read are not those planned. A short file is never made.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(files.read_receipt, range(plan["parts_total"])))
    there = [receipt for receipt in found if receipt is not None]
    if missing := [part for part, receipt in enumerate(found) if receipt is None]:
        raise RowsMissing(f"{len(missing)} of {plan['parts_total']} parts have no receipt, first part {missing[0]}")
    if (rows := sum(receipt["rows_read"] for receipt in there)) != plan["rows"]:
        raise RowsMissing(f"the parts read {rows} rows; {plan['rows']} were planned")
    return there


def make(record: Record, plan: Plan) -> Result:
    """Puts the parts of a plan together into the file of a record's attempt.

    Raises:
        RowsMissing: see :func:`receipts`.
    """
    # From before the upload began: S3 counts the days of its lifecycle from there.
    begun, file_format = clock.now(), FORMATS[plan["format"]]
    proven, segments = _layout(record, plan)
    assembly.assemble(key(record), segments, file_format.served_as(plan["options"]), record["file_name"])
    return _describe(record, plan, proven, segments, begun)


def find(record: Record) -> Found | None:
    """What the receipts prove of a file that is there already; None when it is not there, or is not that file.

    Raises:
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: S3 did not say, so nothing is known yet.
    """
    plan = work.current_plan(record["export_id"])
    if plan is None or plan["engine"] != work.ENGINE_VERSION:
        return None
    try:
        proven, segments = _layout(record, plan)
    except (ClientError, BotoCoreError):
        raise
    except Exception:  # whatever is wrong with the plan or the receipts will be wrong next time too
        logger.warning("the file is not proven", exc_info=True)
        return None
    try:
        there = aws.s3().head_object(Bucket=work.bucket(), Key=key(record), ChecksumMode="ENABLED")
    except ClientError as error:
        if work.is_missing(error):
            return None
        raise
    size, crc32 = measure(segments)
    checksum = base64.b64encode(crc32.to_bytes(4, "big")).decode()
    if (there["ContentLength"], there.get("ChecksumCRC32")) != (size, checksum):
        return None
    return Found(plan["plan"], _describe(record, plan, proven, segments, there["LastModified"]))


def _layout(record: Record, plan: Plan) -> tuple[list[Receipt], Sequence[Segment]]:
    files = Work(record["export_id"], plan["plan"])
    proven = receipts(files, plan)
    return proven, FORMATS[plan["format"]].layout(plan, files, proven)


def _describe(
    record: Record, plan: Plan, proven: Sequence[Receipt], segments: Sequence[Segment], begun: datetime.datetime
) -> Result:
    size, crc32 = measure(segments)
    expires = begun + datetime.timedelta(days=int(os.environ["RETENTION_DAYS"]))
    return {
        "key": key(record),
        "rows": str(sum(receipt["rows_written"] for receipt in proven)),
        "bytes": str(size),
        "crc32": f"{crc32:08x}",
        "warning": plan.get("warning", ""),
        "parts_total": str(len(proven)),
        "expires_at": clock.stamp(expires),
        "delete_after": str(table.delete_after(expires)),
    }
