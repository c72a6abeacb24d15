"""Starts and stops the AWS emulator, and builds, deploys and fills the stack on it. .local/stack.json describes it.

The real `sam build` and `sam deploy` deploy the real template. The product does not know where it runs.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from checks import reports
from checks.repository import ROOT
from exports_admin import emulator, locks, packages, restore, stack
from exports_admin.packages import RUNTIME
from exports_admin.stack import STACK
from exports_cli.trouble import Trouble
from local import port as ports
from local import reports_layer

STATE = locks.STATE
DESCRIPTION = STATE / "stack.json"
REGION = "us-east-1"
# The stack takes no python3.11 (PythonRuntime in template.yaml); the emulator runs functions with this Python anyway.
# MapConcurrency: the number of parts that a small machine can run at once. On AWS, the template's default applies.
PARAMETERS = {"PythonRuntime": max(RUNTIME, "python3.12"), "MapConcurrency": "4"}
PARAMETERS |= {"AllowedOrigin": "*", "OnBehalfRoutes": "true"}
PARAMETERS |= {"SenderEmail": "reports@example.com", "PageUrl": "https://app.example.com/exports"}
PARAMETERS |= {"PageDomainPrefix": "report-exports-local"}
# The inputs of the emulator, of the deployed product, and of its reports.
_EMULATOR = ["local/emulator.py", "local/patches", "requirements/emulator.txt", "requirements/runtime.txt"]
_PRODUCT = ["template.yaml", "samconfig.toml", "functions", "layers", "web", "statemachines", "local/launcher.py"]
_REPORTS = ["reports"]
_SLOW_START = 120
_REINSTALL = "Reinstall it: rm -r .local/emulator. Then run the same command again."
_started: dict[int, subprocess.Popen[bytes]] = {}  # by process id, to reap each process after its end


def describe() -> dict[str, Any] | None:
    """The content of .local/stack.json; None if no emulator runs."""
    return emulator.describe(STATE)


def up(port: int) -> dict[str, Any]:
    """Starts the emulator and deploys the current files, as far as necessary. Leaves the emulator running.

    Returns:
        The description of the stack.

    Raises:
        Trouble: the emulator or the deployment failed. An emulator that this call started has been stopped.
    """
    with _lock("up") as lock:
        description = _current(lock, port)
        if not description.get("kept"):
            description = restore.restore(description) | {"kept": True}
        _write(description)
    return description


def down() -> bool:
    """Waits until nobody uses the emulator, and stops it. Returns whether it was running."""
    with _lock("down") as lock:
        lock.take()
        return _stop()


@contextlib.contextmanager
def running(port: int, command: str = "test") -> Iterator[dict[str, Any]]:
    """The description of the stack, which runs inside the context. The last user stops it, unless `make up` started it.

    Raises:
        Trouble: see :func:`up`.
    """
    with _lock(command) as lock:
        description = _current(lock, port)
        try:
            yield description
        finally:
            if lock.is_last() and not (describe() or {}).get("kept"):
                _stop()


def _lock(command: str) -> contextlib.AbstractContextManager[locks.Lock]:
    """The lock of this folder's stack. Commands that use the stack share it. A command that changes it does not."""
    return locks.opened(STATE / "stack.lock", f"make {command}")


def _current(lock: locks.Lock, port: int) -> dict[str, Any]:
    """The description of the stack, deployed from the current files. The lock is shared, so nobody can change it."""
    while True:
        lock.share()
        description = describe()
        if description and description.get("digests") == _digests():
            return description
        lock.take()
        _bring_up(port)


def _bring_up(port: int) -> None:
    """Starts, builds, deploys and fills what is missing or outdated. A changed emulator is restarted."""
    description, digests = describe(), _digests()
    if description and description.get("digests", {}).get("emulator") != digests["emulator"]:
        port, description = description["port"], None
    _check_reports()
    if description is None:
        _stop()  # an emulator of another version, or one whose start was interrupted
    try:
        pid, port = (description["pid"], description["port"]) if description else (_start(port), port)
        if description and description["digests"]["product"] == digests["product"]:
            _deploy_reports(port)
            filled = description | {"digests": digests}
        else:
            _build(digests["product"])
            _step("Deploying the template with sam deploy")
            here = ["--stack-name", STACK, "--region", REGION, "--no-confirm-changeset"]  # override samconfig.toml
            sam("deploy", *_overrides(), *here, port=port)
            _step("Filling in the sample data and the users")
            filled = _fill(port) | {"pid": pid, "port": port, "digests": digests}
            if description:
                filled |= {"kept": description.get("kept", False), "users": description["users"] | filled["users"]}
    except BaseException:
        if description is None:
            _stop()
        raise
    _write(filled)


def _stop() -> bool:
    DESCRIPTION.unlink(missing_ok=True)
    pid = emulator.process(STATE)
    if pid is None:
        return False
    deadline = time.monotonic() + 15
    with contextlib.suppress(ProcessLookupError):  # it has ended in the meantime
        os.kill(pid, signal.SIGTERM)
        while emulator.process(STATE):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.05)
    time.sleep(0.05)  # a process releases its port and its lock one after the other
    if process := _started.pop(pid, None):
        process.wait()
    return True


@contextlib.contextmanager
def described(name: str) -> Iterator[dict[str, Any]]:
    """A deployed stack, filled with the sample data. Inside the context, .local/stack.json describes it.

    At the end, the users that this call created are deleted.

    Raises:
        Trouble: the stack does not exist, or its bucket or user pool is not its own.
    """
    with _lock("test-stack") as lock:
        lock.take()  # commands that use the emulator's stack read the same file
        before = DESCRIPTION.read_text() if DESCRIPTION.exists() else None
        description = stack.find_own(name)
        _step(f"Filling in the sample data and the users of {name}")
        description = stack.fill(description)
        _write(description)
        try:
            yield description
        finally:
            if before is None:
                DESCRIPTION.unlink()
            else:
                DESCRIPTION.write_text(before)
            cognito = stack.client("cognito-idp", description)
            for user in description["users"].values():
                cognito.admin_delete_user(UserPoolId=description["user_pool_id"], Username=user["email"])


def _start(port: int) -> int:
    if fault := ports.fault(port):
        raise Trouble(fault)
    _step("Starting the AWS emulator")
    environment = os.environ | {
        "LAMBDA_PYTHON": str(STATE / "runtime" / "bin" / "python"),
        "AWS_DEFAULT_REGION": REGION,
        # The process keeps freed memory: to get new memory for a body takes as long as the rest of a request.
        "MALLOC_MMAP_THRESHOLD_": str(2**40),
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
    }
    program, log = STATE / "emulator" / "bin" / "python", STATE / "emulator.log"
    with log.open("w") as output, (STATE / "emulator.lock").open("w") as held:
        fcntl.flock(
            held, fcntl.LOCK_EX
        )  # the emulator inherits the lock, so other commands recognize it from the start
        options = ["--port", str(port), "--lock", str(held.fileno())]
        try:
            process = subprocess.Popen(
                [str(program), str(ROOT / "local" / "emulator.py"), *options],
                pass_fds=[held.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Trouble(f"{program} cannot be run ({error.strerror}). {_REINSTALL}") from error
    _started[process.pid] = process
    deadline = time.monotonic() + _SLOW_START
    while not log.read_text().startswith("ready"):
        if process.poll() is not None or time.monotonic() > deadline:
            status = process.returncode
            process.kill()
            process.wait()
            raise Trouble((status and ports.fault(port)) or _did_not_start(status, log))
        time.sleep(0.05)
    return process.pid


def _did_not_start(status: int | None, log: Path) -> str:
    """How the emulator ended, with the end of its log, or what to do if it logged nothing."""
    remedy = _REINSTALL
    if status is None:
        how, remedy = f"it did not answer within {_SLOW_START} seconds", "The machine may be too busy. Try again."
    elif status < 0:
        how = f"it was killed by {signal.Signals(-status).name}"
    else:
        how = f"it ended with exit status {status}"
    words = _tail(log.read_text())
    said = f"The end of {log}:\n{words}" if words else f"It wrote nothing to {log}. {remedy}"
    return f"The AWS emulator did not start: {how}. {said}"


def _check_reports() -> None:
    """Checks the reports: with an invalid one, every function that reads the catalogue would fail."""
    if found := reports.faults(reports.FOLDER):
        raise Trouble("\n".join(map(str, found)))


def _build(digest: str) -> None:
    """Runs `sam build`, unless the last build was of the same files."""
    stamp = ROOT / ".aws-sam" / "digest"
    if not (stamp.exists() and stamp.read_text() == digest):
        _step("Building with sam build")
        if PARAMETERS["PythonRuntime"] == RUNTIME:
            sam("build", *_overrides())
        else:  # SAM finds no DuckDB for Lambda's python3.11
            sam("build", "--exclude", "QueryLayer", *_overrides(PythonRuntime=RUNTIME))
            _build_query_layer(ROOT / ".aws-sam" / "build")
        stamp.write_text(digest)
    _step(packages.require_allowed())


def _build_query_layer(build: Path) -> None:
    """Installs the QueryLayer for this machine into a build that lacks it."""
    source = ROOT / "layers" / "query"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes", "--requirement", str(source / "requirements.txt")]
    run = subprocess.run([*pip, "--target", str(build / "QueryLayer" / "python")], capture_output=True, text=True)
    if run.returncode:
        raise Trouble(f"The layer of RunQuery was not built:\n{run.stderr.strip()}")
    template = build / "template.yaml"
    text = template.read_text("utf-8")
    template.write_text(
        text.replace(f"ContentUri: {os.path.relpath(source, build)}\n", "ContentUri: QueryLayer\n"), "utf-8"
    )


def _deploy_reports(port: int) -> None:
    _step(packages.require_allowed())
    _step("Only reports/ has changed: deploying its layer")
    where = {"region": REGION, "endpoint_url": f"http://127.0.0.1:{port}"}
    try:
        reports_layer.deploy(STACK, where, reports.FOLDER)
    except (ClientError, WaiterError) as error:
        raise Trouble(f"The reports were not deployed: {error}") from error


def _overrides(**others: str) -> list[str]:
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in (PARAMETERS | others).items())]


def sam(*arguments: str, port: int | None = None, folder: Path = ROOT, typed: str = "") -> str:
    """Runs SAM CLI.

    Args:
        arguments: the arguments of the command line.
        port: the port of the AWS emulator to use. Without it, SAM CLI gets no credentials.
        folder: the working directory.
        typed: the standard input.

    Returns:
        The output, including standard error.

    Raises:
        Trouble: SAM CLI failed. The message is the end of its output.
    """
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",  # seconds between two queries of a deployment; the default is 5
        "AWS_DEFAULT_REGION": REGION,
    }
    if port:
        environment |= stack.environment(f"http://127.0.0.1:{port}")
    run = subprocess.run(
        [str(programs / "sam"), *arguments],
        cwd=folder,
        env=environment,
        pass_fds=locks.passed_on,  # if this process is killed, SAM CLI continues and must keep the lock
        input=typed,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise Trouble(f"sam {arguments[0]} failed:\n{_tail(run.stdout + run.stderr, 40)}")
    return run.stdout + run.stderr


def _fill(port: int) -> dict[str, Any]:
    description = stack.describe(STACK, REGION, f"http://127.0.0.1:{port}")
    return stack.fill(description)


def try_it(description: dict[str, Any]) -> str:
    """How to try the web page of a stack on the emulator: its address, and a user with the password."""
    user = next(iter(description["users"].values()))
    return f"The page: {description['api_url']}/ (sign in as {user['email']} with the password {user['password']})"


def _write(description: dict[str, Any]) -> None:
    """Writes .local/stack.json. Only the owner may read it, because it has passwords."""
    DESCRIPTION.touch()
    DESCRIPTION.chmod(0o600)
    DESCRIPTION.write_text(json.dumps(description, indent=2) + "\n")


def _digests() -> dict[str, str]:
    return {"emulator": _digest(_EMULATOR), "product": _digest(_PRODUCT), "reports": _digest(_REPORTS)}


def _digest(inputs: list[str]) -> str:
    """A hash of the content of these files and folders, of the parameters, and of the Python that builds."""
    digest = hashlib.sha256(json.dumps([PARAMETERS, RUNTIME]).encode())
    for name in inputs:
        path = ROOT / name
        for file in sorted([path] if path.is_file() else path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _step(text: str) -> None:
    print(f"• {text}", flush=True)
