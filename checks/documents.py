"""Checks that generated documents are up to date, and that the gateway answers only problems of the catalogue."""

import json
from collections.abc import Iterator
from typing import Any

import generated
from checks import Fault, recipes
from checks.repository import Document, read
from shared.api import problems

_ALWAYS = {"DEFAULT_4XX", "DEFAULT_5XX", "UNAUTHORIZED", "THROTTLED"}


def faults() -> list[Fault]:
    """Outdated documents, and wrong gateway responses."""
    try:
        outdated = [
            Fault(name, 1, "the document", "is not up to date with the code", "Run make docs")
            for name in generated.outdated()
        ]
    except ValueError as error:
        outdated = [Fault("generated/operations.yaml", 1, "operations", str(error), "Add it or remove it")]
    return [*outdated, *recipes.of(gateway_faults, read("template.yaml"))]


def gateway_faults(template: Document) -> list[Fault]:
    """Gateway responses that differ from the catalogue."""
    faults = []
    for name, resource in template.data["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Api":
            continue
        path = ("Resources", name, "Properties", "GatewayResponses")
        responses = resource["Properties"].get("GatewayResponses", {})
        for kind in sorted(_ALWAYS - set(responses)):
            remedy = "Add a gateway response with a problem of functions/shared/api/problems.py"
            faults.append(
                Fault(template.file, template.line(*path), name, f"{kind} answers in AWS's own format", remedy)
            )
        for kind, response in responses.items():
            for wrong, remedy in _breaches(response):
                faults.append(Fault(template.file, template.line(*path, kind), f"{name} {kind}", wrong, remedy))
    return faults


def _breaches(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    template = response.get("ResponseTemplates", {}).get("application/json", "")
    try:
        body = json.loads(template.replace("$context.error.messageString", '""'))
    except ValueError as error:
        yield f"has a body that is not JSON ({error})", "Correct it"
        return
    of_type = {each.type: each for each in problems.CATALOGUE}
    if body.get("type") not in of_type:
        yield f"has the type {body.get('type')!r}", "Use a type of functions/shared/api/problems.py, or add it there"
        return
    problem = of_type[body["type"]]
    status = None if isinstance(problem.status, str) else int(problem.status)
    actual = {"title": body.get("title"), "status": body.get("status"), "StatusCode": response.get("StatusCode")}
    for name, value in {"title": problem.title, "status": status, "StatusCode": status}.items():
        if actual[name] != value:
            remedy = f"Write {value!r}, as {problem.name} in functions/shared/api/problems.py"
            yield f"has the {name} {actual[name]!r}", remedy
    headers = response.get("ResponseParameters", {}).get("Headers", {})
    for name, value in {"Content-Type": "application/problem+json", **problem.headers}.items():
        if headers.get(name) != f"'{value}'":
            yield f"has the header {name} {headers.get(name)!r}", f"Write {value!r}, in single quotes"
    if "Access-Control-Allow-Origin" not in headers:
        yield "cannot be read by web pages of other origins", "Add the header Access-Control-Allow-Origin"
