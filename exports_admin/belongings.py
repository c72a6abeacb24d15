"""The data of one owner, or of all owners of a tenant: items of the table, objects, unfinished uploads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.files import work
from shared.lambda_ import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = "exports/"
_KEY = "key#"
_PAGES = 10  # of the table and of the bucket, which the search for similar tenants reads at most


class Item(NamedTuple):
    """The key of an item of the table."""

    owner: str
    export_id: str

    @property
    def is_export(self) -> bool:
        """Whether the item is an export. Otherwise it stores an Idempotency-Key."""
        return not self.export_id.startswith(_KEY)


class Upload(NamedTuple):
    """A multipart upload that was not completed. S3 still stores its parts."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Whose:
    """One owner, ``<tenant>#<user>``, or a whole tenant."""

    tenant: str
    user: str | None = None

    @property
    def prefix(self) -> str:
        """The prefix of their files in the bucket."""
        return f"{_FILES}{self.tenant}/{f'{self.user}/' if self.user else ''}"

    def owns(self, owner: str) -> bool:
        """Whether it includes an owner."""
        return owner == f"{self.tenant}#{self.user}" if self.user else owner.startswith(f"{self.tenant}#")

    def __str__(self) -> str:
        return f"{self.tenant}#{self.user}" if self.user else f"tenant {self.tenant}"


def items(whose: Whose) -> list[Item]:
    """Every item of theirs in the table, with consistent reads.

    The table's partition key is the owner, so one owner needs a Query. The owners of a tenant share no key and have no
    index, because no function of the product may read a whole tenant. A Scan reads the whole table for them and drops
    the items of other tenants.
    """
    names = {"ExpressionAttributeNames": {"#owner": "owner"}, "ProjectionExpression": "#owner, export_id"}
    request: dict[str, Any] = {"TableName": os.environ["EXPORTS_TABLE"], "ConsistentRead": True} | names
    if whose.user:
        request |= {
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeValues": {":owner": {"S": f"{whose.tenant}#{whose.user}"}},
        }
        pages: Any = aws.dynamodb().get_paginator("query").paginate(**request)
    else:
        request |= {
            "FilterExpression": "begins_with(#owner, :tenant)",
            "ExpressionAttributeValues": {":tenant": {"S": f"{whose.tenant}#"}},
        }
        pages = aws.dynamodb().get_paginator("scan").paginate(**request)
    return sorted(Item(item["owner"]["S"], item["export_id"]["S"]) for page in pages for item in page["Items"])


class Known(NamedTuple):
    """Tenants that a bounded search found."""

    tenants: set[str]
    is_complete: bool
    """Whether the search read the whole table and all prefixes of files."""


def known_tenants() -> Known:
    """Searches for tenants in the first 10 pages of the table (1 MB each) and of the bucket (1,000 tenants each)."""
    table: Any = aws.dynamodb().get_paginator("scan")
    bucket: Any = aws.s3().get_paginator("list_objects_v2")
    names = {"ExpressionAttributeNames": {"#owner": "owner"}, "ProjectionExpression": "#owner"}
    tenants: set[str] = set()
    is_complete = True
    for number, page in enumerate(table.paginate(TableName=os.environ["EXPORTS_TABLE"], **names), start=1):
        tenants |= {item["owner"]["S"].partition("#")[0] for item in page["Items"]}
        if number == _PAGES:
            is_complete = "LastEvaluatedKey" not in page
            break
    folders = bucket.paginate(Bucket=work.bucket(), Prefix=_FILES, Delimiter="/")
    for number, page in enumerate(folders, start=1):
        tenants |= {each["Prefix"].split("/")[1] for each in page.get("CommonPrefixes", [])}
        if number == _PAGES:
            is_complete = is_complete and not page["IsTruncated"]
            break
    return Known(tenants, is_complete)


def forget(item: Item) -> None:
    """Removes an item that stores an Idempotency-Key. No-op if it is gone."""
    key: Any = {"owner": {"S": item.owner}, "export_id": {"S": item.export_id}}
    aws.dynamodb().delete_item(TableName=os.environ["EXPORTS_TABLE"], Key=key)


def uploads(prefix: str) -> Iterator[Upload]:
    """The unfinished uploads under a prefix."""
    for page in aws.s3().get_paginator("list_multipart_uploads").paginate(Bucket=work.bucket(), Prefix=prefix):
        for upload in page.get("Uploads", []):
            yield Upload(upload["Key"], upload["UploadId"])


def empty(prefix: str) -> tuple[int, int]:
    """Removes every object and every unfinished upload under a prefix. Returns how many of each it removed.

    Raises:
        botocore.exceptions.ClientError: S3 refused to remove an object.
    """
    aborted = 0
    for upload in list(uploads(prefix)):
        try:
            aws.s3().abort_multipart_upload(Bucket=work.bucket(), Key=upload.key, UploadId=upload.upload_id)
        except aws.s3().exceptions.NoSuchUpload:  # completed or aborted in the meantime
            continue
        aborted += 1
    return work.remove(work.keys(prefix)), aborted
