"""Format parquet: row groups of many parts under one footer, as polars, pyarrow, duckdb and pandas read them."""

from __future__ import annotations

import datetime
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset
import pyarrow.parquet
import pytest
from hypothesis import example, given

from shared.errors import SourceSchemaMismatch
from shared.files.formats import parquet
from shared.files.segments import Range
from tests.unit.formats.support import DIVIDED, KINDS, TYPES, WORK, Divided, differences, frame, make, values, whole

SCHEMA = {name: kind.dtype for name, kind in KINDS.items()} | {
    "choice": pl.String,
    "utc": pl.Datetime("us", "UTC"),
    "zoned": pl.Datetime("us", "UTC"),
}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def opened(content: bytes) -> pyarrow.parquet.ParquetFile:
    return pyarrow.parquet.ParquetFile(io.BytesIO(content))


@given(divided=DIVIDED)
@example(divided=([], [[frame([])] * 2, [frame([])]]))
def test_pyarrow_polars_and_duckdb_read_every_cell_of_every_type_however_the_rows_were_divided(
    divided: Divided, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows, parts = divided
    content = make("parquet", parts, TYPES).content
    assert (opened(content).num_row_groups == 0) is (not rows)
    by_pyarrow = opened(content).read()
    assert by_pyarrow.column_names == list(KINDS)

    by_polars = pl.read_parquet(content)
    assert dict(by_polars.schema) == SCHEMA
    assert by_polars.equals(frame(rows).cast(SCHEMA))

    path = tmp_path_factory.getbasetemp() / "cells.parquet"
    path.write_bytes(content)
    by_duckdb = duckdb.sql(f"SELECT * REPLACE (epoch_us(utc) AS utc, epoch_us(zoned) AS zoned) FROM '{path}'")
    cells = by_duckdb.fetchall()
    for index, name in enumerate(KINDS):
        expected = values(rows, name)
        assert differences(by_pyarrow[name].to_pylist(), expected) == [], name
        if name in ("utc", "zoned"):
            expected = [each and (each - EPOCH) // datetime.timedelta(microseconds=1) for each in expected]
        assert differences([row[index] for row in cells], expected) == [], name


# Types


@pytest.mark.parametrize(
    ("column", "declared", "dtype", "read"),
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
    column: pl.Series, declared: str, dtype: Any, read: list[Any]
) -> None:
    content = whole("parquet", pl.DataFrame({"a": column}), {"a": declared})
    found = pl.read_parquet(content)
    assert dict(found.schema) == {"a": dtype}
    assert found["a"].to_list() == opened(content).read()["a"].to_pylist() == read
    by_pandas = pd.read_parquet(io.BytesIO(content), dtype_backend="pyarrow")
    assert by_pandas["a"].notna().tolist() == [each is not None for each in read]


def test_nanoseconds_are_kept() -> None:
    column = pl.Series("a", ["2013-01-01T10:00:00.123456789"]).str.to_datetime(time_unit="ns")
    content = whole("parquet", pl.DataFrame({"a": column.dt.replace_time_zone("Asia/Tokyo")}), {"a": "timestamp"})
    assert str(opened(content).schema_arrow.field("a").type) == "timestamp[ns, tz=UTC]"
    assert pl.read_parquet(content)["a"].dt.nanosecond().to_list() == [123456789]


def test_a_column_is_called_by_its_name_or_by_its_title() -> None:
    for style, name in {"name": "a", "title": 'Title, "a"'}.items():
        content = whole("parquet", pl.DataFrame({"a": [1]}), {"a": "integer"}, header_style=style)
        assert opened(content).schema_arrow.names == [name]


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


def by_duckdb(path: Path, condition: str) -> list[int]:
    return [row[0] for row in duckdb.sql(f"SELECT n FROM '{path}' WHERE {condition}").fetchall()]


FILTERS: dict[str, Callable[[Path], list[int]]] = {
    "polars": lambda path: pl.scan_parquet(path).filter(pl.col("n").is_between(2500, 2502)).collect()["n"].to_list(),
    "polars by text": lambda path: pl.scan_parquet(path).filter(pl.col("s") == "002500").collect()["n"].to_list(),
    "pandas": lambda path: pd.read_parquet(path, filters=[("s", "==", "002500")])["n"].tolist(),
    "duckdb": lambda path: by_duckdb(path, "n BETWEEN 2500 AND 2502"),
    "duckdb by date": lambda path: by_duckdb(path, "d = DATE '2013-01-03'"),
}


@pytest.mark.parametrize("reader", FILTERS)
def test_readers_leave_row_groups_out_by_their_bounds(reader: str, tmp_path: Path) -> None:
    """Proven by destroying what they need not read. That of pandas is pyarrow."""
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
    metadata, at = opened(file.content).metadata, 4
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            assert (column.dictionary_page_offset or column.data_page_offset) == at
            assert not column.has_offset_index
            assert not column.has_column_index
            at += column.total_compressed_size
    assert at == sum(proof["bytes"] for proof in file.receipts)


def bounds(rows: pl.DataFrame, types: dict[str, str], folder: Path) -> list[tuple[Any, ...]]:
    """What duckdb finds in the footer, column by column: least and largest value, whether each is exact, nulls."""
    path = folder / "bounds.parquet"
    path.write_bytes(whole("parquet", rows, types))
    facts = "stats_min_value, min_is_exact, stats_max_value, max_is_exact, stats_null_count"
    return duckdb.sql(f"SELECT {facts} FROM parquet_metadata('{path}')").fetchall()


def test_bounds_are_those_of_the_values(tmp_path: Path) -> None:
    rows = pl.DataFrame({"n": [3, 1, None], "s": ["b", None, "ä"]})
    expected = [("1", None, "3", None, 1), ("b", True, "ä", True, 1)]
    assert bounds(rows, {"n": "integer", "s": "string"}, tmp_path) == expected


def test_the_bound_of_a_long_text_is_short_and_said_to_be_no_value(tmp_path: Path) -> None:
    lengths = (1, 15, 16, 17, 63, 64, 65, 5000)
    texts = {f"{letter}{length}": letter * length for letter in ("a", "ä", "😀", "\U0010ffff") for length in lengths}
    rows = pl.DataFrame({name: [text] for name, text in texts.items()})
    found = bounds(rows, dict.fromkeys(texts, "string"), tmp_path)
    for text, (least, least_exact, largest, largest_exact, _) in zip(texts.values(), found, strict=True):
        for bound, exact in ((least, least_exact), (largest, largest_exact)):
            assert bound is None or len(bound.encode()) <= 64
            assert bound == text or not exact
        assert least.encode() <= text.encode()
        assert largest is None or largest.encode() >= text.encode()


BATCHES = [numbered(start, 50) for start in range(0, 500, 50)]


def test_many_batches_are_gathered_into_one_row_group() -> None:
    assert opened(make("parquet", [BATCHES], NUMBERED).content).num_row_groups == 1


@pytest.mark.parametrize(("limit", "value"), [("_GROUP_BYTES", 2000), ("_GROUP_ROWS", 100)])
def test_a_row_group_ends_before_it_takes_too_much_memory(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, limit, value)
    content = make("parquet", [BATCHES], NUMBERED).content
    assert content == make("parquet", [BATCHES], NUMBERED).content, "the same rows, the same bytes"
    assert opened(content).num_row_groups >= 4
    assert pl.read_parquet(content).equals(numbered(0, 500))


def test_a_receipt_stays_small_even_of_many_columns_and_long_texts() -> None:
    rows = pl.DataFrame({f"c{index}": [chr(97 + index) * 10_000, "z" * 10_000] for index in range(20)})
    file = make("parquet", [[rows]], dict.fromkeys(rows.columns, "string"))
    assert len(json.dumps(file.receipts[0])) < 10_000


def test_floats_that_are_no_numbers_hide_no_row() -> None:
    content = whole("parquet", pl.DataFrame({"x": [math.nan, 1.0, -0.0]}), {"x": "number"})
    statistics = opened(content).metadata.row_group(0).column(0).statistics
    assert (statistics.min, math.copysign(1, statistics.min), statistics.max) == (0.0, -1, 1.0)
