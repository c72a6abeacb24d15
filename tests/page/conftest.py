"""Fixtures of the tests in a browser: web/ on the origin of one server, a page that embeds it on another's.

make test-page names the browser and starts the stack.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from checks.repository import ROOT
from local import launcher
from tests.integration.deployed import Deployed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.integration.api import Caller

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HOST = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Host</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/host.css">
<script type="module" src="{modules}/report-exports.js"></script><script type="module" src="/host.js"></script>
<main><h1>Reports</h1>{element}</main></html>"""
HOST_STYLE = """:root { color-scheme: light dark; } body { margin: 0; font-family: system-ui, sans-serif;
background: light-dark(#f5f6fa, #13151d); color: light-dark(#1a1d27, #eceef4); }
main { max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; letter-spacing: -0.02em; margin: 0 0 1.75rem; }"""
HOST_SCRIPT = """const element = document.querySelector("[api]");
window.heard = [];
for (const name of ["export-requested", "export-ended", "sign-in-required"])
  document.addEventListener(name, (event) => window.heard.push([name, event.detail]));
element.getToken = (how) => window.token(how ?? null);"""
PATIENCE_MS = 20_000


class _Files(SimpleHTTPRequestHandler):
    """Files of a folder, and pages that a test has set; pages of every origin may read them."""

    pages: ClassVar[dict[str, tuple[str, str, str]]]

    def do_GET(self) -> None:
        if self.path not in self.pages:
            return super().do_GET()
        kind, policy, text = self.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(text.encode())
        return None

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def _serving(pages: dict[str, tuple[str, str, str]]) -> Iterator[str]:
    handler = type("Files", (_Files,), {"pages": pages})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(ROOT / "web"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The stack, which make test-page has started."""
    found = Deployed(json.loads(launcher.DESCRIPTION.read_text()))
    yield found
    found.clean()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright  # only the environment of make test-page has it

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=os.environ["BROWSER"], args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def host(deployed: Deployed) -> Iterator[Callable[[str], str]]:
    """Gives the address of a page with an element. Its policy allows nothing that it does not need."""
    pages: dict[str, tuple[str, str, str]] = {}
    with _serving({}) as modules, _serving(pages) as here:
        api = deployed["api_url"]
        policy = (
            f"default-src 'none'; script-src 'self' {modules}; style-src 'self'; img-src data:; "
            f"connect-src {deployed['endpoint_url']}; require-trusted-types-for 'script'; trusted-types 'none'"
        )
        pages["/host.js"] = ("text/javascript", policy, HOST_SCRIPT)
        pages["/host.css"] = ("text/css", policy, HOST_STYLE)

        def embed(element: str) -> str:
            path = f"/{len(pages)}"
            name, _, rest = element.partition(" ")
            tag = f'<{name} api="{api}" {rest}></{name}>'
            pages[path] = ("text/html", policy, HOST.format(modules=modules, element=tag))
            return here + path

        yield embed


@pytest.fixture
def caller(deployed: Deployed) -> Caller:
    """A new user of Hawaiian, the airline of one flight a day."""
    return deployed.sign_up("HA")


class Visit:
    """A page that a user has open; `tokens` are what its getToken gives, the last one again and again."""

    def __init__(self, page: Page, tokens: list[str | None]) -> None:
        self.page, self.tokens = page, tokens
        self.asked: list[dict[str, bool] | None] = []
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if "Content Security" in said.text else None)
        page.expose_function("token", self._token)

    def _token(self, how: dict[str, bool] | None) -> str | None:
        self.asked.append(how)
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    def heard(self, name: str) -> list[Any]:
        """The details of the events of this name."""
        return [detail for each, detail in self.page.evaluate("window.heard") if each == name]


@pytest.fixture
def visit(browser: Browser, host: Callable[[str], str]) -> Iterator[Callable[..., Visit]]:
    """Opens a page with an element, in a context of its own."""
    opened: list[Visit] = []

    def open_page(
        tokens: list[str | None], element: str = 'report-exports report="flights"', go: bool = True, **context: Any
    ) -> Visit:
        page = browser.new_context(**{"locale": "en", "viewport": {"width": 1000, "height": 1600}} | context).new_page()
        page.set_default_timeout(PATIENCE_MS)
        visit = Visit(page, tokens)
        opened.append(visit)
        visit.address = host(element)  # type: ignore[attr-defined]
        if go:
            page.goto(visit.address)  # type: ignore[attr-defined]
        return visit

    yield open_page
    for each in opened:
        each.page.context.close()
    assert [fault for each in opened for fault in each.faults] == []
