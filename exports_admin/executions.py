"""Reads executions from their histories (Step Functions API Reference, "GetExecutionHistory" and "HistoryEvent").

An attempt is the execution ``<export id>-<attempt>``. Its parts are the child executions of its Map Run. AWS deletes an
execution 90 days after its end ("Step Functions service quotas").
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
"""Items in a page, the maximum of Step Functions. The default is 100."""
_ENDED: dict[str, Status] = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timed out",
    "ABORTED": "aborted",
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
}
_MISSING = 3  # consecutive missing attempts after which the search stops, unless the record has a later attempt
_FORGOTTEN = "AWS keeps an execution for 90 days after its end."


@cache
def stepfunctions() -> SFNClient:
    """A client with more retries, because calls are throttled: DescribeMapRun refills once per second."""
    return boto3.client("stepfunctions", config=Config(retries={"mode": "standard", "max_attempts": 8}))


class Call(NamedTuple):
    """One invocation of a function: its name or ARN, and its input."""

    function: str
    event: Any


class Fault(NamedTuple):
    """The error and the cause of a failed state or execution."""

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
    tries: int = 0  # how often the Task was scheduled
    calls: list[Call] = field(default_factory=list)  # the invocations in the history
    fault: Fault | None = None  # the last error, even if a later try succeeded
    map_run: str | None = None  # ARN

    @property
    def retries(self) -> int:
        """How often the Task was retried."""
        return max(self.tries - 1, 0)

    @property
    def seconds(self) -> float | None:
        """The duration; None while the state runs."""
        return (self.left - self.entered).total_seconds() if self.left else None


@dataclass
class Execution:
    """An execution: an attempt, or the child execution that makes a part."""

    arn: str
    status: Status
    started: datetime.datetime
    stopped: datetime.datetime | None

    @property
    def seconds(self) -> float | None:
        """The duration; None while the execution runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None

    def steps(self) -> list[Step]:
        """The states that the execution entered, in order. See :func:`read`."""
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
    """A part, read from the history of its child execution."""

    number: int
    child: Execution
    steps: list[Step]

    @property
    def retries(self) -> int:
        """How often GeneratePart, the first state, was retried."""
        return self.steps[0].retries if self.steps else 0


def find(export_id: str, number: int | None) -> Attempt:
    """An attempt at an export; the latest one if ``number`` is None.

    Raises:
        Trouble: the attempt has no execution.
    """
    if number is not None:
        if attempt := _attempt(export_id, number):
            return attempt
        raise Trouble(f"Attempt {number} at {export_id} has no execution: it never started. {_FORGOTTEN}")
    # An attempt that was cancelled before its start has no execution, but a later attempt may have one.
    latest, following = None, 1
    while following <= (latest.number if latest else 0) + _MISSING:
        latest, following = _attempt(export_id, following) or latest, following + 1
    if latest is None:
        raise Trouble(
            f"There is no execution of {export_id}. The export is of another stack, or it never started. {_FORGOTTEN}"
        )
    record = table.get(latest.owner, export_id)
    later = range(record["attempt"] if record else 0, following - 1, -1)
    return next((attempt for number in later if (attempt := _attempt(export_id, number))), latest)


def _attempt(export_id: str, number: int) -> Attempt | None:
    arn = attempts.execution_arn(os.environ["STATE_MACHINE_ARN"], f"{export_id}-{number}")
    try:
        description = stepfunctions().describe_execution(executionArn=arn)
    except stepfunctions().exceptions.ExecutionDoesNotExist:
        return None
    owner = str(json.loads(description.get("input", "{}")).get("owner", ""))
    status, stopped = _ENDED[description["status"]], description.get("stopDate")
    return Attempt(arn, status, description["startDate"], stopped, export_id, number, owner, _fault_of(description))


def _fault_of(description: DescribeExecutionOutputTypeDef) -> Fault | None:
    if description["status"] not in ("FAILED", "TIMED_OUT", "ABORTED"):
        return None
    return Fault(description.get("error", ""), description.get("cause", ""))


def definition(attempt: Execution) -> dict[str, Any]:
    """The definition of the state machine with which an execution started."""
    answer = stepfunctions().describe_state_machine_for_execution(executionArn=attempt.arn)
    machine: dict[str, Any] = json.loads(answer["definition"])
    return machine


def processor(state: dict[str, Any]) -> dict[str, Any] | None:
    """The states inside a Map; None for another state."""
    inner: dict[str, Any] | None = state.get("ItemProcessor") or state.get("Iterator")
    return inner


def history(arn: str) -> Iterator[HistoryEventTypeDef]:
    """Every event of an execution, page by page.

    Raises:
        Trouble: AWS has deleted the history.
    """
    pages = stepfunctions().get_paginator("get_execution_history")
    try:
        for page in pages.paginate(executionArn=arn, PaginationConfig={"PageSize": PAGE}):
            yield from page["events"]
    except stepfunctions().exceptions.ExecutionDoesNotExist as error:
        raise Trouble(f"The history of {arn.rpartition(':')[2]} is gone. {_FORGOTTEN}") from error


def read(events: Iterator[HistoryEventTypeDef], status: Status, stopped: datetime.datetime | None) -> list[Step]:
    """The states that an execution entered, in order.

    States run one at a time: the state machine has no Parallel and no inline Map, and each child execution has its own
    history.

    Args:
        events: the history, oldest first.
        status: the status of the execution.
        stopped: the end of the execution.
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
    """The invocation of a function in a history event, if the event is one.

    The integration ``lambda:invoke`` writes TaskScheduled, with the request in ``parameters``. A Resource that is a
    function's ARN writes LambdaFunctionScheduled ("TaskScheduledEventDetails", "LambdaFunctionScheduledEventDetails").
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
    """The child executions of a Map Run that have started, in the order of their start: nearly that of their parts.

    ListExecutions does not return a child's input, and a child's name is a UUID.
    """
    pages = stepfunctions().get_paginator("list_executions")
    started = [
        Execution(each["executionArn"], _ENDED[each["status"]], each["startDate"], each.get("stopDate"))
        for page in pages.paginate(mapRunArn=map_run, PaginationConfig={"PageSize": PAGE})
        for each in page["executions"]
    ]
    return sorted(started, key=lambda child: (child.started, child.arn))


def part(child: Execution) -> Part:
    """The part of a child execution, from its history. The input of the execution contains the part's number."""
    events = list(history(child.arn))
    execution_input = json.loads(events[0]["executionStartedEventDetails"]["input"])
    return Part(execution_input["part"]["part"], child, read(iter(events), child.status, child.stopped))


def find_part(map_run: str, number: int) -> Part | None:
    """The part with this number; None if it has not started.

    The search starts with the failed child executions, then continues around the expected position of the part. So it
    reads a few histories and not those of ten thousand child executions.
    """
    started = list(enumerate(children(map_run)))
    started.sort(key=lambda each: (each[1].status not in ("failed", "timed out"), abs(each[0] - number)))
    return next((candidate for _, child in started if (candidate := part(child)).number == number), None)


def counts(map_run: str) -> dict[str, int]:
    """The number of parts of a Map Run by status: ``itemCounts`` of DescribeMapRun."""
    item_counts: Any = stepfunctions().describe_map_run(mapRunArn=map_run)["itemCounts"]
    return dict(item_counts)


def running_for(execution: Execution) -> float:
    """The duration of an execution so far, in seconds."""
    return ((execution.stopped or clock.now()) - execution.started).total_seconds()
