"""What the parameters leave out: a file compared with the source, read independently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller


def test_only_the_rows_that_were_asked_for_are_in_the_file(sign_up: Callable[[str], Caller]) -> None:
    caller = sign_up("WN")
    parameters = {"first": "2013-01-30", "last": "2013-03-15", "origin": "LGA", "destination": "MDW"}
    wanted: dict[str, Callable[[source.Row], bool]] = {
        "first": lambda row: source.date(row) >= "2013-01-30",
        "last": lambda row: source.date(row) <= "2013-03-15",
        "origin": lambda row: row["origin"] == "LGA",
        "destination": lambda row: row["dest"] == "MDW",
        "minimum_delay": lambda row: row["dep_delay"] not in ("", "NA") and int(row["dep_delay"]) >= 0,
    }
    export = caller.make(**parameters, minimum_delay=0)
    expected = source.expected("WN", lambda row: all(holds(row) for holds in wanted.values()))
    for name in wanted:
        others = [holds for each, holds in wanted.items() if each != name]
        more = source.expected("WN", lambda row, others=others: all(holds(row) for holds in others))  # type: ignore[misc]
        assert len(more) > len(expected) > 1, f"{name} must leave something out"
    assert source.read(caller.download(export).content) == expected
    assert export["rows"] == len(expected) - 1


def test_no_rows_give_a_file_of_just_the_header(caller: Caller) -> None:
    export = caller.make(first="2012-01-01", last="2012-12-31")
    file = caller.download(export)
    assert source.read(file.content) == source.expected("HA", lambda _: False)
    assert (export["rows"], export["bytes"]) == (0, len(file.content))
    assert export["progress"] == {"parts_done": 1, "parts_total": 1}
