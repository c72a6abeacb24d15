"""What a query runs: the SQL, the tables that it may name, and the values of its parameters. No data is read.

A report of source type ``query`` says it itself. A ``parquet`` report with an order or a limit compiles to such a
query: it loads the rows that pass the filters, sorts them, and leaves the report's expressions to the parts.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.catalogue.reports import Report, takes_list
from shared.files import query_results
from shared.queries import syntax
from shared.records.table import Record

ROWS = "rows"
"""The table of a compiled report."""


@dataclass(frozen=True)
class Rule:
    """A condition on the rows of a dataset, in DuckDB's SQL.

    ``low`` and ``high`` are conditions on the lower and the upper bounds of the same columns. If a file's bounds make
    one of them false, no row of the file passes, unless ``sql`` hides nulls. Both are empty if only equal bounds
    decide.
    """

    sql: str
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Dataset:
    """A table of the query. ``columns`` maps the columns that it has to the types that the report declares.

    ``tenant`` is SQL of the dataset's columns that gives the tenant; "" if every tenant may read every row.
    ``tenant_column`` is its column, if it is one. ``bounds`` hold for every row. A file may lack ``optional`` columns.
    """

    name: str
    folder: str
    columns: dict[str, str]
    tenant: str
    tenant_column: str | None
    rules: tuple[Rule, ...] = ()
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Statement:
    """A query with everything that it needs, bound.

    ``columns`` are the names and declared types of the result's columns, in order: those of a report, or, for a
    compiled report, the declared columns of its source. ``values`` are those of all parameters by name, None for a
    parameter that is not set.
    """

    name: str
    file: str
    sql: str
    datasets: tuple[Dataset, ...]
    columns: tuple[tuple[str, str], ...]
    values: dict[str, Any]
    tenant: str
    is_compiled: bool

    @classmethod
    def of(cls, report: Report, record: Record) -> Statement:
        """The query of an export."""
        parameters: dict[str, Any] = json.loads(record["parameters"])
        chosen, sort = query_results.choices(record)
        tenant = record["owner"].split("#")[0]
        name = query_results.name(report, record)
        if report.definition["source"]["type"] == "query":
            return _of_query(report, parameters, tenant, chosen, sort, name)
        return _compiled(report, parameters, tenant, sort, name)


def _of_query(
    report: Report,
    parameters: dict[str, Any],
    tenant: str,
    chosen: Sequence[str] | None,
    sort: Sequence[Mapping[str, Any]] | None,
    name: str,
) -> Statement:
    definition = report.definition
    declared = {column["name"]: column["type"] for column in definition["columns"]}
    rules = definition.get("parameters", {})
    sql = report.sql.rstrip("; \t\r\n")
    datasets = tuple(
        Dataset(
            name=table,
            folder=dataset["dataset"],
            columns=dataset["columns"],
            tenant=quoted(dataset["tenant"]) if "tenant" in dataset else "",
            tenant_column=dataset.get("tenant"),
            rules=(Rule(dataset["where"]),) if "where" in dataset else (),
        )
        for table, dataset in definition["source"]["datasets"].items()
    )
    return Statement(
        name=name,
        file=definition["source"]["sql"],
        sql=_ordered(f"({sql}\n)", sort) if sort else sql,
        datasets=datasets,
        columns=tuple((each, declared[each]) for each in chosen or declared),
        values={each: bound(rule, parameters.get(each)) for each, rule in rules.items()},
        tenant=tenant,
        is_compiled=False,
    )


def _compiled(
    report: Report,
    parameters: dict[str, Any],
    tenant: str,
    sort: Sequence[Mapping[str, Any]] | None,
    name: str,
) -> Statement:
    """The query of a ``parquet`` report: filter, sort and limit, in this order.

    The order of a request applies to the rows within the limit. The definition's order decides between rows that are
    equal in it.
    """
    definition = report.definition
    own, limit = definition.get("sort", []), definition.get("limit")
    rules, values = [], {}
    for each, rule in definition.get("parameters", {}).items():
        if each in parameters:
            rules.append(_rule(each, rule))
            values[each] = bound(rule, parameters[each])
    tenant_rule, source = definition["tenant"], definition["source"]
    optional = [each.get("expression", quoted(each["name"])) for each in definition["columns"] if each.get("optional")]
    is_column = isinstance(tenant_rule, str)
    text = ROWS
    if limit is not None:
        text = f"({_ordered(text, own)} LIMIT {limit})"
    order = [*(sort or ()), *own]
    declared: dict[str, str] = source["columns"]
    return Statement(
        name=name,
        file=f"{report.id}.yaml",
        sql=_ordered(text, order),
        datasets=(
            Dataset(
                name=ROWS,
                folder=source["dataset"],
                columns=declared,
                tenant=quoted(tenant_rule) if is_column else tenant_rule["expression"],
                tenant_column=tenant_rule if is_column else None,
                rules=tuple(rules),
                bounds={column: (low, high) for column, (low, high) in source.get("bounds", {}).items()},
                optional=frozenset(name for each in optional for name in syntax.columns(each, declared)),
            ),
        ),
        columns=tuple(declared.items()),
        values=values,
        tenant=tenant,
        is_compiled=True,
    )


def _ordered(source: str, sort: Sequence[Mapping[str, Any]]) -> str:
    keys = [f"{quoted(key['column'])}{' DESC' if key.get('descending') else ''} NULLS LAST" for key in sort]
    return f"SELECT * FROM {source}" + (f" ORDER BY {', '.join(keys)}" if keys else "")


_COMPARISONS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
# What a value must be to some value between the bounds, for the bounds of a monotonic expression.
_ON_LOW = {"==": "<=", "<": "<", "<=": "<="}
_ON_HIGH = {"==": ">=", ">": ">", ">=": ">="}


def _rule(name: str, parameter: Mapping[str, Any]) -> Rule:
    """The filter of a parameter: see :class:`shared.engine.query.Filter`."""
    rule, value = parameter["filter"], f"${name}"
    operand = quoted(rule["column"]) if "column" in rule else f"({rule['expression']})"
    operator = rule["operator"]
    match operator:
        case "in" if parameter["type"] == "string":
            return Rule(f"list_contains({value}, CAST({operand} AS VARCHAR))")
        case "in":
            return Rule(f"list_contains({value}, {operand})")
        case "contains":
            return Rule(f"contains(CAST({operand} AS VARCHAR), {value})")
        case "is null":
            return Rule(f"({operand} IS NULL) = {value}")
    is_monotonic = "column" in rule or rule.get("monotonic", False)
    low, high = (
        f"{operand} {on[operator]} {value}" if is_monotonic and operator in on else "" for on in (_ON_LOW, _ON_HIGH)
    )
    return Rule(f"{operand} {_COMPARISONS[operator]} {value}", low, high)


def bound(parameter: Mapping[str, Any], value: Any) -> Any:
    """The value of a parameter as DuckDB takes it; None if it is not set."""
    if isinstance(value, list):
        return [bound(parameter, each) for each in value]
    if value is None or parameter["type"] not in ("date", "number"):
        return value
    if parameter["type"] == "number":
        # A filter compares integers exactly, as shared.engine.query does.
        is_exact = "filter" in parameter and isinstance(value, int) and abs(value) < 2**63
        return value if is_exact else float(value)
    day = datetime.date.fromisoformat(value)
    is_number = parameter.get("filter", {}).get("value_as") == "yyyymmdd"
    return int(day.strftime("%Y%m%d")) if is_number else day


def sample(parameter: Mapping[str, Any]) -> Any:
    """A value of a parameter's type, for checks that need no data."""
    samples = {"string": "", "integer": 0, "number": 0.5, "boolean": False, "date": "2000-01-01"}
    one = bound(parameter, samples[parameter["type"]])
    return [one] if takes_list(dict(parameter)) else one


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
