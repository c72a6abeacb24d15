"""At the end of a whole run of the tests: a table of the workflow's edges, and a failure when one was never walked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.edges import Machine, edges_of, faults

WALKED: dict[str, Counter[str]] = {"moto": Counter(), "emulator": Counter()}
"""What tests of this process have seen each interpreter walk."""
_NARROWED = ("keyword", "markexpr", "lf", "deselect", "collectonly", "maxfail")


class EdgesWalked:
    """The plugin; the processes of pytest-xdist tell the first one what they have seen."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.by: dict[str, Counter[str]] = {}
        self.faults: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A process of pytest-xdist has ended."""
        self._add(getattr(node, "workeroutput", {}).get("edges", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails the run for an edge that nothing has walked; where tests have failed, those are the reason."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["edges"] = {name: dict(counts) for name, counts in WALKED.items()}
        elif _is_whole(session.config):
            self._add(WALKED)
            self.faults = faults(self.machine, self.by.values())
            if self.faults and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _add(self, by: Mapping[str, Mapping[str, int]]) -> None:
        for name, counts in by.items():
            self.by.setdefault(name, Counter()).update(counts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """The table."""
        if _is_whole(config):
            terminalreporter.section("edges of the workflow, and how often they were walked")
            terminalreporter.write_line("\n".join([*table(self.machine, self.by), *self.faults]))


def _is_whole(config: pytest.Config) -> bool:
    named = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    return named and not any(config.getoption(name, None) for name in _NARROWED)


def table(machine: Machine, by: dict[str, Counter[str]]) -> list[str]:
    """A line for each edge: how often each interpreter walked it, and when it is walked."""
    lines = [" ".join(["edge".ljust(48), *(f"{name:>9}" for name in by), " walked"])]
    for edge, how in edges_of(machine).items():
        counts = [f"{counter[edge] or '–':>9}" for counter in by.values()]
        shown = edge if edge.isalpha() else f"  {edge}"
        lines.append(" ".join([shown.ljust(48), *counts, "", how]))
    return lines
