"""Checks of what tells an operator about faults: alarms, their topic, the dead-letter queues, the logs."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from exports_admin.health.deployment import Finding, template
from shared.lambda_ import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports_admin.health.deployment import Deployment

_NEW = datetime.timedelta(hours=1)
_PAGE = "docs/operations.md"
_NO_DEAD_LETTERS = {"Notifications"}  # the queue of NotifyOwner: its messages are work
_ALARM = "AWS::CloudWatch::Alarm"


def alarms(deployment: Deployment) -> Iterator[Finding]:
    """Whether every alarm of the stack exists, watches a resource of the stack, can notify, and is not on."""
    name = deployment.name
    found = deployment.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{name}-")
    by_name = {each["AlarmName"]: each for each in found}
    for logical_id, alarm_name in deployment.of_kind(_ALARM).items():
        if alarm_name not in by_name:
            remedy = f"Create it again with this name, as {logical_id} in template.yaml defines it."
            yield Finding("problem", f"The alarm {alarm_name} was deleted", remedy)
            continue
        yield from _alarm(deployment, by_name[alarm_name])


def _alarm(deployment: Deployment, alarm: dict[str, Any]) -> Iterator[Finding]:
    name, state, since = alarm["AlarmName"], alarm["StateValue"], alarm.get("StateUpdatedTimestamp")
    description = str(alarm.get("AlarmDescription", ""))
    if state == "ALARM":
        section = description.rpartition(f"{_PAGE}#")[2]
        yield Finding("problem", f"{name} is in ALARM", f"See {_PAGE}#{section or 'alarms'}")
    # Missing data is no fault for these alarms, so only a new alarm has too little of it.
    elif state == "INSUFFICIENT_DATA" and since and clock.now() - since > _NEW:
        remedy = "Compare its metric and dimensions with template.yaml. Update the stack: make deploy."
        yield Finding("problem", f"{name} is in INSUFFICIENT_DATA since {since:%Y-%m-%d %H:%M} UTC", remedy)
    metrics = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    of_aws = [alarm, *(metric for metric in metrics if metric["Namespace"].startswith("AWS/"))]
    for dimension in (dimension for metric in of_aws for dimension in metric.get("Dimensions", [])):
        if dimension["Value"] not in _watched(deployment):
            what = f"{name} watches {dimension['Name']} {dimension['Value']}, which is not of this stack"
            yield Finding(
                "problem", what, "Correct the dimension as template.yaml has it. Until then it never goes off."
            )
    if not alarm.get("ActionsEnabled", True):
        remedy = f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
        yield Finding("warning", f"{name} notifies nobody: its actions are disabled", remedy)


def _watched(deployment: Deployment) -> set[str]:
    """The values that the dimensions of the stack's alarms may have."""
    stage = template()["Resources"]["Api"]["Properties"]["StageName"]
    ids = {resource.physical_id for resource in deployment.resources.values()}
    return ids | {url.rpartition("/")[2] for url in ids} | {f"{deployment.name}-exports", stage}


def subscription(deployment: Deployment) -> Iterator[Finding]:
    """Whether somebody gets the mail of an alarm."""
    topic = deployment.of_kind("AWS::SNS::Topic").get("Alerts")
    if topic is None:
        remedy = "Set an address: make deploy PARAMETERS=AlertEmail=ops@example.com"
        yield Finding("warning", "Nobody gets a mail for an alarm: AlertEmail is empty", remedy)
        return
    subscriptions = deployment.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    states = {each["Endpoint"]: each["SubscriptionArn"] for each in subscriptions}
    for address, arn in states.items():
        if not arn.startswith("arn:"):  # PendingConfirmation, or Deleted
            remedy = (
                'Confirm the mail "AWS Notification - Subscription Confirmation". To send it again: aws sns subscribe'
            )
            arguments = f"--protocol email --topic-arn {topic} --notification-endpoint {address}"
            yield Finding("problem", f"{address} gets no mail for an alarm: {arn}", f"{remedy} {arguments}")
    if not states:
        remedy = f"aws sns subscribe --protocol email --topic-arn {topic} --notification-endpoint ADDRESS"
        yield Finding("problem", "Nobody is subscribed to the alarms", remedy)


def queues(deployment: Deployment) -> Iterator[Finding]:
    """Whether the dead-letter queues are empty."""
    counted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for logical_id, url in deployment.of_kind("AWS::SQS::Queue").items():
        if logical_id in _NO_DEAD_LETTERS:
            continue
        absent = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
        answer = deployment.ask("sqs", "get_queue_attributes", absent, QueueUrl=url, AttributeNames=counted)
        name = url.rpartition("/")[2]
        if answer is None:
            remedy = f"Create a queue of this name, as {logical_id} in template.yaml defines it."
            yield Finding("problem", f"The queue {name} was deleted", remedy)
        elif messages := sum(int(answer["Attributes"][each]) for each in counted):
            many = "1 message" if messages == 1 else f"{messages:,} messages"
            command = f"bin/exports-admin dead-letters --stack {deployment.name}"
            section = f"See {_PAGE}#{name.removeprefix(f'{deployment.name}-')}"
            yield Finding(
                "problem", f"The queue {name} has {many}", command if logical_id == "DeadLetters" else section
            )


def logs(deployment: Deployment) -> Iterator[Finding]:
    """Whether the log groups exist and drop old lines."""
    groups = deployment.of_kind("AWS::Logs::LogGroup")
    found: dict[str, Any] = {}
    for prefix in sorted({name[: name.rindex("/") + 1] + f"{deployment.name}-" for name in groups.values()}):
        listed = deployment.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
        found |= {each["logGroupName"]: each for each in listed}
    for logical_id, name in groups.items():
        days = template()["Resources"].get(logical_id, {}).get("Properties", {}).get("RetentionInDays", 30)
        command = f"aws logs put-retention-policy --log-group-name {name} --retention-in-days {days}"
        if name not in found:
            remedy = f"Nothing of it is logged. aws logs create-log-group --log-group-name {name}, then {command}"
            yield Finding("problem", f"The log group {name} was deleted", remedy)
        elif found[name].get("retentionInDays") != days:
            kept = found[name].get("retentionInDays")
            what = f"The log group {name} keeps its lines {f'{kept} days' if kept else 'for ever'}, not {days} days"
            yield Finding("warning", what, command)
