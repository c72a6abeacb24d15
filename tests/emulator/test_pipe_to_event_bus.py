"""A pipe announces changes of a table on an event bus."""

from __future__ import annotations

import json

from tests.emulator.conftest import Cloud, on_stock, unique

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


class Announced:
    """A table, a bus with a queue that listens to it, and the pipe between table and bus."""

    def __init__(self, cloud: Cloud, allowed: str = "PutEvents") -> None:
        self.cloud, bus = cloud, unique("bus")
        table = cloud.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
        self.table, arn = table["TableName"], cloud.client("events").create_event_bus(Name=bus)["EventBusArn"]
        self.queue = cloud.heard_on(bus, {"source": ["report-exports"]})
        announced = {"Source": "report-exports", "DetailType": "$.dynamodb.NewImage.announced.S"}
        pipe = {
            "RoleArn": cloud.role({"Effect": "Allow", "Action": ["dynamodb:*", f"events:{allowed}"], "Resource": "*"}),
            "Source": table["LatestStreamArn"],
            "SourceParameters": {
                "DynamoDBStreamParameters": {"StartingPosition": "LATEST"},
                "FilterCriteria": {"Filters": [{"Pattern": json.dumps(FILTER)}]},
            },
            "Target": arn,
            "TargetParameters": {"EventBridgeEventBusParameters": announced, "InputTemplate": TEMPLATE},
        }
        cloud.stack({"Resources": {"Pipe": {"Type": "AWS::Pipes::Pipe", "Properties": pipe}}}, "Pipe")

    def write(self, name: str, *statuses: str, without: str = "") -> None:
        """Gives an export one status after the other."""
        for status in statuses:
            item = {"id": name, "status": status, "announced": f"Export {status}", "error": ""}
            typed = {"attempt": {"N": "2"}} | {key: {"S": text} for key, text in item.items() if key != without}
            self.cloud.client("dynamodb").put_item(TableName=self.table, Item=typed)


def test_a_change_that_passes_the_filter_is_announced_in_the_templates_shape(cloud: Cloud) -> None:
    announced = Announced(cloud)
    announced.write("first", "QUEUED", "RUNNING", "SUCCEEDED", "SUCCEEDED")
    announced.write("inserted as such", "FAILED")
    announced.write("second", "QUEUED", "FAILED")
    cloud.client("dynamodb").delete_item(TableName=announced.table, Key={"id": {"S": "first"}})
    first, second = cloud.messages(announced.queue, 2)
    assert (first["source"], first["detail-type"]) == ("report-exports", "Export SUCCEEDED")
    assert first["detail"] == {"export": "first", "key": "first/2", "attempt": "2", "error": ""}
    assert (second["detail-type"], second["detail"]["key"]) == ("Export FAILED", "second/2")
    assert cloud.received(announced.queue) == []


@on_stock
def test_stock_delivers_nothing_to_an_event_bus(cloud: Cloud) -> None:
    announced = Announced(cloud)
    announced.write("first", "QUEUED", "SUCCEEDED")
    assert cloud.received(announced.queue, WaitTimeSeconds=2) == []


def test_a_pipe_whose_role_may_not_put_events_holds_them_back(cloud: Cloud) -> None:
    announced = Announced(cloud, allowed="DescribeEventBus")
    announced.write("first", "QUEUED", "SUCCEEDED")
    assert cloud.received(announced.queue, WaitTimeSeconds=1) == []


def test_a_change_that_lacks_what_the_pipe_reads_is_not_announced_and_values_inside_quotes_are_not_escaped(
    cloud: Cloud,
) -> None:
    announced, name = Announced(cloud), 'third", "forged": "yes'
    announced.write("first", "QUEUED", "SUCCEEDED", without="error")
    announced.write("second", "QUEUED", "SUCCEEDED", without="announced")
    announced.write(name, "QUEUED", "FAILED")
    (event,) = cloud.messages(announced.queue)
    assert event["detail"] == {"export": name, "key": "third", "forged": "yes/2", "attempt": "2", "error": ""}
