"""What failed or was cancelled is made by another attempt, which makes only what is missing."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.integration import source
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

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
    [record] = deployed.records(caller.owner)
    same = {name: record[name] for name in ("export_id", "parameters", "options", "file_name")}
    deployed.fabricate(caller.owner, "FAILED", **same, failure=FAILURE)
    failed = caller.get(made["links"]["self"]).json
    assert (failed["status"], failed["progress"]) == ("FAILED", {"parts_done": total - 1, "parts_total": total})

    end = retried(caller, failed)
    assert (end["rows"], end["crc32"]) == (made["rows"], made["crc32"])
    assert caller.download(end).content == content

    def said() -> Counter[str]:
        """What GeneratePart said of the parts, since the attempt began."""
        lines = deployed.log_lines("generate-part", end["started_at"])
        return Counter(line["message"] for line in lines if line.get("correlation_id") == end["id"])

    until(lambda: said().total() >= total, "the log lines of every part")
    assert said() == {"part made": 1, "part already made": total - 1}


def test_a_cancelled_export_is_made_after_all_by_its_last_attempt_alone(caller: Caller, deployed: Deployed) -> None:
    export = retried(caller, caller.cancel())
    assert source.read(caller.download(export).content) == source.expected("HA")
    keys = deployed.keys(f"{deployed.files_of(caller)}{export['id']}/")
    assert [key.split("/")[-2] for key in keys] == ["2"]
    caller.retry(export).problem(409, "not-retryable")
