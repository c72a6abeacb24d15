"""A Distributed Map limits itself, fails early, hides its children's errors and writes their results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Cloud

WORKER = """
    import time

    class Broken(Exception):
        pass

    def handler(event, context):
        if event["item"].get("fail"):
            raise Broken("part %s" % event["item"]["n"])
        time.sleep(event["item"].get("seconds", 0))
        return event
"""


def fan_out(cloud: Cloud, items: Any, **fields: Any) -> dict[str, Any]:
    """A machine that reads items from S3 and gives each to a function; `bucket` is where they lie."""
    bucket = cloud.bucket({"items.json": items})
    parameters = {"Bucket.$": "$.bucket", "Key": "items.json"}
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": parameters,
    }
    payload = {
        "item.$": "$.item",
        "owner.$": "$.owner",
        "child.$": "$$.Execution.Name",
        "id.$": "$$.Execution.Id",
    }
    work = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": cloud.function(WORKER, Timeout=20), "Payload": payload},
        "OutputPath": "$.Payload",
        "End": True,
    }
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {
        "Type": "Map",
        "Label": "Parts",
        "ItemReader": reader,
        "ItemSelector": {"item.$": "$$.Map.Item.Value", "owner.$": "$.owner"},
        "ItemProcessor": {"ProcessorConfig": mode, "StartAt": "Work", "States": {"Work": work}},
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Caught"}],
        "End": True,
        **fields,
    }
    states = {"Fan": state, "Caught": {"Type": "Pass", "End": True}}
    definition = {"StartAt": "Fan", "States": states}
    machine = cloud.machine(definition)
    value = {"bucket": bucket, "owner": "acme#jo", "widest": 2}
    return {"machine": machine, "execution": cloud.start(machine, value), "bucket": bucket}


def map_run(cloud: Cloud, execution: str) -> dict[str, Any]:
    """The description of the execution's one Map Run."""
    client = cloud.client("stepfunctions")
    runs = cloud.until(lambda: client.list_map_runs(executionArn=execution)["mapRuns"])
    return dict(client.describe_map_run(mapRunArn=runs[0]["mapRunArn"]))


def children(cloud: Cloud, execution: str) -> list[dict[str, Any]]:
    """The descriptions of the child executions."""
    client = cloud.client("stepfunctions")
    listed = client.list_executions(mapRunArn=map_run(cloud, execution)["mapRunArn"])["executions"]
    return [client.describe_execution(executionArn=child["executionArn"]) for child in listed]


MANY = [{"n": 0, "fail": True}, *({"n": n, "seconds": 0.1} for n in range(1, 30))]


def test_stock_starts_every_child_whatever_failed(stock: Cloud) -> None:
    started = fan_out(stock, MANY, MaxConcurrency=2)
    stock.ended(started["execution"])
    assert map_run(stock, started["execution"])["executionCounts"]["succeeded"] == 29


def test_stock_ignores_the_result_writer(stock: Cloud) -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket.$": "$.bucket", "Prefix": "results"},
    }
    started = fan_out(stock, [{"n": 1}], ResultWriter=writer)
    assert isinstance(stock.ended(started["execution"])["output"], list)
    assert stock.client("s3").list_objects_v2(Bucket=started["bucket"])["KeyCount"] == 1


def test_stock_gives_a_child_its_parents_name_and_ignores_the_concurrency_path(stock: Cloud) -> None:
    started = fan_out(stock, [{"n": 1}], MaxConcurrencyPath="$.widest")
    ended = stock.ended(started["execution"])
    assert ended["output"][0]["child"] == ended["name"]
    assert map_run(stock, started["execution"])["maxConcurrency"] == 0


def test_every_item_is_a_child_execution_of_its_own(patched: Cloud) -> None:
    started = fan_out(patched, [{"n": n} for n in range(5)], MaxConcurrencyPath="$.widest")
    ended = patched.ended(started["execution"])
    assert [result["item"]["n"] for result in ended["output"]] == list(range(5))
    assert {result["owner"] for result in ended["output"]} == {"acme#jo"}
    run = map_run(patched, started["execution"])
    assert run["status"] == "SUCCEEDED"
    assert run["maxConcurrency"] == 2
    assert (run["executionCounts"]["succeeded"], run["itemCounts"]["total"]) == (5, 5)
    found = children(patched, started["execution"])
    assert sorted(child["name"] for child in found) == sorted(result["child"] for result in ended["output"])
    assert {result["id"] for result in ended["output"]} == {child["executionArn"] for child in found}
    assert all(child["stateMachineArn"] == f"{started['machine']}/Parts" for child in found)
    kinds = [event["type"] for event in patched.history(found[0]["executionArn"])]
    assert kinds[:3] == ["ExecutionStarted", "TaskStateEntered", "TaskScheduled"]
    assert kinds[-1] == "ExecutionSucceeded"


def test_the_machine_of_the_children_is_not_listed(patched: Cloud) -> None:
    started = fan_out(patched, [{"n": 1}])
    patched.ended(started["execution"])
    listed = patched.client("stepfunctions").list_state_machines(maxResults=1000)["stateMachines"]
    assert [one for one in listed if "/" in one["stateMachineArn"]] == []


def test_executions_of_one_machine_run_beside_each_other(patched: Cloud) -> None:
    first = fan_out(patched, [{"n": n, "seconds": 0.05} for n in range(8)], MaxConcurrency=2)
    value = {"bucket": first["bucket"], "owner": "acme#jo", "widest": 2}
    others = [patched.start(first["machine"], value) for _ in range(4)]
    ended = [patched.ended(execution) for execution in (first["execution"], *others)]
    assert [len(one["output"]) for one in ended] == [8] * 5


def test_no_items_are_no_children(patched: Cloud) -> None:
    started = fan_out(patched, [])
    ended = patched.ended(started["execution"])
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", [])
    assert map_run(patched, started["execution"])["executionCounts"]["total"] == 0


def test_a_failed_child_fails_the_map_and_the_others_do_not_start(patched: Cloud) -> None:
    started = fan_out(patched, MANY, MaxConcurrency=2)
    ended = patched.ended(started["execution"])
    assert ended["output"]["failure"]["Error"] == "States.ExceedToleratedFailureThreshold"
    assert "Broken" not in json.dumps(ended["output"])
    counts = map_run(patched, started["execution"])["executionCounts"]
    assert counts["failed"] == 1
    assert counts["succeeded"] < 5
    assert counts["aborted"] > 24
    assert counts["pending"] == counts["running"] == 0
    failed = [child for child in children(patched, started["execution"]) if child["status"] == "FAILED"]
    assert [child["error"] for child in failed] == ["Broken"]


def test_tolerated_failures_do_not_fail_the_map(patched: Cloud) -> None:
    items = [{"n": 0, "fail": True}, {"n": 1, "fail": True}, {"n": 2}, {"n": 3}]
    half = patched.ended(fan_out(patched, items, ToleratedFailurePercentage=50)["execution"])
    assert [type(result.get("item")) for result in half["output"]] == [type(None), type(None), dict, dict]
    two = patched.ended(fan_out(patched, items, ToleratedFailureCount=2)["execution"])
    assert two["output"][0]["Error"] == "Broken"
    one = patched.ended(fan_out(patched, items, ToleratedFailureCount=1)["execution"])
    assert one["output"]["failure"]["Error"] == "States.ExceedToleratedFailureThreshold"


def test_the_result_writer_writes_every_result_and_a_manifest(patched: Cloud) -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket.$": "$.bucket", "Prefix": "results"},
    }
    items = [{"n": 0, "fail": True}, {"n": 1}]
    started = fan_out(patched, items, ResultWriter=writer, ToleratedFailureCount=1)
    output = patched.ended(started["execution"])["output"]
    run = map_run(patched, started["execution"])
    assert set(output) == {"MapRunArn", "ResultWriterDetails"}
    assert output["MapRunArn"] == run["mapRunArn"]
    assert run["executionCounts"]["resultsWritten"] == 2
    key = output["ResultWriterDetails"]["Key"]
    assert key == f"results/{run['mapRunArn'].rsplit(':', 1)[-1]}/manifest.json"

    def read(name: str) -> Any:
        return json.loads(patched.client("s3").get_object(Bucket=started["bucket"], Key=name)["Body"].read())

    files = read(key)["ResultFiles"]
    succeeded, failed = read(files["SUCCEEDED"][0]["Key"]), read(files["FAILED"][0]["Key"])
    assert json.loads(succeeded[0]["Output"])["item"]["n"] == 1
    assert (failed[0]["Status"], failed[0]["Error"]) == ("FAILED", "Broken")


def test_items_that_cannot_be_read_are_an_item_reader_failure(patched: Cloud) -> None:
    no_array = patched.ended(fan_out(patched, {"a": 1})["execution"])
    assert no_array["output"]["failure"]["Error"] == "States.ItemReaderFailed"
    gone = {"Bucket.$": "$.bucket", "Key": "nothing.json"}
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": gone,
    }
    missing = patched.ended(fan_out(patched, [], ItemReader=reader)["execution"])
    assert missing["output"]["failure"]["Error"] == "States.ItemReaderFailed"


def test_stopping_the_parent_stops_its_children(patched: Cloud) -> None:
    started = fan_out(patched, [{"n": n, "seconds": 0.5} for n in range(20)], MaxConcurrency=2)
    patched.until(lambda: map_run(patched, started["execution"])["executionCounts"]["running"] == 2)
    patched.client("stepfunctions").stop_execution(executionArn=started["execution"])
    patched.until(lambda: map_run(patched, started["execution"])["status"] == "ABORTED")
    counts = map_run(patched, started["execution"])["executionCounts"]
    assert counts["running"] == counts["pending"] == counts["failed"] == 0
    assert counts["aborted"] + counts["succeeded"] == 20
    assert patched.ended(started["execution"])["status"] == "ABORTED"
