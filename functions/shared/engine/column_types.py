"""The column types that a definition declares in ``source.columns``, and the polars types that match them.

| declared | polars | matches |
|---|---|---|
| ``string`` | String | text, categories |
| ``integer`` | Int64 | an integer of any size |
| ``number`` | Float64 | a floating-point number |
| ``decimal(12,2)`` | Decimal(12, 2) | a decimal with the same number of digits after the point |
| ``boolean``, ``date``, ``time`` | Boolean, Date, Time | the same type |
| ``timestamp``, ``timestamp(UTC)`` | Datetime | a timestamp of any precision, without or with this time zone |
| ``binary`` | Binary | binary |
| ``json`` | an empty struct | any list, struct or map |

A column that holds only nulls matches every type.
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
    """Int64 for a small integer type, because an expression such as ``year * 10000`` would overflow silently."""
    return pl.Int64() if dtype in NARROW else dtype


CALENDAR = (-96_464_927, 95_025_871)
"""-262142-01-01 and 262141-12-31, in days since 1970: polars' calendar without its first and its last year."""
_UNITS = ["ms", "us", "ns"]


def common(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The type that holds every value of both types exactly; None if the types do not have the same meaning."""
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
    """The polars type of a declared column type."""
    if declared in _PLAIN:
        return _PLAIN[declared][0]
    kind, *details = re.findall(r"[^(),]+", declared)
    if kind == "decimal":
        precision, scale = details
        return pl.Decimal(int(precision), int(scale))
    return pl.Datetime("us", details[0] if details else None)


def schema(columns: dict[str, str]) -> pl.Schema:
    """The declared schema.

    Raises:
        InvalidDefinition: a timestamp has an unknown time zone.
    """
    faults = []
    for name, declared in columns.items():
        try:
            pl.LazyFrame(schema={name: dtype(declared)}).select(name).collect()
        except pl.exceptions.PolarsError:
            detail, allowed = (
                f"column {name} is declared {declared}, which has an unknown time zone",
                "timestamp, timestamp(UTC), timestamp(Europe/Paris), …",
            )
            faults.append(Fault(pointer=pointer("source", "columns", name), detail=detail, allowed=allowed))
    if faults:
        raise InvalidDefinition("; ".join(fault["detail"] for fault in faults), faults)
    return pl.Schema({name: dtype(declared) for name, declared in columns.items()})


def faults(columns: dict[str, str], source_schema: pl.Schema) -> list[Fault]:
    """The declared columns that the source lacks or has with another type. The source may have more columns."""
    mismatches = []
    for name, declared in columns.items():
        where = pointer("source", "columns", name)
        if name not in source_schema:
            allowed = f"one of {', '.join(source_schema)}"
            mismatches.append(Fault(pointer=where, detail=f"the source has no column {name}", allowed=allowed))
        elif not _fits(declared, source_schema[name]):
            detail = f"column {name} is declared {declared}; the source gives {word(source_schema[name])}"
            mismatches.append(Fault(pointer=where, detail=detail, allowed="the type that the source gives"))
    return mismatches


def word(source_type: pl.DataType) -> str:
    """A type as a definition declares it; polars' name for a type that a definition cannot declare."""
    if isinstance(source_type, pl.Decimal):
        return f"decimal({source_type.precision},{source_type.scale})"
    if isinstance(source_type, pl.Datetime):
        return f"timestamp({source_type.time_zone})" if source_type.time_zone else "timestamp"
    return next((name for name, (_, fits) in _PLAIN.items() if fits(source_type)), str(source_type))


def _fits(declared: str, source_type: pl.DataType) -> bool:
    if source_type == pl.Null:
        return True
    if declared in _PLAIN:
        return _PLAIN[declared][1](source_type)
    expected = dtype(declared)
    if isinstance(expected, pl.Decimal):
        return isinstance(source_type, pl.Decimal) and source_type.scale == expected.scale
    return (
        isinstance(source_type, pl.Datetime)
        and isinstance(expected, pl.Datetime)
        and source_type.time_zone == expected.time_zone
    )


def parsed(text: str) -> pl.DataType:
    """The type whose ``str`` is ``text``, as a plan stores it.

    Raises:
        ValueError: the text is not a polars type.
    """
    try:
        parsed_type = _evaluate(ast.parse(text, mode="eval").body)
        return cast(pl.DataType, parsed_type if isinstance(parsed_type, pl.DataType) else parsed_type())
    except (SyntaxError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{text} is not a polars type") from error


def _evaluate(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if isinstance(kind := getattr(pl, name), type) and issubclass(kind, pl.DataType):
            return kind
        case ast.Call(func=ast.Name() as kind, args=args, keywords=keywords):
            named = {each.arg: _evaluate(each.value) for each in keywords if each.arg}
            return _evaluate(kind)(*map(_evaluate, args), **named)
        case ast.Dict(keys=keys, values=values):
            return {_evaluate(key): _evaluate(value) for key, value in zip(keys, values, strict=True) if key}
        case _:
            return ast.literal_eval(node)
