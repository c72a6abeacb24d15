"""The API, by its contract: each call answers its JSON, or raises what a person can act on."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from exports_cli import web
from exports_cli.trouble import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from exports_cli.session import Given, Signed

ACTIVE = ("QUEUED", "RUNNING")
STATUSES = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_PAGE = 100
Export = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the API answered: JSON, and for how many seconds it asks to be left alone."""

    status: int
    body: Any
    pause: float
    replayed: bool


class Api:
    """A stack's API, called by who is signed in. Every address is built here: the token goes to no other."""

    def __init__(self, signed: Signed | Given) -> None:
        self._signed = signed

    def reports(self) -> list[dict[str, Any]]:
        """What can be exported."""
        return list(self._call("GET", "/reports").body["reports"])

    def request(self, body: dict[str, Any], key: str | None = None) -> Answer:
        """A new export; the key makes the request safe to repeat, for this process and, if it is given, for others."""
        return self._call("POST", "/exports", body, {"Idempotency-Key": key or str(uuid.uuid4())})

    def exports(self, status: str | None = None) -> Iterator[Export]:
        """The caller's exports, newest first, page by page."""
        query = {"limit": str(_PAGE)} | ({"status": status} if status else {})
        while True:
            page = self._call("GET", f"/exports?{urlencode(query)}").body
            yield from page["exports"]
            if not page["cursor"]:
                return
            query["cursor"] = page["cursor"]

    def export(self, export_id: str) -> Answer:
        """One export, and when to ask again."""
        return self._call("GET", _path(export_id))

    def file(self, export_id: str) -> dict[str, Any]:
        """Where the file is, signed now: ``{url, file_name, expires_at}``."""
        return dict(self._call("GET", f"{_path(export_id)}/file", headers={"Accept": "application/json"}).body)

    def cancel(self, export_id: str) -> Answer:
        """Cancels an export that is active; one that has ended is refused and keeps its file."""
        return self._call("DELETE", f"{_path(export_id)}?if=active", repeatable=False)

    def retry(self, export_id: str) -> Answer:
        """Another attempt at an export that is FAILED or CANCELLED."""
        return self._call("POST", f"{_path(export_id)}/retry", repeatable=False)

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        repeatable: bool = True,
    ) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", "Content-Type": "application/json"} | (headers or {})
        for anew in (False, True):
            sent["Authorization"] = self._signed.token(anew=anew)
            answer = web.send(method, self._signed.api_url + path, content, sent, repeatable=repeatable)
            if answer.status != 401:
                break
        return self._read(answer)

    def _read(self, answer: urllib3.BaseHTTPResponse) -> Answer:
        try:
            body = json.loads(answer.data) if answer.data else None
        except ValueError:
            body = None
        if answer.status >= 300 or (body is None and answer.status != 204):
            problem = body if isinstance(body, dict) else {"title": f"The API answered {answer.status}, and no JSON"}
            if "type" not in problem and answer.status in (403, 404):  # the stack's own gateway names every problem
                raise self._signed.gone(answer.status)
            if "title" not in problem:  # what the gateway itself says, where it is not told otherwise
                problem = {"title": f"The API answered {answer.status}", "detail": str(problem.get("message", ""))}
            raise Refused(answer.status, problem)
        pause = answer.headers.get("Retry-After", "")
        replayed = answer.headers.get("Idempotent-Replayed") == "true"
        return Answer(answer.status, body, float(pause) if pause.isdigit() else 0, replayed)


def _path(export_id: str) -> str:
    return f"/exports/{quote(export_id, safe='')}"
