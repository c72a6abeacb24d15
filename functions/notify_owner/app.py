"""Out of a queue, that exports have ended: mails the owner of each that asked for it, once.

Sending and noting that it was sent are two things. A mail is claimed before it is sent and noted after: who finds it
noted drops the announcement, who finds it claimed comes again. docs/howto/send-mail.md says when a mail may still come
twice, and what becomes of one that cannot be sent.
"""

import json
import os
from logging import Logger
from pathlib import Path
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from notify_owner.mail import compose
from shared.api import exports
from shared.catalogue import reports
from shared.errors import InvalidDefinition, InvalidEvent
from shared.lambda_ import aws, clock, contract
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics, tag_logs
from shared.records import table
from shared.records.table import Record

_ANNOUNCEMENT = contract.validator(
    json.loads((Path(__file__).parents[1] / "shared" / "records" / "export_ended.schema.json").read_text("utf-8"))
)


class BeingMailed(Exception):
    """Somebody else began to mail it less than two minutes ago, and may not have come to the end."""


@function(__file__)
def handler(event: Event) -> Any:
    """Returns the messages that are to come again: ``{"batchItemFailures": [{"itemIdentifier"}]}``."""
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=cast(Logger, logger))
    return process_partial_response(event, _take, processor)


def _take(record: SQSRecord) -> None:
    """One message; whatever it raises, Powertools logs, and lets the message come again."""
    detail = _announcement(record.body)["detail"]
    tag_logs(detail["export_id"])
    notify(detail["owner"], detail["export_id"], int(detail["attempt"]), detail["status"])


def _announcement(body: str) -> dict[str, Any]:
    """The event of a message.

    Raises:
        InvalidEvent: with every fault. It comes again until it lies among what could not be mailed.
    """
    try:
        given: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise InvalidEvent(f"/body is not JSON: {error}") from error
    contract.require(_ANNOUNCEMENT, given)
    return given


def notify(owner: str, export_id: str, attempt: int, status: str) -> None:
    """Mails the owner that this attempt ended so, unless the record says otherwise by now.

    Raises:
        BeingMailed: it is to be looked at again.
    """
    record = table.get(owner, export_id)
    if record is None or record["attempt"] != attempt or exports.status(record) != status:
        logger.info("no news any more")  # removed, retried, or expired meanwhile
    elif "notify" not in record or status == "CANCELLED":
        logger.info("nobody waits for it")  # who cancelled it knows
    elif record.get("mailed") == table.mail_id(record):
        logger.info("mailed before")
    elif table.claim_mail(record, clock.now()):
        _send(record)
        _note(record)
    else:
        raise BeingMailed(f"export {export_id}, attempt {attempt}")


def _send(record: Record) -> None:
    mail = compose(record, _title(record["report"]), os.environ["PAGE_URL"])
    answer = aws.ses().send_email(
        FromEmailAddress=os.environ["SENDER_EMAIL"],
        Destination={"ToAddresses": [record["notify"]]},
        Content={
            "Simple": {
                "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": mail.text, "Charset": "UTF-8"},
                    "Html": {"Data": mail.html, "Charset": "UTF-8"},
                },
            }
        },
    )
    metrics.add_metric(name="OwnersNotified", unit="Count", value=1)
    logger.info("mailed", extra={"ses_message_id": answer["MessageId"]})


def _title(report: str) -> str:
    """The title of a report; its id if the report was removed, or if the definitions cannot be read."""
    try:
        deployed = reports.deployed()
    except InvalidDefinition:
        logger.exception("the title of the report cannot be read")
        return report
    return str(deployed[report].definition["title"]) if report in deployed else report


def _note(record: Record) -> None:
    """The mail is out: that this cannot be noted must not bring the message back, and the mail with it."""
    try:
        table.note_mailed(record)
    except aws.FAILS:
        logger.exception("mailed, but not noted")
