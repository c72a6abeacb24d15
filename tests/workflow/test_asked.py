"""Exports of another format, and of other months."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from shared.engine.sources import parquet_counts
from tests.workflow import flights

if TYPE_CHECKING:
    from tests.workflow.world import World


@pytest.mark.parametrize(("files", "warning"), [(500, ""), (0, "NoCellReferences")])
def test_the_record_says_when_the_cells_of_a_spreadsheet_have_no_references(
    files: int, warning: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_counts, "MAX_FILES", files)
    world.write(format="xlsx", options=json.dumps({"timezone": "UTC"}))
    assert world.run().status == "SUCCEEDED"
    assert world.record["warning"] == warning


@pytest.mark.parametrize(
    ("first", "last", "months", "parts"), [("2012-01-01", "2012-01-31", [], 1), ("2013-02-01", "2013-02-28", [2], 4)]
)
def test_only_the_months_that_are_asked_for_are_read(
    first: str, last: str, months: list[int], parts: int, world: World
) -> None:
    world.write(parameters=json.dumps({"from": first, "to": last}))
    world.delete(flights.key(1))
    assert world.run().status == "SUCCEEDED"
    assert world.file() == flights.expected_csv(*months)
    assert (world.record["rows"], world.record["parts_total"]) == (6 * len(months), parts)
