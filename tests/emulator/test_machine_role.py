"""A state machine may do what its role allows, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Cloud

ACCOUNT = "us-east-1:000000000000"


def single(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A machine of one Task."""
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True}
    return {"StartAt": "Do", "States": {"Do": {**task, **more}}}


def integrations(cloud: Cloud) -> dict[str, tuple[dict[str, Any], str, str, str]]:
    """Every kind of integration: its machine, the action, resource and error."""
    table, queue = cloud.table()["TableName"], cloud.queue()
    function = cloud.function("handler = lambda event, context: event")
    other = cloud.machine({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    key = {"TableName": table, "Key": {"id": {"S": "1"}}}
    entry = {"Source": "test", "DetailType": "test", "Detail": {}, "EventBusName": "default"}
    update = {"UpdateExpression": "SET done = :yes", "ExpressionAttributeValues": {":yes": {"BOOL": True}}}
    table_arn = f"arn:aws:dynamodb:{ACCOUNT}:table/{table}"
    queue_arn = f"arn:aws:sqs:{ACCOUNT}:{queue.rsplit('/', 1)[-1]}"
    dynamodb = "DynamoDB.AmazonDynamoDBException"
    condition = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "1"}}}
    query = {"TableName": table, **condition}
    put = single("dynamodb:putItem", {"TableName": table, "Item": {"id": {"S": "1"}}})
    return {
        "invoke": (
            single("lambda:invoke", {"FunctionName": function, "Payload": {}}),
            "lambda:InvokeFunction",
            f"arn:aws:lambda:{ACCOUNT}:function:{function}",
            "Lambda.AWSLambdaException",
        ),
        "put": (put, "dynamodb:PutItem", table_arn, dynamodb),
        "get": (single("dynamodb:getItem", key), "dynamodb:GetItem", table_arn, dynamodb),
        "update": (
            single("dynamodb:updateItem", {**key, **update}),
            "dynamodb:UpdateItem",
            table_arn,
            dynamodb,
        ),
        "send": (
            single("sqs:sendMessage", {"QueueUrl": queue, "MessageBody": "x"}),
            "sqs:SendMessage",
            queue_arn,
            "SQS.AmazonSQSException",
        ),
        "announce": (
            single("events:putEvents", {"Entries": [entry]}),
            "events:PutEvents",
            f"arn:aws:events:{ACCOUNT}:event-bus/default",
            "EventBridge.AmazonEventBridgeException",
        ),
        "start": (
            single("states:startExecution", {"StateMachineArn": other, "Input": {}}),
            "states:StartExecution",
            other,
            "StepFunctions.AWSStepFunctionsException",
        ),
        "query": (
            single("aws-sdk:dynamodb:query", query),
            "dynamodb:Query",
            table_arn,
            "DynamoDb.DynamoDbException",
        ),
    }


@pytest.fixture(scope="session")
def checked(patched: Cloud) -> dict[str, Any]:
    return integrations(patched)


KINDS = ("invoke", "put", "get", "update", "send", "announce", "start", "query")


def test_stock_lets_a_machine_without_permissions_write(stock: Cloud) -> None:
    table = stock.table()["TableName"]
    put = single("dynamodb:putItem", {"TableName": table, "Item": {"id": {"S": "1"}}})
    assert stock.run(put, statements=[])["status"] == "SUCCEEDED"
    assert stock.client("dynamodb").scan(TableName=table)["Count"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_integration_the_role_does_not_allow_fails_as_on_aws(patched: Cloud, checked: Any, kind: str) -> None:
    definition, action, resource, error = checked[kind]
    ended = patched.run(definition, statements=[{"Effect": "Allow", "Action": action, "Resource": f"{resource}-other"}])
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert f"is not authorized to perform: {action} on resource: {resource} because" in ended["cause"]
    assert ":assumed-role/role-" in ended["cause"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_integration_the_role_allows_succeeds(patched: Cloud, checked: Any, kind: str) -> None:
    definition, action, resource, _ = checked[kind]
    ended = patched.run(definition, statements=[{"Effect": "Allow", "Action": action, "Resource": resource}])
    assert ended["status"] == "SUCCEEDED"


def test_a_refused_write_leaves_nothing_behind(patched: Cloud) -> None:
    table = patched.table()["TableName"]
    put = single("dynamodb:putItem", {"TableName": table, "Item": {"id": {"S": "1"}}})
    assert patched.run(put, statements=[])["status"] == "FAILED"
    assert patched.client("dynamodb").scan(TableName=table)["Count"] == 0


def test_a_refused_condition_keeps_its_own_error(patched: Cloud) -> None:
    item = {"TableName": patched.table()["TableName"], "Item": {"id": {"S": "1"}}}
    put = single("dynamodb:putItem", {**item, "ConditionExpression": "attribute_exists(id)"})
    assert patched.run(put)["error"] == "DynamoDB.ConditionalCheckFailedException"


def test_a_map_reads_its_items_with_the_role(patched: Cloud) -> None:
    bucket = patched.bucket({"items.json": [1]})
    parameters = {"Bucket": bucket, "Key": "items.json"}
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": parameters,
    }
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "End"}
    states = {"End": {"Type": "Pass", "End": True}}
    fan_out = {
        "Type": "Map",
        "ItemReader": reader,
        "ItemProcessor": {**processor, "States": states},
        "End": True,
    }
    definition = {"StartAt": "Fan", "States": {"Fan": fan_out}}
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/items.json"}
    assert patched.run(definition, statements=[start, read])["output"] == [1]
    assert patched.run(definition, statements=[start])["error"] == "States.ItemReaderFailed"
    assert patched.run(definition, statements=[read])["error"] == "States.Permissions"
