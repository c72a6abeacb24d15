"""Clients of the AWS services, made once per process and only where they are used."""

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
# A call of the API must be answered, or given up, within its function's 15 seconds: three tries take 12 at most.
_PROMPT = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})
# A mail is sent once, whatever comes of it: SES knows no idempotency token.
_ONCE = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
# A source's table may be throttled for a while; a part waits some seconds before it gives up and is tried again.
_PATIENT = Config(retries={"mode": "standard", "max_attempts": 10}, max_pool_connections=32)
# Presigned addresses must name the Region's own host: the global host answers a redirect that breaks the signature.
_S3 = Config(
    signature_version="s3v4",
    s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    max_pool_connections=32,
)


FAILS = (ClientError, exceptions.ConnectionError, exceptions.HTTPClientError)
"""What a call of AWS raises: it was refused, or there was no answer."""
# Codes of a throttled call, of a write that meets a DynamoDB transaction, and of the same within a transaction.
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
# The first try of a transaction, which was not answered, goes on: nobody knows yet what becomes of it.
_UNDECIDED = "TransactionInProgressException"


def is_transient(error: Exception) -> bool:
    """Whether AWS refuses for now: it throttles, is out of order (5xx), or does not answer."""
    if not isinstance(error, ClientError):
        return isinstance(error, FAILS)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return is_throttled(error) or status >= 500 or error.response["Error"]["Code"] == _UNDECIDED


def is_throttled(error: Exception) -> bool:
    """Whether AWS throttles, in which case it has certainly done nothing."""
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
    """Client of DynamoDB for tables that are sources."""
    return boto3.client("dynamodb", config=_PATIENT)


@cache
def s3() -> S3Client:
    """Client of S3 for workers, which move many bytes and have minutes."""
    return boto3.client("s3", config=_RETRIES.merge(_S3))


@cache
def prompt_s3() -> S3Client:
    """Client of S3 for whatever the API functions do."""
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
    """Client of SES that never tries a call again, and whose errors name no address."""
    client = boto3.client("sesv2", config=_ONCE)
    client.meta.events.register("after-call.sesv2", _forget_message)
    return client


def _forget_message(parsed: dict[str, Any], **_: Any) -> None:
    """SES says in its refusals whom a mail was for: neither a log nor a trace may hold that. The code stays."""
    if "Error" in parsed:
        parsed["Error"]["Message"] = "SES's own words are left out, for they may name addresses"
        parsed.pop("message", None)  # the same words again
