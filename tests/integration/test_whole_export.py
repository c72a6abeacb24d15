"""United's 58,665 flights of 2013, from the request to the file."""

from __future__ import annotations

import json
import re
import urllib.parse
import zlib
from typing import TYPE_CHECKING

from tests.integration import source
from tests.integration.api import http

if TYPE_CHECKING:
    from tests.integration.api import Answer, Caller, Followed
    from tests.integration.deployed import Deployed

ROWS = 58_665


def test_the_file_equals_the_source_cell_by_cell_and_in_order(united: Followed, united_file: Answer) -> None:
    cells, expected = source.read(united_file.content), source.expected("UA")
    # Not one assertion of it all: a difference of two such lists takes minutes to print.
    assert len(cells) == len(expected) == 1 + ROWS
    assert [pair for pair in zip(cells, expected, strict=True) if pair[0] != pair[1]][:3] == []
    assert b'""' not in united_file.content, "a null is an empty field, not an empty text"
    end = united.end
    assert (end["rows"], end["bytes"]) == (ROWS, len(united_file.content))
    assert end["crc32"] == f"{zlib.crc32(united_file.content):08x}"


def test_many_parts_made_it_and_each_has_its_receipt(united: Followed, deployed: Deployed) -> None:
    total = united.end["progress"]["parts_total"]
    assert united.end["progress"]["parts_done"] == total >= 4
    keys = deployed.keys(f"work/{united.end['id']}/")
    receipts = [deployed.read_json(key) for key in keys if "/receipts/" in key]
    assert sorted(receipt["part"] for receipt in receipts) == list(range(total))
    assert sum(receipt["rows_written"] for receipt in receipts) == ROWS
    assert len([key for key in keys if "/parts/" in key]) == total
    results = [key for key in deployed.keys("exports/UA/") if f"/{united.end['id']}/" in key]
    assert [key.split("/")[4] for key in results] == [str(united.end["attempt"])]


def test_status_and_progress_never_go_back_and_what_was_accepted_stays(
    united: Followed, united_user: Caller, deployed: Deployed
) -> None:
    accepted, end, order = united.accepted, united.end, ["QUEUED", "RUNNING", "SUCCEEDED"]
    stages = [(order.index(each["status"]), each["progress"]["parts_done"]) for each in united.seen]
    assert stages == sorted(stages)
    assert stages[-1][1] == max(done for _, done in stages)
    totals = {export["progress"]["parts_total"] for export in united.seen}
    assert totals - {None} == {end["progress"]["parts_total"]}
    for name in ("id", "report", "format", "parameters", "options", "created_at", "attempt"):
        assert end[name] == accepted[name]
    assert (end["options"]["spreadsheet_safe"], end["options"]["header_style"]) == (True, "title")
    assert end["created_at"] <= end["started_at"] <= end["finished_at"] < end["expires_at"]
    assert end["error"] is None
    execution = deployed.execution(end)
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["input"]) == {"owner": united_user.owner, "export_id": end["id"], "attempt": 1}


def test_the_links_lead_to_the_export_and_to_its_file_which_names_itself(
    united: Followed, united_user: Caller, united_file: Answer
) -> None:
    links = united.end["links"]
    assert links["self"] == f"{united_user.api_url}/exports/{united.end['id']}"
    assert united_user.get(links["self"]).json == united.end
    assert links["file"] == links["self"] + "/file"
    assert all(("file" in export["links"]) == (export["status"] == "SUCCEEDED") for export in united.seen)
    redirect = united_user.get(links["file"], Accept="text/html")
    assert (redirect.status, redirect.headers["Cache-Control"]) == (302, "no-store")
    assert http("GET", redirect.headers["Location"]).content == united_file.content
    name = united_user.signed(united.end)["file_name"]
    assert re.fullmatch(rf"flights-\d{{8}}-{united.end['id'][-8:]}\.csv", name)
    assert united_file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert united_file.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_the_address_is_signed_for_minutes_and_for_this_file_only(
    united: Followed, united_user: Caller, deployed: Deployed
) -> None:
    parts = urllib.parse.urlsplit(united_user.signed(united.end)["url"])
    query = dict(urllib.parse.parse_qsl(parts.query))
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert int(query["X-Amz-Expires"]) <= 300
    other = parts.path.rsplit("/", 1)[0] + "/other.csv"
    altered = {"X-Amz-Expires": "86400", "X-Amz-Date": "20261231T235959Z", "response-content-type": "text/html"}
    for changed in (
        parts._replace(query=""),
        parts._replace(path=other),
        *(parts._replace(query=urllib.parse.urlencode(query | {name: value})) for name, value in altered.items()),
    ):
        assert http("GET", changed.geturl()).status == 403, changed
    if not deployed.emulated:
        assert http("GET", parts._replace(scheme="http").geturl()).status == 403
        assert parts.netloc == f"{deployed['bucket']}.s3.{deployed['region']}.amazonaws.com"
