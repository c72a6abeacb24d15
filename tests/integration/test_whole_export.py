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
    assert len(expected) == 1 + ROWS
    assert cells[0] == expected[0]
    # Not one assertion of it all: a difference of two such lists takes minutes to print.
    assert len(cells) == len(expected)
    assert [pair for pair in zip(cells, expected, strict=True) if pair[0] != pair[1]][:3] == []
    assert united.end["rows"] == ROWS


def test_the_header_is_there_once_and_all_rows_are_of_the_tenant(united_file: Answer) -> None:
    header, *rows = source.read(united_file.content)
    assert header not in rows
    assert {row[header.index("Carrier")] for row in rows} == {"UA"}


def test_a_null_is_an_empty_field_and_no_quoted_text(united_file: Answer) -> None:
    cells = {cell for row in source.read(united_file.content) for cell in row}
    assert "" in cells
    assert "NA" not in cells
    assert b'""' not in united_file.content


def test_bytes_and_crc32_of_the_export_are_those_of_the_file(united: Followed, united_file: Answer) -> None:
    assert united.end["bytes"] == len(united_file.content)
    assert united.end["crc32"] == f"{zlib.crc32(united_file.content):08x}"


def test_many_parts_made_it_and_each_has_its_receipt(united: Followed, deployed: Deployed) -> None:
    total = united.end["progress"]["parts_total"]
    assert total >= 4
    assert united.end["progress"]["parts_done"] == total
    keys = deployed.keys(f"work/{united.end['id']}/")
    receipts = [deployed.read_json(key) for key in keys if "/receipts/" in key]
    assert sorted(receipt["part"] for receipt in receipts) == list(range(total))
    assert sum(receipt["rows_written"] for receipt in receipts) == ROWS
    assert len([key for key in keys if "/parts/" in key]) == total


def test_status_and_progress_never_go_back(united: Followed) -> None:
    order = ["QUEUED", "RUNNING", "SUCCEEDED"]
    stages = [order.index(export["status"]) for export in united.seen]
    assert stages == sorted(stages)
    done = [export["progress"]["parts_done"] for export in united.seen]
    assert done == sorted(done)
    assert all(each <= united.end["progress"]["parts_total"] for each in done)
    totals = {export["progress"]["parts_total"] for export in united.seen}
    assert totals - {None} == {united.end["progress"]["parts_total"]}


def test_what_was_accepted_stays_as_it_was(united: Followed) -> None:
    first, end = united.accepted, united.end
    for name in ("id", "report", "format", "parameters", "options", "created_at", "attempt"):
        assert end[name] == first[name]
    assert end["options"] == {
        "spreadsheet_safe": True,
        "bom": False,
        "delimiter": ",",
        "decimal_comma": False,
        "encoding": "utf-8",
        "header_style": "title",
        "line_ending": "lf",
        "timezone": "UTC",
    }
    assert end["created_at"] <= end["started_at"] <= end["finished_at"] < end["expires_at"]
    assert end["error"] is None


def test_links_are_absolute_and_lead_where_they_say(united: Followed, united_user: Caller) -> None:
    links = united.end["links"]
    assert links["self"] == f"{united_user.api_url}/exports/{united.end['id']}"
    assert united_user.get(links["self"]).json == united.end
    assert links["file"] == links["self"] + "/file"
    assert all(("file" in export["links"]) == (export["status"] == "SUCCEEDED") for export in united.seen)


def test_the_redirect_and_the_json_answer_lead_to_the_same_file(
    united: Followed, united_user: Caller, united_file: Answer
) -> None:
    redirect = united_user.get(united.end["links"]["file"], Accept="text/html")
    assert redirect.status == 302
    assert redirect.headers["Cache-Control"] == "no-store"
    file = http("GET", redirect.headers["Location"])
    assert file.status == 200
    assert file.content == united_file.content


def test_the_file_names_itself(united: Followed, united_user: Caller, united_file: Answer) -> None:
    name = united_user.signed(united.end)["file_name"]
    assert re.fullmatch(rf"flights-\d{{8}}-{united.end['id'][-8:]}\.csv", name)
    assert united_file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert united_file.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_the_address_is_signed_for_minutes_and_for_this_file_only(
    united: Followed, united_user: Caller, deployed: Deployed
) -> None:
    url = united_user.signed(united.end)["url"]
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert int(query["X-Amz-Expires"]) <= 300
    assert http("GET", parts._replace(query="").geturl()).status == 403
    other = parts.path.rsplit("/", 1)[0] + "/other.csv"
    assert http("GET", parts._replace(path=other).geturl()).status == 403
    if not deployed.emulated:
        assert parts.netloc == f"{deployed['bucket']}.s3.{deployed['region']}.amazonaws.com"


def test_the_record_names_the_file_and_no_work_lies_among_the_results(united: Followed, deployed: Deployed) -> None:
    found = deployed.keys("exports/UA/")
    of_this = [key for key in found if f"/{united.end['id']}/" in key]
    assert len(of_this) == 1
    assert of_this[0].split("/")[4] == str(united.end["attempt"])


def test_the_execution_ended_well_with_the_input_that_was_agreed(
    united: Followed, united_user: Caller, deployed: Deployed
) -> None:
    execution = deployed.execution(united.end)
    assert execution["status"] == "SUCCEEDED"
    agreed = {"owner": united_user.owner, "export_id": united.end["id"], "attempt": 1}
    assert json.loads(execution["input"]) == agreed
