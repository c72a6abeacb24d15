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


def runs(stack: dict[str, Any]) -> bool:
    """Whether a stack that was found is on this folder's emulator."""
    return bool(stack["endpoint_url"]) and stack["endpoint_url"] == (describe() or {}).get("endpoint_url")


def know_user(email: str, tenant: str, password: str | None = None) -> None:
    """Lets `exports sign-in --emulator --tenant` sign in as a user, if the tenant has no other user."""
    if described := describe():
        users = described["users"]
        for name in [name for name, user in users.items() if user["email"] == email]:
            password = users.pop(name)["password"]
        if password:
            users.setdefault(tenant, {"email": email, "password": password})
        (locks.STATE / "stack.json").write_text(json.dumps(described, indent=2) + "\n")
