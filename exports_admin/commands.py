"""The list of the commands of `exports-admin`."""

import click

from exports_admin import dead_letters, doctor, drift, erase, fixture, put, replay, seed, show, token, user

COMMANDS: list[click.Command] = [
    token.command,
    seed.command,
    put.command,
    user.command,
    show.command,
    fixture.command,
    doctor.command,
    drift.command,
    dead_letters.command,
    replay.command,
    erase.command,
]


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def exports_admin() -> None:
    """Operates a stack of Report Exports.

    The Region and the credentials come from your environment, as for the AWS CLI. If AWS is not configured, the command
    operates the emulator that `make up` has started.
    """
