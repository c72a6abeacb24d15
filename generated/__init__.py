"""Documents that are generated: openapi.json, docs/problems.md and docs/architecture.md. `make docs` writes them.

`make check` fails if a generated document is outdated.
"""

from collections.abc import Callable

from architecture import checkout, document
from checks.repository import ROOT
from generated import openapi, problems

DOCUMENTS: dict[str, Callable[[], str]] = {
    "functions/list_reports/openapi.json": openapi.text,
    "docs/problems.md": problems.text,
    "docs/architecture.md": lambda: document.text(checkout.current()),
}
"""The generator of each document, by the document's path in the repository."""


def write() -> list[str]:
    """Writes every outdated document, and returns their names."""
    changed = outdated()
    for name in changed:
        (ROOT / name).write_text(DOCUMENTS[name](), "utf-8")
    return changed


def outdated() -> list[str]:
    """The documents that are missing or outdated."""
    return [name for name, text in DOCUMENTS.items() if _read(name) != text()]


def _read(name: str) -> str | None:
    return (ROOT / name).read_text("utf-8") if (ROOT / name).exists() else None
