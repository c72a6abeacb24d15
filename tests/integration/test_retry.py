"""What failed or was cancelled is made by another attempt, which makes only what is missing."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import source
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Answer, Caller
    from tests.integration.deployed import Deployed

DAY = {"first": "2013-01-01", "last": "2013-01-01"}
FAILURE = {"state": "FanOutParts", "type": "SourceUnavailable", "error": "{}", "part": "0"}


def retried(caller: Caller, export: dict[str, Any]) -> dict[str, Any]:
    """Retries an export and waits: it must succeed."""
    answer = caller.retry(export)
    assert (answer.status, answer.headers["Retry-After"]) == (202, "1"), answer
    assert answer.headers["Location"] == export["links"]["self"]
    assert (answer.json["id"], answer.json["status"]) == (export["id"], "QUEUED")
    assert answer.json["attempt"] == export["attempt"] + 1
    end = caller.follow(answer.json).end
    assert (end["status"], end["attempt"], end["error"]) == ("SUCCEEDED", export["attempt"] + 1, None), end
    return end


def test_what_failed_succeeds_once_its_cause_is_gone(deployed: Deployed, sign_up: Callable[[str], Caller]) -> None:
    caller = sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path, content = f"flights/year=2094/month=1/{uuid.uuid4().hex}.parquet", source.parquet(caller.tenant)
    with deployed.listening(caller.owner) as announcements:
        with deployed.source_file(path, bytes(source.with_damaged_footer(content[:]))):
            failed = caller.follow(caller.request(first="2094-01-01", last="2094-01-31")).end
            assert (failed["status"], failed["attempt"]) == ("FAILED", 1)
            deployed.letter(failed["id"])
        with deployed.source_file(path, bytes(content)):
            assert retried(caller, failed)["rows"] == 1000
        keys = until(
            lambda: found if len(found := {each["detail"]["key"] for each in announcements.receive()}) > 1 else None,
            "the end of both attempts to be announced",
        )
    assert keys == {f"{failed['id']}/1/FAILED", f"{failed['id']}/2/SUCCEEDED"}
    assert deployed.find_letter(failed["id"]) is None


def test_only_what_is_missing_is_made(caller: Caller, deployed: Deployed) -> None:
    """A finished export is made one that failed when all of its parts but one were done."""
    made = caller.make()
    content, total = caller.download(made).content, made["progress"]["parts_total"]
    assert total > 1
    deployed.remove(next(key for key in deployed.keys(f"work/{made['id']}/") if "/receipts/" in key))
    failed = failed_instead(caller, made, deployed)
    assert (failed["status"], failed["progress"]) == ("FAILED", {"parts_done": total - 1, "parts_total": total})

    end = retried(caller, failed)
    assert (end["rows"], end["crc32"]) == (made["rows"], made["crc32"])
    assert caller.download(end).content == content
    assert parts(end, deployed) == {"part made": 1, "part already made": total - 1}


def test_every_part_is_made_again_when_the_work_files_have_expired(caller: Caller, deployed: Deployed) -> None:
    made = caller.make()
    content = caller.download(made).content
    failed = failed_instead(caller, made, deployed)
    for key in deployed.keys(f"work/{made['id']}/"):
        deployed.remove(key)

    end = retried(caller, failed)
    assert caller.download(end).content == content
    assert parts(end, deployed) == {"part made": made["progress"]["parts_total"]}


def failed_instead(caller: Caller, made: dict[str, Any], deployed: Deployed) -> dict[str, Any]:
    """The export, as if it had not succeeded but failed."""
    [record] = deployed.records(caller.owner)
    same = {name: record[name] for name in ("export_id", "parameters", "options", "file_name")}
    deployed.fabricate(caller.owner, "FAILED", **same, failure=FAILURE)
    return caller.get(made["links"]["self"]).json  # type: ignore[no-any-return]


def parts(export: dict[str, Any], deployed: Deployed) -> Counter[str]:
    """What GeneratePart said of the parts, since the attempt began."""

    def said() -> Counter[str]:
        lines = deployed.log_lines("generate-part", export["started_at"])
        return Counter(line["message"] for line in lines if line.get("correlation_id") == export["id"])

    until(lambda: said().total() >= export["progress"]["parts_total"], "the log lines of every part")
    return said()


def test_a_cancelled_export_is_made_after_all(caller: Caller) -> None:
    export = retried(caller, caller.cancel())
    assert source.read(caller.download(export).content) == source.expected("HA")


def test_a_cancelled_export_is_made_of_its_last_attempt_alone(caller: Caller, deployed: Deployed) -> None:
    export = retried(caller, caller.cancel())
    keys = deployed.keys(f"{deployed.files_of(caller)}{export['id']}/")
    assert [key.split("/")[-2] for key in keys] == ["2"]


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "SUCCEEDED"])
def test_an_export_of_another_status_is_not_tried_again(status: str, caller: Caller, deployed: Deployed) -> None:
    export_id = deployed.fabricate(caller.owner, status)
    before = deployed.records(caller.owner)
    problem = caller.call("POST", f"/exports/{export_id}/retry").problem(409, "not-retryable")
    assert status in problem["detail"]
    assert deployed.records(caller.owner) == before


def test_an_export_that_succeeded_is_not_tried_again(caller: Caller) -> None:
    caller.retry(caller.make(**DAY)).problem(409, "not-retryable")


def test_two_retries_at_the_same_moment_are_one_attempt(caller: Caller, deployed: Deployed) -> None:
    export_id, start = deployed.fabricate(caller.owner, "FAILED", failure=FAILURE), threading.Barrier(4)

    def retry(_: int) -> Answer:
        start.wait(10)
        return caller.call("POST", f"/exports/{export_id}/retry")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(retry, range(4)))
    accepted = [answer for answer in answers if answer.status == 202]
    assert accepted
    assert {answer.json["attempt"] for answer in accepted} == {2}
    assert all(answer.status == 409 for answer in answers if answer not in accepted)  # it was too late to be doubled
    assert caller.follow(accepted[0].json).end["attempt"] == 2


def test_a_retry_counts_against_the_limit(caller: Caller, deployed: Deployed) -> None:
    for _ in range(5):
        deployed.fabricate(caller.owner, "QUEUED")
    until(lambda: caller.get("/limits").json["active_exports"]["remaining"] == 0, "the limit to be reached")
    failed = deployed.fabricate(caller.owner, "FAILED", failure=FAILURE)
    answer = caller.call("POST", f"/exports/{failed}/retry")
    answer.problem(429, "too-many-active")
    assert int(answer.headers["Retry-After"]) > 0
    assert caller.get(f"/exports/{failed}").json["status"] == "FAILED"


def test_what_is_exported_cannot_be_changed(caller: Caller, deployed: Deployed) -> None:
    failed = deployed.fabricate(caller.owner, "FAILED", failure=FAILURE)
    before = deployed.records(caller.owner)
    body = {"parameters": {"from": "2013-02-01", "to": "2013-02-28"}}
    problem = caller.call("POST", f"/exports/{failed}/retry", body).problem(400, "invalid-request")
    assert [fault["detail"] for fault in problem["errors"]] == ["the body is not empty"]
    assert deployed.records(caller.owner) == before


@pytest.mark.parametrize("tenant", ["HA", "DL"], ids=["another user of the tenant", "another tenant"])
def test_nobody_else_can_retry_it(
    tenant: str, caller: Caller, deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    failed = deployed.fabricate(caller.owner, "FAILED", failure=FAILURE)
    before = deployed.records(caller.owner)
    stranger = sign_up(tenant)
    problem = stranger.call("POST", f"/exports/{failed}/retry").problem(404, "no-such-export")
    assert problem == stranger.call("POST", f"/exports/{failed[:-4]}0000/retry").json
    assert deployed.records(caller.owner) == before
