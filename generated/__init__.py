"""The documents that are made of the code: openapi.json and docs/problems.md. `make docs` writes them.

`make check` finds one that is not what the code says, so that nobody has to remember to write it anew.
"""

from collections.abc import Callable

from checks.repository import ROOT
from generated import openapi, problems

DOCUMENTS: dict[str, Callable[[], str]] = {
    "functions/list_reports/openapi.json": openapi.text,
    "docs/problems.md": problems.text,
}
"""What makes each document, by its path from the root of the repository."""


def write() -> list[str]:
    """Makes every document anew; those that changed."""
    changed = outdated()
    for name in changed:
        (ROOT / name).write_text(DOCUMENTS[name](), "utf-8")
    return changed


def outdated() -> list[str]:
    """The documents that are not there, or not what the code says."""
    return [name for name, text in DOCUMENTS.items() if _read(name) != text()]


def _read(name: str) -> str | None:
    return (ROOT / name).read_text("utf-8") if (ROOT / name).exists() else None
