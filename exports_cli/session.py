"""Who is signed in, and where: one file for each profile, which only its owner may read."""

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
    """A user who is signed in; ``expires_at`` is when the ID token does, in seconds since the epoch."""

    email: str
    refresh_token: str
    id_token: str
    expires_at: int


_KINDS = dict.fromkeys(Session.__annotations__, str) | {"expires_at": int}


def folder() -> Path:
    """The user's own configuration of this program."""
    return Path(click.get_app_dir("report-exports"))


def file(profile: str) -> Path:
    """Where a profile's session is kept."""
    return folder() / f"{profile}.json"


def load(profile: str) -> Session | None:
    """The session of a profile; None when nobody is signed in."""
    try:
        found: Session = json.loads(file(profile).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NotSignedIn(f"{file(profile)} cannot be read ({error}). Sign in again: exports sign-in") from error
    if not (isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in _KINDS.items())):
        raise NotSignedIn(f"{file(profile)} is no session. Sign in again: exports sign-in")
    return found


def readable(profile: str) -> Session | None:
    """The session of a profile; None also when it is damaged, for whoever can do without one."""
    try:
        return load(profile)
    except NotSignedIn:
        return None


def save(profile: str, session: Session) -> Path:
    """Keeps a session, whole or not at all, in a file of mode 0600."""
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
    """Removes the session of a profile, where there is one."""
    file(profile).unlink(missing_ok=True)


def begun(place: Place, email: str, tokens: cognito.Tokens) -> Session:
    """The session of a user who has just signed in."""
    return {
        **place,
        "email": email,
        "refresh_token": tokens["refresh_token"],
        "id_token": tokens["id_token"],
        "expires_at": int(time.time()) + tokens["seconds"],
    }


class Signed:
    """A session at work: its ID token, made anew when it has run out."""

    def __init__(self, profile: str, session: Session) -> None:
        self._profile, self._session = profile, session

    @property
    def api_url(self) -> str:
        """The stack's API."""
        return self._session["api_url"]

    def token(self, *, anew: bool = False) -> str:
        """The ID token, which is good for another minute at least; a new one when the API refused the last."""
        if anew or self._session["expires_at"] - 60 < time.time():
            tokens = cognito.refresh(self._session, self._session["refresh_token"])
            self._session = begun(self._session, self._session["email"], tokens)
            save(self._profile, self._session)
        return self._session["id_token"]

    def gone(self, status: int) -> Trouble:
        """What to say when the address answers, and not as a stack of Report Exports does."""
        return StackGone(f"{self.api_url} answered {status}", here=places.is_here(self.api_url))


class Given:
    """The API and the token that the environment names: for machines, and for users of an identity provider."""

    def __init__(self, api_url: str, token: str) -> None:
        self.api_url, self._token = api_url, token

    def token(self, *, anew: bool = False) -> str:
        """The token as it was given."""
        if anew:
            raise NotSignedIn("The API refuses the token in EXPORTS_TOKEN: it has expired, or is of another client.")
        return self._token

    def gone(self, status: int) -> Trouble:
        """As of :class:`Signed`."""
        return Trouble(f"There is no stack of Report Exports at {self.api_url} ({status}): set EXPORTS_API_URL anew.")


def current(profile: str) -> Signed | Given:
    """What the commands call the API with.

    Raises:
        NotSignedIn: neither the environment nor a session says.
        Trouble: EXPORTS_API_URL is an address that a token must not be sent to.
    """
    if given := os.environ.get("EXPORTS_TOKEN"):
        api_url = os.environ.get("EXPORTS_API_URL")
        if not api_url and (kept := readable(profile)):
            api_url = kept["api_url"]
        if not api_url:
            raise NotSignedIn("EXPORTS_TOKEN says who you are; say where, too: set EXPORTS_API_URL.")
        return Given(places.safe(api_url), given)
    session = load(profile)
    if session is None:
        raise NotSignedIn("Nobody is signed in. Sign in first: exports sign-in --help")
    return Signed(profile, session)
