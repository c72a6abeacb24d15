"""Source ``parquet``: Hive-partitioned Parquet files under ``<DataPrefix>/<dataset>/`` of the data bucket.

:mod:`.dataset` selects the files among the objects. Partition columns (``year=2013/month=1/``) have the type that the
definition declares, or else the type in a table's log, or else they are integers or text (:func:`.partitions.types`).
The tenant is always text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import polars as pl

from shared.datasets import dataset, partitions
from shared.datasets.dataset import File
from shared.datasets.footers import FOOTER_GUESS, quick_footer
from shared.engine import column_types
from shared.engine.query import Query
from shared.engine.sources import parquet_types
from shared.engine.sources.parquet_counts import passing
from shared.engine.sources.parquet_rows import checkpoint_rows, require_within, scan, unreadable
from shared.engine.sources.parquet_types import Bounds
from shared.errors import ColumnMismatch, RowGroupTooLarge, SourceSchemaMismatch
from shared.files.work import Extent, ObjectExtent
from shared.parquet import footer as parquet_footer
from shared.parquet.footer import Footer, RowGroup

__all__ = ["passing", "plan", "scan"]

MAX_GROUP_BYTES = 2 * 1024**3
"""Compressed bytes of a row group's needed columns. A worker's disk holds four row groups: a part may cut the first and
the last row group of a file while those of the next file are fetched."""
_LEAST_GUESS = 4096
_AT_ONCE = 64
"""Footers that are fetched at the same time: S3 takes some tens of milliseconds for each."""
# CompressionCodec of parquet.thrift, without LZO.
_CODECS = {0: "none", 1: "SNAPPY", 2: "GZIP", 4: "BROTLI", 5: "LZ4", 6: "ZSTD", 7: "LZ4_RAW"}


@dataclass(frozen=True, slots=True)
class _Group:
    """A file (without rows) or a row group: its size, and the known bounds of its values."""

    file: File
    rows: int = 0
    bytes: int = 0
    bounds: dict[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True)
class _Planned:
    """The data of a footer that planning needs."""

    schema: pl.Schema
    groups: list[_Group]


def plan(query: Query) -> tuple[pl.Schema, list[Extent]]:
    """The schema and the extents (:class:`.Source`). Lists the files and reads the footers of those that may match."""
    every, logged = dataset.files(query.dataset, checkpoint_rows)
    tenant = query.filters[0].value
    files = dataset.own(every, query.tenant_column, tenant)
    types = _partition_types(query, every, files, logged)
    words = {name: column_types.word(dtype) for name, dtype in types.items()}
    files.sort(key=lambda file: (partitions.order(file.values, words), file.key))
    candidates = [file for file, keep in zip(files, _prune_files(query, files, types), strict=True) if keep]
    # If no file can hold a row, the last file gives the columns of the export.
    read = candidates or files[-1:] or every[-1:]
    planned = asyncio.run(_Footers(query).read(read))
    schema = pl.Schema(_common_schema(query, read, planned) | types)
    query.check(schema)
    if not candidates:
        return schema, []
    groups = [group for each in planned for group in each.groups]
    return schema, list(_extents(groups, _prune(query, schema, groups)))


def plan_files(query: Query, files: list[File]) -> tuple[pl.Schema, list[Extent]]:
    """The schema and the extents of these files, which all hold only rows of the query and have no partitions."""
    planned = asyncio.run(_Footers(query).read(files))
    schema = _common_schema(query, files, planned)
    query.check(schema)
    groups = [group for each in planned for group in each.groups]
    return schema, list(_extents(groups, [True] * len(groups)))


class _Footers:
    """Reads the footers of a dataset's files and keeps what planning needs. Most files share a schema."""

    def __init__(self, query: Query) -> None:
        self._needs = frozenset(query.needs())
        self._filtered = _filtered(query)
        self._declared = query.declared
        self._typed = [*self._needs, *query.declared, *query.bounds]
        self._schemas: dict[tuple[bytes, str], pl.Schema] = {}

    async def read(self, files: list[File]) -> list[_Planned]:
        """The planning data of each file."""
        limit = asyncio.Semaphore(_AT_ONCE)
        first = await quick_footer(files[0].listed.version, FOOTER_GUESS)
        guess = min(max(2 * len(first), _LEAST_GUESS), FOOTER_GUESS)  # the files of a dataset are usually similar

        async def read(file: File) -> _Planned:
            async with limit:
                content = await quick_footer(file.listed.version, guess)
            return self._of(file, content)

        return [self._of(files[0], first), *await asyncio.gather(*map(read, files[1:]))]

    def _of(self, file: File, content: bytes) -> _Planned:
        try:
            footer = parquet_footer.read(content)
            schema = self._schema(file, footer)
            end = file.listed.size - len(content)
            groups = [self._group(file, footer, schema, group, end) for group in footer.row_groups if group.rows]
        except (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise unreadable(file.listed.version, error) from error
        return _Planned(schema, groups)

    def _schema(self, file: File, footer: Footer) -> pl.Schema:
        """The file's columns, with the types of those that the query or its definition uses."""
        # The key does not contain the key-value metadata: pandas writes each file's row count into it.
        cache_key = footer.schema, str([footer.arrow_types(name) for name in self._typed])
        if cache_key not in self._schemas:
            names = [name for name in self._typed if name not in file.values]
            for name in names:
                if name in footer.columns and (fault := footer.columns[name].unsupported):
                    raise ColumnMismatch(
                        f"column {name} of {file.address} is {fault}; leave it out of the report, or write it as text "
                        "or as a type that docs/formats.md lists"
                    )
            types = parquet_types.columns(footer, names, self._declared)
            self._schemas[cache_key] = pl.Schema(
                {name: types[name].dtype if name in types else pl.Unknown() for name in footer.columns}
            )
        return self._schemas[cache_key]

    def _group(self, file: File, footer: Footer, schema: pl.Schema, group: RowGroup, end: int) -> _Group:
        size, bounds = 0, dict[str, Bounds]()
        for chunk in group.chunks:
            if chunk.column in self._needs:
                require_within(chunk, end)
                if chunk.metadata[4] not in _CODECS:
                    codec, allowed = chunk.metadata[4], ", ".join(_CODECS.values())
                    raise ValueError(f"column {chunk.column} is compressed with codec {codec}; allowed: {allowed}")
                parquet_types.require_decodable(footer, chunk)
                size += chunk.bytes
                if chunk.column in self._filtered and len(chunk.path) == 1:
                    bounds[chunk.column] = parquet_types.bounds(footer, chunk, schema[chunk.column])
        if size > MAX_GROUP_BYTES:
            raise RowGroupTooLarge(
                f"{file.address} has a row group of {group.rows} rows whose columns for this report have {size} bytes; "
                f"at most {MAX_GROUP_BYTES} bytes are allowed"
            )
        return _Group(file, group.rows, size, bounds)


def _filtered(query: Query) -> list[str]:
    return sorted({name for rule in query.filters for name in rule.expression.meta.root_names()})


def _common_schema(query: Query, files: list[File], planned: list[_Planned]) -> pl.Schema:
    """The columns of the first file with rows. Needed columns get a type that holds the values of every file with rows.

    Raises:
        SourceSchemaMismatch: a needed column has no such type, or a file lacks a column that is not optional.
    """
    pairs = zip(files, planned, strict=True)
    with_rows = [(file, each) for file, each in pairs if each.groups] or [(files[0], planned[0])]
    first = with_rows[0][0]
    common_schema = {name: column_types.wide(dtype) for name, dtype in with_rows[0][1].schema.items()}
    needs = [name for name in query.needs() if name not in first.values]
    for name in query.optional:
        common_schema.setdefault(name, pl.Null())
    examples = {id(each.schema): (file, each.schema) for file, each in reversed(with_rows)}  # most share a schema
    for file, schema in examples.values():
        for name in needs:
            known_type = common_schema.get(name)
            file_type = schema.get(name, pl.Null() if name in query.optional else None)
            common = column_types.common(known_type, column_types.wide(file_type)) if known_type and file_type else None
            if common:
                common_schema[name] = common
            elif known_type or file_type:
                raise SourceSchemaMismatch(
                    f"column {name} is {file_type or 'missing'} in {file.address}, "
                    f"{known_type or 'missing'} in {first.address}"
                )
    for name, declared in query.declared.items():
        if common_schema.get(name) == pl.Null and declared != "json":
            common_schema[name] = column_types.dtype(declared)
    return pl.Schema(common_schema)


def _partition_types(
    query: Query, every: list[File], files: list[File], logged: dict[str, str]
) -> dict[str, pl.DataType]:
    """The types of the partition columns, from the files of all tenants, so that every tenant gets the same types."""
    column_types.schema(query.declared)
    known = logged | query.declared | dict.fromkeys(query.bounds, "integer")
    words = dataset.partition_types(
        every, files, known | ({query.tenant_column: "string"} if query.tenant_column else {})
    )
    return {name: column_types.dtype(word) for name, word in words.items()}


def _prune_files(query: Query, files: list[File], types: dict[str, pl.DataType]) -> list[bool]:
    """Which files may hold rows that pass, from partitions and declared bounds, without reading a file."""
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
    for rule in query.rules(schema):
        keep &= rule.may_match(low, high)
    return keep.to_list()


def _bound_column(query: Query, name: str, dtype: pl.DataType, groups: list[_Group], side: int) -> pl.Series:
    """Lower (side 0) or upper (side 1) bounds of a column: from its partition, its statistics, or its declaration."""
    if groups and name in groups[0].file.values:
        word = column_types.word(dtype)
        return pl.Series(name, [partitions.value(group.file.values[name], word) for group in groups], dtype=dtype)
    declared = query.bounds[name][side] if name in query.bounds else None
    stored = [group.bounds.get(name, (None, None))[side] for group in groups]
    values = [declared if bound is None else bound for bound in stored]
    if dtype == pl.String:
        return pl.Series(name, values, dtype=pl.String)
    if isinstance(dtype, pl.Datetime):
        # The column's unit may be coarser than a file's, so bounds are rounded outwards.
        unit = parquet_types.NANOSECONDS[dtype.time_unit]
        values = [
            None if bound is None else int(bound) // unit if side == 0 else -(-int(bound) // unit) for bound in values
        ]
    elif dtype not in (pl.Int64, pl.Date):
        return pl.Series(name, [None] * len(groups), dtype=pl.Int64)
    fit = [bound if bound is not None and -(2**63) <= int(bound) < 2**63 else None for bound in values]
    return pl.Series(name, fit, dtype=pl.Int64).cast(dtype)


def _extents(groups: list[_Group], keep: list[bool]) -> Iterator[Extent]:
    file, offset = None, 0
    for group, kept in zip(groups, keep, strict=True):
        offset = offset if group.file is file else 0
        file = group.file
        if kept:
            etag = file.listed.etag
            extent = ObjectExtent(key=file.key, etag=etag, offset=offset, rows=group.rows, bytes=group.bytes)
            if file.listed.bucket:
                extent["bucket"] = "exports"
            if file.is_logged:
                extent["partitions"] = file.values
            yield extent
        offset += group.rows
