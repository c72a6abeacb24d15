"""Checks the machine's substitutions, and that its role allows exactly what the states do."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from checks import Fault
from checks.workflow.machine import FILE, Machine, State, Where, symbol

TARGETS = {"dynamodb": "TableName", "sqs": "QueueUrl"}
"""By service: the parameter that names the resource of an integration."""
S3_ACTIONS = {
    "ItemReader": ("s3:GetObject",),
    "ResultWriter": ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
}
"""The actions of a Map on its bucket ("IAM policies for using Distributed Map states")."""


class Call(NamedTuple):
    """An action of a state on a resource in the form of Fn::Sub; one that ends in / or : means any with this prefix."""

    where: Where
    action: str
    resource: str


class Grant(NamedTuple):
    """An action on a resource that a statement of the role allows."""

    where: Where
    action: str
    resource: str

    def covers(self, call: Call) -> bool:
        """Whether it allows the call."""
        begins = call.resource.endswith(("/", ":")) and self.resource.startswith(call.resource)
        return fnmatchcase(call.action, self.action) and (begins or fnmatchcase(call.resource, self.resource))


def faults(machine: Machine) -> Iterator[Fault]:
    """Missing and superfluous substitutions and permissions."""
    yield from _substitutions(machine)
    role = re.fullmatch(r"\$\{(\w+)\.Arn\}", symbol(machine.properties.get("Role")))
    if not role:
        where = ("Resources", machine.name, "Properties", "Role")
        yield machine.template_fault(where, "its Role is not a role of this template", "Write !GetAtt <role>.Arn")
        return
    grants = list(_grants(machine, role[1]))
    calls = [call for state in machine.states for call in _calls(machine, state)]
    for call in calls:  # undefined substitutions leave no resource; another rule reports them
        if call.resource.strip("/") and not any(grant.covers(call) for grant in grants):
            wrong = f"{role[1]} does not allow {call.action} on {call.resource}"
            yield machine.fault(call.where, wrong, f"Allow it in a statement of {role[1]} in template.yaml")
    for grant in grants:
        if grant.action.startswith("lambda:") and not any(grant.covers(call) for call in calls):
            wrong = f"allows {grant.action} on {grant.resource}, which no state calls"
            yield machine.template_fault(grant.where, wrong, "Remove it, or call it in a state")


def _substitutions(machine: Machine) -> Iterator[Fault]:
    used = [(name, number) for number, line in enumerate(machine.raw, 1) for name in re.findall(r"\$\{(\w+)\}", line)]
    for name, number in used:
        if name not in machine.substitutions:
            remedy = f"Define it in {machine.name}'s DefinitionSubstitutions in template.yaml"
            yield Fault(FILE, number, _place(machine, number), f"nothing defines ${{{name}}}", remedy)
    for number, line in enumerate(machine.raw, 1):
        if arn := re.search(r"\barn:aws[\w-]*:", line):
            wrong = f"{arn[0]} fixes the partition, but the stack may be in another, such as China's"
            yield Fault(FILE, number, _place(machine, number), wrong, "Write arn:${Partition}:")
    for name in machine.substitutions.keys() - dict(used).keys():
        where = ("Resources", machine.name, "Properties", "DefinitionSubstitutions", name)
        yield machine.template_fault(where, f"the definition never uses ${{{name}}}", "Remove it")


def _place(machine: Machine, number: int) -> str:
    """The name of the state that contains the line."""
    lines = {machine.document.line(*state.where): state.name for state in machine.states}
    return lines[max(before)] if (before := [line for line in lines if line <= number]) else "definition"


def _calls(machine: Machine, state: State) -> Iterator[Call]:
    data, where = state.data, (*state.where, "Resource")
    parameters = data.get("Parameters", {})
    service, _, operation = str(data.get("Resource")).removeprefix("arn:aws:states:::").partition(":")
    if function := machine.function(state):
        called = machine.symbol(parameters.get("FunctionName", data["Resource"]))
        by_arn = called.replace(f"${{{function}}}", f"${{{function}.Arn}}")
        yield Call(where, "lambda:InvokeFunction", _qualified(by_arn))
    elif state.type == "Task":
        unknown = "a resource that checks/workflow/permissions.py does not know"
        target = _arn(machine.symbol(str(parameters.get(TARGETS.get(service), unknown))))
        yield Call(where, f"{service}:{operation[:1].upper()}{operation[1:].partition('.')[0]}", target)
    for key in S3_ACTIONS.keys() & data.keys():
        bucket = _arn(machine.symbol(str(data[key]["Parameters"].get("Bucket"))))
        for action in S3_ACTIONS[key]:
            yield Call((*state.where, key), action, f"{bucket}/")
    if state.distributed:  # each item is an execution of this machine, which can refer to itself only by its name
        states = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
        name = symbol(machine.properties.get("Name"))
        yield Call(state.where, "states:StartExecution", f"{states}:stateMachine:{name}")
        yield Call(state.where, "states:DescribeExecution", f"{states}:execution:{name}:")


def _grants(machine: Machine, role: str) -> Iterator[Grant]:
    """The permissions in the role's own policies, without those that only some stacks have (``Fn::If``)."""
    policies: Where = ("Resources", role, "Properties", "Policies")
    properties = machine.template.data["Resources"].get(role, {}).get("Properties", {})
    for number, policy in enumerate(properties.get("Policies", [])):
        for index, statement in enumerate(policy["PolicyDocument"]["Statement"]):
            where = (*policies, number, "PolicyDocument", "Statement", index, "Resource")
            for action in _each(statement["Action"]) if statement.get("Effect") == "Allow" else ():
                for resource in _each(statement["Resource"]):
                    yield Grant(where, action, _qualified(resource))


def _arn(reference: str) -> str:
    """The ARN of a resource that is referred to in another way."""
    return re.sub(r"\$\{(\w+)[^}]*\}", r"${\1.Arn}", reference)


def _qualified(reference: str) -> str:
    """The ARN of a version or an alias, which is the function's ARN with a suffix.

    A permission for one does not apply to the other (Lambda Developer Guide, "Fine-tuning the Resources and Conditions
    sections of policies").
    """
    return re.sub(r"\$\{(\w+)\.(Version|Alias)\}", r"${\1.Arn}:\2", reference)


def _each(value: Any) -> list[str]:
    """The texts in a value, which may be a text, a list or a condition."""
    if isinstance(value, dict) and "Fn::If" in value:
        value = value["Fn::If"][1:]
    return [text for each in value for text in _each(each)] if isinstance(value, list) else [symbol(value)]
