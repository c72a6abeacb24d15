"""An export that is cancelled ends at once and leaves nothing; one that is removed is gone from everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.api import flights, http
from tests.integration.deployed import until

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

DAY = {"first": "2013-01-01", "last": "2013-01-01"}


def test_an_export_that_runs_is_cancelled_in_every_sight_and_then_removed(caller: Caller, deployed: Deployed) -> None:
    with deployed.listening(caller.owner) as announcements:
        export = caller.cancel()
        until(lambda: caller.get("/limits").json["active_exports"]["used"] == 0, "the limit to be free again")
        until(lambda: deployed.execution(export)["status"] == "ABORTED", "the execution to be stopped")
        announcements.of(export)
        caller.make(**DAY)  # long enough for what the stopped attempt might still do
        announced = [event for event in announcements.receive() if event["detail"]["export_id"] == export["id"]]

    shown = caller.get(export["links"]["self"]).json
    assert (shown["status"], shown["finished_at"]) == ("CANCELLED", export["finished_at"])
    assert shown["finished_at"] > shown["started_at"] > shown["created_at"]
    assert (shown["error"], shown["rows"], shown["expires_at"]) == (None, None, None)
    caller.get(f"/exports/{export['id']}/file").problem(409, "not-ready")
    assert [key for key in deployed.keys(deployed.files_of(caller)) if export["id"] in key] == []
    assert deployed.find_letter(export["id"]) is None

    assert {(event["detail-type"], event["detail"]["finished_at"]) for event in announced} == {
        ("Export Cancelled", export["finished_at"])
    }
    if deployed.emulated:  # AWS delivers at least once
        assert len(announced) == 1

    answer = caller.delete(export)
    assert (answer.status, answer.content) == (204, b"")
    caller.get(export["links"]["self"]).problem(404, "no-such-export")
    assert export["id"] not in str([caller.exports(), deployed.records(caller.owner)])


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
    assert caller.exports() == deployed.records(caller.owner) == []
    problem = caller.post(flights(**DAY), Idempotency_Key="monday").problem(422, "idempotency-key-reused")
    assert "was removed" in problem["detail"]
