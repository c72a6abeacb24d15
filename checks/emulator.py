"""The corrections of the AWS emulator are tested when they change, not every time.

`make test-emulator` runs `python -m checks.emulator` when its tests have passed: it notes what they passed on.
"""

import hashlib

from checks import Fault
from checks.repository import ROOT

PASSED = ROOT / "tests" / "emulator" / "passed.sha256"
_INPUTS = ("local/emulator.py", "local/patches", "requirements/emulator.txt", "statemachines", "tests/emulator")


def faults() -> list[Fault]:
    """A fault when a correction, its tests or the emulator's version has changed since the tests passed."""
    if PASSED.exists() and PASSED.read_text("utf-8").strip() == digest():
        return []
    file = str(PASSED.relative_to(ROOT))
    changed = "the AWS emulator or a correction of it has changed since its tests passed"
    return [Fault(file, 1, "tests/emulator", changed, "Run make test-emulator, and commit the file")]


def digest() -> str:
    """SHA-256 of the names and contents of what they depend on: the workflow too, which they walk."""
    found = hashlib.sha256()
    for name in _INPUTS:
        path = ROOT / name
        for file in sorted([path] if path.is_file() else path.rglob("*")):
            if file.is_file() and file != PASSED and "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    PASSED.write_text(f"{digest()}\n", "utf-8")
