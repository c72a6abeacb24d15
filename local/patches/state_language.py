"""Details of the Amazon States Language on which the export workflow relies.

AWS ("Handling errors in Step Functions workflows", "Service quotas"): `States.ALL` catches neither `States.Runtime`
nor `States.DataLimitExceeded`. A JSON path that matches nothing gives the first, a payload over 256 KiB the second.
`MaxDelaySeconds` limits a retry's wait and `JitterStrategy` randomizes it. The status of an ended execution does not
change. Its history has the input of each task ("TaskScheduledEventDetails").
Stock: `States.ALL` catches everything. A missing path is null. There is no payload limit. Both retry fields are
ignored. A task that fails later turns ABORTED into FAILED, and its retries continue.
Here: the patch wraps the functions that decide these. `_add_event` detects that the execution has ended, because every
attempt of a task and every state records an event first.
"""

import json
import random
import threading
from typing import Any

from ministack.services import stepfunctions as sfn

PAYLOAD_LIMIT = 256 * 1024


def apply() -> None:
    """Replaces the functions that decide these details."""
    resolve, evaluate_rule, matches = sfn._resolve_path, sfn._evaluate_rule, sfn._error_matches
    parameters, latest = sfn._apply_parameters, threading.local()
    find_retrier, add_event, fail = sfn._find_matching_retrier, sfn._add_event, sfn._fail_execution

    def resolve_existing(path: str, data: Any) -> Any:
        if str(path).startswith("$") and not leads_somewhere(path, data):
            cause = f"The JSONPath '{path}' could not be found in the input '{json.dumps(data)}'"
            raise sfn._ExecutionError("States.Runtime", cause)
        return resolve(path, data)

    def evaluate(rule: dict[str, Any], data: Any, context: Any = None) -> Any:
        if "IsPresent" not in rule:
            return evaluate_rule(rule, data, context)
        path = rule["Variable"]
        where = (path[1:], context) if path.startswith("$$.") else (path, data)
        return leads_somewhere(*where) is rule["IsPresent"]

    def error_matches(names: list[str], error: str) -> Any:
        uncatchable = {"States.Runtime": False, "States.DataLimitExceeded": "States.DataLimitExceeded" in names}
        return uncatchable[error] if error in uncatchable else matches(names, error)

    def retrier(retriers: list[dict[str, Any]], error: str, counts: dict[int, int]) -> tuple[Any, int]:
        found, index = find_retrier(retriers, error, counts)
        if found is None:
            return None, index
        wait = found.get("IntervalSeconds", 1) * found.get("BackoffRate", 2.0) ** counts.get(index, 0)
        wait = min(wait, found.get("MaxDelaySeconds", wait))
        if found.get("JitterStrategy") == "FULL":
            wait = random.uniform(0, wait)
        return {**found, "IntervalSeconds": wait, "BackoffRate": 1.0}, index

    def record(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> Any:
        if details and kind == "TaskScheduled":
            details["taskScheduledEventDetails"]["parameters"] = json.dumps(vars(latest).get("now"))
        if execution.get("status", "RUNNING") != "RUNNING" and not kind.startswith("Execution"):
            raise sfn._ExecutionError("States.Runtime", "The execution has ended.")
        if any(too_large(detail.get("output")) for detail in (details or {}).values()):
            cause = "The state/task returned a result with a size exceeding the maximum number of bytes."
            raise sfn._ExecutionError("States.DataLimitExceeded", cause)
        return add_event(execution, kind, details)

    def fail_running(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    sfn._apply_parameters = lambda *arguments: vars(latest).update(now=parameters(*arguments)) or latest.now
    sfn._resolve_path, sfn._evaluate_rule, sfn._error_matches = resolve_existing, evaluate, error_matches
    sfn._find_matching_retrier, sfn._add_event, sfn._fail_execution = retrier, record, fail_running


def leads_somewhere(path: str, data: Any) -> bool:
    """Whether the JSON path matches a value (null counts); a wildcard always counts, because it may match nothing."""
    for kind, key in sfn._parse_jsonpath_tokens(path) or []:
        if kind == "wildcard":
            return True
        if not (key in data if isinstance(data, dict) else isinstance(data, list) and key < len(data)):
            return False
        data = data[key]
    return True


def too_large(output: str | None) -> bool:
    """Whether a serialized payload exceeds the quota, in UTF-8 bytes as on AWS."""
    if output is None or len(output) <= PAYLOAD_LIMIT:
        return False
    return len(json.dumps(json.loads(output), ensure_ascii=False, separators=(",", ":")).encode()) > PAYLOAD_LIMIT
