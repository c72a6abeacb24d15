"""Consumes export-ended events from a queue and mails owners who opted in, once.

Sending a mail and recording it are two steps. NotifyOwner claims a mail in the record before it sends the mail, and
records it afterwards. It drops an event whose mail is recorded, and retries an event whose mail is claimed.
docs/howto/send-mail.md says when an owner may still get a mail twice, and what happens to a mail that cannot be sent.
"""

import os
from typing import Any

from notify_owner.mail import compose
from shared.api import exports
from shared.catalogue import reports
from shared.errors import InvalidDefinition
from shared.lambda_ import aws, clock
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics
from shared.records import announcements, table
from shared.records.table import Record


class BeingMailed(Exception):
    """Another invocation claimed the mail less than two minutes ago and may not have finished."""


@function(__file__)
def handler(event: Event) -> Any:
    """Returns the messages that SQS must deliver again."""
    return announcements.each(event, _take)


def _take(detail: dict[str, Any]) -> None:
    notify(detail["owner"], detail["export_id"], int(detail["attempt"]), detail["status"])


def notify(owner: str, export_id: str, attempt: int, status: str) -> None:
    """Mails the owner that this attempt ended with this status, unless the record has changed.

    Raises:
        BeingMailed: the message must be delivered again.
    """
    record = table.get(owner, export_id)
    if record is None or record["attempt"] != attempt or exports.status(record) != status:
        logger.info("outdated")  # the export was removed or retried, or has expired
    elif "notify" not in record or status == "CANCELLED":
        logger.info("no mail requested")  # or cancelled, which the owner knows
    elif record.get("mailed") == table.mail_id(record):
        logger.info("already mailed")
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
    """Records the mail. A failure is only logged: another delivery of the message would send the mail again."""
    try:
        table.note_mailed(record)
    except aws.FAILS:
        logger.exception("mailed, but not recorded")
