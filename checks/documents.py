"""One catalogue of problems: the documents are made of it, and the gateway answers what is in it."""

import json
from collections.abc import Iterator
from typing import Any

import generated
from checks import Fault
from checks.repository import Document, read
from shared.api import problems

_ALWAYS = {"DEFAULT_4XX", "DEFAULT_5XX", "UNAUTHORIZED", "THROTTLED"}


def faults() -> list[Fault]:
    """What is not as the code says."""
    try:
        outdated = [
            Fault(name, 1, "the document", "is not as the code says", "Run make docs") for name in generated.outdated()
        ]
    except ValueError as error:
        outdated = [Fault("generated/operations.yaml", 1, "operations", str(error), "Add it, or take it out")]
    return [*outdated, *gateway_faults(read("template.yaml"))]


def gateway_faults(template: Document) -> list[Fault]:
    """What the gateway would answer besides the catalogue."""
    found = []
    for name, resource in template.data["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Api":
            continue
        path = ("Resources", name, "Properties", "GatewayResponses")
        responses = resource["Properties"].get("GatewayResponses", {})
        for kind in sorted(_ALWAYS - set(responses)):
            remedy = "Add it: a problem of functions/shared/api/problems.py"
            found.append(Fault(template.file, template.line(*path), name, f"{kind} answers in AWS's own form", remedy))
        for kind, response in responses.items():
            for wrong, remedy in _breaches(response):
                found.append(Fault(template.file, template.line(*path, kind), f"{name} {kind}", wrong, remedy))
    return found


def _breaches(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    template = response.get("ResponseTemplates", {}).get("application/json", "")
    try:
        body = json.loads(template.replace("$context.error.messageString", '""'))
    except ValueError as error:
        yield f"has a body that is no JSON ({error})", "Correct it"
        return
    of_type = {each.type: each for each in problems.CATALOGUE}
    if body.get("type") not in of_type:
        yield f"has the type {body.get('type')!r}", "Name one of functions/shared/api/problems.py, or add it there"
        return
    problem = of_type[body["type"]]
    status = None if isinstance(problem.status, str) else int(problem.status)
    given = {"title": body.get("title"), "status": body.get("status"), "StatusCode": response.get("StatusCode")}
    for name, value in {"title": problem.title, "status": status, "StatusCode": status}.items():
        if given[name] != value:
            yield f"has the {name} {given[name]!r}", f"{problem.name} has {value!r} in functions/shared/api/problems.py"
    headers = response.get("ResponseParameters", {}).get("Headers", {})
    for name, value in {"Content-Type": "application/problem+json", **problem.headers}.items():
        if headers.get(name) != f"'{value}'":
            yield f"has the header {name} {headers.get(name)!r}", f"It must be {value!r}, in single quotes"
    if "Access-Control-Allow-Origin" not in headers:
        yield "may not be read by pages", "Add the header Access-Control-Allow-Origin"
