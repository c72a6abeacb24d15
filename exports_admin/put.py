"""`exports-admin put`: a folder of Parquet files becomes a dataset of a stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from boto3.s3.transfer import TransferConfig, create_transfer_manager

from exports_admin import own, stack
from exports_admin.connection import connect, stack_option
from exports_cli.text import line
from exports_cli.trouble import Trouble
from shared.engine.sources.dataset import is_data

DATASET = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
"""As functions/shared/catalogue/report.schema.json has it for ``source.dataset``."""
_MAGIC = b"PAR1"
_LEAST_BYTES = 12  # the magic at both ends, and the footer's length
_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_NAMED = 20


def _dataset(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not DATASET.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no dataset: A-Z a-z 0-9 _ - . are allowed, and / between folders.")
    return name


@click.command("put")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("dataset", callback=_dataset)
@click.option("--add", is_flag=True, help="Add the files to those that the dataset has.")
@click.option("--replace", is_flag=True, help="Upload the files, then delete all others of the dataset.")
@stack_option
def command(folder: Path, dataset: str, *, stack: str, add: bool, replace: bool) -> None:
    """Uploads the Parquet files in FOLDER as the dataset that a report names in `source.dataset`.

    Files keep their paths in FOLDER, so folders such as month=1 stay partition columns. Files that reports pass over
    are named and not uploaded. If any other file is no Parquet, nothing is uploaded. A dataset that has files changes
    only with --add or --replace. Use these while no export reads the dataset. If the upload breaks off, run the command
    again with --replace.
    """
    if add and replace:
        raise click.UsageError("Say --add or --replace, one of the two.")
    found = connect(stack)
    files, passed_over = files_in(folder)
    present = _present(found, dataset)
    if present and not (add or replace):
        raise Trouble(
            f"{location(found, dataset)} has {_count(len(present))}; nothing was uploaded. Say --add to add to them,"
            " or --replace to delete them after the upload."
        )
    if add and (taken := sorted(files.keys() & present)):
        raise Trouble(f"The dataset has files of these names; nothing was uploaded. Rename them:\n{_listed(taken)}")
    said = upload(found, dataset, files)
    if replace:
        said += f", {_count(delete_others(found, dataset, set(files)))} deleted"
    click.echo(said)
    if passed_over:
        click.echo(f"Passed over, because reports pass over such names:\n{_listed(passed_over)}")
    own.remember_dataset(found, dataset, folder, added=add)


def files_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The Parquet files in a folder by their paths in it, and the paths that reports pass over.

    Raises:
        Trouble: it has none, something is neither, or it is a table of another format.
    """
    files: dict[str, Path] = {}
    passed_over, faults = [], []
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if table := next((_TABLES[part] for part in path.parts if part in _TABLES), None):
            remedy = "No report reads it" if table == "Hudi" else "Copy a Delta table with its log: aws s3 sync"
            raise Trouble(f"{folder} is a {table} table, and put uploads plain Parquet files only. {remedy}.")
        if file.is_dir() and not file.is_symlink():
            continue
        name = path.as_posix()
        if not is_data(name):
            passed_over.append(name)
        elif fault := _fault(file):
            faults.append(f"{name} {fault}")
        else:
            files[name] = file
    if faults:
        raise Trouble(f"Nothing was uploaded. In {folder}:\n{_listed(faults)}")
    if not files:
        raise Trouble(f"There is no Parquet file in {folder}.")
    return files, passed_over


def upload(found: dict[str, Any], dataset: str, files: dict[str, Path]) -> str:
    """Uploads files, each to its path in the dataset; says where to, how many and how many bytes.

    Raises:
        botocore.exceptions.ClientError: S3 refused one.
    """
    bucket, folder = _where(found, dataset)
    s3 = stack.client("s3", found)
    with create_transfer_manager(s3, TransferConfig()) as manager:
        for each in [manager.upload(str(file), bucket, folder + path) for path, file in files.items()]:
            each.result()
    size = sum(file.stat().st_size for file in files.values())
    return f"{location(found, dataset)}: {_count(len(files))} of {size:,} bytes uploaded"


def delete_others(found: dict[str, Any], dataset: str, kept: set[str]) -> int:
    """Deletes all objects of a dataset but those at some paths; says how many."""
    bucket, folder = _where(found, dataset)
    s3, others = stack.client("s3", found), sorted(_present(found, dataset) - kept)
    for path in others:
        s3.delete_object(Bucket=bucket, Key=folder + path)
    return len(others)


def location(found: dict[str, Any], dataset: str) -> str:
    """Where a dataset lies, as a person names it."""
    return f"{found['data_location']}{dataset}/"


def _where(found: dict[str, Any], dataset: str) -> tuple[str, str]:
    """Bucket and folder of a dataset.

    Raises:
        Trouble: what lies there expires.
    """
    bucket, folder = location(found, dataset).removeprefix("s3://").split("/", 1)
    if bucket == found["bucket"] and folder.split("/")[0] in ("work", "exports"):
        raise Trouble(f"Files under {location(found, dataset)} expire. Name another dataset.")
    return bucket, folder


def _present(found: dict[str, Any], dataset: str) -> set[str]:
    """The paths of all objects of a dataset, also of those that reports pass over."""
    bucket, folder = _where(found, dataset)
    pages = stack.client("s3", found).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    return {item["Key"].removeprefix(folder) for page in pages for item in page.get("Contents", [])}


def _fault(file: Path) -> str:
    """Why a file is not uploaded; "" for Parquet."""
    if file.is_dir():
        return "is a link to a folder. Copy the folder, or put it by itself"
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_MAGIC))
            if opened.seek(0, 2) < _LEAST_BYTES:
                return "is no Parquet: it is too short"
            opened.seek(-len(_MAGIC), 2)
            end = opened.read()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if start != _MAGIC:
        return f"is no Parquet: it begins with {start!r}, not with {_MAGIC!r}"
    return "" if end == _MAGIC else f"is no whole Parquet file: it ends with {end!r}, not with {_MAGIC!r}"


def _count(files: int) -> str:
    return f"{files:,} file{'' if files == 1 else 's'}"


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - _NAMED:,} more"] if len(lines) > _NAMED else []
    return "\n".join(f"  {line(each)}" for each in [*lines[:_NAMED], *more])
