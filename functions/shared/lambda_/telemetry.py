"""Logs, traces and metrics, the same for every function (Powertools for AWS Lambda).

POWERTOOLS_SERVICE_NAME and POWERTOOLS_METRICS_NAMESPACE come from template.yaml.
"""

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
tracer = Tracer()
metrics = Metrics()


def tag_logs(export_id: str) -> None:
    """From here on every log line carries the export's id, and the trace can be found by it."""
    logger.set_correlation_id(export_id)
    tracer.put_annotation("export_id", export_id)
