"""Every state, every Retry and every Catch of the machine, each walked by one of the ways below.

A way is written as tests.support.edges tells it: ``A > B`` goes on by Next, ``A ! B`` by a Catch, ``A@0`` was retried
by its Retry entry 0. Each way is run and compared; another test compares them all with the definition.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.edges import faults, walked
from tests.support.edges_walked import table
from tests.support.moto_machine import Template

if TYPE_CHECKING:
    from tests.workflow.world import World

FAILED = "RecordFailed > SendToDeadLetters > RecordLetterSent > ExportFailed"
MADE = "RecordRunning > PlanParts > FanOutParts > AssembleFile > RecordSucceeded > ExportSucceeded"
MAP_FAILED = f"RecordRunning > PlanParts > FanOutParts ! FanOutPartsFailed > {FAILED}"
PLAN_FAILED = f"RecordRunning > PlanParts ! PlanPartsFailed > {FAILED}"


class Way(NamedTuple):
    arrange: Callable[[World], object]
    execution: str
    part: str = ""
    """Of part 3, where it does not just run."""


def _unknown_report(world: World) -> None:
    world.write(report="sales")


def _failing_part(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)


def _both(*arrangements: Callable[[World], object]) -> Callable[[World], object]:
    return lambda world: [arrange(world) for arrange in arrangements]


def _refused(state: str, error: str, times: int) -> Callable[[World], object]:
    return lambda world: world.cloud.refuse(state, error, times)


def _crashed(function: str, error: str) -> Callable[[World], object]:
    return lambda world: world.cloud.crash(function, error, times=1, part=3 if function == "GeneratePart" else None)


WAYS = {
    "nothing happens": Way(lambda _: None, MADE),
    "RecordRunning is throttled": Way(
        _refused("RecordRunning", "ThrottlingException", 1), MADE.replace("RecordRunning", "RecordRunning@0")
    ),
    "cancelled before": Way(lambda world: world.cancel(), "RecordRunning ! Superseded"),
    "RecordRunning is refused": Way(
        _refused("RecordRunning", "ValidationException", 1), f"RecordRunning ! RecordRunningFailed > {FAILED}"
    ),
    "PlanParts is throttled": Way(
        _refused("PlanParts", "TooManyRequestsException", 1), MADE.replace("PlanParts", "PlanParts@0")
    ),
    "PlanParts takes too long": Way(
        _crashed("PlanParts", "Sandbox.Timedout"), MADE.replace("PlanParts", "PlanParts@1")
    ),
    "PlanParts fails": Way(_unknown_report, PLAN_FAILED),
    "GeneratePart is throttled": Way(_refused("GeneratePart", "ServiceException", 1), MADE, "GeneratePart@0"),
    "GeneratePart takes too long": Way(_crashed("GeneratePart", "Sandbox.Timedout"), MADE, "GeneratePart@1"),
    "GeneratePart fails": Way(_failing_part, MAP_FAILED, "GeneratePart ! RecordPartFailure > PartFailed"),
    "RecordPartFailure is throttled": Way(
        _both(_failing_part, _refused("RecordPartFailure", "ThrottlingException", 1)),
        MAP_FAILED,
        "GeneratePart ! RecordPartFailure@0 > PartFailed",
    ),
    "RecordPartFailure is refused": Way(
        _both(_failing_part, _refused("RecordPartFailure", "ValidationException", 1)),
        MAP_FAILED,
        "GeneratePart ! RecordPartFailure ! PartFailed",
    ),
    "AssembleFile is throttled": Way(
        _refused("AssembleFile", "TooManyRequestsException", 1), MADE.replace("AssembleFile", "AssembleFile@0")
    ),
    "AssembleFile takes too long": Way(
        _crashed("AssembleFile", "Sandbox.Timedout"), MADE.replace("AssembleFile", "AssembleFile@1")
    ),
    "AssembleFile fails": Way(
        _crashed("AssembleFile", "Runtime.ExitError"),
        f"RecordRunning > PlanParts > FanOutParts > AssembleFile ! AssembleFileFailed > {FAILED}",
    ),
    "RecordSucceeded is throttled": Way(
        _refused("RecordSucceeded", "ThrottlingException", 2), MADE.replace("RecordSucceeded", "RecordSucceeded@0@0")
    ),
    "cancelled after the file was made": Way(
        lambda world: world.cloud.after("AssembleFile", world.cancel),
        "RecordRunning > PlanParts > FanOutParts > AssembleFile > RecordSucceeded ! Superseded",
    ),
    "RecordSucceeded is refused": Way(
        _refused("RecordSucceeded", "ValidationException", 1), MADE.removesuffix(" > ExportSucceeded")
    ),
    "RecordFailed is throttled": Way(
        _both(_unknown_report, _refused("RecordFailed", "ThrottlingException", 1)),
        PLAN_FAILED.replace("RecordFailed", "RecordFailed@0"),
    ),
    "RecordFailed is refused": Way(
        _both(_unknown_report, _refused("RecordFailed", "ValidationException", 1)),
        PLAN_FAILED.replace("> SendToDeadLetters > RecordLetterSent >", "!"),
    ),
    "cancelled while it ran": Way(
        lambda world: world.cloud.before("PlanParts", world.cancel),
        "RecordRunning > PlanParts ! PlanPartsFailed > RecordFailed ! Superseded",
    ),
    "SendToDeadLetters is throttled": Way(
        _both(_unknown_report, _refused("SendToDeadLetters", "ThrottlingException", 1)),
        PLAN_FAILED.replace("SendToDeadLetters", "SendToDeadLetters@0"),
    ),
    "SendToDeadLetters is refused": Way(
        _both(_unknown_report, _refused("SendToDeadLetters", "ThrottlingException", 6)),
        PLAN_FAILED.replace("SendToDeadLetters > RecordLetterSent >", "SendToDeadLetters@0@0@0@0@0 !"),
    ),
    "RecordLetterSent is throttled": Way(
        _both(_unknown_report, _refused("RecordLetterSent", "ThrottlingException", 1)),
        PLAN_FAILED.replace("RecordLetterSent", "RecordLetterSent@0"),
    ),
    "RecordLetterSent is refused": Way(
        _both(_unknown_report, _refused("RecordLetterSent", "ValidationException", 1)),
        PLAN_FAILED.replace("RecordLetterSent >", "RecordLetterSent !"),
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_way(world: World, name: str) -> None:
    way = WAYS[name]
    way.arrange(world)
    execution = world.run()
    assert execution.path == way.execution
    assert set(execution.children) <= {"GeneratePart", way.part}
    assert execution.children.count(way.part) == bool(way.part)


def test_the_ways_walk_every_state_every_retry_and_every_catch() -> None:
    counts = [walked(way) for each in WAYS.values() for way in (each.execution, each.part)]
    assert faults(json.loads(Template().definition()), counts) == []


def test_an_edge_that_nothing_walks_fails_the_run_and_so_does_one_that_is_not_there() -> None:
    states = {
        "Look": {
            "Type": "Task",
            "Retry": [{"ErrorEquals": ["Busy"]}, {"ErrorEquals": ["Lost", "Late"]}],
            "Catch": [{"ErrorEquals": ["Gone"], "Next": "Missing"}],
            "Next": "Choose",
        },
        "Choose": {"Type": "Choice", "Choices": [{"Next": "Missing"}, {"Next": "Look"}], "Default": "Found"},
        "Missing": {"Type": "Fail"},
        "Found": {"Type": "Succeed"},
    }
    counts = [walked("Look@0 > Choose > Look ! Missing"), walked("Look > Found")]
    assert faults({"States": states}, counts) == [
        "no test walks Look@1 (again after Lost and 1 more)",
        "no test walks Choose > Missing (then)",
        "no test walks Choose > Found (then)",
        "Look > Found was walked, but is not in the definition",
    ]


def test_the_table_says_how_often_each_interpreter_walked_an_edge() -> None:
    states = {"Look": {"Type": "Task", "Next": "Found"}, "Found": {"Type": "Succeed"}}
    lines = table({"States": states}, {"moto": walked("Look > Found"), "emulator": walked("Look")})
    assert [line.split() for line in lines[1:]] == [
        ["Look", "1", "1", "Task"],
        ["Look", ">", "Found", "1", "–", "then"],
        ["Found", "1", "–", "Succeed"],
    ]
