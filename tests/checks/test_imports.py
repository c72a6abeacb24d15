"""Each package knows only those below it: pyproject.toml (tool.importlinter) says which, AGENTS.md why."""

import os
import subprocess
import sys

from checks.repository import ROOT


def test_no_package_imports_what_it_must_not_know() -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "functions")])
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
