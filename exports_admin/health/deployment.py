"""A deployed stack as the checks see it: what CloudFormation says of it, and read-only calls of the other services."""

from __future__ import annotations

import datetime
import email.utils
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from checks import repository
from exports_admin import stack
from shared.lambda_ import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Level = Literal["ok", "warning", "problem"]
_PREFIXES = {
    "cognito-idp": "cognito-idp",
    "service-quotas": "servicequotas",
    "sesv2": "ses",
    "stepfunctions": "states",
}
"""The prefixes of IAM actions that differ from the name of the client."""
_ACTIONS = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListObjectsV2": "ListBucket",
}
"""The IAM actions of S3 that differ from the operation ("Required permissions for Amazon S3 API operations")."""
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}


class Finding(NamedTuple):
    """A fault of a deployment, and what to do about it."""

    level: Level
    what: str
    remedy: str


class Check(NamedTuple):
    """A line of the output. Each aspect is a function that yields findings; one that fails does not stop the others."""

    name: str
    subject: str
    aspects: tuple[Callable[[Deployment], Iterator[Finding]], ...]


class Unchecked(Exception):
    """AWS did not answer a question. The message completes "could not be checked: "."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Resource(NamedTuple):
    """A resource of the stack."""

    kind: str
    physical_id: str


@dataclass(frozen=True)
class Deployment:
    """A stack, from its description and the list of its resources."""

    where: dict[str, Any]
    """``{stack, region, endpoint_url}``"""
    described: dict[str, Any]
    skew: datetime.timedelta | None
    """How far the clock of this machine is ahead of that of AWS; None if the answer has no date."""
    resources: dict[str, Resource] = field(default_factory=dict)

    @classmethod
    def find(cls, where: dict[str, Any]) -> Deployment:
        """Reads a stack.

        Raises:
            Trouble: the stack cannot be read.
            Unchecked: the resources of the stack cannot be listed.
        """
        with stack.readable(where):
            answer = stack.client("cloudformation", where).describe_stacks(StackName=where["stack"])
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        skew = clock.now() - email.utils.parsedate_to_datetime(date) if date else None
        found = cls(where, answer["Stacks"][0], skew)
        for each in found.pages(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=found.name
        ):
            resource = Resource(each["ResourceType"], each.get("PhysicalResourceId", ""))
            found.resources[each["LogicalResourceId"]] = resource
        return found

    @property
    def name(self) -> str:
        """The name of the stack."""
        return str(self.where["stack"])

    @property
    def status(self) -> str:
        """The state of the stack, as CloudFormation names it."""
        return str(self.described["StackStatus"])

    @property
    def own_parameters(self) -> dict[str, str]:
        """The values of the parameters that the stack has."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.described.get("Parameters", [])}

    @property
    def parameters(self) -> dict[str, str]:
        """The values of the template's parameters. An older stack may lack some, and then has their defaults."""
        defaults = {name: str(rule.get("Default", "")) for name, rule in template()["Parameters"].items()}
        return defaults | self.own_parameters

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack; empty if it was never deployed completely."""
        return {each["OutputKey"]: each["OutputValue"] for each in self.described.get("Outputs", [])}

    def of_kind(self, kind: str) -> dict[str, str]:
        """The physical ids of all resources of a type, by their logical ids."""
        return {name: each.physical_id for name, each in self.resources.items() if each.kind == kind}

    def ask(self, service: str, operation: str, absent: tuple[str, ...] = (), **arguments: Any) -> Any:
        """The answer of a read-only call; None if AWS answers with one of the error codes in ``absent``.

        Raises:
            Unchecked: the call was refused, or failed.
        """
        with readable(service):
            client = stack.client(service, self.where)
            try:
                return getattr(client, operation)(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] in absent:
                    return None
                raise

    def pages(self, service: str, operation: str, key: str, most: int | None = None, **arguments: Any) -> list[Any]:
        """The items of all pages of a read-only call, or of the first ``most`` pages.

        Raises:
            Unchecked: the call was refused, or failed.
        """
        items: list[Any] = []
        with readable(service):
            pages = stack.client(service, self.where).get_paginator(operation).paginate(**arguments)
            for number, page in enumerate(pages, start=1):
                items += page.get(key, [])
                if number == most:
                    break
        return items


@contextmanager
def readable(service: str) -> Iterator[None]:
    """Converts the errors of calls of a service to :class:`Unchecked`, which names the missing IAM action."""
    try:
        yield
    except ClientError as error:
        operation, code = error.operation_name, error.response["Error"]["Code"]
        action = f"{_PREFIXES.get(service, service)}:{_ACTIONS.get(operation, operation)}"
        if code in _DENIED:
            raise Unchecked(f"needs {action}", f"Allow {action}, or use credentials that have it.") from error
        message = error.response["Error"].get("Message") or "no message"
        raise Unchecked(f"{action} answered {code} ({message})", "Try again, or look in the AWS console.") from error
    except BotoCoreError as error:
        raise Unchecked(f"{service} did not answer: {error}", "Check the Region and the network.") from error


@cache
def template() -> dict[str, Any]:
    """template.yaml of this checkout, with its loops expanded."""
    data: dict[str, Any] = repository.read("template.yaml").data
    return data
