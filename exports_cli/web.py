"""HTTP calls, each tried again while that is safe and of use.

urllib3: one package without dependencies, with retries that read Retry-After (RFC 9110, section 10.2.3).
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
    """For a call that may be made twice: again when nobody answers, and when the answer is that AWS is busy."""

    RETRY_AFTER_STATUS_CODES = frozenset({429, 503})

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Waits as long as the answer asks for, and says so when a person would wonder."""
        wanted = self.get_retry_after(response) if response is not None else None
        if wanted and wanted >= _WORTH_SAYING and response is not None:
            click.echo(f"The API is busy ({response.status}); trying again in {wanted:.0f} s.", err=True)
        super().sleep(response)


class Once(Repeated):
    """For a call that must not be made twice unknowingly: again only where the gateway refused to begin."""

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
    """The proxy that the environment names for an address, as curl reads it."""
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
    """One call; redirects are answers.

    Args:
        method: of HTTP.
        url: where to.
        body: to send.
        headers: to send.
        repeatable: whether making the call twice does no harm.
        stream: leaves the body to be read.

    Raises:
        TryAgain: nobody answered.
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
        said = f"{where.scheme}://{where.netloc} does not answer: {_reason(error)}"
        if places.is_here(url):
            said += ". If it is the emulator, start it: make up"
        elif isinstance(getattr(error, "reason", None), urllib3.exceptions.NameResolutionError):
            said += ". If there is a network, the stack is gone: sign in to another one (exports sign-in --help)"
        raise TryAgain(said) from error


def _reason(error: Exception) -> str:
    """Why, without the address, which may be signed."""
    inner = getattr(error, "reason", None) or error
    return getattr(inner, "_message", None) or type(inner).__name__
