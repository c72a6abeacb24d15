"""Gives an expression the meaning that SQL defines, also where polars silently differs.

polars wraps integers that overflow, computes ``MONTH(day) * 100`` in 8 bits, rounds halves in three ways, and accepts
dates as numbers. All of this depends on the types of the operands. :func:`resolved` therefore walks the tree that
polars serializes, finds the type of each node, and replaces some nodes. docs/expressions.md describes the rules.

Overflow is detected separately from the value. The extremes of a batch's columns usually exclude it (interval
arithmetic). If they do not, each row is computed with more bits. The value is computed in the same way in both cases.
"""

from __future__ import annotations

import io
import json
import math
import operator
import re
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce
from typing import Any, NamedTuple, cast

import polars as pl

from shared.engine import column_types

Span = tuple[int, int]
"""The least and the greatest value that an integer may have."""
Extremes = dict[str, Span]

_SIGNED = {f"Int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64, 128)}
_UNSIGNED = {f"UInt{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64, 128)}
_RANGES: dict[str, Span] = _SIGNED | _UNSIGNED
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Plus": operator.add,
    "Minus": operator.sub,
    "Mul": operator.mul,
    "And": operator.and_,
    "Or": operator.or_,
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtEq": operator.le,
    "Gt": operator.gt,
    "GtEq": operator.ge,
}
_E = {"Literal": {"Dyn": {"Float": math.e}}}
_DIVISIONS = ("IntDiv", "Rem")
_COMPARISONS = {"Eq", "NotEq", "Lt", "LtEq", "Gt", "GtEq", "EqValidity", "NotEqValidity"}
_ADVICE = (
    "use DATE_PART('epoch', …) for seconds or DATE_PART('day', …) for a part; "
    "the difference of two dates is already a number of days"
)
_DEEP = pl.exceptions.ComputeError(
    "it is nested too deeply: about 40 functions or products within one another are allowed"
)
_NEARLY = 1 - 2.0**-40
"""Factor for a limit that is compared in floats, so that rounding hides no overflow."""


class Resolved(NamedTuple):
    """An expression, resolved for the types of its columns."""

    expression: pl.Expr
    overflow: pl.Expr | None
    """True for each row whose value overflows, or is computed from one that does. None if no row can overflow."""
    integers: tuple[str, ...]
    """Integer columns whose extremes decide whether a row may overflow."""
    may_overflow: Callable[[Extremes], bool]


def resolved(expression: pl.Expr, schema: pl.Schema) -> Resolved:
    """The expression for columns of these types.

    Raises:
        polars.exceptions.PolarsError: the expression does not fit the types, or uses a date as a number.
    """
    if expression.meta.is_column():
        return Resolved(expression, None, (), lambda _: False)
    types = tuple((name, schema[name]) for name in expression.meta.root_names() if name in schema)
    return _resolved(expression.meta.serialize(), tuple(dict.fromkeys(types)))


@lru_cache(maxsize=1024)
def _resolved(serialized: bytes, types: tuple[tuple[str, pl.DataType], ...]) -> Resolved:
    expression = pl.Expr.deserialize(serialized)
    try:
        before = json.loads(expression.meta.serialize(format="json"))
        node = _Resolver(dict(types)).resolve(before)
        after = expression if node.json == before else _expr(node.json)
    except RecursionError as error:
        raise _DEEP from error
    except pl.exceptions.PolarsError:
        # If this raises too, its message names the columns.
        pl.LazyFrame(schema=dict(types)).select(expression.alias("")).collect_schema()
        raise
    integers = tuple(name for name, dtype in types if dtype.is_integer())
    return Resolved(after, node.overflow, integers if node.overflow is not None else (), node.risk)


def extremes(frame: pl.DataFrame, expressions: Iterable[Resolved]) -> Extremes:
    """The least and the greatest value of each column that can make an expression overflow."""
    names = list(dict.fromkeys(name for each in expressions for name in each.integers))
    if not names:
        return {}
    low, high = pl.collect_all([frame.lazy().select(pl.col(names).min()), frame.lazy().select(pl.col(names).max())])
    return {name: (0, 0) if low[name][0] is None else (low[name][0], high[name][0]) for name in names}


def overflowing(expressions: Iterable[tuple[str, Resolved]], known: Extremes, rows: Callable[[], pl.DataFrame]) -> str:
    """Name of the first expression that overflows on a row; empty if none does.

    Args:
        known: extremes of a frame that contains these rows.
        rows: called only if the extremes do not exclude an overflow.
    """
    risky = {name: each.overflow for name, each in expressions if each.may_overflow(known)}
    guards = {name: guard.any() for name, guard in risky.items() if guard is not None}
    if not guards:
        return ""
    overflows = rows().select(guard.alias(name) for name, guard in guards.items())
    return next((name for name in guards if overflows[name].any()), "")


class _Node(NamedTuple):
    """A node of an expression's tree."""

    json: Any
    dtype: pl.DataType
    overflow: pl.Expr | None = None
    span: Callable[[Extremes], Span] = lambda _: (0, 0)
    """Range of an integer's values."""
    risk: Callable[[Extremes], bool] = lambda _: False

    @property
    def literal(self) -> int | None:
        """The value of an integer literal, which takes the type of the other operand."""
        match self.json:
            case {"Literal": {"Dyn": {"Int": value}}}:
                return cast(int, value)
        return None


class _Resolver:
    """Walks the tree from the leaves up."""

    def __init__(self, types: dict[str, pl.DataType]) -> None:
        self._types = types

    def resolve(self, tree: Any) -> _Node:
        match tree:
            case {"Column": name} if name in self._types:
                dtype = self._types[name]
                node = _Node(tree, dtype, span=lambda extremes: extremes.get(name, _range(dtype)))
                return _wide(node) if dtype in column_types.NARROW else node
            case {"Literal": {"Dyn": {"Int": value}}}:
                return _Node(tree, pl.Int64(), span=lambda _: (value, value))
            case {"Function": {"function": "FillNull", "input": [{"BinaryExpr": {"left": {"Function": find}}}, _]}} if (
                "Find" in str(find["function"])
            ):
                return _position(*(self.resolve(each) for each in find["input"]))
            case {"BinaryExpr": {"left": {"BinaryExpr": {"left": {"Function": part}, "op": "RustDivide"}}}} if (
                "TimeStamp" in str(part["function"])
            ):
                return _seconds(self.resolve(part["input"][0]))
            case {"BinaryExpr": {"left": left, "op": op, "right": right}}:
                inner = [self.resolve(left), self.resolve(right)]
                return _computed(op, inner, lambda *sides: _binary(sides[0], op, sides[1]))
            case {"Function": {"input": [left, right], "function": {"Sql": {"Binary": op}} as function}}:
                inner = [self.resolve(left), self.resolve(right)]
                return _computed(op, inner, lambda *inputs: {"Function": {"input": [*inputs], "function": function}})
            case {"Function": {"input": inputs, "function": function, **rest}} if not rest:
                return _called(function, [self.resolve(each) for each in inputs])
            case {"Cast": {"expr": inner, "dtype": {"Literal": _} as dtype, "options": options}}:
                return _cast(self.resolve(inner), dtype, options)
            case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
                return _chosen(*(self.resolve(each) for each in (predicate, truthy, falsy)))
        dtype = pl.LazyFrame(schema=self._types).select(_expr(tree).alias("")).collect_schema()[""]
        return _Node(tree, dtype, span=lambda _: _range(dtype))


def _node(shell: Callable[..., Any], inner: list[_Node], overflow: pl.Expr | None = None, **more: Any) -> _Node:
    """A node with these operands. polars computes its type with columns instead of operands, so the tree stays flat."""
    places = [each.json if "Literal" in each.json else {"Column": str(at)} for at, each in enumerate(inner)]
    types = tuple((str(at), each.dtype) for at, each in enumerate(inner))
    dtype = more.get("dtype") or _type(json.dumps(shell(*places)), types)
    span = more.get("span") or (lambda _: _range(dtype))
    any_overflow = _any(overflow, *(each.overflow for each in inner))
    risk = more.get("risk") or (lambda extremes: any(each.risk(extremes) for each in inner))
    node = _Node(shell(*(each.json for each in inner)), dtype, any_overflow, span, risk)
    integers = [each.literal is None for each in inner if each.dtype.is_integer()]
    is_constant = bool(integers) and not any(integers)  # polars would give it the type of the other operand
    return _wide(node) if dtype in column_types.NARROW or (dtype.is_integer() and is_constant) else node


def _native(expression: pl.Expr, dtype: pl.DataType, inner: list[_Node]) -> _Node:
    """A node whose tree is ``expression``."""
    tree = json.loads(expression.meta.serialize(format="json"))
    return _node(lambda *_: tree, inner, dtype=dtype)


def _wide(node: _Node) -> _Node:
    dtype = column_types.wide(node.dtype)
    return node._replace(json=_to_cast(node.json, str(dtype)), dtype=dtype)


@lru_cache(maxsize=4096)
def _type(shell: str, types: tuple[tuple[str, pl.DataType], ...]) -> pl.DataType:
    return pl.LazyFrame(schema=dict(types)).select(_expr(json.loads(shell)).alias("")).collect_schema()[""]


def _computed(op: str, inner: list[_Node], shell: Callable[..., Any]) -> _Node:
    """The node of an operator with two operands."""
    left, right = inner
    is_date = [each.dtype == pl.Date for each in inner]
    if op == "Minus" and all(is_date):
        return _node(lambda *dates: _binary(_days(dates[0]), op, _days(dates[1])), inner)
    if (op in ("Plus", "Minus") and is_date[0] and right.dtype.is_integer()) or (
        op == "Plus" and is_date[1] and left.dtype.is_integer()
    ):
        day = _expr(_binary(_days(left.json), op, _days(right.json)))
        return _node(
            lambda *days: _to_cast(_to_cast(_binary(_days(days[0]), op, _days(days[1])), "Int32"), "Date"),
            inner,
            _true(~day.is_between(*column_types.CALENDAR)),
            risk=lambda _: True,
        )
    if op in ("Plus", "Minus") and any(is_date) and pl.Duration in (left.dtype, right.dtype):
        inner = left, right = [_midnight(each) if each.dtype == pl.Date else each for each in inner]
    if op in _COMPARISONS:
        _require_alike(inner)
    if op in ("And", "Or") and left.dtype == pl.Boolean:
        node = _node(shell, inner)
        if right.overflow is None:
            return node
        decided = _expr(left.json).eq_missing(op == "Or")  # the left operand alone decides these rows
        return node._replace(overflow=_any(left.overflow, right.overflow & ~decided))
    if op not in ("Plus", "Minus", "Mul", *_DIVISIONS):
        return _node(shell, inner)
    values = left.literal, right.literal
    if op in _OPERATORS and None not in values:
        value = _OPERATORS[op](*values)
        if _fits((value, value), _RANGES["Int128"]):
            return _Node({"Literal": {"Dyn": {"Int": value}}}, pl.Int64(), span=lambda _: (value, value))
    if None not in values:  # otherwise polars divides in 32 bits
        inner = [_wide(left), right]
    node = _node(shell, inner)
    if node.dtype.is_temporal() and op in _OPERATORS:
        return node._replace(
            overflow=_any(node.overflow, _temporal_overflow(op, inner, node.dtype)), risk=lambda _: True
        )
    if not node.dtype.is_integer() or not all(each.dtype.is_integer() for each in inner):
        return node
    limits = _range(node.dtype)

    def span(extremes: Extremes) -> Span:
        return _spans(op, left.span(extremes), right.span(extremes))

    if op in _DIVISIONS:  # polars itself refuses the least integer // -1
        return node._replace(span=lambda extremes: _clipped(span(extremes), limits))
    return node._replace(
        overflow=_any(node.overflow, _integer_overflow(op, inner, node.dtype)),
        span=lambda extremes: _clipped(span(extremes), limits),
        risk=lambda extremes: not _fits(span(extremes), limits) or any(each.risk(extremes) for each in inner),
    )


def _called(function: Any, inner: list[_Node]) -> _Node:
    """The node of a function call."""

    def shell(*inputs: Any) -> Any:
        return {"Function": {"input": [*inputs], "function": function}}

    first = inner[0] if inner else None
    match function:
        case {"Sql": {"Round": {"decimals": digits}}} if first:
            function = {"Round": {"decimals": digits, "mode": "HalfAwayFromZero"}}
            return _scaled(_node(shell, inner, span=first.span), digits)
        case {"Truncate": {"decimals": digits}}:
            return _scaled(_node(shell, inner), digits)
        case "Ceil" | "Floor":
            return _scaled(_node(shell, inner), 0)
        case {"StringExpr": {"Strptime": [{"Literal": "Date"} as dtype, {"format": None} as options]}}:
            # Without a format, polars guesses it from the first text of the batch.
            function = {"StringExpr": {"Strptime": [dtype, options | {"format": "%Y-%m-%d"}]}}
        case {"TemporalExpr": "OffsetBy"} if first:
            text = inner[1].json["Literal"]["Scalar"]["String"]
            if first.dtype == pl.Date and re.search(r"\d(h|m(?!o)|s|ms|us|ns)", text):
                inner = [first := _midnight(first), inner[1]]
            node, start = _node(shell, inner), _expr(first.json)
            after = _expr(node.json)
            wrapped = after > start if text.startswith("-") else after < start
            return node._replace(overflow=_any(node.overflow, _true(wrapped)), risk=lambda _: True)
        case "Coalesce" | "MaxHorizontal" | "MinHorizontal":
            _require_alike(inner)
            node = _node(shell, inner, span=lambda extremes: _hull(each.span(extremes) for each in inner))
            if function == "Coalesce" and node.overflow is not None:
                return node._replace(overflow=_first_overflow(inner))
            return node
        case "Abs" if first and first.dtype.is_integer():
            return _absolute(shell, first if first.literal is None else _wide(first))
        case {"Pow": "Generic"} if first:
            return _power(shell, [first if first.literal is None else _wide(first), *inner[1:]])
        case "Log" if first and inner[1].json != _E:
            value, base = (_expr(each.json).cast(pl.Float64) for each in inner)
            power = _expr(shell(*(each.json for each in inner)))
            whole = power.round()  # in polars, LOG10(1000) is 2.9999999999999996
            return _native(pl.when(base.pow(whole) == value).then(whole).otherwise(power), pl.Float64(), inner)
        case {"Sql": "ToFloat"} if first and first.dtype.is_integer():
            return first
    node = _node(shell, inner)
    if function in ({"Pow": "Sqrt"}, {"Pow": "Cbrt"}):  # polars reports the operand's type
        if first and first.dtype.is_temporal():
            raise _refused("a date or a time is used as a number")
        return node._replace(dtype=node.dtype if node.dtype.is_float() else pl.Float64())
    return node


def _cast(inner: _Node, dtype: Any, options: str) -> _Node:
    def shell(of: Any) -> Any:
        return {"Cast": {"expr": of, "dtype": dtype, "options": options}}

    node = _node(shell, [inner], span=inner.span if inner.dtype.is_integer() else None)
    to = _type(json.dumps(shell({"Column": "0"})), (("0", inner.dtype),))
    if to.is_numeric() != inner.dtype.is_numeric() and to.is_temporal() != inner.dtype.is_temporal():
        if to.is_temporal() and inner.dtype.is_numeric():
            raise _refused(
                "a number is cast to a date or a time", "use STRPTIME(CAST(… AS VARCHAR), '%Y%m%d') to read 20130131"
            )
        if inner.dtype.is_temporal() and to.is_numeric():
            raise _refused(f"{_word(inner.dtype)} is cast to a number")
    if inner.dtype == pl.String and to == pl.Datetime:
        raise _refused(
            "text is cast to a timestamp", "use TIMESTAMP(…), or STRPTIME(…, '%d.%m.%Y %H:%M') to give the format"
        )
    if inner.dtype == pl.String and to == pl.Date:
        return _native(_expr(inner.json).str.to_date("%Y-%m-%d", strict=options == "Strict"), to, [inner])
    if to.is_integer():
        limits = _range(to)
        span = inner.span
        if inner.dtype.is_integer():
            return node._replace(span=lambda extremes: _clipped(span(extremes), limits))
        if inner.dtype.is_float() or inner.dtype.is_decimal():
            return _node(lambda of: shell(_rounded(of, 0)), [inner], span=lambda _: limits)
    if to == pl.Float32:
        wrapped = _expr(node.json).is_infinite() & ~_expr(inner.json).cast(pl.Float64).is_infinite()
        return node._replace(overflow=_any(node.overflow, _true(wrapped)), risk=lambda _: True)
    if isinstance(to, pl.Decimal):
        precision, scale = to.precision, to.scale
        if inner.dtype.is_float() or (isinstance(inner.dtype, pl.Decimal) and inner.dtype.scale > scale):
            return _node(lambda of: shell(_rounded(of, scale)), [inner])
        if inner.dtype == pl.String:
            wide = {"Decimal": [38, min(38, max(scale + 1, 38 - (precision - scale)))]}
            return _node(
                lambda of: shell(
                    _rounded({"Cast": {"expr": of, "dtype": {"Literal": wide}, "options": options}}, scale)
                ),
                [inner],
            )
    return node


def _chosen(predicate: _Node, truthy: _Node, falsy: _Node) -> _Node:
    _require_alike([truthy, falsy])
    inner = [predicate, truthy, falsy]
    node = _node(
        lambda p, t, f: {"Ternary": {"predicate": p, "truthy": t, "falsy": f}},
        inner,
        span=lambda extremes: _hull([truthy.span(extremes), falsy.span(extremes)]),
    )
    if node.overflow is None:
        return node
    no = pl.lit(False)
    chosen = pl.when(_expr(predicate.json)).then(_or(truthy.overflow, no)).otherwise(_or(falsy.overflow, no))
    return node._replace(overflow=_any(predicate.overflow, chosen))


def _or(overflow: pl.Expr | None, otherwise: pl.Expr) -> pl.Expr:
    return otherwise if overflow is None else overflow


def _first_overflow(inner: list[_Node]) -> pl.Expr | None:
    """Whether one of the values up to the first that is not null overflows."""
    overflow, all_null = None, pl.lit(True)
    for each in inner:
        if each.overflow is not None:
            overflow = _any(overflow, each.overflow & all_null)
        all_null = all_null & _expr(each.json).is_null()
    return overflow


def _absolute(shell: Callable[..., Any], inner: _Node) -> _Node:
    least = _range(inner.dtype)[0]
    overflow = _true(_expr(inner.json) == least) if least else None

    def span(extremes: Extremes) -> Span:
        low, high = inner.span(extremes)
        return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))

    return _node(
        shell,
        [inner],
        overflow,
        span=lambda extremes: _clipped(span(extremes), _range(inner.dtype)),
        risk=lambda extremes: (least < 0 and inner.span(extremes)[0] <= least) or inner.risk(extremes),
    )


def _power(shell: Callable[..., Any], inner: list[_Node]) -> _Node:
    node = _node(shell, inner)
    if not node.dtype.is_integer():
        return node
    base, exponent = (_expr(each.json).cast(pl.Float64) for each in inner)
    limits = _range(node.dtype)
    wrapped = _true(base.pow(exponent).abs() >= limits[1] * _NEARLY)

    def risk(extremes: Extremes) -> bool:
        (low, high), (_, most) = (each.span(extremes) for each in inner)
        largest = max(abs(low), abs(high))
        is_sure = largest < 2 or (0 <= most < 128 and largest**most < limits[1] * _NEARLY)
        return not is_sure or any(each.risk(extremes) for each in inner)

    return node._replace(overflow=_any(node.overflow, wrapped), risk=risk)


def _integer_overflow(op: str, inner: list[_Node], dtype: pl.DataType) -> pl.Expr:
    left, right = (_expr(each.json) for each in inner)
    low, high = _range(dtype)
    if dtype in (pl.Int128, pl.UInt128):
        value = _OPERATORS[op](left.cast(pl.Float64), right.cast(pl.Float64))
        return _true((value.abs() >= high * _NEARLY) | (value < low))
    return _true(~_OPERATORS[op](left.cast(pl.Int128), right.cast(pl.Int128)).is_between(low, high))


def _temporal_overflow(op: str, inner: list[_Node], dtype: pl.DataType) -> pl.Expr | None:
    if not isinstance(dtype, pl.Datetime | pl.Duration):
        return None
    unit = dtype.time_unit

    def ticks(each: _Node) -> pl.Expr | None:
        value = _expr(each.json)
        if each.dtype.is_integer():
            return value.cast(pl.Int128)
        if isinstance(each.dtype, pl.Duration):
            return value.cast(pl.Duration(unit)).cast(pl.Int64).cast(pl.Int128)
        if each.dtype.is_temporal():
            return value.cast(pl.Datetime(unit, getattr(each.dtype, "time_zone", None))).cast(pl.Int64).cast(pl.Int128)
        return None

    left, right = (ticks(each) for each in inner)
    if left is None or right is None:
        return None
    return _true(~_OPERATORS[op](left, right).is_between(*_RANGES["Int64"]))


def _position(text: _Node, part: _Node) -> _Node:
    """STRPOS in characters. polars counts bytes, reads the part as a pattern, and returns 0 for null."""
    whole, sought = _expr(text.json), _expr(part.json)
    at = whole.str.find(sought, literal=True)
    before = whole.str.splitn(sought, 2).struct.field("field_0").str.len_chars().cast(pl.Int64)
    position = pl.when(at == 0).then(pl.lit(1, pl.Int64)).otherwise(before + 1)
    value = pl.when(whole.is_not_null() & sought.is_not_null()).then(
        pl.when(at.is_null()).then(pl.lit(0, pl.Int64)).otherwise(position)
    )
    return _native(value, pl.Int64(), [text, part])


def _seconds(of: _Node) -> _Node:
    """DATE_PART('epoch', …). polars computes it in nanoseconds: null after 2262, wrong before 1970."""
    zone = getattr(of.dtype, "time_zone", None)
    ticks = pl.Duration("us") if of.dtype == pl.Duration else pl.Datetime("us", zone)
    if not of.dtype.is_temporal() or of.dtype == pl.Time:
        raise _refused(
            f"DATE_PART('epoch', …) of {_word(of.dtype)} is not possible",
            "a date, a timestamp, or a difference of timestamps is allowed",
        )
    value = _expr(of.json).cast(ticks).cast(pl.Int64) / pl.lit(1e6)
    return _native(value, pl.Float64(), [of])


def _scaled(node: _Node, digits: int) -> _Node:
    """The decimal with a scale of ``digits``, if its scale is larger."""
    if isinstance(node.dtype, pl.Decimal) and node.dtype.scale > digits:
        to = pl.Decimal(node.dtype.precision, digits)
        tree = _to_cast(node.json, {"Decimal": [node.dtype.precision, digits]})
        return node._replace(json=tree, dtype=to)
    return node


def _rounded(tree: Any, digits: int) -> Any:
    return {"Function": {"input": [tree], "function": {"Round": {"decimals": digits, "mode": "HalfAwayFromZero"}}}}


def _binary(left: Any, op: str, right: Any) -> Any:
    return {"BinaryExpr": {"left": left, "op": op, "right": right}}


def _to_cast(tree: Any, dtype: Any) -> Any:
    return {"Cast": {"expr": tree, "dtype": {"Literal": dtype}, "options": "Strict"}}


def _days(tree: Any) -> Any:
    """A date as days since 1970, or a number of days. A number that no date has fails in the cast to 32 bits."""
    return _to_cast(_to_cast(tree, "Int32"), "Int64")


def _midnight(node: _Node) -> _Node:
    return node._replace(json=_to_cast(node.json, {"Datetime": ["Microseconds", None]}), dtype=pl.Datetime("us"))


def _require_alike(inner: list[_Node]) -> None:
    """Refuses to mix dates and numbers: polars would read the date as days since 1970."""
    kinds = {each.dtype.is_temporal() for each in inner if each.dtype.is_temporal() or each.dtype.is_numeric()}
    if len(kinds) > 1:
        detail = "a date or a time is mixed with a number"
        raise _refused(detail, "write a date as DATE '2013-01-31'; the difference of two dates is a number of days")


def _word(dtype: pl.DataType) -> str:
    return "a difference of timestamps" if dtype == pl.Duration else f"a {column_types.word(dtype)}"


def _refused(detail: str, advice: str = _ADVICE) -> pl.exceptions.InvalidOperationError:
    return pl.exceptions.InvalidOperationError(f"{detail}; {advice}")


def _true(condition: Any) -> pl.Expr:
    """The condition, with false instead of null."""
    return cast(pl.Expr, condition.fill_null(False))


def _any(*conditions: pl.Expr | None) -> pl.Expr | None:
    present = [each for each in conditions if each is not None]
    return reduce(operator.or_, present) if present else None


def _range(dtype: pl.DataType) -> Span:
    return _RANGES.get(str(dtype), _RANGES["Int64"])


def _fits(span: Span, limits: Span) -> bool:
    return limits[0] <= span[0] and span[1] <= limits[1]


def _clipped(span: Span, limits: Span) -> Span:
    return max(min(span[0], limits[1]), limits[0]), min(max(span[1], limits[0]), limits[1])


def _hull(spans: Iterable[Span]) -> Span:
    lows, highs = zip(*spans, strict=True)
    return min(lows), max(highs)


def _spans(op: str, left: Span, right: Span) -> Span:
    if op == "IntDiv" or op == "Rem":
        most = max(map(abs, left))
        if op == "Rem":
            most = min(most, max(map(abs, right)))
        return (-most if left[0] < 0 or (op == "IntDiv" and right[0] < 0) else 0), most
    ends = [_OPERATORS[op](one, other) for one in left for other in right]
    return min(ends), max(ends)


def _expr(tree: Any) -> pl.Expr:
    """The expression of a tree. A chain of operators is combined here, because polars cannot read deep JSON."""
    match tree:
        case {"BinaryExpr": {"left": left, "op": op, "right": right}} if op in _OPERATORS:
            return cast(pl.Expr, _OPERATORS[op](_expr(left), _expr(right)))
        case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
            return pl.when(_expr(predicate)).then(_expr(truthy)).otherwise(_expr(falsy))
    try:
        return pl.Expr.deserialize(io.BytesIO(json.dumps(tree).encode()), format="json")
    except pl.exceptions.ComputeError as error:
        raise _DEEP from error
