"""openapi.json (OpenAPI 3.1), from the routes of template.yaml, operations.yaml, schemas.yaml and the problems."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from checks.repository import read
from shared.api import identity, problems, request
from shared.api.exports import STATUSES
from shared.api.problems import ProblemType
from shared.files.formats import FORMATS

HERE = Path(__file__).parent
TITLE = "Report Exports"
DESCRIPTION = """\
Request a report as a file, follow its progress, and download the file when it is ready. Callers see only the rows of
their tenant and only their own exports. Errors are problems (RFC 9457); the `type` identifies a problem. The API may
add fields to answers at any time. Web pages of the deployment's `AllowedOrigin` may call this API.
"""
IDENTITY = """\
A token of the deployment's issuer, for the deployment's audience, with the claims that name the tenant and the user. By
default it is an ID token of the deployment's Cognito user pool.
"""
SIGNATURE = """\
AWS Signature Version 4 for the service `execute-api`. An IAM policy allows the calls, for all tenants or for some.
"""
ON_BEHALF = "For a backend, on behalf of a user: the same as for the user who has a token."
_JSON, _PROBLEM = "application/json", "application/problem+json"


class Route(NamedTuple):
    """A route of the template."""

    method: str
    path: str
    name: str
    """Name of its event, such as ``ListExports``."""
    authorizer: str
    """``NONE``, ``AWS_IAM`` for backends, or empty for the API's default: a user's token."""

    @property
    def open(self) -> bool:
        """Whether the route needs no sign-in."""
        return self.authorizer == "NONE"

    @property
    def tag(self) -> str:
        """The group of routes to which it belongs."""
        if self.path.startswith(identity.ON_BEHALF):
            return "on-behalf"
        groups = {"exports": "exports", "reports": "deployment", "limits": "deployment", "openapi.json": "deployment"}
        return groups.get(self.path.split("/")[1], "page")

    @property
    def described_as(self) -> str:
        """The operation in operations.yaml. A backend's route is described by the user's."""
        return f"{self.method} {self.path.removeprefix(identity.ON_BEHALF)}"


def text() -> str:
    """The text of the document, as it is committed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The API of any deployment. ListReports adds the URL of the deployment when it returns the document."""
    source = _yaml("operations.yaml")
    described, deployed = list(source["operations"]), [route.described_as for route in routes()]
    if mismatches := set(described) ^ set(deployed):
        names = ", ".join(sorted(mismatches))
        raise ValueError(f"only in one of template.yaml and generated/operations.yaml: {names}")
    paths: dict[str, Any] = defaultdict(dict)
    for route in sorted(routes(), key=lambda route: (bool(route.authorizer), described.index(route.described_as))):
        paths[route.path][route.method.lower()] = _operation(route, source)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": "/v1"}],
        "security": [{"IdToken": []}],
        "tags": [{"name": name, "description": each} for name, each in source["tags"].items()],
        "paths": dict(paths),
        "components": {
            "schemas": schemas(),
            "responses": {name: _refusal(each, source) for route in routes() for name, each in _refusals(route)},
            "securitySchemes": {
                "IdToken": {"type": "apiKey", "in": "header", "name": "Authorization", "description": IDENTITY},
                "Signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": SIGNATURE,
                    "x-amazon-apigateway-authtype": "awsSigv4",
                },
            },
        },
    }


def routes() -> list[Route]:
    """The routes of template.yaml."""
    api_routes = []
    for resource in read("template.yaml").data["Resources"].values():
        for name, event in resource.get("Properties", {}).get("Events", {}).items():
            if event["Type"] == "Api":
                properties = event["Properties"]
                authorizer = properties.get("Auth", {}).get("Authorizer", "")
                api_routes.append(Route(properties["Method"].upper(), properties["Path"], name, authorizer))
    return api_routes


def schemas() -> dict[str, Any]:
    """The schemas of requests and answers, by name."""
    by_name: dict[str, Any] = _yaml("schemas.yaml")
    by_name["Status"]["enum"] = list(STATUSES)
    by_name["FormatName"]["enum"] = list(FORMATS)
    body = request.whole(None)
    named = {"format": "FormatName", "parameters": "Parameters", "options": "Options"}
    body["properties"] |= {field: {"$ref": f"#/components/schemas/{name}"} for field, name in named.items()}
    sort = body["properties"]["sort"]
    by_name["SortKey"] = sort["items"]
    body["properties"]["sort"] = sort | {"items": {"$ref": "#/components/schemas/SortKey"}}
    return by_name | {"ExportRequest": body}


def problems_of(route: Route) -> list[ProblemType]:
    """The problems that a route may answer with, in the order of the catalogue."""
    source = _yaml("operations.yaml")
    names = source["operations"][route.described_as].get("problems", []) + source["everywhere"]
    names += [] if route.open else source["signed_in"]
    if unknown := set(names) - {each.name for each in problems.CATALOGUE}:
        raise ValueError(f"not a problem of functions/shared/api/problems.py: {', '.join(sorted(unknown))}")
    return [each for each in problems.CATALOGUE if each.name in names]


def _operation(route: Route, source: dict[str, Any]) -> dict[str, Any]:
    described = source["operations"][route.described_as]
    operation = {
        "operationId": route.name[0].lower() + route.name[1:],
        "tags": [route.tag],
        "summary": described["summary"],
        "description": described["description"],
    }
    if route.open:
        operation["security"] = []
    parameters = described.get("parameters", [])
    if route.authorizer == "AWS_IAM":
        operation |= {"security": [{"Signature": []}], "description": f"{ON_BEHALF} {operation['description']}"}
        parameters = ["tenant", "user", *parameters]
    if parameters:
        operation["parameters"] = [source["parameters"][each] if isinstance(each, str) else each for each in parameters]
    if "body" in described:
        body = described["body"]
        operation["requestBody"] = {"required": not body.get("optional"), "content": _content(body)}
    answers = {str(status): _answer(answer, source) for status, answer in described["answers"].items()}
    for name, several in _refusals(route):
        answers[several[0].code] = {"$ref": f"#/components/responses/{name}"}
    return operation | {"responses": answers}


def _answer(described: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    answer = {"description": described["description"]}
    if "headers" in described:
        answer["headers"] = {name: source["headers"][name] for name in described["headers"]}
    if "kinds" in described:
        return answer | {"content": {kind: {"schema": schema} for kind, schema in described["kinds"].items()}}
    return answer | ({"content": _content(described)} if {"schema", "content"} & set(described) else {})


def _content(described: dict[str, Any]) -> dict[str, Any]:
    schema = described.get("content") or {"$ref": f"#/components/schemas/{described['schema']}"}
    examples = {
        name: each if "value" in each else {"value": each} for name, each in described.get("examples", {}).items()
    }
    return {_JSON: {"schema": schema} | ({"examples": examples} if examples else {})}


def _refusals(route: Route) -> Iterator[tuple[str, list[ProblemType]]]:
    """Groups the problems of a route by status. Each group is one answer, which has the names of its problems."""
    by_code: dict[str, list[ProblemType]] = defaultdict(list)
    for problem in problems_of(route):
        by_code[problem.code].append(problem)
    for several in by_code.values():
        yield "-or-".join(problem.name for problem in several), several


def _refusal(several: list[ProblemType], source: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    schema |= {"properties": {"type": {"enum": [problem.type for problem in several]}}}
    examples = {problem.name: {"value": _example(problem, source["refusals"])} for problem in several}
    answer: dict[str, Any] = {
        "description": "\n".join(f"`{problem.name}`: {problem.when} {problem.remedy}" for problem in several),
        "content": {_PROBLEM: {"schema": schema, "examples": examples}},
    }
    headers = {name: source["headers"][name] for problem in several for name in problem.headers}
    return answer | ({"headers": headers} if headers else {})


def _example(problem: ProblemType, refusals: dict[str, Any]) -> dict[str, Any]:
    status = {} if isinstance(problem.status, str) else {"status": int(problem.status)}
    return {"type": problem.type, "title": problem.title, **status, **refusals[problem.name]}


def _yaml(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text("utf-8"))
