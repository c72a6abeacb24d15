"""The stack on the AWS emulator: started, built, deployed, filled, described in .local/stack.json, and stopped.

The real `sam build` and `sam deploy` deploy the real template; the product does not know where it runs.
"""

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from admin import packages
from checks import reports
from local import deployment
from local.deployment import Trouble

ROOT = Path(__file__).parent.parent
STATE = ROOT / ".local"
DESCRIPTION = STATE / "stack.json"
STACK = "report-exports"
REGION = "us-east-1"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
# As many parts at once as a small machine bears; on AWS the template's default holds.
PARAMETERS = {"PythonRuntime": RUNTIME, "MapConcurrency": "4"}
PARAMETERS |= {"SenderEmail": "reports@example.com", "PageUrl": "https://app.example.com/exports"}
# What decides the emulator, and what is deployed on it.
_EMULATOR = ["local/emulator.py", "local/patches", "requirements/emulator.txt", "requirements/runtime.txt"]
_PRODUCT = ["template.yaml", "samconfig.toml", "functions", "layers", "reports", "statemachines", "local/stack.py"]
_SLOW_START = 30
_started: dict[int, subprocess.Popen[bytes]] = {}  # by process id, so that those that have ended are reaped


def describe() -> dict[str, Any] | None:
    """What .local/stack.json says of a running emulator; None when there is none."""
    if not DESCRIPTION.exists():
        return None
    try:
        description: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    except ValueError:
        return None
    return description if _alive(description.get("pid", 0)) else None


def up(port: int) -> dict[str, Any]:
    """Brings the emulator, and the stack on it, to what the files say; the emulator starts anew only when it changed.

    Raises:
        Trouble: with nothing left running that this call started.
    """
    description, digests = describe(), {"emulator": _digest(_EMULATOR), "product": _digest(_PRODUCT)}
    if description and description.get("digests") == digests:
        return description
    if description and description.get("digests", {}).get("emulator") != digests["emulator"]:
        port, description = description["port"], None
    _check_reports()
    if description is None:
        down()  # one of ours that is of another version, or whose start was broken off
    try:
        pid, port = (description["pid"], description["port"]) if description else (_start(port), port)
        _build(digests["product"])
        _step("Deploying the template with sam deploy")
        here = ["--stack-name", STACK, "--region", REGION, "--no-confirm-changeset"]  # whatever samconfig.toml says
        sam("deploy", *_overrides(), *here, port=port)
        _step("Filling in the sample data and the users")
        filled = _fill(port) | {"pid": pid, "port": port, "digests": digests}
    except BaseException:
        if description is None:
            down()
        raise
    _write(filled)
    return filled


def down() -> bool:
    """Stops the emulator and everything that it started; whether one was running."""
    pid_file = STATE / "emulator.pid"
    pid = int(pid_file.read_text()) if pid_file.exists() else 0
    DESCRIPTION.unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    if not _alive(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 15
    while _alive(pid):
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def running(port: int) -> Iterator[dict[str, Any]]:
    """The stack, for as long as this lasts; one that ran before goes on running after."""
    before = describe()
    description = up(port)
    try:
        yield description
    finally:
        if not before:
            down()


@contextlib.contextmanager
def described(stack: str) -> Iterator[dict[str, Any]]:
    """A stack that is deployed already, filled, in .local/stack.json for as long as this lasts; then its users go.

    Raises:
        Trouble: there is none, or it may not be filled.
    """
    before = DESCRIPTION.read_text() if DESCRIPTION.exists() else None
    description = deployment.find_own(stack)
    _step(f"Filling in the sample data and the users of {stack}")
    description = deployment.fill(description)
    STATE.mkdir(exist_ok=True)
    _write(description)
    try:
        yield description
    finally:
        if before is None:
            DESCRIPTION.unlink()
        else:
            DESCRIPTION.write_text(before)
        cognito = deployment.client("cognito-idp", description)
        for user in description["users"].values():
            cognito.admin_delete_user(UserPoolId=description["user_pool_id"], Username=user["email"])


def _start(port: int) -> int:
    _require_free(port)
    _step("Starting the AWS emulator")
    STATE.mkdir(exist_ok=True)
    environment = os.environ | {
        "LAMBDA_PYTHON": str(STATE / "runtime" / "bin" / "python"),
        "AWS_DEFAULT_REGION": REGION,
        # What is freed stays with the process: new memory for a body costs as much as all the rest of a request.
        "MALLOC_MMAP_THRESHOLD_": str(2**40),
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
    }
    log = STATE / "emulator.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(STATE / "emulator" / "bin" / "python"), str(ROOT / "local" / "emulator.py"), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    _started[process.pid] = process
    (STATE / "emulator.pid").write_text(str(process.pid))
    deadline = time.monotonic() + _SLOW_START
    while not log.read_text().startswith("ready"):
        if process.poll() is not None or time.monotonic() > deadline:
            down()
            raise Trouble(f"The AWS emulator did not start. Its last words ({log}):\n{_tail(log.read_text())}")
        time.sleep(0.05)
    return process.pid


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Trouble(
                f"Port {port} is in use ({error.strerror}). Name a free one: make … PORT={port + 1}"
            ) from error


def _check_reports() -> None:
    """A report that cannot be read would make every function that reads the catalogue fail."""
    if found := reports.faults(reports.FOLDER):
        raise Trouble("\n".join(map(str, found)))


def _build(digest: str) -> None:
    """Sam build, unless the last one was of the same files."""
    stamp = ROOT / ".aws-sam" / "digest"
    if not (stamp.exists() and stamp.read_text() == digest):
        _step("Building with sam build")
        sam("build", *_overrides())
        stamp.write_text(digest)
    _step(packages.require_allowed())


def _overrides() -> list[str]:
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in PARAMETERS.items())]


def sam(*arguments: str, port: int | None = None, folder: Path = ROOT, typed: str = "") -> str:
    """Runs sam.

    Args:
        arguments: of the command line.
        port: of the AWS emulator that it is to talk to; without one it gets no credentials.
        folder: where it runs.
        typed: what it reads as if a person had typed it.

    Returns:
        Everything that it wrote.

    Raises:
        Trouble: it failed; the message is the end of what it wrote.
    """
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",  # seconds between two looks at a deployment; 5 without it
        "AWS_DEFAULT_REGION": REGION,
    }
    if port:
        environment |= deployment.environment(f"http://127.0.0.1:{port}")
    run = subprocess.run(
        [str(programs / "sam"), *arguments], cwd=folder, env=environment, input=typed, capture_output=True, text=True
    )
    if run.returncode:
        raise Trouble(f"sam {arguments[0]} failed:\n{_tail(run.stdout + run.stderr, 40)}")
    return run.stdout + run.stderr


def _fill(port: int) -> dict[str, Any]:
    description = deployment.describe(STACK, REGION, f"http://127.0.0.1:{port}")
    return deployment.fill(description)


def _write(description: dict[str, Any]) -> None:
    """Writes .local/stack.json, which holds passwords."""
    DESCRIPTION.touch()
    DESCRIPTION.chmod(0o600)
    DESCRIPTION.write_text(json.dumps(description, indent=2) + "\n")


def _digest(inputs: list[str]) -> str:
    """Stands for the content of these files and folders, and for the parameters."""
    digest = hashlib.sha256(json.dumps(PARAMETERS).encode())
    for name in inputs:
        path = ROOT / name
        for file in sorted([path] if path.is_file() else path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _alive(pid: int) -> bool:
    """Whether the process lives, and is an emulator of ours."""
    if not pid:
        return False
    if pid in _started:
        return _started[pid].poll() is None
    # A number that was ours may be another's by now.
    command = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True).stdout
    return "emulator.py" in command


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _step(text: str) -> None:
    print(f"• {text}", flush=True)
