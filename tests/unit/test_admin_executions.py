"""How exports-admin reads executions. The histories and answers here match botocore's model of Step Functions."""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.validate import validate_parameters

from exports_admin import executions, stack
from exports_cli.trouble import Trouble
from tests.unit.support import EXPORT_ID, NOW, OWNER, PLAN, REGION, ROOT, Cloud, running
from tests.unit.test_admin import describe

MACHINE = describe()["state_machine_arn"]
EXECUTION = MACHINE.replace(":stateMachine:", ":execution:")
RUN = f"{MACHINE.replace(':stateMachine:', ':mapRun:')}/Parts:5b1c0b7e-3f0f-4a43-9f5f-1f1d2b1c9a10"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:report-exports-"
GIVEN = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1}
LAMBDA = ("lambda", "invoke")
DYNAMODB = ("dynamodb", "updateItem")


def definition() -> dict[str, Any]:
    """The machine as it is deployed."""
    text = (ROOT / "statemachines" / "report_export.asl.json").read_text("utf-8")
    text = re.sub(r"\$\{\w+Seconds\}", "300", text).replace("${Partition}", "aws")
    kebab = {name: re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in re.findall(r"\$\{(\w+)Function\}", text)}
    text = re.sub(r"\$\{(\w+)Function\}", lambda found: FUNCTION + kebab[found[1]], text)
    return dict(json.loads(text))


class History:
    """The events of one execution, each a tenth of a second after the one before."""

    def __init__(self, given: Any = GIVEN) -> None:
        self.events: list[dict[str, Any]] = []
        self.begun = self.now = NOW
        self.given = given
        started = {"input": json.dumps(given), "inputDetails": {"truncated": False}, "roleArn": "arn:aws:iam::1:role/r"}
        self.add("ExecutionStarted", executionStartedEventDetails=started)

    def add(self, kind: str, **details: Any) -> "History":
        last = len(self.events)
        self.events.append({"timestamp": self.now, "type": kind, "id": last + 1, "previousEventId": last} | details)
        self.now += datetime.timedelta(milliseconds=100)
        return self

    def passing(self, seconds: float) -> "History":
        self.now += datetime.timedelta(seconds=seconds)
        return self

    def enter(self, name: str, kind: str = "Task", given: Any = None) -> "History":
        entered = {"name": name, "input": json.dumps(given or self.given), "inputDetails": {"truncated": False}}
        return self.add(f"{kind}StateEntered", stateEnteredEventDetails=entered)

    def leave(self, name: str, kind: str = "Task") -> "History":
        return self.add(f"{kind}StateExited", stateExitedEventDetails={"name": name, "output": "{}"})

    def schedule(self, parameters: Any, of: tuple[str, str] = LAMBDA) -> "History":
        named = {"resourceType": of[0], "resource": of[1]}
        details = named | {"region": REGION, "parameters": json.dumps(parameters), "timeoutInSeconds": 300}
        self.add("TaskScheduled", taskScheduledEventDetails=details)
        return self.add("TaskStarted", taskStartedEventDetails=named)

    def succeed(self, of: tuple[str, str] = LAMBDA) -> "History":
        return self.add("TaskSucceeded", taskSucceededEventDetails={"resourceType": of[0], "resource": of[1]})

    def fail(self, error: str, message: str = "") -> "History":
        details = {"resourceType": "lambda", "resource": "invoke", "error": error, "cause": cause(error, message)}
        return self.add("TaskFailed", taskFailedEventDetails=details)

    def direct(self, name: str) -> "History":
        """A Task that calls AWS directly, and succeeds."""
        return self.enter(name).schedule({}, DYNAMODB).succeed(DYNAMODB).leave(name)

    def worker(self, name: str, call: Any, *failures: str) -> "History":
        """A Task that calls a function, which fails with these and then succeeds."""
        self.enter(name)
        for failure in failures:
            self.schedule(call).fail(failure, "s3://bucket/a.parquet")
        return self.schedule(call).succeed().leave(name)


def cause(error: str, message: str = "s3://bucket/a.parquet") -> str:
    """What Lambda says of an error."""
    return json.dumps({"errorMessage": message, "errorType": error})


PLANNED = {"FunctionName": f"{FUNCTION}plan-parts", "Payload": GIVEN}
ASSEMBLED = {"FunctionName": f"{FUNCTION}assemble-file:live", "Payload": GIVEN | {"plan": PLAN}}


def made(number: int) -> dict[str, Any]:
    """The input of a part's child, as ItemSelector makes it."""
    source = {"key": "data/a.parquet", "etag": '"e"', "offset": 0, "rows": 9, "bytes": 90}
    return GIVEN | {"plan": PLAN, "part": {"part": number, "sources": [source], "rows": 9}}


def generated(number: int) -> dict[str, Any]:
    """The call that makes a part."""
    return {"FunctionName": f"{FUNCTION}generate-part", "Payload": made(number)}


def part(number: int, *failures: str) -> History:
    """A child that succeeds, after these failures."""
    return History(made(number)).worker("GeneratePart", generated(number), *failures)


def failing_part(number: int) -> History:
    """A child that fails."""
    child = History(made(number)).enter("GeneratePart").schedule(generated(number))
    child.fail("SourceUnreadable", "s3://bucket/a.parquet")
    return child.leave("GeneratePart").direct("RecordPartFailure").enter("PartFailed", "Fail")


class StepFunctions:
    """As much of Step Functions as remembers; whatever it answers fits botocore's model of the answer."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, History] = {}
        self.runs: dict[str, list[str]] = {}
        self.totals: dict[str, int] = {}
        self.made: list[str] = []
        self.definition = definition()

    def put(self, name: str, history: History, status: str = "SUCCEEDED", error: tuple[str, str] | None = None) -> str:
        """An execution; its ARN."""
        arn = f"{EXECUTION}{name if name.startswith('/') else ':' + name}"
        described = {"executionArn": arn, "stateMachineArn": MACHINE, "name": name, "status": status}
        described |= {"startDate": history.begun, "input": json.dumps(history.given)}
        if status != "RUNNING":
            kind = f"xecution{status.title().replace('_', '')}"
            ended = {} if error is None else {"error": error[0], "cause": error[1]}
            described |= {"stopDate": history.now} | ended
            output = {"output": "{}"} if status == "SUCCEEDED" else {}
            history.add(f"E{kind}", **{f"e{kind}EventDetails": output | ended})
        self.executions[arn], self.histories[arn] = described, history
        return arn

    def child(self, number: int, history: History, status: str = "SUCCEEDED") -> None:
        """A child of the Map Run; number is where it stands among them, and no part of its name."""
        history.begun += datetime.timedelta(milliseconds=number)
        name = f"/Parts:{number:08x}-70a1-40f4-9d8e-3c1b7a2e4d60"
        self.runs.setdefault(RUN, []).append(self.put(name, history, status))

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        arn = asked.get("executionArn") or asked["mapRunArn"]
        if arn not in self.executions and arn not in self.runs:
            raise LookupError(arn)
        match operation:
            case "DescribeExecution":
                return self.executions[arn]
            case "DescribeStateMachineForExecution":
                named = {"stateMachineArn": MACHINE, "name": "m", "roleArn": "arn:aws:iam::1:role/r"}
                return named | {"definition": json.dumps(self.definition), "updateDate": NOW}
            case "GetExecutionHistory":
                return self._page("events", self.histories[arn].events, asked)
            case "ListExecutions":
                names = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
                every = [self.executions[each] for each in self.runs[arn]]
                every.sort(key=lambda each: each.get("stopDate", NOW), reverse=True)
                more = {"mapRunArn": arn, "itemCount": 0}
                found = [{key: each[key] for key in names if key in each} | more for each in every]
                return self._page("executions", found, asked)
            case "DescribeMapRun":
                return self._run(arn)
        raise AssertionError(f"{operation} is not what exports-admin calls")

    def _page(self, name: str, items: list[Any], asked: dict[str, Any]) -> dict[str, Any]:
        start, size = int(asked.get("nextToken", 0)), asked["maxResults"]
        more = {"nextToken": str(start + size)} if start + size < len(items) else {}
        return {name: items[start : start + size]} | more

    def _run(self, arn: str) -> dict[str, Any]:
        statuses = [self.executions[each]["status"] for each in self.runs[arn]]
        names = {"succeeded": "SUCCEEDED", "failed": "FAILED", "timedOut": "TIMED_OUT", "aborted": "ABORTED"}
        counts = {name: statuses.count(status) for name, status in (names | {"running": "RUNNING"}).items()}
        total = self.totals.get(arn, len(statuses))
        counts |= {"pending": total - len(statuses), "total": total, "resultsWritten": len(statuses)}
        described = {"mapRunArn": arn, "executionArn": EXECUTION, "status": "SUCCEEDED", "startDate": NOW}
        described |= {"maxConcurrency": 20, "toleratedFailurePercentage": 0.0, "toleratedFailureCount": 0}
        return described | {"itemCounts": counts, "executionCounts": counts}


def in_memory(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    """See :class:`StepFunctions`; the table is moto's."""
    remembered, original = StepFunctions(), BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name != "stepfunctions":
            return original(client, operation, parameters)
        model = client.meta.service_model.operation_model(operation)
        validate_parameters(parameters, model.input_shape)
        remembered.made.append(operation)
        try:
            answer = remembered.answer(operation, parameters)
        except LookupError as missing:
            code = "ExecutionDoesNotExist"
            told = {"Error": {"Code": code, "Message": f"Execution Does Not Exist: '{missing.args[0]}'"}}
            raise client.exceptions.from_code(code)(told, operation) from missing
        validate_parameters(answer, model.output_shape)
        return answer

    monkeypatch.setattr(stack, "find", describe)
    monkeypatch.setattr(BaseClient, "_make_api_call", make)
    monkeypatch.setenv("STATE_MACHINE_ARN", MACHINE)
    monkeypatch.setenv("EXPORTS_TABLE", describe()["table"])
    executions.stepfunctions.cache_clear()
    return remembered


past = pytest.fixture(in_memory)


def succeeded(past: StepFunctions, parts: int = 3, attempt: int = 1) -> None:
    """An attempt that made all its parts."""
    history = History(GIVEN | {"attempt": attempt}).direct("RecordRunning").worker("PlanParts", PLANNED)
    history.enter("FanOutParts", "Map").add("MapStateStarted", mapStateStartedEventDetails={"length": 0})
    history.add("MapRunStarted", mapRunStartedEventDetails={"mapRunArn": RUN}).add("MapRunSucceeded")
    history.leave("FanOutParts", "Map").worker("AssembleFile", ASSEMBLED).direct("RecordSucceeded")
    history.enter("ExportSucceeded", "Succeed").leave("ExportSucceeded", "Succeed")
    past.put(f"{EXPORT_ID}-{attempt}", history)
    for number in range(parts):
        past.child(number, part(number))


def failed_in_a_part(past: StepFunctions, children: Callable[[], None]) -> None:
    """An attempt whose Map Run failed with these children."""
    history = History().direct("RecordRunning").enter("HasQuery", "Choice").leave("HasQuery", "Choice")
    history.worker("PlanParts", PLANNED).enter("FanOutParts", "Map")
    history.add("MapRunStarted", mapRunStartedEventDetails={"mapRunArn": RUN})
    error = "States.ExceedToleratedFailureThreshold"
    history.add("MapRunFailed", mapRunFailedEventDetails={"error": error, "cause": "exceeded"})
    history.leave("FanOutParts", "Map").enter("FanOutPartsFailed", "Pass").leave("FanOutPartsFailed", "Pass")
    caught = json.dumps({"Error": "SourceUnreadable", "Cause": cause("SourceUnreadable")})
    failure = {"state": "GeneratePart", "type": "SourceUnreadable", "error": caught, "part": "1"}
    history.direct("RecordFailed").direct("SendToDeadLetters").direct("RecordLetterSent")
    history.enter("ExportFailed", "Fail", GIVEN | {"failure": failure})
    children()
    past.put(f"{EXPORT_ID}-1", history, "FAILED", ("SourceUnreadable", "{}"))


# ── histories ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read(history: History, status: executions.Status = "failed") -> list[executions.Step]:
    events: Any = iter(history.events)
    return executions.read(events, status, history.now)


def planning(kind: str = "", **details: Any) -> History:
    """A history that ends in a call of PlanParts, or in this event after it."""
    history = History().enter("PlanParts").schedule(PLANNED)
    return history.add(kind, **details) if kind else history


LATE = {"resourceType": "lambda", "resource": "invoke", "error": "States.Timeout"}
BROKEN = {"error": "Boom", "cause": "x"}


@pytest.mark.parametrize(
    ("history", "status", "stands", "retries", "error"),
    [
        (planning().succeed().leave("PlanParts"), "succeeded", "succeeded", 0, None),
        # The last error is kept even if a later try succeeded.
        (History().worker("PlanParts", PLANNED, "X", "States.Timeout"), "failed", "succeeded", 2, "States.Timeout"),
        (planning().fail("Missing").leave("PlanParts"), "failed", "caught", 0, "Missing"),
        (
            planning("TaskTimedOut", taskTimedOutEventDetails=LATE).leave("PlanParts"),
            "failed",
            "caught",
            0,
            LATE["error"],
        ),
        (
            planning("LambdaFunctionFailed", lambdaFunctionFailedEventDetails=BROKEN).leave("PlanParts"),
            "failed",
            "caught",
            0,
            "Boom",
        ),
        # A state that was not left has the status of its execution.
        (planning().fail("Missing"), "failed", "failed", 0, "Missing"),
        *((planning(), status, status, 0, None) for status in ("running", "aborted", "timed out")),
    ],
)
def test_a_state_has_a_status_its_retries_and_its_last_error(
    history: History, status: executions.Status, stands: str, retries: int, error: str | None
) -> None:
    [step] = read(history, status)
    assert (step.name, step.status, step.retries) == ("PlanParts", stands, retries)
    assert [call.event for call in step.calls] == [GIVEN] * (retries + 1)
    assert (step.fault and step.fault.error) == error


def test_a_failed_map_run_has_its_error_although_a_second_event_has_none() -> None:
    history = History().enter("FanOutParts", "Map")
    history.add("MapRunStarted", mapRunStartedEventDetails={"mapRunArn": RUN})
    history.add("MapRunFailed", mapRunFailedEventDetails={"error": "States.ItemReaderFailed"}).add("MapStateFailed")
    [step] = read(history.leave("FanOutParts", "Map"))
    assert (step.status, step.fault, step.map_run) == ("caught", executions.Fault("States.ItemReaderFailed", ""), RUN)


def test_a_history_is_read_page_by_page_until_aws_has_deleted_it(past: StepFunctions) -> None:
    history = History()
    for _ in range(300):
        history.direct("RecordRunning")
    arn = past.put("long", history)
    assert len(list(executions.history(arn))) == 1502
    assert past.made == ["GetExecutionHistory"] * 2
    with pytest.raises(Trouble, match=r"The history of gone is gone. AWS keeps an execution for 90 days"):
        list(executions.history(f"{EXECUTION}:gone"))


# ── attempts and parts ──────────────────────────────────────────────────────────────────────────────────────────────


# Up to three attempts in a row may have no execution, or more if the record has a later attempt.
@pytest.mark.parametrize(
    ("begun", "recorded", "latest"),
    [([1], 0, 1), ([1, 2, 3], 0, 3), ([2], 0, 2), ([1, 4], 0, 4), ([1, 9], 0, 1), ([1, 9], 10, 9)],
)
def test_the_latest_attempt_is_found(
    begun: list[int], recorded: int, latest: int, past: StepFunctions, cloud: Cloud
) -> None:
    for number in begun:
        past.put(f"{EXPORT_ID}-{number}", History())
    if recorded:
        cloud.write(running(attempt=recorded))
    assert executions.find(EXPORT_ID, None).number == latest
    past.made.clear()
    assert executions.find(EXPORT_ID, begun[0]).number == begun[0]
    assert past.made == ["DescribeExecution"]


def test_a_part_is_found_with_a_few_calls(past: StepFunctions) -> None:
    parts = list(range(1500))
    parts[700], parts[704] = 704, 700  # parts start nearly in order
    for place, number in enumerate(parts):
        past.child(place, part(number))
    found = executions.find_part(RUN, 700)
    assert (found and found.number) == 700
    assert past.made.count("GetExecutionHistory") < 10
    assert past.made.count("ListExecutions") == 2


def test_failed_parts_are_searched_first(past: StepFunctions) -> None:
    for place in range(29):
        past.child(place, part(place + (place > 1)))
    past.child(29, failing_part(2), "FAILED")
    found = executions.find_part(RUN, 2)
    assert (found and found.child.status) == "failed"
    assert past.made.count("GetExecutionHistory") == 1
    assert executions.find_part(RUN, 99) is None
