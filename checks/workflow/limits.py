"""Each state by itself: how long it may take, what is tried again, what is caught."""

from collections.abc import Iterator
from typing import Any

from checks import Fault
from checks.workflow.machine import Machine, State

STATES_ERRORS = {
    "States.ALL", "States.BranchFailed", "States.DataLimitExceeded", "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout", "States.Http.Socket", "States.IntrinsicFailure", "States.ItemReaderFailed",
    "States.NoChoiceMatched", "States.ParameterPathFailure", "States.Permissions", "States.QueryEvaluationError",
    "States.ResultPathMatchFailure", "States.ResultWriterFailed", "States.TaskFailed", "States.Timeout",
}  # fmt: skip
"""What a Retry or a Catch may name of Step Functions' own errors ("Handling errors in Step Functions workflows" and the
Amazon States Language, appendix A). States.Runtime is none of them: it is neither retried nor caught."""


def faults(machine: Machine) -> Iterator[Fault]:
    """What no state may be without, and what none may do."""
    if not _seconds(machine.data):
        wrong = "the machine has no TimeoutSeconds above 0, so an attempt may last a year"
        yield machine.fault((), wrong, "Give it ${MachineTimeoutSeconds}")
    for state in machine.states:
        if state.type == "Task" and "TimeoutSecondsPath" not in state.data:
            yield from _timeout(machine, state)
        yield from _retries(machine, state)
        yield from _names(machine, state, "Retry")
        yield from _names(machine, state, "Catch")
        for index, catch in enumerate(state.data.get("Catch", [])[:-1]):
            if "States.ALL" in catch["ErrorEquals"]:
                where = (*state.where, "Catch", index, "ErrorEquals")
                yield machine.fault(where, "its Catch of States.ALL is not the last, as AWS requires", "Move it there")
        for key in state.data:
            if key.startswith("ToleratedFailure") and state.data[key] != 0:
                wrong = f"{key} lets items fail without the Map failing, so the file would be short"
                yield machine.fault((*state.where, key), wrong, f"Remove {key}")


def _timeout(machine: Machine, state: State) -> Iterator[Fault]:
    seconds, whole, where = _seconds(state.data), _seconds(machine.data), (*state.where, "TimeoutSeconds")
    if not seconds:
        wrong = "it has no TimeoutSeconds above 0, so it may wait for ever"
        yield machine.fault(where, wrong, "Give it the longest that it may take, a number without quotes")
        return
    if whole and seconds >= whole:
        wrong = f"its {seconds} s are not below the machine's {whole} s, at which everything ends unrecorded"
        yield machine.fault(where, wrong, "Shorten its TimeoutSeconds")
    if name := machine.function(state):
        common = machine.template.data.get("Globals", {}).get("Function", {})
        own = machine.template.data["Resources"][name]["Properties"]
        runs = machine.value(own.get("Timeout", common.get("Timeout", 3)))
        if seconds < runs:
            wrong = f"it waits {seconds} s, {name} may run {runs} s: a second one could start beside the first"
            yield machine.fault(where, wrong, f"Make it {runs}, or the Timeout of {name} in template.yaml shorter")


def _seconds(data: dict[str, Any]) -> int:
    """A timeout; 0 where there is none, or none that is a number."""
    given = data.get("TimeoutSeconds")
    return given if isinstance(given, int) else 0


def _retries(machine: Machine, state: State) -> Iterator[Fault]:
    if state.distributed and "Retry" in state.data:
        wrong = "a Retry of a Distributed Map starts a new Map Run over all items"
        yield machine.fault((*state.where, "Retry"), wrong, "Remove it, and retry the states inside")
    for index, retry in enumerate(state.data.get("Retry", [])):
        where = (*state.where, "Retry", index)
        for key in ("IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds"):
            if not retry.get(key):
                yield machine.fault((*where, key), f"its Retry has no {key}", f"Give it {key}, above 0")
        if 0 < retry.get("BackoffRate", 0) <= 1:
            yield machine.fault((*where, "BackoffRate"), "its Retry does not back off", "Set BackoffRate above 1")
        if 0 < retry.get("MaxDelaySeconds", 0) < retry.get("IntervalSeconds", 0):
            wrong = "its Retry's longest wait, MaxDelaySeconds, is shorter than the first, IntervalSeconds"
            yield machine.fault((*where, "MaxDelaySeconds"), wrong, "Raise MaxDelaySeconds")
        if retry.get("JitterStrategy") != "FULL":
            wrong = "its Retry has no jitter, so all that failed together come back together"
            yield machine.fault((*where, "JitterStrategy"), wrong, 'Set JitterStrategy to "FULL"')
        for error in {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"]):
            wrong = f"its Retry names {error}, also what would only fail again"
            yield machine.fault((*where, "ErrorEquals"), wrong, "Name the errors that may pass")


def _names(machine: Machine, state: State, key: str) -> Iterator[Fault]:
    """Each name is known, and stands once."""
    seen: set[str] = set()
    for index, each in enumerate(state.data.get(key, [])):
        where, errors = (*state.where, key, index, "ErrorEquals"), each["ErrorEquals"]
        if not errors:
            yield machine.fault(where, f"its {key} names no error", "Name those that it is for")
        if "States.ALL" in errors and len(errors) > 1:
            yield machine.fault(
                where, f"its {key} names others beside States.ALL, as AWS refuses", "Keep States.ALL alone"
            )
        for error in errors:
            if error in seen:
                yield machine.fault(where, f"its {key} names {error} twice, the first counts", "Keep one of them")
            if error.startswith("States.") and error not in STATES_ERRORS:
                known = ", ".join(sorted(STATES_ERRORS))
                yield machine.fault(where, f"its {key} names {error}, which can not be", f"Name one of {known}")
            seen.add(error)
