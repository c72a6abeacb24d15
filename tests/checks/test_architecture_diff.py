"""What a pull request changes in the architecture is told, the most dangerous first, and nothing is left out."""

import copy
import re
from functools import cache
from typing import Any, NamedTuple

import pytest

from architecture.compare import compare, markdown, permissions
from architecture.compare.renames import HOLDS_DATA
from architecture.model import Architecture
from architecture.policies import contains
from architecture.rules import RULES, SECTIONS, Change
from checks.repository import ROOT
from tests.support.edits import TEMPLATE, WORKFLOW, WORKFLOW_FILE, in_state, inside, with_resource, without

FLIGHTS = {"flights.yaml": (ROOT / "reports/flights.yaml").read_text("utf-8")}


def architecture(
    template: str = TEMPLATE, workflow: str = WORKFLOW, reports: dict[str, str] | None = None
) -> Architecture:
    return Architecture(template, {WORKFLOW_FILE: workflow}, FLIGHTS if reports is None else reports)


@cache
def base() -> Architecture:
    return architecture()


class Case(NamedTuple):
    """A pull request, and what must be told of it: the rule, whom it concerns, and a part of the text."""

    new: Architecture
    told: list[tuple[str, str, str]]
    files: tuple[str, ...] = ()


PLAN_RETRIES = (re.findall(r'      "Retry": \[.*?\n      \],\n', WORKFLOW.split('"PlanParts": {')[1], re.S))[0]
FAIL = """\
      "Type": "Fail",
      "ErrorPath": "$.failure.type",
      "CausePath": "$.failure.error"
"""
POLICY = """
  DatasetsPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref ExportsBucket
      PolicyDocument:
        Statement:
          - Sid: ReadFiles
            Effect: Allow
            Principal: "*"
            Action: s3:GetObject
            Resource: !Sub ${ExportsBucket.Arn}/*
"""
ORDERS = """
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub ${AWS::StackName}-orders
      SqsManagedSseEnabled: true
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 5}
"""
ARCHIVE = """
  ArchiveLogs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/aws/lambda/${AWS::StackName}-archive", RetentionInDays: 30}

  ArchiveRole:
    Type: AWS::IAM::Role
    Properties:
      PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: archive
          PolicyDocument:
            Statement:
              - Sid: CopyFiles  # to a bucket that nobody may empty
                Effect: Allow
                Action: s3:GetObject
                Resource: !Sub ${ExportsBucket.Arn}/exports/*
              - Sid: WriteLogs
                Effect: Allow
                Action: [logs:CreateLogStream, logs:PutLogEvents]
                Resource: !GetAtt ArchiveLogs.Arn

  Archive:
    Type: AWS::Serverless::Function
    Properties:
      Handler: archive.app.handler
      Role: !GetAtt ArchiveRole.Arn
      LoggingConfig: {LogGroup: !Ref ArchiveLogs}
      Events:
        Nightly: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
"""
QUERY = (
    "title: Airlines\nsource: {type: query, datasets: {"
    "flights: {dataset: flights, tenant: carrier}, airlines: {dataset: airlines, shared: true}}}\n"
)
CASES = {
    "a permission on more of a bucket": Case(
        architecture(
            inside(
                TEMPLATE,
                "AssembleFileRole",
                "Resource: !Sub ${ExportsBucket.Arn}/exports/*",
                "Resource: !Sub ${ExportsBucket.Arn}/*",
            )
        ),
        [
            (
                "permission-widened",
                "AssembleFile",
                "may now `s3:PutObject`, `s3:AbortMultipartUpload`, `s3:DeleteObject` on `${ExportsBucket.Arn}/*`; "
                "before: `s3:PutObject`, `s3:AbortMultipartUpload`, `s3:DeleteObject` on "
                "`${ExportsBucket.Arn}/exports/*`; reason: WriteTheFile",
            )
        ],
    ),
    "an action that is every action": Case(
        architecture(
            inside(TEMPLATE, "DeleteExportRole", "Action: states:StopExecution", "Action: states:*"),
        ),
        [("permission-wildcard", "DeleteExport", "may now `states:*` on `arn:")],
    ),
    "a resource that is every resource": Case(
        architecture(inside(TEMPLATE, "ReportExportRole", "Resource: !GetAtt DeadLetters.Arn", 'Resource: "*"')),
        [("permission-wildcard", "ReportExport", "may now `sqs:SendMessage` on `*`; before: ")],
    ),
    "a permission without its condition": Case(
        architecture(
            inside(
                TEMPLATE,
                "NotifyOwnerRole",
                '                Condition: {StringEquals: {"ses:FromAddress": !Ref SenderEmail}}\n',
                "",
            )
        ),
        [("permission-widened", "NotifyOwner", "before: only with ses:FromAddress StringEquals ${SenderEmail}")],
    ),
    "a role that another account may assume": Case(
        architecture(
            inside(
                TEMPLATE,
                "PlanPartsRole",
                "Principal: {Service: lambda.amazonaws.com}",
                'Principal: {Service: lambda.amazonaws.com, AWS: "*"}',
            )
        ),
        [("role-assumable", "everybody", "may now `sts:AssumeRole` on PlanParts (assume its role)")],
    ),
    "a role with every permission": Case(
        architecture(
            inside(
                TEMPLATE,
                "ShowPageRole",
                "    Properties:\n",
                "    Properties:\n      ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess']\n",
            )
        ),
        [("permission-wildcard", "ShowPage", "may now `everything in the policy AdministratorAccess`")],
    ),
    "a new queue": Case(
        architecture(with_resource(TEMPLATE, ORDERS)),
        [("queue", "Orders", "is new (AWS::SQS::Queue); dead letters: DeadLetters; gets from: nothing")],
    ),
    "a new function": Case(
        architecture(with_resource(TEMPLATE, ARCHIVE)),
        [
            (
                "permission-widened",
                "Archive (new)",
                "may `s3:GetObject` on `${ExportsBucket.Arn}/exports/*`; "
                "reason: CopyFiles, “to a bucket that nobody may empty”",
            ),
            ("function", "Archive", "may what every function may: WriteLogs"),
            (
                "function",
                "Archive",
                "is new (AWS::Serverless::Function), with ArchiveLogs, ArchiveRole; starts: `rate(1 day)`; "
                "15 s, 512 MB; **no dead letters**; **no alarm**",
            ),
        ],
    ),
    "a removed retry": Case(
        architecture(workflow=in_state(WORKFLOW, "PlanParts", PLAN_RETRIES, "")),
        [
            ("retry-weakened", "ReportExport.PlanParts", "no longer retries × 4 after Lambda.ServiceException"),
            ("retry-weakened", "ReportExport.PlanParts", "no longer retries × 1 after States.Timeout"),
        ],
    ),
    "a catch that swallows a failure": Case(
        architecture(workflow=in_state(WORKFLOW, "PlanParts", '"Next": "PlanPartsFailed"', '"Next": "Superseded"')),
        [
            (
                "failure-swallowed",
                "ReportExport.PlanParts",
                "catches States.ALL → Superseded, which ends as a success in Superseded (before: → PlanPartsFailed)",
            )
        ],
    ),
    "a failure that is not recorded": Case(
        architecture(
            workflow=in_state(WORKFLOW, "AssembleFile", '"Next": "AssembleFileFailed"', '"Next": "ExportFailed"')
        ),
        [
            (
                "failure-swallowed",
                "ReportExport.AssembleFile",
                "fails without RecordFailed, SendToDeadLetters, RecordLetterSent",
            ),
            ("catch", "ReportExport.AssembleFile", "catches States.ALL → ExportFailed (before: → AssembleFileFailed)"),
        ],
    ),
    "a failure that ends as a success": Case(
        architecture(workflow=in_state(WORKFLOW, "ExportFailed", FAIL, '      "Type": "Succeed"\n')),
        [
            ("failure-swallowed", f"ReportExport.{state.name}", "which ends as a success in ExportFailed")
            for state in sorted(base().machines["ReportExport"].states.values())
            for catch in state.catches
            if "ExportFailed" in base().machines["ReportExport"].ends(catch.target)
        ]
        + [
            ("state", "ReportExport.ExportFailed", "`Type` `Fail` → `Succeed`"),
            ("state", "ReportExport.ExportFailed", "`ErrorPath`"),
            ("state", "ReportExport.ExportFailed", "`CausePath`"),
        ],
    ),
    "a Map that tolerates failed parts": Case(
        architecture(
            workflow=in_state(
                WORKFLOW, "FanOutParts", '"Label": "Parts",', '"Label": "Parts", "ToleratedFailurePercentage": 5,'
            )
        ),
        [("failure-swallowed", "ReportExport.FanOutParts", "`ToleratedFailurePercentage` nothing → `5`")],
    ),
    "a route without an authorizer": Case(
        architecture(
            inside(
                TEMPLATE,
                "ReadExports",
                "Path: /limits, Method: GET}",
                "Path: /limits, Method: GET, Auth: {Authorizer: NONE}}",
            )
        ),
        [("route-opened", "GET /limits", "is for everybody, without an authorizer; before: for callers whom Users")],
    ),
    "every route without an authorizer": Case(
        architecture(inside(TEMPLATE, "Api", "        DefaultAuthorizer: Users\n", "")),
        [
            ("route-opened", f"{each.method} {each.path}", "is for everybody")
            for each in sorted(base().routes)
            if each.caller == "Users"
        ],
    ),
    "users may choose their tenant": Case(
        architecture(
            inside(
                TEMPLATE, "UserPoolClient", "WriteAttributes: [email]", 'WriteAttributes: [email, "custom:tenant_id"]'
            )
        ),
        [("sign-in", "UserPoolClient", "`WriteAttributes` `[email]` → `[email, custom:tenant_id]`")],
    ),
    "a longer timeout": Case(
        architecture(
            inside(TEMPLATE, "ReconcileExports", "Timeout: 300", "Timeout: 600"),
            in_state(WORKFLOW, "PlanParts", '"TimeoutSeconds": 300', '"TimeoutSeconds": 310'),
        ),
        [
            ("timeout", "ReconcileExports", "`Timeout` `300` → `600`"),
            ("timeout", "ReportExport.PlanParts", "`TimeoutSeconds` `300` → `310`"),
        ],
    ),
    "a new report with a shared dataset": Case(
        architecture(reports=FLIGHTS | {"airlines.yaml": QUERY}),
        [
            ("dataset-shared", "airlines", "reads the dataset airlines with `shared: true`: for every tenant"),
            ("report", "airlines", "is a new report of query `flights, airlines`, tenant: `flights.carrier`"),
        ],
    ),
    "a report by another column of the tenant": Case(
        architecture(
            reports={"flights.yaml": FLIGHTS["flights.yaml"].replace("\ntenant: carrier", "\ntenant: origin")}
        ),
        [("tenant-filter", "flights", "`tenant`: `carrier` → `origin`")],
    ),
    "a renamed function": Case(
        architecture(TEMPLATE.replace("PlanParts", "DivideExport"), WORKFLOW.replace("${PlanParts", "${DivideExport")),
        [("renamed", "DivideExport", "was PlanParts, with PlanPartsErrorsAlarm, PlanPartsLogs, PlanPartsRole")],
    ),
    "a deleted alarm": Case(
        architecture(without(TEMPLATE, "ExecutionsFailedAlarm")),
        [("alarm-weakened", "ExecutionsFailedAlarm", "is gone (AWS::CloudWatch::Alarm): nobody is told any more")],
    ),
    "a less sensitive alarm": Case(
        architecture(inside(TEMPLATE, "ApiErrorsAlarm", "Threshold: 5", "Threshold: 500")),
        [("alarm-weakened", "ApiErrorsAlarm", "`Threshold` `5` → `500`")],
    ),
    "a public bucket": Case(
        architecture(
            with_resource(
                inside(TEMPLATE, "ExportsBucket", "BlockPublicPolicy: true", "BlockPublicPolicy: false"), POLICY
            )
        ),
        [
            ("public-access", "ExportsBucket", "`PublicAccessBlockConfiguration.BlockPublicPolicy` `true` → `false`"),
            ("public-access", "everybody", "may now `s3:GetObject` on `${ExportsBucket.Arn}/*`; reason: ReadFiles"),
            ("resource", "DatasetsPolicy", "is new (AWS::S3::BucketPolicy)"),
        ],
    ),
    "a bucket without TLS": Case(
        architecture(without(TEMPLATE, "ExportsBucketPolicy")),
        [
            ("encryption-weakened", "everybody", "is no longer denied `s3:*` on `${ExportsBucket.Arn}`"),
            ("resource", "ExportsBucketPolicy", "is gone"),
        ],
    ),
    "less encryption and shorter retention": Case(
        architecture(
            inside(
                inside(TEMPLATE, "DeadLetters", "      SqsManagedSseEnabled: true\n", ""),
                "ExportsTable",
                "PointInTimeRecoveryEnabled: true",
                "PointInTimeRecoveryEnabled: false",
            ).replace("SecurityPolicy: TLS_1_2", "SecurityPolicy: TLS_1_0")
        ),
        [
            ("encryption-weakened", "DeadLetters", "`SqsManagedSseEnabled` `true` → nothing"),
            ("encryption-weakened", "Domain", "`SecurityPolicy` `TLS_1_2` → `TLS_1_0`"),
            ("retention-weakened", "ExportsTable", "`true` → `false`"),
        ],
    ),
    "a default that deletes files earlier": Case(
        architecture(re.sub(r"(\n  RetentionDays:\n(?:    .*\n)*?    Default: )7", r"\g<1>1", TEMPLATE)),
        [
            ("retention-weakened", "ExportsBucket", "`7` → `1`, by the default of RetentionDays"),
            ("parameter", "RetentionDays", "`Default` `7` → `1`; used by ExportsBucket, RequestExport"),
        ],
    ),
    "a table with another logical id": Case(
        architecture(
            re.sub(r"\bExportsTable\b", "Records", TEMPLATE), WORKFLOW.replace("${ExportsTable}", "${Records}")
        ),
        [("data-replaced", "Records", "was ExportsTable: another logical id makes a new, empty AWS::DynamoDB::Table")],
    ),
    "no dead letters": Case(
        architecture(
            inside(
                inside(
                    TEMPLATE,
                    "ReconcileExports",
                    "      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Unreconciled.Arn}\n",
                    "",
                ),
                "AnnouncePipe",
                "MaximumRetryAttempts: 20",
                "MaximumRetryAttempts: 2",
            )
        ),
        [
            (
                "dead-letter-weakened",
                "ReconcileExports",
                "`DeadLetterQueue` `{Type: SQS, TargetArn: Unreconciled.Arn}` → nothing",
            ),
            ("retry-weakened", "AnnouncePipe", "MaximumRetryAttempts` `20` → `2`"),
        ],
    ),
    "a state between two others": Case(
        architecture(
            workflow=in_state(WORKFLOW, "RecordSucceeded", '"Next": "ExportSucceeded"', '"Next": "Pause"').replace(
                '    "ExportSucceeded": {',
                '    "Pause": {"Type": "Wait", "Seconds": 5, "Next": "ExportSucceeded"},\n    "ExportSucceeded": {',
            )
        ),
        [
            ("state", "ReportExport.Pause", "is a new state: Wait; → ExportSucceeded"),
            ("edge", "ReportExport.RecordSucceeded", "→ Pause; before: → ExportSucceeded"),
        ],
    ),
    "a value of a mapping": Case(
        architecture(
            TEMPLATE.replace("PlanParts: {Name: plan-parts, AlarmAt: 5}", "PlanParts: {Name: plan-parts, AlarmAt: 50}")
        ),
        [
            ("alarm-weakened", "PlanPartsErrorsAlarm", "`Threshold` `5` → `50`"),
            ("alarm-weakened", "PlanPartsThrottledAlarm", "`Threshold` `5` → `50`"),
            ("setting", "Functions", "Mappings: `5` → `50`"),
        ],
    ),
    "a refactoring": Case(
        architecture(
            inside(
                TEMPLATE,
                "ReadExportsRole",
                "              - Sid: ReadTheRecords\n                Effect: Allow\n"
                "                Action: [dynamodb:GetItem, dynamodb:Query]\n"
                "                Resource: !GetAtt ExportsTable.Arn\n",
                "              # One statement each.\n"
                "              - {Effect: Allow, Action: dynamodb:Query, Resource: !Sub '${ExportsTable.Arn}'}\n"
                "              - {Effect: Allow, Action: [dynamodb:GetItem], Resource: [!GetAtt ExportsTable.Arn]}\n",
            ).replace("        ShowLimits: {", "        Limits: {")
        ),
        [
            ("code", "Every function", "`functions/shared/api/http.py`"),
            ("code", "ReadExports", "`functions/read_exports/app.py`"),
        ],
        ("functions/read_exports/app.py", "functions/shared/api/http.py"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_pull_request_is_told_as_what_it_does_and_as_nothing_else(case: Case) -> None:
    changes = compare(base(), case.new, case.files)
    assert [(each.rule.name, each.subject) for each in changes] == [(rule, subject) for rule, subject, _ in case.told]
    for each, (_, _, text) in zip(changes, case.told, strict=True):
        assert text in each.what


def test_a_dataset_that_becomes_shared_is_told_and_so_is_the_tenant_that_it_loses() -> None:
    own = "title: O\nsource: {type: query, datasets: {airlines: {dataset: a, tenant: carrier}}}\n"
    shared = own.replace("tenant: carrier", "shared: true")
    told = compare(architecture(reports={"orders.yaml": own}), architecture(reports={"orders.yaml": shared}))
    assert [(each.rule.name, each.subject) for each in told] == [
        ("dataset-shared", "orders"),
        ("tenant-filter", "orders"),
    ]
    assert told[1].what == "`source.datasets.airlines.tenant`: `carrier` → nothing"


def test_the_markdown_counts_the_changes_and_has_the_dangerous_ones_first() -> None:
    template = TEMPLATE.replace("RetentionInDays: 30", "RetentionInDays: 3")
    template = inside(template, "DeleteExportRole", "Action: states:StopExecution", "Action: states:*")
    text = markdown(compare(base(), architecture(inside(template, "ShowPage", "WEB_FOLDER", "FOLDER"))), "Against main")
    lines = [line for line in text.splitlines() if line.startswith(("#", "- ", "**"))]
    groups = len([each for each in base().resources.values() if each.type == "AWS::Logs::LogGroup"])
    assert lines[:2] == ["## Against main", f"**{groups + 1} dangerous changes, 2 others.**"]
    assert [line for line in lines if line.startswith("###")] == [f"### {SECTIONS[each]}" for each in (0, 2, 5)]
    assert "**`" not in text
    (logs,) = [line for line in lines if "RetentionInDays" in line]  # the same change of many resources is one line
    assert logs.count("Logs**") == groups
    assert re.search(r"`30` → `3` \(template\.yaml:\d+\)$", logs)


def test_the_same_architecture_is_the_same_and_what_is_better_is_not_dangerous() -> None:
    assert markdown(compare(base(), architecture()), "It") == "## It\n\n**The architecture is the same.**\n"
    for case in CASES.values():
        back = compare(case.new, base())
        assert bool(back) == any(rule != "code" for rule, _, _ in case.told)
    safer = [compare(CASES[name].new, base()) for name in ("a route without an authorizer", "a removed retry")]
    assert [{each.rule.name for each in some} for some in safer] == [{"sign-in"}, {"retry"}]
    narrower = compare(CASES["a permission on more of a bucket"].new, base())
    assert {each.rule.name for each in narrower} == {"permission-narrowed"}


def edited(change: Any) -> Architecture:
    """The architecture with its data changed."""
    other = base().renamed({})
    data = copy.deepcopy(other.data)
    change(data)
    other._read(data)
    return other


def about(changes: list[Change]) -> str:
    return " ".join(f"{each.subject} {each.what}" for each in changes)


PERMISSIONS = {"Policies", "PolicyDocument", "AssumeRolePolicyDocument"}


@pytest.mark.parametrize("number", range(8))
def test_no_property_of_a_resource_can_go_unnoticed(number: int) -> None:
    """Each resource loses one of its properties: something is told of each."""
    lost = {}

    def change(data: dict[str, Any]) -> None:
        for name, resource in data["Resources"].items():
            properties = resource.get("Properties", {})
            keys = [key for key in properties if key not in {"ContentUri", "DefinitionUri", "DefinitionSubstitutions"}]
            if number < len(keys) and keys[number] not in PERMISSIONS:
                lost[name] = keys[number]
                del properties[keys[number]]

    told = about(compare(base(), edited(change)))
    assert lost
    for name, key in lost.items():
        if base().resources[name].type == "AWS::Lambda::Permission":
            name = base().named("${" + str(base().resources[name].properties["FunctionName"]["Ref"]) + "}")
        assert name in told, key


def test_no_resource_condition_parameter_or_output_can_go_unnoticed() -> None:
    for section in ("Resources", "Conditions", "Parameters", "Outputs"):
        names = list(base().data[section])
        for part in (names[::2], names[1::2]):

            def change(data: dict[str, Any], section: str = section, part: list[str] = part) -> None:
                for name in part:
                    del data[section][name]

            told = about(compare(base(), edited(change)))
            assert [name for name in part if not re.search(rf"\b{name}\b", told)] == []


def test_no_statement_can_go_unnoticed() -> None:
    for statement in base().statements:
        new = base().renamed({})
        new.__dict__["grants"] = {grant: by for grant, by in base().grants.items() if by != statement}
        assert [*permissions.changes(base(), new)], (statement.holder, statement.sid)


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("*", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:GetObject", "s3:Get*", False),
        ("s3:Get*", "s3:Get*Acl", True),
        ("s3:GetObjec?", "s3:GetObject", True),
        ("s3:GetObjec?", "s3:GetObjec*", False),
        ("${Bucket.Arn}/*", "${Bucket.Arn}/work/*/plan.json", True),
        ("${Bucket.Arn}/work/*", "${Bucket.Arn}/*", False),
        ("${Bucket.Arn}", "${Bucket.Arn}/work", False),
        ("not s3:GetObject", "s3:PutObject", False),  # it cannot be told, so it counts as more
    ],
)
def test_a_pattern_contains_another_one_or_not(wide: str, narrow: str, does: bool) -> None:
    assert contains(wide, narrow) is does


def test_each_rule_says_why_it_matters_and_its_recipe_is_there() -> None:
    for rule in RULES:
        assert rule.why.endswith((".", "?")), rule.name
        assert (ROOT / "docs" / rule.recipe).is_file(), rule.name
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.section for rule in RULES} == {*range(len(SECTIONS))}
    assert {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Cognito::UserPool"} <= {*HOLDS_DATA}
