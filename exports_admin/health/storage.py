"""Checks of the table and of the bucket, and of what becomes of the changes of the table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from exports_admin.health.deployment import Finding, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports_admin.health.deployment import Deployment

_AGAIN = "Set it as template.yaml has it: {}"


def _properties(logical_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = template()["Resources"][logical_id]["Properties"]
    return properties


def table(deployment: Deployment) -> Iterator[Finding]:
    """Whether the table exists, is active, has its index, its stream, and the deletion protection of the template."""
    name = deployment.outputs["ExportsTableName"]
    answer = deployment.ask("dynamodb", "describe_table", ("ResourceNotFoundException",), TableName=name)
    if answer is None:
        yield Finding("problem", f"The table {name} does not exist", "Restore it: docs/howto/disaster.md#the-table")
        return
    described, expected = answer["Table"], _properties("ExportsTable")
    if described["TableStatus"] != "ACTIVE":
        yield Finding("problem", f"The table is {described['TableStatus']}", "Wait until it is ACTIVE.")
    indexes = {each["IndexName"]: each for each in described.get("GlobalSecondaryIndexes") or []}
    for index in (each["IndexName"] for each in expected["GlobalSecondaryIndexes"]):
        status = indexes[index].get("IndexStatus", "ACTIVE") if index in indexes else "missing"
        if status not in ("ACTIVE", "UPDATING"):
            what = f"The index {index} is {status}: the API accepts no export"
            yield Finding("problem", what, "Create the index as template.yaml has it, or wait until it is ACTIVE.")
    view = expected["StreamSpecification"]["StreamViewType"]
    stream = described.get("StreamSpecification") or {}
    if not stream.get("StreamEnabled") or stream.get("StreamViewType") != view:
        what = "The stream of the table is not enabled: no end of an export is announced"
        yield Finding("problem", what, "See docs/howto/disaster.md#the-stream-and-the-pipe")
    protected = bool(expected.get("DeletionProtectionEnabled"))
    if bool(described.get("DeletionProtectionEnabled")) != protected:
        option = "--deletion-protection-enabled" if protected else "--no-deletion-protection-enabled"
        what = f"The deletion protection of the table is {'off' if protected else 'on'}, but not in template.yaml"
        yield Finding("warning", what, _AGAIN.format(f"aws dynamodb update-table --table-name {name} {option}"))


def recovery(deployment: Deployment) -> Iterator[Finding]:
    """Whether the table can be restored to a point in time."""
    name = deployment.outputs["ExportsTableName"]
    answer = deployment.ask("dynamodb", "describe_continuous_backups", TableName=name)["ContinuousBackupsDescription"]
    if answer.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        command = (
            f"aws dynamodb update-continuous-backups --table-name {name}"
            " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        )
        yield Finding("problem", "Point-in-time recovery of the table is off", _AGAIN.format(command))


def expiry(deployment: Deployment) -> Iterator[Finding]:
    """Whether DynamoDB removes old records."""
    name, attribute = deployment.outputs["ExportsTableName"], _properties("ExportsTable")["TimeToLiveSpecification"]
    attribute = attribute["AttributeName"]
    answer = deployment.ask("dynamodb", "describe_time_to_live", TableName=name)["TimeToLiveDescription"]
    status = answer.get("TimeToLiveStatus", "DISABLED")
    if status not in ("ENABLED", "ENABLING") or answer.get("AttributeName") != attribute:
        command = (
            f"aws dynamodb update-time-to-live --table-name {name}"
            f" --time-to-live-specification Enabled=true,AttributeName={attribute}"
        )
        what = f"Time to live of the table is {status}: old records stay"
        yield Finding("warning", what, _AGAIN.format(command))


def pipe(deployment: Deployment) -> Iterator[Finding]:
    """Whether the Pipe runs and reads the table's current stream."""
    for name in deployment.of_kind("AWS::Pipes::Pipe").values():
        answer = deployment.ask("pipes", "describe_pipe", ("NotFoundException",), Name=name)
        if answer is None:
            what = f"The Pipe {name} was deleted: no end of an export is announced"
            yield Finding("problem", what, "See docs/howto/disaster.md#the-stream-and-the-pipe")
            continue
        if (state := answer["CurrentState"]) != "RUNNING":
            reason = f" ({answer['StateReason']})" if answer.get("StateReason") else ""
            remedy = f"Correct the cause, then: aws pipes start-pipe --name {name}. See docs/operations.md#unannounced"
            yield Finding("problem", f"The Pipe {name} is {state}{reason}", remedy)
        source = answer["Source"]
        table_name = deployment.outputs["ExportsTableName"]
        described = deployment.ask("dynamodb", "describe_table", ("ResourceNotFoundException",), TableName=table_name)
        stream = described and described["Table"].get("LatestStreamArn")
        if stream and stream != source:
            what = f"The Pipe {name} reads {source}, which is not the table's stream"
            yield Finding("problem", what, "See docs/howto/disaster.md#the-stream-and-the-pipe")


def rules(deployment: Deployment) -> Iterator[Finding]:
    """Whether the rules that start ReconcileExports and NotifyOwner are enabled."""
    for physical_id in deployment.of_kind("AWS::Events::Rule").values():
        name = physical_id.rpartition("|")[2]  # after the name of the bus, if it is not the default bus
        for bus in ("default", deployment.outputs["EventBusName"]):
            absent = ("ResourceNotFoundException",)
            answer = deployment.ask("events", "describe_rule", absent, Name=name, EventBusName=bus)
            if answer is None:
                continue
            if answer["State"] == "DISABLED":
                command = f"aws events enable-rule --name {name} --event-bus-name {bus}"
                yield Finding("problem", f"The rule {name} is disabled", command)
            break
        else:
            yield Finding("problem", f"The rule {name} was deleted", "Create it again as template.yaml defines it.")


def encryption(deployment: Deployment) -> Iterator[Finding]:
    """Whether the bucket exists and encrypts its objects."""
    bucket = deployment.outputs["ExportsBucketName"]
    absent = ("ServerSideEncryptionConfigurationNotFoundError", "NoSuchBucket")
    if deployment.ask("s3", "get_bucket_encryption", absent, Bucket=bucket) is None:
        what = f"The bucket {bucket} does not exist, or has no default encryption"
        yield Finding("problem", what, "See docs/howto/disaster.md#the-bucket")


def public_access(deployment: Deployment) -> Iterator[Finding]:
    """Whether nobody can make the bucket's objects public."""
    bucket = deployment.outputs["ExportsBucketName"]
    absent = ("NoSuchPublicAccessBlockConfiguration",)
    answer = deployment.ask("s3", "get_public_access_block", absent, Bucket=bucket)
    wanted = _properties("ExportsBucket")["PublicAccessBlockConfiguration"]
    has = (answer or {}).get("PublicAccessBlockConfiguration", {})
    if off := [name for name in wanted if not has.get(name)]:
        settings = ",".join(f"{name}=true" for name in wanted)
        command = f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration {settings}"
        yield Finding("problem", f"The bucket does not block public access: {', '.join(off)}", _AGAIN.format(command))


def lifecycle(deployment: Deployment) -> Iterator[Finding]:
    """Whether S3 removes files, work files and unfinished uploads when they are old."""
    bucket, days = deployment.outputs["ExportsBucketName"], deployment.parameters["RetentionDays"]
    absent = ("NoSuchLifecycleConfiguration",)
    answer = deployment.ask("s3", "get_bucket_lifecycle_configuration", absent, Bucket=bucket) or {"Rules": []}
    enabled = {rule["ID"]: rule for rule in answer["Rules"] if rule["Status"] == "Enabled"}
    for rule in _properties("ExportsBucket")["LifecycleConfiguration"]["Rules"]:
        expected = rule.get("ExpirationInDays")
        expected = int(days) if isinstance(expected, dict) else expected  # a Ref of RetentionDays
        has = enabled.get(rule["Id"], {})
        if not has:
            what, done = f"The bucket has no lifecycle rule {rule['Id']}", "objects stay and cost money"
            yield Finding("problem", f"{what}: {done}", f"Add the rule as template.yaml has it, with {days} days.")
        elif expected and has.get("Expiration", {}).get("Days") != expected:
            what = f"The lifecycle rule {rule['Id']} removes objects after {has.get('Expiration', {}).get('Days')} days"
            yield Finding("problem", f"{what}, not {expected}", "Correct the rule as template.yaml has it.")


def policy(deployment: Deployment) -> Iterator[Finding]:
    """Whether the bucket refuses plain HTTP."""
    bucket = deployment.outputs["ExportsBucketName"]
    answer = deployment.ask("s3", "get_bucket_policy", ("NoSuchBucketPolicy",), Bucket=bucket)
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    if "RefuseWithoutTls" not in {each.get("Sid") for each in statements}:
        remedy = "Put the policy ExportsBucketPolicy of template.yaml: aws s3api put-bucket-policy"
        yield Finding("problem", "The bucket does not refuse plain HTTP: its policy lacks RefuseWithoutTls", remedy)
