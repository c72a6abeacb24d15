"""`sam local` on the built template: Lambda's own image, the package that is deployed, the emulator for all of AWS."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from samcli.yamlhelper import yaml_parse

from exports_admin import stack
from local.launcher import RUNTIME, STATE
from tests.fixtures.places import Emulated, function_name, result
from tests.integration.deployed import until
from tests.unit.support import functions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.places import Result
    from tests.integration.deployed import Deployed

BUILD = STATE / "sam-local" / "build"
"""Where `make test-sam-local` had it built."""
PATIENCE_SECONDS = 300
"""How long a test waits for an invocation."""
_FUNCTION_SECONDS = 120
"""Every function's timeout here: sam local counts the container's start to it, which is slow on a busy machine."""
EXTRA = ("AWS_ENDPOINT_URL",)


class Sam:
    """The commands `sam local …` with a template and variables that lead to the stack on the emulator."""

    def __init__(self, deployed: Deployed, address: str, folder: Path) -> None:
        self.folder = folder
        template = yaml_parse((BUILD / "template.yaml").read_text("utf-8"))
        # sam local gives a function no variable that its template does not declare.
        template["Globals"]["Function"]["Environment"]["Variables"] |= dict.fromkeys(EXTRA, "")
        for name in functions():
            template["Resources"][name]["Properties"]["Timeout"] = _FUNCTION_SECONDS
        self.template = BUILD / f"template-{os.getpid()}.json"  # beside the build: its paths are relative
        self.template.write_text(json.dumps(template))
        describe = deployed.client("lambda").get_function_configuration
        here = {"AWS_ENDPOINT_URL": address}
        self.variables = folder / "environment.json"
        self.variables.write_text(
            json.dumps(
                {
                    name: describe(FunctionName=function_name(deployed, name))["Environment"]["Variables"] | here
                    for name in functions()
                }
            )
        )
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment |= stack.environment(deployed["endpoint_url"])
        self.environment |= {"AWS_DEFAULT_REGION": deployed["region"], "SAM_CLI_TELEMETRY": "0"}
        self.environment["SAM_CLI_CONTAINER_CONNECTION_TIMEOUT"] = str(_FUNCTION_SECONDS)

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of `sam local <name>`."""
        sam = str(Path(sys.executable).with_name("sam"))
        options = ["--template", str(self.template), "--env-vars", str(self.variables), "--skip-pull-image"]
        options.append("--language-extensions")  # samconfig.toml, which says so, is not beside this template
        # A sender, without which NotifyOwner's condition is false: sam local gives it no environment then.
        overrides = [f"PythonRuntime={RUNTIME}", "SenderEmail=exports@example.com"]
        return [sam, "local", name, *arguments, *options, "--parameter-overrides", *overrides]

    def invoke(self, function: str, event: Any) -> Result:
        """Runs `sam local invoke`."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self.folder) as file:
            file.write(json.dumps(event))
            file.flush()
            command = self.command("invoke", function, "--event", file.name)
            run = subprocess.run(
                command,
                env=self.environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE_SECONDS,
            )
        print(run.stderr)  # pytest shows it where the outcome is another
        assert run.stdout.strip(), f"{' '.join(command)} said nothing"
        return told(run.stdout.strip().splitlines()[-1])

    @contextlib.contextmanager
    def serving(self, name: str) -> Iterator[str]:
        """Runs `sam local <name>`, a server; its address."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command = self.command(name, "--port", str(port))
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or _answers(address), f"sam local {name}")
            assert process.poll() is None, log.read_text()
            yield address
        finally:
            process.kill()  # SIGTERM it takes for a reason to wait
            process.wait()

    def close(self) -> None:
        """Removes the files that were made."""
        self.template.unlink()
        shutil.rmtree(self.folder)


def told(text: str) -> Result:
    """What `sam local` hands on of an invocation; that it failed is told by nothing but an error's fields."""
    answered = json.loads(text)
    return result(answered, failed=isinstance(answered, dict) and {"errorType", "errorMessage"} <= set(answered))


class Containers(Emulated):
    """The stack on the emulator, but the event of the fixture goes to a real container."""

    def __init__(self, deployed: Deployed, sam: Any) -> None:
        super().__init__(deployed)
        self._sam = sam

    def deliver(self, function: str, event: Any) -> Result:
        delivered: Result = self._sam.invoke(function, event)
        return delivered


def _answers(address: str) -> bool:
    try:
        urllib3.request("GET", f"{address}/there-is-no-such-path", retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return False
    return True
