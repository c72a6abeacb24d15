"""`exports-admin dead-letters`: lists failed attempts, the cause, whether a retry may succeed, and the remedy."""

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
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
def command(stack: str, *, as_json: bool) -> None:
    """Lists the dead letters.

    Prints which attempts failed, why, and what to do. The command changes nothing. While it receives the dead letters,
    they are hidden from other consumers.
    """
    connect(stack)
    with dead_letter_queue.held() as held:
        counts = {letter.name: len(letter.handles) for letter in held}
    letters = [(letter, table.get(letter.owner, letter.export_id), counts[letter.name]) for letter in held]
    if as_json:
        click.echo(json.dumps([_plain(*each) for each in letters], indent=2))
    else:
        click.echo("\n\n".join(_text(*each) for each in letters) or "There are no dead letters.")


def _plain(letter: DeadLetter, record: Record | None, count: int) -> dict[str, Any]:
    counts = record is not None and letter.counts_for(record)
    return {
        "export_id": letter.export_id,
        "attempt": letter.attempt,
        "owner": letter.owner,
        "letters": count,
        "failed_at": record["finished_at"] if record and counts else None,
        "error": letter.error(record),
        "moved_on": not counts,
        "now": {"attempt": record["attempt"], "status": exports.status(record)} if record else None,
    }


def _text(letter: DeadLetter, record: Record | None, count: int) -> str:
    error, counts = letter.error(record), record is not None and letter.counts_for(record)
    part = "" if error["part"] is None else f", part {error['part']}"
    lines = {
        "failed": f"{record['finished_at'] + ' ' if record and counts else ''}in {error['state'] or 'no state'}{part}",
        "error": f"{error['type']}: {error['title']}",
        "detail": error["detail"],
        "retry": "may succeed" if error["retryable"] else "fails again until the cause is corrected",
        "remedy": error["remedy"],
        "now": "FAILED" if counts else f"{dead_letter_queue.stands(record)}; replay only removes the dead letter",
    }
    many = f" ({count} dead letters)" if count > 1 else ""
    rows = [f"  {name:<8}{line(text)}" for name, text in lines.items() if text]
    return "\n".join([click.style(letter.name, bold=True) + f" of {letter.owner}{many}", *rows])
