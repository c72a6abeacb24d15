"""The table of `exports list`: one line for each export, in every terminal."""

from __future__ import annotations

import datetime
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click import unstyle
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from exports_cli import listing
from tests.unit.cli_stack import Said, Stack, export
from tests.unit.test_cli import cli, signed, slept, stack

if TYPE_CHECKING:
    from tests.unit.test_cli import Cli

__all__ = ["cli", "signed", "slept", "stack"]

NOW = datetime.datetime.fromisoformat("2026-11-23T12:30:00Z")
JUNE = {"from": "2013-06-01", "to": "2013-06-30", "minimum_delay": 0}
JULY = JUNE | {"from": "2013-07-01", "to": "2013-07-31"}
ERROR = {"title": "A source file cannot be read"}


def lines(exports: list[dict[str, Any]], width: int | None = 80) -> list[str]:
    return [unstyle(each) for each in listing.lines(exports, width, NOW)]


def one(number: int, status: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    made = export(status, id=f"01a207ad-a9fa-7c3e-9b52-{number:012x}", rows=58_665 if status == "SUCCEEDED" else None)
    ended = None if status in ("QUEUED", "RUNNING") else "2026-11-23T09:13:00.000Z"
    return made | {"finished_at": ended} | more


def test_in_80_columns_a_row_has_a_short_id_and_the_parameters_that_differ() -> None:
    exports = [
        one(0xAB, "RUNNING", parameters=JUNE, created_at="2026-11-23T12:29:15.000Z"),
        one(0xFACE, parameters=JULY, created_at="2026-11-23T11:45:00.000Z"),
        one(0xBEEF, "FAILED", parameters=JUNE, error=ERROR),
        one(7, "CANCELLED", parameters=JULY, created_at="2026-11-11T09:12:31.482Z"),
    ]
    assert lines(exports) == [
        "Same in every row: format=csv minimum_delay=0",
        "export    report   parameters                     status       rows  created",
        "000000ab  flights  from=2013-06-01 to=2013-06-30  RUNNING            45 s ago",
        "0000face  flights  from=2013-07-01 to=2013-07-31  SUCCEEDED  58,665  45 min ago",
        "0000beef  flights  from=2013-06-01 to=2013-06-30  FAILED             3 h ago",
        "00000007  flights  from=2013-07-01 to=2013-07-31  CANCELLED          12 d ago",
    ]


def test_a_wide_terminal_and_a_pipe_show_the_whole_id_and_the_error() -> None:
    exports = [one(1, parameters=JUNE), one(2, "FAILED", parameters=JULY, error=ERROR)]
    wide = lines(exports, 150)
    assert wide == lines(exports, None)
    assert wide[1].split() == ["export", "report", "parameters", "status", "rows", "created", "error"]
    assert wide[3].startswith("01a207ad-a9fa-7c3e-9b52-000000000002  flights  from=2013-07-01 to=2013-07-31  FAILED")
    assert wide[3].endswith("3 h ago  A source file cannot be read")
    narrower = lines(exports, 115)
    assert [row.split()[0] for row in narrower] == [row.split()[0] for row in wide]
    assert "error" not in narrower[1]


def test_a_single_export_shows_all_its_parameters_and_its_format() -> None:
    head, row = lines([one(1, parameters={"from": "2013-06-01"})])
    assert head.split() == ["export", "report", "format", "parameters", "status", "rows", "created"]
    assert row == "00000001  flights  csv     from=2013-06-01  SUCCEEDED  58,665  3 h ago"


def test_the_same_parameters_are_found_for_each_report() -> None:
    delays = {"report": "delays", "format": "xlsx"}
    exports = [
        one(1, parameters=JUNE),
        one(2, parameters=JULY),
        one(3, **delays, parameters={"least": 60, "late": True}),
        one(4, **delays, parameters={"least": 60, "late": 1}),
        one(5, report="routes", parameters={"from": "JFK"}),
    ]
    said = lines(exports, None)
    assert said[:2] == ["Same in every flights row: minimum_delay=0", "Same in every delays row: least=60"]
    assert [row.split()[1:4] for row in said[3:]] == [
        ["flights", "csv", "from=2013-06-01"],
        ["flights", "csv", "from=2013-07-01"],
        ["delays", "xlsx", "late=true"],
        ["delays", "xlsx", "late=1"],
        ["routes", "csv", "from=JFK"],
    ]


def test_a_tab_and_a_control_character_do_not_break_a_row() -> None:
    said = lines([one(1, parameters={"by": "\t", "of": "a\x1b[2J\nb"}), one(2, parameters={"by": ";", "of": ""})])
    assert r"by=\t" in said[2]
    assert "\x1b" not in "".join(said)
    assert [len(each.splitlines()) for each in said] == [1] * 4


TEXTS = st.text(max_size=90)
ANY = st.builds(
    one,
    st.integers(0, 2**48 - 1),
    st.sampled_from(["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]),
    report=st.sampled_from(["flights", "delays", "r" * 64, "売上"]),
    format=st.sampled_from(["csv", "parquet"]),
    parameters=st.dictionaries(st.sampled_from(["from", "to", "p" * 40]), st.one_of(TEXTS, st.lists(TEXTS), st.none())),
    rows=st.one_of(st.none(), st.integers(0, 10**12)),
    error=st.one_of(st.none(), st.builds(dict, title=TEXTS)),
)


@given(exports=st.lists(ANY, min_size=1, max_size=5), width=st.integers(20, 200))
def test_no_row_is_wider_than_the_terminal(exports: list[dict[str, Any]], width: int) -> None:
    said = lines(exports, width)
    assert max(map(cell_len, said)) <= width
    assert not any("\n" in each for each in said)
    for row, shown in zip(said[-len(exports) :], exports, strict=True):
        assert row.split()[0] in (shown["id"], shown["id"][-8:])


def test_an_age_has_its_largest_unit() -> None:
    ages = {
        "2026-11-23T12:31:00.000Z": "0 s ago",  # the clocks differ
        "2026-11-23T12:29:01.000Z": "59 s ago",
        "2026-11-23T12:29:00.000Z": "1 min ago",
        "2026-11-23T11:30:00.001Z": "59 min ago",
        "2026-11-22T12:30:00.001Z": "23 h ago",
        "2026-11-22T12:30:00.000Z": "1 d ago",
        "2026-08-15T12:30:00.000Z": "100 d ago",
    }
    assert {created: listing.age(created, NOW) for created in ages} == ages


def test_the_width_of_the_terminal_decides_whether_an_id_is_short(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = [one(1, parameters=JUNE), one(2, parameters=JULY)]
    stack.answer("GET /v1/exports", *[Said(200, {"exports": exports, "cursor": None})] * 3)

    def first_id() -> str:
        return signed("list").out.splitlines()[2].split()[0]

    monkeypatch.setenv("COLUMNS", "80")
    assert first_id() == exports[0]["id"]  # a pipe has no width
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert first_id() == exports[0]["id"][-8:]
    monkeypatch.setenv("COLUMNS", "200")
    assert first_id() == exports[0]["id"]
