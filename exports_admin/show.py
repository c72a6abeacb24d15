"""`exports-admin show`: shows an attempt as text, as JSON or as a page."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from exports_admin import executions, overview, page, tenants
from exports_admin.connection import connect, export_argument, stack_option
from exports_admin.health.deployment import Unchecked, readable
from exports_admin.overview import Overview
from exports_admin.text import PARTS, STATES, part_tables, parts_summary, states, summary, table
from exports_cli.text import line
from shared.files import work


@click.command("show")
@export_argument
@click.option("--attempt", type=click.IntRange(min=1), help="The number of the attempt.  [default: the latest]")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object.")
@click.option(
    "--html",
    "page_file",
    metavar="FILE",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Write an HTML page with a drawing of the workflow. The page needs no other file and no network.",
)
@stack_option
def command(export_id: str, *, attempt: int | None, as_json: bool, page_file: IO[str] | None, stack: str) -> None:
    """Shows an attempt at an export.

    Prints its states and parts, what failed, and what to do. If there are many parts, only some of their histories are
    read: of the first failed parts and of the slowest ones. If the file has no rows, the command compares the tenant
    with the dataset, and says if the dataset has it in another case.
    """
    if as_json and page_file:
        raise click.UsageError("Use either --json or --html.")
    description = connect(stack)
    execution = executions.find(export_id, attempt)
    seen = overview.of(execution)
    seen["hint"] = _hint(description, seen)
    if page_file:
        page_file.write(page.render(executions.definition(execution), seen))
        click.echo(f"{export_id} attempt {execution.number}: {seen['status']}", err=True)
    else:
        click.echo(json.dumps(seen, indent=2) if as_json else text(seen))


def _hint(description: dict[str, Any], seen: Overview) -> str | None:
    """Why a file has no rows, if the tenant is in the wrong case; None if the file has rows, or the tenant is right."""
    if not seen["record"] or seen["record"]["rows"] != 0:
        return None
    try:
        with readable("s3"):
            plan = work.current_plan(seen["export_id"])
        if plan is None:
            return None
        definition = plan["definition"]
        if definition["source"]["type"] == "query":  # the plan reads the query's result, and does not know its datasets
            deployed = tenants.deployed(description)
            if plan["report"] not in deployed:
                raise Unchecked(f"the report {plan['report']} is no longer deployed")
            definition = deployed[plan["report"]]
        return tenants.warning(description, [definition], plan["tenant"]) or None
    except Unchecked as unchecked:
        return f"The tenant could not be compared with the dataset: {unchecked}."


def text(seen: Overview) -> str:
    """An attempt as text for the terminal."""
    head = click.style(f"{seen['export_id']} attempt {seen['attempt']}", bold=True)
    paragraphs = [[f"{head} of {line(seen['owner'])}: {seen['status']}", *_pairs(summary(seen))]]
    paragraphs.append(table([STATES, *states(seen)], right={2, 3, 4}))
    if parts := seen["parts"]:
        paragraphs.append([parts_summary(parts)])
        for title, rows in part_tables(parts).items():
            paragraphs[-1] += [title, *(f"  {row}" for row in table([PARTS, *rows], right={0, 2, 3}))]
    return "\n\n".join("\n".join(paragraph) for paragraph in paragraphs)


def _pairs(pairs: dict[str, str]) -> list[str]:
    return [f"  {name:<8}{value}" for name, value in pairs.items() if value]
