"""What there is: the caller's exports, and the reports."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.integration import source
from tests.integration.api import flights

if TYPE_CHECKING:
    from tests.integration.api import Answer, Caller
    from tests.integration.deployed import Deployed

STATUSES = ["QUEUED", "FAILED", "SUCCEEDED", "CANCELLED", "SUCCEEDED", "RUNNING", "FAILED"]
FAILURE = {
    "state": "PlanParts",
    "type": "SourceMissing",
    "error": '{"Error": "SourceMissing", "Cause": "none"}',
    "part": "",
}


@pytest.fixture(scope="module")
def collector(deployed: Deployed) -> tuple[Caller, list[str]]:
    """Somebody with seven exports, and their ids, newest first. The older SUCCEEDED one has expired."""
    caller = deployed.sign_up("HA")
    ids = []
    for place, status in enumerate(STATUSES):
        more: dict[str, Any] = {"failure": FAILURE} if status == "FAILED" else {}
        more |= {"expires_at": "2020-01-01T00:00:00.000Z"} if place == 2 else {}
        ids.append(deployed.fabricate(caller.owner, status, **more))
    return caller, ids[::-1]


def pages(caller: Caller, query: str) -> list[list[str]]:
    """The ids on each page, following the cursors."""
    found, cursor = [], None
    while True:
        answer = caller.get(f"/exports?{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        found.append([export["id"] for export in answer.json["exports"]])
        cursor = answer.json["cursor"]
        if cursor is None:
            return found


def test_exports_are_listed_newest_first_as_each_is_shown(collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    answer = caller.get("/exports")
    assert answer.json["cursor"] is None
    assert [export["id"] for export in answer.json["exports"]] == ids
    for export in answer.json["exports"]:
        assert caller.get(export["links"]["self"]).json == export


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
def test_pages_neither_skip_nor_repeat(limit: int, collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    expected = [ids[start : start + limit] for start in range(0, len(ids), limit)]
    assert pages(caller, f"limit={limit}") == expected


def test_what_is_new_does_not_disturb_who_turns_pages(deployed: Deployed, caller: Caller) -> None:
    ids = [deployed.fabricate(caller.owner, "CANCELLED") for _ in range(4)][::-1]
    first = caller.get("/exports?limit=2").json
    deployed.fabricate(caller.owner, "CANCELLED")
    second = caller.get(f"/exports?limit=2&cursor={first['cursor']}").json
    assert [export["id"] for page in (first, second) for export in page["exports"]] == ids
    assert second["cursor"] is None


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"])
@pytest.mark.parametrize("limit", [1, 20])
def test_a_status_selects(status: str, limit: int, collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    shown = [*STATUSES]
    shown[2] = "EXPIRED"
    expected = [export_id for export_id, each in zip(ids, shown[::-1], strict=True) if each == status]
    found = pages(caller, f"status={status}&limit={limit}")
    assert [export_id for page in found for export_id in page] == expected
    assert len(found) == (len(expected) if limit == 1 else 1)


def test_a_cursor_is_of_its_list_only(collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    cursor = caller.get("/exports?limit=3").json["cursor"]
    assert caller.get(f"/exports?limit=1&cursor={cursor}").json["exports"][0]["id"] == ids[3]
    for query in (f"cursor={cursor}&status=FAILED", f"cursor={'B' + cursor[1:]}", f"cursor={cursor}="):
        problem = caller.get(f"/exports?{query}").problem(400, "invalid-request")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/cursor"]


def test_nothing_is_an_empty_list(caller: Caller) -> None:
    assert caller.get("/exports").json == {"exports": [], "cursor": None}


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=101", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=ten", ["/limit"]),
        ("limit=5%0A", ["/limit"]),
        ("limit=", ["/limit"]),
        ("status=DONE", ["/status"]),
        ("status=queued", ["/status"]),
        ("cursor=x", ["/cursor"]),
        ("cursor=a2V5IzE=", ["/cursor"]),
        ("colour=red", ["/colour"]),
        ("limit=0&status=DONE&colour=red", ["/colour", "/limit", "/status"]),
    ],
)
def test_a_bad_question_is_refused(query: str, pointers: list[str], collector: tuple[Caller, list[str]]) -> None:
    problem = collector[0].get(f"/exports?{query}").problem(400, "invalid-request")
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert all(fault["detail"] and fault["allowed"] for fault in problem["errors"])


def test_the_reports_are_listed_with_all_that_a_request_needs(caller: Caller, united_file: Answer) -> None:
    answer = caller.get("/reports")
    assert answer.status == 200
    report = next(report for report in answer.json["reports"] if report["id"] == "flights")
    assert report["title"] == "Flights"
    assert [(column["name"], column["title"]) for column in report["columns"]] == list(source.TITLES.items())
    assert len(report["columns"]) == 19
    first_line = united_file.content.decode().splitlines()[0]
    assert next(csv.reader([first_line])) == [column["title"] for column in report["columns"]]
    assert "csv" in [each["name"] for each in report["formats"]]


def test_the_published_schemas_tell_good_requests_from_bad_ones(caller: Caller) -> None:
    report = next(report for report in caller.get("/reports").json["reports"] if report["id"] == "flights")
    schemas = [report["parameters"], *(each["options"] for each in report["formats"])]
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    parameters = jsonschema.Draft202012Validator(report["parameters"], format_checker=jsonschema.FormatChecker())
    assert parameters.is_valid(flights()["parameters"])
    assert parameters.is_valid(flights(origin="JFK", destination="LAX", minimum_delay=-5)["parameters"])
    for bad in ({}, flights(origin="jfk"), flights(first="soon"), flights(colour="red"), flights(minimum_delay="1")):
        assert not parameters.is_valid(bad.get("parameters", bad))
    options = next(each["options"] for each in report["formats"] if each["name"] == "csv")
    assert jsonschema.Draft202012Validator(options).is_valid({"bom": True, "spreadsheet_safe": False})
    assert not jsonschema.Draft202012Validator(options).is_valid({"bom": "yes"})
