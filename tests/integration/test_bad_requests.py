"""A request that is not valid is refused with every fault that it has, and leaves nothing behind."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api import flights

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed


def _without(name: str) -> dict[str, Any]:
    body = flights()
    del body["parameters"][name]
    return body


OPTIONS = (
    "bom, decimal_comma, delimiter, encoding, file_name, header_style, line_ending, notify, spreadsheet_safe, timezone"
)
# What is sent, and of each fault the pointer and a part of what would be right.
CASES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "nothing": (None, [("", "a JSON object")]),
    "an empty body": (b"", [("", "a JSON object")]),
    "no JSON": (b"{report: flights}", [("", "a JSON object")]),
    "half of it": (json.dumps(flights()).encode()[:-9], [("", "a JSON object")]),
    "an array": ([flights()], [("", "object")]),
    "a number": (1, [("", "object")]),
    "null": (b"null", [("", "object")]),
    "an empty object": ({}, [("/format", '"csv"'), ("/report", '"flights"')]),
    "an unknown field": (flights() | {"colour": "red"}, [("/colour", "format, options, parameters, report")]),
    "an unknown report": (flights() | {"report": "trains"}, [("/report", '"flights"')]),
    "a report that is a number": (flights() | {"report": 7}, [("/report", '"flights"')]),
    "an unknown format": (flights() | {"format": "doc"}, [("/format", '"csv"')]),
    "no first date": (_without("from"), [("/parameters/from", "date")]),
    "no parameters": (
        {"report": "flights", "format": "csv"},
        [("/parameters/from", "date"), ("/parameters/to", "date")],
    ),
    "parameters that are a list": (flights() | {"parameters": []}, [("/parameters", "object")]),
    "a date that is none": (flights(first="2013-02-30"), [("/parameters/from", "date")]),
    "a date in another form": (flights(first="1/2/2013"), [("/parameters/from", "date")]),
    "a date that is a number": (flights(first=20130101), [("/parameters/from", "string")]),
    "a date with a time": (flights(last="2013-12-31T00:00:00Z"), [("/parameters/to", "date")]),
    "the last date before the first": (
        flights(first="2013-06-01", last="2013-05-31"),
        [("/parameters/to", "2013-06-01")],
    ),
    "367 days": (flights(first="2013-01-01", last="2014-01-02"), [("/parameters/to", "2014-01-01")]),
    "a lower-case airport": (flights(origin="jfk"), [("/parameters/origin", "^[A-Z]{3}$")]),
    "an airport and a line feed": (flights(origin="JFK\n"), [("/parameters/origin", "^[A-Z]{3}$")]),
    "an unknown parameter": (flights(colour="red"), [("/parameters/colour", "minimum_delay")]),
    "a delay that is text": (flights(minimum_delay="60"), [("/parameters/minimum_delay", "integer")]),
    "a delay that is true": (flights(minimum_delay=True), [("/parameters/minimum_delay", "integer")]),
    "a delay beyond the bounds": (flights(minimum_delay=10_001), [("/parameters/minimum_delay", "at most 10000")]),
    "a wrong option": (flights() | {"options": {"bom": "yes"}}, [("/options/bom", "boolean")]),
    "an unknown option": (flights() | {"options": {"colour": 1}}, [("/options/colour", OPTIONS)]),
    "several faults": (
        flights(first="soon", origin="jfk", minimum_delay=1.5, colour="red") | {"options": {"bom": 1, "x": 1}, "y": 1},
        [
            ("/options/bom", "boolean"),
            ("/options/x", OPTIONS),
            ("/parameters/colour", "minimum_delay"),
            ("/parameters/from", "date"),
            ("/parameters/minimum_delay", "integer"),
            ("/parameters/origin", "^[A-Z]{3}$"),
            ("/y", "format, options, parameters, report"),
        ],
    ),
    "faults in a request of an unknown report": (
        {"report": "trains", "format": "csv", "options": {"bom": 1}},
        [("/options/bom", "boolean"), ("/report", '"flights"')],
    ),
}


@pytest.fixture(scope="module")
def refused(deployed: Deployed) -> Caller:
    """Somebody of whom nothing is ever accepted."""
    return deployed.sign_up("HA")


@pytest.mark.parametrize("name", CASES)
def test_every_fault_is_named_with_place_and_remedy(name: str, refused: Caller, deployed: Deployed) -> None:
    body, expected = CASES[name]
    before = deployed.records(refused.owner, everything=True)
    problem = refused.post(body).problem(400, "invalid-request")
    faults = sorted(problem["errors"], key=lambda fault: str(fault["pointer"]))
    assert all(set(fault) == {"pointer", "detail", "allowed"} for fault in faults)
    assert all(fault["detail"] and fault["allowed"] for fault in faults)
    assert [fault["pointer"] for fault in faults] == [pointer for pointer, _ in expected]
    for fault, (_, allowed) in zip(faults, expected, strict=True):
        assert allowed in fault["allowed"]
        assert fault["detail"] in problem["detail"]
    assert deployed.records(refused.owner, everything=True) == before
    assert [export["id"] for export in refused.exports()] == [record["export_id"] for record in before][::-1]


def test_a_refused_request_does_not_use_its_key_up(caller: Caller) -> None:
    caller.post(flights(origin="jfk"), Idempotency_Key="once").problem(400, "invalid-request")
    body = flights(first="2013-01-01", last="2013-01-02", origin="JFK")
    answer = caller.post(body, Idempotency_Key="once")
    assert answer.status == 202
    assert "Idempotent-Replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "k" * 256], ids=["empty", "too long"])
def test_a_key_of_a_wrong_length_is_refused(key: str, refused: Caller, deployed: Deployed) -> None:
    before = deployed.records(refused.owner, everything=True)
    problem = refused.post(flights(), Idempotency_Key=key).problem(400, "invalid-request")
    assert problem["errors"][0]["allowed"] == "1 to 255 characters"
    assert deployed.records(refused.owner, everything=True) == before


def test_366_days_are_the_most(caller: Caller) -> None:
    last = datetime.date(2012, 1, 1) + datetime.timedelta(days=365)
    assert caller.post(flights(first="2012-01-01", last=str(last))).status == 202
