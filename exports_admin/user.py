"""`exports-admin user`: somebody who may export a tenant's rows."""

from __future__ import annotations

import re
import secrets
from typing import Any

import click

from exports_admin import emulator, own, stack
from exports_admin.connection import connect, stack_option
from exports_cli.trouble import Trouble

TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""As functions/shared/api/http.py accepts it in a token."""


def tenant_of(attributes: list[dict[str, str]], claim: str) -> str | None:
    """The tenant in the attributes of a user, as Cognito lists them; None if the user has none."""
    return next((each["Value"] for each in attributes if each["Name"] == claim), None)


def _tenant(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not TENANT.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no tenant: 1 to 64 of A-Z a-z 0-9 _ -.")
    return name


@click.command("user")
@click.argument("email")
@click.option("--tenant", required=True, callback=_tenant, help="Whose rows the user may export.")
@click.option("--password", is_flag=True, help="Write a temporary password here, instead of letting Cognito mail one.")
@click.option("--change", is_flag=True, help="Move a user who exists to this tenant.")
@stack_option
def command(stack: str, email: str, *, tenant: str, password: bool, change: bool) -> None:
    """Makes a user in the pool of a stack, and says how to sign in.

    On AWS Cognito mails an invitation with a temporary password, unless you say --password. The emulator sends no mail
    and makes a password that stays. A user who exists keeps the password, and the tenant unless you say --change. The
    address is taken for verified.
    """
    found = connect(stack)
    cognito, pool = _cognito(found)
    try:
        user = cognito.admin_get_user(UserPoolId=pool, Username=email)
    except cognito.exceptions.UserNotFoundException:
        click.echo(f"{email}: new user of tenant {tenant} in {pool}; {_make(found, email, tenant, password)}")
    else:
        click.echo(_keep_or_move(found, user, email, tenant, change=change))
    own.remember_user(found, email, tenant)
    click.echo(f"Next: bin/exports sign-in {_how(found, email, tenant)}")


def create(found: dict[str, Any], email: str, tenant: str, *, invite: bool) -> str:
    """Makes a user of the pool, who chooses a password when signing in first; says which password that needs."""
    cognito, pool = _cognito(found)
    attributes = {"email": email, "email_verified": "true", found["tenant_claim"]: tenant}
    named = [{"Name": name, "Value": value} for name, value in attributes.items()]
    if invite:
        cognito.admin_create_user(
            UserPoolId=pool, Username=email, UserAttributes=named, DesiredDeliveryMediums=["EMAIL"]
        )
        return "Cognito mails the temporary password"
    password = f"Aa1-{secrets.token_urlsafe(12)}"
    cognito.admin_create_user(
        UserPoolId=pool, Username=email, UserAttributes=named, TemporaryPassword=password, MessageAction="SUPPRESS"
    )
    return f"temporary password {password}, valid for the first sign-in only"


def _make(found: dict[str, Any], email: str, tenant: str, password: bool) -> str:
    if not emulator.runs(found):
        return create(found, email, tenant, invite=not (password or found["endpoint_url"]))
    made = stack.create_user(found, email, tenant)
    emulator.know_user(email, tenant, made["password"])
    return f"password {made['password']}"


def _keep_or_move(found: dict[str, Any], user: dict[str, Any], email: str, tenant: str, *, change: bool) -> str:
    """What became of a user who exists.

    Raises:
        Trouble: the user is of another tenant, and is not to be moved.
    """
    cognito, pool = _cognito(found)
    has = tenant_of(user["UserAttributes"], found["tenant_claim"])
    of = f"tenant {has}" if has else "no tenant"
    if has == tenant:
        return f"{email}: user of {of} in {pool}, there before ({user['UserStatus']})"
    if not change:
        raise Trouble(f"{email} exists and is of {of}; nothing was changed. Say --change to move the user to {tenant}.")
    cognito.admin_update_user_attributes(
        UserPoolId=pool, Username=email, UserAttributes=[{"Name": found["tenant_claim"], "Value": tenant}]
    )
    if emulator.runs(found):
        emulator.know_user(email, tenant)
    late = "A token that was issued before is good for up to an hour, for the tenant before"
    return f"{email}: moved from {of} to tenant {tenant} in {pool}. {late}."


def _how(found: dict[str, Any], email: str, tenant: str) -> str:
    known = (emulator.describe() or {}).get("users", {}) if emulator.runs(found) else {}
    if known.get(tenant, {}).get("email") == email:
        return f"--emulator --tenant {tenant}"
    where = "--emulator" if found["endpoint_url"] else f"--stack {found['stack']}"
    return f"{where} --email {email}"


def _cognito(found: dict[str, Any]) -> tuple[Any, str]:
    return stack.client("cognito-idp", found), found["user_pool_id"]
