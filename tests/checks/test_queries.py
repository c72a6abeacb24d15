"""The SQL of a report that DuckDB would refuse is named before it is deployed, with the file and line of each fault."""

import contextlib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import pytest

from checks import queries, reports
from shared.catalogue.reports import Report
from shared.queries import syntax
from tests.unit.test_expressions_page import EXAMPLES, ROW

GOOD = """\
title: Turnover
source:
  type: query
  engine: duckdb
  sql: turnover.sql
  datasets:
    sales:
      dataset: sales
      tenant: shop
      columns: {shop: string, day: date, item: string, amount: "decimal(12,2)", goods: json}
      where: day >= $from
    items: {dataset: items, shared: true, columns: {item: string, class: string}}
parameters:
  from: {title: From, type: date, required: true}
  least: {title: Least, type: number}
  class: {title: Class, type: string}
columns:
  - {name: class, title: Class, type: string}
  - {name: sales, title: Sales, type: integer}
  - {name: amount, title: Amount, type: decimal}
"""
SQL = """\
-- Sales by class.
SELECT class, count(*) AS sales, sum(amount) AS Amount
FROM sales
JOIN items USING (item)
WHERE ($class IS NULL OR class = $Class)
GROUP BY class
HAVING $least IS NULL OR sum(amount) >= $least
ORDER BY class
"""


def found(folder: Path, definition: str = GOOD, sql: str = SQL) -> list[str]:
    (folder / "turnover.yaml").write_text(definition)
    (folder / "turnover.sql").write_text(sql)
    return [str(fault) for fault in reports.faults(folder)]


def test_a_query_that_fits_its_datasets_and_columns_is_valid(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(tmp_path, sql=f"{SQL.rstrip()};\n") == []


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            "FROM sales",
            "FROM orders",
            "3: the query: there is no table orders. Allowed: the report's datasets: items, ",
        ),
        ("FROM sales", "FROM 's3://b/a.parquet'", "3: the query: there is no table s3://b/a.parquet. "),
        ("FROM sales", "FROM read_parquet('a')", "3: the query: the table function read_parquet is not allowed. "),
        ("GROUP BY class", "GROUP BY class, shop2", '6: the query: Referenced column "shop2" not found in FROM clause'),
        (
            "GROUP BY class",
            "",
            '2: the query: column "class" must appear in the GROUP BY clause or must be part of an ',
        ),
        (
            "sum(amount) AS",
            "total(amount) AS",
            "2: the query: Scalar Function with name total does not exist; Did you ",
        ),
        ("ORDER BY class", "ORDER BY", '8: the query: syntax error at or near "BY". '),
        ("ORDER BY class", "; DROP TABLE sales", "1: the query: Only SELECT statements can be serialized to json!. "),
        ("ORDER BY class", "; SELECT 1", "1: the query: there are 2 statements. Allowed: one SELECT."),
        (
            "class = $Class",
            "class = $klass",
            "5: the query: there is no parameter $klass. Allowed: $from, $least, $class.",
        ),
        ("class = $Class", "day = $class + 1", "5: the query: "),
    ],
)
def test_a_fault_of_the_sql_is_named_with_its_line(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in SQL
    faults = found(tmp_path, sql=SQL.replace(was, now, 1))
    assert {fault.split(":")[0] for fault in faults} == {"reports/turnover.sql"}
    assert faults[0].startswith(f"reports/turnover.sql:{said}"), faults


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            "name: sales,",
            "name: sale,",
            "19: /columns/1: the query has no column sale. Allowed: one of class, sales, Amou",
        ),
        ("name: sales,", "name: CLASS,", "19: /columns/1: CLASS and class are one name in SQL. Allowed: names that "),
        (
            "Sales, type: integer",
            "Sales, type: date",
            "19: /columns/1: column sales is declared date; the query gives BI",
        ),
        (
            "Amount, type: decimal",
            "Amount, type: integer",
            "20: /columns/2: column amount is declared integer; the quer",
        ),
        (
            "  least:",
            "  most: {title: M, type: date}\n  least:",
            "15: /parameters/most: is used nowhere. Allowed: $most ",
        ),
        ("day >= $from", "day", "11: /source/datasets/sales/where: the condition gives DATE. Allowed: a BOOLEAN."),
        (
            "day >= $from",
            "day >= $start",
            "11: /source/datasets/sales/where: there is no parameter $start. Allowed: $f",
        ),
        (
            "day >= $from",
            "class >= $class",
            '11: /source/datasets/sales/where: Referenced column "class" not found in ',
        ),
        ("day >= $from", "item >= $from", "11: /source/datasets/sales/where: "),
        ("day >= $from", "day >= $from ORDER BY day", "11: /source/datasets/sales/where: "),
        ("day >= $from", "day >= $from) OR (true", "11: /source/datasets/sales/where: "),
        ("day >= $from", "day IN (FROM items)", "11: /source/datasets/sales/where: there is no table items. "),
        ("sql: turnover.sql", "sql: other.sql", "5: /source/sql: there is no file other.sql beside the report. "),
        (
            "tenant: shop\n",
            "shared: true\n      tenant: shop\n",
            "7: /source/datasets/sales: has both tenant and shared. ",
        ),
        (
            "shared: true, ",
            "",
            "12: /source/datasets/items: does not say whose rows the dataset holds. Allowed: either te",
        ),
        (
            "tenant: shop\n",
            "tenant: day\n",
            "9: /source/datasets/sales/tenant: day is declared as date in columns. Allowed: a column of type string or "
            "integer: shop, item.",
        ),
        ("tenant: shop\n", "tenant: shp\n", "9: /source/datasets/sales/tenant: columns does not declare shp. Allowed"),
        (
            "required: true}",
            "required: true, filter: {column: day, operator: '>='}}",
            "14: /parameters/from/filter: a query has no filters. Allowed: $from in the SQL, or in a where of a ",
        ),
    ],
)
def test_a_fault_of_the_definition_is_named_with_its_line(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in GOOD
    faults = found(tmp_path, GOOD.replace(was, now, 1))
    assert [fault for fault in faults if fault.startswith(f"reports/turnover.yaml:{said}")], faults


def test_a_column_that_does_not_exist_is_named_with_those_that_are_declared(tmp_path: Path) -> None:
    sales, items = "sales has shop, day, item, amount, goods", "items has item, class"
    [fault] = found(tmp_path, sql=SQL.replace("sum(amount) AS", "sum(sales.total) AS"))
    assert fault.endswith(f". Allowed: the declared columns: {sales}; {items}."), fault
    [fault] = found(tmp_path, sql=SQL.replace("USING (item)", "USING (total)"))
    assert fault.endswith(f"Allowed: the declared columns: {sales}; {items}."), fault
    [fault] = found(tmp_path, GOOD.replace("day >= $from", "total >= $from"))
    assert fault.endswith(f"Allowed: the declared columns: {sales}."), fault
    [fault] = found(tmp_path, sql=SQL.replace("sum(amount) AS", "total(amount) AS"))
    assert "Allowed" not in fault


def test_a_query_is_also_checked_for_a_request_that_leaves_parameters_out(tmp_path: Path) -> None:
    """The type of a result may depend on the value of a parameter, and null has another type."""
    text = GOOD.replace("type: number}", "type: integer}")
    sql = SQL.replace("count(*) AS sales", "coalesce($least, 'none') AS sales")
    assert [fault.split("; ")[-1] for fault in found(tmp_path, text, sql) if "/columns/1" in fault] == [
        "the query gives VARCHAR. Allowed: an integer."
    ]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("name: sales,", "name: sale,").replace("Amount, type: decimal", "A, type: date")
    faults = found(tmp_path, text.replace("day >= $from", "day"))
    places = ["11: /source/datasets/sales/where", "14: /parameters/from", "19: /columns/1", "20: /columns/2"]
    assert sorted(": ".join(fault.split(": ")[:2]) for fault in faults) == [
        f"reports/turnover.yaml:{at}" for at in places
    ]


def test_sql_that_no_report_names_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.sql").write_text("SELECT 1")
    assert found(tmp_path) == ["reports/old.sql:1: the file: no report names it. Name it in source.sql, or remove it."]


SORTED = """\
title: Sales
source: {type: parquet, dataset: sales, columns: {shop: string, id: integer, name: string}}
tenant: shop
sort: [{column: id, unique: true}]
parameters:
  name: {title: Name, type: string, filter: {expression: LOWER(name), operator: ==}}
columns:
  - {name: id, title: Id, type: integer}
"""


def test_a_filter_of_sorted_rows_is_named_with_its_line_and_is_valid_without_the_order(tmp_path: Path) -> None:
    (tmp_path / "sales.yaml").write_text(SORTED)
    (fault,) = map(str, reports.faults(tmp_path))
    assert fault.startswith(
        "reports/sales.yaml:6: /parameters/name/filter: DuckDB filters a report with sort, limit or"
    )
    (tmp_path / "sales.yaml").write_text(SORTED.replace("sort: [{column: id, unique: true}]\n", ""))
    assert reports.faults(tmp_path) == []


def sorted_report(rule: dict[str, Any], kind: str = "integer", tenant: Any = "shop") -> Report:
    """A report from Parquet files with an order, and with one filter."""
    columns = {"shop": "string", "id": "integer", "amount": "decimal(12,2)", "day": "date", "sold": "timestamp(UTC)"}
    definition = {
        "title": "Sales",
        "source": {"type": "parquet", "dataset": "sales", "columns": columns},
        "tenant": tenant,
        "parameters": {"p": {"title": "P", "type": kind, "filter": rule}},
        "columns": [{"name": name, "title": name, "type": columns[name].partition("(")[0]} for name in columns],
    }
    return Report("sales", definition | {"sort": [{"column": "day"}, {"column": "id", "unique": True}], "limit": 10})


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("integer", {"column": "id", "operator": "in"}),
        ("string", {"column": "shop", "operator": "contains"}),
        ("boolean", {"column": "day", "operator": "is null"}),
        ("date", {"expression": "CAST(sold AS DATE)", "monotonic": True, "operator": ">="}),
        ("date", {"expression": "YEAR(day) * 10000 + id", "value_as": "yyyymmdd", "operator": "<="}),
        ("number", {"expression": "CASE WHEN id > 3 THEN amount * 2 ELSE ABS(amount) END", "operator": ">"}),
        ("string", {"expression": "SPLIT_PART(shop, '-', 1)", "operator": "in"}),
    ],
)
def test_a_filter_that_duckdb_computes_as_we_do_may_filter_sorted_rows(kind: str, rule: dict[str, Any]) -> None:
    assert queries.faults(sorted_report(rule, kind)) == ([], [])


@pytest.mark.parametrize(
    ("kind", "expression", "said"),
    [
        ("number", "amount / 3", "DuckDB filters a report with sort, limit or sortable, and may compute / differently"),
        ("string", "UPPER(TRIM(shop))", "compute UPPER, TRIM differently"),
        ("integer", "CASE WHEN shop ILIKE 'a%' THEN TRY_CAST(shop AS SMALLINT) END", "ILIKE, TRY_CAST AS INTEGER diff"),
        ("integer", "BIT_AND(id, 3)", "No function matches the given name and argument types 'bit_and(BIGINT, "),
        ("date", "day - id", "No function matches the given name and argument types '-(DATE, BIGINT)'"),
    ],
)
def test_a_filter_that_duckdb_may_compute_differently_is_refused(kind: str, expression: str, said: str) -> None:
    in_sql, faults = queries.faults(sorted_report({"expression": expression, "operator": "=="}, kind))
    assert (in_sql, [fault["pointer"] for fault in faults]) == ([], ["/parameters/p/filter"])
    assert said in faults[0]["detail"]


def test_the_tenant_of_sorted_rows_is_checked_as_a_filter_is() -> None:
    rule = {"column": "id", "operator": "=="}
    assert queries.faults(sorted_report(rule, tenant={"expression": "SPLIT_PART(shop, '/', 1)"})) == ([], [])
    _, [fault] = queries.faults(sorted_report(rule, tenant={"expression": "LOWER(shop)"}))
    assert fault["pointer"] == "/tenant"


def same(ours: str, theirs: str) -> bool:
    """Whether the page shows equal values: a comparison does not tell 49 from 49.0, or a date from its midnight."""
    with contextlib.suppress(InvalidOperation):
        return Decimal(ours) == Decimal(theirs)
    return ours == theirs.removesuffix("T00:00:00")


def test_what_may_not_filter_sorted_rows_is_what_the_page_shows_another_result_of_duckdb_for() -> None:
    """Where DuckDB does not know a function, it refuses the filter itself; where we fail, there are no other rows."""
    shown = set()
    with duckdb.connect() as connection:
        connection.register("row", ROW.to_arrow())
        for expression, ours, _, theirs in EXAMPLES:
            if theirs and ours not in ("fails", "refused") and not same(ours, theirs):
                with contextlib.suppress(duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
                    connection.execute(f'DESCRIBE SELECT {expression} FROM "row"')
                    shown.add(syntax.operations(expression)[0])
    assert shown == queries.DIFFERENT
