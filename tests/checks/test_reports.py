"""A report that could not be exported is named, with its fault, before it is deployed."""

from pathlib import Path

import pytest

from checks import reports


def test_the_reports_of_this_project_are_valid() -> None:
    assert reports.faults(reports.FOLDER) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sales.yaml", "title: Sales", "sales.yaml: /columns: is missing"),
        ("sales.yaml", "title: [", "sales.yaml is not YAML"),
        ("Sales.yaml", "title: Sales", "Sales.yaml: a report's file name must match"),
        ("sales.yml", "title: Sales", "sales.yml: a report's file ends in .yaml"),
        (
            "sales.yaml",
            "{title: S, source: {type: parquet, dataset: s}, tenant: t,"
            " columns: [{name: a, title: A, type: integer, expression: NO_SUCH(a)}]}",
            "sales.yaml: /columns/0/expression: NO_SUCH is not a function of the row alone",
        ),
        (
            "sales.yaml",
            "{title: S, source: {type: parquet, dataset: s}, tenant: t,"
            " columns: [{name: a, title: A, type: integer, expression: a +}]}",
            "sales.yaml: a: 'a +' is not an expression",
        ),
        (
            "sales.yaml",
            "title: S\ntitle: T\n",
            "sales.yaml is not YAML: the key 'title' is given twice",
        ),
    ],
)
def test_a_broken_report_is_named_with_its_fault(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    (found,) = reports.faults(tmp_path)
    assert found.startswith(f"reports/{said}")
