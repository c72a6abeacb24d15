"""The datasets and users that `put` and `user` added to this folder's emulator. `make up` adds them again.

The emulator keeps no state, so .local/own.json lists them.
"""

import json
from pathlib import Path
from typing import Any, TypedDict

from exports_admin import emulator, locks, sample_data


class Own(TypedDict):
    """The folders of each dataset, in the order of their upload, and the tenant of each user."""

    datasets: dict[str, list[str]]
    users: dict[str, str]


def file() -> Path:
    """The file of the list."""
    return locks.STATE / "own.json"


def read() -> Own:
    """The list; empty if there is no file."""
    listed: Own = {"datasets": {}, "users": {}}
    return listed | json.loads(file().read_text("utf-8")) if file().exists() else listed


def remember_dataset(description: dict[str, Any], dataset: str, folder: Path, *, added: bool) -> None:
    """Adds the folder of a dataset to the list if the stack is on this folder's emulator.

    Args:
        description: of the stack.
        dataset: the name of the dataset.
        folder: the folder that was uploaded.
        added: whether its files were added to those of the dataset; otherwise they replaced them.
    """
    if emulator.runs(description):
        own = read()
        sample = sample_data.FOLDER / dataset  # files that were added to the sample data need the sample data too
        before = own["datasets"].get(dataset, [str(sample)] if sample.is_dir() else []) if added else []
        own["datasets"][dataset] = [*(each for each in before if each != str(folder)), str(folder)]
        _write(own)


def remember_user(description: dict[str, Any], email: str, tenant: str) -> None:
    """Adds a user to the list if the stack is on this folder's emulator."""
    if emulator.runs(description):
        own = read()
        own["users"][email] = tenant
        _write(own)


def summary() -> str:
    """What is lost when the emulator stops, and what `make up` creates again."""
    own = read()
    again = [f"the dataset {name} from {', '.join(folders)}" for name, folders in own["datasets"].items()]
    again += [f"the user {email} of tenant {tenant}" for email, tenant in own["users"].items()]
    lost = "The emulator keeps no state. All exports with their files, all data and all users are gone."
    return f"{lost}\nmake up creates again: {'; '.join(['the sample data with its users', *again])}."


def _write(own: Own) -> None:
    file().parent.mkdir(exist_ok=True)
    file().write_text(json.dumps(own, indent=2) + "\n", "utf-8")
