"""docs/howto/try-your-data.md: its script makes the data, its report is valid, and the tenant gets the rows it says."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from checks import reports
from exports_admin import put
from shared.catalogue import reports as catalogue
from shared.engine.query import Query
from shared.engine.sources import parquet
from tests.unit.lake import Lake

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "try-your-data.md").read_text("utf-8")
(SCRIPT,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(REPORT,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_pages_data_and_report_give_the_rows_that_the_page_says(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "reports").mkdir()
    (folder / "orders.yaml").write_text(REPORT)
    assert reports.faults(folder) == []

    monkeypatch.setenv("HOME", str(tmp_path))
    exec(SCRIPT, {})
    files, passed_over = put.files_in(tmp_path / "orders")
    assert (len(files), passed_over) == (6, [])
    lake.objects |= {f"data/orders/{path}": file.read_bytes() for path, file in files.items()}

    report = catalogue.parse("orders", REPORT)
    query = Query.of(report.definition, report.resolve({"from": "2026-05-01"}), "acme")
    schema, extents = parquet.plan(query)
    types = {name: str(dtype) for name, dtype in schema.items()}
    rows = pl.concat([query.apply(each) for each in parquet.scan(query, types, extents)])
    assert f"acme's {rows.height:,} orders since May" in PAGE
