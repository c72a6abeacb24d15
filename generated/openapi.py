"""openapi.json (OpenAPI 3.1): template.yaml's routes, what operations.yaml says of them, the schemas, the problems."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from checks.repository import read
from shared.api import problems, request
from shared.api.exports import STATUSES
from shared.api.problems import ProblemType
from shared.files.formats import FORMATS

HERE = Path(__file__).parent
TITLE = "Report Exports"
DESCRIPTION = """\
Request a report as a file, follow how far it is, fetch it when it is ready. A caller sees the rows of the own tenant
and the own exports only. Errors are problems (RFC 9457), told apart by their `type`. Fields may be added to an answer
at any time. Pages of the deployment's `AllowedOrigin` may call this API.
"""
IDENTITY = """\
ID token of the deployment's Cognito user pool, issued to its client, with the claim that names the tenant.
"""
_JSON, _PROBLEM = "application/json", "application/problem+json"


class Route(NamedTuple):
    """A route of the template."""

    method: str
    path: str
    name: str
    """Of its event, such as ``ListExports``."""
    open: bool
    """Whether nobody needs to sign in for it."""


def text() -> str:
    """The document as it is committed and served."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The API of any deployment: a server's address and its reports are put in where it is served (ListReports)."""
    said = _yaml("operations.yaml")
    written, there = list(said["operations"]), [f"{route.method} {route.path}" for route in routes()]
    if wrong := set(written) ^ set(there):
        raise ValueError(f"not both in template.yaml and in generated/operations.yaml: {', '.join(sorted(wrong))}")
    paths: dict[str, Any] = defaultdict(dict)
    for route in sorted(routes(), key=lambda route: written.index(f"{route.method} {route.path}")):
        paths[route.path][route.method.lower()] = _operation(route, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": "/v1"}],
        "security": [{"IdToken": []}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas(),
            "responses": {name: _refusal(each, said) for route in routes() for name, each in _refusals(route)},
            "securitySchemes": {
                "IdToken": {"type": "apiKey", "in": "header", "name": "Authorization", "description": IDENTITY}
            },
        },
    }


def routes() -> list[Route]:
    """The routes of template.yaml."""
    found = []
    for resource in read("template.yaml").data["Resources"].values():
        for name, event in resource.get("Properties", {}).get("Events", {}).items():
            if event["Type"] == "Api":
                given = event["Properties"]
                free = given.get("Auth", {}).get("Authorizer") == "NONE"
                found.append(Route(given["Method"].upper(), given["Path"], name, free))
    return found


def schemas() -> dict[str, Any]:
    """The schemas of what is sent and answered, by name."""
    found: dict[str, Any] = _yaml("schemas.yaml")
    found["Status"]["enum"] = list(STATUSES)
    found["FormatName"]["enum"] = list(FORMATS)
    return found | {"ExportRequest": request.whole(None)}


def problems_of(route: Route) -> list[ProblemType]:
    """The problems that a route may answer with, in the order of the catalogue."""
    said = _yaml("operations.yaml")
    names = said["operations"][f"{route.method} {route.path}"].get("problems", []) + said["everywhere"]
    names += [] if route.open else said["signed_in"]
    if unknown := set(names) - {each.name for each in problems.CATALOGUE}:
        raise ValueError(f"no problem of functions/shared/api/problems.py: {', '.join(sorted(unknown))}")
    return [each for each in problems.CATALOGUE if each.name in names]


def _operation(route: Route, said: dict[str, Any]) -> dict[str, Any]:
    given = said["operations"][f"{route.method} {route.path}"]
    found = {
        "operationId": route.name[0].lower() + route.name[1:],
        "summary": given["summary"],
        "description": given["description"],
    }
    if route.open:
        found["security"] = []
    if "parameters" in given:
        found["parameters"] = [
            said["parameters"][each] if isinstance(each, str) else each for each in given["parameters"]
        ]
    if "body" in given:
        found["requestBody"] = {"required": not given["body"].get("optional"), "content": _content(given["body"])}
    answers = {str(status): _answer(answer, said) for status, answer in given["answers"].items()}
    for name, several in _refusals(route):
        answers[several[0].code] = {"$ref": f"#/components/responses/{name}"}
    return found | {"responses": answers}


def _answer(given: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    found = {"description": given["description"]}
    if "headers" in given:
        found["headers"] = {name: said["headers"][name] for name in given["headers"]}
    return found | ({"content": _content(given)} if {"schema", "content"} & set(given) else {})


def _content(given: dict[str, Any]) -> dict[str, Any]:
    schema = given.get("content") or {"$ref": f"#/components/schemas/{given['schema']}"}
    examples = {name: each if "value" in each else {"value": each} for name, each in given.get("examples", {}).items()}
    return {_JSON: {"schema": schema} | ({"examples": examples} if examples else {})}


def _refusals(route: Route) -> Iterator[tuple[str, list[ProblemType]]]:
    """The problems of a route that have the same status are one answer, which is named after them."""
    by_code: dict[str, list[ProblemType]] = defaultdict(list)
    for problem in problems_of(route):
        by_code[problem.code].append(problem)
    for several in by_code.values():
        yield "-or-".join(problem.name for problem in several), several


def _refusal(several: list[ProblemType], said: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    schema |= {"properties": {"type": {"enum": [problem.type for problem in several]}}}
    examples = {problem.name: {"value": _example(problem, said["refusals"])} for problem in several}
    answer: dict[str, Any] = {
        "description": "\n".join(f"`{problem.name}`: {problem.when} {problem.remedy}" for problem in several),
        "content": {_PROBLEM: {"schema": schema, "examples": examples}},
    }
    headers = {name: said["headers"][name] for problem in several for name in problem.headers}
    return answer | ({"headers": headers} if headers else {})


def _example(problem: ProblemType, refusals: dict[str, Any]) -> dict[str, Any]:
    status = {} if isinstance(problem.status, str) else {"status": int(problem.status)}
    return {"type": problem.type, "title": problem.title, **status, **refusals[problem.name]}


def _yaml(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text("utf-8"))
