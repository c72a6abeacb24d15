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
    USER,
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
    pointers,
    queued,
    running,
    said_when_busy,
    succeeded,
    told,
)

Delete = Callable[..., Answer]
Meanwhile = Callable[[str, Callable[[], object]], None]

EXECUTION = f"{EXPORT_ID}-1"
ONLY_ACTIVE = {"if": "active"}


@pytest.fixture
def delete(time: Frozen, api: Callable[[str, Any], Answer]) -> Delete:
    """Sends the typical event, with a query where given."""
    return lambda query=None: api("DeleteExport", event("delete_export/typical") | {"queryStringParameters": query})


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Lets something happen just before the first call of a function of shared.records.table takes effect."""

    def meanwhile(function: str, happens: Callable[[], object]) -> None:
        original = getattr(table, function)

        def call(*given: Any) -> Any:
            monkeypatch.setattr(table, function, original)
            happens()
            return original(*given)

        monkeypatch.setattr(table, function, call)

    return meanwhile


def take_away(cloud: Cloud) -> None:
    """Removes the export's record, as another request may do."""
    cloud.dynamodb.delete_item(TableName=cloud.table, Key={"owner": {"S": OWNER}, "export_id": {"S": EXPORT_ID}})


# ── An active export ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", [None, ONLY_ACTIVE], ids=str)
@pytest.mark.parametrize("record", [queued(), running()], ids=lambda record: record["status"])
def test_an_active_export_is_cancelled_and_then_its_execution_is_stopped(
    record: dict[str, Any], query: dict[str, str] | None, delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    """In the other order, the end of the execution would be taken for a failure."""
    cloud.write(record)
    cloud.start(record)
    calls.made.clear()
    answered = delete(query)
    assert calls.made == ["GetItem", "UpdateItem", "StopExecution"]
    assert (answered.status, answered.body["id"], answered.body["status"]) == (202, EXPORT_ID, "CANCELLED")
    assert answered.body["finished_at"] == "2026-11-23T09:12:31.482Z"
    assert answered.body["started_at"] == record.get("started_at")
    assert answered.body["links"] == {"self": HERE}
    end = {
        "status": "CANCELLED",
        "finished_at": "2026-11-23T09:12:31.482Z",
        "detail_type": "Export Cancelled",
        "active_owner": "settling",
    }
    assert cloud.records() == [record | NO_FAILURE | end]
    assert cloud.stands() == {EXECUTION: "ABORTED"}


def test_only_the_execution_of_the_current_attempt_is_stopped(delete: Delete, cloud: Cloud) -> None:
    for record in (running(), running(attempt=2), running(number(1))):
        cloud.start(record)
    cloud.write(running(attempt=2))
    assert delete().status == 202
    assert cloud.stands() == {EXECUTION: "RUNNING", f"{EXPORT_ID}-2": "ABORTED", f"{number(1)}-1": "RUNNING"}


def test_an_export_whose_execution_never_started_is_cancelled(delete: Delete, cloud: Cloud) -> None:
    cloud.write(queued())
    assert delete().status == 202
    assert [record["status"] for record in cloud.records()] == ["CANCELLED"]


@pytest.mark.parametrize("failure", ["ThrottlingException", NO_ANSWER], ids=str)
def test_an_export_whose_execution_cannot_be_stopped_is_cancelled_nevertheless(
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


# ── An ended export ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_ended_export_is_removed_with_its_file_and_then_it_does_not_exist(
    delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    """The files go before the record: otherwise nothing would lead to a file that is left."""
    cloud.write(succeeded(), succeeded(number(1)))
    cloud.put(file_key(), "a file")
    cloud.put(file_key(number(1)), "another export's")
    calls.made.clear()
    answered = delete()
    assert calls.made == ["GetItem", "ListObjectsV2", "ListObjectsV2", "DeleteObjects", "DeleteItem"]
    assert (answered.status, answered.body) == (204, None)
    assert [record["export_id"] for record in cloud.records()] == [number(1)]
    assert cloud.keys() == [file_key(number(1))]
    assert delete().status == 404


@pytest.mark.parametrize(
    "record", [succeeded(), succeeded(expires_at="2026-11-22T00:00:00.000Z"), failed(), cancelled()]
)
def test_every_object_of_an_ended_export_is_removed(
    record: dict[str, Any], delete: Delete, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts contain rows. An attempt may leave a file that no record names, and a console leaves folders."""
    monkeypatch.setattr(work, "_BATCH", 3)
    cloud.write(record | {"attempt": 2})
    parts = [f"work/{EXPORT_ID}/two/parts/{part:06}" for part in range(3)]
    folders = [f"exports/UA/{USER}/{EXPORT_ID}/", f"work/{EXPORT_ID}/"]
    other = f"work/{number(1)}/two/parts/000000"
    for key in (*parts, *folders, f"work/{EXPORT_ID}/one/plan.json", file_key(), file_key(attempt=2), other):
        cloud.put(key, "rows")
    calls.made.clear()
    assert delete().status == 204
    assert calls.made.count("DeleteObjects") == 3
    assert (cloud.records(), cloud.keys()) == ([], [other])


def test_the_file_is_the_one_that_the_record_names(delete: Delete, cloud: Cloud) -> None:
    cloud.put("exports/as-it-was-once-called", "a file")
    cloud.write(succeeded(file_key="exports/as-it-was-once-called"))
    assert delete().status == 204
    assert cloud.keys() == []


def test_an_export_with_too_many_objects_for_one_request_is_removed_by_several(
    delete: Delete, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_BATCH", 1)
    cloud.write(succeeded())
    for part in range(3):
        cloud.put(f"work/{EXPORT_ID}/plan/parts/{part:06}", "rows")
    moments = itertools.count(step=3)  # each look at the clock is three seconds later: there is time for two objects
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    answered = delete()
    assert busy(answered)
    assert answered.body["detail"] == (
        "One request has no time to remove all objects of the export. Send the request again to continue."
    )
    assert (len(cloud.records()), len(cloud.keys())) == (1, 2)
    seen = [(delete().status, len(cloud.records()), len(cloud.keys())) for _ in range(3)]
    assert seen == [(503, 1, 1), (204, 0, 0), (404, 0, 0)]


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "AccessDenied"])
def test_an_object_that_s3_keeps_keeps_the_record(
    code: str, delete: Delete, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeleteObjects answers 200 and says of each object what happened to it."""
    cloud.write(succeeded())
    cloud.put(file_key(), "a file")
    kept = {"Errors": [{"Key": file_key(), "Code": code, "Message": "made by the test"}]}
    monkeypatch.setattr(aws.prompt_s3(), "delete_objects", lambda **_: kept)
    if code == "AccessDenied":
        with pytest.raises(ClientError, match=code):
            delete()
    else:
        assert busy(delete())
    assert cloud.records() == [succeeded()]


@pytest.mark.parametrize(("record", "stands"), [(cancelled(), "ABORTED"), (failed(), "RUNNING")])
def test_only_the_execution_of_a_cancelled_export_is_stopped_before_its_record_goes(
    record: dict[str, Any], stands: str, delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    """The execution of a failed export may still send its letter."""
    cloud.write(record)
    cloud.start(record)
    calls.made.clear()
    assert delete().status == 204
    assert [each for each in calls.made if each in ("StopExecution", "DeleteItem")] == (
        ["StopExecution", "DeleteItem"] if stands == "ABORTED" else ["DeleteItem"]
    )
    assert cloud.stands() == {EXECUTION: stands}


# ── When AWS throttles, or fails ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("record", "operation", "outcome"),
    [
        (running(), "GetItem", "Nothing was changed"),
        (running(), "UpdateItem", "Nothing was changed"),
        (cancelled(), "StopExecution", "Not everything was removed"),
        (cancelled(), "ListObjectsV2", "Not everything was removed"),
        (cancelled(), "DeleteObjects", "Not everything was removed"),
        (cancelled(), "DeleteItem", "Not everything was removed"),
    ],
)
def test_a_request_that_aws_does_not_serve_can_be_sent_again(
    record: dict[str, Any], operation: str, outcome: str, delete: Delete, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(record)
    cloud.start(record)
    cloud.put(file_key(), "a file")
    calls.fail(operation, "AccessDeniedException")
    with pytest.raises(ClientError):
        delete()
    failures: tuple[str | Exception, ...] = ("ThrottlingException", NO_ANSWER)
    for failure in failures:
        calls.fail(operation, failure)
        answered = delete()
        assert busy(answered)
        assert answered.body["detail"] == said_when_busy(failure, outcome)
    calls.heal()
    assert cloud.records() == [record]
    assert record["status"] == "CANCELLED" or cloud.stands() == {EXECUTION: "RUNNING"}
    assert delete().status == (202 if record["status"] == "RUNNING" else 204)


# ── With if=active ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [succeeded(), failed(), cancelled()], ids=lambda record: record["status"])
def test_with_if_active_an_ended_export_stays(record: dict[str, Any], delete: Delete, cloud: Cloud) -> None:
    cloud.write(record)
    cloud.put(file_key(), "a file")
    assert told(delete(ONLY_ACTIVE)) == (
        *(409, "not-active", "The export is not active"),
        f"The export is {record['status']} and cannot be cancelled. Nothing was changed.",
    )
    assert (cloud.records(), cloud.keys()) == ([record], [file_key()])


@pytest.mark.parametrize(("query", "place"), [({"if": "ended"}, "/if"), ({"fi": "active"}, "/fi")])
@pytest.mark.usefixtures("no_aws")
def test_an_unknown_condition_is_refused(query: dict[str, str], place: str, delete: Delete) -> None:
    assert pointers(delete(query)) == [place]


# ── When the export changes meanwhile ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [succeeded(), failed()], ids=lambda record: record["status"])
def test_an_export_that_ends_meanwhile_is_removed_unless_it_must_be_active(
    end: dict[str, Any], delete: Delete, cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud.put(file_key(), "a file")
    for query in (ONLY_ACTIVE, None):
        cloud.write(running())
        meanwhile("cancel", lambda: cloud.write(end))
        answered = delete(query)
        if query:
            assert kind(answered) == "not-active"
            assert (cloud.records(), cloud.keys()) == ([end], [file_key()])
    assert answered.status == 204
    assert (cloud.records(), cloud.keys()) == ([], [])


def test_two_requests_at_once_cancel_an_export_and_do_not_remove_it(
    delete: Delete, cloud: Cloud, meanwhile: Meanwhile
) -> None:
    """As after a double click."""
    cloud.write(running())
    meanwhile("cancel", lambda: cloud.write(cancelled()))
    answered = delete()
    assert (answered.status, answered.body["status"]) == (202, "CANCELLED")
    assert answered.body["finished_at"] == cancelled()["finished_at"]
    assert cloud.records() == [cancelled()]


def test_an_export_that_starts_meanwhile_is_cancelled(delete: Delete, cloud: Cloud, meanwhile: Meanwhile) -> None:
    cloud.write(queued())
    meanwhile("cancel", lambda: cloud.write(running()))
    answered = delete()
    assert (answered.status, answered.body["started_at"]) == (202, running()["started_at"])


def test_a_cancellation_of_another_attempt_is_not_this_requests(
    delete: Delete, cloud: Cloud, meanwhile: Meanwhile
) -> None:
    """The export has ended by then, so it is removed."""
    cloud.write(running())
    meanwhile("cancel", lambda: cloud.write(cancelled(attempt=2)))
    assert delete().status == 204


def test_an_export_that_is_retried_meanwhile_is_cancelled(delete: Delete, cloud: Cloud, meanwhile: Meanwhile) -> None:
    again = queued(attempt=2)
    cloud.write(failed())
    meanwhile("remove", lambda: (cloud.write(again), cloud.start(again)))
    answered = delete()
    assert (answered.status, answered.body["attempt"], answered.body["status"]) == (202, 2, "CANCELLED")
    assert cloud.stands() == {f"{EXPORT_ID}-2": "ABORTED"}


@pytest.mark.parametrize(("record", "change", "status"), [(succeeded(), "remove", 204), (running(), "cancel", 404)])
def test_an_export_that_another_request_removes_meanwhile_is_gone(
    record: dict[str, Any], change: str, status: int, delete: Delete, cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud.write(record)
    meanwhile(change, lambda: take_away(cloud))
    assert delete().status == status
    assert cloud.records() == []


def test_an_export_that_keeps_changing_is_left_alone(
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
