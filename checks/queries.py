"""Checks the SQL of reports with DuckDB itself, on empty tables of the declared columns. No data is involved.

So its messages may be shown, which a failed export may not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import duckdb

from shared.catalogue.reports import Report
from shared.errors import QueryInvalid
from shared.lambda_.faults import Fault, pointer
from shared.queries import engine, syntax, tables
from shared.queries.pinned import PinnedFiles
from shared.queries.statement import Dataset, Statement, quoted, sample
from shared.queries.syntax import SqlFault
from shared.queries.tables import Source
from shared.records.table import Record

DIFFERENT = frozenset(
    {
        "%",
        "/",
        "//",
        "array_contains",
        "cast as integer",
        "cast as varchar",
        "cbrt",
        "concat",
        "concat_ws",
        "greatest",
        "lower",
        "ltrim",
        "mod",
        "pow",
        "power",
        "regexp_replace",
        "rtrim",
        "strftime",
        "substr",
        "substring",
        "trim",
        "try_cast as date",
        "try_cast as double",
        "try_cast as integer",
        "upper",
        "||",
        "~~*",
    }
)
"""The functions, operators and casts (:func:`shared.queries.syntax.operations`) for which docs/expressions.md shows
another result of DuckDB. Reports with an order may not filter by them, because DuckDB filters their rows."""
_WORDS = {"~~*": "ILIKE"}
_NO_COLUMN = re.compile(r'Referenced column "|does not have a column named "|Column "[^"]*" does not exist')
_Each = TypeVar("_Each")


class Faults(NamedTuple):
    """The faults in the file of the SQL, and those in the report's own file."""

    sql: list[SqlFault]
    definition: list[Fault]


def faults(report: Report) -> Faults:
    """Everything that would prevent the query of a report. There is none if the report runs no query.

    Args:
        report: from :func:`shared.catalogue.reports.parse`.
    """
    definition = report.definition
    if definition["source"]["type"] == "query":
        return _of_query(report)
    if {"sort", "limit", "sortable"} & set(definition):
        return Faults([], [*_of_compiled(report)])
    return Faults([], [])


def _statement(report: Report) -> Statement:
    """The query of an export that sets every parameter and sorts by every column that a request may sort by."""
    parameters = report.definition.get("parameters", {})
    sortable = [{"column": name} for name in report.definition.get("sortable", [])]
    samples = {name: {"date": "2000-01-01", "string": ""}.get(rule["type"], 0) for name, rule in parameters.items()}
    settings: Any = {"owner": "tenant#user", "export_id": "", "parameters": json.dumps(samples)}
    record: Record = settings | ({"sort": json.dumps(sortable)} if sortable else {})
    return replace(Statement.of(report, record), values={name: sample(rule) for name, rule in parameters.items()})


def _of_query(report: Report) -> Faults:
    declared, statement = report.definition.get("parameters", {}), _statement(report)
    known = {name.lower() for name in declared}
    allowed = ", ".join(f"${name}" for name in declared) or "none, because the report declares no parameter"
    in_definition = list[Fault]()
    in_sql = syntax.faults(statement.sql, [each.name for each in statement.datasets])
    is_read, used = not in_sql, syntax.parameters(statement.sql)
    unknown = {name: line for name, line in used.items() if name not in known}
    in_sql += [SqlFault(line, f"there is no parameter ${name}", allowed) for name, line in unknown.items()]
    if not in_sql:
        with tables.connect_locked() as connection:
            _create(connection, statement)
            for values in _given(report, statement):
                in_sql += _unbound(connection, replace(statement, values=values), in_definition)
    for dataset in statement.datasets:
        where = pointer("source", "datasets", dataset.name, "where")
        for rule in dataset.rules:
            _, found = syntax.condition(rule.sql)
            is_read, named = is_read and not found, syntax.parameters(f"SELECT (\n{rule.sql}\n)")
            used |= named
            details = [f"there is no parameter ${name}" for name in named if name not in known]
            in_definition += [Fault(pointer=where, detail=each, allowed=allowed) for each in details]
            if not details:
                in_definition += _of_condition(report, statement, dataset.name, rule.sql, where)
    for name in declared:
        if is_read and name.lower() not in used:
            remedy = f"${name} in {statement.file}, or in a where of a dataset"
            in_definition.append(Fault(pointer=pointer("parameters", name), detail="is used nowhere", allowed=remedy))
    return Faults(_once(in_sql), _once(in_definition))


def _given(report: Report, statement: Statement) -> Iterator[dict[str, Any]]:
    """The values of two requests: one sets every parameter, the other only those that a request must set."""
    yield statement.values
    optional = [
        name
        for name, rule in report.definition.get("parameters", {}).items()
        if not rule.get("required") and "default" not in rule
    ]
    if optional:
        yield statement.values | dict.fromkeys(optional)


def _create(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    """Creates the tables of a query, without rows."""
    for dataset in statement.datasets:
        tables.create(connection, statement, Source(dataset, [], {}), PinnedFiles())


def _unbound(
    connection: duckdb.DuckDBPyConnection, statement: Statement, in_definition: list[Fault]
) -> Iterator[SqlFault]:
    """What DuckDB does not accept in a query. What its columns lack goes to ``in_definition``."""
    try:
        tables.run(connection, f"DESCRIBE ({statement.sql}\n)", statement.values)  # its lines are those of the SQL
        engine.casts(connection, statement)
    except QueryInvalid as error:
        in_definition += error.faults
    except duckdb.Error as error:
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        yield SqlFault(int(line[1]) if line else 1, _said(error), _allowed(error, statement.datasets))


def _of_condition(report: Report, statement: Statement, table: str, condition: str, where: str) -> list[Fault]:
    """What is wrong with a condition on the columns of a table."""
    _, found = syntax.condition(condition)
    if found:
        return [Fault(pointer=where, detail=each.detail, allowed="one condition in DuckDB's SQL") for each in found]
    faults = []
    for values in _given(report, statement):
        with tables.connect_locked() as connection:
            _create(connection, statement)
            text = f"DESCRIBE SELECT (\n{condition}\n) FROM {quoted(table)}"
            try:
                [[_, kind, *_]] = tables.run(connection, text, values).fetchall()
            except duckdb.Error as error:
                of = [each for each in statement.datasets if each.name == table]
                faults.append(Fault(pointer=where, detail=_said(error), allowed=_allowed(error, of)))
                continue
        if kind not in ("BOOLEAN", '"NULL"'):
            faults.append(Fault(pointer=where, detail=f"the condition gives {kind}", allowed="a BOOLEAN"))
    return _once(faults)


def _of_compiled(report: Report) -> Iterator[Fault]:
    """What DuckDB computes otherwise, or not at all, in the filters of a report with an order."""
    statement = _statement(report)
    [dataset] = statement.datasets
    filters = report.definition.get("parameters", {})
    places = [
        (pointer("parameters", name, "filter"), parameter["filter"].get("expression"), rule.sql)
        for (name, parameter), rule in zip(filters.items(), dataset.rules, strict=True)
    ]
    if dataset.tenant_column is None:
        places.append(("/tenant", report.definition["tenant"]["expression"], f"{dataset.tenant} = ''"))
    for where, expression, condition in places:
        differing = [each for each in syntax.operations(expression or "1") if each in DIFFERENT]
        if differing:
            named = ", ".join(_WORDS.get(name, name.upper()) for name in dict.fromkeys(differing))
            detail = f"DuckDB filters a report with sort, limit or sortable, and may compute {named} differently"
            allowed = "functions without another result of DuckDB in docs/expressions.md; or a report of type query"
            yield Fault(pointer=where, detail=detail, allowed=allowed)
        else:
            yield from _of_condition(report, statement, dataset.name, condition, where)
    with tables.connect_locked() as connection:
        _create(connection, statement)
        try:
            engine.casts(connection, statement)
        except duckdb.Error as error:
            yield Fault(pointer="", detail=_said(error), allowed=_allowed(error, statement.datasets))


def _said(error: duckdb.Error) -> str:
    """The message of DuckDB in one line, without the excerpt of the SQL and the list of similar functions."""
    text = re.split(r"\n+LINE \d+:|\n\tCandidate ", str(error))[0].partition(" Error: ")
    return re.sub(r"[!.]?\s*\n\s*", "; ", (text[2] or text[0]).strip().rstrip("!."))


def _allowed(error: duckdb.Error, datasets: Iterable[Dataset]) -> str:
    """The declared columns, if DuckDB knows no such column. Otherwise "", because its message says what is wrong."""
    if not _NO_COLUMN.search(str(error)):
        return ""
    declared = (f"{each.name} has {', '.join(each.columns)}" for each in datasets)
    return f"the declared columns: {'; '.join(declared)}"


def _once(found: list[_Each]) -> list[_Each]:
    return [each for at, each in enumerate(found) if each not in found[:at]]
