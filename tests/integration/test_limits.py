"""How much one user may do at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.api import flights
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

LIMIT = 5


@pytest.fixture
def busy(caller: Caller, deployed: Deployed) -> Caller:
    """Somebody with as many active exports as there may be."""
    for status in ["QUEUED", "RUNNING"] * 2 + ["QUEUED"]:
        deployed.fabricate(caller.owner, status)
    until(lambda: used(caller) == LIMIT, "the index of active exports to have them all")
    return caller


def used(caller: Caller) -> int:
    return int(caller.get("/limits").json["active_exports"]["used"])


def test_limits_say_what_may_still_be_done(caller: Caller) -> None:
    answer = caller.get("/limits")
    assert answer.status == 200
    limits = answer.json
    assert limits["active_exports"] == {"limit": LIMIT, "used": 0, "remaining": LIMIT}
    assert limits["rows_per_export"] > 1_000_000
    assert limits["retention_days"] >= 1


def test_one_too_many_is_refused_and_told_when_to_come_back(busy: Caller, deployed: Deployed) -> None:
    assert busy.get("/limits").json["active_exports"] == {"limit": LIMIT, "used": LIMIT, "remaining": 0}
    answer = busy.post(flights(), Idempotency_Key="later")
    answer.problem(429, "too-many-active")
    assert int(answer.headers["Retry-After"]) > 0
    assert len(deployed.records(busy.owner, everything=True)) == LIMIT


def test_the_exports_of_another_do_not_count(busy: Caller, sign_up: Callable[[str], Caller]) -> None:
    assert busy.post(flights()).status == 429
    assert sign_up("HA").post(flights(first="2013-01-01", last="2013-01-01")).status == 202


def test_an_export_that_ended_makes_room(busy: Caller, deployed: Deployed) -> None:
    deployed.forget(deployed.records(busy.owner)[0])
    until(lambda: used(busy) == LIMIT - 1, "the index of active exports to let one go")
    for _ in range(2):
        busy.make(first="2013-01-01", last="2013-01-01")
        until(lambda: used(busy) == LIMIT - 1, "the export that ended to leave the index of active exports")


def test_a_repeated_request_is_answered_however_busy_its_caller_is(caller: Caller, deployed: Deployed) -> None:
    body = flights(first="2013-01-01", last="2013-01-01")
    first = caller.post(body, Idempotency_Key="monday")
    for _ in range(LIMIT):
        deployed.fabricate(caller.owner, "QUEUED")
    until(lambda: used(caller) >= LIMIT, "the index of active exports to have them all")
    again = caller.post(body, Idempotency_Key="monday")
    assert (again.status, again.json["id"]) == (202, first.json["id"])
