"""The session of the signed-in user: one file for each profile, which only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path

import click

from exports_cli import cognito, places
from exports_cli.places import Place
from exports_cli.trouble import NotSignedIn, StackGone, Trouble


class Session(Place):
    """The session of a user. ``expires_at`` is when the ID token expires, in seconds since the epoch."""

    email: str
    refresh_token: str
    id_token: str
    expires_at: int


_KINDS = dict.fromkeys(Session.__annotations__, str) | {"expires_at": int}


def folder() -> Path:
    """The folder of the user's sessions."""
    return Path(click.get_app_dir("report-exports"))


def file(profile: str) -> Path:
    """The file of a profile's session."""
    return folder() / f"{profile}.json"


def load(profile: str) -> Session | None:
    """The session of a profile; None if nobody is signed in.

    Raises:
        NotSignedIn: the file is damaged.
    """
    try:
        session: Session = json.loads(file(profile).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NotSignedIn(f"{file(profile)} cannot be read ({error}). Sign in again: exports sign-in") from error
    if not (isinstance(session, dict) and all(isinstance(session.get(name), kind) for name, kind in _KINDS.items())):
        raise NotSignedIn(f"{file(profile)} is not a session file. Sign in again: exports sign-in")
    return session


def readable(profile: str) -> Session | None:
    """The session of a profile; None if nobody is signed in or the file is damaged."""
    try:
        return load(profile)
    except NotSignedIn:
        return None


def save(profile: str, session: Session) -> Path:
    """Writes a session to its file atomically, with mode 0600."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    written = folder() / f".{profile}.{secrets.token_hex(4)}"
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as text:
            json.dump(session, text, indent=2)
        written.replace(file(profile))
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    return file(profile)


def forget(profile: str) -> None:
    """Removes the session of a profile, if it exists."""
    file(profile).unlink(missing_ok=True)


def begun(place: Place, email: str, tokens: cognito.Tokens) -> Session:
    """The session of a user who has just received these tokens."""
    return {
        **place,
        "email": email,
        "refresh_token": tokens["refresh_token"],
        "id_token": tokens["id_token"],
        "expires_at": int(time.time()) + tokens["seconds"],
    }


class Signed:
    """A session in use. It refreshes its ID token when that expires."""

    def __init__(self, profile: str, session: Session) -> None:
        self._profile, self._session = profile, session

    @property
    def api_url(self) -> str:
        """The address of the stack's API."""
        return self._session["api_url"]

    def token(self, *, anew: bool = False) -> str:
        """An ID token that is valid for at least one minute. ``anew`` requests one because the API refused the last."""
        if anew or self._session["expires_at"] - 60 < time.time():
            tokens = cognito.refresh(self._session, self._session["refresh_token"])
            self._session = begun(self._session, self._session["email"], tokens)
            save(self._profile, self._session)
        return self._session["id_token"]

    def gone(self, status: int) -> Trouble:
        """The error for an address that answers, but not as Report Exports does."""
        return StackGone(f"{self.api_url} answered {status}", here=places.is_here(self.api_url))


class Given:
    """The API and the token from the environment, for machines and for users of an identity provider."""

    def __init__(self, api_url: str, token: str) -> None:
        self.api_url, self._token = api_url, token

    def token(self, *, anew: bool = False) -> str:
        """The token in EXPORTS_TOKEN."""
        if anew:
            raise NotSignedIn("The API refuses the token in EXPORTS_TOKEN. It has expired or is for another client.")
        return self._token

    def gone(self, status: int) -> Trouble:
        """See :meth:`Signed.gone`."""
        return Trouble(f"There is no stack of Report Exports at {self.api_url} ({status}). Correct EXPORTS_API_URL.")


def current(profile: str) -> Signed | Given:
    """The API and the token that the commands use: from the environment, else from the profile's session.

    Raises:
        NotSignedIn: there is neither a token in the environment nor a session, or the API's address is unknown.
        Trouble: a token must not be sent to EXPORTS_API_URL.
    """
    if token := os.environ.get("EXPORTS_TOKEN"):
        api_url = os.environ.get("EXPORTS_API_URL")
        if not api_url and (kept := readable(profile)):
            api_url = kept["api_url"]
        if not api_url:
            raise NotSignedIn("EXPORTS_TOKEN is set, but the API's address is unknown: set EXPORTS_API_URL.")
        return Given(places.safe(api_url), token)
    session = load(profile)
    if session is None:
        raise NotSignedIn("You are not signed in. Sign in first: exports sign-in --help")
    return Signed(profile, session)
