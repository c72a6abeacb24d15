"""HTTP calls, with retries where they are safe.

urllib3 is one package without dependencies, and its retries read Retry-After (RFC 9110, section 10.2.3).
"""

from __future__ import annotations

import urllib.request
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import urllib3
from urllib3.util import Retry, Timeout

from exports_cli import places
from exports_cli.trouble import TryAgain

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = Timeout(connect=10, read=60)
_WORTH_SAYING = 2  # seconds


class Repeated(Retry):
    """The retries of a call that is safe to repeat: if there is no answer, or AWS is busy."""

    RETRY_AFTER_STATUS_CODES = frozenset({429, 503})

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Waits for the seconds in Retry-After, and tells the user if the wait is noticeable."""
        pause = self.get_retry_after(response) if response is not None else None
        if pause and pause >= _WORTH_SAYING and response is not None:
            click.echo(f"The API is busy ({response.status}). Retrying in {pause:.0f} s.", err=True)
        super().sleep(response)


class Once(Repeated):
    """The retries of a call that is not safe to repeat: only if the gateway refused it before it started."""

    RETRY_AFTER_STATUS_CODES = frozenset({429})


def _often(*, repeatable: bool) -> Retry:
    if repeatable:
        busy = (429, 502, 503, 504)
        return Repeated(
            total=5, backoff_factor=0.5, allowed_methods=None, status_forcelist=busy, raise_on_status=False, redirect=0
        )
    return Once(
        total=5,
        read=False,
        other=False,
        backoff_factor=0.5,
        allowed_methods=None,
        status_forcelist=(429,),
        raise_on_status=False,
        redirect=0,
    )


@cache
def _manager(proxy: str | None) -> urllib3.PoolManager:
    return urllib3.ProxyManager(proxy, timeout=_TIMEOUT) if proxy else urllib3.PoolManager(timeout=_TIMEOUT)


def _proxy(url: str) -> str | None:
    """The proxy of the environment for an address, as curl reads it."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def send(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    repeatable: bool = True,
    stream: bool = False,
) -> urllib3.BaseHTTPResponse:
    """Makes one HTTP call. Does not follow redirects.

    Args:
        method: HTTP method.
        url: address.
        body: request body.
        headers: request headers.
        repeatable: whether the call is safe to repeat.
        stream: returns before the body is read.

    Raises:
        TryAgain: there was no answer.
    """
    try:
        return _manager(_proxy(url)).request(
            method,
            url,
            body=body,
            headers=dict(headers or {}),
            retries=_often(repeatable=repeatable),
            redirect=False,
            preload_content=not stream,
            decode_content=False,
        )
    except urllib3.exceptions.HTTPError as error:
        where = urlsplit(url)
        text = f"{where.scheme}://{where.netloc} does not answer: {_reason(error)}"
        if places.is_here(url):
            text += ". If it is the emulator, start it: make up"
        elif isinstance(getattr(error, "reason", None), urllib3.exceptions.NameResolutionError):
            text += ". If your network works, the stack was deleted: sign in to another one (exports sign-in --help)"
        raise TryAgain(text) from error


def _reason(error: Exception) -> str:
    """The reason without the address, which may be signed."""
    inner = getattr(error, "reason", None) or error
    return getattr(inner, "_message", None) or type(inner).__name__
