"""`TimeoutSeconds` at the top of a state machine ends the execution.

AWS ("State machine structure in Amazon States Language"): an execution that runs longer ends as TIMED_OUT with
`States.Timeout`, its status change is announced, and no further state runs.
Stock: the field is ignored.
Here: a timer runs beside the execution. That nothing is recorded afterwards is the work of `state_language`.
"""

import contextvars
import json
import threading
from typing import Any

from ministack.services import stepfunctions as sfn


def apply() -> None:
    """Give every execution of a machine with a timeout its timer."""
    run = sfn._run_execution

    def run_in_time(arn: str) -> Any:
        execution = sfn._executions.get(arn) or {}
        machine = sfn._state_machines.get(execution.get("stateMachineArn")) or {"definition": "{}"}
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds")
        if seconds is None:
            return run(arn)
        # The context names the account and region whose event bus hears of it.
        timer = threading.Timer(seconds, contextvars.copy_context().run, (expire, execution))
        timer.daemon = True
        timer.start()
        try:
            return run(arn)
        finally:
            timer.cancel()

    sfn._run_execution = run_in_time


def expire(execution: dict[str, Any]) -> None:
    """End the execution as timed out unless it has ended."""
    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=sfn.now_iso(), error="States.Timeout")
        sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}})
        sfn._emit_execution_status_event(execution)
