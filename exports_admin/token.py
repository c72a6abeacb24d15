"""`exports-admin token`: an ID token, for calling the API by hand."""

import sys

import click

from exports_admin import emulator
from exports_admin.connection import connect, stack_option
from exports_admin.stack import place
from exports_cli import cognito
from exports_cli.trouble import Trouble


@click.command("token")
@click.option("--email", help="Whose token; the password is asked for.")
@click.option("--tenant", help="On the emulator: the token of this tenant's user, whom `make up` has made.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@stack_option
def command(stack: str, *, email: str | None, tenant: str | None, password_stdin: bool) -> None:
    """Writes an ID token of a user of the stack; it is good for an hour, and is what the API takes.

    Cognito gives nobody a token without the user's password, an administrator neither.
    """
    if bool(email) == bool(tenant):
        raise click.UsageError("Say --email or, on the emulator, --tenant, one of the two.")
    found = connect(stack)
    if tenant:
        users = (emulator.describe() or {}).get("users", {}) if found["endpoint_url"] else {}
        if tenant not in users:
            known = f"there are users of {', '.join(users)}" if users else "only the emulator's are known; say --email"
            raise Trouble(f"There is no user of {tenant}: {known}.")
        email, password = users[tenant]["email"], users[tenant]["password"]
    elif password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    click.echo(cognito.sign_in(place(found), str(email), password)["id_token"])
