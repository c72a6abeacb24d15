"""State AssembleFile: proves that every part is there, and lets S3 put them together."""

import datetime
import os
from concurrent.futures import ThreadPoolExecutor

from shared import assembly, attempts, aws, clock, records, work
from shared.errors import NotRunning, RowsMissing
from shared.formats import FORMATS
from shared.function import Event, function
from shared.records import Record
from shared.telemetry import logger, metrics
from shared.work import Plan, Receipt, Work

_THREADS = 16


@function(__file__)
def handler(event: Event) -> dict[str, str]:
    """Makes the file of an attempt from the parts of its plan.

    Returns:
        What RecordSucceeded writes, numbers as text:
        ``{key, rows, bytes, crc32, parts_total, expires_at, delete_after}``.
    """
    record = attempts.running(event)
    files = Work(event["export_id"], event["plan"])
    plan = files.read_plan()
    receipts = _receipts(files, plan)
    file_format = FORMATS[plan["format"]]
    key = _result_key(record)
    # From before the upload began: S3 counts the days of its lifecycle from there.
    expires = clock.now() + datetime.timedelta(days=int(os.environ["RETENTION_DAYS"]))
    segments = file_format.layout(plan, files, receipts)
    size, crc32 = assembly.assemble(key, segments, file_format.content_type, record["file_name"])
    _remove_unless_wanted(event, key)
    rows = sum(receipt["rows_written"] for receipt in receipts)
    metrics.add_metric(name="FileBytes", unit="Bytes", value=size)
    logger.info("file assembled", extra={"rows": rows, "bytes": size, "parts": len(receipts)})
    return {
        "key": key,
        "rows": str(rows),
        "bytes": str(size),
        "crc32": f"{crc32:08x}",
        "parts_total": str(plan["parts_total"]),
        "expires_at": clock.stamp(expires),
        "delete_after": str(records.delete_after(expires)),
    }


def _receipts(files: Work, plan: Plan) -> list[Receipt]:
    """The receipt of every part, in order.

    Raises:
        RowsMissing: a part has none, or the rows read are not those planned. A short file is never made.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(files.read_receipt, range(plan["parts_total"])))
    receipts = [receipt for receipt in found if receipt is not None]
    if missing := [part for part, receipt in enumerate(found) if receipt is None]:
        raise RowsMissing(f"{len(missing)} of {plan['parts_total']} parts have no receipt, first part {missing[0]}")
    if (rows := sum(receipt["rows_read"] for receipt in receipts)) != plan["rows"]:
        raise RowsMissing(f"the parts read {rows} rows; {plan['rows']} were planned")
    return receipts


def _result_key(record: Record) -> str:
    tenant, user = record["owner"].split("#")
    return f"exports/{tenant}/{user}/{record['export_id']}/{record['attempt']}/{record['file_name']}"


def _remove_unless_wanted(event: Event, key: str) -> None:
    """A file that nobody waits for any more is removed again: the export was cancelled or retried meanwhile.

    One that the record names stays. This may be a worker whose answer got lost: another made the same file, under the
    same key, and the export has succeeded since.

    Raises:
        NotRunning: the attempt does not run any more.
    """
    try:
        attempts.running(event)
    except NotRunning:
        record = records.get(event["owner"], event["export_id"])
        if record is None or record.get("file_key") != key:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
        raise
