"""The command `exports-admin doctor`: a healthy stack has no finding, each fault has one, and nothing is changed."""

from __future__ import annotations

import copy
import datetime
import json
import re
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from exports_admin import doctor
from exports_admin import stack as deployment_of
from exports_admin.health import checks
from exports_admin.health.deployment import Deployment, Finding, Resource, Unchecked, readable, template
from exports_admin.health.stack_state import expected_alarms
from tests.support.issuer import TestIssuer
from tests.unit.support import NOW, REGION, ROOT, Cloud, Frozen, event, failed, file_key, number, running, succeeded
from tests.unit.test_admin import Admin, command_line
from tests.unit.test_admin_seed import client

admin = pytest.fixture(command_line)
NAME = "report-exports"
SENDER = "reports@example.com"
HOUR = datetime.timedelta(hours=1)
PARAMETERS = {name: str(rule.get("Default", "")) for name, rule in template()["Parameters"].items()}
PARAMETERS |= {"SenderEmail": SENDER, "AlertEmail": "ops@example.com"}
CLAIM = PARAMETERS["TenantClaim"]
QUEUES = {"DeadLetters": "dead-letters", "Unannounced": "unannounced", "Notifications": "notifications"}
LOGS = {"PlanPartsLogs": f"/aws/lambda/{NAME}-plan-parts", "ReportExportLogs": f"/aws/vendedlogs/states/{NAME}-machine"}
OPEN_MAP_RUNS = {
    "QuotaName": "Open Map Runs",
    "Value": 1000.0,
    "UsageMetric": {"MetricNamespace": "AWS/States", "MetricName": "Runs", "MetricStatisticRecommendation": "Maximum"},
}
ANSWERS: dict[str, Any] = {
    "GetAccountSettings": {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}},
    "GetFunctionConcurrency": {},
    "ListServiceQuotas": {"Quotas": [OPEN_MAP_RUNS, {"QuotaName": "Without a metric", "Value": 1.0}]},
    "GetBucketPolicy": {"Policy": json.dumps({"Statement": [{"Sid": "RefuseWithoutTls"}]})},
    "GetEmailIdentity": {"VerifiedForSendingStatus": True},
    "GetAccount": {
        "SendingEnabled": True,
        "ProductionAccessEnabled": True,
        "EnforcementStatus": "HEALTHY",
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
        "SendQuota": {"Max24HourSend": 50000.0, "SentLast24Hours": 3.0},
    },
}
"""Answers of a healthy stack to operations that moto lacks, or whose answer it would enforce."""
Answers = dict[str, Any]


class Account:
    """A healthy stack in memory, made once, because that takes a second."""

    def __init__(self, cloud: Cloud) -> None:
        self.remembered: Answers = {}
        self.cloud, self.resources = cloud, {"AnnouncePipe": Resource("AWS::Pipes::Pipe", f"{NAME}-announce")}
        self._add("RetryExport", "AWS::Lambda::Function", f"{NAME}-retry-export")
        self._table()
        self._bucket()
        self._pool()
        self._alerts()

    def _add(self, name: str, kind: str, physical_id: str) -> None:
        self.resources[name] = Resource(kind, physical_id)

    def _table(self) -> None:
        dynamodb, name = self.cloud.dynamodb, self.cloud.table
        view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        updated = dynamodb.update_table(TableName=name, StreamSpecification=view)
        self.stream = updated["TableDescription"]["LatestStreamArn"]
        ttl = {"Enabled": True, "AttributeName": "delete_after"}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        recovery = {"PointInTimeRecoveryEnabled": True}
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)

    def _bucket(self) -> None:
        s3, bucket = self.cloud.s3, self.cloud.bucket
        properties = template()["Resources"]["ExportsBucket"]["Properties"]
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        blocked = properties["PublicAccessBlockConfiguration"]
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)
        rules = [
            {"ID": rule["Id"], "Status": "Enabled", "Filter": {"Prefix": rule["Prefix"]}}
            | (
                {"Expiration": {"Days": 7}}
                if "ExpirationInDays" in rule
                else {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
            )
            for rule in properties["LifecycleConfiguration"]["Rules"]
        ]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})

    def _pool(self) -> None:
        cognito = client("cognito-idp")
        schema = [{"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True}]
        admin = {"AllowAdminCreateUserOnly": True}
        pool = cognito.create_user_pool(PoolName="users", Schema=schema, AdminCreateUserConfig=admin)
        self.pool = pool["UserPool"]["Id"]
        self._add("UserPool", "AWS::Cognito::UserPool", self.pool)
        access = {"ReadAttributes": ["email", CLAIM], "WriteAttributes": ["email"]}
        made = cognito.create_user_pool_client(UserPoolId=self.pool, ClientName="ours", **access)
        self.client = made["UserPoolClient"]["ClientId"]
        attributes = [{"Name": "email", "Value": "ann@example.com"}, {"Name": CLAIM, "Value": "acme"}]
        cognito.admin_create_user(UserPoolId=self.pool, Username="ann", UserAttributes=attributes)

    def _alerts(self) -> None:
        sns, sqs, logs, events = client("sns"), client("sqs"), client("logs"), client("events")
        topic = sns.create_topic(Name=f"{NAME}-alerts")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
        self._add("Alerts", "AWS::SNS::Topic", topic)
        for name, queue in QUEUES.items():
            self._add(name, "AWS::SQS::Queue", sqs.create_queue(QueueName=f"{NAME}-{queue}")["QueueUrl"])
        for name in (
            name for name, each in template()["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"
        ):
            self._alarm(name)
        for name, group in LOGS.items():
            logs.create_log_group(logGroupName=group)
            logs.put_retention_policy(logGroupName=group, retentionInDays=30)
            self._add(name, "AWS::Logs::LogGroup", group)
        events.create_event_bus(Name="bus")
        events.put_rule(Name="every-five-minutes", ScheduleExpression="rate(5 minutes)")
        events.put_rule(Name="notify", EventBusName="bus", EventPattern="{}")
        self._add("Schedule", "AWS::Events::Rule", "every-five-minutes")
        self._add("NotifyRule", "AWS::Events::Rule", "bus|notify")

    def _alarm(self, name: str) -> None:
        client("cloudwatch").put_metric_alarm(
            AlarmName=f"{NAME}-{name}",
            AlarmDescription=f"{name} - docs/operations.md#section-of-{name}",
            Namespace="AWS/SQS",
            MetricName="Visible",
            Dimensions=[{"Name": "QueueName", "Value": f"{NAME}-dead-letters"}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
        client("cloudwatch").set_alarm_state(AlarmName=f"{NAME}-{name}", StateValue="OK", StateReason="test")
        self._add(name, "AWS::CloudWatch::Alarm", f"{NAME}-{name}")


class Stack:
    """The healthy stack, as one test changes it. ``answers`` has an answer, a change of it, or an error code."""

    def __init__(self, account: Account) -> None:
        self.account, self.cloud = account, account.cloud
        self.parameters, self.resources = dict(PARAMETERS), dict(account.resources)
        self.described: dict[str, Any] = {"StackStatus": "UPDATE_COMPLETE"}
        self.skew: datetime.timedelta | None = datetime.timedelta(seconds=1)
        self.client, self.issuer = account.client, ""
        self.calls: list[tuple[str, str]] = []
        self.healthy = ANSWERS | {"DescribePipe": {"CurrentState": "RUNNING", "Source": account.stream}}
        self.answers: Answers = {}

    def answer(self, operation: str, ask: Callable[[], Any]) -> Any:
        """The answer to an operation, or its error code."""
        changed = self.answers.get(operation)
        if changed is not None and not callable(changed):
            return changed
        if operation not in self.healthy:
            return changed(ask()) if changed else ask()
        healthy = copy.deepcopy(self.healthy[operation])
        return changed(healthy) if changed else healthy

    @property
    def deployment(self) -> Deployment:
        outputs = {
            "ExportsTableName": self.cloud.table,
            "ExportsBucketName": self.cloud.bucket,
            "EventBusName": "bus",
        }
        users = {"UserPoolId": self.account.pool, "UserPoolClientId": self.client}
        outputs |= {"Issuer": self.issuer} if self.issuer else users
        described = {
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        }
        where = {"stack": NAME, "region": REGION, "endpoint_url": None}
        return Deployment(where, described | self.described, self.skew, self.resources)

    def findings(self) -> dict[str, list[Finding]]:
        """The findings of all checks that have some."""
        found = {check.name: checks.run(check, self.deployment) for check in EVERY}
        return {name: findings for name, findings in found.items() if findings}


EVERY = [*checks.ALWAYS, *checks.DEPLOYED, checks.FILES]
NAMES = event("environment")["ReadExports"] | event("environment")["RequestExport"]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    from moto import mock_aws  # it takes a second

    with mock_aws():
        yield Account(Cloud(NAMES, client("dynamodb"), client("s3"), client("stepfunctions")))


@pytest.fixture
def stack(alone: None, account: Account, time: Frozen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(boto3, "client", lambda service, **_: client(service))
    monkeypatch.setenv("EXPORTS_TABLE", account.cloud.table)
    monkeypatch.setenv("EXPORTS_BUCKET", account.cloud.bucket)
    made, original = Stack(account), BaseClient._make_api_call

    def answer(called: Any, operation: str, arguments: dict[str, Any]) -> Any:
        made.calls.append((called.meta.service_model.service_name, operation))

        def ask() -> Any:
            if operation in ("Scan", "GetItem", "ListObjectsV2") or not operation.startswith(
                ("Describe", "Get", "List")
            ):
                return original(called, operation, arguments)
            key = f"{operation} {arguments}"  # the same answer for every test, because moto takes its time
            if key not in account.remembered:
                account.remembered[key] = original(called, operation, arguments)
            return copy.deepcopy(account.remembered[key])

        answered = made.answer(operation, ask)
        if not isinstance(answered, str):
            return answered
        raise called.exceptions.from_code(answered)({"Error": {"Code": answered, "Message": "No"}}, operation)

    with patch.object(BaseClient, "_make_api_call", answer):
        yield made
    for item in account.cloud.items():
        key = {name: {"S": item[name]} for name in ("owner", "export_id")}
        account.cloud.dynamodb.delete_item(TableName=account.cloud.table, Key=key)
    for stored in account.cloud.keys():  # noqa: SIM118 - a method of Cloud
        account.cloud.s3.delete_object(Bucket=account.cloud.bucket, Key=stored)


def test_a_healthy_stack_has_no_finding(stack: Stack) -> None:
    assert stack.findings() == {}


def test_the_command_changes_nothing_and_its_permissions_are_documented(stack: Stack) -> None:
    stack.cloud.write(running())
    stack.calls.clear()
    stack.findings()
    made = set(stack.calls)
    assert {re.findall("[A-Z][a-z]+", operation)[0] for _, operation in made} == {"Describe", "Get", "List", "Scan"}
    section = (ROOT / "docs" / "operations.md").read_text("utf-8").split("### A check-up\n")[1].split("\n### ")[0]
    for service, operation in made:
        with pytest.raises(Unchecked) as refused, readable(service):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, operation)
        assert f"`{str(refused.value).removeprefix('needs ')}`" in section


# ── The faults ──────────────────────────────────────────────────────────────────────────────────────────────────────


def changed(operation: str, *path: str | int, **values: Any) -> Callable[[Stack], None]:
    """Changes values of an answer, at a path in it."""

    def change(answered: Any) -> Any:
        reduce(lambda at, key: at[key], path, answered).update(values)
        return answered

    return lambda stack: stack.answers.update({operation: change})


def answered(operation: str, instead: Any) -> Callable[[Stack], None]:
    """Replaces an answer, with an error code if it is text."""
    return lambda stack: stack.answers.update({operation: instead})


def empty(operation: str, key: str) -> Callable[[Stack], None]:
    """An answer without the first item of its list."""
    return lambda stack: stack.answers.update({operation: lambda found: found | {key: found[key][1:]}})


def setting(**parameters: str) -> Callable[[Stack], None]:
    return lambda stack: stack.parameters.update(parameters)


def status(name: str) -> Callable[[Stack], None]:
    return lambda stack: stack.described.update(StackStatus=name)


def without(resource: str) -> Callable[[Stack], None]:
    return lambda stack: stack.resources.pop(resource) and None


def unlisted(stack: Stack, resource: str) -> None:
    """The resource is one of the stack's, but not one of its kind."""
    stack.resources[resource] = stack.resources[resource]._replace(kind="")


def skewed(**by: int) -> Callable[[Stack], None]:
    return lambda stack: setattr(stack, "skew", datetime.timedelta(**by) if by else None)


def users(*tenants: str) -> Callable[[Stack], None]:
    listed = [
        {
            "Username": f"sub-{number}",
            "Attributes": [{"Name": "email", "Value": f"{number}@example.com"}]
            + ([{"Name": CLAIM, "Value": tenant}] if tenant else []),
        }
        for number, tenant in enumerate(tenants)
    ]
    return answered("ListUsers", {"Users": listed})


def written(*records: dict[str, Any], files: tuple[str, ...] = ()) -> Callable[[Stack], None]:
    def write(stack: Stack) -> None:
        stack.cloud.write(*records)
        for key in files:
            stack.cloud.put(key, "")

    return write


EARLY = "2026-11-23T07:00:00.000Z"
FIRST = ("MetricAlarms", 0)
MESSAGES = {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "1"}
PENDING = {"Subscriptions": [{"Endpoint": "ops@example.com", "SubscriptionArn": "PendingConfirmation"}]}
LIMIT, PITR = ("AccountLimit",), ("ContinuousBackupsDescription", "PointInTimeRecoveryDescription")
Fault = tuple[Callable[[Stack], Any], str, str, str, str]
"""A fault, and its finding: the check, the level, words of the fault and of the remedy."""
FAULTS: list[Fault] = [
    (status("UPDATE_ROLLBACK_FAILED"), "stack", "problem", "is UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    (status("UPDATE_ROLLBACK_COMPLETE"), "stack", "warning", "the stack is as before", "describe-stack-events"),
    (status("UPDATE_IN_PROGRESS"), "stack", "warning", "is UPDATE_IN_PROGRESS", "when the deployment has ended"),
    (
        lambda stack: stack.described.update(
            DriftInformation={"StackDriftStatus": "DRIFTED", "LastCheckTimestamp": NOW}
        ),
        *("stack", "warning", "Resources differed from the template on 2026-11-23", "describe-stack-resource-drifts"),
    ),
    (
        lambda stack: stack.parameters.pop("PageUrl"),
        "stack",
        "warning",
        "older than this checkout: it has no PageUrl",
        "",
    ),
    (setting(Shiny="1"), "stack", "warning", "newer than this checkout, which does not know Shiny", "checkout"),
    (without("OpenMapRunsAlarm"), "stack", "warning", "it has no OpenMapRunsAlarm", "make deploy"),
    (skewed(minutes=2), "clock", "warning", "120 s ahead", "NTP"),
    (skewed(minutes=-6), "clock", "problem", "360 s behind", "NTP"),
    (skewed(), "clock", "warning", "could not be checked: the answer of CloudFormation has no date", "Compare"),
    (
        changed("GetAccountSettings", *LIMIT, UnreservedConcurrentExecutions=10),
        *("lambda", "problem", "10 concurrent executions for MapConcurrency 20", "#limits-of-a-new-account"),
    ),
    (
        changed("GetAccountSettings", *LIMIT, UnreservedConcurrentExecutions=100),
        *("lambda", "warning", "5 exports at the same time need 105", "MaxActivePerOwner"),
    ),
    (
        changed("GetFunctionConcurrency", ReservedConcurrentExecutions=0),
        *("lambda", "problem", "The function report-exports-retry-export is stopped", "delete-function-concurrency"),
    ),
    (
        answered("GetMetricStatistics", {"Datapoints": [{"Maximum": 10.0}, {"Maximum": 900.0}]}),
        *("step functions", "warning", "Open Map Runs: 900 of 1,000 were used", "Service Quotas"),
    ),
    (
        answered("ListServiceQuotas", "InvalidAction"),
        *("step functions", "warning", "servicequotas:ListServiceQuotas answered InvalidAction (No)", "Try again"),
    ),
    (
        changed("DescribeAlarms", *FIRST, StateValue="ALARM"),
        *("alarms", "problem", "is in ALARM", "See docs/operations.md#section-of-"),
    ),
    (
        changed("DescribeAlarms", *FIRST, StateValue="INSUFFICIENT_DATA", StateUpdatedTimestamp=NOW - 2 * HOUR),
        *("alarms", "problem", "is in INSUFFICIENT_DATA since 2026-11-23 07:12 UTC", "dimensions"),
    ),
    (empty("DescribeAlarms", "MetricAlarms"), "alarms", "problem", "was deleted", "in template.yaml defines it"),
    (
        changed("DescribeAlarms", *FIRST, Dimensions=[{"Name": "QueueName", "Value": "other"}]),
        *("alarms", "problem", "watches QueueName other, which is not of this stack", "Correct the dimension"),
    ),
    (
        changed("DescribeAlarms", *FIRST, ActionsEnabled=False),
        *("alarms", "warning", "its actions are disabled", "enable-alarm-actions --alarm-names report-exports-"),
    ),
    (without("Alerts"), "alert mail", "warning", "AlertEmail is empty", "make deploy PARAMETERS=AlertEmail="),
    (
        answered("ListSubscriptionsByTopic", PENDING),
        *("alert mail", "problem", "ops@example.com gets no mail for an alarm: PendingConfirmation", "Confirm"),
    ),
    (
        answered("ListSubscriptionsByTopic", {"Subscriptions": []}),
        *("alert mail", "problem", "Nobody is subscribed", "aws sns subscribe"),
    ),
    (
        lambda stack: (
            stack.resources.pop("Unannounced"),
            changed("GetQueueAttributes", "Attributes", **MESSAGES)(stack),
        ),
        *("queues", "problem", "The queue report-exports-dead-letters has 2 messages", "exports-admin dead-letters"),
    ),
    (
        lambda stack: (
            unlisted(stack, "DeadLetters"),
            changed("GetQueueAttributes", "Attributes", **MESSAGES)(stack),
        ),
        *("queues", "problem", "The queue report-exports-unannounced has 2", "docs/operations.md#unannounced"),
    ),
    (
        lambda stack: (
            stack.resources.pop("Unannounced"),
            answered("GetQueueAttributes", "AWS.SimpleQueueService.NonExistentQueue")(stack),
        ),
        *("queues", "problem", "The queue report-exports-dead-letters was deleted", "as DeadLetters in template.yaml"),
    ),
    (
        lambda stack: (
            stack.resources.pop("ReportExportLogs"),
            changed("DescribeLogGroups", "logGroups", 0, retentionInDays=None)(stack),
        ),
        *("logs", "warning", "keeps its lines for ever, not 30 days", "put-retention-policy"),
    ),
    (
        lambda stack: (stack.resources.pop("ReportExportLogs"), empty("DescribeLogGroups", "logGroups")(stack)),
        *("logs", "problem", "The log group /aws/lambda/report-exports-plan-parts was deleted", "create-log-group"),
    ),
    (
        written(running(number(1), queued_at=EARLY), running(number(2))),
        *("active", "problem", f"1 export is active for more than 1:10:00: {number(1)}", "Read its log"),
    ),
    (
        written(failed(number(1)) | {"finished_at": EARLY}, failed(number(2))),
        *("settling", "problem", f"1 export is settling for more than 0:25:00: {number(1)}", "Read its log"),
    ),
    (
        answered("DescribeTable", "ResourceNotFoundException"),
        *("table", "problem", "The table report-exports-local does not exist", "docs/howto/disaster.md#the-table"),
    ),
    (
        changed("DescribeTable", "Table", StreamSpecification=None),
        *("table", "problem", "The stream of the table is not enabled", "#the-stream-and-the-pipe"),
    ),
    (
        changed("DescribeTable", "Table", GlobalSecondaryIndexes=[]),
        *("table", "problem", "The index ActiveExports is missing", "template.yaml"),
    ),
    (
        changed("DescribeTable", "Table", DeletionProtectionEnabled=True),
        *("table", "warning", "The deletion protection of the table is on", "--no-deletion-protection-enabled"),
    ),
    (changed("DescribeTable", "Table", TableStatus="CREATING"), "table", "problem", "The table is CREATING", "Wait"),
    (
        changed("DescribeContinuousBackups", *PITR, PointInTimeRecoveryStatus="DISABLED"),
        *("table", "problem", "Point-in-time recovery of the table is off", "update-continuous-backups"),
    ),
    (
        answered("DescribeTimeToLive", {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}),
        *("table", "warning", "Time to live of the table is DISABLED: old records stay", "update-time-to-live"),
    ),
    (
        changed("DescribePipe", CurrentState="STOPPED", StateReason="by hand"),
        *("pipe", "problem", "The Pipe report-exports-announce is STOPPED (by hand)", "start-pipe"),
    ),
    (
        changed("DescribePipe", Source="arn:old"),
        *("pipe", "problem", "reads arn:old, which is not the table's stream", "#the-stream-and-the-pipe"),
    ),
    (
        answered("DescribePipe", "NotFoundException"),
        "pipe",
        "problem",
        "announce was deleted",
        "#the-stream-and-the-pipe",
    ),
    (
        lambda stack: (stack.resources.pop("Schedule"), changed("DescribeRule", State="DISABLED")(stack)),
        *("rules", "problem", "The rule notify is disabled", "enable-rule --name notify --event-bus-name bus"),
    ),
    (
        lambda stack: (stack.resources.pop("Schedule"), answered("DescribeRule", "ResourceNotFoundException")(stack)),
        *("rules", "problem", "The rule notify was deleted", "template.yaml"),
    ),
    (
        answered("GetBucketEncryption", "ServerSideEncryptionConfigurationNotFoundError"),
        *("bucket", "problem", "has no default encryption", "docs/howto/disaster.md#the-bucket"),
    ),
    (
        answered("GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        *("bucket", "problem", "does not block public access: BlockPublicAcls,", "put-public-access-block"),
    ),
    (
        changed("GetBucketLifecycleConfiguration", "Rules", 1, Expiration={"Days": 30}),
        *("bucket", "problem", "The lifecycle rule exports removes objects after 30 days, not 7", "template.yaml"),
    ),
    (
        changed("GetBucketLifecycleConfiguration", "Rules", 0, Status="Disabled"),
        *("bucket", "problem", "The bucket has no lifecycle rule work", "Add the rule"),
    ),
    (
        answered("GetBucketPolicy", "NoSuchBucketPolicy"),
        "bucket",
        "problem",
        "does not refuse plain HTTP",
        "Put the policy",
    ),
    (
        answered("DescribeUserPool", "ResourceNotFoundException"),
        *("user pool", "problem", "does not exist: nobody can sign in", "docs/howto/disaster.md#the-user-pool"),
    ),
    (
        changed("DescribeUserPool", "UserPool", AdminCreateUserConfig={"AllowAdminCreateUserOnly": False}),
        *("user pool", "warning", "Anybody may sign up in the user pool", "AdminCreateUserConfig"),
    ),
    (
        changed("DescribeUserPoolClient", "UserPoolClient", WriteAttributes=["email", CLAIM]),
        *("user pool", "problem", f"Users of the client ours can change their own tenant ({CLAIM})", "Remove"),
    ),
    (
        changed("DescribeUserPoolClient", "UserPoolClient", WriteAttributes=[]),
        *("user pool", "warning", "The client ours has no list of WriteAttributes", f"a list without {CLAIM}"),
    ),
    (
        changed("DescribeUserPoolClient", "UserPoolClient", ReadAttributes=["email"]),
        *("user pool", "problem", f"Tokens of the client ours do not hold {CLAIM}", "ReadAttributes"),
    ),
    (
        lambda stack: setattr(stack, "client", "gone"),
        *("user pool", "problem", "The client gone does not exist", "UserPoolClientId"),
    ),
    (
        users("acme", "", "acme#1"),
        *(
            "users",
            "warning",
            "2 users have no valid tenant, so the API refuses them: 1@example.com, 2@example.com ('acme#1')",
        ),
        "bin/exports-admin user EMAIL --tenant TENANT --change --stack report-exports",
    ),
    (
        changed("GetEmailIdentity", VerifiedForSendingStatus=False),
        *("mail", "problem", f"SES has not verified {SENDER}", "Confirm the mail"),
    ),
    (
        changed("GetEmailIdentity", ConfigurationSetName="ours"),
        *("mail", "warning", "has the default configuration set ours", "docs/howto/send-mail.md#before-you-deploy"),
    ),
    (
        answered("GetEmailIdentity", "NotFoundException"),
        *("mail", "problem", f"SES knows neither {SENDER} nor its domain", "create-email-identity"),
    ),
    (
        changed("GetAccount", ProductionAccessEnabled=False),
        *("mail", "warning", "SES is in its sandbox", "Request production access"),
    ),
    (changed("GetAccount", SendingEnabled=False), "mail", "problem", "SES has paused the sending", "Reputation"),
    (
        changed("GetAccount", SuppressionAttributes={"SuppressedReasons": ["BOUNCE"]}),
        *("mail", "warning", "SES keeps sending to addresses after a complaint", "put-account-suppression-attributes"),
    ),
    (
        changed("GetAccount", SendQuota={"Max24HourSend": 200.0, "SentLast24Hours": 200.0}),
        *("mail", "problem", "The account has sent its 200 mails of the day", "higher sending quota"),
    ),
    (
        written(succeeded(number(1)), running(number(2)), files=tuple(file_key(number(index)) for index in (1, 2, 3))),
        *("files", "warning", f"No record names 1 of 3 files: {file_key(number(3))}", "S3 removes each 7 days"),
    ),
    (
        written(succeeded(number(1)), succeeded(number(2), expires_at=EARLY)),
        *("files", "warning", f"The file of 1 export that succeeded is gone: {number(1)}", "requests it again"),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[3])
def test_each_fault_is_one_finding_with_a_remedy(fault: Fault, stack: Stack) -> None:
    plant, check, level, what, remedy = fault
    plant(stack)
    ((name, (finding,)),) = stack.findings().items()
    assert (name, finding.level) == (check, level)
    assert what in finding.what
    assert remedy in finding.remedy


def test_without_mail_ses_is_not_asked(stack: Stack) -> None:
    stack.parameters["SenderEmail"] = ""
    alarms = [each for each in template()["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(expected_alarms(stack.deployment)) == sum("Condition" not in each for each in alarms)
    assert stack.findings() == {}
    assert "sesv2" not in {service for service, _ in stack.calls}


def test_the_issuer_is_read_instead_of_a_user_pool(stack: Stack) -> None:
    issuer = TestIssuer()
    stack.issuer = issuer.url
    assert stack.findings() == {}
    assert "cognito-idp" not in {service for service, _ in stack.calls}
    stack.issuer += "/"
    ((finding,),) = stack.findings().values()
    assert "every token is refused" in finding.what
    issuer.stop()
    ((finding,),) = stack.findings().values()
    assert (finding.level, "cannot be read" in finding.what) == ("problem", True)


def test_a_tenant_that_a_trigger_adds_to_the_token_is_not_missed(stack: Stack) -> None:
    users("")(stack)
    changed("DescribeUserPool", "UserPool", LambdaConfig={"PreTokenGenerationConfig": {"LambdaArn": "arn"}})(stack)
    assert stack.findings() == {}


def test_what_the_caller_may_not_read_is_a_warning_and_the_rest_is_checked(stack: Stack) -> None:
    stack.answers = dict.fromkeys(("GetBucketEncryption", "GetBucketLifecycleConfiguration"), "AccessDenied")
    stack.answers["GetBucketPolicy"] = "NoSuchBucketPolicy"
    encryption, lifecycle, policy = stack.findings()["bucket"]
    assert encryption == Finding(
        "warning",
        "Whether the bucket exists and encrypts its objects could not be checked: needs s3:GetEncryptionConfiguration",
        "Allow s3:GetEncryptionConfiguration, or use credentials that have it.",
    )
    assert lifecycle.what.endswith("needs s3:GetLifecycleConfiguration")
    assert policy.level == "problem"


# ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def found(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack, as the command finds it."""
    monkeypatch.setattr(Deployment, "find", lambda _where: stack.deployment)
    monkeypatch.setattr(doctor, "connect", lambda _name: None)
    return stack


def test_a_line_for_each_check_fits_the_terminal(admin: Admin, found: Stack) -> None:
    ran = admin("doctor")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err, len(lines)) == (0, "", len(checks.ALWAYS) + len(checks.DEPLOYED))
    assert lines[0] == "ok       stack           state, drift, version of the template"
    assert all(line.startswith("ok ") and len(line) <= 80 for line in lines)


def test_what_to_do_follows_and_a_problem_is_status_1(admin: Admin, found: Stack) -> None:
    changed("DescribeContinuousBackups", *PITR, PointInTimeRecoveryStatus="DISABLED")(found)
    found.described["StackStatus"] = "UPDATE_IN_PROGRESS"
    ran = admin("doctor")
    rows, remedies = ran.out.split("\nWhat to do\n")
    assert ran.code == 1
    assert rows.startswith("warning  stack ")
    assert "\nproblem  table " in rows
    assert remedies == (
        "\nstack: The stack is UPDATE_IN_PROGRESS.\n"
        "  Run the command again when the deployment has ended.\n"
        "\ntable: Point-in-time recovery of the table is off.\n"
        "  Set it as template.yaml has it: aws dynamodb update-continuous-backups\n"
        f"  --table-name {found.cloud.table} --point-in-time-recovery-specification\n"
        "  PointInTimeRecoveryEnabled=true\n"
    )


def test_scripts_get_json(admin: Admin, found: Stack) -> None:
    changed("DescribeAlarms", *FIRST, StateValue="ALARM")(found)
    ran = admin("doctor", "--json", "--files")
    said = json.loads(ran.out)
    assert (ran.code, said["stack"], said["level"]) == (1, NAME, "problem")
    levels = {check["name"]: check["level"] for check in said["checks"]}
    assert (levels.pop("alarms"), set(levels.values()), "files" in levels) == ("problem", {"ok"}, True)


def test_a_stack_that_was_never_deployed_has_no_other_checks(admin: Admin, found: Stack) -> None:
    found.described |= {"StackStatus": "ROLLBACK_COMPLETE", "Outputs": []}
    ran = admin("doctor")
    assert (ran.code, len(ran.out.split("\n\n")[0].splitlines())) == (1, len(checks.ALWAYS))
    assert "Delete the stack" in ran.out


def test_a_stack_is_read_from_cloudformation(admin: Admin, stack: Stack) -> None:
    listed = [{"LogicalResourceId": "Alerts", "ResourceType": "AWS::SNS::Topic", "PhysicalResourceId": "arn"}]
    stack.answers["ListStackResources"] = {"StackResourceSummaries": listed}
    stack.answers["DescribeStacks"] = {
        "Stacks": [{"StackStatus": "CREATE_COMPLETE"}],
        "ResponseMetadata": {"HTTPHeaders": {"date": "Mon, 23 Nov 2026 09:12:30 GMT"}},
    }
    found = Deployment.find(deployment_of.locate(NAME))
    assert (found.status, found.skew) == ("CREATE_COMPLETE", datetime.timedelta(seconds=1, milliseconds=482))
    assert found.of_kind("AWS::SNS::Topic") == {"Alerts": "arn"}
    stack.answers["ListStackResources"] = "AccessDenied"
    ran = admin("doctor")
    said = "The resources of report-exports cannot be listed: needs cloudformation:ListStackResources."
    assert (ran.code, said in ran.err) == (1, True)
