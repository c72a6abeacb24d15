"""States and executions end, fail, retry and catch as AWS documents."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.emulator.conftest import EVERYTHING, PASS, Cloud, catching, differs, flow, invoke, on_stock, task

ECHO = "handler = lambda event, context: event"
SLOW = "import time\nhandler = lambda event, context: time.sleep(2)"
LATE_ERROR = "import time\ndef handler(event, context):\n    time.sleep(0.5)\n    raise OSError"

# state_language


@differs(stock=("SUCCEEDED", ""), patched=("FAILED", "States.Runtime"))
def test_a_path_that_leads_nowhere_fails_the_execution_uncaught(cloud: Cloud, expected: tuple[str, str]) -> None:
    parameters = {"FunctionName": cloud.function(ECHO), "Payload.$": "$.absent"}
    read = task("lambda:invoke", parameters, **catching("States.ALL"))
    ended = cloud.run(flow(Read=read, Caught=PASS), {"present": 1})
    assert (ended["status"], ended.get("error", "")) == expected
    assert ("$.absent" in ended.get("cause", "")) is (ended["status"] == "FAILED")


@differs(stock=("SUCCEEDED", ""), patched=("FAILED", "States.DataLimitExceeded"))
def test_a_payload_over_the_limit_fails_the_execution_uncaught(cloud: Cloud, expected: tuple[str, str]) -> None:
    function = cloud.function("handler = lambda event, context: 'x' * 300_000")
    ended = cloud.run(flow(Ask=invoke(function, **catching("States.ALL")), Caught=PASS))
    assert (ended["status"], ended.get("error", "")) == expected


def seconds_between_attempts(cloud: Cloud, **retrier: Any) -> list[float]:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 10, "MaxAttempts": 2, **retrier}
    failing = cloud.function("def handler(event, context):\n    raise OSError")
    ended = cloud.run(flow(Ask=invoke(failing, Retry=[retry])))
    assert ended["status"] == "FAILED"
    events = cloud.history(ended["executionArn"])
    starts = [event["timestamp"] for event in events if event["type"] == "TaskScheduled"]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)]


@differs(stock=False, patched=True)
def test_the_longest_delay_bounds_the_backoff(cloud: Cloud, expected: bool) -> None:
    first, second = seconds_between_attempts(cloud, MaxDelaySeconds=1)
    assert first > 0.08
    # Without: 1 s * 10, a tenth of that because the emulator's clock runs ten times faster.
    assert expected is (0.08 < second < 0.9)


def test_jitter_waits_less_than_the_backoff(cloud: Cloud) -> None:
    waits = seconds_between_attempts(cloud, JitterStrategy="FULL", IntervalSeconds=4, BackoffRate=1, MaxAttempts=8)
    assert min(waits) < 0.36  # each is drawn between nothing and 0.4 s


@differs(stock=("FAILED", "ExecutionFailed"), patched=("ABORTED", "ExecutionAborted"))
def test_a_stopped_execution_stays_stopped(cloud: Cloud, expected: tuple[str, str]) -> None:
    failing = cloud.function(LATE_ERROR)
    execution = cloud.start(cloud.machine(flow(Ask=invoke(failing)), *EVERYTHING))
    cloud.until(lambda: "TaskScheduled" in [event["type"] for event in cloud.history(execution)])
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert cloud.logged(failing, "REPORT")
    assert (cloud.described(execution)["status"], cloud.history(execution)[-1]["type"]) == expected


@differs(stock=[None], patched=[{"part": 7, "null": None}])
def test_a_history_says_what_a_task_was_given(cloud: Cloud, expected: list[Any]) -> None:
    given = {"part.$": "$.part", "null.$": "$.nothing"}  # a path to null is null
    ended = cloud.run(flow(Ask=invoke(cloud.function(ECHO), given)), {"part": 7, "nothing": None})
    assert ended["output"]["Payload"] == {"part": 7, "null": None}
    events = [event.get("taskScheduledEventDetails") for event in cloud.history(ended["executionArn"])]
    assert [json.loads(details.get("parameters", "{}")).get("Payload") for details in events if details] == expected


def test_a_task_that_takes_too_long_is_a_timeout(cloud: Cloud) -> None:
    caught = catching("States.Timeout", ResultPath="$.failure")
    ended = cloud.run(flow(Ask=invoke(cloud.function(SLOW), TimeoutSeconds=1, **caught), Caught=PASS), {"kept": 1})
    assert ended["output"]["kept"] == 1
    assert ended["output"]["failure"]["Error"] == "States.Timeout"


def test_a_fail_state_takes_error_and_cause_from_its_input(cloud: Cloud) -> None:
    fail = {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "States.Format('{} again', $.cause)"}
    ended = cloud.run(flow(End=fail), {"error": "Own", "cause": "once"})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Own", "once again")


# machine_timeout


def late_machine(cloud: Cloud) -> tuple[str, str, str]:
    """A machine that takes twice as long as it may and then puts an item into a table; its function; the table."""
    table, slow = cloud.table()["TableName"], cloud.function(SLOW, Timeout=10)
    record = task("dynamodb:putItem", {"TableName": table, "Item": {"id": {"S": "recorded"}}})
    ask = invoke(slow, Retry=[{"ErrorEquals": ["States.ALL"]}], **catching("States.ALL"))
    ask["Next"] = "Caught"
    del ask["End"]
    return cloud.machine(flow(Ask=ask, Caught=record) | {"TimeoutSeconds": 1}, *EVERYTHING), slow, table


@on_stock
def test_stock_ignores_the_timeout(cloud: Cloud) -> None:
    machine, _, table = late_machine(cloud)
    assert cloud.ended(cloud.start(machine))["status"] == "SUCCEEDED"
    assert cloud.count(table) == 1


def test_an_execution_that_takes_too_long_ends_as_timed_out_and_nothing_follows(cloud: Cloud) -> None:
    machine, slow, table = late_machine(cloud)
    changes = cloud.heard_on("default", {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}})
    ended = cloud.ended(cloud.start(machine))
    assert (ended["status"], ended["error"]) == ("TIMED_OUT", "States.Timeout")
    assert 0.9 < (ended["stopDate"] - ended["startDate"]).total_seconds() < 1.8
    history = cloud.history(ended["executionArn"])
    assert history[-1]["type"] == "ExecutionTimedOut"
    assert [change["detail"]["status"] for change in cloud.messages(changes, 2)] == ["RUNNING", "TIMED_OUT"]
    assert cloud.logged(slow, "REPORT")  # the late task has answered
    assert cloud.history(ended["executionArn"]) == history
    assert cloud.described(ended["executionArn"])["status"] == "TIMED_OUT"
    assert cloud.count(table) == 0
