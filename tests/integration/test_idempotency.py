"""A request that arrives twice is one export."""

from __future__ import annotations

import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.api import Answer, flights

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

BODY = flights(first="2013-01-01", last="2013-01-02")
DOUBLES = 6


@pytest.fixture
def since() -> datetime.datetime:
    """When the test began."""
    return datetime.datetime.now(datetime.UTC)


def test_the_same_key_and_body_are_the_same_export(
    caller: Caller, deployed: Deployed, since: datetime.datetime
) -> None:
    first = caller.post(BODY, Idempotency_Key="monday")
    reordered = dict(reversed(BODY.items())) | {"parameters": dict(reversed(BODY["parameters"].items()))}
    again = caller.post(reordered, Idempotency_Key="monday")
    assert (first.status, again.status) == (202, 202)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert again.headers["Location"] == first.headers["Location"] == first.json["links"]["self"]
    caller.follow(first.json)
    late = caller.post(BODY, Idempotency_Key="monday")
    assert late.headers["Idempotent-Replayed"] == "true"
    assert (late.json["id"], late.json["status"]) == (first.json["id"], "SUCCEEDED")
    assert late.json == caller.get(first.json["links"]["self"]).json
    assert [record["export_id"] for record in deployed.records(caller.owner)] == [first.json["id"]]
    assert deployed.executions(caller.owner, since) == [f"{first.json['id']}-1"]


def test_the_same_key_with_another_body_is_refused(caller: Caller, deployed: Deployed) -> None:
    first = caller.post(BODY, Idempotency_Key="monday")
    other = caller.post(flights(first="2013-01-01", last="2013-01-03"), Idempotency_Key="monday")
    other.problem(422, "idempotency-key-reused")
    assert [record["export_id"] for record in deployed.records(caller.owner)] == [first.json["id"]]
    caller.follow(first.json)


def test_requests_at_the_same_moment_are_one_export(
    caller: Caller, deployed: Deployed, since: datetime.datetime
) -> None:
    start = threading.Barrier(DOUBLES)

    def post(_: int) -> Answer:
        start.wait(10)
        answer = caller.post(BODY, Idempotency_Key="now")
        while answer.status == 503:  # DynamoDB refuses one of two transactions that meet
            time.sleep(int(answer.headers["Retry-After"]))
            answer = caller.post(BODY, Idempotency_Key="now")
        return answer

    with ThreadPoolExecutor(DOUBLES) as pool:
        answers = list(pool.map(post, range(DOUBLES)))
    assert [answer.status for answer in answers] == [202] * DOUBLES
    assert len({answer.json["id"] for answer in answers}) == 1
    assert ["Idempotent-Replayed" in answer.headers for answer in answers].count(False) == 1
    assert caller.follow(answers[0].json).end["status"] == "SUCCEEDED"
    assert len(deployed.records(caller.owner)) == 1
    assert deployed.executions(caller.owner, since) == [f"{answers[0].json['id']}-1"]


def test_the_key_of_another_is_another_key(caller: Caller, sign_up: Callable[[str], Caller]) -> None:
    colleague = sign_up("HA")
    mine, theirs = (each.post(BODY, Idempotency_Key="monday") for each in (caller, colleague))
    assert (mine.status, theirs.status) == (202, 202)
    assert mine.json["id"] != theirs.json["id"]
    assert "Idempotent-Replayed" not in theirs.headers


def test_without_a_key_every_request_is_an_export(caller: Caller, deployed: Deployed) -> None:
    ids = {caller.post(BODY).json["id"] for _ in range(2)}
    assert {record["export_id"] for record in deployed.records(caller.owner)} == ids
    assert len(ids) == 2
