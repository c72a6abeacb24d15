"""The API as its callers see it: HTTP and JSON, and nothing of the product's code but its description."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3

from tests.support.description import breaches

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}
PATIENCE_SECONDS = 180
_http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(60), maxsize=16)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; redirects are answers too."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def problem(self, status: int, name: str) -> dict[str, Any]:
        """The body, which must be this problem in all its forms (RFC 9457)."""
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/problem+json", self
        body = self.json
        assert body["status"] == status
        assert body["type"] == f"urn:report-exports:problem:{name}"
        assert body["title"]
        assert body["detail"]
        return dict(body)


def http(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One HTTP call; nothing is followed or repeated."""
    answer = _http.request(method, url, body=body, headers=dict(headers or {}), redirect=False)
    return Answer(answer.status, answer.headers, answer.data)


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API; ``token`` None calls without one."""

    api_url: str
    token: str | None = None
    email: str = ""

    @property
    def claims(self) -> dict[str, Any]:
        """What the token says."""
        payload = (self.token or "").split(".")[1]
        return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))

    @property
    def tenant(self) -> str:
        return str(self.claims["custom:tenant_id"])

    @property
    def owner(self) -> str:
        return f"{self.tenant}#{self.claims['sub']}"

    def call(self, method: str, where: str, body: Any = None, **headers: str) -> Answer:
        """Calls a path of the API or an absolute link; a body that is not bytes is sent as JSON.

        The answer must be as openapi.json says. The tests together may exceed the rate of the API: a call that API
        Gateway throttles, before any function runs, is made again.
        """
        url = where if where.startswith("http") else self.api_url + where
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if content is not None else {}
        sent |= {"Authorization": self.token} if self.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer, deadline = http(method, url, content, sent), time.monotonic() + PATIENCE_SECONDS
        while answer.status == 429 and b":too-many-requests" in answer.content and time.monotonic() < deadline:
            time.sleep(int(answer.headers["Retry-After"]))
            answer = http(method, url, content, sent)
        path = url.removeprefix(self.api_url).partition("?")[0]
        assert breaches(method, path, answer.status, answer.headers, answer.content) == [], answer
        return answer

    def get(self, where: str, **headers: str) -> Answer:
        return self.call("GET", where, **headers)

    def post(self, body: Any, **headers: str) -> Answer:
        return self.call("POST", "/exports", body, **headers)

    def exports(self) -> list[dict[str, Any]]:
        """The newest exports of the caller, as the API lists them."""
        answer = self.get("/exports?limit=100")
        assert answer.status == 200, answer
        return list(answer.json["exports"])

    def request(self, **parameters: Any) -> dict[str, Any]:
        """Requests flights as CSV; the export as it was accepted."""
        answer = self.post(flights(**parameters))
        assert answer.status == 202, answer
        return dict(answer.json)

    def follow(self, export: dict[str, Any]) -> Followed:
        """Asks for an export until it has ended, and remembers every answer."""
        seen, deadline = [], time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.get(export["links"]["self"])
            assert answer.status == 200, answer
            seen.append(answer.json)
            if seen[-1]["status"] in TERMINAL:
                return Followed(export, seen)
            assert time.monotonic() < deadline, f"not ended within {PATIENCE_SECONDS} s: {seen[-1]}"
            time.sleep(0.2)

    def delete(self, export: dict[str, Any]) -> Answer:
        return self.call("DELETE", export["links"]["self"])

    def retry(self, export: dict[str, Any]) -> Answer:
        return self.call("POST", export["links"]["self"] + "/retry")

    def cancel(self) -> dict[str, Any]:
        """Requests the flights of 2013 and cancels them as soon as they run: the export, which must be CANCELLED."""
        self.call("DELETE", "/exports/absent")  # a function's first start may take as long as the whole export
        for _ in range(3):  # so may another start, beside a call of another test
            export = self.request()
            while self.get(export["links"]["self"]).json["status"] == "QUEUED":
                time.sleep(0.1)
            answer = self.call("DELETE", export["links"]["self"] + "?if=active")
            if answer.status != 409:
                break
        assert answer.status == 202, answer
        assert answer.json["status"] == "CANCELLED"
        return dict(answer.json)

    def make(self, **parameters: Any) -> dict[str, Any]:
        """Requests flights and waits: the export, which must have succeeded."""
        export = self.follow(self.request(**parameters)).end
        assert export["status"] == "SUCCEEDED", export
        return export

    def signed(self, export: dict[str, Any]) -> dict[str, Any]:
        """Where the file is: ``{url, file_name, expires_at}``."""
        answer = self.get(export["links"]["file"], Accept="application/json")
        assert answer.status == 200, answer
        return dict(answer.json)

    def download(self, export: dict[str, Any]) -> Answer:
        """The file of an export, as S3 hands it out."""
        answer = http("GET", self.signed(export)["url"])
        assert answer.status == 200, answer.status
        return answer


@dataclass(frozen=True)
class Followed:
    """Everything that the API said of one export: the answer to its request, then each time it was asked, in order."""

    accepted: dict[str, Any]
    seen: list[dict[str, Any]]

    @property
    def end(self) -> dict[str, Any]:
        return self.seen[-1]


def flights(**parameters: Any) -> dict[str, Any]:
    """The body of a request for flights as CSV; ``first`` and ``last`` are its dates, the whole of 2013 by default."""
    dates = {"from": parameters.pop("first", "2013-01-01"), "to": parameters.pop("last", "2013-12-31")}
    return {"report": "flights", "format": "csv", "parameters": dates | parameters}
