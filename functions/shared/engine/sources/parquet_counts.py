"""Counts the rows of Parquet files that pass a query's filters, from their folders or from the filters' columns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import cast

import polars as pl

from shared.datasets import partitions
from shared.datasets.footers import FOOTER_GUESS, quick_footer
from shared.engine import column_types
from shared.engine.query import Query
from shared.engine.sources.parquet_rows import (
    merged,
    partition_column,
    partitions_of,
    runs_of,
    scan,
    unreadable,
    version_of,
)
from shared.files.work import Extent, ObjectExtent, Part
from shared.parquet import footer as parquet_footer

MAX_FILES = 500
"""Maximum number of files read to count, each with one or two requests."""
MAX_BYTES = 256 * 1024 * 1024
"""Maximum bytes fetched to count, including gaps between column chunks: a few seconds, and half of PlanParts' disk."""
_AT_ONCE = 64


def passing(query: Query, schema: dict[str, str], extents: list[Extent], parts: Sequence[Part]) -> list[int] | None:
    """How many rows of each part pass the filters (:class:`.Source`)."""
    needs, runs = query.needs(), cast(list[ObjectExtent], extents)
    values = {extent["key"]: partitions_of(query, extent) for extent in runs}
    if all(name in each for each in values.values() for name in needs):
        passes = _folders(query, schema, needs, values)
        sources = (cast(list[ObjectExtent], part["sources"]) for part in parts)
        return [sum(each["rows"] for each in some if passes[each["key"]]) for some in sources]
    if len(values) > MAX_FILES or asyncio.run(_size(runs, needs)) > MAX_BYTES:
        return None
    with contextlib.closing(scan(query, schema, extents)) as frames:
        return counted(query, frames, [part["rows"] for part in parts])


def _folders(
    query: Query, schema: dict[str, str], needs: list[str], values: dict[str, partitions.Values]
) -> dict[str, bool]:
    """Whether the rows of a file pass, by its key. Partition columns decide, so all rows of a file are alike."""
    known: dict[tuple[str | None, ...], bool] = {}
    for each in values.values():
        folder = tuple(each[name] for name in needs)
        if folder not in known:
            columns = [partition_column(name, each[name], column_types.parsed(schema[name])) for name in needs]
            known[folder] = query.count(pl.select(columns)) == 1
    return {key: known[tuple(each[name] for name in needs)] for key, each in values.items()}


async def _size(extents: list[ObjectExtent], needs: list[str]) -> int:
    """Bytes that must be fetched to read these columns."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def size(file: list[ObjectExtent]) -> int:
        version = version_of(file[0])
        async with limit:
            content = await quick_footer(version, FOOTER_GUESS)
        try:
            footer = parquet_footer.read(content)
        except ValueError as error:
            raise unreadable(version, error) from error
        groups = [run.group for extent in file for run in runs_of(footer, extent)]
        chunks = [(chunk.start, chunk.end) for group in groups for chunk in group.chunks if chunk.column in needs]
        return sum(end - start for start, end in merged(chunks))

    files = [list(group) for _, group in groupby(extents, key=lambda extent: extent["key"])]
    return sum(await asyncio.gather(*map(size, files)))


def counted(query: Query, frames: Iterable[pl.DataFrame], heights: list[int]) -> list[int]:
    """How many rows pass in each of the consecutive runs of ``heights`` rows."""
    counts, at, left = [0] * len(heights), 0, heights[0]
    for rows in frames:
        while rows.height:
            while not left:
                at += 1
                left = heights[at]
            here = rows[:left]
            counts[at] += query.count(here)
            rows, left = rows[here.height :], left - here.height
    return counts
