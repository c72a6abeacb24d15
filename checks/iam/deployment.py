"""The permissions of the template as CloudFormation deploys it with some parameters, without CloudFormation."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from checks.repository import Document
from checks.template.permissions import ACCOUNT, ARNS, PSEUDO, REGION

NAMES = ("FunctionName", "QueueName", "LogGroupName", "TopicName", "Name")
"""The properties that name a resource; without one, CloudFormation makes a name from the logical id."""
PSEUDO = PSEUDO | {"AWS::URLSuffix": "amazonaws.com"}
STACK = PSEUDO["AWS::StackName"]


class Grant(NamedTuple):
    """An action that a role's statement allows on one of its resources."""

    role: str
    sid: str
    action: str
    place: int
    """The place of the resource in the statement, from 0."""
    resource: str
    """An ARN in which * and ? match anything."""
    condition: str
    """The Condition of the statement, as JSON."""
    line: int
    reason: str
    """The comments of the statement in the template."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What stays the same when a parameter changes the resource."""
        return self.role, self.sid, self.action, self.place

    def covers(self, action: str, resource: str, context: dict[str, Any]) -> bool:
        """Whether IAM allows the request by this grant alone.

        Raises:
            NotImplementedError: the condition uses another operator than StringEquals.
        """
        if action.lower() != self.action.lower() or not _matches(self.resource, resource):
            return False
        given = {name.lower(): value for name, value in context.items()}
        for operator, compared in json.loads(self.condition).items():
            if operator != "StringEquals":
                raise NotImplementedError(f"{self.role}, {self.sid}: {operator}")
            if any(given.get(name.lower()) not in _list(value) for name, value in compared.items()):
                return False
        return True


class Deployment:
    """A stack with these parameters; those not given have their defaults. It stands in account and Region of PSEUDO.

    A resource without a name of its own is ``stack-<logical id>``.
    """

    def __init__(self, document: Document, parameters: dict[str, str]) -> None:
        template = document.data
        self._document, self._resources, self._conditions = document, template["Resources"], template["Conditions"]
        defaults = {name: str(each["Default"]) for name, each in template["Parameters"].items()}
        self._values: dict[str, str] = PSEUDO | defaults | parameters

    def name(self, resource: str) -> str:
        """The name of a resource."""
        properties = self._resources[resource].get("Properties", {})
        named = next((properties[each] for each in NAMES if each in properties), f"{STACK}-{resource}")
        return str(self._value(named))

    def grants(self, of: str | None = None) -> Iterator[Grant]:
        """Every grant of one role, or of all."""
        for role, resource in self._resources.items():
            is_wanted = resource["Type"] == "AWS::IAM::Role" and of in (role, None)
            if is_wanted and self._holds(resource.get("Condition")):
                for number, policy in enumerate(resource["Properties"]["Policies"]):
                    path = ("Resources", role, "Properties", "Policies", number, "PolicyDocument", "Statement")
                    for place, statement in enumerate(policy["PolicyDocument"]["Statement"]):
                        yield from self._granted(role, self._value(statement), (*path, place))

    def _granted(self, role: str, statement: Any, path: tuple[str | int, ...]) -> Iterator[Grant]:
        if statement is None:
            return
        line = self._document.line(*path)
        condition = json.dumps(statement.get("Condition", {}))
        reason = "; ".join(self._document.remarks(*path))
        for action in _list(statement["Action"]):
            for index, arn in enumerate(_list(statement["Resource"])):
                yield Grant(role, statement["Sid"], action, index, arn, condition, line, reason)

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self._value(self._conditions[condition]))

    def _value(self, value: Any) -> Any:
        """The value with every function resolved; None for AWS::NoValue."""
        match value:
            case {"Fn::If": [condition, then, otherwise]}:
                return self._value(then if self._holds(condition) else otherwise)
            case {"Condition": str() as condition} if len(value) == 1:
                return self._holds(condition)
            case {"Fn::Equals": [one, other]}:
                return self._value(one) == self._value(other)
            case {"Fn::Not": [one]}:
                return not self._value(one)
            case {"Fn::And": several}:
                return all(map(self._value, several))
            case {"Fn::Or": several}:
                return any(map(self._value, several))
            case {"Fn::Select": [index, several]}:
                return self._value(several)[index]
            case {"Fn::Split": [separator, text]}:
                return self._value(text).split(separator)
            case {"Ref": "AWS::NoValue"}:
                return None
            case {"Ref": name}:
                return self._attribute(name, "Ref")
            case {"Fn::GetAtt": [name, attribute]}:
                return self._attribute(name, attribute)
            case {"Fn::Sub": substitution}:
                text, variables = (substitution, {}) if isinstance(substitution, str) else substitution

                def filled(match: re.Match[str]) -> str:
                    name, _, attribute = match[1].partition(".")
                    known = self._value(variables[name]) if name in variables else None
                    return str(self._attribute(name, attribute or "Ref") if known is None else known)

                return re.sub(r"\$\{([^!}]+)\}", filled, text)
            case dict() if any(key.startswith("Fn::") for key in value):
                raise NotImplementedError(f"{value}: no role has used this function")
            case dict():
                return {key: found for key, each in value.items() if (found := self._value(each)) is not None}
            case list():
                return [found for each in value if (found := self._value(each)) is not None]
        return value

    def _attribute(self, name: str, attribute: str) -> str:
        if name in self._values:
            return str(self._values[name])
        kind = self._resources[name]["Type"]
        deployed = {"AWS::Serverless::Function": "AWS::Lambda::Function"}.get(kind, kind)
        deployed = deployed.replace("AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine")
        form = ARNS.get((deployed, attribute), "{name}")
        return str(form).format(here=f"{REGION}:{ACCOUNT}", name=self.name(name))


def _matches(pattern: str, text: str) -> bool:
    """Whether IAM's pattern, in which only * and ? are special, matches the text."""
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
