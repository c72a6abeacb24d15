"""`exports-admin fixture`: what a function was given, as a file that `make invoke` takes."""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from checks.repository import ROOT
from exports_admin import executions
from exports_admin.connection import connect, export_argument, stack_option
from exports_admin.executions import Attempt, Step
from exports_cli.text import line
from exports_cli.trouble import Trouble
from shared.lambda_ import contract
from shared.lambda_.faults import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER = "5f1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60"
"""The user whom every event under events/ names."""
_LAMBDA = re.compile(r":states:::lambda:invoke(\.|$)|:lambda:[^:]*:[^:]*:function:")


class Caller(NamedTuple):
    """A state that calls a function."""

    name: str
    per_part: bool


@click.command("fixture")
@export_argument
@click.argument("state")
@click.argument("part", type=click.IntRange(min=0), required=False)
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt; the latest, where none is said.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="Where to write it.")
@click.option(
    "--keep-owner", is_flag=True, help="Leave the user's id in; else that of the other fixtures stands there."
)
@stack_option
def command(
    export_id: str, state: str, part: int | None, *, attempt: int | None, output: IO[str], keep_owner: bool, stack: str
) -> None:
    """Writes what a function was given in an attempt at an export, as a fixture.

    STATE is one that calls a function: PlanParts, AssembleFile or, with the number of the PART, GeneratePart. The other
    states call AWS themselves: there is nothing to invoke.

    The file can be given to `make invoke`, and kept as events/FOLDER/CASE.json. Whoever asked for the export is left
    out of it, the tenant is not. A function that was tried again was given the same each time.
    """
    connect(stack)
    made = executions.find(export_id, attempt)
    caller = _caller(executions.definition(made), state, part)
    step = _step(made, caller, part)
    called = step.calls[-1]
    folder = _folder(called.function, stack)
    event = called.event if keep_owner else _without_user(called.event, made.owner)
    _check(event, folder)
    output.write(json.dumps(event, indent=2, ensure_ascii=False) + "\n")
    of = state if part is None else f"{state}, part {part},"
    tries = f", the last of {step.tries} times" if step.retries else ""
    user = "" if keep_owner else " The user's id was replaced (--keep-owner keeps it)."
    click.echo(f"What {of} was given in attempt {made.number}{tries}.{user}", err=True)
    name = "".join(word.title() for word in folder.split("_"))
    file = f"events/{folder}/CASE.json" if output.name == "-" else output.name
    click.echo(f"make invoke FUNCTION={name} EVENT={file}", err=True)


def _callers(machine: dict[str, Any], *, per_part: bool = False) -> Iterator[Caller]:
    for name, state in machine["States"].items():
        if _LAMBDA.search(state.get("Resource", "")):
            yield Caller(name, per_part)
        if inner := executions.processor(state):
            yield from _callers(inner, per_part=True)


def _caller(machine: dict[str, Any], state: str, part: int | None) -> Caller:
    """The state of this name.

    Raises:
        click.UsageError: it calls no function, or a part is said where none is to be, or the other way round.
    """
    callers = {caller.name: caller for caller in _callers(machine)}
    if state not in callers:
        those = ", ".join(f"{name} PART" if caller.per_part else name for name, caller in callers.items())
        raise click.UsageError(f"{state} is no state that calls a function. These do: {those}.")
    caller = callers[state]
    if caller.per_part and part is None:
        raise click.UsageError(f"{state} runs once for each part: say which, as in {state} 0.")
    if part is not None and not caller.per_part:
        raise click.UsageError(f"{state} runs once in an attempt, not for each part: leave the {part} out.")
    return caller


def _step(made: Attempt, caller: Caller, part: int | None) -> Step:
    """The last time that the attempt, or the part, entered the state and called its function.

    Raises:
        Trouble: it never did.
    """
    steps, where = made.steps(), f"attempt {made.number}"
    if part is not None:
        run = next((step.map_run for step in reversed(steps) if step.map_run), None)
        if run is None:
            raise Trouble(f"No part was begun in {where}, {_stands(made, steps)}.")
        if part >= (total := executions.counts(run)["total"]):
            raise Trouble(f"There is no part {part} in {where}: it has {total}, from 0 to {total - 1}.")
        found = executions.find_part(run, part)
        if found is None:
            raise Trouble(f"Part {part} was not begun in {where}, {_stands(made, steps)}.")
        steps, where = found.steps, f"{where}, part {part}"
    visits = [step for step in steps if step.name == caller.name]
    if not visits:
        raise Trouble(f"{caller.name} did not run in {where}, {_stands(made, steps)}.")
    if not visits[-1].calls:
        fault = visits[-1].fault or made.fault
        why = line(f": {fault.error}: {fault.cause}") if fault else "."
        raise Trouble(f"{caller.name} called no function in {where}, {_stands(made, steps)}{why}")
    return visits[-1]


def _stands(made: Attempt, steps: list[Step]) -> str:
    if made.status == "running":
        return f"which runs: it is in {steps[-1].name}" if steps else "which has just begun"
    last = f" in {steps[-1].name}" if steps else ""
    return {"succeeded": "which succeeded", "aborted": f"which was stopped{last}"}.get(
        made.status, f"which {made.status}{last}"
    )


def _folder(function: str, stack: str) -> str:
    """The folder of a function, ``plan_parts`` of ``…:function:STACK-plan-parts``.

    Raises:
        Trouble: there is no such function here.
    """
    name = function.partition(":function:")[2].partition(":")[0] or function
    folder = name.removeprefix(f"{stack}-").replace("-", "_")
    if not (ROOT / "functions" / folder / "event.schema.json").is_file():
        raise Trouble(f"The function {name} is none of this version: there is no functions/{folder}/event.schema.json.")
    return folder


def _without_user(event: Any, owner: str) -> Any:
    """The event with another user's id wherever it names the export's own."""
    user = owner.partition("#")[2]
    match event:
        case dict():
            return {name: _without_user(value, owner) for name, value in event.items()}
        case list():
            return [_without_user(value, owner) for value in event]
        case str() if user:
            return event.replace(user, _USER)
    return event


def _check(event: Any, folder: str) -> None:
    """Refuses an event that is no fixture.

    Raises:
        Trouble: it breaks the function's contract.
    """
    app = ROOT / "functions" / folder / "app.py"
    if faults := contract.faults(contract.event_contract(str(app)), event):
        said = "; ".join(sentence(fault) for fault in faults)
        another = "It was another version that ran; check that one out."
        raise Trouble(f"This is no fixture, for it breaks functions/{folder}/event.schema.json: {said}. {another}")
