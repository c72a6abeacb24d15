"""A REST API with a Cognito authorizer: what its function gets, and what its callers get."""

from __future__ import annotations

import pytest
import requests

from tests.emulator.conftest import SAM, Api, Cloud, differs, on_stock, serverless_api

# api_links


@differs(stock="a b|c%", patched="a%20b%7Cc%25")
def test_a_path_stays_percent_encoded(api: Api, expected: str) -> None:
    event = api.get("/exports/a%20b%7Cc%25").json()
    assert (event["pathParameters"], event["path"]) == ({"id": expected}, f"/exports/{expected}")


@differs(stock=False, patched=True)
def test_a_function_can_tell_the_url_that_was_called(api: Api, expected: bool) -> None:
    event = api.get("/exports/7?status=QUEUED").json()
    context = event["requestContext"]
    called = f"{event['headers'].get('X-Forwarded-Proto')}://{context.get('domainName')}{context['path']}"
    assert expected is (called == f"{api.url}{event['path']}")
    assert event["path"] == "/exports/7"


def test_the_event_has_what_api_gateway_puts_into_it(api: Api) -> None:
    event = api.get("/exports/7?status=QUEUED&status=RUNNING").json()
    context = event["requestContext"]
    assert (context["stage"], event["resource"], context["resourcePath"]) == ("v1", "/exports/{id}", "/exports/{id}")
    assert event["pathParameters"] == {"id": "7"}
    assert event["queryStringParameters"] == {"status": "RUNNING"}
    assert event["multiValueQueryStringParameters"] == {"status": ["QUEUED", "RUNNING"]}
    assert event["multiValueHeaders"]["X-Forwarded-Proto"] == ["http"]
    assert context["requestId"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    claims = context["authorizer"]["claims"]
    assert (claims["token_use"], claims["aud"], claims["email"]) == ("id", api.client, "jo@example.com")


# failed_integration_is_502


@on_stock
def test_stock_shows_the_exception_to_the_caller(api: Api) -> None:
    assert "secret" in api.get("/broken").text


@pytest.mark.parametrize("path", ["/broken", "/malformed"])
def test_a_function_that_fails_is_the_gateways_own_502(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (502, {"title": "Internal server error"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app"


# imported_openapi


@differs(stock=None, patched="https://app")
def test_a_preflight_is_answered_with_the_headers_of_the_document(api: Api, expected: str | None) -> None:
    answer = requests.options(f"{api.url}/exports", timeout=10)
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (200, expected)


@differs(stock=False, patched=True)
def test_a_gateway_response_of_the_document_is_answered(api: Api, expected: bool) -> None:
    answer = api.get("/nowhere")
    found = (answer.status_code, answer.json(), answer.headers["Content-Type"])
    assert expected is (found == (404, {"title": "Nothing here"}, "application/problem+json"))


# sam_parameters

PARAMETERS = {"Parameters": {"Pool": {"Type": "String", "Default": "none"}}}
POOL = {"Fn::Sub": "arn:aws:cognito-idp:us-east-1:${AWS::AccountId}:userpool/${Pool}"}
API = {
    "StageName": "v1",
    "Auth": {"Authorizers": {"Users": {"UserPoolArn": POOL}}},
    "DefinitionBody": {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/": {}}},
}


@differs(stock="none", patched="ours")
def test_sam_writes_the_value_of_a_parameter_not_its_default(cloud: Cloud, expected: str) -> None:
    made = cloud.stack(SAM | PARAMETERS | serverless_api(API), "Api", Pool="ours")
    (authorizer,) = cloud.client("apigateway").get_authorizers(restApiId=made)["items"]
    assert str(authorizer["providerARNs"][0]).rpartition("/")[2] == expected
