"""Signing in to a Cognito user pool, by the calls that take no signature (InitiateAuth, RespondToAuthChallenge).

USER_PASSWORD_AUTH sends the password to Cognito over TLS. SRP would keep it here, at the price of a library for it (and
boto3 beneath); whoever's pool allows SRP only brings a token of their own (EXPORTS_TOKEN).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypedDict

import click

from exports_cli import places, web
from exports_cli.text import line
from exports_cli.trouble import NotSignedIn, StackGone, Trouble, TryAgain

if TYPE_CHECKING:
    from exports_cli.places import Place

_CODES = {
    "SMS_MFA": "SMS_MFA_CODE",
    "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE",
    "EMAIL_OTP": "EMAIL_OTP_CODE",
}
"""The challenges that ask for a code, and the name that the answer gives it."""
_BUSY = {"TooManyRequestsException", "LimitExceededException", "InternalErrorException"}


class Tokens(TypedDict):
    """What Cognito gives who signs in; the ID token is good for ``seconds``."""

    id_token: str
    refresh_token: str
    seconds: int


def sign_in(place: Place, email: str, password: str) -> Tokens:
    """The tokens of a user; a new password, or a code, is asked for where Cognito wants one.

    Raises:
        NotSignedIn: Cognito does not know this user by this password.
        Trouble: the client does not allow this way of signing in, or wants something that is not known here.
    """
    secrets = {"USERNAME": email, "PASSWORD": password}
    answer = _call(place, "InitiateAuth", AuthFlow="USER_PASSWORD_AUTH", AuthParameters=secrets)
    while name := answer.get("ChallengeName"):
        given = {"USERNAME": answer.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", email)}
        if name == "NEW_PASSWORD_REQUIRED":
            click.echo("The password was a temporary one. Choose your own.", err=True)
            given["NEW_PASSWORD"] = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        elif name in _CODES:
            given[_CODES[name]] = click.prompt("Code", err=True)
        else:
            remedy = "Sign in elsewhere, and set EXPORTS_TOKEN to the ID token"
            raise Trouble(f"Cognito asks for {line(name)}, which this program cannot answer. {remedy}.")
        answer = _call(
            place,
            "RespondToAuthChallenge",
            ChallengeName=name,
            Session=answer.get("Session"),
            ChallengeResponses=given,
        )
    return _tokens(answer, "")


def refresh(place: Place, refresh_token: str) -> Tokens:
    """New tokens for a refresh token.

    Raises:
        NotSignedIn: it has expired, or was revoked.
    """
    parameters = {"REFRESH_TOKEN": refresh_token}
    return _tokens(
        _call(place, "InitiateAuth", AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=parameters), refresh_token
    )


def revoke(place: Place, refresh_token: str) -> None:
    """Makes a refresh token, and every token that came of it, worth nothing to Cognito."""
    _call(place, "RevokeToken", Token=refresh_token)


def _tokens(answer: dict[str, Any], refresh_token: str) -> Tokens:
    result = answer["AuthenticationResult"]
    return {
        "id_token": result["IdToken"],
        "refresh_token": result.get("RefreshToken", refresh_token),  # a refreshed session keeps its own
        "seconds": result["ExpiresIn"],
    }


def _call(place: Place, operation: str, **parameters: Any) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
    }
    body = json.dumps({"ClientId": place["client_id"]} | parameters).encode()
    # A second answer to a challenge is refused, so only what begins is tried again.
    answer = web.send("POST", place["cognito_url"], body, headers, repeatable=operation != "RespondToAuthChallenge")
    try:
        said: dict[str, Any] = json.loads(answer.data or b"{}")
    except ValueError:
        said = {}
    if answer.status == 200:
        return said
    kind = str(said.get("__type", answer.status)).rpartition("#")[2]
    text = f"Cognito: {line(str(said.get('message') or said.get('Message') or kind))} ({line(kind)})"
    if kind in _BUSY or answer.status >= 500:
        raise TryAgain(text)
    if kind == "ResourceNotFoundException":  # there is no such client
        raise StackGone(text, here=places.is_here(place["cognito_url"]))
    if kind == "NotAuthorizedException" and parameters.get("AuthFlow") == "REFRESH_TOKEN_AUTH":
        raise NotSignedIn(f"The session has ended. Sign in again: exports sign-in ({text})")
    if kind in ("NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"):
        raise NotSignedIn(text)
    if "USER_PASSWORD_AUTH" in text:
        text += ". The client must allow ALLOW_USER_PASSWORD_AUTH; or set EXPORTS_TOKEN to an ID token."
    raise Trouble(text)
