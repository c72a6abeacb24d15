"""What fails for good ends FAILED, says why, is announced, and leaves a letter for the operators; nothing else."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.integration.source import parquet, some_flights, with_damaged_pages

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed


def with_text_for_numbers(_: bytearray) -> bytes:
    changed = io.BytesIO()
    some_flights().with_columns(pl.col("distance").cast(pl.String)).write_parquet(changed)
    return changed.getvalue()


# A file, in a year of its own: far from every other request, and after all other files of the dataset.
CASES: dict[str, tuple[int, Callable[[bytearray], bytes], str, int | None, str, str, str]] = {
    "broken pages": (
        *(2099, with_damaged_pages, "GeneratePart", 0),
        *("SourceUnreadable", "A source file cannot be read", "Replace the file"),
    ),
    "text where numbers are declared": (
        *(2097, with_text_for_numbers, "PlanParts", None),
        *("ColumnMismatch", "The report does not match its data", "Correct the column"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_source_fails_the_export_in_every_sight(
    name: str, deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    year, damage, state, part, type_, title, remedy = CASES[name]
    caller = sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path = f"flights/year={year}/month=1/{uuid.uuid4().hex}.parquet"
    content = damage(parquet(caller.tenant))
    with deployed.listening(caller.owner) as announcements, deployed.source_file(path, content) as key:
        export = caller.follow(caller.request(first=f"{year}-01-01", last=f"{year}-01-31")).end
        announced = announcements.of(export)

    assert export["status"] == "FAILED"
    error = export["error"]
    assert set(error) == {"type", "title", "detail", "state", "part", "retryable", "remedy"}
    assert (error["type"], error["state"], error["part"]) == (type_, state, part)
    assert error["title"] == title
    assert ("[hidden]" if type_ == "SourceUnreadable" else "column distance") in error["detail"]
    assert key not in json.dumps(error)
    assert error["retryable"] is False
    assert remedy in error["remedy"]
    assert (export["rows"], export["bytes"], export["crc32"], export["expires_at"]) == (None,) * 4
    assert export["finished_at"] > export["created_at"]
    assert "file" not in export["links"]

    caller.get(f"/exports/{export['id']}/file").problem(409, "not-ready")
    assert deployed.keys(deployed.files_of(caller)) == []
    assert caller.get("/limits").json["active_exports"]["used"] == 0

    execution = deployed.execution(export)
    assert (execution["status"], execution["error"]) == ("FAILED", type_)
    letter = deployed.letter(export["id"])
    assert (letter["owner"], letter["attempt"]) == (caller.owner, 1)
    assert letter["execution_arn"] == execution["executionArn"]
    failure = {"type": type_, "state": state, "part": "" if part is None else str(part)}
    assert letter["failure"] == failure | {"error": letter["failure"]["error"]}
    known = json.loads(json.loads(letter["failure"]["error"])["Cause"])["errorMessage"]
    assert key in known if type_ == "SourceUnreadable" else known == error["detail"]

    assert [event["detail-type"] for event in announced] == ["Export Failed"]
    detail = announced[0]["detail"]
    assert detail["key"] == f"{export['id']}/1/FAILED"
    assert detail["failure"] == failure
    assert (detail["owner"], detail["report"], detail["format"]) == (caller.owner, "flights", "csv")
    assert (detail["status"], detail["finished_at"]) == ("FAILED", export["finished_at"])


def test_a_success_is_announced_once_and_leaves_no_letter(caller: Caller, deployed: Deployed) -> None:
    with deployed.listening(caller.owner) as announcements:
        export = caller.make(first="2013-01-01", last="2013-01-02")
        announcements.of(export)
        announced = [event for event in announcements.receive() if event["detail"].get("export_id") == export["id"]]
    assert {(event["source"], event["detail-type"]) for event in announced} == {("report-exports", "Export Succeeded")}
    detail = announced[0]["detail"]
    assert (detail["owner"], detail["key"]) == (caller.owner, f"{export['id']}/1/SUCCEEDED")
    assert detail["finished_at"] == export["finished_at"]
    assert detail["failure"] == {"state": "", "type": "", "part": ""}
    if deployed.emulated:  # AWS delivers at least once
        assert len(announced) == 1
    assert deployed.find_letter(export["id"]) is None
