"""What there is: the caller's exports, and the reports."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import source

if TYPE_CHECKING:
    from tests.integration.api import Answer, Caller
    from tests.integration.deployed import Deployed

STATUSES = ["QUEUED", "FAILED", "SUCCEEDED", "CANCELLED", "SUCCEEDED", "RUNNING", "FAILED"]
FAILURE = {
    "state": "PlanParts",
    "type": "SourceMissing",
    "error": '{"Error": "SourceMissing", "Cause": ""}',
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


def test_exports_are_listed_newest_first_as_each_is_shown_but_uncounted(collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    answer = caller.get("/exports")
    assert answer.json["cursor"] is None
    assert [export["id"] for export in answer.json["exports"]] == ids
    for export in answer.json["exports"]:
        shown = caller.get(export["links"]["self"]).json
        if shown["progress"]["parts_total"] is None:
            shown["progress"] = export["progress"]  # a list does not look for receipts
        assert shown == export


def test_pages_neither_skip_nor_repeat_and_a_status_selects(collector: tuple[Caller, list[str]]) -> None:
    caller, ids = collector
    shown = dict(zip(ids, [*STATUSES[:2], "EXPIRED", *STATUSES[3:]][::-1], strict=True))
    failed = [export_id for export_id, status in shown.items() if status == "FAILED"]
    expired = [export_id for export_id, status in shown.items() if status == "EXPIRED"]
    for query, expected in (
        ("limit=3", [ids[:3], ids[3:6], ids[6:]]),
        ("status=FAILED&limit=1", [failed[:1], failed[1:]]),
        ("status=EXPIRED", [expired]),
    ):
        found, cursor = [], ""
        while cursor is not None:
            answer = caller.get(f"/exports?{query}{cursor and f'&cursor={cursor}'}").json
            found.append([export["id"] for export in answer["exports"]])
            cursor = answer["cursor"]
        assert found == expected


def test_a_bad_question_is_refused_with_all_its_faults(collector: tuple[Caller, list[str]]) -> None:
    caller, _ = collector
    cursor = caller.get("/exports?limit=3").json["cursor"]
    for query, pointers in (
        ("limit=0&status=DONE&colour=red", ["/colour", "/limit", "/status"]),
        ("limit=5%0A", ["/limit"]),
        (f"cursor={cursor}&status=FAILED", ["/cursor"]),
        (f"cursor={cursor}=", ["/cursor"]),
    ):
        problem = caller.get(f"/exports?{query}").problem(400, "invalid-request")
        assert [fault["pointer"] for fault in problem["errors"]] == pointers
        assert all(fault["detail"] and fault["allowed"] for fault in problem["errors"])


def test_the_reports_are_listed_with_the_columns_and_formats_of_a_file(caller: Caller, united_file: Answer) -> None:
    answer = caller.get("/reports")
    assert answer.status == 200
    report = next(report for report in answer.json["reports"] if report["id"] == "flights")
    assert report["title"] == "Flights"
    assert [(column["name"], column["title"]) for column in report["columns"]] == list(source.TITLES.items())
    first_line = united_file.content.decode().splitlines()[0]
    assert next(csv.reader([first_line])) == list(source.TITLES.values())
    assert "csv" in [each["name"] for each in report["formats"]]
