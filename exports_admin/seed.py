"""`exports-admin seed`: the sample data, and somebody who may export it, on a stack that is deployed."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from exports_admin import sample_data, stack, user
from exports_admin.connection import connect
from exports_cli.text import line
from exports_cli.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path

_DATASET = "flights"
_FIRST_TENANT = "UA"


def _airline(_context: click.Context, _parameter: click.Parameter, tenant: str) -> str:
    if tenant not in (known := sample_data.airlines()):
        raise click.BadParameter(f"{tenant!r} has no flight in the sample data; {', '.join(known)} have.")
    return tenant


@click.command("seed")
@click.argument("name", metavar="[STACK]", default=stack.STACK)
@click.option("--tenant", default=_FIRST_TENANT, show_default=True, callback=_airline, help="An airline: the user's.")
@click.option("--email", help="The first user.  [default: the airline's, such as ua@example.com]")
@click.option("--invite", is_flag=True, help="Let Cognito mail the temporary password, instead of writing it here.")
@click.option("--replace", is_flag=True, help="Replace sample files that are not as they should be.")
def command(name: str, *, tenant: str, email: str | None, invite: bool, replace: bool) -> None:
    """Puts the sample data and a first user on a stack; whatever is there already stays as it is.

    The data are all flights that left New York in 2013, Parquet by month; the tenants are the airlines. A dataset that
    is there and is not the sample is left alone, and what is wrong with it is said. Only a stack whose bucket and pool
    are its own is filled.

    The user's address is taken for verified. It receives mail only if that is asked for: by --invite, or by an export
    with options.notify. Then let it be one that you own.
    """
    connect(name)
    found = stack.find_own(name)
    _fill(found, replace=replace)
    _first_user(found, email or f"{tenant.lower()}@example.com", tenant, invite=invite)


def _fill(found: dict[str, Any], *, replace: bool) -> None:
    """Uploads the files of the sample that are not there.

    Raises:
        Trouble: what is there is something else.
    """
    bucket, prefix = found["data_location"].removeprefix("s3://").split("/", 1)
    if prefix.split("/")[0] in ("work", "exports"):
        raise Trouble(f"What lies under {found['data_location']} expires. Deploy with another DataPrefix.")
    s3 = stack.client("s3", found)
    files = {
        prefix + file.relative_to(sample_data.FOLDER).as_posix(): file for file in sample_data.write(sample_data.FOLDER)
    }
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}{_DATASET}/")
    there = {item["Key"]: item for page in pages for item in page.get("Contents", [])}
    wrong = {key: fault for key in there if (fault := _fault(s3, bucket, key, there[key]["ETag"], files.get(key)))}
    other = [key for key in wrong if key not in files]
    if wrong and (other or not replace):
        for key, fault in wrong.items():
            click.echo(f"s3://{bucket}/{key}: {fault}", err=True)
        remedy = "--replace puts the sample's files in place of those that differ, and removes nothing"
        raise Trouble(f"{found['data_location']}{_DATASET}/ is not the sample data; nothing was changed. {remedy}.")
    missing = [key for key in files if key not in there or key in wrong]
    for key in missing:
        s3.upload_file(str(files[key]), bucket, key)
    rows = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in files.values())
    click.echo(
        f"{found['data_location']}{_DATASET}/: {rows:,} flights in {len(files)} files; {len(missing)} written now,"
        f" {len(files) - len(missing)} there before"
    )


def _fault(s3: Any, bucket: str, key: str, etag: str, file: Path | None) -> str | None:
    """What is wrong with an object of the dataset; None where nothing is."""
    name = key.rpartition("/")[2]
    if file is None:
        if not name.endswith(".parquet") or name.startswith(("_", ".")):
            return None  # no report reads it
        return "is no file of the sample, and reports would read it with the rest; remove it, or use another stack"
    content = file.read_bytes()
    # The ETag of an object that was put whole is its MD5 (S3 user guide, "Checking object integrity").
    if etag.strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest():
        return None
    try:
        found = pl.read_parquet(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    except pl.exceptions.PolarsError as error:
        return f"is not readable Parquet: {line(str(error))}"
    return _difference(found, pl.read_parquet(io.BytesIO(content)))


def _difference(found: pl.DataFrame, sample: pl.DataFrame) -> str | None:
    """How a file's rows differ from the sample's; None where only its bytes do, as another polars writes them."""
    faults = [f"has no column {name}" for name in sample.columns if name not in found.columns]
    faults += [f"has a column {name}, which the sample has not" for name in found.columns if name not in sample.columns]
    faults += [
        f"column {name} is {found.schema[name]}, not {dtype}"
        for name, dtype in sample.schema.items()
        if name in found.columns and found.schema[name] != dtype
    ]
    if found.height != sample.height:
        faults.append(f"has {found.height:,} rows, not {sample.height:,}")
    if not faults and not found.select(sample.columns).equals(sample):
        changed = [name for name in sample.columns if not found[name].equals(sample[name])]
        faults.append(f"has other values in {', '.join(changed)}")
    return "; ".join(faults) or None


def _first_user(found: dict[str, Any], email: str, tenant: str, *, invite: bool) -> None:
    """A user of the pool, who chooses a password when signing in first.

    Raises:
        Trouble: the user is there, but of another tenant.
    """
    cognito, pool = stack.client("cognito-idp", found), found["user_pool_id"]
    try:
        there = cognito.admin_get_user(UserPoolId=pool, Username=email)
    except cognito.exceptions.UserNotFoundException:
        told = user.create(found, email, tenant, invite=invite)
        click.echo(f"{email}: user of tenant {tenant} in {pool}, made now; {told}")
    else:
        has = {each["Name"]: each["Value"] for each in there["UserAttributes"]}.get("custom:tenant_id")
        if has != tenant:
            raise Trouble(
                f"{email} is there already, of {f'tenant {has}' if has else 'no tenant'}; not changed."
                f" Say --tenant {has} or another --email."
            )
        click.echo(f"{email}: user of tenant {tenant} in {pool}, there before ({there['UserStatus']})")
    where = "--emulator" if found["endpoint_url"] else f"--stack {found['stack']}"
    click.echo(f"Next: bin/exports sign-in {where} --email {email}")
