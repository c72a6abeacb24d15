"""The dead letters: one for each attempt that failed, sometimes two (statemachines/report_export.asl.json)."""

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
"""Letters that a command holds when it is killed stay hidden from others for as long."""
_BATCH = 10  # SQS takes and gives no more at once
_WAIT_SECONDS = 1  # so that SQS asks all its servers
_TEXT = {"type": "string", "minLength": 1}
# A letter lies for up to 14 days: one of another version may say more than we read.
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
    """What an attempt that failed has left."""

    owner: str
    export_id: str
    attempt: int
    failure: Failure
    handles: list[str] = field(default_factory=list)  # SQS's, of the letter and of each double, while it is held

    @property
    def name(self) -> str:
        """How a person tells it from others."""
        return f"{self.export_id} attempt {self.attempt}"

    @property
    def error(self) -> dict[str, Any]:
        """What the API shows as the export's ``error``."""
        return explain(self.failure)

    def counts_for(self, record: Record) -> bool:
        """Whether an export still stands where the letter left it; else it has moved on."""
        return record["status"] == "FAILED" and record["attempt"] == self.attempt


def stands(record: Record | None) -> str:
    """How a letter's export stands now, in words."""
    return f"attempt {record['attempt']} is {exports.status(record)}" if record else "the export was removed"


@contextmanager
def held() -> Iterator[list[DeadLetter]]:
    """All letters, the oldest export first, hidden from others for as long as this lasts.

    Those that were not removed show again at once. What else is to be said of the queue goes to standard error.
    """
    if hidden := _hidden():
        click.echo(
            f"{hidden} more may be hidden, because somebody reads them: look again in {HELD_SECONDS} s.", err=True
        )
    found: dict[tuple[str, str, int], DeadLetter] = {}
    others: list[str] = []
    try:
        for message in _receive():
            handle = message["ReceiptHandle"]
            try:
                letter = _read(message["Body"])
            except (ValueError, InvalidEvent) as error:
                others.append(handle)
                click.echo(f"Message {message['MessageId']} is no letter, and stays: {error}", err=True)
            else:
                found.setdefault((letter.owner, letter.export_id, letter.attempt), letter).handles.append(handle)
        yield sorted(found.values(), key=lambda letter: (letter.export_id, letter.attempt))
    finally:
        _show_again(others + [handle for letter in found.values() for handle in letter.handles])


def remove(letter: DeadLetter) -> None:
    """Takes a letter that is held, and its doubles, out of the queue."""
    while letter.handles:
        aws.sqs().delete_message(QueueUrl=_queue(), ReceiptHandle=letter.handles[-1])
        letter.handles.pop()


def _queue() -> str:
    return os.environ["DEAD_LETTERS_URL"]


def _hidden() -> int:
    answer = aws.sqs().get_queue_attributes(QueueUrl=_queue(), AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])


def _receive() -> Iterator[MessageTypeDef]:
    """Every message once, until none is left to be seen."""
    seen: set[str] = set()
    while True:
        answer = aws.sqs().receive_message(
            QueueUrl=_queue(), MaxNumberOfMessages=_BATCH, VisibilityTimeout=HELD_SECONDS, WaitTimeSeconds=_WAIT_SECONDS
        )
        new = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not new:  # none, or they have come round again
            return
        seen |= {message["MessageId"] for message in new}
        yield from new


def _read(body: str) -> DeadLetter:
    """The letter in a message.

    Raises:
        ValueError, InvalidEvent: it is none.
    """
    said = json.loads(body)
    contract.require(_LETTER, said)
    json.loads(said["failure"]["error"])
    return DeadLetter(said["owner"], said["export_id"], said["attempt"], said["failure"])


def _show_again(handles: list[str]) -> None:
    for start in range(0, len(handles), _BATCH):
        aws.sqs().change_message_visibility_batch(
            QueueUrl=_queue(),
            Entries=[
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + _BATCH])
            ],
        )
