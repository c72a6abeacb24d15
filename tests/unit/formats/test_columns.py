"""Columns of type json: lists and structs of what the other column types are, and nothing that has no text."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import openpyxl
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from shared.catalogue import reports
from shared.engine.query import Query
from shared.errors import ColumnMismatch
from tests.unit.formats.support import whole
from tests.unit.support import REPORTS

GOOD = [
    pl.List(pl.String),
    pl.Array(pl.Float64, 2),
    pl.List(pl.List(pl.Struct({"a": pl.Decimal(38, 2), "b": pl.Date}))),
    pl.List(pl.Binary),
    pl.List(pl.Null),
    pl.Map(pl.Int64, pl.Map(pl.String, pl.Binary)),
    pl.Struct({"a": pl.Time, "b": pl.Datetime("ns", "UTC"), "c": pl.Categorical, "d": pl.Boolean, "e": pl.UInt8}),
]
BAD = [
    pl.Int64(),
    pl.Binary(),
    pl.Struct({"a": pl.Duration("us")}),
    pl.Map(pl.List(pl.String), pl.Int64),
    pl.Map(pl.String, pl.Duration("us")),
]


def query(kind: str) -> Query:
    columns = [{"name": "a", "title": "A", "type": kind}]
    source = {"type": "parquet", "dataset": "d"}
    return Query.of({"source": source, "tenant": "tenant", "columns": columns}, {}, "acme")


@pytest.mark.parametrize("dtype", GOOD, ids=str)
def test_lists_structs_and_maps_are_json_and_nothing_else(dtype: Any) -> None:
    schema = pl.Schema({"tenant": pl.String, "a": dtype})
    query("json").check(schema)
    with pytest.raises(ColumnMismatch, match="column a is declared string, which needs text; the source gives"):
        query("string").check(schema)


@pytest.mark.parametrize("dtype", BAD, ids=str)
def test_what_is_no_list_struct_or_map_or_holds_what_has_no_text_is_refused(dtype: Any) -> None:
    with pytest.raises(ColumnMismatch) as refused:
        query("json").check(pl.Schema({"tenant": pl.String, "a": dtype}))
    allowed = "a list, a struct or a map of values of the other types, or JSON text"
    assert str(refused.value) == f"column a is declared json, which needs {allowed}; the source gives {dtype}"


def test_floats_of_16_bits_keep_their_values_in_every_format() -> None:
    """Also where a list of them is all that holds a word."""
    values = [1.5, -65504.0, 0.0999755859375, None]
    rows = pl.DataFrame({"half": values, "halves": [[1.5], [math.nan], [math.inf], None]})
    rows = rows.cast({"half": pl.Float16, "halves": pl.List(pl.Float16)})
    types = {"half": "number", "halves": "json"}
    texts = ["[1.5]", '["NaN"]', '["Infinity"]', None]
    lines = [json.loads(line) for line in whole("jsonl", rows, types).splitlines()]
    assert [line["halves"] for line in lines] == [[1.5], ["NaN"], ["Infinity"], None]
    fields = list(csv.reader(whole("csv", rows, types, header_style="none").decode().splitlines()))
    sheet = openpyxl.load_workbook(io.BytesIO(whole("xlsx", rows, types))).active
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    assert [text for _, text in cells] == [text or None for _, text in fields] == texts
    for found in ([line["half"] for line in lines], [number or None for number, _ in fields], [n for n, _ in cells]):
        assert pl.Series([n and float(n) for n in found]).cast(pl.Float16).to_list() == values
    assert pq.read_table(io.BytesIO(whole("parquet", rows, types)))["half"].to_pylist() == values


def test_years_that_have_not_four_digits_are_written_with_their_sign() -> None:
    days = pl.Series([2_932_897, -719_529], dtype=pl.Int32).cast(pl.Date)  # since 1970-01-01
    rows = pl.DataFrame({"day": days, "at": days.cast(pl.Datetime("us"))})
    types = {"day": "date", "at": "timestamp"}
    texts = [[day, f"{day}T00:00:00"] for day in ("+10000-01-01", "-0001-12-31")]
    assert list(csv.reader(whole("csv", rows, types, header_style="none").decode().splitlines())) == texts
    assert [list(json.loads(line).values()) for line in whole("jsonl", rows, types).splitlines()] == texts
    sheet = openpyxl.load_workbook(io.BytesIO(whole("xlsx", rows, types))).active
    assert [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)] == texts
    assert pl.read_parquet(io.BytesIO(whole("parquet", rows, types))).equals(rows)


def definition(*columns: dict[str, str]) -> str:
    flights = yaml.safe_load((REPORTS / "flights.yaml").read_text("utf-8"))
    # JSON is YAML.
    return json.dumps({name: flights[name] for name in ("title", "source", "tenant")} | {"columns": list(columns)})


def test_a_definition_may_declare_json() -> None:
    report = reports.parse("flights", definition({"name": "stops", "title": "Stops", "type": "json"}))
    assert report.definition["columns"][0]["type"] == "json"


def test_a_title_that_is_there_twice_is_refused_because_a_file_may_call_its_columns_by_it() -> None:
    columns = ({"name": name, "title": "Delay", "type": "integer"} for name in ("arr_delay", "dep_delay"))
    with pytest.raises(
        reports.InvalidDefinition, match=r"/columns/1/title: duplicate title 'Delay', allowed: a unique title"
    ):
        reports.parse("flights", definition(*columns))
