"""Fixtures of the integration tests: they run over HTTP against the stack that .local/stack.json describes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from local import launcher
from tests.integration.api import Caller, Followed, flights, http
from tests.integration.deployed import Deployed
from tests.support import stack_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The stack, which must answer."""
    stack_beside.wait()
    remedy = "make up first, or run make test"
    if not launcher.DESCRIPTION.exists():
        pytest.fail(f"no stack is described in .local/stack.json: {remedy}", pytrace=False)
    description = json.loads(launcher.DESCRIPTION.read_text())
    try:
        http("GET", description["api_url"] + "/reports")
    except urllib3.exceptions.HTTPError as error:
        pytest.fail(f"the stack of .local/stack.json does not answer ({error}): {remedy}", pytrace=False)
    found = Deployed(description)
    yield found
    found.clean()


@pytest.fixture(autouse=True)
def _only_where_it_can(request: pytest.FixtureRequest, deployed: Deployed) -> None:
    marker = request.node.get_closest_marker("emulator_only")
    if marker and not deployed.emulated:
        pytest.skip(marker.args[0])


@pytest.fixture
def not_on_the_emulator(request: pytest.FixtureRequest, deployed: Deployed) -> Callable[[str], None]:
    """Says that a test must fail on the emulator, and why; once it passes there, that is news, and it fails."""

    def expect_failure(reason: str) -> None:
        if deployed.emulated:
            request.applymarker(
                pytest.mark.xfail(reason=f"the emulator: {reason}", raises=(AssertionError, pytest.fail.Exception))
            )

    return expect_failure


@pytest.fixture
def sign_up(deployed: Deployed) -> Callable[[str | None], Caller]:
    """Makes a new user of a tenant, whose exports nobody else counts."""
    return deployed.sign_up


@pytest.fixture
def caller(deployed: Deployed) -> Caller:
    """A new user of Hawaiian, the airline of one flight a day."""
    return deployed.sign_up("HA")


@pytest.fixture(scope="session")
def united_user(deployed: Deployed) -> Caller:
    """The user of United."""
    return deployed.caller(deployed["users"]["UA"])


@pytest.fixture(scope="session")
def united(united_user: Caller, testrun_uid: str) -> Followed:
    """United's flights of 2013, from the request to the file: one export for the whole run, by its Idempotency-Key."""
    answer = united_user.post(flights(), Idempotency_Key=f"test-{testrun_uid}")
    assert answer.status == 202, answer
    followed = united_user.follow(answer.json)
    assert followed.end["status"] == "SUCCEEDED", followed.end
    return followed


@pytest.fixture(scope="session")
def united_file(united: Followed, united_user: Caller) -> Any:
    """United's file, as it was downloaded."""
    return united_user.download(united.end)
