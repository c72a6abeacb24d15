"""Format csv: what is written is what an independent reader reads, cell by cell."""

import csv
import datetime
import decimal
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TextNotEncodable
from shared.files.formats.csv import Csv
from shared.files.segments import Range
from tests.unit.formats.support import (
    DANGEROUS,
    DIVIDED,
    INTEGERS,
    KINDS,
    NASTY,
    TEXT,
    TYPES,
    WORK,
    Divided,
    as_held,
    differences,
    frame,
    make,
    plan,
    values,
    whole,
)

DELIMITERS = (",", ";", "\t", "|")


def read(content: bytes, delimiter: str = ",") -> list[list[str]]:
    text = io.StringIO(content.decode("utf-8"), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def lines(rows: pl.DataFrame, *kinds: str, **options: Any) -> bytes:
    """The rows without a header; columns are of these types."""
    return whole("csv", rows, dict(zip(rows.columns, kinds, strict=True)), **{"header_style": "none"} | options)


def head(title: str, **options: Any) -> bytes:
    """The header of a column with this title, and of another."""
    titled, into = plan("csv", {"a": "integer", "b": "integer"}, **options), io.BytesIO()
    for column, each in zip(titled["definition"]["columns"], (title, "x"), strict=True):
        column["title"] = each
    Csv().writer(titled, into, first=True)
    return into.getvalue()


BACK: dict[str, Any] = {
    **dict.fromkeys(["text", "choice"], str),
    **dict.fromkeys(["whole", "huge"], int),
    **dict.fromkeys(["real", "single", "half"], lambda text: float(text.replace(",", "."))),
    **dict.fromkeys(["money", "fraction"], lambda text: decimal.Decimal(text.replace(",", "."))),
    "truth": {"true": True, "false": False}.__getitem__,
    "day": datetime.date.fromisoformat,
    "clock": datetime.time.fromisoformat,
    **dict.fromkeys(["local", "utc", "zoned"], datetime.datetime.fromisoformat),
}
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(DELIMITERS),
        "line_ending": st.sampled_from(["lf", "crlf"]),
        "header_style": st.sampled_from(["title", "name"]),
        **dict.fromkeys(["decimal_comma", "bom", "spreadsheet_safe"], st.booleans()),
    }
).filter(lambda dialect: not dialect["decimal_comma"] or dialect["delimiter"] != ",")


@given(DIVIDED, DIALECTS)
def test_every_cell_of_every_type_is_read_back_in_every_dialect_however_the_rows_were_divided(
    divided: Divided, dialect: dict[str, Any]
) -> None:
    """Only text gets an apostrophe, only numbers a comma. Lists and structs are the JSON that jsonl has."""
    rows, parts = divided
    content = make("csv", parts, TYPES, **dialect).content
    assert content == whole("csv", frame(rows), TYPES, **dialect)
    assert content.startswith("\ufeff".encode()) is dialect["bom"]
    assert content.endswith({"lf": b"\n", "crlf": b"\r\n"}[dialect["line_ending"]])
    utf_16 = make("csv", parts, TYPES, **dialect, encoding="utf-16le").content
    assert utf_16 == content.decode().encode("utf-16-le")

    in_json = [json.loads(line) for line in whole("jsonl", frame(rows), TYPES).split(b"\n")[:-1]]
    _, *found = read(content.removeprefix("\ufeff".encode()), dialect["delimiter"])
    for index, name in enumerate(KINDS):
        cells = [each[index] for each in found]
        if name not in BACK:
            assert [json.loads(cell) if cell else None for cell in cells] == [each[name] for each in in_json]
            continue
        expected = [None if value == "" else value for value in values(rows, name)]
        if TYPES[name] == "string" and dialect["spreadsheet_safe"]:
            expected = [f"'{text}" if text and text.startswith(DANGEROUS) else text for text in expected]
        read_back = [None if cell == "" else BACK[name](cell) for cell in cells]
        assert differences(as_held(name, read_back), expected) == [], name


TYPED = {"a": "string", "n": "integer", "b": "string"}
SCHEMA = {"a": pl.String, "n": pl.Int64, "b": pl.String}
TABLE = st.lists(st.tuples(st.none() | TEXT | NASTY, INTEGERS, st.none() | TEXT | NASTY), min_size=1)


@given(rows=TABLE, delimiter=st.sampled_from(DELIMITERS), line_ending=st.sampled_from(["lf", "crlf"]))
def test_polars_duckdb_and_pandas_read_every_cell_and_the_first_two_tell_null_from_empty_text(
    rows: list[tuple[Any, ...]], delimiter: str, line_ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asked = {"spreadsheet_safe": False, "header_style": "name", "delimiter": delimiter}
    held = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    content = whole("csv", held, TYPED, **asked, line_ending=line_ending)
    found = pl.read_csv(io.BytesIO(content), separator=delimiter, schema=SCHEMA, eol_char="\n")
    assert differences(found.rows(), rows) == []
    if line_ending == "crlf":
        return

    reading: Any = {"sep": delimiter, "dtype": {"a": "str", "n": "int64", "b": "str"}, "lineterminator": "\n"}
    by_pandas = pd.read_csv(io.BytesIO(content), keep_default_na=False, encoding="utf-8", **reading)
    assert [tuple(row) for row in by_pandas.itertuples(index=False)] == [(a or "", n, b or "") for a, n, b in rows]

    path = tmp_path_factory.getbasetemp() / "cells.csv"
    path.write_bytes(content)
    dialect = f"""delim='{delimiter}', quote='"', escape='"', header=true, auto_detect=false, new_line='\\n'"""
    columns = "columns={a: 'VARCHAR', n: 'BIGINT', b: 'VARCHAR'}, allow_quoted_nulls=false"
    by_duckdb = duckdb.sql(f"FROM read_csv('{path}', {dialect}, {columns})").fetchall()
    assert differences(by_duckdb, rows) == []


# Spreadsheets


@pytest.mark.parametrize("start", DANGEROUS)
def test_neither_a_text_nor_a_title_nor_what_becomes_text_starts_a_formula(start: str) -> None:
    for kind in ("string", "time"):
        assert read(lines(pl.DataFrame({"a": [f"{start}1"]}), kind)) == [[f"'{start}1"]]
    assert lines(pl.DataFrame({"a": [b"\xfb\x5f\xb5\xfb\x5f\xb5"]}), "binary") == b"'+1+1+1+1\n"
    assert read(head(f"{start}1")) == [[f"'{start}1", "x"]]
    assert read(head(f"{start}1", spreadsheet_safe=False)) == [[f"{start}1", "x"]]


def test_a_first_title_that_begins_with_id_is_quoted_for_excel_would_take_the_file_for_sylk() -> None:
    assert head("ID") == head("ID", spreadsheet_safe=False) == b'"ID",x\n'
    assert head("ID", line_ending="crlf", delimiter=";") == b'"ID";x\r\n'
    assert head("Total\rEUR") == b'"Total\rEUR",x\n', "as is one with a return, whatever ends the lines"


def test_where_there_is_no_header_the_first_cell_of_a_part_is_quoted_if_it_begins_with_id() -> None:
    rows = pl.DataFrame({"a": ["ID-1", "ID-2"], "b": ["x", None]})
    for encoding in ("utf-8", "utf-16le"):
        asked = {"header_style": "none", "encoding": encoding}
        file = make("csv", [[rows[:0]], [rows]], {"a": "string", "b": "string"}, **asked)
        assert file.content == '"ID-1",x\nID-2,\n'.encode(encoding)
    assert lines(pl.DataFrame({"a": ["ID,1", "x"]}), "string") == b'"ID,1"\nx\n'
    assert lines(pl.DataFrame({"a": [None, "ID"]}), "string") == b'""\nID\n'


# Nulls


def test_a_null_alone_in_its_line_is_quoted_because_readers_skip_empty_lines(tmp_path: Path) -> None:
    content = whole("csv", pl.DataFrame({"a": [1, None, None, 4]}), {"a": "integer"}, header_style="name")
    assert content == b'a\n1\n""\n""\n4\n'
    path = tmp_path / "one.csv"
    path.write_bytes(content)
    assert pl.read_csv(path, schema={"a": pl.Int64})["a"].to_list() == [1, None, None, 4]
    assert pd.read_csv(path)["a"].fillna(0).tolist() == [1, 0, 0, 4]
    assert duckdb.sql(f"FROM read_csv('{path}', columns={{a: 'BIGINT'}})").fetchall() == [(1,), (None,), (None,), (4,)]
    texts = lines(pl.DataFrame({"a": ["", None, " ", "\n"]}), "string", spreadsheet_safe=False)
    assert read(texts) == [[""], [""], [" "], ["\n"]]


# Values


@pytest.mark.parametrize(
    ("instant", "zone", "text"),
    [
        ("2013-01-01T10:00:00", "UTC", "2013-01-01T10:00:00Z"),
        ("2013-03-31T00:59:59.999", "Europe/Berlin", "2013-03-31T01:59:59.999+01:00"),
        ("2013-03-31T01:00:00", "Europe/Berlin", "2013-03-31T03:00:00+02:00"),
        ("2013-10-27T00:30:00", "Europe/Berlin", "2013-10-27T02:30:00+02:00"),
        ("2013-10-27T01:30:00", "Europe/Berlin", "2013-10-27T02:30:00+01:00"),
        ("2013-11-03T05:30:00", "America/New_York", "2013-11-03T01:30:00-04:00"),
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


@pytest.mark.parametrize(("unit", "fraction"), [("ms", ".123"), ("us", ".123456"), ("ns", ".123456789")])
def test_a_fraction_of_a_second_is_kept_and_a_timestamp_without_a_zone_gets_none(unit: Any, fraction: str) -> None:
    column = pl.Series("t", [f"2013-01-01T10:00:00{fraction}"]).str.to_datetime(time_unit=unit)
    zoned = pl.DataFrame({"a": column, "b": column.dt.replace_time_zone("UTC")})
    expected = f"2013-01-01T10:00:00{fraction},2013-01-01T11:00:00{fraction}+01:00\n"
    assert lines(zoned, "timestamp", "timestamp", timezone="Europe/Berlin") == expected.encode()


def test_other_values_are_written_as() -> None:
    struct = pl.Struct({"b": pl.List(pl.Int8), "a": pl.String})
    rows = pl.DataFrame(
        {
            "a": pl.Series([{"b": [1, None], "a": 'x, "y"'}, None], dtype=struct),
            "b": [datetime.time(5, 17), None],
            "c": ["24:00", None],
            "d": [True, None],
            "e": [float("nan"), float("-inf")],
        }
    )
    expected = b'"{""b"":[1,null],""a"":""x, \\""y\\""""}",05:17:00,24:00,true,NaN\n,,,,-inf\n'
    assert lines(rows, "json", "time", "time", "boolean", "number") == expected


# The head


@pytest.mark.parametrize(("bom", "start"), [(False, b""), (True, b"\xef\xbb\xbf")])
def test_the_header_stands_once_at_the_start_of_the_first_part_and_parts_are_copied_as_they_are(
    bom: bool, start: bytes
) -> None:
    rows = pl.DataFrame({"a": [1]})
    file = make("csv", [[rows], [], [rows]], {"a": "integer"}, bom=bom, header_style="name")
    assert file.content == start + b"a\n1\n1\n"
    assert file.segments == [Range.of(WORK, file.receipts[0]), Range.of(WORK, file.receipts[2])]
    assert make("csv", [[]], {"a": "integer"}, bom=bom, header_style="none").content == start


def test_the_header_is_titles_or_names_or_nothing() -> None:
    rows = pl.DataFrame({"a": [1], "b": [2]})
    for style, header in {"title": b'"Title, ""a""";"Title, ""b"""\r\n', "name": b"a;b\r\n", "none": b""}.items():
        asked = {"header_style": style, "delimiter": ";", "line_ending": "crlf"}
        assert whole("csv", rows, {"a": "integer", "b": "integer"}, **asked) == header + b"1;2\r\n"


# Windows-1252

WESTERN = bytes(set(range(256)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")


@given(st.lists(st.tuples(st.none() | st.text(WESTERN), INTEGERS)))
def test_windows_1252_is_the_same_text(rows: list[tuple[str | None, int]]) -> None:
    made = pl.DataFrame(rows, schema={"a": pl.String, "n": pl.Int64}, orient="row")
    coded = lines(made, "string", "integer", encoding="windows-1252")
    assert coded == lines(made, "string", "integer").decode().encode("cp1252")


@pytest.mark.parametrize("character", ["\x81", "\u0141", "\u4e2d", "\U0001f600"])
def test_a_character_that_the_encoding_lacks_is_named_by_its_place_and_not_by_its_value(character: str) -> None:
    rows = pl.DataFrame({"n": range(20_000), "s": ["x"] * 19_000 + [f"secret {character}"] + ["\u4e2d"] * 999})
    rows = rows.with_columns(d=pl.lit(3_000_000).cast(pl.Date))  # a day of five digits
    types = {"n": "integer", "s": "string", "d": "date"}
    for batches in ([rows], [rows[:18_500], rows[18_500:]]):
        with pytest.raises(TextNotEncodable) as refused:
            make("csv", [batches], types, encoding="windows-1252")
        assert str(refused.value) == "column s in row 19001 of the part has a character that windows-1252 cannot encode"
        assert refused.value.__context__ is None
    said = "^the title of column a has a character that windows-1252 cannot encode$"
    with pytest.raises(TextNotEncodable, match=said):
        head(character, encoding="windows-1252")
