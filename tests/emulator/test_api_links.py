"""A REST API with a Cognito authorizer hands its function what API Gateway does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Api


def test_stock_does_not_say_which_url_was_called(stock_api: Api) -> None:
    event = stock_api.get("/exports/7").json()
    assert "domainName" not in event["requestContext"]
    assert event["requestContext"]["path"] == "/v1/exports/7"


def test_links_can_be_made_from_the_request(api: Api) -> None:
    event = api.get("/exports/7?status=QUEUED&status=RUNNING").json()
    context = event["requestContext"]
    called = f"{event['headers']['X-Forwarded-Proto']}://{context['domainName']}{context['path']}"
    assert called == f"{api.url}/exports/7"
    assert event["path"] == "/exports/7"
    assert called.removesuffix(event["path"]) == api.url


def test_the_event_has_what_api_gateway_puts_into_it(api: Api) -> None:
    event = api.get("/exports/7?status=QUEUED&status=RUNNING").json()
    context = event["requestContext"]
    assert (context["stage"], event["resource"], context["resourcePath"]) == (
        "v1",
        "/exports/{id}",
        "/exports/{id}",
    )
    assert event["pathParameters"] == {"id": "7"}
    assert event["queryStringParameters"] == {"status": "RUNNING"}
    assert event["multiValueQueryStringParameters"] == {"status": ["QUEUED", "RUNNING"]}
    assert event["multiValueHeaders"]["X-Forwarded-Proto"] == ["http"]
    assert context["requestId"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    claims = context["authorizer"]["claims"]
    assert (claims["token_use"], claims["aud"], claims["email"]) == ("id", api.client, "jo@example.com")


def test_a_redirect_is_passed_on(api: Api) -> None:
    answer = api.get("/exports/7/file")
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://elsewhere/file?a=b&c=d")


def expired(token: str) -> str:
    """The token with another payload, which its signature does not cover."""
    header, _, signature = token.split(".")
    return f"{header}.eyJleHAiOjF9.{signature}"


@pytest.mark.parametrize("kind", ["missing", "garbage", "tampered", "another pool's"])
def test_a_token_that_does_not_count_is_401_with_json(api: Api, kind: str) -> None:
    tokens = {"missing": None, "garbage": "garbage", "tampered": expired(api.token(api.pool, api.client))}
    token = api.token(*api.user_pool()) if kind == "another pool's" else tokens[kind]
    answer = api.get("/exports", token)
    assert answer.status_code == 401
    assert answer.json() == {"message": "Unauthorized"}
    assert answer.headers["Content-Type"] == "application/json"
