"""Each rule of the template's checks finds the fault that is planted against it, and says where it is and what to do.

template_faults.txt has what is said, the line that it is said of (after @), and the edit of template.yaml that plants
the fault, as a diff.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from checks import Fault, repository, template
from checks.repository import Document
from checks.template import tools
from checks.template.permissions import is_of
from checks.template.stack import Stack

TEXT = (repository.ROOT / "template.yaml").read_text("utf-8")


class Plant(NamedTuple):
    """An edit of the template, and the faults that it makes: what is said, and of which line."""

    old: str
    new: str
    faults: list[tuple[str, str]]

    @property
    def place(self) -> str:
        return self.faults[0][0].partition(":")[0]


def read(block: str) -> Plant:
    """A plant from its lines."""
    lines = block.splitlines()
    told = [line for line in lines if line[0] not in " -+@"]
    old, new = ("".join(f"\n{line[1:]}" for line in lines if line[0] in kinds) for kinds in (" -", " +"))
    return Plant(old, new, list(zip(told, (line[2:] for line in lines if line[0] == "@"), strict=True)))


PLANTS = [read(block) for block in (Path(__file__).parent / "template_faults.txt").read_text("utf-8").split("\n\n")]


def edited(*edits: tuple[str, str]) -> str:
    """The template with each first text, which must stand there once, replaced by the second."""
    text = TEXT
    for old, new in edits:
        assert text.count(old) == 1, f"the template does not hold this once: {old}"
        text = text.replace(old, new)
    return text


def faults_of(text: str) -> list[Fault]:
    return template.faults_of(Document(text, "template.yaml"))


@cache
def batches() -> list[tuple[list[Plant], list[Fault], list[str]]]:
    """The plants with the faults that are found and the lines of the edited template.

    Plants of different resources are planted together, because SAM takes most of the time.
    """
    earlier: Counter[str] = Counter()
    groups: dict[int, list[Plant]] = {}
    for plant in PLANTS:
        groups.setdefault(earlier[plant.place], []).append(plant)
        earlier[plant.place] += 1
    texts = {number: edited(*((plant.old, plant.new) for plant in group)) for number, group in groups.items()}
    return [(group, faults_of(texts[number]), texts[number].splitlines()) for number, group in groups.items()]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.faults[0][0][:60])
def test_a_planted_fault_is_found(plant: Plant) -> None:
    found, lines = next((found, lines) for group, found, lines in batches() if plant in group)
    told = [(str(fault).split(": ", 1)[1], lines[fault.line - 1].strip()) for fault in found]
    assert [fault for fault in plant.faults if fault not in told] == [], told


def test_the_template_of_this_project_has_no_faults() -> None:
    assert faults_of(TEXT) == []


def test_a_template_that_sam_rejects_is_a_fault() -> None:
    (fault,) = faults_of(edited(("      StageName: v1\n", "")))
    assert (fault.place, fault.wrong[:16]) == ("Api", "SAM rejects it: ")
    assert TEXT.splitlines()[fault.line - 1] == "  Api:"


ROUTE = "ListReports: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /reports, Method: GET}}"
DAILY = (
    "Daily: {Type: Schedule, Properties: {Schedule: rate(1 day), DeadLetterConfig: {Arn: !GetAtt Unreconciled.Arn}}}"
)
ON_FAILURE = "{DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt DeadLetters.Arn}}}"
[WATCHED] = re.findall(r"Fn::ForEach::FunctionAlarms:\n.*\n.*", TEXT)
ALARM = """
  Planning:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Metrics:
        - {Id: rate, Expression: failed / 2}
        - Id: failed
          MetricStat:
            Metric:
              {MetricName: Errors, Namespace: AWS/Lambda, Dimensions: [{Name: FunctionName, Value: !Ref PlanParts}]}
"""
ORDERS = """
  Orders:
    Type: AWS::SQS::Queue
    Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 5}}
"""
OF_ANOTHER_STACK = """
  TakeOrders:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      {EventSourceArn: !GetAtt Orders.Arn, FunctionName: take-orders, FunctionResponseTypes: [ReportBatchItemFailures]}
"""
STATEMENT = re.findall(r"          - Sid: OurRuleMaySend\n(?:            .*\n)+", TEXT)[0]
AS_A_MAPPING = STATEMENT.replace("  - Sid", "    Sid").replace("events.amazonaws.com", "[events.amazonaws.com]")
ARN = '!Sub "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-notifications"'


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param([(ROUTE, f"{ROUTE[:-2]}, Auth: {{Authorizer: NONE}}}}}}  # a reason")], id="a public route"),
        pytest.param(
            [(f"Events:\n        {ROUTE}", f"EventInvokeConfig: {ON_FAILURE}\n      Events:\n        {DAILY}")],
            id="kept events",
        ),
        pytest.param(
            [
                ("Resource: !GetAtt DeadLetters.Arn", 'Resource: "*"  # SendMessage: any queue of the account'),
                (WATCHED, WATCHED.replace("PlanParts, ", "")),
                ("\nResources:\n", f"\nResources:{ALARM}{ORDERS}"),
            ],
            id="every resource for a reason, an alarm on an expression, a queue with a dead-letter queue",
        ),
        pytest.param(
            [
                (STATEMENT, AS_A_MAPPING.replace("!GetAtt Notifications.Arn", ARN)),
                ("\nResources:\n", f"\nResources:{ORDERS}{OF_ANOTHER_STACK}"),
            ],
            id="a policy with one statement, a list of services and the name of a queue, a function of another stack",
        ),
    ],
)
def test_what_is_right_is_no_fault(edits: list[tuple[str, str]]) -> None:
    assert faults_of(edited(*edits)) == []


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


LINTED = """\
Resources:
  Plan:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.13
      CodeUri: code/
      Environment:
        Variables:
          TENANT_CLAIM: !Ref Nobody
"""


def test_cfn_lint_checks_the_types_of_sam_too() -> None:
    (fault,) = template.faults_of(Document(LINTED, "it.yaml"), tools.cfn_lint)
    assert (fault.place, fault.line) == ("Plan", 10)
    assert fault.wrong.startswith("cfn-lint E1020: 'Nobody' is not one of")


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
