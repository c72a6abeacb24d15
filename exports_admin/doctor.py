"""`exports-admin doctor`: checks a deployment, and says what to do about each fault."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from exports_admin.connection import connect, stack_option, use_aws_or_emulator
from exports_admin.health import checks
from exports_admin.health.deployment import Deployment, Finding, Unchecked
from exports_admin.stack import locate
from exports_cli.text import line
from exports_cli.trouble import Trouble

if TYPE_CHECKING:
    from exports_admin.health.deployment import Check, Level

_WIDTH = 80
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
_Found = list[tuple["Check", list[Finding]]]


@click.command("doctor")
@click.option("--files", is_flag=True, help="Also compare records with files. Reads the whole table, lists all files.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object.")
@stack_option
def command(stack: str, *, files: bool, as_json: bool) -> None:
    """Checks a deployment.

    Prints a line for each check, then what to do for each that is not ok. The command changes nothing. A check that
    your credentials do not allow is a warning that names the missing permission. The exit status is 1 if there is a
    problem, and 0 if there are only warnings.
    """
    use_aws_or_emulator()
    try:
        deployment = Deployment.find(locate(stack))
    except Unchecked as unchecked:
        raise Trouble(f"The resources of {stack} cannot be listed: {unchecked}. {unchecked.remedy}") from unchecked
    chosen = list(checks.ALWAYS)
    if deployment.outputs:
        connect(stack)  # for the checks that use the product's own code
        chosen += [*checks.DEPLOYED, *([checks.FILES] if files else [])]
    found = [(check, checks.run(check, deployment)) for check in chosen]
    click.echo(_json(deployment, found) if as_json else _text(found))
    sys.exit(any(_level(findings) == "problem" for _, findings in found))


def _level(findings: list[Finding]) -> Level:
    levels = {finding.level for finding in findings}
    return "problem" if "problem" in levels else "warning" if levels else "ok"


def _json(deployment: Deployment, found: _Found) -> str:
    listed = [
        {"name": check.name, "level": _level(findings), "findings": [finding._asdict() for finding in findings]}
        for check, findings in found
    ]
    level = _level([finding for _, findings in found for finding in findings])
    return json.dumps(deployment.where | {"level": level, "checks": listed}, indent=2)


def _text(found: _Found) -> str:
    lines = [_row(_level(findings), check.name, check.subject) for check, findings in found]
    if any(findings for _, findings in found):
        lines += ["", "What to do"]
    for check, findings in found:
        for finding in findings:
            lines += ["", *_wrapped(f"{check.name}: {finding.what}."), *_wrapped(finding.remedy, "  ")]
    return "\n".join(lines)


def _row(level: Level, name: str, subject: str) -> str:
    return f"{click.style(f'{level:<7}', fg=_COLOURS[level])}  {name:<14}  {subject}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    """A text in lines of at most 80 characters. A longer word, such as an ARN, and a command stay whole."""
    if text.startswith(("aws ", "bin/", "make ")):
        return [f"{indent}{line(text)}"]
    wrapper = textwrap.TextWrapper(_WIDTH, indent, indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(line(text))
