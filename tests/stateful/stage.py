"""One fault in a world of its own: what happened, in the words of docs/operations.md, with every law held."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.records import attempts
from tests.stateful.memory import Refused
from tests.stateful.world import CALLERS, Invocation, Walk, World

if TYPE_CHECKING:
    from tests.stateful.process import Process
    from tests.support.stepper import Ask, FanOut

OWNER = "#".join(CALLERS[0])
NUMBERS: dict[str, Any] = {"report": "numbers", "format": "csv", "options": {}}
FOR_GOOD = 100
"""Times that are more than any Retry allows."""

AtCall = Callable[[Invocation], "str | Refused | None"]
Happening = Callable[["Stage"], object]


class Stage(World):
    """A world in which one export comes to a place, and something goes wrong there."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int] = []
        """Statuses of what the API answered to the request that the place is about."""
        self.events = "once"
        """How ReconcileExports hears of the end of an execution: once, twice, late (after a retry), or lost."""
        self.upload_may_stay = False
        """Whether nobody could abort an upload that was begun: it lies there until the bucket's rule removes it."""
        self.at_call: AtCall = lambda _: None
        """What goes wrong with the next call of an invocation."""
        self.to_come: set[tuple[Any, ...]] = set()
        """What is to go wrong or to happen at a state, and has not yet."""
        self._faults: dict[tuple[str, int | None], list[tuple[str, bool]]] = defaultdict(list)
        self._hooks: dict[tuple[str, str, int | None], list[Happening]] = defaultdict(list)

    # What is to go wrong

    def fail(self, state: str, error: str, times: int = FOR_GOOD, part: int | None = None, done: bool = False) -> None:
        """What a state asks for fails so the next times, though with ``done`` it was done."""
        self._faults[state, part] += [(error, done)] * times
        self.to_come.add((state, part))

    def let_happen(self, when: str, state: str, part: int | None, happening: Happening) -> None:
        """Something happens ``before`` the service does what a state asks of it, or ``after`` it did."""
        self._hooks[when, state, part].append(happening)
        self.to_come.add((when, state, part))

    def _happen(self, when: str, state: str, given: Any = None) -> None:
        place = (when, *place_of(state, given))
        if self._hooks[place]:
            self.to_come.discard(place)
            self._hooks[place].pop(0)(self)

    def step(self, invocation: Invocation, fault: str | Refused | None = None) -> None:
        fault = fault or self.at_call(invocation)
        invocation.process.excused |= isinstance(fault, str | Refused)
        super().step(invocation, fault)

    def advance(self, walk: Walk, fault: tuple[str, bool] | None = None) -> None:
        assert walk.run.waits_for
        place = place_of(walk.run.waits_for.state, walk.run.given)
        planned = self._faults[place]
        if not planned or (planned[0][0] == "States.ResultWriterFailed" and not walk.children):
            super().advance(walk, fault)
        else:
            self.to_come.discard(place)
            super().advance(walk, planned.pop(0))

    def _ask(self, ask: Ask) -> Any:
        self._happen("before", ask.state)
        answer = super()._ask(ask)
        self._happen("after", ask.state)
        return answer

    def _work(self, ask: Ask, done: Callable[[Process], None]) -> Invocation:
        self._happen("before", ask.state, ask.arguments["Payload"])
        return super()._work(ask, done)

    def _worked(self, walk: Walk, ended: Process) -> None:
        if walk.run.waits_for and ended.error is None:
            self._happen("after", walk.run.waits_for.state, walk.run.given)
        super()._worked(walk, ended)

    def _fan_out(self, walk: Walk, fan: FanOut, error: str) -> None:
        self._happen("after" if walk.children else "before", fan.state)
        if walk.run.status == "RUNNING":
            super()._fan_out(walk, fan, error)

    # What is done

    @property
    def export(self) -> dict[str, Any]:
        """The owner's only export; empty when there is none."""
        found = self.laws.records()
        assert len(found) <= 1, "a repeated request made a second export"
        return found[0] if found else {}

    def ask(self, method: str, resource: str, **more: Any) -> int:
        """The status that the export's owner is answered; 502, as API Gateway says, when the function dies."""
        export_id = f"01a20000-{max(self._ids, 1):04x}-7000-8000-000000000000" if "{id}" in resource else ""
        asked = self.call(method, resource, 0, export_id, **more)
        self.finish(asked)
        return 502 if asked.process.error else int(asked.process.result["statusCode"])

    def request(self) -> int:
        """Asks for the export, always with the same Idempotency-Key."""
        return self.ask("POST", "/exports", headers={"Idempotency-Key": "one"}, **NUMBERS)

    def reconcile(self, end: dict[str, Any] | None = None, minutes: float = 0) -> None:
        """ReconcileExports hears of an end, or of the schedule so much later; Lambda tries a failure twice more."""
        self.time += datetime.timedelta(minutes=minutes)
        for _ in range(3):
            invocation = self.tell_the_end(end) if end else self.schedule()
            self.finish(invocation)
            if invocation.process.error is None:
                break
        self.time -= datetime.timedelta(minutes=minutes)

    # What happened

    def outcome(self, reconciles: bool) -> str:
        """Time passes; what became of the export: ``retried, FAILED RowsMissing, extra dead letter``."""
        before = self._what_reconciling_changes()
        if self.events in ("once", "twice"):
            self._tell_of_ends(1 if self.events == "once" else 2)
        self.come_to_rest()
        if self.events == "late":
            if self.export.get("status") in ("FAILED", "CANCELLED"):
                assert self.ask("POST", "/exports/{id}/retry") == 202
            self._tell_of_ends(1)
            self.come_to_rest()
        words = ["retried"] * bool(self.retries)
        words += ["reconciled"] * (not reconciles and self._what_reconciling_changes() != before)
        words.append(self._how_it_ended())
        letters, failed = len(self.memory.letters), sum(each.endswith("/FAILED") for each in self.laws.announced)
        words += ["extra dead letter"] * (letters > failed) + ["no dead letter"] * (letters < failed)
        self.laws.no_file_is_left()
        assert self.upload_may_stay or not self.memory.uploads
        return ", ".join(words)

    def _tell_of_ends(self, times: int) -> None:
        for end in self.ends * times:
            self.reconcile(end)
            self.run_on()

    def _what_reconciling_changes(self) -> tuple[Any, ...]:
        return *(self.export.get(name) for name in ("status", "failure", "letter")), len(self.memory.letters)

    def _how_it_ended(self) -> str:
        record = self.export
        if not record:
            return "no export"
        end = f"attempt {record['attempt']} " * (record["attempt"] > 1) + record["status"]
        if record["status"] == "FAILED":
            failure = record["failure"]
            assert json.loads(failure["error"])["Error"] == failure["type"]
            return f"{end} {failure['type']}"
        return end + ", file deleted" * (
            record["status"] == "SUCCEEDED" and record["file_key"] not in self.memory.objects
        )


def place_of(state: str, given: Any) -> tuple[str, int | None]:
    """A state or function, for GeneratePart with the number of the part that its input or event is about."""
    return state, given["part"]["part"] if state == "GeneratePart" else None


# What may happen meanwhile


def start_again(stage: Stage) -> None:
    """Asks once more for the start of the attempt: its name is taken."""
    if record := stage.export:
        stage.finish(stage.begin("RequestExport", lambda: attempts.start(record) or {}))  # type: ignore[arg-type, func-returns-value]


def start_twin(stage: Stage) -> None:
    """Starts a second execution of the attempt, under another name, and waits for its end."""
    if record := stage.export:
        stage.laws.twins = True
        name = f"twin-{record['export_id']}-{record['attempt']}"
        if name not in stage.executions:
            given = {key: record[key] for key in ("owner", "export_id", "attempt")}
            stage.start_execution("arn:aws:states:::stateMachine:twin", name, json.dumps(given))
            stage.go_on(stage.executions[name])


def cancel(stage: Stage) -> None:
    """DeleteExport, as the owner calls it: it records, and stops the execution."""
    if stage.export:
        stage.ask("DELETE", "/exports/{id}")


def cancel_only(stage: Stage) -> None:
    """DeleteExport of what is active, where Step Functions cannot be reached: the execution runs on."""
    if stage.export:
        deleting = stage.call("DELETE", "/exports/{id}", 0, stage.export["export_id"], query={"if": "active"})
        while wanted := deleting.process.wants:
            World.step(stage, deleting, "broken" if wanted.operation == "StopExecution" else None)


def retry(stage: Stage) -> None:
    """RetryExport, as the owner calls it; an export that has not failed is cancelled before."""
    if record := stage.export:
        if record["status"] != "FAILED":
            cancel_only(stage)
        stage.ask("POST", "/exports/{id}/retry")
