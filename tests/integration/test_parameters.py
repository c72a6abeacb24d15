"""What the parameters leave out: each file compared with the source, read independently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller


def _delayed(minutes: int) -> Callable[[source.Row], bool]:
    return lambda row: row["dep_delay"] not in ("", "NA") and int(row["dep_delay"]) >= minutes


CASES: dict[str, tuple[str, dict[str, Any], Callable[[source.Row], bool]]] = {
    "months": ("AS", {"first": "2013-02-01", "last": "2013-10-31"}, lambda row: 2 <= int(row["month"]) <= 10),
    "days across months": (
        "AS",
        {"first": "2013-01-30", "last": "2013-03-02"},
        lambda row: "2013-01-30" <= source.date(row) <= "2013-03-02",
    ),
    "one day": ("DL", {"first": "2013-07-04", "last": "2013-07-04"}, lambda row: source.date(row) == "2013-07-04"),
    "origin": ("VX", {"origin": "EWR"}, lambda row: row["origin"] == "EWR"),
    "destination": ("VX", {"destination": "SFO"}, lambda row: row["dest"] == "SFO"),
    "minimum delay": ("YV", {"minimum_delay": 60}, _delayed(60)),
    "delay of zero": ("OO", {"minimum_delay": 0}, _delayed(0)),
    "any delay": ("OO", {"minimum_delay": -120}, _delayed(-120)),
    "all at once": (
        "WN",
        {"first": "2013-03-01", "last": "2013-03-31", "origin": "LGA", "destination": "MDW", "minimum_delay": 60},
        lambda row: _delayed(60)(row) and row["month"] == "3" and row["origin"] == "LGA" and row["dest"] == "MDW",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_rows_that_were_asked_for_are_in_the_file(name: str, sign_up: Callable[[str], Caller]) -> None:
    tenant, parameters, keep = CASES[name]
    caller = sign_up(tenant)
    export = caller.make(**parameters)
    expected = source.expected(tenant, keep)
    assert 1 < len(expected) < len(source.expected(tenant)), "the case must select something, and leave something out"
    assert source.read(caller.download(export).content) == expected
    assert export["rows"] == len(expected) - 1


def test_no_rows_give_a_file_of_just_the_header(caller: Caller) -> None:
    export = caller.make(first="2012-01-01", last="2012-12-31")
    file = caller.download(export)
    assert source.read(file.content) == source.expected("HA", lambda _: False)
    assert export["rows"] == 0
    assert export["bytes"] == len(file.content)
    assert export["progress"] == {"parts_done": 1, "parts_total": 1}


def test_the_byte_order_mark_is_there_when_it_is_asked_for(caller: Caller) -> None:
    parameters = {"from": "2013-01-01", "to": "2013-01-03"}
    answer = caller.post({"report": "flights", "format": "csv", "parameters": parameters, "options": {"bom": True}})
    export = caller.follow(answer.json).end
    assert export["options"]["bom"] is True
    content = caller.download(export).content
    assert content.startswith(b"\xef\xbb\xbf")
    assert source.read(content[3:]) == source.expected("HA", lambda row: source.date(row) <= "2013-01-03")
