"""A report of Parquet files with an order or a limit has the rows, values and errors that it has without."""

from __future__ import annotations

import datetime
import decimal
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from shared.catalogue.reports import Report
from shared.engine.query import Query
from shared.engine.sources import results
from shared.errors import ColumnMismatch, ExportError
from shared.queries import engine, tables
from shared.queries.statement import Statement
from tests.unit.lake import BUCKET, Lake, by_arrow, in_memory, shown
from tests.unit.queries.support import LIMITS, put, record

D, T = datetime.date, datetime.datetime
DAYS = st.dates(D(2013, 1, 30), D(2013, 2, 2))
SMALL = st.integers(-3, 3)
FLOATS = st.sampled_from([-1.5, -0.0, 0.0, 1.0, 2.5, float("nan"), float("inf")])
CENTS = st.integers(-300, 300).map(lambda cents: decimal.Decimal(cents).scaleb(-2))
TEXTS = st.sampled_from(["", "a", "ab", "B", "é", "1", "2013-01-31"])
MOMENTS = st.datetimes(T(2013, 1, 30, 22), T(2013, 2, 2, 2)).map(
    lambda moment: moment.replace(microsecond=0)
) | DAYS.map(lambda day: T(day.year, day.month, day.day))
COLUMNS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "i": ("integer", pa.int64(), SMALL | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1])),
    "narrow": ("integer", pa.int16(), SMALL | st.sampled_from([2**15 - 1])),
    "f": ("number", pa.float64(), FLOATS),
    "d": ("decimal(5,2)", pa.decimal128(5, 2), CENTS),
    "s": ("string", pa.string(), TEXTS),
    "b": ("boolean", pa.bool_(), st.booleans()),
    "on": ("date", pa.date32(), DAYS),
    "ts": ("timestamp", pa.timestamp("us"), MOMENTS),
    "tz": ("timestamp(UTC)", pa.timestamp("us", "UTC"), MOMENTS),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, _, values) in COLUMNS.items()})
SCHEMA = pa.schema([(name, kind) for name, (_, kind, _) in COLUMNS.items()])
DECLARED = {name: declared for name, (declared, _, _) in COLUMNS.items()} | {"k": "integer"}

ORDERED = ["==", "!=", "<", "<=", ">", ">="]
VALUES = {
    "integer": SMALL | st.sampled_from([2**53, 2**53 + 1]),
    "number": st.sampled_from([-1.5, 0.0, 1.0, 1.25, 2.5, 1, 2**53 + 1]),
    "string": TEXTS,
    "boolean": st.booleans(),
    "date": DAYS.map(str),
}
COMPARED = {
    "i": ("integer", "number"),
    "narrow": ("integer",),
    "f": ("number", "integer"),
    "d": ("number", "integer"),
    "s": ("string",),
    "b": ("boolean",),
    "on": ("date",),
    "ts": ("date",),
    "tz": ("date",),
}
EXPRESSIONS = {
    "narrow * 1000": "integer",
    "i + narrow": "integer",
    "ABS(narrow)": "integer",
    "COALESCE(f, 0)": "number",
    "UPPER(s)": "string",
    "s || 'x'": "string",
    "CASE WHEN b THEN s ELSE 'none' END": "string",
    "narrow IS NULL OR b": "boolean",
}


@st.composite
def filters(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A parameter with its filter, and a value."""
    if draw(st.integers(0, 4)) == 0:
        expression, kind = draw(st.sampled_from(sorted(EXPRESSIONS.items())))
        of: dict[str, Any] = {"expression": expression}
        if expression == "i + narrow":
            of["expression"] = "narrow + narrow"
    else:
        column = draw(st.sampled_from(sorted(COMPARED)))
        kind = draw(st.sampled_from(COMPARED[column]))
        of = {"column": column}
    text = kind == "string"
    chosen = draw(st.sampled_from([*ORDERED, "in", "is null", *(["contains"] * text)]))
    if chosen == "is null":
        return {"type": "boolean", "filter": of | {"operator": chosen}}, draw(st.booleans())
    one = VALUES[kind].filter(bool) if chosen == "contains" else VALUES[kind]
    value = draw(st.lists(one, min_size=1, max_size=3, unique=True) if chosen == "in" else one)
    return {"type": kind, "filter": of | {"operator": chosen}}, value


def definition(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "title": "Sales",
        "source": {"type": "parquet", "dataset": "sales", "columns": DECLARED},
        "tenant": "tenant",
        "parameters": {name: {"title": name} | rule for name, rule in parameters.items()},
        "columns": [{"name": "k", "title": "k", "type": "integer"}],
    } | more


def compiled(definition: dict[str, Any], values: dict[str, Any], **choice: Any) -> pl.DataFrame:
    """The result of the compiled query for the tenant ``acme``."""
    statement = Statement.of(Report("sales", definition), record(**values, **choice))
    with engine.scratch() as folder:
        file, _, _ = engine.write(statement, tables.find(statement), LIMITS, lambda: None, folder)
        return pl.read_parquet(file)


SORTS = st.lists(st.sampled_from([*COLUMNS, "k"]), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.tuples(
        *(st.booleans().map(lambda down, n=name: {"column": n, "descending": down}) for name in names)
    )
)


@given(
    rows=st.lists(ROW, max_size=12),
    asked=st.lists(filters(), max_size=2),
    sort=SORTS,
    limit=st.none() | st.integers(1, 5),
)
def test_the_rows_are_those_that_the_parts_would_show(
    rows: list[dict[str, Any]],
    asked: list[tuple[dict[str, Any], Any]],
    sort: tuple[dict[str, Any], ...],
    limit: int | None,
) -> None:
    parameters = {f"p{at}": rule for at, (rule, _) in enumerate(asked)}
    values = {f"p{at}": value for at, (_, value) in enumerate(asked)}
    bounded = {} if limit is None else {"limit": limit}
    with in_memory() as lake:
        table = pa.Table.from_pylist(rows, SCHEMA)
        whole = table.append_column("k", pa.array(range(len(rows)), pa.int64()))
        for at in range(0, len(rows), 4):
            lake.put(f"{at:02}.parquet", by_arrow(_of("acme", whole[at : at + 4]), 2))
        lake.put("x.parquet", by_arrow(_of("other", whole)))
        try:
            expected = {k for (k,) in shown(Query.of(definition(parameters), values, "acme"))}
        except ColumnMismatch:  # a filter that `make check` refuses
            reject()
        found = compiled(definition(parameters, sort=[*sort], **bounded), values)
    keys = found["k"].to_list()
    if limit is None:
        assert set(keys) == expected
    assert len(keys) == len(set(keys)) == min(len(expected), limit or len(expected))
    own = pl.DataFrame(whole).filter(pl.col("k").is_in(sorted(expected)))
    names, down = [key["column"] for key in sort], [key["descending"] for key in sort]
    order = own.sort(names, descending=down, nulls_last=True).select(names)
    assert found.select(names).equals(order.head(len(keys)))


def test_a_request_orders_the_rows_within_the_limit_and_the_reports_order_decides_between_equal_ones() -> None:
    rows = [{"i": value, "b": value % 2 == 0} for value in (5, 1, 4, 2, 3)]
    whole = pa.Table.from_pylist(rows, SCHEMA).append_column("k", pa.array(range(5), pa.int64()))
    own = [{"column": "i", "descending": True, "unique": True}]
    with in_memory() as lake:
        lake.put("one.parquet", by_arrow(_of("acme", whole)))
        found = compiled(definition({}, sort=own, limit=4), {}, sort=[{"column": "b", "descending": False}])
    assert found["i"].to_list() == [5, 3, 4, 2]


@pytest.mark.parametrize(("operator", "value"), [("==", 2**53 + 1), ("in", [2**53 + 1]), ("<=", 2**53), (">=", 2**64)])
def test_a_number_compares_integers_exactly(lake: Lake, operator: str, value: Any) -> None:
    put(lake, "a.parquet", i=[2**53, 2**53 + 1], k=[0, 1])
    source = {"type": "parquet", "dataset": "sales", "columns": {"i": "integer", "k": "integer"}}
    rule = {"type": "number", "filter": {"column": "i", "operator": operator}}
    asked = definition({"p": rule}, source=source, sort=[{"column": "k"}])
    expected = [k for (k,) in shown(Query.of(asked, {"p": value}, "acme"))]
    assert compiled(asked, {"p": value})["k"].to_list() == expected
    assert len(expected) < 2


FLIGHTS = {"year": "integer", "month": "integer", "day": "integer", "k": "integer", "tenant": "string"}
YMD = {"expression": "year * 10000 + month * 100 + day", "monotonic": True, "value_as": "yyyymmdd"}
DATES = {
    "from": {"type": "date", "filter": YMD | {"operator": ">="}},
    "to": {"type": "date", "filter": YMD | {"operator": "<="}},
    "on": {"type": "date", "filter": YMD | {"operator": "=="}},
}
SOURCE = {"type": "parquet", "dataset": "sales", "columns": FLIGHTS, "bounds": {"day": [1, 31]}}


@pytest.mark.parametrize(
    ("values", "months", "rows"),
    [
        ({"from": "2013-02-15"}, ["2013/2", "2013/3", "2014/1"], 14 + 28 + 28),
        ({"from": "2013-02-28", "to": "2013-03-01"}, ["2013/2", "2013/3"], 2),
        ({"on": "2014-01-28"}, ["2014/1"], 1),
        ({"on": "2013-01-31"}, ["2013/1"], 0),
        ({"to": "2012-12-31"}, [], 0),
        ({}, ["2013/1", "2013/2", "2013/3", "2014/1"], 4 * 28),
    ],
)
def test_monotonic_filters_with_bounds_exclude_files(
    lake: Lake, values: dict[str, str], months: list[str], rows: int
) -> None:
    for at, (year, month) in enumerate([(2013, 1), (2013, 2), (2013, 3), (2014, 1)]):
        days = pa.array([28 - day for day in range(28)], pa.int8())
        put(lake, f"year={year}/month={month}/a.parquet", day=days, k=[at * 100 + day for day in range(28)])
    asked = definition(DATES, source=SOURCE, sort=[{"column": "k", "descending": True}])
    found = compiled(asked, values)
    assert {key for key, _, _ in lake.asked} == {
        "data/sales/year={}/month={}/a.parquet".format(*each.split("/")) for each in months
    }
    expected = shown(Query.of(asked, values, "acme"))
    assert found["k"].to_list() == sorted((k for (k,) in expected), reverse=True)
    assert found.height == rows


@pytest.mark.parametrize(
    "expression",
    ["COALESCE(a, b)", "IFNULL(a, b)", "GREATEST(a, b)", "CASE WHEN a IS NULL THEN b ELSE a END", "COALESCE(a, b) + 0"],
)
def test_bounds_exclude_no_file_if_the_filter_hides_nulls(lake: Lake, expression: str) -> None:
    put(lake, "a.parquet", k=[1, 2], a=[None, 15], b=[3, 4])
    source = {"type": "parquet", "dataset": "sales", "columns": dict.fromkeys("kab", "integer")}
    source |= {"bounds": {"a": [10, 20], "b": [0, 5]}}
    rule = {"type": "integer", "filter": {"expression": expression, "operator": "<=", "monotonic": True}}
    asked = definition({"p": rule}, source=source, sort=[{"column": "k"}])
    assert 1 in compiled(asked, {"p": 3})["k"].to_list()


def chained(lake: Lake, definition: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The rows of an export that runs its query and reads the result in parts."""
    statement = Statement.of(Report("sales", definition), record())
    with engine.scratch() as folder:
        file, rows, _ = engine.write(statement, tables.find(statement), LIMITS, lambda: None, folder)
        lake.objects["work/result.parquet"] = file.read_bytes()
    monkeypatch.setenv("EXPORTS_BUCKET", BUCKET)
    etag, size = lake._etag("work/result.parquet"), len(lake.objects["work/result.parquet"])
    made: Any = {"name": "n", "key": "work/result.parquet", "etag": etag, "bytes": size, "rows": rows}
    asked = replace(Query.of(results.definition_of(definition), {}, "acme"), result=made)
    schema, extents = results.plan(asked)
    text = {name: str(dtype) for name, dtype in schema.items()}
    return [row for each in results.scan(asked, text, extents) for row in asked.apply(each).rows()]


ALL = {
    "string": pa.array(["a", None]),
    "integer": pa.array([5, None], pa.int16()),
    "number": pa.array([1.5, None], pa.float32()),
    "boolean": pa.array([True, None]),
    "date": pa.array([D(2013, 1, 31), None]),
    "time": pa.array([datetime.time(12, 0, 1), None], pa.time64("us")),
    "timestamp": pa.array([T(2013, 1, 31, 12), None], pa.timestamp("ms")),
    "timestamp(UTC)": pa.array([T(2013, 1, 31, 12), None], pa.timestamp("us", "UTC")),
    "timestamp(Europe/Paris)": pa.array([T(2013, 7, 31, 12), None], pa.timestamp("us", "Europe/Paris")),
    "binary": pa.array([b"\x00\xff", None]),
    "json": pa.array([{"a": [1, None], "b": "x"}, None]),
    "decimal(5,2)": pa.array([decimal.Decimal("1.50"), None]),
}


@pytest.mark.parametrize("declared", ALL)
def test_the_parts_show_the_same_values(lake: Lake, declared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, "a.parquet", v=ALL[declared], k=[1, 2])
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "v": declared}}
    column = {"name": "v", "title": "v", "type": declared.partition("(")[0]}
    asked = definition({}, source=source, columns=[column], sort=[{"column": "k", "descending": True}])
    assert [*reversed(chained(lake, asked, monkeypatch))] == shown(Query.of(asked, {}, "acme"))


NS = [1_359_633_600_000_000_001, None]
EXACT = {
    "float": ("number", pa.array([0.1, None], pa.float32())),
    "uint64": ("integer", pa.array([2**63 + 5, None], pa.uint64())),
    "decimal": ("decimal(12,2)", pa.array([decimal.Decimal("9999999999999.99"), None], pa.decimal128(18, 2))),
    "time": ("time", pa.array([1, None], pa.time64("ns"))),
    "timestamp": ("timestamp", pa.array(NS, pa.timestamp("ns"))),
    "timestamp(UTC)": ("timestamp(UTC)", pa.array(NS, pa.timestamp("ns", "UTC"))),
    "timestamp(Europe/Paris)": ("timestamp(Europe/Paris)", pa.array(NS, pa.timestamp("ns", "Europe/Paris"))),
}


@pytest.mark.parametrize("kind", EXACT)
def test_an_order_changes_no_value(lake: Lake, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    declared, values = EXACT[kind]
    put(lake, "a.parquet", v=values, k=[1, 2])
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "v": declared}}
    column = {"name": "v", "title": "v", "type": declared.partition("(")[0]}
    asked = definition({}, source=source, columns=[column], sort=[{"column": "k", "descending": True}])
    result = compiled(asked, {})["v"].reverse()
    stored = pl.DataFrame(pa.table({"v": values}))["v"]
    assert result.to_physical().to_list() == stored.to_physical().to_list()
    assert [*reversed(chained(lake, asked, monkeypatch))] == shown(Query.of(asked, {}, "acme"))


@pytest.mark.parametrize("declared", ALL)
def test_without_rows_the_parts_know_the_types(lake: Lake, declared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, "tenant=other/a.parquet", None, v=ALL[declared], k=[1, 2])
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "v": declared}}
    column = {"name": "v", "title": "v", "type": declared.partition("(")[0]}
    asked = definition({}, source=source, columns=[column], sort=[{"column": "k"}])
    assert chained(lake, asked, monkeypatch) == shown(Query.of(asked, {}, "acme")) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "dataset rows: sales has no column v; it has: k, tenant"),
        ({"v": [1]}, "dataset rows: column v is declared json, and sales has BIGINT"),
        (None, "sales is not readable Parquet: it does not end with PAR1"),
    ],
)
def test_an_error_names_no_file_of_another_tenant(lake: Lake, values: Any, said: str) -> None:
    if values is None:
        lake.put("tenant=other/a.parquet", b"no file of Parquet")
    else:
        put(lake, "tenant=other/a.parquet", None, k=[1], **values)
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "v": "json"}}
    with pytest.raises(ExportError, match=f"^{said}$"):
        compiled(definition({}, source=source, sort=[{"column": "k"}]), {})


@pytest.mark.parametrize("has_it", [[False, False], [True, False]])
def test_an_optional_column_may_be_missing(lake: Lake, has_it: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    for at, has in enumerate(has_it):
        put(lake, f"{at}.parquet", k=[at], **({"note": ["x"]} if has else {}))
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "note": "string"}}
    columns = [
        {"name": "k", "title": "k", "type": "integer"},
        {"name": "note", "title": "note", "type": "string", "optional": True},
        {"name": "loud", "title": "loud", "type": "string", "expression": "UPPER(note)", "optional": True},
    ]
    asked = definition({}, source=source, columns=columns, sort=[{"column": "k"}])
    assert chained(lake, asked, monkeypatch) == shown(Query.of(asked, {}, "acme"))


def test_an_optional_column_that_a_file_spells_differently_does_not_fail(lake: Lake) -> None:
    put(lake, "0.parquet", k=[0], Note=["x"])
    put(lake, "1.parquet", k=[1], note=["y"])
    source = {"type": "parquet", "dataset": "sales", "columns": {"k": "integer", "note": "string"}}
    columns = [{"name": "note", "title": "note", "type": "string", "optional": True}]
    found = compiled(definition({}, source=source, columns=columns, sort=[{"column": "k"}]), {})
    assert found["k"].to_list() == [0, 1]
    assert found["note"].to_list()[1] == "y"


def _of(tenant: str, table: pa.Table) -> pa.Table:
    return table.append_column("tenant", pa.array([tenant] * table.num_rows, pa.string()))
