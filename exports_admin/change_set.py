"""The second half of a deployment that somebody reviews: shows a change set, or executes exactly this one.

    python -m exports_admin.change_set ARN             prints its changes as Markdown
    python -m exports_admin.change_set ARN --execute   executes it and waits for the result

`make deploy REVIEW=1` makes the change set and writes its ARN to .aws-sam/change-set.
"""

import datetime
import re
import sys
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from checks.repository import ROOT
from checks.template.wiring import DATA
from exports_cli.trouble import Trouble

FILE = ROOT / ".aws-sam" / "change-set"
"""Holds the ARN of the change set that is to be reviewed. It does not exist if there was nothing to change."""
_ARN = re.compile(r"arn:[a-z-]+:cloudformation:([a-z0-9-]+):[0-9]{12}:changeSet/[A-Za-z0-9-]+/[0-9a-f-]+")
_AGAIN = "CloudFormation removes a change set when another one of its stack is executed. Make a new one."
_PATIENCE = {"Delay": 10, "MaxAttempts": 350}  # the credentials of a workflow are valid for an hour


def named_in(text: str) -> str | None:
    """The ARN of the change set in the output of `sam deploy`; None if there was nothing to change."""
    found = _ARN.search(text)
    return found[0] if found else None


def describe(cloudformation: Any, arn: str) -> dict[str, Any]:
    """The change set with all its changes, as DescribeChangeSet returns it.

    Raises:
        Trouble: it cannot be read, or CloudFormation has removed it because the stack has changed since.
    """
    try:
        pages = [*cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=arn)]
    except cloudformation.exceptions.ChangeSetNotFoundException as error:
        raise Trouble(f"The change set does not exist: {arn}\n{_AGAIN}") from error
    except (BotoCoreError, ClientError) as error:
        raise Trouble(f"The change set {arn} cannot be read: {error}") from error
    first: dict[str, Any] = pages[0]
    return first | {"Changes": [each["ResourceChange"] for page in pages for each in page["Changes"]]}


def markdown(description: dict[str, Any]) -> str:
    """The changes as a table. Changes that replace or remove data come first, as a warning."""
    changes = description["Changes"]
    risky = [each for each in changes if each["ResourceType"] in DATA and _loses(each)]
    lines = [f"## {description['StackName']}: {len(changes)} changes", ""]
    lines += [f"> **{each['LogicalResourceId']} holds data, and the change set {_loses(each)} it.**" for each in risky]
    lines += [""] if risky else []
    lines += ["| action | resource | type | replacement |", "|---|---|---|---|"]
    for each in sorted(changes, key=lambda each: (each["Action"], each["LogicalResourceId"])):
        row = (each["Action"], each["LogicalResourceId"], each["ResourceType"], each.get("Replacement", ""))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", f"`{description['ChangeSetId']}`"])


def _loses(change: dict[str, Any]) -> str:
    if change["Action"] == "Remove":
        return "removes"
    return {"True": "replaces", "Conditional": "may replace"}.get(change.get("Replacement", ""), "")


def execute(cloudformation: Any, arn: str) -> str:
    """Executes the change set and waits until the stack has changed.

    Returns:
        The name of the stack.

    Raises:
        Trouble: the change set cannot be executed any more, or the stack could not be changed. The message has each
            resource that failed, and why.
    """
    described = describe(cloudformation, arn)
    if described["ExecutionStatus"] != "AVAILABLE":
        raise Trouble(f"The change set cannot be executed: it is {described['ExecutionStatus']}. {arn}\n{_AGAIN}")
    stack = described["StackId"]
    began = datetime.datetime.now(datetime.UTC)
    try:
        is_new = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
        cloudformation.execute_change_set(ChangeSetName=arn)
        waiter = cloudformation.get_waiter(f"stack_{'create' if is_new else 'update'}_complete")
        waiter.wait(StackName=stack, WaiterConfig=_PATIENCE)
    except WaiterError as error:
        raise Trouble(
            "\n".join([f"The stack was not changed: {error}", *_failures(cloudformation, stack, began)])
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise Trouble(f"The change set was not executed: {error}") from error
    return str(described["StackName"])


def _failures(cloudformation: Any, stack: str, began: datetime.datetime) -> list[str]:
    """The resources that failed since a moment, the first one first."""
    events: list[dict[str, Any]] = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
        events += page["StackEvents"]
        if events and events[-1]["Timestamp"] < began:
            break
    failed = [each for each in events if each["Timestamp"] >= began and each["ResourceStatus"].endswith("_FAILED")]
    return [f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', '')}" for each in reversed(failed)]


@click.command()
@click.argument("arn")
@click.option("--execute", "executes", is_flag=True, help="Execute it. Otherwise its changes are printed.")
def main(arn: str, *, executes: bool) -> None:
    """Shows or executes the change set ARN, which `make deploy REVIEW=1` wrote to .aws-sam/change-set."""
    found = _ARN.fullmatch(arn)
    if not found:
        raise click.BadParameter(f"{arn!r} is not the ARN of a change set.", param_hint="ARN")
    try:
        client: Any = boto3.client("cloudformation", region_name=found[1])
        click.echo(f"{execute(client, arn)} is deployed." if executes else markdown(describe(client, arn)))
    except Trouble as trouble:
        click.echo(str(trouble), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
