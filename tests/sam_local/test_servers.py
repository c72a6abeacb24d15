"""`sam local start-api` and `sam local start-lambda`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import urllib3
from botocore.config import Config

from tests.fixtures.fixture import EXPORT_ID, named
from tests.fixtures.replay import replay
from tests.sam_local.containers import PATIENCE_SECONDS, Containers, told
from tests.unit.support import functions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.places import Result
    from tests.integration.deployed import Deployed
    from tests.sam_local.containers import Sam

ROUTES = [
    each["Properties"]
    for function in functions().values()
    for each in function.get("Events", {}).values()
    if each["Type"] == "Api"
]
PROTECTED = [route for route in ROUTES if route.get("Auth", {}).get("Authorizer") != "NONE"]
OPEN = [route for route in ROUTES if route not in PROTECTED]
SHOWN = "{0[Method]} {0[Path]}".format


@pytest.fixture(scope="module")
def api(sam: Sam) -> Iterator[str]:
    """Address of `sam local start-api`."""
    with sam.serving("start-api") as address:
        yield address


def ask(api: str, route: dict[str, Any], **headers: str) -> urllib3.BaseHTTPResponse:
    path = route["Path"].replace("{id}", EXPORT_ID).replace("{file}", "page.js")
    return urllib3.request(
        route["Method"].upper(), api + path, headers=headers, retries=False, timeout=PATIENCE_SECONDS
    )


@pytest.mark.xdist_group("start-api")
@pytest.mark.parametrize("route", PROTECTED, ids=SHOWN)
def test_a_protected_route_answers_401(route: dict[str, Any], api: str) -> None:
    """`start-api` runs Authorize, and has its own answer. It checks no signature: the functions refuse such a route."""
    for headers in ({}, {"Authorization": "Bearer forged"}):
        answer = ask(api, route, **headers)
        assert answer.status == 401
        if "Auth" in route:
            assert answer.json()["type"] == "urn:report-exports:problem:unauthorized"


@pytest.mark.xdist_group("start-api")
def test_an_open_route_is_served(api: str) -> None:
    for route in OPEN:
        assert ask(api, route).status == 200, route


@pytest.mark.xdist_group("start-api")
def test_a_browsers_question_before_a_call_is_answered(api: str) -> None:
    answer = urllib3.request("OPTIONS", f"{api}/exports", retries=False)
    assert answer.status == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("name", ["request_export/typical", "plan_parts/cancelled"])
def test_start_lambda_takes_an_invocation_of_the_sdk(name: str, deployed: Deployed, sam: Sam) -> None:
    with sam.serving("start-lambda") as address:
        place = Containers(deployed, Invoked(address))
        try:
            assert replay(named(name), place) == []
        finally:
            place.clean()


class Invoked:
    """`sam local start-lambda`, as boto3 invokes it."""

    def __init__(self, address: str) -> None:
        config = Config(read_timeout=PATIENCE_SECONDS, retries={"total_max_attempts": 1})
        session: Any = boto3
        access = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self._lambda = session.client("lambda", endpoint_url=address, config=config, **access)

    def invoke(self, function: str, event: Any) -> Result:
        """What comes of an invocation."""
        answer = self._lambda.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return told(answer["Payload"].read().decode())
