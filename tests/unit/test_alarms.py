"""Whoever is woken by an alarm finds out what it means and what to do."""

import re
from typing import Any

import pytest

from tests.unit.support import ROOT, functions, template

ALARMS = {
    name: resource["Properties"]
    for name, resource in template()["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
LAST_QUEUES = [
    name
    for name, resource in template()["Resources"].items()
    if resource["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" not in resource["Properties"]
]
"""Queues whose messages AWS moves nowhere else: somebody must look at them."""
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
TABLE = set(re.findall(r"^\| \[[a-z-]+\]\(#([a-z-]+)\) \|", OPERATIONS, re.MULTILINE))


def section(alarm: dict[str, object]) -> str:
    """The heading in docs/operations.md that the alarm's description names."""
    return str(alarm["AlarmDescription"]).rpartition("docs/operations.md#")[2]


def watched(namespace: str, metric: str) -> list[object]:
    """The dimensions of the alarms on a metric, or on an expression with it."""
    wanted = {"Namespace": namespace, "MetricName": metric}
    in_expressions = [each["MetricStat"]["Metric"] for alarm in ALARMS.values() for each in stats(alarm)]
    return [each.get("Dimensions") for each in [*ALARMS.values(), *in_expressions] if wanted.items() <= each.items()]


def stats(alarm: dict[str, Any]) -> list[Any]:
    """The metrics of an alarm on an expression."""
    return [each for each in alarm.get("Metrics", []) if "MetricStat" in each]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_names_a_section_that_says_what_to_do(name: str) -> None:
    text = re.search(rf"^### {section(ALARMS[name])}\n\n(.+?)(?=\n##|\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert text
    assert len(text[1]) > 80
    assert section(ALARMS[name]) in TABLE


def test_the_table_of_alarms_holds_no_other() -> None:
    assert {section(alarm) for alarm in ALARMS.values()} == TABLE


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_mails_is_quiet_without_data_and_looks_back_no_longer_than_cloudwatch_lets_it(name: str) -> None:
    """Seven days at most, one day for periods below an hour ("PutMetricAlarm")."""
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == {"Fn::If": ["HasAlertEmail", [{"Ref": "Alerts"}], {"Ref": "AWS::NoValue"}]}
    assert alarm["TreatMissingData"] == "notBreaching"
    period = alarm["Period"] if "Period" in alarm else max(each["MetricStat"]["Period"] for each in stats(alarm))
    days = 7 if period >= 3600 else 1
    assert period * alarm["EvaluationPeriods"] <= days * 86_400


def test_queues_executions_map_runs_and_the_api_are_watched() -> None:
    machine = [{"Name": "StateMachineArn", "Value": {"Ref": "ReportExport"}}]
    assert watched("AWS/States", "ExecutionsFailed") == [machine]
    assert watched("AWS/States", "ExecutionsTimedOut") == [machine]
    assert watched("AWS/States", "ApproximateOpenMapRunCount") == [None]  # of the account: no dimension
    assert len(watched("AWS/ApiGateway", "5XXError")) == 1
    assert {"Unannounced", "DeadLetters", "Unreconciled", "Unmailed"} <= {*LAST_QUEUES}
    queues = [[{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}] for queue in LAST_QUEUES]
    watching = watched("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert len(watching) == 2 * len(queues)
    for queue in queues:
        assert watching.count(queue) == len(("at once", "for a week")), queue


def test_a_queue_that_is_not_empty_for_a_week_is_told_however_often_its_messages_were_received() -> None:
    """SQS leaves out of ApproximateAgeOfOldestMessage what was received three times ("CloudWatch metrics")."""
    assert "ApproximateAgeOfOldestMessage" not in {alarm.get("MetricName") for alarm in ALARMS.values()}
    of_a_week = [alarm for name, alarm in ALARMS.items() if name.endswith("AgeAlarm")]
    assert len(of_a_week) == len(LAST_QUEUES)
    for alarm in of_a_week:
        assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3600, 168, 160)
        assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 1)


def test_each_function_is_watched_for_errors_and_throttles() -> None:
    for metric in ("Errors", "Throttles"):
        found = watched("AWS/Lambda", metric)
        assert [name for name in functions() if [{"Name": "FunctionName", "Value": {"Ref": name}}] not in found] == []
