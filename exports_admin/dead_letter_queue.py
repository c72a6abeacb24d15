"""The dead-letter queue. A failed attempt has one dead letter, sometimes two (statemachines/report_export.asl.json)."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from shared.api import exports
from shared.api.explanations import explain
from shared.errors import InvalidEvent
from shared.lambda_ import aws, contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from shared.records.table import Failure, Record

HELD_SECONDS = 120
"""The visibility timeout. If a command is killed, its dead letters stay hidden for this time."""
_BATCH = 10  # the maximum of SQS for one call
_WAIT_SECONDS = 1  # long polling, so that SQS asks all its servers
_TEXT = {"type": "string", "minLength": 1}
# A dead letter is kept for up to 14 days. One of another version may have more fields than this schema.
_LETTER = contract.validator(
    {
        "type": "object",
        "required": ["owner", "export_id", "attempt", "failure"],
        "properties": {
            "owner": _TEXT,
            "export_id": _TEXT,
            "attempt": {"type": "integer", "minimum": 1},
            "failure": {
                "type": "object",
                "required": ["state", "type", "error", "part"],
                "properties": {
                    "state": {"type": "string"},
                    "type": _TEXT,
                    "error": {"type": "string", "pattern": "^\\{"},  # JSON of an object
                    "part": {"type": "string", "pattern": "^[0-9]*$"},
                },
            },
        },
    }
)


@dataclass
class DeadLetter:
    """The dead letter of a failed attempt, with its duplicates."""

    owner: str
    export_id: str
    attempt: int
    failure: Failure
    handles: list[str] = field(default_factory=list)  # SQS receipt handles, of this message and of each duplicate

    @property
    def name(self) -> str:
        """The name in the output."""
        return f"{self.export_id} attempt {self.attempt}"

    def error(self, record: Record | None) -> dict[str, Any]:
        """The ``error`` of the export, as the API returns it. Without a record, the remedy does not name the report."""
        return explain(self.failure, record["report"] if record else None)

    def counts_for(self, record: Record) -> bool:
        """Whether the export is still FAILED in the same attempt. Otherwise it has moved on."""
        return record["status"] == "FAILED" and record["attempt"] == self.attempt


def stands(record: Record | None) -> str:
    """The current status of a dead letter's export, as text."""
    return f"attempt {record['attempt']} is {exports.status(record)}" if record else "the export was deleted"


@contextmanager
def held() -> Iterator[list[DeadLetter]]:
    """Receives all dead letters, the oldest export first. They are hidden from other consumers inside the context.

    At the end, the dead letters that were not removed become visible again. Warnings go to standard error.
    """
    if hidden := _hidden():
        hint = f"Try again in {HELD_SECONDS} s to see them."
        number = "1 more dead letter" if hidden == 1 else f"{hidden} more dead letters"
        click.echo(f"Another consumer may hold {number}. {hint}", err=True)
    letters: dict[tuple[str, str, int], DeadLetter] = {}
    others: list[str] = []
    try:
        for message in _receive():
            handle = message["ReceiptHandle"]
            try:
                letter = _read(message["Body"])
            except (ValueError, InvalidEvent) as error:
                others.append(handle)
                click.echo(
                    f"Message {message['MessageId']} is not a dead letter and stays in the queue: {error}", err=True
                )
            else:
                letters.setdefault((letter.owner, letter.export_id, letter.attempt), letter).handles.append(handle)
        yield sorted(letters.values(), key=lambda letter: (letter.export_id, letter.attempt))
    finally:
        _show_again(others + [handle for letter in letters.values() for handle in letter.handles])


def remove(letter: DeadLetter) -> None:
    """Deletes a received dead letter and its duplicates from the queue."""
    while letter.handles:
        aws.sqs().delete_message(QueueUrl=_queue(), ReceiptHandle=letter.handles[-1])
        letter.handles.pop()


def _queue() -> str:
    return os.environ["DEAD_LETTERS_URL"]


def _hidden() -> int:
    answer = aws.sqs().get_queue_attributes(QueueUrl=_queue(), AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])


def _receive() -> Iterator[MessageTypeDef]:
    """Receives every message once, until no new message arrives."""
    seen: set[str] = set()
    while True:
        answer = aws.sqs().receive_message(
            QueueUrl=_queue(), MaxNumberOfMessages=_BATCH, VisibilityTimeout=HELD_SECONDS, WaitTimeSeconds=_WAIT_SECONDS
        )
        new = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not new:  # the queue is empty, or all messages were received before
            return
        seen |= {message["MessageId"] for message in new}
        yield from new


def _read(body: str) -> DeadLetter:
    """Parses the body of a message.

    Raises:
        ValueError, InvalidEvent: the message is not a dead letter.
    """
    letter = json.loads(body)
    contract.require(_LETTER, letter)
    json.loads(letter["failure"]["error"])
    return DeadLetter(letter["owner"], letter["export_id"], letter["attempt"], letter["failure"])


def _show_again(handles: list[str]) -> None:
    for start in range(0, len(handles), _BATCH):
        aws.sqs().change_message_visibility_batch(
            QueueUrl=_queue(),
            Entries=[
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + _BATCH])
            ],
        )
