"""File locks (flock). The operating system releases a lock when the last process that holds it ends, even if killed.

    python -m exports_admin.locks COMMAND…    runs the command while no other command installs in this folder

Uses only the standard library, because the Makefile calls it before anything is installed.
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
"""File descriptors for ``pass_fds`` of child processes. A lock is held until these processes have ended, too."""


class Lock:
    """The lock on a file, either exclusive or shared by several processes. The file lists its holders."""

    def __init__(self, file: IO[str], name: str) -> None:
        self._file, self._name = file, name

    def share(self) -> None:
        """Takes the lock in shared mode. Waits while a process holds it exclusively."""
        self._wait(fcntl.LOCK_SH)

    def take(self) -> None:
        """Takes the lock exclusively. Waits until no other process holds it."""
        self._wait(fcntl.LOCK_EX)
        self._file.truncate(0)
        self._sign()

    def is_last(self) -> bool:
        """Whether no other process holds the lock. If so, it is taken exclusively; otherwise it is released."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # if two processes end at once, one of them must get the lock
        return _tried(self._file, fcntl.LOCK_EX)

    def _wait(self, mode: int) -> None:
        if not _tried(self._file, mode):
            holders = ", ".join(self._holders()) or "processes that a killed command has left running"
            print(f"• Waiting for {holders}: this folder is in use", flush=True)  # noqa: T201 - there is no click yet
            fcntl.flock(self._file, mode)
        if mode == fcntl.LOCK_SH:
            self._sign()

    def _sign(self) -> None:
        self._file.write(f"{os.getpid()} {self._name}\n")
        self._file.flush()

    def _holders(self) -> list[str]:
        """The other listed processes that still run."""
        self._file.seek(0)
        listed = dict(line.split(maxsplit=1) for line in self._file.read().splitlines())
        listed.pop(str(os.getpid()), None)
        return [f"{name} (process {pid})" for pid, name in listed.items() if _lives(int(pid))]


@contextlib.contextmanager
def opened(path: Path, name: str) -> Iterator[Lock]:
    """Opens a lock without taking it. The lock is released at the end.

    Args:
        path: the file of the lock, which is created if it is missing.
        name: the name of this process in messages of other processes.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        passed_on.add(file.fileno())
        try:
            yield Lock(file, name)
        finally:
            passed_on.remove(file.fileno())


def holder(path: Path) -> int | None:
    """The id of the process that holds a lock during its lifetime and writes its id to the file; None if none does."""
    if not path.exists():
        return None
    with path.open() as file:
        while not _tried(file, fcntl.LOCK_SH):
            file.seek(0)
            if (number := file.read()).endswith("\n"):
                return int(number)
            time.sleep(0.01)  # the process has just started and has not written its id yet
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
    with opened(STATE / "setup.lock", "an installation by make") as lock:
        lock.take()
        for descriptor in passed_on:
            os.set_inheritable(descriptor, True)
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the Makefile's own command
