"""How the commands write for people."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 200


def line(text: str) -> str:
    """A text as one line without control characters: the API may quote what a user has sent."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in " ".join(text.split()))


def console(*, stderr: bool = False) -> Console:
    """The console: as wide as the terminal, or 200 columns wide in a pipe."""
    options: dict[str, Any] = {"stderr": stderr, "highlight": False, "markup": False, "emoji": False}
    terminal = Console(**options, soft_wrap=True)
    return terminal if terminal.is_terminal else Console(**options, width=_PIPED_WIDTH)


def width() -> int | None:
    """Columns of the terminal on standard output; None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(head: list[str], rows: list[list[str]]) -> Table:
    """A table without borders. Its first column is never wrapped."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(head):
        shown.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        shown.add_row(*(line(cell) for cell in row))
    return shown


def parts(export: dict[str, Any]) -> str:
    """The progress of an export; "" before it is planned."""
    progress = export["progress"]
    if progress["parts_total"] is None:
        return "querying" if progress.get("phase") == "querying" else ""
    return f"{progress['parts_done'] or 0}/{progress['parts_total']} parts"


def size(export: dict[str, Any]) -> str:
    """The rows, size and CRC-32 of an export's file; "" if there is no file."""
    if export["bytes"] is None:
        return ""
    rows = "1 row" if export["rows"] == 1 else f"{export['rows']:,} rows"
    return f"{rows}, {export['bytes']:,} bytes, CRC-32 {export['crc32']}"


def pairs(export: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of an export as names and texts, without the empty ones."""
    shown = {
        "export": export["id"],
        "status": export["status"],
        "report": export["report"],
        "format": export["format"],
        "parameters": values(export["parameters"]),
        "options": values(export["options"]),
        "columns": ",".join(export.get("columns", [])),
        "sort": ",".join(f"{'-' * each['descending']}{each['column']}" for each in export.get("sort", [])),
        "progress": parts(export),
        "attempt": str(export["attempt"]),
        "created": export["created_at"],
        "started": export["started_at"],
        "finished": export["finished_at"],
        "file name": export.get("file_name"),
        "file": size(export),
        "expires": export["expires_at"],
    }
    if warning := export.get("warning"):
        shown["warning"] = f"{warning['title']}. {warning['remedy']}"
    if error := export["error"]:
        part = "" if error.get("part") is None else f", part {error['part']}"
        shown |= {
            "failed in": f"{error.get('state') or 'no state'}{part}",
            "error": f"{error['type']}: {error['title']}",
            "detail": error.get("detail"),
            "retry": "may succeed" if error.get("retryable") else "fails again until the cause is corrected",
            "remedy": error.get("remedy"),
        }
    return [(name, line(str(value))) for name, value in shown.items() if value]


def values(named: dict[str, Any]) -> str:
    """Names and values as on a command line: ``name=value``, in quotes if the value contains a blank."""
    several = ((name, value if isinstance(value, list) else [value]) for name, value in named.items())
    return " ".join(f"{name}={_quoted(each)}" for name, values in several for each in values)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) and " " in value else plain(value)


def plain(value: Any) -> str:
    r"""A JSON value as it is typed. A tab is ``\t``; another text that would be invisible is shown as JSON."""
    if value == "\t":
        return r"\t"
    return value if isinstance(value, str) and value.isprintable() and value.strip() else json.dumps(value)
