"""`exports-admin fixture`: writes the input of a function to a file that `make invoke` accepts."""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from checks.repository import ROOT
from exports_admin import executions, overview
from exports_admin.connection import connect, export_argument, stack_option
from exports_admin.executions import Attempt, Step
from exports_cli.text import line
from exports_cli.trouble import Trouble
from shared.lambda_ import contract
from shared.lambda_.faults import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER = "5f1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60"
"""The user id in every event under events/."""
_LAMBDA = re.compile(r":states:::lambda:invoke(\.|$)|:lambda:[^:]*:[^:]*:function:")


class Caller(NamedTuple):
    """A state that calls a function."""

    name: str
    per_part: bool


@click.command("fixture")
@export_argument
@click.argument("state")
@click.argument("part", type=click.IntRange(min=0), required=False)
@click.option("--attempt", type=click.IntRange(min=1), help="The number of the attempt.  [default: the latest]")
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True),
    default="-",
    help="The file to write.  [default: standard output]",
)
@click.option("--keep-owner", is_flag=True, help="Keep the user's id.  [default: use the id of the other fixtures]")
@stack_option
def command(
    export_id: str, state: str, part: int | None, *, attempt: int | None, output: IO[str], keep_owner: bool, stack: str
) -> None:
    """Writes the input of a function as a fixture.

    STATE is a state that calls a function, such as PlanParts. GeneratePart also needs the number of the PART. The other
    states call AWS directly and have no function to invoke. For such a STATE, the command lists those that have one.

    Use the file with `make invoke`, or keep it as events/FOLDER/CASE.json. The id of the user is replaced, the tenant
    is not. If Step Functions retried the function, each try had the same input.
    """
    connect(stack)
    execution = executions.find(export_id, attempt)
    caller = _caller(executions.definition(execution), state, part)
    step = _step(execution, caller, part)
    called = step.calls[-1]
    folder = _folder(called.function, stack)
    event = called.event if keep_owner else _without_user(called.event, execution.owner)
    _check(event, folder)
    output.write(json.dumps(event, indent=2, ensure_ascii=False) + "\n")
    of = state if part is None else f"{state}, part {part},"
    tries = f" (the last of {step.tries} tries)" if step.retries else ""
    user = "" if keep_owner else " The user's id was replaced. To keep it, use --keep-owner."
    click.echo(f"Wrote the input of {of} in attempt {execution.number}{tries}.{user}", err=True)
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
    """The state with this name.

    Raises:
        click.UsageError: the state calls no function, or needs a part, or has no parts.
    """
    callers = {caller.name: caller for caller in _callers(machine)}
    if state not in callers:
        names = ", ".join(f"{name} PART" if caller.per_part else name for name, caller in callers.items())
        raise click.UsageError(f"{state} is not a state that calls a function. These are: {names}.")
    caller = callers[state]
    if caller.per_part and part is None:
        raise click.UsageError(f"{state} runs once for each part. Add the number of the part, as in {state} 0.")
    if part is not None and not caller.per_part:
        raise click.UsageError(f"{state} runs once in an attempt, not for each part. Omit the {part}.")
    return caller


def _step(attempt: Attempt, caller: Caller, part: int | None) -> Step:
    """The last visit of the attempt, or of the part, to the state.

    Raises:
        Trouble: it did not enter the state, or called no function there.
    """
    steps, where = attempt.steps(), f"attempt {attempt.number}"
    outcome = _outcome(attempt, steps)
    if part is not None:
        run = next((step.map_run for step in reversed(steps) if step.map_run), None)
        if run is None:
            raise Trouble(f"No part started in {where}, {outcome}.")
        if part >= (total := executions.counts(run)["total"]):
            raise Trouble(f"There is no part {part} in {where}. Its {total} parts are 0 to {total - 1}.")
        wanted = executions.find_part(run, part)
        if wanted is None:
            raise Trouble(f"Part {part} did not start in {where}, {outcome}.")
        steps, where = wanted.steps, f"{where}, part {part}"
    visits = [step for step in steps if step.name == caller.name]
    if not visits:
        raise Trouble(f"{caller.name} did not run in {where}, {outcome}.")
    if not visits[-1].calls:
        fault = visits[-1].fault or attempt.fault
        why = line(f": {fault.error}: {fault.cause}") if fault else "."
        raise Trouble(f"{caller.name} called no function in {where}, {outcome}{why}")
    return visits[-1]


def _outcome(attempt: Attempt, steps: list[Step]) -> str:
    """How an attempt ended, as a clause. The failed state and part are those that `show` names."""
    if attempt.status == "running":
        return f"which is running in {steps[-1].name}" if steps else "which has just started"
    error = overview.error_of(attempt, steps)
    if error is None:
        return "which succeeded"
    ended = {"aborted": "was stopped"}.get(attempt.status, attempt.status)
    part = "" if error["part"] is None else f", part {error['part']}"
    return f"which {ended} in {error['state']}{part}" if error["state"] else f"which {ended}"


def _folder(function: str, stack: str) -> str:
    """The folder of a function, such as ``plan_parts`` for ``…:function:STACK-plan-parts``.

    Raises:
        Trouble: this version has no such function.
    """
    name = function.partition(":function:")[2].partition(":")[0] or function
    folder = name.removeprefix(f"{stack}-").replace("-", "_")
    if not (ROOT / "functions" / folder / "event.schema.json").is_file():
        raise Trouble(f"This version has no function {name}: there is no file functions/{folder}/event.schema.json.")
    return folder


def _without_user(event: Any, owner: str) -> Any:
    """The event, with the user's id replaced by the id of the other fixtures."""
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
    """Checks an event against the contract of its function.

    Raises:
        Trouble: the event breaks the contract.
    """
    app = ROOT / "functions" / folder / "app.py"
    if faults := contract.faults(contract.event_contract(str(app)), event):
        details = "; ".join(sentence(fault) for fault in faults)
        remedy = "Another version processed the export. Check out that version"
        raise Trouble(f"The input does not match functions/{folder}/event.schema.json: {details}. {remedy}.")
