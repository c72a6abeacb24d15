"""Lambda writes logs, reads a queue and sends dead letters with the role of the function.

AWS ("Sending Lambda function logs to CloudWatch Logs", "Creating and configuring an Amazon SQS event source mapping",
"Dead-letter queues"): the execution role needs `logs:CreateLogStream` and `logs:PutLogEvents` for logs,
`sqs:ReceiveMessage` and `sqs:DeleteMessage` for a queue that invokes it, and `sqs:SendMessage` for its dead-letter
queue. Without them a function runs but has no logs, is not invoked, or its failed event is lost.
Stock: does all of this without a check.
Here: MiniStack's own IAM evaluation checks the role first. The emulator's log has the refusals. Not modelled: other
sources, other destinations, and `sqs:GetQueueAttributes`, because MiniStack does not read the queue's attributes.
"""

import logging
from contextvars import ContextVar
from typing import Any

from ministack.core.arn import parse_arn
from ministack.services import lambda_svc, sqs

from . import machine_role

log = logging.getLogger("lambda")
_reader: ContextVar[Any] = ContextVar("function_that_reads_the_queue", default=None)


def apply() -> None:
    """Wraps what Lambda does for a function."""
    write, run, delete = lambda_svc._emit_lambda_logs, lambda_svc._run_sqs_batch, sqs._delete_messages_for_esm
    send = lambda_svc._route_async_failure

    def write_logs(function: dict[str, Any], *rest: Any, **more: Any) -> None:
        config = function.get("config") or function
        name = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        arn = parse_arn(config["FunctionArn"])
        stream = f"arn:aws:logs:{arn.region}:{arn.account_id}:log-group:{name}:log-stream:{config['Version']}"
        if all(may(config, action, stream) for action in ("logs:CreateLogStream", "logs:PutLogEvents")):
            write(function, *rest, **more)

    def run_batch(mapping: dict[str, Any], function: dict[str, Any], *rest: Any) -> None:
        if may(function["config"], "sqs:ReceiveMessage", mapping["EventSourceArn"]):
            _reader.set((function["config"], mapping["EventSourceArn"]))
            run(mapping, function, *rest)

    def delete_messages(*arguments: Any) -> None:
        config, queue = _reader.get()
        if may(config, "sqs:DeleteMessage", queue):
            delete(*arguments)

    def send_failure(target: str, name: str, *rest: Any) -> None:
        config = lambda_svc._functions[name]["config"]
        if ":sqs:" not in target or may(config, "sqs:SendMessage", target):
            send(target, name, *rest)

    lambda_svc._emit_lambda_logs, lambda_svc._run_sqs_batch = write_logs, run_batch
    sqs._delete_messages_for_esm, lambda_svc._route_async_failure = delete_messages, send_failure


def may(config: dict[str, Any], action: str, resource: str) -> bool:
    """Whether the function's role allows the action; logs a refusal."""
    refused = machine_role.refusal(config["Role"], config["FunctionName"], action, resource)
    if refused:
        log.warning("function %s: %s", config["FunctionName"], refused)
    return refused is None
