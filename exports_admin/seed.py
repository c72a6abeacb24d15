"""`exports-admin seed`: adds the sample data and a first user to a deployed stack."""

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

_FIRST_TENANT = "UA"


def _airline(_context: click.Context, _parameter: click.Parameter, tenant: str) -> str:
    if tenant not in (known := sample_data.airlines()):
        raise click.BadParameter(f"{tenant!r} has no flight in the sample data. These have: {', '.join(known)}.")
    return tenant


@click.command("seed")
@click.argument("name", metavar="[STACK]", default=stack.STACK)
@click.option("--tenant", default=_FIRST_TENANT, show_default=True, callback=_airline, help="The user's airline.")
@click.option("--email", help="The user's address.  [default: that of the airline, such as ua@example.com]")
@click.option("--invite", is_flag=True, help="Let Cognito mail the temporary password instead of printing it.")
@click.option("--replace", is_flag=True, help="Replace existing files that differ from the sample data.")
def command(name: str, *, tenant: str, email: str | None, invite: bool, replace: bool) -> None:
    """Adds the sample data and a first user to a stack. Keeps what exists.

    The data is all flights that left New York in 2013, as one Parquet file a month, and the aircraft. The tenants are
    the airlines. If the stack has another dataset of one of these names, the command changes nothing and lists the
    differences. The stack must have its own bucket and its own user pool.

    The user's address counts as verified. Mail goes to it only with --invite, or for an export with options.notify.
    If you use one of them, give an address that you own.
    """
    connect(name)
    description = stack.find_own(name)
    _fill(description, replace=replace)
    _first_user(description, email or f"{tenant.lower()}@example.com", tenant, invite=invite)


def _fill(description: dict[str, Any], *, replace: bool) -> None:
    """Uploads the files of the sample data that are missing, and with ``replace`` also those that differ.

    Raises:
        Trouble: the dataset in the bucket is not the sample data, or its files would expire.
    """
    location = description["data_location"]
    bucket, prefix = location.removeprefix("s3://").split("/", 1)
    if prefix.split("/")[0] in ("work", "exports"):
        raise Trouble(f"Files under {location} expire. Deploy with another DataPrefix.")
    s3 = stack.client("s3", description)
    files = {
        prefix + file.relative_to(sample_data.FOLDER).as_posix(): file for file in sample_data.write(sample_data.FOLDER)
    }
    pages = s3.get_paginator("list_objects_v2")
    objects = {
        item["Key"]: item
        for dataset in sample_data.DATASETS
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}{dataset}/")
        for item in page.get("Contents", [])
    }
    faults = {key: fault for key in objects if (fault := _fault(s3, bucket, key, objects[key]["ETag"], files.get(key)))}
    other = [key for key in faults if key not in files]
    if faults and (other or not replace):
        for key, fault in faults.items():
            click.echo(f"s3://{bucket}/{key}: {fault}", err=True)
        remedy = "--replace replaces the files that differ. It removes no other file"
        raise Trouble(f"These files are not the sample data. Nothing was changed. {remedy}.")
    to_upload = [key for key in files if key not in objects or key in faults]
    for key in to_upload:
        s3.upload_file(str(files[key]), bucket, key)
    for dataset in sample_data.DATASETS:
        keys = [key for key in files if key.startswith(f"{prefix}{dataset}/")]
        rows = sum(pl.scan_parquet(files[key]).select(pl.len()).collect().item() for key in keys)
        uploaded, files_in = sum(key in to_upload for key in keys), "1 file" if len(keys) == 1 else f"{len(keys)} files"
        click.echo(
            f"{location}{dataset}/: {rows:,} {dataset} in {files_in} ({uploaded} uploaded,"
            f" {len(keys) - uploaded} existed before)"
        )


def _fault(s3: Any, bucket: str, key: str, etag: str, file: Path | None) -> str | None:
    """How an object of the dataset differs from the sample data; None if it does not."""
    name = key.rpartition("/")[2]
    if file is None:
        if not name.endswith(".parquet") or name.startswith(("_", ".")):
            return None  # no report reads it
        return "is not part of the sample data, but reports would read it. Remove it, or use another stack"
    content = file.read_bytes()
    # The ETag of an object that was uploaded in one part is its MD5 (S3 user guide, "Checking object integrity").
    if etag.strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest():
        return None
    try:
        rows = pl.read_parquet(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    except pl.exceptions.PolarsError as error:
        return f"is not readable Parquet: {line(str(error))}"
    return _difference(rows, pl.read_parquet(io.BytesIO(content)))


def _difference(rows: pl.DataFrame, sample: pl.DataFrame) -> str | None:
    """How the rows of a file differ from the sample data; None if they are equal. Another polars writes other bytes."""
    faults = [f"has no column {name}" for name in sample.columns if name not in rows.columns]
    faults += [f"has a column {name} that the sample data lacks" for name in rows.columns if name not in sample.columns]
    faults += [
        f"column {name} is {rows.schema[name]}, not {dtype}"
        for name, dtype in sample.schema.items()
        if name in rows.columns and rows.schema[name] != dtype
    ]
    if rows.height != sample.height:
        faults.append(f"has {rows.height:,} rows, not {sample.height:,}")
    if not faults and not rows.select(sample.columns).equals(sample):
        changed = [name for name in sample.columns if not rows[name].equals(sample[name])]
        faults.append(f"has other values in {', '.join(changed)}")
    return "; ".join(faults) or None


def _first_user(description: dict[str, Any], email: str, tenant: str, *, invite: bool) -> None:
    """Creates a user in the pool, who chooses a password at the first sign-in.

    Raises:
        Trouble: the user exists, but belongs to another tenant.
    """
    cognito, pool = stack.client("cognito-idp", description), stack.user_pool(description)
    try:
        existing = cognito.admin_get_user(UserPoolId=pool, Username=email)
    except cognito.exceptions.UserNotFoundException:
        told = user.create(description, email, tenant, invite=invite)
        click.echo(f"{email}: new user of tenant {tenant} in {pool}; {told}")
    else:
        has = stack.attribute(existing, description["tenant_claim"])
        if has != tenant:
            own = f"of tenant {has}" if has else "without a tenant"
            remedy = f"Use --tenant {has} or another --email" if has else "Use another --email"
            raise Trouble(f"{email} is an existing user {own}, and was not changed. {remedy}.")
        click.echo(f"{email}: existing user of tenant {tenant} in {pool} ({existing['UserStatus']})")
    where = "--emulator" if description["endpoint_url"] else f"--stack {description['stack']}"
    click.echo(f"Next: bin/exports sign-in {where} --email {email}")
