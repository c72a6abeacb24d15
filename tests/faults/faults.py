"""What can break: for each fault and place the moments at which it is let happen, or the reason why it cannot."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ConnectionClosedError

from tests.faults.outcome import Case, cancel, cancel_only, retry, start_again, start_twin
from tests.support.moto_machine import FOR_GOOD, RuntimeFault

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

    from tests.faults.places import Place
    from tests.support.moto_machine import Call

Moment = Callable[[Case], object]
Moments = Iterable[Moment] | str
"""Or the letter of the reason, as docs/operations.md explains it."""

NO_PROCESS, NO_S3, NO_WRITE, MANAGED, NO_CALL, AS_KILLED, NO_EVENT = "abcdefg"


# A fault within a function: at one of the calls of AWS that it makes


@dataclass
class AtCall:
    """A moment: ``effect`` at a function's ``number``-th call of these services or operations, or from there on."""

    place: Place
    number: int
    effect: Callable[[Case, Call], AWSResponse | None]
    services: tuple[str, ...]
    lasting: bool = False
    fired: bool = False
    _counted: list[int] = field(default_factory=list)
    _invocation: object = None
    _dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, case: Case) -> None:
        case.upload_may_stay = self.lasting or self.effect in (answer_lost, killed_before, killed_after)

        def disturb(call: Call) -> AWSResponse | None:
            if self._hits(call):
                try:
                    return self.effect(case, call)
                except RuntimeFault:
                    self._dead = True
                    raise
            return None

        case.world.cloud.disturb(self.place.function, disturb, self.place.part)

    def _hits(self, call: Call) -> bool:
        with self._lock:
            if call.invocation is not self._invocation:
                self._invocation, self._counted, self._dead = call.invocation, [], False
            if self._dead:  # what else the process had in hand
                raise RuntimeFault("Runtime.ExitError")
            if not {call.service, call.operation} & set(self.services):
                return False
            if call.number not in self._counted:
                self._counted.append(call.number)
            place = self._counted.index(call.number) + 1
            hit = place >= self.number if self.lasting else place == self.number and not self.fired
            self.fired = self.fired or hit
            return hit


Effect = Callable[[Case, "Call"], "AWSResponse | None"]
AWS = ("dynamodb", "sfn", "sqs", "s3")
NOT_S3 = ("dynamodb", "sfn", "sqs")
WRITES = ("UpdateItem", "DeleteItem", "TransactWriteItems")
"""Of the table, by what each is called."""


def at_every_call(
    place: Place, *effects: Effect, services: tuple[str, ...] = AWS, lasting: bool | None = None
) -> Iterator[Moment]:
    """
    Each effect at the first call, at the second, and so on to the last.

    Args:
        lasting: whether each call from there on fails too; None for first once, then so. A worker's further
            effects then last from the first call on only.
    """
    for continues in (False, True) if lasting is None else (lasting,):
        for effect in effects:
            only_from_the_first = continues and effect is not effects[0] and place.kind == "worker"
            for number in (1,) if only_from_the_first else itertools.count(1):
                moment = AtCall(place, number, effect, services, continues)
                yield moment
                if not moment.fired:
                    break


def refused(status: int, code: str) -> Effect:
    return lambda _, call: call.refuse(status, code)


def no_answer(_: Case, call: Call) -> None:
    raise ConnectionClosedError(endpoint_url=f"https://{call.service}.test")


def answer_lost(_: Case, call: Call) -> None:
    call.send()
    raise ConnectionClosedError(endpoint_url=f"https://{call.service}.test")


def killed_before(*_: object) -> None:
    raise RuntimeFault("Runtime.ExitError")


def killed_after(_: Case, call: Call) -> None:
    call.send()
    killed_before()


def meanwhile(happening: Moment) -> Effect:
    """Something happens between two calls; those that a function makes in threads of its own are left out."""

    def effect(case: Case, _: Call) -> None:
        if not threading.current_thread().name.startswith("ThreadPoolExecutor"):
            happening(case)

    return effect


# A fault of what a state calls


def refuse(place: Place, error: str, times: int = FOR_GOOD) -> Moment:
    return lambda case: case.world.cloud.refuse(place.name, error, times)


def lose_answer(place: Place, error: str) -> Moment:
    return lambda case: case.world.cloud.lose_answer(place.name, error)


def crash(place: Place, error: str, times: int = FOR_GOOD) -> Moment:
    return lambda case: case.world.cloud.crash(place.name, error, times, place.part)


def before_and_after(place: Place, *happenings: Moment) -> Iterator[Moment]:
    """Each of them before and after a state."""
    for happening in happenings:
        yield lambda case, what=happening: case.world.cloud.before(place.name, lambda _: what(case), place.part)  # type: ignore[misc]
        yield lambda case, what=happening: case.world.cloud.after(place.name, lambda _: what(case), place.part)  # type: ignore[misc]


def hearing(events: str, moment: Moment) -> Moment:
    """The same, but the event of the execution's end is doubled, late or lost."""

    def both(case: Case) -> None:
        case.events = events
        moment(case)

    return both


# The faults


def throttled(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            return [refuse(place, "ThrottlingException", 1), refuse(place, "ThrottlingException")]
        case "worker":
            return [refuse(place, "TooManyRequestsException", 1), refuse(place, "TooManyRequestsException")]
        case "map" | "pipe":
            return MANAGED
    return _calls(place, refused(400, "ThrottlingException"))


def server_error(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            error = "InternalServerError"
        case "worker":
            error = "ServiceException"
        case "map" | "pipe":
            return MANAGED
        case _:
            return _calls(place, refused(500, "InternalServerError"), no_answer, answer_lost)
    return [refuse(place, error, 1), lose_answer(place, error), refuse(place, error)]


def database_within(place: Place) -> Moments:
    """DynamoDB throttles or fails, or does not answer, while a worker reads the record."""
    if place.kind != "worker" or place.name == "GeneratePart":
        return NO_CALL
    faults = refused(400, "ThrottlingException"), refused(500, "InternalServerError"), no_answer
    return at_every_call(place, *faults, services=NOT_S3)


def timed_out(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            error = "States.Timeout"
            return [refuse(place, error, 1), lose_answer(place, error), refuse(place, error)]
        case "worker":
            return [
                crash(place, "Sandbox.Timedout", 1),
                lose_answer(place, "States.Timeout"),
                crash(place, "Sandbox.Timedout"),
                refuse(place, "States.Timeout"),
            ]
        case "map" | "pipe":
            return MANAGED
    return AS_KILLED


def killed(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter" | "map" | "pipe":
            return NO_PROCESS
        case "worker":
            return at_every_call(place, killed_before, killed_after, lasting=False)
    return _calls(place, killed_before, killed_after, lasting=True)


def out_of_memory(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter" | "map" | "pipe":
            return NO_PROCESS
        case "worker":
            return [crash(place, "Runtime.ExitError"), crash(place, "MemoryError")]
    return AS_KILLED


PERMANENT = {"PlanParts": "SourceUnreadable", "GeneratePart": "SourceChanged", "AssembleFile": "RowsMissing"}


def permanent(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter":
            return [refuse(place, "ValidationException")]
        case "worker":
            denied = AtCall(place, 1, refused(403, "AccessDenied"), ("s3",), lasting=True)
            return [crash(place, PERMANENT[place.name]), denied]
        case "map":
            ends = {"ItemReader": "States.ItemReaderFailed", "ResultWriter": "States.ResultWriterFailed"}
            return [_map(part, error) for part, error in ends.items()]
        case "pipe":
            return MANAGED
    return _calls(place, refused(400, "AccessDeniedException"), lasting=True)


def _map(part: str, error: str, times: int = FOR_GOOD) -> Moment:
    return lambda case: case.world.cloud.refuse(part, error, times)


def s3_slow_down(place: Place) -> Moments:
    return _s3(place, refused(503, "SlowDown"))


def s3_error(place: Place) -> Moments:
    return _s3(place, refused(500, "InternalError"), no_answer, answer_lost)


_WITHOUT_S3 = ("RequestExport", "RetryExport", "DeleteExport, active export", "ReconcileExports, lost start")


def _s3(place: Place, *effects: Effect) -> Moments:
    if place.kind == "map":
        return MANAGED
    if place.kind in ("write", "letter", "pipe") or place.name in _WITHOUT_S3:
        return NO_S3
    calls = at_every_call(place, *effects, services=("s3",))
    if place.name != "GeneratePart":
        return calls
    # polars reads the sources past the SDK; how it tells is in tests/unit/test_parquet_source.py.
    return itertools.chain(calls, [crash(place, "SourceUnavailable", 1), crash(place, "SourceUnavailable")])


_WITHOUT_WRITES = ("ReadExports", "ReconcileExports, lost start", "ReconcileExports, cancelled")


def write_refused(place: Place) -> Moments:
    match place.kind:
        case "write":
            return [refuse(place, "ConditionalCheckFailedException")]
        case "api" | "reconcile" if place.name not in _WITHOUT_WRITES:
            return at_every_call(place, _refuse_write, services=WRITES, lasting=False)
    return NO_WRITE


def _refuse_write(_: Case, call: Call) -> AWSResponse:
    if call.operation != "TransactWriteItems":
        return call.refuse(400, "ConditionalCheckFailedException")
    reasons = [{"Code": "ConditionalCheckFailed"}]
    return call.refuse(400, "TransactionCanceledException", CancellationReasons=reasons)


def doubled_start(place: Place) -> Moments:
    match place.kind:
        case "write" | "letter" | "worker" | "map":
            return before_and_after(place, start_again, start_twin)
        case "pipe":
            return NO_CALL
    return _calls(place, meanwhile(_the_same_again), lasting=False)


def _the_same_again(case: Case) -> None:
    """The same request, or event, at the same time."""
    answers, case.answers = case.answers, []
    place = case.place
    if place.name == "DeleteExport, active export":
        case.world.ask("DeleteExport")
    else:
        place.go(case)
    case.answers = answers


def event(place: Place) -> Moments:
    ways = ("twice", "late", "lost")
    match place.kind:
        case "write":
            return [hearing(way, refuse(place, "ValidationException", 1)) for way in ways]
        case "letter":
            return [hearing(way, refuse(place, "ValidationException", 6)) for way in ways]
        case "worker":
            return [hearing(way, crash(place, PERMANENT[place.name], 1)) for way in ways]
        case "map":
            return [hearing(way, _map("ItemReader", "States.ItemReaderFailed", 1)) for way in ways]
    return NO_EVENT if place.only_reads else [hearing(way, lambda _: None) for way in ways]


def cancelled(place: Place) -> Moments:
    return _now(place, cancel, cancel_only)


def retried(place: Place) -> Moments:
    return _now(place, retry)


def reconciled(place: Place) -> Moments:
    return _now(place, lambda case: case.reconcile(), lambda case: case.reconcile(minutes=3))


def _now(place: Place, *happenings: Moment) -> Moments:
    match place.kind:
        case "write" | "letter" | "worker" | "map":
            return before_and_after(place, *happenings)
        case "pipe":
            return NO_CALL
    return _calls(place, *[meanwhile(happening) for happening in happenings], lasting=False)


def _calls(place: Place, *effects: Effect, lasting: bool | None = None) -> Moments:
    services = AWS if lasting is False or killed_before in effects else NOT_S3
    return at_every_call(place, *effects, services=services, lasting=lasting)


FAULTS: dict[str, Callable[[Place], Moments]] = {
    "service throttled": throttled,
    "service 5xx or no response": server_error,
    "DynamoDB error in a worker": database_within,
    "timeout": timed_out,
    "process killed": killed,
    "out of memory": out_of_memory,
    "permanent error": permanent,
    "S3 SlowDown": s3_slow_down,
    "S3 500 or no response": s3_error,
    "conditional write refused": write_refused,
    "started twice": doubled_start,
    "end event duplicated, late, lost": event,
    "concurrent cancel": cancelled,
    "concurrent retry": retried,
    "concurrent reconciliation": reconciled,
}
