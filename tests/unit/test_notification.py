"""options.notify: who may ask for a mail, where the address stands, and that no file depends on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from shared.api.http import Caller
from shared.files.formats import FORMATS, option_faults, resolve_options
from tests.unit.support import EXPORT_ID, Answer, Cloud, cancelled, event, failed, queued, running, succeeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.support import Frozen

    Post = Callable[..., Answer]

DANA = "dana@example.com"
VERIFIED = {"email": DANA, "email_verified": "true"}
NO_ADDRESS = (
    "/options/notify",
    "the ID token has no verified e-mail address",
    "false; or true if the ID token has the claims email (an ASCII address) and email_verified (true)",
)


@pytest.fixture
def post(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> Post:
    """Sends the least request with these options and claims; a claim that is None is left out."""

    def post(options: dict[str, Any], claims: dict[str, Any] = VERIFIED, **body: Any) -> Answer:
        given = event("request_export/least")
        given["body"] = json.dumps(json.loads(given["body"]) | {"options": options} | body)
        caller = given["requestContext"]["authorizer"]["claims"]
        caller |= claims
        given["requestContext"]["authorizer"]["claims"] = {k: v for k, v in caller.items() if v is not None}
        return api("RequestExport", given)

    return post


def faults(answered: Answer) -> list[tuple[str, str, str]]:
    assert answered.status == 400
    return [(each["pointer"], each["detail"], each["allowed"]) for each in answered.body["errors"]]


# ── Who may ask ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_can_be_asked_for_with_a_mail(file_format: str, post: Post, cloud: Cloud) -> None:
    answered = post({"notify": True}, format=file_format)
    assert answered.status == 202
    assert answered.body["options"] == resolve_options(file_format, {}) | {"notify": True}
    [record] = cloud.records()
    assert record["notify"] == DANA
    assert json.loads(record["options"]) == resolve_options(file_format, {})


@pytest.mark.parametrize("options", [{}, {"notify": False}])
def test_who_does_not_ask_leaves_no_address(options: dict[str, Any], post: Post, cloud: Cloud) -> None:
    answered = post(options)
    assert answered.status == 202
    assert "notify" not in answered.body["options"]
    assert DANA not in str(cloud.items())


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": "false"},
        {"email_verified": None},
        {"email_verified": "True"},
        {"email_verified": 1},
        {"email": None},
        {"email": ""},
        {"email": "dana"},
        {"email": ["dana@example.com"]},
        {"email": "dana@example.com, eve@example.com"},
        {"email": "dana@example.com\nBcc: eve@example.com"},
        {"email": "Dana <dana@example.com>"},
        {"email": "dañа@example.com"},
    ],
    ids=str,
)
def test_without_one_verified_address_the_request_is_refused(claims: dict[str, Any], post: Post, cloud: Cloud) -> None:
    assert faults(post({"notify": True}, VERIFIED | claims)) == [NO_ADDRESS]
    assert cloud.items() == []
    assert post({"notify": False}, VERIFIED | claims).status == 202


def test_a_boolean_claim_counts_as_well_as_its_text(post: Post) -> None:
    assert post({"notify": True}, VERIFIED | {"email_verified": True}).status == 202


def test_where_no_mail_is_sent_nobody_can_ask(
    cloud: Cloud, configure: Callable[[str], None], handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("RequestExport")
    monkeypatch.setenv("CAN_NOTIFY", "false")
    given = event("request_export/least")
    given["body"] = json.dumps(json.loads(given["body"]) | {"options": {"notify": True}})
    answered = handler("RequestExport")(given)
    [fault] = json.loads(answered["body"])["errors"]
    assert fault == {"pointer": "/options/notify", "detail": "this deployment does not send mail", "allowed": "false"}
    assert cloud.items() == []


def test_a_mail_that_cannot_be_sent_is_told_with_every_other_fault(post: Post) -> None:
    answered = post({"notify": True}, {"email": None}, parameters={"from": "2013-06-30"}, x=1)
    assert {pointer for pointer, _, _ in faults(answered)} == {"/parameters/to", "/options/notify", "/x"}


@pytest.mark.parametrize("value", ["true", 1, None, DANA, {}])
def test_the_option_is_a_boolean_and_no_address_can_be_given(value: Any, post: Post) -> None:
    assert faults(post({"notify": value})) == [
        ("/options/notify", f"{json.dumps(value)} is not allowed", "a value of type boolean")
    ]


def test_the_same_key_with_another_wish_is_another_request(
    cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]
) -> None:
    given = event("request_export/least")
    given["headers"]["Idempotency-Key"] = "k"
    assert api("RequestExport", given).status == 202
    given["body"] = json.dumps(json.loads(given["body"]) | {"options": {"notify": True}})
    assert api("RequestExport", given).status == 422


# ── Where the address stands ────────────────────────────────────────────────────────────────────────────────────────


def test_the_execution_is_not_told_the_address(post: Post, cloud: Cloud) -> None:
    answered = post({"notify": True})
    [(name, given)] = cloud.executions().items()
    assert name == f"{answered.body['id']}-1"
    assert sorted(given) == ["attempt", "export_id", "owner"]
    assert DANA not in json.dumps(answered.body)


@pytest.mark.parametrize(
    "record", [queued(), running(), succeeded(), failed(), cancelled()], ids=lambda record: record["status"]
)
def test_an_export_shows_that_a_mail_was_asked_for_and_never_the_address(
    record: dict[str, Any], cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]
) -> None:
    ours = {"notify": DANA, "mailing": "1/FAILED", "mailing_since": "2026-11-23T09:12:31.482Z", "mailed": "1/FAILED"}
    cloud.write(record | ours)
    for case in ("read_exports/typical", "read_exports/list"):
        body = api("ReadExports", event(case)).body
        [export] = body.get("exports", [body])
        assert (export["id"], export["options"]["notify"]) == (EXPORT_ID, True)
        assert DANA not in json.dumps(body)
        assert "mail" not in json.dumps(body)


def test_a_caller_is_shown_without_the_address() -> None:
    assert DANA not in repr(Caller("UA", "1", DANA))


# ── No file depends on it ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_file_is_made_by_is_the_same_with_and_without(name: str) -> None:
    assert resolve_options(name, {"notify": True}) == resolve_options(name, {"notify": False})
    assert resolve_options(name, {"notify": True}) == resolve_options(name, {})
    assert "notify" not in FORMATS[name].options_schema["properties"]
    assert option_faults(name, {"notify": True}) == []


# ── What can be asked for ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offered", ["true", "false"])
def test_reports_offer_the_option_where_mail_is_sent(
    offered: str, configure: Callable[[str], None], handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("ListReports")
    monkeypatch.setenv("CAN_NOTIFY", offered)
    body = json.loads(handler("ListReports")(event("list_reports/typical"))["body"])
    for report in body["reports"]:
        for each in report["formats"]:
            options = each["options"]
            assert ("notify" in options["properties"]) is (offered == "true")
            assert options["additionalProperties"] is False
            assert set(FORMATS[each["name"]].options_schema["properties"]) == set(options["properties"]) - {
                "notify",
                "file_name",
            }
