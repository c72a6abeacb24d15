"""A lock lasts as long as the work that it covers, and who waits for one is told for whom."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from exports_admin import locks

HOLDS = """
import subprocess, sys
from pathlib import Path
from exports_admin import locks
with locks.opened(Path(sys.argv[1]), "make up") as lock:
    lock.take()
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, pass_fds=locks.passed_on) as started:
        print(started.pid, flush=True)
"""


def test_the_lock_of_a_process_that_was_killed_lasts_until_what_it_started_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "lock")]
    killed = subprocess.Popen(command, cwd=locks.STATE.parent, stdout=subprocess.PIPE, text=True)
    assert killed.stdout
    started = int(killed.stdout.readline())
    killed.kill()
    killed.communicate()
    with locks.opened(tmp_path / "lock", "make demo") as lock:
        assert not lock.is_last()
        os.kill(started, signal.SIGKILL)
        lock.take()
        assert lock.is_last()


def test_what_installs_waits_for_what_installs_already() -> None:
    with locks.opened(locks.STATE / "setup.lock", "make demo") as lock:
        lock.take()
        command = [sys.executable, "-m", "exports_admin.locks", "echo", "installed"]
        waiting = subprocess.Popen(command, cwd=locks.STATE.parent, stdout=subprocess.PIPE, text=True)
        assert waiting.stdout
        said = f"• Waiting for make demo (process {os.getpid()}): this folder is in use\n"
        assert waiting.stdout.readline() == said
    assert waiting.communicate()[0] == "installed\n"
