"""Where something can break: the states and functions, each with how an export comes to it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.stateful.stage import Happening, Stage, cancel_only
from tests.stateful.world import World

BEFORE = "Runtime.ExitError"
"""What the export has failed with before it comes to a place that only failures come to."""


def _asked(stage: Stage) -> None:
    assert stage.request() == 202


@dataclass(frozen=True)
class Place:
    """A column of the tables in docs/operations.md."""

    name: str
    kind: str
    """write, letter, worker, map, pipe: of the machine; api; reconcile."""
    prepare: Happening = _asked
    go: Happening = lambda _: None
    failed: bool = False
    """Whether the export has failed with BEFORE when it comes here."""
    part: int | None = None
    only_reads: bool = False

    @property
    def function(self) -> str:
        """The function that runs here, "" for none."""
        return self.name.split(",")[0] if self.kind in ("worker", "api", "reconcile") else ""


def _failing(state: str, part: int | None = None, run: bool = False, error: str = BEFORE) -> Happening:
    def prepare(stage: Stage) -> None:
        _asked(stage)
        stage.fail(state, error, 1, part)
        if run:
            stage.run_on()

    return prepare


# The API's functions


def _request(stage: Stage) -> None:
    stage.answers.append(stage.request())


def _retry(stage: Stage) -> None:
    stage.answers.append(stage.ask("POST", "/exports/{id}/retry"))


def _delete(stage: Stage) -> None:
    stage.answers.append(stage.ask("DELETE", "/exports/{id}"))


def _delete_while_it_runs(stage: Stage) -> None:
    stage.let_happen("before", "PlanParts", None, _delete)


def _show_and_list(stage: Stage) -> None:
    stage.answers.append(stage.ask("GET", "/exports/{id}"))
    stage.answers.append(stage.ask("GET", "/exports"))


def _run_to_the_end(stage: Stage) -> None:
    _asked(stage)
    stage.run_on()


# ReconcileExports, and what it finds


def _hear(stage: Stage) -> None:
    stage.reconcile(stage.ends[0])


def _hear_of_the_schedule(stage: Stage) -> None:
    stage.reconcile(minutes=3)


def _failure_behind(stage: Stage) -> None:
    stage.fail("RecordFailed", "DynamoDB.ValidationException", 1)
    _failing("PlanParts", run=True)(stage)


def _lost_start(stage: Stage) -> None:
    """RequestExport is gone before it has started the execution."""
    requesting = stage.call("POST", "/exports", 0, report="numbers", format="csv", options={})
    while wanted := requesting.process.wants:
        World.step(stage, requesting, "killed before" if wanted.operation == "StartExecution" else None)


def _cancelled_with_a_file(stage: Stage) -> None:
    _asked(stage)
    stage.let_happen("after", "AssembleFile", None, cancel_only)
    stage.run_on()


PLACES = {
    place.name: place
    for place in (
        Place("RecordRunning", "write"),
        Place("RecordPartFailure", "write", _failing("GeneratePart", 1), failed=True),
        Place("RecordSucceeded", "write"),
        Place("RecordFailed", "write", _failing("PlanParts"), failed=True),
        Place("RecordLetterSent", "write", _failing("PlanParts"), failed=True),
        Place("PlanParts", "worker"),
        Place("GeneratePart", "worker", part=1),
        Place("AssembleFile", "worker"),
        Place("FanOutParts", "map"),
        Place("SendToDeadLetters", "letter", _failing("PlanParts"), failed=True),
        Place("AnnouncePipe", "pipe"),
        Place("RequestExport", "api", lambda _: None, _request),
        Place("RetryExport", "api", _failing("PlanParts", run=True), _retry, failed=True),
        Place("DeleteExport, active export", "api", go=_delete_while_it_runs),
        Place("DeleteExport, ended export", "api", _run_to_the_end, _delete),
        Place("ReadExports", "api", _failing("AssembleFile", run=True), _show_and_list, only_reads=True),
        Place(
            "ReconcileExports, success",
            "reconcile",
            _failing("RecordSucceeded", run=True, error="DynamoDB.ValidationException"),
            _hear,
        ),
        Place("ReconcileExports, failure", "reconcile", _failure_behind, _hear, failed=True),
        Place("ReconcileExports, lost start", "reconcile", _lost_start, _hear_of_the_schedule),
        Place("ReconcileExports, cancelled", "reconcile", _cancelled_with_a_file, _hear),
    )
}
