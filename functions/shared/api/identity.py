"""Who calls the API: a user with a token, or a backend on behalf of a user."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ON_BEHALF = "/on-behalf/{tenant}/{user}"
"""What the routes of backends begin with. The rest is the route of a user."""
TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
USER = re.compile(r"[ -~]{1,128}")
"""Printable ASCII. OpenID Connect allows at most 255 ASCII characters in ``sub`` (Core 1.0, section 2)."""
RULES = f"a tenant ({TENANT.pattern}) and a user ({USER.pattern})"
_ENCODED = re.compile(r"[^A-Za-z0-9-]")
# One address in ASCII, as SES requires ("SendEmail"): HTML's definition of a valid e-mail address, without quoting.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True)
class Caller:
    """The user whose exports a request is about."""

    tenant: str
    user: str
    """The user, as the issuer of the token or the backend names it."""
    email: str | None = field(default=None, repr=False)
    """The e-mail address, if the issuer has verified it."""
    requested_by: str | None = None
    """ARN of the IAM principal that calls on behalf of the user; None if the user calls."""

    @property
    def owner(self) -> str:
        """The partition of the user's exports: ``<tenant>#<encoded user>``."""
        return f"{self.tenant}#{encoded(self.user)}"


def encoded(user: str) -> str:
    """A user in letters, digits, ``-`` and ``=``: ``auth0|7b`` is ``auth0=7C7b``.

    Keys of S3, JSON that AWS builds without escaping, and ``#`` between tenant and user need a safe alphabet. Different
    users stay different. The ``sub`` of Cognito, a UUID, stays as it is.
    """
    return _ENCODED.sub(lambda match: f"={ord(match[0]):02X}", user)


def is_valid(tenant: object, user: object) -> bool:
    """Whether both can be an owner."""
    return (
        isinstance(tenant, str)
        and TENANT.fullmatch(tenant) is not None
        and isinstance(user, str)
        and USER.fullmatch(user) is not None
    )


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The claim ``email``, if ``email_verified`` is true and the address is one that SES accepts."""
    email, verified = claims.get("email"), claims.get("email_verified")
    is_verified = verified is True or verified == "true"  # some issuers send text
    return email if is_verified and isinstance(email, str) and _EMAIL.fullmatch(email) else None
