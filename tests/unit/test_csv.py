"""Format csv: what is written is what an independent reader reads, cell by cell."""

import csv
import datetime
import decimal
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import TextNotEncodable
from shared.files.formats.csv import Csv
from shared.files.segments import Range
from tests.unit.formats.support import (
    DANGEROUS,
    FLOATS,
    INTEGERS,
    KINDS,
    MOMENTS,
    NASTY,
    ROWS,
    TEXT,
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

DELIMITERS = (",", ";", "\t", "|")


def read(content: bytes, delimiter: str = ",") -> list[list[str]]:
    text = io.StringIO(content.decode("utf-8"), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def lines(rows: pl.DataFrame, *kinds: str, **options: Any) -> bytes:
    """The rows without a header; columns are of these types."""
    types = dict(zip(rows.columns, kinds, strict=True))
    return whole("csv", rows, types, **{"header_style": "none"} | options)


BACK: dict[str, Any] = {
    "text": str,
    "choice": str,
    "whole": int,
    "huge": int,
    "real": float,
    "single": float,
    "money": decimal.Decimal,
    "fraction": decimal.Decimal,
    "truth": {"true": True, "false": False}.__getitem__,
    "day": datetime.date.fromisoformat,
    "clock": datetime.time.fromisoformat,
    "local": datetime.datetime.fromisoformat,
    "utc": datetime.datetime.fromisoformat,
    "zoned": datetime.datetime.fromisoformat,
    "list": json.loads,
    "texts": json.loads,
    "moments": lambda text: [item and datetime.datetime.fromisoformat(item) for item in json.loads(text)],
}


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=6), st.sampled_from(DELIMITERS))
def test_every_cell_of_every_type_is_read_back_as_it_was(rows: list[dict[str, Any]], delimiter: str) -> None:
    content = whole("csv", frame(rows), TYPES, spreadsheet_safe=False, delimiter=delimiter)
    header, *found = read(content, delimiter)
    assert header == [f'Title, "{name}"' for name in KINDS]
    for index, name in enumerate(KINDS):
        if name == "struct":
            continue
        values = [None if cells[index] == "" else BACK[name](cells[index]) for cells in found]
        if name == "single":
            values = pl.Series(values, dtype=pl.Float32).to_list()
        expected = [row[name] if row[name] != "" else None for row in rows]
        if name in ("utc", "zoned"):
            expected = [moment and utc(moment) for moment in expected]
        assert differences(values, expected) == [], name


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=3))
def test_lists_and_structs_are_the_json_that_jsonl_has(rows: list[dict[str, Any]]) -> None:
    in_json = [json.loads(line) for line in whole("jsonl", frame(rows), TYPES).split(b"\n")[:-1]]
    _, *found = read(whole("csv", frame(rows), TYPES))
    for index, name in enumerate(KINDS):
        if TYPES[name] == "json":
            assert [json.loads(cells[index]) if cells[index] else None for cells in found] == [
                each[name] for each in in_json
            ]


def test_json_in_a_cell_is_compact_and_quoted() -> None:
    column = pl.Series(
        [{"b": [1, None], "a": 'x, "y"'}, None], dtype=pl.Struct({"b": pl.List(pl.Int8), "a": pl.String})
    )
    rows = pl.DataFrame({"j": column, "n": [1, 2]})
    assert read(lines(rows, "json", "integer")) == [['{"b":[1,null],"a":"x, \\"y\\""}', "1"], ["", "2"]]


TABLE = st.lists(st.tuples(st.none() | TEXT | NASTY, INTEGERS, st.none() | TEXT | NASTY), min_size=1)
TYPED = {"a": "string", "n": "integer", "b": "string"}


def table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"a": pl.String, "n": pl.Int64, "b": pl.String}, orient="row")


@settings(max_examples=60)
@given(TABLE, st.sampled_from(DELIMITERS))
def test_polars_reads_every_cell_and_tells_null_from_empty_text(rows: list[tuple[Any, ...]], delimiter: str) -> None:
    asked = {"spreadsheet_safe": False, "header_style": "name", "delimiter": delimiter}
    content = whole("csv", table(rows), TYPED, **asked)
    schema = {"a": pl.String, "n": pl.Int64, "b": pl.String}
    found = pl.read_csv(io.BytesIO(content), separator=delimiter, schema=schema)
    assert differences(found.rows(), rows) == []


@settings(max_examples=40)
@given(TABLE, st.sampled_from(DELIMITERS))
def test_pandas_reads_every_cell(rows: list[tuple[Any, ...]], delimiter: str) -> None:
    content = whole("csv", table(rows), TYPED, spreadsheet_safe=False, delimiter=delimiter)
    types = {0: "str", 1: "int64", 2: "str"}
    reading = {"sep": delimiter, "dtype": types, "keep_default_na": False, "encoding": "utf-8", "header": 0}
    found = pd.read_csv(io.BytesIO(content), names=[0, 1, 2], lineterminator="\n", **reading)
    assert [tuple(row) for row in found.itertuples(index=False)] == [(a or "", n, b or "") for a, n, b in rows]


@settings(max_examples=25)
@given(rows=TABLE, delimiter=st.sampled_from(DELIMITERS))
def test_duckdb_reads_every_cell_and_tells_null_from_empty_text(
    rows: list[tuple[Any, ...]], delimiter: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    path.write_bytes(whole("csv", table(rows), TYPED, spreadsheet_safe=False, delimiter=delimiter))
    dialect = (
        f"""delim='{delimiter}', quote='"', escape='"', header=true, auto_detect=false, allow_quoted_nulls=false"""
    )
    columns = "{a: 'VARCHAR', n: 'BIGINT', b: 'VARCHAR'}"
    found = duckdb.sql(f"FROM read_csv('{path}', {dialect}, columns={columns}, new_line='\\n')").fetchall()
    assert differences(found, rows) == []


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))))
def test_parts_and_batches_do_not_show(given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]]) -> None:
    rows, parts = given
    assert make("csv", parts, TYPES).content == whole("csv", frame(rows), TYPES)


# Spreadsheets


@given(st.lists(TEXT | NASTY | st.sampled_from(DANGEROUS).flatmap(lambda start: TEXT.map(lambda text: start + text))))
def test_no_text_starts_a_formula_and_the_text_is_kept_behind_the_apostrophe(cells: list[str]) -> None:
    rows = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    found = [row[0] for row in read(lines(rows, "string"))]
    assert found == [f"'{text}" if text.startswith(DANGEROUS) else text for text in cells]


@given(st.lists(INTEGERS | st.none()), st.lists(st.decimals(-(10**15), 10**15, places=4)), st.lists(FLOATS))
def test_numbers_are_written_in_full_and_negative_ones_keep_their_sign(
    integers: list[int | None], decimals: list[decimal.Decimal], floats: list[float]
) -> None:
    whole_numbers = pl.DataFrame({"n": integers, "m": integers}, schema={"n": pl.Int64, "m": pl.Int64})
    assert read(lines(whole_numbers, "integer", "integer")) == [["" if n is None else str(n)] * 2 for n in integers]
    exact = pl.DataFrame({"d": decimals}, schema={"d": pl.Decimal(38, 4)})
    assert [decimal.Decimal(row[0]) for row in read(lines(exact, "decimal"))] == decimals
    rounded = pl.DataFrame({"x": floats}, schema={"x": pl.Float64})
    assert differences([float(row[0]) for row in read(lines(rounded, "number"))], floats) == []


def test_text_that_is_declared_a_time_starts_no_formula_either() -> None:
    assert lines(pl.DataFrame({"a": ["=1+1"]}), "time") == b"'=1+1\n"


@pytest.mark.parametrize("start", DANGEROUS)
def test_a_title_starts_no_formula_either(start: str) -> None:
    titled = plan("csv", {"a": "integer", "b": "integer"})
    for column, title in zip(titled["definition"]["columns"], (f"{start}1", "x"), strict=True):
        column["title"] = title
    into = io.BytesIO()
    Csv().writer(titled, into, first=True)
    assert read(into.getvalue()) == [[f"'{start}1", "x"]]


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, b'"ID",w\n'),
        ({"line_ending": "crlf", "delimiter": ";"}, b'"ID";w\r\n'),
        ({"spreadsheet_safe": False}, b'"ID",w\n'),
    ],
)
def test_a_first_title_that_begins_with_id_in_capitals_is_quoted_for_excel_would_take_the_file_for_sylk(
    options: dict[str, Any], start: bytes
) -> None:
    rows = pl.DataFrame({"ID": [1], "w": [2]})
    content = whole("csv", rows, {"ID": "integer", "w": "integer"}, header_style="name", **options)
    assert content.startswith(start)


def test_where_there_is_no_header_the_first_cell_of_a_part_is_quoted_if_it_begins_so() -> None:
    rows = pl.DataFrame({"a": ["ID-1", "ID-2"], "b": ["x", None]})
    types = {"a": "string", "b": "string"}
    file = make("csv", [[rows[:0]], [rows]], types, header_style="none")
    assert file.content == b'"ID-1",x\nID-2,\n'
    assert make(
        "csv", [[rows]], types, header_style="none", encoding="utf-16le"
    ).content == file.content.decode().encode("utf-16-le")
    assert lines(pl.DataFrame({"a": ["ID,1", "x"]}), "string") == b'"ID,1"\nx\n'
    assert lines(pl.DataFrame({"a": [None, "ID"]}), "string") == b'""\nID\n'


def test_text_is_left_as_it_is_when_that_is_asked_for() -> None:
    assert lines(pl.DataFrame({"a": ["=1+1", "@x"]}), "string", spreadsheet_safe=False) == b"=1+1\n@x\n"


# Nulls


def test_a_null_is_empty_and_an_empty_text_is_quoted() -> None:
    rows = pl.DataFrame({"a": ["", None, "x"], "b": [None, "", "y"]})
    assert lines(rows, "string", "string") == b'"",\n,""\nx,y\n'


def test_a_null_alone_in_its_line_is_quoted_because_readers_skip_empty_lines(tmp_path: Path) -> None:
    content = whole("csv", pl.DataFrame({"a": [1, None, None, 4]}), {"a": "integer"}, header_style="name")
    assert content == b'a\n1\n""\n""\n4\n'
    path = tmp_path / "one.csv"
    path.write_bytes(content)
    assert [row["a"] for row in csv.DictReader(io.StringIO(content.decode()))] == ["1", "", "", "4"]
    assert pl.read_csv(path, schema={"a": pl.Int64})["a"].to_list() == [1, None, None, 4]
    assert pd.read_csv(path)["a"].fillna(0).tolist() == [1, 0, 0, 4]
    assert duckdb.sql(f"FROM read_csv('{path}', columns={{a: 'BIGINT'}})").fetchall() == [(1,), (None,), (None,), (4,)]


@given(st.lists(st.none() | TEXT | NASTY))
def test_no_line_is_empty_whatever_is_in_the_one_column(cells: list[str | None]) -> None:
    rows = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    assert read(lines(rows, "string", spreadsheet_safe=False)) == [[cell or ""] for cell in cells]


# Dates and times


@pytest.mark.parametrize(
    ("instant", "zone", "text"),
    [
        ("2013-01-01T10:00:00", "UTC", "2013-01-01T10:00:00Z"),
        ("2013-03-31T00:59:59.999", "Europe/Berlin", "2013-03-31T01:59:59.999+01:00"),
        ("2013-03-31T01:00:00", "Europe/Berlin", "2013-03-31T03:00:00+02:00"),
        ("2013-10-27T00:30:00", "Europe/Berlin", "2013-10-27T02:30:00+02:00"),
        ("2013-10-27T01:30:00", "Europe/Berlin", "2013-10-27T02:30:00+01:00"),
        ("2013-11-03T05:30:00", "America/New_York", "2013-11-03T01:30:00-04:00"),
        ("2013-11-03T06:30:00", "America/New_York", "2013-11-03T01:30:00-05:00"),
        ("2013-04-06T15:15:00", "Australia/Lord_Howe", "2013-04-07T01:45:00+10:30"),
        ("2011-12-30T10:00:00", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
        ("2013-01-01T00:00:00.000001", "Asia/Kolkata", "2013-01-01T05:30:00.000001+05:30"),
        # Before standard time New York was 4:56:02 behind: the nearest whole minute, and the same instant.
        ("1800-01-01T00:00:00", "America/New_York", "1799-12-31T19:04:00-04:56"),
        ("1950-01-01T00:00:00", "Africa/Monrovia", "1949-12-31T23:15:00-00:45"),
        # Where the year would not be of four digits.
        ("9999-12-31T23:59:59", "Asia/Kolkata", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00", "America/New_York", "0001-01-01T00:00:00Z"),
    ],
)
def test_timestamps_of_a_zone_are_shown_in_the_zone_that_is_asked_for(instant: str, zone: str, text: str) -> None:
    moment = pl.Series("t", [datetime.datetime.fromisoformat(instant)]).dt.replace_time_zone("UTC")
    for source in ("UTC", "Asia/Tokyo"):
        rows = pl.DataFrame([moment.dt.convert_time_zone(source)])
        assert lines(rows, "timestamp", timezone=zone) == f"{text}\n".encode()


@settings(max_examples=60)
@given(st.lists(MOMENTS), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
def test_a_timestamp_is_the_same_instant_in_every_zone(moments: list[datetime.datetime], zone: str) -> None:
    rows = pl.DataFrame({"t": pl.Series("t", moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")})
    found = [row[0] for row in read(lines(rows, "timestamp", timezone=zone))]
    assert [datetime.datetime.fromisoformat(text) for text in found] == [utc(moment) for moment in moments]


def test_a_timestamp_without_a_zone_gets_none() -> None:
    rows = pl.DataFrame({"t": [datetime.datetime(2013, 1, 1, 10, 0, 0, 500000)]})
    assert lines(rows, "timestamp", timezone="Asia/Tokyo") == b"2013-01-01T10:00:00.500\n"


@pytest.mark.parametrize(("unit", "fraction"), [("ms", ".123"), ("us", ".123456"), ("ns", ".123456789")])
def test_a_fraction_of_a_second_is_kept(unit: Any, fraction: str) -> None:
    column = pl.Series("t", [f"2013-01-01T10:00:00{fraction}"]).str.to_datetime(time_unit=unit)
    zoned = pl.DataFrame({"a": column, "b": column.dt.replace_time_zone("UTC")})
    expected = f"2013-01-01T10:00:00{fraction},2013-01-01T11:00:00{fraction}+01:00\n"
    assert lines(zoned, "timestamp", "timestamp", timezone="Europe/Berlin") == expected.encode()


def test_clock_times_and_booleans() -> None:
    rows = pl.DataFrame({"a": [datetime.time(5, 17)], "b": ["24:00"], "c": [True]})
    assert lines(rows, "time", "time", "boolean") == b"05:17:00,24:00,true\n"


# The head


@pytest.mark.parametrize(("bom", "start"), [(False, b""), (True, b"\xef\xbb\xbf")])
def test_the_header_stands_once_at_the_start_of_the_first_part_and_parts_are_copied_as_they_are(
    bom: bool, start: bytes
) -> None:
    rows = pl.DataFrame({"a": [1]})
    file = make("csv", [[rows], [], [rows]], {"a": "integer"}, bom=bom, header_style="name")
    assert file.content == start + b"a\n1\n1\n"
    assert file.segments == [Range.of(WORK, file.receipts[0]), Range.of(WORK, file.receipts[2])]


@pytest.mark.parametrize(
    ("style", "header"), [("title", b'"Title, ""a""";"Title, ""b"""\n'), ("name", b"a;b\n"), ("none", b"")]
)
def test_the_header_is_titles_or_names_or_nothing(style: str, header: bytes) -> None:
    rows = pl.DataFrame({"a": [1], "b": [2]})
    types = {"a": "integer", "b": "integer"}
    assert whole("csv", rows, types, header_style=style, delimiter=";") == header + b"1;2\n"


def test_no_rows_are_a_header() -> None:
    assert make("csv", [[]], {"a": "integer"}, header_style="name").content == b"a\n"


def test_a_plan_of_before_an_option_was_there_gets_its_default() -> None:
    old = plan("csv", {"a": "integer"}) | {"options": {"spreadsheet_safe": True, "bom": False}}
    into = io.BytesIO()
    Csv().writer(old, into, first=True)
    assert into.getvalue() == b'"Title, ""a"""\n'


def test_floats_that_are_no_numbers_are_words() -> None:
    rows = pl.DataFrame({"x": [math.nan, math.inf, -math.inf]})
    assert lines(rows, "number") == b"NaN\ninf\n-inf\n"


# Dialects


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=4), st.sampled_from((";", "\t", "|")))
def test_a_decimal_comma_is_in_numbers_and_nowhere_else(rows: list[dict[str, Any]], delimiter: str) -> None:
    asked = {"spreadsheet_safe": False, "delimiter": delimiter}
    header, *pointed = read(whole("csv", frame(rows), TYPES, **asked), delimiter)
    same_header, *found = read(whole("csv", frame(rows), TYPES, **asked, decimal_comma=True), delimiter)
    numbers = [TYPES[name] in ("number", "decimal") for name in KINDS]
    assert same_header == header
    assert found == [
        [cell.replace(".", ",") if number else cell for cell, number in zip(cells, numbers, strict=True)]
        for cells in pointed
    ]


@settings(max_examples=40)
@given(TABLE)
def test_lines_end_as_asked_and_text_keeps_its_own_line_breaks(rows: list[tuple[Any, ...]]) -> None:
    asked = {"spreadsheet_safe": False, "header_style": "name", "line_ending": "crlf"}
    content = whole("csv", table(rows), TYPED, **asked)
    assert content.startswith(b"a,n,b\r\n")
    assert content.endswith(b"\r\n")
    expected = [["a", "n", "b"], *([a or "", str(n), b or ""] for a, n, b in rows)]
    assert read(content) == expected
    schema = {"a": pl.String, "n": pl.Int64, "b": pl.String}
    assert differences(pl.read_csv(io.BytesIO(content), schema=schema, eol_char="\n").rows(), rows) == []


@settings(max_examples=40)
@given(
    st.lists(ROWS, max_size=5).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))),
    st.booleans(),
    st.sampled_from(["title", "none"]),
)
def test_utf_16_is_the_same_text_with_one_mark_however_it_was_divided(
    given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]], bom: bool, header_style: str
) -> None:
    rows, parts = given
    asked = {"bom": bom, "header_style": header_style, "line_ending": "crlf"}
    found = make("csv", parts, TYPES, encoding="utf-16le", **asked).content
    assert found == whole("csv", frame(rows), TYPES, **asked).decode().encode("utf-16-le")
    assert found.startswith(b"\xff\xfe") is bom
    assert gzip.decompress(make("csv.gz", parts, TYPES, encoding="utf-16le", **asked).content) == found


WESTERN = bytes(set(range(256)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.none() | st.text(WESTERN), INTEGERS)))
def test_windows_1252_is_the_same_text(rows: list[tuple[str | None, int]]) -> None:
    made = pl.DataFrame(rows, schema={"a": pl.String, "n": pl.Int64}, orient="row")
    assert lines(made, "string", "integer", encoding="windows-1252") == lines(
        made, "string", "integer"
    ).decode().encode("cp1252")


@pytest.mark.parametrize("character", ["\x81", "\u0141", "\u4e2d", "\U0001f600"])
def test_a_character_that_the_encoding_lacks_is_named_by_column_and_row_and_not_by_value(character: str) -> None:
    rows = pl.DataFrame({"n": range(20_000), "s": ["x"] * 19_000 + [f"secret {character}"] + ["\u4e2d"] * 999})
    for batches in ([rows], [rows[:18_500], rows[18_500:]]):
        with pytest.raises(TextNotEncodable) as refused:
            make("csv", [batches], {"n": "integer", "s": "string"}, encoding="windows-1252")
        assert str(refused.value) == "column s in row 19001 of the part has a character that windows-1252 cannot encode"
        assert refused.value.__cause__ is None


def test_a_character_that_the_encoding_lacks_is_named_beside_a_day_of_five_digits() -> None:
    days = pl.Series([0, 3_000_000], dtype=pl.Int32).cast(pl.Date)
    rows = pl.DataFrame({"s": ["a", "日本"], "d": days})
    with pytest.raises(
        TextNotEncodable, match=r"^column s in row 2 of the part has a character that windows-1252"
    ) as no:
        make("csv", [[rows]], {"s": "string", "d": "date"}, encoding="windows-1252")
    assert no.value.__context__ is None


def test_binary_that_reads_like_a_formula_is_made_safe() -> None:
    rows = pl.DataFrame({"b": [b"\xfb\x5f\xb5\xfb\x5f\xb5"], "n": [1]})
    assert lines(rows, "binary", "integer") == b"'+1+1+1+1,1\n"


def test_a_return_within_a_title_is_quoted_whatever_ends_the_lines() -> None:
    rows, into = pl.DataFrame({"a": [1], "b": [2]}), io.BytesIO()
    titled = plan("csv", {"a": "integer", "b": "integer"})
    titled["definition"]["columns"][0]["title"] = "Total\rEUR"
    Csv().writer(titled, into, first=True).write(rows)
    assert into.getvalue().startswith(b'"Total\rEUR",')


def test_a_title_that_the_encoding_lacks_is_named_by_its_column() -> None:
    titled = plan("csv", {"a": "integer"}, encoding="windows-1252")
    titled["definition"]["columns"][0]["title"] = "\u4e2d"
    with pytest.raises(
        TextNotEncodable, match=r"^the title of column a has a character that windows-1252 cannot encode$"
    ):
        Csv().writer(titled, io.BytesIO(), first=True)
