"""The catalogue of problems: every type of error that the API returns (RFC 9457), API Gateway's own included.

Functions raise them as :class:`shared.api.http.Problem`. The template's GatewayResponses repeat the gateway's own, and
`make check` compares both. `make docs` generates docs/problems.md and openapi.json from this catalogue.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, NamedTuple

URN = "urn:report-exports:problem:"


class ProblemType(NamedTuple):
    """One type of problem. Its title never changes; the detail of an answer says what happened this time."""

    name: str
    title: str
    status: HTTPStatus | Literal["4XX", "5XX"]
    """4XX and 5XX stand for any status of that class that the gateway returns; the body then has no ``status``."""
    when: str
    remedy: str
    headers: Mapping[str, str] = {}
    """Headers of every answer with this problem."""

    @property
    def type(self) -> str:
        """The problem's ``type``: a URI that identifies it and has no web page."""
        return URN + self.name

    @property
    def code(self) -> str:
        """The status as OpenAPI writes it: ``404``, ``4XX``."""
        return self.status if isinstance(self.status, str) else str(int(self.status))


INVALID_REQUEST = ProblemType(
    "invalid-request",
    "The request is not valid",
    HTTPStatus.BAD_REQUEST,
    "The body is not JSON, or a field, a query parameter or a header is missing, unknown, or has a value that is not "
    "allowed.",
    "Correct each entry of `errors`. An entry has the place (a JSON pointer into the body, or `/` and the name of a "
    "query parameter), what is wrong, and what is allowed.",
)
UNAUTHORIZED = ProblemType(
    "unauthorized",
    "Sign in first",
    HTTPStatus.UNAUTHORIZED,
    "The token is missing, has expired, or is not one of the deployment's issuer for this API.",
    "Sign in and send the token as the `Authorization` header. With a Cognito user pool, send the ID token.",
    {"WWW-Authenticate": "Bearer"},
)
IDENTITY_INCOMPLETE = ProblemType(
    "identity-incomplete",
    "The identity is incomplete",
    HTTPStatus.FORBIDDEN,
    "The claim that names the tenant or the user is missing from the token, or its value is not valid. For a backend: "
    "the path names no valid tenant or user.",
    "Ask an administrator to set the claims that `detail` names, then sign in again.",
)
NO_SUCH_EXPORT = ProblemType(
    "no-such-export",
    "There is no such export",
    HTTPStatus.NOT_FOUND,
    "The caller has no export with this id: it was removed, never existed, or belongs to another owner.",
    "List your exports with `GET /exports`.",
)
NO_SUCH_RESOURCE = ProblemType(
    "no-such-resource",
    "The resource does not exist",
    HTTPStatus.NOT_FOUND,
    "The API does not have this path, or the path does not have this method.",
    "Find the paths and methods in `GET /openapi.json`.",
)
NOT_READY = ProblemType(
    "not-ready",
    "The export has no file",
    HTTPStatus.CONFLICT,
    "The export is QUEUED, RUNNING, FAILED or CANCELLED. Only a SUCCEEDED export has a file.",
    "Poll the export until it is SUCCEEDED. If it is FAILED or CANCELLED, retry it.",
)
NOT_ACTIVE = ProblemType(
    "not-active",
    "The export is not active",
    HTTPStatus.CONFLICT,
    "`DELETE` was sent with `if=active`, but the export has ended. Nothing was changed.",
    "To remove the export and its file, send `DELETE` without `if`.",
)
NOT_RETRYABLE = ProblemType(
    "not-retryable",
    "The export cannot be retried",
    HTTPStatus.CONFLICT,
    "Only a FAILED or CANCELLED export can be retried.",
    "If the export is active, wait until it has ended. If it has succeeded, request a new one.",
)
EXPIRED = ProblemType(
    "expired",
    "The file has expired",
    HTTPStatus.GONE,
    "The export's `expires_at` has passed.",
    "Request the export again.",
)
TOO_LARGE = ProblemType(
    "too-large",
    "The request is too large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The body is larger than API Gateway accepts.",
    "Send only the fields that `GET /openapi.json` describes. A request needs a few hundred bytes.",
)
IDEMPOTENCY_KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    "The idempotency key was already used",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The `Idempotency-Key` was used with a different body in the last 24 hours, or its export was removed.",
    "Use a new key for a new request.",
)
TOO_MANY_ACTIVE = ProblemType(
    "too-many-active",
    "Too many active exports",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The caller or the tenant has reached the limit of QUEUED and RUNNING exports, which `GET /limits` returns.",
    "Wait until an export has ended, or cancel one.",
    {"Retry-After": "30"},
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    "Too many requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "All callers together exceed the request rate of the API's stage.",
    "Send the request again after `Retry-After` seconds.",
    {"Retry-After": "1"},
)
REFUSED = ProblemType(
    "refused",
    "The request was refused",
    "4XX",
    "API Gateway refused the request for another reason. `detail` names it.",
    "Compare the request with `GET /openapi.json`.",
)
BUSY = ProblemType(
    "busy",
    "The service is busy",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "AWS throttled or did not answer, or the export has more objects than one request has time to remove. `detail` "
    "says whether the request may have taken effect.",
    "Send the request again after `Retry-After` seconds. If it had an `Idempotency-Key`, use the same key.",
    {"Retry-After": "5"},
)
UNEXPECTED = ProblemType(
    "unexpected",
    "An unexpected error occurred",
    "5XX",
    "A function failed, was throttled by Lambda, or took too long. The cause is not known.",
    "Send the request again after `Retry-After` seconds. If it happens again, tell the operators when it happened.",
    {"Retry-After": "5"},
)

CATALOGUE = (
    INVALID_REQUEST,
    UNAUTHORIZED,
    IDENTITY_INCOMPLETE,
    NO_SUCH_EXPORT,
    NO_SUCH_RESOURCE,
    NOT_READY,
    NOT_ACTIVE,
    NOT_RETRYABLE,
    EXPIRED,
    TOO_LARGE,
    IDEMPOTENCY_KEY_REUSED,
    TOO_MANY_ACTIVE,
    TOO_MANY_REQUESTS,
    REFUSED,
    BUSY,
    UNEXPECTED,
)
"""Every type, in the order of the status."""
