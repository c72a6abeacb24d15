"""The body of POST /exports as JSON Schema: RequestExport checks it, and openapi.json describes it."""

from collections.abc import Mapping
from typing import Any

from shared.catalogue.reports import Report
from shared.files.formats import FORMATS
from shared.files.formats.options import requestable


def schema(reports: Mapping[str, Report]) -> dict[str, Any]:
    """The fields of the body. The report and the format decide what parameters and options allow: :func:`whole`."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["report", "format"],
        "properties": {
            "report": {"enum": list(reports)},
            "format": {"enum": list(FORMATS)},
            "parameters": {"type": "object"},
            "options": {"type": "object"},
        },
    }


def whole(reports: Mapping[str, Report] | None) -> dict[str, Any]:
    """The body with the parameters of each report and the options of each format, as documentation for callers.

    It omits rules that JSON Schema cannot express: the spans of dates and the names of time zones.

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
        of_report = {"properties": {"parameters": report.parameters_schema}, "required": required}
        rules.append(_when("report", [report.id], of_report))
    return described | {"allOf": rules}


def _when(field: str, values: list[str], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {field: {"enum": values}}, "required": [field]}, "then": then}
