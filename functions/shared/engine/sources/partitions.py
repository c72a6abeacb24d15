"""Columns in the names of folders, as Hive writes them: ``year=2013/month=1/``."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable

import polars as pl

Values = dict[str, str | None]
"""Partition columns of a file, as text."""
_NULL = "__HIVE_DEFAULT_PARTITION__"


def of(key: str) -> Values:
    """The partition columns of an object."""
    values: Values = {}
    for folder in key.split("/")[:-1]:
        name, separator, value = folder.partition("=")
        if separator:
            text = urllib.parse.unquote(value)
            values[name] = None if text == _NULL else text
    return values


def types(files: Iterable[Values], tenant_column: str) -> dict[str, pl.DataType]:
    """Integers where every value is one of 64 bits, text otherwise; a tenant is text: it is compared with a claim."""
    seen: dict[str, set[str | None]] = {}
    for values in files:
        for name, value in values.items():
            seen.setdefault(name, set()).add(value)
    found: dict[str, pl.DataType] = {}
    for name, texts in seen.items():
        integers = name != tenant_column and all(is_integer(text) for text in texts if text is not None)
        found[name] = pl.Int64() if integers else pl.String()
    return found


def order(values: Values, known: dict[str, pl.DataType]) -> list[tuple[bool, int, str]]:
    """What files are sorted by: month 2 before month 10, nulls last."""
    keys = []
    for name, value in values.items():
        number = int(value) if value is not None and known[name].is_integer() else 0
        keys.append((value is None, number, value or ""))
    return keys


def column(name: str, value: str | None, dtype: str) -> pl.Expr:
    """A partition column as an expression."""
    return pl.lit(value, dtype=pl.String).cast(pl.Int64 if dtype == "Int64" else pl.String).alias(name)


def is_integer(text: str) -> bool:
    """Whether it is an integer of 64 bits."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and -(2**63) <= int(text) < 2**63
