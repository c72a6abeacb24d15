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
