"""Source ``parquet``: Hive-partitioned Parquet files under ``<DataPrefix>/<dataset>/`` of the data bucket.

Files whose names start with ``_`` or ``.`` or do not end in ``.parquet`` are not part of a dataset. Partition
columns (``year=2013/month=1/``) are integers where every value is one, text otherwise; the tenant is always text.
"""

from __future__ import annotations

import io
import os
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import polars as pl
from botocore.exceptions import ClientError

from shared import aws
from shared.errors import SourceChanged, SourceMissing, SourceSchemaMismatch, SourceUnavailable, SourceUnreadable
from shared.query import Query
from shared.sources import parquet_footer
from shared.sources.parquet_footer import Chunk, RowGroup
from shared.work import Extent, is_missing, is_replaced

BATCH_ROWS = 131_072
"""Rows that a scan holds in memory at once."""
_FOOTER_GUESS = 64 * 1024
_THREADS = 16
_NARROW = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class _File:
    key: str
    etag: str
    partitions: dict[str, str | None]


def plan(query: Query) -> tuple[pl.Schema, list[Extent]]:
    """See :class:`shared.sources.Source`: file listing, then footers of the files whose partitions may match."""
    files = _list(query.dataset)
    partition_types = _partition_types(files, query.tenant_column)
    files.sort(key=lambda file: _order(file, partition_types))
    candidates = [file for file, keep in zip(files, _prune_files(query, files, partition_types), strict=True) if keep]
    if not candidates:
        return pl.Schema(), []
    with ThreadPoolExecutor(_THREADS) as pool:
        footers = list(pool.map(_read_footer, candidates))
    schema = pl.Schema(_schema(candidates[0], footers[0]) | partition_types)
    query.check(pl.Schema({name: _wide(dtype) for name, dtype in schema.items()}))
    _require_equal_schemas(query, candidates, footers, schema)
    groups = [
        (file, group) for file, footer in zip(candidates, footers, strict=True) for group in _row_groups(file, footer)
    ]
    keep = _prune(query, schema, [_Group(file.partitions, group.chunks) for file, group in groups])
    return schema, list(_extents(query, groups, keep))


def scan(query: Query, schema: dict[str, str], extents: list[Extent]) -> Iterator[pl.DataFrame]:
    """See :class:`shared.sources.Source`: polars reads S3 directly, only the columns and row groups that are needed."""
    needs = query.needs()
    for extent in extents:
        _require_unchanged(extent)
        partitions = _partitions(extent["key"])
        stored = [name for name in needs if name not in partitions]
        added = [_partition_column(name, partitions[name], schema[name]) for name in needs if name in partitions]
        for offset in range(extent["offset"], extent["offset"] + extent["rows"], BATCH_ROWS):
            rows = min(BATCH_ROWS, extent["offset"] + extent["rows"] - offset)
            lazy = pl.scan_parquet(_address(extent["key"]), hive_partitioning=False, glob=False).slice(offset, rows)
            try:
                # Without a column of the file there is still a row for each of its rows: its number.
                read = (
                    lazy.select(stored).cast(dict.fromkeys(_NARROW, pl.Int64))
                    if stored
                    else lazy.with_row_index("").select("")
                )
                yield read.with_columns(added).select(needs).collect()
            except pl.exceptions.PolarsError as error:
                _require_unchanged(extent)
                raise _unreadable(extent["key"], error) from error
            except OSError as error:  # what S3 answers, after the retries that polars makes
                _require_unchanged(extent)
                raise SourceUnavailable(f"s3://{_bucket()}/{extent['key']}: {_first_line(error)}") from error
        _require_unchanged(extent)


def _list(dataset: str) -> list[_File]:
    prefix = f"{_prefix()}{dataset}/"
    pages = aws.s3().get_paginator("list_objects_v2").paginate(Bucket=_bucket(), Prefix=prefix)
    files = [
        _File(item["Key"], item["ETag"], _partitions(item["Key"]))
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"].endswith(".parquet") and not item["Key"].rsplit("/", 1)[-1].startswith(("_", "."))
    ]
    if not files:
        raise SourceMissing(f"no Parquet file under s3://{_bucket()}/{prefix}")
    names = [sorted(file.partitions) for file in files]
    for file, found in zip(files, names, strict=True):
        if found != names[0]:
            raise SourceSchemaMismatch(f"{file.key} is partitioned by {found}, {files[0].key} by {names[0]}")
    return files


def _partitions(key: str) -> dict[str, str | None]:
    values = {}
    for folder in key.split("/")[:-1]:
        name, separator, value = folder.partition("=")
        if separator:
            text = urllib.parse.unquote(value)
            values[name] = None if text == _NULL_PARTITION else text
    return values


def _partition_types(files: list[_File], tenant_column: str) -> dict[str, pl.DataType]:
    """A tenant is text, whatever it looks like: it is compared with a claim."""
    types: dict[str, pl.DataType] = {}
    for name in files[0].partitions:
        values = [file.partitions[name] for file in files]
        integers = name != tenant_column and all(_is_integer(value) for value in values if value is not None)
        types[name] = pl.Int64() if integers else pl.String()
    return types


def _wide(dtype: pl.DataType) -> pl.DataType:
    """Small integers are read as 64 bits: an expression such as ``year * 10000`` would overflow without a word."""
    return pl.Int64() if dtype in _NARROW else dtype


def _order(file: _File, types: dict[str, pl.DataType]) -> list[tuple[bool, int, str]]:
    """Files in the order of their partitions, month 2 before month 10; nulls last."""
    keys = []
    for name, value in file.partitions.items():
        number = int(value) if value is not None and types[name].is_integer() else 0
        keys.append((value is None, number, value or ""))
    return [*keys, (False, 0, file.key)]


def _partition_column(name: str, value: str | None, dtype: str) -> pl.Expr:
    return pl.lit(value, dtype=pl.String).cast(pl.Int64 if dtype == "Int64" else pl.String).alias(name)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()


def _read_footer(file: _File) -> bytes:
    """The footer's bytes, of exactly the version that was listed."""
    tail = _read_tail(file, _FOOTER_GUESS)
    try:
        needed = parquet_footer.footer_length(tail) + parquet_footer.TAIL
    except ValueError as error:
        raise _unreadable(file.key, error) from error
    if needed > len(tail):
        tail = _read_tail(file, needed)
    if needed > len(tail):
        raise _unreadable(file.key, ValueError("the file is shorter than its footer"))
    return tail[-needed : -parquet_footer.TAIL]


def _read_tail(file: _File, size: int) -> bytes:
    try:
        answer = aws.s3().get_object(Bucket=_bucket(), Key=file.key, Range=f"bytes=-{size}", IfMatch=file.etag)
    except ClientError as error:
        if is_missing(error) or is_replaced(error):
            raise SourceChanged(f"s3://{_bucket()}/{file.key} changed while it was planned") from error
        if error.response["Error"]["Code"] == "InvalidRange":
            raise _unreadable(file.key, ValueError("the file is empty")) from error
        raise
    return answer["Body"].read()


def _schema(file: _File, footer: bytes) -> dict[str, pl.DataType]:
    """The schema as polars reads it: a file of nothing but the footer is enough for it."""
    length = len(footer).to_bytes(4, "little")
    try:
        return dict(pl.read_parquet_schema(io.BytesIO(parquet_footer.MAGIC + footer + length + parquet_footer.MAGIC)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file.key, error) from error


def _row_groups(file: _File, footer: bytes) -> list[RowGroup]:
    try:
        return [group for group in parquet_footer.row_groups(footer) if group.rows]
    except ValueError as error:
        raise _unreadable(file.key, error) from error


def _require_equal_schemas(query: Query, files: list[_File], footers: list[bytes], schema: pl.Schema) -> None:
    """Every file against the first, whose schema the query was checked with."""
    needs = query.needs()
    for file, footer in zip(files[1:], footers[1:], strict=True):
        found = _schema(file, footer)
        for name in needs:
            if name not in file.partitions and found.get(name) != schema[name]:
                raise SourceSchemaMismatch(
                    f"column {name} is {found.get(name, 'missing')} in {file.key}, {schema[name]} in {files[0].key}"
                )


@dataclass(frozen=True)
class _Group:
    """A file (no chunks) or row group, as far as bounds of its values are known."""

    partitions: dict[str, str | None]
    chunks: dict[str, Chunk]


def _prune_files(query: Query, files: list[_File], types: dict[str, pl.DataType]) -> list[bool]:
    """By what is known without reading a file: partitions and declared bounds."""
    known = types | {name: pl.Int64() for name in query.bounds}
    decidable = [rule for rule in query.filters if set(rule.expression.meta.root_names()) <= set(known)]
    groups = [_Group(file.partitions, {}) for file in files]
    return _prune(replace(query, filters=decidable), pl.Schema(known), groups)


def _prune(query: Query, schema: pl.Schema, groups: list[_Group]) -> list[bool]:
    """Which groups may hold rows that pass every filter."""
    names = sorted({name for rule in query.filters for name in rule.expression.meta.root_names()})
    low, high = (
        pl.DataFrame({name: _bound_column(query, name, schema[name], groups, side) for name in names})
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
        if name in group.partitions:
            text = group.partitions[name]
            values.append(int(text) if text is not None and dtype.is_integer() else text)
        else:
            chunk = group.chunks.get(name)
            stored = chunk.bounds[side] if chunk else None
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


def _extents(query: Query, groups: list[tuple[_File, RowGroup]], keep: list[bool]) -> Iterator[Extent]:
    needs = set(query.needs())
    key, offset = "", 0
    for (file, group), kept in zip(groups, keep, strict=True):
        offset = offset if file.key == key else 0
        key = file.key
        if kept:
            size = sum(chunk.compressed_bytes for name, chunk in group.chunks.items() if name.split(".")[0] in needs)
            yield Extent(key=key, etag=file.etag, offset=offset, rows=group.rows, bytes=size)
        offset += group.rows


def _require_unchanged(extent: Extent) -> None:
    try:
        found = aws.s3().head_object(Bucket=_bucket(), Key=extent["key"])["ETag"]
    except ClientError as error:
        if is_missing(error):
            raise SourceChanged(f"s3://{_bucket()}/{extent['key']} is gone since it was planned") from error
        raise
    if found != extent["etag"]:
        raise SourceChanged(f"s3://{_bucket()}/{extent['key']} was replaced since it was planned")


def _unreadable(key: str, error: Exception) -> SourceUnreadable:
    return SourceUnreadable(f"s3://{_bucket()}/{key} is not readable Parquet: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _address(key: str) -> str:
    return f"s3://{_bucket()}/{key}"


def _bucket() -> str:
    return os.environ["DATA_BUCKET"]


def _prefix() -> str:
    prefix = os.environ["DATA_PREFIX"].strip("/")
    return f"{prefix}/" if prefix else ""
