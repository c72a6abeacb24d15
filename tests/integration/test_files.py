"""When there is a file, and when there is none (any more)."""

from __future__ import annotations

import datetime
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.integration.api import flights
from tests.integration.deployed import stamp

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

UNKNOWN = "0190a2b4-0000-7000-8000-000000000000"
VERSION_4 = "0190a2b4-0000-4000-8000-000000000000"
MALFORMED = ["x", "0", UNKNOWN.upper(), UNKNOWN + "0", UNKNOWN + "%0A", VERSION_4, "key%23abc", "...", "%20", "%00"]


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "CANCELLED"])
def test_there_is_no_file_yet(status: str, caller: Caller, deployed: Deployed) -> None:
    export_id = deployed.fabricate(caller.owner, status)
    shown = caller.get(f"/exports/{export_id}")
    assert (shown.status, shown.json["status"]) == (200, status)
    assert shown.json["progress"] == {"parts_done": 0, "parts_total": None}
    assert list(shown.json["links"]) == ["self"]
    assert ("Retry-After" in shown.headers) == (status != "CANCELLED")
    problem = caller.get(f"/exports/{export_id}/file").problem(409, "not-ready")
    assert status in problem["detail"]


def test_an_expired_file_is_gone_and_the_record_stays_as_it_was(caller: Caller, deployed: Deployed) -> None:
    export = caller.make(first="2013-01-01", last="2013-01-02")
    assert caller.download(export).content
    past = "2020-01-01T00:00:00.000Z"
    deployed.update(caller.owner, export["id"], "expires_at", past)
    shown = caller.get(export["links"]["self"]).json
    assert (shown["status"], shown["expires_at"]) == ("EXPIRED", past)
    assert list(shown["links"]) == ["self"]
    problem = caller.get(export["links"]["file"]).problem(410, "expired")
    assert past in problem["detail"]
    caller.get(export["links"]["file"], Accept="application/json").problem(410, "expired")
    assert [record["status"] for record in deployed.records(caller.owner)] == ["SUCCEEDED"]


def test_an_address_does_not_outlive_the_file(caller: Caller, deployed: Deployed) -> None:
    export = caller.make(first="2013-01-01", last="2013-01-01")
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    deployed.update(caller.owner, export["id"], "expires_at", stamp(soon))
    signed = caller.signed(export)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(signed["url"]).query))
    assert int(query["X-Amz-Expires"]) <= 60
    assert datetime.datetime.fromisoformat(signed["expires_at"]) <= soon


def test_an_unknown_export_is_not_there(caller: Caller) -> None:
    caller.get(f"/exports/{UNKNOWN}").problem(404, "no-such-export")
    caller.get(f"/exports/{UNKNOWN}/file").problem(404, "no-such-export")


@pytest.mark.parametrize("export_id", MALFORMED)
def test_a_malformed_id_is_of_no_export(export_id: str, caller: Caller) -> None:
    caller.get(f"/exports/{export_id}").problem(404, "no-such-export")
    caller.get(f"/exports/{export_id}/file").problem(404, "no-such-export")


def test_an_idempotency_item_is_no_export(caller: Caller, deployed: Deployed) -> None:
    caller.post(flights(first="2013-01-01", last="2013-01-01"), Idempotency_Key="monday")
    items = [item["export_id"] for item in deployed.records(caller.owner, everything=True)]
    key = next(item for item in items if item.startswith("key#"))
    caller.get(f"/exports/{key.replace('#', '%23')}").problem(404, "no-such-export")
    assert len(caller.exports()) == 1
