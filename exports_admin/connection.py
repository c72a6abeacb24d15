"""The stack that a command operates."""

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
"""What every command takes, and hands to :func:`connect`."""


def _id(_context: click.Context, _parameter: click.Parameter, given: str) -> str:
    if not exports.is_id(given):
        raise click.BadParameter(f"{given!r} is no export's id.")
    return given


export_argument = click.argument("export_id", metavar="EXPORT", callback=_id)
"""The one export that a command is about."""


def connect(name: str) -> dict[str, Any]:
    """From here on the product's code works on this stack: it finds the variables that the stack gives its functions.

    Returns:
        What :func:`exports_admin.stack.find` says of it.

    Raises:
        Trouble: there is no such stack, or no way to it.
    """
    if not _aws_is_set_up():
        if not (found := emulator.describe()):
            aws = "for a stack on AWS, set AWS_PROFILE (or AWS_REGION and credentials) and say --stack NAME"
            raise Trouble(f"The emulator is not running. Start it: make up; {aws}.")
        os.environ |= stack.environment(found["endpoint_url"]) | {"AWS_DEFAULT_REGION": found["region"]}
    found = stack.find(name)
    os.environ |= {
        "AWS_DEFAULT_REGION": found["region"],
        "DEAD_LETTERS_URL": found["dead_letters_url"],
        "EXPORTS_BUCKET": found["bucket"],
        "EXPORTS_TABLE": found["table"],
        "RETENTION_DAYS": str(found["retention_days"]),
        "STATE_MACHINE_ARN": found["state_machine_arn"],
    }
    return found


def _aws_is_set_up() -> bool:
    """Whether the environment, or the AWS CLI's own files, say anything of where or as whom."""
    if any(os.environ.get(f"AWS_{name}") for name in ("REGION", "PROFILE", "ACCESS_KEY_ID", "ENDPOINT_URL")):
        return True
    try:
        session = boto3.session.Session()
        return bool(session.region_name or session.available_profiles)
    except BotoCoreError:  # they cannot be read: stack.find tells
        return True
