"""Values that every format must take alike, and columns of type json."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl
import polars as pl
import pytest
import yaml

from shared.catalogue import reports
from shared.engine.query import Query
from shared.errors import ColumnMismatch
from tests.unit.formats.support import whole
from tests.unit.lake import report
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
    *(pl.Int64(), pl.Binary(), pl.Struct({"a": pl.Duration("us")})),
    *(pl.Map(pl.List(pl.String), pl.Int64), pl.Map(pl.String, pl.Duration("us"))),
]


VALUES = "a list, a struct or a map of values of the other types, or JSON text"


@pytest.mark.parametrize(
    ("declared", "dtype", "needed"),
    [
        *(("json", dtype, None) for dtype in GOOD),
        *(("string", dtype, "text") for dtype in GOOD),
        *(("json", dtype, VALUES) for dtype in BAD),
    ],
    ids=str,
)
def test_lists_structs_and_maps_of_what_has_a_text_are_json_and_nothing_else_is(
    declared: str, dtype: Any, needed: str | None
) -> None:
    query, schema = Query.of(report(f"a:{declared}"), {}, "acme"), pl.Schema({"tenant": pl.String, "a": dtype})
    if needed is None:
        query.check(schema)
        return
    with pytest.raises(ColumnMismatch) as refused:
        query.check(schema)
    assert str(refused.value) == f"column a is declared {declared}, which needs {needed}; the source gives {dtype}"


def test_a_definition_may_declare_json() -> None:
    flights = yaml.safe_load((REPORTS / "flights.yaml").read_text("utf-8"))
    definition = {name: flights[name] for name in ("title", "source", "tenant")}
    columns = [{"name": "stops", "title": "Stops", "type": "json"}]
    assert (
        reports.parse("flights", json.dumps(definition | {"columns": columns}), {}.__getitem__).definition["columns"]
        == columns
    )


def test_years_that_have_not_four_digits_are_written_with_their_sign() -> None:
    days = pl.Series([2_932_897, -719_529], dtype=pl.Int32).cast(pl.Date)  # since 1970-01-01
    rows, types = pl.DataFrame({"day": days, "at": days.cast(pl.Datetime("us"))}), {"day": "date", "at": "timestamp"}
    texts = [[day, f"{day}T00:00:00"] for day in ("+10000-01-01", "-0001-12-31")]
    assert list(csv.reader(whole("csv", rows, types, header_style="none").decode().splitlines())) == texts
    assert [list(json.loads(line).values()) for line in whole("jsonl", rows, types).splitlines()] == texts
    sheet = openpyxl.load_workbook(io.BytesIO(whole("xlsx", rows, types))).active
    assert [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)] == texts
    assert pl.read_parquet(whole("parquet", rows, types)).equals(rows)
