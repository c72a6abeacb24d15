"""Format xlsx as independent readers find it; some of them need a reference at each row and cell."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pandas as pd
import polars as pl
import pylightxl
import pytest
from python_calamine import CalamineWorkbook
from xlsx2csv import Xlsx2csv

from tests.unit.formats.support import make
from tests.unit.support import ROOT

NODE = shutil.which("node")
INSTALLED = ROOT / ".local" / "spreadsheet-readers"
"""Where make test has npm install its readers."""
DAY, MOMENT = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12)
ROWS = pl.DataFrame(
    {
        "text": ["=1+1", None, " a\nb "],
        "number": [1, None, -2],
        "day": [DAY, DAY, None],
        "at": [MOMENT, MOMENT, None],
        "yes": [True, False, None],
    }
)
TYPES = dict(zip(ROWS.columns, ["string", "integer", "date", "timestamp", "boolean"], strict=True))
HEADER = list(TYPES)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two parts."""
    file = tmp_path_factory.mktemp("books") / "book.xlsx"
    file.write_bytes(make("xlsx", [[ROWS[:1]], [ROWS[1:]]], TYPES, header_style="name").content)
    return file


def test_openpyxl_and_pandas_read_every_cell_and_find_no_formula(book: Path) -> None:
    sheet = openpyxl.load_workbook(book).active
    midnight = datetime.datetime(2024, 2, 29)
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [
        HEADER,
        ["=1+1", 1, midnight, MOMENT, True],
        [None, None, midnight, MOMENT, False],
        [" a\nb ", -2, None, None, None],
    ]
    assert sheet["A2"].data_type == "s", "a text, no formula"
    assert [cell.number_format for cell in sheet[2]][2:4] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"]
    assert pd.read_excel(book, engine="openpyxl")["text"].dropna().tolist() == ["=1+1", " a\nb "]


def test_calamine_reads_every_cell(book: Path) -> None:
    assert CalamineWorkbook.from_path(book).get_sheet_by_index(0).to_python() == [
        HEADER,
        ["=1+1", 1.0, DAY, MOMENT, True],
        ["", "", DAY, MOMENT, False],
        [" a\nb ", -2.0, "", "", ""],
    ]


def test_xlsx2csv_reads_every_cell(book: Path) -> None:
    into = io.StringIO()
    Xlsx2csv(str(book)).convert(into)
    assert list(csv.reader(io.StringIO(into.getvalue()))) == [
        HEADER,
        ["=1+1", "1", "2024-02-29", "2024-02-29 12:00:00", "TRUE"],
        ["", "", "2024-02-29", "2024-02-29 12:00:00", "FALSE"],
        [" a\nb ", "-2", "", "", ""],
    ]


def test_pylightxl_finds_every_number_and_day(book: Path) -> None:
    """Its texts are empty: it knows none that stand in their cells."""
    found = pylightxl.readxl(str(book)).ws("Numbers")
    assert found.size == [4, 5]
    assert [row[1:] for row in found.rows][1:] == [
        [1, "2024/02/29", "2024/02/29 12:00:00", True],
        ["", "2024/02/29", "2024/02/29 12:00:00", False],
        [-2, "", "", ""],
    ]


@pytest.mark.skipif(not NODE, reason="Node is not here")
@pytest.mark.skipif(not (INSTALLED / "ready").exists(), reason="make test did not install npm's readers")
def test_the_readers_of_npm_read_every_cell(book: Path) -> None:
    command = [str(NODE), str(ROOT / "tests" / "spreadsheet-readers" / "read.js"), str(book)]
    environment = os.environ | {"NODE_PATH": str(INSTALLED / "node_modules")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    day, moment, numbers = "2024-02-29T00:00:00.000Z", "2024-02-29T12:00:00.000Z", [45351, 45351.5]
    first, last = ["=1+1", 1], [" a\nb ", -2]
    cells = [HEADER, [*first, day, moment, True], [None, None, day, moment, False]]
    assert json.loads(run.stdout) == {
        "exceljs": [*cells, last],
        "exceljs, streaming": [HEADER, [*first, *numbers, True], [None, None, *numbers, False], last],
        "read-excel-file": [*cells, [*last, None, None, None]],
    }
