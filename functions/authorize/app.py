"""The API's Lambda authorizer: checks a user's token, and tells the API functions the tenant and the user.

API Gateway caches the result for each token ("Use API Gateway Lambda authorizers").
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from authorize import tokens
from authorize.tokens import InvalidToken, Issuer
from shared.api.identity import verified_email
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics

_SCHEME = re.compile(r"[Bb]earer +")


class Unauthorized(Exception):
    """The token is not valid. API Gateway answers 401 if the message is exactly ``Unauthorized``."""


@function(__file__)
def handler(event: Event) -> Any:
    """Returns a policy that allows the routes of the stage, with the caller's identity as its context.

    Raises:
        Unauthorized: the token is not valid. The log says why.
        IssuerUnavailable: the issuer's keys cannot be read. API Gateway answers 5xx.
    """
    try:
        claims = issuer().verify(_SCHEME.sub("", event["authorizationToken"], count=1))
    except InvalidToken as error:
        logger.info("refused", extra={"reason": str(error)})
        metrics.add_dimension(name="FunctionName", value=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"))
        metrics.add_metric(name="TokensRefused", unit="Count", value=1)
        raise Unauthorized("Unauthorized") from None
    return {
        "principalId": "user",
        "policyDocument": {"Version": "2012-10-17", "Statement": [_allow(event["methodArn"])]},
        "context": _context(claims),
    }


@cache
def issuer() -> Issuer:
    """The issuer, whose keys are kept between invocations."""
    return tokens.configured()


def _allow(method: str) -> dict[str, str]:
    """Allows every route of the stage: the policy is cached for the token, whatever route it is used for next."""
    stage = "/".join(method.split("/")[:2])
    return {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{stage}/*"}


def _context(claims: Mapping[str, Any]) -> dict[str, str]:
    """What the API functions learn: texts only ("Output from an API Gateway Lambda authorizer").

    They refuse a caller without a valid tenant or user, with the names of the claims, and a token that expired while
    the policy was cached.
    """
    names = {"tenant_claim": os.environ["TENANT_CLAIM"], "user_claim": os.environ["USER_CLAIM"]}
    known = {
        "tenant": claims.get(names["tenant_claim"]),
        "user": claims.get(names["user_claim"]),
        "email": verified_email(claims),
    }
    texts = {name: value for name, value in known.items() if isinstance(value, str)}
    return names | texts | {"expires": str(int(claims["exp"]) + tokens.SKEW_SECONDS)}
