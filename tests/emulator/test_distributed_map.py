"""A Distributed Map limits itself, fails early, hides its children's errors and writes their results."""

from __future__ import annotations

import json
from typing import Any

from tests.emulator.conftest import (
    EVERYTHING,
    PASS,
    Cloud,
    catching,
    flow,
    invoke,
    item_processor,
    items_from,
    on_stock,
)

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
RESULTS = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket.$": "$.bucket", "Prefix": "results"}}
MANY = [{"n": 0, "fail": True}, *({"n": n, "seconds": 0.1} for n in range(1, 30))]


class FanOut:
    """An execution of a machine that reads items from S3 and gives each to a function."""

    def __init__(self, cloud: Cloud, items: Any, **fields: Any) -> None:
        self.cloud, self.bucket = cloud, cloud.bucket({"items.json": items})
        payload = {"item.$": "$.item", "owner.$": "$.owner", "child.$": "$$.Execution.Name", "id.$": "$$.Execution.Id"}
        work = invoke(cloud.function(WORKER, Timeout=20), payload, OutputPath="$.Payload")
        state = {
            "Type": "Map",
            "Label": "Parts",
            "ItemReader": items_from("$.bucket"),
            "ItemSelector": {"item.$": "$$.Map.Item.Value", "owner.$": "$.owner"},
            "ItemProcessor": item_processor(Work=work),
            "End": True,
            **catching("States.ALL", ResultPath="$.failure"),
            **fields,
        }
        self.machine = cloud.machine(flow(Fan=state, Caught=PASS), *EVERYTHING)
        self.execution = self.start()

    def start(self) -> str:
        """Starts an execution of the machine."""
        return self.cloud.start(self.machine, {"bucket": self.bucket, "owner": "acme#jo", "widest": 2})

    def ended(self) -> dict[str, Any]:
        """The execution's description once it has ended."""
        return self.cloud.ended(self.execution)

    def map_run(self) -> dict[str, Any]:
        """The description of the execution's one Map Run."""
        client = self.cloud.client("stepfunctions")
        runs = self.cloud.until(lambda: client.list_map_runs(executionArn=self.execution)["mapRuns"])
        return dict(client.describe_map_run(mapRunArn=runs[0]["mapRunArn"]))

    def counts(self) -> dict[str, int]:
        """The counts of the Map Run's child executions."""
        return dict(self.map_run()["executionCounts"])

    def children(self) -> list[dict[str, Any]]:
        """The descriptions of the child executions."""
        run = self.map_run()["mapRunArn"]
        listed = self.cloud.client("stepfunctions").list_executions(mapRunArn=run)["executions"]
        return [self.cloud.described(child["executionArn"]) for child in listed]


@on_stock
def test_stock_starts_every_child_names_them_like_their_parent_and_ignores_where_results_go(cloud: Cloud) -> None:
    failing = FanOut(cloud, MANY, MaxConcurrency=2)
    failing.ended()
    assert failing.counts()["succeeded"] == 29
    started = FanOut(cloud, [{"n": 1}], ResultWriter=RESULTS, MaxConcurrencyPath="$.widest")
    ended = started.ended()
    assert [result["child"] for result in ended["output"]] == [ended["name"]]
    assert cloud.keys(started.bucket) == ["items.json"]
    assert started.map_run()["maxConcurrency"] == 0


def test_every_item_is_a_child_execution_of_its_own(cloud: Cloud) -> None:
    assert FanOut(cloud, []).ended()["output"] == []
    started = FanOut(cloud, [{"n": n} for n in range(5)], MaxConcurrencyPath="$.widest")
    results, run, children = started.ended()["output"], started.map_run(), started.children()
    assert [result["item"]["n"] for result in results] == list(range(5))
    assert {result["owner"] for result in results} == {"acme#jo"}
    assert (run["status"], run["maxConcurrency"]) == ("SUCCEEDED", 2)
    assert (run["executionCounts"]["succeeded"], run["itemCounts"]["total"]) == (5, 5)
    assert sorted(child["name"] for child in children) == sorted(result["child"] for result in results)
    assert {child["executionArn"] for child in children} == {result["id"] for result in results}
    assert {child["stateMachineArn"] for child in children} == {f"{started.machine}/Parts"}
    kinds = [event["type"] for event in cloud.history(children[0]["executionArn"])]
    assert kinds[:3] == ["ExecutionStarted", "TaskStateEntered", "TaskScheduled"]
    assert kinds[-1] == "ExecutionSucceeded"
    listed = cloud.client("stepfunctions").list_state_machines(maxResults=1000)["stateMachines"]
    assert not [each for each in listed if "/" in each["stateMachineArn"]], "the machine of the children is not listed"


def test_executions_of_one_machine_run_beside_each_other(cloud: Cloud) -> None:
    first = FanOut(cloud, [{"n": n, "seconds": 0.05} for n in range(8)], MaxConcurrency=2)
    executions = [first.execution, *(first.start() for _ in range(4))]
    assert [len(cloud.ended(execution)["output"]) for execution in executions] == [8] * 5


def test_a_failed_child_fails_the_map_and_the_others_do_not_start(cloud: Cloud) -> None:
    started = FanOut(cloud, MANY, MaxConcurrency=2)
    output, counts = started.ended()["output"], started.counts()
    assert output["failure"]["Error"] == "States.ExceedToleratedFailureThreshold"
    assert "Broken" not in json.dumps(output)
    assert counts["failed"] == 1
    assert counts["succeeded"] < 5
    assert counts["aborted"] > 24
    assert counts["pending"] == counts["running"] == 0
    assert [child["error"] for child in started.children() if child["status"] == "FAILED"] == ["Broken"]


def test_tolerated_failures_do_not_fail_the_map(cloud: Cloud) -> None:
    items = [{"n": 0, "fail": True}, {"n": 1, "fail": True}, {"n": 2}, {"n": 3}]
    for tolerated in ({"ToleratedFailurePercentage": 50}, {"ToleratedFailureCount": 2}):
        results = FanOut(cloud, items, **tolerated).ended()["output"]
        assert [result.get("Error") for result in results] == ["Broken", "Broken", None, None]
        assert [result["item"]["n"] for result in results[2:]] == [2, 3]
    failed = FanOut(cloud, items, ToleratedFailureCount=1).ended()["output"]
    assert failed["failure"]["Error"] == "States.ExceedToleratedFailureThreshold"


def test_the_result_writer_writes_every_result_and_a_manifest(cloud: Cloud) -> None:
    items = [{"n": 0, "fail": True}, {"n": 1}]
    started = FanOut(cloud, items, ResultWriter=RESULTS, ToleratedFailureCount=1)
    output, run = started.ended()["output"], started.map_run()
    key = f"results/{run['mapRunArn'].rsplit(':', 1)[-1]}/manifest.json"
    written = {"Bucket": started.bucket, "Key": key}
    assert output == {"MapRunArn": run["mapRunArn"], "ResultWriterDetails": written}
    assert run["executionCounts"]["resultsWritten"] == 2

    def read(name: str) -> Any:
        return json.loads(cloud.client("s3").get_object(Bucket=started.bucket, Key=name)["Body"].read())

    files = read(key)["ResultFiles"]
    succeeded, failed = read(files["SUCCEEDED"][0]["Key"]), read(files["FAILED"][0]["Key"])
    assert json.loads(succeeded[0]["Output"])["item"]["n"] == 1
    assert (failed[0]["Status"], failed[0]["Error"]) == ("FAILED", "Broken")


def test_items_that_cannot_be_read_are_an_item_reader_failure(cloud: Cloud) -> None:
    missing = items_from("$.bucket", "nothing.json")
    for started in (FanOut(cloud, {"a": 1}), FanOut(cloud, [], ItemReader=missing)):
        assert started.ended()["output"]["failure"]["Error"] == "States.ItemReaderFailed"


def test_stopping_the_parent_stops_its_children(cloud: Cloud) -> None:
    started = FanOut(cloud, [{"n": n, "seconds": 0.5} for n in range(20)], MaxConcurrency=2)
    cloud.until(lambda: started.counts()["running"] == 2)
    cloud.client("stepfunctions").stop_execution(executionArn=started.execution)
    cloud.until(lambda: started.map_run()["status"] == "ABORTED")
    counts = started.counts()
    assert counts["running"] == counts["pending"] == counts["failed"] == 0
    assert counts["aborted"] + counts["succeeded"] == 20
    assert started.ended()["status"] == "ABORTED"
