"""A pipe reads changes from a DynamoDB stream, filters and transforms them, and puts them on an event bus.

AWS ("Amazon EventBridge Pipes targets", "... filtering", "... input transformation"): FilterCriteria are event
patterns on the stream record. A target parameter can be one JSON path into the record. `<$.path>` in InputTemplate
becomes the JSON value, or in a quoted string the plain text without escaping. The pipe uses its role to read the stream
and to put the events. It retries what the target refuses.
Stock: delivers only to SNS and Step Functions, drops filters and target parameters, and checks no role.
Here: the pipe keeps both, and a batch for a bus uses MiniStack's own pattern matching and PutEvents. Not modelled:
enrichment, batching, MaximumRetryAttempts. AWS does not document what happens with a path that matches nothing; here
such a change is not announced, and the log says so.
"""

import json
import logging
import re
import time
from typing import Any

from ministack.services import eventbridge, pipes
from ministack.services.cloudformation import provisioners

from . import machine_role

TOKEN = re.compile(r'\\.|"|<([^<>"\s]+)>', re.DOTALL)
log = logging.getLogger("pipes")


def apply() -> None:
    """Keeps the parameters of pipes from CloudFormation, delivers to event buses, and polls every 100 ms."""
    handlers, deliver = provisioners._RESOURCE_HANDLERS["AWS::Pipes::Pipe"], pipes._deliver_batch

    def keeping(provision: Any, position: int) -> Any:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            made = provision(*arguments, **more)
            kept = {key: arguments[position].get(key) or {} for key in ("SourceParameters", "TargetParameters")}
            pipes._pipes[made[0]].update(kept)
            return made

        return wrapped

    def deliver_batch(pipe: dict[str, Any], batch: list[dict[str, Any]]) -> Any:
        if pipes._arn_service(pipe["Target"]) != "events":
            return deliver(pipe, batch)
        delivered = [announce(pipe, record) for record in batch if passes(pipe, record)]
        return all(delivered)

    def poll() -> None:
        while True:
            time.sleep(0.1)
            try:
                pipes._poll_once()
            except Exception:
                log.exception("polling a pipe failed")

    handlers["create"], handlers["update"] = keeping(handlers["create"], 1), keeping(handlers["update"], 2)
    pipes._deliver_batch, pipes._poll_loop = deliver_batch, poll


def passes(pipe: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether one of the pipe's filters matches the record; without filters all records pass."""
    filters = (pipe.get("SourceParameters", {}).get("FilterCriteria") or {}).get("Filters") or []
    patterns = [pattern for each in filters for pattern in eventbridge._compiled_pattern(each["Pattern"]) or []]
    return not filters or any(eventbridge._matches_detail(record, pattern) for pattern in patterns)


def announce(pipe: dict[str, Any], record: dict[str, Any]) -> bool:
    """Puts one record on the bus; drops a record without a path that the pipe reads, because a retry cannot help."""
    try:
        return put_event(pipe, record)
    except LookupError as missing:
        log.error("pipe %s: %s matches nothing in %s", pipe["Name"], missing, record)
        return True


def put_event(pipe: dict[str, Any], record: dict[str, Any]) -> bool:
    """Puts one record on the bus with the pipe's role; on failure logs the reason and returns False for a retry."""
    for action, resource in (("dynamodb:GetRecords", pipe["Source"]), ("events:PutEvents", pipe["Target"])):
        if refused := machine_role.refusal(pipe["RoleArn"], pipe["Name"], action, resource):
            log.warning("pipe %s: %s", pipe["Name"], refused)
            return False
    parameters = pipe.get("TargetParameters", {})
    entry = {"Source": f"Pipe {pipe['Name']}", "DetailType": "Event from aws:dynamodb", "EventBusName": pipe["Target"]}
    for name, value in (parameters.get("EventBridgeEventBusParameters") or {}).items():
        entry[name] = at(value, record) if isinstance(value, str) and value.startswith("$.") else value
    entry["Detail"] = render(parameters.get("InputTemplate", "<aws.pipes.event>"), record)
    answer = json.loads(eventbridge._put_events({"Entries": [entry]})[2])
    if answer.get("FailedEntryCount") != 0:
        log.warning("pipe %s: the bus refused %s: %s", pipe["Name"], entry, answer)
    return bool(answer.get("FailedEntryCount") == 0)


def at(path: str, record: Any) -> Any:
    """The value at a dotted path with array indices.

    Raises:
        LookupError: the path matches nothing.
    """
    for name in re.findall(r"[^.\[\]]+", path.removeprefix("$")):
        try:
            record = record[int(name)] if isinstance(record, list) else record[name]
        except (LookupError, ValueError, TypeError):
            raise LookupError(path) from None
    return record


def render(template: str, record: dict[str, Any]) -> str:
    """The template with every placeholder replaced: by text in a quoted string, by JSON elsewhere."""
    quoted = False

    def replace(token: re.Match[str]) -> str:
        nonlocal quoted
        if token.group(1) is None:
            quoted ^= token.group() == '"'
            return token.group()
        value = record if token.group(1) == "aws.pipes.event" else at(token.group(1), record)
        return value if quoted and isinstance(value, str) else json.dumps(value)

    return TOKEN.sub(replace, template)
