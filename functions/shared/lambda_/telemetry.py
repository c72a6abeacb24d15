"""Logs, traces and metrics, the same for every function (Powertools for AWS Lambda).

POWERTOOLS_SERVICE_NAME and POWERTOOLS_METRICS_NAMESPACE come from template.yaml.
"""

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
tracer = Tracer()
metrics = Metrics()


def tag_logs(export_id: str) -> None:
    """Adds the export's id to all further log lines, and to the trace as an annotation."""
    logger.set_correlation_id(export_id)
    tracer.put_annotation("export_id", export_id)
