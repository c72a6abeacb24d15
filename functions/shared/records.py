"""The table ``Exports``: what is known of each export, under the key that is its access control.

Key: ``owner`` (``<tenant>#<sub>``) and ``export_id`` (UUIDv7, so the key sorts by age). ``active_owner`` equals
``owner`` while the export is QUEUED or RUNNING and is absent otherwise; the sparse index ActiveExports lists by it.
An item whose ``export_id`` starts with ``key#`` remembers an Idempotency-Key for 24 hours.

The state machine writes RUNNING, SUCCEEDED and FAILED itself (statemachines/report_export.asl.json).
"""

import datetime
import os
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from shared import aws

Status = Literal["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
ACTIVE: tuple[Status, ...] = ("QUEUED", "RUNNING")
IDEMPOTENCY_SECONDS = 24 * 3600
_KEPT_AFTER_EXPIRY = datetime.timedelta(days=30)


class Failure(TypedDict):
    """Why an attempt failed, as the state machine recorded it."""

    state: str
    type: str  # the Error that was caught
    error: str  # JSON of the whole Catch output, {"Error", "Cause"}
    part: str  # number of the failed part, "" where none


class Record(TypedDict, total=False):
    """An export as the table holds it; times are :func:`shared.clock.stamp`."""

    owner: str
    export_id: str
    active_owner: str
    report: str
    format: str
    parameters: str  # JSON, with defaults
    options: str  # JSON, with defaults
    status: Status
    attempt: int
    created_at: str
    started_at: str
    finished_at: str
    expires_at: str
    delete_after: int  # seconds since the epoch, the table's TTL
    execution_arn: str
    plan: str
    parts_total: int
    rows: int
    bytes: int
    crc32: str
    file_key: str
    file_name: str
    failure: Failure  # of the attempt; the first one recorded stays
    detail_type: str  # of the event that announces a terminal status
    adopted: bool  # a repeated request with the same Idempotency-Key answers for it


class AlreadyRequested(Exception):
    """The Idempotency-Key is in use; ``export_id`` and ``body_hash`` are those of the first request."""

    def __init__(self, export_id: str, body_hash: str) -> None:
        super().__init__(export_id)
        self.export_id, self.body_hash = export_id, body_hash


class Idempotency(TypedDict):
    """A caller's key (SHA-256, hex) and the hash of the canonical body that it stands for."""

    key: str
    body_hash: str


def delete_after(expires: datetime.datetime) -> int:
    """When a record is removed whose file expires then: seconds since the epoch."""
    return int((expires + _KEPT_AFTER_EXPIRY).timestamp())


def create(record: Record, idempotency: Idempotency | None, now: int) -> None:
    """Writes a QUEUED record, and in the same transaction the idempotency item where a key was given.

    Raises:
        AlreadyRequested: the key was used within the last 24 hours.
    """
    puts: list[Any] = [_put(dict(record), "attribute_not_exists(export_id)")]
    if idempotency:
        item = {
            "owner": record["owner"],
            "export_id": _key_id(idempotency),
            "first_export_id": record["export_id"],
            "body_hash": idempotency["body_hash"],
            "delete_after": now + IDEMPOTENCY_SECONDS,
        }
        # TTL removes late: an item past its time counts as gone.
        puts.append(_put(item, "attribute_not_exists(export_id) OR delete_after < :now", {":now": {"N": str(now)}}))
    for last in (False, False, True):
        try:
            aws.dynamodb().transact_write_items(TransactItems=puts)
            return
        except ClientError as error:
            # A doubled request's transaction is under way: once it is through, this one is refused and finds it.
            if not last and _cancelled_for(error, "TransactionConflict"):
                continue
            found = find_first(record["owner"], idempotency, now) if idempotency and _refused(error) else None
            if found is None:
                raise
            raise found from error


def find_first(owner: str, idempotency: Idempotency, now: int) -> AlreadyRequested | None:
    """The earlier request of an Idempotency-Key, if there is one."""
    item = _get_item(owner, _key_id(idempotency))
    if item is None or int(item["delete_after"]["N"]) < now:
        return None
    return AlreadyRequested(item["first_export_id"]["S"], item["body_hash"]["S"])


def withdraw(record: Record, idempotency: Idempotency | None) -> bool:
    """Takes back a record that could not be started, as if it had never been asked for.

    Returns:
        False when it stays: it was started after all, whatever was answered, or a repeated request adopted it.
    """
    still_queued = {
        "ConditionExpression": "#status = :queued AND attempt = :attempt AND attribute_not_exists(adopted)",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":queued": {"S": "QUEUED"}, ":attempt": {"N": str(record["attempt"])}},
    }
    key = _key(record["owner"], record["export_id"])
    deletes: list[Any] = [{"Delete": {"TableName": _table(), "Key": key} | still_queued}]
    if idempotency:
        deletes.append({"Delete": {"TableName": _table(), "Key": _key(record["owner"], _key_id(idempotency))}})
    try:
        aws.dynamodb().transact_write_items(TransactItems=deletes)
    except ClientError as error:
        if _refused(error):
            return False
        raise
    return True


def adopt(record: Record) -> bool:
    """Notes that a repeated request answers for a QUEUED record, so that the first one does not take it back.

    Returns:
        False when it is not QUEUED any more, or gone.
    """
    try:
        aws.dynamodb().update_item(
            TableName=_table(),
            Key=_key(record["owner"], record["export_id"]),
            UpdateExpression="SET adopted = :yes",
            ConditionExpression="#status = :queued AND attempt = :attempt",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":yes": {"BOOL": True},
                ":queued": {"S": "QUEUED"},
                ":attempt": {"N": str(record["attempt"])},
            },
        )
    except aws.dynamodb().exceptions.ConditionalCheckFailedException:
        return False
    return True


def get(owner: str, export_id: str) -> Record | None:
    """An export of this owner, read consistently; None when the owner has no such export."""
    item = _get_item(owner, export_id)
    return _record(item) if item else None


def newest_first(owner: str, before: str | None = None) -> Iterator[Record]:
    """The owner's exports, newest first, those older than ``before`` (an export's id) only; read page by page."""
    # An export's id starts with a hexadecimal digit; "key#..." items sort after them all.
    values = {":owner": {"S": owner}, ":low": {"S": "0"}, ":high": {"S": before or "g"}}
    pages = (
        aws.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=_table(),
            KeyConditionExpression="#owner = :owner AND export_id BETWEEN :low AND :high",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            PaginationConfig={"PageSize": 100},
        )
    )
    for page in pages:
        for item in page["Items"]:
            if item["export_id"]["S"] != before:
                yield _record(item)


def count_active(owner: str) -> int:
    """How many exports of this owner are QUEUED or RUNNING (eventually consistent)."""
    pages = (
        aws.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=_table(),
            IndexName="ActiveExports",
            Select="COUNT",
            KeyConditionExpression="active_owner = :owner",
            ExpressionAttributeValues={":owner": {"S": owner}},
        )
    )
    return sum(page["Count"] for page in pages)


def _get_item(owner: str, export_id: str) -> dict[str, Any] | None:
    answer = aws.dynamodb().get_item(TableName=_table(), Key=_key(owner, export_id), ConsistentRead=True)
    return answer.get("Item")


def _table() -> str:
    return os.environ["EXPORTS_TABLE"]


def _key(owner: str, export_id: str) -> dict[str, Any]:
    return {"owner": {"S": owner}, "export_id": {"S": export_id}}


def _key_id(idempotency: Idempotency) -> str:
    return f"key#{idempotency['key']}"


def _put(item: dict[str, Any], condition: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    put = {
        "TableName": _table(),
        "Item": {name: serialize(value) for name, value in item.items()},
        "ConditionExpression": condition,
    }
    return {"Put": put | ({"ExpressionAttributeValues": values} if values else {})}


def _record(item: dict[str, Any]) -> Record:
    deserialize = TypeDeserializer().deserialize
    plain = {name: deserialize(value) for name, value in item.items()}
    for name in ("attempt", "delete_after", "parts_total", "rows", "bytes"):
        if name in plain:
            plain[name] = int(plain[name])
    return plain  # type: ignore[return-value]


def _refused(error: ClientError) -> bool:
    return _cancelled_for(error, "ConditionalCheckFailed")


def _cancelled_for(error: ClientError, code: str) -> bool:
    return any(reason.get("Code") == code for reason in error.response.get("CancellationReasons", []))
