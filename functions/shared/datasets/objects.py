"""Reads objects, each in exactly the version that was listed: those of datasets and the results of queries."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, IncompleteReadError

from shared.errors import InvalidDefinition, ServiceUnavailable, SourceChanged, SourceUnavailable, SourceUnreadable
from shared.files.work import is_missing, is_replaced
from shared.lambda_ import aws

if TYPE_CHECKING:
    from obstore.store import S3Store

_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Version:
    """A version of an object. ``bucket`` is empty for the data bucket."""

    key: str
    etag: str
    bucket: str = ""

    @property
    def address(self) -> str:
        """The object's S3 URI, for messages."""
        return address(self.key, self.bucket)


@dataclass(frozen=True)
class ListedObject:
    """An object as S3 listed it. ``size`` is in bytes."""

    key: str
    etag: str
    size: int
    bucket: str = ""

    @property
    def version(self) -> Version:
        """The version that was listed."""
        return Version(self.key, self.etag, self.bucket)


@dataclass(frozen=True)
class Answer:
    """The bytes of an object from ``start`` to its end; the object has ``size`` bytes."""

    data: bytes
    start: int
    size: int


def found(dataset: str) -> Iterator[ListedObject]:
    """The objects under ``<DataPrefix>/<dataset>/``, in the order of their keys.

    Raises:
        InvalidDefinition: the dataset is a folder of the exports bucket's own files, which expire.
    """
    of_exports = _bucket() == os.environ.get("EXPORTS_BUCKET")
    if of_exports and folder(dataset).split("/")[0] in ("work", "exports"):
        where = address(folder(dataset))
        raise InvalidDefinition(f"source.dataset: {where} holds the files of exports, which expire; use another folder")
    pages = aws.s3().get_paginator("list_objects_v2").paginate(Bucket=_bucket(), Prefix=folder(dataset))
    for page in pages:
        for item in page.get("Contents", []):
            yield ListedObject(item["Key"], item["ETag"], item["Size"])


def first_keys(prefix: str) -> list[str]:
    """The first keys of the data bucket with this prefix: those of one response."""
    page: Any = next(iter(aws.s3().get_paginator("list_objects_v2").paginate(Bucket=_bucket(), Prefix=prefix)), {})
    return [item["Key"] for item in page.get("Contents", [])]


def tail(version: Version, size: int) -> Answer:
    """The last ``size`` bytes of an object, or all of its bytes if it is shorter.

    Raises:
        See :func:`blocks`.
    """
    headers, body = _get(version, f"bytes=-{size}")
    data = b"".join(body)
    place, _, whole = headers.get("content-range", "").removeprefix("bytes ").partition("/")
    return Answer(data, int(place.split("-")[0] or 0), int(whole or len(data)))


async def quick_tail(version: Version, size: int) -> Answer:
    """Like :func:`tail`, for many objects at once: obstore takes a third of boto3's time for each.

    If obstore fails, boto3 sends the request again and reports the error.
    """
    import obstore
    from obstore.exceptions import BaseError

    try:
        options: Any = {"range": {"suffix": size}, "if_match": version.etag}
        answer = await obstore.get_async(store(version.bucket), version.key, options=options)
        data = bytes(await answer.bytes_async())
    except (BaseError, ValueError):  # obstore raises ValueError for a path that it does not accept
        return await asyncio.to_thread(tail, version, size)
    return Answer(data, answer.range[0], answer.meta["size"])


def quick_blocks(version: Version, start: int, end: int) -> bytes:
    """Like :func:`blocks`, for many ranges one after the other.

    If obstore fails, boto3 sends the request again and reports the error.
    """
    import obstore
    from obstore.exceptions import BaseError

    try:
        options: Any = {"range": (start, end), "if_match": version.etag}
        return bytes(obstore.get(store(version.bucket), version.key, options=options).bytes())
    except (BaseError, ValueError):  # obstore raises ValueError for a path that it does not accept
        return b"".join(blocks(version, start, end))


@cache
def store(bucket: str = "") -> S3Store:
    """A bucket for obstore, by default the data bucket, with boto3's endpoint and credentials."""
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    client = aws.s3().meta
    return S3Store(
        bucket or _bucket(),
        endpoint=client.endpoint_url,
        region=client.region_name,
        credential_provider=Boto3CredentialProvider(),
        client_options={"allow_http": client.endpoint_url.startswith("http:"), "timeout": _TIMEOUT},
        retry_config={"max_retries": 3, "retry_timeout": _TIMEOUT},
    )


_TIMEOUT = datetime.timedelta(seconds=20)


def blocks(version: Version, start: int, end: int) -> Iterator[bytes]:
    """Bytes ``start`` to ``end`` of an object, in blocks.

    Raises:
        SourceChanged: the object was replaced or removed since it was listed.
        SourceUnreadable: the object does not have these bytes.
        SourceUnavailable: S3 refuses to return the object.
        ServiceUnavailable: the response was incomplete.
        botocore.exceptions.ClientError: S3 throttles or fails.
    """
    return _get(version, f"bytes={start}-{end - 1}")[1]


def folder(dataset: str) -> str:
    """Key prefix of a dataset."""
    prefix = os.environ["DATA_PREFIX"].strip("/")
    return f"{prefix}/{dataset}/" if prefix else f"{dataset}/"


def address(key: str, bucket: str = "") -> str:
    """The S3 URI of an object, for messages. It contains no space, so that one can tell where it ends."""
    return f"s3://{bucket or _bucket()}/{key.replace(' ', '%20')}"


def _get(version: Version, byte_range: str) -> tuple[dict[str, str], Iterator[bytes]]:
    try:
        bucket = version.bucket or _bucket()
        answer = aws.s3().get_object(Bucket=bucket, Key=version.key, Range=byte_range, IfMatch=version.etag)
    except ClientError as error:
        raise _translated(version, error) from error
    length, body = answer["ContentLength"], answer["Body"]

    def read() -> Iterator[bytes]:
        try:
            yield from iter(lambda: body.read(_BLOCK), b"")
        except IncompleteReadError as error:
            raise ServiceUnavailable(
                f"{version.address}: S3 did not send all {length} bytes of its response"
            ) from error

    return answer["ResponseMetadata"]["HTTPHeaders"], read()


def _translated(version: Version, error: ClientError) -> Exception:
    if is_replaced(error):
        return SourceChanged(f"{version.address} was replaced after the export was planned")
    if is_missing(error):
        return SourceChanged(f"{version.address} was removed after the export was planned")
    if error.response["Error"]["Code"] in {"InvalidRange", "416"}:
        return SourceUnreadable(f"{version.address} is not readable: it is empty or truncated")
    if aws.is_transient(error):
        return error
    return SourceUnavailable(f"{version.address}: {error.response['Error'].get('Message') or error}")


def _bucket() -> str:
    return os.environ["DATA_BUCKET"]
