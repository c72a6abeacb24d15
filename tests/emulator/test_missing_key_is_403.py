"""S3 says that a key is missing only to those who may list the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectAttributes"], "Resource": "*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
CALLS = ("get_object", "head_object", "get_object_attributes")


def status(client: Any, call: str, bucket: str) -> int:
    """The HTTP status of asking for a key that does not exist."""
    more = {"ObjectAttributes": ["ETag"]} if call == "get_object_attributes" else {}
    with pytest.raises(ClientError) as refused:
        getattr(client, call)(Bucket=bucket, Key="nothing", **more)
    return int(refused.value.response["ResponseMetadata"]["HTTPStatusCode"])


@pytest.mark.parametrize("call", CALLS)
def test_stock_says_404_to_everybody(stock: Cloud, call: str) -> None:
    assert status(stock.as_role("s3", [READ]), call, stock.bucket()) == 404


@pytest.mark.parametrize("call", CALLS)
def test_without_list_bucket_a_missing_key_is_forbidden(patched: Cloud, call: str) -> None:
    assert status(patched.as_role("s3", [READ]), call, patched.bucket()) == 403


@pytest.mark.parametrize("call", CALLS)
def test_with_list_bucket_a_missing_key_is_missing(patched: Cloud, call: str) -> None:
    assert status(patched.as_role("s3", [READ, LIST]), call, patched.bucket()) == 404


def test_the_administrator_is_told(patched: Cloud) -> None:
    assert status(patched.client("s3"), "get_object", patched.bucket()) == 404


def test_a_key_that_exists_is_read_without_list_bucket(patched: Cloud) -> None:
    bucket = patched.bucket({"here": 1})
    assert patched.as_role("s3", [READ]).get_object(Bucket=bucket, Key="here")["Body"].read() == b"1"
