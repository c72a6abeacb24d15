"""Queries: what does not fit is refused with the column's name; filters compare, and never splice."""

import datetime
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.query import Filter, Query
from shared.errors import ColumnMismatch, ExpressionFailed

SCHEMA = pl.Schema({"tenant": pl.String, "clock": pl.Int64, "name": pl.String, "price": pl.Float64})


def query(columns: list[dict[str, Any]], parameters: dict[str, Any] | None = None, **values: Any) -> Query:
    definition = {
        "source": {"type": "parquet", "dataset": "d"},
        "tenant": "tenant",
        "parameters": parameters or {},
        "columns": columns,
    }
    return Query.of(definition, values, "acme")


def column(name: str, kind: str, expression: str | None = None) -> dict[str, Any]:
    return {"name": name, "type": kind} | ({"expression": expression} if expression else {})


def test_only_the_columns_that_are_needed_are_asked_for() -> None:
    filtered = {"p": {"type": "number", "filter": {"column": "price", "operator": ">"}}}
    assert query([column("name", "string")], filtered, p=1).needs() == ["name", "price", "tenant"]
    assert query([column("name", "string")], filtered).needs() == ["name", "tenant"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([column("nothing", "string")], "the source has no column nothing; it has: tenant, clock, name, price"),
        ([column("x", "string", "UPPER(nothing)")], "the source has no column nothing"),
        ([column("clock", "string")], "column clock is declared string, which needs text; the source gives Int64"),
        (
            [column("price", "integer")],
            "column price is declared integer, which needs an integer; the source gives Float64",
        ),
        (
            [column("name", "timestamp")],
            "column name is declared timestamp, which needs a timestamp; the source gives String",
        ),
    ],
)
def test_a_definition_that_does_not_fit_its_source_is_refused_by_name(columns: list[Any], message: str) -> None:
    with pytest.raises(ColumnMismatch, match=message):
        query(columns).check(SCHEMA)


def test_a_filter_that_cannot_compare_is_refused() -> None:
    filtered = {"p": {"type": "integer", "filter": {"column": "name", "operator": ">="}}}
    with pytest.raises(ColumnMismatch, match="the filter of p needs"):
        query([column("name", "string")], filtered, p=1).check(SCHEMA)


DAYS = pl.Schema({"tenant": pl.String, "day": pl.Date, "at": pl.Datetime("us", "UTC"), "number": pl.Int64})


@pytest.mark.parametrize(
    ("kind", "filtered", "value_as"),
    [
        ("date", "number", None),  # polars would compare it with days since 1970
        ("date", "tenant", None),
        ("date", "day", "yyyymmdd"),
        ("boolean", "tenant", None),  # polars would compare it with the text "true"
        ("integer", "day", None),
        ("string", "number", None),
    ],
)
def test_a_parameter_is_compared_with_its_own_kind_only(kind: str, filtered: str, value_as: str | None) -> None:
    rule = {"column": filtered, "operator": "=="} | ({"value_as": value_as} if value_as else {})
    value = {"date": "2026-01-01", "boolean": True, "integer": 1, "string": "x"}[kind]
    with pytest.raises(ColumnMismatch, match="the filter of p needs"):
        query([column("tenant", "string")], {"p": {"type": kind, "filter": rule}}, p=value).check(DAYS)


@pytest.mark.parametrize(
    ("filtered", "operator"),
    [
        ({"column": "day"}, "<="),
        ({"column": "at"}, ">="),
        ({"column": "at"}, "<"),
        ({"expression": "CAST(at AS DATE)"}, "<="),
    ],
)
def test_a_date_is_compared_with_dates_and_timestamps(filtered: dict[str, str], operator: str) -> None:
    rule = {"type": "date", "filter": filtered | {"operator": operator}}
    query([column("tenant", "string")], {"p": rule}, p="2026-01-01").check(DAYS)


@pytest.mark.parametrize("operator", ["<=", ">", "==", "!="])
def test_a_timestamp_is_not_compared_with_a_day_as_if_it_were_its_midnight(operator: str) -> None:
    """At midnight "<=" would leave out the last day's rows without a word."""
    rule = {"type": "date", "filter": {"column": "at", "operator": operator}}
    with pytest.raises(ColumnMismatch, match=f"compares a timestamp with a date by {operator}; only"):
        query([column("tenant", "string")], {"p": rule}, p="2026-01-01").check(DAYS)


def test_every_fault_is_named_at_once_with_its_place() -> None:
    with pytest.raises(ColumnMismatch) as refused:
        query([column("clock", "string"), column("price", "integer")]).check(SCHEMA)
    assert [fault["pointer"] for fault in refused.value.faults] == ["/columns/0", "/columns/1"]
    assert str(refused.value) == "; ".join(fault["detail"] for fault in refused.value.faults)


def test_columns_that_lie_in_memory_otherwise_than_each_other_leave_no_empty_chunk() -> None:
    numbers = pl.concat([pl.Series("n", [1]), pl.Series("n", [None], dtype=pl.Int64)], rechunk=False)
    rows = pl.concat([pl.DataFrame({"tenant": ["acme", "other"]}), numbers.to_frame()], how="horizontal")
    assert [column.chunk_lengths() for column in rows] == [[2], [1, 1]]
    found = query([column("n", "integer")]).apply(rows)
    assert (found.rows(), found["n"].chunk_lengths()) == ([(1,)], [1])


def test_data_that_is_not_as_declared_is_named_column_by_column() -> None:
    declared = {"tenant": "string", "clock": "number", "price": "number", "nothing": "date"}
    definition = {
        "source": {"type": "parquet", "dataset": "d", "columns": declared},
        "tenant": "tenant",
        "columns": [column("clock", "number")],
    }
    with pytest.raises(ColumnMismatch) as refused:
        Query.of(definition, {}, "acme").check(SCHEMA)
    assert str(refused.value) == (
        "column clock is declared number; the source gives integer; the source has no column nothing"
    )
    declared |= {"clock": "integer"}
    del declared["nothing"]
    Query.of(definition, {}, "acme").check(SCHEMA)  # which has a name that is not declared, too


def test_an_expression_that_fails_on_a_value_says_so() -> None:
    rows = pl.DataFrame({"tenant": ["acme"], "name": ["x"]})
    with pytest.raises(ExpressionFailed, match="the expression of n fails on the data"):
        query([column("n", "integer", "CAST(name AS BIGINT)")]).apply(rows)


@pytest.mark.parametrize("value", ["' OR 1=1 --", "x'; DROP TABLE exports; --", '"', "a%", "\\"])
def test_a_value_is_only_ever_a_value(value: str) -> None:
    filtered = {"p": {"type": "string", "filter": {"column": "name", "operator": "=="}}}
    rows = pl.DataFrame({"tenant": ["acme", "acme"], "name": [value, "other"]})
    assert query([column("name", "string")], filtered, p=value).apply(rows).to_dicts() == [{"name": value}]


def test_the_tenant_is_compared_whole_and_exactly() -> None:
    rows = pl.DataFrame({"tenant": ["acme", "ACME", "acme2", "", None], "name": ["1", "2", "3", "4", "5"]})
    assert query([column("name", "string")]).apply(rows).to_dicts() == [{"name": "1"}]


@pytest.mark.parametrize(
    ("operator", "kept"), [("==", [5]), ("!=", [4, 6]), ("<", [4]), ("<=", [4, 5]), (">", [6]), (">=", [5, 6])]
)
def test_every_operator_compares_and_leaves_nulls_out(operator: str, kept: list[int]) -> None:
    filtered = {"p": {"type": "integer", "filter": {"column": "clock", "operator": operator}}}
    rows = pl.DataFrame({"tenant": ["acme"] * 4, "clock": [4, 5, 6, None]})
    found = query([column("clock", "integer")], filtered, p=5).apply(rows)
    assert found["clock"].to_list() == kept


def kept(kind: str, operator: str, value: Any, rows: pl.DataFrame, **rule: Any) -> list[Any]:
    """The values of column x that pass."""
    filtered = {"p": {"type": kind, "filter": {"column": "x", "operator": operator} | rule}}
    asked = query([column("x", "string")], filtered, p=value)
    assert [each for each in asked.misfits(rows.schema) if each["pointer"].startswith("/parameters")] == []
    return asked.apply(rows)["x"].to_list()


def of(*values: Any, dtype: Any = None) -> pl.DataFrame:
    """Rows of the tenant's with these values in column x."""
    return pl.DataFrame({"tenant": ["acme"] * len(values), "x": pl.Series(values, dtype=dtype)})


@pytest.mark.parametrize(
    ("kind", "given", "rows", "passing"),
    [
        ("string", ["a", "c"], of("a", "b", None, "c", "A"), ["a", "c"]),
        ("string", ["a"], of("a", "b", None, dtype=pl.Categorical), ["a"]),
        ("integer", [2**53 + 1, 0], of(2**53, 2**53 + 1, None, dtype=pl.UInt64), [2**53 + 1]),
        ("number", [1, 2.5, 10**30], of(1.0, 2.0, 2.5, None), [1.0, 2.5]),
        ("boolean", [True], of(True, False, None), [True]),
        ("date", ["2026-01-31"], of(datetime.date(2026, 1, 31), None), [datetime.date(2026, 1, 31)]),
    ],
)
def test_in_keeps_the_rows_that_equal_one_of_the_values(
    kind: str, given: list[Any], rows: pl.DataFrame, passing: list[Any]
) -> None:
    assert kept(kind, "in", given, rows) == passing


def test_in_compares_days_as_integers_where_it_is_told_to() -> None:
    assert kept("date", "in", ["2026-01-31", "2026-02-01"], of(20260131, 20260202), value_as="yyyymmdd") == [20260131]


def test_contains_takes_the_text_as_it_is() -> None:
    rows = of("a.b*", "axb", "A.B*", None, "", "100% [x]")
    assert kept("string", "contains", "a.b*", rows) == ["a.b*"]
    assert kept("string", "contains", "% [", rows) == ["100% [x]"]
    assert kept("string", "contains", "x", of("ax", "b", dtype=pl.Categorical)) == ["ax"]


@pytest.mark.parametrize("rows", [of(1, None), of("", None), of(float("nan"), None), of([1], None)])
def test_is_null_keeps_the_rows_without_a_value_or_those_with_one(rows: pl.DataFrame) -> None:
    assert kept("boolean", "is null", True, rows) == [None]
    [value] = kept("boolean", "is null", False, rows)
    assert value is not None


@pytest.mark.parametrize(
    ("kind", "operator", "value", "column"),
    [
        ("string", "in", ["x"], "number"),
        ("date", "in", ["2026-01-01"], "at"),
        ("integer", "in", [1], "tenant"),
        ("string", "contains", "x", "number"),
    ],
)
def test_a_list_and_a_part_of_a_text_are_compared_with_their_own_kind_only(
    kind: str, operator: str, value: Any, column: str
) -> None:
    filtered = {"p": {"type": kind, "filter": {"column": column, "operator": operator}}}
    with pytest.raises(ColumnMismatch, match=r"the filter of p (needs|compares)"):
        query([{"name": "tenant", "type": "string"}], filtered, p=value).check(DAYS)


VALUES = {
    "integer": (pl.Int64, st.integers(-3, 3)),
    "string": (pl.String, st.text("ab", max_size=2)),
    "date": (pl.Date, st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 1, 4))),
}
ASKED: dict[str, Callable[[st.SearchStrategy[Any]], st.SearchStrategy[Any]]] = {
    "==": lambda one: one,
    "!=": lambda one: one,
    "<": lambda one: one,
    "<=": lambda one: one,
    ">": lambda one: one,
    ">=": lambda one: one,
    "in": lambda one: st.lists(one, min_size=1, max_size=3),
    "contains": lambda one: one,
    "is null": lambda _: st.booleans(),
}


@given(st.data(), st.sampled_from(sorted(VALUES)), st.sampled_from(list(ASKED)))
def test_no_group_is_left_out_that_has_a_row_which_passes(data: st.DataObject, kind: str, operator: str) -> None:
    if operator == "contains":
        kind = "string"
    dtype, one = VALUES[kind]
    groups = data.draw(st.lists(st.lists(st.none() | one, min_size=1, max_size=4), min_size=1, max_size=4))
    rule = Filter("p", pl.col("x"), operator, data.draw(ASKED[operator](one)), monotonic=True)
    columns = [pl.Series("x", group, dtype=dtype) for group in groups]
    low, high = (
        pl.DataFrame(
            {"x": pl.Series([side(each.drop_nulls().to_list(), default=None) for each in columns], dtype=dtype)}
        )
        for side in (min, max)
    )
    may = rule.may_match(low, high).to_list()
    for group, column_of, kept_group in zip(groups, columns, may, strict=True):
        passing = column_of.to_frame().filter(rule.predicate()).height
        assert kept_group or not passing
        if set(group) == {group[0]} and group[0] is not None and operator in ("==", "in", "contains"):
            assert kept_group == bool(passing), "a partition, whose bounds are its value, is left out"


@pytest.mark.parametrize("value", [2**63, 10**30, 10**300, -(10**300), 1.7e308])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Float64, pl.Decimal(38, 2)])
def test_a_number_of_any_size_is_compared(value: float, dtype: Any) -> None:
    filtered = {"p": {"type": "number", "filter": {"column": "n", "operator": "<="}}}
    rows = pl.DataFrame({"tenant": ["acme"], "n": pl.Series([5]).cast(dtype)})
    assert query([column("n", "number")], filtered, p=value).apply(rows).height == (value > 0)


def test_a_constant_is_a_value_for_each_row() -> None:
    asked = query([column("name", "string"), column("unit", "string", "'miles'")])
    asked.check(SCHEMA)
    rows = pl.DataFrame({"tenant": ["acme"] * 2, "name": ["x", "y"]})
    assert asked.apply(rows).to_dicts() == [{"name": "x", "unit": "miles"}, {"name": "y", "unit": "miles"}]
    assert query([column("unit", "string", "'miles'")]).apply(rows).to_dicts() == [{"unit": "miles"}] * 2


def test_an_error_shows_no_value_neither_of_the_tenant_nor_of_another() -> None:
    rows = pl.DataFrame({"tenant": ["acme", "other"], "name": ["secret-of-acme", "secret-of-other"]})
    with pytest.raises(ExpressionFailed) as failed:
        query([column("n", "integer", "CAST(name AS BIGINT)")]).apply(rows)
    assert "secret" not in str(failed.value)
    assert "conversion from `str` to `i64` failed" in str(failed.value)


def test_a_value_of_another_tenant_fails_nobody_elses_export() -> None:
    rows = pl.DataFrame({"tenant": ["acme", "other"], "name": ["1", "not a number"]})
    filtered = {"p": {"type": "integer", "filter": {"expression": "CAST(name AS BIGINT)", "operator": ">="}}}
    found = query([column("n", "integer", "CAST(name AS BIGINT)")], filtered, p=0).apply(rows)
    assert found.to_dicts() == [{"n": 1}]
