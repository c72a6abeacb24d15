"""State AssembleFile: proves that every part is there, and lets S3 put them together."""

from typing import Any

from shared.errors import NotRunning
from shared.files import result, work
from shared.files.work import Work
from shared.lambda_ import aws
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics
from shared.records import attempts, table


@function(__file__)
def handler(event: Event) -> Any:
    """Makes the file of an attempt from the parts of its plan.

    Returns:
        What RecordSucceeded writes, a :class:`shared.files.result.Result`.
    """
    record = attempts.running(event)
    plan = Work(event["export_id"], event["plan"]).read_plan()
    made = result.make(record, plan)
    _remove_unless_wanted(event, made["key"])
    metrics.add_metric(name="FileBytes", unit="Bytes", value=int(made["bytes"]))
    logger.info("file assembled", extra={"file": made})
    return made


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
        record = table.get(event["owner"], event["export_id"])
        if record is None or record.get("file_key") != key:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
        raise
