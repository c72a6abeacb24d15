"""Where the rows of each part stand in the file, known before any of them is written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import polars as pl

from shared.engine.query import Query
from shared.engine.sources import Source
from shared.files.work import Extent, Part

UNPLACED = "NoCellReferences"
"""The warning of a plan whose parts do not know where their rows stand."""


def place(source: Source, query: Query, schema: pl.Schema, extents: list[Extent], parts: Sequence[Part]) -> list[Part]:
    """The parts with the number of their first row, and where there are several also how many rows they will write.

    They are as they were where it would take too much to count the rows that pass the filters.

    Raises:
        ExpressionFailed, SourceUnreadable, SourceChanged, SourceUnavailable: while the filters' columns were read.
    """
    if len(parts) == 1:
        return [parts[0] | {"first_row": 0}]
    counts = source.passing(query.of_filters(), {name: str(dtype) for name, dtype in schema.items()}, extents, parts)
    if counts is None:
        return list(parts)
    placed = zip(parts, accumulate(counts, initial=0), counts, strict=False)
    return [part | {"first_row": first, "rows_passing": count} for part, first, count in placed]
