"""The file of an attempt: its key, what the receipts prove about it, and what the record stores about it."""

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
    """What a SUCCEEDED record stores about its file. Numbers are text, as RecordSucceeded writes them."""

    key: str
    rows: str
    bytes: str
    crc32: str
    warning: str  # name of the warning, "" if none
    parts_total: str
    expires_at: str
    delete_after: str


class ExistingFile(NamedTuple):
    """A file that exists, and the name of the plan that made it."""

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
    """Keys of the files of these attempts at an export, listed page by page.

    Any other object in the folder, such as a folder marker that a console creates, counts as a file of every attempt.
    """
    prefix = folder(record)
    for file_key in work.keys(prefix):
        attempt = file_key.removeprefix(prefix).split("/")[0]
        if not attempt.isdecimal() or int(attempt) in attempts:
            yield file_key


def receipts(files: Work, plan: Plan) -> list[Receipt]:
    """The receipt of every part, in order.

    Raises:
        RowsMissing: a part has no receipt, or the rows read are not the rows planned. An incomplete file is never made.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(files.read_receipt, range(plan["parts_total"])))
    existing = [receipt for receipt in results if receipt is not None]
    if missing := [part for part, receipt in enumerate(results) if receipt is None]:
        total = plan["parts_total"]
        raise RowsMissing(f"{len(missing)} of {total} parts have no receipt; the first of them is part {missing[0]}")
    if (rows := sum(receipt["rows_read"] for receipt in existing)) != plan["rows"]:
        raise RowsMissing(f"the parts read {rows} rows; {plan['rows']} were planned")
    return existing


def make(record: Record, plan: Plan) -> Result:
    """Assembles the file of a record's attempt from the parts of a plan.

    Raises:
        RowsMissing: see :func:`receipts`.
    """
    # The time before the upload began: S3 counts the days of its lifecycle rule from there.
    started, file_format = clock.now(), FORMATS[plan["format"]]
    proven, segments = _layout(record, plan)
    assembly.assemble(key(record), segments, file_format.served_as(plan["options"]), record["file_name"])
    return _describe(record, plan, proven, segments, started)


def find(record: Record) -> ExistingFile | None:
    """The result of a file that already exists, proven by the receipts; None if it does not exist or is another file.

    Raises:
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: S3 did not answer, so the result is unknown.
    """
    plan = work.current_plan(record["export_id"])
    if plan is None or plan["engine"] != work.ENGINE_VERSION:
        return None
    try:
        proven, segments = _layout(record, plan)
    except (ClientError, BotoCoreError):
        raise
    except Exception:  # a retry would find the same fault in the plan or the receipts
        logger.warning("the receipts do not prove the file", exc_info=True)
        return None
    try:
        head = aws.s3().head_object(Bucket=work.bucket(), Key=key(record), ChecksumMode="ENABLED")
    except ClientError as error:
        if work.is_missing(error):
            return None
        raise
    size, crc32 = measure(segments)
    checksum = base64.b64encode(crc32.to_bytes(4, "big")).decode()
    if (head["ContentLength"], head.get("ChecksumCRC32")) != (size, checksum):
        return None
    return ExistingFile(plan["plan"], _describe(record, plan, proven, segments, head["LastModified"]))


def _layout(record: Record, plan: Plan) -> tuple[list[Receipt], Sequence[Segment]]:
    files = Work(record["export_id"], plan["plan"])
    proven = receipts(files, plan)
    return proven, FORMATS[plan["format"]].layout(plan, files, proven)


def _describe(
    record: Record, plan: Plan, proven: Sequence[Receipt], segments: Sequence[Segment], started: datetime.datetime
) -> Result:
    size, crc32 = measure(segments)
    expires = started + datetime.timedelta(days=int(os.environ["RETENTION_DAYS"]))
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
