"""CloudFormation sets what a template says of a table, a bucket and a function.

AWS ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Lambda::Function", CloudFormation Template Reference):
TimeToLiveSpecification, PointInTimeRecoverySpecification, LifecycleConfiguration, BucketEncryption and DeadLetterConfig
are settings of the resource.
Stock: ignores them, so a table keeps items for ever, and a failed event of a function is lost.
Here: they are set as the services' own calls set them. Not modelled: rules with tags, versions or storage classes.
"""

from typing import Any
from xml.sax.saxutils import escape

from ministack.services import dynamodb, lambda_svc, s3
from ministack.services.cloudformation import provisioners


def apply() -> None:
    """Applies the settings when CloudFormation creates or updates one of these resources."""
    settled = {"AWS::DynamoDB::Table": _settle_table, "AWS::S3::Bucket": _settle_bucket}
    for kind, settle in (settled | {"AWS::Lambda::Function": _settle_function}).items():
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["create"] = _then(handlers["create"], 1, settle)
        handlers["update"] = _then(handlers["update"], 2, settle)


def _then(provision: Any, position: int, settle: Any) -> Any:
    def wrapped(*arguments: Any, **more: Any) -> Any:
        made = provision(*arguments, **more)
        settle(made[0], arguments[position])
        return made

    return wrapped


def _settle_table(name: str, properties: dict[str, Any]) -> None:
    if ttl := properties.get("TimeToLiveSpecification"):
        enabled = str(ttl["Enabled"]).lower() == "true"
        spec = {"Enabled": enabled, "AttributeName": ttl.get("AttributeName", "")}
        dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": spec})
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        enabled = str(recovery["PointInTimeRecoveryEnabled"]).lower() == "true"
        spec = {"PointInTimeRecoveryEnabled": enabled}
        dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": spec})


def _settle_bucket(name: str, properties: dict[str, Any]) -> None:
    if rules := properties.get("LifecycleConfiguration", {}).get("Rules"):
        body = f"<LifecycleConfiguration>{''.join(map(_rule, rules))}</LifecycleConfiguration>"
        s3._put_bucket_lifecycle(name, body.encode())
    for rule in properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
        settings = rule["ServerSideEncryptionByDefault"].items()
        content = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in settings)
        content = f"<Rule><ApplyServerSideEncryptionByDefault>{content}</ApplyServerSideEncryptionByDefault></Rule>"
        body = f"<ServerSideEncryptionConfiguration>{content}</ServerSideEncryptionConfiguration>"
        s3._put_bucket_encryption(name, body.encode())


def _settle_function(name: str, properties: dict[str, Any]) -> None:
    if target := properties.get("DeadLetterConfig"):
        lambda_svc._functions[name.rsplit(":", 1)[-1]]["config"]["DeadLetterConfig"] = target


def _rule(rule: dict[str, Any]) -> str:
    content = f"<ID>{escape(rule['Id'])}</ID><Status>{rule['Status']}</Status>"
    content += f"<Filter><Prefix>{escape(rule.get('Prefix', ''))}</Prefix></Filter>"
    if days := rule.get("ExpirationInDays"):
        content += f"<Expiration><Days>{days}</Days></Expiration>"
    if abort := rule.get("AbortIncompleteMultipartUpload"):
        days = abort["DaysAfterInitiation"]
        after = f"<DaysAfterInitiation>{days}</DaysAfterInitiation>"
        content += f"<AbortIncompleteMultipartUpload>{after}</AbortIncompleteMultipartUpload>"
    return f"<Rule>{content}</Rule>"
