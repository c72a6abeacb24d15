"""The work files of an export in the bucket: its plan, its parts, their receipts.

    work/<export>/<plan>/plan.json             the plan: see :class:`Plan`
    work/<export>/<plan>/parts.json            array of :class:`Part`, the Map's items
    work/<export>/<plan>/parts/<number>        the bytes of one part
    work/<export>/<plan>/receipts/<number>.json  proof of one part: see :class:`Receipt`
    work/<export>/<plan>/map-results/          output of the Map's ResultWriter, which is not read

A plan's name is a hash of everything that its file's bytes depend on, so two plans never share a key.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

from botocore.exceptions import ClientError

from shared.errors import EngineChanged, PartChanged
from shared.lambda_ import aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
ENGINE_VERSION = "5"
"""Part of every plan's name. Increase it when the same plan would give different bytes."""
_PLAN = "plan.json"
_BATCH = 250
"""Objects per DeleteObjects request. S3 allows 1,000, but may then take longer than the prompt client's timeout."""


class SortKey(TypedDict):
    """The sort key of an item: the attribute's name, its type (S or N), and its value as DynamoDB writes it."""

    name: str
    type: str
    value: str


class Extent(TypedDict):
    """A run of ``rows`` rows of a source, for which ``bytes`` bytes must be read. Both determine a part's size.

    Each kind of extent has its own pin, which identifies the rows and detects changes.
    """

    rows: int
    bytes: int


class ObjectExtent(Extent):
    """Rows of one object from row ``offset`` on, pinned by the object's ETag. The extent can be cut at any row.

    ``bucket`` is missing for the data bucket. ``partitions`` are its partition columns if a table's log holds them, and
    not the names of its folders.
    """

    key: str
    etag: str
    offset: int
    bucket: NotRequired[Literal["exports"]]
    partitions: NotRequired[dict[str, str | None]]


class TableExtent(Extent):
    """Items of a DynamoDB table, which has no versions: pinned by their count at a time. The extent cannot be cut."""

    table: str
    counted_at: str
    """RFC 3339. It ensures that two plans never share a part, even with equal counts."""


class SegmentExtent(TableExtent):
    """The items of a segment of a parallel scan."""

    segment: int
    segments: int


class RangeExtent(TableExtent):
    """Items of one partition, from one sort key (exclusive) to another (inclusive). None is the partition's own end."""

    after: SortKey | None
    until: SortKey | None


class Part(TypedDict):
    """One item of parts.json: the part that one GeneratePart invocation makes.

    Present if the format's fragments contain row positions and these are known: ``first_row`` is the number of the
    part's first row in the file, from 0, without headers; ``rows_passing`` is the number of rows that the part writes,
    if there are several parts.
    """

    part: int
    sources: list[Extent]
    rows: int
    first_row: NotRequired[int]
    rows_passing: NotRequired[int]


class Plan(TypedDict):
    """plan.json. ``schema`` maps the source's columns to their polars types. ``rows`` is the number of rows to read.

    ``rows_passing`` is the number of rows to write, if the parts contain it. ``warning`` is the name of a warning.
    """

    plan: str
    engine: str
    report: str
    definition: dict[str, Any]
    parameters: dict[str, Any]
    options: dict[str, Any]
    format: str
    tenant: str
    schema: dict[str, str]
    parts_total: int
    rows: int
    rows_passing: NotRequired[int]
    warning: NotRequired[str]


class Receipt(TypedDict):
    """receipts/<number>.json. It is written after the part, so a receipt proves that its part exists.

    ``fragment`` is what the format's layout needs to know about the part's bytes: the result of the writer's ``close``.
    ``bytes_read`` are the bytes fetched from the source. ``peak_memory_bytes`` is the peak memory of the worker's
    process since it started, which an earlier part may have caused.
    """

    part: int
    etag: str
    bytes: int
    crc32: int
    rows_read: int
    rows_written: int
    fragment: dict[str, Any]
    bytes_read: int
    peak_memory_bytes: int


@dataclass(frozen=True)
class Work:
    """The work files of one plan of one export."""

    export_id: str
    plan: str

    @property
    def folder(self) -> str:
        """Prefix of all keys of this plan."""
        return f"{folder(self.export_id)}{self.plan}/"

    @property
    def plan_key(self) -> str:
        """Key of plan.json."""
        return f"{self.folder}{_PLAN}"

    @property
    def parts_key(self) -> str:
        """Key of parts.json."""
        return f"{self.folder}parts.json"

    @property
    def results_prefix(self) -> str:
        """Prefix under which the Map's ResultWriter writes the results of its child executions."""
        return f"{self.folder}map-results"

    def part_key(self, part: int) -> str:
        """Key of a part's bytes."""
        return f"{self.folder}parts/{part:06d}"

    def write_plan(self, plan: Plan, parts: list[Part]) -> None:
        """Writes parts.json, then plan.json. The same plan gives the same objects."""
        _put_json(self.parts_key, parts)
        _put_json(self.plan_key, plan)

    def read_plan(self) -> Plan:
        """plan.json, for the functions that execute the plan.

        Raises:
            PartChanged: the plan was removed, for example by a DELETE during a retry.
            EngineChanged: another engine version was deployed after planning.
        """
        key = self.plan_key
        plan: Plan | None = _if_exists(lambda: _get_json(key))
        if plan is None:
            raise PartChanged(f"{key} was removed after it was written")
        if plan["engine"] != ENGINE_VERSION:
            raise EngineChanged(
                f"engine {plan['engine']} made the plan, but engine {ENGINE_VERSION} was deployed in the meantime"
            )
        return plan

    def write_receipt(self, receipt: Receipt) -> None:
        """Writes a part's receipt."""
        _put_json(self._receipt_key(receipt["part"]), receipt)

    def read_receipt(self, part: int) -> Receipt | None:
        """A part's receipt; None if it has none."""
        return _if_exists(lambda: _get_json(self._receipt_key(part)))

    def _receipt_key(self, part: int) -> str:
        return f"{self.folder}receipts/{part:06d}.json"


def bucket() -> str:
    """Name of the exports bucket."""
    return os.environ["EXPORTS_BUCKET"]


def folder(export_id: str) -> str:
    """Prefix of all work files of an export."""
    return f"work/{export_id}/"


def keys(prefix: str) -> Iterator[str]:
    """Keys in the exports bucket with this prefix, listed page by page."""
    for page in aws.prompt_s3().get_paginator("list_objects_v2").paginate(Bucket=bucket(), Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def remove(keys: Iterable[str]) -> int:
    """Removes objects from the exports bucket, many per request ("DeleteObjects"). Missing objects are ignored.

    Returns:
        The number of keys.

    Raises:
        botocore.exceptions.ClientError: S3 did not remove one of the objects.
    """
    rest, removed = iter(keys), 0
    while batch := list(islice(rest, _BATCH)):
        objects: Any = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
        for error in aws.prompt_s3().delete_objects(Bucket=bucket(), Delete=objects).get("Errors", []):
            message = f"{error.get('Key')}: {error.get('Message')}"
            status = {"HTTPStatusCode": 500 if error.get("Code") == "InternalError" else 400}
            response: Any = {"Error": {"Code": error.get("Code"), "Message": message}, "ResponseMetadata": status}
            raise ClientError(response, "DeleteObjects")
        removed += len(batch)
    return removed


def current_plan(export_id: str) -> Plan | None:
    """The current plan of an export: the one whose plan.json was written last; None if there is no plan yet."""
    current = _current(export_id)
    if current is None:
        return None
    return _if_exists(lambda: _get_json(current.files.plan_key, aws.prompt_s3()))


def count_parts(export_id: str) -> tuple[int, int] | None:
    """How many parts of the current plan have a receipt, and how many parts it has; None if there is no plan yet.

    One request lists 1,000 receipts, and tells which plan is the current one: a retry may make another.
    """
    current = _current(export_id)
    if current is None:
        return None
    total = _if_exists(lambda: parts_total(current.files))  # DELETE may have removed the plan in the meantime
    return None if total is None else (current.receipts, total)


@lru_cache(maxsize=1_000)
def parts_total(files: Work) -> int:
    """The number of parts of a plan, which its name determines: see :func:`plan_name`. It is read once by a process.

    Raises:
        botocore.exceptions.ClientError: there is no such plan. This is not kept.
    """
    total: int = _get_json(files.plan_key, aws.prompt_s3())["parts_total"]
    return total


class _Current(NamedTuple):
    """The files of the current plan of an export, and how many of its parts have a receipt."""

    files: Work
    receipts: int


def _current(export_id: str) -> _Current | None:
    written: dict[str, datetime.datetime] = {}
    receipts: Counter[str] = Counter()
    # With this delimiter S3 returns the keys of all parts of a plan as one common prefix, which counts as one key
    # ("ListObjectsV2"). AWS speaks of a character, but S3 takes a longer string: backups of CockroachDB depend on it
    # (cockroachdb/cockroach issue 100123).
    pages = aws.prompt_s3().get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket(), Prefix=folder(export_id), Delimiter="/parts/"):
        for item in page.get("Contents", []):
            plan, _, name = item["Key"].removeprefix(folder(export_id)).partition("/")
            if name == _PLAN:
                written[plan] = item["LastModified"]  # PlanParts writes plan.json last
            elif name.startswith("receipts/") and name.endswith(".json"):
                receipts[plan] += 1
    if not written:
        return None
    plan = max(written, key=lambda plan: (written[plan], plan))
    return _Current(Work(export_id, plan), receipts[plan])


def plan_name(content: dict[str, Any], parts: list[Part]) -> str:
    """16 hexadecimal digits: a hash of a plan's content and its parts, including the pinned sources."""
    canonical = json.dumps([content, parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def put_checked(key: str, body: IO[bytes], size: int, crc32: int) -> str:
    """Writes an object of ``size`` bytes, and returns its ETag. S3 refuses bytes that do not match the checksum."""
    return aws.s3().put_object(
        Bucket=bucket(),
        Key=key,
        Body=body,
        ContentLength=size,
        ChecksumCRC32=base64.b64encode(crc32.to_bytes(4, "big")).decode(),
    )["ETag"]


def is_missing(error: ClientError) -> bool:
    """Whether the error says that an object does not exist. A 403 does not: it means a missing permission."""
    return error.response["Error"]["Code"] in {"404", "NoSuchKey", "NotFound"}


def is_replaced(error: ClientError) -> bool:
    """Whether the error says that an object does not have the requested ETag."""
    return error.response["Error"]["Code"] in {"PreconditionFailed", "412"}


def _if_exists(request: Callable[[], T]) -> T | None:
    """The result of a request to S3; None if the object does not exist."""
    try:
        return request()
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _put_json(key: str, content: object) -> None:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    aws.s3().put_object(Bucket=bucket(), Key=key, Body=body, ContentType="application/json")


def _get_json(key: str, s3: S3Client | None = None) -> Any:
    return json.loads((s3 or aws.s3()).get_object(Bucket=bucket(), Key=key)["Body"].read())
