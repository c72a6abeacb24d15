"""How the commands write for a person."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 200


def line(text: str) -> str:
    """One line, and nothing that a terminal obeys: the API's words may quote what somebody has sent."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in " ".join(text.split()))


def console(*, stderr: bool = False) -> Console:
    """Where to write: in colour and as wide as the terminal, or plainly into a pipe."""
    plainly: dict[str, Any] = {"stderr": stderr, "highlight": False, "markup": False, "emoji": False}
    made = Console(**plainly, soft_wrap=True)
    return made if made.is_terminal else Console(**plainly, width=_PIPED_WIDTH)


def table(head: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> Table:
    """Columns that stand under each other; those numbered ``right`` end in one place. An id is never cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(head):
        made.add_column(name, justify="right" if number in right else "left", overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*(line(cell) for cell in row))
    return made


def parts(export: dict[str, Any]) -> str:
    """How far an export is."""
    progress = export["progress"]
    if progress["parts_total"] is None:
        return ""
    return f"{progress['parts_done'] or 0}/{progress['parts_total']} parts"


def size(export: dict[str, Any]) -> str:
    """What the file of an export holds, "" where there is none."""
    if export["bytes"] is None:
        return ""
    return f"{export['rows']:,} rows, {export['bytes']:,} bytes, CRC-32 {export['crc32']}"


def pairs(export: dict[str, Any]) -> list[tuple[str, str]]:
    """Everything about an export, by its name; only what there is to say."""
    said = {
        "export": export["id"],
        "status": export["status"],
        "report": export["report"],
        "format": export["format"],
        "parameters": values(export["parameters"]),
        "options": values(export["options"]),
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
        said["warning"] = f"{warning['title']}. {warning['remedy']}"
    if error := export["error"]:
        part = "" if error.get("part") is None else f", part {error['part']}"
        said |= {
            "failed in": f"{error.get('state') or 'no state'}{part}",
            "error": f"{error['type']}: {error['title']}",
            "detail": error.get("detail"),
            "retry": "helps" if error.get("retryable") else "fails again unless the cause is corrected",
            "remedy": error.get("remedy"),
        }
    return [(name, line(str(value))) for name, value in said.items() if value]


def values(given: dict[str, Any]) -> str:
    """Names and values as a command line gives them."""
    several = ((name, value if isinstance(value, list) else [value]) for name, value in given.items())
    return " ".join(f"{name}={plain(each)}" for name, values in several for each in values)


def plain(value: Any) -> str:
    """A JSON value as it is typed; as JSON writes it where that would not be seen."""
    return value if isinstance(value, str) and value.isprintable() and value.strip() else json.dumps(value)
