"""Checks that the tables in docs/workflow.md match the definition."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from checks import Fault
from checks.workflow.machine import Machine, State

FILE = "docs/workflow.md"


class Row(NamedTuple):
    """A row of a table."""

    line: int
    cells: dict[str, str]
    """The cells, by the heading of their column."""


def faults(machine: Machine, text: str) -> Iterator[Fault]:
    """Differences between the table and the definition; the column `does` is not compared."""
    states = _rows(text, "state")
    rows = {name: row for row in states for name in row.cells["state"].removeprefix("· ").split(", ")}
    groups = {row.cells["errors"]: row for row in _rows(text, "errors")}
    members = {name: set(re.findall(r"`([^`]+)`", row.cells["are"])) for name, row in groups.items()}
    for state in machine.states:
        expected = _cells(machine, state, members)
        row = rows.pop(state.name, None)
        if not row:
            line = states[-1].line if states else 1
            remedy = f"Add: | {state.name} | … | {' | '.join(expected.values())} |"
            yield Fault(FILE, line, state.name, "the table has no row for it", remedy)
            continue
        expected["state"] = row.cells["state"].removeprefix("· ")
        if len(state.where) > 2:
            expected["state"] = f"· {expected['state']}"
        for column, right in expected.items():
            if (actual := row.cells.get(column)) != right:
                wrong = f"the table's column '{column}' says: {actual}"
                yield Fault(FILE, row.line, state.name, wrong, f"Write {right}, or change the definition")
    for name, row in rows.items():
        yield Fault(
            FILE, row.line, name, "the table has a row for it, but the definition has no such state", "Remove it"
        )
    for name, row in groups.items():
        if not any(name in each.cells["retried"] + each.cells["on error"] for each in states):
            yield Fault(FILE, row.line, name, "no state retries or catches these errors", "Remove the row")


def _rows(text: str, first: str) -> list[Row]:
    """The rows of the table whose first column has this heading."""
    rows: list[Row] = []
    heading: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("| ").split("|")] if line.startswith("|") else []
        if cells and heading and heading[0] == first and not line.startswith("|--"):
            rows.append(Row(number, dict(zip(heading, cells, strict=False))))
        heading = (heading or cells) if cells else []
    return rows


def _cells(machine: Machine, state: State, groups: dict[str, set[str]]) -> dict[str, str]:
    """The expected cells, by column."""
    data = state.data
    line = machine.raw[machine.document.line(*state.where, "TimeoutSeconds") - 1]
    timeout = re.search(r'"TimeoutSeconds":\s*(?:(\d+)|\$\{(\w+)\})', line)
    retried = [
        f"{_named(retry['ErrorEquals'], groups)} × {retry.get('MaxAttempts')}"
        f" ({retry.get('IntervalSeconds')}–{retry.get('MaxDelaySeconds')} s)"
        for retry in data.get("Retry", [])
    ]
    caught = [
        f"{'else' if 'States.ALL' in catch['ErrorEquals'] else _named(catch['ErrorEquals'], groups)} → {catch['Next']}"
        for catch in data.get("Catch", [])
    ]
    fails = [] if state.catches_all else ["else fails"]
    targets = [choice["Next"] for choice in data.get("Choices", [])]
    targets += [data[key] for key in ("Next", "Default") if key in data]
    return {
        "timeout": (f"{timeout[1]} s" if timeout[1] else f"`{timeout[2]}`") if timeout else "–",
        "retried": ("; ".join(retried) or "never") if state.may_fail else "–",
        "on error": "; ".join(caught + fails).removeprefix("else ") if state.may_fail else "–",
        "then": " or ".join(targets) or ("end" if "End" in data else "–"),
    }


def _named(errors: list[str], groups: dict[str, set[str]]) -> str:
    """The names of the groups of the errors, and the names of errors without a group."""
    left, names = set(errors), []
    for name, group in groups.items():
        if group and group <= left:
            names.append(name)
            left -= group
    return ", ".join([*names, *(f"`{error}`" for error in sorted(left))])
