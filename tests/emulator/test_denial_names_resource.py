"""A refused call says what was refused, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}
READ = ("s3", "get_object", {"Bucket": "reports", "Key": "a/b"})
CALLS: dict[tuple[str, str], tuple[str, str, dict[str, Any]]] = {
    ("s3:GetObject", '"arn:aws:s3:::reports/a/b"'): READ,
    ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:000000000000:table/exports"): (
        "dynamodb",
        "get_item",
        {"TableName": "exports", "Key": {"id": {"S": "1"}}},
    ),
    ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:make"): (
        "lambda",
        "invoke",
        {"FunctionName": "make"},
    ),
}


def said(cloud: Cloud, call: tuple[str, str, dict[str, Any]], statements: list[dict[str, Any]]) -> str:
    """What a role with these statements is told."""
    service, operation, arguments = call
    cloud.client("s3").create_bucket(Bucket="reports")
    with pytest.raises(ClientError) as refused:
        getattr(cloud.as_role(service, statements), operation)(**arguments)
    return str(refused.value.response["Error"]["Message"])


def test_stock_names_the_action_only(stock: Cloud) -> None:
    message = said(stock, READ, [LIST])
    assert "s3:GetObject" in message
    assert "reports" not in message


@pytest.mark.parametrize(("action", "resource"), CALLS)
def test_a_refusal_names_action_and_resource(patched: Cloud, action: str, resource: str) -> None:
    message = said(patched, CALLS[action, resource], [LIST])
    assert message.endswith(
        f" is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def test_an_explicit_deny_names_them_too(patched: Cloud) -> None:
    message = said(patched, READ, [DENY])
    assert 's3:GetObject on resource: "arn:aws:s3:::reports/a/b" with an explicit deny' in message
