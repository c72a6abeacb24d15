"""A bucket that refuses plain HTTP can be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

READ = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]


def read_from_tls_only_bucket(cloud: Cloud) -> Any:
    """What a role reads from a bucket whose policy denies everything but TLS."""
    bucket = cloud.bucket({"key": "value"})
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    cloud.client("s3").put_bucket_policy(Bucket=bucket, Policy=document)
    return cloud.as_role("s3", READ).get_object(Bucket=bucket, Key="key")["Body"].read()


def test_stock_takes_the_loopback_interface_for_plain_http(stock: Cloud) -> None:
    with pytest.raises(ClientError) as refused:
        read_from_tls_only_bucket(stock)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_a_tls_only_bucket_can_be_read(patched: Cloud) -> None:
    assert read_from_tls_only_bucket(patched) == b'"value"'
