"""A report that could not be exported is named, with the file, line and place of each fault, before it is deployed."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from checks import reports
from checks.__main__ import main
from checks.repository import ROOT

GOOD = """\
title: Sales
source:
  type: parquet
  dataset: sales
  columns:
    shop: string
    day: date
    at: timestamp(UTC)
    amount: decimal(12,2)
    pieces: integer
    goods: json
tenant: shop
parameters:
  from: {title: From, type: date, filter: {column: day, operator: ">="}}
  least: {title: Least, type: number, filter: {expression: amount * 100, operator: ">="}}
columns:
  - {name: day, title: Day, type: date}
  - {name: at, title: At, type: timestamp}
  - {name: amount, title: Amount, type: decimal}
  - {name: each, title: Each, type: number, format: currency EUR, expression: CAST(amount AS DOUBLE) / pieces}
  - {name: goods, title: Goods, type: json}
  - {name: first, title: First, type: string, expression: goods.name}
"""


def found(folder: Path, text: str, name: str = "sales.yaml") -> list[str]:
    (folder / name).write_text(textwrap.dedent(text))
    return [str(fault) for fault in reports.faults(folder)]


def test_the_reports_of_this_project_are_valid() -> None:
    assert reports.faults(reports.FOLDER) == []


def test_a_report_that_fits_the_columns_it_declares_is_valid(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []


def test_without_declared_columns_only_the_data_can_tell(tmp_path: Path) -> None:
    start, end = GOOD.index("  columns:\n    shop"), GOOD.index("tenant:")
    assert found(tmp_path, GOOD[:start] + GOOD[end:].replace("{name: day,", "{name: dya,")) == []


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("tenant: shop", "tenant: shpo", "12: /tenant: the source has no column shpo. Allowed: one of shop, day, at, "),
        ("tenant: shop", "tenant: day", "12: /tenant: the filter of tenant needs text; the source gives "),
        ("tenant: shop\n", "", '1: /tenant: is missing. Allowed: a value such as "tenant_id", {"expression": '),
        ("{name: day,", "{name: dya,", "17: /columns/0: the source has no column dya."),
        ("column: day", "column: dya", "14: /parameters/from/filter: the source has no column dya."),
        ("/ pieces", "/ pices", "20: /columns/3: the source has no column pices."),
        ("Day, type: date", "Day, type: integer", "17: /columns/0: column day is declared integer, which needs "),
        ("column: day", "column: shop", "14: /parameters/from/filter: the filter of from needs a date or a timestamp"),
        ("amount * 100", "shop", "15: /parameters/least/filter: the filter of least needs a number; the source gives "),
        ("amount * 100", "amount *", "15: /parameters/least/filter/expression: least: 'amount *' is not an expression"),
        ("goods.name", "day", "22: /columns/5: column first is declared string, which needs text; "),
        ("goods.name", "UPPER(pieces)", "22: /columns/5: column first: invalid series dtype: "),
        (
            ', filter: {column: day, operator: ">="}',
            "",
            '14: /parameters/from/filter: is missing. Allowed: a value such as {"column": "dep_delay", ',
        ),
        ("currency EUR", "#,##0", "20: the file: is not YAML: # starts a comment. Put it in quotes: format: "),
        ("goods.name", "CONCAT(shop, note)", "22: the file: is not YAML: a comma ends a value within braces, and "),
        ("(UTC)", "(Mars)", "8: /source/columns/at: column at is declared timestamp(Mars), which has an unknown time "),
        ("decimal(12,2)", "decimal(2,12)", "9: /source/columns/amount: decimal(2,12) has more decimal places than "),
        ("decimal(12,2)", "decimal", '9: /source/columns/amount: "decimal" is not allowed. Allowed: a value such as '),
        ("pieces: integer", "pieces: int", '10: /source/columns/pieces: "int" is not allowed.'),
        (
            "type: date}\n  - {name: at",
            "type: date, format: percent}\n  - {name: at",
            "17: /columns/0/format: a column ",
        ),
        ("currency EUR", "0.00", "20: /columns/3/format: 0.0 is not allowed."),
        ("currency EUR", "currency €", '20: /columns/3/format: "currency €" is not allowed. Allowed: a value such as '),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in GOOD
    (fault,) = found(tmp_path, GOOD.replace(was, now, 1))
    assert fault.startswith(f"reports/sales.yaml:{said}")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("{name: day,", "{name: dya,").replace("tenant: shop", "tenant: shpo").replace("/ pieces", "/ x")
    assert [fault.split(": the source")[0] for fault in found(tmp_path, text)] == [
        "reports/sales.yaml:12: /tenant",
        "reports/sales.yaml:17: /columns/0",
        "reports/sales.yaml:20: /columns/3",
    ]


EXPRESSION = "title: S\nsource: {type: parquet, dataset: s}\ntenant: t\ncolumns: [{name: a, title: A, type: integer, "


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sales.yaml", "title: Sales", "1: /columns: is missing. "),
        ("sales.yaml", "title: [", "1: the file: is not YAML: "),
        ("sales.yaml", "title: S\nsource: a: b\n", "2: the file: is not YAML: mapping values are not "),
        ("sales.yaml", "title: S\ntitle: T\n", "2: the file: is not YAML: duplicate key 'title'."),
        ("sales.yaml", "", "1: the file: null is not allowed. Allowed: a value of type object."),
        ("Sales.yaml", "title: Sales", "1: the file: the file name of a report must match "),
        ("sales.yml", "title: Sales", "1: the file name: must end in .yaml. "),
        (
            "sales.yaml",
            EXPRESSION + "expression: NO_SUCH(a)}]",
            "4: /columns/0/expression: a: NO_SUCH is not an allowed ",
        ),
        ("sales.yaml", EXPRESSION + "expression: a +}]", "4: /columns/0/expression: a: 'a +' is not an expression"),
    ],
)
def test_a_broken_report_is_named_with_its_fault(tmp_path: Path, name: str, text: str, said: str) -> None:
    faults = found(tmp_path, text, name)
    assert any(fault.startswith(f"reports/{name}:{said}") for fault in faults), faults


def test_make_check_reports_says_where_a_fault_is_and_loads_no_other_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reports, "FOLDER", tmp_path)
    (tmp_path / "sales.yaml").write_text(GOOD)
    assert main(["reports"]) == 0
    assert capsys.readouterr().out == "Valid: sales.yaml.\n"
    (tmp_path / "sales.yaml").write_text(GOOD.replace("tenant: shop", "tenant: shpo"))
    assert main(["reports"]) == 1
    assert capsys.readouterr().err.startswith("reports/sales.yaml:12: /tenant: the source has no column shpo.")
    code = "import sys; from checks.__main__ import main; main(['reports']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"checks.template", "checks.workflow", "checks.documents"} & set(loaded.split())
