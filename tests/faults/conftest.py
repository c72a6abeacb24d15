"""At the end of the tests: the matrix of what happened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from rich.table import Table

from shared.engine import planning
from tests.faults import table

if TYPE_CHECKING:
    pass

ALL = os.environ.get("FAULTS") == "all"
_happened = pytest.StashKey[dict[table.Cell, str]]()


@pytest.fixture(autouse=True)
def _parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MIN_ROWS", 1)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_happened] = {}


class _Matrix:
    """Collects what the cells say, those of other processes too."""

    def __init__(self, happened: dict[table.Cell, str]) -> None:
        self.happened = happened

    def pytest_runtest_logreport(self, report: Any) -> None:
        said = dict(report.user_properties)
        if report.when == "call" and "happened" in said:
            self.happened[said["place"], said["fault"]] = said["happened"]


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Matrix(session.config.stash[_happened]))


def pytest_terminal_summary(config: pytest.Config) -> None:
    happened = config.stash[_happened]
    if not (ALL and happened):
        return
    console, expected = Console(width=200), table.cells()
    for header, *rows in table.tables():
        shown = Table(*header, show_lines=True)
        for fault, *_ in rows:
            shown.add_row(fault, *[_cell(happened.get((place, fault)), expected[place, fault]) for place in header[1:]])
        console.print(shown)
    wrong = sum(said != expected[cell] for cell, said in happened.items())
    console.print(f"{len(happened)} of {len(expected)} cells were run, {wrong} are not as documented.")


def _cell(happened: str | None, expected: str) -> str:
    if happened is None:
        return f"[dim]{expected if expected.startswith(table.NOT_RUN) else 'not run'}[/dim]"
    return f"[green]{happened}[/green]" if happened == expected else f"[red]{happened}[/red] (not: {expected})"
