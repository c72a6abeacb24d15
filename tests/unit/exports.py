"""A whole export in this process: planned, divided, made part by part and put together, without Step Functions."""

from __future__ import annotations

import io
import json
from typing import Any

from generate_part import app
from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.files.formats import FORMATS, resolve_options
from shared.files.work import ENGINE_VERSION
from tests.unit.formats.support import WORK, bytes_of, receipt


def column(name: str, kind: str, expression: str | None = None) -> dict[str, Any]:
    """A report's column, called by its name."""
    return {"name": name, "title": name, "type": kind} | ({"expression": expression} if expression else {})


def export(
    name: str, columns: list[dict[str, Any]], parts: int = 1, declared: dict[str, str] | None = None, **more: Any
) -> bytes:
    """The file of the tenant ``acme`` in a format, from the dataset ``sales`` of the lake.

    Args:
        parts: among how many the rows are divided, if there are so many rows.
        declared: ``source.columns``.
        more: parts of the definition; or ``given`` and ``options``, as the caller gives them.
    """
    given, options = more.pop("given", {}), more.pop("options", {})
    source = {"type": "parquet", "dataset": "sales", "columns": declared or {}}
    definition = {"title": "Sales", "source": source, "tenant": "tenant", "columns": columns} | more
    schema, extents = parquet.plan(Query.of(definition, given, "acme"))
    least, planning.MIN_ROWS = planning.MIN_ROWS, 1
    try:
        divided = planning.divide(extents, parts, FORMATS[name].growth)
    finally:
        planning.MIN_ROWS = least
    plan: Any = {"plan": "plan", "engine": ENGINE_VERSION, "definition": definition, "parameters": given}
    plan |= {"options": resolve_options(name, options), "format": name, "tenant": "acme"}
    plan |= {"schema": {column: str(dtype) for column, dtype in schema.items()}}
    fragments, receipts = {}, []
    for part in json.loads(json.dumps(divided)):
        into = io.BytesIO()
        made = app._write(plan, part, into)
        fragments[WORK.part_key(part["part"])] = content = into.getvalue()
        proof = receipt(part["part"], content, made.rows_written, json.loads(json.dumps(made.fragment)))
        receipts.append(proof | {"rows_read": made.rows_read})
    segments = FORMATS[name].layout(plan, WORK, receipts)  # type: ignore[arg-type]
    return b"".join(bytes_of(segment, fragments) for segment in segments)
