"""`exports-admin erase`: removes the data of an owner or a tenant, and lists what it cannot remove."""

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
from shared.api.identity import TENANT, USER, encoded
from shared.files import result, work
from shared.lambda_ import clock
from shared.records import attempts
from shared.records import table as records
from shared.records.table import ACTIVE

_TENANT, _USER = TENANT.pattern, r"[A-Za-z0-9=-]{1,384}"
_ROUNDS = 5
_COUNTED = ("exports", "active", "keys", "files", "work files", "uploads", "letters")


class Remains(NamedTuple):
    """Data that `erase` cannot remove, for how many days it stays (None: until you remove it), and why."""

    what: str
    days: int | None
    why: str


REMAINS = (
    Remains("changes of the table", 1, "DynamoDB's stream, which cannot be shortened"),
    Remains("work files of deleted exports", 7, "of exports deleted earlier: parts with rows; no record names them"),
    Remains(
        "messages in the stack's queues",
        14,
        "dead letters held by another consumer; events in the stack's other queues",
    ),
    Remains("log lines", 30, "export ids, owners, errors; no rows"),
    Remains("traces", 30, "X-Ray: timings; no rows"),
    Remains("earlier states of the table", 35, "point-in-time recovery; erase again after you restore"),
    Remains("execution histories", 90, "Step Functions: owners, counts of the plans, errors"),
    Remains("your own copies", None, "backups, replicas, versions, consumers of the event bus"),
    Remains("the user", None, "delete it at the issuer; in a user pool: aws cognito-idp admin-delete-user"),
)
"""In the order in which they expire. The days are those of template.yaml and of the limits of AWS."""
LATE = Remains("files that a worker still writes", 7, "Lambda cannot be stopped; the bucket's lifecycle removes them")
"""Only if an export was active."""


def _owner(_context: click.Context, _parameter: click.Parameter, owner: str | None) -> Whose | None:
    if owner is None:
        return None
    tenant, _, user = owner.partition("#")
    is_encoded = re.fullmatch(_USER, user)  # as `show` prints it
    if not ((is_encoded or USER.fullmatch(user)) and re.fullmatch(_TENANT, tenant)):
        raise click.BadParameter(
            f"{owner!r} is not an owner. Write <tenant>#<user>, as `show` prints it or as the token names the user."
        )
    return Whose(tenant, user if is_encoded else encoded(user))


def _tenant(_context: click.Context, _parameter: click.Parameter, tenant: str | None) -> Whose | None:
    if tenant is not None and not re.fullmatch(_TENANT, tenant):
        raise click.BadParameter(f"{tenant!r} is not a tenant. Use 1 to 64 characters of A-Z a-z 0-9 _ -.")
    return Whose(tenant) if tenant else None


@click.command("erase")
@click.option("--owner", metavar="TENANT#USER", callback=_owner, help="One user of one tenant.")
@click.option("--tenant", callback=_tenant, help="Every user of a tenant. Reads the whole table.")
@click.option("--dry-run", is_flag=True, help="Count what would be removed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object.")
@stack_option
def command(stack: str, *, owner: Whose | None, tenant: Whose | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erases all exports of an owner or a tenant.

    Cancels active exports. Removes files, work files, dead letters and records. Prints what it removed, and what
    remains until when. You can run it while exports run. If it is interrupted or a file cannot be removed, run the same
    command again.

    The table has no index of tenants, so --tenant scans the whole table and uses its read capacity. Disable the user
    first, because new exports can arrive during the command.
    """
    whose = owner or tenant
    if whose is None or (owner and tenant):
        raise click.UsageError("Use either --owner or --tenant.")
    connect(stack)
    if dry_run or not yes:
        planned = _count(whose)
        _require_tenant(whose, planned)
        click.echo(f"{whose} has {_words(planned)}.", err=as_json)
        if dry_run:
            _tell(whose, planned, done=False, as_json=as_json)
            return
        click.confirm(f"Erase {whose} permanently?", abort=True, err=True)
    removed = _erase(whose)
    _require_tenant(whose, removed)
    _tell(whose, removed, done=True, as_json=as_json)
    if left := belongings.items(whose):
        arrived = "1 new item" if len(left) == 1 else f"{len(left)} new items"
        raise Trouble(f"{arrived} arrived during the command. Disable the user, then erase again.")


def _require_tenant(whose: Whose, counted: Counter[str]) -> None:
    """Refuses a tenant of which the stack holds nothing, because its name may be misspelled.

    The Scan that counts or erases is the proof, so only a tenant without data costs more reads: those of
    :func:`.belongings.known_tenants`. The user pool is not read: ListUsers does not search by a custom attribute.

    Raises:
        Trouble: the tenant has no data.
    """
    if whose.user or sum(counted.values()):
        return
    known = belongings.known_tenants()
    similar = sorted(name for name in known.tenants if name.lower() == whose.tenant.lower() and name != whose.tenant)
    message = f"There is no tenant {whose.tenant}: it has no record, no file, no upload and no dead letter."
    if similar:
        message += f" Tenants are case-sensitive. Do you mean {' or '.join(similar)}?"
    elif not known.is_complete:
        message += " Similar names were searched only in the first 10 pages of the table and of the bucket."
    raise Trouble(f"{message} Nothing was erased. The users in the pool were not searched.")


def _count(whose: Whose) -> Counter[str]:
    """Counts the data."""
    items, counted = belongings.items(whose), Counter[str]()
    for item in items:
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
    """Removes the data, and counts what it removed.

    First it cancels all active exports, so that no worker starts. It removes the record of an export last, because the
    record leads to the rest. So an interrupted run can be repeated.
    """
    gone, items = Counter[str](), belongings.items(whose)
    exports = [item for item in items if item.is_export]
    cancelled = [item for item in exports if _cancel(item)]
    gone["active"] = len(cancelled)
    for item in exports:
        _remove(item, gone)
    for item in items:
        if not item.is_export:
            belongings.forget(item)
            gone["keys"] += 1
    # Files without a record, and files that workers wrote after their record was removed.
    for item in cancelled:
        _empty(work.folder(item.export_id), "work files", gone)
    _empty(whose.prefix, "files", gone)
    with dead_letter_queue.held() as held:
        for letter in [letter for letter in held if whose.owns(letter.owner)]:
            dead_letter_queue.remove(letter)
            gone["letters"] += 1
    return gone


def _cancel(item: Item) -> bool:
    """Cancels an active export, as DeleteExport does. Returns whether it was active."""
    record = records.get(*item)
    if record is None or record["status"] not in ACTIVE:
        return False
    if cancelled := records.cancel(record, clock.stamp(clock.now())):
        attempts.stop(cancelled)
    return True


def _remove(item: Item, gone: Counter[str]) -> None:
    """Removes the work files and the files of an export, then its record. Starts again if the record has changed."""
    for _ in range(_ROUNDS):
        _cancel(item)
        record = records.get(*item)
        if record is None:  # the owner has deleted the export
            _empty(work.folder(item.export_id), "work files", gone)
            return
        if record["status"] == "CANCELLED":  # if stopping the execution failed before, it still runs
            attempts.stop(record)
        _empty(work.folder(item.export_id), "work files", gone)
        _empty(result.folder(record), "files", gone)
        if records.remove(record):
            gone["exports"] += 1
            return
    raise Trouble(f"{item.export_id} of {item.owner} keeps changing. Disable the user, then erase again.")


def _empty(prefix: str, what: str, gone: Counter[str]) -> None:
    objects, uploads = belongings.empty(prefix)
    gone[what] += objects
    gone["uploads"] += uploads


def _words(counted: Counter[str]) -> str:
    names = {
        "exports": "export",
        "keys": "idempotency key",
        "files": "file",
        "work files": "work file",
        "uploads": "unfinished upload",
        "letters": "dead letter",
    }
    numbers = {name: f"{counted[name]:,} {noun}{'' if counted[name] == 1 else 's'}" for name, noun in names.items()}
    numbers["exports"] += f" ({counted['active']} active)"
    return ", ".join(numbers.values())


def _tell(whose: Whose, counted: Counter[str], *, done: bool, as_json: bool) -> None:
    remains = sorted([*REMAINS, *([LATE] if counted["active"] else [])], key=lambda each: each.days or 1000)
    today = clock.now().date()
    until = [str(today + datetime.timedelta(days=each.days)) if each.days else None for each in remains]
    if as_json:
        report = {
            "of": str(whose),
            "done": done,
            "gone" if done else "would_go": {name.replace(" ", "_"): counted[name] for name in _COUNTED},
            "remains": [
                {"what": each.what, "until": day, "why": each.why} for each, day in zip(remains, until, strict=True)
            ],
        }
        click.echo(json.dumps(report, indent=2))
        return
    if done:
        click.echo(f"Removed of {whose}: {_words(counted)}.")
    click.echo("Remaining data:" if done else "Data that would remain:")
    for each, day in zip(remains, until, strict=True):
        click.echo(f"  {each.what:<35}{'until ' + day if day else 'until you remove it':<21}{each.why}")
