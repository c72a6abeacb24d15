"""Whatever goes wrong while the stack comes up, the message says what to do and nothing is left running."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks import Fault, reports
from local import stack


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own, with the environments of the real one."""
    for environment in ("emulator", "runtime"):
        (tmp_path / environment).symlink_to(stack.STATE / environment)
    monkeypatch.setattr(stack, "STATE", tmp_path)
    monkeypatch.setattr(stack, "DESCRIPTION", tmp_path / "stack.json")
    yield tmp_path
    stack.down()


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_a_busy_port_is_named_with_a_way_out(state: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        with pytest.raises(stack.Trouble, match=rf"Port {taken} is in use .*make … PORT={taken + 1}"):
            stack.up(taken)
    assert not (state / "emulator.pid").exists()


def test_a_failed_deployment_shows_why_and_stops_the_emulator(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_build", lambda digest: None)
    pids = []

    def fail(*arguments: str, port: int | None = None) -> None:
        pids.append(int((state / "emulator.pid").read_text()))
        assert answers(port or 0)
        raise stack.Trouble("sam deploy failed: ROLLBACK")

    monkeypatch.setattr(stack, "sam", fail)
    with pytest.raises(stack.Trouble, match="ROLLBACK"):
        stack.up(port)
    assert not answers(port)
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert stack.describe() is None


def test_a_failed_redeployment_leaves_the_stack_that_ran(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_build", lambda digest: None)
    monkeypatch.setattr(stack, "sam", lambda *arguments, port=None: None)
    monkeypatch.setattr(stack, "_fill", lambda port: {"users": {}})
    stack.up(port)
    before = stack.describe()

    def fail(digest: str) -> None:
        raise stack.Trouble("sam build failed")

    monkeypatch.setattr(stack, "_build", fail)
    monkeypatch.setattr(stack, "PARAMETERS", stack.PARAMETERS | {"MapConcurrency": "5"})
    digest = stack._digest
    monkeypatch.setattr(
        stack, "_digest", lambda inputs: before["digests"]["emulator"] if "local/patches" in inputs else digest(inputs)
    )
    with pytest.raises(stack.Trouble, match="sam build failed"):
        stack.up(port)
    assert answers(port)
    assert stack.describe() == before


def test_an_emulator_whose_start_was_broken_off_is_replaced(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = stack._start(port)
    monkeypatch.setattr(stack, "_build", lambda digest: None)
    monkeypatch.setattr(stack, "sam", lambda *arguments, port=None: None)
    monkeypatch.setattr(stack, "_fill", lambda port: {"users": {}})
    assert stack.up(port)["pid"] != left
    assert not stack._alive(left)


def test_a_broken_report_stops_before_anything_is_deployed(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reports, "faults", lambda folder: [Fault("reports/sales.yaml", 3, "/colour", "is not known", "No")]
    )
    with pytest.raises(stack.Trouble, match=r"reports/sales\.yaml:3: /colour: is not known"):
        stack.up(port)
    assert not (state / "emulator.pid").exists()


@pytest.mark.parametrize("port", ["", "abc", "0", "99999"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    run = subprocess.run(
        ["make", "up", f"PYTHON={sys.executable}", f"PORT={port}"], cwd=stack.ROOT, capture_output=True, text=True
    )
    assert run.returncode
    assert "PORT is a number from 1 to 65535" in run.stderr


def test_what_sam_says_of_a_failure_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(stack.Trouble, match=r"sam no-such-command failed:\n(.|\n)*No such command"):
        stack.sam("no-such-command")


def test_an_emulator_that_does_not_start_shows_its_last_words(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "emulator").unlink()
    (state / "emulator" / "bin").mkdir(parents=True)
    program = state / "emulator" / "bin" / "python"
    program.write_text("#!/bin/sh\necho 'no such module: ministack'\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(stack.Trouble, match=r"did not start(.|\n)*no such module: ministack"):
        stack.up(port)
    assert not (state / "emulator.pid").exists()


def test_stopping_what_does_not_run_is_no_trouble(state: Path) -> None:
    assert stack.down() is False


def test_a_process_that_only_has_the_number_of_an_emulator_is_left_alone(state: Path) -> None:
    other = subprocess.Popen(["sleep", "30"])
    try:
        (state / "emulator.pid").write_text(str(other.pid))
        assert stack.down() is False
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_without_a_usable_python_make_says_what_it_needs() -> None:
    for python in ("/no/such/python", "/bin/false"):
        run = subprocess.run(["make", "demo", f"PYTHON={python}"], cwd=stack.ROOT, capture_output=True, text=True)
        assert run.returncode
        assert f"This needs Python 3.11 or later; '{python}' is not one" in run.stderr


def test_invoke_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, said in (([], "Say which"), (["FUNCTION=X", "EVENT=no.json"], "There is no no.json")):
        run: Any = subprocess.run(
            ["make", "invoke", f"PYTHON={sys.executable}", *arguments],
            cwd=stack.ROOT,
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert run.returncode
        assert said in run.stderr
