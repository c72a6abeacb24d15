"""What the matrix found, in words that a cell has no room for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.faults.outcome import Case
from tests.faults.places import PLACES
from tests.support.moto_machine import moto_cloud, settle
from tests.workflow.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSResponse

    from tests.support.moto_machine import Call, Disturbance


@pytest.fixture
def world() -> Iterator[World]:
    with moto_cloud(MapConcurrency=1) as cloud:
        yield World(cloud)


def losing_answers(operation: str, times: int) -> Disturbance:
    left = [None] * times

    def disturb(call: Call) -> AWSResponse | None:
        if call.operation == operation and left:
            left.pop()
            call.send()
            raise ConnectionClosedError(endpoint_url="https://dynamodb.test")
        return None

    return disturb


def test_a_retry_whose_write_went_through_unanswered_is_accepted_and_started(world: World) -> None:
    place = PLACES["RetryExport"]
    place.prepare(world)
    world.cloud.disturb("RetryExport", losing_answers("UpdateItem", 1))
    assert world.ask("RetryExport")["statusCode"] == 202
    settle()
    assert world.record["status"] == "SUCCEEDED"


def test_a_request_whose_write_is_never_answered_does_not_say_that_nothing_was_accepted(world: World) -> None:
    place = PLACES["RequestExport"]
    place.prepare(world)
    world.cloud.disturb("RequestExport", losing_answers("TransactWriteItems", 100))
    body = json.dumps({"report": "flights", "format": "csv", "parameters": {"from": "2013-01-01", "to": "2013-02-28"}})
    answer = world.ask("RequestExport", body=body)
    assert answer["statusCode"] == 503
    assert Case(world, place).find(), "the export is there"
    assert "Nothing was accepted" not in answer["body"]
