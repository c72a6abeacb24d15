"""Queries: what does not fit is refused with the column's name; filters compare, and never splice."""

import datetime
from typing import Any

import polars as pl
import pytest

from shared.engine.query import Query
from shared.errors import ColumnMismatch, ExpressionFailed
from tests.unit.lake import parameter, report

SCHEMA = pl.Schema({"tenant": pl.String, "clock": pl.Int64, "name": pl.String, "price": pl.Float64})


def query(columns: list[dict[str, Any]], parameters: dict[str, Any] | None = None, **values: Any) -> Query:
    return Query.of(report(parameters=parameters) | {"columns": columns}, values, "acme")


def column(name: str, kind: str, expression: str | None = None) -> dict[str, Any]:
    return {"name": name, "type": kind} | ({"expression": expression} if expression else {})


def filtered(kind: str, operator: str, value: Any, of: str = "x", **rule: Any) -> Query:
    """A query of column x, filtered by the parameter p."""
    return query([column("x", "string")], parameter(kind, operator, of, **rule), p=value)


def test_only_the_columns_that_are_needed_are_asked_for() -> None:
    by_price = parameter("number", ">", "price")
    assert query([column("name", "string")], by_price, p=1).needs() == ["name", "price", "tenant"]
    assert query([column("name", "string")], by_price).needs() == ["name", "tenant"]


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (column("clock", "string"), "column clock is declared string, which needs text; the source gives Int64"),
        (column("price", "integer"), "price is declared integer, which needs an integer; the source gives Float64"),
        (column("name", "timestamp"), "name is declared timestamp, which needs a timestamp; the source gives String"),
    ],
)
def test_every_column_that_does_not_fit_its_source_is_refused_by_name_and_place(
    shown: dict[str, Any], message: str
) -> None:
    with pytest.raises(ColumnMismatch, match=message) as refused:
        query([column("name", "string"), shown, shown]).check(SCHEMA)
    assert [fault["pointer"] for fault in refused.value.faults] == ["/columns/1", "/columns/2"]
    assert str(refused.value) == "; ".join(fault["detail"] for fault in refused.value.faults)


@pytest.mark.parametrize("expression", [None, "UPPER(nothing)"])
def test_a_column_that_the_source_does_not_have_is_named_beside_those_that_it_has(expression: str | None) -> None:
    with pytest.raises(ColumnMismatch, match="the source has no column nothing; it has: tenant, clock, name, price"):
        query([column("nothing", "string", expression)]).check(SCHEMA)


DAYS = pl.Schema(
    {"tenant": pl.String, "x": pl.String, "day": pl.Date, "at": pl.Datetime("us", "UTC"), "number": pl.Int64}
)
A_DAY = "2026-01-01"


@pytest.mark.parametrize(
    ("kind", "operator", "value", "of", "rule"),
    [
        ("date", "==", A_DAY, "number", {}),  # polars would compare it with days since 1970
        ("date", "==", A_DAY, "x", {}),
        ("date", "==", A_DAY, "day", {"value_as": "yyyymmdd"}),
        ("date", "in", [A_DAY], "at", {}),
        ("boolean", "==", True, "x", {}),  # polars would compare it with the text "true"
        ("integer", "==", 1, "day", {}),
        ("integer", "in", [1], "x", {}),
        ("string", "==", "x", "number", {}),
        ("string", "in", ["x"], "number", {}),
        ("string", "contains", "x", "number", {}),
    ],
)
def test_a_parameter_is_compared_with_its_own_kind_only(
    kind: str, operator: str, value: Any, of: str, rule: dict[str, str]
) -> None:
    with pytest.raises(ColumnMismatch, match=r"the filter of p (needs|compares)"):
        filtered(kind, operator, value, of, **rule).check(DAYS)


def test_a_date_is_compared_with_dates_and_with_timestamps_where_midnight_is_meant() -> None:
    for operator in ("<=", ">", "==", "!=", "<", ">="):
        filtered("date", operator, A_DAY, "day").check(DAYS)
        filtered("date", operator, A_DAY, expression="CAST(at AS DATE)").check(DAYS)
        if operator in ("<", ">="):
            filtered("date", operator, A_DAY, "at").check(DAYS)
            continue
        # At midnight "<=" would leave out the last day's rows without a word.
        with pytest.raises(ColumnMismatch, match=f"compares a timestamp with a date by {operator}; only"):
            filtered("date", operator, A_DAY, "at").check(DAYS)


def test_columns_that_lie_in_memory_otherwise_than_each_other_leave_no_empty_chunk() -> None:
    numbers = pl.concat([pl.Series("n", [1]), pl.Series("n", [None], dtype=pl.Int64)], rechunk=False)
    rows = pl.concat([pl.DataFrame({"tenant": ["acme", "other"]}), numbers.to_frame()], how="horizontal")
    assert [column.chunk_lengths() for column in rows] == [[2], [1, 1]]
    found = query([column("n", "integer")]).apply(rows)
    assert (found.rows(), found["n"].chunk_lengths()) == ([(1,)], [1])


def test_data_that_is_not_as_declared_is_named_column_by_column() -> None:
    def check(**declared: str) -> None:
        definition = report("clock:number", columns={"tenant": "string", "price": "number"} | declared)
        Query.of(definition, {}, "acme").check(SCHEMA)

    said = "^column clock is declared number; the source gives integer; the source has no column nothing$"
    with pytest.raises(ColumnMismatch, match=said):
        check(clock="number", nothing="date")
    check(clock="integer")  # the source has a column that is not declared, too


@pytest.mark.parametrize("value", ["' OR 1=1 --", "x'; DROP TABLE exports; --", '"', "a%", "\\"])
def test_a_value_is_only_ever_a_value(value: str) -> None:
    assert filtered("string", "==", value).apply(of(value, "other"))["x"].to_list() == [value]


def test_the_tenant_is_compared_whole_and_exactly() -> None:
    others = ["ACME", "acme2", "acme ", "acme\0", "ａｃｍｅ", "\u0430cme", "acme\u200d", "%", "", None]
    rows = pl.DataFrame({"tenant": ["acme", *others], "name": [str(number) for number in range(1, len(others) + 2)]})
    assert query([column("name", "string")]).apply(rows).to_dicts() == [{"name": "1"}]


def of(*values: Any, dtype: Any = None) -> pl.DataFrame:
    """Rows of the tenant's with these values in column x."""
    return pl.DataFrame({"tenant": ["acme"] * len(values), "x": pl.Series(values, dtype=dtype)})


LIKE = of("a.b*", "axb", "A.B*", None, "", "100% [x]")
LAST = datetime.date(2026, 1, 31)


COMPARED = {"==": [5], "!=": [4, 6], "<": [4], "<=": [4, 5], ">": [6], ">=": [5, 6]}


@pytest.mark.parametrize(
    ("kind", "operator", "given", "rows", "passing"),
    [
        *(("integer", operator, 5, of(4, 5, 6, None), passing) for operator, passing in COMPARED.items()),
        ("string", "in", ["a", "c"], of("a", "b", None, "c", "A"), ["a", "c"]),
        ("string", "in", ["a"], of("a", "b", None, dtype=pl.Categorical), ["a"]),
        ("integer", "in", [2**53 + 1, 0], of(2**53, 2**53 + 1, None, dtype=pl.UInt64), [2**53 + 1]),
        ("number", "in", [1, 2.5, 10**30], of(1.0, 2.0, 2.5, None), [1.0, 2.5]),
        ("boolean", "in", [True], of(True, False, None), [True]),
        ("date", "in", [str(LAST)], of(LAST, None), [LAST]),
        *(("string", "contains", text, LIKE, [whole]) for text, whole in {"a.b*": "a.b*", "% [": "100% [x]"}.items()),
        ("string", "contains", "x", of("ax", "b", dtype=pl.Categorical), ["ax"]),
        *(("boolean", "is null", True, of(value, None), [None]) for value in (1, "", float("nan"), [1])),
        *(("boolean", "is null", False, of(value, None), [value]) for value in (1, "", [1])),
    ],
)
def test_every_operator_compares_and_leaves_nulls_out(
    kind: str, operator: str, given: Any, rows: pl.DataFrame, passing: list[Any]
) -> None:
    asked = filtered(kind, operator, given)
    assert not any(fault["pointer"].startswith("/parameters") for fault in asked.misfits(rows.schema))
    assert asked.apply(rows)["x"].to_list() == passing


def test_in_compares_days_as_integers_where_it_is_told_to() -> None:
    days = filtered("date", "in", ["2026-01-31", "2026-02-01"], value_as="yyyymmdd")
    assert days.apply(of(20260131, 20260202))["x"].to_list() == [20260131]


@pytest.mark.parametrize("value", [2**63, 10**30, 10**300, -(10**300), 1.7e308])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Float64, pl.Decimal(38, 2)])
def test_a_number_of_any_size_is_compared(value: float, dtype: Any) -> None:
    rows = of(5).with_columns(pl.col("x").cast(dtype))
    assert filtered("number", "<=", value).apply(rows).height == (value > 0)


def test_a_constant_is_a_value_for_each_row() -> None:
    unit, rows = column("unit", "string", "'miles'"), pl.DataFrame({"tenant": ["acme"] * 2, "name": ["x", "y"]})
    query([unit]).check(SCHEMA)
    assert query([column("name", "string"), unit]).apply(rows).rows() == [("x", "miles"), ("y", "miles")]
    assert query([unit]).apply(rows).rows() == [("miles",)] * 2


def test_an_error_shows_no_value_and_a_value_of_another_tenant_fails_nobody_elses_export() -> None:
    number = "CAST(name AS BIGINT)"
    asked = query([column("n", "integer", number)], parameter("integer", ">=", expression=number), p=0)
    rows = pl.DataFrame({"tenant": ["acme", "other"], "name": ["1", "secret"]})
    assert asked.apply(rows).to_dicts() == [{"n": 1}]
    said = "the expression of (n|p) fails on the data: conversion from `str` to `i64` failed"
    with pytest.raises(ExpressionFailed, match=said) as failed:
        asked.apply(rows.with_columns(tenant=pl.lit("acme")))
    assert "secret" not in str(failed.value)
