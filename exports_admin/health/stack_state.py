"""Checks of the stack itself, of the account's quotas, and of the caller's clock."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from exports_admin.health.deployment import Finding, Unchecked, template
from shared.lambda_ import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports_admin.health.deployment import Deployment

_SPARE = 5  # concurrent executions for the API, ReconcileExports and NotifyOwner (docs/operations.md)
_NEARLY_USED = 0.8
_SKEW_NOTICED, _SKEW_REFUSED = datetime.timedelta(seconds=60), datetime.timedelta(minutes=5)
"""A request must reach AWS within five minutes of its time stamp ("AWS Signature Version 4 for API requests")."""
_DELETE = (
    "Delete the stack (docs/operations.md#removing-a-stack), then deploy again. The events name the cause: {events}"
)
_STATES = {  # StackStatus of "Stack", CloudFormation API Reference
    "CREATE_FAILED": f"The first deployment failed. {_DELETE}",
    "DELETE_COMPLETE": "The stack was deleted. Deploy it again, or use --stack NAME.",
    "DELETE_FAILED": "A resource could not be deleted. The events name it: {events}",
    "IMPORT_ROLLBACK_FAILED": "An import could not be rolled back. The events name the cause: {events}",
    "REVIEW_IN_PROGRESS": "A change set waits, and nothing was deployed. Run make deploy.",
    "ROLLBACK_COMPLETE": f"The first deployment failed, and nothing was deployed. {_DELETE}",
    "ROLLBACK_FAILED": f"The first deployment failed and could not be rolled back. {_DELETE}",
    "UPDATE_FAILED": "An update failed and was not rolled back: aws cloudformation rollback-stack --stack-name {name}",
    "UPDATE_ROLLBACK_FAILED": (
        "An update failed and could not be rolled back. Correct the cause that the events name ({events}), then run aws"
        " cloudformation continue-update-rollback --stack-name {name}"
    ),
}
_ROLLED_BACK = {"UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}


def state(deployment: Deployment) -> Iterator[Finding]:
    """Whether the last deployment has succeeded, and whether CloudFormation knows of drift."""
    status, name = deployment.status, deployment.name
    events = f"aws cloudformation describe-stack-events --stack-name {name}"
    if remedy := _STATES.get(status):
        yield Finding("problem", f"The stack is {status}", remedy.format(events=events, name=name))
    elif status.endswith("_IN_PROGRESS"):
        yield Finding("warning", f"The stack is {status}", "Run the command again when the deployment has ended.")
    elif status in _ROLLED_BACK:
        what = f"The stack is {status}: the last update failed, and the stack is as before"
        yield Finding("warning", what, f"Correct the cause and deploy again. The events name it: {events}")
    drift = deployment.described.get("DriftInformation", {})
    if drift.get("StackDriftStatus") == "DRIFTED":
        since = drift["LastCheckTimestamp"]
        drifts = f"aws cloudformation describe-stack-resource-drifts --stack-name {name}"
        what = f"Resources differed from the template on {since:%Y-%m-%d}"
        yield Finding("warning", what, f"Undo the changes that this command lists: {drifts}")


def version(deployment: Deployment) -> Iterator[Finding]:
    """Whether the stack has the parameters and the alarms of this checkout's template."""
    expected, has = template()["Parameters"], deployment.own_parameters
    missing = [name for name in expected if name not in has]
    missing += [name for name in expected_alarms(deployment) if name not in deployment.resources]
    if missing:
        what = f"The stack is older than this checkout: it has no {', '.join(missing)}"
        yield Finding("warning", what, "Update it: make deploy. Or use the checkout that deployed it.")
    if unknown := [name for name in has if name not in expected]:
        what = f"The stack is newer than this checkout, which does not know {', '.join(unknown)}"
        yield Finding("warning", what, "Use the checkout that deployed it, so that the tools fit the stack.")


def expected_alarms(deployment: Deployment) -> list[str]:
    """The logical ids of the alarms that the template has for the stack's parameters."""
    return [
        name
        for name, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        and ("Condition" not in resource or deployment.parameters.get("SenderEmail"))  # SendsMail is the only one
    ]


def skew(deployment: Deployment) -> Iterator[Finding]:
    """Whether the clock of this machine agrees with that of AWS, to which requests and ages refer."""
    if deployment.skew is None:
        raise Unchecked("the answer of CloudFormation has no date", "Compare the clock of this machine yourself.")
    if (off := abs(deployment.skew)) > _SKEW_NOTICED:
        way = "ahead" if deployment.skew > datetime.timedelta() else "behind"
        what = f"The clock of this machine is {round(off.total_seconds())} s {way}"
        remedy = "Synchronize it (NTP). AWS refuses requests of a clock that is off by five minutes."
        yield Finding("problem" if off >= _SKEW_REFUSED else "warning", what, remedy)


def concurrency(deployment: Deployment) -> Iterator[Finding]:
    """Whether the account's Lambda concurrency suffices for MapConcurrency and MaxActivePerOwner."""
    limits = deployment.ask("lambda", "get_account_settings")["AccountLimit"]
    available = int(limits["UnreservedConcurrentExecutions"])
    parts, exports = (int(deployment.parameters[name]) for name in ("MapConcurrency", "MaxActivePerOwner"))
    remedy = "Raise the quota or lower {}: docs/operations.md#limits-of-a-new-account"
    if available < parts + _SPARE:
        what = f"Lambda has {available} concurrent executions for MapConcurrency {parts} and the API"
        yield Finding("problem", what, remedy.format("MapConcurrency"))
    elif available < exports * parts + _SPARE:
        what = (
            f"One user's {exports} exports at the same time need {exports * parts + _SPARE} concurrent Lambda"
            f" executions; the account has {available}"
        )
        yield Finding("warning", what, remedy.format("MaxActivePerOwner"))


def stopped(deployment: Deployment) -> Iterator[Finding]:
    """Whether no function is stopped, as docs/howto/disaster.md does during a restore."""
    for name in deployment.of_kind("AWS::Lambda::Function").values():
        reserved = deployment.ask("lambda", "get_function_concurrency", FunctionName=name)
        if reserved.get("ReservedConcurrentExecutions") == 0:
            command = f"aws lambda delete-function-concurrency --function-name {name}"
            yield Finding("problem", f"The function {name} is stopped: its reserved concurrency is 0", command)


def step_functions(deployment: Deployment) -> Iterator[Finding]:
    """Whether the account is close to a Step Functions quota. Only quotas with a usage metric can be compared."""
    quotas = deployment.pages("service-quotas", "list_service_quotas", "Quotas", ServiceCode="states")
    now = clock.now()
    for quota in quotas:
        if not (metric := quota.get("UsageMetric")) or not quota.get("Value"):
            continue
        statistic = metric.get("MetricStatisticRecommendation") or "Maximum"
        points = deployment.ask(
            "cloudwatch",
            "get_metric_statistics",
            Namespace=metric["MetricNamespace"],
            MetricName=metric["MetricName"],
            Dimensions=[{"Name": name, "Value": value} for name, value in metric.get("MetricDimensions", {}).items()],
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now,
            Period=300,
            Statistics=[statistic],
        )["Datapoints"]
        used = max((point[statistic] for point in points), default=0)
        if used >= _NEARLY_USED * quota["Value"]:
            what = f"{quota['QuotaName']}: {used:,.0f} of {quota['Value']:,.0f} were used within the last hour"
            yield Finding("warning", what, "Ask for more in Service Quotas, or lower MapConcurrency.")
