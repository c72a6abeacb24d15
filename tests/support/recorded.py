"""Names the running test in the file of IAM's decisions (local/decisions.py), so that each decision has its test."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class NamesTests:
    """The plugin; tests must run one at a time."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Everything until the next test belongs to this one, also what it started and did not wait for."""
        line = {"test": item.nodeid, "denies": item.get_closest_marker("denies") is not None}
        os.write(self._file, f"{json.dumps(line)}\n".encode())
        return (yield)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failed run proves nothing."""
        if report.failed:
            os.write(self._file, f"{json.dumps({'failed': report.nodeid})}\n".encode())


def configure(config: pytest.Config) -> None:
    """Registers the plugin if DECISIONS names a file."""
    if not (name := os.environ.get("DECISIONS")):
        return
    from local import launcher  # it takes a while, which other runs need not wait for

    if launcher.describe() is not None:
        raise pytest.UsageError("The AWS emulator runs already and does not record. Stop it: make down")
    config.pluginmanager.register(NamesTests(launcher.ROOT / name))
