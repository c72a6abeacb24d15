"""`exports-admin dead-letters`: what failed, why, whether a retry helps, and what to do."""

import json
from typing import Any

import click

from exports_admin import dead_letter_queue
from exports_admin.connection import connect, stack_option
from exports_admin.dead_letter_queue import DeadLetter
from exports_cli.text import line
from shared.api import exports
from shared.records import table
from shared.records.table import Record


@click.command("dead-letters")
@stack_option
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array, for scripts.")
def command(stack: str, *, as_json: bool) -> None:
    """Lists the attempts that failed and left a letter: why, and what to do.

    Changes nothing; the letters are hidden from others only while they are received.
    """
    connect(stack)
    with dead_letter_queue.held() as held:
        doubled = {letter.name: len(letter.handles) for letter in held}
    found = [(letter, table.get(letter.owner, letter.export_id), doubled[letter.name]) for letter in held]
    if as_json:
        click.echo(json.dumps([_plain(*each) for each in found], indent=2))
    else:
        click.echo("\n\n".join(_text(*each) for each in found) or "There are no dead letters.")


def _plain(letter: DeadLetter, record: Record | None, count: int) -> dict[str, Any]:
    counts = record is not None and letter.counts_for(record)
    return {
        "export_id": letter.export_id,
        "attempt": letter.attempt,
        "owner": letter.owner,
        "letters": count,
        "failed_at": record["finished_at"] if record and counts else None,
        "error": letter.error,
        "moved_on": not counts,
        "now": {"attempt": record["attempt"], "status": exports.status(record)} if record else None,
    }


def _text(letter: DeadLetter, record: Record | None, count: int) -> str:
    error, counts = letter.error, record is not None and letter.counts_for(record)
    part = "" if error["part"] is None else f", part {error['part']}"
    lines = {
        "failed": f"{record['finished_at'] + ' ' if record and counts else ''}in {error['state'] or 'no state'}{part}",
        "error": f"{error['type']}: {error['title']}",
        "detail": error["detail"],
        "retry": "helps" if error["retryable"] else "fails again unless the cause is corrected",
        "remedy": error["remedy"],
        "now": "FAILED" if counts else f"moved on: {dead_letter_queue.stands(record)}; replay only removes the letter",
    }
    many = f" ({count} letters)" if count > 1 else ""
    rows = [f"  {name:<8}{line(text)}" for name, text in lines.items() if text]
    return "\n".join([click.style(letter.name, bold=True) + f" of {letter.owner}{many}", *rows])
