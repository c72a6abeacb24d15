"""Tells a tenant without rows from a tenant in the wrong case: ``acme``, where the data says ``ACME``.

Tenants are case-sensitive, so a user of ``acme`` gets files without rows. The names of partition folders, or the bounds
in the footers of the files, show which other spelling a dataset has. No rows are read.
"""

from __future__ import annotations

import asyncio
import io
import os
import urllib.request
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from exports_admin import stack
from exports_admin.health.deployment import Unchecked, readable
from shared.catalogue import reports
from shared.datasets import dataset
from shared.datasets.footers import FOOTER_GUESS, quick_footer
from shared.engine.sources import parquet_types
from shared.engine.sources.parquet_rows import checkpoint_rows
from shared.errors import ExportError, InvalidDefinition
from shared.parquet import footer as parquet_footer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.datasets.dataset import File

_FILES = 1000
"""How many footers of a dataset are read at most: those of the first files."""


class Spellings(NamedTuple):
    """What a dataset tells about a tenant without its rows."""

    has: bool | None
    """Whether the dataset has rows of the tenant; None if the bounds in the footers do not tell."""
    others: list[str]
    """Other spellings of the tenant that the dataset certainly has."""


def warning(description: dict[str, Any], definitions: Iterable[dict[str, Any]], tenant: str) -> str:
    """Says that datasets have the tenant only in another case; "" if one has the tenant, or none has another case.

    Args:
        description: of the stack: see :func:`exports_admin.stack.find`.
        definitions: reports. Those with the same dataset and the same tenant column count once. A query report counts
            for each of its datasets that has a tenant of text.
        tenant: of a user.

    Raises:
        Unchecked: no dataset can be compared.
    """
    sources = {source for definition in definitions for source in _sources(definition)}
    found: dict[tuple[str, str], Spellings] = {}
    reasons: list[str] = []
    with _data_of(description):
        for name, column in sorted(sources):
            try:
                found[name, column] = spellings(name, column, tenant)
            except (ExportError, ValueError) as error:
                reasons.append(str(error))
    if not found:
        raise Unchecked("; ".join(reasons) or "no report has a Parquet dataset and a tenant column of text")
    other = {name: each for (name, _), each in found.items() if each.others}
    if not other or any(each.has for each in found.values()):
        return ""
    said = []
    for name, each in other.items():
        unknown = f"; its footers do not tell whether it has {tenant} too" if each.has is None else ""
        said.append(f"the dataset {name} has {' and '.join(each.others)}, not {tenant}{unknown}")
    return f"Tenants are case-sensitive, and {'; '.join(said)}."


def _sources(definition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The datasets of a report that have a tenant column of text, each with that column."""
    source = definition["source"]
    if source["type"] == "query":
        for each in source["datasets"].values():
            if "tenant" in each and each["columns"][each["tenant"]] == "string":
                yield each["dataset"], each["tenant"]
    elif source["type"] == "parquet" and isinstance(definition["tenant"], str):
        yield source["dataset"], definition["tenant"]


def spellings(name: str, column: str, tenant: str) -> Spellings:
    """What a dataset of the data bucket tells about a tenant.

    Raises:
        ExportError: the dataset has no files, or is not readable.
        ValueError: a footer is damaged.
    """
    files, _ = dataset.files(name, checkpoint_rows)
    if column in files[0].values:
        values = {value for file in files if (value := file.values.get(column)) is not None}
        return Spellings(tenant in values, _others(values, tenant))
    bounds = asyncio.run(_bounds(files[:_FILES], column))
    known = {bound for pair in bounds for bound in pair if bound is not None}
    is_complete = len(files) <= _FILES
    absent = is_complete and all(
        low is not None and high is not None and not low <= tenant <= high for low, high in bounds
    )
    return Spellings(True if tenant in known else False if absent else None, _others(known, tenant))


def _others(values: set[str], tenant: str) -> list[str]:
    return sorted(value for value in values if value.lower() == tenant.lower() and value != tenant)


async def _bounds(files: list[File], column: str) -> list[tuple[str | None, str | None]]:
    """The bounds of a text column in each row group."""
    limit = asyncio.Semaphore(64)

    async def read(file: File) -> list[Any]:
        async with limit:
            footer = parquet_footer.read(await quick_footer(file.listed.version, FOOTER_GUESS))
        chunks = [chunk for group in footer.row_groups if group.rows for chunk in group.chunks]
        return [parquet_types.bounds(footer, each, pl.String()) for each in chunks if each.path == (column,)]

    return [pair for pairs in await asyncio.gather(*map(read, files)) for pair in pairs]


@contextmanager
def _data_of(description: dict[str, Any]) -> Iterator[None]:
    """Sets the environment variables with which the product finds the stack's datasets. Converts the errors of S3."""
    os.environ["DATA_BUCKET"], folder = description["data_location"].removeprefix("s3://").split("/", 1)
    os.environ["DATA_PREFIX"] = folder.strip("/")
    with readable("s3"):
        yield


def deployed(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The definitions of the reports that a stack has, by id, from the layer of its function ListReports.

    Raises:
        Unchecked: the caller may not read the function or the layer, or a report is not valid for this checkout.
    """
    with readable("lambda"):
        client = stack.client("lambda", description)
        function = client.get_function_configuration(FunctionName=f"{description['stack']}-list-reports")
        layer = client.get_layer_version_by_arn(Arn=function["Layers"][0]["Arn"])
    try:
        with urllib.request.urlopen(layer["Content"]["Location"]) as answer:  # noqa: S310 - an address that Lambda signed
            archive = zipfile.ZipFile(io.BytesIO(answer.read()))
        texts = {
            name.removesuffix(".yaml"): archive.read(name) for name in archive.namelist() if name.endswith(".yaml")
        }
        return {
            report: reports.parse(report, text.decode(), lambda each: archive.read(each).decode()).definition
            for report, text in texts.items()
        }
    except (OSError, zipfile.BadZipFile, InvalidDefinition) as error:
        raise Unchecked(f"the deployed reports cannot be read: {error}") from error
