"""Options: each format offers what means something in it, and refuses everything else before any work is done."""

from __future__ import annotations

import datetime
import io
import random
from typing import Any

import jsonschema
import polars as pl
import pytest

from shared.files.formats import FORMATS, option_faults, resolve_options
from shared.files.formats.options import zones
from tests.unit.formats.support import plan, utc, whole

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
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "csv": ("text/csv; charset=utf-8", CSV),
    "csv.gz": ("application/gzip", CSV),
    "jsonl": ("application/jsonl", JSONL),
    "jsonl.gz": ("application/gzip", JSONL),
    "parquet": ("application/vnd.apache.parquet", {"header_style": "name"}),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        {"header_style": "title", "timezone": "UTC"},
    ),
}


def test_these_are_the_formats_their_files_and_their_options() -> None:
    assert list(FORMATS) == list(FILES)
    for name, (content_type, defaults) in FILES.items():
        each = FORMATS[name]
        assert (each.extension, each.content_type, each.served_as({})) == (name, content_type, content_type)
        assert resolve_options(name, {"notify": True, "file_name": "x"}) == defaults
        assert resolve_options(name, {"header_style": "x"}) == defaults | {"header_style": "x"}
        jsonschema.Draft202012Validator.check_schema(each.options_schema)
        assert each.options_schema["additionalProperties"] is False
        assert all(rule["title"] and rule["description"] for rule in each.options_schema["properties"].values())
        assert option_faults(name, defaults) == option_faults(name, {}) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_plan_of_before_an_option_was_there_gets_its_default(name: str) -> None:
    def made(wanted: Any) -> bytes:
        into = io.BytesIO()
        writer = FORMATS[name].writer(wanted, into, first=True)
        writer.write(pl.DataFrame({"a": ["=1"]}))
        writer.close()
        return into.getvalue()

    wanted = plan(name, {"a": "string"})
    assert made(wanted | {"options": {}}) == made(wanted)


@pytest.mark.parametrize(
    ("name", "asked", "content_type"),
    [
        ("csv", {"encoding": "windows-1252"}, "text/csv; charset=windows-1252"),
        ("csv", {"encoding": "utf-16le"}, "text/csv; charset=utf-16le"),
        ("csv", {"encoding": "utf-16le", "bom": True}, "text/csv; charset=utf-16"),
        ("csv", {"bom": True}, "text/csv; charset=utf-8"),
        ("csv.gz", {"encoding": "utf-16le"}, "application/gzip"),
    ],
)
def test_a_file_is_served_as_what_it_is(name: str, asked: dict[str, Any], content_type: str) -> None:
    assert FORMATS[name].served_as(asked) == content_type


@pytest.mark.parametrize(
    ("name", "given", "pointer"),
    [
        ("csv", {"delimiter": ""}, "/delimiter"),
        ("csv", {"line_ending": "\r\n"}, "/line_ending"),
        ("csv", {"encoding": "utf-16"}, "/encoding"),
        ("csv.gz", {"spreadsheet_safe": 1}, "/spreadsheet_safe"),
        ("jsonl", {"header_style": "none"}, "/header_style"),
        ("jsonl", {"spreadsheet_safe": True}, "/spreadsheet_safe"),
        ("jsonl.gz", {"bom": False}, "/bom"),
        ("parquet", {"timezone": "UTC"}, "/timezone"),
        ("parquet", {"delimiter": ","}, "/delimiter"),
        ("xlsx", {"spreadsheet_safe": True}, "/spreadsheet_safe"),
        ("xlsx", {"header_style": "none"}, "/header_style"),
        *(
            ("jsonl", {"timezone": zone}, "/timezone")
            for zone in ("", "utc", "europe/berlin", "+01:00", "Factory", "localtime", "../zones", "UTC\n")
        ),
    ],
)
def test_what_a_format_cannot_do_is_refused(name: str, given: dict[str, Any], pointer: str) -> None:
    assert [fault["pointer"] for fault in option_faults(name, given)] == [pointer]


ZONE_FAULT = "a name in the IANA time zone database, such as Europe/Berlin, America/New_York or UTC"


@pytest.mark.parametrize(
    ("name", "given", "pointer", "detail", "allowed"),
    [
        ("csv", {"delimiter": ":"}, "/delimiter", '":" is not allowed', 'one of ",", ";", "\\t", "|"'),
        ("csv", {"bom": "yes"}, "/bom", '"yes" is not allowed', "a value of type boolean"),
        ("jsonl", {"bom": True}, "/bom", "unknown field", "file_name, header_style, notify, timezone"),
        ("csv", {"timezone": "Mars/X"}, "/timezone", '"Mars/X" is not a known time zone', ZONE_FAULT),
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
    ],
)
def test_a_refusal_says_where_what_and_what_is_allowed(
    name: str, given: dict[str, Any], pointer: str, detail: str, allowed: str
) -> None:
    assert option_faults(name, given) == [{"pointer": pointer, "detail": detail, "allowed": allowed}]


def test_every_fault_is_told_at_once() -> None:
    faults = option_faults("csv", {"bom": 1, "delimiter": "x", "colour": "red", "timezone": 5})
    assert [fault["pointer"] for fault in faults] == ["/bom", "/colour", "/delimiter", "/timezone"]


def test_there_are_all_the_zones_that_a_person_would_name() -> None:
    assert {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Etc/GMT+5"} <= zones()
    assert len(zones()) > 500


def test_the_engine_knows_every_zone_and_keeps_every_instant_in_it() -> None:
    chance = random.Random(1)
    span = datetime.datetime.max - datetime.datetime.min
    moments = [datetime.datetime.min, datetime.datetime.max]
    moments += [datetime.datetime.min + chance.random() * span for _ in range(100)]
    rows = pl.DataFrame({"t": pl.Series(moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")})
    for zone in zones():
        options = {"header_style": "none", "timezone": zone}
        shown = whole("csv", rows, {"t": "timestamp"}, **options).decode().splitlines()
        assert [datetime.datetime.fromisoformat(text) for text in shown] == [utc(moment) for moment in moments], zone
