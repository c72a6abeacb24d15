"""Carries out the definition of the state machine one state at a time.

A :class:`Run` stops at every Task and every Map with what it asks for; whoever owns it does that, or lets it fail, when
it likes. So the steps of several executions, and of whatever else goes on, can be put in any order. Only what
statemachines/report_export.asl.json uses is known; anything else is refused, so that nothing is passed over in silence.
"Amazon States Language" (states-language.net) is the specification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

NEVER_CAUGHT = ("States.Runtime", "States.DataLimitExceeded")
_KNOWN = {
    "Task": {"Resource", "TimeoutSeconds", "Parameters", "ResultSelector", "ResultPath", "Retry", "Catch"},
    "Map": {"Label", "ItemReader", "MaxConcurrencyPath", "ItemSelector", "ItemProcessor", "ResultWriter"}
    | {"ResultPath", "Catch"},
    "Pass": {"Parameters"},
    "Choice": {"Choices", "Default"},
    "Succeed": set(),
    "Fail": {"ErrorPath", "CausePath"},
}
_EVERYWHERE = {"Type", "Comment", "Next", "End"}


class StateError(Exception):
    """What a state fails with: a name for Retry and Catch, and a cause."""

    def __init__(self, error: str, cause: str = "made by a test") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


@dataclass
class Ask:
    """What a run waits for: that a service is called. ``service`` is such as ``dynamodb:updateItem``."""

    state: str
    service: str
    arguments: dict[str, Any]
    timeout: float


@dataclass
class FanOut:
    """What a run waits for: a run of its own, made by ``child``, for each item of a file, so many at once."""

    state: str
    items_at: dict[str, Any]
    results_at: dict[str, Any]
    concurrency: int
    child: Callable[[Any], Run]


@dataclass
class Run:
    """One execution, or one child of a Map, from its first state on."""

    definition: dict[str, Any]
    given: Any
    context: dict[str, Any]
    now: Callable[[], str]
    tried_again: Callable[[], object] = lambda: None
    """Hears of each retry, those of children too."""
    status: str = "RUNNING"
    output: Any = None
    error: str = ""
    cause: str = ""
    entered: list[str] = field(default_factory=list)
    waits_for: Ask | FanOut | None = None

    def __post_init__(self) -> None:
        self._way = self._go()
        self._on(lambda: next(self._way))

    def answer(self, result: Any) -> None:
        """What was asked for was done."""
        self._on(lambda: self._way.send(result))

    def fail(self, error: str, cause: str = "made by a test") -> None:
        """What was asked for failed."""
        self._on(lambda: self._way.throw(StateError(error, cause)))

    def close(self, status: str, error: str = "", cause: str = "") -> None:
        """It ends from outside: TIMED_OUT or ABORTED."""
        self._way.close()
        self.status, self.error, self.cause, self.waits_for = status, error, cause, None

    def _on(self, go: Callable[[], Ask | FanOut]) -> None:
        assert self.status == "RUNNING", "it is over"
        self.waits_for = None
        try:
            self.waits_for = go()
        except StopIteration as end:
            self.status, self.output = "SUCCEEDED", end.value
        except StateError as error:
            self.status, self.error, self.cause = "FAILED", error.error, error.cause

    def _go(self) -> Generator[Ask | FanOut, Any, Any]:
        name, data = self.definition["StartAt"], self.given
        while True:
            state = self.definition["States"][name]
            unknown = set(state) - _KNOWN[state["Type"]] - _EVERYWHERE
            assert not unknown, f"{name} has {unknown}, which the stepper does not know"
            self.entered.append(name)
            self.context["State"] = {"Name": name, "EnteredTime": self.now()}
            match state["Type"]:
                case "Succeed":
                    return data
                case "Fail":
                    raise StateError(self._value(state["ErrorPath"], data), self._value(state["CausePath"], data))
                case "Pass":
                    data = self._fill(state["Parameters"], data)
                case "Choice":
                    name = next((each["Next"] for each in state["Choices"] if _applies(each, data)), state["Default"])
                    continue
                case _:
                    try:
                        data = yield from self._work(name, state, data)
                    except StateError as error:
                        catch = _matching(state.get("Catch", []), error.error)
                        if catch is None:
                            raise
                        data = _put(data, catch["ResultPath"], {"Error": error.error, "Cause": error.cause})
                        name = catch["Next"]
                        continue
            if state.get("End"):
                return data
            name = state["Next"]

    def _work(self, name: str, state: dict[str, Any], data: Any) -> Generator[Ask | FanOut, Any, Any]:
        asked = self._task(name, state, data) if state["Type"] == "Task" else self._map(name, state, data)
        retries: list[dict[str, Any]] = state.get("Retry", [])
        used = [0] * len(retries)
        while True:
            try:
                result = yield asked
                break
            except StateError as error:
                retry = _matching(retries, error.error)
                number = retries.index(retry) if retry else -1
                if retry is None or used[number] >= retry["MaxAttempts"]:
                    raise
                used[number] += 1
                self.tried_again()
        if "ResultSelector" in state:
            result = self._fill(state["ResultSelector"], result)
        return _put(data, state.get("ResultPath", "$"), result)

    def _task(self, name: str, state: dict[str, Any], data: Any) -> Ask:
        service = state["Resource"].removeprefix("arn:aws:states:::")
        return Ask(name, service, self._fill(state["Parameters"], data), state["TimeoutSeconds"])

    def _map(self, name: str, state: dict[str, Any], data: Any) -> FanOut:
        reader, writer, processor = state["ItemReader"], state["ResultWriter"], state["ItemProcessor"]
        assert reader["Resource"].endswith("s3:getObject")
        assert reader["ReaderConfig"] == {"InputType": "JSON"}
        assert processor["ProcessorConfig"]["Mode"] == "DISTRIBUTED"

        def child(item: Any) -> Run:
            self.context["Map"] = {"Item": {"Value": item}}
            return Run(
                processor, self._fill(state["ItemSelector"], data), dict(self.context), self.now, self.tried_again
            )

        where, results = (self._fill(each["Parameters"], data) for each in (reader, writer))
        return FanOut(name, where, results, self._value(state["MaxConcurrencyPath"], data), child)

    def _fill(self, template: Any, data: Any) -> Any:
        """A payload template with the values of its paths put in."""
        if not isinstance(template, dict):
            return template
        return {
            key.removesuffix(".$"): self._value(value, data) if key.endswith(".$") else self._fill(value, data)
            for key, value in template.items()
        }

    def _value(self, path: str, data: Any) -> Any:
        """The value of a path or of an intrinsic function."""
        if found := re.fullmatch(r"States\.Format\('\{\}', (\S+)\)", path):
            return str(self._value(found[1], data))
        if found := re.fullmatch(r"States\.JsonToString\((\S+)\)", path):
            return json.dumps(self._value(found[1], data), separators=(",", ":"))
        root, *names = path.split(".")
        assert root in ("$", "$$"), f"the stepper does not know {path}"
        value = data if root == "$" else self.context
        for each in names:
            if not isinstance(value, dict) or each not in value:
                raise StateError("States.Runtime", f"{path} is not there")
            value = value[each]
        return value


def _applies(rule: dict[str, Any], data: Any) -> bool:
    """Whether a rule of a Choice applies."""
    assert set(rule) == {"Variable", "IsPresent", "Next"}
    assert rule["Variable"].startswith("$.")
    return (rule["Variable"].removeprefix("$.") in data) == rule["IsPresent"]


def _matching(rules: list[dict[str, Any]], error: str) -> dict[str, Any] | None:
    """The first Retry or Catch that names the error."""
    if error in NEVER_CAUGHT:
        return None
    return next((rule for rule in rules if {error, "States.ALL"} & set(rule["ErrorEquals"])), None)


def _put(data: Any, path: str | None, result: Any) -> Any:
    """The data with a result put where ResultPath says."""
    if path is None:
        return data
    return result if path == "$" else data | {path.removeprefix("$."): result}
