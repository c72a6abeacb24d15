"""A reviewed deployment: exactly the change set that somebody saw is executed, or none."""

from __future__ import annotations

import datetime
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import click
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from exports_admin import change_set, deploy
from exports_cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/mine/0a1b2c3d-0000-4000-8000-000000000000"
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/samcli-deploy17/0a1b2c3d-1111-4000-8000-000000000000"
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client that answers what a test has put into its ``stub``, in this order."""
    client: Any = boto3.client("cloudformation", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as client.stub:
        yield client
        client.stub.assert_no_pending_responses()


def changed(name: str, kind: str, action: str = "Modify", replacement: str = "False") -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": name, "ResourceType": kind}
    return {"Type": "Resource", "ResourceChange": change | ({"Replacement": replacement} if action == "Modify" else {})}


def described(cloudformation: Any, *changes: dict[str, Any], execution: str = "AVAILABLE") -> None:
    """CloudFormation describes the change set."""
    answer = {"ChangeSetId": ARN, "StackId": STACK, "StackName": "mine", "ExecutionStatus": execution}
    cloudformation.stub.add_response("describe_change_set", answer | {"Changes": [*changes]}, {"ChangeSetName": ARN})


def stack_is(cloudformation: Any, status: str) -> None:
    """CloudFormation describes the stack."""
    answer = {"StackName": "mine", "CreationTime": NOW, "StackStatus": status}
    cloudformation.stub.add_response("describe_stacks", {"Stacks": [answer]}, {"StackName": STACK})


def executed(cloudformation: Any) -> None:
    """CloudFormation executes exactly this change set."""
    cloudformation.stub.add_response("execute_change_set", {}, {"ChangeSetName": ARN})


def test_the_summary_lists_each_change_and_warns_of_data_that_would_be_lost(cloudformation: Any) -> None:
    described(
        cloudformation,
        changed("ExportsTable", "AWS::DynamoDB::Table", replacement="Conditional"),
        changed("UserPool", "AWS::Cognito::UserPool", action="Remove"),
        changed("ExportsBucket", "AWS::S3::Bucket"),
        changed("PlanParts", "AWS::Lambda::Function", replacement="True"),
        changed("StackDashboard", "AWS::CloudWatch::Dashboard", action="Add"),
    )
    shown = CliRunner().invoke(change_set.main, [ARN])
    assert shown.exit_code == 0
    assert (
        shown.output
        == f"""\
## mine: 5 changes

> **ExportsTable holds data, and the change set may replace it.**
> **UserPool holds data, and the change set removes it.**

| action | resource | type | replacement |
|---|---|---|---|
| Add | StackDashboard | AWS::CloudWatch::Dashboard |  |
| Modify | ExportsBucket | AWS::S3::Bucket | False |
| Modify | ExportsTable | AWS::DynamoDB::Table | Conditional |
| Modify | PlanParts | AWS::Lambda::Function | True |
| Remove | UserPool | AWS::Cognito::UserPool |  |

`{ARN}`
"""
    )


@pytest.mark.parametrize(
    ("before", "after"), [("REVIEW_IN_PROGRESS", "CREATE_COMPLETE"), ("UPDATE_COMPLETE", "UPDATE_COMPLETE")]
)
def test_the_change_set_is_executed_and_the_stack_awaited(cloudformation: Any, before: str, after: str) -> None:
    described(cloudformation)
    stack_is(cloudformation, before)
    executed(cloudformation)
    stack_is(cloudformation, after)
    ran = CliRunner().invoke(change_set.main, [ARN, "--execute"])
    assert (ran.exit_code, ran.output) == (0, "mine is deployed.\n")


@pytest.mark.parametrize("status", ["OBSOLETE", "EXECUTE_COMPLETE", "UNAVAILABLE"])
def test_a_change_set_of_a_stack_that_has_changed_since_is_not_executed(cloudformation: Any, status: str) -> None:
    described(cloudformation, execution=status)
    with pytest.raises(Trouble, match=rf"cannot be executed: it is {status}.*\n.*Make a new one"):
        change_set.execute(cloudformation, ARN)


def test_a_change_set_that_cloudformation_has_removed_is_not_executed(cloudformation: Any) -> None:
    cloudformation.stub.add_client_error("describe_change_set", "ChangeSetNotFound", "ChangeSet does not exist")
    with pytest.raises(Trouble, match=r"does not exist: arn:.*\n.*Make a new one"):
        change_set.execute(cloudformation, ARN)


def test_a_deployment_that_fails_says_which_resource_failed_first(cloudformation: Any) -> None:
    described(cloudformation)
    stack_is(cloudformation, "UPDATE_COMPLETE")
    executed(cloudformation)
    stack_is(cloudformation, "UPDATE_ROLLBACK_COMPLETE")
    later, earlier = NOW + datetime.timedelta(hours=1), NOW - datetime.timedelta(hours=1)
    events = [
        ("ApiErrorsAlarm", "UPDATE_FAILED", "Resource update cancelled", later),
        ("PlanPartsRole", "UPDATE_FAILED", "not authorized to perform: iam:PutRolePolicy", later),
        ("PlanPartsRole", "UPDATE_IN_PROGRESS", "", later),
        ("Unmailed", "CREATE_FAILED", "of an earlier deployment", earlier),
    ]
    named = ("LogicalResourceId", "ResourceStatus", "ResourceStatusReason", "Timestamp")
    found = [dict(zip(named, each, strict=True)) for each in events]
    every = {"StackId": STACK, "StackName": "mine"}
    answer = {"StackEvents": [each | every | {"EventId": str(index)} for index, each in enumerate(found)]}
    cloudformation.stub.add_response("describe_stack_events", answer, {"StackName": STACK})
    ran = CliRunner().invoke(change_set.main, [ARN, "--execute"])
    assert ran.exit_code == 1
    first, second = ran.output.splitlines()[-2:]
    assert first == "PlanPartsRole: not authorized to perform: iam:PutRolePolicy"
    assert second == "ApiErrorsAlarm: Resource update cancelled"
    assert "earlier" not in ran.output


@pytest.mark.parametrize("arn", ["samcli-deploy17", STACK, f"{ARN}; true"])
def test_only_a_whole_arn_names_a_change_set(arn: str) -> None:
    ran = CliRunner().invoke(change_set.main, [arn, "--execute"])
    assert ran.exit_code == 2
    assert "is not the ARN of a change set" in ran.output


@pytest.mark.parametrize(
    ("output", "written"), [(f"\nChangeset created successfully. {ARN}\n\n", ARN), ("\nNo changes to deploy.\n", None)]
)
def test_make_deploy_review_writes_the_arn_that_sam_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, written: str | None
) -> None:
    (file := tmp_path / "change-set").write_text("of an earlier deployment", "utf-8")
    monkeypatch.setattr(change_set, "FILE", file)
    ran: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: Any) -> Any:
        ran.append(command)
        return SimpleNamespace(stdout=output)

    monkeypatch.setattr(subprocess, "run", run)
    plan = deploy.Plan(tmp_path, tmp_path, False, "mine", "eu-west-1", {}, asks=False, reviewed=True)
    with CliRunner().isolation() as (said, *_):
        deploy._deploy(plan)
        assert said.getvalue().decode() == f"{output}\n"
    assert [command[1] for command in ran] == ["deploy"]
    assert (file.read_text("utf-8") if file.exists() else None) == written


def test_what_sam_says_of_a_failed_change_set_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(1, "sam", output="Error: Failed to create changeset")

    said: list[str] = []
    monkeypatch.setattr(deploy, "prepare", fail)
    monkeypatch.setattr(click, "echo", lambda message, **_: said.append(message))
    assert deploy.main() == 1
    assert said == ["Error: Failed to create changeset"]
