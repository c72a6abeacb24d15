"""What is tried again, how often, and what is not."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.edges import flat
from tests.workflow import flights
from tests.workflow.world import PARTS

if TYPE_CHECKING:
    from tests.workflow.conftest import MakeWorld
    from tests.workflow.world import World

LAMBDA_FAULTS = ["TooManyRequestsException", "ServiceException"]
DYNAMODB_FAULTS = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "TransactionConflictException",
    "InternalServerError",
]
LAMBDA_STATES = {"PlanParts": 4, "AssembleFile": 4}
RECORD_STATES = {"RecordRunning": 5, "RecordSucceeded": 5}


def assert_right(world: World) -> None:
    assert world.record["status"] == "SUCCEEDED"
    assert world.file() == flights.expected_csv(1, 2)
    assert world.cloud.letters() == []


@pytest.mark.parametrize(("state", "allowed"), LAMBDA_STATES.items())
def test_faults_of_lambda_are_tried_again(world: World, state: str, allowed: int) -> None:
    for fault in (LAMBDA_FAULTS * allowed)[:allowed]:
        world.cloud.refuse(state, fault, times=1)
    world.run()
    assert_right(world)
    assert world.cloud.tasks[state] == 1 + allowed
    assert world.cloud.invocations(state) == 1


def test_faults_of_lambda_at_a_part_are_tried_again(make_world: MakeWorld) -> None:
    world = make_world(MapConcurrency=1)
    world.cloud.refuse("GeneratePart", "TooManyRequestsException", times=8)
    world.run()
    assert_right(world)
    assert world.cloud.tasks["GeneratePart"] == 1 + 8
    assert world.cloud.parts_called() == [0]


@pytest.mark.parametrize(("state", "allowed"), LAMBDA_STATES.items())
def test_lambda_refusing_for_good_fails_the_export(world: World, state: str, allowed: int) -> None:
    world.cloud.refuse(state, "TooManyRequestsException")
    world.assert_failed(world.run(), state, "Lambda.TooManyRequestsException")
    assert world.cloud.tasks[state] == 1 + allowed
    assert world.cloud.invocations(state) == 0


def test_lambda_refusing_a_part_for_good_fails_the_export(make_world: MakeWorld) -> None:
    world = make_world(MapConcurrency=1)
    world.cloud.refuse("GeneratePart", "TooManyRequestsException")
    world.assert_failed(world.run(), "GeneratePart", "Lambda.TooManyRequestsException", part=0)
    assert world.cloud.tasks["GeneratePart"] == 1 + 8
    assert world.cloud.invocations("GeneratePart") == 0


@pytest.mark.parametrize("function", ["PlanParts", "GeneratePart", "AssembleFile"])
def test_a_timeout_is_tried_again_once(world: World, function: str) -> None:
    world.cloud.crash(function, "Sandbox.Timedout", times=1)
    world.run()
    assert_right(world)


@pytest.mark.parametrize("function", ["PlanParts", "AssembleFile"])
def test_a_second_timeout_fails_the_export(world: World, function: str) -> None:
    world.cloud.crash(function, "Sandbox.Timedout", times=2)
    world.assert_failed(world.run(), function, "Sandbox.Timedout")


def test_a_part_that_outlasts_its_state_is_tried_again(make_world: MakeWorld) -> None:
    world = make_world(PartTimeoutSeconds=1)
    answered = threading.Event()
    world.cloud.before("GeneratePart", lambda _: answered.wait(20), part=1)
    world.cloud.before("GeneratePart", lambda _: answered.set(), part=1)
    execution = world.run()
    assert_right(world)
    assert "GeneratePart@1" in execution.children
    assert world.cloud.parts_called() == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("function", "error"),
    [("PlanParts", "UnknownReport"), ("GeneratePart", "SourceUnreadable"), ("AssembleFile", "RowsMissing")],
)
def test_an_error_of_our_own_is_never_tried_again(world: World, function: str, error: str) -> None:
    if function == "PlanParts":
        world.write(report="sales")
    elif function == "GeneratePart":
        body = bytearray(flights.parquet(flights.flights(2)))
        body[4:24] = b"\xff" * 20
        world.put(flights.key(2), bytes(body))
    else:
        world.cloud.before("AssembleFile", lambda _: world.delete(world.work("receipts/000000")[0]))
    execution = world.run()
    assert execution.error == error
    assert world.cloud.invocations(function) == (PARTS if function == "GeneratePart" else 1)
    assert len(set(world.cloud.parts_called())) == len(world.cloud.parts_called())
    assert world.cloud.waits == []


# DynamoDB and SQS


@pytest.mark.parametrize(("state", "allowed"), RECORD_STATES.items())
def test_throttled_writes_of_the_record_are_tried_again(world: World, state: str, allowed: int) -> None:
    for fault in (DYNAMODB_FAULTS * allowed)[:allowed]:
        world.cloud.refuse(state, fault, times=1)
    world.run()
    assert_right(world)
    assert world.cloud.tasks[state] == 1 + allowed


def test_throttled_writes_of_a_failure_are_tried_again(world: World) -> None:
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=3)
    for state in ("RecordPartFailure", "RecordFailed"):
        world.cloud.refuse(state, "ThrottlingException", times=5)
    world.cloud.refuse("SendToDeadLetters", "ThrottlingException", times=5)
    world.assert_failed(world.run(), "GeneratePart", "Runtime.ExitError", part=3)
    for state in ("RecordPartFailure", "RecordFailed", "SendToDeadLetters"):
        assert world.cloud.tasks[state] == 6


def test_a_start_that_is_throttled_for_good_fails_the_export(world: World) -> None:
    world.cloud.refuse("RecordRunning", "ThrottlingException")
    world.assert_failed(world.run(), "RecordRunning", "DynamoDB.ThrottlingException")
    assert world.cloud.tasks["RecordRunning"] == 6


@pytest.mark.parametrize("state", RECORD_STATES)
def test_a_write_whose_answer_was_lost_is_accepted_the_second_time(world: World, state: str) -> None:
    world.cloud.lose_answer(state, "InternalServerError")
    assert world.run().states[-1] == "ExportSucceeded"
    assert_right(world)
    assert len(world.cloud.announcements()) == 1


def test_a_recorded_failure_whose_answer_was_lost_is_accepted_the_second_time(world: World) -> None:
    world.write(report="sales")
    world.cloud.lose_answer("RecordFailed", "InternalServerError")
    world.assert_failed(world.run(), "PlanParts", "UnknownReport")


def test_an_invocation_whose_answer_was_lost_makes_nothing_twice(world: World) -> None:
    world.cloud.lose_answer("GeneratePart", "ServiceException")
    world.run()
    assert_right(world)
    assert len(world.cloud.parts_called()) == PARTS + 1
    parts = [key for key in world.cloud.written if "/parts/" in key]
    assert len(parts) == len(set(parts)) == PARTS


def test_an_assembly_whose_answer_was_lost_gives_the_same_file(world: World) -> None:
    world.cloud.lose_answer("AssembleFile", "ServiceException")
    world.run()
    assert_right(world)
    assert len(world.cloud.keys("exports/")) == 1


def test_waits_between_tries_are_bounded(world: World) -> None:
    world.cloud.refuse("PlanParts", "TooManyRequestsException", times=4)
    world.cloud.refuse("GeneratePart", "TooManyRequestsException", times=8)
    world.run()
    assert len(world.cloud.waits) == 12
    assert max(world.cloud.waits) <= 60


def test_every_retry_is_bounded_and_spread(world: World) -> None:
    for name, state in flat(json.loads(world.cloud.template.definition())).items():
        for retry in state.get("Retry", []):
            assert retry["MaxAttempts"] <= 8, name
            assert retry["MaxDelaySeconds"] <= 60, name
            assert retry["JitterStrategy"] == "FULL", name
