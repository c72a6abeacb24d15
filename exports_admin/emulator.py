"""The stack on the AWS emulator of this folder, which `make up` describes in .local/stack.json."""

import json
from pathlib import Path
from typing import Any

from exports_admin import locks


def process(state: Path = locks.STATE) -> int | None:
    """The process id of the emulator, which holds a lock while it runs; None if it does not run."""
    return locks.holder(state / "emulator.lock")


def describe(state: Path = locks.STATE) -> dict[str, Any] | None:
    """The content of stack.json if the emulator runs; else None."""
    pid, file = process(state), state / "stack.json"
    if pid is None or not file.exists():
        return None
    try:
        description: dict[str, Any] = json.loads(file.read_text())
    except ValueError:
        return None
    return description if description.get("pid") == pid else None
