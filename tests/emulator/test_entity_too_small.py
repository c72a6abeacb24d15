"""S3 refuses parts and copied ranges that are too small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

MIB = 1024 * 1024


def upload(cloud: Cloud, bucket: str, *parts: bytes) -> dict[str, Any]:
    """Upload these bytes as the parts of one object."""
    s3 = cloud.client("s3")
    where = {"Bucket": bucket, "Key": "whole"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    made = []
    for number, body in enumerate(parts, start=1):
        made.append({"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=body)["ETag"]})
    return dict(s3.complete_multipart_upload(**where, MultipartUpload={"Parts": made}))


def copy(cloud: Cloud, size: int, **more: str) -> Any:
    """Copy the first 100 bytes of an object of this size into a part."""
    s3, bucket = cloud.client("s3"), cloud.bucket()
    s3.put_object(Bucket=bucket, Key="source", Body=b"x" * size)
    where = {"Bucket": bucket, "Key": "whole"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    source = {"CopySource": f"{bucket}/source", "CopySourceRange": "bytes=0-99", **more}
    return s3.upload_part_copy(**where, PartNumber=1, **source)["CopyPartResult"]


def code(refused: Any) -> str:
    """The error code of a refused call."""
    return str(refused.value.response["Error"]["Code"])


def test_stock_takes_parts_of_any_size(stock: Cloud) -> None:
    bucket = stock.bucket()
    upload(stock, bucket, b"small", b"small")
    assert stock.client("s3").get_object(Bucket=bucket, Key="whole")["Body"].read() == b"smallsmall"


def test_stock_copies_a_range_of_a_small_object(stock: Cloud) -> None:
    assert copy(stock, 100)["ETag"]


def test_a_small_part_before_the_last_is_refused_and_creates_nothing(patched: Cloud) -> None:
    bucket = patched.bucket()
    with pytest.raises(ClientError) as refused:
        upload(patched, bucket, b"x" * (5 * MIB - 1), b"last")
    assert code(refused) == "EntityTooSmall"
    assert patched.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_small_last_part_is_taken(patched: Cloud) -> None:
    bucket = patched.bucket()
    upload(patched, bucket, b"x" * 5 * MIB, b"last")
    assert patched.client("s3").head_object(Bucket=bucket, Key="whole")["ContentLength"] == 5 * MIB + 4


def test_a_range_of_a_small_object_cannot_be_copied(patched: Cloud) -> None:
    with pytest.raises(ClientError) as refused:
        copy(patched, 5 * MIB)
    assert code(refused) == "InvalidRequest"
    assert copy(patched, 5 * MIB + 1)["ETag"]


def test_a_source_that_changed_is_not_copied(patched: Cloud) -> None:
    with pytest.raises(ClientError) as refused:
        copy(patched, 6 * MIB, CopySourceIfMatch='"0123456789abcdef0123456789abcdef"')
    assert code(refused) == "PreconditionFailed"
