"""`exports-admin put`: uploads a folder of Parquet files as a dataset of a stack."""

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
from shared.datasets.dataset import is_data

DATASET = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
"""The pattern of ``source.dataset`` in functions/shared/catalogue/report.schema.json."""
_MAGIC = b"PAR1"
_MIN_BYTES = 12  # the magic at both ends, and the length of the footer
_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_MAX_LISTED = 20


def _dataset(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not DATASET.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not a dataset. Use A-Z a-z 0-9 _ - . with / between folders.")
    return name


@click.command("put")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("dataset", callback=_dataset)
@click.option("--add", is_flag=True, help="Add the files to those of the dataset.")
@click.option("--replace", is_flag=True, help="Upload the files, then delete all other files of the dataset.")
@stack_option
def command(folder: Path, dataset: str, *, stack: str, add: bool, replace: bool) -> None:
    """Uploads the Parquet files in FOLDER as a dataset, the one that a report names in `source.dataset`.

    Files keep their paths in FOLDER, so folders such as month=1 stay partition columns. The command lists the files
    that reports ignore, and does not upload them. If any other file is not Parquet, it uploads nothing. It changes a
    dataset that has files only with --add or --replace. Use these while no export reads the dataset. If the upload is
    interrupted, run the command again with --replace.
    """
    if add and replace:
        raise click.UsageError("Use either --add or --replace.")
    description = connect(stack)
    files, ignored = files_in(folder)
    present = _present(description, dataset)
    if present and not (add or replace):
        raise Trouble(
            f"{location(description, dataset)} has {_count(len(present))}. Nothing was uploaded."
            " Use --add to add to them, or --replace to delete them after the upload."
        )
    if add and (taken := sorted(files.keys() & present)):
        raise Trouble(f"The dataset has files with these names. Nothing was uploaded. Rename them:\n{_listed(taken)}")
    outcome = upload(description, dataset, files)
    if replace:
        outcome += f", {_count(delete_others(description, dataset, set(files)))} deleted"
    click.echo(outcome)
    if ignored:
        click.echo(f"Not uploaded, because reports ignore these names:\n{_listed(ignored)}")
    own.remember_dataset(description, dataset, folder, added=add)


def files_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The Parquet files in a folder.

    Returns:
        The files by their paths in the folder, and the paths of files that reports ignore.

    Raises:
        Trouble: the folder has no Parquet file, has a file of another kind, or is a table of another format.
    """
    files: dict[str, Path] = {}
    ignored, faults = [], []
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if table := next((_TABLES[part] for part in path.parts if part in _TABLES), None):
            remedy = "No report reads it" if table == "Hudi" else "Copy a Delta table with its log: aws s3 sync"
            raise Trouble(f"{folder} is a {table} table, but put uploads only plain Parquet files. {remedy}.")
        if file.is_dir() and not file.is_symlink():
            continue
        name = path.as_posix()
        if not is_data(name):
            ignored.append(name)
        elif fault := _fault(file):
            faults.append(f"{name} {fault}")
        else:
            files[name] = file
    if faults:
        raise Trouble(f"Nothing was uploaded. In {folder}:\n{_listed(faults)}")
    if not files:
        raise Trouble(f"There is no Parquet file in {folder}.")
    return files, ignored


def upload(description: dict[str, Any], dataset: str, files: dict[str, Path]) -> str:
    """Uploads files, each to its path in the dataset.

    Returns:
        The location, the number of files and their bytes, as text.

    Raises:
        Trouble: the files would expire.
        botocore.exceptions.ClientError: S3 refused a file.
    """
    bucket, folder = _where(description, dataset)
    s3 = stack.client("s3", description)
    with create_transfer_manager(s3, TransferConfig()) as manager:
        for each in [manager.upload(str(file), bucket, folder + path) for path, file in files.items()]:
            each.result()
    size = sum(file.stat().st_size for file in files.values())
    return f"{location(description, dataset)}: {_count(len(files))} of {size:,} bytes uploaded"


def delete_others(description: dict[str, Any], dataset: str, kept: set[str]) -> int:
    """Deletes all objects of a dataset except those at the paths in ``kept``. Returns their number."""
    bucket, folder = _where(description, dataset)
    s3, others = stack.client("s3", description), sorted(_present(description, dataset) - kept)
    for path in others:
        s3.delete_object(Bucket=bucket, Key=folder + path)
    return len(others)


def location(description: dict[str, Any], dataset: str) -> str:
    """The S3 URI of a dataset, for messages."""
    return f"{description['data_location']}{dataset}/"


def _where(description: dict[str, Any], dataset: str) -> tuple[str, str]:
    """The bucket and the key prefix of a dataset.

    Raises:
        Trouble: files with this prefix expire.
    """
    bucket, folder = location(description, dataset).removeprefix("s3://").split("/", 1)
    if bucket == description["bucket"] and folder.split("/")[0] in ("work", "exports"):
        raise Trouble(f"Files under {location(description, dataset)} expire. Use another dataset.")
    return bucket, folder


def _present(description: dict[str, Any], dataset: str) -> set[str]:
    """The paths of all objects of a dataset, including those that reports ignore."""
    bucket, folder = _where(description, dataset)
    pages = stack.client("s3", description).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    return {item["Key"].removeprefix(folder) for page in pages for item in page.get("Contents", [])}


def _fault(file: Path) -> str:
    """Why a file cannot be uploaded; "" if it is Parquet."""
    if file.is_dir():
        return "is a link to a folder. Copy the folder, or upload it separately"
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_MAGIC))
            if opened.seek(0, 2) < _MIN_BYTES:
                return "is not Parquet: it is too short"
            opened.seek(-len(_MAGIC), 2)
            end = opened.read()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if start != _MAGIC:
        return f"is not Parquet: it begins with {start!r}, not with {_MAGIC!r}"
    return "" if end == _MAGIC else f"is not a complete Parquet file: it ends with {end!r}, not with {_MAGIC!r}"


def _count(files: int) -> str:
    return f"{files:,} file{'' if files == 1 else 's'}"


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - _MAX_LISTED:,} more"] if len(lines) > _MAX_LISTED else []
    return "\n".join(f"  {line(each)}" for each in [*lines[:_MAX_LISTED], *more])
