"""State machines: their states and edges, and which states a failure passes on its way to the end."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from architecture.values import pattern
from checks.repository import Document, Path

_FLOW = {"Next", "Default", "End", "Retry", "Catch", "Comment", "StartAt", "States"}
"""Fields of a state that are told as edges, or not told at all."""


class Catch(NamedTuple):
    """What happens with an error that is caught."""

    errors: tuple[str, ...]
    target: str


class Retry(NamedTuple):
    """How often some errors are tried again."""

    errors: tuple[str, ...]
    attempts: int
    waits: str
    """The waits between the attempts, such as ``1–20 s, backoff 2``."""


class State(NamedTuple):
    """A state."""

    name: str
    path: Path
    data: dict[str, Any]
    inside: str
    """The Map or Parallel that contains it; empty if it is one of the machine itself."""

    @property
    def type(self) -> str:
        """Its type, such as ``Task``."""
        return str(self.data.get("Type", ""))

    @property
    def timeout(self) -> Any:
        """Its timeout in seconds or a ``${substitution}``; None if it has none."""
        return self.data.get("TimeoutSeconds", self.data.get("TimeoutSecondsPath"))

    @property
    def retries(self) -> list[Retry]:
        """Its retriers, in the order in which they apply."""
        found = []
        for each in self.data.get("Retry", []):
            waits = f"{each.get('IntervalSeconds', 1)}–{each.get('MaxDelaySeconds', '∞')} s"
            waits += f", backoff {each.get('BackoffRate', 2)}"
            found.append(Retry(tuple(each["ErrorEquals"]), int(each.get("MaxAttempts", 3)), waits))
        return found

    @property
    def catches(self) -> list[Catch]:
        """Its catchers, in the order in which they apply."""
        return [Catch(tuple(each["ErrorEquals"]), each["Next"]) for each in self.data.get("Catch", [])]

    @property
    def next(self) -> list[tuple[str, str]]:
        """The states that follow without an error, each with the condition of a Choice (empty if there is none)."""
        found = [("", self.data["Next"])] if "Next" in self.data else []
        found += [(f"choice {number}", each["Next"]) for number, each in enumerate(self.data.get("Choices", []), 1)]
        return found + ([("otherwise", self.data["Default"])] if "Default" in self.data else [])

    @property
    def targets(self) -> list[str]:
        """The states that can follow without an error."""
        return list(dict.fromkeys(target for _, target in self.next))

    @property
    def may_fail(self) -> bool:
        """Whether it can have a Retry and a Catch."""
        return self.type in ("Task", "Map", "Parallel")

    @property
    def rest(self) -> dict[str, Any]:
        """Its fields besides timeout and flow, without the states inside it."""
        left = {key: value for key, value in self.data.items() if key not in _FLOW and not key.startswith("Timeout")}
        if "ItemProcessor" in left:
            left["ItemProcessor"] = {key: each for key, each in left["ItemProcessor"].items() if key not in _FLOW}
        left.pop("Branches", None)
        left.pop("Choices", None)
        return left | {f"Choice {number}": each for number, each in enumerate(self.data.get("Choices", []), 1)}


class Machine:
    """A state machine of the template.

    Args:
        name: its logical id.
        file: where the definition stands.
        document: the definition.
        substitutions: what the template puts for ``${…}``.

    Raises:
        ValueError: the definition has no states.
    """

    def __init__(self, name: str, document: Document, substitutions: dict[str, Any]) -> None:
        if not isinstance(document.data, dict) or not isinstance(document.data.get("States"), dict):
            raise ValueError(f"{document.file} is not the definition of a state machine: it has no States.")
        self.name, self.document, self.substitutions = name, document, substitutions
        self.states = {state.name: state for state in _states(document.data, (), "")}
        self.timeout = document.data.get("TimeoutSeconds")
        self.starts = {"": str(document.data.get("StartAt", ""))}
        """The first state, by the Map that contains it; that of a Parallel's branch by ``<state> <branch>``."""
        for state in self.states.values():
            if "ItemProcessor" in state.data:
                self.starts[state.name] = str(state.data["ItemProcessor"].get("StartAt", ""))
            for number, branch in enumerate(state.data.get("Branches", []), 1):
                self.starts[f"{state.name} {number}"] = str(branch.get("StartAt", ""))

    def symbol(self, value: Any) -> Any:
        """The value that the template puts for a ``${substitution}``; other values as they are."""
        found = re.fullmatch(r"\$\{(\w+)\}", value) if isinstance(value, str) else None
        return self.substitutions.get(found[1], value) if found else value

    def resolved(self, value: Any) -> Any:
        """A value in which each ``${substitution}`` has the reference or the text that the template puts for it."""
        if isinstance(value, dict):
            return {key: self.resolved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        if not isinstance(value, str):
            return value

        def put(found: re.Match[str]) -> str:
            return pattern(self.substitutions[found[1]]) if found[1] in self.substitutions else found[0]

        return re.sub(r"\$\{(\w+)\}", put, value)

    def does(self, state: State) -> str:
        """What it does, such as ``dynamodb:updateItem ExportsTable`` or ``lambda:invoke PlanParts``."""
        if state.type != "Task":
            return state.type
        resource = str(state.data.get("Resource", ""))
        action = resource.rpartition(":states:::")[2] or resource
        return f"{action} {self.target(state)}".strip()

    def target(self, state: State) -> str:
        """The logical id of the resource that a Task works on; empty if it is none of the template."""
        values = [*state.data.get("Parameters", {}).values(), *state.data.get("Arguments", {}).values()]
        for value in (state.data.get("Resource", ""), *values):
            symbol = self.symbol(value)
            if isinstance(symbol, dict):
                return re.sub(r"\$\{(\w+).*", r"\1", pattern(symbol))
        return ""

    @cached_property
    def usual(self) -> frozenset[str]:
        """The states of the main path: those that are reached without an error."""
        found: set[str] = set()
        todo = [each for each in self.starts.values() if each in self.states]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [each for each in self.states[name].targets if each in self.states]
        return frozenset(found)

    def ends(self, name: str) -> set[str]:
        """The states in which the execution can end from here, if nothing fails any more."""
        seen: set[str] = set()
        todo, ends = [name], set()
        while todo:
            one = todo.pop()
            if one in seen or one not in self.states:
                continue
            seen.add(one)
            following = self.states[one].targets
            if not following or self.states[one].data.get("End"):
                ends.add(one)
            todo += following
        return ends

    def succeeds(self, name: str) -> set[str]:
        """The ends from here that count as a success: every end that is not a Fail."""
        return {each for each in self.ends(name) if self.states[each].type != "Fail"}

    def passes(self, name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        """The Tasks that every way from here to an end passes, if nothing fails any more."""
        if name in seen or name not in self.states:
            return frozenset()
        state = self.states[name]
        own = frozenset({name}) if state.may_fail else frozenset()
        ways = [self.passes(each, seen | {name}) for each in state.targets]
        return own | (frozenset.intersection(*ways) if ways else frozenset())

    def handlers(self, state: State) -> dict[str, str]:
        """The state that gets an error, by the error's name; the first Catch that names it counts."""
        found: dict[str, str] = {}
        for catch in state.catches:
            for error in catch.errors:
                found.setdefault(error, catch.target)
        return found

    def attempts(self, state: State) -> dict[str, Retry]:
        """How an error is retried, by the error's name; the first Retry that names it counts."""
        found: dict[str, Retry] = {}
        for retry in state.retries:
            for error in retry.errors:
                found.setdefault(error, retry)
        return found


def definition(text: str, file: str) -> Document:
    """A definition as a document. A ``${substitution}`` without quotes, which is a number, gets quotes."""
    return Document(re.sub(r'("\s*:\s*)(\$\{\w+\})(?=\s*[,}\]])', r'\1"\2"', text), file)


def _states(data: dict[str, Any], path: Path, inside: str) -> Iterator[State]:
    for name, state in data.get("States", {}).items():
        here = (*path, "States", name)
        yield State(name, here, state, inside)
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"], (*here, "ItemProcessor"), name)
        for index, branch in enumerate(state.get("Branches", [])):
            yield from _states(branch, (*here, "Branches", index), name)
