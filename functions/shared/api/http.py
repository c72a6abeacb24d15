"""HTTP through API Gateway's Lambda proxy integration: the request, its caller, and the answer.

Answers are JSON; errors are ``application/problem+json`` (RFC 9457).
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from shared.api import problems
from shared.api.problems import ProblemType
from shared.lambda_.faults import Fault, sentence
from shared.lambda_.telemetry import logger

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_USER = re.compile(r"[A-Za-z0-9-]{1,128}")
# One address in ASCII, as SES requires ("SendEmail"): HTML's definition of a valid e-mail address, without quoting.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_MOST_FAULTS = 100


class Problem(Exception):
    """An error answer (RFC 9457, section 3.1) that a function returns, so its type has a fixed status.

    Args:
        detail: what happened this time.
        more: extension members.
    """

    def __init__(self, of: ProblemType, detail: str, **more: Any) -> None:
        super().__init__(f"{of.name}: {detail}")
        self.status, self.headers = HTTPStatus(int(of.status)), dict(of.headers)
        self.body = {"type": of.type, "title": of.title, "status": int(self.status), "detail": detail, **more}


def invalid(faults: list[Fault]) -> Problem:
    """The problem 400 ``invalid-request``; ``errors`` has one entry for each fault, at most 100."""
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    count += f", of which the first {_MOST_FAULTS} are" if len(faults) > _MOST_FAULTS else ""
    faults = faults[:_MOST_FAULTS]
    detail = f"The request has {count}: " + "; ".join(sentence(fault) for fault in faults)
    return Problem(problems.INVALID_REQUEST, detail, errors=faults)


@dataclass(frozen=True)
class Answer:
    """A status, a JSON body (none when None), and headers."""

    status: HTTPStatus
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Caller:
    """The caller, from the claims of a Cognito ID token."""

    tenant: str
    user: str
    email: str | None = field(default=None, repr=False)
    """The e-mail address, if the user pool has verified it."""

    @property
    def owner(self) -> str:
        """The partition of the caller's exports: ``<tenant>#<sub>``."""
        return f"{self.tenant}#{self.user}"


@dataclass(frozen=True)
class Request:
    """A request as a function sees it."""

    event: dict[str, Any]

    @property
    def path(self) -> dict[str, str]:
        """Path parameters."""
        return self.event.get("pathParameters") or {}

    @property
    def query(self) -> dict[str, str]:
        """Query parameters. API Gateway keeps the last value of a repeated parameter."""
        return self.event.get("queryStringParameters") or {}

    def header(self, name: str) -> str | None:
        """The value of a header; upper and lower case in its name do not matter."""
        headers: dict[str, str] = self.event.get("headers") or {}
        return next((value for key, value in headers.items() if key.lower() == name.lower()), None)

    @property
    def base_url(self) -> str:
        """URL of the API as the caller reached it: with the stage or base path, without a slash at the end.

        ``requestContext.path`` is the stage (or the base path of a custom domain) followed by the called path. Without
        the segments of the resource, the base remains.
        """
        context = self.event["requestContext"]
        segments = self.event["resource"].strip("/").count("/") + 1 if self.event["resource"] != "/" else 0
        parts = context["path"].rstrip("/").split("/")
        base = "/".join(parts[: len(parts) - segments])
        return f"{self.header('X-Forwarded-Proto') or 'https'}://{context['domainName']}{base}"

    def identify(self) -> Caller:
        """The caller.

        The authorizer has checked the token against the user pool. This method checks that it is an ID token of this
        deployment's client and names the tenant. It also checks that there was an authorizer: ``sam local start-api``
        has none, and a route must stay closed when somebody removes its authorizer.

        Raises:
            Problem: 401 without claims, or for a token of another kind or client; 403 without a valid tenant or user.
        """
        claims = (self.event["requestContext"].get("authorizer") or {}).get("claims")
        if claims is None:
            detail = "Send a valid Cognito ID token of this API's client as the Authorization header."
            raise Problem(problems.UNAUTHORIZED, detail)
        if claims.get("token_use") != "id" or claims.get("aud") != os.environ["USER_POOL_CLIENT_ID"]:
            raise Problem(problems.FOREIGN_TOKEN, "The token is not an ID token issued to this API's client.")
        claim = os.environ["TENANT_CLAIM"]
        tenant, user = claims.get(claim), claims.get("sub")
        if not (
            isinstance(tenant, str) and _TENANT.fullmatch(tenant) and isinstance(user, str) and _USER.fullmatch(user)
        ):
            detail = f"The ID token must have the claims {claim} ({_TENANT.pattern}) and sub ({_USER.pattern})."
            raise Problem(problems.IDENTITY_INCOMPLETE, detail)
        return Caller(tenant, user, _verified_email(claims))


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """The claim ``email``, if it is verified. API Gateway passes every claim as text, also a boolean."""
    email, verified = claims.get("email"), claims.get("email_verified")
    is_verified = verified is True or verified == "true"
    return email if is_verified and isinstance(email, str) and _EMAIL.fullmatch(email) else None


Route = Callable[[Request], Answer]


def serve(routes: Mapping[str, Route], event: dict[str, Any]) -> dict[str, Any]:
    """Answers a proxy event with its route, ``"METHOD /resource"``. A :class:`Problem` becomes an error answer."""
    try:
        answer = routes[f"{event['httpMethod']} {event['resource']}"](Request(event))
        content, kind = answer.body, "application/json"
    except Problem as problem:
        logger.info("refused", extra={"problem": problem.body})
        answer = Answer(problem.status, headers=problem.headers)
        content, kind = problem.body, "application/problem+json"
    headers = {
        "Access-Control-Allow-Origin": os.environ["ALLOWED_ORIGIN"],
        "Access-Control-Expose-Headers": "Location, Retry-After, Idempotent-Replayed",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    body = "" if content is None else json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    if content is not None:
        headers["Content-Type"] = kind
    return {"statusCode": int(answer.status), "headers": headers | answer.headers, "body": body}
