"""State AssembleFile: proves that every part exists, and lets S3 combine the parts into the file."""

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
        The values that RecordSucceeded writes, a :class:`shared.files.result.Result`.
    """
    record = attempts.running(event)
    plan = Work(event["export_id"], event["plan"]).read_plan()
    made = result.make(record, plan)
    _remove_unless_wanted(event, made["key"])
    metrics.add_metric(name="FileBytes", unit="Bytes", value=int(made["bytes"]))
    logger.info("file assembled", extra={"file": made})
    return made


def _remove_unless_wanted(event: Event, key: str) -> None:
    """Removes the file again if the export was cancelled, retried or removed while AssembleFile made the file.

    A file that the record names stays. Step Functions may not have received the answer of this worker: then another
    worker made the same file under the same key, and the export has succeeded.

    Raises:
        NotRunning: the attempt is no longer RUNNING.
    """
    try:
        attempts.running(event)
    except NotRunning:
        record = table.get(event["owner"], event["export_id"])
        if record is None or record.get("file_key") != key:
            aws.s3().delete_object(Bucket=work.bucket(), Key=key)
        raise
