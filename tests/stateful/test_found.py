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


def run(world: World, attempt: int) -> None:
    """The attempt runs to its end."""
    (execution,) = [each for name, each in world.executions.items() if name.endswith(f"-{attempt}")]
    world.go_on(execution)


def failed_export(world: World) -> str:
    """An export whose first attempt has failed."""
    world.dataset.broken = True
    export_id = json.loads(world.finish(request(world))["body"])["id"]
    run(world, 1)
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
