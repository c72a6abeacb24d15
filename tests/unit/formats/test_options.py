"""Options: each format offers what means something in it, and refuses everything else before any work is done."""

from __future__ import annotations

import datetime
from typing import Any

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.files.formats import FORMATS, option_faults, options, resolve_options
from shared.files.formats.options import zones
from tests.unit.formats.support import MOMENTS, utc, whole

CSV = {
    "spreadsheet_safe": True,
    "bom": False,
    "delimiter": ",",
    "header_style": "title",
    "timezone": "UTC",
    "decimal_comma": False,
    "line_ending": "lf",
    "encoding": "utf-8",
}
JSONL = {"header_style": "name", "timezone": "UTC"}
XLSX = {"header_style": "title", "timezone": "UTC"}
DEFAULTS = {"csv": CSV, "csv.gz": CSV, "jsonl": JSONL, "jsonl.gz": JSONL, "parquet": {"header_style": "name"}}
DEFAULTS |= {"xlsx": XLSX}
FILES = {
    "csv": ("csv", "text/csv; charset=utf-8"),
    "csv.gz": ("csv.gz", "application/gzip"),
    "jsonl": ("jsonl", "application/jsonl"),
    "jsonl.gz": ("jsonl.gz", "application/gzip"),
    "parquet": ("parquet", "application/vnd.apache.parquet"),
    "xlsx": ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def test_these_are_the_formats_their_files_and_their_options() -> None:
    assert {name: (each.extension, each.content_type) for name, each in FORMATS.items()} == FILES
    assert {name: resolve_options(name, {}) for name in FORMATS} == DEFAULTS


@pytest.mark.parametrize(
    ("name", "asked", "content_type"),
    [
        ("csv", {"encoding": "windows-1252"}, "text/csv; charset=windows-1252"),
        ("csv", {"encoding": "utf-16le"}, "text/csv; charset=utf-16le"),
        ("csv", {"encoding": "utf-16le", "bom": True}, "text/csv; charset=utf-16"),
        ("csv", {"bom": True}, "text/csv; charset=utf-8"),
        ("csv.gz", {"encoding": "utf-16le"}, "application/gzip"),
        ("xlsx", {}, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_a_file_is_served_as_what_it_is(name: str, asked: dict[str, Any], content_type: str) -> None:
    assert FORMATS[name].served_as(asked) == content_type


@pytest.mark.parametrize("name", FORMATS)
def test_the_schema_of_the_options_is_closed_and_says_what_each_is(name: str) -> None:
    schema = FORMATS[name].options_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for rule in schema["properties"].values():
        assert rule["title"]
        assert rule["description"]
    assert option_faults(name, DEFAULTS[name]) == []
    assert option_faults(name, {}) == []


@pytest.mark.parametrize(
    ("name", "given", "pointer", "detail", "allowed"),
    [
        ("csv", {"delimiter": ":"}, "/delimiter", '":" is not allowed', 'one of ",", ";", "\\t", "|"'),
        ("csv", {"delimiter": ""}, "/delimiter", '"" is not allowed', 'one of ",", ";", "\\t", "|"'),
        ("csv", {"bom": "yes"}, "/bom", '"yes" is not allowed', "a value of type boolean"),
        ("csv", {"header_style": "x"}, "/header_style", '"x" is not allowed', 'one of "title", "name", "none"'),
        ("csv.gz", {"spreadsheet_safe": 1}, "/spreadsheet_safe", "1 is not allowed", "a value of type boolean"),
        ("jsonl", {"delimiter": ";"}, "/delimiter", "unknown field", "file_name, header_style, notify, timezone"),
        ("jsonl", {"header_style": "none"}, "/header_style", '"none" is not allowed', 'one of "name", "title"'),
        ("jsonl.gz", {"bom": False}, "/bom", "unknown field", "file_name, header_style, notify, timezone"),
        (
            "jsonl",
            {"spreadsheet_safe": True},
            "/spreadsheet_safe",
            "unknown field",
            "file_name, header_style, notify, timezone",
        ),
        ("parquet", {"timezone": "UTC"}, "/timezone", "unknown field", "file_name, header_style, notify"),
        ("parquet", {"delimiter": ","}, "/delimiter", "unknown field", "file_name, header_style, notify"),
        (
            "xlsx",
            {"spreadsheet_safe": True},
            "/spreadsheet_safe",
            "unknown field",
            "file_name, header_style, notify, timezone",
        ),
        ("xlsx", {"header_style": "none"}, "/header_style", '"none" is not allowed', 'one of "title", "name"'),
        (
            "csv",
            {"encoding": "utf-16"},
            "/encoding",
            '"utf-16" is not allowed',
            'one of "utf-8", "utf-16le", "windows-1252"',
        ),
        ("csv", {"line_ending": "\r\n"}, "/line_ending", '"\\r\\n" is not allowed', 'one of "lf", "crlf"'),
        (
            "csv.gz",
            {"decimal_comma": True},
            "/decimal_comma",
            "is true, but the delimiter is also a comma",
            'false, or the delimiter ";", tab or "|"',
        ),
        (
            "csv",
            {"bom": True, "encoding": "windows-1252"},
            "/bom",
            "is true, but windows-1252 has no byte order mark",
            "false, or the encoding utf-8 or utf-16le",
        ),
        (
            "csv",
            {"timezone": "Mars/Olympus"},
            "/timezone",
            '"Mars/Olympus" is not a known time zone',
            "a name in the IANA time zone database, such as Europe/Berlin, America/New_York or UTC",
        ),
    ],
)
def test_what_a_format_cannot_do_is_refused(
    name: str, given: dict[str, Any], pointer: str, detail: str, allowed: str
) -> None:
    assert option_faults(name, given) == [{"pointer": pointer, "detail": detail, "allowed": allowed}]


@pytest.mark.parametrize("zone", ["", "utc", "europe/berlin", "+01:00", "Factory", "localtime", "../zones", "UTC\n"])
def test_only_a_name_of_the_database_is_a_time_zone(zone: str) -> None:
    [fault] = option_faults("jsonl", {"timezone": zone})
    assert fault["pointer"] == "/timezone"


def test_every_fault_is_told_at_once() -> None:
    faults = option_faults("csv", {"bom": 1, "delimiter": "x", "colour": "red", "timezone": 5})
    assert [fault["pointer"] for fault in faults] == ["/bom", "/colour", "/delimiter", "/timezone"]


def test_there_are_all_the_zones_that_a_person_would_name() -> None:
    assert {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Etc/GMT+5"} <= zones()
    assert len(zones()) > 500


@settings(max_examples=14)
@given(st.lists(MOMENTS, min_size=1))
def test_the_engine_knows_every_zone_and_keeps_every_instant_in_it(moments: list[datetime.datetime]) -> None:
    rows = pl.DataFrame({"t": pl.Series(moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")})
    for zone in sorted(zones())[len(moments) % 7 :: 7]:
        options = {"header_style": "none", "timezone": zone}
        shown = whole("csv", rows, {"t": "timestamp"}, **options).decode().splitlines()
        assert [datetime.datetime.fromisoformat(text) for text in shown] == [utc(moment) for moment in moments], zone


def test_an_option_that_a_record_does_not_have_yet_gets_its_default() -> None:
    schema = FORMATS["csv"].options_schema
    assert options.resolve(schema, {"bom": True}) == CSV | {"bom": True}
