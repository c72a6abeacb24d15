"""The dashboard shows what there is: each function, queue and alarm, and no metric that nobody publishes."""

import json
import re
from collections import defaultdict
from functools import cache
from typing import Any

import pytest

from benchmarks import cost
from tests.support.edges import definition
from tests.unit.support import FUNCTIONS, ROOT, functions, template

HERE = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AWS::StackName": "mine"}
HERE["QueryMemory"] = str(template()["Parameters"]["QueryMemory"]["Default"])
RESOURCES = template()["Resources"]
PUBLISHED: dict[tuple[str, tuple[str, ...]], set[str]] = {
    # "Working with AWS Lambda function metrics", Lambda developer guide
    ("AWS/Lambda", ("FunctionName",)): {"Duration", "Errors", "Invocations", "Throttles"},
    # "Amazon API Gateway dimensions and metrics", API Gateway developer guide
    ("AWS/ApiGateway", ("ApiName", "Stage")): {"4XXError", "5XXError", "Count", "Latency"},
    # "Monitoring Step Functions metrics using Amazon CloudWatch", Step Functions developer guide
    ("AWS/States", ("StateMachineArn",)): {
        *("ExecutionTime", "ExecutionsFailed", "ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsTimedOut"),
    },
    # "Available CloudWatch metrics for Amazon SQS", SQS developer guide
    ("AWS/SQS", ("QueueName",)): {"ApproximateNumberOfMessagesVisible"},
}
"""The metrics that exist, by namespace and dimensions."""
# Powertools: the namespace and the service of Globals. The metrics of a file have the dimensions that the file adds.
for file in FUNCTIONS.rglob("*.py"):
    code = file.read_text("utf-8")
    if names := {*re.findall(r'add_metric\(name="(\w+)"', code)}:
        dimensions = (*re.findall(r'add_dimension\(name="(\w+)"', code), "service")
        PUBLISHED.setdefault(("ReportExports", dimensions), set()).update(names)


def text(value: Any, *, mail: bool = True) -> str:
    """What CloudFormation makes of a text, in a stack that sends mail or does not."""
    match value:
        case {"Fn::If": ["SendsMail", yes, no]}:
            return text(yes if mail else no)
        case {"Fn::Sub": [written, variables]}:
            known = HERE | {name: text(each, mail=mail) for name, each in variables.items()}
            return re.sub(r"\$\{([\w:]+)\}", lambda match: known[match[1]], written)
        case {"Fn::Sub": written}:
            return text({"Fn::Sub": [written, {}]})
    return str(value)


def widgets(*, mail: bool = True) -> list[dict[str, Any]]:
    body = RESOURCES["StackDashboard"]["Properties"]["DashboardBody"]
    return json.loads(text(body, mail=mail))["widgets"]  # type: ignore[no-any-return]


def rows(widget: dict[str, Any]) -> list[list[Any]]:
    """The rows of a widget's metrics, with ``...`` written out."""
    found: list[list[Any]] = []
    for row in widget["properties"].get("metrics", []):
        names = [each for each in row if isinstance(each, str)]
        options = [each for each in row if isinstance(each, dict)]
        if names and names[0] == "...":
            before = [each for each in found[-1] if isinstance(each, str)]
            names = before[: 1 - len(names)] + names[1:]
        found.append([*names, *options])
    return found


@cache
def shown() -> dict[tuple[str, str, tuple[str, ...]], set[tuple[str, ...]]]:
    """The values of the dimensions of each metric: ``{(namespace, metric, dimensions): {values, …}}``."""
    found = defaultdict(set)
    for row in (row for widget in widgets() for row in rows(widget)):
        namespace, metric, *dimensions = [each for each in row if isinstance(each, str)] or ("", "")
        if namespace:
            found[namespace, metric, tuple(dimensions[::2])].add(tuple(dimensions[1::2]))
    return dict(found)


def test_each_metric_and_its_dimensions_exist() -> None:
    assert {(namespace, dimensions) for namespace, _, dimensions in shown()} == PUBLISHED.keys()
    for namespace, metric, dimensions in shown():
        assert metric in PUBLISHED[namespace, dimensions], (namespace, metric)


@pytest.mark.parametrize("metric", ["Errors", "Throttles", "Duration"])
def test_each_function_is_shown(metric: str) -> None:
    names = {(text(function["FunctionName"]),) for function in functions().values()}
    assert shown()["AWS/Lambda", metric, ("FunctionName",)] == names


def test_each_queue_is_shown() -> None:
    queues = [each["Properties"] for each in RESOURCES.values() if each["Type"] == "AWS::SQS::Queue"]
    names = {(text(queue["QueueName"]),) for queue in queues}
    assert shown()["AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)] == names


@pytest.mark.parametrize("mail", [True, False])
def test_each_alarm_of_the_stack_is_shown(mail: bool) -> None:
    alarms = [each for each in RESOURCES.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    there = {text(each["Properties"]["AlarmName"]) for each in alarms if mail or "Condition" not in each}
    (listed,) = [each["properties"]["alarms"] for each in widgets(mail=mail) if each["type"] == "alarm"]
    assert sorted(listed) == sorted(f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}" for name in there)


def test_the_api_and_the_state_machine_are_those_of_the_stack() -> None:
    api = {values for (namespace, _, _), each in shown().items() if namespace == "AWS/ApiGateway" for values in each}
    assert api == {(text(RESOURCES["Api"]["Properties"]["Name"]), RESOURCES["Api"]["Properties"]["StageName"])}
    machines = {values for (namespace, _, _), each in shown().items() if namespace == "AWS/States" for values in each}
    name = text(RESOURCES["ReportExport"]["Properties"]["Name"])
    assert machines == {(f"arn:aws:states:eu-west-1:123456789012:stateMachine:{name}",)}


def test_each_metric_of_our_own_is_shown() -> None:
    ours = {key: metrics for key, metrics in PUBLISHED.items() if key[0] == "ReportExports"}
    assert {key for key in shown() if key[0] == "ReportExports"} == {
        (namespace, metric, dimensions) for (namespace, dimensions), metrics in ours.items() for metric in metrics
    }
    names = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert names["POWERTOOLS_METRICS_NAMESPACE"] == "ReportExports"
    assert {values[-1] for key, each in shown().items() if key[0] == "ReportExports" for values in each} == {
        names["POWERTOOLS_SERVICE_NAME"]
    }


def test_the_page_counts_our_metrics_as_cloudwatch_bills_them_once_for_each_value_of_a_dimension() -> None:
    series = [each for key, values in shown().items() if key[0] == "ReportExports" for each in values]
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert f"| metrics | {len(series)} of our own" in operations


def test_the_cost_counts_each_function_with_its_memory_and_the_prices_of_the_benchmarks() -> None:
    widget = widgets()[-1]
    counted = {row[3]: row[4]["id"] for row in rows(widget) if row[1:2] == ["Duration"]}
    default = template()["Globals"]["Function"]["MemorySize"]
    sizes = {text(each["FunctionName"]): each.get("MemorySize", default) for each in functions().values()}
    memory = {name: "query" if size == {"Ref": "QueryMemory"} else size for name, size in sizes.items()}
    assert {name: f"mb{size}" for name, size in memory.items()} == {
        name: number.partition("_")[0] for name, number in counted.items()
    }
    assert len({*counted.values()}) == len(counted)
    durations, transitions = (row[0]["expression"] for row in rows(widget) if isinstance(row[0], dict))
    assert durations.startswith(f"{cost.PRICES['lambda x86'].dollars:.10f} / 1000 * ")
    for size in memory.values():
        factor = template()["Parameters"]["QueryMemory"]["Default"] if size == "query" else size
        assert f'SUM(FILL(METRICS("mb{size}_"), 0)) * {factor}' in durations
    assert transitions.startswith(f"{cost.PRICES['transition'].dollars:f} * ")
    states = len(states_of_a_success())
    # A child has two: its start ("Transitions in Distributed Map state"), and GeneratePart.
    assert f"FILL(started, 0) * {states} + FILL(children, 0) * 2" in transitions, f"a success has {states} states"
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8")
    said = f"{states + 2} transitions an export ({states} states, two of a child)"
    assert said in operations, f"docs/operations.md: write {said}"
    section = operations.partition("\n### 1,000 exports")[2].partition("\n## ")[0]
    dollars = re.findall(r"\| ([\d.]+) \|$", section, re.MULTILINE)
    price = f"{1000 * (states + 2) * cost.PRICES['transition'].dollars:.2f}"
    assert dollars[0] == price, f"docs/operations.md, 1,000 exports, Step Functions: write {price}"
    total = f"**{sum(map(float, dollars)):.2f} dollars**"
    assert total in section, f"docs/operations.md, 1,000 exports: write {total}"


def states_of_a_success() -> list[str]:
    """The states of an export that runs no query and does not fail."""
    machine = definition()
    way = [machine["StartAt"]]
    while following := (state := machine["States"][way[-1]]).get("Default", state.get("Next")):
        way.append(following)
    return way
