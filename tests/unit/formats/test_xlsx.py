"""Format xlsx: what each cell holds, by the letter of ECMA-376 and by independent readers, however it was divided."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import openpyxl
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter
from python_calamine import CalamineWorkbook

from shared.errors import TextTooLong
from shared.files.formats import FORMATS, archive, sheet, workbook, xlsx
from shared.files.segments import Literal, Range, measure
from tests.unit.formats.support import DIVIDED, KINDS, TYPES, WORK, Divided, frame, make, make_of, plan, same, whole

NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EPOCH = datetime.datetime(1899, 12, 30)
FIRST = datetime.datetime(1900, 3, 1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Adelaide"]
"""Since 1900 their offsets have whole minutes."""


class Cell(NamedTuple):
    """What stands in a cell: ``kind`` is number, text, boolean or empty."""

    kind: str
    text: str = ""
    style: int = workbook.GENERAL


def sheets(content: bytes) -> dict[str, list[list[Cell]]]:
    """The rows of each sheet, by its name; the file must be a sound archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        names = [each.attrib["name"] for each in ElementTree.fromstring(opened.read("xl/workbook.xml"))[0]]
        paths = [workbook.sheet_path(number) for number in range(1, len(names) + 1)]
        listed = ["[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"]
        assert opened.namelist() == [*listed, "xl/styles.xml", *paths]
        return {name: list(rows(opened.read(path))) for name, path in zip(names, paths, strict=True)}


def rows(xml: bytes) -> Iterator[list[Cell]]:
    """The cells of each row; their references, where they have some, must be those of their places."""
    for number, row in enumerate(ElementTree.fromstring(xml).iter(f"{NAMESPACE}row"), start=1):
        places = [f"{get_column_letter(at)}{number}" for at in range(1, len(row) + 1)]
        placed = [each.attrib.pop("r", None) for each in row]
        assert (row.attrib, placed) in [({"r": str(number)}, places), ({}, [None] * len(row))]
        yield [cell(each) for each in row]


def cell(found: ElementTree.Element) -> Cell:
    style = int(found.attrib.get("s", 0))
    if not len(found):
        assert not found.attrib
        return Cell("empty")
    if found.attrib.get("t") == "inlineStr":
        text = found[0][0].text or ""
        return Cell("text", re.sub("_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code[1], 16)), text), style)
    return Cell("boolean" if found.attrib.get("t") == "b" else "number", found[0].text or "", style)


def rows_by_calamine(content: bytes) -> list[list[Any]]:
    """The rows of the first sheet, as calamine reads them."""
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def only_sheet(content: bytes) -> list[list[Cell]]:
    """The rows of the only sheet, without its header."""
    (found,) = sheets(content).values()
    return found[1:]


def text_cell(text: str) -> Cell:
    """The cell of a text: one with line breaks shows all its lines."""
    return Cell("text", text, workbook.WRAPPED if "\n" in text else workbook.GENERAL)


def fits(value: Any, text: str, kind: str, zone: str, found: Cell) -> bool:
    """Whether a cell holds a value, whose text in csv is known, as docs/formats.md says."""
    if value is None:
        return found == Cell("empty")
    match KINDS[kind].declared:
        case "string" | "json":
            return found == text_cell(text)
        case "boolean":
            return found == Cell("boolean", str(int(value)))
        case "integer":
            return found == Cell("number" if abs(value) < 10**15 else "text", text)
        case "number" if not math.isfinite(value):
            return found == Cell("text", text.replace("inf", "Infinity"))
        case "number":
            number = value == 0 or 2.2250738585072014e-308 <= abs(value) <= 9.99999999999999e307
            return found.kind == ("number" if number else "text") and same(float(found.text), float(text))
        case "decimal":
            few = len(decimal.Decimal(text.rstrip("0")).as_tuple().digits) <= 15
            style = workbook.decimal_style(KINDS[kind].dtype.scale) if few else workbook.GENERAL
            written = (found.kind, found.style, decimal.Decimal(found.text))
            return written == ("number" if few else "text", style, decimal.Decimal(text))
        case "time":
            return shown(datetime.datetime.combine(EPOCH, value), found, workbook.TIME, workbook.TIME_MS)
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    out_of_range = text.endswith("Z") and zone != "UTC"  # no day of the years 1 to 9999 in that zone
    if moment < FIRST or out_of_range:
        return found == Cell("text", text)
    if KINDS[kind].declared == "date":
        return found == Cell("number", str((moment - EPOCH).days), workbook.DATE)
    return shown(moment, found, workbook.TIMESTAMP, workbook.TIMESTAMP_MS)


def shown(moment: datetime.datetime, found: Cell, whole: int, exact: int) -> bool:
    """Whether a cell holds a moment cut to the millisecond, in a style that shows it."""
    millis = (moment - EPOCH) // datetime.timedelta(milliseconds=1)
    style = exact if millis % 1000 else whole
    return (found.kind, found.style) == ("number", style) and round(float(found.text) * 86_400_000) == millis


@given(DIVIDED, st.sampled_from(ZONES), st.booleans())
def test_every_cell_holds_its_value_however_the_rows_were_divided(divided: Divided, zone: str, placed: bool) -> None:
    values, parts = divided
    file = make("xlsx", parts, TYPES, placed=placed, timezone=zone)
    lines = whole("csv", frame(values), TYPES, spreadsheet_safe=False, timezone=zone, header_style="none").decode()
    wrong = [
        (row[name], name, there)
        for row, cells, texts in zip(values, only_sheet(file.content), csv.reader(io.StringIO(lines)), strict=True)
        for name, there, text in zip(KINDS, cells, texts, strict=True)
        if not fits(row[name], text, name, zone, there)
    ]
    assert wrong == []
    assert measure(file.segments) == (len(file.content), zlib.crc32(file.content))
    assert make("xlsx", parts, TYPES, placed=placed, timezone=zone).content == file.content


@pytest.mark.parametrize("few", [True, False], ids=["few different texts", "many"])
def test_texts_are_the_same_whether_they_are_looked_up_or_written_anew(few: bool) -> None:
    special = ["", " a", "a ", "a\nb", "_x0041_", "_x0041_x0042_", "<&>", "\x00", "=1", "😀", None]
    filling = [f"text {0 if few else number}" for number in range(500 * len(special))]
    texts = [each for pair in zip(special * 500, filling, strict=True) for each in pair]
    found = only_sheet(whole("xlsx", pl.DataFrame({"s": texts}), {"s": "string"}))
    assert [Cell("empty") if text is None else text_cell(text) for text in texts] == [row[0] for row in found]


def test_a_column_is_judged_once_however_many_batches_it_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    judge = sheet._Few
    monkeypatch.setattr(sheet, "_Few", lambda column: made.append(column.name) or judge(column))
    rows, batch = sheet.Rows("UTC"), pl.DataFrame({"a": ["x", "y"], "b": ["z", None]})
    for _ in range(3):
        for _, xml in rows.xml(batch, [2]):
            xml.release()
    assert made == ["a", "b"]


LAST = datetime.time(23, 59, 59, 999999)


@pytest.mark.parametrize(("kind", "moment"), [("time", LAST), ("timestamp", datetime.datetime.combine(FIRST, LAST))])
def test_the_last_moment_of_a_day_does_not_become_the_next_day(kind: str, moment: Any) -> None:
    content = whole("xlsx", pl.DataFrame({"at": [moment]}), {"at": kind})
    cut = moment.replace(microsecond=999_000)
    found = openpyxl.load_workbook(io.BytesIO(content)).active["A2"]
    assert (found.value, found.number_format[-12:]) == (cut, "hh:mm:ss.000")
    assert rows_by_calamine(content)[1] == [cut]


def test_a_title_may_hold_any_character() -> None:
    titles = ["Comment\x0b(internal)", "a\x00b\r", "_x000D_", "_x0041_x0042_", "<&>", " \n "]
    content = make("xlsx", [], dict.fromkeys(titles, "string"), header_style="name").content
    ((header,),) = sheets(content).values()
    assert [cell.text for cell in header] == titles
    assert rows_by_calamine(content) == [titles]


@pytest.mark.parametrize("letter", ["x", "😀"])
def test_a_text_that_a_cell_just_holds_is_whole_and_a_longer_one_is_refused_and_not_cut(letter: str) -> None:
    longest = letter * (32_767 // (len(letter.encode("utf-16-le")) // 2))
    assert only_sheet(whole("xlsx", pl.DataFrame({"s": [longest]}), {"s": "string"})) == [[Cell("text", longest)]]
    for often in (1, 4):
        with pytest.raises(TextTooLong, match="column s has 32768 characters; a spreadsheet cell holds at most 32767"):
            whole("xlsx", pl.DataFrame({"s": [longest + letter] * often}), {"s": "string"})


def test_no_rows_are_a_sheet_with_its_header() -> None:
    for parts in ([], [[]], [[pl.DataFrame({"s": []}, schema={"s": pl.String})]]):
        (found,) = sheets(make("xlsx", parts, {"s": "string"}).content).values()
        assert found == [[Cell("text", 'Title, "s"', workbook.HEADER)]]


def test_columns_have_room_for_what_is_in_them_and_a_text_with_line_breaks_is_wrapped() -> None:
    texts = {"short": ["a", " padded "], "long": ["x" * 30, "one\ntwo"], "longest": ["x" * 500, None]}
    types = dict.fromkeys(texts, "string") | {"day": "date"}
    held = pl.DataFrame(texts | {"day": [None, datetime.date(2024, 1, 1)]})
    sheet = openpyxl.load_workbook(io.BytesIO(whole("xlsx", held, types, header_style="name"))).active
    assert [each.width for each in sheet.column_dimensions.values()] == [10, 32, 60, 12]
    assert [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.alignment.wrap_text] == ["B3"]
    assert sheet.freeze_panes == "A2"
    assert [each.font.b for each in sheet[1]] == [True] * 4


FORMATTED = {
    **{
        f"currency {code}": rf"[${code}]\ #,##0{cents}"
        for code, cents in {"EUR": ".00", "JPY": "", "KWD": ".000"}.items()
    },
    "percent": "0.00%",
    **{each: each for each in ("0", "#,##0", "0.0%", "#,##0.000")},
}


@pytest.mark.parametrize(
    ("kind", "values", "dtype"),
    [
        ("integer", [1, 10**15, None], pl.Int64),
        ("number", [0.5, math.nan, None], pl.Float64),
        ("decimal", [decimal.Decimal("1.50"), decimal.Decimal("100000000000000.01"), None], pl.Decimal(38, 2)),
    ],
)
def test_a_column_is_shown_as_the_report_says_but_where_a_number_must_be_text(
    kind: str, values: list[Any], dtype: Any
) -> None:
    """Each part by itself; a format that is there twice is one style."""
    names = {f"c{at}": asked for at, asked in enumerate([*FORMATTED, "percent"])}
    wanted = plan("xlsx", dict.fromkeys(names, kind) | {"plain": kind})
    for column in wanted["definition"]["columns"][:-1]:
        column["format"] = names[column["name"]]
    rows = pl.DataFrame({name: pl.Series(values, dtype=dtype) for name in [*names, "plain"]})
    content = make_of("xlsx", wanted, [[rows[:1]], [rows[1:]]]).content
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    plain = "#,##0.00" if kind == "decimal" else "General"
    assert [cell.number_format for cell in sheet[2]] == [*FORMATTED.values(), "0.00%", plain]
    assert {cell.number_format for row in (3, 4) for cell in sheet[row]} == {"General"}
    assert {cell.data_type for cell in sheet[3]} == {"s"}


def test_a_format_for_spreadsheets_changes_no_other_file() -> None:
    for name in set(FORMATS) - {"xlsx"}:
        wanted, rows = plan(name, {"n": "integer"}), [[pl.DataFrame({"n": [1]})]]
        before = make_of(name, wanted, rows).content
        wanted["definition"]["columns"][0]["format"] = "percent"
        assert make_of(name, wanted, rows).content == before


def test_a_thousand_columns_have_their_references_and_a_long_head() -> None:
    wide = pl.DataFrame({f"c{number}": [number, None] for number in range(1_000)})
    found = only_sheet(whole("xlsx", wide, dict.fromkeys(wide.columns, "integer")))
    assert found == [[Cell("number", str(number)) for number in range(1_000)], [Cell("empty")] * 1_000]
    assert workbook.column_name(16_383) == "XFD"


# Sheets, whose limits are shown with fragments that were never made


def laid_out(*blocks: list[int]) -> list[Any]:
    """The layout of parts whose blocks have so many rows, all of them the same few bytes."""
    fragments = [
        {"head": {"bytes": 0, "crc32": 0}, "blocks": [[rows, 100, 7, 10, 9] for rows in part], "widths": [5]}
        for part in blocks
    ]
    receipts: Any = [
        {"part": number, "etag": "e", "bytes": 10 * len(part["blocks"]), "crc32": 1, "fragment": part}
        for number, part in enumerate(fragments)
    ]
    return FORMATS["xlsx"].layout(plan("xlsx", {"s": "string"}), WORK, receipts)


@pytest.mark.parametrize(
    ("total", "count"), [(1_048_574, 1), (1_048_575, 1), (1_048_576, 2), (1_048_577, 2), (3 * 1_048_575, 4)]
)
def test_a_new_sheet_begins_before_a_block_that_would_not_fit(total: int, count: int) -> None:
    blocks = [16_384] * (total // 16_384) + [total % 16_384] * bool(total % 16_384)
    segments = laid_out(blocks)
    text = b"".join(segment.data for segment in segments if isinstance(segment, Literal))
    assert text.count(b"<sheet name=") == count
    ranges = [segment for segment in segments if isinstance(segment, Range)]
    assert sum(each.size for each in ranges) == 10 * len(blocks)
    assert [each.start for each in ranges] == [sum(before.size for before in ranges[:at]) for at in range(count)]


def test_a_part_is_copied_whole_where_no_sheet_ends_in_it() -> None:
    segments = laid_out([5, 6], [], [7])
    ranges = [(each.key, each.start, each.size) for each in segments if isinstance(each, Range)]
    assert ranges == [(WORK.part_key(0), 0, 20), (WORK.part_key(2), 0, 10)]


def test_the_first_part_begins_as_the_file_does_so_that_s3_copies_it_whole() -> None:
    rows = pl.DataFrame({"s": ["a", "bc"]})
    file = make("xlsx", [[rows], [rows]], {"s": "string"})
    first, second, *rest = file.segments
    assert [first, second] == [Range.of(WORK, each) for each in file.receipts]
    assert all(isinstance(each, Literal) for each in rest)
    assert sum(each.size for each in rest) < 600, "the directory"
    assert [each[0].text for each in only_sheet(file.content)] == ["a", "bc"] * 2


def test_where_the_file_begins_otherwise_the_first_part_gives_its_rows_only() -> None:
    """Its head was made as wide as its own rows are."""
    none, rows = pl.DataFrame(schema={"s": pl.String}), pl.DataFrame({"s": ["x" * 30]})
    file = make("xlsx", [[none], [rows]], {"s": "string"})
    assert [each.key for each in file.segments if isinstance(each, Range)] == [WORK.part_key(1)]
    assert openpyxl.load_workbook(io.BytesIO(file.content)).active.column_dimensions["A"].width == 32
    assert only_sheet(file.content) == [[Cell("text", "x" * 30)]]


@pytest.mark.parametrize("placed", [True, False], ids=["known", "not known"])
def test_the_first_part_begins_a_file_of_several_sheets_where_their_rows_are_known(
    placed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    file = make("xlsx", [[pl.DataFrame({"s": ["x" * 30]})]] * 3, {"s": "string"}, placed=placed)
    copied = [(each.key, each.start) for each in file.segments if isinstance(each, Range)]
    assert copied == [(WORK.part_key(part), 0) for part in range(3)]
    assert isinstance(file.segments[0], Range) == placed
    assert [len(each) for each in sheets(file.content).values()] == [3, 2]


@pytest.mark.parametrize("title", ["Flights", "Bob's & <Co>"])
def test_every_sheet_can_be_filtered(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    wanted = plan("xlsx", {"a": "integer", "b": "integer"})
    wanted["definition"]["title"] = title
    content = make_of("xlsx", wanted, [[pl.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})]]).content
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert [sheet.auto_filter.ref for sheet in book.worksheets] == ["A1:B3", "A1:B2"]
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        names = list(ElementTree.fromstring(opened.read("xl/workbook.xml")).iter(f"{NAMESPACE}definedName"))
    quoted = title.replace("'", "''")
    assert [(each.attrib["name"], each.attrib["localSheetId"], each.text) for each in names] == [
        ("_xlnm._FilterDatabase", str(at), f"'{quoted} {at + 1}'!$A$1:$B${rows}") for at, rows in enumerate((3, 2))
    ]


@given(
    parts=st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=4),
    room=st.integers(1, 7),
    block=st.integers(1, 5),
)
def test_a_sheet_is_full_before_the_next_begins_however_the_rows_were_divided(
    parts: list[list[int]], room: int, block: int
) -> None:
    """Where parts know their places. The parser compares each reference with where the cell stands."""
    total = sum(map(sum, parts))
    values = iter(range(total))
    frames = [[pl.DataFrame({"n": [*islice(values, rows)]}, {"n": pl.Int64}) for rows in batches] for batches in parts]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(xlsx, "MAX_ROWS", room + 1)
        patched.setattr(xlsx, "_BLOCK_ROWS", block)
        found = list(sheets(make("xlsx", frames, {"n": "integer"}).content).values())
    assert [len(rows) - 1 for rows in found] == [min(room, total - at) for at in range(0, max(total, 1), room)]
    assert [row[0].text for rows in found for row in rows[1:]] == [str(number) for number in range(total)]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Flights", "Flights"),
        ("a/b\\c?d*e[f]g:h", "a b c d e f g h"),
        ("'quoted'", "quoted"),
        ("x" * 40, "x" * 29),
        ("😀" * 20, "😀" * 14),
        ("???", "Data"),
        ("tab\tand\nline", "tab and line"),
    ],
)
def test_sheets_have_names_that_excel_takes(title: str, name: str) -> None:
    assert [workbook.sheet_name(title, number, 2) for number in (1, 2)] == [f"{name} 1", f"{name} 2"]


@given(st.text(max_size=60), st.integers(1, 12))
def test_any_title_becomes_a_name(title: str, sheets: int) -> None:
    found = [workbook.sheet_name(title, number, sheets) for number in range(1, sheets + 1)]
    assert len(set(found)) == sheets
    for name in found:
        assert 1 <= len(name.encode("utf-16-le")) // 2 <= 31
        assert not set(name) & set("\\/?*[]:\0\n\t")
        assert not {name[0], name[-1]} & {"'"}


# The archive


@pytest.mark.parametrize("follows", [False, True], ids=["sizes before", "sizes after, but for the large"])
def test_an_archive_beyond_4_gib_says_so_in_zip64(follows: bool, tmp_path: Path) -> None:
    """Its large entries are holes in a file, whose directory and local headers python's zipfile reads."""
    made, size = archive.Archive(), 5 * 1024**3
    hole = Range("part", "e", 0, size, size, 5)
    made.add("large", archive.Content((hole,), 2 * size, 99), follows=follows)
    made.add("small", archive.Content.stored(b"abc"))
    made.add("larger", archive.Content((hole,), 10, 98))
    segments = made.close()

    end = segments[-1].data  # type: ignore[union-attr]
    assert struct.unpack_from("<Q", end, end.index(b"PK\x06\x06") + 4) == (44,), "the rest of its record (4.3.14)"
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        for segment in segments:
            if isinstance(segment, Literal):
                file.write(segment.data)
            else:
                file.seek(segment.size, io.SEEK_CUR)
    with zipfile.ZipFile(path) as opened:
        found = {each.filename: (each.file_size, each.compress_size, each.header_offset) for each in opened.infolist()}
        assert opened.read("small") == b"abc"
    *larger, offset = found.pop("larger")
    assert found == {"large": (2 * size, size, 0), "small": (3, 3, segments[0].size + size)}
    assert larger == [10, size]
    assert offset > 4 * 1024**3


PATHS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=5)


@given(st.dictionaries(PATHS, st.binary(max_size=50), max_size=4))
def test_an_archive_holds_what_was_put_in_it(entries: dict[str, bytes]) -> None:
    made = archive.Archive()
    for number, (path, data) in enumerate(entries.items()):
        made.add(path, archive.Content.stored(data), follows=bool(number % 2))
    content = b"".join(segment.data for segment in made.close() if isinstance(segment, Literal))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        assert [(each.filename, opened.read(each)) for each in opened.infolist()] == list(entries.items())
