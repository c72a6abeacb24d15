"""POST /exports: what is checked, what is written, what is started, and what is withdrawn."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.files.formats import FORMATS
from shared.lambda_ import aws
from shared.records import attempts, table
from tests.unit.support import (
    NO_ANSWER,
    OWNER,
    Answer,
    Calls,
    Cloud,
    Frozen,
    busy,
    event,
    number,
    pointers,
    running,
    said_when_busy,
    succeeded,
    told,
)

Post = Callable[..., Answer]

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LEAST = {"report": "flights", "format": "csv", "parameters": {"from": "2013-06-30", "to": "2013-06-30"}}
ONE_DAY = LEAST["parameters"]
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")


@pytest.fixture
def post(time: Frozen, api: Callable[[str, Any], Answer]) -> Post:
    """Sends a request body (an object, or text as it is) with these headers, of this caller."""

    def post(body: Any = LEAST, known: dict[str, Any] | None = None, **headers: str) -> Answer:
        given = event("request_export/least")
        given["body"] = body if isinstance(body, str) else json.dumps(body)
        given["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        given["requestContext"]["authorizer"] |= known or {}
        return api("RequestExport", given)

    return post


# ── An accepted request ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_request_is_recorded_started_and_answered(
    post: Post, cloud: Cloud, calls: Calls, time: Frozen
) -> None:
    calls.made.clear()
    answered = post(LEAST | {"parameters": ONE_DAY | {"origin": "JFK"}, "options": {"bom": True}})
    assert calls.made == ["Query", "Scan", "TransactWriteItems", "StartExecution"]
    export_id = answered.body["id"]
    assert re.fullmatch(UUID7, export_id)
    requested = {
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-06-30", "to": "2013-06-30", "origin": "JFK"},
        "options": {
            "spreadsheet_safe": True,
            "bom": True,
            "delimiter": ",",
            "header_style": "title",
            "timezone": "UTC",
            "decimal_comma": False,
            "line_ending": "lf",
            "encoding": "utf-8",
        },
        "file_name": f"flights-20261123-{export_id[-8:]}.csv",
        "status": "QUEUED",
        "created_at": "2026-11-23T09:12:31.482Z",
        "attempt": 1,
    }
    [written] = cloud.items()
    written["parameters"], written["options"] = json.loads(written["parameters"]), json.loads(written["options"])
    assert written == requested | {
        "owner": OWNER,
        "record_version": 1,
        "active_owner": OWNER,
        "export_id": export_id,
        "queued_at": "2026-11-23T09:12:31.482Z",
        "delete_after": int(time.now.timestamp()) + (7 + 30) * 24 * 3600,
    }
    assert cloud.executions() == {f"{export_id}-1": {"owner": OWNER, "export_id": export_id, "attempt": 1}}
    address = f"https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/exports/{export_id}"
    assert (answered.status, answered.headers["Location"], answered.headers["Retry-After"]) == (202, address, "1")
    assert "Idempotent-Replayed" not in answered.headers
    unknown = ("started_at", "finished_at", "expires_at", "rows", "bytes", "crc32", "warning", "error")
    assert answered.body == requested | dict.fromkeys(unknown) | {
        "id": export_id,
        "progress": {"parts_done": 0, "parts_total": None},
        "links": {"self": address},
    }


def test_two_requests_are_two_exports(post: Post, cloud: Cloud) -> None:
    assert post().body["id"] != post().body["id"]
    assert len(cloud.records()) == len(cloud.executions()) == 2


# ── A bad body ──────────────────────────────────────────────────────────────────────────────────────────────────────

FORMAT = "one of " + ", ".join(f'"{name}"' for name in FORMATS)
FAULTS: list[tuple[Any, list[str]]] = [
    ([], [""]),
    ({}, ["/format", "/report"]),
    (LEAST | {"report": "cargo"}, ["/report"]),
    (LEAST | {"report": ["flights"]}, ["/report"]),
    (LEAST | {"format": "pdf"}, ["/format"]),
    (LEAST | {"tenant": "DL"}, ["/tenant"]),
    ({"report": "flights", "format": "csv"}, ["/parameters/from", "/parameters/to"]),
    (LEAST | {"parameters": None}, ["/parameters"]),
    (LEAST | {"parameters": ONE_DAY | {"carrier": "DL"}}, ["/parameters/carrier"]),
    (LEAST | {"parameters": ONE_DAY | {"a/b~c": 1}}, ["/parameters/a~1b~0c"]),
    (LEAST | {"parameters": ONE_DAY | {"to": "2013-06-31"}}, ["/parameters/to"]),
    (LEAST | {"parameters": ONE_DAY | {"to": "2013-06-30T00:00:00Z"}}, ["/parameters/to"]),
    (LEAST | {"parameters": ONE_DAY | {"origin": "JFK\n"}}, ["/parameters/origin"]),
    (LEAST | {"parameters": ONE_DAY | {"minimum_delay": "15"}}, ["/parameters/minimum_delay"]),
    (LEAST | {"parameters": ONE_DAY | {"minimum_delay": -121}}, ["/parameters/minimum_delay"]),
    (LEAST | {"parameters": ONE_DAY | {"to": "2013-06-29"}}, ["/parameters/to"]),
    (LEAST | {"options": {"colour": "red"}}, ["/options/colour"]),
    (LEAST | {"format": "jsonl", "options": {"delimiter": ";"}}, ["/options/delimiter"]),
    (LEAST | {"options": {"timezone": "Mars/Olympus"}}, ["/options/timezone"]),
    (LEAST | {"options": {"bom": "yes"}}, ["/options/bom"]),
    (
        LEAST | {"parameters": {"to": 1}, "options": {"bom": 1}, "x": 1},
        ["/options/bom", "/parameters/from", "/parameters/to", "/x"],
    ),
]


@pytest.mark.parametrize(("body", "places"), FAULTS)
@pytest.mark.usefixtures("no_aws")
def test_every_fault_of_a_body_is_named_by_its_place(body: Any, places: list[str], post: Post) -> None:
    assert sorted(pointers(post(body))) == places


@pytest.mark.usefixtures("no_aws")
def test_a_bad_body_is_a_problem_with_an_entry_for_each_fault(post: Post) -> None:
    answered = post(LEAST | {"format": "pdf", "x": 1})
    assert told(answered) == (
        *(400, "invalid-request", "The request is not valid"),
        f'The request has 2 faults: /format: "pdf" is not allowed, allowed: {FORMAT}; '
        "/x: unknown field, allowed: columns, format, options, parameters, report, sort",
    )
    assert answered.body["errors"] == [
        {"pointer": "/format", "detail": '"pdf" is not allowed', "allowed": FORMAT},
        {"pointer": "/x", "detail": "unknown field", "allowed": "columns, format, options, parameters, report, sort"},
    ]


NO_JSON = "a JSON object"


@pytest.mark.parametrize(
    ("body", "detail", "allowed"),
    [
        ("", "the body is empty", NO_JSON),
        ("report=flights", "the body is not JSON: ", NO_JSON),
        ('{"report": ' + "1" * 5000 + "}", f"the body is not JSON: {'1' * 37}... is not a finite number", NO_JSON),
        ('{"report": NaN}', "the body is not JSON: NaN is not a finite number", NO_JSON),
        ('{"report": -Infinity}', "the body is not JSON: -Infinity is not a finite number", NO_JSON),
        ('{"report": 1e999}', "the body is not JSON: 1e999 is not a finite number", NO_JSON),
        ('{"report": "\\ud800"}', "the body has the lone surrogate '\\ud800'", "complete Unicode characters"),
        ("[" * 200 + "]" * 200, "[[", "a value of type object"),
        ("[" * 100_000, "the body is nested too deeply", "the fields that GET /openapi.json describes"),
    ],
    ids=lambda text: text[:24],
)
@pytest.mark.usefixtures("no_aws")
def test_a_body_that_is_not_a_json_object_is_refused(body: str, detail: str, allowed: str, post: Post) -> None:
    [fault] = post(body).body["errors"]
    assert (fault["pointer"], fault["allowed"]) == ("", allowed)
    assert fault["detail"].startswith(detail)


@pytest.mark.parametrize(("digits", "place"), [(4000, "/x"), (4001, "")])
@pytest.mark.usefixtures("no_aws")
def test_a_number_of_at_most_4000_digits_is_one(digits: int, place: str, post: Post) -> None:
    text = json.dumps(LEAST | {"x": 0}).replace(": 0}", f": {'1' * digits}}}")
    assert pointers(post(text)) == [place]


@pytest.mark.usefixtures("no_aws")
def test_a_binary_body_is_refused(api: Any) -> None:
    answered = api("RequestExport", event("request_export/binary_body"))
    assert answered.body["errors"] == [{"pointer": "", "detail": "the body is binary", "allowed": "JSON text"}]


# ── Too many active exports ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_export_more_than_the_limit_is_refused(post: Post, cloud: Cloud) -> None:
    cloud.write(succeeded(), *(running(number(index)) for index in range(4)))
    assert post().status == 202
    answered = post()
    assert told(answered) == (
        *(429, "too-many-active", "Too many active exports"),
        "You have 5 queued or running exports; the limit is 5. Wait until one has ended.",
    )
    assert answered.headers["Retry-After"] == "30"
    assert len(cloud.records()) == 6
    assert len(cloud.executions()) == 1


def test_one_export_more_than_the_limit_of_the_tenant_is_refused(
    configure: Any, handler: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("RequestExport")
    monkeypatch.setenv("MAX_ACTIVE_PER_TENANT", "3")
    given = event("request_export/least")
    cloud.write(*(running(number(at), owner=f"UA#{at}", active_owner=f"UA#{at}") for at in range(3)))
    cloud.write(running(number(7), owner="UAL#1", active_owner="UAL#1"))
    refused = handler("RequestExport")(given)
    assert refused["statusCode"] == 429
    assert json.loads(refused["body"])["detail"].startswith(
        "Your tenant has 3 queued or running exports; the limit is 3."
    )
    given["requestContext"]["authorizer"]["tenant"] = "UAL"
    assert handler("RequestExport")(given)["statusCode"] == 202


# ── Idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_and_body_are_the_same_export_as_it_is_now(post: Post, cloud: Cloud) -> None:
    """Also when the body is written in another way, and when too many exports are active."""
    first = post(Idempotency_Key="k")
    [written] = cloud.records()
    cloud.write(written | {"status": "RUNNING"}, *(running(number(index)) for index in range(5)))
    other = '{"parameters":{"to":"2013-06-30","from":"2013-06-30"},\n "options": {}, "format":"csv","report":"flights"}'
    second = post(other, IDEMPOTENCY_KEY="k")
    assert second.status == 202
    assert second.body == first.body | {
        "status": "RUNNING",
        "progress": {"parts_done": None, "parts_total": None},
    }
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert len(cloud.records()) == 6
    assert len(cloud.executions()) == 1


def test_a_key_is_refused_for_another_body_and_once_its_export_is_removed(post: Post, cloud: Cloud) -> None:
    export_id = post(Idempotency_Key="k").body["id"]
    reused = 422, "idempotency-key-reused", "The idempotency key was already used"
    answered = post(LEAST | {"options": {"bom": True}}, Idempotency_Key="k")
    assert told(answered) == (*reused, "This Idempotency-Key was used with a different body. Use a new key.")
    cloud.dynamodb.delete_item(TableName=cloud.table, Key={"owner": {"S": OWNER}, "export_id": {"S": export_id}})
    answered = post(Idempotency_Key="k")
    assert told(answered) == (*reused, "The export of this Idempotency-Key was removed. Use a new key.")
    assert cloud.records() == []
    assert len(cloud.executions()) == 1


def test_a_key_is_the_callers_own_and_remembered_as_a_hash_for_a_day(post: Post, cloud: Cloud, time: Frozen) -> None:
    key = "a secret of the caller's"
    export_id = post(Idempotency_Key=key).body["id"]
    [item] = cloud.remembered()
    assert item.pop("body_hash")
    assert re.fullmatch("key#[0-9a-f]{64}", item.pop("export_id"))
    day = 24 * 3600
    assert item == {"owner": OWNER, "first_export_id": export_id, "delete_after": int(time.now.timestamp()) + day}
    assert post(Idempotency_Key=key, known={"user": "someone-else"}).body["id"] != export_id
    time.pass_by(seconds=day)
    assert post(Idempotency_Key=key).body["id"] == export_id
    time.pass_by(seconds=1)
    again = post(LEAST | {"options": {"bom": True}}, Idempotency_Key=key)
    assert (again.status, again.headers.get("Idempotent-Replayed")) == (202, None)
    [mine] = [item for item in cloud.remembered() if item["owner"] == OWNER]
    assert mine["first_export_id"] == again.body["id"]


@pytest.mark.parametrize("key", ["", "k" * 256])
@pytest.mark.usefixtures("no_aws")
def test_a_key_has_1_to_255_characters(key: str, post: Post) -> None:
    detail = f"Idempotency-Key has {len(key)} characters"
    assert post(Idempotency_Key=key).body["errors"] == [
        {"pointer": "", "detail": detail, "allowed": "1 to 255 characters"}
    ]


def test_the_longest_key_is_accepted(post: Post, cloud: Cloud) -> None:
    assert post(Idempotency_Key="k" * 255).status == 202


def test_a_request_that_died_before_its_start_is_started_by_its_replay(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(attempts, "start", lambda _: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            post(Idempotency_Key="k")
    [written] = cloud.records()
    assert cloud.executions() == {}
    replayed = post(Idempotency_Key="k")
    assert (replayed.status, replayed.headers["Idempotent-Replayed"]) == (202, "true")
    assert list(cloud.executions()) == [f"{written['export_id']}-1"]


def test_two_requests_with_one_key_at_the_same_moment_are_one_export(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = post(Idempotency_Key="k")
    find_first, looks = table.find_first, []

    def not_yet(*given: Any) -> Any:
        looks.append(given)
        return None if len(looks) == 1 else find_first(*given)

    monkeypatch.setattr(table, "find_first", not_yet)
    second = post(Idempotency_Key="k")
    assert (second.status, second.body["id"]) == (202, first.body["id"])
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(cloud.records()) == len(cloud.executions()) == 1


# ── When AWS throttles, or fails ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}], ids=str)
@pytest.mark.parametrize("failure", ["ThrottlingException", NO_ANSWER], ids=str)
def test_a_start_that_is_throttled_or_not_answered_leaves_nothing_behind(
    failure: str | Exception, headers: dict[str, str], post: Post, cloud: Cloud, calls: Calls
) -> None:
    calls.fail("StartExecution", failure)
    answered = post(**headers)
    assert busy(answered)
    assert told(answered)[2:] == ("The service is busy", said_when_busy(failure, "Nothing was accepted"))
    calls.heal()
    assert cloud.items() == []
    again = post(**headers)
    assert (again.status, again.headers.get("Idempotent-Replayed")) == (202, None)
    assert list(cloud.executions()) == [f"{again.body['id']}-1"]


@pytest.mark.parametrize(
    ("operation", "failure", "reasons"),
    [
        ("GetItem", NO_ANSWER, []),
        ("TransactWriteItems", "TransactionCanceledException", ["None", "ThrottlingError"]),
        ("TransactWriteItems", "TransactionCanceledException", ["None", "TransactionConflict"]),
        ("GetItem", "AccessDeniedException", []),
        ("Query", "ResourceNotFoundException", []),
        ("TransactWriteItems", "TransactionCanceledException", ["ValidationError", "None"]),
        ("StartExecution", "AccessDeniedException", []),
    ],
)
def test_a_request_that_aws_does_not_serve_leaves_nothing_behind(
    operation: str, failure: str | Exception, reasons: list[str], post: Post, cloud: Cloud, calls: Calls
) -> None:
    """Only throttling and no answer make the service busy. Another error stays what it is."""
    calls.fail(operation, failure, reasons)
    if failure == NO_ANSWER or {"ThrottlingError", "TransactionConflict"} & {*reasons}:
        assert busy(post(Idempotency_Key="k"))
    else:
        with pytest.raises(ClientError, match=str(failure)):
            post(Idempotency_Key="k")
    calls.heal()
    assert cloud.items() == []
    assert cloud.executions() == {}


def test_a_replay_whose_start_is_throttled_keeps_the_export(post: Post, cloud: Cloud, calls: Calls) -> None:
    first = post(Idempotency_Key="k")
    calls.fail("StartExecution", "ThrottlingException")
    assert busy(post(Idempotency_Key="k"))
    calls.heal()
    assert [each["export_id"] for each in cloud.records()] == [first.body["id"]]


def test_a_record_that_is_already_worked_on_is_not_withdrawn(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may report a failure of a start that did take place."""

    def start_and_fail(record: dict[str, Any]) -> None:
        cloud.write(record | {"status": "RUNNING"})
        raise THROTTLED

    monkeypatch.setattr(attempts, "start", start_and_fail)
    assert post().status == 202
    assert [each["status"] for each in cloud.records()] == ["RUNNING"]


def test_a_record_that_a_repeated_request_answers_for_is_not_withdrawn(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request's start is throttled; the second, with the same key, comes before that is known."""
    start, answers = attempts.start, list[Answer]()

    def throttle_the_first(record: Any) -> None:
        monkeypatch.setattr(attempts, "start", start)
        answers.append(post(Idempotency_Key="k"))
        raise THROTTLED

    monkeypatch.setattr(attempts, "start", throttle_the_first)
    answers.append(post(Idempotency_Key="k"))
    assert [each.status for each in answers] == [202, 202]
    [record] = cloud.records()
    assert {each.body["id"] for each in answers} == {record["export_id"]}
    assert list(cloud.executions()) == [f"{record['export_id']}-1"]


def test_a_record_that_cannot_be_withdrawn_either_is_kept(
    post: Post, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttle(record: Any) -> None:
        calls.fail("TransactWriteItems", "ThrottlingException")
        raise THROTTLED

    monkeypatch.setattr(attempts, "start", throttle)
    answered = post()
    assert busy(answered)
    assert answered.body["detail"] == (
        "AWS throttled or did not answer. The outcome is unknown. Check GET /exports before you retry."
    )
    assert [each["status"] for each in cloud.records()] == ["QUEUED"]


def test_a_replay_that_finds_its_first_request_withdrawn_is_busy(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(Idempotency_Key="k")

    def adopt_too_late(record: Any) -> bool:
        assert table.withdraw(record, None)
        return False

    monkeypatch.setattr(table, "adopt", adopt_too_late)
    answered = post(Idempotency_Key="k")
    assert busy(answered)
    assert answered.body["detail"] == (
        "The first request with this Idempotency-Key was withdrawn. Send the request again."
    )


def test_a_transaction_that_meets_another_is_sent_again(
    post: Post, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, write = aws.dynamodb(), aws.dynamodb().transact_write_items
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    conflict: Any = {"Error": {"Code": "TransactionCanceledException", "Message": ""}, "CancellationReasons": reasons}

    def conflict_once(**_: Any) -> None:
        monkeypatch.setattr(client, "transact_write_items", write)
        raise ClientError(conflict, "TransactWriteItems")

    monkeypatch.setattr(client, "transact_write_items", conflict_once)
    assert post(Idempotency_Key="k").status == 202
    assert len(cloud.records()) == 1
