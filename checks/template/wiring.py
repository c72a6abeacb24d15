"""Rules for references, cycles, parameters and explicit names, and for what outlives the stack."""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from typing import Any

from checks import Fault
from checks.repository import Document, Path, reference, references
from checks.template.stack import Stack

DATA = {"AWS::Cognito::UserPool", "AWS::KMS::Key", "AWS::S3::Bucket"}
DATA |= {"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"}
"""Types that hold data that cannot be made again."""

LENGTHS = {"Alarm": 255, "Bucket": 63, "Dashboard": 255, "EventBus": 256, "LayerVersion": 140, "LogGroup": 512}
LENGTHS |= {
    "Queue": 80,
    "RestApi": 128,
    "StateMachine": 80,
    "Table": 255,
    "Topic": 256,
    "UserPool": 128,
    "UserPoolClient": 128,
}
"""Maximum characters of an explicit name, by the last word of the type; for others, such as functions, it is 64."""
STACK_NAME = "s" * 32
"""The longest name of a stack with which all explicit names must fit."""
NAMING_PROPERTIES = {"LayerVersion": "LayerName", "UserPoolClient": "ClientName", "Stage": "Name"}
"""Naming properties that are not called after the type; a stage's StageName is unique only in its API."""
NAMED_BY_OWNERS = {"AWS::Route53::RecordSet"}
"""Types whose name is the stack's owner's own, from a parameter."""


def given_twice(stack: Stack) -> Iterator[Fault]:
    """Keys that occur twice in one mapping."""
    for path in stack.document.repeated:
        yield _fault(stack.document, path, f"has {path[-1]} twice, and only the last counts", "Keep one")


def unused_parameters(stack: Stack) -> Iterator[Fault]:
    """Parameters that nothing uses."""
    data = stack.document.data
    used = {name for key in data.keys() - {"Metadata", "Parameters"} for _, name in references(data[key])}
    for name in data.get("Parameters", {}).keys() - used:
        yield _fault(stack.document, ("Parameters", name), "is a parameter that nothing uses", "Use it or remove it")


def circles(stack: Stack) -> Iterator[Fault]:
    """The first cycle of resources that wait for each other."""
    needs = {}
    for name, resource in stack.deployed.items():
        waits = resource.get("DependsOn", [])
        named = [each for _, each in references(resource)] + (waits if isinstance(waits, list) else [waits])
        needs[name] = [each for each in named if each in stack.deployed]
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = [name for name, _ in groupby(stack.origin(each) for each in reversed(error.args[1]))]
        circle = circle if len(circle) > 1 else circle * 2
        # Report it from its first written step: SAM adds others, such as from an API to its functions.
        path: Path = ()
        for _ in circle[1:]:
            steps = [path for path, name in references(stack.written.get(circle[0])) if name == circle[1]]
            if steps:
                path = steps[0]
                break
            circle = [*circle[1:], circle[1]]
        remedy = "Refer to one of them by its explicit name: !Sub ${AWS::StackName}-…"
        yield stack.fault(circle[0], f"waits for itself: {' → '.join(circle)}", remedy, *path)


def explicit_names(stack: Stack) -> Iterator[Fault]:
    """Explicit names that two stacks would share, that are too long, or that need CAPABILITY_NAMED_IAM."""
    for name, resource in stack.deployed.items():
        service, _, kind = resource["Type"].rpartition("::")
        properties = resource["Properties"]
        if resource["Type"] in NAMED_BY_OWNERS:
            continue
        for key in dict.fromkeys(("Name", NAMING_PROPERTIES.get(kind, f"{kind}Name"))):
            if key not in properties:
                continue
            path = ("Properties", key)
            if service == "AWS::IAM":
                yield stack.fault(name, f"{key} needs CAPABILITY_NAMED_IAM", "Let CloudFormation name it", *path)
                continue
            value = _text(properties[key])
            if not re.match(r"(/aws/[a-z/]+/)?\$\{AWS::StackName\}", value):
                remedy = "Write !Sub ${AWS::StackName}-…, or let CloudFormation name it"
                yield stack.fault(
                    name, f"{key} does not contain the stack's name, so two stacks would collide", remedy, *path
                )
            length, longest = len(re.sub(r"\$\{[^}]+\}", STACK_NAME, value)), LENGTHS.get(kind, 64)
            if length > longest:
                wrong = (
                    f"{key} has {length} characters if the stack's name has {len(STACK_NAME)}; the maximum is {longest}"
                )
                yield stack.fault(name, wrong, "Shorten it", *path)


def retention(stack: Stack) -> Iterator[Fault]:
    """Data that would be deleted with the stack, and other resources that would remain."""
    for name, resource in stack.deployed.items():
        data = resource["Type"] in DATA
        for policy, kept in (("DeletionPolicy", "RetainExceptOnCreate"), ("UpdateReplacePolicy", "Retain")):
            actual = resource.get(policy, "Delete")
            if data and actual != kept:
                yield stack.fault(name, f"holds data, but its {policy} is {actual}", f"Write {policy}: {kept}", policy)
            elif not data and actual != "Delete":
                remedy = f"Remove {policy}; for a layer, write RetentionPolicy: Delete"
                yield stack.fault(name, f"holds no data, but its {policy} is {actual}", remedy, policy)


def _fault(document: Document, path: Path, wrong: str, remedy: str) -> Fault:
    return Fault(document.file, document.line(*path), str(path[min(1, len(path) - 1)]), wrong, remedy)


def _text(value: Any) -> str:
    """The text of a name; a bare reference as ``${…}``."""
    if isinstance(value, dict) and "Fn::Sub" in value:
        value = value["Fn::Sub"]
        return str(value if isinstance(value, str) else value[0])
    return value if isinstance(value, str) else f"${{{reference(value)}}}"


RULES = (given_twice, unused_parameters, circles, explicit_names, retention)
