"""CloudFormation sets what the template says of a table, a bucket and a function."""

from __future__ import annotations

from typing import Any

from tests.emulator.conftest import Cloud, differs

RULES = [
    {"Id": "work", "Status": "Enabled", "Prefix": "work/", "ExpirationInDays": 7},
    {"Id": "uploads", "Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
]
TABLE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "TimeToLiveSpecification": {"AttributeName": "delete_after", "Enabled": True},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
}


# kept_settings


@differs(stock=("DISABLED", "DISABLED"), patched=("ENABLED", "ENABLED"))
def test_a_table_of_a_template_has_its_time_to_live_and_its_recovery(cloud: Cloud, expected: Any) -> None:
    stack = {"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE}}}
    name = cloud.stack(stack, "Table")
    dynamodb = cloud.client("dynamodb")
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert (ttl, backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]) == expected


@differs(stock=[], patched=[("work", 7, None), ("uploads", None, 1)])
def test_a_bucket_of_a_template_has_its_lifecycle_rules(cloud: Cloud, expected: Any) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": {"Rules": RULES}}}
    name = cloud.stack({"Resources": {"Bucket": bucket}}, "Bucket")
    s3 = cloud.client("s3")
    try:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    except s3.exceptions.ClientError:  # NoSuchLifecycleConfiguration
        rules = []
    found = [
        (
            rule["ID"],
            rule.get("Expiration", {}).get("Days"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        )
        for rule in rules
    ]
    assert found == expected


@differs(stock=None, patched="arn:aws:kms:us-east-1:000000000000:key/1")
def test_a_bucket_of_a_template_has_its_key(cloud: Cloud, expected: Any) -> None:
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-east-1:000000000000:key/1"}
    rules = [{"ServerSideEncryptionByDefault": by_default}]
    encryption = {"BucketEncryption": {"ServerSideEncryptionConfiguration": rules}}
    name = cloud.stack({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": encryption}}}, "Bucket")
    assert cloud.client("s3").put_object(Bucket=name, Key="a", Body=b"").get("SSEKMSKeyId") == expected


@differs(stock=None, patched="arn:aws:sqs:us-east-1:000000000000:failed")
def test_a_function_of_a_template_has_its_dead_letter_queue(cloud: Cloud, expected: str | None) -> None:
    target = {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:failed"}
    function = {"Runtime": cloud.runtime, "Handler": "index.handler", "Role": cloud.role(), "DeadLetterConfig": target}
    properties = function | {"Code": {"ZipFile": "def handler(event, context): pass"}}
    name = cloud.stack(
        {"Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}}, "Function"
    )
    found = cloud.client("lambda").get_function_configuration(FunctionName=name).get("DeadLetterConfig", {})
    assert found.get("TargetArn") == expected
