"""Format xlsx: what each cell holds, by the letter of ECMA-376 and by independent readers, however it was divided."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import math
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import openpyxl
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter
from python_calamine import CalamineWorkbook

from shared.errors import TextTooLong
from shared.files.formats import FORMATS, archive, sheet, workbook, xlsx
from shared.files.segments import Literal, Range, measure
from tests.unit.formats.support import KINDS, ROWS, TYPES, WORK, frame, make, make_of, plan, same, splits, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EPOCH = datetime.datetime(1899, 12, 30)
FIRST = datetime.datetime(1900, 3, 1)
MILLISECOND = datetime.timedelta(milliseconds=1)
LAST_YEAR = 2099
"""The engine knows no summer time after it."""
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]


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


def fits(value: Any, kind: str, zone: str, found: Cell) -> bool:
    """Whether a cell holds a value as docs/formats.md says."""
    if value is None:
        return found == Cell("empty")
    dtype = KINDS[kind].dtype
    if KINDS[kind].declared == "string":
        return found == text_cell(value)
    if KINDS[kind].declared == "json":
        return found.kind == "text"  # the text is that of csv: see below
    if isinstance(value, bool):
        return found == Cell("boolean", str(int(value)))
    if isinstance(value, int):
        return found == Cell("number" if abs(value) < 10**15 else "text", str(value))
    if isinstance(value, float):
        return float_fits(value, found, single=dtype == pl.Float32)
    if isinstance(value, decimal.Decimal):
        digits = len(value.as_tuple().digits) - trailing_zeros(value)
        few = digits <= 15
        style = workbook.decimal_style(dtype.scale) if few else workbook.GENERAL
        there = decimal.Decimal(found.text) == value
        return (found.kind, found.style) == ("number" if few else "text", style) and there
    if isinstance(value, datetime.datetime):
        return moment_fits(value, kind, zone, found)
    if isinstance(value, datetime.date):
        if value < FIRST.date():
            return found == Cell("text", value.isoformat())
        return found == Cell("number", str((value - EPOCH.date()).days), workbook.DATE)
    since = datetime.datetime.combine(EPOCH, value) - EPOCH
    return shown(since, found, workbook.TIME, workbook.TIME_MS)


def shown(since: datetime.timedelta, found: Cell, whole: int, exact: int) -> bool:
    """Whether a cell holds a moment cut to the millisecond, in a style that shows it."""
    millis = since // MILLISECOND
    style = exact if millis % 1000 else whole
    return (found.kind, found.style) == ("number", style) and round(float(found.text) * 86_400_000) == millis


def trailing_zeros(value: decimal.Decimal) -> int:
    """Zeros at the end of the digits after the point."""
    text = f"{value:f}"
    return len(text) - len(text.rstrip("0")) if "." in text else 0


def float_fits(value: float, found: Cell, *, single: bool) -> bool:
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    if math.isnan(value) or value in words:
        return found == Cell("text", words.get(value, "NaN"))
    number = value == 0 or 2.2250738585072014e-308 <= abs(value) <= 9.99999999999999e307
    read = pl.Series([float(found.text)]).cast(pl.Float32).item() if single else float(found.text)
    return found.kind == ("number" if number else "text") and same(read, value)


def moment_fits(value: datetime.datetime, kind: str, zone: str, found: Cell) -> bool:
    try:
        local = value
        if kind != "local":
            local = value.replace(tzinfo=datetime.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    except OverflowError:  # not a day of the years 1 to 9999 there
        return found.kind == "text"
    if local < FIRST:
        return found.kind == "text"
    if local.year > LAST_YEAR and zone != "UTC" and kind != "local":
        return found.kind == "number"
    return shown(local - EPOCH, found, workbook.TIMESTAMP, workbook.TIMESTAMP_MS)


@settings(max_examples=60)
@given(
    st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))),
    st.sampled_from(ZONES),
    st.booleans(),
)
def test_every_cell_holds_its_value_however_the_rows_were_divided(
    given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]], zone: str, placed: bool
) -> None:
    values, parts = given
    file = make("xlsx", parts, TYPES, placed=placed, timezone=zone)
    found = only_sheet(file.content)
    wrong = [
        (row[name], name, there)
        for row, cells in zip(values, found, strict=True)
        for (name, there) in zip(KINDS, cells, strict=True)
        if not fits(row[name], name, zone, there)
    ]
    assert wrong == []
    assert measure(file.segments) == (len(file.content), zlib.crc32(file.content))
    assert make("xlsx", parts, TYPES, placed=placed, timezone=zone).content == file.content


@settings(max_examples=30)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_lists_and_structs_are_the_text_that_csv_has(values: list[dict[str, Any]]) -> None:
    nested = {name: kind for name, kind in TYPES.items() if kind == "json"}
    held = frame(values).select(list(nested))
    text = csv.reader(io.StringIO(whole("csv", held, nested, spreadsheet_safe=False, header_style="none").decode()))
    assert [[each.text for each in row] for row in only_sheet(whole("xlsx", held, nested))] == list(text)


def test_the_cells_are_those_of_the_values_alone_not_of_their_neighbours() -> None:
    """One value that must be text changes nothing of the others in its column."""
    column = pl.Series("whole", [1, 10**15, 2, -(10**15), 3])
    alone = [only_sheet(whole("xlsx", pl.DataFrame([column[at : at + 1]]), {"whole": "integer"}))[0] for at in range(5)]
    assert only_sheet(whole("xlsx", column.to_frame(), {"whole": "integer"})) == alone
    assert [row[0].kind for row in alone] == ["number", "text", "number", "text", "number"]


@pytest.mark.parametrize("few", [True, False], ids=["few different texts", "many"])
def test_texts_are_the_same_whether_they_are_looked_up_or_written_anew(few: bool) -> None:
    special = ["", " a", "a ", "a\nb", "_x0041_", "_x0041_x0042_", "<&>", "\x00", "=1", "😀", None]
    filling = [f"text {0 if few else number}" for number in range(500 * len(special))]
    texts = [each for pair in zip(special * 500, filling, strict=True) for each in pair]
    found = only_sheet(whole("xlsx", pl.DataFrame({"s": texts}), {"s": "string"}))
    assert [Cell("empty") if text is None else text_cell(text) for text in texts] == [row[0] for row in found]


def test_a_column_is_judged_once_however_many_batches_it_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Counted(sheet._Few):
        def __init__(self, column: pl.Series) -> None:
            made.append(column.name)
            super().__init__(column)

    monkeypatch.setattr(sheet, "_Few", Counted)
    rows, batch = sheet.Rows("UTC"), pl.DataFrame({"a": ["x", "y"], "b": ["z", None]})
    for _ in range(3):
        for _, xml in rows.xml(batch, [2]):
            xml.release()
    assert made == ["a", "b"]


def test_independent_readers_find_the_same() -> None:
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
    held = pl.DataFrame(
        {
            "s": ["=1+1", " a\nb "],
            "n": [1, None],
            "x": [0.1, -2.5],
            "day": [day, None],
            "at": [moment, None],
            "b": [True, None],
        }
    )
    types = {"s": "string", "n": "integer", "x": "number", "day": "date", "at": "timestamp", "b": "boolean"}
    content = whole("xlsx", held, types, header_style="name")
    assert rows_by_calamine(content) == [
        list(types),
        ["=1+1", 1.0, 0.1, day, moment, True],
        [" a\nb ", "", -2.5, "", "", ""],
    ]
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet.freeze_panes == "A2"
    assert [each.font.b for each in sheet[1]] == [True] * 6
    midnight = datetime.datetime(2024, 2, 29)
    assert [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)] == [
        ["=1+1", 1, 0.1, midnight, moment, True],
        [" a\nb ", None, -2.5, None, None, None],
    ]
    assert sheet["A2"].data_type == "s", "a text, no formula"
    formats = [sheet.cell(2, column).number_format for column in (4, 5)]
    assert formats == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000"]
    frame_ = pd.read_excel(io.BytesIO(content), engine="openpyxl")
    assert frame_["s"].tolist() == ["=1+1", " a\nb "]


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


@pytest.mark.parametrize("text", ["x" * 32_767, "😀" * 16_383, "é" * 32_767])
def test_a_text_that_a_cell_just_holds_is_whole(text: str) -> None:
    assert only_sheet(whole("xlsx", pl.DataFrame({"s": [text]}), {"s": "string"})) == [[Cell("text", text)]]


@pytest.mark.parametrize(("text", "length"), [("x" * 32_768, 32_768), ("😀" * 16_384, 32_768)])
@pytest.mark.parametrize("often", [1, 4])
def test_a_text_that_is_too_long_for_a_cell_is_refused_and_not_cut(text: str, length: int, often: int) -> None:
    with pytest.raises(TextTooLong, match=rf"column s has {length} characters; a spreadsheet cell holds at most 32767"):
        whole("xlsx", pl.DataFrame({"s": [text] * often}), {"s": "string"})


def test_no_rows_are_a_sheet_with_its_header() -> None:
    for parts in ([], [[]], [[pl.DataFrame({"s": []}, schema={"s": pl.String})]]):
        (found,) = sheets(make("xlsx", parts, {"s": "string"}).content).values()
        assert found == [[Cell("text", 'Title, "s"', workbook.HEADER)]]


def test_columns_have_room_for_what_is_in_them() -> None:
    held = pl.DataFrame(
        {"short": ["a"], "long": ["x" * 30], "longest": ["x" * 500], "day": [datetime.date(2024, 1, 1)]}
    )
    types = {"short": "string", "long": "string", "longest": "string", "day": "date"}
    content = whole("xlsx", held, types, header_style="name")
    widths = [each.width for each in openpyxl.load_workbook(io.BytesIO(content)).active.column_dimensions.values()]
    assert widths == [8, 32, 60, 12]


FORMATTED = {
    "currency EUR": r"[$EUR]\ #,##0.00",
    "currency JPY": r"[$JPY]\ #,##0",
    "currency KWD": r"[$KWD]\ #,##0.000",
    "percent": "0.00%",
    "0": "0",
    "#,##0": "#,##0",
    "0.0%": "0.0%",
    "#,##0.000": "#,##0.000",
}


@pytest.mark.parametrize(
    ("kind", "values", "dtype"),
    [
        ("integer", [1, 10**15, None], pl.Int64),
        ("number", [0.5, math.nan, None], pl.Float64),
        (
            "decimal",
            [decimal.Decimal("1.50"), decimal.Decimal(10**14) + decimal.Decimal("0.01"), None],
            pl.Decimal(38, 2),
        ),
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


def test_a_text_with_line_breaks_is_wrapped() -> None:
    held = pl.DataFrame({"s": ["one\ntwo", "one two", " padded "]})
    sheet = openpyxl.load_workbook(io.BytesIO(whole("xlsx", held, {"s": "string"}))).active
    assert [bool(cell.alignment.wrap_text) for (cell,) in sheet.iter_rows(min_row=2)] == [True, False, False]


def test_many_columns_have_references_too() -> None:
    assert [workbook.column_name(number) for number in (0, 25, 26, 51, 701, 702, 16_383)] == [
        *("A", "Z", "AA", "AZ", "ZZ", "AAA", "XFD"),
    ]
    wide = pl.DataFrame({f"c{number}": [number, None] for number in range(60)})
    found = only_sheet(whole("xlsx", wide, dict.fromkeys(wide.columns, "integer")))
    assert found == [[Cell("number", str(number)) for number in range(60)], [Cell("empty")] * 60]


# Sheets, whose limits are shown with fragments that were never made


def fragment_of(*blocks: int) -> dict[str, Any]:
    """The facts of a fragment whose blocks have so many rows, all of them the same few bytes."""
    return {"head": {"bytes": 0, "crc32": 0}, "blocks": [[rows, 100, 7, 10, 9] for rows in blocks], "widths": [5]}


def laid_out(*parts: dict[str, Any]) -> list[Any]:
    receipts: Any = [
        {"part": number, "etag": "e", "bytes": 10 * len(part["blocks"]), "crc32": 1, "fragment": part}
        for number, part in enumerate(parts)
    ]
    return FORMATS["xlsx"].layout(plan("xlsx", {"s": "string"}), WORK, receipts)


def names(segments: list[Any]) -> int:
    """How many sheets there are."""
    text = b"".join(segment.data for segment in segments if isinstance(segment, Literal)).decode("latin-1")
    return text.count("<sheet name=")


@pytest.mark.parametrize(
    ("total", "count"), [(1_048_574, 1), (1_048_575, 1), (1_048_576, 2), (1_048_577, 2), (3 * 1_048_575, 4)]
)
def test_a_new_sheet_begins_before_a_block_that_would_not_fit(total: int, count: int) -> None:
    blocks = [16_384] * (total // 16_384) + [total % 16_384] * bool(total % 16_384)
    segments = laid_out(fragment_of(*blocks))
    assert names(segments) == count
    ranges = [segment for segment in segments if isinstance(segment, Range)]
    assert len(ranges) == count
    assert sum(each.size for each in ranges) == 10 * len(blocks)
    assert [each.start for each in ranges] == [sum(before.size for before in ranges[:at]) for at in range(count)]


def test_a_part_is_copied_whole_where_no_sheet_ends_in_it() -> None:
    segments = laid_out(fragment_of(5, 6), fragment_of(), fragment_of(7))
    assert [(each.key, each.start, each.size) for each in segments if isinstance(each, Range)] == [
        (WORK.part_key(0), 0, 20),
        (WORK.part_key(2), 0, 10),
    ]


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
    none, rows = pl.DataFrame({"s": []}, schema={"s": pl.String}), pl.DataFrame({"s": ["x" * 30]})
    file = make("xlsx", [[none], [rows]], {"s": "string"})
    assert [each.key for each in file.segments if isinstance(each, Range)] == [WORK.part_key(1)]
    assert openpyxl.load_workbook(io.BytesIO(file.content)).active.column_dimensions["A"].width == 32
    assert only_sheet(file.content) == [[Cell("text", "x" * 30)]]


@pytest.mark.parametrize("placed", [True, False], ids=["known", "not known"])
def test_the_first_part_begins_a_file_of_several_sheets_where_their_rows_are_known(
    placed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    rows = pl.DataFrame({"s": ["x" * 30]})
    file = make("xlsx", [[rows], [rows], [rows]], {"s": "string"}, placed=placed)
    assert [(each.key, each.start) for each in file.segments if isinstance(each, Range)] == [
        (WORK.part_key(part), 0) for part in range(3)
    ]
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
        ("_xlnm._FilterDatabase", "0", f"'{quoted} 1'!$A$1:$B$3"),
        ("_xlnm._FilterDatabase", "1", f"'{quoted} 2'!$A$1:$B$2"),
    ]


@settings(max_examples=40)
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
    values, frames = iter(range(total)), []
    for batches in parts:
        frames.append([pl.DataFrame({"n": [next(values) for _ in range(rows)]}, {"n": pl.Int64}) for rows in batches])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(xlsx, "MAX_ROWS", room + 1)
        patched.setattr(xlsx, "_BLOCK_ROWS", block)
        found = list(sheets(make("xlsx", frames, {"n": "integer"}).content).values())
    assert [len(rows) - 1 for rows in found] == [min(room, total - at) for at in range(0, max(total, 1), room)]
    assert [row[0].text for rows in found for row in rows[1:]] == [str(number) for number in range(total)]


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Flights", ["Flights 1", "Flights 2"]),
        ("a/b\\c?d*e[f]g:h", ["a b c d e f g h 1", "a b c d e f g h 2"]),
        ("'quoted'", ["quoted 1", "quoted 2"]),
        ("x" * 40, ["x" * 29 + " 1", "x" * 29 + " 2"]),
        ("😀" * 20, ["😀" * 14 + " 1", "😀" * 14 + " 2"]),
        ("???", ["Data 1", "Data 2"]),
        ("tab\tand\nline", ["tab and line 1", "tab and line 2"]),
    ],
)
def test_sheets_have_names_that_excel_takes(title: str, names: list[str]) -> None:
    assert [workbook.sheet_name(title, number, 2) for number in (1, 2)] == names


@given(st.text(max_size=60), st.integers(1, 12))
def test_any_title_becomes_a_name(title: str, sheets: int) -> None:
    found = [workbook.sheet_name(title, number, sheets) for number in range(1, sheets + 1)]
    assert len(set(found)) == sheets
    for name in found:
        assert 1 <= len(name.encode("utf-16-le")) // 2 <= 31
        assert not set(name) & set("\\/?*[]:\0\n\t")
        assert not name.startswith("'")
        assert not name.endswith("'")


# The archive


@pytest.mark.parametrize("follows", [False, True], ids=["sizes before", "sizes after, but for the large"])
def test_an_archive_beyond_4_gib_says_so_in_zip64(follows: bool) -> None:
    """Only its ends are made: python's zipfile reads the directory and the local headers of a file with holes."""
    size = 5 * 1024**3
    made = archive.Archive()
    hole = Range("part", "e", 0, size, size, 5)
    made.add("large", archive.Content((hole,), 2 * size, 99), follows=follows)
    made.add("small", archive.Content.stored(b"abc"))
    made.add("larger", archive.Content((hole,), 10, 98))
    segments = made.close()

    with zipfile.ZipFile(Sparse(segments)) as opened:
        found = {each.filename: (each.file_size, each.compress_size, each.header_offset) for each in opened.infolist()}
        assert opened.read("small") == b"abc"
    head = segments[0].size
    assert found["large"] == (2 * size, size, 0)
    assert found["small"] == (3, 3, head + size)
    assert found["larger"][:2] == (10, size)
    assert found["larger"][2] > 4 * 1024**3


class Sparse(io.RawIOBase):
    """A file of segments; a range reads as zeros."""

    def __init__(self, segments: list[Any]) -> None:
        self.segments, self.at = segments, 0
        self.size = sum(segment.size for segment in segments)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + {0: 0, 1: self.at, 2: self.size}[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        size = self.size - self.at if size < 0 else min(size, self.size - self.at)
        found, start = b"", 0
        for segment in self.segments:
            low, high = max(self.at, start), min(self.at + size, start + segment.size)
            if low < high:
                data = segment.data[low - start : high - start] if isinstance(segment, Literal) else bytes(high - low)
                found += data
            start += segment.size
        self.at += len(found)
        return found


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=5),
            st.binary(max_size=50),
        ),
        max_size=4,
        unique_by=lambda each: each[0],
    )
)
def test_an_archive_holds_what_was_put_in_it(entries: list[tuple[str, bytes]]) -> None:
    made = archive.Archive()
    for number, (path, data) in enumerate(entries):
        made.add(path, archive.Content.stored(data), follows=bool(number % 2))
    content = b"".join(segment.data for segment in made.close() if isinstance(segment, Literal))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        assert [(each.filename, opened.read(each)) for each in opened.infolist()] == entries
