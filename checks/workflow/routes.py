"""Checks transitions: every target exists, every state is reachable, and every execution ends with the right status."""

from collections.abc import Callable, Iterator

from checks import Fault
from checks.workflow.machine import Edge, Machine, Scope

SUCCESS, FAILURE, SUPERSEDED = "RecordSucceeded", "RecordFailed", "Superseded"
"""The states that record how an attempt ended, and the end of an attempt that no longer counts."""
REFUSED = ("DynamoDB.ConditionalCheckFailedException",)
"""The one error that is not a failure: the record says that this attempt no longer counts."""


def faults(machine: Machine) -> Iterator[Fault]:
    """Faults of the transitions between the states."""
    for where in machine.document.repeated:
        yield machine.fault(
            where, f"{where[-1]} occurs twice in one object, and only the last counts", "Keep one of them"
        )
    names: set[str] = set()
    for state in machine.states:
        if state.name in names:
            yield machine.fault(state.where, "another state has the same name", "Rename one; AWS requires unique names")
        names.add(state.name)
    for scope in machine.scopes:
        yield from _targets(machine, scope)
        yield from _outcome_inside(machine, scope) if scope.where else _outcome(machine, scope)


def _targets(machine: Machine, scope: Scope) -> Iterator[Fault]:
    starts = [] if scope.start in scope.states else [Edge("", scope.start, (*scope.where, "StartAt"))]
    for edge in (*starts, *scope.edges()):
        if edge.target not in scope.states:
            yield machine.fault(
                edge.where, f"there is no state {edge.target} at this level", "Name a state at this level"
            )
    reached = _reach(scope, scope.start)
    for name, state in scope.states.items():
        if name not in reached and reached:
            yield machine.fault(state.where, "no state leads here", "Add a transition to it, or remove it")
        if state.type == "Choice" and "Default" not in state.data:
            wrong = "has no Default, so input that matches no rule ends the execution unrecorded"
            yield machine.fault(state.where, wrong, "Add a Default for everything else")


def _outcome(machine: Machine, scope: Scope) -> Iterator[Fault]:
    """A failure before RecordSucceeded is recorded by RecordFailed; a success never ends as failed, or the reverse."""
    if missing := {SUCCESS, FAILURE, SUPERSEDED} - scope.states.keys():
        yield machine.fault(
            (), f"there is no state {', '.join(sorted(missing))}", "Give this name to the state that does this"
        )
        return
    straight = _reach(scope, scope.start, lambda edge: not edge.errors)
    way = {name for name in straight if SUCCESS in _reach(scope, name, lambda edge: not edge.errors)}
    for name in way - {SUCCESS}:
        if scope.states[name].may_fail and not scope.states[name].catches_all:
            wrong = f"no Catch names States.ALL, so an error ends the execution without {FAILURE}"
            yield machine.fault(
                scope.states[name].where, wrong, f"Add a last Catch of States.ALL that leads to {FAILURE}"
            )
    for edge in scope.edges():
        if wrong := _wrong_end(scope, edge, way):
            remedy = f"Lead to {FAILURE} or a Fail state; a failed condition check, alone in its Catch, to {SUPERSEDED}"
            yield machine.fault(edge.where, wrong, remedy)
    for state in scope.states.values():
        if "End" in state.data:
            wrong = "End ends the execution as SUCCEEDED, whatever the record says"
            yield machine.fault((*state.where, "End"), wrong, "Lead to a Succeed or a Fail state")
    if FAILURE in _reach(scope, SUCCESS):
        wrong = f"leads to {FAILURE}, so an export with a complete file could fail"
        yield machine.fault(scope.states[SUCCESS].where, wrong, f"Remove every route from it to {FAILURE}")


def _wrong_end(scope: Scope, edge: Edge, way: set[str]) -> str:
    """Why a transition is wrong, or ``""``; `way` has RecordSucceeded and the states that lead to it."""
    if edge.target not in scope.states:
        return ""
    if edge.errors == REFUSED:
        wrong = f"a failed condition check leads to {edge.target}, but it is not a failure"
        return "" if edge.target == SUPERSEDED else wrong
    if edge.target in way and (edge.errors or edge.source not in way):
        return f"leads to {edge.target} after an error, so a failed export could succeed"
    if edge.errors and edge.source in way - {SUCCESS}:
        further = _reach(scope, edge.target, lambda each: each.source not in {FAILURE, *way}) - way
        ends = [name for name in further if _ends(scope, name)]
        return f"this error ends in {min(ends)} without {FAILURE}" if ends else ""
    if scope.states[edge.target].type == "Succeed" and (edge.source != SUCCESS or edge.errors):
        return f"ends in {edge.target}, which only {SUCCESS} may lead to"
    return ""


def _ends(scope: Scope, name: str) -> bool:
    """Whether an execution can end in this state, which is not RecordFailed."""
    state = scope.states[name]
    return name != FAILURE and (state.type in ("Succeed", "Fail") or (state.may_fail and not state.catches_all))


def _outcome_inside(machine: Machine, scope: Scope) -> Iterator[Fault]:
    """A failed item ends as failed and records why."""
    for name in _reach(scope, scope.start, lambda edge: not edge.errors):
        if scope.states[name].may_fail and not scope.states[name].catches_all:
            wrong = "no Catch names States.ALL, so nothing records why the item failed"
            yield machine.fault(
                scope.states[name].where, wrong, "Add a last Catch of States.ALL that leads to a Fail state"
            )
    for edge in scope.edges():
        for name in _reach(scope, edge.target) if edge.errors else ():
            if scope.states[name].type == "Succeed" or "End" in scope.states[name].data:
                wrong = f"this error ends in {name} as a success, so the Map continues without the item"
                yield machine.fault(edge.where, wrong, "Make every route after the error end in a Fail state")


def _reach(scope: Scope, start: str, along: Callable[[Edge], bool] = lambda edge: True) -> set[str]:
    """The states that are reachable from the first one, which is included."""
    reached = {start} & scope.states.keys()
    edges = [edge for edge in scope.edges() if along(edge) and edge.target in scope.states]
    while further := {edge.target for edge in edges if edge.source in reached} - reached:
        reached |= further
    return reached
