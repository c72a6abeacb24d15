"""Export-ended events as a queue delivers them: at least once, in batches, each event checked on its own."""

import json
from collections.abc import Callable
from logging import Logger
from pathlib import Path
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from shared.errors import InvalidEvent
from shared.lambda_ import contract
from shared.lambda_.function import Event
from shared.lambda_.telemetry import logger, tag_logs

_RULES = contract.validator(json.loads((Path(__file__).parent / "export_ended.schema.json").read_text("utf-8")))


def each(event: Event, work: Callable[[dict[str, Any]], None]) -> Any:
    """Calls ``work`` with the ``detail`` of each message, as export_ended.schema.json describes it.

    If a message breaks the schema, or ``work`` raises an error, Powertools logs the error and SQS delivers that message
    again. Finally SQS moves it to the dead-letter queue.

    Returns:
        The messages that SQS must deliver again: ``{"batchItemFailures": [{"itemIdentifier"}]}``.
    """

    def take(record: SQSRecord) -> None:
        detail = _parse(record.body)["detail"]
        tag_logs(detail["export_id"])
        work(detail)

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=cast(Logger, logger))
    return process_partial_response(event, take, processor)


def _parse(body: str) -> dict[str, Any]:
    """The event of a message.

    Raises:
        InvalidEvent: with every fault.
    """
    try:
        event: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise InvalidEvent(f"/body is not JSON: {error}") from error
    contract.require(_RULES, event)
    return event
