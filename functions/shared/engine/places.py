"""The position of each part's rows in the file, computed before any row is written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import polars as pl

from shared.engine.query import Query
from shared.engine.sources import Source
from shared.files.work import Extent, Part

UNPLACED = "NoCellReferences"
"""Name of the warning in a plan whose parts do not know the positions of their rows."""


def place(source: Source, query: Query, schema: pl.Schema, extents: list[Extent], parts: Sequence[Part]) -> list[Part]:
    """Adds the number of its first row to each part and, if there are several parts, the number of rows it will write.

    Returns the parts unchanged if counting the rows that pass the filters would cost too much.

    Raises:
        ExpressionFailed, SourceUnreadable, SourceChanged, SourceUnavailable: the filters' columns cannot be read.
    """
    if len(parts) == 1:
        return [parts[0] | {"first_row": 0}]
    counts = source.passing(query.of_filters(), {name: str(dtype) for name, dtype in schema.items()}, extents, parts)
    if counts is None:
        return list(parts)
    placed = zip(parts, accumulate(counts, initial=0), counts, strict=False)
    return [part | {"first_row": first, "rows_passing": count} for part, first, count in placed]
