"""The mail that tells an owner how an export ended. Pure: a record in, words out.

It holds no address of the file: one that is signed works for whoever has it, and a mail is read by many. It holds no
detail of an error either, which may name files and columns; the export itself tells that, to its owner.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from shared.api.explanations import explain
from shared.lambda_ import clock
from shared.records.table import Record

_WHY = "You get this mail because it was asked for together with the export. Nobody reads answers to it."


class Mail(NamedTuple):
    """A mail without its addresses."""

    subject: str
    text: str
    html: str


def compose(record: Record, page_url: str) -> Mail:
    """The mail for an export that is SUCCEEDED or FAILED.

    Args:
        record: of the export.
        page_url: address of the product's page that shows exports, "" where there is none.
    """
    if record["status"] == "SUCCEEDED":
        title, lines = "Your report is ready", _ready(record)
    else:
        title, lines = "Your report could not be made", _failed(record)
    link = link_to(page_url, record["export_id"]) if page_url else ""
    where = f"Look for export {record['export_id']} where you asked for it."
    text = [f"{title}.", *lines, f"See it here: {link}" if link else where, _WHY]
    shown = [f"<p>{escape(line)}</p>" for line in lines]
    shown.append(f'<p><a href="{escape(link)}">See it here</a></p>' if link else f"<p>{escape(where)}</p>")
    html = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f'<body style="font-family: sans-serif">\n<h1 style="font-size: 1.25em">{escape(title)}</h1>\n'
        + "\n".join(shown)
        + f'\n<p style="color: #595959; font-size: 0.875em">{escape(_WHY)}</p>\n</body></html>\n'
    )
    return Mail(f"{title}: {record['report']}", "\n\n".join(text) + "\n", html)


def link_to(page_url: str, export_id: str) -> str:
    """The page's address with ``export=<id>`` in its query; what else is in the address stays."""
    parts = urlsplit(page_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("export", export_id)]
    return parts._replace(query=urlencode(query)).geturl()


def _ready(record: Record) -> list[str]:
    until = clock.parse(record["expires_at"])
    rows = f"{record['rows']:,} row" + ("" if record["rows"] == 1 else "s")
    return [
        f"File: {record['file_name']}",
        f"It holds {rows}, {_size(record['bytes'])}, and can be downloaded until {until:%Y-%m-%d %H:%M} UTC.",
    ]


def _failed(record: Record) -> list[str]:
    error = explain(record["failure"])
    return [
        f"Report: {record['report']} ({record['format']})",
        f"Why: {error['title']}.",
        f"What to do: {error['remedy']}",
    ]


def _size(size: int) -> str:
    """Bytes as people say them."""
    amount, unit = float(size), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
