"""What a filter's pruning leaves out holds no row that passes: whatever the type, the writer and the operator."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.query import Query
from shared.engine.sources import parquet
from tests.unit.lake import Lake, by_arrow, by_duckdb, by_polars, file, in_memory, parameter, query, report, shown

DAYS = st.dates(datetime.date(1969, 12, 30), datetime.date(1970, 1, 3))
MOMENTS = st.datetimes(datetime.datetime(1969, 12, 30), datetime.datetime(1970, 1, 3)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
TEXTS = st.sampled_from(["", "a", "ab", "b", "Zürich", "z" * 70, "\U0010ffff" * 20])
ORDERED, FROM_UNTIL = ("==", "!=", "<", "<=", ">", ">=", "in", "is null"), ("<", ">=", "is null")


class Kind(NamedTuple):
    """A type of Arrow, its values, the parameter that filters it, and the operators that may."""

    type: pa.DataType
    values: st.SearchStrategy[Any]
    parameter: str
    given: st.SearchStrategy[Any]
    operators: tuple[str, ...] = ORDERED


def timestamps(unit: str, zone: str | None = None) -> Kind:
    moments = MOMENTS.map(lambda moment: moment.replace(microsecond=0)) if unit == "s" else MOMENTS
    return Kind(pa.timestamp(unit, zone), moments, "date", DAYS.map(str), FROM_UNTIL)


def integer(type_: pa.DataType) -> Kind:
    size, low = type_.bit_width, 0 if pa.types.is_unsigned_integer(type_) else 1
    low, high = -(2 ** (size - 1)) * low, 2 ** (size - low) - 1
    near = st.integers(low, high) | st.integers(max(low, -3), min(high, 3)) | st.sampled_from([low, high])
    return Kind(type_, near, "integer", near | st.integers(-5, 5))


def floating(type_: pa.DataType) -> Kind:
    return Kind(type_, st.floats(width=32), "number", st.floats(-5, 5))


KINDS = {
    **{str(each): integer(each) for each in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(each): integer(each) for each in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{str(each): floating(each) for each in (pa.float32(), pa.float64())},
    "text": Kind(pa.string(), TEXTS, "string", TEXTS, (*ORDERED, "contains")),
    "category": Kind(pa.dictionary(pa.int32(), pa.string()), TEXTS, "string", TEXTS, (*ORDERED, "contains")),
    "date32": Kind(pa.date32(), DAYS, "date", DAYS.map(str)),
    "date64": Kind(pa.date64(), DAYS, "date", DAYS.map(str), FROM_UNTIL),
    **{f"timestamp in {unit}": timestamps(unit) for unit in ("s", "ms", "us", "ns")},
    **{f"timestamp in {unit} of a zone": timestamps(unit, "Europe/Berlin") for unit in ("ms", "us", "ns")},
    "decimal": Kind(pa.decimal128(12, 2), st.decimals(-5, 5, places=2), "number", st.floats(-5, 5)),
}


WRITERS: dict[str, Callable[[pa.Table, int], bytes]] = {
    "arrow": by_arrow,
    "arrow without its schema": functools.partial(by_arrow, store_schema=False),
    "arrow of version 1.0": functools.partial(by_arrow, version="1.0"),
    "arrow with INT96": functools.partial(by_arrow, use_deprecated_int96_timestamps=True),
    "arrow with an index": functools.partial(by_arrow, write_page_index=True, data_page_size=1),
    "polars": functools.partial(by_polars, statistics="full"),
}


@settings(max_examples=max(6, settings.default.max_examples // 8))  # type: ignore[union-attr]
@given(writer=st.sampled_from([*WRITERS]), group=st.integers(1, 3), data=st.data())
@pytest.mark.parametrize("name", KINDS)
def test_pruning_never_loses_a_row(name: str, writer: str, group: int, data: st.DataObject) -> None:
    kind = KINDS[name]
    values = data.draw(st.lists(st.none() | kind.values, min_size=1, max_size=8), label="values")
    operator = data.draw(st.sampled_from(kind.operators), label="operator")
    columns = {"v": pa.array(values, kind.type), "n": pa.array(range(len(values))), "tenant": ["acme"] * len(values)}
    filtered = parameter("boolean" if operator == "is null" else kind.parameter, operator)
    given = {"in": st.lists(kind.given, min_size=1, max_size=3), "is null": st.booleans()}.get(operator, kind.given)
    with in_memory() as lake:
        lake.put("a.parquet", WRITERS[writer](pa.table(columns), group))
        asked = query("n", parameters=filtered, p=data.draw(given, label="given"))
        _, every = parquet.plan(query("n", parameters=filtered))
        assert sum(extent["rows"] for extent in every) == len(values)
        assert shown(asked) == shown(asked, every)


DAY = datetime.date(2020, 1, 15)


@pytest.mark.parametrize(
    ("values", "kind", "value", "kept"),
    [
        (pa.array([DAY, DAY + datetime.timedelta(1)], pa.date64()), "date", "2020-01-16", [1]),
        (pa.array([3_000_000_000, 4_000_000_000], pa.uint32()), "integer", 3_500_000_000, [1]),
        (pa.array([5, 2**63 + 1], pa.uint64()), "integer", 6, [1]),
    ],
    ids=str,
)
def test_statistics_of_another_sign_or_unit_are_read_right(
    lake: Lake, values: pa.Array, kind: str, value: Any, kept: list[int]
) -> None:
    lake.put("a.parquet", file(1, v=values, n=[0, 1]))
    assert shown(query("n", parameters=parameter(kind, ">="), p=value)) == [(n,) for n in kept]


DATES = st.dates(datetime.date(2019, 12, 1), datetime.date(2020, 2, 5))
ROWS = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | DATES, st.integers(1, 28)), min_size=1)


@given(ROWS, st.integers(1, 6), st.integers(-6, 6), DATES, DATES)
def test_filters_together_and_expressions_over_folders_and_bounds_lose_no_row(
    rows: list[Any], group: int, amount: int, shipped: datetime.date, first: datetime.date
) -> None:
    by_day = {"expression": "year * 10000 + month * 100 + day", "monotonic": True, "value_as": "yyyymmdd"}
    filters = {
        "amount": parameter("integer", ">=", "amount")["p"],
        "shipped": parameter("date", "<=", "shipped")["p"],
        "from": parameter("date", ">=", **by_day)["p"],
    }
    given = {"amount": amount, "shipped": str(shipped), "from": str(first)}
    frame = pl.DataFrame(rows, {"amount": pl.Int64, "shipped": pl.Date, "day": pl.Int8}, orient="row")
    with in_memory() as lake:
        lake.put("year=2020/month=1/a.parquet", WRITERS["polars"](frame.with_columns(tenant=pl.lit("acme")), group))
        found = shown(Query.of(report("amount", bounds={"day": [1, 31]}, parameters=filters), given, "acme"))
    assert found == [
        (of,)
        for of, on, day in rows
        if of is not None and on is not None and of >= amount and on <= shipped and datetime.date(2020, 1, day) >= first
    ]


@pytest.mark.parametrize("sql", ["DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S"])
def test_duckdbs_days_and_moments_are_pruned_right_too(lake: Lake, sql: str) -> None:
    rows = f"SELECT n, (DATE '2024-01-01' + n::INT)::{sql} AS v, 'acme' AS tenant FROM range(20) AS t(n)"
    lake.put("a.parquet", by_duckdb(rows, ", ROW_GROUP_SIZE 4"))
    found = shown(query("n", parameters=parameter("date", ">="), p="2024-01-15"))
    assert found == [(n,) for n in range(14, 20)]


@pytest.mark.parametrize("expression", ["COALESCE(a, b)", "GREATEST(a, b)", "CASE WHEN a IS NULL THEN b ELSE a END"])
@pytest.mark.parametrize(("operator", "value"), [("<=", 3), (">=", 50)])
def test_an_expression_that_minds_nulls_prunes_nothing(lake: Lake, expression: str, operator: str, value: int) -> None:
    without = {"write_statistics": ["b", "tenant"] if operator == ">=" else True}
    lake.put("a.parquet", file(options=without, a=[100, None, 12], b=[10, 1, 12], n=[0, 1, 2]))
    rule = parameter("integer", operator, expression=expression, monotonic=True)
    assert [extent["rows"] for extent in parquet.plan(query("n", parameters=rule, p=value))[1]] == [3]


def test_infinity_in_the_statistics_keeps_a_group(lake: Lake) -> None:
    lake.put("a.parquet", by_duckdb("SELECT 'acme' AS tenant, 1 AS n, 'infinity'::DATE AS v"))
    rule = parameter("string", ">=", expression="STRFTIME(v, '%Y-%m-%d')", monotonic=True)
    assert len(parquet.plan(query("n", parameters=rule, p="2024-01-01"))[1]) == 1
