"""The body of POST /exports as JSON Schema: what RequestExport checks, and what openapi.json says."""

from collections.abc import Mapping
from typing import Any

from shared.catalogue.reports import Report
from shared.files.formats import FORMATS
from shared.files.formats.options import requestable


def schema(reports: Mapping[str, Report]) -> dict[str, Any]:
    """The body's fields. What parameters and options may hold depends on the report and the format: :func:`whole`."""
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
    """The body with the parameters of each report and the options of each format, for whoever reads or sends one.

    What a schema cannot say is left out: which dates make a span, which names are time zones.

    Args:
        reports: those of a deployment; None when it is not known which there are.
    """
    described = schema(reports or {})
    fields = described["properties"]
    if reports is None:
        fields["report"] = {"type": "string"}
    fields["report"]["description"] = "Id of a report of GET /reports."
    fields["format"]["description"] = "Of the file."
    fields["parameters"]["description"] = "What the report is to hold, as its `parameters` in GET /reports describe it."
    fields["options"]["description"] = "How the file is to be written and called; none needs to be given."
    offered: list[tuple[dict[str, Any], list[str]]] = []
    for name, each in FORMATS.items():
        known = requestable(each.options_schema)
        same = next((names for options, names in offered if options == known), None)
        if same is None:
            offered.append((known, [name]))
        else:
            same.append(name)
    rules = [_when("format", names, {"properties": {"options": options}}) for options, names in offered]
    for report in (reports or {}).values():
        required = ["parameters"] if report.parameters_schema["required"] else []
        of_report = {"properties": {"parameters": report.parameters_schema}, "required": required}
        rules.append(_when("report", [report.id], of_report))
    return described | {"allOf": rules}


def _when(field: str, values: list[str], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {field: {"enum": values}}, "required": [field]}, "then": then}
