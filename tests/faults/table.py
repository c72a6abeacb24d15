"""What docs/operations.md says happens when something breaks."""

from __future__ import annotations

import re
from functools import cache

from checks.repository import ROOT

HEADING = "## What happens when something breaks"
NOT_RUN = "– "
"""Before the letter of the reason, in the cell of what cannot break there."""

Cell = tuple[str, str]
"""Place and fault."""


@cache
def cells() -> dict[Cell, str]:
    """What each cell says."""
    found: dict[Cell, str] = {}
    for table in tables():
        for row in table[1:]:
            for place, cell in zip(table[0][1:], row[1:], strict=True):
                assert (place, row[0]) not in found, f"{place} × {row[0]} is there twice"
                found[place, row[0]] = cell
    return found


@cache
def tables() -> list[list[list[str]]]:
    """The section's tables: rows of cells, the header first."""
    found: list[list[list[str]]] = [[]]
    for line in _section().splitlines():
        if not line.startswith("|"):
            found.append([])
        elif not line.startswith("|---"):
            found[-1].append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return [table for table in found if table and table[0][0] == "fault"]


def reasons() -> set[str]:
    """The letters that the section explains."""
    return set(re.findall(r"^- \((\w)\) ", _section(), re.MULTILINE))


def _section() -> str:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    return text.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
