"""`exports-admin token`: prints an ID token, for manual calls of the API."""

import sys

import click

from exports_admin import emulator
from exports_admin.connection import connect, stack_option
from exports_admin.stack import no_user, place
from exports_cli import cognito
from exports_cli.trouble import Trouble


@click.command("token")
@click.option("--email", help="The user. The command prompts for the password.")
@click.option("--tenant", help="On the emulator: the user that `make up` created for this tenant.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@stack_option
def command(stack: str, *, email: str | None, tenant: str | None, password_stdin: bool) -> None:
    """Prints an ID token of a user of the stack. The API accepts it for one hour.

    Cognito issues no token without the user's password, not even to an administrator.
    """
    if bool(email) == bool(tenant):
        raise click.UsageError("Use either --email or, on the emulator, --tenant.")
    description = connect(stack)
    where = place(description)
    if tenant:
        users = (emulator.describe() or {}).get("users", {}) if description["endpoint_url"] else {}
        if tenant not in users:
            if not users:
                raise Trouble(f"The password of a user of {tenant} is known only on the emulator. Use --email.")
            raise no_user(tenant, users)
        email, password = users[tenant]["email"], users[tenant]["password"]
    elif password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    click.echo(cognito.sign_in(where, str(email), password)["id_token"])
