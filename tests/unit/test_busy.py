"""AWS throttling or not answering is 503; everything else stays what it is."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from shared.api.http import Problem
from shared.api.throttling import throttling_as_503
from tests.unit.support import NO_ANSWER, said_when_busy

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
    assert raised.value.status == 503
    assert raised.value.headers == {"Retry-After": "5"}
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
