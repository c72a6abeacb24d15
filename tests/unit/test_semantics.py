"""What expressions compute is what SQL says: no integer wraps, halves are rounded one way, dates are no numbers."""

from __future__ import annotations

import contextlib
import datetime
import operator
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.engine import sql
from shared.engine.query import Query
from shared.errors import ColumnMismatch, ExpressionFailed
from tests.unit.lake import parameter, report

LEAST, GREATEST = -(2**63), 2**63 - 1


def query(kind: str, expression: str, *filters: str) -> Query:
    """Column x by an expression, and filters by others that are to be at least 0."""
    written, *rules = (sql.checked(each)[0] for each in (expression, *filters))
    assert written
    parameters = {
        f"p{at}": parameter("integer", ">=", expression=each, monotonic=True)["p"] for at, each in enumerate(rules)
    }
    columns = [{"name": "x", "type": kind, "expression": written}]
    return Query.of(report(parameters=parameters) | {"columns": columns}, dict.fromkeys(parameters, 0), "acme")


def rows(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(tenant=pl.lit("acme"))


def computed(expression: str, frame: pl.DataFrame, kind: str = "integer") -> list[Any]:
    return query(kind, expression).apply(frame)["x"].to_list()


def divided(one: int, other: int) -> int | None:
    """Towards zero, as SQL divides."""
    return None if other == 0 else abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)


def remainder(one: int, other: int) -> int | None:
    return None if other == 0 else one - (divided(one, other) or 0) * other


OPERATORS: dict[str, Callable[[int, int], int | None]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": divided,
    "%": remainder,
}
EXTREMES = st.sampled_from([0, 1, -1, 2, 3, 2**31, 2**32 + 1, 3037000500, -3037000500, 2**62, LEAST, GREATEST])
INTEGERS = EXTREMES | st.integers(LEAST, GREATEST)
Tree = Any


def trees(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.tuples(st.sampled_from([*OPERATORS]), inner, inner)
            | st.tuples(st.sampled_from(["-", "ABS"]), inner)
            | st.tuples(st.just("CASE"), inner, inner, inner)
        ),
        max_leaves=6,
    )


def text(tree: Tree) -> str:
    match tree:
        case int():
            return f"({tree})" if tree < 0 else str(tree)
        case str():
            return tree
        case ("CASE", condition, one, other):
            return f"(CASE WHEN {text(condition)} > 0 THEN {text(one)} ELSE {text(other)} END)"
        case (op, one, other):
            return f"({text(one)} {op} {text(other)})"
        case (op, one):
            return f"({op}({text(one)}))"
    raise AssertionError(tree)


def exact(tree: Tree, row: dict[str, int | None], seen: list[int]) -> int | None:
    """The value, with every value on the way to it."""

    def inner(of: Tree) -> int | None:
        return exact(of, row, seen)

    value: int | None
    match tree:
        case int():
            value = tree
        case str():
            value = row[tree]
        case ("CASE", condition, one, other):
            value = inner(one) if (inner(condition) or 0) > 0 else inner(other)
        case (op, one, other):
            left, right = inner(one), inner(other)
            value = None if left is None or right is None else OPERATORS[op](left, right)
        case (op, one):
            of = inner(one)
            value = None if of is None else -of if op == "-" else abs(of)
        case _:
            raise AssertionError(tree)
    if value is not None:
        seen.append(value)
    return value


LITERALS = st.sampled_from([1, 2, 10_000, 2**31, GREATEST])


@settings(max_examples=max(80, settings.default.max_examples))  # type: ignore[union-attr]
@given(
    trees(st.sampled_from(["v", "w"]) | LITERALS),
    st.lists(st.tuples(INTEGERS | st.none(), INTEGERS | st.none()), min_size=1, max_size=4),
)
@example(("+", ("%", "v", "w"), 1), [(-7, 3), (LEAST, -1)])
def test_integers_are_exact_or_the_expression_fails(tree: Tree, values: list[tuple[int | None, int | None]]) -> None:
    asked = query("integer", text(tree))
    frame = pl.DataFrame(values, {"v": pl.Int64, "w": pl.Int64}, orient="row").with_columns(tenant=pl.lit("acme"))
    expected, failing = [], 0
    for row, (v, w) in zip(frame.iter_slices(1), values, strict=True):
        seen: list[int] = []
        expected.append(exact(tree, {"v": v, "w": w}, seen))
        try:
            assert asked.apply(row)["x"].to_list() == expected[-1:]
        except ExpressionFailed:
            failing += 1
            assert "//" in text(tree) or any(not LEAST <= each <= GREATEST for each in seen)
    if failing:  # the batch fails exactly where one of its rows does
        with pytest.raises(ExpressionFailed, match="the expression of x fails on the data"):
            asked.apply(frame)
    else:
        assert asked.apply(frame)["x"].to_list() == expected


@settings(max_examples=max(50, settings.default.max_examples))  # type: ignore[union-attr]
@given(
    trees(st.sampled_from(["v", "u", "h"]) | LITERALS),
    INTEGERS,
    st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    st.sampled_from([0, -1, 2**126, -(2**127), 2**127 - 1]) | INTEGERS,
)
def test_unsigned_and_wide_integers_are_exact_or_the_expression_fails(tree: Tree, v: int, u: int, h: int) -> None:
    frame = rows(v=pl.Series([v], dtype=pl.Int64), u=pl.Series([u], dtype=pl.UInt64), h=pl.Series([h], dtype=pl.Int128))
    with contextlib.suppress(ExpressionFailed):
        assert computed(text(tree), frame) == [exact(tree, {"v": v, "u": u, "h": h}, [])]


BIG = 2**62


def test_an_overflow_of_a_row_that_is_exported_names_the_column_or_the_parameter_and_no_value() -> None:
    frame = rows(v=[1, BIG, -BIG])
    with pytest.raises(ExpressionFailed, match=r"^the expression of x fails on the data: a value overflows its type$"):
        computed("v * 4", frame)
    with pytest.raises(ExpressionFailed, match="the expression of p1 fails on the data: a value overflows its type"):
        query("integer", "v", "v", "v * 4").apply(frame)
    with pytest.raises(ExpressionFailed, match="a value overflows its type"):
        computed("ABS(v)", rows(v=[LEAST, 0]))
    others = frame.with_columns(tenant=pl.Series(["acme", "other", "acme"]))
    assert query("integer", "v * 4", "v").apply(others)["x"].to_list() == [4]


def test_what_a_row_does_not_need_may_overflow() -> None:
    for expression in (
        "CASE WHEN v < 1000 THEN v * 4 ELSE v END",
        "COALESCE(v, v * 4)",
        "CASE WHEN v < 1000 AND v * 4 > 0 THEN 1 ELSE v END",
        "CASE WHEN v > 1000 OR v * 4 > 0 THEN v ELSE 1 END",
    ):
        assert computed(expression, rows(v=[BIG])) == [BIG]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("POW(v, 2)", "integer"),
        ("POW(2, v)", "integer"),
        ("100000 * 100000 * 100000 * 100000 * v", "integer"),
        ("LENGTH(CAST(v * 4 AS VARCHAR))", "integer"),
        ("v * 4 > 0", "boolean"),
        ("GREATEST(v * 4, 1)", "integer"),
        ("INTERVAL '1 day' * v > INTERVAL '1 day'", "boolean"),
        ("at + INTERVAL '100 years'", "timestamp"),
        ("at + INTERVAL '1 day' * 30000", "timestamp"),
        ("day + v", "date"),
        ("CAST(v AS FLOAT(10)) * 0 = CAST(CAST(f AS FLOAT(10)) AS DOUBLE)", "boolean"),
    ],
)
def test_whatever_overflows_fails(expression: str, kind: str) -> None:
    at = pl.Series([datetime.datetime(2200, 1, 1)], dtype=pl.Datetime("ns"))
    frame = rows(v=[BIG], at=at, day=[datetime.date(2013, 1, 1)], f=[1e300])
    query(kind, expression).check(frame.schema)
    with pytest.raises(ExpressionFailed):
        computed(expression, frame, kind)


def test_bounds_that_overflow_leave_nothing_unread() -> None:
    [_, rule] = query("integer", "v", "v * 4").filters
    bounds = pl.DataFrame({"v": [BIG, -BIG, -1]})
    # 4 * BIG would wrap to 0, 4 * -BIG too; only -1 is sure to be less than 0.
    assert rule.may_match(bounds, bounds).to_list() == [True, True, False]


def test_the_bits_of_a_column_do_not_matter() -> None:
    """Integers of 8 bits come of MONTH and DAY, unsigned ones of LENGTH."""
    frame = rows(day=[datetime.date(2013, 12, 31)], s=["ab"])
    assert computed("MONTH(day) * 100 + DAY(day)", frame) == [1231]
    assert computed("LENGTH(s) - 5", frame) == [-3]


@given(
    st.decimals(-(10**9), 10**9, places=4) | st.sampled_from([*map(Decimal, ("0.1250", "-2.5000", "1.0050"))]),
    st.integers(0, 3),
)
def test_a_half_is_rounded_away_from_zero_by_every_way(value: Decimal, digits: int) -> None:
    frame = rows(d=pl.Series([value], dtype=pl.Decimal(20, 4)), t=[str(value)])
    expected = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    for way in (f"ROUND(d, {digits})", f"CAST(d AS DECIMAL(15,{digits}))", f"CAST(t AS DECIMAL(15,{digits}))"):
        [found] = computed(way, frame, "decimal")
        assert (found, found.as_tuple().exponent) == (expected, -digits)
    assert computed("CAST(d AS BIGINT)", frame) == [int(value.quantize(Decimal(1), ROUND_HALF_UP))]


@given(st.text("aü.€x", max_size=6), st.text("aü.x", max_size=2))
def test_a_position_counts_characters(text: str, part: str) -> None:
    assert computed("STRPOS(s, t)", rows(s=[text], t=[part])) == [text.find(part) + 1]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("CAST(day AS BIGINT)", "a date is cast to a number; use DATE_PART('epoch', …) for seconds"),
        ("CAST(at - at AS BIGINT)", "a difference of timestamps is cast to a number; use DATE_PART('epoch', …)"),
        ("day > 15000", "a date or a time is mixed with a number"),
        ("CASE WHEN v > 0 THEN day ELSE 5 END", "a date or a time is mixed with a number"),
        ("SQRT(day)", "a date or a time is used as a number"),
        ("CAST(v AS DATE)", "a number is cast to a date or a time; use STRPTIME"),
        ("CAST(s AS TIMESTAMP)", "text is cast to a timestamp; use TIMESTAMP"),
        ("nothing + 1", "the source has no column nothing"),
        ("UPPER(v)", "column x: "),
    ],
)
def test_a_date_that_would_be_a_number_is_refused_with_the_way(expression: str, says: str) -> None:
    schema = {"v": pl.Int64, "s": pl.String, "day": pl.Date, "at": pl.Datetime("us"), "tenant": pl.String}
    with pytest.raises(ColumnMismatch) as refused:
        query("integer", expression).check(pl.Schema(schema))
    assert says in str(refused.value)


def test_a_long_chain_is_computed_and_what_is_nested_too_deeply_refused() -> None:
    frame = rows(n=[3], s=["ab"], v=[1])
    branches = " ".join(f"WHEN n = {at} THEN {at} + n" for at in range(40, 0, -1))
    assert computed(" + ".join(["n * 2 - 1"] * 100), frame) == [500]
    assert computed(" || ".join(["s"] * 100), frame, "string") == ["ab" * 100]
    assert computed(f"CASE {branches} END", frame) == [6]
    with pytest.raises(ExpressionFailed, match="nested too deeply"):
        computed(" * ".join(["v"] * 100), frame)


def test_the_time_since_1970_is_right_whatever_the_century() -> None:
    half = datetime.datetime(1969, 12, 31, 23, 59, 59, 500000)
    days = [datetime.datetime(1, 1, 1), half, datetime.datetime(9999, 1, 1)]
    expected = [(day - datetime.datetime(1970, 1, 1)).total_seconds() for day in days]
    assert computed("DATE_PART('epoch', at)", rows(at=days), "number") == expected
