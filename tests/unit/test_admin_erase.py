"""The command `exports-admin erase`: what it removes, what it keeps, and that it can be interrupted and repeated."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest
from botocore.client import BaseClient

from exports_admin import belongings, dead_letter_queue, erase, stack
from shared.files import work
from shared.lambda_ import aws
from shared.records import attempts
from shared.records import table as records
from tests.unit.support import (
    EXPORT_ID,
    NO_ANSWER,
    OWNER,
    TENANT,
    USER,
    Calls,
    Cloud,
    Frozen,
    cancelled,
    event,
    failed,
    file_key,
    number,
    queued,
    running,
    succeeded,
    template,
)
from tests.unit.test_admin import Admin, command_line
from tests.unit.test_admin_letters import Queue, queue

__all__ = ["queue"]

admin = pytest.fixture(command_line)
ERASE = ("erase", "--owner", OWNER, "--yes")
OTHERS = ["UA#7c1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60", "UA2#u", "U#u"]
MEMORY = {"owner": OWNER, "export_id": "key#abc", "first_export_id": EXPORT_ID, "body_hash": "x", "delete_after": 1}

# The id of one other user begins the same.
STAY = [f"exports/{TENANT}/{USER}0/{number(6)}/1/other.csv", f"work/{number(5)}/0123456789abcdef/plan.json"]


@pytest.fixture(autouse=True)
def everything(cloud: Cloud, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of every kind, of one owner and of others."""
    monkeypatch.setattr(work, "bucket", lambda: cloud.bucket)
    cloud.write(
        queued(number(0)),
        running(number(1)),
        succeeded(number(2)),
        failed(number(3)),
        cancelled(number(4)),
        MEMORY,
        *({**succeeded(number(5 + index)), "owner": owner} for index, owner in enumerate(OTHERS)),
        {**MEMORY, "owner": OTHERS[1]},
    )
    cloud.start(running(number(1)))
    for index in range(5):
        cloud.put(f"work/{number(index)}/0123456789abcdef/parts/000000", "part")
    cloud.put(file_key(number(2)), "file")
    cloud.put(file_key(number(9)), "a file whose record has gone")
    for key in STAY:
        cloud.put(key, "of others")
    cloud.s3.create_multipart_upload(Bucket=cloud.bucket, Key=file_key(number(1)))
    queue.send(number(3))
    queue.send(number(9))


def uploads(cloud: Cloud) -> list[str]:
    return [each["Key"] for each in cloud.s3.list_multipart_uploads(Bucket=cloud.bucket).get("Uploads", [])]


def owners(cloud: Cloud) -> list[str]:
    return sorted({item["owner"] for item in cloud.items()})


def require_erased(cloud: Cloud, queue: Queue) -> None:
    """Nothing of the owner is left, and everything of the others is."""
    left = owners(cloud), sorted(cloud.keys()), uploads(cloud), queue.count()
    assert left == (sorted(OTHERS), sorted(STAY), [], 0)


def state(cloud: Cloud, queue: Queue) -> tuple[Any, ...]:
    """Everything that erase could change."""
    return cloud.items(), cloud.keys(), uploads(cloud), cloud.stands(), queue.count()


def test_everything_of_an_owner_is_removed_and_nothing_of_others(admin: Admin, cloud: Cloud, queue: Queue) -> None:
    ran = admin(*ERASE)
    require_erased(cloud, queue)
    assert (ran.code, ran.err, cloud.stands()) == (0, "", {f"{number(1)}-1": "ABORTED"})
    counted = "5 exports (2 active), 1 idempotency key, 2 files, 5 work files, 1 unfinished upload, 2 dead letters"
    assert ran.out.splitlines()[0] == f"Removed of {OWNER}: {counted}."
    before = state(cloud, queue)
    assert set(json.loads(admin(*ERASE, "--json").out)["gone"].values()) == {0}
    assert state(cloud, queue) == before


def test_a_tenant_is_removed_but_not_one_that_begins_the_same(admin: Admin, cloud: Cloud, queue: Queue) -> None:
    queue.send(number(6), owner="UA2#u")
    assert admin("erase", "--tenant", TENANT, "--yes").code == 0
    assert owners(cloud) == ["U#u", "UA2#u"]
    assert queue.count() == 1
    assert cloud.keys() == []  # the other user's file, and the work of an export of UA


def test_a_dry_run_changes_nothing(admin: Admin, cloud: Cloud, calls: Calls, queue: Queue) -> None:
    before = state(cloud, queue)
    ran = admin("erase", "--owner", OWNER, "--dry-run", "--json")
    said = json.loads(ran.out)
    counts = {"exports": 5, "active": 2, "keys": 1, "files": 2, "work_files": 5, "uploads": 1, "letters": 2}
    assert (said["would_go"], said["done"], "gone" in said) == (counts, False, False)
    assert state(cloud, queue) == before
    assert {each for each in calls.made if re.match("Delete|Update|Put|Stop|Abort", each)} == set()


def test_the_command_asks_first(admin: Admin, cloud: Cloud, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(cloud, queue)
    # The empty answer is of a script without --yes.
    for answer, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        assert state(cloud, queue) == before
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        ran = admin("erase", "--owner", OWNER)
        assert (ran.code, f"{OWNER} has 5 exports" in ran.out) == (code, True)
    require_erased(cloud, queue)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--owner", OWNER, "--tenant", "UA"],
        ["--owner", "UA"],
        ["--owner", "UA#é"],
        ["--owner", "U A#b"],
        ["--tenant", "UA#"],
        ["--tenant", ""],
        ["--tenant", "a" * 65],
    ],
)
def test_one_owner_or_one_tenant_must_be_named(words: list[str], admin: Admin, calls: Calls) -> None:
    assert (admin("erase", "--yes", *words).code, calls.made) == (2, [])


CHANGES = {"UpdateItem", "StopExecution", "DeleteObjects", "AbortMultipartUpload", "DeleteItem", "DeleteMessage"}


def test_the_same_command_continues_after_an_error_anywhere(
    admin: Admin, cloud: Cloud, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes something fails once, and ends its run. Calls that only read lie between two of them."""
    make, failed, runs = BaseClient._make_api_call, set[str](), 0

    def fail_once(client: Any, name: str, parameters: dict[str, Any]) -> Any:
        call = f"{name} {[value for key, value in parameters.items() if key != 'ReceiptHandle']}"
        if name in CHANGES and call not in failed:
            failed.add(call)
            raise NO_ANSWER.with_traceback(None)
        return make(client, name, parameters)

    while True:
        with monkeypatch.context() as patched:
            patched.setattr(BaseClient, "_make_api_call", fail_once)
            ran = admin(*ERASE)
        if ran.code == 0:
            break
        runs += 1
        assert runs == len(failed)
        left = {key.split("/")[1] for key in set(cloud.keys()) - set(STAY) if key.startswith("work/")}
        assert left <= {record["export_id"] for record in cloud.records()}  # a record leads to each work file
    assert {call.split()[0] for call in failed} == CHANGES
    require_erased(cloud, queue)


def test_an_export_that_is_retried_meanwhile_is_cancelled_again(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, empty = [number(3)], belongings.empty

    def retried(prefix: str) -> tuple[int, int]:
        if once and once[0] in prefix:
            record = records.get(OWNER, once.pop())
            assert record
            again = records.retry(record, "2026-11-23T09:13:00.000Z", 1798621951)
            assert again
            attempts.start(again)
        return empty(prefix)

    monkeypatch.setattr(belongings, "empty", retried)
    assert admin(*ERASE).code == 0
    assert not once
    assert owners(cloud) == sorted(OTHERS)
    assert cloud.stands()[f"{number(3)}-2"] == "ABORTED"


def test_an_export_that_keeps_changing_keeps_its_record(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "remove", lambda _record: False)
    assert admin(*ERASE).fails(1, f"{number(0)} of {OWNER} keeps changing")
    assert number(0) in {record["export_id"] for record in cloud.records()}


def test_an_export_that_its_owner_deletes_meanwhile_leaves_no_work_files(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = belongings.items

    def and_then_gone(whose: belongings.Whose) -> list[belongings.Item]:
        items = found(whose)
        if items:
            belongings.forget(items[0])
        return items

    monkeypatch.setattr(belongings, "items", and_then_gone)
    assert admin(*ERASE).code == 0
    assert number(0) not in " ".join(cloud.keys())


def test_an_item_that_arrives_meanwhile_is_an_error(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = dead_letter_queue.held
    monkeypatch.setattr(dead_letter_queue, "held", lambda: cloud.write(queued(number(8))) or held())  # type: ignore[func-returns-value]
    assert admin(*ERASE).fails(1, "1 new item arrived during the command")


def test_files_that_a_worker_writes_meanwhile_are_removed(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = records.remove

    def and_a_worker_writes(record: Any) -> bool:
        done = remove(record)
        if record["export_id"] == number(1):
            cloud.put(f"work/{number(1)}/0123456789abcdef/parts/000001", "late")
            cloud.put(file_key(number(1)), "late")
        return done

    monkeypatch.setattr(records, "remove", and_a_worker_writes)
    assert admin(*ERASE).code == 0
    assert sorted(cloud.keys()) == sorted(STAY)


def test_an_object_that_s3_does_not_remove_is_an_error(
    admin: Admin, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"Errors": [{"Key": "work/x", "Code": "AccessDenied", "Message": "Access Denied"}]}
    monkeypatch.setattr(aws.prompt_s3(), "delete_objects", lambda **_: refused)
    ran = admin(*ERASE)
    assert (ran.code, "AccessDenied" in ran.err, "work/x: Access Denied" in ran.err) == (1, True, True)
    assert len([record for record in cloud.records() if record["owner"] == OWNER]) == 5


# ── What remains ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_remaining_data_is_listed_with_its_last_day(admin: Admin, time: Frozen) -> None:
    said = json.loads(admin(*ERASE, "--json").out)
    until = {each["what"]: each["until"] for each in said["remains"]}
    expected = {"log lines": "2026-12-23", "execution histories": "2027-02-21", "your own copies": None}
    assert until == until | expected | {erase.LATE.what: "2026-11-30"}
    again = admin(*ERASE).out
    assert erase.LATE.what not in again  # nothing was active
    assert "work files of deleted exports      until 2026-11-30" in again
    assert "earlier states of the table        until 2026-12-28" in again


def test_the_days_agree_with_the_template() -> None:
    days = {each.what: each.days for each in (*erase.REMAINS, erase.LATE)}
    resources = template()["Resources"]

    def of(kind: str, name: str) -> set[int]:
        return {r["Properties"][name] for r in resources.values() if r["Type"] == kind and name in r["Properties"]}

    assert of("AWS::Logs::LogGroup", "RetentionInDays") == {days["log lines"]}
    assert max(of("AWS::SQS::Queue", "MessageRetentionPeriod")) == days["messages in the stack's queues"] * 86_400
    rules = resources["ExportsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    work = {rule["Id"]: rule.get("ExpirationInDays") for rule in rules}["work"]
    assert work == days[erase.LATE.what] == days["work files of deleted exports"]
    recovery = resources["ExportsTable"]["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": True}  # 35 days, where RecoveryPeriodInDays says nothing else


def test_the_named_stack_is_operated(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    found: Any = stack.find
    monkeypatch.setattr(stack, "find", lambda name: asked.append(name) or found(name))
    assert admin(*ERASE, "--stack", "exports-staging").code == 0
    assert asked == ["exports-staging"]


# ── A tenant that does not exist ────────────────────────────────────────────────────────────────────────────────────

NOTHING = "it has no record, no file, no upload and no dead letter."
NOT_SEARCHED = "Nothing was erased. The users in the pool were not searched.\n"


@pytest.mark.parametrize("words", [["--yes"], ["--dry-run"], []])
def test_a_tenant_without_data_is_an_error(words: list[str], admin: Admin, cloud: Cloud, queue: Queue) -> None:
    before = state(cloud, queue)
    ran = admin("erase", "--tenant", "NOBODY", *words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"exports-admin: There is no tenant NOBODY: {NOTHING} {NOT_SEARCHED}"
    assert state(cloud, queue) == before


def test_a_tenant_that_differs_only_by_case_is_named(admin: Admin, cloud: Cloud) -> None:
    ran = admin("erase", "--tenant", "ua2", "--yes")
    similar = "Tenants are case-sensitive. Do you mean UA2?"
    assert ran.err == f"exports-admin: There is no tenant ua2: {NOTHING} {similar} {NOT_SEARCHED}"
    cloud.put("exports/Acme/u/1/1/file.csv", "of a tenant whose records have gone")
    cloud.write({**succeeded(number(8)), "owner": "ACME#u"})
    ran = admin("erase", "--tenant", "acme", "--dry-run")
    assert "Do you mean ACME or Acme?" in ran.err
    assert admin("erase", "--tenant", "Acme", "--yes").code == 0  # a file is enough
    assert admin("erase", "--tenant", "ACME", "--yes").code == 0


def test_a_dead_letter_or_an_upload_is_data_of_a_tenant(admin: Admin, cloud: Cloud, queue: Queue) -> None:
    queue.send(number(7), owner="LETTER#u")
    cloud.s3.create_multipart_upload(Bucket=cloud.bucket, Key=f"exports/UPLOAD/u/{number(7)}/1/file.csv")
    for tenant in ("LETTER", "UPLOAD"):
        assert [admin("erase", "--tenant", tenant, "--yes").code for _ in range(2)] == [0, 1]


def test_the_search_for_a_similar_tenant_is_bounded(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belongings, "_PAGES", 1)
    monkeypatch.setenv("EXPORTS_TABLE", event("environment")["ReconcileExports"]["EXPORTS_TABLE"])
    assert belongings.known_tenants() == ({"U", "UA", "UA2"}, True)
    make = BaseClient._make_api_call

    def one_a_page(client: Any, name: str, parameters: dict[str, Any]) -> Any:
        limit = {"Scan": {"Limit": 1}, "ListObjectsV2": {"MaxKeys": 1}}.get(name, {})
        return make(client, name, parameters | limit)

    monkeypatch.setattr(BaseClient, "_make_api_call", one_a_page)
    assert not belongings.known_tenants().is_complete
    ran = admin("erase", "--tenant", "NOBODY", "--dry-run")
    assert "Similar names were searched only in the first 10 pages of the table and of the bucket." in ran.err
