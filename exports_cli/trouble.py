"""What can go wrong, and the exit status that scripts read of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from exports_cli.text import line

if TYPE_CHECKING:
    from typing import Self

_PREFIX = "urn:report-exports:problem:"


class Trouble(Exception):
    """Something could not be done; the message says what, and what to do."""

    exit_code = 1
    export_id: str | None = None
    """The export that there is all the same."""
    go_on = ""
    """How to come back to it."""

    def of(self, export_id: str, go_on: str) -> Self:
        """The same trouble, once there is an export that must not be lost sight of."""
        self.export_id, self.go_on = export_id, go_on
        return self

    def __str__(self) -> str:
        """What, and what to do."""
        return "\n".join(filter(None, (super().__str__(), self.go_on)))

    def as_json(self) -> str:
        """The same for a script."""
        return json.dumps(self._of_export({"title": super().__str__()}))

    def _of_export(self, said: dict[str, Any]) -> dict[str, Any]:
        return said | ({"export_id": self.export_id, "go_on": self.go_on} if self.export_id else {})


class NoFile(Trouble):
    """The export has ended without a file, or has it no longer."""

    exit_code = 3


class NotSignedIn(Trouble):
    """Nobody is signed in, or not any more."""

    exit_code = 4


class StackGone(NotSignedIn):
    """The stack that one was signed in to is there no longer."""

    def __init__(self, evidence: str, *, here: bool) -> None:
        anew = "--emulator" if here else "--stack NAME"
        super().__init__(
            f"The stack of this session is gone, or was made anew ({evidence}). Sign in again: exports sign-in {anew}"
        )


class TryAgain(Trouble):
    """Busy, or not to be reached: the same command may do later."""

    exit_code = 5


class Refused(Trouble):
    """The API's answer is an error (RFC 9457); ``problem`` is its body."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(explain(status, problem))
        self.status, self.problem = status, problem
        if status == 401:
            self.exit_code = NotSignedIn.exit_code
        elif status in (429, 502, 503, 504):
            self.exit_code = TryAgain.exit_code

    @property
    def name(self) -> str:
        """The problem's own name, such as ``not-ready``; "" where the body has none."""
        return str(self.problem.get("type", "")).removeprefix(_PREFIX)

    def as_json(self) -> str:
        """The problem as the API sent it, and the export that there is all the same."""
        return json.dumps(self._of_export({"status": self.status} | self.problem))


def explain(status: int, problem: dict[str, Any]) -> str:
    """A problem for a person: every fault on a line of its own, under what it is about."""
    name = str(problem.get("type", "")).removeprefix(_PREFIX)
    head = f"{line(str(problem.get('title') or 'The API refused this'))} ({status}{' ' * bool(name)}{line(name)})"
    faults = [fault for fault in problem.get("errors") or [] if isinstance(fault, dict)]
    if not faults:
        detail = line(str(problem.get("detail") or ""))
        return f"{head}: {detail}" if detail else head
    rows = [head]
    for fault in faults:
        rows.append(f"  {line(str(fault.get('pointer') or '(the whole)'))}  {line(str(fault.get('detail', '')))}")
        if allowed := fault.get("allowed"):
            rows.append(f"      allowed: {line(str(allowed))}")
    return "\n".join(rows)
