"""`TimeoutSeconds` at the top of a state machine ends the execution.

AWS ("State machine structure in Amazon States Language"): an execution that runs longer ends as TIMED_OUT with
`States.Timeout`, an event announces its status change, and no further state runs.
Stock: ignores the field.
Here: a timer runs in parallel to the execution. The patch `state_language` prevents later records in the history.
"""

import contextvars
import json
import threading
from typing import Any

from ministack.services import stepfunctions as sfn


def apply() -> None:
    """Starts a timer for every execution of a machine with a timeout."""
    run = sfn._run_execution

    def run_in_time(arn: str) -> Any:
        execution = sfn._executions.get(arn) or {}
        machine = sfn._state_machines.get(execution.get("stateMachineArn")) or {"definition": "{}"}
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds")
        if seconds is None:
            return run(arn)
        # The context has the account and region of the event bus that gets the event.
        timer = threading.Timer(seconds, contextvars.copy_context().run, (expire, execution))
        timer.daemon = True
        timer.start()
        try:
            return run(arn)
        finally:
            timer.cancel()

    sfn._run_execution = run_in_time


def expire(execution: dict[str, Any]) -> None:
    """Ends the execution as timed out, unless it has already ended."""
    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=sfn.now_iso(), error="States.Timeout")
        sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}})
        sfn._emit_execution_status_event(execution)
