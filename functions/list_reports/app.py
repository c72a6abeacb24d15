"""GET /reports: the reports of the deployment. GET /openapi.json: the description of the API."""

import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from shared.api import notification
from shared.api.http import Answer, Request, serve
from shared.catalogue import reports
from shared.catalogue.reports import Report
from shared.files.formats import FORMATS
from shared.files.formats.options import requestable
from shared.lambda_.function import Event, function


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 200, or a problem."""
    return serve({"GET /reports": list_reports, "GET /openapi.json": describe_api}, event)


def list_reports(request: Request) -> Answer:
    """Every report of this deployment: id, title, columns, formats, parameters, and columns to sort by."""
    request.identify()
    return Answer(HTTPStatus.OK, {"reports": [_represent(report) for report in reports.deployed().values()]})


def describe_api(request: Request) -> Answer:
    """The OpenAPI description of the API, with this deployment's URL.

    This route needs no sign-in, so the description does not name the reports; GET /reports does.
    """
    return Answer(HTTPStatus.OK, _document() | {"servers": [{"url": request.base_url}]})


@cache
def _document() -> dict[str, Any]:
    """The openapi.json that `make docs` generated."""
    return json.loads((Path(__file__).parent / "openapi.json").read_text("utf-8"))  # type: ignore[no-any-return]


def _represent(report: Report) -> dict[str, Any]:
    columns, notify = report.definition["columns"], notification.is_offered()
    return {
        "id": report.id,
        "title": report.definition["title"],
        "description": report.definition.get("description"),
        "columns": [{key: column[key] for key in ("name", "title", "type")} for column in columns],
        "formats": [
            {"name": each.name, "options": requestable(each.options_schema, notify=notify)} for each in FORMATS.values()
        ],
        "parameters": report.parameters_schema,
        "sortable": report.definition.get("sortable", []),
    }
