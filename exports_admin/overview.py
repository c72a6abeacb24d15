"""The data of an attempt that `show` prints as text, as JSON and as a page."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from exports_admin import executions
from shared.api import exports
from shared.api.explanations import explain
from shared.lambda_ import clock
from shared.records import table

if TYPE_CHECKING:
    from exports_admin.executions import Attempt, Execution, Fault, Part, Step
    from shared.records.table import Failure, Record

SLOWEST = 5
_FAILED = 5  # how many failed parts are shown
_LOOKED_AT = 20  # histories of parts to read at most

Overview = dict[str, Any]


def of(attempt: Attempt) -> Overview:
    """The data of an attempt.

    Returns:
        ``{export_id, attempt, owner, status, started_at, stopped_at, seconds, error, states, parts, record}``. An
        ``error`` is that of :func:`shared.api.explanations.explain`, or None. ``states`` are in the order of their
        start. The states inside the Map are in ``parts``, which is None if no Map Run started.
    """
    steps = attempt.steps()
    run = next((step.map_run for step in reversed(steps) if step.map_run), None)
    record = table.get(attempt.owner, attempt.export_id)
    return {
        "export_id": attempt.export_id,
        "attempt": attempt.number,
        "owner": attempt.owner,
        "status": attempt.status,
        "started_at": clock.stamp(attempt.started),
        "stopped_at": clock.stamp(attempt.stopped) if attempt.stopped else None,
        "seconds": executions.running_for(attempt),
        "error": error_of(attempt, steps, record["report"] if record else None),
        "states": [_state(step, attempt) for step in steps],
        "parts": _parts(run) if run else None,
        "record": _record(record) if record else None,
    }


def _record(record: Record) -> dict[str, Any]:
    names = ("report", "format", "requested_by", "finished_at", "expires_at", "parts_total", "rows", "bytes", "crc32")
    shown: dict[str, Any] = {"attempt": record["attempt"], "status": exports.status(record)}
    shown |= {name: record.get(name) for name in (*names, "warning")}
    failed = record["status"] == "FAILED" and "failure" in record
    return shown | {"error": explain(record["failure"], record["report"]) if failed else None}


def error_of(attempt: Attempt, steps: list[Step], report: str | None = None) -> dict[str, Any] | None:
    """Why an attempt ended without a file; None if it did not.

    The input of the Fail state names the state and the part that failed. Without it, the error is the execution's own,
    and the state is the last one that the execution entered. ``report`` is the id of the report, if it is known.
    """
    if attempt.fault is None:
        return None
    last = steps[-1] if steps else None
    failure = json.loads(last.input).get("failure") if last and last.kind == "Fail" else None
    if isinstance(failure, dict) and failure.keys() >= {"state", "type", "error", "part"}:
        return explain(cast("Failure", failure), report)
    named = {"timed out": "ExecutionTimedOut", "aborted": "ExecutionAborted"}
    fault = attempt.fault._replace(error=named.get(attempt.status) or attempt.fault.error)
    return explain(_failure(fault, last.name if last else ""), report)


def _failure(fault: Fault, state: str) -> Failure:
    error = json.dumps({"Error": fault.error, "Cause": fault.cause})
    return {"state": state, "type": fault.error, "error": error, "part": ""}


def _state(step: Step, execution: Execution) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "status": step.status,
        "after": (step.entered - execution.started).total_seconds(),
        "seconds": step.seconds,
        "retries": step.retries,
        "error": explain(_failure(step.fault, step.name)) if step.fault else None,
    }


def _parts(run: str) -> dict[str, Any]:
    counts, started = executions.counts(run), executions.children(run)
    slowest = sorted(started, key=executions.running_for, reverse=True)
    failed = [child for child in started if child.status in ("failed", "timed out")]
    # Each history costs a call. Read only those of the first failed parts and of the slowest ones, which had retries.
    chosen = {child.arn: child for child in [*failed[:_FAILED], *slowest]}
    looked = {arn: executions.part(child) for arn, child in list(chosen.items())[:_LOOKED_AT]}
    took = [child.seconds for child in started if child.status == "succeeded" and child.seconds is not None]
    names = ("succeeded", "failed", "timedOut", "aborted", "running", "pending", "total")
    return {name: counts[name] for name in names} | {
        "median_seconds": statistics.median(took) if took else None,
        "looked_at": len(looked),
        "retried": sum(part.retries > 0 for part in looked.values()),
        "slowest": [_part(looked[child.arn]) for child in slowest[:SLOWEST]],
        "failures": [_part(looked[child.arn]) for child in failed[:_FAILED]],
        "states": _inside(list(looked.values())),
        "ways": _ways(list(looked.values())),
    }


def _part(part: Part) -> dict[str, Any]:
    faults = [step for step in part.steps if step.fault]
    first = faults[0] if faults else None
    return {
        "part": part.number,
        "status": part.child.status,
        "seconds": executions.running_for(part.child),
        "retries": part.retries,
        "error": explain(_failure(first.fault, first.name)) if first and first.fault else None,
    }


def _ways(parts: list[Part]) -> list[tuple[str, str]]:
    """The transitions that these parts took."""
    return sorted({(one.name, other.name) for part in parts for one, other in pairwise(part.steps)})


def _inside(parts: list[Part]) -> dict[str, str]:
    """The worst status of each state inside the Map, in the parts whose histories were read."""
    worst = ("failed", "timed out", "caught", "aborted", "running", "succeeded")
    statuses: dict[str, str] = {}
    for step in (step for part in parts for step in part.steps):
        statuses[step.name] = min(statuses.get(step.name, step.status), step.status, key=worst.index)
    return statuses
