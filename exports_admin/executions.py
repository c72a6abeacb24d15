"""Executions as their histories tell them (Step Functions API Reference, "GetExecutionHistory" and "HistoryEvent").

An export's attempts are the executions ``<export id>-<attempt>``; its parts are the children of the attempt's Map Run.
AWS forgets an execution 90 days after its end ("Step Functions service quotas").
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import boto3
from botocore.config import Config

from exports_cli.trouble import Trouble
from shared.lambda_ import clock
from shared.records import attempts, table

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, HistoryEventTypeDef

Status = Literal["running", "succeeded", "caught", "failed", "timed out", "aborted"]
PAGE = 1000
"""Step Functions gives no more at once; without it, 100."""
_ENDED: dict[str, Status] = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timed out",
    "ABORTED": "aborted",
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
}
_MISSING = 3  # attempts in a row, after which there are no more, unless the record knows of one
_FORGOTTEN = "AWS keeps an execution for 90 days after its end."


@cache
def stepfunctions() -> SFNClient:
    """A client that waits where it is throttled: DescribeMapRun is refilled once per second, histories are long."""
    return boto3.client("stepfunctions", config=Config(retries={"mode": "standard", "max_attempts": 8}))


class Call(NamedTuple):
    """A try of a function: its name or ARN, and the event that it was given."""

    function: str
    event: Any


class Fault(NamedTuple):
    """What a state, or an execution, failed with."""

    error: str
    cause: str


@dataclass
class Step:
    """A state that an execution entered."""

    name: str
    kind: str  # the state's Type
    entered: datetime.datetime
    input: str  # JSON
    left: datetime.datetime | None = None
    status: Status = "running"
    tries: int = 0  # how often a Task was scheduled
    calls: list[Call] = field(default_factory=list)  # those that AWS names
    fault: Fault | None = None  # the last one, also where a later try succeeded
    map_run: str | None = None  # ARN

    @property
    def retries(self) -> int:
        """How often a Task was tried again."""
        return max(self.tries - 1, 0)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.left - self.entered).total_seconds() if self.left else None


@dataclass
class Execution:
    """One execution: an attempt, or the child that makes a part."""

    arn: str
    status: Status
    started: datetime.datetime
    stopped: datetime.datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None

    def steps(self) -> list[Step]:
        """The states that it entered, in order; see :func:`read`."""
        return read(history(self.arn), self.status, self.stopped)


@dataclass
class Attempt(Execution):
    """The execution of an attempt at an export."""

    export_id: str
    number: int
    owner: str
    fault: Fault | None


@dataclass
class Part:
    """What the history of a child says."""

    number: int
    child: Execution
    steps: list[Step]

    @property
    def retries(self) -> int:
        """How often GeneratePart, its first state, was tried again."""
        return self.steps[0].retries if self.steps else 0


def find(export_id: str, number: int | None) -> Attempt:
    """An attempt at an export, the latest where no number is given.

    Raises:
        Trouble: there is no execution of it.
    """
    if number is not None:
        if found := _attempt(export_id, number):
            return found
        raise Trouble(f"There is no execution of {export_id}, attempt {number}: no such attempt began. {_FORGOTTEN}")
    # One that was cancelled before it began has no execution, though those after it may.
    latest, following = None, 1
    while following <= (latest.number if latest else 0) + _MISSING:
        latest, following = _attempt(export_id, following) or latest, following + 1
    if latest is None:
        raise Trouble(f"There is no execution of {export_id}. Is it of this stack, and did it begin? {_FORGOTTEN}")
    record = table.get(latest.owner, export_id)
    later = range(record["attempt"] if record else 0, following - 1, -1)
    return next((found for number in later if (found := _attempt(export_id, number))), latest)


def _attempt(export_id: str, number: int) -> Attempt | None:
    arn = attempts.execution_arn(os.environ["STATE_MACHINE_ARN"], f"{export_id}-{number}")
    try:
        found = stepfunctions().describe_execution(executionArn=arn)
    except stepfunctions().exceptions.ExecutionDoesNotExist:
        return None
    owner = str(json.loads(found.get("input", "{}")).get("owner", ""))
    status, stopped = _ENDED[found["status"]], found.get("stopDate")
    return Attempt(arn, status, found["startDate"], stopped, export_id, number, owner, _fault_of(found))


def _fault_of(found: DescribeExecutionOutputTypeDef) -> Fault | None:
    if found["status"] not in ("FAILED", "TIMED_OUT", "ABORTED"):
        return None
    return Fault(found.get("error", ""), found.get("cause", ""))


def definition(attempt: Execution) -> dict[str, Any]:
    """The definition that an execution began with."""
    answer = stepfunctions().describe_state_machine_for_execution(executionArn=attempt.arn)
    machine: dict[str, Any] = json.loads(answer["definition"])
    return machine


def processor(state: dict[str, Any]) -> dict[str, Any] | None:
    """The states inside a Map; None where there are none."""
    inner: dict[str, Any] | None = state.get("ItemProcessor") or state.get("Iterator")
    return inner


def history(arn: str) -> Iterator[HistoryEventTypeDef]:
    """Every event of an execution, page by page.

    Raises:
        Trouble: it is gone.
    """
    pages = stepfunctions().get_paginator("get_execution_history")
    try:
        for page in pages.paginate(executionArn=arn, PaginationConfig={"PageSize": PAGE}):
            yield from page["events"]
    except stepfunctions().exceptions.ExecutionDoesNotExist as error:
        raise Trouble(f"The history of {arn.rpartition(':')[2]} is gone. {_FORGOTTEN}") from error


def read(events: Iterator[HistoryEventTypeDef], status: Status, stopped: datetime.datetime | None) -> list[Step]:
    """The states that an execution entered, in order.

    One state at a time: our machine has neither Parallel nor an inline Map, and children have histories of their own.

    Args:
        events: the history, oldest first.
        status: of the execution.
        stopped: when it ended.
    """
    steps: list[Step] = []
    failing = False
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            entered, failing = event["stateEnteredEventDetails"], False
            state = kind.removesuffix("StateEntered")
            steps.append(Step(entered["name"], state, event["timestamp"], entered.get("input", "{}")))
        elif not steps or kind.startswith("Execution"):
            continue
        elif kind.endswith("StateExited"):
            steps[-1].left, steps[-1].status = event["timestamp"], "caught" if failing else "succeeded"
        elif kind in ("TaskScheduled", "LambdaFunctionScheduled"):
            steps[-1].tries, failing = steps[-1].tries + 1, False
            steps[-1].calls += _call(event)
        elif kind == "MapRunStarted":
            steps[-1].map_run = event["mapRunStartedEventDetails"]["mapRunArn"]
        elif kind.endswith(("Failed", "TimedOut")):
            failing, steps[-1].fault = True, _fault(event) or steps[-1].fault
    if steps and steps[-1].left is None:
        steps[-1].left = stopped
        steps[-1].status = "succeeded" if steps[-1].kind == "Succeed" else status
    return steps


def _call(event: HistoryEventTypeDef) -> Iterator[Call]:
    """The call of a function that a scheduled event stands for.

    The integration ``lambda:invoke`` says TaskScheduled, with the request as ``parameters``; a function's own ARN as
    the Resource says LambdaFunctionScheduled ("TaskScheduledEventDetails", "LambdaFunctionScheduledEventDetails").
    """
    if scheduled := event.get("taskScheduledEventDetails"):
        if scheduled["resourceType"] == "lambda" and "parameters" in scheduled:
            request = json.loads(scheduled["parameters"])
            yield Call(request["FunctionName"], request.get("Payload"))
    elif direct := event.get("lambdaFunctionScheduledEventDetails"):
        yield Call(direct["resource"], json.loads(direct.get("input", "{}")))


def _fault(event: HistoryEventTypeDef) -> Fault | None:
    details: dict[str, Any] = next((value for value in event.values() if isinstance(value, dict)), {})
    return Fault(details.get("error", ""), details.get("cause", "")) if details else None


def children(map_run: str) -> list[Execution]:
    """The children of a Map Run that have begun, in the order in which they began: nearly that of their parts.

    ListExecutions says nothing of a child's input, and a child's name is a UUID.
    """
    pages = stepfunctions().get_paginator("list_executions")
    found = [
        Execution(each["executionArn"], _ENDED[each["status"]], each["startDate"], each.get("stopDate"))
        for page in pages.paginate(mapRunArn=map_run, PaginationConfig={"PageSize": PAGE})
        for each in page["executions"]
    ]
    return sorted(found, key=lambda child: (child.started, child.arn))


def part(child: Execution) -> Part:
    """What a child made, from its history: the input that began it names the part."""
    events = list(history(child.arn))
    given = json.loads(events[0]["executionStartedEventDetails"]["input"])
    return Part(given["part"]["part"], child, read(iter(events), child.status, child.stopped))


def find_part(map_run: str, number: int) -> Part | None:
    """The part of this number, None when it has not begun.

    Looks at the children that failed first, then at those around the place where the part is to be expected: a few
    histories are read, not those of ten thousand children.
    """
    begun = list(enumerate(children(map_run)))
    begun.sort(key=lambda each: (each[1].status not in ("failed", "timed out"), abs(each[0] - number)))
    return next((found for _, child in begun if (found := part(child)).number == number), None)


def counts(map_run: str) -> dict[str, int]:
    """How many parts a Map Run has, as DescribeMapRun's ``itemCounts``."""
    found: Any = stepfunctions().describe_map_run(mapRunArn=map_run)["itemCounts"]
    return dict(found)


def running_for(execution: Execution) -> float:
    """Seconds that an execution has taken so far."""
    return ((execution.stopped or clock.now()) - execution.started).total_seconds()
