"""A client of the API. Each call returns the JSON of the answer, or raises an error that says what to do."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from exports_cli import web
from exports_cli.trouble import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from exports_cli.session import Given, Signed

ACTIVE = ("QUEUED", "RUNNING")
STATUSES = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_PAGE = 100  # exports; the API allows no more
Export = dict[str, Any]


class Page(NamedTuple):
    """One page of the list of exports."""

    exports: list[Export]
    is_last: bool


@dataclass(frozen=True)
class Answer:
    """An answer of the API. ``pause`` is its ``Retry-After`` in seconds, ``replayed`` its ``Idempotent-Replayed``."""

    status: int
    body: Any
    pause: float
    replayed: bool


class Api:
    """The API of a stack, called as the user who is signed in.

    This class builds every address, so the token goes to no other server.
    """

    def __init__(self, signed: Signed | Given) -> None:
        self._signed = signed

    def reports(self) -> list[dict[str, Any]]:
        """The reports that the user can export."""
        return list(self._call("GET", "/reports").body["reports"])

    def request(self, body: dict[str, Any], key: str | None = None) -> Answer:
        """Requests a new export.

        The call sends an Idempotency-Key, so it is safe to repeat. With ``key``, other processes can repeat it too.
        """
        return self._call("POST", "/exports", body, {"Idempotency-Key": key or str(uuid.uuid4())})

    def pages(self, status: str | None = None) -> Iterator[Page]:
        """The user's exports, newest first, one page for each call of the API.

        A page of one status may be empty although more pages follow.
        """
        query = {"limit": str(_PAGE)} | ({"status": status} if status else {})
        while True:
            body = self._call("GET", f"/exports?{urlencode(query)}").body
            yield Page(body["exports"], is_last=not body["cursor"])
            if not body["cursor"]:
                return
            query["cursor"] = body["cursor"]

    def export(self, export_id: str) -> Answer:
        """One export. ``pause`` says when to ask again."""
        return self._call("GET", _path(export_id))

    def file(self, export_id: str) -> dict[str, Any]:
        """A new signed address of the file: ``{url, file_name, expires_at}``."""
        return dict(self._call("GET", f"{_path(export_id)}/file", headers={"Accept": "application/json"}).body)

    def cancel(self, export_id: str) -> Answer:
        """Cancels an active export. The API refuses an export that has ended, which keeps its file."""
        return self._call("DELETE", f"{_path(export_id)}?if=active", repeatable=False)

    def retry(self, export_id: str) -> Answer:
        """Starts another attempt at an export that is FAILED or CANCELLED."""
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
            problem = body if isinstance(body, dict) else {"title": f"The API answered {answer.status} without JSON"}
            if "type" not in problem and answer.status in (403, 404):  # a gateway of ours adds a type to each problem
                raise self._signed.gone(answer.status)
            if "title" not in problem:  # a default answer of API Gateway
                problem = {"title": f"The API answered {answer.status}", "detail": str(problem.get("message", ""))}
            raise Refused(answer.status, problem)
        pause = answer.headers.get("Retry-After", "")
        replayed = answer.headers.get("Idempotent-Replayed") == "true"
        return Answer(answer.status, body, float(pause) if pause.isdigit() else 0, replayed)


def _path(export_id: str) -> str:
    return f"/exports/{quote(export_id, safe='')}"
