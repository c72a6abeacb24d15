"""NotifyOwner: one mail for each end of an export whose owner opted in, and what happens when something breaks."""

from __future__ import annotations

import copy
import html
import io
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from notify_owner import mail
from shared.lambda_ import aws, contract, telemetry
from tests.unit.support import (
    EXPORT_ID,
    FUNCTIONS,
    NO_ANSWER,
    OWNER,
    ROOT,
    cancelled,
    event,
    failed,
    queued,
    running,
    succeeded,
    template,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.support import Calls, Cloud, Frozen

    Deliver = Callable[..., Any]

ANN, SENDER = "ann@example.com", "reports@example.com"
TYPICAL = event("notify_owner/typical")
MESSAGE = TYPICAL["Records"][0]["messageId"]
DONE: dict[str, Any] = {"batchItemFailures": []}
AGAIN = {"batchItemFailures": [{"itemIdentifier": MESSAGE}]}
SCHEMA = json.loads((FUNCTIONS / "shared" / "records" / "export_ended.schema.json").read_text("utf-8"))


@pytest.fixture
def deliver(cloud: Cloud, calls: Calls, time: Frozen, configure: Callable[[str], None], handler: Any) -> Deliver:
    """Delivers messages of the queue, the typical one by default; what is to come again."""
    configure("NotifyOwner")
    aws.ses().create_email_identity(EmailIdentity=SENDER)
    calls.made.clear()
    return lambda given=TYPICAL: handler("NotifyOwner")(copy.deepcopy(given))


def ready(**more: Any) -> Any:
    return succeeded(**{"notify": ANN} | more)


# ── Once ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mail_is_claimed_then_sent_then_recorded_and_a_second_delivery_sends_nothing(
    deliver: Deliver, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(ready())
    calls.made.clear()
    both = {"Records": TYPICAL["Records"] + event("notify_owner/duplicate")["Records"]}
    assert deliver(both) == DONE
    assert calls.made == ["GetItem", "UpdateItem", "SendEmail", "UpdateItem", "GetItem"]
    assert cloud.records() == [ready(mailed="1/SUCCEEDED")]
    assert deliver() == DONE
    assert calls.made.count("SendEmail") == 1


def test_the_next_attempt_is_mailed_too(deliver: Deliver, cloud: Cloud, calls: Calls) -> None:
    cloud.write(ready(mailed="1/FAILED", attempt=2))
    second = json.dumps(TYPICAL).replace(f"{EXPORT_ID}/1/", f"{EXPORT_ID}/2/")
    assert deliver(json.loads(second.replace(r"\"attempt\":\"1\"", r"\"attempt\":\"2\""))) == DONE
    assert calls.made.count("SendEmail") == 1
    assert cloud.records()[0]["mailed"] == "2/SUCCEEDED"


def test_a_mail_is_sent_only_while_the_record_still_says_so(deliver: Deliver, cloud: Cloud, calls: Calls) -> None:
    assert deliver() == DONE  # the export was removed
    for record in (
        queued(notify=ANN, attempt=2),
        running(notify=ANN),
        failed() | {"notify": ANN},
        cancelled(notify=ANN),
        succeeded(),  # nobody opted in
        ready(attempt=2),
        ready(mailed="1/SUCCEEDED"),
        ready(expires_at="2026-11-23T09:12:31.482Z"),
    ):
        cloud.write(record)
        assert deliver() == DONE
    assert {"UpdateItem", "SendEmail"}.isdisjoint(calls.made)


# ── When something breaks ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", ["MessageRejected", NO_ANSWER], ids=str)
def test_a_mail_that_ses_does_not_accept_is_tried_again_when_its_claim_is_over(
    failure: Any, deliver: Deliver, cloud: Cloud, calls: Calls, time: Frozen
) -> None:
    cloud.write(ready())
    calls.fail("SendEmail", failure)
    assert deliver() == AGAIN
    assert "mailed" not in cloud.records()[0]
    calls.heal()
    assert deliver() == AGAIN  # another delivery while the first may still be at it
    time.pass_by(seconds=visibility())
    assert deliver() == DONE
    assert calls.made.count("SendEmail") == 2
    assert cloud.records() == [ready(mailed="1/SUCCEEDED")]


def test_a_mail_that_was_sent_but_not_recorded_comes_twice_rather_than_never(
    deliver: Deliver, cloud: Cloud, calls: Calls, time: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(ready())
    with monkeypatch.context() as dying:
        dying.setattr("notify_owner.app._note", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deliver()
    assert deliver() == AGAIN
    time.pass_by(seconds=visibility())
    assert deliver() == DONE
    assert calls.made.count("SendEmail") == 2


def test_a_mail_that_was_sent_is_done_although_it_cannot_be_recorded(
    deliver: Deliver, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(ready())
    send = aws.ses().send_email

    def send_then_fail(**mail: Any) -> Any:
        answer = send(**mail)
        calls.fail("UpdateItem", NO_ANSWER)
        return answer

    monkeypatch.setattr(aws.ses(), "send_email", send_then_fail)
    assert deliver() == DONE
    assert calls.made.count("SendEmail") == 1


def test_a_message_that_fails_holds_no_other_back(deliver: Deliver, cloud: Cloud, calls: Calls) -> None:
    cloud.write(ready())
    returned = deliver(event("notify_owner/one_unreadable"))
    assert [each["itemIdentifier"][:8] for each in returned["batchItemFailures"]] == ["9c8b7a6d", "8b7a6d5e"]
    assert calls.made.count("SendEmail") == 1


# ── The address ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verified", [True, False])
def test_no_log_line_holds_the_address(
    verified: bool, deliver: Deliver, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SES names addresses in a refusal, and so does moto."""
    stream = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", stream)
    if not verified:
        aws.ses().delete_email_identity(EmailIdentity=SENDER)
    cloud.write(ready(notify=SENDER))
    assert deliver() == (DONE if verified else AGAIN)
    lines = stream.getvalue()
    assert ("mailed" if verified else "MessageRejected") in lines
    assert EXPORT_ID in lines
    assert SENDER not in lines


def test_an_error_of_ses_holds_its_code_and_no_address(deliver: Deliver) -> None:
    aws.ses().delete_email_identity(EmailIdentity=SENDER)
    part: Any = {"Data": "text"}
    content: Any = {"Simple": {"Subject": part, "Body": {"Text": part}}}
    with pytest.raises(ClientError) as refused:
        aws.ses().send_email(FromEmailAddress=SENDER, Destination={"ToAddresses": [ANN]}, Content=content)
    assert refused.value.response["Error"]["Code"] == "MessageRejected"
    assert "example.com" not in str(refused.value) + str(refused.value.response)


# ── The queue ───────────────────────────────────────────────────────────────────────────────────────────────────────


def properties(name: str) -> dict[str, Any]:
    resource = template()["Resources"][name]
    assert resource["Condition"] == "SendsMail"
    return resource["Properties"]  # type: ignore[no-any-return]


def visibility() -> int:
    """Seconds until a message that failed comes again."""
    return int(properties("Notifications")["VisibilityTimeout"])


def test_the_queue_waits_six_times_as_long_as_the_function_may_take_and_tries_five_times() -> None:
    assert visibility() >= 6 * properties("NotifyOwner")["Timeout"]
    assert visibility() > 120  # a claim is over before its message comes again
    redrive = properties("Notifications")["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": ["Unmailed", "Arn"]}, "maxReceiveCount": 5}


@pytest.mark.usefixtures("deliver")
def test_a_mail_is_sent_once_per_delivery_and_a_batch_ends_in_time_even_when_ses_does_not_answer() -> None:
    owner, patience = properties("NotifyOwner"), cast(Any, aws.ses().meta.config)
    one = patience.connect_timeout + patience.read_timeout
    assert patience.retries["total_max_attempts"] == 1
    assert owner["Events"]["Ended"]["Properties"]["BatchSize"] * one < owner["Timeout"]


def test_only_the_rule_may_send_and_not_for_a_cancelled_export_and_only_failed_messages_come_again() -> None:
    for queue in ("Notifications", "Unmailed"):
        policy = properties(f"{queue}Policy")
        assert policy["Queues"] == [{"Ref": queue}]
        [statement] = policy["PolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["NotifyRule", "Arn"]}}}
    assert properties("NotifyRule")["EventPattern"]["detail"] == {"status": ["SUCCEEDED", "FAILED"]}
    source = properties("NotifyOwner")["Events"]["Ended"]["Properties"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


# ── What is announced ───────────────────────────────────────────────────────────────────────────────────────────────


def announced(record: dict[str, Any]) -> dict[str, Any]:
    """What the Pipe's template makes of a record; a path that leads nowhere is empty."""

    def value(path: re.Match[str]) -> str:
        found: Any = record
        for name in [name for name in path[1].split(".") if name not in ("S", "N", "M")]:
            found = found.get(name, {})
        return "" if found == {} else str(found)

    parameters = template()["Resources"]["AnnouncePipe"]["Properties"]["TargetParameters"]
    detail = re.sub(r"<\$\.dynamodb\.NewImage\.([\w.]+)>", value, parameters["InputTemplate"])
    source = parameters["EventBridgeEventBusParameters"]["Source"]
    return {"source": source, "detail-type": record["detail_type"], "detail": json.loads(detail)}


PART_FAILED = failed(state="GeneratePart", type="SourceChanged", part="3")


@pytest.mark.parametrize(
    "record", [ready(), PART_FAILED | {"notify": ANN}, cancelled(notify=ANN)], ids=lambda record: record["status"]
)
def test_the_pipes_event_keeps_the_published_schema_and_has_no_address(record: dict[str, Any]) -> None:
    event = announced(record)
    assert contract.faults(SCHEMA, event) == []
    assert event["detail"]["owner"] == OWNER
    assert ANN not in str(event)
    assert contract.faults(SCHEMA, event | {"time": "2026-11-23T09:12:41Z", "new-from-aws": 1}) == []


def test_an_announcement_with_another_field_or_type_breaks_the_schema() -> None:
    event = announced(ready())
    for name in SCHEMA["properties"]["detail"]["required"]:
        lacking = {field: value for field, value in event["detail"].items() if field != name}
        assert f"/detail/{name}" in {fault["pointer"] for fault in contract.faults(SCHEMA, event | {"detail": lacking})}
        assert contract.faults(SCHEMA, event | {"detail": lacking | {name: "", "more": ""}})
    assert contract.faults(SCHEMA, event | {"detail-type": "Export Failed"})


# ── The mail ────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = "https://app.example.com/exports"


class Shown(HTMLParser):
    """The text of a page as a browser shows it, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.links = "", list[str]()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"html", "head", "meta", "title", "body", "h1", "p", "a"}, tag
        self.links += [value or "" for name, value in attrs if name == "href"]


FAILED = failed(
    type="SourceUnreadable",
    error=json.dumps({"Error": "SourceUnreadable", "Cause": json.dumps({"errorMessage": "s3://secret/key is broken"})}),
)
OPEN = f"{PAGE}?export={EXPORT_ID}"
READY = (
    f"File: flights-UA-20261123-{EXPORT_ID[-8:]}.csv (58,665 rows, 5.1 MB)",
    "Available until: 2026-11-30 09:12 UTC",
)
WHY = ("Format: csv", "Reason: A source file cannot be read", "What to do: Replace the file that the detail names with")


@pytest.mark.parametrize(
    ("record", "address", "subject", "lines"),
    [
        (ready(), PAGE, "Your report is ready: Flights", READY),
        (FAILED, PAGE, "Your report failed: Flights", WHY),
        (ready(), "", "Your report is ready: Flights", (f"Find export {EXPORT_ID} in the application in which you",)),
    ],
    ids=["file", "failure", "no page"],
)
def test_a_mail_names_the_report_its_file_or_why_it_failed_and_where_to_look_but_no_detail(
    record: Any, address: str, subject: str, lines: tuple[str, ...]
) -> None:
    composed = mail.compose(record, "Flights", address)
    page = Shown(composed.html)
    assert composed.subject == subject
    for line in ("Report: Flights", *lines):
        assert line in composed.text
        assert line in page.text
    assert page.links == ([OPEN] if address else [])
    assert (OPEN in composed.text, "http" in composed.text) == (bool(address), bool(address))
    assert "secret" not in composed.text + composed.html


TITLED = (ROOT / "reports" / "flights.yaml").read_text("utf-8").replace("title: Flights\n", "title: All of 2013\n", 1)


@pytest.mark.parametrize(
    ("content", "name"),
    [({"flights.yaml": TITLED}, "All of 2013"), ({}, "flights"), ({"flights.yaml": "title: ["}, "flights")],
    ids=["defined", "removed", "unreadable"],
)
def test_the_mail_names_the_report_by_its_title_or_without_a_definition_by_its_id(
    content: dict[str, str], name: str, deliver: Deliver, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file, text in content.items():
        (tmp_path / file).write_text(text)
    monkeypatch.setenv("REPORTS_FOLDER", str(tmp_path))
    cloud.write(ready())
    send = Mock(return_value={"MessageId": "1"})
    monkeypatch.setattr(aws.ses(), "send_email", send)
    assert deliver() == DONE
    [only] = [call.kwargs for call in send.call_args_list]
    assert only["Content"]["Simple"]["Subject"]["Data"] == f"Your report is ready: {name}"


@pytest.mark.parametrize(
    ("rows", "size", "shown"),
    [
        (0, 0, "0 rows, 0 bytes"),
        (1, 999, "1 row, 999 bytes"),
        (2, 1000, "2 rows, 1.0 KB"),
        (58_665, 5_123_456, "58,665 rows, 5.1 MB"),
        (10**9, 2_400_000_000_000_000, "1,000,000,000 rows, 2400.0 TB"),
    ],
)
def test_rows_are_counted_and_a_size_has_a_readable_unit(rows: int, size: int, shown: str) -> None:
    assert f" ({shown})" in mail.compose(ready(rows=rows, bytes=size), "Flights", "").text


@given(words=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_whatever_is_in_a_name_is_text_in_the_page(words: str) -> None:
    page = Shown(mail.compose(ready(file_name=words), words, PAGE).html)
    assert f"Report: {words}\n" in page.text
    assert f"File: {words} (" in page.text
    assert len(page.links) == 1


@given(
    query=st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=8))),
    fragment=st.from_regex(r"(#[a-z/]{0,9})?", fullmatch=True),
)
def test_the_link_keeps_what_is_in_the_pages_address(query: list[tuple[str, str]], fragment: str) -> None:
    address = f"https://app.example.com/a/b{'?' * bool(query)}{urlencode(query)}{fragment}"
    parts = urlsplit(mail.link_to(address, EXPORT_ID))
    assert parse_qsl(parts.query, keep_blank_values=True) == [*query, ("export", EXPORT_ID)]
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "app.example.com", "/a/b")
    assert parts.fragment == fragment.removeprefix("#")
    assert html.escape(mail.link_to(address, EXPORT_ID)) in mail.compose(ready(), "Flights", address).html
