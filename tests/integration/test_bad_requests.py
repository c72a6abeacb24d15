"""A request that is not valid is refused with every fault that it has, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api import flights

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

OPTIONS = (
    "bom, decimal_comma, delimiter, encoding, file_name, header_style, line_ending, notify, spreadsheet_safe, timezone"
)
# What is sent, and of each fault the pointer and a part of what would be right. tests/unit/test_request_export.py has
# every other fault.
CASES: dict[str, tuple[Any, dict[str, str]]] = {
    "no body": (None, {"": "a JSON object"}),
    "no JSON": (b"{report: flights}", {"": "a JSON object"}),
    "a day too many": (flights(first="2013-01-01", last="2014-01-02"), {"/parameters/to": "2014-01-01"}),
    "faults of everything": (
        flights(first="soon", origin="jfk", minimum_delay=10_001, colour="red") | {"options": {"bom": 1, "x": 1}},
        {
            "/options/bom": "boolean",
            "/options/x": OPTIONS,
            "/parameters/colour": "minimum_delay",
            "/parameters/from": "date",
            "/parameters/minimum_delay": "at most 10000",
            "/parameters/origin": "^[A-Z]{3}$",
        },
    ),
    "an unknown report": (
        {"report": "trains", "format": "doc", "y": 1},
        {"/format": '"csv"', "/report": '"flights"', "/y": "columns, format, options, parameters, report, sort"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_is_named_with_place_and_remedy_and_nothing_is_kept(
    name: str, caller: Caller, deployed: Deployed
) -> None:
    body, expected = CASES[name]
    problem = caller.post(body, Idempotency_Key="not used up").problem(400, "invalid-request")
    assert all(set(fault) == {"pointer", "detail", "allowed"} for fault in problem["errors"])
    faults = {fault["pointer"]: fault for fault in problem["errors"]}
    assert sorted(faults) == sorted(expected)
    for pointer, allowed in expected.items():
        assert allowed in faults[pointer]["allowed"]
        assert faults[pointer]["detail"] in problem["detail"]
    assert deployed.records(caller.owner, everything=True) == []
