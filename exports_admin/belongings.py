"""What a stack holds of one owner, or of all owners of a tenant: items of the table, objects, unfinished uploads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.files import work
from shared.lambda_ import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = "key#"


class Item(NamedTuple):
    """The key of an item of the table."""

    owner: str
    export_id: str

    @property
    def is_export(self) -> bool:
        """Whether it is an export; else it remembers an Idempotency-Key."""
        return not self.export_id.startswith(_KEY)


class Upload(NamedTuple):
    """A multipart upload that was not completed; its parts are stored all the same."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Whose:
    """One owner, ``<tenant>#<user>``, or a whole tenant."""

    tenant: str
    user: str | None = None

    @property
    def prefix(self) -> str:
        """Where their files are in the bucket."""
        return f"exports/{self.tenant}/{f'{self.user}/' if self.user else ''}"

    def owns(self, owner: str) -> bool:
        """Whether an owner is meant."""
        return owner == f"{self.tenant}#{self.user}" if self.user else owner.startswith(f"{self.tenant}#")

    def __str__(self) -> str:
        return f"{self.tenant}#{self.user}" if self.user else f"tenant {self.tenant}"


def items(whose: Whose) -> list[Item]:
    """Every item of the table that is theirs, read consistently.

    The table's partition key is the owner. One owner is a Query; the owners of a tenant share no key, and there is no
    index of them, for no function of the product may ask so widely: they are found by a Scan, which reads the whole
    table and drops what does not begin with the tenant.
    """
    names = {"ExpressionAttributeNames": {"#owner": "owner"}, "ProjectionExpression": "#owner, export_id"}
    given: dict[str, Any] = {"TableName": os.environ["EXPORTS_TABLE"], "ConsistentRead": True} | names
    if whose.user:
        given |= {
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeValues": {":owner": {"S": f"{whose.tenant}#{whose.user}"}},
        }
        pages: Any = aws.dynamodb().get_paginator("query").paginate(**given)
    else:
        given |= {
            "FilterExpression": "begins_with(#owner, :tenant)",
            "ExpressionAttributeValues": {":tenant": {"S": f"{whose.tenant}#"}},
        }
        pages = aws.dynamodb().get_paginator("scan").paginate(**given)
    return sorted(Item(item["owner"]["S"], item["export_id"]["S"]) for page in pages for item in page["Items"])


def forget(item: Item) -> None:
    """Removes an item that remembers an Idempotency-Key; one that is gone is no matter."""
    key: Any = {"owner": {"S": item.owner}, "export_id": {"S": item.export_id}}
    aws.dynamodb().delete_item(TableName=os.environ["EXPORTS_TABLE"], Key=key)


def uploads(prefix: str) -> Iterator[Upload]:
    """The uploads under a prefix that were not completed."""
    for page in aws.s3().get_paginator("list_multipart_uploads").paginate(Bucket=work.bucket(), Prefix=prefix):
        for upload in page.get("Uploads", []):
            yield Upload(upload["Key"], upload["UploadId"])


def empty(prefix: str) -> tuple[int, int]:
    """Removes every object and every unfinished upload under a prefix; how many of each there were.

    Raises:
        botocore.exceptions.ClientError: S3 kept some.
    """
    broken_off = 0
    for upload in list(uploads(prefix)):
        try:
            aws.s3().abort_multipart_upload(Bucket=work.bucket(), Key=upload.key, UploadId=upload.upload_id)
        except aws.s3().exceptions.NoSuchUpload:  # it was completed, or aborted, meanwhile
            continue
        broken_off += 1
    return work.remove(work.keys(prefix)), broken_off
