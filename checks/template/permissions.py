"""Rules for policy statements, based on the tables of AWS's service authorization reference (policy_sentry)."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

from policy_sentry.querying.actions import get_action_data
from policy_sentry.util.arns import does_arn_match

from checks import Fault
from checks.repository import Path
from checks.template.stack import Stack

ARNS = {
    ("AWS::CloudWatch::Alarm", "Arn"): "arn:aws:cloudwatch:{here}:alarm:{name}",
    ("AWS::Cognito::UserPool", "Arn"): "arn:aws:cognito-idp:{here}:userpool/{name}",
    ("AWS::DynamoDB::Table", "Arn"): "arn:aws:dynamodb:{here}:table/{name}",
    ("AWS::DynamoDB::Table", "StreamArn"): "arn:aws:dynamodb:{here}:table/{name}/stream/{name}",
    ("AWS::Events::EventBus", "Arn"): "arn:aws:events:{here}:event-bus/{name}",
    ("AWS::IAM::Role", "Arn"): "arn:aws:iam::123456789012:role/{name}",
    ("AWS::KMS::Key", "Arn"): "arn:aws:kms:{here}:key/{name}",
    ("AWS::Lambda::Function", "Arn"): "arn:aws:lambda:{here}:function:{name}",
    ("AWS::Logs::LogGroup", "Arn"): "arn:aws:logs:{here}:log-group:{name}:*",
    ("AWS::S3::Bucket", "Arn"): "arn:aws:s3:::{name}",
    ("AWS::SNS::Topic", "Ref"): "arn:aws:sns:{here}:{name}",
    ("AWS::SQS::Queue", "Arn"): "arn:aws:sqs:{here}:{name}",
    ("AWS::StepFunctions::StateMachine", "Arn"): "arn:aws:states:{here}:stateMachine:{name}",
    ("AWS::StepFunctions::StateMachine", "Ref"): "arn:aws:states:{here}:stateMachine:{name}",
}
"""The references to resources that give an ARN, and the ARN that they give."""
ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::StackName": "stack"}
PARAMETERS = {"BucketKeyArn": "arn:aws:kms:{here}:key/{name}"}
"""The parameters that are ARNs, and the ARN that they give."""

BEYOND_THE_TABLES = {
    # AWS's guide to DynamoDB Streams grants it on the table's streams, as SAM's own policies do.
    "dynamodb:ListStreams": ["arn:${Partition}:dynamodb:${Region}:${Account}:table/${TableName}/stream/${StreamLabel}"],
}
"""Further ARNs that actions can be allowed on."""


def statements(stack: Stack) -> Iterator[Fault]:
    """Each Allow statement says why, names its actions, and names only resources that they apply to."""
    for name, resource in stack.deployed.items():
        if name in stack.written:
            for path, statement in statements_in(resource["Properties"], ("Properties",)):
                if statement.get("Effect") == "Allow":
                    yield from _faults(stack, name, statement, path)


def statements_in(value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every statement in the value, except those that say who may assume a role."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from statements_in(each, (*path, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Statement":
                for index, statement in enumerate(listed(each)):
                    yield from _cases(statement, (*path, key, index))
            elif key != "AssumeRolePolicyDocument":
                yield from statements_in(each, (*path, key))


def _cases(statement: dict[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The statement, or both cases of a condition."""
    match statement:
        case {"Fn::If": [_, *cases]}:
            for index, each in enumerate(cases, 1):
                yield from _cases(each, (*path, index))
        case _:
            yield path, statement


def _faults(stack: Stack, name: str, statement: dict[str, Any], path: Path) -> Iterator[Fault]:
    sid = statement.get("Sid", "a statement")
    if not re.fullmatch(r"([A-Z][a-z0-9]*){2,}", sid):
        yield stack.fault(name, f"{sid} does not say what it is for", "Give it a Sid such as ReadTheRecord", *path)
    for key in ("NotAction", "NotResource"):
        if key in statement:
            yield stack.fault(
                name, f"{sid} allows everything except what {key} names", "Name what it allows", *path, key
            )
    actions, resources = (listed(statement.get(key, [])) for key in ("Action", "Resource"))
    for action in actions:
        if "*" in action:
            yield stack.fault(name, f"{sid} allows {action}", "Name each action", *path, "Action")
        elif applies_to(action) is None:
            yield stack.fault(name, f"{sid} allows {action}, which is not an AWS action", "Correct it", *path, "Action")
    known = {action: kinds for action in actions if (kinds := applies_to(action)) is not None}
    for index, resource in enumerate(resources):
        at = (*path, "Resource", index)
        for arn in arns(stack, resource):
            for action, kinds in known.items():
                wrong, remedy = _misfit(action, kinds, arn, stack.comment(name, *at))
                if wrong:
                    yield stack.fault(name, f"{sid} allows {wrong}", remedy, *at)
            if arn == "*" and not stack.comment(name, *at):
                remedy = 'Name the resources, or say in a comment after "*" why AWS has nothing narrower'
                yield stack.fault(name, f"{sid} allows every resource without a reason", remedy, *at)


def _misfit(action: str, kinds: list[str], arn: str, comment: str) -> tuple[str, str]:
    """Why an action must not be allowed on an ARN, and the remedy; empty texts if it may be."""
    if arn == "*" and kinds and action.partition(":")[2] not in comment:
        remedy = "Name them in a separate statement, or name the action in the comment and say why not"
        return f"{action} on every resource, but it applies to {' or '.join(kinds)}", remedy
    if arn == "*":
        return "", ""
    if not arn.startswith("arn:"):
        remedy = "Use !GetAtt or another reference that gives its ARN (ARNS in checks/template/permissions.py)"
        return f"{action} on {arn}, which is not an ARN", remedy
    if not kinds:
        return f"{action} on {arn}, but it takes no resource", 'Move it to a statement of its own with "*" and a reason'
    if not any(is_of(arn, kind) for kind in kinds):
        return f"{action} on {arn}, to which it does not apply", f"Name what it applies to: {' or '.join(kinds)}"
    return "", ""


@cache
def applies_to(action: str) -> list[str] | None:
    """The kinds of ARNs that an action applies to; empty if only ``*`` works; None if the action does not exist."""
    service, _, name = action.partition(":")
    rows = [each for each in (get_action_data(service, name) or {}).get(service, []) if each["action"] == action]
    kinds = [each["resource_arn_format"] for each in rows if each["resource_arn_format"] != "*"]
    return kinds or BEYOND_THE_TABLES.get(action, []) if rows else None


def is_of(arn: str, kind: str) -> bool:
    """Whether an ARN matches a kind, which is an ARN with variables."""
    forms = {arn}
    if arn.startswith("arn:aws:logs:"):
        # Log group names contain slashes, and a log group's ARN that ends in :* also covers its streams.
        named = arn.replace("/", "-")
        forms = {named.removesuffix(":*"), re.sub(r":\*$", ":log-stream:*", named)}
    return any(does_arn_match(form, kind) for form in forms)


def arns(stack: Stack, value: Any) -> Iterator[str]:
    """The ARNs that a resource can have in a deployed stack, in both cases of every condition."""
    match value:
        case {"Fn::If": [_, *cases]}:
            for each in cases:
                yield from arns(stack, each)
        case {"Ref": "AWS::NoValue"}:
            return
        case {"Ref": name}:
            yield _attribute(stack, name, "Ref")
        case {"Fn::GetAtt": [name, attribute]}:
            yield _attribute(stack, name, attribute)
        case {"Fn::Sub": substitution}:
            text, variables = (substitution, {}) if isinstance(substitution, str) else substitution
            for values in product(*(arns(stack, each) for each in variables.values())):
                local = dict(zip(variables, values, strict=True))

                def filled(match: re.Match[str], local: dict[str, str] = local) -> str:
                    name, _, attribute = match[1].partition(".")
                    return local.get(match[1]) or _attribute(stack, name, attribute or "Ref")

                yield re.sub(r"\$\{([^!}]+)\}", filled, text)
        case _:
            yield str(value)


def _attribute(stack: Stack, name: str, attribute: str) -> str:
    kind = stack.deployed.get(name, {}).get("Type")
    known = ARNS.get((kind, attribute)) or PSEUDO.get(name) or PARAMETERS.get(name, name)
    return known.format(here=f"{REGION}:{ACCOUNT}", name=name)


def listed(value: Any) -> list[Any]:
    """The values of an element of a policy, which may be one value or a list."""
    return value if isinstance(value, list) else [value]


RULES = (statements,)
