"""`exports-admin replay`: starts another attempt, as RetryExport does, then removes the dead letter."""

import sys
from typing import Literal

import click
from botocore.exceptions import BotoCoreError, ClientError

from exports_admin import dead_letter_queue
from exports_admin.connection import connect, stack_option
from exports_admin.dead_letter_queue import DeadLetter
from shared.api import exports
from shared.lambda_ import clock
from shared.records import attempts, table


def _ids(_context: click.Context, _parameter: click.Parameter, ids: tuple[str, ...]) -> tuple[str, ...]:
    for text in ids:
        if not exports.is_id(text):
            raise click.BadParameter(
                f"{text!r} is not the id of an export. To list the ids: exports-admin dead-letters"
            )
    return tuple(dict.fromkeys(ids))


@click.command("replay")
@click.argument("named", metavar="[EXPORT]...", nargs=-1, callback=_ids)
@click.option("--all", "everything", is_flag=True, help="All dead letters whose retry may succeed.")
@click.option("--type", "kind", metavar="ERROR", help="With --all: only this error type, such as RowsMissing.")
@click.option("--corrected", is_flag=True, help="With --all: also those that fail again until the cause is corrected.")
@stack_option
def command(stack: str, *, named: tuple[str, ...], everything: bool, kind: str | None, corrected: bool) -> None:
    """Starts another attempt at failed exports.

    When an attempt has started, its dead letter is removed. Name the exports, or use --all. Finished parts are kept. If
    an export was retried, cancelled or deleted in the meantime, only its dead letter is removed. You can repeat the
    command, and two operators can run it at once.
    """
    if bool(named) == everything:
        raise click.UsageError("Either name the exports to replay or use --all.")
    if named and (kind or corrected):
        raise click.UsageError("Use --type and --corrected with --all only. A named export is always replayed.")
    connect(stack)
    with dead_letter_queue.held() as held:
        if named:
            chosen = [letter for letter in held if letter.export_id in named]
        else:
            chosen = [letter for letter in held if kind in (None, letter.failure["type"])]
        outcomes = [_replay_and_tell(letter, even_if_it_fails_again=bool(named) or corrected) for letter in chosen]
    missing = [export_id for export_id in named if export_id not in {letter.export_id for letter in chosen}]
    for export_id in missing:
        click.echo(f"{export_id}: there is no dead letter", err=True)
    if everything and not chosen:
        others = ", ".join(sorted({letter.failure["type"] for letter in held}))
        of_kind = f"There are no dead letters of type {kind}. There are some of type {others}."
        click.echo(of_kind if others else "There are no dead letters.")
    if skipped := outcomes.count("skipped"):
        letters = "1 dead letter" if skipped == 1 else f"{skipped} dead letters"
        click.echo(f"Skipped {letters}. Correct the cause, then use --all --corrected.")
    sys.exit(1 if missing or "failed" in outcomes else 0)


def _replay_and_tell(letter: DeadLetter, *, even_if_it_fails_again: bool) -> Literal["done", "skipped", "failed"]:
    try:
        is_done, said = _replay(letter, even_if_it_fails_again=even_if_it_fails_again)
    except (ClientError, BotoCoreError) as error:
        click.echo(f"{letter.name}: replay failed, the dead letter stays: {error}", err=True)
        return "failed"
    click.echo(f"{letter.name}: {said}")
    return "done" if is_done else "skipped"


def _replay(letter: DeadLetter, *, even_if_it_fails_again: bool) -> tuple[bool, str]:
    """Replays a dead letter, unless it is skipped. Returns whether it was replayed, and what was done, as text."""
    record = table.get(letter.owner, letter.export_id)
    if record and letter.counts_for(record):
        error = letter.error(record)
        if not (error["retryable"] or even_if_it_fails_again):
            return False, f"skipped, {error['type']}: {error['remedy']}"
        now = clock.now()
        retried = table.retry(record, clock.stamp(now), exports.delete_after(now))
        record = retried or table.get(letter.owner, letter.export_id)  # None: the record has changed in the meantime
    if record and record["status"] == "QUEUED":
        attempts.start(record)  # also if the start by another process was lost: an attempt starts only once
        done = f"attempt {record['attempt']} has started"
    else:
        done = f"only the dead letter was removed, because {dead_letter_queue.stands(record)}"
    dead_letter_queue.remove(letter)
    return True, done
