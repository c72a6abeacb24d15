"""Signs in to a Cognito user pool with the calls that need no signature (InitiateAuth, RespondToAuthChallenge).

USER_PASSWORD_AUTH sends the password to Cognito over TLS. SRP would not send it, but needs another library and boto3.
If a pool allows only SRP, the user gets a token elsewhere and sets EXPORTS_TOKEN.
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
"""The challenges that ask for a code, and the name of the code in the response."""
_BUSY = {"TooManyRequestsException", "LimitExceededException", "InternalErrorException"}


class Tokens(TypedDict):
    """The tokens of a signed-in user. The ID token is valid for ``seconds``."""

    id_token: str
    refresh_token: str
    seconds: int


def sign_in(place: Place, email: str, password: str) -> Tokens:
    """Signs in a user. Prompts for a new password or a code if Cognito requires one.

    Raises:
        NotSignedIn: the user or the password is wrong, or the user must reset the password.
        Trouble: the client does not allow USER_PASSWORD_AUTH, or Cognito sends a challenge that is not supported.
    """
    secrets = {"USERNAME": email, "PASSWORD": password}
    answer = _call(place, "InitiateAuth", AuthFlow="USER_PASSWORD_AUTH", AuthParameters=secrets)
    while name := answer.get("ChallengeName"):
        responses = {"USERNAME": answer.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", email)}
        if name == "NEW_PASSWORD_REQUIRED":
            click.echo("Your password is temporary. Choose a new one.", err=True)
            password = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
            responses["NEW_PASSWORD"] = password
        elif name in _CODES:
            responses[_CODES[name]] = click.prompt("Code", err=True)
        else:
            remedy = "Sign in with another program, and set EXPORTS_TOKEN to the ID token"
            raise Trouble(f"Cognito sent the challenge {line(name)}, which `exports` does not support. {remedy}.")
        answer = _call(
            place,
            "RespondToAuthChallenge",
            ChallengeName=name,
            Session=answer.get("Session"),
            ChallengeResponses=responses,
        )
    return _tokens(answer, "")


def refresh(place: Place, refresh_token: str) -> Tokens:
    """Gets new tokens for a refresh token.

    Raises:
        NotSignedIn: the refresh token has expired or was revoked.
    """
    parameters = {"REFRESH_TOKEN": refresh_token}
    return _tokens(
        _call(place, "InitiateAuth", AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=parameters), refresh_token
    )


def revoke(place: Place, refresh_token: str) -> None:
    """Revokes a refresh token and every access token that was issued with it."""
    _call(place, "RevokeToken", Token=refresh_token)


def _tokens(answer: dict[str, Any], refresh_token: str) -> Tokens:
    result = answer["AuthenticationResult"]
    return {
        "id_token": result["IdToken"],
        "refresh_token": result.get("RefreshToken", refresh_token),  # a refresh returns no new refresh token
        "seconds": result["ExpiresIn"],
    }


def _call(place: Place, operation: str, **parameters: Any) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
    }
    body = json.dumps({"ClientId": place["client_id"]} | parameters).encode()
    # Cognito refuses a second response to a challenge, so that call is not repeated.
    answer = web.send("POST", place["cognito_url"], body, headers, repeatable=operation != "RespondToAuthChallenge")
    try:
        content: dict[str, Any] = json.loads(answer.data or b"{}")
    except ValueError:
        content = {}
    if answer.status == 200:
        return content
    kind = str(content.get("__type", answer.status)).rpartition("#")[2]
    text = f"Cognito: {line(str(content.get('message') or content.get('Message') or kind))} ({line(kind)})"
    if kind in _BUSY or answer.status >= 500:
        raise TryAgain(text)
    if kind == "ResourceNotFoundException":  # the pool or its client does not exist
        raise StackGone(text, here=places.is_here(place["cognito_url"]))
    if kind == "NotAuthorizedException" and parameters.get("AuthFlow") == "REFRESH_TOKEN_AUTH":
        raise NotSignedIn(f"The session has ended. Sign in again: exports sign-in ({text})")
    if kind in ("NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"):
        raise NotSignedIn(text)
    if "USER_PASSWORD_AUTH" in text:
        text += ". Enable ALLOW_USER_PASSWORD_AUTH for the client, or set EXPORTS_TOKEN to an ID token."
    raise Trouble(text)
