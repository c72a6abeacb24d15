"""Each rule of the template gate catches the fault that is planted against it, and names where it is and what to do."""

from functools import cache
from typing import NamedTuple

import pytest

from checks import Fault, repository, template
from checks.repository import Document
from checks.template import tools
from checks.template.permissions import is_of
from checks.template.stack import Stack

TEXT = (repository.ROOT / "template.yaml").read_text("utf-8")


def edited(*edits: tuple[str, str]) -> Document:
    """The template with each first text, wherever it stands, replaced by the second."""
    text = TEXT
    for old, new in edits:
        assert old in text, f"the template holds no more {old!r}"
        text = text.replace(old, new)
    return Document(text, "template.yaml")


@cache
def found_without() -> set[tuple[str, str]]:
    return {(fault.place, fault.wrong) for fault in template.faults_of(edited())}


def planted(*edits: tuple[str, str]) -> list[Fault]:
    """The faults that the edits make."""
    found = template.faults_of(edited(*edits))
    return [fault for fault in found if (fault.place, fault.wrong) not in found_without()]


class Plant(NamedTuple):
    """A fault: what is edited, and what must be said of which resource, on a line that holds what, and what to do."""

    name: str
    old: str
    new: str
    place: str
    on: str
    said: str
    remedy: str


def added(resource: str) -> tuple[str, str]:
    """An edit that adds a resource before all others."""
    return "\nResources:\n", f"\nResources:\n{resource}\n"


WATCHED = "GeneratePart, AssembleFile, ReconcileExports]\n    - ${Function}ErrorsAlarm:"
ROUTE = "ShowLimits: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /limits, Method: GET}}"
XRAY = 'Resource: "*"  # X-Ray does not support resource-level permissions'
LETTERS = "Resource: !GetAtt DeadLetters.Arn"
ROLE_OF_PLAN_PARTS = "      Role: !GetAtt PlanPartsRole.Arn\n"
START = "Action: states:StartExecution\n                Resource: "
BY_NAME = (
    "!Sub arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-report-export"
)
PLAN_PARTS_ROLE = "  PlanPartsRole:\n    Type: AWS::IAM::Role\n    Properties:\n"
LIST_DATA = '!Sub "arn:${AWS::Partition}:s3:::${DataBucket}'
DAILY = "Daily: {Type: Schedule, Properties: {Schedule: rate(1 day), DeadLetterConfig: {Arn: !GetAtt DeadLetters.Arn}}}"
ON_FAILURE = "{DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt DeadLetters.Arn}}}"

PLANTS = [
    # Queues and event sources
    Plant(
        "a queue without a dead-letter queue",
        *added("  Orders:\n    Type: AWS::SQS::Queue"),
        "Orders",
        "Orders:",
        "has no dead-letter queue",
        "Add RedrivePolicy",
    ),
    Plant(
        "a dead-letter queue that nobody watches",
        "[Unannounced, DeadLetters, Unreconciled]",
        "[Unannounced, Unreconciled]",
        "DeadLetters",
        "DeadLetters:",
        "is a dead-letter queue without an alarm",
        "dimension QueueName: !GetAtt DeadLetters.QueueName",
    ),
    Plant(
        "a pipe that drops what it cannot deliver",
        "          DeadLetterConfig: {Arn: !GetAtt Unannounced.Arn}\n",
        "",
        "AnnouncePipe",
        "DynamoDBStreamParameters:",
        "loses the changes",
        "Add DeadLetterConfig",
    ),
    Plant(
        "a pipe that tries for ever",
        "MaximumRetryAttempts: 20",
        "MaximumRetryAttempts: -1",
        "AnnouncePipe",
        "DynamoDBStreamParameters:",
        "all later changes wait",
        "Add MaximumRetryAttempts",
    ),
    Plant(
        "a rule that drops what it cannot deliver",
        ROUTE,
        "Ended: {Type: EventBridgeRule, Properties: {Pattern: {source: [aws.states]}}}",
        "ReadExports",
        "Ended:",
        "Ended loses the events",
        "Add DeadLetterConfig",
    ),
    Plant(
        "a schedule that drops what it cannot deliver",
        ROUTE,
        "Daily: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day)}}",
        "ReadExports",
        "Daily:",
        "Daily loses the events",
        "Add DeadLetterConfig",
    ),
    Plant(
        "a function whose events nobody keeps when it fails",
        ROUTE,
        DAILY,
        "ReadExports",
        "ReadExports:",
        "loses the event if it fails",
        "Add EventInvokeConfig",
    ),
    # Functions, the state machine and their logs
    Plant("no timeout", "    Timeout: 15\n", "", "ListReports", "ListReports:", "has no Timeout", "Add Timeout"),
    Plant(
        "no memory", "    MemorySize: 512\n", "", "ListReports", "ListReports:", "has no MemorySize", "Add MemorySize"
    ),
    Plant("no tracing", "    Tracing: Active\n", "", "PlanParts", "Properties:", "is not traced", "Tracing: Active"),
    Plant(
        "no log group",
        "      LoggingConfig: {LogGroup: !Ref PlanPartsLogs}\n",
        "",
        "PlanParts",
        "Properties:",
        "names no log group",
        "Add a log group",
    ),
    Plant(
        "a log group of two",
        "{LogGroup: !Ref PlanPartsLogs}",
        "{LogGroup: !Ref GeneratePartLogs}",
        "GeneratePartLogs",
        "${Function}Logs:",
        "is the log group of 2",
        "a log group of its own",
    ),
    Plant(
        "logs without an end",
        '-report-export", RetentionInDays: 30}',
        '-report-export"}',
        "ReportExportLogs",
        "ReportExportLogs:",
        "keeps logs forever",
        "Add RetentionInDays",
    ),
    Plant(
        "a function that nobody watches",
        f"PlanParts, {WATCHED}",
        WATCHED,
        "PlanParts",
        "PlanParts:",
        "has no alarm",
        "dimension FunctionName: !Ref PlanParts",
    ),
    Plant(
        "a machine that is not traced",
        "Tracing: {Enabled: true}",
        "Tracing: {Enabled: false}",
        "ReportExport",
        "Tracing: {Enabled: false}",
        "is not traced",
        "Enabled: true",
    ),
    Plant(
        "a machine that logs nothing",
        "Level: ERROR",
        "Level: OFF",
        "ReportExport",
        "Logging:",
        "does not log",
        "Level: ERROR",
    ),
    # Roles
    Plant(
        "a role from elsewhere",
        "Role: !GetAtt PlanPartsRole.Arn",
        "Role: arn:aws:iam::123456789012:role/everything",
        "PlanParts",
        "PlanParts:",
        "names no role of this template",
        "Add a role",
    ),
    Plant(
        "a role of two",
        "Role: !GetAtt PlanPartsRole.Arn",
        "Role: !GetAtt GeneratePartRole.Arn",
        "GeneratePartRole",
        "GeneratePartRole:",
        "is the role of PlanParts and GeneratePart",
        "a role of its own",
    ),
    Plant(
        "a role that SAM writes",
        ROUTE,
        "Daily: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day)}}",
        "ReadExports",
        "ReadExports:",
        "makes SAM create the role ReadExportsDailyRole",
        "Add a role",
    ),
    Plant(
        "SAM's own policies",
        ROLE_OF_PLAN_PARTS,
        f"{ROLE_OF_PLAN_PARTS}      Policies: [AWSLambdaBasicExecutionRole]\n",
        "PlanParts",
        "Policies: [AWSLambdaBasicExecutionRole]",
        "has permissions outside its role",
        "Move the statements into the role",
    ),
    Plant(
        "a policy of a connector",
        *added(
            "  Connector:\n    Type: AWS::Serverless::Connector\n    Properties:\n"
            "      {Source: {Id: PlanParts}, Destination: {Id: DeadLetters}, Permissions: [Write]}"
        ),
        "Connector",
        "Connector:",
        "is a policy outside a role",
        "Move the statements into the role",
    ),
    Plant(
        "a managed policy",
        PLAN_PARTS_ROLE,
        PLAN_PARTS_ROLE + "      ManagedPolicyArns: [arn:aws:iam::aws:policy/ReadOnlyAccess]\n",
        "PlanPartsRole",
        "ManagedPolicyArns:",
        "has a managed policy",
        "Write only the needed statements",
    ),
    Plant(
        "a role without its boundary",
        PLAN_PARTS_ROLE + "      PermissionsBoundary:",
        PLAN_PARTS_ROLE + "      Description:",
        "PlanPartsRole",
        "Properties:",
        "has no permissions boundary",
        "Add PermissionsBoundary: !If",
    ),
    Plant(
        "a role that anybody may assume",
        "Principal: {Service: pipes.amazonaws.com}",
        'Principal: {AWS: "*"}',
        "AnnouncePipeRole",
        "AssumeRolePolicyDocument:",
        "can be assumed by more than one service",
        "Name one",
    ),
    Plant(
        "a role that a service may assume for any account",
        'Condition: {StringEquals: {"aws:SourceAccount": !Ref AWS::AccountId}}',
        "Condition: {}",
        "AnnouncePipeRole",
        "AssumeRolePolicyDocument:",
        "can be assumed by pipes.amazonaws.com for any account",
        "aws:SourceAccount",
    ),
    # Statements
    Plant(
        "an action that does not exist",
        "Action: sqs:SendMessage",
        "Action: sqs:SendMessages",
        "ReportExportRole",
        "Action: sqs:SendMessages",
        "SendDeadLetters allows sqs:SendMessages, which is not an AWS action",
        "Correct it",
    ),
    Plant(
        "a wildcard action",
        "Action: sqs:SendMessage",
        "Action: sqs:*",
        "ReportExportRole",
        "Action: sqs:*",
        "SendDeadLetters allows sqs:*",
        "Name each action",
    ),
    Plant(
        "an action on what it does not apply to",
        LETTERS,
        "Resource: !GetAtt ExportsTable.Arn",
        "ReportExportRole",
        "Resource: !GetAtt ExportsTable.Arn",
        "sqs:SendMessage on arn:aws:dynamodb:us-east-1:123456789012:table/ExportsTable, to which it does not apply",
        "Name what it applies to: arn:${Partition}:sqs:${Region}:${Account}:${QueueName}",
    ),
    Plant(
        "in one case of a condition, a bucket's action on its objects",
        LIST_DATA + '"]',
        LIST_DATA + '/*"]',
        "PlanPartsRole",
        "Resource: !If [OwnDataBucket",
        "s3:ListBucket on arn:aws:s3:::DataBucket/*, to which it does not apply",
        "Name what it applies to",
    ),
    Plant(
        "in a statement that a condition adds, an action of another service",
        "Action: dynamodb:DescribeTable",
        "Action: s3:GetObject",
        "PlanPartsRole",
        "Resource: !Sub arn:${AWS::Partition}:dynamodb:",
        "s3:GetObject on arn:aws:dynamodb:us-east-1:123456789012:table/SourceTable, to which it does not apply",
        "Name what it applies to",
    ),
    Plant(
        "an action on a name instead of an ARN",
        LETTERS,
        "Resource: !Ref DeadLetters",
        "ReportExportRole",
        "Resource: !Ref DeadLetters",
        "sqs:SendMessage on DeadLetters, which is not an ARN",
        "!GetAtt",
    ),
    Plant(
        "an action that takes no resources on one",
        XRAY,
        "Resource: !GetAtt ExportsTable.Arn",
        "ListReportsRole",
        "Resource: !GetAtt ExportsTable.Arn",
        "xray:PutTraceSegments on arn:aws:dynamodb:us-east-1:123456789012:table/ExportsTable, but it takes no resource",
        'a statement of its own with "*"',
    ),
    Plant(
        "everything without a reason",
        XRAY,
        'Resource: "*"',
        "ListReportsRole",
        'Resource: "*"',
        "WriteTraces allows every resource without a reason",
        "say in a comment",
    ),
    Plant(
        "everything where a resource can be named",
        LETTERS,
        'Resource: "*"  # simpler',
        "ReportExportRole",
        'Resource: "*"  # simpler',
        "SendDeadLetters allows sqs:SendMessage on every resource, but it applies to arn:${Partition}:sqs",
        "name the action in the comment",
    ),
    Plant(
        "a statement that does not say why",
        "Sid: SendDeadLetters",
        "Sid: sqs",
        "ReportExportRole",
        "Sid: sqs",
        "sqs does not say what it is for",
        "Give it a Sid such as",
    ),
    Plant(
        "a statement of exceptions",
        "Action: sqs:SendMessage",
        "NotAction: sqs:DeleteQueue",
        "ReportExportRole",
        "NotAction: sqs:DeleteQueue",
        "SendDeadLetters allows everything except what NotAction names",
        "Name what it allows",
    ),
    # Data and names
    Plant(
        "data that goes with the stack",
        "DeletionPolicy: RetainExceptOnCreate",
        "DeletionPolicy: Delete",
        "ExportsTable",
        "DeletionPolicy: Delete",
        "holds data, but its DeletionPolicy is Delete",
        "Write DeletionPolicy: RetainExceptOnCreate",
    ),
    Plant(
        "data that goes when it is replaced",
        "    UpdateReplacePolicy: Retain\n",
        "",
        "UserPool",
        "UserPool:",
        "holds data, but its UpdateReplacePolicy is Delete",
        "Write UpdateReplacePolicy: Retain",
    ),
    Plant(
        "a queue that stays",
        "\n  DeadLetters:\n",
        "\n  DeadLetters:\n    DeletionPolicy: Retain\n",
        "DeadLetters",
        "DeletionPolicy: Retain",
        "holds no data, but its DeletionPolicy is Retain",
        "Remove DeletionPolicy",
    ),
    Plant(
        "a layer that SAM keeps",
        "      RetentionPolicy: Delete\n",
        "",
        "ReportsLayer",
        "ReportsLayer:",
        "holds no data, but its DeletionPolicy is Retain",
        "RetentionPolicy: Delete",
    ),
    Plant(
        "a name that two stacks share",
        "QueueName: !Sub ${AWS::StackName}-dead-letters",
        "QueueName: dead-letters",
        "DeadLetters",
        "QueueName: dead-letters",
        "QueueName does not contain the stack's name",
        "!Sub ${AWS::StackName}-…",
    ),
    Plant(
        "a log group's name that two stacks share",
        '"/aws/vendedlogs/states/${AWS::StackName}-report-export"',
        "/aws/vendedlogs/states/report-export",
        "ReportExportLogs",
        "LogGroupName: !Sub /aws/vendedlogs/states/report-export",
        "LogGroupName does not contain the stack's name",
        "!Sub ${AWS::StackName}-…",
    ),
    Plant(
        "a name that is too long",
        "FunctionName: !Sub ${AWS::StackName}-plan-parts",
        "FunctionName: !Sub ${AWS::StackName}-which-divides-what-is-to-be-read",
        "PlanParts",
        "FunctionName:",
        "FunctionName has 65 characters if the stack's name has 32; the maximum is 64",
        "Shorten it",
    ),
    Plant(
        "a role's name",
        PLAN_PARTS_ROLE,
        PLAN_PARTS_ROLE + "      RoleName: !Sub ${AWS::StackName}-plan\n",
        "PlanPartsRole",
        "RoleName:",
        "RoleName needs CAPABILITY_NAMED_IAM",
        "Let CloudFormation name it",
    ),
    # References
    Plant(
        "a circle of two",
        START + BY_NAME,
        START + "!Ref ReportExport",
        "ReportExportRole",
        "Resource: !Ref ReportExport",
        "waits for itself: ReportExportRole → ReportExport → ReportExportRole",
        "by its explicit name",
    ),
    Plant(
        "a circle that only the deployed template has",
        "          REPORTS_FOLDER: /opt\n          TENANT_CLAIM",
        "          API: !Ref Api\n          TENANT_CLAIM",
        "ListReports",
        "API: !Ref Api",
        "waits for itself: ListReports → Api → ListReports",
        "by its explicit name",
    ),
    Plant(
        "a parameter for nothing",
        "\nParameters:\n",
        "\nParameters:\n  Colour: {Type: String, Default: red}\n",
        "Colour",
        "Colour:",
        "is a parameter that nothing uses",
        "Use it or remove it",
    ),
    Plant(
        "a key that is given twice",
        "      MemorySize: 1024\n",
        "      MemorySize: 1024\n      Timeout: 3\n",
        "AssembleFile",
        "Timeout:",
        "has Timeout twice",
        "Keep one",
    ),
    Plant("what SAM refuses", "      StageName: v1\n", "", "Api", "Api:", "SAM rejects it", "Correct it"),
    Plant(
        "a resource that names itself",
        "MAX_ROWS_PER_EXPORT: !Ref MaxRowsPerExport\n          REPORTS_FOLDER",
        "MAX_ROWS_PER_EXPORT: !Ref PlanParts\n          REPORTS_FOLDER",
        "PlanParts",
        "MAX_ROWS_PER_EXPORT: !Ref PlanParts",
        "waits for itself: PlanParts → PlanParts",
        "by its explicit name",
    ),
    # The API
    Plant(
        "a route that is open without a reason",
        ROUTE,
        ROUTE.replace("Method: GET", "Method: GET, Auth: {Authorizer: NONE}"),
        "ReadExports",
        "Auth: {Authorizer: NONE}",
        "ShowLimits is public without a reason",
        "Say why in a comment",
    ),
    Plant(
        "a route of an API that SAM makes, without an authorizer",
        "ShowLimits: {Type: Api, Properties: {RestApiId: !Ref Api, ",
        "ShowLimits: {Type: Api, Properties: {",
        "ReadExports",
        "ShowLimits:",
        "ShowLimits is public",
        "DefaultAuthorizer",
    ),
    Plant(
        "an address that is open",
        ROLE_OF_PLAN_PARTS,
        f"{ROLE_OF_PLAN_PARTS}      FunctionUrlConfig: {{AuthType: NONE}}\n",
        "PlanParts",
        "FunctionUrlConfig:",
        "has a public URL",
        "AWS_IAM",
    ),
]


def test_the_template_of_this_project_has_no_faults() -> None:
    assert [str(fault) for fault in template.faults_of(edited())] == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_fault_is_caught(plant: Plant) -> None:
    lines = TEXT.replace(plant.old, plant.new).splitlines()
    found = planted((plant.old, plant.new))
    matching = [fault for fault in found if fault.place == plant.place and plant.said in fault.wrong]
    assert matching, found
    assert plant.remedy in matching[0].remedy
    assert plant.on in lines[matching[0].line - 1]


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(
            [(ROUTE, ROUTE.replace("GET}}", "GET, Auth: {Authorizer: NONE}}}  # a secret of nobody"))], id="a route"
        ),
        pytest.param([(LETTERS, 'Resource: "*"  # SendMessage: any queue of the account')], id="everything"),
        pytest.param(
            [
                (f"PlanParts, {WATCHED}", WATCHED),
                added(
                    "  Planning:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      Metrics:\n"
                    "        - {Id: rate, Expression: failed / 2}\n"
                    "        - {Id: failed, MetricStat: {Metric: {MetricName: Errors, Namespace: AWS/Lambda,"
                    " Dimensions: [{Name: FunctionName, Value: !Ref PlanParts}]}, Period: 60, Stat: Sum}}"
                ),
            ],
            id="an alarm on an expression",
        ),
        pytest.param(
            [(ROUTE, f"{DAILY}\n      EventInvokeConfig: {ON_FAILURE}")],
            id="events that are kept",
        ),
        pytest.param(
            [
                added(
                    "  Orders:\n    Type: AWS::SQS::Queue\n    Properties:\n"
                    "      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 5}"
                )
            ],
            id="a queue with a dead-letter queue",
        ),
    ],
)
def test_what_is_right_is_let_through(edits: list[tuple[str, str]]) -> None:
    assert planted(*edits) == []


def test_what_is_not_yaml_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "read", lambda name: Document("Resources:\n  A: {Type: [}", name))
    (found,) = template.faults()
    assert (found.line, found.wrong[:12]) == (2, "is not YAML:")


HERE, ANYWHERE = "us-east-1:123456789012", "${Region}:${Account}"


@pytest.mark.parametrize(
    ("arn", "kind", "is_one"),
    [
        ("s3:::bucket", "s3:::${BucketName}", True),
        ("s3:::bucket/work/*", "s3:::${BucketName}", False),
        ("s3:::bucket/work/*", "s3:::${BucketName}/${ObjectName}", True),
        (f"dynamodb:{HERE}:table/t", f"dynamodb:{ANYWHERE}:table/${{TableName}}", True),
        (f"dynamodb:{HERE}:table/t/index/i", f"dynamodb:{ANYWHERE}:table/${{TableName}}", False),
        (f"states:{HERE}:execution:m/P:*", f"states:{ANYWHERE}:execution:${{StateMachineName}}:${{ExecutionId}}", True),
        (f"logs:{HERE}:log-group:/l/g:*", f"logs:{ANYWHERE}:log-group:${{LogGroupName}}", True),
        (f"logs:{HERE}:log-group:/l/g:*", f"logs:{ANYWHERE}:log-group:${{Group}}:log-stream:${{Stream}}", True),
        (f"logs:{HERE}:log-group:/l/g", f"logs:{ANYWHERE}:log-group:${{Group}}:log-stream:${{Stream}}", False),
    ],
)
def test_an_arn_is_of_a_kind_or_not(arn: str, kind: str, is_one: bool) -> None:
    assert is_of(f"arn:aws:{arn}", f"arn:${{Partition}}:{kind}") is is_one


def test_cfn_lint_looks_into_what_is_sams_own() -> None:
    document = edited(("TENANT_CLAIM: !Ref TenantClaim", "TENANT_CLAIM: !Ref Nobody"))
    found = template.faults_of(document, tools.cfn_lint)
    assert [fault.place for fault in found] == [
        "RequestExport",
        "ReadExports",
        "DeleteExport",
        "RetryExport",
        "ListReports",
    ]
    assert found[0].wrong == "cfn-lint E1020: 'Nobody' is not one of the allowed values"
    assert found[0].line == document.line(
        "Resources", "RequestExport", "Properties", "Environment", "Variables", "TENANT_CLAIM"
    )


REPORT = {
    "results": {
        "failed_checks": [
            {"check_id": "CKV_AWS_120", "check_name": "Cache it", "resource": "AWS::ApiGateway::Stage.Apiv1Stage"},
            {"check_id": "CKV_AWS_158", "check_name": "Encrypt it", "resource": "AWS::Logs::LogGroup.Logs"},
        ]
    }
}
SCANNED = """\
Resources:
  # for all
  Api:  # for the API
    Type: AWS::Serverless::Api
    Properties: {StageName: v1, DefinitionBody: {openapi: 3.0.1, paths: {}}}
  Logs: {Type: AWS::Logs::LogGroup}
"""


def unskipped(**skips: str) -> list[str]:
    """What is left of checkov's report, each comment of the template replaced by a skip."""
    text = SCANNED.replace("for all", skips.get("all", "")).replace("for the API", skips.get("api", ""))
    return [str(fault) for fault in tools.unskipped(Stack(Document(text, "it.yaml")), REPORT)]


def test_what_checkov_finds_is_told_of_the_resource_that_is_written() -> None:
    assert unskipped() == [
        "it.yaml:3: Api: checkov CKV_AWS_120 fails: Cache it. "
        "Fix it, or give the reason in the resource: # checkov:skip=CKV_AWS_120: <reason>.",
        "it.yaml:6: Logs: checkov CKV_AWS_158 fails: Encrypt it. "
        "Fix it, or give the reason in the resource: # checkov:skip=CKV_AWS_158: <reason>.",
    ]


def test_what_has_a_reason_is_skipped_in_its_resource_or_everywhere() -> None:
    assert unskipped(all="checkov:skip=CKV_AWS_158: ids", api="checkov:skip=CKV_AWS_120: it changes") == []


def test_a_skip_in_another_resource_skips_nothing() -> None:
    left = unskipped(all="checkov:skip=CKV_AWS_120: it changes", api="checkov:skip=CKV_AWS_158: ids")
    assert left[0].startswith("it.yaml:6: Logs: checkov CKV_AWS_158 fails")
    assert left[1] == "it.yaml:3: Api: the skip of CKV_AWS_158 matches no finding. Remove it."


@pytest.mark.parametrize("skip", ["checkov:skip=CKV_AWS_120", "checkov:skip=CKV_AWS_120: ", "checkov: it changes"])
def test_a_skip_needs_a_reason(skip: str) -> None:
    left = unskipped(all="checkov:skip=CKV_AWS_158: ids", api=skip)
    assert left[0] == "it.yaml:3: Api: the skip has no check or no reason. Write # checkov:skip=<check>: <reason>."
    assert left[1].startswith("it.yaml:3: Api: checkov CKV_AWS_120 fails")
