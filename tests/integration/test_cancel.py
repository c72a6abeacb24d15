"""An export that is cancelled ends at once and leaves nothing; one that is removed is gone from everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.api import flights, http
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

DAY = {"first": "2013-01-01", "last": "2013-01-01"}


def test_an_export_that_runs_is_cancelled_in_every_sight(caller: Caller, deployed: Deployed) -> None:
    with deployed.listening(caller.owner) as announcements:
        export = caller.cancel()
        until(lambda: caller.get("/limits").json["active_exports"]["used"] == 0, "the limit to be free again")
        until(lambda: deployed.execution(export)["status"] == "ABORTED", "the execution to be stopped")
        announced = announcements.of(export)
        caller.make(**DAY)  # long enough for what the stopped attempt might still do
        announced = [event for event in announcements.receive() if event["detail"]["export_id"] == export["id"]]

    shown = caller.get(export["links"]["self"]).json
    assert (shown["status"], shown["finished_at"]) == ("CANCELLED", export["finished_at"])
    assert shown["finished_at"] > shown["started_at"] > shown["created_at"]
    assert (shown["error"], shown["rows"], shown["expires_at"]) == (None, None, None)
    caller.get(f"/exports/{export['id']}/file").problem(409, "not-ready")
    assert [key for key in deployed.keys(deployed.files_of(caller)) if export["id"] in key] == []
    assert deployed.find_letter(export["id"]) is None

    assert {event["detail-type"] for event in announced} == {"Export Cancelled"}
    detail = announced[0]["detail"]
    assert detail["key"] == f"{export['id']}/1/CANCELLED"
    assert detail["finished_at"] == export["finished_at"]
    assert detail["failure"] == {"state": "", "type": "", "part": ""}
    if deployed.emulated:  # AWS delivers at least once
        assert len(announced) == 1


def test_a_cancelled_export_makes_room_for_another(caller: Caller, deployed: Deployed) -> None:
    queued = [deployed.fabricate(caller.owner, "QUEUED") for _ in range(5)]
    until(lambda: caller.post(flights(**DAY)).status == 429, "the limit to be reached")
    assert caller.call("DELETE", f"/exports/{queued[0]}").status == 202
    until(lambda: caller.post(flights(**DAY)).status == 202, "the limit to let one in")


def test_who_deletes_twice_cancels_and_then_removes(caller: Caller, deployed: Deployed) -> None:
    export = caller.cancel()
    answer = caller.delete(export)
    assert (answer.status, answer.content) == (204, b"")
    caller.delete(export).problem(404, "no-such-export")
    caller.get(export["links"]["self"]).problem(404, "no-such-export")
    assert caller.exports() == []
    until(lambda: deployed.execution(export)["status"] == "ABORTED", "the execution to be stopped")
    assert deployed.records(caller.owner) == []
    assert deployed.keys(deployed.files_of(caller)) == []


def test_a_finished_export_is_gone_from_everywhere(caller: Caller, deployed: Deployed) -> None:
    accepted = caller.post(flights(**DAY), Idempotency_Key="monday").json
    export = caller.follow(accepted).end
    link = caller.signed(export)["url"]
    caller.call("DELETE", f"/exports/{export['id']}?if=active").problem(409, "not-active")
    assert http("GET", link).status == 200
    assert caller.delete(export).status == 204
    caller.get(export["links"]["self"]).problem(404, "no-such-export")
    caller.get(export["links"]["file"]).problem(404, "no-such-export")
    caller.delete(export).problem(404, "no-such-export")
    assert http("GET", link).status == 404
    assert deployed.keys(deployed.files_of(caller)) + deployed.keys(f"work/{export['id']}/") == []
    assert caller.exports() == []
    problem = caller.post(flights(**DAY), Idempotency_Key="monday").problem(422, "idempotency-key-reused")
    assert "was removed" in problem["detail"]


def test_a_failed_export_is_removed_with_what_it_left(caller: Caller, deployed: Deployed) -> None:
    failed = deployed.fabricate(caller.owner, "FAILED")
    deployed.write_json(f"{deployed.files_of(caller)}{failed}/1/flights.csv", "a file that no record names")
    assert caller.call("DELETE", f"/exports/{failed}").status == 204
    caller.get(f"/exports/{failed}").problem(404, "no-such-export")
    assert deployed.keys(deployed.files_of(caller)) == []


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
@pytest.mark.parametrize("tenant", ["HA", "DL"], ids=["another user of the tenant", "another tenant"])
def test_nobody_else_can_delete_it(
    tenant: str, status: str, caller: Caller, deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    export_id = deployed.fabricate(caller.owner, status)
    before = deployed.records(caller.owner)
    stranger = sign_up(tenant)
    problem = stranger.call("DELETE", f"/exports/{export_id}").problem(404, "no-such-export")
    assert problem == stranger.call("DELETE", f"/exports/{export_id[:-4]}0000").json
    assert deployed.records(caller.owner) == before
