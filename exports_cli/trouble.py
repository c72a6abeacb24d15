"""The errors of the command lines, and the exit status of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from exports_cli.text import line

if TYPE_CHECKING:
    from typing import Self

_PREFIX = "urn:report-exports:problem:"


class Trouble(Exception):
    """A command failed. The message says why, and what to do."""

    exit_code = 1
    export_id: str | None = None
    """The export that exists in spite of the error."""
    go_on = ""
    """The command that continues with that export."""

    def of(self, export_id: str, go_on: str) -> Self:
        """Adds the export that exists in spite of the error, so that the user does not lose it."""
        self.export_id, self.go_on = export_id, go_on
        return self

    def __str__(self) -> str:
        """The message, and the command that continues."""
        return "\n".join(filter(None, (super().__str__(), self.go_on)))

    def as_json(self) -> str:
        """The error as JSON, for scripts."""
        return json.dumps(self._of_export({"title": super().__str__()}))

    def _of_export(self, problem: dict[str, Any]) -> dict[str, Any]:
        return problem | ({"export_id": self.export_id, "go_on": self.go_on} if self.export_id else {})


class NoFile(Trouble):
    """The export has no file: it has ended without one, or the file has expired, or it is not finished yet."""

    exit_code = 3


class NotSignedIn(Trouble):
    """The user is not signed in, or the session has ended."""

    exit_code = 4


class StackGone(NotSignedIn):
    """The stack of the session does not exist any more."""

    def __init__(self, evidence: str, *, here: bool) -> None:
        option = "--emulator" if here else "--stack NAME"
        super().__init__(
            f"The stack of this session was deleted or replaced ({evidence}). Sign in again: exports sign-in {option}"
        )


class TryAgain(Trouble):
    """The service is busy or cannot be reached. The same command may succeed later."""

    exit_code = 5


class Refused(Trouble):
    """The API answered with an error (RFC 9457). ``problem`` is the body."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(explain(status, problem))
        self.status, self.problem = status, problem
        if status == 401:
            self.exit_code = NotSignedIn.exit_code
        elif status in (429, 502, 503, 504):
            self.exit_code = TryAgain.exit_code

    @property
    def name(self) -> str:
        """The name of the problem, such as ``not-ready``; "" if the body has no type."""
        return str(self.problem.get("type", "")).removeprefix(_PREFIX)

    def as_json(self) -> str:
        """The problem as the API sent it, and the export that exists in spite of it."""
        return json.dumps(self._of_export({"status": self.status} | self.problem))


def explain(status: int, problem: dict[str, Any]) -> str:
    """A problem as text. Each fault is on its own line, after its pointer."""
    name = str(problem.get("type", "")).removeprefix(_PREFIX)
    head = f"{line(str(problem.get('title') or 'The API refused the call'))} ({status}{' ' * bool(name)}{line(name)})"
    faults = [fault for fault in problem.get("errors") or [] if isinstance(fault, dict)]
    if not faults:
        detail = line(str(problem.get("detail") or ""))
        return f"{head}: {detail}" if detail else head
    rows = [head]
    for fault in faults:
        rows.append(f"  {line(str(fault.get('pointer') or '(body)'))}  {line(str(fault.get('detail', '')))}")
        if allowed := fault.get("allowed"):
            rows.append(f"      allowed: {line(str(allowed))}")
    return "\n".join(rows)
