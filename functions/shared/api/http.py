"""HTTP through API Gateway's Lambda proxy integration: the request, its caller, and the answer.

Answers are JSON; errors are ``application/problem+json`` (RFC 9457).
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from shared.api import identity, problems
from shared.api.identity import Caller
from shared.api.problems import ProblemType
from shared.lambda_ import clock
from shared.lambda_.faults import Fault, sentence
from shared.lambda_.telemetry import logger

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
    """A status, a body (none when None), headers, and the body's type. A body that is not JSON is a text."""

    status: HTTPStatus
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"


@dataclass(frozen=True)
class Request:
    """A request as a function sees it."""

    event: dict[str, Any]

    @property
    def path(self) -> dict[str, str]:
        """Path parameters, percent-encoded as the caller sent them."""
        return self.event.get("pathParameters") or {}

    @property
    def query(self) -> dict[str, str]:
        """Query parameters. API Gateway keeps the last value of a repeated parameter."""
        return self.event.get("queryStringParameters") or {}

    @property
    def route(self) -> str:
        """The route as users call it: ``/exports/{id}``, also for a backend."""
        resource: str = self.event["resource"]
        return resource.removeprefix(identity.ON_BEHALF)

    @property
    def _is_on_behalf(self) -> bool:
        return len(self.route) < len(self.event["resource"])

    def header(self, name: str) -> str | None:
        """The value of a header; upper and lower case in its name do not matter."""
        headers: dict[str, str] = self.event.get("headers") or {}
        return next((value for key, value in headers.items() if key.lower() == name.lower()), None)

    @property
    def base_url(self) -> str:
        """URL of the API as the caller reached it: with the stage or base path, without a slash at the end.

        ``requestContext.path`` is the stage (or the base path of a custom domain) followed by the called path. Without
        the segments of the route, the base remains. A backend's base names the user. A REST API leaves the path
        percent-encoded.
        """
        context = self.event["requestContext"]
        segments = self.route.strip("/").count("/") + 1 if self.route != "/" else 0
        parts = context["path"].rstrip("/").split("/")
        base = "/".join(parts[: len(parts) - segments])
        # A caller may send this header too, so it decides between two words and is not copied.
        protocol = "http" if self.header("X-Forwarded-Proto") == "http" else "https"
        return f"{protocol}://{context['domainName']}{base}"

    def identify(self) -> Caller:
        """The user whose exports the request is about.

        Authorize has verified a user's token, or API Gateway the signature of a backend. This method checks that one of
        them did: a route must stay closed when somebody removes its authorizer.

        Raises:
            Problem: 404 if the deployment has no routes for backends; 401 if nobody identified the caller, or for a
                token that has expired since; 403 without a valid tenant or user; 503 while the stage has the authorizer
                of another release.
        """
        context = self.event["requestContext"]
        if self._is_on_behalf:
            if os.environ["ON_BEHALF_ROUTES"] != "true":
                raise Problem(problems.NO_SUCH_RESOURCE, "This deployment has no routes for backends.")
            principal = (context.get("identity") or {}).get("userArn")
            if not principal:
                raise Problem(problems.UNAUTHORIZED, "Sign the request with AWS Signature Version 4.")
            # The tenant must be what was sent, because IAM compared that with the backend's policy.
            tenant = self.path["tenant"] if f"/on-behalf/{self.path['tenant']}/" in context["path"] else ""
            caller = Caller(tenant, unquote(self.path["user"]), requested_by=principal)
            place = "path"
            logger.append_keys(requested_by=principal)
        else:
            known = context.get("authorizer") or {}
            if "claims" in known:  # the authorizer of release 0.1.0, for some seconds of an upgrade
                raise Problem(problems.BUSY, "A deployment is in progress. Nothing was changed.")
            if not _is_current(known.get("expires")):
                detail = "Send a valid token of the deployment's issuer as the Authorization header."
                raise Problem(problems.UNAUTHORIZED, detail)
            caller = Caller(known.get("tenant", ""), known.get("user", ""), known.get("email"))
            place = f"token's claims {known.get('tenant_claim')} and {known.get('user_claim')}"
        if not identity.is_valid(caller.tenant, caller.user):
            raise Problem(problems.IDENTITY_INCOMPLETE, f"The {place} must name {identity.RULES}.")
        return caller


def _is_current(expires: object) -> bool:
    """Whether a token is valid now. API Gateway caches the authorizer's result for some minutes."""
    return isinstance(expires, str) and expires.isdecimal() and clock.now().timestamp() < int(expires)


Route = Callable[[Request], Answer]


def serve(routes: Mapping[str, Route], event: dict[str, Any]) -> dict[str, Any]:
    """Answers a proxy event with its route, ``"METHOD /route"``. A :class:`Problem` becomes an error answer."""
    try:
        request = Request(event)
        answer = routes[f"{event['httpMethod']} {request.route}"](request)
        content, kind = answer.body, answer.kind
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
    body = "" if content is None else str(content)
    if content is not None and kind.endswith("json"):
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    if content is not None:
        headers["Content-Type"] = kind
    return {"statusCode": int(answer.status), "headers": headers | answer.headers, "body": body}
