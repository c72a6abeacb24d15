"""A stack as `exports` meets it, on this machine: the API by its contract, Cognito, and S3's signed addresses."""

from __future__ import annotations

import json
import threading
import zlib
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXPORT_ID = "01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7"
PARAMETERS: dict[str, Any] = {
    "from": {"title": "From", "type": "string", "format": "date"},
    "minimum_delay": {"title": "Minimum delay", "type": "integer", "default": 0},
    "share": {"title": "Share", "type": "number"},
    "late": {"title": "Late", "type": "boolean"},
}
OPTIONS = {"bom": {"type": "boolean", "default": False}, "delimiter": {"enum": [",", "\t"]}}
FLIGHTS = {
    "id": "flights",
    "title": "Flights",
    "description": "Every departure.",
    "columns": [{"name": "dest", "title": "Destination", "type": "string"}],
    "formats": [{"name": "csv", "options": {"properties": OPTIONS}}],
    "parameters": {"properties": PARAMETERS, "required": ["from"]},
}


class Said(NamedTuple):
    """An answer that a test has put in the place of the usual one."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Run(NamedTuple):
    """The exit status and the output of a command."""

    code: int
    out: str
    err: str

    def fails(self, code: int, said: str) -> bool:
        """Whether it ended with this status and said this among its errors."""
        return self.code == code and said in self.err


def export(status: str = "SUCCEEDED", content: bytes = b"", **more: Any) -> dict[str, Any]:
    """An export as the API shows it, whose file is this content."""
    done, queued = status == "SUCCEEDED", status == "QUEUED"
    asked = {"report": "flights", "format": "csv", "parameters": {"from": "2013-01-01"}, "options": {"bom": False}}
    file = {"rows": 2, "bytes": len(content), "crc32": f"{zlib.crc32(content):08x}"}
    file |= {"finished_at": "2026-11-23T09:12:40.700Z", "expires_at": "2026-11-30T09:12:40.000Z"}
    times = {"created_at": "2026-11-23T09:12:31.482Z", "started_at": None if queued else "2026-11-23T09:12:32.100Z"}
    progress = {"parts_done": 12 if done else 3, "parts_total": None if queued else 12}
    shown = {"id": EXPORT_ID, "status": status, "attempt": 1, "progress": progress, "warning": None, "error": None}
    return asked | times | (file if done else dict.fromkeys(file)) | shown | {"links": {}} | more


class Stack:
    """Answers as the real one does, unless a test says otherwise; remembers what it was asked."""

    def __init__(self) -> None:
        self.content, self.etag, self.file_name = b"flight,dest\r\n1,JFK\r\n", '"0123abc-2"', "flights-UA.csv"
        self.asked: list[Asked] = []
        self.cuts: list[int] = []  # after how many bytes the next connections to S3 break off
        self.goes = ["QUEUED", "RUNNING", "SUCCEEDED"]  # what the export is, the last for good
        self.error: dict[str, Any] | None = None
        self.tokens = 0  # given so far
        self._instead: dict[str, list[Said]] = defaultdict(list)
        self._refused: set[str] = set()
        self._signed = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, what: str, *said: Said) -> None:
        """Gives these answers first, as in ``answer("GET /reports", Said(503))``."""
        self._instead[what] += said

    def refuse_token(self) -> None:
        """The token that was given last is good no more."""
        self._refused.add(f"id-{self.tokens}")

    def calls(self, what: str) -> list[Asked]:
        """The requests of this method and path, its query aside."""
        return [each for each in self.asked if f"{each.method} {each.path.split('?')[0]}" == what]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stack = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

            def _serve(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.path, dict(self.headers), json.loads(text) if text else None)
                stack.asked.append(asked)
                said = stack._file(asked) if self.path.startswith("/s3/") else stack._said(asked)
                content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                content = b"" if said.body is None else content
                self.send_response(said.status)
                for name, value in ({"Content-Length": str(len(content))} | dict(said.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                cut = stack.cuts.pop(0) if stack.cuts and isinstance(said.body, bytes) else None
                self.wfile.write(content[:cut])
                self.close_connection |= cut is not None

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        return Handler

    def _file(self, asked: Asked) -> Said:
        status, first = self._range(asked)
        if status >= 400:
            return Said(status)
        headers, whole = {"ETag": self.etag}, len(self.content)
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
        return Said(status, self.content[first:], headers)

    def _range(self, asked: Asked) -> tuple[int, int]:
        """As S3 answers to Range and If-Match; an address is good for one use, as if it expired at once."""
        if self._instead["S3"]:
            return self._instead["S3"].pop(0).status, 0
        if asked.path != f"/s3/{self._signed}":
            return 403, 0
        self._signed += 1
        if asked.headers.get("If-Match", self.etag) != self.etag:
            return 412, 0
        given = asked.headers.get("Range")
        return (206, int(given.removeprefix("bytes=").rstrip("-"))) if given else (200, 0)

    def _said(self, asked: Asked) -> Said:
        path = asked.path.split("?")[0]
        if self._instead[f"{asked.method} {path}"]:
            return self._instead[f"{asked.method} {path}"].pop(0)
        if path == "/":
            return self._cognito(asked)
        if asked.headers.get("Authorization") in {None, *self._refused}:
            return Said(401, problem(401, "unauthorized", "Sign in first", "Send a valid Cognito ID token."))
        here = f"/v1/exports/{EXPORT_ID}"
        match f"{asked.method} {path}":
            case "GET /v1/reports":
                return Said(200, {"reports": [FLIGHTS]})
            case "POST /v1/exports":
                return Said(202, self._now(), {"Retry-After": "1"})
            case "GET /v1/exports":
                return Said(200, {"exports": [self._now()], "cursor": None})
            case each if each == f"GET {here}":
                return Said(200, self._now())
            case each if each == f"GET {here}/file":
                return Said(200, {"url": f"{self.url}/s3/{self._signed}", "file_name": self.file_name})
            case each if each in (f"DELETE {here}", f"POST {here}/retry"):
                return Said(202, self._now())
        return Said(404, problem(404, "no-such-export", "There is no such export", "You have no export with this id."))

    def _now(self) -> dict[str, Any]:
        status = self.goes.pop(0) if len(self.goes) > 1 else self.goes[0]
        return export(status, self.content, error=self.error if status == "FAILED" else None)

    def _cognito(self, asked: Asked) -> Said:
        operation = asked.headers["X-Amz-Target"].removeprefix("AWSCognitoIdentityProviderService.")
        if operation == "RevokeToken":
            return Said(200, {})
        self.tokens += 1
        result = {"IdToken": f"id-{self.tokens}", "ExpiresIn": 3600, "AccessToken": "access"}
        if asked.body.get("AuthFlow") != "REFRESH_TOKEN_AUTH":
            result["RefreshToken"] = "refresh"
        return Said(200, {"AuthenticationResult": result})


def problem(status: int, name: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    """An answer that is an error (RFC 9457)."""
    return {"type": f"urn:report-exports:problem:{name}", "title": title, "status": status, "detail": detail} | more


def refusal(name: str, message: str) -> Said:
    """An answer of Cognito that is an error."""
    return Said(400, {"__type": name, "message": message})


def running() -> Iterator[Stack]:
    """One for a test."""
    made = Stack()
    yield made
    made.close()
