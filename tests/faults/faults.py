"""What can break: for each fault and place the moments at which it is let happen, or the reason why it cannot."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from tests.faults.places import Place
from tests.stateful.memory import Refused
from tests.stateful.stage import (
    FOR_GOOD,
    Happening,
    Stage,
    cancel,
    cancel_only,
    place_of,
    retry,
    start_again,
    start_twin,
)
from tests.stateful.world import Invocation
from tests.support.moto_machine import Template

Moments = Iterable[Happening] | str
"""Or the letter of the reason, as docs/operations.md explains it."""
NO_PROCESS, NO_S3, NO_WRITE, MANAGED, NO_CALL, AS_KILLED, NO_EVENT = "abcdefg"

ONCE = {"throttled": "", "broken": "", "silent": "", "lost": "repeated"}
"""What the SDK makes of a fault that is over when it tries again."""
AWS = ("dynamodb", "stepfunctions", "sqs", "s3")
NOT_S3 = AWS[:3]
WRITES = ("UpdateItem", "DeleteItem", "TransactWriteItems")


@dataclass
class AtCall:
    """
    A moment: a function's ``number``-th call of these services or operations, or from there on each.

    ``effect`` is what becomes of it (World.step), or what happens before it is made.
    """

    place: Place
    number: int
    effect: object
    services: tuple[str, ...]
    lasting: bool = False
    fired: bool = False
    _made: Counter[Invocation] = field(default_factory=Counter)

    def __call__(self, stage: Stage) -> None:
        lost = self.effect in ("lost", "repeated", "killed before", "killed after")
        stage.upload_may_stay = self.lasting or lost
        stage.at_call = lambda invocation: self._at(stage, invocation)

    def _at(self, stage: Stage, invocation: Invocation) -> str | Refused | None:
        wanted = invocation.process.wants
        if not wanted or not {wanted.service, wanted.operation} & set(self.services):
            return None
        if place_of(invocation.function, invocation.event) != (self.place.function, self.place.part):
            return None
        self._made[invocation] += 1
        made = self._made[invocation]
        hit = made >= self.number if self.lasting else made == self.number and not self.fired
        if not hit:
            return None
        self.fired = True
        if callable(self.effect):
            invocation.process.excused = True
            self.effect(stage)
            return None
        return self.effect or None  # type: ignore[return-value]


def at_every_call(
    place: Place, *effects: object, services: tuple[str, ...] = AWS, lasting: bool | None = None
) -> Iterator[AtCall]:
    """
    Each effect at the first call, at the second, and so on to the last.

    Args:
        lasting: whether each call from there on fails too; None for first once, then so.
    """
    for continues in (False, True) if lasting is None else (lasting,):
        for effect in effects:
            now = effect if continues or not isinstance(effect, str) else ONCE.get(effect, effect)
            for number in (1,) if now == "" else itertools.count(1):
                moment = AtCall(place, number, now, services, continues)
                yield moment
                if not moment.fired:
                    break


def _calls(place: Place, *effects: object, lasting: bool | None = None) -> Moments:
    services = AWS if lasting is False or "killed before" in effects else NOT_S3
    return at_every_call(place, *effects, services=services, lasting=lasting)


def state_fails(place: Place, error: str, times: int = FOR_GOOD, done: bool = False) -> Happening:
    return lambda stage: stage.fail(place.name, error, times, place.part, done)


def once_lost_for_good(place: Place, error: str) -> list[Happening]:
    return [state_fails(place, error, 1), state_fails(place, error, 1, done=True), state_fails(place, error)]


def before_and_after(place: Place, *happenings: Happening) -> Iterator[Happening]:
    """Each of them before and after a state."""
    for happening, when in itertools.product(happenings, ("before", "after")):
        yield lambda stage, what=happening, when=when: stage.let_happen(when, place.name, place.part, what)  # type: ignore[misc]


@cache
def _variables(function: str) -> set[str]:
    return {*Template().environment(function)}


def _knows(place: Place, variable: str) -> bool:
    """Whether the function knows the name of its table or bucket: without it, it does not call the service."""
    return variable in _variables(place.function)


STATES = ("write", "letter", "worker", "map")
THROTTLED = {"write": "DynamoDB.ThrottlingException", "letter": "SQS.AmazonSQSException"}
THROTTLED |= {"worker": "Lambda.TooManyRequestsException"}
BROKEN = {"write": "DynamoDB.InternalServerError", "letter": "SQS.SdkClientException"}
BROKEN |= {"worker": "Lambda.ServiceException"}
REFUSED = {"write": "DynamoDB.ValidationException", "letter": "SQS.AmazonSQSException"}
PERMANENT = {"PlanParts": "SourceUnreadable", "GeneratePart": "SourceChanged", "AssembleFile": "RowsMissing"}


def throttled(place: Place) -> Moments:
    if place.kind in ("map", "pipe"):
        return MANAGED
    if place.kind not in STATES:
        return _calls(place, "throttled")
    return [state_fails(place, THROTTLED[place.kind], 1), state_fails(place, THROTTLED[place.kind])]


def server_error(place: Place) -> Moments:
    if place.kind in ("map", "pipe"):
        return MANAGED
    if place.kind not in STATES:
        return _calls(place, "broken", "silent", "lost")
    return once_lost_for_good(place, BROKEN[place.kind])


def database_within(place: Place) -> Moments:
    """DynamoDB throttles or fails, or does not answer, while a worker reads the record."""
    if place.kind != "worker" or not _knows(place, "EXPORTS_TABLE"):
        return NO_CALL
    return at_every_call(place, "throttled", "broken", "silent", services=NOT_S3)


def timed_out(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            return once_lost_for_good(place, "States.Timeout")
        case "worker":
            return [
                state_fails(place, "Sandbox.Timedout", 1),
                state_fails(place, "States.Timeout", 1, done=True),
                state_fails(place, "Sandbox.Timedout"),
                state_fails(place, "States.Timeout"),
            ]
        case "map" | "pipe":
            return MANAGED
    return AS_KILLED


def killed(place: Place) -> Moments:
    if not place.function:
        return NO_PROCESS
    at_calls = _calls(place, "killed before", "killed after", lasting=place.kind != "worker")
    return itertools.chain([state_fails(place, "Runtime.ExitError")], at_calls) if place.kind == "worker" else at_calls


def out_of_memory(place: Place) -> Moments:
    if not place.function:
        return NO_PROCESS
    ends = ("Runtime.ExitError", "MemoryError")
    return [state_fails(place, error) for error in ends] if place.kind == "worker" else AS_KILLED


def permanent(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            return [state_fails(place, REFUSED[place.kind])]
        case "worker":
            denied = AtCall(place, 1, Refused("AccessDenied", 403), ("s3",), lasting=True)
            return [state_fails(place, PERMANENT[place.name]), denied]
        case "map":
            return [state_fails(place, f"States.{part}Failed") for part in ("ItemReader", "ResultWriter")]
        case "pipe":
            return MANAGED
    return _calls(place, Refused("AccessDeniedException"), lasting=True)


_WITHOUT_S3 = ("DeleteExport, active export", "ReconcileExports, lost start")


def _s3(place: Place, *effects: str) -> Moments:
    if place.kind == "map":
        return MANAGED
    if not place.function or place.name in _WITHOUT_S3 or not _knows(place, "EXPORTS_BUCKET"):
        return NO_S3
    calls = at_every_call(place, *effects, services=("s3",))
    if place.name != "GeneratePart":
        return calls
    # polars reads the sources past the SDK; how it tells is in tests/unit/test_parquet_source.py.
    unavailable = [state_fails(place, "SourceUnavailable", times) for times in (1, FOR_GOOD)]
    return itertools.chain(calls, unavailable)


_WITHOUT_WRITES = ("ReadExports", "ReconcileExports, lost start", "ReconcileExports, cancelled")


def write_refused(place: Place) -> Moments:
    if place.kind == "write":
        return [state_fails(place, "DynamoDB.ConditionalCheckFailedException")]
    if place.kind not in ("api", "reconcile") or place.name in _WITHOUT_WRITES:
        return NO_WRITE
    refused = Refused("ConditionalCheckFailedException")
    if place.name == "RequestExport":
        refused = Refused("TransactionCanceledException", reasons=["ConditionalCheckFailed"])
    return at_every_call(place, refused, services=WRITES, lasting=False)


def _now(place: Place, *happenings: Happening) -> Moments:
    if place.kind == "pipe":
        return NO_CALL
    if place.kind in STATES:
        return before_and_after(place, *happenings)
    return _calls(place, *happenings, lasting=False)


def doubled_start(place: Place) -> Moments:
    def the_same_again(stage: Stage) -> None:
        answers, stage.answers = stage.answers, []
        if place.name == "DeleteExport, active export":
            stage.ask("DELETE", "/exports/{id}")
        else:
            place.go(stage)
        stage.answers = answers

    return _now(place, start_again, start_twin) if place.kind in (*STATES, "pipe") else _now(place, the_same_again)


def event(place: Place) -> Moments:
    def hearing(events: str) -> Happening:
        def moment(stage: Stage) -> None:
            stage.events = events
            match place.kind:
                case "write":
                    stage.fail(place.name, REFUSED["write"], 1)
                case "letter":
                    stage.fail(place.name, REFUSED["letter"], 6)
                case "worker":
                    stage.fail(place.name, PERMANENT[place.name], 1, place.part)
                case "map":
                    stage.fail(place.name, "States.ItemReaderFailed", 1)

        return moment

    return NO_EVENT if place.only_reads else [hearing(way) for way in ("twice", "late", "lost")]


FAULTS: dict[str, Callable[[Place], Moments]] = {
    "service throttled": throttled,
    "service 5xx or no response": server_error,
    "DynamoDB error in a worker": database_within,
    "timeout": timed_out,
    "process killed": killed,
    "out of memory": out_of_memory,
    "permanent error": permanent,
    "S3 SlowDown": lambda place: _s3(place, "throttled"),
    "S3 500 or no response": lambda place: _s3(place, "broken", "silent", "lost"),
    "conditional write refused": write_refused,
    "started twice": doubled_start,
    "end event duplicated, late, lost": event,
    "concurrent cancel": lambda place: _now(place, cancel, cancel_only),
    "concurrent retry": lambda place: _now(place, retry),
    "concurrent reconciliation": lambda place: _now(place, Stage.reconcile, lambda stage: stage.reconcile(minutes=3)),
}
