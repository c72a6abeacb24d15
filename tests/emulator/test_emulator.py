"""The launcher listens on the loopback interface only, enforces IAM and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

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
def test_it_ends_with_its_workers_and_its_files(another: Cloud) -> None:
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


def test_it_listens_on_the_loopback_interface_only(patched: Cloud) -> None:
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", patched.port))


def test_the_administrator_may_everything_and_others_what_their_role_says(patched: Cloud) -> None:
    assert patched.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    assert patched.client("sts", "000000000000").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    with pytest.raises(ClientError) as refused:
        patched.as_role("s3", []).list_buckets()
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_nobody_else_gets_in(patched: Cloud) -> None:
    with pytest.raises(ClientError):
        patched.client("sqs", "AKIAIOSFODNN7EXAMPLE").list_queues()
    given = patched.client("sts").assume_role(RoleArn=patched.role([]), RoleSessionName="test")["Credentials"]
    with pytest.raises(ClientError) as refused:
        patched.client("sqs", given["AccessKeyId"], "not the secret", given["SessionToken"]).list_queues()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_an_unknown_patch_is_named(patched: Cloud) -> None:
    command: Any = [patched.process.args[0], patched.process.args[1], "--patches", "nonsense"]  # type: ignore[index]
    refused = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=30)
    assert refused.returncode == 1
    assert "unknown patch: nonsense" in refused.stderr
