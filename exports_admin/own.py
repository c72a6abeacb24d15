"""What `put` and `user` brought onto this folder's emulator, which keeps nothing: .local/own.json lists it."""

import json
from pathlib import Path
from typing import Any, TypedDict

from exports_admin import emulator, locks, sample_data


class Own(TypedDict):
    """The folders of each dataset, in the order in which they were put, and the tenant of each user."""

    datasets: dict[str, list[str]]
    users: dict[str, str]


def file() -> Path:
    """Where the list is."""
    return locks.STATE / "own.json"


def read() -> Own:
    """The list; empty where there is none."""
    listed: Own = {"datasets": {}, "users": {}}
    return listed | json.loads(file().read_text("utf-8")) if file().exists() else listed


def remember_dataset(stack: dict[str, Any], dataset: str, folder: Path, *, added: bool) -> None:
    """Lists a folder that was put as a dataset, if the stack is on this folder's emulator."""
    if emulator.runs(stack):
        own = read()
        sample = sample_data.FOLDER / dataset  # files that were added to the sample come back with it
        before = own["datasets"].get(dataset, [str(sample)] if sample.is_dir() else []) if added else []
        own["datasets"][dataset] = [*(each for each in before if each != str(folder)), str(folder)]
        _write(own)


def remember_user(stack: dict[str, Any], email: str, tenant: str) -> None:
    """Lists a user, if the stack is on this folder's emulator."""
    if emulator.runs(stack):
        own = read()
        own["users"][email] = tenant
        _write(own)


def at_the_end() -> str:
    """What the emulator loses when it stops, and what `make up` brings back."""
    own = read()
    again = [f"the dataset {name} from {', '.join(folders)}" for name, folders in own["datasets"].items()]
    again += [f"the user {email} of tenant {tenant}" for email, tenant in own["users"].items()]
    lost = "The emulator keeps nothing: all exports with their files, all data and all users are gone."
    return f"{lost}\nmake up brings back {'; '.join(['the sample data with its users', *again])}."


def _write(own: Own) -> None:
    file().parent.mkdir(exist_ok=True)
    file().write_text(json.dumps(own, indent=2) + "\n", "utf-8")
