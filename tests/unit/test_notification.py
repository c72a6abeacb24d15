"""options.notify: who may ask for a mail, where the address is stored, and that no file depends on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from shared.files.formats import FORMATS, option_faults, resolve_options
from tests.unit.support import Answer, Cloud, cancelled, event, failed, number, pointers, queued, running, succeeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.support import Frozen

    Post = Callable[..., Answer]

DANA = "dana@example.com"
VERIFIED = {"email": DANA}


@pytest.fixture
def post(time: Frozen, api: Callable[[str, Any], Answer]) -> Post:
    """Sends the least request with these options, of this caller; what is None is left out."""

    def post(options: dict[str, Any], known: dict[str, Any] = VERIFIED, **body: Any) -> Answer:
        given = event("request_export/least")
        given["body"] = json.dumps(json.loads(given["body"]) | {"options": options} | body)
        caller = given["requestContext"]["authorizer"] | known
        given["requestContext"]["authorizer"] = {k: v for k, v in caller.items() if v is not None}
        return api("RequestExport", given)

    return post


def test_every_format_can_be_requested_with_a_mail_and_only_the_record_has_the_address(
    post: Post, cloud: Cloud
) -> None:
    for index, file_format in enumerate(FORMATS):
        caller = VERIFIED | {"user": f"user-{index}"}  # each may have five active exports
        answered = post({"notify": True}, caller, format=file_format)
        assert answered.status == 202
        assert answered.body["options"] == resolve_options(file_format, {}) | {"notify": True}
        assert DANA not in json.dumps(answered.body)
    for record in cloud.records():
        assert record["notify"] == DANA
        assert json.loads(record["options"]) == resolve_options(record["format"], {})
    assert all(sorted(given) == ["attempt", "export_id", "owner"] for given in cloud.executions().values())


@pytest.mark.parametrize("name", FORMATS)
def test_no_byte_of_a_file_depends_on_the_mail(name: str) -> None:
    assert option_faults(name, {"notify": True}) == []
    assert all(resolve_options(name, {"notify": wanted}) == resolve_options(name, {}) for wanted in (True, False))
    assert "notify" not in FORMATS[name].options_schema["properties"]


@pytest.mark.parametrize("options", [{}, {"notify": False}])
def test_a_request_without_a_mail_needs_no_verified_address_and_stores_none(
    options: dict[str, Any], post: Post, cloud: Cloud
) -> None:
    for email in (DANA, None):
        answered = post(options, {"email": email})
        assert answered.status == 202
        assert "notify" not in answered.body["options"]
    assert DANA not in str(cloud.items())


@pytest.mark.usefixtures("no_aws")
def test_without_a_verified_address_a_mail_is_refused(post: Post) -> None:
    assert post({"notify": True}, {"email": None}).body["errors"] == [
        {
            "pointer": "/options/notify",
            "detail": "the caller has no verified e-mail address",
            "allowed": "false; or true if the token has the claims email (an ASCII address) and email_verified (true)",
        }
    ]


@pytest.mark.usefixtures("no_aws")
def test_a_mail_that_cannot_be_sent_is_named_with_every_other_fault(post: Post) -> None:
    answered = post({"notify": True}, {"email": None}, parameters={"from": "2013-06-30"}, x=1)
    assert sorted(pointers(answered)) == ["/options/notify", "/parameters/to", "/x"]
    for value in ("true", DANA, None):  # the option is a boolean, and no address can be given
        assert pointers(post({"notify": value})) == ["/options/notify"]


@pytest.mark.usefixtures("no_aws")
def test_a_deployment_that_sends_no_mail_refuses_the_option(
    configure: Callable[[str], None], handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("RequestExport")
    monkeypatch.setenv("CAN_NOTIFY", "false")
    given = event("request_export/least")
    given["body"] = json.dumps(json.loads(given["body"]) | {"options": {"notify": True}})
    [fault] = json.loads(handler("RequestExport")(given)["body"])["errors"]
    assert fault == {"pointer": "/options/notify", "detail": "this deployment does not send mail", "allowed": "false"}


@pytest.mark.parametrize("offered", ["true", "false"])
def test_reports_offer_the_option_where_mail_is_sent(
    offered: str, configure: Callable[[str], None], handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("ListReports")
    monkeypatch.setenv("CAN_NOTIFY", offered)
    body = json.loads(handler("ListReports")(event("list_reports/typical"))["body"])
    more = {"file_name", "notify"} if offered == "true" else {"file_name"}
    for each in (each for report in body["reports"] for each in report["formats"]):
        assert each["options"]["additionalProperties"] is False
        assert {*each["options"]["properties"]} == {*FORMATS[each["name"]].options_schema["properties"]} | more


def test_an_export_shows_that_a_mail_was_requested_and_never_the_address(
    cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]
) -> None:
    ours = {"notify": DANA, "mailing": "1/FAILED", "mailing_since": "2026-11-23T09:12:31.482Z", "mailed": "1/FAILED"}
    records = [queued(), running(number(1)), succeeded(number(2)), failed(number(3)), cancelled(number(4))]
    cloud.write(*(record | ours for record in records))
    shown = [api("ReadExports", event("read_exports/typical")).body]
    shown += api("ReadExports", event("read_exports/list")).body["exports"]
    assert [export["options"]["notify"] for export in shown] == [True] * 6
    assert "mail" not in json.dumps(shown)
    assert DANA not in json.dumps(shown)
