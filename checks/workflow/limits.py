"""Checks each state on its own: timeouts, Retry, Catch."""

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
"""Step Functions' own errors that a Retry or a Catch may name ("Handling errors in Step Functions workflows" and the
Amazon States Language, appendix A). States.Runtime is not among them: it cannot be retried or caught."""


def faults(machine: Machine) -> Iterator[Fault]:
    """Missing and forbidden settings of the machine and its states."""
    if not _seconds(machine.data):
        wrong = "the machine has no TimeoutSeconds above 0, so an attempt can run for a year"
        yield machine.fault((), wrong, "Set it to ${MachineTimeoutSeconds}")
    for state in machine.states:
        if state.type == "Task" and "TimeoutSecondsPath" not in state.data:
            yield from _timeout(machine, state)
        yield from _retries(machine, state)
        yield from _names(machine, state, "Retry")
        yield from _names(machine, state, "Catch")
        for index, catch in enumerate(state.data.get("Catch", [])[:-1]):
            if "States.ALL" in catch["ErrorEquals"]:
                where = (*state.where, "Catch", index, "ErrorEquals")
                yield machine.fault(
                    where, "its Catch of States.ALL is not the last one, as AWS requires", "Move it to the end"
                )
        for key in state.data:
            if key.startswith("ToleratedFailure") and state.data[key] != 0:
                wrong = f"{key} lets items fail without failing the Map, so the file would lack rows"
                yield machine.fault((*state.where, key), wrong, f"Remove {key}")


def _timeout(machine: Machine, state: State) -> Iterator[Fault]:
    seconds, whole, where = _seconds(state.data), _seconds(machine.data), (*state.where, "TimeoutSeconds")
    if not seconds:
        wrong = "has no TimeoutSeconds above 0, so it can wait forever"
        yield machine.fault(
            where, wrong, "Set it to the longest time that the state may take, as a number without quotes"
        )
        return
    if whole and seconds >= whole:
        wrong = f"its timeout of {seconds} s is not below the machine's {whole} s, which ends the attempt unrecorded"
        yield machine.fault(where, wrong, "Shorten its TimeoutSeconds")
    if name := machine.function(state):
        common = machine.template.data.get("Globals", {}).get("Function", {})
        own = machine.template.data["Resources"][name]["Properties"]
        runs = machine.value(own.get("Timeout", common.get("Timeout", 3)))
        if seconds < runs:
            wrong = f"waits {seconds} s but {name} can run {runs} s, so a retry could run beside the first invocation"
            yield machine.fault(where, wrong, f"Raise it to {runs}, or shorten the Timeout of {name} in template.yaml")


def _seconds(data: dict[str, Any]) -> int:
    """The timeout; 0 if there is none or it is not a number."""
    seconds = data.get("TimeoutSeconds")
    return seconds if isinstance(seconds, int) else 0


def _retries(machine: Machine, state: State) -> Iterator[Fault]:
    if state.distributed and "Retry" in state.data:
        wrong = "its Retry would start a new Map Run over all items"
        yield machine.fault((*state.where, "Retry"), wrong, "Remove it and retry the states inside the Map")
    for index, retry in enumerate(state.data.get("Retry", [])):
        where = (*state.where, "Retry", index)
        for key in ("IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds"):
            if not retry.get(key):
                yield machine.fault((*where, key), f"its Retry has no {key}", f"Set {key} above 0")
        if 0 < retry.get("BackoffRate", 0) <= 1:
            yield machine.fault((*where, "BackoffRate"), "its Retry does not back off", "Set BackoffRate above 1")
        if 0 < retry.get("MaxDelaySeconds", 0) < retry.get("IntervalSeconds", 0):
            wrong = "its Retry's MaxDelaySeconds is shorter than its IntervalSeconds"
            yield machine.fault((*where, "MaxDelaySeconds"), wrong, "Raise MaxDelaySeconds")
        if retry.get("JitterStrategy") != "FULL":
            wrong = "its Retry has no jitter, so calls that failed together are retried together"
            yield machine.fault((*where, "JitterStrategy"), wrong, 'Set JitterStrategy to "FULL"')
        for error in {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"]):
            wrong = f"its Retry names {error}, which includes errors that would fail again"
            yield machine.fault((*where, "ErrorEquals"), wrong, "Name only transient errors")


def _names(machine: Machine, state: State, key: str) -> Iterator[Fault]:
    """Checks that each error name is known and occurs once."""
    seen: set[str] = set()
    for index, each in enumerate(state.data.get(key, [])):
        where, errors = (*state.where, key, index, "ErrorEquals"), each["ErrorEquals"]
        if not errors:
            yield machine.fault(where, f"its {key} names no error", "Name its errors")
        if "States.ALL" in errors and len(errors) > 1:
            yield machine.fault(
                where, f"its {key} names other errors beside States.ALL, which AWS rejects", "Keep only States.ALL"
            )
        for error in errors:
            if error in seen:
                yield machine.fault(
                    where, f"its {key} names {error} twice, and only the first counts", "Keep one of them"
                )
            if error.startswith("States.") and error not in STATES_ERRORS:
                known = ", ".join(sorted(STATES_ERRORS))
                yield machine.fault(
                    where, f"its {key} names {error}, which cannot be retried or caught", f"Name one of {known}"
                )
            seen.add(error)
