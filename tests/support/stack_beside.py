"""The stack comes up on the AWS emulator while the tests that do not need it run; without any that does, not at all.

`make test` names the port in TEST_PORT. Without it a stack that runs already is used, as `make up` left it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from exports_admin import locks

NEEDED_BY = ("tests/deploy/", "tests/fixtures/test_emulator.py", "tests/iam/", "tests/integration/")
LOG = locks.STATE / "stack-beside.log"
"""What is said while it comes up, and at last one of these lines."""
READY, FAILED = "The stack is ready.", "The stack did not come up."
_HOLD = f"import sys; print({READY!r}, flush=True); sys.stdin.read()"
_PATIENCE_SECONDS = 900


class StackBeside:
    """The plugin of the process that the others of pytest-xdist are told by, or of the only one."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._holder: subprocess.Popen[str] | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """The first of the processes says what will run."""
        self._start_for(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without pytest-xdist the tests are here."""
        self._start_for([item.nodeid for item in session.items])

    def pytest_sessionfinish(self) -> None:
        """It goes down again, unless `make up` has asked for it."""
        if self._holder and self._holder.stdin:
            self._holder.stdin.close()
            self._holder.wait()

    def _start_for(self, tests: list[str]) -> None:
        if self._holder is None and any(test.startswith(NEEDED_BY) for test in tests):
            LOG.parent.mkdir(exist_ok=True)
            with LOG.open("w") as output:
                words = ["-m", "local", "run", "--port", self._port, "--", sys.executable, "-c", _HOLD]
                # The interpreter of the command reads our end of the pipe: it ends with us, however we end.
                self._holder = subprocess.Popen(
                    [sys.executable, *words], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, text=True
                )
            threading.Thread(target=_say_failed, args=(self._holder,), daemon=True).start()


def _say_failed(holder: subprocess.Popen[str]) -> None:
    if holder.wait() and not _has_said(READY):
        with LOG.open("a") as output:
            output.write(f"{FAILED}\n")


def _has_said(line: str) -> bool:
    return line in LOG.read_text("utf-8").splitlines() if LOG.exists() else False


def wait() -> None:
    """Returns once the stack can be used.

    Raises:
        pytest.fail.Exception: it did not come up, with the reason.
    """
    if "TEST_PORT" not in os.environ:
        return
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _has_said(READY):
        if _has_said(FAILED) or time.monotonic() > deadline:
            pytest.fail(LOG.read_text("utf-8"), pytrace=False)
        time.sleep(0.2)


def last(items: list[pytest.Item]) -> None:
    """Orders tests: those that need the stack come last, as late as it comes up."""
    items.sort(key=lambda item: item.nodeid.startswith(NEEDED_BY))


def configure(config: pytest.Config) -> None:
    """Registers the plugin in the process that starts the others."""
    port = os.environ.get("TEST_PORT")
    if port and not hasattr(config, "workerinput"):
        LOG.unlink(missing_ok=True)
        config.pluginmanager.register(StackBeside(port))
