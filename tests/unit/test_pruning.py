"""What a filter's pruning leaves out holds no row that passes: whatever the type, the writer and the operator."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.lambda_ import aws
from tests.support import quick_lane
from tests.unit.lake import BUCKET, Lake

DAYS = st.dates(datetime.date(1969, 12, 30), datetime.date(1970, 1, 3))
MOMENTS = st.datetimes(datetime.datetime(1969, 12, 30), datetime.datetime(1970, 1, 3)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
TEXTS = st.sampled_from(["", "a", "ab", "b", "Zürich", "z" * 70, "\U0010ffff" * 20])
ORDERED, FROM_UNTIL = ("==", "!=", "<", "<=", ">", ">="), ("<", ">=")


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
    "text": Kind(pa.string(), TEXTS, "string", TEXTS),
    "category": Kind(pa.dictionary(pa.int32(), pa.string()), TEXTS, "string", TEXTS),
    "date32": Kind(pa.date32(), DAYS, "date", DAYS.map(str)),
    "date64": Kind(pa.date64(), DAYS, "date", DAYS.map(str), FROM_UNTIL),
    **{f"timestamp in {unit}": timestamps(unit) for unit in ("s", "ms", "us", "ns")},
    **{f"timestamp in {unit} of a zone": timestamps(unit, "Europe/Berlin") for unit in ("ms", "us", "ns")},
    "decimal": Kind(pa.decimal128(12, 2), st.decimals(-5, 5, places=2), "number", st.floats(-5, 5)),
}


def by_arrow(**options: Any) -> Callable[[pa.Table, int], bytes]:
    def write(table: pa.Table, group: int) -> bytes:
        into = io.BytesIO()
        pq.write_table(table, into, row_group_size=group, **options)
        return into.getvalue()

    return write


def by_polars(table: pa.Table, group: int) -> bytes:
    into = io.BytesIO()
    frame = pl.DataFrame(table)
    frame.write_parquet(into, row_group_size=group, statistics="full")
    return into.getvalue()


WRITERS: dict[str, Callable[[pa.Table, int], bytes]] = {
    "arrow": by_arrow(),
    "arrow without its schema": by_arrow(store_schema=False),
    "arrow of version 1.0": by_arrow(version="1.0"),
    "arrow with INT96": by_arrow(use_deprecated_int96_timestamps=True),
    "arrow with an index": by_arrow(write_page_index=True, data_page_size=1),
    "polars": by_polars,
}


@pytest.fixture(scope="module")
def lake() -> Any:
    stored = Lake()
    with pytest.MonkeyPatch.context() as patched, quick_lane.closed():
        for name, value in {"DATA_BUCKET": BUCKET, "DATA_PREFIX": "data", "EXPORTS_BUCKET": "exports"}.items():
            patched.setenv(name, value)
        patched.setattr(aws, "s3", lambda: stored)
        yield stored


def query(kind: Kind, operator: str, **given: Any) -> Query:
    definition = {
        "source": {"type": "parquet", "dataset": "sales"},
        "tenant": "tenant",
        "parameters": {"p": {"type": kind.parameter, "filter": {"column": "v", "operator": operator}}},
        "columns": [{"name": "n", "type": "integer"}],
    }
    return Query.of(definition, given, "acme")


@settings(max_examples=150)
@given(st.sampled_from(list(KINDS)), st.sampled_from(list(WRITERS)), st.integers(1, 3), st.data())
def test_pruning_never_loses_a_row(lake: Lake, name: str, writer: str, group: int, data: st.DataObject) -> None:
    kind = KINDS[name]
    values = data.draw(st.lists(st.none() | kind.values, min_size=1, max_size=8), label="values")
    columns = {"v": pa.array(values, kind.type), "n": pa.array(range(len(values))), "tenant": ["acme"] * len(values)}
    lake.put("a.parquet", WRITERS[writer](pa.table(columns), group))
    operator = data.draw(st.sampled_from(kind.operators), label="operator")
    asked = query(kind, operator, p=data.draw(kind.given, label="given"))
    schema, pruned = parquet.plan(asked)
    _, every = parquet.plan(query(kind, operator))
    assert sum(extent["rows"] for extent in every) == len(values)
    text = {column: str(dtype) for column, dtype in schema.items()}

    def passing(extents: Any) -> list[int]:
        return [row for frame in parquet.scan(asked, text, extents) for row in asked.apply(frame)["n"]]

    assert passing(pruned) == passing(every)


@pytest.mark.parametrize("sql", ["DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S"])
def test_duckdbs_days_and_moments_are_pruned_right_too(lake: Lake, sql: str, tmp_path: Any) -> None:
    days = [f"({n}, '2024-01-{n + 1:02d}'::{sql}, 'acme')" for n in range(20)]
    file = tmp_path / "a.parquet"
    rows = f"SELECT * FROM (VALUES {', '.join(days)}) AS t(n, v, tenant)"
    duckdb.sql(f"COPY ({rows}) TO '{file}' (FORMAT parquet, ROW_GROUP_SIZE 4)")
    lake.put("a.parquet", file.read_bytes())
    asked = query(KINDS["timestamp in us"], ">=", p="2024-01-15")
    schema, extents = parquet.plan(asked)
    text = {column: str(dtype) for column, dtype in schema.items()}
    assert [n for rows in parquet.scan(asked, text, extents) for n in asked.apply(rows)["n"]] == [*range(14, 20)]


@pytest.mark.parametrize("expression", ["COALESCE(a, b)", "GREATEST(a, b)", "CASE WHEN a IS NULL THEN b ELSE a END"])
@pytest.mark.parametrize(("operator", "value"), [("<=", 3), (">=", 50)])
def test_an_expression_that_minds_nulls_prunes_nothing(lake: Lake, expression: str, operator: str, value: int) -> None:
    into = io.BytesIO()
    columns = {"a": [100, None, 12], "b": [10, 1, 12], "tenant": ["acme"] * 3, "n": [0, 1, 2]}
    pq.write_table(pa.table(columns), into, write_statistics=["b", "tenant"] if operator == ">=" else True)
    lake.put("a.parquet", into.getvalue())
    rule = {"expression": expression, "monotonic": True, "operator": operator}
    definition = {
        "source": {"type": "parquet", "dataset": "sales"},
        "tenant": "tenant",
        "parameters": {"p": {"type": "integer", "filter": rule}},
        "columns": [{"name": "n", "type": "integer"}],
    }
    _, extents = parquet.plan(Query.of(definition, {"p": value}, "acme"))
    assert [extent["rows"] for extent in extents] == [3]


def test_infinity_in_the_statistics_keeps_a_group(lake: Lake, tmp_path: Any) -> None:
    file = tmp_path / "a.parquet"
    duckdb.sql(f"COPY (SELECT 'acme' AS tenant, 1 AS n, 'infinity'::DATE AS v) TO '{file}'")
    lake.put("a.parquet", file.read_bytes())
    rule = {"expression": "STRFTIME(v, '%Y-%m-%d')", "monotonic": True, "operator": ">="}
    definition = {
        "source": {"type": "parquet", "dataset": "sales"},
        "tenant": "tenant",
        "parameters": {"p": {"type": "string", "filter": rule}},
        "columns": [{"name": "n", "type": "integer"}],
    }
    assert len(parquet.plan(Query.of(definition, {"p": "2024-01-01"}, "acme"))[1]) == 1
