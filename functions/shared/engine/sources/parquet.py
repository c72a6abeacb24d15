"""Source ``parquet``: Hive-partitioned Parquet files under ``<DataPrefix>/<dataset>/`` of the data bucket.

A file of a dataset has a name that ends in ``.parquet``, or that has no ending, as Athena writes them; names that start
with ``_`` or ``.`` are not part of it. Partition columns (``year=2013/month=1/``) are integers where every value is
one of 64 bits, text otherwise; the tenant is always text.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import polars as pl

from shared.engine.query import Query
from shared.engine.sources import objects, partitions
from shared.engine.sources.objects import Found
from shared.engine.sources.parquet_rows import FOOTER_GUESS, NARROW, quick_footer, require_within, scan, unreadable
from shared.errors import ColumnMismatch, RowGroupTooLarge, SourceMissing, SourceSchemaMismatch
from shared.files.work import Extent, ObjectExtent
from shared.parquet import footer as parquet_footer
from shared.parquet.footer import Footer, RowGroup

__all__ = ["plan", "scan"]

MAX_GROUP_BYTES = 2 * 1024**3
"""Compressed bytes of a row group's needed columns. A worker's disk holds four: a part may cut the first and the last
of a file, and those of the next file are fetched meanwhile."""
_LEAST_GUESS = 4096
_AT_ONCE = 64
"""Footers that are waited for at the same time: S3 takes some tens of milliseconds for each."""
# CompressionCodec of parquet.thrift, but LZO.
_CODECS = {0: "none", 1: "SNAPPY", 2: "GZIP", 4: "BROTLI", 5: "LZ4", 6: "ZSTD", 7: "LZ4_RAW"}
Bounds = tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class _File:
    found: Found
    partitions: partitions.Values

    @property
    def key(self) -> str:
        return self.found.key

    @property
    def address(self) -> str:
        return objects.address(self.key)


@dataclass(frozen=True, slots=True)
class _Group:
    """A file (no rows) or row group: the bounds of its values as far as they are known, and what reading it takes."""

    file: _File
    rows: int = 0
    bytes: int = 0
    bounds: dict[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True)
class _Planned:
    """What is kept of a footer."""

    schema: pl.Schema
    groups: list[_Group]


def plan(query: Query) -> tuple[pl.Schema, list[Extent]]:
    """The schema and the rows to read (:class:`.Source`): lists files, then reads footers of those that may match."""
    files = _list(query.dataset)
    types = partitions.types([file.partitions for file in files], query.tenant_column)
    _require_integers(query, files, types)
    files.sort(key=lambda file: (partitions.order(file.partitions, types), file.key))
    candidates = [file for file, keep in zip(files, _prune_files(query, files, types), strict=True) if keep]
    if not candidates:
        return pl.Schema(), []
    planned = asyncio.run(_Footers(query).read(candidates))
    schema = pl.Schema(planned[0].schema | types)
    query.check(pl.Schema({name: _wide(dtype) for name, dtype in schema.items()}))
    _require_equal_schemas(query, candidates, planned)
    groups = [group for each in planned for group in each.groups]
    return schema, list(_extents(groups, _prune(query, schema, groups)))


def _list(dataset: str) -> list[_File]:
    files: list[_File] = []
    others: list[str] = []
    for found in objects.found(dataset):
        if _is_data(found.key):
            files.append(_File(found, partitions.of(found.key)))
        elif not others:
            others.append(objects.address(found.key))
    if not files:
        instead = f", but {others[0]}: a file's name ends in .parquet, or has no ending" if others else ""
        raise SourceMissing(f"no Parquet file under {objects.address(objects.folder(dataset))}{instead}")
    for file in files:
        if file.partitions.keys() != files[0].partitions.keys():
            names, expected = (", ".join(sorted(each.partitions)) or "nothing" for each in (file, files[0]))
            raise SourceSchemaMismatch(f"{file.address} is partitioned by {names}, {files[0].address} by {expected}")
    return files


def _is_data(key: str) -> bool:
    name = key.rsplit("/", 1)[-1]
    if (
        not name or name.startswith(("_", ".")) or name.endswith("_$folder$")
    ):  # folders, as consoles and Hadoop mark them
        return False
    return name.endswith(".parquet") or "." not in name


def _wide(dtype: pl.DataType) -> pl.DataType:
    """Small integers are read as 64 bits: an expression such as ``year * 10000`` would overflow without a word."""
    return pl.Int64() if dtype in NARROW else dtype


class _Footers:
    """Reads the footers of a dataset's files and keeps of each what planning needs; files mostly share a schema."""

    def __init__(self, query: Query) -> None:
        self._needs = frozenset(query.needs())
        self._filtered = _filtered(query)
        self._schemas: dict[tuple[bytes, ...], pl.Schema] = {}

    async def read(self, files: list[_File]) -> list[_Planned]:
        """What is kept of each file."""
        limit = asyncio.Semaphore(_AT_ONCE)
        first = await quick_footer(files[0].key, files[0].found.etag, FOOTER_GUESS)
        guess = min(max(2 * len(first), _LEAST_GUESS), FOOTER_GUESS)  # the files of a dataset are much alike

        async def read(file: _File) -> _Planned:
            async with limit:
                content = await quick_footer(file.key, file.found.etag, guess)
            return self._of(file, content)

        return [self._of(files[0], first), *await asyncio.gather(*map(read, files[1:]))]

    def _of(self, file: _File, content: bytes) -> _Planned:
        try:
            footer = parquet_footer.read(content)
            schema = self._schema(footer, content)
            groups = [
                self._group(file, group, file.found.size - len(content)) for group in footer.row_groups if group.rows
            ]
        except (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise unreadable(file.key, error) from error
        return _Planned(schema, groups)

    def _schema(self, footer: Footer, content: bytes) -> pl.Schema:
        """As polars reads it, of a file of nothing but the footer."""
        known = footer.schema
        if known not in self._schemas:
            length = len(content).to_bytes(4, "little")
            file = io.BytesIO(parquet_footer.MAGIC + content + length + parquet_footer.MAGIC)
            self._schemas[known] = pl.Schema(pl.read_parquet_schema(file))
        return self._schemas[known]

    def _group(self, file: _File, group: RowGroup, end: int) -> _Group:
        size, bounds = 0, {}
        for chunk in group.chunks:
            if chunk.column in self._needs:
                require_within(chunk, end)
                if chunk.metadata[4] not in _CODECS:
                    codec, allowed = chunk.metadata[4], ", ".join(_CODECS.values())
                    raise ValueError(f"column {chunk.column} is compressed by codec {codec}; allowed are: {allowed}")
                size += chunk.bytes
                if chunk.column in self._filtered and len(chunk.path) == 1:
                    bounds[chunk.column] = chunk.bounds
        if size > MAX_GROUP_BYTES:
            raise RowGroupTooLarge(
                f"{file.address} has a row group of {group.rows} rows whose columns for this report are {size} bytes; "
                f"{MAX_GROUP_BYTES} are allowed"
            )
        return _Group(file, group.rows, size, bounds)


def _filtered(query: Query) -> list[str]:
    return sorted({name for rule in query.filters for name in rule.expression.meta.root_names()})


def _require_equal_schemas(query: Query, files: list[_File], planned: list[_Planned]) -> None:
    """Every file against the first, whose schema the query was checked with."""
    expected, needs = planned[0].schema, [name for name in query.needs() if name not in files[0].partitions]
    for file, each in zip(files, planned, strict=True):
        if each.schema is expected:
            continue
        for name in needs:
            if (found := each.schema.get(name)) != expected[name]:
                raise SourceSchemaMismatch(
                    f"column {name} is {found or 'missing'} in {file.address}, {expected[name]} in {files[0].address}"
                )


def _require_integers(query: Query, files: list[_File], types: dict[str, pl.DataType]) -> None:
    """Names the folder that makes a partition column text, where the definition declares integers."""
    declared = [*query.bounds, *(name for name, kind in query.declared.items() if kind == "integer")]
    for name in declared:
        if types.get(name) == pl.String:
            for file in files:
                value = file.partitions[name]
                if value is not None and not partitions.is_integer(value):
                    raise ColumnMismatch(
                        f"column {name} is declared integer; {file.address} has {name}={value}; "
                        f"allowed: {-(2**63)} to {2**63 - 1}"
                    )


def _prune_files(query: Query, files: list[_File], types: dict[str, pl.DataType]) -> list[bool]:
    """By what is known without reading a file: partitions and declared bounds."""
    known = types | {name: pl.Int64() for name in query.bounds}
    decidable = [rule for rule in query.filters if set(rule.expression.meta.root_names()) <= set(known)]
    return _prune(replace(query, filters=decidable), pl.Schema(known), [_Group(file) for file in files])


def _prune(query: Query, schema: pl.Schema, groups: list[_Group]) -> list[bool]:
    """Which groups may hold rows that pass every filter."""
    low, high = (
        pl.DataFrame({name: _bound_column(query, name, schema[name], groups, side) for name in _filtered(query)})
        for side in (0, 1)
    )
    keep = pl.repeat(True, len(groups), eager=True)
    for rule in query.filters:
        keep &= rule.may_match(low, high)
    return keep.to_list()


def _bound_column(query: Query, name: str, dtype: pl.DataType, groups: list[_Group], side: int) -> pl.Series:
    """Lower (side 0) or upper (side 1) bounds of one column: its partition, else its statistics, else as declared."""
    decode = _decoder(dtype)
    declared = query.bounds[name][side] if name in query.bounds else None
    values: list[int | str | None] = []
    for group in groups:
        if name in group.file.partitions:
            text = group.file.partitions[name]
            values.append(int(text) if text is not None and dtype.is_integer() else text)
        else:
            stored = group.bounds.get(name, (None, None))[side]
            values.append(decode(stored) if decode and stored is not None else declared)
    if dtype == pl.String:
        return pl.Series(name, values, dtype=pl.String)
    if decode is None:
        return pl.Series(name, [None] * len(values))
    return pl.Series(name, values, dtype=pl.Int64).cast(_wide(dtype))


def _decoder(dtype: pl.DataType) -> Callable[[bytes], int | str | None] | None:
    """How a bound of this type is stored; None for types whose bounds are not used.

    Floats are left out: their statistics leave NaN out, which polars orders above every number.
    """
    if dtype == pl.String:
        return _text
    if dtype.is_unsigned_integer() and dtype not in (pl.UInt64, pl.UInt128):
        return lambda stored: int.from_bytes(stored, "little", signed=False)
    if (dtype.is_signed_integer() and dtype != pl.Int128) or dtype in (pl.Date, pl.Datetime):
        # INT96 timestamps (12 bytes) have no usable order.
        return lambda stored: int.from_bytes(stored, "little", signed=True) if len(stored) in (4, 8) else None
    return None


def _text(stored: bytes) -> str | None:
    try:
        return stored.decode()
    except UnicodeDecodeError:  # a bound may be cut within a character
        return None


def _extents(groups: list[_Group], keep: list[bool]) -> Iterator[Extent]:
    file, offset = None, 0
    for group, kept in zip(groups, keep, strict=True):
        offset = offset if group.file is file else 0
        file = group.file
        if kept:
            yield ObjectExtent(key=file.key, etag=file.found.etag, offset=offset, rows=group.rows, bytes=group.bytes)
        offset += group.rows
