"""Format parquet: row groups of many parts under one footer, as polars, pyarrow, duckdb and pandas read them."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SourceSchemaMismatch
from shared.files.formats import FORMATS, parquet
from shared.files.segments import Range
from tests.unit.formats.support import (
    KINDS,
    NESTED,
    ROWS,
    TYPES,
    WORK,
    differences,
    frame,
    make,
    plan,
    splits,
    utc,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = {
    "text": pl.String(),
    "choice": pl.String(),
    "whole": pl.Int64(),
    "huge": pl.UInt64(),
    "real": pl.Float64(),
    "single": pl.Float32(),
    "money": pl.Decimal(38, 2),
    "fraction": pl.Decimal(38, 38),
    "truth": pl.Boolean(),
    "day": pl.Date(),
    "clock": pl.Time(),
    "local": pl.Datetime("us"),
    "utc": pl.Datetime("us", "UTC"),
    "zoned": pl.Datetime("us", "UTC"),
    "list": pl.List(pl.List(pl.Int64)),
    "texts": pl.List(pl.String),
    "moments": pl.List(pl.Datetime("us")),
    "struct": NESTED,
}


def opened(content: bytes) -> pyarrow.parquet.ParquetFile:
    return pyarrow.parquet.ParquetFile(io.BytesIO(content))


def expected(rows: list[dict[str, Any]], name: str) -> list[Any]:
    values = [row[name] for row in rows]
    return [value and utc(value) for value in values] if name in ("utc", "zoned") else values


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))))
def test_pyarrow_reads_every_cell_of_every_type_however_it_was_divided(
    given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]],
) -> None:
    rows, parts = given
    found = opened(make("parquet", parts, TYPES).content).read()
    assert found.column_names == list(KINDS)
    for name in KINDS:
        assert differences(found[name].to_pylist(), expected(rows, name)) == [], name


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))))
def test_polars_reads_every_cell_with_its_type(given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]]) -> None:
    rows, parts = given
    found = pl.read_parquet(io.BytesIO(make("parquet", parts, TYPES).content))
    assert dict(found.schema) == SCHEMA
    assert found.equals(frame(rows).cast(SCHEMA))


@settings(max_examples=25)
@given(rows=st.lists(ROWS, min_size=1, max_size=6))
def test_duckdb_reads_every_cell(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.parquet"
    path.write_bytes(make("parquet", [[frame(rows)], [frame(rows)]], TYPES).content)
    found = duckdb.sql(f"SELECT * REPLACE (epoch_us(utc) AS utc, epoch_us(zoned) AS zoned) FROM '{path}'")
    cells = list(zip(*found.fetchall(), strict=True))
    for name, column in zip(found.columns, cells, strict=True):
        values = expected(rows * 2, name)
        if name in ("utc", "zoned"):
            epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
            values = [value and (value - epoch) // datetime.timedelta(microseconds=1) for value in values]
        assert differences(list(column), values) == [], name


def test_pandas_reads_every_cell() -> None:
    rows = pl.DataFrame(
        {
            "s": ['=a\n"b"😀', "", None],
            "n": [2**63 - 1, -(2**63), None],
            "x": [0.1, -0.0, None],
            "d": pl.Series([decimal.Decimal("1.10"), None, None], dtype=pl.Decimal(38, 2)),
        }
    )
    content = whole("parquet", rows, {"s": "string", "n": "integer", "x": "number", "d": "decimal"})
    found = pd.read_parquet(io.BytesIO(content), dtype_backend="pyarrow")
    for name in rows.columns:
        cells = [None if pd.isna(cell) else cell for cell in found[name].tolist()]
        assert differences(cells, rows[name].to_list()) == [], name


# Types


@pytest.mark.parametrize(
    ("column", "declared", "dtype", "values"),
    [
        (pl.Series([1, 2], dtype=pl.Int8), "integer", pl.Int64(), [1, 2]),
        (pl.Series([10**37, -1], dtype=pl.Int128), "integer", pl.Decimal(38, 0), [10**37, -1]),
        (pl.Series([1, None]), "number", pl.Int64(), [1, None]),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), "string", pl.String(), ["a", None]),
        (pl.Series([["a"], None], dtype=pl.List(pl.Categorical)), "json", pl.List(pl.String), [["a"], None]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)), "json", pl.List(pl.Int8), [[1, 2]]),
        (pl.Series(["24:00"]), "time", pl.String(), ["24:00"]),
    ],
)
def test_what_not_every_reader_knows_becomes_what_it_does(
    column: pl.Series, declared: str, dtype: Any, values: list[Any]
) -> None:
    content = whole("parquet", pl.DataFrame({"a": column}), {"a": declared})
    found = pl.read_parquet(io.BytesIO(content))
    assert dict(found.schema) == {"a": dtype}
    assert found["a"].to_list() == values
    assert opened(content).read()["a"].to_pylist() == values


def test_nanoseconds_are_kept() -> None:
    column = pl.Series("a", ["2013-01-01T10:00:00.123456789"]).str.to_datetime(time_unit="ns")
    content = whole("parquet", pl.DataFrame({"a": column.dt.replace_time_zone("Asia/Tokyo")}), {"a": "timestamp"})
    assert str(opened(content).schema_arrow.field("a").type) == "timestamp[ns, tz=UTC]"
    assert pl.read_parquet(io.BytesIO(content))["a"].dt.nanosecond().to_list() == [123456789]


def test_a_column_is_called_by_its_name_or_by_its_title() -> None:
    rows = pl.DataFrame({"a": [1]})
    assert opened(whole("parquet", rows, {"a": "integer"})).schema_arrow.names == ["a"]
    assert opened(whole("parquet", rows, {"a": "integer"}, header_style="title")).schema_arrow.names == ['Title, "a"']


# No rows


def test_a_file_without_a_row_has_its_schema() -> None:
    nothing = frame([])
    for parts in ([[nothing]], [[nothing, nothing], [nothing]]):
        file = make("parquet", parts, TYPES)
        assert dict(pl.read_parquet(io.BytesIO(file.content)).schema) == SCHEMA
        assert opened(file.content).read().num_rows == 0
        assert opened(file.content).num_row_groups == 0


def test_parts_that_read_nothing_stand_among_parts_that_did() -> None:
    rows = pl.DataFrame({"a": [["x"], None]}, schema={"a": pl.List(pl.String)})
    content = make("parquet", [[rows[:0]], [rows], [rows[:0]], [rows]], {"a": "json"}).content
    assert opened(content).read()["a"].to_pylist() == [["x"], None] * 2


def test_parts_of_different_columns_make_no_file() -> None:
    parts = [[pl.DataFrame({"a": [1]})], [pl.DataFrame({"a": [1.5]})]]
    with pytest.raises(SourceSchemaMismatch, match="the columns of part 1 differ from those of part 0"):
        make("parquet", parts, {"a": "number"})


# Row groups


def numbered(start: int, rows: int) -> pl.DataFrame:
    columns = {"n": range(start, start + rows), "s": [f"{index:06d}" for index in range(start, start + rows)]}
    day = datetime.date(2013, 1, 1)
    return pl.DataFrame(columns).with_columns(d=pl.lit(day) + pl.duration(days=pl.col("n") // 1000))


NUMBERED = {"n": "integer", "s": "string", "d": "date"}


def numbers(query: str) -> list[int]:
    return [row[0] for row in duckdb.sql(query).fetchall()]


FILTERS: dict[str, Callable[[Path], list[int]]] = {
    "polars": lambda path: pl.scan_parquet(path).filter(pl.col("n").is_between(2500, 2502)).collect()["n"].to_list(),
    "polars by text": lambda path: pl.scan_parquet(path).filter(pl.col("s") == "002500").collect()["n"].to_list(),
    "pyarrow": lambda path: pyarrow.parquet.read_table(path, filters=[("n", ">=", 2500), ("n", "<=", 2502)])[
        "n"
    ].to_pylist(),
    "pandas": lambda path: pd.read_parquet(path, filters=[("s", "==", "002500")])["n"].tolist(),
    "duckdb": lambda path: numbers(f"SELECT n FROM '{path}' WHERE n BETWEEN 2500 AND 2502"),
    "duckdb by date": lambda path: numbers(f"SELECT n FROM '{path}' WHERE d = DATE '2013-01-03'"),
}


@pytest.mark.parametrize("reader", FILTERS)
def test_readers_leave_row_groups_out_by_their_bounds(reader: str, tmp_path: Path) -> None:
    """Proven by destroying what they need not read."""
    file = make("parquet", [[numbered(start, 1000)] for start in range(0, 5000, 1000)], NUMBERED)
    content, at = bytearray(file.content), 0
    for segment in file.segments:
        if isinstance(segment, Range) and segment.key != WORK.part_key(2):
            content[at : at + segment.size] = bytes(segment.size)
        at += segment.size
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"."):
        pl.read_parquet(path)
    found = FILTERS[reader](path)
    assert 2500 in found
    assert set(found) <= set(range(2000, 3000))
    path.write_bytes(file.content)
    assert FILTERS[reader](path) == found


def test_every_chunk_lies_where_the_footer_says_and_the_parts_follow_each_other() -> None:
    parts = [[numbered(start, 100)] for start in range(0, 400, 100)]
    file = make("parquet", [parts[0], [parts[0][0][:0]], *parts[1:]], NUMBERED)
    metadata = opened(file.content).metadata
    at = 4
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            first = column.dictionary_page_offset or column.data_page_offset
            assert first == at
            assert not column.has_offset_index
            assert not column.has_column_index
            at += column.total_compressed_size
    assert at == sum(proof["bytes"] for proof in file.receipts)


def bounds(rows: pl.DataFrame, declared: str, folder: Path) -> dict[str, Any]:
    """What duckdb finds in the footer of a file of one column."""
    path = folder / "bounds.parquet"
    path.write_bytes(whole("parquet", rows, {rows.columns[0]: declared}))
    [found] = duckdb.sql(f"FROM parquet_metadata('{path}')").pl().to_dicts()
    names = {"min_value": "stats_min_value", "max_value": "stats_max_value", "nulls": "stats_null_count"}
    return {name: found[key] for name, key in names.items()} | {"exact": (found["min_is_exact"], found["max_is_exact"])}


def test_bounds_are_those_of_the_values(tmp_path: Path) -> None:
    numbers = bounds(pl.DataFrame({"n": [3, 1, None]}), "integer", tmp_path)
    assert numbers == {"min_value": "1", "max_value": "3", "nulls": 1, "exact": (None, None)}
    texts = bounds(pl.DataFrame({"s": ["b", None, "ä"]}), "string", tmp_path)
    assert texts == {"min_value": "b", "max_value": "ä", "nulls": 1, "exact": (True, True)}


@pytest.mark.parametrize("letter", ["a", "ä", "😀", "\U0010ffff"])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 64, 65, 5000])
def test_the_bound_of_a_long_text_is_short_and_said_to_be_no_value(letter: str, length: int, tmp_path: Path) -> None:
    text = letter * length
    found = bounds(pl.DataFrame({"s": [text]}), "string", tmp_path)
    for bound, exact in zip((found["min_value"], found["max_value"]), found["exact"], strict=True):
        assert bound is None or len(bound.encode()) <= 64
        assert bound == text or not exact
    assert found["min_value"].encode() <= text.encode()
    assert found["max_value"] is None or found["max_value"].encode() >= text.encode()


def test_many_batches_are_gathered_into_one_row_group() -> None:
    batches = [numbered(start, 10) for start in range(0, 1000, 10)]
    assert opened(make("parquet", [batches], NUMBERED).content).num_row_groups == 1


@pytest.mark.parametrize(("limit", "value"), [("_GROUP_BYTES", 2000), ("_GROUP_ROWS", 100)])
def test_a_row_group_ends_before_it_takes_too_much_memory(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, limit, value)
    batches = [numbered(start, 50) for start in range(0, 500, 50)]
    content = make("parquet", [batches], NUMBERED).content
    assert opened(content).num_row_groups >= 4
    assert pl.read_parquet(io.BytesIO(content)).equals(numbered(0, 500))


def test_a_receipt_stays_small_even_of_many_columns_and_long_texts() -> None:
    rows = pl.DataFrame({f"c{index}": [chr(97 + index) * 10_000, "z" * 10_000] for index in range(20)})
    file = make("parquet", [[rows]], dict.fromkeys(rows.columns, "string"))
    assert len(json.dumps(file.receipts[0])) < 10_000


def test_the_same_rows_give_the_same_bytes() -> None:
    parts = [[numbered(0, 5000)], [numbered(5000, 10)]]
    assert make("parquet", parts, NUMBERED).content == make("parquet", parts, NUMBERED).content


def test_floats_that_are_no_numbers_hide_no_row() -> None:
    rows = pl.DataFrame({"x": [math.nan, 1.0, -0.0]})
    file = make("parquet", [[rows]], {"x": "number"})
    statistics = opened(file.content).metadata.row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == (0.0, 1.0)
    assert math.copysign(1, statistics.min) == -1


def test_it_is_no_text() -> None:
    assert set(FORMATS["parquet"].options_schema["properties"]) == {"header_style"}
    assert plan("parquet", {"a": "integer"})["options"] == {"header_style": "name"}
