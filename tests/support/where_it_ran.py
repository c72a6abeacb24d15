"""At the end of a run: which tests ran where, how long they took, and what was left out and why."""

from __future__ import annotations

from collections import Counter

import pytest

PLACES = {
    "tests/benchmarks": "in this process: what make bench makes, reads back and says",
    "tests/checks": "in this process: make check notices what it must",
    "tests/deploy": "sam deploy, against an AWS emulator of their own",
    "tests/emulator": "the corrections of the AWS emulator, with and without",
    "tests/faults": "in memory: whatever breaks, docs/operations.md says what happens",
    "tests/fixtures": "every event: in memory, and some on the AWS emulator",
    "tests/iam": "over HTTP, against a second stack on the AWS emulator whose data, table and key are elsewhere",
    "tests/integration": "over HTTP, against the stack on the AWS emulator",
    "tests/local": "the commands make up, make down and make demo",
    "tests/page": "in Chromium, against the stack on the AWS emulator",
    "tests/sam_local": "sam local, in containers",
    "tests/stateful": "in memory: attempts, reconciliation, random stories of an export",
    "tests/unit": "in this process",
    "tests/workflow": "the state machine, on moto in this process",
}


class WhereItRan:
    """The plugin; it counts what the processes of pytest-xdist report."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test has ended."""
        place = "/".join(report.nodeid.split("/")[:2])
        self.seconds[place] += round(report.duration * 1000)
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.count[place] += 1
        if report.skipped:
            why = getattr(report, "wasxfail", "") or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
            self.left_out[f"{place}: {str(why).removeprefix('Skipped: ')}"] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The tables."""
        if self.count:
            terminalreporter.section("what ran where")
        for place in sorted(self.count):
            seconds = self.seconds[place] / 1000
            where = PLACES.get(place, "")
            terminalreporter.write_line(f"{place:<18} {self.count[place]:>5} tests {seconds:>7.1f} s  {where}")
        for why, count in sorted(self.left_out.items()):
            terminalreporter.write_line(f"not run, or expected to fail: {count} of {why}")
