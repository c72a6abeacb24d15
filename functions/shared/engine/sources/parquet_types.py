"""The types that the columns of a Parquet file have in a query.

They are the types of the Parquet schema, as polars reads them, with these exceptions:

- UUID is text, in lower case with hyphens; ``FLOAT16`` is a float of 32 bits;
- a column whose type allows only nulls (``UNKNOWN``) has no type: planning gives it the type of other files, or the
  declared type;
- a decimal has at least the digits that the definition declares, so that files with few and with many digits fit
  together;
- time zones, durations and ``date64`` come from the Arrow schema that Arrow's writers also store. A zone that is not in
  the IANA time zone database, such as ``+05:30``, becomes UTC: the instants do not change.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import polars as pl

from shared.engine import column_types
from shared.parquet import arrow
from shared.parquet.footer import FLOAT16, UNKNOWN, UUID, Chunk, Excerpt, Footer, is_time, unit_of

_INT32, _INT64, _FIXED_LENGTH, _SPLIT = 1, 2, 7, 9
"""INT32, INT64, FIXED_LEN_BYTE_ARRAY and BYTE_STREAM_SPLIT of parquet.thrift."""
NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "d": 86_400 * 10**9}
Bounds = tuple[int | str | None, int | str | None]
"""Lower and upper bound of a column: integers, days, nanoseconds since 1970, or text."""
_UNITS = ("ms", "ms", "us", "ns")
"""The polars units of Arrow's time units, seconds first. polars has no seconds."""
_HYPHENS = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))


class Column(NamedTuple):
    """A column in a query: its type, and its expression of the column that polars reads."""

    dtype: pl.DataType
    value: pl.Expr


def columns(footer: Footer, names: list[str], declared: dict[str, str]) -> dict[str, Column]:
    """The columns with these names that the file has.

    Raises:
        ValueError, polars.exceptions.PolarsError, polars.exceptions.PanicException: polars does not know a type.
    """
    known = [name for name in footer.columns if name in names]
    stored = _stored(footer, known)
    return {name: _column(footer, name, stored[name], declared.get(name, "")) for name in known}


def _stored(footer: Footer, names: list[str]) -> dict[str, pl.DataType]:
    """The types that polars reads, from an excerpt without rows."""
    return _schema(Excerpt(footer, names).file()) if names else {}


@lru_cache(maxsize=64)
def _schema(file: bytes) -> dict[str, pl.DataType]:
    return dict(pl.read_parquet_schema(io.BytesIO(file)))


def _column(footer: Footer, name: str, stored: pl.DataType, declared: str) -> Column:
    elements = footer.columns[name].leaves
    if len(elements) == 1 and UNKNOWN in elements[0].get(10, {}) and not stored.is_nested():
        return Column(pl.Null(), pl.col(name).cast(pl.Null))
    types = footer.arrow_types(name) or []
    if len(types) != len(elements):
        types = [arrow.Type(0)] * len(elements)
    column = _read(pl.col(name), stored, iter(list(zip(elements, types, strict=True))))
    if isinstance(column.dtype, pl.Decimal) and declared.startswith("decimal"):
        expected = cast(pl.Decimal, column_types.dtype(declared))
        if expected.scale == column.dtype.scale and expected.precision > column.dtype.precision:
            column = Column(expected, column.value.cast(expected))
    return column


def _read(cell: pl.Expr, stored: pl.DataType, leaves: Iterator[tuple[dict[int, Any], arrow.Type]]) -> Column:
    """A value, which may be a list, struct or map. ``leaves`` are in the order of the schema."""
    if isinstance(stored, pl.List):
        inner = _read(pl.element(), cast(pl.DataType, stored.inner), leaves)
        if inner.dtype == stored.inner:
            return Column(stored, cell)
        return Column(pl.List(inner.dtype), cell.list.eval(inner.value))
    if isinstance(stored, pl.Struct):
        fields = {
            each.name: _read(cell.struct.field(each.name), cast(pl.DataType, each.dtype), leaves)
            for each in stored.fields
        }
        dtype = pl.Struct({name: field.dtype for name, field in fields.items()})
        if dtype == stored:
            return Column(stored, cell)
        value = pl.struct(field.value.alias(name) for name, field in fields.items())
        return Column(dtype, pl.when(cell.is_not_null()).then(value))
    if isinstance(stored, pl.Map):
        pair = pl.Struct({"key": stored.key, "value": stored.value})
        pairs = _read(cell.cast(pl.List(pair)), pl.List(pair), leaves)
        if pairs.dtype == pl.List(pair):
            return Column(stored, cell)
        key, value = cast(Any, pairs.dtype).inner.fields
        read = pl.Map(key.dtype, value.dtype)
        return Column(read, pairs.value.cast(read))
    return _leaf(cell, stored, *next(leaves))


def _leaf(cell: pl.Expr, stored: pl.DataType, element: dict[int, Any], type_: arrow.Type) -> Column:
    logical, dtype = element.get(10, {}), stored
    if is_time(element):
        # polars would turn a value that is not a time of day into null. This cast fails instead.
        unit = NANOSECONDS[unit_of(element)]
        return Column(pl.Time(), (cell.cast(pl.Int64).clip(-1, NANOSECONDS["d"] // unit) * unit).cast(pl.Time))
    if UUID in logical:
        digits = cell.bin.encode("hex")
        parts = [digits.str.slice(start, length) for start, length in _HYPHENS]
        return Column(pl.String(), pl.concat_str(parts, separator="-"))
    if FLOAT16 in logical:
        dtype = pl.Float32()
    elif isinstance(stored, pl.Datetime) and type_.zone:
        dtype = pl.Datetime(stored.time_unit, type_.zone if _is_zone(type_.zone) else "UTC")
    elif stored == pl.Date and type_ == (arrow.DATE, 1, ""):
        dtype = pl.Datetime("ms")
    elif stored == pl.Int64 and type_.kind == arrow.DURATION:
        dtype = pl.Duration(cast(Any, _UNITS[type_.unit]))
        cell = cell * 1000 if type_.unit == 0 else cell
    return Column(dtype, cell if dtype == stored else cell.cast(dtype))


@cache
def _is_zone(name: str) -> bool:
    try:
        pl.LazyFrame(schema={"": pl.Datetime("us", name)}).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return True


def bounds(footer: Footer, chunk: Chunk, dtype: pl.DataType) -> Bounds:
    """The bounds of a flat column's chunk, from its statistics.

    They are None if their order is not used: statistics of floats exclude NaN, which polars orders above every number,
    and INT96 timestamps have no order. The bounds of a UUID are those of its text, which has the same order.

    Args:
        dtype: the column's type in the query.
    """
    element = footer.columns[chunk.column].elements[0]
    low, high = (None if stored is None else _bound(stored, element, dtype) for stored in chunk.bounds)
    return low, high


def _bound(stored: bytes, element: dict[int, Any], dtype: pl.DataType) -> int | str | None:
    physical, logical = element.get(1), element.get(10, {})
    if dtype == pl.String:
        try:
            return str(uuid.UUID(bytes=stored)) if UUID in logical else stored.decode()
        except ValueError:  # a bound may be truncated within a character
            return None
    if physical not in (_INT32, _INT64) or dtype in (pl.UInt64, pl.UInt128, pl.Int128):
        return None
    number = int.from_bytes(stored, "little", signed=not dtype.is_unsigned_integer())
    unit = unit_of(element)
    if dtype == pl.Datetime:
        return number * NANOSECONDS[unit] if unit in NANOSECONDS else None
    return number if dtype.is_integer() or (dtype == pl.Date and unit == "d") else None


def require_decodable(footer: Footer, chunk: Chunk) -> None:
    """Checks that polars can decode the pages of a chunk.

    Raises:
        ValueError: polars cannot decode them.
    """
    if chunk.metadata[1] == _FIXED_LENGTH and _SPLIT in chunk.metadata[2]:
        leaves = footer.columns[chunk.column].leaves
        if not all(FLOAT16 in leaf.get(10, {}) for leaf in leaves if leaf.get(1) == _FIXED_LENGTH):
            raise ValueError(
                f"column {chunk.column} is encoded as BYTE_STREAM_SPLIT, which is supported only for floats and "
                "integers; write the column with another encoding"
            )
