"""HTTP through the proxy integration: addresses, headers, callers, answers."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from shared.api import problems
from shared.api.http import Answer, Caller, Problem, Request, invalid, serve
from shared.api.problems import ProblemType
from shared.lambda_.faults import Fault
from tests.unit.support import EXPORT_ID, OWNER, event


def request(resource: str, path: str, domain: str = "a.example.com", headers: Any = None) -> Request:
    return Request({"resource": resource, "requestContext": {"path": path, "domainName": domain}, "headers": headers})


# ── URLs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("base", ["/v1", "/a/b", ""], ids=["stage", "two levels", "empty base"])
def test_the_base_is_the_path_without_the_resource(base: str) -> None:
    for resource, rest in (
        ("/", "/"),
        ("/", ""),
        ("/exports", "/exports/"),
        ("/exports/{id}", f"/exports/{EXPORT_ID}"),
        ("/exports/{id}", "/exports/exports"),
        ("/exports/{id}/file", f"/exports/{EXPORT_ID}/file"),
    ):
        assert request(resource, base + rest).base_url == f"https://a.example.com{base}"


def test_the_protocol_is_the_one_that_the_caller_used() -> None:
    forwarded = {"x-forwarded-proto": "http"}
    assert request("/exports", "/v1/exports", headers=forwarded).base_url == "http://a.example.com/v1"


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({"Host": "x", "Idempotency-Key": "k"}, "k"),
        ({"IDEMPOTENCY-KEY": "k"}, "k"),
        ({"Idempotency-Keys": "k"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_header_names_are_the_same_in_any_case(headers: Any, value: str | None) -> None:
    for asked in ("Idempotency-Key", "idempotency-key"):
        assert Request({"headers": headers}).header(asked) == value


@pytest.mark.parametrize("given", [{}, {"pathParameters": None, "queryStringParameters": None}])
def test_no_parameters_are_empty(given: dict[str, Any]) -> None:
    assert (Request(given).path, Request(given).query) == ({}, {})


# ── The caller ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def identify(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Caller]:
    """The caller of an event with these claims."""
    for name, value in event("environment")["ListReports"].items():
        monkeypatch.setenv(name, value)

    def identify(**claims: Any) -> Caller:
        given = event("list_reports/typical")
        given["requestContext"]["authorizer"]["claims"] |= claims
        return Request(given).identify()

    return identify


def test_the_caller_is_the_tenant_and_the_user_of_the_token(identify: Callable[..., Caller]) -> None:
    caller = identify()
    assert caller == Caller(*OWNER.split("#"), "dana@example.com")
    assert caller.owner == OWNER
    assert "dana" not in repr(caller)
    for tenant, user in (("a", "b"), ("A_b-9" * 12 + "abcd", "0-" * 64)):
        assert identify(**{"custom:tenant_id": tenant, "sub": user}).owner == f"{tenant}#{user}"


@pytest.mark.parametrize(
    ("claim", "problem", "values"),
    [
        ("token_use", problems.FOREIGN_TOKEN, ["access", "ID", None]),
        ("aud", problems.FOREIGN_TOKEN, ["2b9exampleotherclient0000b", "", "7f0exampleclientid0000000a ", None]),
        (
            "custom:tenant_id",
            problems.IDENTITY_INCOMPLETE,
            ["", " ", "U A", "UA ", "UA\n", "UA#x", "#", "Ü", "UA/..", "U,A", "a" * 65, None],
        ),
        ("sub", problems.IDENTITY_INCOMPLETE, ["", "a b", "a#b", "a_b", "a/b", "a\n", "é", "a" * 129, None]),
    ],
)
def test_a_claim_that_is_not_valid_is_refused(
    claim: str, problem: ProblemType, values: list[Any], identify: Callable[..., Caller]
) -> None:
    for value in values:
        with pytest.raises(Problem) as refused:
            identify(**{claim: value})
        assert refused.value.body["type"] == problem.type


def test_the_first_hundred_of_many_faults_are_listed() -> None:
    fault = Fault(pointer="/x", detail="unknown field", allowed="nothing")
    for count, said in ((1, "one fault"), (100, "100 faults"), (101, "101 faults, of which the first 100 are")):
        body = invalid([fault] * count).body
        assert len(body["errors"]) == min(count, 100)
        assert body["detail"].startswith(f"The request has {said}: /x: unknown field, allowed: nothing")


# ── The answer ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGIN", "https://app.example.com")


CALL = {"httpMethod": "GET", "resource": "/limits"}
COMMON = {
    "Access-Control-Allow-Origin": "https://app.example.com",
    "Access-Control-Expose-Headers": "Location, Retry-After, Idempotent-Replayed",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@pytest.mark.usefixtures("_origin")
def test_an_answer_is_json_with_the_headers_of_every_answer() -> None:
    returned = serve({"GET /limits": lambda _: Answer(HTTPStatus.OK, {"name": "Zoë"}, {"Retry-After": "1"})}, CALL)
    assert returned == {
        "statusCode": 200,
        "headers": COMMON | {"Content-Type": "application/json", "Retry-After": "1"},
        "body": '{"name":"Zoë"}',
    }


@pytest.mark.usefixtures("_origin")
def test_an_answer_without_a_body_has_no_content_type() -> None:
    returned = serve({"GET /limits": lambda _: Answer(HTTPStatus.NO_CONTENT)}, CALL)
    assert returned == {"statusCode": 204, "headers": COMMON, "body": ""}


@pytest.mark.usefixtures("_origin")
@pytest.mark.parametrize("body", [[], {}, 0, "", False])
def test_an_empty_body_is_a_body(body: object) -> None:
    returned = serve({"GET /limits": lambda _: Answer(HTTPStatus.OK, body)}, CALL)
    assert json.loads(returned["body"]) == body
    assert returned["headers"]["Content-Type"] == "application/json"


@pytest.mark.usefixtures("_origin")
def test_a_problem_is_answered_as_rfc_9457_has_it() -> None:
    def refuse(_: Request) -> Answer:
        raise Problem(problems.TOO_MANY_ACTIVE, "5 are.", part=3)

    returned = serve({"GET /limits": refuse}, CALL)
    assert returned["statusCode"] == 429
    assert returned["headers"] == COMMON | {"Content-Type": "application/problem+json", "Retry-After": "30"}
    assert json.loads(returned["body"]) == {
        "type": "urn:report-exports:problem:too-many-active",
        "title": "Too many active exports",
        "status": 429,
        "detail": "5 are.",
        "part": 3,
    }


@pytest.mark.usefixtures("_origin")
def test_another_exception_is_not_answered() -> None:
    def fail(_: Request) -> Answer:
        raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        serve({"GET /limits": fail}, CALL)


@pytest.mark.usefixtures("_origin")
def test_a_request_goes_to_the_route_of_its_method_and_resource() -> None:
    routes = {
        f"{method} {resource}": lambda _, name=f"{method} {resource}": Answer(HTTPStatus.OK, name)
        for method in ("GET", "DELETE")
        for resource in ("/exports", "/exports/{id}")
    }
    for name in routes:
        method, resource = name.split(" ")
        assert json.loads(serve(routes, {"httpMethod": method, "resource": resource})["body"]) == name
