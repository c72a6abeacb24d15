"""Where the rows of each part stand in the file: counted before they are written, by the filters that later apply."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine import places, planning
from shared.engine.query import Query
from shared.engine.sources import dynamodb, parquet, parquet_counts
from shared.errors import ExpressionFailed
from shared.files.work import Part
from tests.unit.lake import Lake, by_polars, in_memory, parameter, query, shown

AMOUNT = parameter("integer", ">=", "amount")


def put(lake: Lake, path: str, rows: pl.DataFrame, group: int = 3) -> None:
    lake.put(path, by_polars(rows, group))


def sales(tenants: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"tenant": tenants, "amount": range(len(tenants))}).with_columns(weight=7, name=pl.lit("x"))


def placed(asked: Query, workers: int = 3) -> list[Part]:
    schema, extents = parquet.plan(asked)
    return places.place(parquet, asked, schema, extents, planning.divide(extents, workers, 1))


def where(parts: list[Part]) -> list[tuple[Any, Any]]:
    return [(part.get("first_row"), part.get("rows_passing")) for part in parts]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MIN_ROWS", 1)


def test_one_part_begins_the_file_and_nothing_is_counted(lake: Lake) -> None:
    put(lake, "a.parquet", sales(["acme", "other"]))
    asked = query("amount")
    schema, extents = parquet.plan(asked)
    before = len(lake.asked)
    assert where(places.place(parquet, asked, schema, extents, planning.divide(extents, 1, 1))) == [(0, None)]
    assert where(places.place(dynamodb, asked, schema, [], planning.divide([], 1, 1))) == [(0, None)]
    assert len(lake.asked) == before


@given(
    files=st.lists(st.lists(st.sampled_from(["acme", "other"]), min_size=1, max_size=12), min_size=1, max_size=4),
    least=st.integers(0, 12),
    workers=st.integers(2, 6),
    group=st.integers(1, 12),
)
def test_a_part_writes_as_many_rows_as_were_counted(
    files: list[list[str]], least: int, workers: int, group: int
) -> None:
    with in_memory() as lake, pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "MIN_ROWS", 1)
        for number, tenants in enumerate(files):
            put(lake, f"{number}.parquet", sales(tenants), group)
        asked = query("weight", "amount", parameters=AMOUNT, p=least)
        parts = placed(asked, workers)
        counts = [len(shown(asked, part["sources"])) for part in parts]
    if len(parts) > 1:
        assert where(parts) == [(sum(counts[:number]), count) for number, count in enumerate(counts)]


def test_only_the_columns_of_the_filters_are_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, "a.parquet", sales(["acme", "other"] * 3))
    asked = query("weight", parameters=AMOUNT, p=2)
    needed: list[list[str]] = []
    scan = parquet_counts.scan
    monkeypatch.setattr(parquet_counts, "scan", lambda of, *rest: needed.append(of.needs()) or scan(of, *rest))
    assert where(placed(asked)) == [(0, 0), (0, 1), (1, 1)]
    assert needed == [["amount", "tenant"]]


def test_where_only_partitions_filter_nothing_is_read(lake: Lake) -> None:
    for tenant, month in (("acme", 1), ("acme", 2), ("acme", 3), ("other", 1)):
        put(lake, f"tenant={tenant}/month={month}/a.parquet", sales(["x"] * 3).drop("tenant"))
    asked = query("amount", parameters=parameter("integer", "!=", "month"), p=2)
    schema, extents = parquet.plan(asked)
    parts = planning.divide(extents, 3, 1)
    before = len(lake.asked)
    assert [part["rows"] for part in parts] == [3, 3, 3]
    assert where(places.place(parquet, asked, schema, extents, parts)) == [(0, 3), (3, 0), (3, 3)]
    assert len(lake.asked) == before


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 1), ("MAX_BYTES", 100)])
def test_what_would_take_too_long_to_count_is_not_counted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    for number in (1, 2):
        put(lake, f"{number}.parquet", sales(["acme", "other"] * 3))
    asked = query("weight", parameters=AMOUNT, p=2)
    assert None not in {first for first, _ in where(placed(asked))}
    monkeypatch.setattr(parquet_counts, limit, value)
    monkeypatch.setattr(parquet_counts, "scan", lambda *_: pytest.fail("columns were read"))
    assert where(placed(asked)) == [(None, None)] * 3


def test_a_filter_that_fails_on_the_data_is_named(lake: Lake) -> None:
    put(lake, "a.parquet", sales(["acme"] * 6))
    rule = parameter("integer", ">=", expression="CAST(name AS BIGINT)")
    with pytest.raises(ExpressionFailed, match="the expression of p fails on the data"):
        placed(query("amount", parameters=rule, p=2))


def test_a_query_counts_the_rows_that_it_keeps(lake: Lake) -> None:
    rows = sales(["acme", "other", "acme"])
    asked = query("amount", parameters=AMOUNT, p=1)
    assert asked.count(rows) == asked.of_filters().count(rows.drop("name", "weight")) == asked.apply(rows).height == 1
