"""States end, fail, retry and catch as AWS documents."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Cloud

FAILING = """
    class Unlucky(Exception):
        pass

    def handler(event, context):
        raise Unlucky("again")
"""


def invoke(function: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    """A Task state that invokes a function."""
    parameters = {"FunctionName": function, "Payload": {} if payload is None else payload}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "End": True,
        **more,
    }


def missing_path_caught_by_all(cloud: Cloud) -> dict[str, Any]:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    parameters = {
        "FunctionName": cloud.function("handler = lambda event, context: event"),
        "Payload.$": "$.absent",
    }
    read = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "Catch": catch,
    }
    states = {"Read": {**read, "End": True}, "Caught": {"Type": "Pass", "End": True}}
    return cloud.run({"StartAt": "Read", "States": states}, {"present": 1})


def too_much_caught_by_all(cloud: Cloud) -> dict[str, Any]:
    function = cloud.function("handler = lambda event, context: 'x' * 300_000")
    task = invoke(function, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}])
    return cloud.run({"StartAt": "Ask", "States": {"Ask": task, "Caught": {"Type": "Pass", "End": True}}})


def seconds_between_attempts(cloud: Cloud, **retrier: Any) -> list[float]:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 5, "MaxAttempts": 2, **retrier}]
    task = invoke(cloud.function(FAILING), Retry=retry)
    ended = cloud.run({"StartAt": "Ask", "States": {"Ask": task}})
    assert ended["status"] == "FAILED"
    events = cloud.history(ended["executionArn"])
    starts = [event["timestamp"] for event in events if event["type"] == "TaskScheduled"]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)]


def stopped_while_a_task_fails(cloud: Cloud) -> tuple[str, list[str]]:
    task = invoke(cloud.function("import time\ndef handler(event, context):\n    time.sleep(0.5)\n    raise OSError"))
    execution = cloud.start(cloud.machine({"StartAt": "Ask", "States": {"Ask": task}}))
    scheduled = "TaskScheduled"
    cloud.until(lambda: scheduled in [event["type"] for event in cloud.history(execution)])
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    name = task["Parameters"]["FunctionName"]
    logged = {"logGroupName": f"/aws/lambda/{name}", "filterPattern": "REPORT"}
    groups = cloud.client("logs").describe_log_groups
    cloud.until(lambda: groups(logGroupNamePrefix=logged["logGroupName"])["logGroups"])
    cloud.until(lambda: cloud.client("logs").filter_log_events(**logged)["events"])
    quiet = cloud.client("stepfunctions").describe_execution(executionArn=execution)["status"]
    return quiet, [event["type"] for event in cloud.history(execution)]


def test_stock_reads_null_where_nothing_is(stock: Cloud) -> None:
    assert missing_path_caught_by_all(stock)["status"] == "SUCCEEDED"


def test_a_path_that_leads_nowhere_fails_the_execution_uncaught(patched: Cloud) -> None:
    ended = missing_path_caught_by_all(patched)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "$.absent" in ended["cause"]


def test_stock_has_no_payload_limit(stock: Cloud) -> None:
    assert len(too_much_caught_by_all(stock)["output"]["Payload"]) == 300_000


def test_a_payload_over_the_limit_fails_the_execution_uncaught(patched: Cloud) -> None:
    ended = too_much_caught_by_all(patched)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_stock_ignores_the_longest_delay(stock: Cloud) -> None:
    _, second = seconds_between_attempts(stock, MaxDelaySeconds=2)
    assert second > 0.9  # 2 s * 5, a tenth of that because the emulator's clock runs ten times faster


def test_the_longest_delay_bounds_the_backoff(patched: Cloud) -> None:
    first, second = seconds_between_attempts(patched, MaxDelaySeconds=2)
    assert 0.15 < first < 0.8
    assert 0.15 < second < 0.8


def test_jitter_waits_less_than_the_backoff(patched: Cloud) -> None:
    waits = seconds_between_attempts(patched, JitterStrategy="FULL", IntervalSeconds=4, BackoffRate=1, MaxAttempts=8)
    assert min(waits) < 0.36  # each is drawn between nothing and 0.4 s


def test_stock_turns_a_stopped_execution_into_a_failed_one(stock: Cloud) -> None:
    execution = stopped_while_a_task_fails(stock)
    assert execution[1][-1] == "ExecutionFailed"


def test_a_stopped_execution_stays_stopped(patched: Cloud) -> None:
    status, events = stopped_while_a_task_fails(patched)
    assert status == "ABORTED"
    assert events[-1] == "ExecutionAborted"


def test_a_task_that_takes_too_long_is_a_timeout(patched: Cloud) -> None:
    slow = patched.function("import time\ndef handler(event, context):\n    time.sleep(2)", Timeout=10)
    catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.failure", "Next": "Late"}]
    states = {"Ask": invoke(slow, TimeoutSeconds=1, Catch=catch), "Late": {"Type": "Pass", "End": True}}
    ended = patched.run({"StartAt": "Ask", "States": states}, {"kept": 1})
    assert ended["output"]["kept"] == 1
    assert ended["output"]["failure"]["Error"] == "States.Timeout"


def test_what_the_workflow_reads_and_writes_is_where_aws_puts_it(patched: Cloud) -> None:
    echo = patched.function("handler = lambda event, context: {'heard': event}")
    payload = {
        "name.$": "$$.Execution.Name",
        "id.$": "$$.Execution.Id",
        "started.$": "$$.Execution.StartTime",
        "state.$": "$$.State.Name",
        "entered.$": "$$.State.EnteredTime",
        "text.$": "States.Format('{}/{}', $.owner, $.count)",
        "json.$": "States.JsonToString($.nested)",
        "null.$": "$.nothing",
    }
    task = invoke(echo, payload, ResultSelector={"all.$": "$.Payload.heard"}, ResultPath="$.result")
    value = {"owner": "a#b", "count": 3, "nested": {"k": [1, None]}, "nothing": None}
    ended = patched.run({"StartAt": "Ask", "States": {"Ask": task}}, value)
    heard = ended["output"].pop("result")["all"]
    assert ended["output"] == value
    assert heard["id"] == ended["executionArn"]
    assert heard["name"] == ended["name"]
    assert heard["state"] == "Ask"
    assert heard["started"] <= heard["entered"]
    assert (heard["text"], heard["json"], heard["null"]) == ("a#b/3", '{"k":[1,null]}', None)


def test_a_fail_state_takes_error_and_cause_from_its_input(patched: Cloud) -> None:
    fail = {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "States.Format('{} again', $.cause)"}
    ended = patched.run({"StartAt": "End", "States": {"End": fail}}, {"error": "Own", "cause": "once"})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Own", "once again")


def test_a_choice_can_ask_whether_a_field_is_there(patched: Cloud) -> None:
    def chosen(value: Any) -> str:
        rule = {"And": [{"Variable": "$.a.b", "IsPresent": True}, {"Variable": "$.a.b", "StringEquals": "x"}]}
        choice = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}
        states = {
            "Ask": choice,
            **{name: {"Type": "Pass", "Result": name, "End": True} for name in ("Yes", "No")},
        }
        return str(patched.run({"StartAt": "Ask", "States": states}, value)["output"])

    assert chosen({"a": {"b": "x"}}) == "Yes"
    assert chosen({"a": {}}) == "No"
    assert chosen({"other": 1}) == "No"


def what_a_task_was_given(cloud: Cloud) -> list[Any]:
    function = cloud.function("handler = lambda event, context: event")
    payload = {"part.$": "$.part"}
    ended = cloud.run({"StartAt": "Ask", "States": {"Ask": invoke(function, payload)}}, {"part": 7})
    events = [event.get("taskScheduledEventDetails") for event in cloud.history(ended["executionArn"])]
    return [json.loads(details.get("parameters", "{}")).get("Payload") for details in events if details]


def test_a_history_says_what_a_task_was_given(stock: Cloud, patched: Cloud) -> None:
    assert what_a_task_was_given(stock) == [None]
    assert what_a_task_was_given(patched) == [{"part": 7}]
