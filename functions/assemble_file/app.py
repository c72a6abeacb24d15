"""State AssembleFile: proves that every part is there, and lets S3 put them together."""

from typing import Any

from shared import attempts, aws, records, result, work
from shared.errors import NotRunning
from shared.function import Event, function
from shared.telemetry import logger, metrics
from shared.work import Work


@function(__file__)
def handler(event: Event) -> Any:
    """Makes the file of an attempt from the parts of its plan.

    Returns:
        What RecordSucceeded writes, a :class:`shared.result.Result`.
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
        record = records.get(event["owner"], event["export_id"])
        if record is None or record.get("file_key") != key:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
        raise
