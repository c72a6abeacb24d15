"""Where moto's interpreter is put right: each of these fails when stock moto does the same, and the patch can go."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
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


CAUGHT = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage",
    "Parameters": {"QueueUrl.$": "$.nothing", "MessageBody": "x"},
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Ends"}],
    "End": True,
}
WRITES = map_of(CHILD_ENDS, ResultWriter=RESULT_WRITER)
HANDS_ON = {"Type": "Fail", "ErrorPath": "$.error"}
GAPS = {
    "a failed child fails its Map": (failed_child_fails_its_map, map_of(CHILD_FAILS), "SUCCEEDED", "FAILED"),
    "a ResultWriter reads its state's input": (result_writer_reads_the_states_input, WRITES, "FAILED", "SUCCEEDED"),
    "a Fail state hands on any error": (fail_state_takes_any_error, HANDS_ON, "States.Runtime", "States.Timeout"),
    "States.Runtime is never caught": (some_errors_are_never_caught, CAUGHT, "SUCCEEDED", "FAILED"),
}


@pytest.mark.parametrize("gap", GAPS)
def test_the_gap_is_still_there_and_is_closed(gap: str) -> None:
    patch, state, stock, right = GAPS[gap]
    assert stock in run(state)[0].values()
    found, keys = run(state, patch())
    assert right in found.values()
    assert [key.split("/")[0] for key in keys] == ["here"] * (state is WRITES)
    if state.get("ItemProcessor") is CHILD_FAILS:
        assert found["error"] == "States.ExceedToleratedFailureThreshold"
        assert "child" not in found["cause"]
