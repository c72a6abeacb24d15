"""What S3 refuses, checks and hides."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, code_of, differs, on_stock, policy

MIB = 1024 * 1024
READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectAttributes"], "Resource": "*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}


def begun(cloud: Cloud, bucket: str, key: str = "whole", **options: str) -> dict[str, str]:
    """What names a new multipart upload."""
    where = {"Bucket": bucket, "Key": key}
    return {**where, "UploadId": cloud.client("s3").create_multipart_upload(**where, **options)["UploadId"]}


def complete(cloud: Cloud, where: dict[str, str], *answers: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Completes a multipart upload of the parts that were answered so."""
    parts = [
        {"PartNumber": number, **{name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}}
        for number, answer in enumerate(answers, 1)
    ]
    return dict(cloud.client("s3").complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, **options))


# entity_too_small


def upload(cloud: Cloud, bucket: str, *parts: bytes) -> None:
    """Uploads these bytes as the parts of one object."""
    where, s3 = begun(cloud, bucket), cloud.client("s3")
    answers = [s3.upload_part(**where, PartNumber=number, Body=body) for number, body in enumerate(parts, 1)]
    complete(cloud, where, *answers)


def copy(cloud: Cloud, size: int, **more: str) -> None:
    """Copies the first 100 bytes of an object of this size into a part."""
    s3, bucket = cloud.client("s3"), cloud.bucket()
    s3.put_object(Bucket=bucket, Key="source", Body=b"x" * size)
    source = {"CopySource": f"{bucket}/source", "CopySourceRange": "bytes=0-99", **more}
    s3.upload_part_copy(**begun(cloud, bucket), PartNumber=1, **source)


@differs(stock=None, patched="EntityTooSmall")
def test_a_small_part_before_the_last_is_refused_and_creates_nothing(cloud: Cloud, expected: str | None) -> None:
    bucket = cloud.bucket()
    assert code_of(upload, cloud, bucket, b"x" * (5 * MIB - 1), b"last") == expected
    assert cloud.keys(bucket) == ([] if expected else ["whole"])
    assert code_of(upload, cloud, bucket, b"x" * 5 * MIB, b"last") is None


@differs(stock=None, patched="InvalidRequest")
def test_a_range_of_a_small_object_cannot_be_copied(cloud: Cloud, expected: str | None) -> None:
    assert code_of(copy, cloud, 5 * MIB) == expected
    assert code_of(copy, cloud, 5 * MIB + 1) is None


def test_a_source_that_changed_is_not_copied(cloud: Cloud) -> None:
    etag = '"0123456789abcdef0123456789abcdef"'
    assert code_of(copy, cloud, 6 * MIB, CopySourceIfMatch=etag) == "PreconditionFailed"


# full_object_checksums

HEAD, TAIL = b"head" * 1_400_000, b"tail"


def crc32(content: bytes) -> str:
    """The checksum as S3 writes it."""
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def assemble(cloud: Cloud, bucket: str, checksum: str) -> dict[str, Any]:
    """Assembles HEAD, which is copied, and TAIL, which is uploaded, and claims this checksum."""
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="head", Body=HEAD)
    where = begun(cloud, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    copied = s3.upload_part_copy(**where, PartNumber=1, CopySource=f"{bucket}/head")["CopyPartResult"]
    uploaded = s3.upload_part(**where, PartNumber=2, Body=TAIL, ChecksumAlgorithm="CRC32")
    claimed = {"ChecksumCRC32": checksum, "ChecksumType": "FULL_OBJECT", "MpuObjectSize": len(HEAD + TAIL)}
    return complete(cloud, where, copied, uploaded, **claimed)


@on_stock
def test_stock_refuses_the_right_checksum(cloud: Cloud) -> None:
    assert code_of(assemble, cloud, cloud.bucket(), crc32(HEAD + TAIL))


def test_the_right_checksum_is_accepted_and_reported(cloud: Cloud) -> None:
    s3, expected = cloud.client("s3"), {"ChecksumCRC32": crc32(HEAD + TAIL), "ChecksumType": "FULL_OBJECT"}
    where = {"Bucket": cloud.bucket(), "Key": "whole"}
    made = assemble(cloud, where["Bucket"], expected["ChecksumCRC32"])
    attributes = s3.get_object_attributes(**where, ObjectAttributes=["Checksum", "ObjectSize"])
    assert attributes["Checksum"] == expected
    assert attributes["ObjectSize"] == len(HEAD + TAIL)
    for answer in (made, s3.head_object(**where, ChecksumMode="ENABLED")):
        assert {name: answer[name] for name in expected} == expected
    assert s3.get_object(**where)["Body"].read() == HEAD + TAIL


def test_a_wrong_checksum_is_refused_and_creates_nothing(cloud: Cloud) -> None:
    bucket, put = cloud.bucket(), cloud.client("s3").put_object
    assert code_of(put, Bucket=bucket, Key="one", Body=TAIL, ChecksumCRC32=crc32(HEAD)) == "BadDigest"
    assert code_of(assemble, cloud, bucket, crc32(HEAD)) == "BadDigest"
    assert cloud.keys(bucket) == ["head"]


def test_other_multipart_uploads_stay_composite(cloud: Cloud) -> None:
    where = begun(cloud, cloud.bucket(), ChecksumAlgorithm="CRC32")
    made = complete(cloud, where, cloud.client("s3").upload_part(**where, PartNumber=1, Body=TAIL))
    assert made["ChecksumType"] == "COMPOSITE"
    assert made["ChecksumCRC32"].endswith("-1")


def test_every_etag_is_that_of_s3_although_no_md5_is_made_twice(cloud: Cloud) -> None:
    s3, bucket = cloud.client("s3"), cloud.bucket()

    def copied(where: dict[str, str], number: int, source: str, **more: str) -> dict[str, Any]:
        answer = s3.upload_part_copy(**where, PartNumber=number, CopySource=f"{bucket}/{source}", **more)
        return dict(answer["CopyPartResult"])

    s3.put_object(Bucket=bucket, Key="head", Body=HEAD)
    where, last = begun(cloud, bucket), len(HEAD) - 1
    parts = [copied(where, n, "head", CopySourceRange=f"bytes={start}-{last}") for n, start in ((1, 0), (2, 4))]
    expected = [hashlib.md5(HEAD), hashlib.md5(HEAD[4:])]
    assert [part["ETag"] for part in parts] == [f'"{each.hexdigest()}"' for each in expected]
    whole = hashlib.md5(b"".join(each.digest() for each in expected))
    assert complete(cloud, where, *parts)["ETag"] == f'"{whole.hexdigest()}-2"'
    again = copied(begun(cloud, bucket, "a copy of the whole"), 1, "whole")
    assert again["ETag"] == f'"{hashlib.md5(HEAD + HEAD[4:]).hexdigest()}"'


# missing_key_is_403


def status(client: Any, call: str, bucket: str, key: str) -> int:
    """The HTTP status of reading a key."""
    more = {"ObjectAttributes": ["ETag"]} if call == "get_object_attributes" else {}
    try:
        answer = getattr(client, call)(Bucket=bucket, Key=key, **more)
    except ClientError as refused:
        answer = refused.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


@differs(stock=404, patched=403)
@pytest.mark.parametrize("call", ["get_object", "head_object", "get_object_attributes"])
def test_only_those_who_may_list_the_bucket_are_told_that_a_key_is_missing(
    cloud: Cloud, expected: int, call: str
) -> None:
    bucket, reader = cloud.bucket({"here": 1}), cloud.as_role("s3", READ)
    assert status(reader, call, bucket, "here") == 200
    assert status(reader, call, bucket, "missing") == expected
    for lister in (cloud.as_role("s3", READ, LIST), cloud.client("s3")):
        assert status(lister, call, bucket, "missing") == 404


# loopback_is_tls


@differs(stock="AccessDenied", patched=None)
def test_a_bucket_that_refuses_plain_http_can_be_read(cloud: Cloud, expected: str | None) -> None:
    bucket = cloud.bucket({"key": "value"})
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    cloud.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy(only_tls))
    assert code_of(cloud.as_role("s3", READ).get_object, Bucket=bucket, Key="key") == expected
