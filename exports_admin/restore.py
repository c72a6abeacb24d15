"""The datasets and users of .local/own.json, which `make up` adds to an emulator that it has started."""

from pathlib import Path
from typing import Any

import click

from exports_admin import own, put, stack
from exports_cli.trouble import Trouble


def restore(description: dict[str, Any]) -> dict[str, Any]:
    """Uploads each folder as it is now, and creates each user. Returns the description with the users."""
    listed, users = own.read(), dict(description["users"])
    for dataset, folders in listed["datasets"].items():
        try:
            files = {path: file for folder in folders for path, file in put.files_in(Path(folder))[0].items()}
        except Trouble as trouble:
            click.echo(f"• The dataset {dataset} was not uploaded again. {trouble}")
        else:
            click.echo(f"• {put.upload(description, dataset, files)} again, from {', '.join(folders)}")
            put.delete_others(description, dataset, set(files))  # of the sample data, which the user has replaced
    for email, tenant in listed["users"].items():
        user = stack.create_user(description, email, tenant)
        users.setdefault(tenant, user)
        click.echo(f"• {email}: user of tenant {tenant}, created again; password {user['password']}")
    return description | {"users": users}
