"""Where a report's rows come from. A source is one module with ``plan`` and ``scan``; a definition names it by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from typing import Protocol

import polars as pl

from shared.engine.query import Query
from shared.engine.sources import dynamodb, parquet
from shared.files.work import Extent, Part


class Source(Protocol):
    """What a source module offers."""

    def plan(self, query: Query) -> tuple[pl.Schema, list[Extent]]:
        """The source's schema and the runs of rows that may hold rows of the query, each pinned in its source's way.

        What cannot hold such rows is not opened. Where nothing can, the schema is that of the source all the same: a
        file without rows has it.

        Raises:
            SourceMissing, SourceUnreadable, SourceChanged, SourceUnavailable, SourceSchemaMismatch, RowGroupTooLarge,
            ColumnMismatch.
        """

    def scan(
        self, query: Query, schema: dict[str, str], extents: list[Extent], fetched: Counter[str] | None = None
    ) -> Generator[pl.DataFrame, None, None]:
        """Every row of the extents, in order, unfiltered, with the columns that the query needs; in bounded batches.

        Args:
            schema: polars types by column, as text, as the plan holds them.
            fetched: ``bytes`` grows by what is fetched from the source, footers and gaps included.

        Raises:
            SourceUnreadable, SourceChanged, SourceUnavailable, ColumnMismatch.
        """

    def passing(
        self, query: Query, schema: dict[str, str], extents: list[Extent], parts: Sequence[Part]
    ) -> list[int] | None:
        """How many rows of each part pass the filters; None where it would take too much to know.

        Args:
            query: of filters alone: see :meth:`.Query.of_filters`.
            extents: what the parts were divided from.

        Raises:
            ExpressionFailed, SourceUnreadable, SourceChanged, SourceUnavailable.
        """


SOURCES: dict[str, Source] = {"dynamodb": dynamodb, "parquet": parquet}
"""The sources by the ``type`` that a definition gives."""
