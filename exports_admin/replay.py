"""`exports-admin replay`: another attempt for what failed, as RetryExport makes it; then the letter goes."""

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


def _ids(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for text in given:
        if not exports.is_id(text):
            raise click.BadParameter(f"{text!r} is no export's id; `exports-admin dead-letters` lists them.")
    return tuple(dict.fromkeys(given))


@click.command("replay")
@click.argument("named", metavar="[EXPORT]...", nargs=-1, callback=_ids)
@click.option(
    "--all", "everything", is_flag=True, help="Every letter but those that fail again until their cause is corrected."
)
@click.option("--type", "kind", metavar="ERROR", help="With --all: only letters of this error, such as RowsMissing.")
@click.option("--corrected", is_flag=True, help="With --all: those too, for their cause is corrected.")
@stack_option
def command(stack: str, *, named: tuple[str, ...], everything: bool, kind: str | None, corrected: bool) -> None:
    """Makes another attempt at exports that failed; their letters are removed once it has started.

    Name the exports, or say --all. Parts that are finished are not made again. Where an export has moved on, only its
    letter is removed. Safe to repeat, and for two operators at once.
    """
    if bool(named) == everything:
        raise click.UsageError("Name the exports to replay or say --all, one of the two.")
    if named and (kind or corrected):
        raise click.UsageError("--type and --corrected go with --all; an export that is named is replayed anyway.")
    connect(stack)
    with dead_letter_queue.held() as held:
        if named:
            chosen = [letter for letter in held if letter.export_id in named]
        else:
            chosen = [letter for letter in held if kind in (None, letter.failure["type"])]
        outcomes = [_replay_and_tell(letter, even_if_it_fails_again=bool(named) or corrected) for letter in chosen]
    missing = [export_id for export_id in named if export_id not in {letter.export_id for letter in chosen}]
    for export_id in missing:
        click.echo(f"{export_id}: there is no letter", err=True)
    if everything and not chosen:
        others = ", ".join(sorted({letter.failure["type"] for letter in held}))
        click.echo(f"There are no dead letters of {kind}, but of {others}." if others else "There are no dead letters.")
    if skipped := outcomes.count("skipped"):
        click.echo(f"{skipped} skipped: they fail again until their cause is corrected. Then add --corrected.")
    sys.exit(1 if missing or "failed" in outcomes else 0)


def _replay_and_tell(letter: DeadLetter, *, even_if_it_fails_again: bool) -> Literal["done", "skipped", "failed"]:
    try:
        done = _replay(letter, even_if_it_fails_again=even_if_it_fails_again)
    except (ClientError, BotoCoreError) as error:
        click.echo(f"{letter.name}: failed, and its letter stays: {error}", err=True)
        return "failed"
    click.echo(f"{letter.name}: " + (done or "skipped, {type}: {remedy}".format_map(letter.error)))
    return "done" if done else "skipped"


def _replay(letter: DeadLetter, *, even_if_it_fails_again: bool) -> str | None:
    """What was done, in words; None when the letter is skipped."""
    record = table.get(letter.owner, letter.export_id)
    if record and letter.counts_for(record):
        if not (letter.error["retryable"] or even_if_it_fails_again):
            return None
        now = clock.now()
        retried = table.retry(record, clock.stamp(now), exports.delete_after(now))
        record = retried or table.get(letter.owner, letter.export_id)  # None: somebody else was first
    if record and record["status"] == "QUEUED":
        attempts.start(record)  # also where another's start was lost: an attempt is started only once
        done = f"attempt {record['attempt']} has started"
    else:
        done = f"only its letter was removed: {dead_letter_queue.stands(record)}"
    dead_letter_queue.remove(letter)
    return done
