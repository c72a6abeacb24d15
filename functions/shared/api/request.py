"""The body of POST /exports as JSON Schema: RequestExport checks it, and openapi.json describes it."""

from collections.abc import Mapping
from typing import Any

from shared.catalogue.choices import MOST_COLUMNS, MOST_KEYS
from shared.catalogue.reports import Report
from shared.files.formats import FORMATS
from shared.files.formats.options import requestable

_NAME = {"type": "string", "maxLength": 128}
"""A column's name."""


def schema(reports: Mapping[str, Report]) -> dict[str, Any]:
    """The fields of the body. The report and the format decide what the values of the others may be: :func:`whole`."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["report", "format"],
        "properties": {
            "report": {"enum": list(reports)},
            "format": {"enum": list(FORMATS)},
            "parameters": {"type": "object"},
            "options": {"type": "object"},
            "columns": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_COLUMNS,
                "uniqueItems": True,
                "items": _NAME,
            },
            "sort": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_KEYS,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["column"],
                    "properties": {"column": _NAME, "descending": {"type": "boolean"}},
                },
            },
        },
    }


def whole(reports: Mapping[str, Report] | None) -> dict[str, Any]:
    """The body with the parameters of each report and the options of each format, as documentation for callers.

    It omits rules that JSON Schema cannot express: spans of dates, names of time zones, duplicate columns in ``sort``.

    Args:
        reports: the reports of a deployment; None when they are not known.
    """
    described = schema(reports or {})
    fields = described["properties"]
    if reports is None:
        fields["report"] = {"type": "string"}
    fields["report"]["description"] = "Id of a report that GET /reports lists."
    fields["format"]["description"] = "Format of the file."
    fields["parameters"]["description"] = "Parameters of the report. Its `parameters` in GET /reports describe them."
    fields["options"]["description"] = "How to write and name the file. All options are optional."
    fields["columns"]["description"] = (
        "Names of the report's columns that the file has, in this order. Without it, the file has all of them. "
        "Parameters may filter by the other columns too."
    )
    fields["sort"]["description"] = (
        "Order of the rows: by the first column, then by the next, each column once. The report's `sortable` in "
        "GET /reports names the columns. Without it, the rows have the report's own order."
    )
    groups: list[tuple[dict[str, Any], list[str]]] = []
    for name, each in FORMATS.items():
        schema_of_options = requestable(each.options_schema)
        group = next((names for options, names in groups if options == schema_of_options), None)
        if group is None:
            groups.append((schema_of_options, [name]))
        else:
            group.append(name)
    rules = [_when("format", names, {"properties": {"options": options}}) for options, names in groups]
    for report in (reports or {}).values():
        required = ["parameters"] if report.parameters_schema["required"] else []
        of_report = {"properties": _of(report), "required": required}
        rules.append(_when("report", [report.id], of_report))
    return described | {"allOf": rules}


def _of(report: Report) -> dict[str, Any]:
    """What the report decides."""
    sortable = report.definition.get("sortable", [])
    return {
        "parameters": report.parameters_schema,
        "columns": {"items": {"enum": [column["name"] for column in report.definition["columns"]]}},
        "sort": {"items": {"properties": {"column": {"enum": sortable}}}} if sortable else False,
    }


def _when(field: str, values: list[str], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {field: {"enum": values}}, "required": [field]}, "then": then}
