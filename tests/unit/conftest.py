"""Unit tests: no network, no credentials, AWS in memory (moto) where a test asks for it."""

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config

from tests.support.description import breaches
from tests.unit.lake import Lake, in_memory
from tests.unit.support import (
    REGION,
    REPORTS,
    WEB,
    Answer,
    Calls,
    Cloud,
    Context,
    Frozen,
    answer,
    event,
    folder_of,
    functions,
    template,
)

BLANK = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_CONFIG_FILE")

# Powertools reads its variables once, when shared.lambda_.telemetry is imported.
with pytest.MonkeyPatch.context() as at_import:
    for name, value in template()["Globals"]["Function"]["Environment"]["Variables"].items():
        at_import.setenv(name, str(value))
    at_import.setenv("POWERTOOLS_TRACE_DISABLED", "1")
    from shared.catalogue import reports
    from shared.files import work
    from shared.lambda_ import aws, clock, telemetry

read_reports = reports.load
reports_of_the_project = cache(lambda: read_reports(REPORTS))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered from another test, and there is no way to a real account."""
    variables = {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    variables |= {"AWS_EC2_METADATA_DISABLED": "true", "POWERTOOLS_TRACE_DISABLED": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in BLANK:
        monkeypatch.delenv(name, raising=False)
    # Reading and checking the project's reports takes longer than most tests.
    load = {REPORTS: reports_of_the_project}
    monkeypatch.setattr(reports, "load", lambda folder: load.get(folder, lambda: read_reports(folder))())
    forget()
    yield
    forget()


def forget() -> None:
    """Drops what the process keeps from one invocation to the next."""
    clients = (aws.dynamodb, aws.prompt_s3, aws.s3, aws.ses, aws.sqs, aws.stepfunctions, aws.tables)
    for cached in (*clients, reports.deployed, work.parts_total):
        cached.cache_clear()
    telemetry.metrics.clear_metrics()


@pytest.fixture
def lake() -> Iterator[Lake]:
    """A data bucket in memory, which sources read instead of S3."""
    with in_memory() as found:
        yield found


@pytest.fixture
def configure(alone: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives the process the variables of a function, by its logical id, as ``sam local invoke`` would."""

    def configure(function: str) -> None:
        for name, value in event("environment")[function].items():
            monkeypatch.setenv(name, {"REPORTS_FOLDER": str(REPORTS), "WEB_FOLDER": str(WEB)}.get(name, value))

    return configure


@pytest.fixture
def handler(alone: None) -> Callable[[str], Callable[[Any], Any]]:
    """The handler of a function, by its logical id."""

    def handler(function: str) -> Callable[[Any], Any]:
        app = importlib.import_module(f"{folder_of(functions()[function])}.app")

        def call(given: Any) -> Any:
            return app.handler(given, Context())

        return call

    return handler


@pytest.fixture
def api(configure: Callable[[str], None], handler: Callable[[str], Any]) -> Callable[[str, Any], Answer]:
    """Calls an API function as API Gateway would, ``api("ReadExports", event)``; openapi.json must hold its answer."""

    def api(function: str, given: Any) -> Answer:
        configure(function)
        returned = handler(function)(given)
        path = given["resource"].replace("{id}", "id").replace("{file}", "file")
        answered = returned["statusCode"], returned["headers"], returned["body"]
        assert breaches(given["httpMethod"], path, *answered) == []
        return answer(returned)

    return api


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Frozen:
    """The functions' clock, standing at 2026-11-23T09:12:31.482Z."""
    frozen = Frozen()
    monkeypatch.setattr(clock, "now", lambda: frozen.now)
    return frozen


make_client = boto3.client
clients: dict[tuple[str, float], Any] = {}


def client(service: str, *, config: Config) -> Any:
    """A client, made once for all tests: making one takes longer than most tests."""
    known = service, config.read_timeout  # type: ignore[attr-defined]
    if known not in clients:
        clients[known] = make_client(service, region_name=REGION, config=config)
    return clients[known]


@pytest.fixture
def cloud(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """See :class:`Cloud`."""
    from moto import mock_aws  # it takes a second, which many tests need not wait for

    variables = event("environment")
    monkeypatch.setattr(boto3, "client", client)
    with mock_aws():
        names = variables["RequestExport"] | variables["ReadExports"]
        yield Cloud(names, aws.dynamodb(), aws.s3(), aws.stepfunctions())


@pytest.fixture
def calls(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """See :class:`Calls`."""
    seen, original = Calls(), BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        seen.made.append(operation)
        seen.clients.add(client)
        if operation not in seen.failures:
            return original(client, operation, parameters)
        failure, reasons = seen.failures[operation]
        if isinstance(failure, Exception):
            raise failure.with_traceback(None)  # one that is raised twice must not remember the first time
        response = {
            "Error": {"Code": failure, "Message": "made by the test"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
        }
        raise client.exceptions.from_code(failure)(response, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", make)
    return seen


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing of AWS can be reached: who makes a client fails."""

    def refuse(*wanted: Any, **_: Any) -> None:
        raise AssertionError(f"a client of AWS was made: {wanted}")

    monkeypatch.setattr(boto3, "client", refuse)
    monkeypatch.setattr(boto3, "resource", refuse)
