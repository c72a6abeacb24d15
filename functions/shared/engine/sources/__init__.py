"""The sources of a report's rows. A source is a module with the functions of :class:`Source`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from typing import Protocol

import polars as pl

from shared.engine.query import Query
from shared.engine.sources import dynamodb, parquet, results
from shared.files.work import Extent, Part


class Source(Protocol):
    """The functions of a source module."""

    def plan(self, query: Query) -> tuple[pl.Schema, list[Extent]]:
        """The source's schema, and the runs of rows that may hold rows of the query, each pinned.

        Files that cannot hold such rows are not opened. If no file can, the schema is still the source's schema, so
        that an export without rows has its columns.

        The types are those of :meth:`scan`: :func:`.column_types.wide` gives them.

        Raises:
            SourceMissing, SourceUnreadable, SourceChanged, SourceUnavailable, SourceSchemaMismatch, RowGroupTooLarge,
            ColumnMismatch.
        """

    def scan(
        self, query: Query, schema: dict[str, str], extents: list[Extent], fetched: Counter[str] | None = None
    ) -> Generator[pl.DataFrame, None, None]:
        """Every row of the extents, in order and unfiltered, with the query's columns, in batches of limited size.

        Args:
            schema: polars types as text, by column, as the plan stores them.
            fetched: ``bytes`` grows by the bytes fetched from the source, including footers and gaps.

        Raises:
            SourceUnreadable, SourceChanged, SourceUnavailable, ColumnMismatch.
        """

    def passing(
        self, query: Query, schema: dict[str, str], extents: list[Extent], parts: Sequence[Part]
    ) -> list[int] | None:
        """How many rows of each part pass the filters; None if counting them would cost too much.

        Args:
            query: a query with filters only: see :meth:`.Query.of_filters`.
            extents: the extents that were divided into the parts.

        Raises:
            ExpressionFailed, SourceUnreadable, SourceChanged, SourceUnavailable.
        """


SOURCES: dict[str, Source] = {"dynamodb": dynamodb, "parquet": parquet, "query": results}
"""The sources by their ``type`` in a definition."""
