"""Format csv: what is written is what an independent reader reads, cell by cell."""

import csv
import datetime
import decimal
import io
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.assembly import Literal, Range
from shared.formats.csv import Csv
from shared.work import Plan, Receipt, Work

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def plan(types: dict[str, str], **options: bool) -> Any:
    columns = [{"name": name, "title": f"Title of {name}", "type": kind} for name, kind in types.items()]
    return {"definition": {"columns": columns}, "options": {"spreadsheet_safe": True, "bom": False} | options}


def written(rows: pl.DataFrame, given_plan: Plan) -> bytes:
    into = io.BytesIO()
    Csv().write(rows, given_plan, into)
    return into.getvalue()


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(st.lists(st.tuples(st.none() | TEXT, TEXT), max_size=10))
def test_any_text_is_read_back_as_it_was(cells: list[tuple[str | None, str]]) -> None:
    rows = pl.DataFrame(cells, schema={"a": pl.String, "b": pl.String}, orient="row")
    found = read(written(rows, plan({"a": "string", "b": "string"}, spreadsheet_safe=False)))
    assert found == [[first or "", second] for first, second in cells]


@given(
    st.lists(TEXT | st.sampled_from(DANGEROUS).flatmap(lambda start: TEXT.map(lambda text: start + text)), max_size=10)
)
def test_no_text_starts_a_formula_and_the_text_is_kept_behind_the_apostrophe(cells: list[str]) -> None:
    rows = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    found = [row[0] if row else "" for row in read(written(rows, plan({"a": "string"})))]
    assert found == [f"'{text}" if text.startswith(DANGEROUS) else text for text in cells]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()),
    st.lists(st.decimals(places=4, min_value=-(10**15), max_value=10**15)),
)
def test_numbers_are_written_in_full_and_negative_ones_keep_their_sign(
    integers: list[int | None], decimals: list[decimal.Decimal]
) -> None:
    whole = pl.DataFrame({"n": integers}, schema={"n": pl.Int64})
    assert read(written(whole, plan({"n": "integer"}))) == [
        ["" if n is None else str(n)] if n is not None else [] for n in integers
    ]
    exact = pl.DataFrame({"d": decimals}, schema={"d": pl.Decimal(38, 4)})
    found = [decimal.Decimal(row[0]) for row in read(written(exact, plan({"d": "decimal"})))]
    assert found == decimals


@given(st.lists(st.floats()))
def test_floats_are_read_back_to_the_bit(floats: list[float]) -> None:
    rows = pl.DataFrame({"x": floats}, schema={"x": pl.Float64})
    found = [float(row[0]) for row in read(written(rows, plan({"x": "number"})))]
    assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, floats, strict=True))


@given(st.lists(st.dates()))
def test_dates_are_iso_8601(dates: list[datetime.date]) -> None:
    rows = pl.DataFrame({"d": dates}, schema={"d": pl.Date})
    assert [row[0] for row in read(written(rows, plan({"d": "date"})))] == [day.isoformat() for day in dates]


MOMENTS = st.datetimes(datetime.datetime(1600, 1, 1), datetime.datetime(2600, 1, 1))


@given(st.lists(MOMENTS), st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]))
def test_timestamps_are_utc_whatever_their_zone(moments: list[datetime.datetime], zone: str) -> None:
    utc = pl.Series("t", moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
    rows = pl.DataFrame({"t": utc.dt.convert_time_zone(zone)})
    found = [row[0] for row in read(written(rows, plan({"t": "timestamp"})))]
    assert all(text.endswith("Z") for text in found)
    assert [datetime.datetime.fromisoformat(text).replace(tzinfo=None) for text in found] == moments


def test_a_null_is_empty_and_an_empty_text_is_quoted() -> None:
    rows = pl.DataFrame({"a": ["", None, "x"], "b": [None, "", "y"]})
    assert written(rows, plan({"a": "string", "b": "string"})) == b'"",\n,""\nx,y\n'


def test_text_that_is_declared_a_time_starts_no_formula_either() -> None:
    assert written(pl.DataFrame({"a": ["=1+1"]}), plan({"a": "time"})) == b"'=1+1\n"


def test_clock_times_and_booleans() -> None:
    rows = pl.DataFrame({"a": [datetime.time(5, 17)], "b": ["24:00"], "c": [True]})
    assert written(rows, plan({"a": "time", "b": "time", "c": "boolean"})) == b"05:17:00,24:00,true\n"


@pytest.mark.parametrize(("bom", "start"), [(False, b""), (True, b"\xef\xbb\xbf")])
def test_the_file_is_the_header_once_and_then_the_parts(bom: bool, start: bytes) -> None:
    receipts = [receipt(0, 10), receipt(1, 0), receipt(2, 7)]
    work = Work("export", "plan")
    head, *parts = Csv().layout(plan({"a": "string", "b": "integer"}, bom=bom), work, receipts)
    assert head == Literal(start + b"Title of a,Title of b\n")
    assert parts == [Range.of(work, receipts[0]), Range.of(work, receipts[2])]


def test_a_title_with_a_comma_is_quoted() -> None:
    wanted: Any = {"definition": {"columns": [{"name": "a", "title": 'Delay, "minutes"', "type": "integer"}]}}
    (head,) = Csv().layout(wanted | {"options": {"bom": False}}, Work("export", "plan"), [])
    assert head == Literal(b'"Delay, ""minutes"""\n')


def receipt(part: int, size: int) -> Receipt:
    return {"part": part, "etag": '"e"', "bytes": size, "crc32": 0, "rows_read": 1, "rows_written": 1}
