"""Verifies the tokens of an OpenID Connect issuer: JWTs signed with a key that the issuer publishes.

OpenID Connect Discovery 1.0, section 4, leads to the keys. RFC 8725 (JWT best current practices) says what to check.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import urllib3

from shared.lambda_.telemetry import logger

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric only: with HMAC, somebody could sign with the public key, which everybody knows."""
SKEW_SECONDS = 60
"""How far the clocks of the issuer and of Lambda may differ."""
FRESH_SECONDS = 3_600
"""The keys are read again after this time, so a key that the issuer withdrew is refused after this time."""
STALE_SECONDS = 86_400
"""While the issuer does not answer, older keys are used for at most this time."""
PAUSE_SECONDS = 10
"""Minimum time between two attempts to read the keys: anybody can send a token with an unknown key id."""
_TIMES = urllib3.Timeout(connect=2, read=3)
_MOST_BYTES = 1024**2


class InvalidToken(Exception):
    """The token is not a valid token of the issuer for this API. The message says why."""


class IssuerUnavailable(Exception):
    """The issuer's keys cannot be read, and there are no recent ones."""


class Issuer:
    """An issuer and its keys.

    Args:
        url: the issuer, exactly as its tokens name it in ``iss``.
        audiences: the values of ``aud`` that the API accepts.
        clock: returns seconds that never go back.
    """

    def __init__(self, url: str, audiences: list[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._audiences, self._clock = url, audiences, clock
        self._http = urllib3.PoolManager(timeout=_TIMES, retries=urllib3.Retry(1, redirect=0))
        self._keys: list[dict[str, Any]] = []
        self._read_at = self._tried_at = float("-inf")

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token.

        Raises:
            InvalidToken: the token was not signed by the issuer, is not for this API, or is not valid now.
            IssuerUnavailable: the keys cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise InvalidToken(f"the algorithm must be one of {', '.join(ALGORITHMS)}")
            if "crit" in header or "b64" in header:
                raise InvalidToken("the header names extensions (crit, b64), which are not supported")
            key = self._key(header)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audiences,
                issuer=self._url,
                leeway=SKEW_SECONDS,
                options={"require": ["aud", "exp", "iss"]},
            )
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidToken(f"{type(error).__name__}: {error}") from error
        if claims.get("token_use", "id") != "id":  # Cognito's access tokens have no tenant, but may have an audience
            raise InvalidToken("it is an access token of Cognito; send the ID token")
        return claims

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that the header names, or the only key if the header names none."""
        now, kid = self._clock(), header.get("kid")
        if now - self._read_at > FRESH_SECONDS:
            self._read()
        key = self._known(kid)
        if key is None and self._read():
            key = self._known(kid)
        if now - self._read_at > STALE_SECONDS:
            raise IssuerUnavailable(f"the keys of {self._url} cannot be read")
        if key is None:
            raise InvalidToken(f"the issuer has no key {kid!r}")
        return jwt.PyJWK(key, algorithm=key.get("alg") or header["alg"])

    def _known(self, kid: str | None) -> dict[str, Any] | None:
        keys = self._keys if kid is None else [key for key in self._keys if key.get("kid") == kid]
        return keys[0] if len(keys) == 1 else None

    def _read(self) -> bool:
        """Reads the keys, unless that was attempted just now. Returns whether there are new keys."""
        now = self._clock()
        if now - self._tried_at < PAUSE_SECONDS:
            return False
        self._tried_at = now
        try:
            keys = self._get(self._keys_url())["keys"]
            self._keys = [key for key in keys if key.get("use", "sig") == "sig" and key.get("kty") != "oct"]
        except (urllib3.exceptions.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("keys not read", extra={"issuer": self._url, "reason": f"{type(error).__name__}: {error}"})
            return False
        self._read_at = now
        return True

    def _keys_url(self) -> str:
        """Where the keys are, by discovery."""
        described = self._get(f"{self._url.rstrip('/')}/.well-known/openid-configuration")
        if described["issuer"] != self._url:
            raise ValueError(f"the discovery document names the issuer {described['issuer']}")
        url = str(described["jwks_uri"])
        if not url.startswith(f"{self._url.partition(':')[0]}://"):  # TLS for an issuer with TLS
            raise ValueError(f"the discovery document says that the keys are at {url}")
        return url

    def _get(self, url: str) -> Any:
        answer = self._http.request("GET", url, headers={"Accept": "application/json"}, preload_content=False)
        try:
            data = answer.read(_MOST_BYTES + 1)
        finally:
            answer.release_conn()
        if answer.status != 200 or len(data) > _MOST_BYTES:
            raise ValueError(f"{url} answered {answer.status} with {len(data)} bytes")
        return json.loads(data)


def configured() -> Issuer:
    """The issuer of this deployment."""
    return Issuer(os.environ["ISSUER"], [each.strip() for each in os.environ["AUDIENCE"].split(",")])
