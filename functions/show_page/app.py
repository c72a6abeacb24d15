"""GET /: the web page. GET /web/{file}: its parts, for the page itself and for pages of other origins.

Nobody has signed in yet. So these routes say nothing about users, and read nothing but the files of the WebLayer.
"""

import hashlib
import html
import os
import re
import string
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.api import problems
from shared.api.http import Answer, Problem, Request, serve
from shared.lambda_.function import Event, function

_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_YEAR, _ASK = "public, max-age=31536000, immutable", "no-cache"
_IMPORTED = re.compile(r'"(\./[\w-]+\.js)"')


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 200, or the problem ``no-such-resource``."""
    return serve({"GET /": show_page, "GET /web/{file}": show_part}, event)


def show_page(request: Request) -> Answer:
    """The page. Its addresses are absolute, because it is shown at ``/v1``, at ``/v1/`` and at a custom domain."""
    text = string.Template((_folder() / "index.html").read_text("utf-8"))
    known = {"base": request.base_url, "version": _version()}
    headers = {
        "Content-Security-Policy": _policy(request),
        "Cache-Control": "no-cache",  # after an update, the old page must not ask for the parts of the new one
        "Referrer-Policy": "no-referrer",  # the address has the code of a sign-in for a moment
    }
    page = text.substitute({name: html.escape(each) for name, each in known.items()})
    return Answer(HTTPStatus.OK, page, headers, "text/html; charset=utf-8")


def show_part(request: Request) -> Answer:
    """A module or a style sheet, or ``config.json``.

    Pages of other origins load a module without a version, so browsers ask for it anew and mostly get 304. What it
    imports has the version of this release, and browsers keep it: a page does not mix modules of two releases, unless
    it loads one only when the user needs it, and an update came before that.

    Raises:
        Problem: 404, if there is no such part.
    """
    name = request.path["file"]
    shared = {"Access-Control-Allow-Origin": "*"}
    if name == "config.json":
        return Answer(HTTPStatus.OK, {"api": request.base_url, "sign_in": _sign_in(request)}, shared)
    part = _parts().get(name)
    if part is None:
        raise Problem(problems.NO_SUCH_RESOURCE, "The web page has no part with this name.")
    kind, tag = _KINDS[Path(name).suffix], f'W/"{_version()}"'  # weak, because API Gateway compresses the part
    shared |= {"Cache-Control": _YEAR if request.query.get("v") == _version() else _ASK, "ETag": tag}
    if tag in (request.header("If-None-Match") or ""):
        # API Gateway would add its default type, and a browser may take the type of a 304 over into what it has kept.
        return Answer(HTTPStatus.NOT_MODIFIED, headers=shared | {"Content-Type": kind})
    return Answer(HTTPStatus.OK, _IMPORTED.sub(rf'"\1?v={_version()}"', part), shared, kind)


def _sign_in(request: Request) -> dict[str, str | None] | None:
    """How the page signs a user in; None if this deployment has not set that up.

    An API that accepts the client's id as the audience gets the ID token, which has that audience (OpenID Connect Core
    1.0, section 2), and so does one with a user pool: Cognito's access tokens have no tenant. Every other API gets an
    access token for its first audience.
    """
    pool = not os.environ["OIDC_AUDIENCE"]
    audiences = [each.strip() for each in os.environ["OIDC_AUDIENCE"].split(",")]
    # The stack's own client is a variable of the stage: docs/adr/0016-page-client.md
    client = os.environ["CLIENT_ID"] or (request.event.get("stageVariables") or {}).get("PageClientId")
    if not client:
        return None
    is_id = pool or client in audiences
    return {
        "issuer": os.environ["ISSUER"],
        "client_id": client,
        "scope": os.environ["SCOPE"],
        "token": "id_token" if is_id else "access_token",
        "audience": None if is_id else audiences[0],
        "provider": "cognito" if pool else "other",
    }


def _policy(request: Request) -> str:
    """The Content-Security-Policy: the API's own origin, and where the page signs in. Nothing inline, no frames."""
    issuers = [_origin(os.environ[name]) for name in ("ISSUER", "POOL_DOMAIN") if os.environ[name]]
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "data:",  # the empty icon of the page; otherwise browsers ask the API for one
        "connect-src": " ".join(["'self'", *(issuers if _sign_in(request) else [])]),
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _folder() -> Path:
    return Path(os.environ["WEB_FOLDER"])


@cache
def _parts() -> dict[str, str]:
    """The parts by name. A name that is not among them cannot lead to any other file."""
    return {file.name: file.read_text("utf-8") for file in sorted(_folder().iterdir()) if file.suffix in _KINDS}


@cache
def _version() -> str:
    """Changes when a part changes, also in a copy of the project that has no releases."""
    return hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in _parts().items()).encode()).hexdigest()[:12]
