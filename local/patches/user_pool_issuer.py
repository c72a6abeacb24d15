"""The issuer of a user pool is an address at which its keys can be read.

AWS ("Verifying JSON web tokens"; AWS::Cognito::UserPool, return values): the claim `iss`, the discovery document and
the attribute ProviderURL all name `https://cognito-idp.<region>.amazonaws.com/<pool>`, where everybody can read the
keys.
Stock: tokens and the discovery document name that address of AWS, which has no keys of this emulator; there is no
ProviderURL.
Here: all three name the emulator's address, which Cognito authorizers accept too.
"""

import json
import os
from typing import Any

from ministack.services import apigateway_v1, cognito
from ministack.services.cloudformation import provisioners


def apply() -> None:
    """Names the emulator's address in tokens, in the discovery document and in CloudFormation."""
    sign, describe = cognito._signed_jwt, cognito.well_known_openid_configuration
    attributes = provisioners._cognito_user_pool_attributes

    def sign_as_issuer(claims: dict[str, Any], pool: str = "", *more: Any) -> str:
        return str(sign(claims | {"iss": issuer(pool)} if pool and "iss" in claims else claims, pool, *more))

    def describe_issuer(pool: str, *more: Any, **options: Any) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = describe(pool, *more, **options)
        return status, headers, json.dumps(json.loads(body) | {"issuer": issuer(pool)}).encode()

    cognito._signed_jwt, cognito.well_known_openid_configuration = sign_as_issuer, describe_issuer
    of_authorizer = apigateway_v1._cognito_pool_issuers
    apigateway_v1._cognito_pool_issuers = lambda authorizer: [
        issuer(each.rpartition("/")[2]) for each in of_authorizer(authorizer)
    ]
    provisioners._cognito_user_pool_attributes = lambda pool: attributes(pool) | {"ProviderURL": issuer(pool)}


def issuer(pool: str) -> str:
    """The issuer of a pool's tokens."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/{pool}"
