"""The emulator listens on the loopback interface only and leaves nothing behind."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.emulator.conftest import Cloud

CODE = """
    import os, time

    def handler(event, context):
        if event:
            time.sleep(30)
        return [os.getpid(), os.environ["TMPDIR"]]
"""


def alive(process: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_it_ends_with_its_workers_and_its_files() -> None:
    another = Cloud("all")
    name = another.function(CODE, Timeout=60)
    pid, scratch = another.invoke(name)["answer"]

    def keep_busy() -> None:
        with contextlib.suppress(Exception):  # the emulator goes away before it answers
            another.invoke(name, {"sleep": True})

    busy = threading.Thread(target=keep_busy)
    busy.start()
    assert alive(pid)
    assert another.stop() == 0
    busy.join(timeout=5)
    assert not alive(pid)
    assert not Path(scratch).parent.exists()


def test_it_listens_on_the_loopback_interface_only(cloud: Cloud) -> None:
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", cloud.port))


def test_an_unknown_patch_is_named(cloud: Cloud) -> None:
    command = [*cloud.command, "--patches", "nonsense"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1
    assert "unknown patch: nonsense" in refused.stderr
