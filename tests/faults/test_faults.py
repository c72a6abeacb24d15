"""The fault matrix: every cell of docs/operations.md, "What happens when something breaks", is as it says there.

`make faults` runs them all, `make test` one of each place and sees to it that the document has exactly these cells.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.faults import table
from tests.faults.conftest import ALL
from tests.faults.faults import FAULTS
from tests.faults.outcome import Case
from tests.faults.places import PLACES, Place
from tests.support.edges import flat
from tests.support.moto_machine import Template, moto_cloud
from tests.workflow.world import World

PARTS = 2
CELLS = [(place, fault) for place in PLACES for fault in FAULTS]
REASONS = {(place, fault): reason for place, fault in CELLS if isinstance(reason := FAULTS[fault](PLACES[place]), str)}
RUN = [cell for cell in CELLS if cell not in REASONS]
SOME: list[table.Cell] = []
"""One cell of each place, with the fault that was taken least often before."""
for each in PLACES:
    of_place = [fault for place, fault in RUN if place == each]
    SOME.append((each, min(of_place, key=[fault for _, fault in SOME].count)))
ELSEWHERE = {"ListReports", "NotifyOwner"}
"""Functions that no fault of AWS reaches, or whose faults reach no export; the document says so."""


def test_every_state_that_calls_something_and_every_function_has_its_place() -> None:
    template = Template()
    states = flat(json.loads(template.definition()))
    calling = {name for name, state in states.items() if state["Type"] in ("Task", "Map")}
    pipes = {name for name, each in template.text["Resources"].items() if each["Type"] == "AWS::Pipes::Pipe"}
    assert {place.split(",")[0] for place in PLACES} | ELSEWHERE == calling | pipes | set(template.functions())


def test_the_document_has_exactly_these_cells() -> None:
    assert set(table.cells()) == set(CELLS)


def test_no_cell_is_left_out_without_a_reason() -> None:
    said = {cell: text for cell, text in table.cells().items() if text.startswith(table.NOT_RUN)}
    assert said == {cell: f"{table.NOT_RUN}({reason})" for cell, reason in REASONS.items()}
    assert set(REASONS.values()) == table.reasons()


@pytest.mark.parametrize(("place", "fault"), RUN if ALL else SOME)
def test_cell(place: str, fault: str, record_property: Callable[[str, object], None]) -> None:
    happened = happens(PLACES[place], fault)
    for name, value in (("place", place), ("fault", fault), ("happened", happened)):
        record_property(name, value)
    assert happened == table.cells()[place, fault]


def happens(place: Place, fault: str) -> str:
    """What happened at the fault's moments, each outcome once, in the order of the moments."""
    moments, outcomes = FAULTS[fault](place), list[str]()
    assert not isinstance(moments, str)
    for moment in moments:
        with moto_cloud(MapConcurrency=PARTS) as cloud:
            case = Case(World(cloud), place)
            place.prepare(case.world)
            cloud.waits.clear()
            moment(case)
            outcome = case.run()
        if getattr(moment, "fired", True):  # else there are no more calls that it could have been at
            outcomes.append(outcome)
    return " / ".join(dict.fromkeys(outcomes))
