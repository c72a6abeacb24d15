"""An owner who asked for it is mailed once how the export ended; the address is told to nobody else."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api import flights
from tests.integration.deployed import until
from tests.integration.source import parquet, with_damaged_footer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

DAY = {"first": "2013-01-01", "last": "2013-01-02"}
reads_mail = pytest.mark.emulator_only("what SES has sent on AWS lies in the owner's mailbox")
asks_for_mail = pytest.mark.emulator_only("nobody owns the address of a test's user; bounces count against an account")
FUNCTION_NAMES = ("request-export", "read-exports", "plan-parts", "generate-part", "assemble-file", "notify-owner")


@pytest.fixture(autouse=True)
def _mail_is_sent(deployed: Deployed) -> None:
    if not deployed["sender_email"]:
        pytest.skip("the stack was deployed without SenderEmail")


def ask(caller: Caller, **parameters: Any) -> dict[str, Any]:
    """Requests flights, and to be mailed."""
    answer = caller.post(flights(**parameters) | {"options": {"notify": True}})
    assert answer.status == 202, answer
    assert answer.json["options"]["notify"] is True
    assert caller.email not in answer.content.decode()
    return dict(answer.json)


def mailed(deployed: Deployed, caller: Caller, number: int = 1) -> list[dict[str, Any]]:
    """The mails to a caller, as soon as there are so many."""
    return until(
        lambda: found if len(found := deployed.mails(caller.email)) >= number else [], f"{number} mails to a caller"
    )


def said(deployed: Deployed, export: dict[str, Any], words: str) -> list[dict[str, Any]]:
    """The lines of NotifyOwner with these words on an export, as soon as there is one."""

    def lines() -> list[dict[str, Any]]:
        every = deployed.log_lines("notify-owner", export["created_at"])
        return [line for line in every if (line.get("correlation_id"), line["message"]) == (export["id"], words)]

    return until(lines, f"NotifyOwner to log {words!r} of {export['id']}")


def link(deployed: Deployed, export: dict[str, Any]) -> str:
    return f"{deployed['page_url']}?export={export['id']}"


@asks_for_mail
def test_a_report_that_is_ready_is_mailed_once_however_often_it_is_announced(
    caller: Caller, deployed: Deployed
) -> None:
    with deployed.listening(caller.owner) as announcements:
        export = caller.follow(ask(caller, **DAY)).end
        [announced] = announcements.of(export)
    assert export["status"] == "SUCCEEDED"
    [mail] = mailed(deployed, caller)
    assert (mail["from"], mail["to"]) == (deployed["sender_email"], [caller.email])
    assert mail["subject"] == "Your report is ready: Flights"
    file_name = caller.signed(export)["file_name"]
    for part in (mail["text"], mail["html"]):
        assert file_name in part
        assert f"{export['rows']:,} rows" in part
        assert export["expires_at"][:16].replace("T", " ") in part
        assert link(deployed, export) in part
        assert not any(sign in part for sign in ("X-Amz", "Signature", deployed["bucket"], deployed["api_url"]))
    assert mail["html"].startswith("<!DOCTYPE html>")
    assert "<" not in mail["text"]

    entry = {
        "Source": announced["source"],
        "DetailType": announced["detail-type"],
        "EventBusName": deployed["event_bus"],
    }
    deployed.client("events").put_events(Entries=[entry | {"Detail": json.dumps(announced["detail"])}])
    said(deployed, export, "already mailed")
    assert deployed.mails(caller.email) == [mail]
    [record] = deployed.records(caller.owner)
    assert (record["mailed"], "mailing" in record) == ("1/SUCCEEDED", False)


@asks_for_mail
def test_a_report_that_failed_is_mailed_with_what_to_do_and_the_address_stays_where_it_is(
    deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    caller = sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path, content = f"flights/year=2085/month=1/{uuid.uuid4().hex}.parquet", with_damaged_footer(parquet(caller.tenant))
    with deployed.listening(caller.owner) as announcements, deployed.source_file(path, content) as key:
        export = caller.follow(ask(caller, first="2085-01-01", last="2085-01-31")).end
        announced = announcements.of(export)
    assert export["status"] == "FAILED"
    [mail] = mailed(deployed, caller)
    assert mail["subject"] == "Your report failed: Flights"
    for part in (mail["text"], mail["html"]):
        assert export["error"]["title"] in part
        assert export["error"]["remedy"] in part
        assert link(deployed, export) in part
        assert key not in part  # the detail is for who signs in

    execution, letter = deployed.execution(export), deployed.letter(export["id"])
    logged = [deployed.log_lines(name, export["created_at"]) for name in FUNCTION_NAMES]
    assert said(deployed, export, "mailed")
    # Its name is the address in front of the @; nobody but the record and SES have heard of it.
    told = str([announced, execution["input"], execution.get("output"), execution["cause"], letter, logged, export])
    assert export["id"] in told
    assert caller.email.partition("@")[0] not in told
    [record] = deployed.records(caller.owner)
    assert record["notify"] == caller.email


@reads_mail
def test_who_did_not_ask_is_not_mailed(caller: Caller, deployed: Deployed) -> None:
    export = caller.make(**DAY)
    said(deployed, export, "no mail requested")
    assert "notify" not in export["options"]
    assert deployed.mails(caller.email) == []
