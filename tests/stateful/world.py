"""One stack in memory, in which nothing happens by itself: each state, each call of AWS and each second is told to.

The definition and the handlers are the product's own, as are planning, parts, receipts, files and records. Only the
rows come from :class:`Dataset`, and AWS is :class:`tests.stateful.memory.Memory`. What holds at every moment is in
tests/stateful/laws.py.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import polars as pl
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

from shared.catalogue import reports
from shared.engine import planning
from shared.engine.sources import SOURCES
from shared.errors import SourceChanged, SourceUnreadable
from shared.files import assembly, result, work
from shared.lambda_ import aws, clock
from tests.stateful import process
from tests.stateful.laws import Laws
from tests.stateful.memory import Memory, Refused
from tests.stateful.process import Call, Killed, OneAfterTheOther, Process
from tests.support.moto_machine import REGION, Template, telemetry
from tests.support.stepper import Ask, FanOut, Run

BEGIN = datetime.datetime(2026, 11, 23, 9, 0, tzinfo=datetime.UTC)
TICK = datetime.timedelta(milliseconds=20)
CALLERS = (("UA", "11111111-2222-4333-8444-555555555555"), ("UA", "99999999-2222-4333-8444-555555555555"))
IN_FLIGHT = 10
"""Seconds after which what an execution asked of a service before it was stopped does not arrive any more."""
STALE = 3
"""Seconds that an eventually consistent answer may be behind."""
SCHEDULE = 300
"""Seconds from one run of ReconcileExports to the next."""
PARTS = 2

# Faults of a call, in what a process sees: see World.step.
CALL_FAULTS = ("throttled", "broken", "silent", "lost", "repeated", "killed before", "killed after", "stale")
# Faults of what a state asks for: (error, whether the service did it nevertheless).
STATE_FAULTS = {
    "map": [("States.ItemReaderFailed", False), ("States.ResultWriterFailed", False)],
    "dynamodb": [
        ("DynamoDB.ThrottlingException", False),
        ("DynamoDB.InternalServerError", True),
        ("DynamoDB.ValidationException", False),
        ("DynamoDB.ValidationException", True),
        ("States.Timeout", True),
    ],
    "sqs": [("SQS.SdkClientException", False), ("SQS.SdkClientException", True), ("SQS.Unheard", False)],
    "lambda": [
        ("Lambda.TooManyRequestsException", False),
        ("Lambda.SdkClientException", True),
        ("States.Timeout", True),
    ],
}
_THROTTLED = {"s3": "SlowDown", "sqs": "ThrottlingException"}


class Dataset:
    """A source whose rows are known without reading them: two runs of rows, of which each version has others."""

    version = 1
    broken = False

    def plan(self, _query: Any) -> tuple[pl.Schema, list[dict[str, Any]]]:
        extents = [
            {"key": str(number), "etag": str(self.version), "offset": 0, "rows": 2, "bytes": 2}
            for number in range(PARTS)
        ]
        return pl.Schema({"carrier": pl.String, "number": pl.Int64}), extents

    def scan(self, _query: Any, _schema: Any, extents: list[dict[str, Any]], _fetched: Any) -> Iterator[pl.DataFrame]:
        for extent in extents:
            if extent["etag"] != str(self.version):
                raise SourceChanged("replaced since it was planned")
            if self.broken and extent["key"] == "1":
                raise SourceUnreadable("not readable")
            numbers = [100 * self.version + 10 * int(extent["key"]) + row for row in range(2)]
            yield pl.DataFrame({"carrier": ["UA", "UA"], "number": numbers})

    @staticmethod
    def file(version: str) -> bytes:
        """The right file of a version."""
        numbers = [100 * int(version) + 10 * part + row for part in range(PARTS) for row in range(2)]
        return "".join(["Number\n", *(f"{number}\n" for number in numbers)]).encode()


REPORT = """
title: Numbers
source: {type: parquet, dataset: numbers}
tenant: carrier
columns:
  - {name: number, title: Number, type: integer}
"""


@dataclass(eq=False)
class Walk:
    """A run, and what it waits for beyond its own next step: an invocation, or the children of its Map."""

    name: str
    run: Run
    execution: Execution
    invocation: Process | None = None
    children: list[Walk] = field(default_factory=list)
    hung: bool = False

    @property
    def may_step(self) -> bool:
        if self.run.status != "RUNNING" or self.invocation is not None:
            return False
        return not self.children or any(c.run.status == "FAILED" for c in self.children) or not self.unfinished

    @property
    def unfinished(self) -> list[Walk]:
        return [child for child in self.children if child.run.status == "RUNNING"]


@dataclass(eq=False)
class Execution:
    """An execution of the machine."""

    name: str
    given: str
    started: datetime.datetime
    walk: Walk = None  # type: ignore[assignment]
    stopped: datetime.datetime | None = None


@dataclass(eq=False)
class Invocation:
    """A process, what it is an invocation of, and when its time is up."""

    process: Process
    function: str
    event: Any
    until: datetime.datetime
    done: Callable[[Process], None]
    faulted: bool = False
    unanswered: bool = False
    """An answer of AWS got lost: who made the call does not know what it did."""
    hung: bool = False
    made: int = 0
    """Calls, until now."""
    changes: list[tuple[Any, Any]] = field(default_factory=list)
    """What it has changed in the table, before and after."""


@dataclass(eq=False)
class Flight:
    """What an execution asked for before it was stopped, which may arrive all the same."""

    ask: Ask
    until: datetime.datetime


class World:
    """See the module."""

    def __init__(self, tell: Callable[[str], object] = lambda _: None) -> None:
        self._tell = tell
        self.time = BEGIN
        self.stack = _template()
        self.machine = _definition()
        self.memory = Memory(now=lambda: self.time)
        self.dataset = Dataset()
        self.laws = Laws(self)
        self.memory.on_change = self.laws.changed
        self.executions: dict[str, Execution] = {}
        self.invocations: list[Invocation] = []
        self.flights: list[Flight] = []
        self.ends: list[dict[str, Any]] = []
        """Events of executions that have ended, which ReconcileExports may be told at any time."""
        self.calling: Invocation | None = None
        self.told: list[dict[str, Any]] = []
        """Those that it was told of, and carried out."""
        self.retries = 0
        """How often the machine has tried something again."""
        self._ids = 0
        _Now.world = self
        work.parts_total.cache_clear()

    def close(self) -> None:
        for each in self.invocations:
            each.process.kill()

    def new_id(self) -> str:
        self._ids += 1
        return f"01a20000-{self._ids:04x}-7000-8000-000000000000"

    # Who may go on

    @property
    def walks(self) -> list[Walk]:
        """Runs whose next step can be done."""
        found = []
        for execution in self.executions.values():
            started = execution.walk.unfinished[:PARTS]
            found += [walk for walk in (execution.walk, *started) if walk.may_step]
        return found

    @property
    def is_at_rest(self) -> bool:
        """Whether only time would pass."""
        open_ones = [each for each in self.executions.values() if each.stopped is None]
        unsettled = [item for item in self.memory.table.values() if "active_owner" in item]
        return not (open_ones or unsettled or self.invocations or self.flights)

    # Functions

    def invoke(self, function: str, event: Any, done: Callable[[Process], None] = lambda _: None) -> Invocation:
        """Begins an invocation; ``done`` hears of its end."""
        handler = _handler(function)
        sent = json.dumps(event)
        return self.begin(function, lambda: handler(json.loads(sent), CONTEXT), event, done)

    def begin(
        self,
        function: str,
        work: Callable[[], Any],
        event: Any = None,
        done: Callable[[Process], None] = lambda _: None,
    ) -> Invocation:
        """Begins some work of a function's own process."""
        self.tell(f"{function} begins")
        invocation = Invocation(Process(function, work), function, event, self.time + _timeout(function), done)
        self.invocations.append(invocation)
        self._look(invocation)
        return invocation

    def step(self, invocation: Invocation, fault: str | Refused | None = None) -> None:
        """Makes the next call of an invocation.

        ``throttled``, ``broken``, or an error: it is refused. ``silent``: it is not done, and not answered. ``lost``:
        it is done, the answer is not heard. ``repeated``: it is
        done, the answer is not heard, and boto3 has it done again. ``killed``: the process ends. ``stale``: the answer
        is of some time ago, where that may be.
        """
        self.time += TICK
        call = invocation.process.wants
        assert call is not None
        self.tell(f"{invocation.function}: {call.operation}" + (f" ({fault})" if fault else ""))
        invocation.made += 1
        invocation.faulted |= fault is not None
        invocation.unanswered |= fault in ("lost", "silent")
        self.calling = invocation
        try:
            if fault == "killed before":
                invocation.process.kill()
            elif fault == "killed after":
                self._perform(call)
                invocation.process.kill()
            else:
                invocation.process.answer(self._outcome(call, fault))
        finally:
            self.calling = None
        self._look(invocation)

    def _outcome(self, call: Call, fault: str | Refused | None) -> Any:
        if isinstance(fault, Refused):
            return _client_error(call, fault)
        if fault == "silent":
            return ReadTimeoutError(endpoint_url="https://aws.test")
        if fault in ("throttled", "broken"):
            code = (
                _THROTTLED.get(call.service, "ThrottlingException") if fault == "throttled" else "InternalServerError"
            )
            return _client_error(call, Refused(code, 400 if fault == "throttled" else 500))
        outcome = self._perform(call, stale=fault == "stale")
        if fault == "lost":
            return ReadTimeoutError(endpoint_url="https://aws.test")
        if fault == "repeated" and call.operation != "TransactWriteItems":  # whose token makes it one
            return self._perform(call)
        return outcome

    def _perform(self, call: Call, stale: bool = False) -> Any:
        """What AWS answers, be it an error."""
        service: Any = self if call.service == "stepfunctions" else self.memory
        given = dict(call.parameters)
        if stale and (call.operation == "DescribeExecution" or "IndexName" in given):
            given["age"] = STALE
        try:
            answer = getattr(service, xform_name(call.operation))(**given)
        except Refused as refused:
            return _client_error(call, refused)
        if self.calling and self.calling.function == "DeleteExport":
            self.laws.delete_has_read(answer.get("Item"))
        return answer

    def _look(self, invocation: Invocation) -> None:
        if invocation.process.ended and invocation in self.invocations:
            self.invocations.remove(invocation)
            ended = invocation.process
            self.tell(f"{invocation.function} ends" + (f": {ended.error!r}" if ended.error else ""))
            self.laws.invocation_ended(invocation)
            invocation.done(ended)

    def finish(self, invocation: Invocation) -> Any:
        """Makes all calls of an invocation; what it returned."""
        while not invocation.process.ended:
            self.step(invocation)
        return invocation.process.result

    def kill(self, invocation: Invocation) -> None:
        """Its time is up."""
        invocation.faulted = True
        self.tell(f"{invocation.function} is killed")
        invocation.process.kill("Sandbox.Timedout")
        self._look(invocation)

    # Executions

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: A002, N803
        there = self.executions.get(name)
        if there is None:
            there = self.executions[name] = Execution(name, input, self.time)
            context = {"Execution": {"Id": f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"}}
            run = Run(self.machine, json.loads(input), context, lambda: clock.stamp(self.time), self._tried_again)
            there.walk = Walk(name[-6:], run, there)
            self.tell(f"execution {name} starts")
        elif there.stopped or there.given != input:
            raise Refused("ExecutionAlreadyExists")
        return {"executionArn": name, "startDate": there.started}

    def _tried_again(self) -> None:
        self.retries += 1

    def stop_execution(self, executionArn: str, cause: str = "") -> dict[str, Any]:  # noqa: N803
        execution = self._find(executionArn)
        if not execution.stopped:
            self._end(execution, "ABORTED", cause)
        return {"stopDate": execution.stopped}

    def describe_execution(self, executionArn: str, age: float = 0) -> dict[str, Any]:  # noqa: N803
        execution = self._find(executionArn)
        then = self.time - datetime.timedelta(seconds=age)
        if execution.started > then:
            raise Refused("ExecutionDoesNotExist")
        if execution.stopped is None or execution.stopped > then:
            return {"status": "RUNNING"}
        run = execution.walk.run
        return {"status": run.status} | ({"error": run.error, "cause": run.cause} if run.error else {})

    def get_execution_history(self, executionArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        names = enumerate(self._find(executionArn).walk.run.entered, start=1)
        return {"events": [{"id": number, "stateEnteredEventDetails": {"name": name}} for number, name in names]}

    def _find(self, arn: str) -> Execution:
        name = arn.rsplit(":", 1)[-1]
        if name not in self.executions:
            raise Refused("ExecutionDoesNotExist")
        return self.executions[name]

    def close_execution(self, execution: Execution, status: str) -> None:
        """An operator stops an execution, or its time is up."""
        self.laws.excuse(execution.name)
        self._end(execution, status)

    def _end(self, execution: Execution, status: str, cause: str = "") -> None:
        """An execution ends from outside. Workers of it go on, and what it asked for may yet arrive."""
        assert execution.stopped is None
        self.tell(f"execution {execution.name} is {status}")
        for walk in (*execution.walk.unfinished, execution.walk):
            self._close(walk, status, cause)
        self._look_at(execution)

    def _close(self, walk: Walk, status: str, cause: str = "") -> None:
        if isinstance(walk.run.waits_for, Ask) and walk.invocation is None:
            self.flights.append(Flight(walk.run.waits_for, self.time + datetime.timedelta(seconds=IN_FLIGHT)))
        walk.invocation = None
        walk.run.close(status, cause=cause)

    def advance(self, walk: Walk, fault: tuple[str, bool] | None = None) -> None:
        """Does the next step of a run, or lets it fail with an error, though the service did it nevertheless."""
        self.time += TICK
        wanted = walk.run.waits_for
        assert wanted is not None
        if fault:
            self.laws.excuse(walk.execution.name)
        self.tell(f"{walk.name} {wanted.state}" + (f" {fault}" if fault else ""))
        if isinstance(wanted, FanOut):
            self._fan_out(walk, wanted, fault[0] if fault else "")
        elif fault and not fault[1]:
            walk.run.fail(fault[0])
        else:
            self._serve(walk, wanted, fault[0] if fault else None)
        self._look_at(walk.execution)

    def _serve(self, walk: Walk, ask: Ask, error: str | None) -> None:
        if ask.service == "lambda:invoke":
            if error:
                self._work(ask, lambda _: None)
                walk.run.fail(error)
            else:
                walk.invocation = mock.sentinel.beginning
                begun = self._work(ask, lambda ended: self._worked(walk, ended))
                if walk.invocation is mock.sentinel.beginning:
                    walk.invocation = begun.process
            return
        try:
            answer = self._ask(ask)
        except Refused as refused:
            answer = None
            error = error or f"DynamoDB.{refused.response['Error']['Code']}"
        if walk.run.status != "RUNNING":  # it was stopped before the answer came
            return
        if error:
            walk.run.fail(error)
        else:
            walk.run.answer(answer)

    def _ask(self, ask: Ask) -> Any:
        if ask.service == "sqs:sendMessage":
            return self.memory.send_message(MessageBody=json.dumps(ask.arguments["MessageBody"]))
        assert ask.service == "dynamodb:updateItem"
        return self.memory.update_item(**ask.arguments)

    def _work(self, ask: Ask, done: Callable[[Process], None]) -> Invocation:
        name = ask.arguments["FunctionName"].rsplit(":", 1)[-1]
        return self.invoke(_function(name), ask.arguments["Payload"], done)

    def _worked(self, walk: Walk, ended: Process) -> None:
        if walk.run.status != "RUNNING" or walk.invocation not in (ended, mock.sentinel.beginning):
            return  # nobody waits for it any more
        walk.invocation = None
        if ended.error is None:
            walk.run.answer({"Payload": json.loads(json.dumps(ended.result))})
        elif isinstance(ended.error, Killed):
            walk.run.fail(ended.killed)
        else:
            cause = json.dumps({"errorMessage": str(ended.error), "errorType": type(ended.error).__name__})
            walk.run.fail(type(ended.error).__name__, cause)
        self._look_at(walk.execution)

    def _fan_out(self, walk: Walk, fan: FanOut, error: str) -> None:
        if error == "States.ItemReaderFailed" and not walk.children:
            walk.run.fail(error)
        elif not walk.children:
            items = json.loads(self.memory.objects[fan.items_at["Key"]].body)
            walk.children = [Walk(f"{walk.name}/{n}", fan.child(item), walk.execution) for n, item in enumerate(items)]
        elif any(child.run.status == "FAILED" for child in walk.children):
            for child in walk.unfinished:
                self._close(child, "ABORTED")
            walk.children = []
            walk.run.fail("States.ExceedToleratedFailureThreshold")
        elif error == "States.ResultWriterFailed":
            walk.children = []
            walk.run.fail(error)
        else:
            walk.children = []
            walk.run.answer(None)

    def _look_at(self, execution: Execution) -> None:
        run = execution.walk.run
        if run.status != "RUNNING" and execution.stopped is None:
            execution.stopped = self.time
            self.tell(f"execution {execution.name} has ended: {run.status} {run.error}")
            detail = {"status": run.status, "input": execution.given, "name": execution.name}
            self.ends.append({"detail-type": "Step Functions Execution Status Change", "detail": detail})

    def time_out(self, walk: Walk) -> None:
        """A state waits for its worker no longer; the worker goes on."""
        assert walk.invocation is not None
        self.tell(f"{walk.name} waits no longer")
        walk.invocation = None
        walk.run.fail("States.Timeout")
        self._look_at(walk.execution)

    def land(self, flight: Flight) -> None:
        """What an execution asked for before it was stopped arrives."""
        self.flights.remove(flight)
        self.tell(f"{flight.ask.state} arrives late")
        self.laws.all_excused = True
        if flight.ask.service == "lambda:invoke":
            self._work(flight.ask, lambda _: None)
        else:
            with contextlib.suppress(Refused):
                self._ask(flight.ask)

    # Time

    def pass_time(self, seconds: float) -> None:
        """Time passes: functions and executions whose time is up end."""
        until = self.time + datetime.timedelta(seconds=seconds)
        self.tell(f"{seconds:g} seconds pass")
        self.laws.all_excused |= any(each.function == "ReconcileExports" for each in self.invocations)
        while (due := min(self._due(), key=lambda due: due[0], default=None)) and due[0] <= until:
            self.time = max(self.time, due[0])
            due[1]()
        self.time = until

    def _due(self) -> Iterator[tuple[datetime.datetime, Callable[[], None]]]:
        for invocation in self.invocations:
            yield invocation.until, partial(self.kill, invocation)
        for flight in self.flights:
            yield flight.until, partial(self.flights.remove, flight)
        limit = datetime.timedelta(seconds=self.machine["TimeoutSeconds"])
        for execution in self.executions.values():
            if execution.stopped is None:
                yield (
                    execution.started + limit,
                    lambda execution=execution: self.close_execution(execution, "TIMED_OUT"),
                )

    def run_on(self) -> None:
        """Whatever is not hung goes on to its end, all in turn."""
        while True:
            invocations = [each for each in self.invocations if not each.hung]
            walks = [walk for walk in self.walks if not walk.hung]
            if not invocations and not walks:
                return
            for invocation in invocations:
                if not invocation.process.ended:
                    self.step(invocation)
            for walk in walks:
                if walk.may_step:
                    self.advance(walk)

    def go_on(self, execution: Execution, stop: Callable[[str, Invocation | None], bool] = lambda *_: False) -> None:
        """
        An execution and its workers go on to the end.

        Args:
            stop: whether they stop where the execution is about to do this state, or its worker the rest of its work.
        """
        while True:
            mine = [walk for walk in self.walks if walk.execution is execution]
            waiting = [walk.invocation for walk in (execution.walk, *execution.walk.children) if walk.invocation]
            working = [each for each in self.invocations if each.process in waiting]
            if not (mine or working) or any(
                stop(walk.run.waits_for.state, None) for walk in mine if walk.run.waits_for
            ):
                return
            for invocation in working:
                if stop("", invocation):
                    return
                self.finish(invocation)
            for walk in mine[:1]:
                self.advance(walk)

    def come_to_rest(self) -> None:
        """No more faults: whatever is not hung goes on, the schedule runs, and every law must hold in time."""
        self.tell("the faults stop")
        self.dataset.broken = False
        self._let_pass(self.machine["TimeoutSeconds"] + 600)
        self.laws.all_have_ended()
        self._let_pass(15 * 60 + 2 * SCHEDULE)
        self.laws.all_is_settled()

    def _let_pass(self, seconds: int) -> None:
        for gone in range(0, seconds, SCHEDULE):
            self.run_on()
            self.finish(self.schedule())
            self.run_on()
            self.laws.hold()
            if self.is_at_rest:
                return self.pass_time(seconds - gone)
            self.pass_time(SCHEDULE)
        return None

    def schedule(self) -> Invocation:
        """ReconcileExports runs for all exports."""
        return self.invoke("ReconcileExports", {"detail-type": "Scheduled Event", "detail": {}})

    def tell_the_end(self, end: dict[str, Any]) -> Invocation:
        """ReconcileExports hears that an execution has ended."""

        def done(ended: Process) -> None:
            if ended.error is None:
                self.told.append(end)

        return self.invoke("ReconcileExports", end, done)

    def tell(self, what: str) -> None:
        """Says what happens, for whoever reads the story of a failure."""
        self._tell(f"  {self.time:%H:%M:%S.%f}"[:-4] + f" {what}")

    # The API

    def call(self, method: str, resource: str, caller: int, export_id: str = "", **more: Any) -> Invocation:
        """Begins a request of a caller; :class:`Laws` looks at the answer."""
        tenant, user = CALLERS[caller]
        known = {"tenant": tenant, "user": user, "expires": "4102444800"}
        path = "/v1" + resource.replace("{id}", export_id)
        event = {
            "httpMethod": method,
            "resource": resource,
            "headers": more.pop("headers", {}),
            "pathParameters": {"id": export_id} if export_id else None,
            "queryStringParameters": more.pop("query", None),
            "requestContext": {"authorizer": known, "domainName": "api.test", "path": path},
            "body": json.dumps(more) if more else None,
        }
        function = {"POST/exports": "RequestExport", "DELETE/exports/{id}": "DeleteExport"}.get(method + resource)
        function = function or ("RetryExport" if method == "POST" else "ReadExports")
        return self.invoke(function, event, self.laws.asked(event, f"{tenant}#{user}"))

    def get(self, resource: str, caller: int, export_id: str = "") -> dict[str, Any]:
        """A GET, at once."""
        headers = {"Accept": "application/json"}
        return self.finish(self.call("GET", resource, caller, export_id, headers=headers))  # type: ignore[no-any-return]


# What is made once


@cache
def _template() -> Template:
    return Template(MapConcurrency=PARTS)


@cache
def _definition() -> dict[str, Any]:
    return json.loads(_template().definition())  # type: ignore[no-any-return]


@cache
def _handler(function: str) -> Any:
    module, name = _template().properties(function)["Handler"].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@cache
def _function(name: str) -> str:
    return next(each for each in _template().functions() if _template().name(each) == name)


@cache
def _timeout(function: str) -> datetime.timedelta:
    default = _template().resolve(_template().text["Globals"]["Function"]["Timeout"])
    return datetime.timedelta(seconds=int(_template().properties(function).get("Timeout", default)))


def _client_error(call: Call, refused: Refused) -> Exception:
    code = refused.response["Error"]["Code"]
    return call.client.exceptions.from_code(code)(refused.response, call.operation)  # type: ignore[no-any-return]


CONTEXT = SimpleNamespace(
    function_name="function", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request"
)


class _Now:
    world: World


@contextlib.contextmanager
def product(folder: Path) -> Iterator[None]:
    """The product's functions, in this process, on the world that was made last."""
    (folder / "numbers.yaml").write_text(REPORT, "utf-8")
    template = _template()
    environment = {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for function in template.functions():
        given = template.environment(function)
        assert all(environment.get(name, value) == value for name, value in given.items()), "one name, two values"
        environment |= given
    environment |= {"REPORTS_FOLDER": str(folder), "POWERTOOLS_TRACE_DISABLED": "1"}
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    caches = (aws.dynamodb, aws.prompt_s3, aws.s3, aws.ses, aws.sqs, aws.stepfunctions, reports.deployed)
    pools = [assembly, result, *map(importlib.import_module, ("reconcile_exports.app",))]
    requests = importlib.import_module("request_export.app")
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.object(os, "environ", {**others, **environment}))
        enter(mock.patch.object(boto3, "DEFAULT_SESSION", None))  # which reads the environ that it was made with
        for each in caches:
            each.cache_clear()
            stack.callback(each.cache_clear)
        clients = (aws.dynamodb, aws.prompt_s3, aws.s3, aws.sqs, aws.stepfunctions)
        for make in clients:
            make()
        enter(mock.patch.object(BaseClient, "_make_api_call", process.ask))
        enter(mock.patch.object(clock, "now", _now))
        enter(mock.patch.object(planning, "MIN_ROWS", 1))
        enter(mock.patch.dict(SOURCES, {"parquet": SimpleNamespace(plan=_plan, scan=_scan)}))
        enter(mock.patch.object(requests, "uuid", SimpleNamespace(uuid7=lambda: _Now.world.new_id())))
        for module in pools:
            enter(mock.patch.object(module, "ThreadPoolExecutor", OneAfterTheOther))
        for silent in ("debug", "info", "warning", "exception"):
            enter(mock.patch.object(telemetry.logger, silent, _nothing))
        enter(mock.patch.object(telemetry.metrics, "add_metric", _nothing))
        yield


def _now() -> datetime.datetime:
    return _Now.world.time


def _nothing(*_: object, **__: object) -> None:
    pass


def _plan(query: Any) -> Any:
    return _Now.world.dataset.plan(query)


def _scan(*given: Any) -> Any:
    return _Now.world.dataset.scan(*given)
