"""Who may do what, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, code_of, differs

NOTHING = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}


def test_the_administrator_may_do_everything_others_what_their_role_allows_and_nobody_else_gets_in(
    cloud: Cloud,
) -> None:
    for key in ("test", "000000000000"):
        assert cloud.client("sts", key).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    assert code_of(cloud.as_role("s3").list_buckets) == "AccessDenied"
    assert code_of(cloud.client("sqs", "AKIAIOSFODNN7EXAMPLE").list_queues)
    given = cloud.client("sts").assume_role(RoleArn=cloud.role(), RoleSessionName="test")["Credentials"]
    forged = cloud.client("sqs", given["AccessKeyId"], "not the secret", given["SessionToken"])
    assert code_of(forged.list_queues) == "SignatureDoesNotMatch"


# denial_names_resource


def said(cloud: Cloud, service: str, operation: str, arguments: dict[str, Any], statement: dict[str, Any]) -> str:
    """What a role with this statement is told."""
    cloud.client("s3").create_bucket(Bucket="reports")
    with pytest.raises(ClientError) as refused:
        getattr(cloud.as_role(service, statement), operation)(**arguments)
    return str(refused.value.response["Error"]["Message"])


HERE = "us-east-1:000000000000"
OBJECT = {"Bucket": "reports", "Key": "a/b"}
ITEM = {"TableName": "exports", "Key": {"id": {"S": "1"}}}


@differs(stock=False, patched=True)
@pytest.mark.parametrize(
    ("action", "operation", "arguments", "resource"),
    [
        ("s3:GetObject", "get_object", OBJECT, '"arn:aws:s3:::reports/a/b"'),
        ("dynamodb:GetItem", "get_item", ITEM, f"arn:aws:dynamodb:{HERE}:table/exports"),
        ("lambda:InvokeFunction", "invoke", {"FunctionName": "make"}, f"arn:aws:lambda:{HERE}:function:make"),
    ],
)
def test_a_refusal_names_action_and_resource(
    cloud: Cloud, expected: bool, action: str, operation: str, arguments: Any, resource: str
) -> None:
    message = said(cloud, action.partition(":")[0], operation, arguments, NOTHING)
    assert action in message
    assert expected is message.endswith(
        f" is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def test_an_explicit_deny_names_them_too(cloud: Cloud) -> None:
    message = said(cloud, "s3", "get_object", OBJECT, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"})
    assert 's3:GetObject on resource: "arn:aws:s3:::reports/a/b" with an explicit deny' in message


# mail_has_a_sender

SENDER, OTHER = "reports@example.com", "other@example.com"
IDENTITY = "arn:aws:ses:us-east-1:000000000000:identity/"
ONLY_AS_SENDER = {
    "Effect": "Allow",
    "Action": "ses:SendEmail",
    "Resource": IDENTITY + SENDER,
    "Condition": {"StringEquals": {"ses:FromAddress": SENDER}},
}


def send(cloud: Cloud, statement: dict[str, Any], sender: str = SENDER) -> None:
    """Sends a mail with the permissions of a role with this statement."""
    for identity in (SENDER, OTHER):
        cloud.client("sesv2").create_email_identity(EmailIdentity=identity)
    part = {"Data": "text"}
    answer = cloud.as_role("sesv2", statement).send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": ["ann@example.com"]},
        Content={"Simple": {"Subject": part, "Body": {"Text": part}}},
    )
    assert answer["MessageId"]


@differs(stock="AccessDeniedException", patched=None)
def test_a_role_that_may_send_only_as_one_address_may_send_as_it(cloud: Cloud, expected: str | None) -> None:
    assert code_of(send, cloud, ONLY_AS_SENDER) == expected


@pytest.mark.parametrize(
    ("change", "sender"),
    [
        pytest.param({}, OTHER, id="as another"),
        pytest.param({"Resource": IDENTITY + OTHER}, SENDER, id="another identity"),
        pytest.param({"Condition": {"StringEquals": {"ses:FromAddress": OTHER}}}, SENDER, id="another address"),
        pytest.param({"Action": "ses:SendRawEmail"}, SENDER, id="another action"),
    ],
)
def test_it_may_send_nothing_else(cloud: Cloud, change: dict[str, Any], sender: str) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform: ses:SendEmail on resource"):
        send(cloud, ONLY_AS_SENDER | change, sender)
