"""GET /reports: what can be exported."""

from http import HTTPStatus
from typing import Any

from shared import catalogue
from shared.catalogue import Report
from shared.formats import FORMATS
from shared.function import Event, function
from shared.http import Answer, Request, serve


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 200, or a problem."""
    return serve({"GET /reports": list_reports}, event)


def list_reports(request: Request) -> Answer:
    """Every report of this deployment: id, title, columns, formats with their options, parameters as JSON Schema."""
    request.identify()
    return Answer(HTTPStatus.OK, {"reports": [_represent(report) for report in catalogue.deployed().values()]})


def _represent(report: Report) -> dict[str, Any]:
    columns = report.definition["columns"]
    return {
        "id": report.id,
        "title": report.definition["title"],
        "description": report.definition.get("description"),
        "columns": [{key: column[key] for key in ("name", "title", "type")} for column in columns],
        "formats": [{"name": each.name, "options": each.options_schema} for each in FORMATS.values()],
        "parameters": report.parameters_schema,
    }
