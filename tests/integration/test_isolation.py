"""Nobody sees, removes or retries what is another's: neither a tenant's rows nor a user's exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import source
from tests.integration.api import flights

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

ABSENT = "0190a2b4-0000-7000-8000-000000000000"
# As API Gateway hands them on: tests/unit/test_callers.py has more.
MALFORMED = ["x", ABSENT.upper(), ABSENT + "%0A", "...", "%20", "%00"]


@pytest.mark.parametrize("tenant", ["DL", "HA"], ids=["another tenant", "another user of the tenant"])
def test_an_export_of_another_is_not_there(
    tenant: str, caller: Caller, deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    stranger = sign_up(tenant)
    made, runs, failed = (deployed.fabricate(caller.owner, status) for status in ("SUCCEEDED", "RUNNING", "FAILED"))
    before = deployed.records(caller.owner)
    for method, export_id, rest in (
        ("GET", made, ""),
        ("GET", made, "/file"),
        ("DELETE", made, ""),
        ("DELETE", runs, ""),
        ("POST", failed, "/retry"),
    ):
        problem = stranger.call(method, f"/exports/{export_id}{rest}").problem(404, "no-such-export")
        assert problem == stranger.call(method, f"/exports/{ABSENT}{rest}").json
    assert stranger.exports() == []
    assert deployed.records(caller.owner) == before


def test_the_same_request_of_another_tenant_gives_its_own_rows_and_none_can_be_asked_for(
    sign_up: Callable[[str], Caller],
) -> None:
    day = {"first": "2013-12-24", "last": "2013-12-24"}
    files = {}
    for tenant in ("UA", "DL"):
        caller = sign_up(tenant)
        files[tenant] = source.read(caller.download(caller.make(**day)).content)
        assert files[tenant] == source.expected(tenant, lambda row: source.date(row) == "2013-12-24")
    assert files["UA"] != files["DL"]
    problem = caller.post(flights(carrier="UA", tenant="UA")).problem(400, "invalid-request")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/parameters/carrier", "/parameters/tenant"]


def test_a_malformed_id_is_of_no_export_and_neither_is_an_idempotency_item(caller: Caller, deployed: Deployed) -> None:
    caller.post(flights(first="2013-01-01", last="2013-01-01"), Idempotency_Key="monday")
    keys = [item["export_id"] for item in deployed.records(caller.owner, everything=True) if "status" not in item]
    assert len(keys) == 1
    # The emulator's policies do not match a line feed in a path. AWS compares the encoded path.
    malformed = [each for each in MALFORMED if not deployed.emulated or "%0A" not in each]
    for export_id in [*malformed, keys[0].replace("#", "%23")]:
        caller.get(f"/exports/{export_id}").problem(404, "no-such-export")
        caller.get(f"/exports/{export_id}/file").problem(404, "no-such-export")
    assert len(caller.exports()) == 1


def test_a_cursor_of_another_opens_nothing(sign_up: Callable[[str], Caller], deployed: Deployed) -> None:
    one, other = sign_up("UA"), sign_up("UA")
    for _ in range(2):
        deployed.fabricate(one.owner, "CANCELLED")
    cursor = one.get("/exports?limit=1").json["cursor"]
    problem = other.get(f"/exports?cursor={cursor}").problem(400, "invalid-request")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/cursor"]
