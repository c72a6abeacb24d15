"""Whatever goes wrong while the stack comes up, the message says what to do and nothing is left running."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks import Fault, reports
from exports_admin import locks
from exports_cli.trouble import Trouble
from local import __main__, launcher
from local import port as ports


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own, with the environments of the real one."""
    for environment in ("emulator", "runtime"):
        (tmp_path / environment).symlink_to(launcher.STATE / environment)
    monkeypatch.setattr(launcher, "STATE", tmp_path)
    monkeypatch.setattr(launcher, "DESCRIPTION", tmp_path / "stack.json")
    monkeypatch.setattr(locks, "STATE", tmp_path)
    yield tmp_path
    launcher.down()


QUICK = """
import os, signal, socket, sys
options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
os.write(int(options["--lock"]), b"%d\\n" % os.getpid())
with socket.create_server(("127.0.0.1", int(options["--port"]))):
    print("ready", flush=True)
    signal.pause()
"""


@pytest.fixture
def quick(state: Path, no_product: None) -> None:
    """An emulator that only listens, where nothing else is asked of it."""
    (state / "quick.py").write_text(QUICK)
    replace_emulator(state, f"#!/bin/sh\nexec '{sys.executable}' '{state}/quick.py' \"$@\"\n")


@pytest.fixture
def no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the emulator starts: nothing is built, deployed or filled in."""
    monkeypatch.setattr(launcher, "_build", lambda digest: None)
    monkeypatch.setattr(launcher, "sam", lambda *arguments, port=None: None)
    monkeypatch.setattr(launcher, "_fill", lambda port: {"users": {}, "port": port})


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
        with pytest.raises(launcher.Trouble, match=rf"Port {taken} is in use .*make … PORT={taken + 1}"):
            launcher.up(taken)
    assert not (state / "emulator.lock").exists()


def test_a_failed_deployment_shows_why_and_stops_the_emulator(
    port: int, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: str, port: int | None = None) -> None:
        assert answers(port or 0)
        raise launcher.Trouble("sam deploy failed: ROLLBACK")

    monkeypatch.setattr(launcher, "sam", fail)
    with pytest.raises(launcher.Trouble, match="ROLLBACK"):
        launcher.up(port)
    assert not answers(port)
    assert launcher.describe() is None


def test_a_failed_redeployment_leaves_the_stack_that_ran(
    state: Path, port: int, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.up(port)
    before = launcher.describe()

    def fail(digest: str) -> None:
        raise launcher.Trouble("sam build failed")

    monkeypatch.setattr(launcher, "_build", fail)
    monkeypatch.setattr(launcher, "PARAMETERS", launcher.PARAMETERS | {"MapConcurrency": "5"})
    digest = launcher._digest
    monkeypatch.setattr(
        launcher,
        "_digest",
        lambda inputs: before["digests"]["emulator"] if "local/patches" in inputs else digest(inputs),
    )
    with pytest.raises(launcher.Trouble, match="sam build failed"):
        launcher.up(port)
    assert answers(port)
    assert launcher.describe() == before


def test_after_a_change_of_reports_only_the_reports_layer_is_deployed(
    state: Path, port: int, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, digest = [], launcher._digest
    monkeypatch.setattr(launcher, "_build", lambda digest: done.append("build"))
    monkeypatch.setattr(launcher, "sam", lambda *arguments, port: done.append("deploy"))
    monkeypatch.setattr(launcher.reports_layer, "deploy", lambda *arguments: done.append("reports"))
    users = launcher.up(port)["users"]
    assert done == ["build", "deploy"]
    monkeypatch.setattr(launcher, "_digest", lambda inputs: "other" if inputs == ["reports"] else digest(inputs))
    assert launcher.up(port)["users"] == users
    assert done == ["build", "deploy", "reports"]
    launcher.up(port)
    assert len(done) == 3


def test_what_make_down_loses_and_make_up_brings_back_is_said(
    state: Path, port: int, quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.up(port)
    (state / "own.json").write_text('{"datasets": {"sales": ["/my/sales"]}, "users": {"ann@example.com": "acme"}}')
    monkeypatch.setattr(sys, "argv", ["local", "down"])
    assert __main__.main() == 0
    assert capsys.readouterr().out.endswith(
        "Stopped. The emulator keeps no state. All exports with their files, all data and all users are gone.\n"
        "make up creates again: the sample data with its users; the dataset sales from /my/sales;"
        " the user ann@example.com of tenant acme.\n"
    )


def elsewhere(state: Path, code: str) -> list[str]:
    """The command of another process of the same folder."""
    prepared = f"from pathlib import Path; from local import launcher; launcher.STATE = Path({str(state)!r})"
    return [sys.executable, "-c", f"{prepared}; launcher.DESCRIPTION = launcher.STATE / 'stack.json'; {code}"]


def test_after_a_start_that_was_killed_the_next_one_has_the_port(state: Path, port: int, quick: None) -> None:
    killed = subprocess.Popen(
        elsewhere(state, f"launcher._start({port})"), cwd=launcher.ROOT, stdout=subprocess.DEVNULL
    )
    while not (state / "emulator.lock").exists():
        assert killed.poll() is None
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert launcher.up(port)["port"] == port
    assert launcher.describe()
    assert launcher.down() is True
    assert not answers(port)


LONG = f"with a space and ö/{'long' * 45}"


def test_an_emulator_is_known_in_a_long_path_and_a_narrow_terminal(tmp_path: Path, port: int) -> None:
    project = tmp_path / LONG
    (project / ".local").mkdir(parents=True)
    for name in (
        ".local/emulator",
        ".local/runtime",
        "local",
        "exports_admin",
        "exports_cli",
        "checks",
        "functions",
        "reports",
        "template.yaml",
    ):
        (project / name).symlink_to(launcher.ROOT / name)

    def call(code: str) -> str:
        command = [sys.executable, "-c", f"from local import launcher; {code}"]
        environment = os.environ | {"COLUMNS": "20"}
        return subprocess.check_output(command, cwd=project, env=environment, text=True).splitlines()[-1]

    call(f"launcher._start({port})")
    assert answers(port)
    assert call("print(launcher.down())") == "True"
    assert not answers(port)


@pytest.mark.skipif("LONG_PATH" not in os.environ, reason="takes minutes; LONG_PATH=1 runs it")
def test_a_clone_in_a_long_path_does_what_the_readme_says(tmp_path: Path, port: int) -> None:
    """Of the last commit: everything is installed anew."""
    project = tmp_path / LONG
    subprocess.run(["git", "clone", "--quiet", str(launcher.ROOT), str(project)], check=True)
    for words in (["demo"], ["up"], ["test", "ARGS=tests/unit/test_planning.py"], ["down"]):
        command = ["make", *words, f"PORT={port}", f"PYTHON={sys.executable}"]
        environment = os.environ | {"COLUMNS": "20"}
        run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        assert answers(port) == (words[0] in ("up", "test"))


def test_an_emulator_that_was_killed_runs_no_more(state: Path, port: int, quick: None) -> None:
    os.kill(launcher.up(port)["pid"], signal.SIGKILL)
    assert launcher.up(port)["port"] == port


@pytest.mark.parametrize("ends", [("first", "second"), ("second", "first")])
def test_the_last_who_uses_the_stack_stops_it(ends: tuple[str, str], state: Path, port: int, quick: None) -> None:
    users = {"first": contextlib.ExitStack(), "second": contextlib.ExitStack()}
    pids = [user.enter_context(launcher.running(port))["pid"] for user in users.values()]
    assert len(set(pids)) == 1
    users[ends[0]].close()
    assert answers(port)
    users[ends[1]].close()
    assert not answers(port)


def test_what_is_asked_to_stay_while_another_uses_it_stays(state: Path, port: int, quick: None) -> None:
    with launcher.running(port):
        launcher.up(port)
    assert answers(port)


def test_who_stops_or_changes_the_stack_waits_for_those_who_use_it(state: Path, port: int, quick: None) -> None:
    with launcher.running(port, "demo"):
        command = elsewhere(state, "launcher.down()")
        waiting = subprocess.Popen(command, cwd=launcher.ROOT, stdout=subprocess.PIPE, text=True)
        assert waiting.stdout
        said = f"• Waiting for make demo (process {os.getpid()}): this folder is in use\n"
        assert waiting.stdout.readline() == said
        assert answers(port)
    waiting.communicate(timeout=30)
    assert not answers(port)


def test_a_broken_report_stops_before_anything_is_deployed(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reports, "faults", lambda folder: [Fault("reports/sales.yaml", 3, "/colour", "unknown field", "No")]
    )
    with pytest.raises(launcher.Trouble, match=r"reports/sales\.yaml:3: /colour: unknown field"):
        launcher.up(port)
    assert not (state / "emulator.lock").exists()


def test_a_taken_port_is_found_before_anything_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Makefile", "local", "exports_admin", "requirements"):
        (tmp_path / name).symlink_to(launcher.ROOT / name)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        command = ["make", "demo", f"PYTHON={sys.executable}", f"PORT={taken}"]
        # Without what make test tells a make within it, such as to name the folders that it enters.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.stderr.startswith(f"Port {taken} is in use (Address already in use). Use a free one: make … PORT=")
        assert run.stdout == ""


def test_the_port_of_its_own_emulator_is_not_taken(
    state: Path, port: int, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["port", str(port)])
    launcher._start(port)
    assert ports.fault(port)
    assert ports.main() == ""


@pytest.mark.parametrize("port", ["", "abc", "0", "99999"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    run = subprocess.run(
        ["make", "up", f"PYTHON={sys.executable}", f"PORT={port}"], cwd=launcher.ROOT, capture_output=True, text=True
    )
    assert run.returncode
    assert "PORT must be a number from 1 to 65535" in run.stderr


def test_what_sam_says_of_a_failure_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(launcher.Trouble, match=r"sam no-such-command failed:\n(.|\n)*No such command"):
        launcher.sam("no-such-command")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "echo 'no such module: ministack'; exit 3",
            r"it ended with exit status 3\. The end of .*\nno such module",
        ),
        ("exit 3", r"it ended with exit status 3\. It wrote nothing to .*\. Reinstall it: rm -r \.local/emulator"),
        ("kill -9 $$", r"it was killed by SIGKILL\. It wrote nothing to "),
        (
            "exec sleep 60",
            r"it did not answer within 1 seconds\. It wrote nothing to .*\. The machine may be too busy\. Try again",
        ),
    ],
)
def test_an_emulator_that_does_not_start_is_told_with_what_to_do(
    program: str, said: str, state: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_SLOW_START", 1 if "sleep" in program else 120)
    replace_emulator(state, f"#!/bin/sh\n{program}\n")
    with pytest.raises(launcher.Trouble, match=rf"^The AWS emulator did not start: {said}"):
        launcher.up(port)
    assert launcher.down() is False


def test_an_emulator_that_cannot_be_run_is_told_with_what_to_do(state: Path, port: int) -> None:
    replace_emulator(state, "#!/no/such/python\n")
    with pytest.raises(
        launcher.Trouble, match=r"bin/python cannot be run \(No such file or directory\)\. Reinstall it"
    ):
        launcher.up(port)


def replace_emulator(state: Path, program: str) -> None:
    (state / "emulator").unlink()
    (state / "emulator" / "bin").mkdir(parents=True)
    file = state / "emulator" / "bin" / "python"
    file.write_text(program)
    file.chmod(0o755)


def test_stopping_what_does_not_run_is_no_trouble(state: Path) -> None:
    assert launcher.down() is False


def test_a_process_that_only_has_the_number_of_an_emulator_is_left_alone(state: Path) -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        (state / "emulator.lock").write_text(f"{other.pid}\n")
        assert launcher.down() is False
        assert other.poll() is None
        other.kill()


def test_without_a_usable_python_make_says_what_it_needs() -> None:
    for python in ("/no/such/python", "/bin/false"):
        run = subprocess.run(["make", "demo", f"PYTHON={python}"], cwd=launcher.ROOT, capture_output=True, text=True)
        assert run.returncode
        assert f"This project needs Python 3.11 or later, but '{python}' is not" in run.stderr


def test_invoke_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, said in (([], "Name a function"), (["FUNCTION=X", "EVENT=no.json"], "There is no file no.json")):
        run: Any = subprocess.run(
            ["make", "invoke", f"PYTHON={sys.executable}", *arguments],
            cwd=launcher.ROOT,
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert run.returncode
        assert said in run.stderr


def test_where_sam_cannot_build_duckdb_its_layer_is_installed_into_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "ROOT", tmp_path)
    (tmp_path / "layers" / "query").mkdir(parents=True)
    (tmp_path / "layers" / "query" / "requirements.txt").write_text("# nothing\n")
    build = tmp_path / ".aws-sam" / "build"
    build.mkdir(parents=True)
    (build / "template.yaml").write_text("      ContentUri: ../../layers/query\n      ContentUri: TokensLayer\n")
    launcher._build_query_layer(build)
    assert (build / "template.yaml").read_text() == "      ContentUri: QueryLayer\n      ContentUri: TokensLayer\n"

    (tmp_path / "layers" / "query" / "requirements.txt").write_text("duckdb==2.0.0\n")
    with pytest.raises(Trouble, match=r"The layer of RunQuery was not built:\n(.|\n)*--require-hashes"):
        launcher._build_query_layer(build)
