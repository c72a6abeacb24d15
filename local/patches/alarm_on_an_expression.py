"""A template may have an alarm on an expression.

AWS (AWS::CloudWatch::Alarm, property Metrics): an alarm watches one metric or the result of an expression of several.
Stock: CloudFormation refuses an alarm with Metrics.
Here: the alarm exists, with its Metrics. The expression is not evaluated, so its state stays INSUFFICIENT_DATA.
"""

from typing import Any

from ministack.services.cloudformation import provisioners


def apply() -> None:
    """Makes the record of an alarm on an expression from that of an alarm on one metric."""
    make = provisioners._cw_metric_alarm_record

    def record(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        if "Metrics" not in properties:
            return dict(make(name, properties))
        others = {key: value for key, value in properties.items() if key != "Metrics"}
        made = make(name, others | {"MetricName": "none", "Namespace": "none"})
        return made | {"MetricName": None, "Namespace": None, "Metrics": properties["Metrics"]}

    provisioners._cw_metric_alarm_record = record
