"""Every state, every Retry and every Catch of the machine, each walked by one of the ways below, with what it leads to.

A way is written as tests.support.edges tells it: ``A > B`` goes on by Next, ``A ! B`` by a Catch, ``A@0`` was retried
by its Retry entry 0. Each way is run and compared; another test compares them all with the definition.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.edges import faults, walked
from tests.support.moto_machine import RuntimeFault, Template

if TYPE_CHECKING:
    from tests.workflow.world import World

FAILED = "RecordFailed > SendToDeadLetters > RecordLetterSent > ExportFailed"
TO_PARTS = "RecordRunning > HasQuery > PlanParts > FanOutParts"
TO_RECORD = f"{TO_PARTS} > AssembleFile > RecordSucceeded"
MADE = f"{TO_RECORD} > ExportSucceeded"
MAP_FAILED = f"{TO_PARTS} ! FanOutPartsFailed > {FAILED}"
PLAN_FAILED = f"RecordRunning > HasQuery > PlanParts ! PlanPartsFailed > {FAILED}"

QUERIED = MADE.replace("HasQuery >", "HasQuery > RunQuery >")
QUERY_FAILED = f"RecordRunning > HasQuery > RunQuery ! RunQueryFailed > {FAILED}"

Arrange = Callable[["World"], object]


class Way(NamedTuple):
    execution: str
    arrange: tuple[Arrange, ...] = ()
    part: str = ""
    """Of part 3, where it does not just run."""


def _unknown_report(world: World) -> None:
    world.write(report="sales")


def _query(world: World) -> None:
    world.ask_in_order()


def _failing_part(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)


def _cancelled_and_failing_part(world: World) -> None:
    def cancel_and_end(_: object) -> None:
        world.cancel()
        raise RuntimeFault("Runtime.ExitError")

    world.cloud.before("GeneratePart", cancel_and_end, part=3)


def _refused(state: str, error: str, times: int = 1) -> Arrange:
    return lambda world: world.cloud.refuse(state, error, times)


def _crashed(function: str, error: str) -> Arrange:
    return lambda world: world.cloud.crash(function, error, times=1, part=3 if function == "GeneratePart" else None)


def _lost(state: str, error: str) -> Arrange:
    return lambda world: world.cloud.lose_answer(state, error)


def _again(way: str, state: str, retry: int = 0, times: int = 1) -> str:
    return way.replace(f"{state} ", state + f"@{retry}" * times + " ", 1)


DYNAMODB, LAMBDA = "ThrottlingException", "TooManyRequestsException"
WAYS = {
    "nothing happens": Way(MADE),
    "RecordRunning is throttled": Way(_again(MADE, "RecordRunning"), (_refused("RecordRunning", DYNAMODB),)),
    "RecordRunning is not answered": Way(
        _again(MADE, "RecordRunning"), (_lost("RecordRunning", "InternalServerError"),)
    ),
    "RecordRunning is refused": Way(
        f"RecordRunning ! RecordRunningFailed > {FAILED}", (_refused("RecordRunning", "ValidationException"),)
    ),
    "cancelled before": Way("RecordRunning ! Superseded", (lambda world: world.cancel(),)),
    "the report has an order": Way(QUERIED, (_query,)),
    "RunQuery is throttled": Way(_again(QUERIED, "RunQuery"), (_query, _refused("RunQuery", LAMBDA))),
    "RunQuery is not answered": Way(_again(QUERIED, "RunQuery"), (_query, _lost("RunQuery", "ServiceException"))),
    "RunQuery takes too long": Way(_again(QUERIED, "RunQuery", 1), (_query, _crashed("RunQuery", "Sandbox.Timedout"))),
    "RunQuery fails": Way(QUERY_FAILED, (_query, _unknown_report)),
    "cancelled while the query ran": Way(
        "RecordRunning > HasQuery > RunQuery ! RunQueryFailed > RecordFailed ! Superseded",
        (_query, lambda world: world.cloud.before("RunQuery", world.cancel)),
    ),
    "PlanParts is throttled": Way(_again(MADE, "PlanParts"), (_refused("PlanParts", LAMBDA),)),
    "PlanParts takes too long": Way(_again(MADE, "PlanParts", 1), (_crashed("PlanParts", "Sandbox.Timedout"),)),
    "PlanParts fails": Way(PLAN_FAILED, (_unknown_report,)),
    "PlanParts is throttled for good": Way(_again(PLAN_FAILED, "PlanParts", 0, 4), (_refused("PlanParts", LAMBDA, 5),)),
    "GeneratePart is throttled": Way(MADE, (_refused("GeneratePart", "ServiceException"),), "GeneratePart@0"),
    "GeneratePart takes too long": Way(MADE, (_crashed("GeneratePart", "Sandbox.Timedout"),), "GeneratePart@1"),
    "GeneratePart fails": Way(MAP_FAILED, (_failing_part,), "GeneratePart ! RecordPartFailure > PartFailed"),
    "GeneratePart fails once it was cancelled": Way(
        f"{TO_PARTS} ! FanOutPartsFailed > RecordFailed ! Superseded",
        (_cancelled_and_failing_part,),
        "GeneratePart ! RecordPartFailure ! PartFailed",
    ),
    "RecordPartFailure is throttled": Way(
        MAP_FAILED,
        (_failing_part, _refused("RecordPartFailure", DYNAMODB)),
        "GeneratePart ! RecordPartFailure@0 > PartFailed",
    ),
    "RecordPartFailure is refused": Way(
        MAP_FAILED,
        (_failing_part, _refused("RecordPartFailure", "ValidationException")),
        "GeneratePart ! RecordPartFailure ! PartFailed",
    ),
    "AssembleFile is throttled": Way(_again(MADE, "AssembleFile"), (_refused("AssembleFile", LAMBDA),)),
    "AssembleFile is not answered": Way(_again(MADE, "AssembleFile"), (_lost("AssembleFile", "ServiceException"),)),
    "AssembleFile takes too long": Way(
        _again(MADE, "AssembleFile", 1), (_crashed("AssembleFile", "Sandbox.Timedout"),)
    ),
    "AssembleFile fails": Way(
        f"{TO_PARTS} > AssembleFile ! AssembleFileFailed > {FAILED}",
        (_crashed("AssembleFile", "Runtime.ExitError"),),
    ),
    "RecordSucceeded is throttled": Way(
        _again(MADE, "RecordSucceeded", times=2), (_refused("RecordSucceeded", DYNAMODB, 2),)
    ),
    "RecordSucceeded is not answered": Way(
        _again(MADE, "RecordSucceeded"), (_lost("RecordSucceeded", "InternalServerError"),)
    ),
    "RecordSucceeded is refused": Way(
        MADE.removesuffix(" > ExportSucceeded"), (_refused("RecordSucceeded", "ValidationException"),)
    ),
    "cancelled after the file was made": Way(
        f"{TO_RECORD} ! Superseded",
        (lambda world: world.cloud.after("AssembleFile", world.cancel),),
    ),
    "RecordFailed is not answered": Way(
        _again(PLAN_FAILED, "RecordFailed"), (_unknown_report, _lost("RecordFailed", "InternalServerError"))
    ),
    "RecordFailed is refused": Way(
        PLAN_FAILED.replace("> SendToDeadLetters > RecordLetterSent >", "!"),
        (_unknown_report, _refused("RecordFailed", "ValidationException")),
    ),
    "cancelled while it ran": Way(
        "RecordRunning > HasQuery > PlanParts ! PlanPartsFailed > RecordFailed ! Superseded",
        (lambda world: world.cloud.before("PlanParts", world.cancel),),
    ),
    "SendToDeadLetters is throttled": Way(
        _again(PLAN_FAILED, "SendToDeadLetters"), (_unknown_report, _refused("SendToDeadLetters", DYNAMODB))
    ),
    "SendToDeadLetters is throttled for good": Way(
        PLAN_FAILED.replace("SendToDeadLetters > RecordLetterSent >", "SendToDeadLetters@0@0@0@0@0 !"),
        (_unknown_report, _refused("SendToDeadLetters", DYNAMODB, 6)),
    ),
    "RecordLetterSent is throttled": Way(
        _again(PLAN_FAILED, "RecordLetterSent"), (_unknown_report, _refused("RecordLetterSent", DYNAMODB))
    ),
    "RecordLetterSent is refused": Way(
        PLAN_FAILED.replace("RecordLetterSent >", "RecordLetterSent !"),
        (_unknown_report, _refused("RecordLetterSent", "ValidationException")),
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_way(world: World, name: str) -> None:
    way = WAYS[name]
    for arrange in way.arrange:
        arrange(world)
    execution = world.run()
    assert execution.path == way.execution
    assert set(execution.children) <= {"GeneratePart", way.part}
    assert execution.children.count(way.part) == bool(way.part)
    assert all(wait <= 60 for wait in world.cloud.waits)
    if way.execution.endswith("> ExportSucceeded"):
        world.assert_succeeded()
    elif way.execution.endswith(FAILED):
        failure = world.record["failure"]
        world.assert_failed(execution, failure["state"], failure["type"], failure["part"] or None)
    elif way.execution.endswith("Superseded"):
        world.assert_superseded(execution)


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
