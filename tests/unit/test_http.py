"""HTTP through the proxy integration: addresses, headers, callers, answers."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from shared.api import problems
from shared.api.http import Answer, Caller, Problem, Request, serve
from tests.unit.support import EXPORT_ID, OWNER, event

ID = EXPORT_ID


def request(resource: str, path: str, domain: str = "a.example.com", headers: Any = None) -> Request:
    return Request({"resource": resource, "requestContext": {"path": path, "domainName": domain}, "headers": headers})


# ── Addresses ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("resource", "rest"),
    [
        ("/", "/"),
        ("/", ""),
        ("/exports", "/exports"),
        ("/exports", "/exports/"),
        ("/exports/{id}", f"/exports/{ID}"),
        ("/exports/{id}/file", f"/exports/{ID}/file"),
        ("/limits", "/limits"),
    ],
)
@pytest.mark.parametrize(
    "base", ["/v1", "/reporting", "/a/b", ""], ids=["stage", "base path", "two levels", "empty base"]
)
def test_the_base_is_what_stands_before_the_resource(base: str, resource: str, rest: str) -> None:
    assert request(resource, base + rest).base_url == f"https://a.example.com{base}"


def test_an_export_that_is_called_like_the_stage_confuses_nothing() -> None:
    assert request("/exports/{id}", "/exports/exports/exports").base_url == "https://a.example.com/exports"


def test_the_protocol_is_the_one_the_caller_used() -> None:
    assert (
        request("/exports", "/v1/exports", headers={"x-forwarded-proto": "http"}).base_url == "http://a.example.com/v1"
    )


@pytest.mark.parametrize(
    ("case", "base"),
    [
        ("read_exports/typical", "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"),
        ("read_exports/file", "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"),
        ("read_exports/custom_domain", "https://exports.example.com"),
        ("request_export/custom_domain", "https://exports.example.com/reporting"),
    ],
)
def test_the_base_of_a_whole_event(case: str, base: str) -> None:
    assert Request(event(case)).base_url == base


# ── What is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
@pytest.mark.parametrize("asked", ["Idempotency-Key", "idempotency-key"])
def test_header_names_are_the_same_in_any_case(sent: str, asked: str) -> None:
    assert Request({"headers": {"Host": "x", sent: "k"}}).header(asked) == "k"


@pytest.mark.parametrize("headers", [None, {}, {"Idempotency-Keys": "k"}])
def test_a_header_that_is_not_there_is_none(headers: Any) -> None:
    assert Request({"headers": headers}).header("Idempotency-Key") is None


@pytest.mark.parametrize("given", [{}, {"pathParameters": None, "queryStringParameters": None}])
def test_no_parameters_are_empty(given: dict[str, Any]) -> None:
    assert (Request(given).path, Request(given).query) == ({}, {})


# ── Who calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in event("environment")["ListReports"].items():
        monkeypatch.setenv(name, value)


def calling(**claims: Any) -> Request:
    given = event("list_reports/typical")
    given["requestContext"]["authorizer"]["claims"] |= claims
    return Request(given)


@pytest.mark.usefixtures("_identity")
def test_the_caller_is_the_tenant_and_the_user_of_the_token() -> None:
    caller = calling().identify()
    assert caller.owner == OWNER
    assert caller == Caller(*OWNER.split("#"), "dana@example.com")


@pytest.mark.usefixtures("_identity")
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"token_use": "access"}, 401),
        ({"aud": "another"}, 401),
        ({"custom:tenant_id": "a#b"}, 403),
        ({"sub": "a#b"}, 403),
        ({"aud": "another", "custom:tenant_id": ""}, 401),
    ],
)
def test_who_is_no_caller_of_this_api_is_refused(claims: dict[str, str], status: int) -> None:
    with pytest.raises(Problem) as refused:
        calling(**claims).identify()
    assert refused.value.status == status


@pytest.mark.usefixtures("_identity")
def test_a_refused_identity_is_told_what_its_token_needs() -> None:
    with pytest.raises(Problem) as refused:
        calling(**{"custom:tenant_id": "a b"}).identify()
    assert refused.value.body["detail"] == (
        "The ID token must have the claims custom:tenant_id ([A-Za-z0-9_-]{1,64}) and sub ([A-Za-z0-9-]{1,128})."
    )


# ── What is answered ────────────────────────────────────────────────────────────────────────────────────────────────


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
def test_what_is_no_problem_is_not_made_one() -> None:
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
