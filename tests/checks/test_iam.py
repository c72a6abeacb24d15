"""Granted = used: what nothing has used, what was denied, and what is excepted without need is found."""

import copy
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from checks import iam, repository
from checks.iam import decisions
from checks.iam.decisions import Recording
from checks.iam.deployment import Deployment
from checks.repository import Document

TEMPLATE = (repository.ROOT / "template.yaml").read_text("utf-8")
EXCEPTIONS = (repository.ROOT / iam.EXCEPTIONS).read_text("utf-8")
RECORDING = Recording.read()


def found(old: str = "", new: str = "", exceptions: str = EXCEPTIONS, recording: Recording = RECORDING) -> list[str]:
    """The faults if the template, which must hold the old text once, held the new one."""
    assert not old or TEMPLATE.count(old) == 1
    document = Document(TEMPLATE.replace(old, new) if old else TEMPLATE, "template.yaml")
    comparison = iam.Comparison(document, recording, Document(exceptions, iam.EXCEPTIONS))
    return [f"{fault.place}: {fault.wrong}" for fault in comparison.faults()]


def test_everything_that_is_granted_is_used() -> None:
    assert found() == []


def test_without_any_one_permission_a_recorded_request_would_be_denied() -> None:
    document, idle = Document(TEMPLATE, "template.yaml"), []
    comparison = iam.Comparison(document, RECORDING, Document(EXCEPTIONS, iam.EXCEPTIONS))
    resources = document.data["Resources"]
    for role, sid, action in {use.grant.key[:3] for use in comparison.uses if not use.page}:
        with mock.patch.dict(resources, {role: copy.deepcopy(resources[role])}):
            take_away(resources[role], sid, action)
            stacks = RECORDING.stacks.items()
            grants = {stack: list(Deployment(document, given).grants(role)) for stack, given in stacks}
        mine = [decision for decision in RECORDING.decisions if decision.role == role]
        if all(decision.by(grants[decision.stack]) for decision in mine):
            idle.append((role, sid, action))
    assert idle == []


def take_away(value: Any, sid: str, action: str) -> None:
    """Removes the action from the statement with this Sid, wherever it is in the value."""
    if isinstance(value, dict) and value.get("Sid") == sid:
        actions = value["Action"] if isinstance(value["Action"], list) else [value["Action"]]
        value["Action"] = [each for each in actions if each != action]
        assert value["Action"] != actions
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            take_away(each, sid, action)


STOP = """\
              - Sid: StopTheExecution
                Effect: Allow
                Action: states:StopExecution
"""


def test_an_action_that_nothing_uses_is_idle() -> None:
    (fault,) = found(STOP, STOP.replace("states:StopExecution", "[states:StopExecution, states:DescribeExecution]"))
    assert fault.startswith("DeleteExportRole: StopTheExecution allows states:DescribeExecution on arn:aws:states:")
    assert fault.endswith("and no test fails without it")


def test_a_resource_that_nothing_uses_is_idle() -> None:
    old = "Resource: [!GetAtt DeadLetters.Arn, !GetAtt Unreconciled.Arn]"
    (fault,) = found(old, old.replace("]", ", !GetAtt Unannounced.Arn]"))
    assert "SendDeadLettersAndLeaveWhatFails allows sqs:SendMessage on" in fault
    assert "stack-unannounced" in fault


def test_a_statement_that_no_recorded_stack_has_is_told() -> None:
    old = "              - !If\n                - HasBucketKey\n                - Sid: DecryptWhatProvesAFile\n"
    (fault, *_) = found(old, old.replace("HasBucketKey", "HasDomainName"))
    assert "DecryptWhatProvesAFile was in no recorded stack" in fault


def test_what_was_used_and_is_not_granted_any_more_is_told() -> None:
    faults = found(STOP, STOP.replace("states:StopExecution", "states:DescribeExecution"))
    assert any(fault.startswith("DeleteExportRole: needs states:StopExecution on arn:aws:states:") for fault in faults)


def test_a_condition_that_the_requests_did_not_meet_is_told() -> None:
    old = 'StringEquals: {"ses:FromAddress": !Ref SenderEmail}'
    faults = found(old, old.replace("!Ref SenderEmail", "somebody@example.com"))
    assert any(fault.startswith("NotifyOwnerRole: needs ses:SendEmail on") for fault in faults)


def test_a_denial_is_told() -> None:
    denied = RECORDING.decisions[0]._replace(action="s3:PutObject", resource="arn:aws:s3:::other/a", allowed=False)
    (fault,) = found(recording=RECORDING._replace(decisions=[denied, *RECORDING.decisions]))
    assert fault.startswith(f"{denied.role}: was denied s3:PutObject on arn:aws:s3:::other/a (in tests/")


PLAN = """
- sid: WriteThePlan
  actions: [s3:PutObject]
  why: S3 does.
  page: Amazon S3 User Guide
  url: https://docs.aws.amazon.com/
"""


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (PLAN, "WriteThePlan: PlanPartsRole used s3:PutObject in tests/"),
        (PLAN.replace("PutObject", "GetObject"), "WriteThePlan: no statement allows s3:GetObject"),
        (PLAN.replace("  page: Amazon S3 User Guide\n", ""), "WriteThePlan: has no page"),
        (PLAN * 9, "the file: has 18 entries; 15 are allowed"),
    ],
    ids=["used", "not granted", "without a page", "too many"],
)
def test_an_exception_that_is_not_needed_is_told(added: str, expected: str) -> None:
    assert any(fault.startswith(expected) for fault in found(exceptions=EXCEPTIONS + added))


def test_a_run_becomes_a_recording_of_examples(tmp_path: Path) -> None:
    stack = {"stack": "mine", "parameters": {"SenderEmail": "a@example.com", "PythonRuntime": "python3.11"}}
    names = {"mine-ExportsTable-1A2B": "ExportsTable", "mine-exportsbucket-3c4d": "ExportsBucket"}
    did = {"stack": "mine", "role": "PlanPartsRole", "session": "mine-plan-parts", "context": {}, "allowed": True}
    put = did | {
        "action": "s3:PutObject",
        "resource": "arn:aws:s3:::mine-exportsbucket-3c4d/work/{}/20261130-83a3c9e5.x",
    }
    ids = ["01a22918-74e1-7505-a78c-ffcfc3b7fa13", "01a22918-ff83-76c1-884c-05458f41a4a2"]
    lines: list[dict[str, Any]] = [
        stack | {"names": names},
        *({"test": test, "denies": False} | {} for test in ["tests/a.py::one"]),
        *(put | {"resource": put["resource"].format(each)} for each in ids),
        did
        | {
            "action": "dynamodb:GetItem",
            "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/mine-ExportsTable-1A2B",
        },
        put | {"session": "mine-test-1", "action": "s3:DeleteObject", "allowed": False},
        {"test": "tests/b.py::two", "denies": True},
        put | {"action": "s3:DeleteObject", "allowed": False},
        {"test": "tests/c.py::three", "denies": False},
        put | {"resource": put["resource"].format(ids[0])},
        {"failed": "tests/c.py::three"},
    ]
    file = tmp_path / "decisions.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    recording, failed = decisions.made(file, Document(TEMPLATE, "template.yaml"))
    assert failed == ["tests/c.py::three"]
    assert recording.stacks == {"mine": {"SenderEmail": "a@example.com"}}
    item, plan = recording.decisions
    assert item.resource == "arn:aws:dynamodb:us-east-1:123456789012:table/stack-ExportsTable"
    assert plan.resource == "arn:aws:s3:::stack-ExportsBucket/work/ID/DATE-HASH.x"
    assert (plan.tests, plan.more) == (["tests/a.py::one", "tests/c.py::three"], False)
