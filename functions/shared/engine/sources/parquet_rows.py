"""Reads the rows of Parquet files: fetches column chunks or pages to the local disk and decodes them in batches.

polars reads a whole column chunk for any of its rows. It therefore gets a small file of the pages that a batch needs
(:class:`shared.parquet.footer.Excerpt`), so that memory depends on the batch and not on the size of a row group.

If a part cuts a row group, the file's OffsetIndex gives the pages. Without an index, every part of the row group
fetches whole column chunks, which costs time but no memory: benchmarks/scan.py.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import Any, cast

import polars as pl

from shared.datasets import footers, objects, partitions
from shared.datasets.footers import read_footer
from shared.datasets.objects import Version
from shared.engine import column_types
from shared.engine.query import Query, first_line
from shared.engine.sources import parquet_types
from shared.errors import RowGroupTooLarge, SourceUnreadable, ValueOutOfRange
from shared.files import work
from shared.files.work import Extent, ObjectExtent
from shared.parquet import footer as parquet_footer
from shared.parquet.footer import Chunk, Excerpt, Footer, Page, Pages, RowGroup

BATCH_ROWS = 131_072
"""Maximum number of rows that a scan holds in memory at once."""
BATCH_BYTES = 64 * 1024 * 1024
"""Maximum bytes of encoded values that a scan holds in memory at once, unless a single page or row is larger."""
_AHEAD_FILES, _AHEAD_BYTES = 8, 64 * 1024 * 1024
_GAP = 256 * 1024
"""Maximum unneeded bytes between two ranges that one request fetches instead of a second request."""
_REQUEST = 8 * 1024 * 1024
_REQUESTS = 16


def scan(
    query: Query, schema: dict[str, str], extents: list[Extent], fetched: Counter[str] | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The rows of the extents, in order (:class:`.Source`)."""
    needs = query.needs()
    count = Counter[str]() if fetched is None else fetched
    objects_of = groupby(cast(list[ObjectExtent], extents), key=lambda extent: (extent["key"], extent["etag"]))
    files = [list(group) for _, group in objects_of]
    with contextlib.ExitStack() as copies, _pool(_REQUESTS) as requests, _pool(_AHEAD_FILES) as ahead:
        planned = {name: column_types.parsed(text) for name, text in schema.items() if name in needs}
        fetch = partial(_fetch, query=query, planned=planned, pool=requests, copies=copies)
        for (extent, *_), local in _ahead(ahead, files, fetch):
            values = partitions_of(query, extent)
            added = [
                partition_column(name, values.get(name), planned.get(name, pl.String()))
                for name in needs
                if name not in local.values
            ]
            count["bytes"] += local.fetched
            try:
                for rows in local.batches():
                    yield rows.with_columns(added).select(needs)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
                raise unreadable(version_of(extent), error) from error
            local.copy.close()


def unreadable(version: Version, error: BaseException) -> SourceUnreadable:
    """The exception for a file that cannot be read. Its message never shows a value of the file."""
    return footers.unreadable(version, first_line(error) or type(error).__name__)


@dataclass(frozen=True)
class Run:
    """Rows ``low`` to ``high`` of a row group."""

    group: RowGroup
    low: int
    high: int

    @property
    def is_whole(self) -> bool:
        """Whether the run holds all rows of the row group."""
        return self.high - self.low == self.group.rows


class _Local:
    """The fetched data of a file for some runs of its rows. ``values`` are the query's expressions of its columns."""

    def __init__(self, footer: Footer, values: dict[str, pl.Expr], runs: list[Run], copy: _Copy, fetched: int) -> None:
        self._footer, self._runs, self._read = footer, runs, copy.read
        self.values, self.copy, self.fetched = values, copy, fetched

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows of the runs, in order. Without columns, empty rows of the same number."""
        columns = list(self.values)
        if not columns:
            for run in self._runs:
                for low in range(run.low, run.high, BATCH_ROWS):
                    yield pl.DataFrame({"": [None] * min(BATCH_ROWS, run.high - low)})
            return
        pending: list[Run] = []
        for run in self._runs:
            step = _batch_rows(run.group, columns)
            is_large = _is_read_by_page(run, columns)
            if is_large or sum(each.group.rows for each in pending) + run.group.rows > step:
                yield from self._flush(pending, columns)
                pending = []
            if is_large:
                yield from self._large(run, columns, step)
            else:
                pending.append(run)
        yield from self._flush(pending, columns)

    def _flush(self, runs: list[Run], columns: list[str]) -> Iterator[pl.DataFrame]:
        """The rows of whole row groups."""
        if runs:
            excerpt = Excerpt(self._footer, columns)
            for run in runs:
                excerpt.add(run.group, run.group.rows, self._whole(run.group, columns))
            yield _decode(excerpt, self.values, 0, sum(run.group.rows for run in runs))

    def _large(self, run: Run, columns: list[str], step: int) -> Iterator[pl.DataFrame]:
        """A row group in batches. Pages of its columns begin at different rows, so each column gets its own file."""
        pages = {name: self._pages(run, name) for name in columns}
        for low in range(run.low, run.high, step):
            high = min(low + step, run.high)
            yield pl.concat([self._column(run, name, pages[name], low, high) for name in columns], how="horizontal")

    def _column(self, run: Run, name: str, pages: list[Page] | None, low: int, high: int) -> pl.DataFrame:
        excerpt, first = Excerpt(self._footer, [name]), 0
        if pages is None:
            excerpt.add(run.group, run.group.rows, self._whole(run.group, [name]))
        else:
            first, chosen = overlapping(pages, low, high)
            position = next(at for at, chunk in enumerate(run.group.chunks) if chunk.column == name)
            data = [page for page in chosen if page.rows]
            dictionary = [self._intact(page.start, page.end, name) for page in chosen if not page.rows]
            excerpt_pages = Pages(
                [*dictionary, *(self._intact(page.start, page.end, name) for page in data)],
                sum(parquet_footer.values(self._read, page) for page in data),
                sum(map(len, dictionary)),
            )
            excerpt.add(run.group, sum(page.rows for page in data), {position: excerpt_pages})
        return _decode(excerpt, {name: self.values[name]}, low - first, high - low)

    def _pages(self, run: Run, name: str) -> list[Page] | None:
        """The pages of a column. None for structs and for lists whose pages do not tell their rows.

        For those, each batch reads the whole chunk.
        """
        chunks = [chunk for chunk in run.group.chunks if chunk.column == name]
        if len(chunks) > 1:
            return None
        pages = parquet_footer.indexed_pages(self._read, chunks[0], run.group.rows)
        pages = pages or parquet_footer.pages(self._read, chunks[0], self._footer.columns[name].is_flat)
        if pages is not None and sum(page.rows for page in pages) != run.group.rows:
            raise ValueError(f"the pages of column {name} do not hold as many rows as their row group")
        return pages

    def _whole(self, group: RowGroup, columns: list[str]) -> dict[int, Pages]:
        return {
            position: Pages(
                [self._intact(chunk.start, chunk.end, chunk.column)], chunk.metadata[5], chunk.metadata[9] - chunk.start
            )
            for position, chunk in enumerate(group.chunks)
            if chunk.column in columns
        }

    def _intact(self, start: int, end: int, column: str) -> bytes:
        """Fetched pages whose checksums, if present, are correct."""
        pages = self._read(start, end)
        parquet_footer.require_intact(pages, column)
        return pages


def overlapping(pages: list[Page], low: int, high: int) -> tuple[int, list[Page]]:
    """The pages that hold rows ``low`` to ``high``, including dictionaries, after the number of their first row."""
    ends = accumulate(page.rows for page in pages)
    chosen = [
        (page, end)
        for page, end in zip(pages, ends, strict=True)
        if not page.rows or (end > low and end - page.rows < high)
    ]
    first = min(end - page.rows for page, end in chosen if page.rows)
    return first, [page for page, _ in chosen]


def _decode(excerpt: Excerpt, values: dict[str, pl.Expr], offset: int, rows: int) -> pl.DataFrame:
    lazy = pl.scan_parquet(excerpt.file(), hive_partitioning=False, glob=False).slice(offset, rows)
    try:
        frame = lazy.select(values.values()).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        name = _failing(lazy, values)
        if "`time` failed" in str(error):
            raise ValueOutOfRange(
                f"column {name} holds a time of day outside 00:00:00 to 23:59:59.999999999; "
                "write the column as integers or text"
            ) from error
        if "`datetime[ns]` failed" in str(error):
            raise ValueOutOfRange(
                f"column {name} holds a timestamp that does not fit in nanoseconds, the unit of other files of the "
                "dataset; write all files in the same unit"
            ) from error
        raise ValueError(f"column {name}: {first_line(error)}") from error
    if frame.height != rows:
        raise ValueError(f"it holds {frame.height} rows, but its footer says {rows}")
    return frame


def _failing(lazy: pl.LazyFrame, values: dict[str, pl.Expr]) -> str:
    """Name of the first column that cannot be read."""
    for name, value in values.items():
        try:
            lazy.select(value).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return name
    return ", ".join(values)


def _values(
    footer: Footer, columns: list[str], declared: dict[str, str], planned: dict[str, pl.DataType]
) -> dict[str, pl.Expr]:
    """The query's expression of each column, with the planned type."""
    values = {}
    for name, column in parquet_types.columns(footer, columns, declared).items():
        dtype = column_types.wide(planned.get(name, column.dtype))
        value = column.value if column.dtype == dtype else column.value.cast(dtype)
        values[name] = value.alias(name)
    return values


def _is_read_by_page(run: Run, columns: list[str]) -> bool:
    return not run.is_whole or run.group.rows > _batch_rows(run.group, columns)


def _batch_rows(group: RowGroup, columns: list[str]) -> int:
    size = sum(chunk.uncompressed_bytes for chunk in group.chunks if chunk.column in columns)
    return min(BATCH_ROWS, max(1, group.rows * BATCH_BYTES // max(size, 1)))


@contextlib.contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the scan. If the scan is abandoned, they start no further work."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, files: list[list[ObjectExtent]], fetch: Callable[[list[ObjectExtent]], _Local]
) -> Iterator[tuple[list[ObjectExtent], _Local]]:
    """Each file's extents with its fetched data. The next files are fetched at the same time."""
    waiting: deque[tuple[list[ObjectExtent], Future[_Local]]] = deque()
    for file in files:
        waiting.append((file, pool.submit(fetch, file)))
        while len(waiting) > _AHEAD_FILES or (len(waiting) > 1 and _bytes(waiting) > _AHEAD_BYTES):
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


def _bytes(waiting: Iterable[tuple[list[ObjectExtent], object]]) -> int:
    return sum(extent["bytes"] for file, _ in waiting for extent in file)


def version_of(extent: ObjectExtent) -> Version:
    """The version of the object that holds an extent."""
    return Version(extent["key"], extent["etag"], work.bucket() if "bucket" in extent else "")


def checkpoint_rows(content: bytes, columns: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Reads a checkpoint of a Delta table's log (:data:`.delta.Rows`)."""
    file = io.BytesIO(content)
    try:
        known = [name for name in columns if name in pl.read_parquet_schema(file)]
        file.seek(0)
        return pl.read_parquet(file, columns=known).iter_rows(named=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(first_line(error)) from error


def partition_column(name: str, text: str | None, dtype: pl.DataType) -> pl.Expr:
    """A partition column as an expression."""
    value = partitions.value(text, column_types.word(dtype))
    return pl.lit(pl.Series([value], dtype=dtype)).first().alias(name)


def partitions_of(query: Query, extent: ObjectExtent) -> partitions.Values:
    """The partition columns of an extent's file: from the plan (a table's log) or otherwise from its folders."""
    if "partitions" in extent:
        return extent["partitions"]
    return partitions.of(extent["key"].removeprefix(objects.folder(query.dataset)))


def _fetch(
    file: list[ObjectExtent],
    query: Query,
    planned: dict[str, pl.DataType],
    pool: ThreadPoolExecutor,
    copies: contextlib.ExitStack,
) -> _Local:
    """Fetches the column chunks that a file's extents need, or only their pages for a cut row group with an index.

    Args:
        planned: types of the columns, as far as they are known.
        copies: closes the fetched copy at the end, in every case.
    """
    version = version_of(file[0])
    values = partitions_of(query, file[0])
    columns = [name for name in query.needs() if name not in values]
    answer, footer_bytes, fetched = read_footer(version)
    copy = _Copy(version, answer, pool)
    copies.callback(copy.close)
    try:
        footer = parquet_footer.read(footer_bytes)
        runs = [run for extent in file for run in runs_of(footer, extent)]
        indexed, ranges = [], []
        for run in runs:
            leaves = Counter(chunk.column for chunk in run.group.chunks)
            columns = [name for name in columns if name in leaves or name not in query.optional]
            if missing := set(columns) - set(leaves):
                raise ValueError(f"a row group has no column {', '.join(sorted(missing))}")
            for chunk in run.group.chunks:
                if chunk.column in columns:
                    require_within(chunk, answer.size - len(footer_bytes))
                    has_index = chunk.offset_index is not None and leaves[chunk.column] == 1
                    if has_index and _is_read_by_page(run, columns):
                        indexed.append((run, chunk))
                    if run.is_whole or not has_index:
                        ranges.append((chunk.start, chunk.end))
        fetched += copy.fetch([chunk.offset_index for _, chunk in indexed if chunk.offset_index])
        for run, chunk in (each for each in indexed if not each[0].is_whole):
            pages = parquet_footer.indexed_pages(copy.read, chunk, run.group.rows) or []
            ranges += [(page.start, page.end) for page in overlapping(pages, run.low, run.high)[1]]
        fetched += copy.fetch(ranges)
        column_values = _values(footer, columns, query.declared, planned)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise unreadable(version, error) from error
    return _Local(footer, column_values, runs, copy, fetched)


def require_within(chunk: Chunk, end: int) -> None:
    """Checks that a column chunk and its index lie in their file before the footer.

    Args:
        end: bytes of the file without the footer.

    Raises:
        ValueError: the chunk or its index lies outside.
    """
    for low, high in ((chunk.start, chunk.end), chunk.offset_index or (1, 1)):
        if not 0 < low <= high <= end - parquet_footer.TAIL:
            raise ValueError(
                f"column {chunk.column} lies at bytes {low} to {high}, outside the file's data; the file is truncated"
            )


def runs_of(footer: Footer, extent: ObjectExtent) -> Iterator[Run]:
    """The rows of an extent, by row group."""
    at = 0
    for group in footer.row_groups:
        low, high = extent["offset"] - at, extent["offset"] + extent["rows"] - at
        if low < group.rows and high > 0:
            yield Run(group, max(low, 0), min(high, group.rows))
        at += group.rows


class _Copy:
    """A sparse file with the fetched bytes of a source object, each at its original position.

    If the first response holds the whole object, the object stays in memory.
    """

    def __init__(self, version: Version, answer: objects.Answer, pool: ThreadPoolExecutor) -> None:
        self._version, self._answer, self._pool = version, answer, pool
        self._file = tempfile.TemporaryFile() if answer.start else None  # noqa: SIM115 - see close

    def close(self) -> None:
        """Frees the disk space."""
        if self._file:
            self._file.close()

    def read(self, start: int, end: int) -> bytes:
        """Fetched bytes ``start`` to ``end``."""
        begin = self._answer.start
        if start >= begin or self._file is None:
            return self._answer.data[start - begin : end - begin]
        return os.pread(self._file.fileno(), end - start, start)

    def fetch(self, ranges: list[tuple[int, int]]) -> int:
        """Fetches ranges, close ones in one request, and returns the number of bytes."""
        requests = [
            (low, min(low + _REQUEST, end))
            for start, end in merged([each for each in ranges if each[0] < self._answer.start])
            for low in range(start, end, _REQUEST)
        ]
        return sum(self._pool.map(lambda request: self._store(*request), requests))

    def _store(self, start: int, end: int) -> int:
        assert self._file is not None
        at = start
        try:
            for block in objects.blocks(self._version, start, end):
                os.pwrite(self._file.fileno(), block, at)
                at += len(block)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise RowGroupTooLarge(
                f"{self._version.address}: its row groups do not fit on the worker's disk; write smaller row groups, "
                "or raise GeneratePart's EphemeralStorage"
            ) from error
        return at - start


def merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order. Ranges that overlap or have only a small gap between them are joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
