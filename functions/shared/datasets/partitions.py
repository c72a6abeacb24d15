"""Partition columns: values that a table stores once for a whole file, as text.

Hive writes them into the names of folders (``year=2013/month=1/``), Delta into its log.
"""

from __future__ import annotations

import datetime
import decimal
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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


def types(files: Iterable[Values], known: Mapping[str, str]) -> dict[str, str]:
    """The type of each partition column, as a definition declares types.

    It is the known type, or integer if every value is a plain integer, or string. A plain integer fits in 64 bits and
    has no leading zeros: ``02139`` is a postal code, not a number.
    """
    texts_by_name: dict[str, set[str | None]] = {}
    for values in files:
        for name, value in values.items():
            texts_by_name.setdefault(name, set()).add(value)
    return {
        name: known.get(name) or ("integer" if all(map(_is_plain_integer, texts - {None})) else "string")
        for name, texts in texts_by_name.items()
    }


def value(text: str | None, declared: str) -> Any:
    """A partition value, converted from text to a declared type.

    Raises:
        ValueError: the text is not a value of the type.
    """
    if text is None:
        return None
    try:
        return _READERS[declared.partition("(")[0]](text, declared)
    except (KeyError, ArithmeticError) as error:
        raise ValueError(text) from error


def order(values: Values, known: Mapping[str, str]) -> list[tuple[bool, Any]]:
    """The sort key of a file: month 2 before month 10, nulls last.

    Args:
        known: the types of all partition columns, the most significant column first.
    """
    typed = (value(values[name], declared) for name, declared in known.items())
    return [(each is None, 0 if each is None else each) for each in typed]


def _is_plain_integer(text: str | None) -> bool:
    try:
        return text is not None and str(_integer(text, "integer")) == text
    except ValueError:
        return False


def _integer(text: str, _: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and -(2**63) <= int(text) < 2**63):
        raise ValueError(text)
    return int(text)


def _boolean(text: str, _: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _decimal(text: str, declared: str) -> decimal.Decimal:
    precision, scale = (int(digits) for digits in re.findall(r"\d+", declared))
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    exact = decimal.Context(prec=precision, traps=[decimal.Inexact, decimal.InvalidOperation])
    return decimal.Decimal(text).quantize(decimal.Decimal(1).scaleb(-scale), context=exact)


def _float(text: str, _: str) -> float:
    if not _NUMBER.fullmatch(text) and text not in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(text)
    return float(text)


def _date(text: str, _: str) -> datetime.date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return datetime.date.fromisoformat(text)


def _timestamp(text: str, declared: str) -> datetime.datetime:
    """The timestamp of a text. For a column with a time zone, text without an offset is UTC, as in Spark and Delta."""
    if re.search(r"\.\d{6}\d*[1-9]", text):  # Python would truncate it to microseconds
        raise ValueError(text)
    moment = datetime.datetime.fromisoformat(text)
    if declared == "timestamp":
        if moment.tzinfo:
            raise ValueError(text)
        return moment
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "string": lambda text, _: text,
    "integer": _integer,
    "number": _float,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}
