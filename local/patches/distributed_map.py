"""A Distributed Map runs its items as child executions, with limits, early failure and ResultWriter.

AWS ("Using Map state in Distributed mode", "ResultWriter (Map)"): `...Path` fields are evaluated. If too many items
fail, the Map Run fails: pending children never start, running children are stopped, and the parent sees only
`States.ExceedToleratedFailureThreshold`. A child is an execution with its own name and history. ResultWriter writes the
children's results to S3, and the state's output has only their location. A parent that ends stops its children.
Stock: ignores these fields and ResultWriter, and starts every child even after failures. A child reads its parent's
`$$.Execution` and has no history of states.
Here: `_run_distributed_map` is rewritten (JSONPath only). Children are ordinary executions of a machine that consists
of the item processor.
"""

import itertools
import json
import threading
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

from ministack.services import s3
from ministack.services import stepfunctions as sfn

from . import machine_role

STATUSES = {"RUNNING": "running", "SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut"}
STATUSES["ABORTED"] = "aborted"
_registering = threading.Lock()
WIDEST = 64  # without MaxConcurrency; AWS then runs 10,000 at once
SHOWN = ("executionArn", "name", "status", "stateMachineArn", "input", "output", "error", "cause")


def apply() -> None:
    """Replaces the Map Run; starts executions at once instead of after 150 ms, because each child is an execution."""
    view = sfn._map_run_view
    sfn._run_distributed_map = run_distributed_map
    sfn._map_run_view = lambda run: view({**run, "itemCounts": counts(run), "executionCounts": counts(run)})
    without_delay = {"sleep": lambda seconds: None if seconds == 0.15 else time.sleep(seconds)}
    sfn.time = SimpleNamespace(**{**vars(time), **without_delay})


def run_distributed_map(
    state: dict[str, Any], raw_input: Any, effective: Any, processor: Any, parent: dict[str, Any], ctx: Any
) -> tuple[Any, str | None]:
    """Runs every item; returns the state's output and the next state, or raises the error of the Map."""
    machine_role.authorize("states:StartExecution", parent["stateMachineArn"], "States.Permissions")
    inputs = item_inputs(state, effective, ctx)
    run = new_map_run(state, effective, parent, ctx, total=len(inputs))
    machine, child_machine = sfn._state_machines[parent["stateMachineArn"]], run["_stateMachineArn"]
    name, definition = f"{machine['name']}/{child_machine.rpartition('/')[2]}", json.dumps(processor)
    with _registering:
        sfn._map_runs[run["mapRunArn"]] = run
        sfn._state_machines[child_machine] = {**machine, "name": name, "definition": definition}
    sfn._add_event(parent, "MapRunStarted", {"mapRunStartedEventDetails": {"mapRunArn": run["mapRunArn"]}})
    try:
        run_children(run, inputs, parent)
    finally:
        with _registering:  # another execution of the same machine may be using it
            others = [each for each in sfn._map_runs.values() if each["status"] == "RUNNING"]
            if child_machine not in [each["_stateMachineArn"] for each in others]:
                sfn._state_machines.pop(child_machine, None)
    result: Any = [outcome(child) for child in run["_children"]]
    if parent["status"] == "RUNNING" and state.get("ResultWriter"):
        result = write_results(state["ResultWriter"], effective, ctx, run)
    if run["status"] != "SUCCEEDED":
        error = "States.ExceedToleratedFailureThreshold"
        cause = "The specified tolerated failure threshold was exceeded"
        sfn._add_event(parent, "MapRunFailed", {"mapRunFailedEventDetails": {"error": error, "cause": cause}})
        raise sfn._ExecutionError(error, cause)
    sfn._add_event(parent, "MapRunSucceeded")
    output = sfn._apply_result_path(state, raw_input, sfn._apply_result_selector(state, result))
    return sfn._apply_output_path(state, output, ctx), sfn._next_or_end(state)


def item_inputs(state: dict[str, Any], effective: Any, ctx: dict[str, Any]) -> list[Any]:
    """The input of every child: each item after ItemSelector."""
    try:
        items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
        items = sfn._read_map_items(state["ItemReader"], effective, ctx) if "ItemReader" in state else items
    except ValueError as fault:
        raise sfn._ExecutionError("States.ItemReaderFailed", f"The dataset is not JSON: {fault}") from fault
    if not isinstance(items, list):
        raise sfn._ExecutionError("States.ItemReaderFailed", "The dataset is not a JSON array.")
    selector = state.get("ItemSelector") or state.get("Parameters")
    if selector is None:
        return items
    contexts = ({**ctx, "Map": {"Item": {"Index": index, "Value": item}}} for index, item in enumerate(items))
    return [sfn._resolve_params_obj(selector, effective, context) for context in contexts]


def new_map_run(state: dict[str, Any], effective: Any, parent: dict[str, Any], ctx: Any, total: int) -> dict[str, Any]:
    """The record of the Map Run; MiniStack does not show names that begin with an underscore."""

    def field(name: str) -> float | None:
        if path := state.get(f"{name}Path"):
            return float(sfn._resolve_path_or_ctx(path, effective, ctx))
        return float(state[name]) if name in state else None

    count, percentage = field("ToleratedFailureCount"), field("ToleratedFailurePercentage")
    thresholds = [count, None if percentage is None else percentage / 100 * total]
    machine = f"{parent['stateMachineArn']}/{state.get('Label') or sfn.new_uuid()}"
    arn, tolerated = machine.replace(":stateMachine:", ":mapRun:"), [each for each in thresholds if each is not None]
    run = {"mapRunArn": f"{arn}:{sfn.new_uuid()}", "status": "RUNNING", "executionArn": parent["executionArn"]}
    run |= {"startDate": sfn.now_iso(), "redriveCount": 0, "maxConcurrency": int(field("MaxConcurrency") or 0)}
    run |= {"toleratedFailurePercentage": percentage or 0.0, "toleratedFailureCount": int(count or 0)}
    run |= {"_stateMachineArn": machine, "_children": [], "_total": total, "_written": 0}
    return run | {"_tolerated": min(tolerated, default=0)}


def run_children(run: dict[str, Any], inputs: list[Any], parent: dict[str, Any]) -> None:
    """Runs the children until all have ended, too many have failed, or the parent has ended."""
    waiting, running = iter(inputs), [parent]
    while running and parent["status"] == "RUNNING" and not too_many_failed(run):
        running = [child for child in run["_children"] if child["status"] == "RUNNING"]
        for value in itertools.islice(waiting, (run["maxConcurrency"] or WIDEST) - len(running)):
            machine = f"{run['_stateMachineArn']}#{parent['testCase']}"  # mocked like its parent
            request = {"stateMachineArn": machine, "input": json.dumps(value)}
            child = sfn._executions[json.loads(sfn._start_execution(request)[2])["executionArn"]]
            child["mapRunArn"] = run["mapRunArn"]
            run["_children"].append(child)
            running.append(child)
        time.sleep(0.005)
    run["status"] = "FAILED" if too_many_failed(run) else "ABORTED" if running else "SUCCEEDED"
    run["stopDate"] = sfn.now_iso()
    for child in running:
        if child["status"] == "RUNNING":
            sfn._stop_execution({"executionArn": child["executionArn"]})


def too_many_failed(run: dict[str, Any]) -> bool:
    """Whether a failure threshold is exceeded; without a threshold, one failure exceeds it."""
    return bool(sum(child["status"] in ("FAILED", "TIMED_OUT") for child in run["_children"]) > run["_tolerated"])


def counts(run: dict[str, Any]) -> dict[str, int]:
    """The current counts of the Map Run; each item is an execution because there are no batches."""
    totals = Counter({"total": run["_total"], "resultsWritten": run["_written"]})
    totals.update(STATUSES[child["status"]] for child in run["_children"])
    totals["pending" if run["status"] == "RUNNING" else "aborted"] += run["_total"] - len(run["_children"])
    return {name: totals[name] for name in ("pending", *STATUSES.values(), "total", "resultsWritten")}


def outcome(child: dict[str, Any]) -> Any:
    """The part of the state's result that comes from a child."""
    succeeded = child["status"] == "SUCCEEDED"
    return json.loads(child["output"]) if succeeded else {"Error": child.get("error"), "Cause": child.get("cause")}


def write_results(writer: dict[str, Any], effective: Any, ctx: Any, run: dict[str, Any]) -> dict[str, Any]:
    """Writes one object per final status and the manifest; returns the state's result, which is their location."""
    place = sfn._resolve_params_obj(writer["Parameters"], effective, ctx)
    folder = f"{place.get('Prefix', '').rstrip('/')}/{run['mapRunArn'].rsplit(':', 1)[-1]}".lstrip("/")

    def put(name: str, content: Any) -> dict[str, Any]:
        key, body = f"{folder}/{name}", json.dumps(content).encode()
        machine_role.authorize("s3:PutObject", f"arn:aws:s3:::{place['Bucket']}/{key}", "States.ResultWriterFailed")
        if s3._put_object(place["Bucket"], key, body, {"content-type": "application/json"})[0] != 200:
            raise sfn._ExecutionError("States.ResultWriterFailed", f"Could not write s3://{place['Bucket']}/{key}")
        return {"Key": key, "Size": len(body)}

    files: dict[str, list[Any]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for child in run["_children"]:
        entry = {f"{name[0].upper()}{name[1:]}": child[name] for name in SHOWN if child.get(name) is not None}
        files[{"TIMED_OUT": "FAILED", "ABORTED": "PENDING"}.get(child["status"], child["status"])].append(entry)
    run["_written"] = len(run["_children"])
    written = {status: [put(f"{status}_0.json", entries)] if entries else [] for status, entries in files.items()}
    manifest = {"DestinationBucket": place["Bucket"], "MapRunArn": run["mapRunArn"], "ResultFiles": written}
    key = put("manifest.json", manifest)["Key"]
    return {"MapRunArn": run["mapRunArn"], "ResultWriterDetails": {"Bucket": place["Bucket"], "Key": key}}
