"""Where something can break: the states and functions, each with how an export comes to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.outcome import Case, remove_world

if TYPE_CHECKING:
    from tests.workflow.world import World


def _run(case: Case) -> None:
    case.world.run()


def _nothing(_: World) -> None:
    pass


@dataclass(frozen=True)
class Place:
    """A column of the tables in docs/operations.md."""

    name: str
    kind: str
    """write, letter, worker, map, pipe: of the machine; api; reconcile."""
    prepare: Callable[[World], object] = _nothing
    go: Callable[[Case], object] = field(default=_run)
    failure: str = ""
    """What the export has failed with before it comes here: said of it only where it is another in the end."""
    part: int | None = None
    only_reads: bool = False
    removes: bool = False

    @property
    def function(self) -> str:
        """The function that runs here, "" for none."""
        return self.name.split(",")[0] if self.kind in ("worker", "api", "reconcile") else ""


BEFORE = "Runtime.ExitError"


def _fails(world: World) -> None:
    world.cloud.crash("PlanParts", BEFORE, times=1)


def _part_fails(world: World) -> None:
    world.cloud.crash("GeneratePart", BEFORE, times=1, part=1)


# The API's functions

_BODY = json.dumps(
    {"report": "flights", "format": "csv", "parameters": {"from": "2013-01-01", "to": "2013-02-28"}, "options": {}}
)


def request(case: Case) -> None:
    """Asks for the export, always with the same Idempotency-Key."""
    case.answers.append(case.world.ask("RequestExport", body=_BODY)["statusCode"])


def _retry(case: Case) -> None:
    case.answers.append(case.world.ask("RetryExport")["statusCode"])


def _delete(case: Case) -> None:
    case.answers.append(case.world.ask("DeleteExport")["statusCode"])


def _delete_while_it_runs(case: Case) -> None:
    case.world.cloud.before("PlanParts", lambda _: _delete(case))
    case.world.run()


def _show_and_list(case: Case) -> None:
    case.answers.append(case.world.ask("ReadExports")["statusCode"])
    case.answers.append(case.world.ask("ReadExports", "list")["statusCode"])


def _run_to_failure(world: World) -> None:
    _fails(world)
    world.run()


def _run_to_incomplete(world: World) -> None:
    """FAILED with parts that are made, whose receipts ReadExports counts."""
    world.cloud.crash("AssembleFile", BEFORE, times=1)
    world.run()


# ReconcileExports, and what it finds


def _hear(case: Case) -> None:
    (execution,) = case.executions()
    case.reconcile(execution)


def _hear_of_the_schedule(case: Case) -> None:
    case.reconcile(minutes=3)


def _success_behind(world: World) -> None:
    world.cloud.refuse("RecordSucceeded", "ValidationException", times=1)
    world.run()


def _failure_behind(world: World) -> None:
    world.cloud.refuse("RecordFailed", "ValidationException", times=1)
    _run_to_failure(world)


def _cancelled_with_a_file(world: World) -> None:
    world.cloud.after("AssembleFile", world.cancel)
    world.run()


PLACES = {
    place.name: place
    for place in (
        Place("RecordRunning", "write"),
        Place("RecordPartFailure", "write", _part_fails, failure=BEFORE),
        Place("RecordSucceeded", "write"),
        Place("RecordFailed", "write", _fails, failure=BEFORE),
        Place("RecordLetterSent", "write", _fails, failure=BEFORE),
        Place("PlanParts", "worker"),
        Place("GeneratePart", "worker", part=1),
        Place("AssembleFile", "worker"),
        Place("FanOutParts", "map"),
        Place("SendToDeadLetters", "letter", _fails, failure=BEFORE),
        Place("AnnouncePipe", "pipe"),
        Place("RequestExport", "api", remove_world, request),
        Place("RetryExport", "api", _run_to_failure, _retry, failure=BEFORE),
        Place("DeleteExport, active export", "api", go=_delete_while_it_runs),
        Place("DeleteExport, ended export", "api", lambda world: world.run(), _delete, removes=True),
        Place("ReadExports", "api", _run_to_incomplete, _show_and_list, only_reads=True),
        Place("ReconcileExports, success", "reconcile", _success_behind, _hear),
        Place("ReconcileExports, failure", "reconcile", _failure_behind, _hear, failure=BEFORE),
        Place("ReconcileExports, lost start", "reconcile", go=_hear_of_the_schedule),
        Place("ReconcileExports, cancelled", "reconcile", _cancelled_with_a_file, _hear),
    )
}
