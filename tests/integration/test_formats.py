"""United's flights of 2013 in every format, from the request to the file that a reader of that format reads."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
from python_calamine import CalamineWorkbook

from tests.integration import source
from tests.integration.api import flights

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Answer, Caller
    from tests.integration.deployed import Deployed

MEMORY = 1769 * 1024**2
"""What GeneratePart has."""


def text(value: Any) -> str:
    """A cell as the csv file has it."""
    if isinstance(value, datetime.datetime):
        assert value.utcoffset() == datetime.timedelta(0)
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)


def of_jsonl(content: bytes) -> list[list[str]]:
    rows = [json.loads(line) for line in content.decode("utf-8").splitlines()]
    assert all(list(row) == list(rows[0]) for row in rows)
    return [list(rows[0]), *([text(cell) for cell in row.values()] for row in rows)]


def of_parquet(content: bytes) -> list[list[str]]:
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    return [table.column_names, *([text(cell) for cell in row.values()] for row in table.to_pylist())]


def of_xlsx(content: bytes) -> list[list[str]]:
    """A spreadsheet has one kind of number, and timestamps without their zone, which is UTC."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return value.replace(tzinfo=datetime.UTC)
        if isinstance(value, datetime.date):  # how this reader gives a midnight
            return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    return [[text(plain(cell)) for cell in row] for row in sheet.to_python()]


def only_member(content: bytes) -> bytes:
    """The text of a gzip file, which must be one member."""
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    found = stream.decompress(content)
    assert (stream.eof, stream.unused_data) == (True, b"")
    assert gzip.decompress(content) == found
    return found


# The extension, what is asked for beside the defaults, the Content-Type, and how the file is read. Every cell of csv is
# compared in test_whole_export.py; jsonl.gz is of the writers of jsonl and csv.gz (tests/unit/formats/test_gzip.py).
FORMATS: dict[str, tuple[str, dict[str, Any], str, Callable[[bytes], list[list[str]]]]] = {
    "csv.gz": (
        "csv.gz",
        {"header_style": "name"},
        "application/gzip",
        lambda content: source.read(only_member(content)),
    ),
    "jsonl": ("jsonl", {}, "application/jsonl", of_jsonl),
    "parquet": ("parquet", {}, "application/vnd.apache.parquet", of_parquet),
    "xlsx": (
        "xlsx",
        {"header_style": "name"},
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        of_xlsx,
    ),
}


def request(caller: Caller, name: str, options: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer = caller.post(flights(**parameters) | {"format": name, "options": options})
    export = caller.follow(answer.json).end
    assert export["status"] == "SUCCEEDED", export
    return export


def saved(caller: Caller, export: dict[str, Any]) -> Answer:
    """The file, which must be what the export says of it."""
    file = caller.download(export)
    assert len(file.content) == export["bytes"]
    assert f"{zlib.crc32(file.content):08x}" == export["crc32"]
    assert "Content-Encoding" not in file.headers
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_the_file_holds_every_cell_of_the_source_in_order(
    name: str, sign_up: Callable[[str], Caller], deployed: Deployed
) -> None:
    extension, options, content_type, read = FORMATS[name]
    caller = sign_up("UA")
    export = request(caller, name, options)
    file = saved(caller, export)
    assert file.headers["Content-Type"] == content_type
    assert file.headers["Content-Disposition"].endswith(f'-{export["id"][-8:]}.{extension}"')
    _, *expected = source.expected("UA")
    header, *cells = read(file.content)
    assert header == list(source.TITLES)
    assert len(cells) == len(expected) == export["rows"]
    assert [pair for pair in zip(cells, expected, strict=True) if pair[0] != pair[1]][:3] == []
    assert export["progress"]["parts_total"] >= 4
    for key in deployed.keys(f"work/{export['id']}/"):
        if "/receipts/" in key:
            receipt = deployed.read_json(key)
            assert receipt["bytes_read"] > 0, "what was fetched of the source was counted"
            assert 0 < receipt["peak_memory_bytes"] < MEMORY


def test_the_options_of_csv_are_those_that_were_asked_for(caller: Caller) -> None:
    options = {"delimiter": ";", "header_style": "none", "timezone": "America/New_York", "bom": True}
    export = request(caller, "csv", options, first="2013-01-01", last="2013-01-01")
    unchanged = {"spreadsheet_safe": True, "decimal_comma": False, "encoding": "utf-8", "line_ending": "lf"}
    assert export["options"] == unchanged | options
    content = saved(caller, export).content
    assert content.startswith(b"\xef\xbb\xbf")
    [row] = csv.reader(io.StringIO(content[3:].decode(), newline=""), delimiter=";")
    [expected] = source.expected("HA", lambda row: source.date(row) == "2013-01-01")[1:]
    instant = datetime.datetime.fromisoformat(row[-1])
    assert instant == datetime.datetime.fromisoformat(expected[-1])
    assert instant.utcoffset() == datetime.timedelta(hours=-5)
    assert row[:-1] == expected[:-1]
