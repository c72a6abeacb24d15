"""Who may do what, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.emulator.conftest import LOGS, Cloud, code_of, differs

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


def send(
    cloud: Cloud, statement: dict[str, Any], sender: str = SENDER, identities: tuple[str, ...] = (SENDER, OTHER)
) -> None:
    """Sends a mail with the permissions of a role with this statement."""
    for identity in identities:
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


def test_the_domain_is_the_identity_if_the_address_is_none(cloud: Cloud) -> None:
    cloud.client("sesv2").create_email_identity(EmailIdentity="example.org")
    allowed = {"Effect": "Allow", "Action": "ses:SendEmail", "Resource": f"{IDENTITY}example.org"}
    send(cloud, allowed, "reports@example.org", identities=())
    cloud.client("sesv2").create_email_identity(EmailIdentity="reports@example.org")
    assert code_of(send, cloud, allowed, "reports@example.org", identities=()) == "AccessDeniedException"


# lambda_role

FAILS = """
    def handler(event, context):
        if event == "fail":
            raise ValueError("no")
"""


def logs_of(cloud: Cloud, function: str) -> list[str]:
    """The names of the log groups that a function has written to."""
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function}")["logGroups"]
    return [group["logGroupName"] for group in groups]


@differs(stock=True, patched=False)
@pytest.mark.parametrize("action", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_a_function_without_one_of_the_two_permissions_has_no_logs(cloud: Cloud, expected: bool, action: str) -> None:
    function = cloud.function(FAILS, LOGS | {"Action": action})
    assert not cloud.invoke(function)["error"]
    assert bool(logs_of(cloud, function)) is expected


def test_a_function_with_both_has_logs(cloud: Cloud) -> None:
    function = cloud.function(FAILS)
    cloud.invoke(function)
    assert cloud.logged(function, "START")


def queue_and_arn(cloud: Cloud) -> tuple[str, str]:
    """A new queue: its URL and its ARN."""
    queue = cloud.queue()
    return queue, f"arn:aws:sqs:{HERE}:{queue.rpartition('/')[2]}"


def queue_of(cloud: Cloud, *actions: str) -> tuple[str, str]:
    """A function with these permissions on a queue of one message, and the queue; others have been served since."""
    made = []
    for allowed in (actions, (READ, REMOVE)):
        queue, arn = queue_and_arn(cloud)
        cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "0"})
        function = cloud.function(FAILS, LOGS, {"Effect": "Allow", "Action": allowed, "Resource": arn})
        cloud.client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="go")
        made.append((function, queue))
    cloud.until(lambda: left(cloud, queue) == 0)
    return made[0]


def left(cloud: Cloud, queue: str) -> int:
    """The number of messages in a queue."""
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
    return sum(int(found[name]) for name in counts)


READ, REMOVE = "sqs:ReceiveMessage", "sqs:DeleteMessage"


@differs(stock=True, patched=False)
def test_a_function_that_may_not_receive_messages_is_not_invoked(cloud: Cloud, expected: bool) -> None:
    function, queue = queue_of(cloud, REMOVE)
    cloud.until(lambda: (bool(logs_of(cloud, function)), left(cloud, queue)) == (expected, 0 if expected else 1))


@differs(stock=0, patched=1)
def test_a_function_that_may_not_delete_messages_gets_them_again(cloud: Cloud, expected: int) -> None:
    function, queue = queue_of(cloud, READ)
    cloud.until(lambda: logs_of(cloud, function))
    cloud.until(lambda: left(cloud, queue) == expected)


@differs(stock=True, patched=False)
def test_a_failed_event_is_lost_if_the_function_may_not_send_it(cloud: Cloud, expected: bool) -> None:
    functions = cloud.client("lambda")
    queue, arn = queue_and_arn(cloud)
    sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    made = []
    for statements in ([LOGS], [LOGS, sends]):
        function = cloud.function(FAILS, *statements, DeadLetterConfig={"TargetArn": arn})
        functions.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=b'"fail"')
        cloud.logged(function, "ValueError")
        made.append(function)
    kept = str(cloud.messages(queue, 2 if expected else 1))
    assert [function in kept for function in made] == [expected, True]


# bucket_key

OBJECTS = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def with_key(cloud: Cloud, *actions: str, via: str = "s3.us-east-1.amazonaws.com") -> tuple[str, Any]:
    """A bucket that a KMS key encrypts, with an object, and an S3 client that may do only this with the key."""
    bucket, key = cloud.encrypted({"a": "x"})
    condition = {"StringEquals": {"kms:ViaService": via}}
    allowed = [{"Effect": "Allow", "Action": list(actions), "Resource": key, "Condition": condition}] if actions else []
    return bucket, cloud.as_role("s3", OBJECTS, *allowed)


@differs(stock=[None, None, None], patched=["AccessDenied"] * 3)
def test_objects_that_a_key_encrypts_need_the_key(cloud: Cloud, expected: Any) -> None:
    bucket, s3 = with_key(cloud)
    a = {"Bucket": bucket, "Key": "a"}
    assert [
        code_of(s3.get_object, **a),
        code_of(s3.put_object, **a),
        code_of(s3.create_multipart_upload, **a),
    ] == expected


@pytest.mark.parametrize(
    ("allowed", "via", "expected"),
    [
        (["kms:Decrypt"], "s3", [None, "AccessDenied", "AccessDenied"]),
        (["kms:GenerateDataKey"], "s3", ["AccessDenied", None, "AccessDenied"]),
        (["kms:Decrypt", "kms:GenerateDataKey"], "s3", [None, None, None]),
        (["kms:Decrypt", "kms:GenerateDataKey"], "sqs", ["AccessDenied"] * 3),
    ],
)
def test_reading_writing_and_uploading_parts_use_the_key(
    cloud: Cloud, allowed: list[str], via: str, expected: Any
) -> None:
    bucket, s3 = with_key(cloud, *allowed, via=f"{via}.us-east-1.amazonaws.com")
    a = {"Bucket": bucket, "Key": "a"}

    def upload() -> None:
        s3.upload_part(**a, UploadId=s3.create_multipart_upload(**a)["UploadId"], PartNumber=1, Body=b"x")

    assert [code_of(s3.get_object, **a), code_of(s3.put_object, **a), code_of(upload)] == expected


def test_the_signer_of_an_address_needs_the_key(cloud: Cloud) -> None:
    for actions, status in (["kms:Decrypt"], 200), ([], 403):
        bucket, s3 = with_key(cloud, *actions)
        address = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
        assert requests.get(address, timeout=10).status_code == status
