"""The whole life of exports, in any order of states, calls of AWS, requests, faults and time.

Each example is a story of up to fifty things that happen, some of which are many calls. At the end of each the faults
stop, time passes, and every export must have ended as what is true of it. HYPOTHESIS_PROFILE=explore tells many more
stories; what is found becomes a test of its own in test_found.py.
"""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.stateful.world import CALL_FAULTS, CALLERS, STATE_FAULTS, Execution, Invocation, World

picks = st.sampled_from([0, 0, 0, 1, 2, 3])
callers = st.integers(0, len(CALLERS) - 1)
strangers = st.sampled_from([False, False, False, False, True])
keys = st.sampled_from([None, "one"])
# Where a function stops, because that is where it matters who is first: before the first call that changes something,
# the second, at the end.
TO_THE_END = 1000
stops = st.sampled_from([0, 0, 1, 2, TO_THE_END, TO_THE_END])
DECISIVE = {
    "UpdateItem",
    "DeleteItem",
    "TransactWriteItems",
    "StartExecution",
    "StopExecution",
    "SendMessage",
    "PutObject",
    "DeleteObject",
    "DeleteObjects",
    "CompleteMultipartUpload",
}
# Up to where an execution goes on. In AssembleFile its worker stops too: before the file is there, and after.
STATIONS = ["RecordRunning", "PlanParts", "AssembleFile", "before the file", "after the file", "RecordSucceeded"]
STATIONS += ["RecordFailed", "SendToDeadLetters", "RecordLetterSent", "the end", "the end"]
stations = st.sampled_from(STATIONS)


class Life(RuleBasedStateMachine):
    """What may happen to exports."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(tell=note)

    def _pick(self, things: list[Any], pick: int) -> Any:
        """One of the things; the small numbers are the last ones."""
        return things[-1 - pick % len(things)]

    def _some(self, invocation: Invocation, stop: int) -> None:
        """Makes the calls of an invocation, up to the one that changes something after so many that do."""
        while not invocation.process.ended:
            if self._decides(invocation):
                if stop == 0:
                    return
                stop -= 1
            self.world.step(invocation)

    def _decides(self, invocation: Invocation) -> bool:
        wanted = invocation.process.wants
        again = invocation.function == "AssembleFile" and invocation.made > 3  # whether the attempt still runs
        return wanted is not None and (wanted.operation in DECISIVE or (again and wanted.operation == "GetItem"))

    @property
    def exports(self) -> list[str]:
        return [f"01a20000-{number:04x}-7000-8000-000000000000" for number in range(1, self.world._ids + 1)]

    # Requests

    @initialize(broken=st.booleans(), key=keys, station=stations)
    def begin(self, broken: bool, key: str | None, station: str) -> None:
        """There is an export, which has come so far."""
        self.world.dataset.broken = broken
        self._request(0, key, True, TO_THE_END)
        self._go_on(next(iter(self.world.executions.values())), station)

    @precondition(lambda self: len(self.world.laws.records()) < 2)
    @rule(caller=callers, key=keys, stop=stops)
    def request(self, caller: int, key: str | None, stop: int) -> None:
        self._request(caller, key, True, stop)

    @rule(safe=st.sampled_from([True, True, False]), stop=stops)
    def request_again(self, safe: bool, stop: int) -> None:
        """With the same Idempotency-Key, and mostly with the same body."""
        self._request(0, "one", safe, stop)

    def _request(self, caller: int, key: str | None, safe: bool, stop: int) -> None:
        headers = {"Idempotency-Key": key} if key else {}
        body = {"report": "numbers", "format": "csv", "options": {"spreadsheet_safe": safe}}
        self._some(self.world.call("POST", "/exports", caller, headers=headers, **body), stop)

    @rule(stranger=strangers, export=picks, stop=stops)
    def delete(self, stranger: bool, export: int, stop: int) -> None:
        self._some(self._of_an_export("DELETE", "/exports/{id}", stranger, export), stop)

    @rule(stranger=strangers, export=picks, stop=stops)
    def retry(self, stranger: bool, export: int, stop: int) -> None:
        self._some(self._of_an_export("POST", "/exports/{id}/retry", stranger, export), stop)

    def _of_an_export(self, method: str, resource: str, stranger: bool, export: int) -> Invocation:
        owners = {item["export_id"]: item["owner"] for item in self.world.laws.records()}
        export_id = self._pick(list(owners) or self.exports, export)
        owner = owners.get(export_id, "#".join(CALLERS[0]))
        caller = next(number for number, each in enumerate(CALLERS) if "#".join(each) == owner)
        return self.world.call(method, resource, caller ^ stranger, export_id)

    @rule(caller=callers)
    def read(self, caller: int) -> None:
        self._read(caller)

    def _read(self, caller: int) -> None:
        for export in self.exports:
            self.world.get("/exports/{id}", caller, export)
            self.world.get("/exports/{id}/file", caller, export)
        self.world.get("/exports", caller)

    # Going on

    @precondition(lambda self: self.world.invocations)
    @rule(pick=picks)
    def call(self, pick: int) -> None:
        """An invocation makes one call."""
        self.world.step(self._pick(self.world.invocations, pick))

    @precondition(lambda self: self.world.invocations)
    @rule(pick=picks, stop=stops)
    def work(self, pick: int, stop: int) -> None:
        """An invocation goes on for a while."""
        self._some(self._pick(self.world.invocations, pick), stop or 1)

    @precondition(lambda self: self.world.walks)
    @rule(pick=picks, states=st.integers(1, 3))
    def advance(self, pick: int, states: int) -> None:
        """An execution does its next states, or begins them."""
        walk = self._pick(self.world.walks, pick)
        for _ in range(states):
            if walk.may_step:
                self.world.advance(walk)

    @precondition(lambda self: self.open)
    @rule(pick=picks, station=stations)
    def go_on(self, pick: int, station: str) -> None:
        """An execution and its workers go on, until it is about to do this."""
        self._go_on(self._pick(self.open, pick), station)

    def _go_on(self, execution: Execution, station: str) -> None:
        def stop(state: str, worker: Invocation | None) -> bool:
            if worker and worker.function == "AssembleFile" and station in ("before the file", "after the file"):
                self._assemble(worker, station)
                return True
            return state == station

        self.world.go_on(execution, stop)

    def _assemble(self, invocation: Invocation, station: str) -> None:
        while (wanted := invocation.process.wants) and wanted.operation != "CompleteMultipartUpload":
            self.world.step(invocation)
        if wanted and station == "after the file":
            self.world.step(invocation)

    @property
    def open(self) -> list[Execution]:
        return [each for each in self.world.executions.values() if each.stopped is None]

    # ReconcileExports

    @precondition(lambda self: self.world.ends)
    @rule(pick=picks, stop=stops)
    def tell_the_end(self, pick: int, stop: int) -> None:
        """An event may be told once, twice, late, or never."""
        self._some(self.world.tell_the_end(self._pick(self.world.ends, pick)), stop)

    @rule(stop=stops)
    def schedule(self, stop: int) -> None:
        self._some(self.world.schedule(), stop)

    # Faults

    @precondition(lambda self: self.world.invocations)
    @rule(pick=picks, fault=st.sampled_from(CALL_FAULTS))
    def fail_a_call(self, pick: int, fault: str) -> None:
        self.world.step(self._pick(self.world.invocations, pick), fault)

    @precondition(lambda self: self.world.walks)
    @rule(pick=picks, kind=picks)
    def fail_a_state(self, pick: int, kind: int) -> None:
        walk = self._pick(self.world.walks, pick)
        service = getattr(walk.run.waits_for, "service", "map").split(":")[0]
        self.world.advance(walk, self._pick(STATE_FAULTS[service], kind))

    @precondition(lambda self: self.open)
    @rule(what=st.sampled_from(["worker", "execution", "state"]), pick=picks)
    def hang(self, what: str, pick: int) -> None:
        """Something does not go on by itself, or is waited for no longer."""
        if what == "worker" and self.world.invocations:
            self._pick(self.world.invocations, pick).hung = True
        if what == "execution" and self.open:
            self._pick(self.open, pick).walk.hung = True
        walks = [walk for each in self.open for walk in (each.walk, *each.walk.unfinished)]
        waiting = [walk for walk in walks if walk.invocation]
        if what == "state" and waiting:
            self.world.time_out(self._pick(waiting, pick))

    @precondition(lambda self: self.open)
    @rule(pick=picks, status=st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]))
    def stop(self, pick: int, status: str) -> None:
        """An operator stops an execution, its time is up, or Step Functions gives it up (States.Runtime)."""
        self.world.close_execution(self._pick(self.open, pick), status)

    @precondition(lambda self: self.world.flights)
    @rule(pick=picks)
    def land(self, pick: int) -> None:
        self.world.land(self._pick(self.world.flights, pick))

    @rule(broken=st.booleans())
    def change_the_data(self, broken: bool) -> None:
        self.world.dataset.version += 1
        self.world.dataset.broken = broken

    @rule(seconds=st.sampled_from([1, 5, 61, 130, 301, 920, 3700, 90_000]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # What holds

    @invariant()
    def laws_hold(self) -> None:
        STEPS.append(1)
        self.world.laws.hold()

    def teardown(self) -> None:
        try:
            self.world.come_to_rest()
            for end in self.world.ends:  # EventBridge delivers at least once
                if end not in self.world.told:
                    self.world.finish(self.world.tell_the_end(end))
            self.world.laws.no_file_is_left()
            for caller in range(len(CALLERS)):
                self._read(caller)
                limits = json.loads(self.world.get("/limits", caller)["body"])
                assert limits["active_exports"]["used"] == 0
        finally:
            self.world.close()


STEPS: list[int] = []


def test_whatever_happens_every_export_ends_as_what_is_true_of_it() -> None:
    exploring = settings.default.max_examples if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 0
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=5 * exploring or 60, stateful_step_count=50, suppress_health_check=list(HealthCheck)
        ),
    )
    assert len(STEPS) >= 1500
