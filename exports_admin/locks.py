"""Locks on files (flock): the operating system releases one when the last process that holds it ends, however it ends.

    python -m exports_admin.locks COMMAND…    runs the command alone: two commands of one folder never install at once

Only the standard library: the Makefile calls this before anything is installed.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

STATE = Path(__file__).parents[1] / ".local"
passed_on: set[int] = set()
"""For ``pass_fds`` of the processes whose work a lock covers: it is held until they have ended, too."""


class Lock:
    """One file's lock, held by one process alone or by several together; the file lists its holders."""

    def __init__(self, file: IO[str], name: str) -> None:
        self._file, self._name = file, name

    def share(self) -> None:
        """Holds it together with others; waits while a process holds it alone."""
        self._wait(fcntl.LOCK_SH)

    def take(self) -> None:
        """Holds it alone; waits until no other process holds it."""
        self._wait(fcntl.LOCK_EX)
        self._file.truncate(0)
        self._sign()

    def is_last(self) -> bool:
        """Whether no other process holds it, which is held alone then; else it is released."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # of two that end at once, one must come to hold it alone
        return _tried(self._file, fcntl.LOCK_EX)

    def _wait(self, mode: int) -> None:
        if not _tried(self._file, mode):
            holders = ", ".join(self._holders()) or "what a command that was killed has left running"
            print(f"• Waiting for {holders}: it works in this folder", flush=True)  # noqa: T201 - click is not there yet
            fcntl.flock(self._file, mode)
        if mode == fcntl.LOCK_SH:
            self._sign()

    def _sign(self) -> None:
        self._file.write(f"{os.getpid()} {self._name}\n")
        self._file.flush()

    def _holders(self) -> list[str]:
        """The others of the list that still live."""
        self._file.seek(0)
        listed = dict(line.split(maxsplit=1) for line in self._file.read().splitlines())
        listed.pop(str(os.getpid()), None)
        return [f"{name} (process {pid})" for pid, name in listed.items() if _lives(int(pid))]


@contextlib.contextmanager
def opened(path: Path, name: str) -> Iterator[Lock]:
    """A lock that is not held yet; it is released at the end.

    Args:
        path: of its file, which is made where there is none.
        name: what the other processes are told of this one.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        passed_on.add(file.fileno())
        try:
            yield Lock(file, name)
        finally:
            passed_on.remove(file.fileno())


def holder(path: Path) -> int | None:
    """The process that holds a lock for as long as it lives, and writes its number into the file; None without one."""
    if not path.exists():
        return None
    with path.open() as file:
        while not _tried(file, fcntl.LOCK_SH):
            file.seek(0)
            if (number := file.read()).endswith("\n"):
                return int(number)
            time.sleep(0.01)  # it has only just begun
    return None


def _tried(file: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    with opened(STATE / "setup.lock", "make, which installs") as lock:
        lock.take()
        for descriptor in passed_on:
            os.set_inheritable(descriptor, True)
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the Makefile's own command
