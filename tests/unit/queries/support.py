"""Runs the query of a report on the data bucket in memory, without a function around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl
import pyarrow as pa

from shared.catalogue.reports import Report
from shared.queries import engine, tables
from shared.queries.engine import Limits
from shared.queries.statement import Statement
from tests.unit.lake import Lake, by_arrow

LIMITS = Limits(memory=500, spill=100, seconds=60, rows=10_000_000)


def dataset(tenant: str | None = "tenant", where: str | None = None, folder: str = "sales", **columns: str) -> Any:
    """A dataset of a query with these columns; of every tenant if ``tenant`` is None."""
    found: dict[str, Any] = {"dataset": folder, "columns": columns}
    if tenant is None:
        found["shared"] = True
    else:
        found |= {"tenant": tenant, "columns": {tenant: "string"} | columns}
    return found | ({"where": where} if where else {})


def query(sql: str, columns: dict[str, str], sales: Any = None, parameters: Any = None, **datasets: Any) -> Report:
    """A report with a query of the table ``sales``, and of others.

    Args:
        columns: the types of its columns by name.
        parameters: their types by name.
    """
    of = ({"sales": sales} if sales else {}) | datasets
    definition = {
        "title": "Sales",
        "source": {"type": "query", "engine": "duckdb", "sql": "sales.sql", "datasets": of},
        "parameters": {name: {"title": name, "type": kind} for name, kind in (parameters or {}).items()},
        "columns": [{"name": name, "title": name, "type": kind} for name, kind in columns.items()],
    }
    return Report("sales", definition, sql)


def record(tenant: str = "acme", sort: Any = None, columns: Any = None, **parameters: Any) -> Any:
    """The record of an export of a tenant, with these parameters."""
    chosen = {"sort": sort, "columns": columns}
    return {
        "owner": f"{tenant}#user",
        "export_id": "export",
        "parameters": json.dumps(parameters),
        **{name: json.dumps(value) for name, value in chosen.items() if value},
    }


def frame(
    report: Report | Statement,
    tenant: str = "acme",
    limits: Limits = LIMITS,
    still_wanted: Callable[[], None] = lambda: None,
    **parameters: Any,
) -> pl.DataFrame:
    """The result of a report's query for a tenant."""
    statement = report if isinstance(report, Statement) else Statement.of(report, record(tenant, **parameters))
    with engine.scratch() as folder:
        file, count, _ = engine.write(statement, tables.find(statement), limits, still_wanted, folder)
        result = pl.read_parquet(file)
    assert result.height == count
    return result


def rows(report: Report | Statement, tenant: str = "acme", **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of the result of a report's query for a tenant."""
    return frame(report, tenant, **parameters).rows()


def put(lake: Lake, path: str, tenant: str | Iterable[Any] | None = "acme", **columns: Any) -> str:
    """Stores a file of the dataset ``sales``; its key. None: without the column of the tenant."""
    count = len(next(iter(columns.values())))
    tenants = {"tenant": [tenant] * count if isinstance(tenant, str) else tenant} if tenant is not None else {}
    return lake.put(path, by_arrow(pa.table(tenants | columns)))
