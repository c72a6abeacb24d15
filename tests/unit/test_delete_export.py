"""DELETE /exports/{id}: what is cancelled, what is stopped, what is removed, and what stays."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from delete_export import app
from shared.files import work
from shared.lambda_ import aws
from shared.records import attempts, table
from tests.unit.support import (
    EXPORT_ID,
    HERE,
    NO_ANSWER,
    NO_FAILURE,
    OWNER,
    Answer,
    Calls,
    Cloud,
    Frozen,
    busy,
    cancelled,
    event,
    failed,
    file_key,
    kind,
    number,
    queued,
    running,
    said_when_busy,
    succeeded,
)

Delete = Callable[..., Answer]

EXECUTION = f"{EXPORT_ID}-1"
OUTCOMES = {"custom_domain": 202, "malformed_id": 404, "typical": 202}


@pytest.fixture
def delete(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> Delete:
    """Sends an event of events/delete_export/, with another id or claims where given."""

    def delete(
        case: str = "typical",
        export_id: str | None = None,
        claims: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        given = event(f"delete_export/{case}") | {"queryStringParameters": query}
        given["requestContext"]["authorizer"]["claims"] |= claims or {}
        if export_id is not None:
            given["pathParameters"] = {"id": export_id}
        return api("DeleteExport", given)

    return delete


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Lets something happen just before the first call of a function of shared.records.table takes effect."""

    def meanwhile(function: str, happens: Callable[[], None]) -> None:
        original, happened = getattr(table, function), []

        def call(*given: Any) -> Any:
            if not happened:
                happened.append(True)
                happens()
            return original(*given)

        monkeypatch.setattr(table, function, call)

    return meanwhile


# ── The events under events/, and who calls ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("case", "status"), OUTCOMES.items())
def test_an_event_is_answered(case: str, status: int, delete: Delete, cloud: Cloud) -> None:
    cloud.write(running())
    assert delete(case).status == status


def test_behind_a_custom_domain_the_links_are_the_custom_domains(delete: Delete, cloud: Cloud) -> None:
    cloud.write(running())
    assert delete("custom_domain").body["links"] == {"self": f"https://exports.example.com/exports/{EXPORT_ID}"}


@pytest.mark.parametrize(
    ("claims", "status"), [({"aud": "another"}, 401), ({"token_use": "access"}, 401), ({"custom:tenant_id": ""}, 403)]
)
def test_who_is_not_known_is_refused_before_anything_else(
    claims: dict[str, str], status: int, delete: Delete, calls: Calls
) -> None:
    assert delete(claims=claims).status == status
    assert calls.made == []


@pytest.mark.parametrize("record", [running(), succeeded()], ids=lambda record: record["status"])
@pytest.mark.parametrize(
    "claims", [{"sub": "someone-else"}, {"custom:tenant_id": "DL"}], ids=["another user", "another tenant"]
)
def test_an_export_of_somebody_else_is_not_there_and_stays(
    claims: dict[str, str], record: dict[str, Any], delete: Delete, cloud: Cloud
) -> None:
    cloud.write(record)
    cloud.start(record)
    cloud.put(file_key(), "a file")
    before = cloud.items()
    answered = delete(claims=claims)
    assert (answered.status, kind(answered)) == (404, "no-such-export")
    assert answered == delete(export_id=number(1))
    assert cloud.items() == before
    assert cloud.stands() == {EXECUTION: "RUNNING"}
    assert cloud.keys() == [file_key()]


@pytest.mark.parametrize("export_id", ["", "x", EXPORT_ID.upper(), EXPORT_ID + "\n", "key#" + "0" * 64])
def test_an_id_that_is_none_is_not_there_and_is_not_looked_up(export_id: str, delete: Delete, calls: Calls) -> None:
    answered = delete(export_id=export_id)
    assert (answered.status, kind(answered)) == (404, "no-such-export")
    assert calls.made == []


# ── An export that is active ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [queued(), running()], ids=lambda record: record["status"])
def test_an_active_export_is_cancelled_and_its_execution_stopped(
    record: dict[str, Any], delete: Delete, cloud: Cloud
) -> None:
    cloud.write(record)
    cloud.start(record)
    answered = delete()
    assert answered.status == 202
    assert (answered.body["id"], answered.body["status"]) == (EXPORT_ID, "CANCELLED")
    assert answered.body["finished_at"] == "2026-11-23T09:12:31.482Z"
    assert answered.body["started_at"] == record.get("started_at")
    assert answered.body["links"] == {"self": HERE}
    assert cloud.records() == [
        record
        | NO_FAILURE
        | {
            "status": "CANCELLED",
            "finished_at": "2026-11-23T09:12:31.482Z",
            "detail_type": "Export Cancelled",
            "active_owner": "settling",
        }
    ]
    assert cloud.stands() == {EXECUTION: "ABORTED"}


def test_the_record_comes_before_the_execution(delete: Delete, cloud: Cloud, calls: Calls) -> None:
    """Else the execution's end would be seen first, and be taken for a failure."""
    cloud.write(running())
    cloud.start(running())
    calls.made.clear()
    delete()
    assert calls.made == ["GetItem", "UpdateItem", "StopExecution"]


def test_a_cancelled_export_is_active_no_longer(delete: Delete, cloud: Cloud) -> None:
    cloud.write(running())
    delete()
    assert table.count_active(OWNER) == 0


def test_only_the_attempt_that_counts_is_stopped(delete: Delete, cloud: Cloud) -> None:
    for attempt in (1, 2):
        cloud.start(running(attempt=attempt))
    cloud.start(running(number(1)))
    cloud.write(running(attempt=2))
    delete()
    assert cloud.stands() == {EXECUTION: "RUNNING", f"{EXPORT_ID}-2": "ABORTED", f"{number(1)}-1": "RUNNING"}


def test_an_export_whose_execution_was_never_started_is_cancelled(delete: Delete, cloud: Cloud) -> None:
    cloud.write(queued())
    assert delete().status == 202
    assert [record["status"] for record in cloud.records()] == ["CANCELLED"]


@pytest.mark.parametrize("failure", ["ThrottlingException", "InternalServerException", NO_ANSWER])
def test_an_export_whose_execution_cannot_be_stopped_is_cancelled_all_the_same(
    failure: str | Exception, delete: Delete, cloud: Cloud, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.write(running())
    cloud.start(running())
    calls.fail("StopExecution", failure)
    answered = delete()
    assert (answered.status, answered.body["status"]) == (202, "CANCELLED")
    assert "not stopped" in caplog.messages
    [record] = cloud.records()
    assert (record["status"], record["active_owner"]) == ("CANCELLED", "settling")  # what ReconcileExports looks for


def test_a_table_that_throttles_leaves_the_export_as_it_is(delete: Delete, cloud: Cloud, calls: Calls) -> None:
    cloud.write(running())
    cloud.start(running())
    calls.fail("UpdateItem", "ProvisionedThroughputExceededException")
    answered = delete()
    assert busy(answered)
    assert answered.body["detail"] == said_when_busy("throttled")
    assert cloud.records() == [running()]
    assert cloud.stands() == {EXECUTION: "RUNNING"}


# ── An export that has ended ────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_export_is_removed_with_its_file(delete: Delete, cloud: Cloud) -> None:
    cloud.write(succeeded(), succeeded(number(1)))
    cloud.put(file_key(), "a file")
    cloud.put(file_key(number(1)), "another export's")
    answered = delete()
    assert (answered.status, answered.body) == (204, None)
    assert "Content-Type" not in answered.headers
    assert [record["export_id"] for record in cloud.records()] == [number(1)]
    assert cloud.keys() == [file_key(number(1))]


def test_what_was_removed_is_not_there(delete: Delete, cloud: Cloud) -> None:
    cloud.write(succeeded())
    assert delete().status == 204
    answered = delete()
    assert (answered.status, kind(answered)) == (404, "no-such-export")


def test_an_expired_export_is_removed(delete: Delete, cloud: Cloud, time: Frozen) -> None:
    cloud.write(succeeded())
    time.pass_by(days=8)
    assert delete().status == 204
    assert cloud.records() == []


def test_the_file_is_the_one_that_the_record_names(delete: Delete, cloud: Cloud) -> None:
    cloud.put("exports/as-it-was-once-called", "a file")
    cloud.write(succeeded(file_key="exports/as-it-was-once-called"))
    assert delete().status == 204
    assert cloud.keys() == []


@pytest.mark.parametrize("record", [failed(), cancelled()], ids=lambda record: record["status"])
def test_an_export_without_a_file_is_removed_with_whatever_its_attempts_left(
    record: dict[str, Any], delete: Delete, cloud: Cloud
) -> None:
    cloud.write(record | {"attempt": 2})
    for attempt in (1, 2):
        cloud.put(file_key(attempt=attempt), "a file that no record names")
    assert delete().status == 204
    assert (cloud.records(), cloud.keys()) == ([], [])


@pytest.mark.parametrize("record", [succeeded(), failed(), cancelled()], ids=lambda record: record["status"])
def test_the_rows_in_its_parts_are_removed_too(
    record: dict[str, Any], delete: Delete, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_BATCH", 3)
    cloud.write(record)
    for name in ("one/plan.json", *(f"two/parts/{part:06}" for part in range(5)), "two/receipts/000000.json"):
        cloud.put(f"work/{EXPORT_ID}/{name}", "rows")
    cloud.put(f"work/{number(1)}/two/parts/000000", "another export's")
    calls.made.clear()
    assert delete().status == 204
    assert calls.made.count("DeleteObjects") == 3
    assert (cloud.records(), cloud.keys()) == ([], [f"work/{number(1)}/two/parts/000000"])


@pytest.mark.parametrize("marker", [f"exports/UA/{OWNER.split('#')[1]}/{EXPORT_ID}/", f"work/{EXPORT_ID}/"])
def test_the_marker_of_a_folder_is_removed_with_what_is_in_it(marker: str, delete: Delete, cloud: Cloud) -> None:
    """A console that makes a folder leaves an object whose key ends in a slash."""
    cloud.write(succeeded())
    cloud.put(file_key(), "a file")
    cloud.put(marker, "")
    assert delete().status == 204
    assert (cloud.records(), cloud.keys()) == ([], [])


def test_the_files_go_before_the_record(delete: Delete, cloud: Cloud, calls: Calls) -> None:
    """Else a file could be left that nothing leads to."""
    cloud.write(succeeded())
    cloud.put(file_key(), "a file")
    calls.made.clear()
    delete()
    assert calls.made == ["GetItem", "ListObjectsV2", "ListObjectsV2", "DeleteObjects", "DeleteItem"]


def test_more_than_one_request_has_time_for_is_removed_by_several(
    delete: Delete, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_BATCH", 1)
    cloud.write(succeeded())
    for part in range(5):
        cloud.put(f"work/{EXPORT_ID}/plan/parts/{part:06}", "rows")
    moments = itertools.count(step=3)  # each look at the clock is three seconds later: there is time for two objects
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    seen = [(delete().status, len(cloud.records()), len(cloud.keys())) for _ in range(6)]
    assert seen == [(503, 1, 4), (503, 1, 3), (503, 1, 2), (503, 1, 1), (204, 0, 0), (404, 0, 0)]


@pytest.mark.parametrize(("code", "answer"), [("SlowDown", 503), ("InternalError", 503), ("AccessDenied", None)])
def test_an_object_that_s3_keeps_keeps_the_record(
    code: str, answer: int | None, delete: Delete, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeleteObjects answers 200 and says of each object what happened to it."""
    cloud.write(succeeded())
    cloud.put(file_key(), "a file")
    kept = {"Errors": [{"Key": file_key(), "Code": code, "Message": "made by the test"}]}
    monkeypatch.setattr(aws.prompt_s3(), "delete_objects", lambda **_: kept)
    if answer:
        assert busy(delete())
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            delete()
    assert [record["status"] for record in cloud.records()] == ["SUCCEEDED"]


def test_the_execution_of_a_cancelled_export_is_stopped_before_its_record_goes(
    delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(cancelled())
    cloud.start(cancelled())
    calls.made.clear()
    assert delete().status == 204
    assert calls.made.index("StopExecution") < calls.made.index("DeleteItem")
    assert cloud.stands() == {EXECUTION: "ABORTED"}


def test_the_execution_of_a_failed_export_may_still_send_its_letter(delete: Delete, cloud: Cloud) -> None:
    cloud.write(failed())
    cloud.start(failed())
    assert delete().status == 204
    assert cloud.stands() == {EXECUTION: "RUNNING"}


@pytest.mark.parametrize("failure", ["ThrottlingException", NO_ANSWER])
@pytest.mark.parametrize("operation", ["StopExecution", "ListObjectsV2", "DeleteObjects", "DeleteItem"])
def test_what_cannot_be_removed_whole_can_be_removed_again(
    operation: str, failure: str | Exception, delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(cancelled())
    cloud.start(cancelled())
    cloud.put(file_key(), "a file")
    calls.fail(operation, failure)
    answered = delete()
    assert busy(answered)
    assert answered.body["detail"] == said_when_busy(failure, "Not everything was removed")
    calls.heal()
    assert [record["status"] for record in cloud.records()] == ["CANCELLED"]
    assert delete().status == 204
    assert (cloud.records(), cloud.keys()) == ([], [])


@pytest.mark.parametrize(
    ("record", "operation"),
    [
        (running(), "GetItem"),
        (running(), "UpdateItem"),
        (cancelled(), "StopExecution"),
        (succeeded(), "ListObjectsV2"),
        (succeeded(), "DeleteItem"),
    ],
)
def test_another_error_of_aws_is_not_swallowed(
    record: dict[str, Any], operation: str, delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(record)
    calls.fail(operation, "AccessDeniedException")
    with pytest.raises(ClientError):
        delete()


# ── Only if it is active ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [queued(), running()], ids=lambda record: record["status"])
def test_who_asks_to_cancel_only_cancels_what_is_active(record: dict[str, Any], delete: Delete, cloud: Cloud) -> None:
    cloud.write(record)
    answered = delete(query={"if": "active"})
    assert (answered.status, answered.body["status"]) == (202, "CANCELLED")


@pytest.mark.parametrize("record", [succeeded(), failed(), cancelled()], ids=lambda record: record["status"])
def test_who_asks_to_cancel_only_removes_nothing(record: dict[str, Any], delete: Delete, cloud: Cloud) -> None:
    cloud.write(record)
    cloud.put(file_key(), "a file")
    answered = delete(query={"if": "active"})
    assert (answered.status, kind(answered)) == (409, "not-active")
    said = f"The export is {record['status']} and cannot be cancelled. Nothing was changed."
    assert answered.body["detail"] == said
    assert (cloud.records(), cloud.keys()) == ([record], [file_key()])


def test_an_export_that_ends_while_it_is_to_be_cancelled_keeps_its_file(
    delete: Delete, cloud: Cloud, meanwhile: Any
) -> None:
    cloud.write(running())
    cloud.put(file_key(), "a file")
    meanwhile("cancel", lambda: cloud.write(succeeded()))
    assert kind(delete(query={"if": "active"})) == "not-active"
    assert (cloud.records(), cloud.keys()) == ([succeeded()], [file_key()])


@pytest.mark.parametrize(
    ("query", "pointer", "allowed"), [({"if": "ended"}, "/if", 'one of "active"'), ({"fi": "active"}, "/fi", "if")]
)
def test_a_condition_that_is_not_understood_removes_nothing(
    query: dict[str, str], pointer: str, allowed: str, delete: Delete, cloud: Cloud
) -> None:
    cloud.write(succeeded())
    answered = delete(query=query)
    assert (answered.status, kind(answered)) == (400, "invalid-request")
    assert [(each["pointer"], each["allowed"]) for each in answered.body["errors"]] == [(pointer, allowed)]
    assert cloud.records() == [succeeded()]


# ── When somebody else is faster ────────────────────────────────────────────────────────────────────────────────────


def test_an_export_that_succeeds_meanwhile_is_removed(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    cloud.write(running())
    cloud.put(file_key(), "a file")
    meanwhile("cancel", lambda: cloud.write(succeeded()))
    assert delete().status == 204
    assert (cloud.records(), cloud.keys()) == ([], [])


def test_an_export_that_fails_meanwhile_is_removed(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    cloud.write(running())
    meanwhile("cancel", lambda: cloud.write(failed()))
    assert delete().status == 204
    assert cloud.records() == []


def test_two_who_cancel_at_once_cancel_it_once(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    """A doubled click cancels the export; it does not remove it."""
    cloud.write(running())
    meanwhile("cancel", lambda: cloud.write(cancelled()))
    answered = delete()
    assert (answered.status, answered.body["status"]) == (202, "CANCELLED")
    assert answered.body["finished_at"] == cancelled()["finished_at"]
    assert cloud.records() == [cancelled()]


def test_an_export_that_is_started_meanwhile_is_cancelled(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    cloud.write(queued())
    meanwhile("cancel", lambda: cloud.write(running()))
    answered = delete()
    assert (answered.status, answered.body["started_at"]) == (202, running()["started_at"])


def test_an_export_that_is_retried_meanwhile_is_cancelled(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    again = queued(attempt=2)
    cloud.write(failed())
    meanwhile("remove", lambda: (cloud.write(again), cloud.start(again)))
    answered = delete()
    assert (answered.status, answered.body["attempt"], answered.body["status"]) == (202, 2, "CANCELLED")
    assert cloud.stands() == {f"{EXPORT_ID}-2": "ABORTED"}


def test_two_who_remove_at_once_are_both_told_that_it_is_gone(delete: Delete, cloud: Cloud, meanwhile: Any) -> None:
    cloud.write(succeeded())
    key = {"owner": {"S": OWNER}, "export_id": {"S": EXPORT_ID}}
    meanwhile("remove", lambda: aws.dynamodb().delete_item(TableName=cloud.table, Key=key))
    assert delete().status == 204


def test_an_export_that_is_removed_while_it_is_cancelled_is_not_there(
    delete: Delete, cloud: Cloud, meanwhile: Any
) -> None:
    cloud.write(running())
    key = {"owner": {"S": OWNER}, "export_id": {"S": EXPORT_ID}}
    meanwhile("cancel", lambda: aws.dynamodb().delete_item(TableName=cloud.table, Key=key))
    assert delete().status == 404
    assert cloud.records() == []


def test_an_export_that_never_stands_still_is_left_alone(
    delete: Delete, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Any] = []
    cloud.write(running())
    monkeypatch.setattr(table, "cancel", lambda *given: tries.append(given))
    monkeypatch.setattr(attempts, "stop", lambda _: pytest.fail("it was not cancelled"))
    answered = delete()
    assert busy(answered)
    assert answered.body["detail"] == "The export keeps changing. Send the request again."
    assert len(tries) == 3
    assert cloud.records() == [running()]
