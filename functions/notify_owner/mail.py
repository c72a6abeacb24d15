"""The mail that tells an owner how an export ended. Pure functions: they take a record and return texts.

The mail contains no link to the file: a signed address works for everyone who has it, and mails are forwarded. It
contains no detail of an error, which may name files and columns. The API returns the detail to the owner.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from shared.api.explanations import explain
from shared.lambda_ import clock
from shared.records.table import Record

_WHY = "You asked to be notified about this export. Replies are not monitored."


class Mail(NamedTuple):
    """A mail without addresses."""

    subject: str
    text: str
    html: str


def compose(record: Record, report_title: str, page_url: str) -> Mail:
    """Writes the mail for an export that is SUCCEEDED or FAILED.

    Args:
        record: the record of the export.
        report_title: the title of the report, or its id.
        page_url: the address of the product's page that shows exports; "" if there is none.
    """
    if record["status"] == "SUCCEEDED":
        title, lines = "Your report is ready", _ready(record)
    else:
        title, lines = "Your report failed", _failed(record)
    lines = [f"Report: {report_title}", *lines]
    link = link_to(page_url, record["export_id"]) if page_url else ""
    where = f"Find export {record['export_id']} in the application in which you requested it."
    text = [f"{title}.", *lines, f"Open the export: {link}" if link else where, _WHY]
    shown = [f"<p>{escape(line)}</p>" for line in lines]
    shown.append(f'<p><a href="{escape(link)}">Open the export</a></p>' if link else f"<p>{escape(where)}</p>")
    html = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f'<body style="font-family: sans-serif">\n<h1 style="font-size: 1.25em">{escape(title)}</h1>\n'
        + "\n".join(shown)
        + f'\n<p style="color: #595959; font-size: 0.875em">{escape(_WHY)}</p>\n</body></html>\n'
    )
    return Mail(f"{title}: {report_title}", "\n\n".join(text) + "\n", html)


def link_to(page_url: str, export_id: str) -> str:
    """Adds ``export=<id>`` to the query of the page's address. The rest of the address is kept."""
    parts = urlsplit(page_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("export", export_id)]
    return parts._replace(query=urlencode(query)).geturl()


def _ready(record: Record) -> list[str]:
    until = clock.parse(record["expires_at"])
    rows = f"{record['rows']:,} row" + ("" if record["rows"] == 1 else "s")
    return [
        f"File: {record['file_name']} ({rows}, {_size(record['bytes'])})",
        f"Available until: {until:%Y-%m-%d %H:%M} UTC",
    ]


def _failed(record: Record) -> list[str]:
    error = explain(record["failure"], record["report"])
    return [
        f"Format: {record['format']}",
        f"Reason: {error['title']}",
        f"What to do: {error['remedy']}",
    ]


def _size(size: int) -> str:
    """A number of bytes in a readable unit."""
    amount, unit = float(size), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
