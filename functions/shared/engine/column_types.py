"""A source's columns as a definition declares them in ``source.columns``: their types, in a definition's words.

| declared | polars | fits |
|---|---|---|
| ``string`` | String | text, categories |
| ``integer`` | Int64 | an integer of any size |
| ``number`` | Float64 | a floating-point number |
| ``decimal(12,2)`` | Decimal(12, 2) | a decimal of so many digits behind the point |
| ``boolean``, ``date``, ``time`` | Boolean, Date, Time | the same |
| ``timestamp``, ``timestamp(UTC)`` | Datetime | a timestamp of any precision, without or with this time zone |
| ``binary`` | Binary | binary |
| ``json`` | an empty struct | any list, struct or map |

A column of nothing but nulls fits every type.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, cast

import polars as pl

from shared.errors import InvalidDefinition
from shared.lambda_.faults import Fault, pointer

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_PLAIN: dict[str, tuple[pl.DataType, Callable[[pl.DataType], bool]]] = {
    "string": (pl.String(), lambda t: t in _TEXT),
    "integer": (pl.Int64(), lambda t: t.is_integer()),
    "number": (pl.Float64(), lambda t: t.is_float()),
    "boolean": (pl.Boolean(), lambda t: t == pl.Boolean),
    "date": (pl.Date(), lambda t: t == pl.Date),
    "time": (pl.Time(), lambda t: t == pl.Time),
    "binary": (pl.Binary(), lambda t: t == pl.Binary),
    "json": (pl.Struct([]), lambda t: t in (pl.List, pl.Array, pl.Struct, pl.Map)),
}
NARROW = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


def wide(dtype: pl.DataType) -> pl.DataType:
    """Small integers are read as 64 bits: an expression such as ``year * 10000`` would overflow without a word."""
    return pl.Int64() if dtype in NARROW else dtype


CALENDAR = (-96_464_927, 95_025_871)
"""-262142-01-01 and 262141-12-31, in days since 1970: a year less on each side than the engine's calendar has."""
_UNITS = ["ms", "us", "ns"]


def common(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The type that holds every value of two columns of the same meaning, exactly; None where they have another one."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal) and one.scale == other.scale:
        return max(one, other, key=lambda each: each.precision or 0)
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime) and one.time_zone == other.time_zone:
        return max(one, other, key=lambda each: _UNITS.index(each.time_unit))
    return None


def dtype(declared: str) -> pl.DataType:
    """The polars type by which a declared column is checked."""
    if declared in _PLAIN:
        return _PLAIN[declared][0]
    kind, *details = re.findall(r"[^(),]+", declared)
    if kind == "decimal":
        precision, scale = details
        return pl.Decimal(int(precision), int(scale))
    return pl.Datetime("us", details[0] if details else None)


def schema(columns: dict[str, str]) -> pl.Schema:
    """The schema that is declared.

    Raises:
        InvalidDefinition: a timestamp's time zone is none.
    """
    wrong = []
    for name, declared in columns.items():
        try:
            pl.LazyFrame(schema={name: dtype(declared)}).select(name).collect()
        except pl.exceptions.PolarsError:
            detail, allowed = (
                f"{declared} has no known time zone",
                "timestamp, timestamp(UTC), timestamp(Europe/Paris), …",
            )
            wrong.append(Fault(pointer=pointer("source", "columns", name), detail=detail, allowed=allowed))
    if wrong:
        raise InvalidDefinition("; ".join(fault["detail"] for fault in wrong), wrong)
    return pl.Schema({name: dtype(declared) for name, declared in columns.items()})


def faults(columns: dict[str, str], found: pl.Schema) -> list[Fault]:
    """Each declared column that the source does not have, or has of another type. It may have more columns."""
    wrong = []
    for name, declared in columns.items():
        where = pointer("source", "columns", name)
        if name not in found:
            wrong.append(
                Fault(pointer=where, detail=f"the source has no column {name}", allowed=f"one of {', '.join(found)}")
            )
        elif not _fits(declared, found[name]):
            detail = f"column {name} is declared {declared}; the source gives {word(found[name])}"
            wrong.append(Fault(pointer=where, detail=detail, allowed="the type that the source has"))
    return wrong


def word(found: pl.DataType) -> str:
    """A type as a definition declares it; as polars does where a definition cannot."""
    if isinstance(found, pl.Decimal):
        return f"decimal({found.precision},{found.scale})"
    if isinstance(found, pl.Datetime):
        return f"timestamp({found.time_zone})" if found.time_zone else "timestamp"
    return next((name for name, (_, fits) in _PLAIN.items() if fits(found)), str(found))


def _fits(declared: str, found: pl.DataType) -> bool:
    if found == pl.Null:
        return True
    if declared in _PLAIN:
        return _PLAIN[declared][1](found)
    expected = dtype(declared)
    if isinstance(expected, pl.Decimal):
        return isinstance(found, pl.Decimal) and found.scale == expected.scale
    return (
        isinstance(found, pl.Datetime) and isinstance(expected, pl.Datetime) and found.time_zone == expected.time_zone
    )


def parsed(text: str) -> pl.DataType:
    """A type from its text, as a plan holds it: ``str`` of the type.

    Raises:
        ValueError: it is no such text.
    """
    try:
        found = _made(ast.parse(text, mode="eval").body)
        return cast(pl.DataType, found if isinstance(found, pl.DataType) else found())
    except (SyntaxError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{text} is no type of polars") from error


def _made(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if isinstance(kind := getattr(pl, name), type) and issubclass(kind, pl.DataType):
            return kind
        case ast.Call(func=ast.Name() as kind, args=args, keywords=keywords):
            named = {each.arg: _made(each.value) for each in keywords if each.arg}
            return _made(kind)(*map(_made, args), **named)
        case ast.Dict(keys=keys, values=values):
            return {_made(key): _made(value) for key, value in zip(keys, values, strict=True) if key}
        case _:
            return ast.literal_eval(node)
