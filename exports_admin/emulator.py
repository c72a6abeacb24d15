"""The stack on this folder's AWS emulator, as `make up` describes it in .local/stack.json."""

import json
from pathlib import Path
from typing import Any

from exports_admin import locks


def process(state: Path = locks.STATE) -> int | None:
    """The emulator's process, which holds its lock for as long as it lives; None when none runs."""
    return locks.holder(state / "emulator.lock")


def describe(state: Path = locks.STATE) -> dict[str, Any] | None:
    """What stack.json says of a running emulator; None when there is none."""
    pid, file = process(state), state / "stack.json"
    if pid is None or not file.exists():
        return None
    try:
        description: dict[str, Any] = json.loads(file.read_text())
    except ValueError:
        return None
    return description if description.get("pid") == pid else None
