"""How much one user may do at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.api import flights
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

LIMIT = 5
BODY = flights(first="2013-01-01", last="2013-01-01")


def used(caller: Caller) -> int:
    return int(caller.get("/limits").json["active_exports"]["used"])


def test_one_export_too_many_is_refused_until_another_has_ended(
    caller: Caller, deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    limits = caller.get("/limits").json
    assert limits["active_exports"] == {"limit": LIMIT, "used": 0, "remaining": LIMIT}
    assert limits["rows_per_export"] > 1_000_000
    assert limits["retention_days"] >= 1
    first = caller.follow(caller.post(BODY, Idempotency_Key="monday").json).end
    until(lambda: used(caller) == 0, "the export that ended to leave the index of active exports")

    active = [deployed.fabricate(caller.owner, status) for status in ["QUEUED", "RUNNING"] * 2 + ["QUEUED"]]
    until(lambda: used(caller) == LIMIT, "the index of active exports to have them all")
    assert caller.get("/limits").json["active_exports"] == {"limit": LIMIT, "used": LIMIT, "remaining": 0}
    cancelled = deployed.fabricate(caller.owner, "CANCELLED")
    before = deployed.records(caller.owner, everything=True)
    for refused in (
        caller.post(flights(), Idempotency_Key="later"),
        caller.call("POST", f"/exports/{cancelled}/retry"),
    ):
        refused.problem(429, "too-many-active")
        assert int(refused.headers["Retry-After"]) > 0
    assert deployed.records(caller.owner, everything=True) == before
    again = caller.post(BODY, Idempotency_Key="monday")  # a repeated request is answered however busy its caller is
    assert (again.status, again.json["id"]) == (202, first["id"])
    assert sign_up("HA").post(BODY).status == 202

    assert caller.call("DELETE", f"/exports/{active[0]}").status == 202
    until(lambda: used(caller) == LIMIT - 1, "the index of active exports to let one go")
    caller.make(first="2013-01-01", last="2013-01-01")
