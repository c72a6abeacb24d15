"""The rows of Parquet files: fetched by column chunk, or by page, onto the local disk; decoded a batch at a time.

polars reads all of a column chunk for any of its rows. So it is given a small file made of the pages that the batch
needs (:class:`shared.parquet.footer.Excerpt`): memory follows the batch, whatever the size of a row group.

Where a part cuts a row group, its pages are found by the file's OffsetIndex. Without one every part of the row group
fetches its column chunks whole, which costs time but no memory: benchmarks/scan.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import cast

import polars as pl

from shared.engine import column_types
from shared.engine.query import Query, first_line
from shared.engine.sources import objects, parquet_types, partitions
from shared.errors import RowGroupTooLarge, SourceUnreadable, ValueOutOfRange
from shared.files.work import Extent, ObjectExtent
from shared.parquet import footer as parquet_footer
from shared.parquet.footer import Chunk, Excerpt, Footer, Page, Pages, RowGroup

BATCH_ROWS = 131_072
"""Rows that a scan holds in memory at once, at most."""
BATCH_BYTES = 64 * 1024 * 1024
"""Bytes of encoded values that a scan holds in memory at once, unless a single page or row is larger."""
_AHEAD_FILES, _AHEAD_BYTES = 8, 64 * 1024 * 1024
_GAP = 256 * 1024
"""Bytes that are fetched though nobody needs them, rather than asking once more."""
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
                partitions.column(name, values.get(name), planned.get(name, pl.String()))
                for name in needs
                if name not in local.values
            ]
            count["bytes"] += local.fetched
            try:
                for rows in local.batches():
                    yield rows.with_columns(added).select(needs)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
                raise unreadable(extent["key"], error) from error
            local.copy.close()


def unreadable(key: str, error: BaseException) -> SourceUnreadable:
    """What is said of a file that is not what it should be; never a value of it."""
    message = first_line(error) or type(error).__name__
    return SourceUnreadable(f"{objects.address(key)} is not readable Parquet: {message}")


def read_footer(key: str, etag: str) -> tuple[objects.Answer, bytes, int]:
    """The last bytes of a file, its footer, and how many bytes were fetched for them.

    Raises:
        SourceUnreadable, and what :func:`shared.engine.sources.objects.blocks` raises.
    """
    answer = objects.tail(key, etag, FOOTER_GUESS)
    fetched, needed = len(answer.data), _needed(key, answer)
    if needed > len(answer.data):
        answer = objects.tail(key, etag, needed)
        fetched += len(answer.data)
    return answer, answer.data[-needed : -parquet_footer.TAIL], fetched


async def quick_footer(key: str, etag: str, guess: int) -> bytes:
    """As :func:`read_footer`, for many files at once: only the footer, which mostly has no more bytes than guessed."""
    answer = await objects.quick_tail(key, etag, guess)
    needed = _needed(key, answer)
    if needed > len(answer.data):
        answer = await objects.quick_tail(key, etag, needed)
    return answer.data[-needed : -parquet_footer.TAIL]


def _needed(key: str, answer: objects.Answer) -> int:
    """Bytes from the start of a file's footer to its end."""
    try:
        needed = parquet_footer.footer_length(answer.data) + parquet_footer.TAIL
        if needed > answer.size:
            raise ValueError("the file is shorter than its footer")
    except ValueError as error:
        raise unreadable(key, error) from error
    return needed


FOOTER_GUESS = 64 * 1024
"""Bytes from the end of a file in which its footer mostly is; many a small file is in them whole."""


@dataclass(frozen=True)
class Run:
    """Rows ``low`` to ``high`` of a row group."""

    group: RowGroup
    low: int
    high: int

    @property
    def is_whole(self) -> bool:
        """Whether they are all of its rows."""
        return self.high - self.low == self.group.rows


class _Local:
    """What was fetched of a file for some runs of its rows; ``values`` are its columns as the query has them."""

    def __init__(self, footer: Footer, values: dict[str, pl.Expr], runs: list[Run], copy: _Copy, fetched: int) -> None:
        self._footer, self._runs, self._read = footer, runs, copy.read
        self.values, self.copy, self.fetched = values, copy, fetched

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows of the runs, in order; a row for each even where no column is asked for."""
        columns = list(self.values)
        if not columns:
            for run in self._runs:
                for low in range(run.low, run.high, BATCH_ROWS):
                    yield pl.DataFrame({"": [None] * min(BATCH_ROWS, run.high - low)})
            return
        together: list[Run] = []
        for run in self._runs:
            step = _batch_rows(run.group, columns)
            is_large = _is_read_by_page(run, columns)
            if is_large or sum(each.group.rows for each in together) + run.group.rows > step:
                yield from self._flush(together, columns)
                together = []
            if is_large:
                yield from self._large(run, columns, step)
            else:
                together.append(run)
        yield from self._flush(together, columns)

    def _flush(self, runs: list[Run], columns: list[str]) -> Iterator[pl.DataFrame]:
        """The rows of whole row groups."""
        if runs:
            excerpt = Excerpt(self._footer, columns)
            for run in runs:
                excerpt.add(run.group, run.group.rows, self._whole(run.group, columns))
            yield _decode(excerpt, self.values, 0, sum(run.group.rows for run in runs))

    def _large(self, run: Run, columns: list[str], step: int) -> Iterator[pl.DataFrame]:
        """A row group in batches. Pages of its columns begin at different rows, so each column is a file of its own."""
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
            given = Pages(
                [*dictionary, *(self._intact(page.start, page.end, name) for page in data)],
                sum(parquet_footer.values(self._read, page) for page in data),
                sum(map(len, dictionary)),
            )
            excerpt.add(run.group, sum(page.rows for page in data), {position: given})
        return _decode(excerpt, {name: self.values[name]}, low - first, high - low)

    def _pages(self, run: Run, name: str) -> list[Page] | None:
        """The pages of a column; None where it cannot be read by page: structs, and lists that do not say their rows.

        Of those each batch reads the whole chunk.
        """
        chunks = [chunk for chunk in run.group.chunks if chunk.column == name]
        if len(chunks) > 1:
            return None
        pages = parquet_footer.indexed_pages(self._read, chunks[0], run.group.rows)
        pages = pages or parquet_footer.pages(self._read, chunks[0], self._footer.columns[name].is_flat)
        if pages is not None and sum(page.rows for page in pages) != run.group.rows:
            raise ValueError(f"the pages of column {name} do not hold the rows of their row group")
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
        """Pages that were fetched, none of them damaged as far as its checksum tells."""
        pages = self._read(start, end)
        parquet_footer.require_intact(pages, column)
        return pages


def overlapping(pages: list[Page], low: int, high: int) -> tuple[int, list[Page]]:
    """The pages that hold rows ``low`` to ``high``, dictionaries with them, and the number of their first row."""
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
        found = lazy.select(values.values()).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        name = _failing(lazy, values)
        if "`time` failed" in str(error):
            raise ValueOutOfRange(
                f"column {name} holds a time of day that is negative or not before 24:00:00; write an integer or text"
            ) from error
        if "`datetime[ns]` failed" in str(error):
            raise ValueOutOfRange(
                f"column {name} holds a timestamp that nanoseconds, in which other files of the dataset count, cannot "
                "hold; write the files in the same unit"
            ) from error
        raise ValueError(f"column {name}: {first_line(error)}") from error
    if found.height != rows:
        raise ValueError(f"it holds {found.height} rows where its footer says {rows}")
    return found


def _failing(lazy: pl.LazyFrame, values: dict[str, pl.Expr]) -> str:
    """Name of the first column that can not be read."""
    for name, value in values.items():
        try:
            lazy.select(value).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return name
    return ", ".join(values)


def _values(
    footer: Footer, columns: list[str], declared: dict[str, str], planned: dict[str, pl.DataType]
) -> dict[str, pl.Expr]:
    """Each column as the query has it, of the type that was planned."""
    found = {}
    for name, column in parquet_types.columns(footer, columns, declared).items():
        wanted = column_types.wide(planned.get(name, column.dtype))
        value = column.value if column.dtype == wanted else column.value.cast(wanted)
        found[name] = value.alias(name)
    return found


def _is_read_by_page(run: Run, columns: list[str]) -> bool:
    return not run.is_whole or run.group.rows > _batch_rows(run.group, columns)


def _batch_rows(group: RowGroup, columns: list[str]) -> int:
    size = sum(chunk.uncompressed_bytes for chunk in group.chunks if chunk.column in columns)
    return min(BATCH_ROWS, max(1, group.rows * BATCH_BYTES // max(size, 1)))


@contextlib.contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the scan, and begin nothing more once it was given up."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, files: list[list[ObjectExtent]], fetch: Callable[[list[ObjectExtent]], _Local]
) -> Iterator[tuple[list[ObjectExtent], _Local]]:
    """Each file's extents with what was fetched of it; those that follow are fetched meanwhile."""
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


def partitions_of(query: Query, extent: ObjectExtent) -> partitions.Values:
    """The partition columns of an extent's file: as the plan has them from a table's log, else of its folders."""
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
    """What a file's extents need of its column chunks: all, or their pages where a row group is cut that has an index.

    Args:
        planned: types of the columns, as far as they are known.
        copies: closes what was fetched, whatever happens.
    """
    key = file[0]["key"]
    values = partitions_of(query, file[0])
    columns = [name for name in query.needs() if name not in values]
    answer, footer_bytes, fetched = read_footer(key, file[0]["etag"])
    copy = _Copy(file[0], answer, pool)
    copies.callback(copy.close)
    try:
        footer = parquet_footer.read(footer_bytes)
        runs = [run for extent in file for run in runs_of(footer, extent)]
        indexed, wanted = [], []
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
                        wanted.append((chunk.start, chunk.end))
        fetched += copy.fetch([chunk.offset_index for _, chunk in indexed if chunk.offset_index])
        for run, chunk in (each for each in indexed if not each[0].is_whole):
            pages = parquet_footer.indexed_pages(copy.read, chunk, run.group.rows) or []
            wanted += [(page.start, page.end) for page in overlapping(pages, run.low, run.high)[1]]
        fetched += copy.fetch(wanted)
        computed = _values(footer, columns, query.declared, planned)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise unreadable(key, error) from error
    return _Local(footer, computed, runs, copy, fetched)


def require_within(chunk: Chunk, end: int) -> None:
    """Whether a column chunk and its index lie within their file, before the footer and what follows it.

    Args:
        end: bytes of the file without the footer.

    Raises:
        ValueError: it does not.
    """
    for low, high in ((chunk.start, chunk.end), chunk.offset_index or (1, 1)):
        if not 0 < low <= high <= end - parquet_footer.TAIL:
            raise ValueError(f"column {chunk.column} lies from byte {low} to {high}, outside of the data: it was cut")


def runs_of(footer: Footer, extent: ObjectExtent) -> Iterator[Run]:
    """The rows of an extent, by row group."""
    at = 0
    for group in footer.row_groups:
        low, high = extent["offset"] - at, extent["offset"] + extent["rows"] - at
        if low < group.rows and high > 0:
            yield Run(group, max(low, 0), min(high, group.rows))
        at += group.rows


class _Copy:
    """A file with holes: what was fetched of a source object, each byte at its own place.

    An object that its first answer holds whole stays in memory.
    """

    def __init__(self, extent: ObjectExtent, answer: objects.Answer, pool: ThreadPoolExecutor) -> None:
        self._key, self._etag, self._answer, self._pool = extent["key"], extent["etag"], answer, pool
        self._file = tempfile.TemporaryFile() if answer.start else None  # noqa: SIM115 - see close

    def close(self) -> None:
        """Frees the disk."""
        if self._file:
            self._file.close()

    def read(self, start: int, end: int) -> bytes:
        """Bytes that were fetched."""
        begin = self._answer.start
        if start >= begin or self._file is None:
            return self._answer.data[start - begin : end - begin]
        return os.pread(self._file.fileno(), end - start, start)

    def fetch(self, ranges: list[tuple[int, int]]) -> int:
        """Fetches ranges, those that lie close together at once; how many bytes came."""
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
            for block in objects.blocks(self._key, self._etag, start, end):
                os.pwrite(self._file.fileno(), block, at)
                at += len(block)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise RowGroupTooLarge(f"{objects.address(self._key)}: its row groups do not fit on the disk") from error
        return at - start


def merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, those joined that overlap or have but a small gap between them."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
