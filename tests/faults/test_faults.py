"""The fault matrix: every cell of docs/operations.md, "What happens when something breaks", is as it says there.

Each moment is a run of its own in the world in memory of tests/stateful, whose laws hold throughout; `make faults` runs
this alone. What the SDK itself tries again is not seen there: tests/unit/test_throttling.py holds that it does.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.lambda_ import aws
from tests.faults import table
from tests.faults.faults import FAULTS, AtCall
from tests.faults.places import BEFORE, PLACES, Place
from tests.stateful.stage import Stage
from tests.support.edges import flat
from tests.support.moto_machine import Template

CELLS = [(place, fault) for place in PLACES for fault in FAULTS]
REASONS = {(place, fault): reason for place, fault in CELLS if isinstance(reason := FAULTS[fault](PLACES[place]), str)}
RUN = [cell for cell in CELLS if cell not in REASONS]
ELSEWHERE = {"Authorize", "ListReports", "NotifyOwner", "ShowPage"}
"""Functions that call no AWS service, or whose faults change no export."""
IN_THE_WORKFLOW = {"RunQuery"}
"""A query needs real files, which the world in memory does not have: tests/workflow/test_ways.py breaks it on moto."""


def test_every_state_that_calls_something_and_every_function_has_its_place() -> None:
    template = Template()
    states = flat(json.loads(template.definition()))
    calling = {name for name, state in states.items() if state["Type"] in ("Task", "Map")}
    pipes = {name for name, each in template.text["Resources"].items() if each["Type"] == "AWS::Pipes::Pipe"}
    placed = {place.split(",")[0] for place in PLACES} | ELSEWHERE | IN_THE_WORKFLOW
    there = calling | pipes | set(template.functions())
    assert placed == there, "A function whose faults change no export is in ELSEWHERE."


def test_the_document_has_exactly_these_cells_and_says_why_one_cannot_break() -> None:
    dashes = {cell: f"{table.NOT_RUN}({reason})" for cell, reason in REASONS.items()}
    missing = {cell: dash for cell, dash in dashes.items() if table.cells().get(cell) != dash}
    assert not missing, f"docs/operations.md: write {missing}"
    assert set(table.cells()) == set(CELLS)
    said = {cell: text for cell, text in table.cells().items() if text.startswith(table.NOT_RUN)}
    assert said == dashes
    assert set(REASONS.values()) == table.reasons()


@pytest.mark.parametrize(("place", "fault"), RUN)
def test_cell(place: str, fault: str) -> None:
    happened = happens(PLACES[place], fault)
    assert table.cells().get((place, fault)) == happened, f"docs/operations.md, {place}, {fault}: write {happened}"


def test_what_fails_once_the_sdk_tries_again() -> None:
    for make in (aws.dynamodb, aws.prompt_s3, aws.s3, aws.sqs, aws.stepfunctions):
        retries: Any = make().meta.config.retries  # type: ignore[attr-defined]
        assert retries["mode"] == "standard"
        assert retries["total_max_attempts"] >= 3


def happens(place: Place, fault: str) -> str:
    """What happened at the fault's moments, each outcome once, in the order of the moments."""
    moments, outcomes = FAULTS[fault](place), list[str]()
    assert not isinstance(moments, str)
    for moment in moments:
        stage = Stage()
        place.prepare(stage)
        stage.retries = 0
        moment(stage)
        place.go(stage)
        stage.run_on()
        stage.at_call = lambda _: None
        assert not stage.to_come, "the export does not come to this place"
        if isinstance(moment, AtCall) and not moment.fired:  # there are no more calls that it could have been at
            continue
        answers = list(map(str, stage.answers))
        if place.only_reads:
            outcomes.append(", ".join(dict.fromkeys(answers)))
        else:
            outcome = stage.outcome(place.kind == "reconcile")
            outcome = outcome.replace(f"FAILED {BEFORE}", "FAILED") if place.failed else outcome
            outcomes.append(", ".join([*answers, outcome]))
        stage.close()
    return " / ".join(dict.fromkeys(outcomes))
