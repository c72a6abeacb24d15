"""Partition columns: values that a table stores once for a whole file, as text.

Hive writes them into the names of folders (``year=2013/month=1/``), Delta into its log.
"""

from __future__ import annotations

import datetime
import decimal
import re
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

Values = dict[str, str | None]
"""A file's partition columns: text by name."""
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def of(path: str) -> Values:
    """The partition columns from the folders of a path within its dataset."""
    values: Values = {}
    for folder in path.split("/")[:-1]:
        name, separator, value = folder.partition("=")
        if separator:
            text = urllib.parse.unquote(value)
            values[urllib.parse.unquote(name)] = None if text == _NULL else text
    return values


def types(files: Iterable[Values], known: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The type of each partition column: the known type, or Int64 if every value is a plain integer, or String.

    A plain integer fits in 64 bits and has no leading zeros: ``02139`` is a postal code, not a number.
    """
    texts_by_name: dict[str, set[str | None]] = {}
    for values in files:
        for name, value in values.items():
            texts_by_name.setdefault(name, set()).add(value)
    return {
        name: known.get(name) or (pl.Int64() if all(map(_is_plain_integer, texts - {None})) else pl.String())
        for name, texts in texts_by_name.items()
    }


def value(text: str | None, dtype: pl.DataType) -> Any:
    """A partition value, converted from text to a type.

    Raises:
        ValueError: the text is not a value of the type.
    """
    if text is None:
        return None
    try:
        return _READERS[dtype.base_type()](text, dtype)
    except (KeyError, ArithmeticError) as error:
        raise ValueError(text) from error


def order(values: Values, known: dict[str, pl.DataType]) -> list[tuple[bool, Any]]:
    """The sort key of a file: month 2 before month 10, nulls last.

    Args:
        known: the types of all partition columns, the most significant column first.
    """
    typed = (value(values[name], dtype) for name, dtype in known.items())
    return [(each is None, 0 if each is None else each) for each in typed]


def column(name: str, text: str | None, dtype: pl.DataType) -> pl.Expr:
    """A partition column as an expression."""
    return pl.lit(pl.Series([value(text, dtype)], dtype=dtype)).first().alias(name)


def _is_plain_integer(text: str | None) -> bool:
    try:
        return text is not None and str(_integer(text, pl.Int64())) == text
    except ValueError:
        return False


def _integer(text: str, _: pl.DataType) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and -(2**63) <= int(text) < 2**63):
        raise ValueError(text)
    return int(text)


def _boolean(text: str, _: pl.DataType) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _decimal(text: str, dtype: pl.DataType) -> decimal.Decimal:
    assert isinstance(dtype, pl.Decimal)
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    exact = decimal.Context(prec=dtype.precision or 38, traps=[decimal.Inexact, decimal.InvalidOperation])
    return decimal.Decimal(text).quantize(decimal.Decimal(1).scaleb(-dtype.scale), context=exact)


def _float(text: str, _: pl.DataType) -> float:
    if not _NUMBER.fullmatch(text) and text not in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(text)
    return float(text)


def _date(text: str, _: pl.DataType) -> datetime.date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return datetime.date.fromisoformat(text)


def _timestamp(text: str, dtype: pl.DataType) -> datetime.datetime:
    """The timestamp of a text. For a column with a time zone, text without an offset is UTC, as in Spark and Delta."""
    assert isinstance(dtype, pl.Datetime)
    if re.search(r"\.\d{6}\d*[1-9]", text):  # Python would truncate it to microseconds
        raise ValueError(text)
    moment = datetime.datetime.fromisoformat(text)
    if dtype.time_zone is None:
        if moment.tzinfo:
            raise ValueError(text)
        return moment
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


_READERS: dict[Any, Callable[[str, pl.DataType], Any]] = {
    pl.String: lambda text, _: text,
    pl.Int64: _integer,
    pl.Float64: _float,
    pl.Decimal: _decimal,
    pl.Boolean: _boolean,
    pl.Date: _date,
    pl.Datetime: _timestamp,
}
