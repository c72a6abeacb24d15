"""A stub of S3 over a folder, with what a source needs: ListObjectsV2, ranged GetObject with If-Match, and latency.

It runs in a process of its own, so that measurements include neither its memory nor its CPU time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock
from xml.sax.saxutils import escape

BUCKET = "data"
_PAGE = 1000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    folder: Path
    latency: float
    keys: list[str]

    def do_GET(self) -> None:
        time.sleep(self.latency)
        address = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(address.query)
        if "list-type" in query:
            self._list(query)
        else:
            self._get(urllib.parse.unquote(address.path).removeprefix(f"/{BUCKET}/"))

    def handle_expect_100(self) -> bool:
        """Answers at once: boto3 waits a second for this answer, which must not stay in the buffer."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def do_PUT(self) -> None:
        """Takes an object, and forgets it."""
        left = int(self.headers["Content-Length"])
        while left and (block := self.rfile.read(min(left, 1024 * 1024))):
            left -= len(block)
        self._answer(200, b"", {"ETag": '"1"'})

    def _list(self, query: dict[str, list[str]]) -> None:
        at = int(query.get("continuation-token", ["0"])[0])
        keys = [key for key in self.keys if key.startswith(query.get("prefix", [""])[0])]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><ETag>&quot;1&quot;</ETag><Size>{(self.folder / key).stat().st_size}"
            "</Size></Contents>"
            for key in keys[at : at + _PAGE]
        )
        more = at + _PAGE < len(keys)
        token = f"<NextContinuationToken>{at + _PAGE}</NextContinuationToken>" if more else ""
        body = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        self._answer(200, body.encode(), {})

    def _get(self, key: str) -> None:
        path = self.folder / key
        size = path.stat().st_size
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first else size
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(end - start)
        self._answer(206, body, {"ETag": '"1"', "Content-Range": f"bytes {start}-{end - 1}/{size}"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def _serve(folder: Path, latency: float, sender: Connection) -> None:
    keys = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    handler = type("Handler", (_Handler,), {"folder": folder, "latency": latency, "keys": keys})
    server = _Server(("127.0.0.1", 0), handler)
    sender.send(server.server_port)
    server.serve_forever()


@contextlib.contextmanager
def serving(folder: Path, latency: float) -> Iterator[None]:
    """Serves the folder as the bucket :data:`BUCKET`; every answer is delayed by ``latency`` seconds."""
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, latency, sender), daemon=True)
    process.start()
    environment = {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{receiver.recv()}",
        "AWS_ACCESS_KEY_ID": "stub",
        "AWS_SECRET_ACCESS_KEY": "stub",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DATA_BUCKET": BUCKET,
        "DATA_PREFIX": "",
    }
    try:
        with mock.patch.dict(os.environ, environment):
            yield
    finally:
        process.terminate()
        process.join()
