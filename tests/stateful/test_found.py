"""What test_life has found, each as a story of its own."""

from __future__ import annotations

import json

from tests.stateful.world import Invocation, World

NUMBERS = {"report": "numbers", "format": "csv", "options": {}}


def request(world: World, **headers: str) -> Invocation:
    """A request of an export begins."""
    return world.call("POST", "/exports", 0, headers=headers, **NUMBERS)


def up_to(world: World, invocation: Invocation, operation: str) -> None:
    """The invocation makes its calls, up to one of this operation."""
    while invocation.process.wants and invocation.process.wants.operation != operation:
        world.step(invocation)
    assert not invocation.process.ended


def run(world: World, attempt: int, up_to: str = "") -> None:
    """The attempt runs to its end, or up to a state."""
    (execution,) = [each for name, each in world.executions.items() if name.endswith(f"-{attempt}")]
    world.go_on(execution, lambda state, worker: worker is None and state == up_to)


def failed_export(world: World, up_to: str = "") -> str:
    """An export whose first attempt has failed, or is about to do this state."""
    world.dataset.broken = True
    export_id = json.loads(world.finish(request(world))["body"])["id"]
    run(world, 1, up_to)
    world.dataset.broken = False
    return str(export_id)


def retry(world: World, export_id: str) -> Invocation:
    """A retry begins."""
    return world.call("POST", "/exports/{id}/retry", 0, export_id)


def test_settling_an_attempt_does_not_remove_the_file_of_the_next(world: World) -> None:
    export_id = failed_export(world)
    settling = world.schedule()
    up_to(world, settling, "ListObjectsV2")
    world.finish(retry(world, export_id))
    run(world, 2)
    world.finish(settling)
    world.laws.hold()
    assert world.get("/exports/{id}/file", 0, export_id)["statusCode"] == 200


def test_an_execution_that_is_about_to_send_its_letter_is_not_stopped(world: World) -> None:
    failed_export(world, up_to="RecordLetterSent")
    world.finish(world.schedule())
    world.run_on()
    world.finish(world.schedule())
    assert len(world.memory.letters) == 1


def test_a_retry_that_boto3_does_twice_is_that_retry(world: World) -> None:
    export_id = failed_export(world)
    retrying = retry(world, export_id)
    up_to(world, retrying, "UpdateItem")
    world.step(retrying, "repeated")
    assert world.finish(retrying)["statusCode"] == 202


def test_a_request_whose_outcome_is_unknown_is_not_said_to_have_done_nothing(world: World) -> None:
    requesting = request(world)
    up_to(world, requesting, "TransactWriteItems")
    world.step(requesting, "lost")
    assert world.finish(requesting)["statusCode"] == 503
    assert "Nothing was accepted" not in json.loads(requesting.process.result["body"])["detail"]


def test_an_export_that_is_taken_back_is_not_promised_to_a_repeated_request(world: World) -> None:
    first = request(world, **{"Idempotency-Key": "one"})
    up_to(world, first, "StartExecution")
    world.step(first, "throttled")
    repeated = request(world, **{"Idempotency-Key": "one"})
    up_to(world, repeated, "UpdateItem")
    assert world.finish(first)["statusCode"] == 503
    assert world.finish(repeated)["statusCode"] == 503


def test_a_delete_does_not_remove_the_file_of_an_attempt_that_it_has_not_seen(world: World) -> None:
    export_id = failed_export(world)
    deleting = world.call("DELETE", "/exports/{id}", 0, export_id)
    up_to(world, deleting, "ListObjectsV2")
    world.finish(retry(world, export_id))
    run(world, 2)
    up_to(world, deleting, "DeleteItem")
    world.laws.hold()
