"""The table ``Exports``: one record for each export. Its key is the access control.

Key: ``owner`` (``<tenant>#<sub>``) and ``export_id`` (UUIDv7, so the key sorts by age). The key of the sparse index
ActiveExports is ``active_owner``: the ``owner`` while the export is QUEUED or RUNNING; ``settling`` while work is left
for a FAILED or CANCELLED export; then nothing. An item whose ``export_id`` starts with ``key#`` stores an
Idempotency-Key for 24 hours.

The state machine writes RUNNING, SUCCEEDED and FAILED itself (statemachines/report_export.asl.json).
"""

import datetime
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypedDict

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from shared.errors import NewerRecord
from shared.lambda_ import aws, clock

Status = Literal["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
ACTIVE: tuple[Status, ...] = ("QUEUED", "RUNNING")
RECORD_VERSION = 2
"""The newest version of a record that this release reads: see :func:`version`."""
SETTLING = "settling"
"""``active_owner`` of an ended export for which ReconcileExports has work left. No owner has this name."""
IDEMPOTENCY_SECONDS = 24 * 3600
_CLAIM = datetime.timedelta(minutes=2)
_NO_FAILURE = "failure_state = :none, failure_type = :none, failure_part = :none"
_KEPT_AFTER_EXPIRY = datetime.timedelta(days=30)


class Failure(TypedDict):
    """Why an attempt failed, as the state machine recorded it."""

    state: str
    type: str  # the caught Error
    error: str  # JSON of the whole Catch output, {"Error", "Cause"}
    part: str  # number of the failed part, "" if none


class Record(TypedDict, total=False):
    """An export as the table stores it. Times have the form of :func:`shared.lambda_.clock.stamp`."""

    owner: str
    export_id: str
    record_version: int  # of its attributes (version); missing from records of release 0.1.0
    active_owner: str
    report: str
    format: str
    parameters: str  # JSON, with defaults
    options: str  # JSON, with defaults
    columns: str  # JSON: the names of the chosen columns, if the request chose any
    sort: str  # JSON: the chosen sort keys {column, descending}, if the request chose any
    queries: bool  # True if the export runs a query before it is planned; otherwise missing
    status: Status
    attempt: int
    created_at: str
    queued_at: str  # of the attempt
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
    warning: str  # what the file lacks, "" if nothing
    file_key: str
    file_name: str  # of the download
    file_name_asked: str  # options.file_name of the request, if any
    failure: Failure  # of the attempt; the first recorded one is kept
    failure_state: str  # the announced parts of failure; "" if the attempt did not fail
    failure_type: str
    failure_part: str
    detail_type: str  # of the event that announces the terminal status
    letter: Literal["due"]  # a dead letter must be sent for the attempt
    letter_claimed_at: str  # when a function began to send it
    adopted: bool  # a repeated request with the same Idempotency-Key returned this export
    requested_by: str  # ARN of the IAM principal that requested the export on behalf of its owner
    notify: str  # the verified address that NotifyOwner mails when the export has ended; only NotifyOwner may show it
    mailing: str  # <attempt>/<status> whose mail is being sent
    mailing_since: str
    mailed: str  # <attempt>/<status> whose mail was sent


class AlreadyRequested(Exception):
    """The Idempotency-Key is in use. ``export_id`` and ``body_hash`` are those of the first request."""

    def __init__(self, export_id: str, body_hash: str) -> None:
        super().__init__(export_id)
        self.export_id, self.body_hash = export_id, body_hash


class Idempotency(TypedDict):
    """A caller's key (SHA-256, hex) and the hash of the canonical body of its request."""

    key: str
    body_hash: str


def version(record: Record) -> int:
    """The version of a record that this release writes.

    A release that must not read a record refuses it by its version, and then the stack cannot be rolled back. So raise
    the version only on records with an attribute that an older release must not ignore. One that it may ignore is no
    reason.
    """
    # Release 0.2.0 would ignore these attributes: its file would have all columns, or rows in another order.
    return 2 if {"columns", "sort", "queries"} & record.keys() else 1


def delete_after(expires: datetime.datetime) -> int:
    """When DynamoDB removes a record whose file expires at ``expires``: seconds since the epoch."""
    return int((expires + _KEPT_AFTER_EXPIRY).timestamp())


def create(record: Record, idempotency: Idempotency | None, now: int) -> None:
    """Writes a QUEUED record and, if the request has a key, the idempotency item, in one transaction.

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
        # TTL removes items late: an expired item counts as removed.
        puts.append(_put(item, "attribute_not_exists(export_id) OR delete_after < :now", {":now": {"N": str(now)}}))
    for last in (False, False, True):
        try:
            aws.dynamodb().transact_write_items(TransactItems=puts)
            return
        except ClientError as error:
            # The transaction of a duplicate request is in progress. Once it is done, this one is refused and finds it.
            if not last and _cancelled_for(error, "TransactionConflict"):
                continue
            first = find_first(record["owner"], idempotency, now) if idempotency and _refused(error) else None
            if first is None:
                raise
            raise first from error


def find_first(owner: str, idempotency: Idempotency, now: int) -> AlreadyRequested | None:
    """The earlier request with this Idempotency-Key, if there is one."""
    item = _get_item(owner, _key_id(idempotency))
    if item is None or int(item["delete_after"]["N"]) < now:
        return None
    return AlreadyRequested(item["first_export_id"]["S"], item["body_hash"]["S"])


def withdraw(record: Record, idempotency: Idempotency | None) -> bool:
    """Removes a record whose attempt could not be started, as if it had never been requested.

    Returns:
        False when the record stays: the attempt started despite the error, or a repeated request adopted the record.
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
    """Marks a QUEUED record as returned by a repeated request, so that the first request does not withdraw it.

    Returns:
        False when the record is no longer QUEUED, or was removed.
    """
    condition = "attempt = :attempt AND #status = :queued"
    return _update(record, "SET adopted = :yes", condition, {":yes": True, ":queued": "QUEUED"})


def cancel(record: Record, now: str) -> Record | None:
    """QUEUED or RUNNING becomes CANCELLED; the new record, or None when that attempt is no longer active."""
    return _change(
        record,
        "SET #status = :cancelled, finished_at = :now, detail_type = :detail_type, active_owner = :settling,"
        f" {_NO_FAILURE}",
        "attempt = :attempt AND #status IN (:queued, :running)",
        {":queued": "QUEUED", ":running": "RUNNING", ":cancelled": "CANCELLED"}
        | {":now": now, ":detail_type": "Export Cancelled", ":settling": SETTLING, ":none": ""},
    )


def retry(record: Record, now: str, delete_after: int) -> Record | None:
    """FAILED or CANCELLED becomes QUEUED for the next attempt; the new record, or None when the record has changed."""
    return _change(
        record,
        "SET #status = :queued, attempt = :next, queued_at = :now, active_owner = :owner, delete_after = :delete_after"
        " REMOVE failure, failure_state, failure_type, failure_part, letter, letter_claimed_at, started_at,"
        " finished_at, detail_type, execution_arn, adopted",
        "attempt = :attempt AND #status IN (:failed, :cancelled)",
        {":failed": "FAILED", ":cancelled": "CANCELLED", ":queued": "QUEUED", ":next": record["attempt"] + 1}
        | {":now": now, ":owner": record["owner"], ":delete_after": delete_after},
    )


def fail(record: Record, failure: Failure, now: str) -> bool:
    """QUEUED or RUNNING becomes FAILED with the failure that was recorded first; a dead letter becomes due.

    Returns:
        False when the record no longer has that status and attempt.
    """
    return _update(
        record,
        "SET #status = :failed, finished_at = :now, failure = if_not_exists(failure, :failure),"
        " failure_state = if_not_exists(failure_state, :state), failure_type = if_not_exists(failure_type, :type),"
        " failure_part = if_not_exists(failure_part, :part),"
        " detail_type = :detail_type, active_owner = :settling, letter = :due",
        "attempt = :attempt AND #status IN (:queued, :running)",
        {":queued": "QUEUED", ":running": "RUNNING", ":failed": "FAILED", ":failure": failure, ":now": now}
        | {":state": failure["state"], ":type": failure["type"], ":part": failure["part"]}
        | {":detail_type": "Export Failed", ":settling": SETTLING, ":due": "due"},
    )


def succeed(record: Record, result: Mapping[str, Any], plan: str, now: str) -> bool:
    """RUNNING becomes SUCCEEDED with its file (:class:`shared.files.result.Result`), as RecordSucceeded writes it.

    Returns:
        False when the record no longer has that status and attempt.
    """
    numbers = {f":{name}": int(result[name]) for name in ("parts_total", "rows", "bytes", "delete_after")}
    texts = {f":{name}": result[name] for name in ("key", "crc32", "warning", "expires_at")}
    return _update(
        record,
        "SET #status = :succeeded, finished_at = :now, #plan = :plan, parts_total = :parts_total, #rows = :rows,"
        " #bytes = :bytes, crc32 = :crc32, warning = :warning, file_key = :key, expires_at = :expires_at,"
        f" delete_after = :delete_after, detail_type = :detail_type, {_NO_FAILURE} REMOVE active_owner, failure",
        "attempt = :attempt AND #status = :running",
        numbers
        | texts
        | {":running": "RUNNING", ":succeeded": "SUCCEEDED", ":plan": plan}
        | {":now": now, ":detail_type": "Export Succeeded", ":none": ""},
    )


def claim_dead_letter(record: Record, now: datetime.datetime) -> bool:
    """Claims the due dead letter for two minutes. False when none is due or another claim is younger than that."""
    return _update(
        record,
        "SET letter_claimed_at = :now",
        "attempt = :attempt AND letter = :due"
        " AND (attribute_not_exists(letter_claimed_at) OR letter_claimed_at < :gone)",
        {":due": "due", ":now": clock.stamp(now), ":gone": clock.stamp(now - _CLAIM)},
    )


def dead_letter_sent(record: Record) -> bool:
    """Records that the dead letter was sent; False when none was due, or the attempt is no longer current."""
    return _update(record, "REMOVE letter, letter_claimed_at", "attempt = :attempt AND letter = :due", {":due": "due"})


def settled(record: Record) -> bool:
    """Records that no work is left for a FAILED or CANCELLED export; False when it has changed, or a letter is due."""
    return _update(
        record,
        "REMOVE active_owner",
        "attempt = :attempt AND active_owner = :settling AND attribute_not_exists(letter)",
        {":settling": SETTLING},
    )


def mail_id(record: Record) -> str:
    """``<attempt>/<status>``, for which an export's owner gets one mail."""
    return f"{record['attempt']}/{record['status']}"


def claim_mail(record: Record, now: datetime.datetime) -> bool:
    """Claims the mail of this attempt and status for two minutes.

    Returns:
        False when the record has changed, the mail was sent, or another claim is younger than two minutes.
    """
    return _update(
        record,
        "SET mailing = :mail, mailing_since = :now",
        "attempt = :attempt AND #status = :status AND (attribute_not_exists(mailed) OR mailed <> :mail)"
        " AND (attribute_not_exists(mailing) OR mailing <> :mail OR mailing_since < :gone)",
        {":mail": mail_id(record), ":status": record["status"]}
        | {":now": clock.stamp(now), ":gone": clock.stamp(now - _CLAIM)},
    )


def note_mailed(record: Record) -> bool:
    """Records that the mail was sent; False when the record no longer has that status and attempt."""
    return _update(
        record,
        "SET mailed = :mail REMOVE mailing, mailing_since",
        "attempt = :attempt AND #status = :status",
        {":mail": mail_id(record), ":status": record["status"]},
    )


def remove(record: Record) -> bool:
    """Removes the record of an ended export; False when it no longer has that status and attempt."""
    try:
        aws.dynamodb().delete_item(
            TableName=_table(),
            Key=_key(record["owner"], record["export_id"]),
            ConditionExpression="#status = :status AND attempt = :attempt",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": record["status"]}, ":attempt": {"N": str(record["attempt"])}},
        )
    except aws.dynamodb().exceptions.ConditionalCheckFailedException:
        return False
    return True


def unsettled() -> Iterator[tuple[str, str]]:
    """Owner and id of every active or settling export, read page by page (eventually consistent)."""
    pages = aws.dynamodb().get_paginator("scan").paginate(TableName=_table(), IndexName="ActiveExports")
    for page in pages:
        for item in page["Items"]:
            yield item["owner"]["S"], item["export_id"]["S"]


def get(owner: str, export_id: str) -> Record | None:
    """An export of this owner, read with strong consistency; None when the owner has no such export."""
    item = _get_item(owner, export_id)
    return _record(item) if item else None


def newest_first(owner: str, before: str | None = None) -> Iterator[Record]:
    """The owner's exports that are older than ``before`` (an export's id), newest first, read page by page."""
    # An export's id starts with a hexadecimal digit; "key#..." items sort after all of them.
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
    return _count_active(
        aws.dynamodb().get_paginator("query"),
        KeyConditionExpression="active_owner = :owner",
        ExpressionAttributeValues={":owner": {"S": owner}},
    )


def count_active_of_tenant(tenant: str) -> int:
    """How many exports of this tenant's users are QUEUED or RUNNING (eventually consistent).

    Scans the index, which has active and settling exports only: a page holds thousands.
    """
    return _count_active(
        aws.dynamodb().get_paginator("scan"),
        FilterExpression="begins_with(active_owner, :tenant)",
        ExpressionAttributeValues={":tenant": {"S": f"{tenant}#"}},
    )


def _count_active(paginator: Any, **which: Any) -> int:
    pages = paginator.paginate(TableName=_table(), IndexName="ActiveExports", Select="COUNT", **which)
    return sum(page["Count"] for page in pages)


def _update(record: Record, change: str, condition: str, values: dict[str, Any]) -> bool:
    """Like :func:`_change`; False when the condition does not hold."""
    return _change(record, change, condition, values) is not None


def _change(record: Record, change: str, condition: str, values: dict[str, Any]) -> Record | None:
    """Changes a record if the condition holds; ``:attempt`` stands for the record's attempt.

    Returns:
        The new record; None when the condition does not hold.
    """
    serialize = TypeSerializer().serialize
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", change + condition)}
    optional: Any = {"ExpressionAttributeNames": names} if names else {}
    try:
        answer = aws.dynamodb().update_item(
            TableName=_table(),
            Key=_key(record["owner"], record["export_id"]),
            UpdateExpression=change,
            ConditionExpression=condition,
            ExpressionAttributeValues={
                name: serialize(value) for name, value in (values | {":attempt": record["attempt"]}).items()
            },
            ReturnValues="ALL_NEW",
            **optional,
        )
    except aws.dynamodb().exceptions.ConditionalCheckFailedException:
        return None
    return _record(answer["Attributes"])


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
    for name in ("record_version", "attempt", "delete_after", "parts_total", "rows", "bytes"):
        if name in plain:
            plain[name] = int(plain[name])
    if (version := plain.get("record_version", 1)) > RECORD_VERSION:
        detail = f"record {plain['export_id']} has version {version}, but this release reads up to {RECORD_VERSION}"
        raise NewerRecord(f"{detail}; deploy the release that wrote it")
    return plain  # type: ignore[return-value]


def _refused(error: ClientError) -> bool:
    return _cancelled_for(error, "ConditionalCheckFailed")


def _cancelled_for(error: ClientError, code: str) -> bool:
    return any(reason.get("Code") == code for reason in error.response.get("CancellationReasons", []))
