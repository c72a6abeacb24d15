"""POST /exports: what is checked, what is written, what is started, and what is taken back."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError

from shared.lambda_ import aws
from shared.records import attempts, table
from tests.unit.support import NO_ANSWER, OWNER, ROOT, TENANT, USER, Answer, Calls, Cloud, Frozen, busy, event

Post = Callable[..., Answer]

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
CSV_OPTIONS = {
    "spreadsheet_safe": True,
    "bom": False,
    "delimiter": ",",
    "header_style": "title",
    "timezone": "UTC",
    "decimal_comma": False,
    "line_ending": "lf",
    "encoding": "utf-8",
}
LEAST = {"report": "flights", "format": "csv", "parameters": {"from": "2013-06-30", "to": "2013-06-30"}}
ONE_DAY = LEAST["parameters"]

OUTCOMES = {
    "access_token": 401,
    "bad_body": 400,
    "binary_body": 400,
    "custom_domain": 202,
    "least": 202,
    "no_body": 400,
    "no_tenant": 403,
    "typical": 202,
}


@pytest.fixture
def post(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> Post:
    """Sends a request body (an object, or text as it is) with these headers and claims."""

    def post(body: Any = LEAST, claims: dict[str, Any] | None = None, **headers: str) -> Answer:
        given = event("request_export/least")
        given["body"] = body if isinstance(body, str) else json.dumps(body)
        given["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        given["requestContext"]["authorizer"]["claims"] |= claims or {}
        return api("RequestExport", given)

    return post


def untouched(cloud: Cloud) -> bool:
    """Whether nothing was written and nothing was started."""
    return not cloud.items() and not cloud.executions()


def record(number: int, **changes: Any) -> dict[str, Any]:
    """A running export of the caller's."""
    made = {
        "owner": OWNER,
        "active_owner": OWNER,
        "export_id": f"01a20000-0000-7000-8000-{number:012x}",
        "status": "RUNNING",
        "attempt": 1,
    }
    return made | changes


# ── The events under events/ ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("case", "status"), OUTCOMES.items())
def test_an_event_is_answered(case: str, status: int, cloud: Cloud, api: Callable[[str, Any], Answer]) -> None:
    answered = api("RequestExport", event(f"request_export/{case}"))
    assert answered.status == status
    if status == 202:
        assert len(cloud.records()) == len(cloud.executions()) == 1
    else:
        assert answered.headers["Content-Type"] == "application/problem+json"
        assert untouched(cloud)


# ── An accepted request ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_request_is_recorded_with_every_attribute(cloud: Cloud, time: Frozen, api: Any) -> None:
    answered = api("RequestExport", event("request_export/typical"))
    export_id = answered.body["id"]
    assert re.fullmatch(UUID7, export_id)
    [written] = cloud.records()
    written["parameters"], written["options"] = json.loads(written["parameters"]), json.loads(written["options"])
    assert written == {
        "owner": OWNER,
        "active_owner": OWNER,
        "export_id": export_id,
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-01-01", "to": "2013-12-31", "origin": "JFK", "minimum_delay": 15},
        "options": CSV_OPTIONS | {"bom": True},
        "status": "QUEUED",
        "attempt": 1,
        "created_at": "2026-11-23T09:12:31.482Z",
        "queued_at": "2026-11-23T09:12:31.482Z",
        "file_name": f"flights-20261123-{export_id[-8:]}.csv",
        "delete_after": int(time.now.timestamp()) + (7 + 30) * 24 * 3600,
    }


def test_an_accepted_request_is_answered_with_the_export(post: Post) -> None:
    answered = post()
    address = f"https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/exports/{answered.body['id']}"
    assert answered.status == 202
    assert answered.headers["Location"] == address
    assert answered.headers["Retry-After"] == "1"
    assert answered.headers["Content-Type"] == "application/json"
    assert answered.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "Idempotent-Replayed" not in answered.headers
    assert answered.body == {
        "id": answered.body["id"],
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-06-30", "to": "2013-06-30"},
        "options": CSV_OPTIONS,
        "file_name": f"flights-20261123-{answered.body['id'][-8:]}.csv",
        "status": "QUEUED",
        "progress": {"parts_done": 0, "parts_total": None},
        "created_at": "2026-11-23T09:12:31.482Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "rows": None,
        "bytes": None,
        "crc32": None,
        "attempt": 1,
        "warning": None,
        "error": None,
        "links": {"self": address},
    }


def test_one_execution_is_started_with_the_attempt_and_nothing_else(post: Post, cloud: Cloud) -> None:
    export_id = post().body["id"]
    assert cloud.executions() == {f"{export_id}-1": {"owner": OWNER, "export_id": export_id, "attempt": 1}}


def test_no_idempotency_item_is_written_without_a_key(post: Post, cloud: Cloud) -> None:
    post()
    assert cloud.remembered() == []


def test_two_requests_are_two_exports(post: Post, cloud: Cloud) -> None:
    assert post().body["id"] != post().body["id"]
    assert len(cloud.records()) == len(cloud.executions()) == 2


def test_an_export_counts_as_active_at_once(post: Post) -> None:
    post()
    assert table.count_active(OWNER) == 1


def test_behind_a_custom_domain_the_location_is_the_custom_domains(cloud: Cloud, api: Any) -> None:
    answered = api("RequestExport", event("request_export/custom_domain"))
    assert answered.headers["Location"] == f"https://exports.example.com/reporting/exports/{answered.body['id']}"


# ── A bad body ──────────────────────────────────────────────────────────────────────────────────────────────────────

DATE = "a value of type string, format date, YYYY-MM-DD"
FORMAT = 'one of "csv", "csv.gz", "jsonl", "jsonl.gz", "parquet", "xlsx"'
AIRPORT = "a value of type string, text matching ^[A-Z]{3}$, at most 256 characters"
DELAY = "a value of type integer, at least -120, at most 10000"
COLOURLESS = (
    "bom, decimal_comma, delimiter, encoding, file_name, header_style, line_ending, notify, spreadsheet_safe, timezone"
)
PARAMETERS = "destination, from, minimum_delay, origin, to"
KNOWN = "one of " + ", ".join(f'"{file.stem}"' for file in sorted((ROOT / "reports").glob("*.yaml")))
FAULTS: dict[str, tuple[Any, list[tuple[str, str, str]]]] = {
    "a list": ([], [("", "[] is not allowed", "a value of type object")]),
    "nothing in it": (
        {},
        [
            ("/format", "is missing", FORMAT),
            ("/report", "is missing", KNOWN),
        ],
    ),
    "an unknown report": (
        LEAST | {"report": "cargo"},
        [("/report", '"cargo" is not allowed', KNOWN)],
    ),
    "a report of another type": (
        LEAST | {"report": ["flights"]},
        [("/report", '["flights"] is not allowed', KNOWN)],
    ),
    "an unknown format": (LEAST | {"format": "pdf"}, [("/format", '"pdf" is not allowed', FORMAT)]),
    "an unknown field": (
        LEAST | {"tenant": "DL"},
        [("/tenant", "unknown field", "format, options, parameters, report")],
    ),
    "no parameters": (
        {"report": "flights", "format": "csv"},
        [("/parameters/from", "is missing", DATE), ("/parameters/to", "is missing", DATE)],
    ),
    "parameters of another type": (
        LEAST | {"parameters": None},
        [("/parameters", "null is not allowed", "a value of type object")],
    ),
    "an unknown parameter": (
        LEAST | {"parameters": ONE_DAY | {"carrier": "DL"}},
        [("/parameters/carrier", "unknown field", PARAMETERS)],
    ),
    "a pointer that needs escaping": (
        LEAST | {"parameters": ONE_DAY | {"a/b~c": 1}},
        [("/parameters/a~1b~0c", "unknown field", PARAMETERS)],
    ),
    "a day that is none": (
        LEAST | {"parameters": {"from": "2013-02-30", "to": "2013-03-01"}},
        [("/parameters/from", '"2013-02-30" is not allowed', DATE)],
    ),
    "a moment for a day": (
        LEAST | {"parameters": ONE_DAY | {"to": "2013-06-30T00:00:00Z"}},
        [("/parameters/to", '"2013-06-30T00:00:00Z" is not allowed', DATE)],
    ),
    "text that does not match": (
        LEAST | {"parameters": ONE_DAY | {"origin": "jfk"}},
        [("/parameters/origin", '"jfk" is not allowed', AIRPORT)],
    ),
    "text with a line feed after what matches": (
        LEAST | {"parameters": ONE_DAY | {"origin": "JFK\n"}},
        [("/parameters/origin", '"JFK\\n" is not allowed', AIRPORT)],
    ),
    "a number as text": (
        LEAST | {"parameters": ONE_DAY | {"minimum_delay": "15"}},
        [("/parameters/minimum_delay", '"15" is not allowed', DELAY)],
    ),
    "a number beyond its bounds": (
        LEAST | {"parameters": ONE_DAY | {"minimum_delay": -121}},
        [("/parameters/minimum_delay", "-121 is not allowed", DELAY)],
    ),
    "a span that ends before it begins": (
        LEAST | {"parameters": {"from": "2013-06-30", "to": "2013-06-29"}},
        [("/parameters/to", "2013-06-29 is before from 2013-06-30", "2013-06-30 or later")],
    ),
    "a span of 367 days": (
        LEAST | {"parameters": {"from": "2013-01-01", "to": "2014-01-02"}},
        [("/parameters/to", "2013-01-01 to 2014-01-02 is 367 days", "at most 366 days, up to 2014-01-01")],
    ),
    "an unknown option": (
        LEAST | {"options": {"colour": "red"}},
        [
            (
                "/options/colour",
                "unknown field",
                COLOURLESS,
            )
        ],
    ),
    "an option of another format": (
        LEAST | {"format": "jsonl", "options": {"delimiter": ";"}},
        [("/options/delimiter", "unknown field", "file_name, header_style, notify, timezone")],
    ),
    "a time zone that is none": (
        LEAST | {"options": {"timezone": "Mars/Olympus"}},
        [
            (
                "/options/timezone",
                '"Mars/Olympus" is not a known time zone',
                "a name in the IANA time zone database, such as Europe/Berlin, America/New_York or UTC",
            )
        ],
    ),
    "an option of another type": (
        LEAST | {"options": {"bom": "yes"}},
        [("/options/bom", '"yes" is not allowed', "a value of type boolean")],
    ),
    "faults everywhere": (
        {"report": "flights", "format": "csv", "parameters": {"to": 1}, "options": {"bom": 1}, "x": 1},
        [
            ("/x", "unknown field", "format, options, parameters, report"),
            ("/parameters/from", "is missing", DATE),
            ("/parameters/to", "1 is not allowed", DATE),
            ("/options/bom", "1 is not allowed", "a value of type boolean"),
        ],
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_bad_body_is_refused_with_one_entry_for_each_fault(what: str, post: Post, cloud: Cloud) -> None:
    body, faults = FAULTS[what]
    answered = post(body)
    assert answered.status == 400
    found = [(fault["pointer"], fault["detail"], fault["allowed"]) for fault in answered.body["errors"]]
    assert sorted(found) == sorted(faults)
    assert untouched(cloud)


def test_a_bad_body_is_a_problem_that_says_it_all(post: Post) -> None:
    answered = post(LEAST | {"format": "pdf", "x": 1})
    assert answered.headers["Content-Type"] == "application/problem+json"
    assert answered.body["type"] == "urn:report-exports:problem:invalid-request"
    assert answered.body["status"] == 400
    assert answered.body["title"] == "The request is not valid"
    assert answered.body["detail"] == (
        f'The request has 2 faults: /format: "pdf" is not allowed, allowed: {FORMAT}; '
        "/x: unknown field, allowed: format, options, parameters, report"
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", "the body is empty"),
        ("{", "the body is not JSON: "),
        ("report=flights", "the body is not JSON: "),
        ('{"report": ' + "1" * 5000 + "}", f"the body is not JSON: {'1' * 37}... is not a finite number of at most "),
    ],
)
def test_a_body_that_is_not_json_is_refused(body: str, detail: str, post: Post, cloud: Cloud) -> None:
    answered = post(body)
    assert answered.status == 400
    [fault] = answered.body["errors"]
    assert (fault["pointer"], fault["allowed"]) == ("", "a JSON object")
    assert fault["detail"].startswith(detail)
    assert untouched(cloud)


def test_a_binary_body_is_refused(cloud: Cloud, api: Any) -> None:
    answered = api("RequestExport", event("request_export/binary_body"))
    assert answered.body["errors"] == [{"pointer": "", "detail": "the body is binary", "allowed": "JSON text"}]


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_body_nested_too_deeply_is_the_callers_fault(depth: int, post: Post, cloud: Cloud) -> None:
    assert post("[" * depth + "]" * depth).status == 400
    assert untouched(cloud)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", f"1{0:0400}"])
def test_a_number_that_json_does_not_have_is_the_callers_fault(number: str, post: Post, cloud: Cloud) -> None:
    text = json.dumps(LEAST | {"parameters": ONE_DAY | {"minimum_delay": 0}}).replace(": 0}", f": {number}}}")
    assert post(text).status == 400
    assert untouched(cloud)


def test_half_a_character_is_the_callers_fault(post: Post, cloud: Cloud) -> None:
    assert post('{"report": "\\ud800", "format": "csv"}').status == 400
    assert untouched(cloud)


@pytest.mark.parametrize("days", [0, 365])
def test_a_span_within_its_bounds_is_accepted(days: int, post: Post) -> None:
    last = {0: "2012-01-01", 365: "2012-12-31"}[days]
    assert post(LEAST | {"parameters": {"from": "2012-01-01", "to": last}}).status == 202


# ── Who calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "claims",
    [
        {"token_use": "access"},
        {"token_use": "ID"},
        {"aud": "2b9exampleotherclient0000b"},
        {"aud": ""},
        {"aud": "7f0exampleclientid0000000a "},
    ],
)
def test_a_token_of_another_kind_or_client_is_refused(claims: dict[str, str], post: Post, cloud: Cloud) -> None:
    answered = post(claims=claims)
    assert answered.status == 401
    assert answered.body["type"] == "urn:report-exports:problem:foreign-token"
    assert untouched(cloud)


@pytest.mark.parametrize("tenant", ["", " ", "U A", "UA ", "UA\n", "UA#x", "#", "Ü", "UA/..", "U,A", "a" * 65, None])
def test_an_odd_tenant_is_refused(tenant: str | None, post: Post, cloud: Cloud) -> None:
    answered = post(claims={"custom:tenant_id": tenant})
    assert answered.status == 403
    assert answered.body["type"] == "urn:report-exports:problem:identity-incomplete"
    assert untouched(cloud)


@pytest.mark.parametrize("user", ["", "a b", "a#b", "a_b", "a/b", "a\n", "é", "a" * 129])
def test_an_odd_user_is_refused(user: str, post: Post, cloud: Cloud) -> None:
    answered = post(claims={"sub": user})
    assert answered.status == 403
    assert answered.body["type"] == "urn:report-exports:problem:identity-incomplete"
    assert untouched(cloud)


@pytest.mark.parametrize(("tenant", "user"), [("a", "b"), ("A_b-9" * 12 + "abcd", "0-" * 64)])
def test_a_tenant_and_a_user_of_any_allowed_length_are_accepted(
    tenant: str, user: str, post: Post, cloud: Cloud
) -> None:
    assert post(claims={"custom:tenant_id": tenant, "sub": user}).status == 202
    assert [each["owner"] for each in cloud.records()] == [f"{tenant}#{user}"]


def test_the_tenant_is_the_claim_that_the_stack_names(
    cloud: Cloud, configure: Any, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("RequestExport")
    monkeypatch.setenv("TENANT_CLAIM", "custom:company")
    given = event("request_export/least")
    assert handler("RequestExport")(given)["statusCode"] == 403
    given["requestContext"]["authorizer"]["claims"]["custom:company"] = "DL"
    assert handler("RequestExport")(given)["statusCode"] == 202
    assert [each["owner"] for each in cloud.records()] == [f"DL#{USER}"]


def test_who_calls_is_asked_before_what_is_sent(post: Post) -> None:
    assert post("{", claims={"token_use": "access"}).status == 401


# ── Too many at once ────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_export_more_than_the_limit_is_refused(post: Post, cloud: Cloud) -> None:
    cloud.write(*[record(number) for number in range(5)])
    answered = post()
    assert answered.status == 429
    assert answered.headers["Retry-After"] == "30"
    assert answered.body["type"] == "urn:report-exports:problem:too-many-active"
    assert answered.body["detail"].startswith("You have 5 queued or running exports; the limit is 5.")
    assert len(cloud.records()) == 5
    assert cloud.executions() == {}


def test_exports_that_ended_and_those_of_others_do_not_count(post: Post, cloud: Cloud) -> None:
    cloud.write(*[record(number) for number in range(4)])
    ended = record(4, status="SUCCEEDED")
    del ended["active_owner"]
    cloud.write(ended, record(5, owner=f"{TENANT}#someone-else", active_owner=f"{TENANT}#someone-else"))
    assert post().status == 202


def test_a_replay_is_answered_even_when_too_many_are_active(post: Post, cloud: Cloud) -> None:
    first = post(Idempotency_Key="k")
    cloud.write(*[record(number) for number in range(5)])
    assert post(Idempotency_Key="k").body["id"] == first.body["id"]


# ── Idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_and_body_is_the_same_export(post: Post, cloud: Cloud) -> None:
    first, second = post(Idempotency_Key="k"), post(Idempotency_Key="k")
    assert second.status == 202
    assert second.body == first.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert len(cloud.records()) == len(cloud.executions()) == 1


def test_the_same_body_written_otherwise_is_the_same_body(post: Post) -> None:
    first = post(LEAST, Idempotency_Key="k")
    other = '{"parameters":{"to":"2013-06-30","from":"2013-06-30"},\n "options": {}, "format":"csv","report":"flights"}'
    assert post(other, Idempotency_Key="k").body["id"] == first.body["id"]


def test_a_replay_shows_the_export_as_it_is_now(post: Post, cloud: Cloud) -> None:
    post(Idempotency_Key="k")
    [written] = cloud.records()
    cloud.write(written | {"status": "RUNNING", "started_at": "2026-11-23T09:12:33.000Z"})
    assert post(Idempotency_Key="k").body["status"] == "RUNNING"


def test_the_same_key_with_another_body_is_refused(post: Post, cloud: Cloud) -> None:
    post(Idempotency_Key="k")
    answered = post(LEAST | {"options": {"bom": True}}, Idempotency_Key="k")
    assert answered.status == 422
    assert answered.body["type"] == "urn:report-exports:problem:idempotency-key-reused"
    assert len(cloud.records()) == len(cloud.executions()) == 1


def test_the_key_is_remembered_as_a_hash_for_a_day(post: Post, cloud: Cloud, time: Frozen) -> None:
    export_id = post(Idempotency_Key="a secret of the caller's").body["id"]
    [item] = cloud.remembered()
    assert item.pop("body_hash")
    assert re.fullmatch("key#[0-9a-f]{64}", item.pop("export_id"))
    assert item == {
        "owner": OWNER,
        "first_export_id": export_id,
        "delete_after": int(time.now.timestamp()) + 24 * 3600,
    }


def test_two_callers_may_use_the_same_key(post: Post, cloud: Cloud) -> None:
    first = post(Idempotency_Key="k")
    second = post(Idempotency_Key="k", claims={"sub": "someone-else"})
    assert second.status == 202
    assert second.body["id"] != first.body["id"]
    assert "Idempotent-Replayed" not in second.headers


def test_a_key_still_stands_after_exactly_a_day(post: Post, time: Frozen) -> None:
    first = post(Idempotency_Key="k")
    time.pass_by(hours=24)
    assert post(Idempotency_Key="k").body["id"] == first.body["id"]


def test_a_key_older_than_a_day_is_free_even_before_it_is_removed(post: Post, cloud: Cloud, time: Frozen) -> None:
    first = post(Idempotency_Key="k")
    time.pass_by(hours=24, seconds=1)
    second = post(LEAST | {"options": {"bom": True}}, Idempotency_Key="k")
    assert second.status == 202
    assert second.body["id"] != first.body["id"]
    assert "Idempotent-Replayed" not in second.headers
    assert [item["first_export_id"] for item in cloud.remembered()] == [second.body["id"]]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_of_another_length_is_refused(key: str, post: Post, cloud: Cloud) -> None:
    answered = post(Idempotency_Key=key)
    assert answered.status == 400
    assert answered.body["errors"] == [
        {
            "pointer": "",
            "detail": f"Idempotency-Key has {len(key)} characters",
            "allowed": "1 to 255 characters",
        }
    ]
    assert untouched(cloud)


@pytest.mark.parametrize("key", ["k", "k" * 255])
def test_a_key_of_any_allowed_length_is_accepted(key: str, post: Post) -> None:
    assert post(Idempotency_Key=key).status == 202


def test_the_headers_name_may_be_written_in_any_case(post: Post) -> None:
    first = post(IDEMPOTENCY_KEY="k")
    assert post(idempotency_key="k").body["id"] == first.body["id"]


def test_a_key_whose_export_was_removed_is_refused(post: Post, cloud: Cloud) -> None:
    export_id = post(Idempotency_Key="k").body["id"]
    cloud.dynamodb.delete_item(TableName=cloud.table, Key={"owner": {"S": OWNER}, "export_id": {"S": export_id}})
    answered = post(Idempotency_Key="k")
    assert answered.status == 422
    assert "was removed" in answered.body["detail"]
    assert cloud.records() == []


def test_a_request_that_died_before_its_start_is_started_by_its_replay(
    post: Post, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr("shared.records.attempts.start", lambda _: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            post(Idempotency_Key="k")
    [written] = cloud.records()
    assert cloud.executions() == {}
    replayed = post(Idempotency_Key="k")
    assert replayed.status == 202
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert list(cloud.executions()) == [f"{written['export_id']}-1"]


def test_two_requests_with_one_key_at_the_same_moment_are_one_export(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = post(Idempotency_Key="k")
    looks = []

    def not_yet(*given: Any) -> Any:
        looks.append(given)
        return None if len(looks) == 1 else find_first(*given)

    find_first = table.find_first
    monkeypatch.setattr(table, "find_first", not_yet)
    second = post(Idempotency_Key="k")
    assert (second.status, second.body["id"]) == (202, first.body["id"])
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(cloud.records()) == len(cloud.executions()) == 1


# ── When AWS is throttling, or fails ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}])
@pytest.mark.parametrize("failure", ["ThrottlingException", "TooManyRequestsException", NO_ANSWER])
def test_a_start_that_is_throttled_or_not_answered_leaves_nothing_behind(
    failure: str | Exception, headers: dict[str, str], post: Post, cloud: Cloud, calls: Calls
) -> None:
    calls.fail("StartExecution", failure)
    assert busy(post(**headers))
    calls.heal()
    assert untouched(cloud)


def test_a_request_sent_again_after_a_throttled_start_is_accepted(post: Post, cloud: Cloud, calls: Calls) -> None:
    calls.fail("StartExecution", "ThrottlingException")
    post(Idempotency_Key="k")
    calls.heal()
    again = post(Idempotency_Key="k")
    assert again.status == 202
    assert "Idempotent-Replayed" not in again.headers
    assert list(cloud.executions()) == [f"{again.body['id']}-1"]


@pytest.mark.parametrize(
    ("operation", "failure", "reasons"),
    [
        ("GetItem", NO_ANSWER, []),
        ("GetItem", "ProvisionedThroughputExceededException", []),
        ("GetItem", "ThrottlingException", []),
        ("Query", "RequestLimitExceeded", []),
        ("TransactWriteItems", "ThrottlingException", []),
        ("TransactWriteItems", "TransactionCanceledException", ["None", "ThrottlingError"]),
        ("TransactWriteItems", "TransactionCanceledException", ["ProvisionedThroughputExceeded", "None"]),
        ("TransactWriteItems", "TransactionCanceledException", ["None", "TransactionConflict"]),
    ],
)
def test_a_throttled_table_is_said_to_be_busy(
    operation: str, failure: str | Exception, reasons: list[str], post: Post, cloud: Cloud, calls: Calls
) -> None:
    calls.fail(operation, failure, reasons)
    assert busy(post(Idempotency_Key="k"))
    calls.heal()
    assert untouched(cloud)


def test_a_table_that_throttles_a_replay_is_said_to_be_busy(
    post: Post, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(Idempotency_Key="k")
    find_first = table.find_first

    def then_throttle(*given: Any) -> Any:
        found = find_first(*given)
        calls.fail("GetItem", "ProvisionedThroughputExceededException")
        return found

    monkeypatch.setattr(table, "find_first", then_throttle)
    assert busy(post(Idempotency_Key="k"))


def test_a_replay_whose_start_is_throttled_keeps_the_export(post: Post, cloud: Cloud, calls: Calls) -> None:
    first = post(Idempotency_Key="k")
    calls.fail("StartExecution", "ThrottlingException")
    assert busy(post(Idempotency_Key="k"))
    calls.heal()
    assert [each["export_id"] for each in cloud.records()] == [first.body["id"]]


def test_an_execution_that_is_there_already_counts_as_started(post: Post, cloud: Cloud, calls: Calls) -> None:
    calls.fail("StartExecution", "ExecutionAlreadyExists")
    assert post().status == 202
    assert len(cloud.records()) == 1


@pytest.mark.parametrize(
    ("operation", "code", "reasons"),
    [
        ("GetItem", "AccessDeniedException", []),
        ("Query", "ResourceNotFoundException", []),
        ("TransactWriteItems", "TransactionCanceledException", ["ValidationError", "None"]),
        ("TransactWriteItems", "AccessDeniedException", []),
        ("StartExecution", "AccessDeniedException", []),
        ("StartExecution", "StateMachineDoesNotExist", []),
    ],
)
def test_another_error_of_aws_is_not_swallowed(
    operation: str, code: str, reasons: list[str], post: Post, cloud: Cloud, calls: Calls
) -> None:
    calls.fail(operation, code, reasons)
    with pytest.raises(ClientError) as failed:
        post(Idempotency_Key="k")
    assert failed.value.response["Error"]["Code"] == code
    calls.heal()
    assert untouched(cloud)


@pytest.mark.parametrize("defect", [ParamValidationError(report="made by the test"), NoCredentialsError()])
def test_a_defect_of_ours_is_not_said_to_be_busy(defect: Exception, post: Post, calls: Calls) -> None:
    calls.fail("GetItem", defect)
    with pytest.raises(type(defect)):
        post(Idempotency_Key="k")


def test_a_record_that_is_already_worked_on_is_not_taken_back(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may report a failure of a start that did take place."""
    start = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")

    def started_all_the_same(record: dict[str, Any]) -> None:
        cloud.write(record | {"status": "RUNNING"})
        raise start

    monkeypatch.setattr("shared.records.attempts.start", started_all_the_same)
    answered = post()
    assert answered.status == 202
    assert [each["status"] for each in cloud.records()] == ["RUNNING"]


def test_a_record_that_a_repeated_request_answers_for_is_not_taken_back(
    post: Post, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request's start is throttled; the second, with the same key, comes before that is known."""
    answers = []

    def throttled_once(record: dict[str, Any]) -> None:
        if not answers:
            answers.append(None)
            answers.append(post(Idempotency_Key="k"))
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")
        start(record)

    start = attempts.start
    monkeypatch.setattr("shared.records.attempts.start", throttled_once)
    first, second = post(Idempotency_Key="k"), answers[1]
    assert second is not None
    assert (first.status, second.status) == (202, 202)
    assert [each["export_id"] for each in cloud.records()] == [second.body["id"]]
    assert list(cloud.executions()) == [f"{second.body['id']}-1"]


def test_a_record_that_cannot_be_taken_back_either_is_kept_and_said_to_be_busy(
    post: Post, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(record: dict[str, Any]) -> None:
        calls.fail("TransactWriteItems", "ThrottlingException")
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")

    monkeypatch.setattr("shared.records.attempts.start", throttled)
    answered = post()
    assert busy(answered)
    assert answered.body["detail"].endswith("Check GET /exports before you retry.")
    calls.heal()
    assert [each["status"] for each in cloud.records()] == ["QUEUED"]


def test_a_transaction_that_meets_another_is_sent_again(
    post: Post, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = {"Error": {"Code": "TransactionCanceledException", "Message": ""}}
    conflict["CancellationReasons"] = [{"Code": "None"}, {"Code": "TransactionConflict"}]  # type: ignore[assignment]
    client, sent = aws.dynamodb(), []
    write = client.transact_write_items

    def conflict_once(**given: Any) -> Any:
        sent.append(given)
        if len(sent) == 1:
            raise ClientError(conflict, "TransactWriteItems")
        return write(**given)

    monkeypatch.setattr(client, "transact_write_items", conflict_once)
    assert post(Idempotency_Key="k").status == 202
    assert len(sent) == 2
    assert len(cloud.records()) == 1


def test_a_body_of_countless_faults_lists_the_first_hundred(post: Post, cloud: Cloud) -> None:
    answered = post(LEAST | {f"unknown{number:05}": 1 for number in range(5000)})
    assert answered.status == 400
    assert len(answered.body["errors"]) == 100
    assert untouched(cloud)


def test_nothing_but_the_record_the_count_and_the_start_reaches_aws(post: Post, calls: Calls) -> None:
    post()
    assert calls.made == ["Query", "TransactWriteItems", "StartExecution"]
    calls.made.clear()
    post(Idempotency_Key="k")
    assert calls.made == ["GetItem", "Query", "TransactWriteItems", "StartExecution"]
