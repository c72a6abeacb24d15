"""Whatever AWS throttles on the way of a request, on any route: its caller is told to come back, or need not know."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore import endpoint
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError
from botocore.retries import standard

from generated import openapi
from shared.api.http import Problem
from shared.api.throttling import throttling_as_503
from shared.files import work
from shared.lambda_.aws import FAILS
from tests.unit.support import EXPORT_ID, NO_ANSWER, busy, event, failed, running, said_when_busy, succeeded, template

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.support import Answer, Calls, Cloud, Frozen

    Api = Callable[[str, Any], Answer]

ROUTES: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    ("POST /exports", "RequestExport", "request_export/typical", []),
    ("GET /exports", "ReadExports", "read_exports/list", [running(), succeeded()]),
    ("GET /exports/{id}", "ReadExports", "read_exports/typical", [running()]),
    ("GET /exports/{id}/file", "ReadExports", "read_exports/file", [succeeded()]),
    ("DELETE /exports/{id}", "DeleteExport", "delete_export/typical", [running()]),
    ("DELETE /exports/{id}", "DeleteExport", "delete_export/typical", [succeeded()]),
    ("POST /exports/{id}/retry", "RetryExport", "retry_export/typical", [failed()]),
    ("GET /limits", "ReadExports", "read_exports/limits", [running()]),
    ("GET /reports", "ListReports", "list_reports/typical", []),
    ("GET /openapi.json", "ListReports", "list_reports/openapi", []),
    ("GET /", "ShowPage", "show_page/typical", []),
    ("GET /web/{file}", "ShowPage", "show_page/config", []),
]
"""Of each route the calls, and the records that they find."""
MADE_GOOD = {("POST /exports/{id}/retry", "StartExecution"), ("DELETE /exports/{id}", "StopExecution")}
"""What ReconcileExports does when it could not be done: the record says so already, and the caller is told that."""
WITHOUT_AWS = {"GET /reports", "GET /openapi.json", "GET /", "GET /web/{file}"}


def hold(cloud: Cloud, records: list[dict[str, Any]]) -> None:
    """Makes the table hold these records and nothing else, and the function cold: it makes every call."""
    work.parts_total.cache_clear()
    for item in cloud.items():
        key = {name: {"S": item[name]} for name in ("owner", "export_id")}
        cloud.dynamodb.delete_item(TableName=cloud.table, Key=key)
    cloud.write(*copy.deepcopy(records))
    plan = succeeded()["plan"]
    cloud.put(f"work/{EXPORT_ID}/{plan}/plan.json", {"plan": plan, "parts_total": 3})


def test_every_route_is_here() -> None:
    assert {route for route, *_ in ROUTES} == {route.described_as for route in openapi.routes()}


@pytest.mark.parametrize(("route", "function", "case", "records"), ROUTES)
def test_a_call_that_is_throttled_is_503_or_made_good_later(
    route: str, function: str, case: str, records: list[Any], api: Api, cloud: Cloud, calls: Calls, time: Frozen
) -> None:
    def ask() -> Answer:
        hold(cloud, records)
        calls.made.clear()
        if throttled:
            calls.fail(throttled, "ThrottlingException")
        return api(function, event(case))

    throttled = ""
    assert ask().status < 400
    made = set(calls.made)
    assert (made == set()) == (route in WITHOUT_AWS)
    for throttled in sorted(made):
        answered = ask()
        calls.heal()
        if (route, throttled) in MADE_GOOD:
            assert answered.status == 202
        else:
            assert busy(answered), throttled


def test_no_call_of_aws_outlasts_the_time_of_an_api_function(
    api: Api, cloud: Cloud, calls: Calls, time: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the timeouts and the backoff that the SDK has by the client's configuration, at their longest."""
    used = set()
    for _, function, case, records in ROUTES:
        hold(cloud, records)
        calls.clients.clear()
        api(function, event(case))
        used |= calls.clients
    assert {client.meta.service_model.service_name for client in used} == {"dynamodb", "s3", "stepfunctions"}
    slept: list[float] = []
    sent: list[object] = []
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=slept.append))
    delay_amount = standard.ExponentialBackoff.delay_amount

    def longest(backoff: Any, context: Any) -> float:
        with monkeypatch.context() as patched:
            patched.setattr(backoff, "_random", lambda: 1.0)
            return float(delay_amount(backoff, context))

    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", longest)

    def answer_nothing(request: Any, **_: Any) -> None:
        sent.append(request)
        raise ReadTimeoutError(endpoint_url=request.url)

    least = {"s3": "list_buckets", "dynamodb": "list_tables", "stepfunctions": "list_state_machines"}
    for client in used:
        slept.clear()
        sent.clear()
        name, config = client.meta.service_model.service_name, client.meta.config
        client.meta.events.register_first(f"before-send.{name}", answer_nothing, unique_id="silence")
        try:
            with pytest.raises(FAILS):
                getattr(client, least[name])()
        finally:
            client.meta.events.unregister(f"before-send.{name}", unique_id="silence")
        waited = len(sent) * (config.connect_timeout + config.read_timeout) + sum(slept)
        assert len(sent) > 1, f"{name} is asked again"
        assert waited < template()["Globals"]["Function"]["Timeout"] - 2, f"{name} may take {waited} s"


SILENT = ReadTimeoutError(endpoint_url="https://aws.eu-west-1.amazonaws.com/")


def refused(code: str, reasons: tuple[str, ...] = (), status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "made by the test"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(response, "Operation")


@throttling_as_503("Nothing was changed")
def fail(error: Exception) -> None:
    raise error


# Only of a throttled call is it known that it did nothing.
THROTTLED = [
    refused("ThrottlingException"),
    refused("SlowDown", status=503),
    refused("RequestThrottled"),  # SQS calls it so
    refused("TransactionConflictException"),  # a write of one item beside a transaction that is under way
    refused("TransactionCanceledException", ("None", "ProvisionedThroughputExceeded")),
]
UNANSWERED = [
    NO_ANSWER,
    SILENT,
    refused("503", status=503),
    refused("InternalServerError", status=500),
    refused("TransactionInProgressException"),  # the first try of a transaction, which was not answered, goes on
]


@pytest.mark.parametrize("error", THROTTLED + UNANSWERED, ids=str)
def test_what_may_be_over_in_a_moment_is_said_to_be_busy(error: Exception) -> None:
    with pytest.raises(Problem) as raised:
        fail(error)
    assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "5"})
    assert raised.value.body["type"] == "urn:report-exports:problem:busy"
    assert raised.value.body["detail"] == said_when_busy("throttled" if error in THROTTLED else error)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        refused("AccessDeniedException"),
        refused("NoSuchBucket", status=404),
        refused("TransactionCanceledException", ("ConditionalCheckFailed", "None")),
        NoCredentialsError(),
        KeyError("a defect"),
    ],
    ids=str,
)
def test_another_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        fail(error)
    assert raised.value is error


def test_what_goes_well_goes_well() -> None:
    with throttling_as_503("Nothing was changed"):
        pass
