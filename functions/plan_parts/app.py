"""State PlanParts: selects the sources to read, divides them into parts, and writes the plan."""

import json
import os
from dataclasses import replace
from typing import Any

from shared.catalogue import choices, reports
from shared.engine import expressions, places, planning
from shared.engine.query import Query
from shared.engine.sources import SOURCES, results
from shared.errors import TooManyRows
from shared.files import query_results, work
from shared.files.formats import FORMATS
from shared.files.work import Part, Plan, Work
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics
from shared.records import attempts
from shared.records.table import Record


@function(__file__)
def handler(event: Event) -> dict[str, Any]:
    """Plans an attempt. Equal records and sources give the same plan, so a retry reuses its finished parts.

    Returns:
        ``{plan, parts_key, results_prefix, parts_total, concurrency}``; all but ``concurrency`` as text.
    """
    record = attempts.running(event)
    concurrency = int(os.environ["MAP_CONCURRENCY"])
    plan, parts = _plan(record, concurrency)
    files = Work(record["export_id"], plan["plan"])
    files.write_plan(plan, parts)
    metrics.add_metric(name="PartsPlanned", unit="Count", value=len(parts))
    logger.info("planned", extra={"plan": plan["plan"], "parts": len(parts), "rows": plan["rows"]})
    return {
        "plan": plan["plan"],
        "parts_key": files.parts_key,
        "results_prefix": files.results_prefix,
        "parts_total": str(len(parts)),
        "concurrency": concurrency,
    }


def _plan(record: Record, concurrency: int) -> tuple[Plan, list[Part]]:
    tenant = record["owner"].split("#")[0]
    report, parameters = reports.report(record["report"]), json.loads(record["parameters"])
    columns, sort = query_results.choices(record)
    report.require(parameters, columns, sort, queries=record.get("queries", False))
    definition = choices.chosen(expressions.checked(report), columns)
    if record.get("queries"):
        definition = results.definition_of(definition)
        result = query_results.require(record["export_id"], query_results.name(report, record))
        query = replace(Query.of(definition, parameters, tenant), result=result)
    else:
        query = Query.of(definition, parameters, tenant)
    source, file_format = SOURCES[definition["source"]["type"]], FORMATS[record["format"]]
    schema, extents = source.plan(query)
    parts = planning.divide(extents, concurrency, file_format.growth)
    rows = sum(part["rows"] for part in parts)
    if rows > (limit := int(os.environ["MAX_ROWS_PER_EXPORT"])):
        raise TooManyRows(f"the export would read {rows} rows; MaxRowsPerExport is {limit}")
    if file_format.has_places:
        parts = places.place(source, query, schema, extents, parts)
    content: dict[str, Any] = {
        "engine": work.ENGINE_VERSION,
        "report": record["report"],
        "definition": definition,
        "parameters": parameters,
        "options": json.loads(record["options"]),
        "format": record["format"],
        "tenant": tenant,
        "schema": {name: str(dtype) for name, dtype in schema.items()},
        "parts_total": len(parts),
        "rows": rows,
    }
    if "rows_passing" in parts[0]:
        content["rows_passing"] = sum(part["rows_passing"] for part in parts)
    if file_format.has_places and "first_row" not in parts[0]:
        content["warning"] = places.UNPLACED
    plan: Any = content | {"plan": work.plan_name(content, parts)}
    return plan, parts
