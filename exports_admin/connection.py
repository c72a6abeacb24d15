"""Connects a command to the stack that it operates."""

import os
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError

from exports_admin import emulator, stack
from exports_cli.trouble import Trouble
from shared.api import exports

stack_option = click.option(
    "--stack", metavar="NAME", default=stack.STACK, show_default=True, help="The stack to operate."
)
"""The option of every command. Its value goes to :func:`connect`."""


def _id(_context: click.Context, _parameter: click.Parameter, export_id: str) -> str:
    if not exports.is_id(export_id):
        raise click.BadParameter(
            f"{export_id!r} is not the id of an export. Give the whole id, as `exports list --json` has it."
        )
    return export_id


export_argument = click.argument("export_id", metavar="EXPORT", callback=_id)
"""The argument of a command about one export: its whole id."""


def use_aws_or_emulator() -> None:
    """Sets the environment variables for the emulator, unless AWS is configured.

    Raises:
        Trouble: AWS is not configured, and the emulator does not run.
    """
    if not _aws_is_set_up():
        if not (local := emulator.describe()):
            aws = "For a stack on AWS, set AWS_PROFILE (or AWS_REGION and credentials) and use --stack NAME"
            raise Trouble(f"The emulator is not running. Start it: make up. {aws}.")
        os.environ |= stack.environment(local["endpoint_url"]) | {"AWS_DEFAULT_REGION": local["region"]}


def connect(name: str) -> dict[str, Any]:
    """Sets the environment variables of the stack's functions, so that the product's code works on this stack.

    Returns:
        The description of the stack, see :func:`exports_admin.stack.find`.

    Raises:
        Trouble: the stack does not exist or cannot be reached.
    """
    use_aws_or_emulator()
    description = stack.find(name)
    os.environ |= {
        "AWS_DEFAULT_REGION": description["region"],
        "DEAD_LETTERS_URL": description["dead_letters_url"],
        "EXPORTS_BUCKET": description["bucket"],
        "EXPORTS_TABLE": description["table"],
        "RETENTION_DAYS": str(description["retention_days"]),
        "STATE_MACHINE_ARN": description["state_machine_arn"],
    }
    return description


def _aws_is_set_up() -> bool:
    """Whether the environment or the files of the AWS CLI name a Region, a profile, credentials or an endpoint."""
    if any(os.environ.get(f"AWS_{name}") for name in ("REGION", "PROFILE", "ACCESS_KEY_ID", "ENDPOINT_URL")):
        return True
    try:
        session = boto3.session.Session()
        return bool(session.region_name or session.available_profiles)
    except BotoCoreError:  # the files cannot be read; stack.find reports it
        return True
