"""A request that arrives twice is one export."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.integration.api import Answer, flights

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

BODY = flights(first="2013-01-01", last="2013-01-02")
DOUBLES = 6


def test_the_same_key_and_body_are_the_same_export_and_another_body_is_refused(caller: Caller) -> None:
    first = caller.post(BODY, Idempotency_Key="monday")
    reordered = dict(reversed(BODY.items())) | {"parameters": dict(reversed(BODY["parameters"].items()))}
    again = caller.post(reordered, Idempotency_Key="monday")
    assert (first.status, again.status) == (202, 202)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"] == first.json["links"]["self"]
    caller.post(flights(), Idempotency_Key="monday").problem(422, "idempotency-key-reused")
    caller.follow(first.json)
    late = caller.post(BODY, Idempotency_Key="monday")
    assert late.headers["Idempotent-Replayed"] == "true"
    assert late.json == caller.get(first.json["links"]["self"]).json
    assert [(export["id"], export["status"]) for export in caller.exports()] == [(first.json["id"], "SUCCEEDED")]


def test_requests_at_the_same_moment_are_one_export(caller: Caller, deployed: Deployed) -> None:
    start = threading.Barrier(DOUBLES)

    def post(_: int) -> Answer:
        start.wait(10)
        answer = caller.post(BODY, Idempotency_Key="now")
        while answer.status == 503:  # DynamoDB refuses one of two transactions that meet
            assert int(answer.headers["Retry-After"]) > 0
            time.sleep(0.2)
            answer = caller.post(BODY, Idempotency_Key="now")
        return answer

    with ThreadPoolExecutor(DOUBLES) as pool:
        answers = list(pool.map(post, range(DOUBLES)))
    assert [answer.status for answer in answers] == [202] * DOUBLES
    assert len({answer.json["id"] for answer in answers}) == 1
    assert ["Idempotent-Replayed" in answer.headers for answer in answers].count(False) == 1
    assert caller.follow(answers[0].json).end["status"] == "SUCCEEDED"
    [record] = deployed.records(caller.owner)  # an attempt has one execution, by its name
    assert record["attempt"] == 1
