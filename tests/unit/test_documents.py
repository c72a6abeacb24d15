"""openapi.json says what the API does, and one catalogue what its problems are."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from generated import openapi
from generated.problems import text as problems_page
from shared.api import problems, request
from shared.api.explanations import EXPLANATIONS, WARNINGS
from shared.catalogue import reports
from shared.files.formats import FORMATS
from shared.lambda_ import contract
from tests.support.description import breaches, description
from tests.unit.support import FUNCTIONS, REPORTS, WEB, Answer, event, template

RESPONSES = template()["Resources"]["Api"]["Properties"]["GatewayResponses"]


def test_it_is_openapi_3_1() -> None:
    assert description()["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(description()).validate()


def test_it_has_every_route_of_the_template_and_no_other_and_only_an_open_one_needs_no_token() -> None:
    described = {(method.upper(), path) for path, each in description()["paths"].items() for method in each}
    assert described == {(route.method, route.path) for route in openapi.routes()}
    assert ("GET", "/openapi.json") in described


def test_a_user_needs_a_token_a_backend_a_signature_and_an_open_route_nothing() -> None:
    security = {"": None, "AWS_IAM": [{"Signature": []}], "NONE": []}
    assert {route.authorizer for route in openapi.routes()} == set(security)
    for route in openapi.routes():
        operation = description()["paths"][route.path][route.method.lower()]
        assert operation.get("security") == security[route.authorizer]
        assert (route.authorizer == "AWS_IAM") == route.path.startswith("/on-behalf/{tenant}/{user}/")
        assert ("401" in operation["responses"]) == (not route.open)


def examples(described: Any, place: str = "") -> Iterator[Any]:
    """Every example in a part of the description, and the schema beside it."""
    if isinstance(described, dict) and "schema" in described:
        found = {name: example["value"] for name, example in described.get("examples", {}).items()}
        for name, example in (found | ({"": described["example"]} if "example" in described else {})).items():
            yield pytest.param(described["schema"], example, id=f"{place} {name}")
        return
    for name, inner in described.items() if isinstance(described, dict) else ():
        yield from examples(inner, f"{place} {name}")
    for inner in described if isinstance(described, list) else ():
        if isinstance(inner, dict):
            yield from examples(inner, f"{place} {inner.get('name', '')}")


EXAMPLES = [*examples(openapi.document()["components"]["responses"]), *examples(openapi.document()["paths"])]


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_an_example_is_one(schema: dict[str, Any], example: Any) -> None:
    whole = {"allOf": [schema], "components": {"schemas": openapi.schemas()}}
    assert list(contract.validator(whole).iter_errors(example)) == []


def test_it_is_served_with_the_deployments_address_and_names_no_report(api: Callable[[str, Any], Answer]) -> None:
    served = api("ListReports", event("list_reports/openapi"))
    assert served.status == 200
    assert served.body["servers"] == [{"url": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"}]
    assert served.body == json.loads(json.dumps(description())) | {"servers": served.body["servers"]}
    assert served.body["components"]["schemas"]["ExportRequest"]["properties"]["report"]["type"] == "string"


DAY = {"from": "2013-01-01", "to": "2013-01-01"}
FLIGHTS: dict[str, Any] = {"report": "flights", "format": "csv", "parameters": DAY}
OPTIONS: list[Any] = [{}, {"options": {"bom": True}}, {"options": {"spreadsheet_safe": 1}}]
BODIES = [
    FLIGHTS | {"options": {}},
    *(FLIGHTS | {"format": name} | options for name in FORMATS for options in OPTIONS),
    FLIGHTS | {"report": "trains"},
    FLIGHTS | {"format": "doc"},
    FLIGHTS | {"colour": "red"},
    FLIGHTS | {"parameters": {}},
    FLIGHTS | {"parameters": {"from": "2013-01-01", "to": "soon"}},
    FLIGHTS | {"parameters": DAY | {"origin": "jfk"}},
    {"report": "flights", "format": "csv"},
    {"report": "flights"},
    {},
    [],
]


@pytest.mark.parametrize("given", BODIES, ids=json.dumps)
def test_what_the_schema_allows_is_what_the_function_accepts(
    given: Any, configure: Callable[[str], None], cloud: Any, api: Callable[[str, Any], Answer]
) -> None:
    described = contract.validator(request.whole(reports.load(REPORTS)))
    answered = api("RequestExport", event("request_export/typical") | {"body": json.dumps(given)})
    assert described.is_valid(given) == (answered.status == 202)


def test_the_schema_without_reports_allows_any() -> None:
    schema, trains = request.whole(None), {"report": "trains", "format": "csv"}
    Draft202012Validator.check_schema(schema)
    assert contract.validator(schema).is_valid(trains | {"parameters": {"x": 1}})
    assert not contract.validator(schema).is_valid(trains | {"options": {"x": 1}})


def raised() -> set[str]:
    """The problems that the functions name, by the names of their constants."""
    found = set()
    for path in FUNCTIONS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "problems":
                found.add(node.attr)
    return found - {"CATALOGUE", "URN"}


def test_every_problem_is_answered_by_a_function_or_by_the_gateway() -> None:
    named = {getattr(problems, name).type for name in raised()}
    for response in RESPONSES.values():
        text = response["ResponseTemplates"]["application/json"]
        named.add(json.loads(text.replace("$context.error.messageString", '""'))["type"])
    assert named == {problem.type for problem in problems.CATALOGUE}


def test_the_catalogue_is_whole_and_in_order() -> None:
    constants = [value for value in vars(problems).values() if isinstance(value, problems.ProblemType)]
    assert constants == list(problems.CATALOGUE)
    assert len({problem.name for problem in problems.CATALOGUE}) == len(problems.CATALOGUE)
    codes = [problem.code.replace("XX", "99") for problem in problems.CATALOGUE if problem.name != "refused"]
    assert codes == sorted(codes)


def test_every_problem_is_described_of_some_route() -> None:
    described = {each.name for route in openapi.routes() for each in openapi.problems_of(route)}
    assert {each.name for each in problems.CATALOGUE} == described


def test_the_page_explains_every_problem_and_every_error_of_an_export() -> None:
    page = problems_page()
    for problem in problems.CATALOGUE:
        assert f"\n### {problem.name}\n\n{problem.code} {problem.title}." in page
        assert problem.when in page
        assert problem.remedy in page
    for name, explanation in EXPLANATIONS.items():
        assert f"| `{name}` | {explanation.title} |" in page
    for name, (title, remedy) in WARNINGS.items():
        assert f"| `{name}` | {title} | {remedy} |" in page


EXPORT = description()["paths"]["/exports/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]
SUCCEEDED = EXPORT["succeeded"]["value"]
JSON, PROBLEM = {"Content-Type": "application/json"}, {"Content-Type": "application/problem+json"}
GONE = {"type": problems.URN + "expired", "title": "The file has expired", "status": 410, "detail": "It has."}


def test_an_answer_as_described_breaches_nothing() -> None:
    assert breaches("GET", "/exports/x", 200, JSON | {"Retry-After": "1"}, json.dumps(SUCCEEDED)) == []
    assert breaches("GET", "/exports/x/file", 410, PROBLEM, json.dumps(GONE)) == []
    assert breaches("GET", "/exports/x/file", 302, {"Location": "https://s3"}, "") == []
    assert breaches("DELETE", "/exports/x", 204, {}, "") == []


@pytest.mark.parametrize(
    ("call", "status", "headers", "answer"),
    [
        ("GET /exports/x", 200, JSON, SUCCEEDED | {"colour": "red"}),
        ("GET /exports/x", 200, JSON, SUCCEEDED | {"links": SUCCEEDED["links"] | {"next": "https://x"}}),
        ("GET /exports/x", 200, JSON, SUCCEEDED | {"status": "DONE"}),
        ("GET /exports/x", 200, JSON, {name: value for name, value in SUCCEEDED.items() if name != "rows"}),
        ("GET /exports/x", 200, JSON | {"Location": "https://x"}, SUCCEEDED),
        ("GET /exports/x", 200, PROBLEM, SUCCEEDED),
        ("GET /exports/x", 202, JSON, SUCCEEDED),
        ("GET /exports/x", 410, PROBLEM, GONE),
        ("GET /exports/x/file", 409, PROBLEM, GONE),
        ("GET /exports/x/file", 410, PROBLEM, GONE | {"colour": "red"}),
        ("DELETE /exports/x", 204, {}, {}),
        ("GET /history", 200, JSON, {}),
    ],
)
def test_an_answer_that_is_otherwise_is_a_breach(call: str, status: int, headers: dict[str, str], answer: Any) -> None:
    assert len(breaches(*call.split(), status, headers, json.dumps(answer))) == 1


@pytest.mark.parametrize("file", sorted(WEB.glob("texts-*.js")), ids=lambda file: file.stem)
def test_another_language_of_the_page_explains_every_failure_and_only_problems_that_exist(file: Path) -> None:
    said = {name: section(file, name) for name in ("problems", "failures")}
    assert set(said["failures"]) == {*EXPLANATIONS, *WARNINGS}
    assert set(said["problems"]) < {each.name for each in problems.CATALOGUE}


def section(file: Path, name: str) -> list[str]:
    """The names in a section of a module of texts."""
    [lines] = re.findall(rf"^  {name}: \{{\n(.*?)^  \}},$", file.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return re.findall(r'^    "?([\w.-]+)"?:', lines, re.MULTILINE)
