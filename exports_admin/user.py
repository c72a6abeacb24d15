"""`exports-admin user`: creates a user who may export the rows of a tenant, or moves a user to another tenant."""

from __future__ import annotations

import secrets
from typing import Any

import click

from exports_admin import emulator, own, stack, tenants
from exports_admin.connection import connect, stack_option
from exports_admin.health.deployment import Unchecked
from exports_cli.trouble import Trouble
from shared.api.identity import TENANT


def _tenant(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not TENANT.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not a tenant. Use 1 to 64 characters of A-Z a-z 0-9 _ -.")
    return name


@click.command("user")
@click.argument("email")
@click.option("--tenant", required=True, callback=_tenant, help="The tenant whose rows the user may export.")
@click.option("--password", is_flag=True, help="Print a temporary password instead of letting Cognito mail one.")
@click.option("--change", is_flag=True, help="Move an existing user to this tenant.")
@stack_option
def command(stack: str, email: str, *, tenant: str, password: bool, change: bool) -> None:
    """Creates a user in the pool of a stack, and prints how to sign in.

    On AWS, Cognito mails an invitation with a temporary password, unless you use --password. The emulator sends no
    mail: it creates a permanent password. An existing user keeps the password, and also the tenant unless you use
    --change. The address counts as verified.

    Tenants are case-sensitive. The command warns you if the datasets of the deployed reports have the tenant only in
    another case.
    """
    description = connect(stack)
    cognito, pool = _cognito(description)
    try:
        user = cognito.admin_get_user(UserPoolId=pool, Username=email)
    except cognito.exceptions.UserNotFoundException:
        created = _create(description, email, tenant, print_password=password)
        click.echo(f"{email}: new user of tenant {tenant} in {pool}; {created}")
    else:
        click.echo(_keep_or_move(description, user, email, tenant, change=change))
    own.remember_user(description, email, tenant)
    click.echo(f"Next: bin/exports sign-in {_sign_in_options(description, email, tenant)}")
    _compare_with_data(description, tenant)


def create(description: dict[str, Any], email: str, tenant: str, *, invite: bool) -> str:
    """Creates a user of the pool, who chooses a password at the first sign-in.

    Returns:
        Which password the first sign-in needs.
    """
    cognito, pool = _cognito(description)
    attributes = {"email": email, "email_verified": "true", description["tenant_claim"]: tenant}
    listed = [{"Name": name, "Value": value} for name, value in attributes.items()]
    if invite:
        cognito.admin_create_user(
            UserPoolId=pool, Username=email, UserAttributes=listed, DesiredDeliveryMediums=["EMAIL"]
        )
        return "Cognito mails the temporary password"
    password = f"Aa1-{secrets.token_urlsafe(12)}"
    cognito.admin_create_user(
        UserPoolId=pool, Username=email, UserAttributes=listed, TemporaryPassword=password, MessageAction="SUPPRESS"
    )
    return f"temporary password {password}, valid for the first sign-in only"


def _create(description: dict[str, Any], email: str, tenant: str, *, print_password: bool) -> str:
    if not emulator.runs(description):
        return create(description, email, tenant, invite=not (print_password or description["endpoint_url"]))
    created = stack.create_user(description, email, tenant)
    emulator.know_user(email, tenant, created["password"])
    return f"password {created['password']}"


def _keep_or_move(description: dict[str, Any], user: dict[str, Any], email: str, tenant: str, *, change: bool) -> str:
    """Moves an existing user to the tenant if ``change`` is set. Returns the outcome as text.

    Raises:
        Trouble: the user belongs to another tenant, and ``change`` is not set.
    """
    cognito, pool = _cognito(description)
    current = stack.attribute(user, description["tenant_claim"])
    of = f"tenant {current}" if current else "no tenant"
    if current == tenant:
        return f"{email}: existing user of {of} in {pool} ({user['UserStatus']})"
    if not change:
        raise Trouble(
            f"{email} is an existing user of {of}, and was not changed. Use --change to move the user to {tenant}."
        )
    cognito.admin_update_user_attributes(
        UserPoolId=pool, Username=email, UserAttributes=[{"Name": description["tenant_claim"], "Value": tenant}]
    )
    if emulator.runs(description):
        emulator.know_user(email, tenant)
    late = "A token that was issued before stays valid for the previous tenant for up to an hour"
    return f"{email}: moved from {of} to tenant {tenant} in {pool}. {late}."


def _sign_in_options(description: dict[str, Any], email: str, tenant: str) -> str:
    known = (emulator.describe() or {}).get("users", {}) if emulator.runs(description) else {}
    if known.get(tenant, {}).get("email") == email:
        return f"--emulator --tenant {tenant}"
    where = "--emulator" if description["endpoint_url"] else f"--stack {description['stack']}"
    return f"{where} --email {email}"


def _compare_with_data(description: dict[str, Any], tenant: str) -> None:
    """Warns on standard error if the data has the tenant only in another case."""
    try:
        warning = tenants.warning(description, tenants.deployed(description).values(), tenant)
    except Unchecked as unchecked:
        click.echo(f"The tenant was not compared with the datasets: {unchecked}.", err=True)
    else:
        if warning:
            remedy = "Run the command again with that tenant and --change, or the user gets files without rows."
            click.echo(f"Warning: {warning} {remedy}", err=True)


def _cognito(description: dict[str, Any]) -> tuple[Any, str]:
    return stack.client("cognito-idp", description), stack.user_pool(description)
