"""options.file_name: what a file is called when it is downloaded, on every system, and that no byte depends on it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files import names, result
from shared.files.formats import FORMATS, option_faults, resolve_options
from tests.unit.support import Answer, Cloud, Frozen, event, succeeded

NAMES = {
    "orders june": "orders june.csv",
    "orders.csv": "orders.csv",
    "ORDERS.CSV": "ORDERS.csv",
    "orders.2026": "orders.2026.csv",
    "orders.xlsx": "orders.xlsx.csv",
    "a/b\\c": "a_b_c.csv",
    "../../etc/passwd": "_.._etc_passwd.csv",
    'who: "me" <x> | * ?': "who_ _me_ _x_ _ _ _.csv",
    "a\x00b\nc\x7f\x85": "a_b_c__.csv",
    "txt\u202ecod": "txt_cod.csv",
    "  .hidden. . ": "hidden.csv",
    "con": "_con.csv",
    "Lpt1.old": "_Lpt1.old.csv",
    "COM\xb9": "_COM\xb9.csv",
    "console": "console.csv",
    "Zu\u0308rich": "Zürich.csv",
    "東京 😀": "東京 😀.csv",
}


@pytest.mark.parametrize(("asked", "name"), NAMES.items())
def test_a_name_becomes_one_that_every_system_takes_with_the_formats_ending_once(asked: str, name: str) -> None:
    assert option_faults("csv", {"file_name": asked}) == []
    assert names.chosen(asked, "csv") == name


@pytest.mark.parametrize(
    ("asked", "extension", "name"),
    [
        *((asked, "csv.gz", "a.csv.gz") for asked in ("a.csv.gz", "a.csv", "a.gz", "a", "a.CSV.gz")),
        ("a.csv .csv", "csv", "a.csv"),
        ("x.csv.gz.gz", "csv.gz", "x.csv.gz"),
        ("x.csv.csv.gz", "csv.gz", "x.csv.gz"),
    ],
)
def test_an_ending_stands_once_whatever_of_it_was_given(asked: str, extension: str, name: str) -> None:
    assert names.chosen(asked, extension) == names.chosen(names.chosen(asked, extension), extension) == name


LENGTH = "a value of type string, at least 1 character, at most 200 characters"


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        *((asked, LENGTH) for asked in ("", 5, "a" * 201)),
        *((asked, "a name such as orders-june") for asked in (". .", ".csv")),
        ("京" * 66, "at most 200 bytes"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_its_place(asked: Any, allowed: str) -> None:
    [fault] = option_faults("csv", {"file_name": asked})
    assert (fault["pointer"], fault["allowed"]) == ("/file_name", allowed)
    assert option_faults("csv", {"file_name": "京" * 65}) == []


@given(st.text(min_size=1, max_size=60), st.sampled_from([each.extension for each in FORMATS.values()]))
def test_whatever_is_asked_for_a_browser_reads_one_safe_name(asked: str, extension: str) -> None:
    if names.faults(asked, extension):
        return
    name = names.chosen(asked, extension)
    assert names.chosen(name, extension) == name
    header = names.content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    quoted, _, extended = header.removeprefix('attachment; filename="').partition("; filename*=UTF-8''")
    assert quoted == f'{names.plain(name)}"'
    assert unquote(extended or names.plain(name)) == name
    assert not set(extended) & set(" \"'()*,;@")
    assert not set(names.plain(name)) & set('<>:"/\\|?*%')
    assert name.endswith(f".{extension}")
    assert not name.startswith((".", " "))


def test_the_default_tells_the_report_and_the_date_and_not_the_tenant() -> None:
    created = datetime.datetime(2026, 11, 23, 23, 59, tzinfo=datetime.UTC)
    default = names.default("flights", created, "01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7", "csv.gz")
    assert default == "flights-20261123-2a8c41e7.csv.gz"


def test_the_key_of_a_file_is_ascii_and_of_an_older_record_as_it_was() -> None:
    record: Any = succeeded()
    assert result.key(record) == record["file_key"]
    assert result.key(record | {"file_name": "Zürich 東京.csv"}).rsplit("/", 1)[1] == "Zurich __.csv"


def test_no_byte_of_a_file_depends_on_its_name() -> None:
    for name, format_ in FORMATS.items():
        assert resolve_options(name, {"file_name": "x"}) == resolve_options(name, {})
        assert "file_name" not in format_.options_schema["properties"]


def test_a_request_chooses_a_name_and_the_export_shows_what_became_of_it(
    cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]
) -> None:
    given = event("request_export/least")
    given["body"] = json.dumps(json.loads(given["body"]) | {"options": {"file_name": "Zürich/June.csv"}})
    answered = api("RequestExport", given)
    [record] = cloud.records()
    assert (answered.status, answered.body["options"]["file_name"]) == (202, "Zürich/June.csv")
    assert answered.body["file_name"] == record["file_name"] == "Zürich_June.csv"
    assert "file_name" not in json.loads(record["options"])


def test_a_download_gets_the_name_in_both_forms(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> None:
    cloud.write(succeeded(file_name="Zürich – June.csv", file_name_asked="Zürich – June"))
    answered = api("ReadExports", event("read_exports/file_as_json"))
    assert answered.body["file_name"] == "Zürich – June.csv"
    [header] = parse_qs(urlsplit(answered.body["url"]).query)["response-content-disposition"]
    plain, extended = header.removeprefix("attachment; ").split("; ")
    assert plain == 'filename="Zurich _ June.csv"'
    assert unquote(extended.removeprefix("filename*=UTF-8''")) == "Zürich – June.csv"


@pytest.mark.parametrize("asked", ["\ufdfa" * 64, "a" * 190, "ü" * 96])
def test_the_name_in_ascii_is_never_longer_than_a_name_may_be(asked: str) -> None:
    assert names.faults(asked, "csv.gz") == []
    plain = names.plain(names.chosen(asked, "csv.gz"))
    assert len(plain) <= names.MOST_BYTES
    assert plain.endswith(".csv.gz")


def test_the_name_in_ascii_keeps_the_rules_too() -> None:
    for asked, plain in {"ＣＯＮ": "_CON.csv", "․htaccess": "htaccess.csv"}.items():
        assert names.plain(names.chosen(asked, "csv")) == plain
