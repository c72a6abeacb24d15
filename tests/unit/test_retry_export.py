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
    told,
)

Retry = Callable[..., Answer]

AGAIN = f"{EXPORT_ID}-2"


@pytest.fixture
def retry(time: Frozen, api: Callable[[str, Any], Answer]) -> Retry:
    """Sends the typical event, with changes where given."""
    return lambda **changes: api("RetryExport", event("retry_export/typical") | changes)


# ── The body ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_body_is_needed_and_an_empty_object_is_none(retry: Retry, cloud: Cloud) -> None:
    for body in (None, "", "  \n", "{}", " { }\r\n"):
        cloud.write(failed())
        assert retry(body=body).status == 202


@pytest.mark.parametrize(
    "body", ["[]", "null", "{", '{"attempt": 7}', "{}{}", "[" * 100_000], ids=lambda body: body[:9]
)
@pytest.mark.usefixtures("no_aws")
def test_any_other_body_is_refused_before_any_work(body: str, retry: Retry) -> None:
    assert retry(body=body).body["errors"] == [
        {"pointer": "", "detail": "the body is not empty", "allowed": "no body, or {}"}
    ]
    assert retry(body="e30=", isBase64Encoded=True).status == 400


# ── The next attempt ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [failed(), cancelled()], ids=lambda record: record["status"])
def test_an_export_that_ended_without_a_file_is_queued_and_then_started_again(
    record: dict[str, Any], retry: Retry, cloud: Cloud, time: Frozen, calls: Calls
) -> None:
    cloud.write(record | {"letter": "due", "letter_claimed_at": "2026-11-23T09:12:41.000Z", "adopted": True})
    time.pass_by(days=3)
    calls.made.clear()
    answered = retry()
    assert calls.made == ["GetItem", "Query", "Scan", "UpdateItem", "StartExecution"]
    assert (answered.status, answered.headers["Location"], answered.headers["Retry-After"]) == (202, HERE, "1")
    assert (answered.body["status"], answered.body["attempt"], answered.body["links"]) == ("QUEUED", 2, {"self": HERE})
    assert answered.body["progress"] == {"parts_done": None, "parts_total": None}  # earlier parts are not counted here
    again = queued(
        attempt=2,
        queued_at="2026-11-26T09:12:31.482Z",
        delete_after=int(time.now.timestamp()) + (7 + 30) * 24 * 3600,
    )
    assert cloud.records() == [again]
    assert cloud.executions() == {AGAIN: {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 2}}


@pytest.mark.parametrize("failure", ["ThrottlingException", NO_ANSWER], ids=str)
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


def test_an_attempt_that_was_started_already_counts_as_started(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed())
    cloud.start(queued(attempt=2))
    assert retry().status == 202
    assert list(cloud.executions()) == [AGAIN]


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
    assert told(retry()) == (
        *(409, "not-retryable", "The export cannot be retried"),
        f"The export is {status}. Only a FAILED or CANCELLED export can be retried.",
    )
    assert cloud.records() == [record]
    assert cloud.executions() == {}


def test_only_the_limit_of_active_exports_refuses_a_retry(retry: Retry, cloud: Cloud) -> None:
    cloud.write(failed(), *(running(number(index)) for index in range(5)))
    answered = retry()
    assert (answered.status, kind(answered), answered.headers["Retry-After"]) == (429, "too-many-active", "30")
    assert failed() in cloud.records()
    assert cloud.executions() == {}
    cloud.write(succeeded(number(4)))
    assert retry().status == 202


# ── When the export changes meanwhile ───────────────────────────────────────────────────────────────────────────────


def change_before_it_is_written(happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    write = table.retry

    def after_the_change(*given: Any) -> Any:
        monkeypatch.setattr(table, "retry", write)
        happens()
        return write(*given)

    monkeypatch.setattr(table, "retry", after_the_change)


def test_two_retries_are_one_attempt(retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at the same moment."""
    cloud.write(failed())
    answers: list[Answer] = []
    change_before_it_is_written(lambda: answers.append(retry()), monkeypatch)
    answers.append(retry())
    assert [(each.status, each.body["attempt"]) for each in answers] == [(202, 2), (202, 2)]
    assert retry().status == 409
    assert list(cloud.executions()) == [AGAIN]
    assert [record["attempt"] for record in cloud.records()] == [2]


@pytest.mark.parametrize("record", [succeeded(), queued(attempt=3)], ids=lambda record: record["status"])
def test_an_export_that_becomes_something_else_meanwhile_is_not_tried_again(
    record: dict[str, Any], retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    change_before_it_is_written(lambda: cloud.write(record), monkeypatch)
    assert kind(retry()) == "not-retryable"
    assert (cloud.records(), cloud.executions()) == ([record], {})


def test_an_export_that_is_removed_meanwhile_does_not_exist(
    retry: Retry, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    record: Any = failed()
    cloud.write(record)
    change_before_it_is_written(lambda: table.remove(record), monkeypatch)
    assert retry().status == 404
    assert (cloud.records(), cloud.executions()) == ([], {})


# ── When AWS throttles, or fails ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("operation", ["GetItem", "Query", "UpdateItem"])
def test_a_table_that_does_not_serve_leaves_the_export_as_it_is(
    operation: str, retry: Retry, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(failed())
    failures: tuple[str | Exception, ...] = ("ThrottlingException", NO_ANSWER)
    for failure in failures:
        calls.fail(operation, failure)
        answered = retry()
        assert busy(answered)
        assert answered.body["detail"] == said_when_busy(failure)
    calls.fail(operation, "AccessDeniedException")
    with pytest.raises(ClientError):
        retry()
    calls.heal()
    assert (cloud.records(), cloud.executions()) == ([failed()], {})
