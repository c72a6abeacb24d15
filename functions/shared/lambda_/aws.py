"""Clients of the AWS services, created once per process on first use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})
# An API function must answer or give up within its 15 seconds: three tries take at most 12 seconds.
_PROMPT = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})
# A mail is sent with one try only: SES has no idempotency token.
_ONCE = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
# A source table may be throttled for a while. A part retries for some seconds before it fails and is tried again.
_PATIENT = Config(retries={"mode": "standard", "max_attempts": 10}, max_pool_connections=32)
# Presigned URLs must use the Region's host: the global host returns a redirect, which breaks the signature.
_S3 = Config(
    signature_version="s3v4",
    s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    max_pool_connections=32,
)


FAILS = (ClientError, exceptions.ConnectionError, exceptions.HTTPClientError)
"""What a call to AWS raises when AWS refuses it or does not answer."""
# Codes of a throttled call, and of a write or transaction that conflicts with a DynamoDB transaction.
_THROTTLED = {
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflict",
    "TransactionConflictException",
}
# The first try of a transaction got no answer and is still in progress: its outcome is not known yet.
_UNDECIDED = "TransactionInProgressException"


def is_transient(error: Exception) -> bool:
    """Whether a later call may succeed: AWS throttles, returns 5xx, or does not answer."""
    if not isinstance(error, ClientError):
        return isinstance(error, FAILS)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return is_throttled(error) or status >= 500 or error.response["Error"]["Code"] == _UNDECIDED


def is_throttled(error: Exception) -> bool:
    """Whether AWS throttled the call, which means that it did nothing."""
    if not isinstance(error, ClientError):
        return False
    codes = {error.response["Error"]["Code"]}
    return bool(
        (codes | {str(each.get("Code")) for each in error.response.get("CancellationReasons", [])}) & _THROTTLED
    )


@cache
def dynamodb() -> DynamoDBClient:
    """Client of DynamoDB."""
    return boto3.client("dynamodb", config=_PROMPT)


@cache
def tables() -> DynamoDBClient:
    """Client of DynamoDB for source tables."""
    return boto3.client("dynamodb", config=_PATIENT)


@cache
def s3() -> S3Client:
    """Client of S3 for workers, which move many bytes and have minutes to do so."""
    return boto3.client("s3", config=_RETRIES.merge(_S3))


@cache
def prompt_s3() -> S3Client:
    """Client of S3 for the API functions."""
    return boto3.client("s3", config=_PROMPT.merge(_S3))


@cache
def stepfunctions() -> SFNClient:
    """Client of Step Functions."""
    return boto3.client("stepfunctions", config=_PROMPT)


@cache
def sqs() -> SQSClient:
    """Client of SQS."""
    return boto3.client("sqs", config=_PROMPT)


@cache
def ses() -> SESV2Client:
    """Client of SES that never retries a call, and whose errors contain no address."""
    client = boto3.client("sesv2", config=_ONCE)
    client.meta.events.register("after-call.sesv2", _forget_message)
    return client


def _forget_message(parsed: dict[str, Any], **_: Any) -> None:
    """Removes the message of an SES error, which may name the recipient, from logs and traces. The code stays."""
    if "Error" in parsed:
        parsed["Error"]["Message"] = "The message of SES is omitted, because it may contain addresses"
        parsed.pop("message", None)  # the same message again
