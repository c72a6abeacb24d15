"""Source ``query``: the result of a report's query (:mod:`shared.files.query_results`), one Parquet file.

RunQuery has already chosen the rows and their order. The parts read the file as they read every Parquet file.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import polars as pl

from shared.datasets.dataset import File
from shared.datasets.objects import ListedObject
from shared.engine import column_types
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.engine.sources.parquet import scan
from shared.errors import RowsMissing
from shared.files import work
from shared.files.work import Extent, Part

__all__ = ["passing", "plan", "scan"]


def definition_of(definition: dict[str, Any]) -> dict[str, Any]:
    """A report's definition for the parts: its columns over the result of its query.

    Args:
        definition: from :func:`shared.engine.expressions.checked`; of source type ``query``, or ``parquet`` with an
            order or a limit, whose result has the source's columns.
    """
    source = {"type": "query"}
    if definition["source"]["type"] == "parquet":
        source |= {"columns": definition["source"]["columns"]}
    kept = {key: value for key, value in definition.items() if key in ("title", "description", "columns")}
    return copy.deepcopy(kept | {"source": source})


def plan(query: Query) -> tuple[pl.Schema, list[Extent]]:
    """The schema and the extents of the result (:class:`.Source`).

    Raises:
        RowsMissing: the file does not have as many rows as the engine wrote.
    """
    result = query.result
    assert result is not None
    listed = ListedObject(result["key"], result["etag"], result["bytes"], work.bucket())
    types = {name: column_types.dtype(declared) for name, declared in query.declared.items()}
    zoned = {name: each for name, each in types.items() if isinstance(each, pl.Datetime) and each.time_zone}
    stored = replace(query, declared=query.declared | dict.fromkeys(zoned, "timestamp(UTC)"))  # DuckDB writes UTC
    schema, extents = parquet.plan_files(stored, [File(listed, {})])
    for name in zoned.keys() & schema.keys():
        schema[name] = pl.Datetime(cast(pl.Datetime, schema[name]).time_unit, zoned[name].time_zone)
    if (rows := sum(extent["rows"] for extent in extents)) != result["rows"]:
        raise RowsMissing(f"the query wrote {result['rows']} rows, but its file has {rows}")
    return schema, extents


def passing(query: Query, schema: dict[str, str], extents: list[Extent], parts: Sequence[Part]) -> list[int] | None:
    """Every row of the parts (:class:`.Source`)."""
    return [part["rows"] for part in parts]
