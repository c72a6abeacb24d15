"""POST /exports/{id}/retry: what is tried again, what is not, and what is started."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.records import table
from tests.unit.support import (
    EXPORT_ID,
    HERE,
    NO_ANSWER,
    OWNER,
    Answer,
    Calls,
    Cloud,
    Frozen,
    busy,
    cancelled,
    event,
    failed,
    kind,
    number,
    queued,
    running,
    said_when_busy,
    succeeded,
)

Retry = Callable[..., Answer]

OUTCOMES = {"custom_domain": 202, "empty_object": 202, "typical": 202, "with_body": 400}


@pytest.fixture
def retry(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> Retry:
    """Sends an event of events/retry_export/, with another id, claims or changes where given."""

    def retry(
        case: str = "typical", export_id: str | None = None, claims: dict[str, str] | None = None, **changes: Any
    ) -> Answer:
        given = event(f"retry_export/{case}") | changes
        given["requestContext"]["authorizer"]["claims"] |= claims or {}
        if export_id is not None:
            given["pathParameters"] = {"id": export_id}
        return api("RetryExport", given)

    return retry


# ── The events under events/, and who calls ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("case", "status"), OUTCOMES.items())
def test_an_event_is_answered(case: str, status: int, retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    assert retry(case).status == status
    assert list(cloud.executions()) == ([f"{EXPORT_ID}-2"] if status == 202 else [])


def test_behind_a_custom_domain_the_location_is_the_custom_domains(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    assert retry("custom_domain").headers["Location"] == f"https://exports.example.com/exports/{EXPORT_ID}"


@pytest.mark.parametrize("case", sorted(OUTCOMES))
@pytest.mark.parametrize(("claims", "status"), [({"aud": "another"}, 401), ({"custom:tenant_id": ""}, 403)])
def test_who_is_not_known_is_refused_before_anything_else(
    case: str, claims: dict[str, str], status: int, retry: Retry, calls: Calls
) -> None:
    assert retry(case, claims=claims).status == status
    assert calls.made == []


@pytest.mark.parametrize(
    "claims", [{"sub": "someone-else"}, {"custom:tenant_id": "DL"}], ids=["another user", "another tenant"]
)
def test_an_export_of_somebody_else_is_not_there_and_stays(claims: dict[str, str], retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    answered = retry(claims=claims)
    assert (answered.status, kind(answered)) == (404, "no-such-export")
    assert answered == retry(export_id=number(1))
    assert cloud.records() == [failed()]
    assert cloud.executions() == {}


@pytest.mark.parametrize("export_id", ["", "x", EXPORT_ID.upper(), "key#" + "0" * 64])
def test_an_id_that_is_none_is_not_there_and_is_not_looked_up(export_id: str, retry: Retry, calls: Calls) -> None:
    assert retry(export_id=export_id).status == 404
    assert calls.made == []


# ── The body ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", [None, "", "  \n", "{}", " { }\r\n"])
def test_no_body_is_needed_and_an_empty_object_is_none(body: str | None, retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    assert retry(body=body).status == 202


@pytest.mark.parametrize("body", ["[]", "null", "0", "{", '{"attempt": 7}', '""', "x", "{}{}", "[" * 100_000])
def test_any_other_body_is_refused_before_any_work(body: str, retry: Retry, calls: Calls) -> None:
    answered = retry(body=body)
    assert (answered.status, kind(answered)) == (400, "invalid-request")
    assert answered.body["errors"] == [{"pointer": "", "detail": "the body is not empty", "allowed": "no body, or {}"}]
    assert calls.made == []


def test_a_binary_body_is_refused(retry: Retry) -> None:
    assert retry(body="e30=", isBase64Encoded=True).status == 400


# ── The next attempt ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [failed(), cancelled()], ids=lambda record: record["status"])
def test_what_ended_without_a_file_is_queued_and_started_again(
    record: dict[str, Any], retry: Retry, cloud: Cloud, time: Frozen
) -> None:
    cloud.write(record | {"letter": "due", "letter_claimed_at": "2026-11-23T09:12:41.000Z", "adopted": True})
    time.pass_by(days=3)
    assert retry().status == 202
    expected = queued(
        attempt=2,
        queued_at="2026-11-26T09:12:31.482Z",
        delete_after=int(time.now.timestamp()) + (7 + 30) * 24 * 3600,
    )
    assert cloud.records() == [expected]
    attempt = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 2}
    assert cloud.executions() == {f"{EXPORT_ID}-2": attempt}


def test_it_is_answered_with_the_export(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    answered = retry()
    assert answered.status == 202
    assert answered.headers["Location"] == HERE
    assert answered.headers["Retry-After"] == "1"
    assert answered.body == {
        "id": EXPORT_ID,
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-01-01", "to": "2013-12-31"},
        "options": {"spreadsheet_safe": True, "bom": False},
        "file_name": "flights-UA-20261123-2a8c41e7.csv",
        "status": "QUEUED",
        "progress": {"parts_done": None, "parts_total": None},  # of the parts that are there nobody has counted any
        "created_at": "2026-11-23T09:12:31.482Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "rows": None,
        "bytes": None,
        "crc32": None,
        "attempt": 2,
        "warning": None,
        "error": None,
        "links": {"self": HERE},
    }


def test_every_attempt_has_an_execution_of_its_own(retry: Retry, cloud: Cloud) -> None:
    for attempt in (1, 2, 3):
        cloud.write(failed() | {"attempt": attempt})
        assert retry().body["attempt"] == attempt + 1
    assert sorted(cloud.executions()) == [f"{EXPORT_ID}-{attempt}" for attempt in (2, 3, 4)]


def test_it_counts_as_active_at_once(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    retry()
    assert table.count_active(OWNER) == 1


def test_the_record_comes_before_the_execution(retry: Retry, cloud: Cloud, calls: Calls) -> None:
    cloud.write(failed())
    calls.made.clear()
    retry()
    assert calls.made == ["GetItem", "Query", "UpdateItem", "StartExecution"]


@pytest.mark.parametrize("failure", ["ThrottlingException", "TooManyRequestsException", NO_ANSWER])
def test_an_attempt_that_cannot_be_started_stays_queued(
    failure: str | Exception, retry: Retry, cloud: Cloud, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    """ReconcileExports starts it."""
    cloud.write(failed())
    calls.fail("StartExecution", failure)
    answered = retry()
    assert (answered.status, answered.body["status"]) == (202, "QUEUED")
    assert "not started" in caplog.messages
    [record] = cloud.records()
    assert (record["status"], record["attempt"], record["active_owner"]) == ("QUEUED", 2, OWNER)


def test_an_attempt_that_was_started_by_somebody_else_counts_as_started(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    cloud.start(queued(attempt=2))
    assert retry().status == 202
    assert list(cloud.executions()) == [f"{EXPORT_ID}-2"]


# ── What is not tried again ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (queued(), "QUEUED"),
        (running(), "RUNNING"),
        (succeeded(), "SUCCEEDED"),
        (succeeded(expires_at="2026-11-23T09:12:31.482Z"), "EXPIRED"),
    ],
)
def test_an_export_of_another_status_is_not_tried_again(
    record: dict[str, Any], status: str, retry: Retry, cloud: Cloud
) -> None:
    cloud.write(record)
    answered = retry()
    assert (answered.status, kind(answered)) == (409, "not-retryable")
    assert answered.body["detail"] == f"The export is {status}. Only a FAILED or CANCELLED export can be retried."
    assert cloud.records() == [record]
    assert cloud.executions() == {}


def test_a_doubled_retry_is_one_attempt(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    assert (retry().status, retry().status) == (202, 409)
    assert list(cloud.executions()) == [f"{EXPORT_ID}-2"]


def test_a_retry_that_finds_something_else_done_meanwhile_is_refused(
    retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    write = table.retry

    def after_it_was_removed(*given: Any) -> Any:
        cloud.write(succeeded())
        return write(*given)

    monkeypatch.setattr(table, "retry", after_it_was_removed)
    answered = retry()
    assert (answered.status, kind(answered)) == (409, "not-retryable")


def test_two_retries_at_the_same_moment_are_one_attempt(
    retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    write, answers = table.retry, []

    def after_another(*given: Any) -> Any:
        if not answers:
            answers.append(None)
            answers.append(retry())
        return write(*given)

    monkeypatch.setattr(table, "retry", after_another)
    second = retry()
    first = answers[1]
    assert first is not None
    assert (first.status, second.status) == (202, 202)
    assert first.body["attempt"] == second.body["attempt"] == 2
    assert list(cloud.executions()) == [f"{EXPORT_ID}-2"]
    assert [record["attempt"] for record in cloud.records()] == [2]
    assert list(cloud.executions()) == [f"{EXPORT_ID}-2"]


def test_an_export_that_is_removed_meanwhile_is_not_there(
    retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    write = table.retry

    def after_its_removal(*given: Any) -> Any:
        assert table.remove(given[0])
        return write(*given)

    monkeypatch.setattr(table, "retry", after_its_removal)
    assert retry().status == 404
    assert (cloud.records(), cloud.executions()) == ([], {})


def test_one_export_more_than_the_limit_is_refused(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed(), *[running(number(index)) for index in range(5)])
    answered = retry()
    assert (answered.status, kind(answered), answered.headers["Retry-After"]) == (429, "too-many-active", "30")
    assert answered.body["detail"].startswith("You have 5 queued or running exports; the limit is 5.")
    assert failed() in cloud.records()
    assert cloud.executions() == {}


def test_the_limit_leaves_room_for_the_last(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed(), *[running(number(index)) for index in range(4)])
    assert retry().status == 202


# ── When AWS is throttling, or fails ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", ["ThrottlingException", NO_ANSWER])
@pytest.mark.parametrize("operation", ["GetItem", "Query", "UpdateItem"])
def test_a_table_that_throttles_or_does_not_answer_leaves_the_export_as_it_is(
    operation: str, failure: str | Exception, retry: Retry, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(failed())
    calls.fail(operation, failure)
    answered = retry()
    assert busy(answered)
    assert answered.body["detail"] == said_when_busy(failure)
    calls.heal()
    assert cloud.records() == [failed()]
    assert cloud.executions() == {}


@pytest.mark.parametrize("operation", ["GetItem", "Query", "UpdateItem"])
def test_another_error_of_aws_is_not_swallowed(operation: str, retry: Retry, cloud: Cloud, calls: Calls) -> None:
    cloud.write(failed())
    calls.fail(operation, "AccessDeniedException")
    with pytest.raises(ClientError):
        retry()
