"""A state machine may do what its role allows, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import PASS, Cloud, differs, flow, item_processor, items_from, task

ACCOUNT = "us-east-1:000000000000"
ONE = {"id": {"S": "1"}}
DYNAMODB = "DynamoDB.AmazonDynamoDBException"


def integration(kind: str, cloud: Cloud) -> tuple[dict[str, Any], str, str]:
    """The parameters of a Task of this kind, the resource that it asks for, and the error if it may not."""
    if kind == "lambda:invoke":
        function = cloud.function("handler = lambda event, context: event")
        arn = f"arn:aws:lambda:{ACCOUNT}:function:{function}"
        return {"FunctionName": function, "Payload": {}}, arn, "Lambda.AWSLambdaException"
    if kind == "sqs:sendMessage":
        queue = cloud.queue()
        arn = f"arn:aws:sqs:{ACCOUNT}:{queue.rsplit('/', 1)[-1]}"
        return {"QueueUrl": queue, "MessageBody": "x"}, arn, "SQS.AmazonSQSException"
    if kind == "events:putEvents":
        entry = {"Source": "test", "DetailType": "test", "Detail": {}, "EventBusName": "default"}
        arn = f"arn:aws:events:{ACCOUNT}:event-bus/default"
        return {"Entries": [entry]}, arn, "EventBridge.AmazonEventBridgeException"
    if kind == "states:startExecution":
        other = cloud.machine(flow(End={"Type": "Succeed"}))
        return {"StateMachineArn": other, "Input": {}}, other, "StepFunctions.AWSStepFunctionsException"
    table = cloud.table()["TableName"]
    values = {"ExpressionAttributeValues": {":id": {"S": "1"}}}
    more: dict[str, Any] = {
        "dynamodb:putItem": {"Item": ONE},
        "dynamodb:getItem": {"Key": ONE},
        "dynamodb:updateItem": {"Key": ONE, "UpdateExpression": "SET done = :id", **values},
        "aws-sdk:dynamodb:query": {"KeyConditionExpression": "id = :id", **values},
    }
    error = "DynamoDb.DynamoDbException" if kind.startswith("aws-sdk") else DYNAMODB
    return {"TableName": table, **more[kind]}, f"arn:aws:dynamodb:{ACCOUNT}:table/{table}", error


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("lambda:invoke", "lambda:InvokeFunction"),
        ("dynamodb:putItem", "dynamodb:PutItem"),
        ("dynamodb:getItem", "dynamodb:GetItem"),
        ("dynamodb:updateItem", "dynamodb:UpdateItem"),
        ("aws-sdk:dynamodb:query", "dynamodb:Query"),
        ("sqs:sendMessage", "sqs:SendMessage"),
        ("events:putEvents", "events:PutEvents"),
        ("states:startExecution", "states:StartExecution"),
    ],
)
def test_an_integration_succeeds_only_on_the_resource_that_the_role_allows(
    cloud: Cloud, kind: str, action: str
) -> None:
    parameters, resource, error = integration(kind, cloud)
    definition, allowed = flow(Do=task(kind, parameters)), {"Effect": "Allow", "Action": action}
    assert cloud.run(definition, statements=[{**allowed, "Resource": resource}])["status"] == "SUCCEEDED"
    ended = cloud.run(definition, statements=[{**allowed, "Resource": f"{resource}-other"}])
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert f"is not authorized to perform: {action} on resource: {resource} because" in ended["cause"]
    assert ":assumed-role/role-" in ended["cause"]


@differs(stock=("SUCCEEDED", 1), patched=("FAILED", 0))
def test_a_write_that_the_role_does_not_allow_leaves_nothing_behind(cloud: Cloud, expected: tuple[str, int]) -> None:
    table = cloud.table()["TableName"]
    ended = cloud.run(flow(Do=task("dynamodb:putItem", {"TableName": table, "Item": ONE})), statements=[])
    assert (ended["status"], cloud.count(table)) == expected


def test_a_refused_condition_keeps_its_own_error(cloud: Cloud) -> None:
    item = {"TableName": cloud.table()["TableName"], "Item": ONE, "ConditionExpression": "attribute_exists(id)"}
    assert cloud.run(flow(Do=task("dynamodb:putItem", item)))["error"] == "DynamoDB.ConditionalCheckFailedException"


def test_a_map_starts_its_children_and_reads_its_items_with_the_role(cloud: Cloud) -> None:
    bucket = cloud.bucket({"items.json": [1]})
    fan_out = {"Type": "Map", "ItemReader": items_from(bucket), "ItemProcessor": item_processor(End=PASS), "End": True}
    definition = flow(Fan=fan_out)
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/items.json"}
    assert cloud.run(definition, statements=[start, read])["output"] == [1]
    assert cloud.run(definition, statements=[start])["error"] == "States.ItemReaderFailed"
    assert cloud.run(definition, statements=[read])["error"] == "States.Permissions"


# bucket_key


@differs(stock=True, patched=False)
def test_a_map_needs_the_key_of_its_bucket(cloud: Cloud, expected: bool) -> None:
    bucket, key = cloud.encrypted({"items.json": [1]})
    write = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    fan_out = {"Type": "Map", "ItemReader": items_from(bucket), "ItemProcessor": item_processor(End=PASS), "End": True}
    definition = flow(Fan=fan_out | {"ResultWriter": write})
    s3_and_states = {"Effect": "Allow", "Action": ["s3:*", "states:StartExecution"], "Resource": "*"}
    use = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": key}
    for action in use["Action"]:
        ran = cloud.run(definition, statements=[s3_and_states, use | {"Action": action}])
        assert (ran["status"] == "SUCCEEDED") is expected, ran
    assert cloud.run(definition, statements=[s3_and_states, use])["status"] == "SUCCEEDED"
