"""Nobody sees what is another's: neither a tenant's rows nor a user's exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller, Followed
    from tests.integration.deployed import Deployed


@pytest.mark.parametrize("tenant", ["DL", "UA"], ids=["another tenant", "another user of the tenant"])
def test_an_export_of_another_is_not_there(
    tenant: str, united: Followed, united_user: Caller, sign_up: Callable[[str], Caller]
) -> None:
    stranger = sign_up(tenant)
    links = united.end["links"]
    stranger.get(links["self"]).problem(404, "no-such-export")
    stranger.get(links["file"]).problem(404, "no-such-export")
    stranger.get(links["file"], Accept="application/json").problem(404, "no-such-export")
    assert stranger.exports() == []
    assert united.end["id"] in [export["id"] for export in united_user.exports()]


def test_an_absent_export_and_one_of_another_look_the_same(united: Followed, caller: Caller) -> None:
    absent = united.end["id"][:-4] + ("0000" if not united.end["id"].endswith("0000") else "1111")
    assert caller.get(f"/exports/{absent}").json == caller.get(f"/exports/{united.end['id']}").json


def test_the_same_request_of_another_tenant_gives_its_own_rows(sign_up: Callable[[str], Caller]) -> None:
    day = {"first": "2013-12-24", "last": "2013-12-24"}
    files = {}
    for tenant in ("UA", "DL"):
        caller = sign_up(tenant)
        files[tenant] = source.read(caller.download(caller.make(**day)).content)
        assert files[tenant] == source.expected(tenant, lambda row: source.date(row) == "2013-12-24")
    assert files["UA"] != files["DL"]


def test_a_tenant_cannot_be_asked_for(caller: Caller) -> None:
    parameters = {"from": "2013-01-01", "to": "2013-01-31", "carrier": "UA", "tenant": "UA"}
    problem = caller.post({"report": "flights", "format": "csv", "parameters": parameters}).problem(
        400, "invalid-request"
    )
    assert [fault["pointer"] for fault in problem["errors"]] == ["/parameters/carrier", "/parameters/tenant"]


def test_a_cursor_of_another_opens_nothing(sign_up: Callable[[str], Caller], deployed: Deployed) -> None:
    one, other = sign_up("UA"), sign_up("UA")
    for _ in range(2):
        deployed.fabricate(one.owner, "CANCELLED")
    cursor = one.get("/exports?limit=1").json["cursor"]
    problem = other.get(f"/exports?cursor={cursor}").problem(400, "invalid-request")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/cursor"]
