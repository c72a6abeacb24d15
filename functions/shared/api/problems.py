"""The catalogue of problems: every type of error that the API answers (RFC 9457), the gateway's own included.

The functions raise these (:class:`shared.api.http.Problem`), the template's GatewayResponses spell theirs out and
`make check` compares them; `make docs` makes docs/problems.md and openapi.json of them.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, NamedTuple

URN = "urn:report-exports:problem:"


class ProblemType(NamedTuple):
    """One type of problem; its title is the same every time, its detail is what happened this time."""

    name: str
    title: str
    status: HTTPStatus | Literal["4XX", "5XX"]
    """4XX, 5XX: whatever status of that class the gateway gives; then the body has no ``status``."""
    when: str
    remedy: str
    headers: Mapping[str, str] = {}
    """Headers of every answer that is this problem."""

    @property
    def type(self) -> str:
        """The problem's ``type``, a URI that identifies it and leads nowhere."""
        return URN + self.name

    @property
    def code(self) -> str:
        """The status as OpenAPI names it: ``404``, ``4XX``."""
        return self.status if isinstance(self.status, str) else str(int(self.status))


INVALID_REQUEST = ProblemType(
    "invalid-request",
    "The request is not valid",
    HTTPStatus.BAD_REQUEST,
    "The body is not JSON, or a field, a query parameter or a header is missing, unknown, or has a value that is not "
    "allowed.",
    "Correct what `errors` lists: each entry says where (a JSON pointer into the body, or `/` and a query parameter's "
    "name), what is wrong, and what is allowed.",
)
UNAUTHORIZED = ProblemType(
    "unauthorized",
    "Sign in first",
    HTTPStatus.UNAUTHORIZED,
    "There is no token, or it has expired, or it is not one of this API's user pool.",
    "Sign in and send the ID token as the `Authorization` header.",
    {"WWW-Authenticate": "Bearer"},
)
FOREIGN_TOKEN = ProblemType(
    "foreign-token",
    "The token is not meant for this API",
    HTTPStatus.UNAUTHORIZED,
    "The token is an access token, or was issued to another client of the user pool.",
    "Send the ID token, and sign in with this API's client.",
    {"WWW-Authenticate": "Bearer"},
)
IDENTITY_INCOMPLETE = ProblemType(
    "identity-incomplete",
    "The identity is incomplete",
    HTTPStatus.FORBIDDEN,
    "The token does not say who the tenant is, or says it in a form that cannot be used.",
    "Ask an administrator to set the claim that `detail` names, then sign in again.",
)
NO_SUCH_EXPORT = ProblemType(
    "no-such-export",
    "There is no such export",
    HTTPStatus.NOT_FOUND,
    "The caller has no export of this id. It may have been removed, or never have been; another's is never there.",
    "Look at `GET /exports`.",
)
NO_SUCH_RESOURCE = ProblemType(
    "no-such-resource",
    "There is nothing here",
    HTTPStatus.NOT_FOUND,
    "The API has no such path, or not this method on it.",
    "Look at `GET /openapi.json`.",
)
NOT_READY = ProblemType(
    "not-ready",
    "There is no file",
    HTTPStatus.CONFLICT,
    "The export is QUEUED, RUNNING, FAILED or CANCELLED: only one that is SUCCEEDED has a file.",
    "Ask for the export until it is SUCCEEDED; retry it when it is FAILED or CANCELLED.",
)
NOT_ACTIVE = ProblemType(
    "not-active",
    "The export is not active",
    HTTPStatus.CONFLICT,
    "`DELETE` was sent with `if=active`, and the export has ended. Nothing was changed.",
    "Send `DELETE` without `if` to remove the export with its file.",
)
NOT_RETRYABLE = ProblemType(
    "not-retryable",
    "The export cannot be retried",
    HTTPStatus.CONFLICT,
    "The export is active, or has its file.",
    "Wait until it has ended, or request a new one.",
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
    "Send only what `GET /openapi.json` describes: a request takes some hundred bytes.",
)
IDEMPOTENCY_KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    "The key was used before",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The `Idempotency-Key` came with another body within 24 hours, or the export it stands for was removed.",
    "Use a new key for a new request.",
)
TOO_MANY_ACTIVE = ProblemType(
    "too-many-active",
    "Too many active exports",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The caller has as many exports QUEUED or RUNNING as may be at once; `GET /limits` says how many.",
    "Wait until one has ended, or cancel one.",
    {"Retry-After": "30"},
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    "Too many requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The API is called more often than its stage allows, by all callers together.",
    "Send the request again after `Retry-After` seconds.",
    {"Retry-After": "1"},
)
REFUSED = ProblemType(
    "refused",
    "The request was refused",
    "4XX",
    "API Gateway refuses the request for another reason, which `detail` names.",
    "Compare the request with `GET /openapi.json`.",
)
BUSY = ProblemType(
    "busy",
    "The service is busy",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "AWS throttles or does not answer, or an export has more objects than one request has time to remove. `detail` "
    "says whether something may have been done.",
    "Send the request again after `Retry-After` seconds, with the same `Idempotency-Key` where it had one.",
    {"Retry-After": "5"},
)
UNEXPECTED = ProblemType(
    "unexpected",
    "Something unexpected failed",
    "5XX",
    "A function failed, was throttled by Lambda, or took too long: nobody foresaw how.",
    "Send the request again after `Retry-After` seconds. If it happens again, tell the operators when it did.",
    {"Retry-After": "5"},
)

CATALOGUE = (
    INVALID_REQUEST,
    UNAUTHORIZED,
    FOREIGN_TOKEN,
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
"""Every type, by status."""
