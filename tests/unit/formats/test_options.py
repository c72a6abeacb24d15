"""Options: each format offers what means something in it, and refuses everything else before any work is done."""

from __future__ import annotations

import datetime
import io
import random
from typing import Any

import jsonschema
import polars as pl
import pytest

from shared.files.formats import FORMATS, option_faults, options, resolve_options
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


REFUSED: dict[str, dict[str, list[Any]]] = {
    "csv": {"delimiter": [""], "line_ending": ["\r\n"], "encoding": ["utf-16"]},
    "csv.gz": {"spreadsheet_safe": [1]},
    "jsonl": {
        "header_style": ["none"],
        "spreadsheet_safe": [True],
        "timezone": ["", "utc", "europe/berlin", "+01:00", "Factory", "localtime", "../zones", "UTC\n"],
    },
    "jsonl.gz": {"bom": [False]},
    "parquet": {"timezone": ["UTC"], "delimiter": [","]},
    "xlsx": {"spreadsheet_safe": [True], "header_style": ["none"]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_format_cannot_do_is_refused(name: str) -> None:
    for option, values in REFUSED[name].items():
        for value in values:
            assert [fault["pointer"] for fault in option_faults(name, {option: value})] == [f"/{option}"]


ZONE = "a name in the IANA time zone database, such as Europe/Berlin, America/New_York or UTC"
COMMAS, NO_MARK = "is true, but the delimiter is also a comma", "is true, but windows-1252 has no byte order mark"
WITH_MARK = "false, or the encoding utf-8 or utf-16le"


@pytest.mark.parametrize(
    ("name", "given", "detail", "allowed"),
    [
        ("csv", {"delimiter": ":"}, '":" is not allowed', 'one of ",", ";", "\\t", "|"'),
        ("csv", {"bom": "yes"}, '"yes" is not allowed', "a value of type boolean"),
        ("jsonl", {"bom": True}, "unknown field", "file_name, header_style, notify, timezone"),
        ("csv", {"timezone": "Mars/X"}, '"Mars/X" is not a known time zone', ZONE),
        ("csv.gz", {"decimal_comma": True}, COMMAS, 'false, or the delimiter ";", tab or "|"'),
        ("csv", {"bom": True, "encoding": "windows-1252"}, NO_MARK, WITH_MARK),
    ],
)
def test_a_refusal_says_where_what_and_what_is_allowed(
    name: str, given: dict[str, Any], detail: str, allowed: str
) -> None:
    assert option_faults(name, given) == [{"pointer": f"/{next(iter(given))}", "detail": detail, "allowed": allowed}]


def test_a_format_may_offer_an_encoding_and_nothing_else_of_csv() -> None:
    assert options.dialect_faults(options.closed(encoding=options.ENCODING), {"encoding": "windows-1252"}) == []


def test_every_fault_is_told_at_once() -> None:
    faults = option_faults("csv", {"bom": 1, "delimiter": "x", "colour": "red", "timezone": 5})
    assert [fault["pointer"] for fault in faults] == ["/bom", "/colour", "/delimiter", "/timezone"]


def test_the_engine_knows_every_zone_that_a_person_would_name_and_keeps_every_instant_in_it() -> None:
    assert {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Etc/GMT+5"} <= zones()
    assert len(zones()) > 500
    chance = random.Random(1)
    span = datetime.datetime.max - datetime.datetime.min
    moments = [datetime.datetime.min, datetime.datetime.max]
    moments += [datetime.datetime.min + chance.random() * span for _ in range(100)]
    rows = pl.DataFrame({"t": pl.Series(moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")})
    for zone in zones():
        options = {"header_style": "none", "timezone": zone}
        shown = whole("csv", rows, {"t": "timestamp"}, **options).decode().splitlines()
        assert [datetime.datetime.fromisoformat(text) for text in shown] == [utc(moment) for moment in moments], zone
