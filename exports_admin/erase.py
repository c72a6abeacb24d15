"""`exports-admin erase`: everything that a stack holds of an owner or a tenant goes; what cannot go is named."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from typing import NamedTuple

import click

from exports_admin import belongings, dead_letter_queue
from exports_admin.belongings import Item, Whose
from exports_admin.connection import connect, stack_option
from exports_cli.trouble import Trouble
from shared.files import result, work
from shared.lambda_ import clock
from shared.records import attempts
from shared.records import table as records
from shared.records.table import ACTIVE

_TENANT, _USER = r"[A-Za-z0-9_-]{1,64}", r"[A-Za-z0-9-]{1,128}"
_ROUNDS = 5
_COUNTED = ("exports", "active", "keys", "files", "work files", "uploads", "letters")


class Remains(NamedTuple):
    """What erasing does not reach, for how many days (None: for as long as you keep it), and why."""

    what: str
    days: int | None
    why: str


REMAINS = (
    Remains("changes of the table", 1, "its stream, which nobody can shorten"),
    Remains("work files of deleted exports", 7, "deleted before: parts, so rows; no record leads to them any more"),
    Remains(
        "messages in the stack's queues",
        14,
        "dead letters that somebody held; what was not announced, reconciled or mailed (notifications, unmailed)",
    ),
    Remains("log lines", 30, "export ids, owners, errors; never a row"),
    Remains("traces", 30, "X-Ray; timings, no row"),
    Remains("the table as it was", 35, "point-in-time recovery; erase again after you restore from it"),
    Remains("execution histories", 90, "Step Functions; the owner, the plan's counts, errors"),
    Remains("copies of your own", None, "backups, replicas, versions; what listens to the event bus"),
    Remains("the user", None, "delete it in the pool: aws cognito-idp admin-delete-user"),
)
"""In the order in which they go. The days are those of template.yaml and of AWS's own limits."""
LATE = Remains("what a worker still writes", 7, "Lambda cannot be stopped; the bucket's lifecycle removes it")
"""Only where something was active."""


def _owner(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Whose | None:
    if given is None:
        return None
    if not (found := re.fullmatch(f"({_TENANT})#({_USER})", given)):
        raise click.BadParameter(f"{given!r} is no owner: <tenant>#<sub of the user>, as `show` writes it.")
    return Whose(found[1], found[2])


def _tenant(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Whose | None:
    if given is not None and not re.fullmatch(_TENANT, given):
        raise click.BadParameter(f"{given!r} is no tenant: 1 to 64 of A-Z a-z 0-9 _ -.")
    return Whose(given) if given else None


@click.command("erase")
@click.option("--owner", metavar="TENANT#SUB", callback=_owner, help="One user of one tenant.")
@click.option("--tenant", callback=_tenant, help="Every user of a tenant; reads the whole table.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object, for scripts.")
@stack_option
def command(stack: str, *, owner: Whose | None, tenant: Whose | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erases all exports of an owner or a tenant: cancels what is active, removes files, work, letters and records.

    Says what went, and what remains until when. Safe while exports run and ReconcileExports works; when it is broken
    off, or a file cannot be removed, the same command goes on. Records are kept by owner: a tenant's are found by a
    Scan of the whole table, which costs accordingly. Take the user's access first, or new exports may come meanwhile.
    """
    whose = owner or tenant
    if whose is None or (owner and tenant):
        raise click.UsageError("Say --owner or --tenant, one of the two.")
    connect(stack)
    if dry_run or not yes:
        planned = _count(whose)
        click.echo(f"{whose} has {_words(planned)}.", err=as_json)
        if dry_run:
            _tell(whose, planned, done=False, as_json=as_json)
            return
        click.confirm(f"Erase {whose} for good?", abort=True, err=True)
    _tell(whose, _erase(whose), done=True, as_json=as_json)
    if left := belongings.items(whose):
        raise Trouble(f"{len(left)} items have come meanwhile. Take the user's access, then erase again.")


def _count(whose: Whose) -> Counter[str]:
    """What there is."""
    found, counted = belongings.items(whose), Counter[str]()
    for item in found:
        if not item.is_export:
            counted["keys"] += 1
            continue
        record = records.get(*item)
        counted["exports"] += 1
        counted["active"] += record is not None and record["status"] in ACTIVE
        counted["work files"] += sum(1 for _ in work.keys(work.folder(item.export_id)))
    counted["files"] = sum(1 for _ in work.keys(whose.prefix))
    counted["uploads"] = sum(1 for _ in belongings.uploads(whose.prefix))
    with dead_letter_queue.held() as held:
        counted["letters"] = sum(whose.owns(letter.owner) for letter in held)
    return counted


def _erase(whose: Whose) -> Counter[str]:
    """Removes it; what went.

    All that is active is cancelled first, so that no worker begins anything more. Of each export the record goes last:
    it is what leads to the rest, so a run that is broken off can be repeated.
    """
    gone, found = Counter[str](), belongings.items(whose)
    exports = [item for item in found if item.is_export]
    cancelled = [item for item in exports if _cancel(item)]
    gone["active"] = len(cancelled)
    for item in exports:
        _remove(item, gone)
    for item in found:
        if not item.is_export:
            belongings.forget(item)
            gone["keys"] += 1
    # What has lost its record, and what workers have written since theirs was removed.
    for item in cancelled:
        _empty(work.folder(item.export_id), "work files", gone)
    _empty(whose.prefix, "files", gone)
    with dead_letter_queue.held() as held:
        for letter in [letter for letter in held if whose.owns(letter.owner)]:
            dead_letter_queue.remove(letter)
            gone["letters"] += 1
    return gone


def _cancel(item: Item) -> bool:
    """Cancels an export that is active, as DeleteExport does; whether it was."""
    record = records.get(*item)
    if record is None or record["status"] not in ACTIVE:
        return False
    if cancelled := records.cancel(record, clock.stamp(clock.now())):
        attempts.stop(cancelled)
    return True


def _remove(item: Item, gone: Counter[str]) -> None:
    """Removes an export's work and files, then its record; by what it is then, when somebody changes it meanwhile."""
    for _ in range(_ROUNDS):
        _cancel(item)
        record = records.get(*item)
        if record is None:  # its owner was first
            _empty(work.folder(item.export_id), "work files", gone)
            return
        if record["status"] == "CANCELLED":  # the execution may run on, when it could not be stopped
            attempts.stop(record)
        _empty(work.folder(item.export_id), "work files", gone)
        _empty(result.folder(record), "files", gone)
        if records.remove(record):
            gone["exports"] += 1
            return
    raise Trouble(f"{item.export_id} of {item.owner} keeps changing. Take the user's access, then erase again.")


def _empty(prefix: str, what: str, gone: Counter[str]) -> None:
    objects, uploads = belongings.empty(prefix)
    gone[what] += objects
    gone["uploads"] += uploads


def _words(counted: Counter[str]) -> str:
    names = {
        "exports": f"exports ({counted['active']} active)",
        "keys": "idempotency keys",
        "files": "files",
        "work files": "work files",
        "uploads": "unfinished uploads",
        "letters": "dead letters",
    }
    return ", ".join(f"{counted[name]:,} {words}" for name, words in names.items())


def _tell(whose: Whose, counted: Counter[str], *, done: bool, as_json: bool) -> None:
    remains = sorted([*REMAINS, *([LATE] if counted["active"] else [])], key=lambda each: each.days or 1000)
    today = clock.now().date()
    until = [str(today + datetime.timedelta(days=each.days)) if each.days else None for each in remains]
    if as_json:
        said = {
            "of": str(whose),
            "done": done,
            "gone" if done else "would_go": {name.replace(" ", "_"): counted[name] for name in _COUNTED},
            "remains": [
                {"what": each.what, "until": day, "why": each.why} for each, day in zip(remains, until, strict=True)
            ],
        }
        click.echo(json.dumps(said, indent=2))
        return
    if done:
        click.echo(f"Gone of {whose}: {_words(counted)}.")
    click.echo("What remains:" if done else "What would remain:")
    for each, day in zip(remains, until, strict=True):
        click.echo(f"  {each.what:<35}{'until ' + day if day else 'until you remove it':<21}{each.why}")
