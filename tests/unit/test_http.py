"""HTTP through the proxy integration: addresses, headers, callers, answers."""

import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api import identity, problems
from shared.api.http import Answer, Problem, Request, invalid, serve
from shared.api.identity import Caller
from shared.lambda_.faults import Fault
from tests.unit.support import EXPORT_ID, OWNER, event

PRINCIPAL = "arn:aws:sts::123456789012:assumed-role/billing/i-0123456789abcdef0"


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
    for protocol, used in (
        ("http", "http"),
        ("https", "https"),
        ("javascript:alert(1)//", "https"),
        ("http\r\nX: y", "https"),
    ):
        forwarded = {"x-forwarded-proto": protocol}
        assert request("/exports", "/v1/exports", headers=forwarded).base_url == f"{used}://a.example.com/v1"


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


def of_user(**known: Any) -> Request:
    """The request of a user of whom Authorize said this; None: it said nothing."""
    given = event("list_reports/typical")
    told = given["requestContext"]["authorizer"] | known
    given["requestContext"]["authorizer"] = {name: value for name, value in told.items() if value is not None}
    return Request(given)


def on_behalf(tenant: str = "UA", user: str = "auth0|7b", principal: str | None = PRINCIPAL) -> Request:
    """The request of a backend on behalf of a user."""
    given = event("read_exports/on_behalf")
    given["pathParameters"] |= {"tenant": tenant, "user": quote(user, safe="")}
    given["requestContext"]["path"] = f"/v1/on-behalf/{tenant}/{quote(user)}/exports/{EXPORT_ID}"
    given["requestContext"]["identity"]["userArn"] = principal
    return Request(given)


@pytest.fixture(autouse=True)
def _with_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ON_BEHALF_ROUTES", "true")


def refusal(request: Request) -> str:
    with pytest.raises(Problem) as refused:
        request.identify()
    return str(refused.value.body["type"]).rpartition(":")[2]


def test_the_caller_is_whom_the_authorizer_names() -> None:
    caller = of_user().identify()
    assert caller == Caller(*OWNER.split("#"), "dana@example.com")
    assert caller.owner == OWNER
    assert "dana" not in repr(caller)
    assert of_user(tenant="A_b-9" * 12 + "abcd", user="0-" * 64).identify().owner == f"{'A_b-9' * 12}abcd#{'0-' * 64}"


def test_a_backend_calls_on_behalf_of_the_user_in_the_path() -> None:
    caller = on_behalf().identify()
    assert (caller.owner, caller.email, caller.requested_by) == ("UA#auth0=7C7b", None, PRINCIPAL)
    assert on_behalf(user="100%25").identify().owner == "UA#100=2525"
    assert on_behalf(user=OWNER.split("#")[1]).identify().owner == of_user().identify().owner
    assert on_behalf().base_url.endswith("/v1/on-behalf/UA/auth0%7C7b")


@pytest.mark.parametrize("request_", [of_user(expires=None), of_user(expires="1795424700"), of_user(expires="soon")])
def test_a_token_that_expired_while_the_policy_was_cached_is_refused(request_: Request) -> None:
    assert refusal(request_) == "unauthorized"


def test_a_deployment_without_routes_for_backends_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ON_BEHALF_ROUTES", "false")
    assert refusal(on_behalf()) == "no-such-resource"


def test_the_tenant_is_the_one_that_was_sent() -> None:
    request_ = on_behalf(tenant="UA")
    request_.event["requestContext"]["path"] = "/v1/on-behalf/%55A/x/limits"
    assert refusal(request_) == "identity-incomplete"


def test_while_the_authorizer_is_that_of_the_release_before_callers_wait() -> None:
    given = event("list_reports/typical")
    given["requestContext"]["authorizer"] = {"claims": {"sub": "x", "token_use": "id"}}
    assert refusal(Request(given)) == "busy"


def test_a_route_without_its_authorizer_stays_closed() -> None:
    for request_ in (on_behalf(principal=None), on_behalf(principal="")):
        assert refusal(request_) == "unauthorized"
    for authorizer in (None, {}):
        given = event("list_reports/typical")
        given["requestContext"]["authorizer"] = authorizer
        assert refusal(Request(given)) == "unauthorized"


LOOKALIKES = ["ＵＡ", "U\u0410", "UA\u200d", "U\u0301A", "\u202eAU", "Uª", "U\u0660"]
"""Texts that look like a tenant or become one by Unicode normalization."""
TENANTS = ["", " ", "U%41", "U A", "UA ", "UA\n", "UA#x", "#", "Ü", "UA/..", "U,A", "a" * 65, *LOOKALIKES]
USERS = ["", "a\n", "é", "a\0", "a" * 129, *LOOKALIKES]


def test_a_tenant_or_a_user_that_is_not_valid_is_refused() -> None:
    for tenant in (*TENANTS, None, ["UA"]):
        assert refusal(of_user(tenant=tenant)) == "identity-incomplete"
    for user in (*USERS, None):
        assert refusal(of_user(user=user)) == "identity-incomplete"
    for request_ in (*(on_behalf(tenant=each) for each in TENANTS), *(on_behalf(user=each) for each in USERS)):
        assert refusal(request_) == "identity-incomplete"


@given(st.lists(st.from_regex(identity.USER, fullmatch=True), min_size=2, max_size=2, unique=True))
def test_different_users_are_different_owners_in_a_safe_alphabet(users: list[str]) -> None:
    one, other = (Caller("UA", user).owner for user in users)
    assert one != other
    assert re.fullmatch("UA#[A-Za-z0-9=-]{1,384}", one)


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
