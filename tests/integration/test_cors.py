"""Pages of the allowed origin may call the API, and read what it says, problems included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.api import Caller, flights, http

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Answer, Followed
    from tests.integration.deployed import Deployed

PATHS = [
    "/exports",
    "/exports/0190a2b4-0000-7000-8000-000000000000",
    "/exports/x/file",
    "/exports/x/retry",
    "/limits",
    "/openapi.json",
    "/reports",
]
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}


def assert_readable(answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert answer.headers.get("Access-Control-Allow-Origin"), answer


def test_every_answer_of_a_function_may_be_read(
    caller: Caller, united: Followed, united_user: Caller, sign_up: Callable[[None], Caller], deployed: Deployed
) -> None:
    queued = deployed.fabricate(caller.owner, "QUEUED")
    expired = deployed.fabricate(caller.owner, "SUCCEEDED", expires_at="2020-01-01T00:00:00.000Z")
    for path, status in (
        ("/exports", 200),
        ("/limits", 200),
        ("/reports", 200),
        ("/exports?limit=0", 400),
        ("/exports/x", 404),
        (f"/exports/{queued}/file", 409),
        (f"/exports/{expired}/file", 410),
    ):
        assert_readable(caller.get(path), status)
    assert_readable(http("GET", deployed["api_url"] + "/openapi.json"), 200)
    assert_readable(united_user.get(united.end["links"]["self"]), 200)
    assert_readable(united_user.get(united.end["links"]["file"]), 302)
    assert_readable(caller.post({}), 400)
    assert_readable(sign_up(None).get("/exports"), 403)
    accepted = caller.post(flights(first="2013-01-01", last="2013-01-01"), Idempotency_Key="monday")
    assert_readable(accepted, 202)
    for name in ("Location", "Retry-After", "Idempotent-Replayed"):
        assert name in accepted.headers["Access-Control-Expose-Headers"]
    assert_readable(caller.post(flights(), Idempotency_Key="monday"), 422)


@pytest.mark.parametrize("token", [None, "garbage"])
def test_a_refusal_of_the_gateway_may_be_read_too(token: str | None, deployed: Deployed) -> None:
    answer = Caller(deployed["api_url"], token).get("/exports")
    assert_readable(answer, 401)
    answer.problem(401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_path_that_is_none_is_a_problem_too(caller: Caller) -> None:
    answer = caller.get("/nowhere")
    assert_readable(answer, 404)
    answer.problem(404, "no-such-resource")


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_needs_no_token_and_allows_what_the_page_sends(path: str, deployed: Deployed) -> None:
    answer = http("OPTIONS", deployed["api_url"] + path, headers=PREFLIGHT)
    assert_readable(answer, 200)
    methods, names = (
        {each.strip().lower() for each in answer.headers[f"Access-Control-Allow-{what}"].split(",")}
        for what in ("Methods", "Headers")
    )
    assert {"get", "post", "delete", "options"} <= methods
    assert {"authorization", "content-type", "idempotency-key", "accept"} <= names
