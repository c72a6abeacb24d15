"""Converts values to text with polars expressions. Only workers import this module.

Dates are ISO 8601 (``2013-01-31``), times of day ``05:17:00``, timestamps RFC 3339 (section 5.6). JSON is RFC 8259.
Numbers that JSON cannot hold or that readers would change are text (RFC 7493, section 2.2; "JSON Mapping" of Protocol
Buffers): decimals with all their digits, ``NaN``, ``Infinity``, ``-Infinity``. Binary is base64 (RFC 4648, section 4).
A map is an object whose keys are text, whatever their type in the source (also as in that mapping).
"""

from __future__ import annotations

import json
from typing import cast

import polars as pl

_CLOCK = "%H:%M:%S%.f"
_STAMP = f"%Y-%m-%dT{_CLOCK}"
_MINUTE = 60
_WRAP = '{"x":'


def timestamp(cell: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    """RFC 3339 text of a timestamp in a zone. A timestamp without a zone gets no offset.

    Offsets have whole minutes. If the zone's offset did not (before standard time), the text has the nearest offset and
    its time of day (RFC 3339, section 5.8), so that the instant does not change. An instant whose year in the zone is
    outside 1 to 9999 is written in UTC.
    """
    stamped = cast(pl.Datetime, dtype)
    if stamped.time_zone is None:
        return cell.dt.strftime(_STAMP)
    utc = cell.dt.convert_time_zone("UTC")
    if zone == "UTC":
        return utc.dt.strftime(f"{_STAMP}Z")
    zoned = cell.dt.convert_time_zone(zone)
    seconds = (zoned.dt.base_utc_offset() + zoned.dt.dst_offset()).dt.total_seconds()
    minutes = (seconds.abs() + _MINUTE // 2) // _MINUTE * seconds.sign()
    local = utc.dt.replace_time_zone(None) + pl.duration(minutes=minutes, time_unit=stamped.time_unit)
    text = local.dt.strftime(_STAMP) + zoned.dt.strftime("%:z")
    return pl.when(local.dt.year().is_between(1, 9999)).then(text).otherwise(utc.dt.strftime(f"{_STAMP}Z"))


def clock(cell: pl.Expr) -> pl.Expr:
    """A time of day as text."""
    return cell.dt.strftime(_CLOCK)


def binary(cell: pl.Expr) -> pl.Expr:
    """Binary as text."""
    return cell.bin.encode("base64")


def plain(cell: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    """The value with its timestamps, times and binaries as text, also in lists and structs, but not in maps."""
    if not _holds(dtype, pl.Datetime, pl.Time, pl.Binary):
        return cell
    if isinstance(dtype, pl.Array):
        return plain(cell.arr.to_list(), pl.List(dtype.inner), zone)
    if isinstance(dtype, pl.List):
        return cell.list.eval(plain(pl.element(), _of(dtype.inner), zone))
    if isinstance(dtype, pl.Struct):
        fields = [plain(cell.struct.field(each.name), _of(each.dtype), zone).alias(each.name) for each in dtype.fields]
        return pl.when(cell.is_not_null()).then(pl.struct(fields))
    if dtype == pl.Binary:
        return binary(cell)
    return timestamp(cell, dtype, zone) if dtype == pl.Datetime else clock(cell)


def json_text(cell: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    """The value as compact JSON. A null is ``null``."""
    if isinstance(dtype, pl.Array):
        return json_text(cell.arr.to_list(), pl.List(dtype.inner), zone)
    if isinstance(dtype, pl.List):
        items = cell.list.eval(json_text(pl.element(), _of(dtype.inner), zone)).list.join(",")
        return _or_null(cell, pl.concat_str(pl.lit("["), items, pl.lit("]")))
    if isinstance(dtype, pl.Struct):
        fields = {each.name: json_text(cell.struct.field(each.name), _of(each.dtype), zone) for each in dtype.fields}
        return _or_null(cell, json_object(fields))
    if isinstance(dtype, pl.Map):
        entries = cell.cast(pl.List(pl.Struct({"key": dtype.key, "value": dtype.value})))
        key, value = (pl.element().struct.field(name) for name in ("key", "value"))
        entry = pl.concat_str(_key(key, _of(dtype.key), zone), pl.lit(":"), json_text(value, _of(dtype.value), zone))
        return _or_null(cell, pl.concat_str(pl.lit("{"), entries.list.eval(entry).list.join(","), pl.lit("}")))
    if dtype.is_float():
        words = pl.when(cell.is_nan()).then(pl.lit("NaN")).when(cell > 0).then(pl.lit("Infinity"))
        return (
            pl.when(cell.is_infinite() | cell.is_nan())
            .then(_leaf(words.otherwise(pl.lit("-Infinity"))))
            .otherwise(_leaf(cell))
        )
    return _leaf(plain(cell, dtype, zone))


def json_object(values: dict[str, pl.Expr]) -> pl.Expr:
    """A JSON object of values that are already JSON."""
    pieces: list[pl.Expr] = []
    for name, value in values.items():
        pieces += [pl.lit(f"{',' if pieces else '{'}{json.dumps(name, ensure_ascii=False)}:"), value]
    return pl.concat_str(*pieces, pl.lit("}"))


def needs_care(rows: pl.DataFrame) -> bool:
    """Whether polars' own JSON may be wrong: for maps, non-finite floats, and floats in lists or structs."""
    nested = any(dtype.is_nested() and _holds(dtype, *_FLOATS, pl.Map) for dtype in rows.dtypes)
    floats = [name for name, dtype in rows.schema.items() if dtype.is_float()]
    return nested or any(not rows[name].is_finite().all() for name in floats)


_FLOATS = (pl.Float16, pl.Float32, pl.Float64)


def _key(cell: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    """A map's key as text, as JSON requires."""
    text = json_text(cell, dtype, zone)
    return pl.when(text.str.starts_with('"')).then(text).otherwise(pl.concat_str(pl.lit('"'), text, pl.lit('"')))


def _leaf(cell: pl.Expr) -> pl.Expr:
    """JSON of a value that is neither a list nor a struct: encoded in an object, whose key and braces are removed."""
    return pl.struct(cell.alias("x")).struct.json_encode().str.slice(len(_WRAP)).str.head(-1)


def _or_null(cell: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.when(cell.is_null()).then(pl.lit("null")).otherwise(text)


def _holds(dtype: pl.DataType, *kinds: type[pl.DataType]) -> bool:
    """Whether the type is or contains one of these kinds."""
    if isinstance(dtype, pl.Map):
        return pl.Map in kinds or _holds(_of(dtype.key), *kinds) or _holds(_of(dtype.value), *kinds)
    if isinstance(dtype, pl.List | pl.Array):
        return _holds(_of(dtype.inner), *kinds)
    if isinstance(dtype, pl.Struct):
        return any(_holds(_of(each.dtype), *kinds) for each in dtype.fields)
    return dtype in kinds


def _of(dtype: object) -> pl.DataType:
    """An inner type, which polars declares as an instance or a class."""
    return cast(pl.DataType, dtype)
