"""Format xlsx as LibreOffice opens it: without repair, every sheet, every value."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from shared.files.formats import xlsx
from tests.unit.formats.support import make

OFFICE = shutil.which("soffice")
AS_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,true,false,false,-1"
"""Every sheet in a file of its own, cells as they are shown ("Filter Options for the CSV Filter")."""

pytestmark = pytest.mark.skipif(OFFICE is None, reason="LibreOffice (soffice) is not installed")


def opened(content: bytes, folder: Path) -> list[list[list[str]]]:
    """The rows of each sheet, as LibreOffice shows them."""
    (folder / "book.xlsx").write_bytes(content)
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"
    asked = ["--headless", "--convert-to", AS_CSV, "--outdir", str(folder), str(folder / "book.xlsx")]
    subprocess.run([str(OFFICE), profile, *asked], check=True, capture_output=True, timeout=120)
    sheets = sorted(folder.glob("book-*.csv"))
    return [list(csv.reader(io.StringIO(sheet.read_bytes().decode()))) for sheet in sheets]


def test_libreoffice_shows_every_value_of_every_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    rows = pl.DataFrame(
        {
            "text": ["=1+1", " é <&> \n😀", None],
            "number": [1, -2, 10**16],
            "money": pl.Series([decimal.Decimal("1234.50"), None, decimal.Decimal("-0.05")], dtype=pl.Decimal(14, 2)),
            "day": [datetime.date(2024, 2, 29), datetime.date(1899, 12, 31), None],
            "at": [datetime.datetime(2024, 2, 29, 12, 34, 56), None, datetime.datetime(9999, 12, 31, 23, 59, 59)],
            "yes": [True, False, None],
        }
    )
    types = dict(zip(rows.columns, ["string", "integer", "decimal", "date", "timestamp", "boolean"], strict=True))
    content = make("xlsx", [[rows[:1]], [rows[1:2]], [rows[2:]]], types, header_style="name").content
    assert opened(content, tmp_path) == [
        [
            list(types),
            ["=1+1", "1", "1,234.50", "2024-02-29", "2024-02-29 12:34:56", "TRUE"],
            [" é <&> \n😀", "-2", "", "1899-12-31", "", "FALSE"],
        ],
        [list(types), ["", "10000000000000000", "-0.05", "", "9999-12-31 23:59:59", ""]],
    ]
