"""A pipe announces changes of a table on an event bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Cloud

FILTER = {
    "eventName": ["INSERT", "MODIFY"],
    "dynamodb": {
        "NewImage": {"status": {"S": ["SUCCEEDED", "FAILED"]}},
        "OldImage": {"status": {"S": [{"anything-but": ["SUCCEEDED", "FAILED"]}]}},
    },
}
TEMPLATE = """{
    "export": <$.dynamodb.NewImage.id.S>,
    "key": "<$.dynamodb.NewImage.id.S>/<$.dynamodb.NewImage.attempt.N>",
    "attempt": <$.dynamodb.NewImage.attempt.N>,
    "error": "<$.dynamodb.NewImage.error.S>"
}"""


@pytest.fixture
def announcing(patched: Cloud) -> Any:
    return announcer(patched)


def announcer(cloud: Cloud, allowed: str = "*") -> tuple[str, str]:
    """A table, a bus and, made by CloudFormation, the pipe between them; the table's name and a listening queue."""
    streaming = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    table = cloud.table(StreamSpecification=streaming)
    bus = f"bus-{table['TableName']}"
    arn = cloud.client("events").create_event_bus(Name=bus)["EventBusArn"]
    queue = cloud.heard_on(bus, {"source": ["report-exports"]})
    pipe = {
        "RoleArn": cloud.role([{"Effect": "Allow", "Action": ["dynamodb:*", f"events:{allowed}"], "Resource": "*"}]),
        "Source": table["LatestStreamArn"],
        "SourceParameters": {
            "DynamoDBStreamParameters": {"StartingPosition": "LATEST"},
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps(FILTER)}]},
        },
        "Target": arn,
        "TargetParameters": {
            "EventBridgeEventBusParameters": {
                "Source": "report-exports",
                "DetailType": "$.dynamodb.NewImage.announced.S",
            },
            "InputTemplate": TEMPLATE,
        },
    }
    template = {"Resources": {"Pipe": {"Type": "AWS::Pipes::Pipe", "Properties": pipe}}}
    stack = cloud.client("cloudformation")
    stack.create_stack(StackName=bus, TemplateBody=json.dumps(template))
    cloud.until(lambda: stack.describe_stacks(StackName=bus)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    return table["TableName"], queue


def write(cloud: Cloud, table: str, name: str, status: str, without: str = "") -> None:
    """Give an export a status."""
    item = {
        "id": {"S": name},
        "status": {"S": status},
        "attempt": {"N": "2"},
        "announced": {"S": f"Export {status}"},
        "error": {"S": ""},
    }
    item.pop(without, None)
    cloud.client("dynamodb").put_item(TableName=table, Item=item)


def test_stock_delivers_nothing_to_an_event_bus(stock: Cloud) -> None:
    table, queue = announcer(stock)
    write(stock, table, "first", "QUEUED")
    write(stock, table, "first", "SUCCEEDED")
    received = stock.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=2)
    assert received.get("Messages") is None


def test_what_passes_the_filter_is_announced_in_the_templates_shape(patched: Cloud, announcing: Any) -> None:
    table, queue = announcing
    for name, status in (
        ("first", "QUEUED"),
        ("first", "RUNNING"),
        ("first", "SUCCEEDED"),
        ("first", "SUCCEEDED"),
        ("inserted as such", "FAILED"),
        ("second", "QUEUED"),
        ("second", "FAILED"),
    ):
        write(patched, table, name, status)
    patched.client("dynamodb").delete_item(TableName=table, Key={"id": {"S": "first"}})
    first, second = patched.messages(queue, 2)
    assert first["source"] == "report-exports"
    assert first["detail-type"] == "Export SUCCEEDED"
    assert first["detail"] == {"export": "first", "key": "first/2", "attempt": "2", "error": ""}
    assert second["detail-type"] == "Export FAILED"
    assert second["detail"]["key"] == "second/2"
    assert patched.client("sqs").receive_message(QueueUrl=queue).get("Messages") is None


@pytest.mark.parametrize("missing", ["error", "announced"])
def test_a_change_that_lacks_what_the_pipe_reads_is_not_announced(
    patched: Cloud, announcing: Any, missing: str
) -> None:
    table, queue = announcing
    write(patched, table, "first", "QUEUED")
    write(patched, table, "first", "SUCCEEDED", without=missing)
    write(patched, table, "second", "QUEUED")
    write(patched, table, "second", "SUCCEEDED")
    (event,) = patched.messages(queue)
    assert event["detail"]["export"] == "second"


def test_a_pipe_whose_role_may_not_put_events_holds_them_back(patched: Cloud) -> None:
    table, queue = announcer(patched, allowed="DescribeEventBus")
    write(patched, table, "first", "QUEUED")
    write(patched, table, "first", "SUCCEEDED")
    received = patched.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    assert received.get("Messages") is None


def test_values_inside_quotes_are_not_escaped(patched: Cloud, announcing: Any) -> None:
    table, queue = announcing
    name = 'first", "forged": "yes'
    write(patched, table, name, "QUEUED")
    write(patched, table, name, "FAILED")
    (event,) = patched.messages(queue)
    assert event["detail"] == {"export": name, "key": "first", "forged": "yes/2", "attempt": "2", "error": ""}
