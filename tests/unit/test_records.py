"""The table: what is written once stays, what is asked for is all there, page by page."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.errors import NewerRecord
from shared.records import table
from shared.records.table import AlreadyRequested, Failure, Idempotency
from tests.unit.support import OWNER, PLAN, Calls, Cloud, cancelled, failed, file_key, queued, running, succeeded
from tests.unit.support import number as export_id

NOW = 1_795_425_151
MOMENT = datetime.datetime(2026, 11, 23, 9, 12, 31, 482000, datetime.UTC)
KEY: Idempotency = {"key": "a" * 64, "body_hash": "b" * 64}
OTHER_KEY: Idempotency = {"key": "d" * 64, "body_hash": "b" * 64}
OTHER_BODY: Idempotency = {"key": "a" * 64, "body_hash": "c" * 64}


@pytest.fixture(autouse=True)
def _table(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_TABLE", cloud.table)


def record(index: int = 0, **more: Any) -> Any:
    made = {"owner": OWNER, "active_owner": OWNER, "export_id": export_id(index), "report": "flights"}
    return made | {"parameters": "{}", "status": "QUEUED", "attempt": 1, "delete_after": NOW} | more


def create(*indexes: int, key: Idempotency | None = None) -> None:
    for index in indexes:
        table.create(record(index), key, NOW)


# ── create ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_is_read_as_it_was_written_and_what_an_owner_does_not_have_is_none() -> None:
    written = record(rows=3, bytes=4, parts_total=2, failure={"state": "S", "type": "T", "error": "{}", "part": ""})
    table.create(written, None, NOW)
    found: Any = table.get(OWNER, export_id(0))
    assert found == written
    assert {type(found[name]) for name in ("attempt", "rows", "bytes", "parts_total", "delete_after")} == {int}
    for owner, index in ((OWNER, 1), ("UA#someone-else", 0), ("UA", 0)):
        assert table.get(owner, export_id(index)) is None


def test_a_record_is_never_written_over_and_one_that_is_refused_leaves_no_key_behind(cloud: Cloud) -> None:
    create(0)
    with pytest.raises(ClientError) as refused:
        table.create(record(report="other"), KEY, NOW)
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    assert [each["report"] for each in cloud.records()] == ["flights"]
    assert cloud.remembered() == []


def test_a_key_refuses_the_next_request_and_names_the_first_until_a_day_has_passed(cloud: Cloud) -> None:
    create(0, key=KEY)
    for now in (NOW, NOW + 24 * 3600):
        assert table.find_first(OWNER, KEY, now) is not None
        with pytest.raises(AlreadyRequested) as refused:
            table.create(record(1), OTHER_BODY, now)
        assert (refused.value.export_id, refused.value.body_hash) == (export_id(0), KEY["body_hash"])
    assert [each["export_id"] for each in cloud.records()] == [export_id(0)]
    later = NOW + 24 * 3600 + 1
    assert table.find_first(OWNER, KEY, later) is None
    table.create(record(1), OTHER_BODY, later)
    first: Any = table.find_first(OWNER, KEY, later)
    assert first.export_id == export_id(1)
    assert table.find_first("UA#someone-else", KEY, later) is None, "the same key of another owner is another key"


# ── withdraw ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [None, KEY])
def test_only_the_request_itself_is_taken_back_as_if_it_had_never_been_there(
    key: Idempotency | None, cloud: Cloud
) -> None:
    create(1, key=OTHER_KEY)
    before = cloud.items()
    create(0, key=key)
    table.withdraw(record(), key)
    assert cloud.items() == before


@pytest.mark.parametrize("change", [{"status": "RUNNING"}, {"attempt": 2}, {"adopted": True}])
def test_an_attempt_that_runs_or_was_adopted_is_not_taken_back(change: dict[str, Any], cloud: Cloud) -> None:
    create(0, key=KEY)
    cloud.write(record(**change))
    before = cloud.items()
    assert not table.withdraw(record(), KEY)
    assert cloud.items() == before


# ── What becomes of an export ───────────────────────────────────────────────────────────────────────────────────────


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


LATER = "2026-11-23T09:30:00.000Z"
FAILURE: Failure = {"state": "FanOutParts", "type": "ExecutionTimedOut", "error": "{}", "part": ""}
RESULT = {
    "key": file_key(),
    "rows": "58665",
    "bytes": "5123456",
    "crc32": "0badcafe",
    "warning": "",
    "parts_total": "12",
    "expires_at": "2026-11-30T09:12:40.000Z",
    "delete_after": "1798621960",
}
CHANGES: dict[str, Callable[[Any], Any]] = {
    "adopt": table.adopt,
    "cancel": lambda record: table.cancel(record, LATER),
    "retry": lambda record: table.retry(record, LATER, NOW),
    "fail": lambda record: table.fail(record, FAILURE, LATER),
    "succeed": lambda record: table.succeed(record, RESULT, PLAN, LATER),
    "claim_dead_letter": lambda record: table.claim_dead_letter(record, MOMENT),
    "dead_letter_sent": table.dead_letter_sent,
    "settled": table.settled,
    "claim_mail": lambda record: table.claim_mail(record, MOMENT),
    "note_mailed": table.note_mailed,
    "remove": table.remove,
}
STATES = {
    "QUEUED": queued(),
    "RUNNING": running(),
    "SUCCEEDED": succeeded(),
    "FAILED": failed(),
    "FAILED, a letter due": failed() | {"letter": "due"},
    "FAILED, settled": without(failed(), "active_owner"),
    "CANCELLED": cancelled(),
}
ALLOWED = {
    "adopt": {"QUEUED"},
    "cancel": {"QUEUED", "RUNNING"},
    "retry": {"FAILED", "FAILED, a letter due", "FAILED, settled", "CANCELLED"},
    "fail": {"QUEUED", "RUNNING"},
    "succeed": {"RUNNING"},
    "claim_dead_letter": {"FAILED, a letter due"},
    "dead_letter_sent": {"FAILED, a letter due"},
    "settled": {"FAILED", "CANCELLED"},
    # Whoever mails or removes says of what status.
    **{change: set(STATES) for change in ("claim_mail", "note_mailed", "remove")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_record_changes_only_from_where_it_may_and_only_of_its_attempt(change: str, cloud: Cloud) -> None:
    assert not CHANGES[change](running())
    assert cloud.items() == [], "what is gone does not come back"
    for name, state in STATES.items():
        for found in (state | {"attempt": 2}, state):
            cloud.write(found)
            done = CHANGES[change](state)
            assert bool(done) is (found is state and name in ALLOWED[change]), name
            if not done:
                assert cloud.records() == [found]


def test_a_failure_of_the_table_is_not_taken_for_a_refusal_nor_for_a_used_key(calls: Calls) -> None:
    create(0, key=KEY)
    calls.fail("TransactWriteItems", "TransactionCanceledException", ["None", "ThrottlingError"])
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        create(1, key=KEY)
    for operation in ("UpdateItem", "DeleteItem"):
        calls.fail(operation, "ProvisionedThroughputExceededException")
    for change in CHANGES.values():
        with pytest.raises(ClientError):
            change(running())


REASONS = {"state": "GeneratePart", "type": "Error", "error": "{}", "part": "3"}
FAILED_NOW = {"finished_at": LATER, "letter": "due"}
CLAIMED = {"letter_claimed_at": "2026-11-23T09:12:31.482Z"}
STARTED = ("started_at", "execution_arn")
NEXT = queued(attempt=2, queued_at=LATER, delete_after=NOW)


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("adopt", queued(), queued(adopted=True)),
        ("cancel", running(), cancelled(finished_at=LATER)),
        ("cancel", queued(), without(cancelled(finished_at=LATER), *STARTED)),
        ("retry", failed() | {"letter": "due"} | CLAIMED, NEXT),
        ("retry", cancelled(adopted=True), NEXT),
        ("fail", running(), failed(**FAILURE) | FAILED_NOW),
        ("fail", queued(), without(failed(**FAILURE), *STARTED) | FAILED_NOW),
        # The reason that was recorded first stays.
        ("fail", without(failed(**REASONS), "detail_type") | {"status": "RUNNING"}, failed(**REASONS) | FAILED_NOW),
        # A part that had failed is forgotten.
        ("succeed", running(failure=FAILURE), succeeded(finished_at=LATER, delete_after=1798621960)),
        ("claim_dead_letter", failed() | {"letter": "due"}, failed() | {"letter": "due"} | CLAIMED),
        ("dead_letter_sent", failed() | {"letter": "due"} | CLAIMED, failed()),
        ("settled", failed(), without(failed(), "active_owner")),
        ("settled", cancelled(), without(cancelled(), "active_owner")),
        ("note_mailed", succeeded(mailing="1/SUCCEEDED", mailing_since=LATER), succeeded(mailed="1/SUCCEEDED")),
        ("remove", failed(), None),
    ],
)
def test_a_change_makes_of_a_record(change: str, before: Any, after: Any, cloud: Cloud) -> None:
    """And changes no other."""
    other = succeeded(export_id(1))
    cloud.write(before, other)
    done: Any = CHANGES[change](before)
    assert [each for each in cloud.records() if each != other] == [after] * bool(after)
    assert other in cloud.records()
    assert done == (after if change in ("cancel", "retry") else True)


def test_what_was_recorded_meanwhile_is_seen_in_what_is_returned(cloud: Cloud) -> None:
    cloud.write(running())
    changed: Any = table.cancel(queued(), LATER)  # type: ignore[arg-type]
    assert changed["started_at"] == running()["started_at"]
    assert {type(changed[name]) for name in ("attempt", "delete_after")} == {int}


def claimed(claim: Callable[[Any, datetime.datetime], bool], record: Any, *seconds: int) -> list[bool]:
    """Whether a claim succeeds, made so many seconds after the first moment."""
    return [claim(record, MOMENT + datetime.timedelta(seconds=each)) for each in seconds]


def test_a_letter_is_claimed_for_two_minutes(cloud: Cloud) -> None:
    due: Any = failed() | {"letter": "due"}
    cloud.write(due)
    assert claimed(table.claim_dead_letter, due, 0, 0, 120, 121) == [True, False, False, True]
    assert [table.dead_letter_sent(due), table.dead_letter_sent(due)] == [True, False]


def test_a_mail_is_claimed_for_two_minutes_by_attempt_and_status_until_it_is_noted(cloud: Cloud) -> None:
    ready: Any = succeeded()
    cloud.write(ready | {"mailing": "1/FAILED", "mailing_since": LATER, "mailed": "1/FAILED"})
    assert claimed(table.claim_mail, ready, 0, 120, 121) == [True, False, True]
    assert cloud.records()[0]["mailing"] == "1/SUCCEEDED"
    assert table.note_mailed(ready)
    assert claimed(table.claim_mail, ready, 24 * 3600) == [False]


def test_an_export_that_became_something_else_is_not_removed(cloud: Cloud) -> None:
    cloud.write(running())
    assert not table.remove(failed())  # type: ignore[arg-type]
    assert cloud.records() == [running()]


@pytest.fixture
def small_pages(cloud: Cloud) -> Iterator[None]:
    """Whatever reads the table gets two items at a time."""

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["Limit"] = 2

    events = cloud.dynamodb.meta.events
    for call in ("Scan", "Query"):
        events.register(f"provide-client-params.dynamodb.{call}", limit)
    yield
    for call in ("Scan", "Query"):
        events.unregister(f"provide-client-params.dynamodb.{call}", limit)


@pytest.mark.usefixtures("small_pages")
def test_the_active_and_the_settling_are_unsettled_page_by_page(cloud: Cloud) -> None:
    unsettled = [queued(export_id(0)), running(export_id(1)), failed(export_id(2)), cancelled(export_id(3))]
    cloud.write(*unsettled, running(export_id(4), owner="DL#x", active_owner="DL#x"))
    cloud.write(succeeded(export_id(5)), without(failed(export_id(6)), "active_owner"))
    expected = [("DL#x", export_id(4)), *[(OWNER, export_id(index)) for index in range(4)]]
    assert sorted(table.unsettled()) == expected


# ── get, newest_first, count_active ─────────────────────────────────────────────────────────────────────────────────


def test_a_record_of_a_newer_release_is_not_read(cloud: Cloud) -> None:
    cloud.write({**record(0), "record_version": table.RECORD_VERSION + 1}, {**record(1), "record_version": 1})
    with pytest.raises(NewerRecord, match="deploy the release that wrote it"):
        table.get(OWNER, export_id(0))
    assert table.get(OWNER, export_id(1)) is not None


def ids(before: str | None = None) -> list[str]:
    return [each["export_id"] for each in table.newest_first(OWNER, before)]


def test_the_newest_come_first_and_neither_keys_nor_those_of_others(cloud: Cloud) -> None:
    for index in (1, 0, 2, 3):
        create(index, key={"key": f"{index:064x}", "body_hash": ""})
    table.create(record(owner=OWNER + "x"), None, NOW)
    assert len(cloud.items()) == 9
    assert ids() == ids(before=export_id(9)) == [export_id(index) for index in (3, 2, 1, 0)]
    assert ids(before=export_id(2)) == [export_id(1), export_id(0)]
    assert ids(before=export_id(0)) == []


def test_an_id_of_any_beginning_is_found() -> None:
    every = [f"{digit}{export_id(0)[1:]}" for digit in "0123456789abcdef"]
    for each in every:
        table.create(record(export_id=each), KEY if each == every[0] else None, NOW)
    assert ids() == every[::-1]


def test_all_is_read_to_its_end_but_no_more_than_is_asked_for(calls: Calls) -> None:
    for index in range(6):
        table.create(record(index, parameters="x" * 350_000), None, NOW)
    calls.made.clear()
    assert next(table.newest_first(OWNER))["export_id"] == export_id(5)
    assert calls.made == ["Query"]
    assert ids() == [export_id(index) for index in reversed(range(6))]
    assert calls.made.count("Query") > 2


def test_only_queued_and_running_exports_are_active(cloud: Cloud) -> None:
    create(0, key=KEY)
    cloud.write(record(1, status="RUNNING"), without(record(2, status="SUCCEEDED"), "active_owner"))
    cloud.write(record(3, owner="DL#x", active_owner="DL#x"))
    assert [table.count_active(owner) for owner in (OWNER, "DL#x", "nobody")] == [2, 1, 0]


@pytest.mark.usefixtures("small_pages")
def test_active_exports_are_counted_over_every_page(cloud: Cloud) -> None:
    cloud.write(*[record(index) for index in range(5)])
    assert table.count_active(OWNER) == 5
    assert ids() == [export_id(index) for index in reversed(range(5))]


def test_a_record_outlives_its_file_by_thirty_days() -> None:
    expires = datetime.datetime(2026, 11, 30, 9, 12, 31, 999000, datetime.UTC)
    assert table.delete_after(expires) == int(expires.timestamp()) + 30 * 24 * 3600
