"""Tests that take minutes and depend on few files run when one of those has changed, not every time.

`make test-emulator` and `make test-deploy` note what they passed on; `make check` asks for them, and .ci/run runs them.

    python -m checks.suites                 prints the suites that have to run
    python -m checks.suites --passed NAME   notes that a suite has passed on what its files say now
"""

import hashlib
import sys
from pathlib import Path

from checks import Fault
from checks.repository import ROOT

SUITES = {
    "emulator": (
        "local/decisions.py",
        "local/emulator.py",
        "local/patches",
        "requirements/emulator.txt",
        "statemachines",
        "tests/emulator",
    ),
    "deploy": ("exports_admin", "local/patches", "samconfig.toml", "statemachines", "template.yaml", "tests/deploy"),
    "iam": (
        "functions",
        "local/decisions.py",
        "local/patches",
        "statemachines",
        "template.yaml",
        "tests/iam",
        "tests/integration",
    ),
    "page": (
        "docs/howto/front-end.md",
        "functions/list_reports/openapi.json",
        "functions/show_page",
        "requirements/browser.txt",
        "tests/page",
        "web",
    ),
}
"""What each suite, tests/<name>, depends on."""
OPTIONAL = {"iam", "page"}
"""Suites that `make check` does not ask for; .ci/run runs them if it can. Not every machine has the browser that `page`
needs. `iam` depends on most files, and `make check` compares the template with what it has recorded."""


def faults() -> list[Fault]:
    """A fault for each suite that has not passed since one of its files changed."""
    return [
        Fault(
            str(_passed(name).relative_to(ROOT)),
            1,
            f"tests/{name}",
            "a file that these tests depend on has changed since they passed",
            f"Run make test-{name}, and commit the file",
        )
        for name in stale()
        if name not in OPTIONAL
    ]


def stale() -> list[str]:
    """The suites that have to run."""
    return [name for name in SUITES if not _has_passed(name)]


def digest(name: str) -> str:
    """SHA-256 of the names and contents of what a suite depends on."""
    found = hashlib.sha256()
    for root in SUITES[name]:
        path = ROOT / root
        for file in sorted([path] if path.is_file() else path.rglob("*")):
            if file.is_file() and file != _passed(name) and "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def _has_passed(name: str) -> bool:
    file = _passed(name)
    return file.exists() and file.read_text("utf-8").strip() == digest(name)


def _passed(name: str) -> Path:
    return ROOT / "tests" / name / "passed.sha256"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--passed", name]:
            _passed(name).write_text(f"{digest(name)}\n", "utf-8")
        case _:
            print("\n".join(stale()))
