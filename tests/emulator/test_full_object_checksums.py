"""S3 checks the CRC-32 of a whole multipart object."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

HEAD, TAIL = b"head" * 1_400_000, b"tail"


def crc32(content: bytes) -> str:
    """The checksum as S3 writes it."""
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def assemble(cloud: Cloud, bucket: str, checksum: str) -> dict[str, Any]:
    """Assemble HEAD, copied, and TAIL, uploaded, and claim this checksum."""
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="head", Body=HEAD)
    where = {"Bucket": bucket, "Key": "whole"}
    created = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    where["UploadId"] = created["UploadId"]
    copied = s3.upload_part_copy(**where, PartNumber=1, CopySource=f"{bucket}/head")["CopyPartResult"]
    uploaded = s3.upload_part(**where, PartNumber=2, Body=TAIL, ChecksumAlgorithm="CRC32")
    answers = ((1, copied), (2, uploaded))
    kept = ("ETag", "ChecksumCRC32")
    parts = [{"PartNumber": n, **{key: answer[key] for key in kept if key in answer}} for n, answer in answers]
    return dict(
        s3.complete_multipart_upload(
            **where,
            MultipartUpload={"Parts": parts},
            ChecksumCRC32=checksum,
            ChecksumType="FULL_OBJECT",
            MpuObjectSize=len(HEAD + TAIL),
        )
    )


def test_stock_refuses_the_right_checksum(stock: Cloud) -> None:
    with pytest.raises(ClientError):
        assemble(stock, stock.bucket(), crc32(HEAD + TAIL))


def test_the_right_checksum_is_taken_and_reported(patched: Cloud) -> None:
    s3, bucket, expected = patched.client("s3"), patched.bucket(), crc32(HEAD + TAIL)
    made = assemble(patched, bucket, expected)
    assert (made["ChecksumCRC32"], made["ChecksumType"]) == (expected, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (expected, "FULL_OBJECT")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="whole", ObjectAttributes=["Checksum", "ObjectSize"])
    assert attributes["Checksum"] == {"ChecksumCRC32": expected, "ChecksumType": "FULL_OBJECT"}
    assert attributes["ObjectSize"] == len(HEAD + TAIL)
    assert s3.get_object(Bucket=bucket, Key="whole")["Body"].read() == HEAD + TAIL


def test_a_wrong_checksum_is_refused_and_creates_nothing(patched: Cloud) -> None:
    bucket = patched.bucket()
    with pytest.raises(ClientError) as refused:
        assemble(patched, bucket, crc32(HEAD))
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    keys = [found["Key"] for found in patched.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["head"]


def test_a_single_put_is_checked_too(patched: Cloud) -> None:
    bucket = patched.bucket()
    with pytest.raises(ClientError) as refused:
        patched.client("s3").put_object(Bucket=bucket, Key="one", Body=TAIL, ChecksumCRC32=crc32(HEAD))
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert patched.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_other_multipart_uploads_stay_composite(patched: Cloud) -> None:
    s3, where = patched.client("s3"), {"Bucket": patched.bucket(), "Key": "whole"}
    where["UploadId"] = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32")["UploadId"]
    part = s3.upload_part(**where, PartNumber=1, Body=TAIL, ChecksumAlgorithm="CRC32")
    named = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
    made = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [named]})
    assert made["ChecksumType"] == "COMPOSITE"
    assert made["ChecksumCRC32"].endswith("-1")


def test_every_etag_is_that_of_s3_although_no_md5_is_made_twice(patched: Cloud) -> None:
    s3, where = patched.client("s3"), {"Bucket": patched.bucket(), "Key": "whole"}
    s3.put_object(Bucket=where["Bucket"], Key="head", Body=HEAD)
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    source, last = f"{where['Bucket']}/head", len(HEAD) - 1
    ranges = [f"bytes=0-{last}", f"bytes=4-{last}"]
    copied = [
        s3.upload_part_copy(**where, PartNumber=n, CopySource=source, CopySourceRange=each)["CopyPartResult"]["ETag"]
        for n, each in enumerate(ranges, 1)
    ]
    expected = [hashlib.md5(HEAD), hashlib.md5(HEAD[4:])]
    assert copied == [f'"{each.hexdigest()}"' for each in expected]
    parts = [{"PartNumber": n, "ETag": each} for n, each in enumerate(copied, 1)]
    made = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert made["ETag"] == f'"{hashlib.md5(b"".join(each.digest() for each in expected)).hexdigest()}-2"'

    again = {"Bucket": where["Bucket"], "Key": "copy of the whole"}
    again["UploadId"] = s3.create_multipart_upload(**again)["UploadId"]
    answer = s3.upload_part_copy(**again, PartNumber=1, CopySource=f"{where['Bucket']}/whole")
    assert answer["CopyPartResult"]["ETag"] == f'"{hashlib.md5(HEAD + HEAD[4:]).hexdigest()}"'
