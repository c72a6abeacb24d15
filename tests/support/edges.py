"""Which edges of the workflow have been walked: every state, every Retry, every Catch and every rule of a Choice.

An edge is written ``A`` (entered), ``A > B`` (Next, or a Choice's rule), ``A ! B`` (a Catch), ``A@0`` (Retry entry 0).
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_ERRORS = {
    "TaskFailed": "taskFailedEventDetails",
    "TaskTimedOut": "taskTimedOutEventDetails",
    "TaskStartFailed": "taskStartFailedEventDetails",
}

Machine = dict[str, Any]
Events = list[dict[str, Any]]
"""As GetExecutionHistory answers ("HistoryEvent" in the Step Functions API reference)."""


def definition() -> Machine:
    """The project's state machine; 1 stands for every substitution."""
    file = Path(__file__).parents[2] / "statemachines" / "report_export.asl.json"
    return json.loads(re.sub(r"\$\{\w+\}", "1", file.read_text("utf-8")))  # type: ignore[no-any-return]


def flat(machine: Machine) -> dict[str, dict[str, Any]]:
    """Every state of a definition by name, those of its Map's children too."""
    found = dict(machine["States"])
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            found |= flat(state["ItemProcessor"])
    return found


def edges_of(machine: Machine) -> dict[str, str]:
    """The edges of a definition, in its order, and in words when they are walked."""
    found = {}
    for name, state in flat(machine).items():
        found[name] = state["Type"]
        for number, retry in enumerate(state.get("Retry", [])):
            found[f"{name}@{number}"] = "again after " + _some(retry["ErrorEquals"])
        for catch in state.get("Catch", []):
            found[f"{name} ! {catch['Next']}"] = "on " + _some(catch["ErrorEquals"])
        for following in [state, *state.get("Choices", []), {"Next": state.get("Default")}]:
            if following.get("Next"):
                found[f"{name} > {following['Next']}"] = "then"
    return found


def _some(errors: list[str]) -> str:
    return errors[0] + (f" and {len(errors) - 1} more" if len(errors) > 1 else "")


def path(machine: Machine, events: Events) -> str:
    """
    The states of one execution in order: ``A > B`` went on by Next, ``A ! B`` by a Catch.

    ``A@0`` was retried by its Retry entry 0; as often as that is said.
    """
    way, state, error = "", "", None
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            state = event["stateEnteredEventDetails"]["name"]
            way += (" ! " if error else " > ") * bool(way) + state
            error = None
        elif kind in _ERRORS:
            error = event[_ERRORS[kind]].get("error")
        elif kind == "MapRunFailed":
            error = kind
        elif kind == "TaskScheduled" and error:
            retries = flat(machine)[state]["Retry"]
            way += f"@{next(number for number, retry in enumerate(retries) if error in retry['ErrorEquals'])}"
            error = None
    return way


def paths_of_children(machine: Machine, events: Events) -> list[str]:
    """The paths of a Map's children, whose events stand in one list."""
    starts = {state["ItemProcessor"]["StartAt"] for state in machine["States"].values() if "ItemProcessor" in state}
    children: list[Events] = []
    child_of: dict[int, Events] = {}
    for event in events:
        if event.get("stateEnteredEventDetails", {}).get("name") in starts:
            children.append([])
            child_of[event["id"]] = children[-1]
        elif event["previousEventId"] in child_of:
            child_of[event["id"]] = child_of[event["previousEventId"]]
        if event["id"] in child_of:
            child_of[event["id"]].append(event)
    return sorted(path(machine, child) for child in children)


def walked(way: str) -> Counter[str]:
    """The edges of a :func:`path`, and how often each was walked."""
    steps = re.findall(r"([>!]?) ?(\w+)((?:@\d+)*)", way)
    found = Counter(state for _, state, _ in steps)
    found.update(f"{state}@{number}" for _, state, retries in steps for number in retries.split("@")[1:])
    found.update(f"{one[1]} {two[0]} {two[1]}" for one, two in itertools.pairwise(steps))
    return found


def faults(machine: Machine, counts: Iterable[Mapping[str, int]]) -> list[str]:
    """What is wrong when these are all edges that were walked, by each interpreter; in words."""
    there = edges_of(machine)
    total: Counter[str] = sum(map(Counter, counts), Counter())
    return [
        *(f"no test walks {edge} ({how})" for edge, how in there.items() if not total[edge]),
        *(f"{edge} was walked, but is not in the definition" for edge in total if edge not in there),
    ]
