"""The state machine: its definition with line numbers, and what the template substitutes in it."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from checks import Fault
from checks.repository import Document

FILE = "statemachines/report_export.asl.json"

Where = tuple[str | int, ...]
"""The path of keys and indexes to an element of a document."""


class State(NamedTuple):
    """A state and its place."""

    name: str
    where: Where
    data: dict[str, Any]

    @property
    def type(self) -> str:
        """Its Type."""
        return str(self.data["Type"])

    @property
    def may_fail(self) -> bool:
        """Whether it may have a Retry and a Catch."""
        return self.type in ("Task", "Map", "Parallel")

    @property
    def catches_all(self) -> bool:
        """Whether it catches every error that can be caught."""
        return any("States.ALL" in catch["ErrorEquals"] for catch in self.data.get("Catch", []))

    @property
    def distributed(self) -> bool:
        """Whether it is a Map that runs each item as an execution of its own."""
        return bool(self.data.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED")


class Edge(NamedTuple):
    """A transition from one state to another."""

    source: str
    target: str
    where: Where
    errors: tuple[str, ...] = ()
    """The errors that a Catch names; empty for a transition without an error."""


class Scope(NamedTuple):
    """States that can lead to each other: those of the machine, of a Map's processor or of a Parallel's branch."""

    where: Where
    start: str
    states: dict[str, State]
    owner: Where | None = None
    """The Map or the Parallel; None for the machine."""

    def edges(self) -> Iterator[Edge]:
        """Every transition between them, including those to missing targets."""
        for state in self.states.values():
            for key in ("Next", "Default"):
                if key in state.data:
                    yield Edge(state.name, state.data[key], (*state.where, key))
            for key in ("Choices", "Catch"):
                for index, each in enumerate(state.data.get(key, [])):
                    errors = tuple(each.get("ErrorEquals", ()))
                    yield Edge(state.name, each["Next"], (*state.where, key, index, "Next"), errors)


class Machine:
    """The definition, with parameters' defaults for its unquoted substitutions and ``aws`` for the partition.

    Raises:
        json.JSONDecodeError: it is not JSON.
        LookupError: no state machine of the template uses it.
    """

    def __init__(self, text: str, template: Document) -> None:
        self.template = template
        machines = [
            (name, resource["Properties"])
            for name, resource in template.data["Resources"].items()
            if resource.get("Properties", {}).get("DefinitionUri") == FILE
        ]
        self.name, self.properties = machines[0]
        self.substitutions: dict[str, Any] = self.properties.get("DefinitionSubstitutions", {})
        self.raw = text.splitlines()
        text = re.sub(r"([:\[,]\s*)\$\{(\w+)\}", self._number, text)
        # The checks know integrations by their ARNs in the partition aws.
        partition = next((name for name, value in self.substitutions.items() if value == {"Ref": "AWS::Partition"}), "")
        self.text = text.replace(f"${{{partition}}}", "aws")
        self.data: dict[str, Any] = json.loads(self.text)
        self.document = Document(self.text, FILE)

    @cached_property
    def scopes(self) -> list[Scope]:
        """The machine's own scope, then those inside its states."""
        return list(_scopes(self.data, (), None))

    @cached_property
    def states(self) -> list[State]:
        """Every state."""
        return [state for scope in self.scopes for state in scope.states.values()]

    def fault(self, where: Where, wrong: str, remedy: str) -> Fault:
        """A fault of the state that contains the place."""
        names = [str(name) for key, name in pairwise(where) if key == "States"]
        return Fault(FILE, self.document.line(*where), names[-1] if names else "definition", wrong, remedy)

    def template_fault(self, where: Where, wrong: str, remedy: str) -> Fault:
        """A fault of the resource of the template that contains the place."""
        return Fault(self.template.file, self.template.line(*where), str(where[1]), wrong, remedy)

    def value(self, setting: Any) -> Any:
        """The parameter's default if the value refers to a parameter; decimal texts become integers."""
        if isinstance(setting, dict) and setting.get("Ref") in self.template.data.get("Parameters", {}):
            setting = self.template.data["Parameters"][setting["Ref"]].get("Default")
        return int(setting) if str(setting).isdecimal() else setting

    def symbol(self, text: str) -> str:
        """The text with quoted substitutions resolved, such as ``${PlanPartsFunction}`` to ``${PlanParts.Arn}``."""
        return re.sub(r"\$\{(\w+)\}", lambda match: symbol(self.substitutions.get(match[1], "")), text)

    def function(self, state: State) -> str | None:
        """The logical id of the Lambda function that a state calls, or None."""
        called = state.data.get("Parameters", {}).get("FunctionName", state.data.get("Resource", ""))
        match = re.match(r"\$\{(\w+)", self.symbol(called))
        resource = self.template.data["Resources"].get(match[1], {}) if match else {}
        return match[1] if match and resource.get("Type", "").endswith("::Function") else None

    def _number(self, match: re.Match[str]) -> str:
        value = self.value(self.substitutions.get(match[2], 1))  # another rule reports undefined substitutions
        return f"{match[1]}{value}" if isinstance(value, int) else match[0]


def _scopes(data: dict[str, Any], where: Where, owner: Where | None) -> Iterator[Scope]:
    states = {name: State(name, (*where, "States", name), state) for name, state in data["States"].items()}
    yield Scope(where, data["StartAt"], states, owner)
    for state in states.values():
        if "ItemProcessor" in state.data:
            yield from _scopes(state.data["ItemProcessor"], (*state.where, "ItemProcessor"), state.where)
        for index, branch in enumerate(state.data.get("Branches", [])):
            yield from _scopes(branch, (*state.where, "Branches", index), state.where)


def symbol(value: Any) -> str:
    """A reference in the form of Fn::Sub, so that references can be compared."""
    match value:
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [*parts]}:
            return f"${{{'.'.join(parts)}}}"
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), _]}:
            return text
    return str(value)
