"""Generators make clients of openapi.json without a warning, and the code of docs/howto/front-end.md uses them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checks.repository import ROOT
from tests.integration.api import http

if TYPE_CHECKING:
    from tests.integration.api import Caller

NODE, MODULES = shutil.which("node"), ROOT / ".local" / "axe" / "node_modules"
TYPESCRIPT = {"module": "es2022", "moduleResolution": "bundler", "target": "es2022", "lib": "es2022,dom"}


@pytest.fixture
def here(tmp_path: Path, caller: Caller) -> Path:
    """A folder with the API's description."""
    (tmp_path / "openapi.json").write_bytes(http("GET", f"{caller.api_url}/openapi.json").content)
    return tmp_path


def code(language: str, caller: Caller) -> str:
    """The page's code in a language, for the deployed API."""
    [found] = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/howto/front-end.md").read_text("utf-8"), re.DOTALL)
    return found.replace("https://exports.example.com", caller.api_url)


def run(*command: object, cwd: Path, **more: str) -> str:
    """What a command prints; it must succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path} | more
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def downloads_the_file(printed: str, caller: Caller) -> bool:
    """Whether the signed address that was printed is that of the caller's only export."""
    [export] = caller.exports()
    url = printed.split()[-1]
    return "SUCCEEDED" in printed and http("GET", url).content == caller.download(export).content


@pytest.mark.skipif(not importlib.util.find_spec("openapi_python_client"), reason="make test-page installs it")
def test_a_python_client(here: Path, caller: Caller) -> None:
    output = here / "report-exports-client"
    generate = ["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--fail-on-warning"]
    run(sys.executable, *generate, cwd=here)
    given = f"def get_token():\n    return {caller.token!r}\n\n\n"
    (here / "use.py").write_text(given + code("python", caller))
    search = os.pathsep.join([str(output), os.environ.get("PYTHONPATH", "")])
    assert downloads_the_file(run(sys.executable, "use.py", cwd=here, PYTHONPATH=search), caller)


@pytest.mark.skipif(not (NODE and (MODULES / "openapi-typescript").exists()), reason="make test-page installs it")
def test_a_typescript_client(here: Path, caller: Caller) -> None:
    (here / "node_modules").symlink_to(MODULES)
    (here / "package.json").write_text('{"type": "module"}')
    run(NODE, MODULES / "openapi-typescript/bin/cli.js", "openapi.json", "--output", "schema.d.ts", cwd=here)
    (here / "use.ts").write_text(code("ts", caller) + f"function getToken() {{ return {caller.token!r}; }}\n")
    options = [word for name, value in TYPESCRIPT.items() for word in (f"--{name}", value)]
    run(NODE, MODULES / "typescript/bin/tsc", "--strict", *options, "use.ts", cwd=here)
    assert downloads_the_file(run(NODE, "use.js", cwd=here), caller)
