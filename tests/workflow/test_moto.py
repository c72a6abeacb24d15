"""Where moto's interpreter is put right: each of these fails when stock moto does the same, and the patch can go."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3
from moto import mock_aws

from tests.support.moto_machine import (
    REGION,
    fail_state_takes_any_error,
    failed_child_fails_its_map,
    result_writer_reads_the_states_input,
    settle,
    some_errors_are_never_caught,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CHILD_FAILS = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Fails",
    "States": {"Fails": {"Type": "Fail", "Error": "SourceChanged", "Cause": "of the child"}},
}
CHILD_ENDS = CHILD_FAILS | {"StartAt": "Ends", "States": {"Ends": {"Type": "Succeed"}}}
RESULT_WRITER = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": "results", "Prefix.$": "$.prefix"},
}


def run(state: dict[str, Any], patch: AbstractContextManager[None] | None = None) -> tuple[dict[str, Any], list[str]]:
    """How an execution of one state ended, and the keys that it wrote."""
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}), patch or contextlib.nullcontext():
        machines, s3 = (boto3.client(service, region_name=REGION) for service in ("stepfunctions", "s3"))
        s3.create_bucket(Bucket="results")
        definition = {"StartAt": "State", "States": {"State": state, "Ends": {"Type": "Succeed"}}}
        role = "arn:aws:iam::123456789012:role/test"
        machine = machines.create_state_machine(name="test", definition=json.dumps(definition), roleArn=role)
        given = json.dumps({"items": [1, 2], "prefix": "here", "error": "States.Timeout"})
        arn = machines.start_execution(stateMachineArn=machine["stateMachineArn"], input=given)["executionArn"]
        settle()
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="results").get("Contents", [])]
        return machines.describe_execution(executionArn=arn), keys


def map_of(child: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"Type": "Map", "Label": "Parts", "ItemsPath": "$.items", "ItemProcessor": child, "End": True} | more


def test_stock_moto_takes_no_notice_of_a_failed_child() -> None:
    assert run(map_of(CHILD_FAILS))[0]["status"] == "SUCCEEDED"


def test_a_failed_child_fails_its_map_and_does_not_say_why() -> None:
    found, _ = run(map_of(CHILD_FAILS), failed_child_fails_its_map())
    assert (found["status"], found["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert "child" not in found["cause"]


def test_stock_moto_looks_for_a_result_writers_paths_in_the_results() -> None:
    found, keys = run(map_of(CHILD_ENDS, ResultWriter=RESULT_WRITER))
    assert (found["status"], keys) == ("FAILED", [])


def test_a_result_writer_reads_the_states_input() -> None:
    found, keys = run(map_of(CHILD_ENDS, ResultWriter=RESULT_WRITER), result_writer_reads_the_states_input())
    assert found["status"] == "SUCCEEDED"
    assert [key.split("/")[0] for key in keys] == ["here"]


def test_stock_moto_refuses_to_hand_on_an_error_of_step_functions() -> None:
    assert run({"Type": "Fail", "ErrorPath": "$.error"})[0]["error"] == "States.Runtime"


def test_a_fail_state_hands_on_any_error() -> None:
    assert run({"Type": "Fail", "ErrorPath": "$.error"}, fail_state_takes_any_error())[0]["error"] == "States.Timeout"


CAUGHT = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage",
    "Parameters": {"QueueUrl.$": "$.nothing", "MessageBody": "x"},
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Ends"}],
    "End": True,
}


def test_stock_moto_catches_what_aws_does_not_let_be_caught() -> None:
    assert run(CAUGHT)[0]["status"] == "SUCCEEDED"


def test_what_cannot_be_caught_ends_the_execution() -> None:
    assert run(CAUGHT, some_errors_are_never_caught())[0]["status"] == "FAILED"
