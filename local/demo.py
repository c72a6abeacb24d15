"""`make demo`: exports the flights of one airline, and shows the request, the file and the execution."""

import csv
import datetime
import itertools
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from checks.repository import ROOT
from exports_admin import stack
from exports_cli.trouble import Trouble
from shared.records import attempts

AIRLINE = "UA"
_LIMIT_SECONDS = 120
_TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}


def show(description: dict[str, Any]) -> Path:
    """Requests the flights of United in 2013, waits for the export, saves the file and shows the execution.

    Then it exports the delays by month and airport, which a query computes from the same flights.

    Raises:
        Trouble: an export did not succeed.
    """
    console = Console(highlight=False, soft_wrap=True)
    token = stack.sign_in(description, AIRLINE)
    parameters = {"from": "2013-01-01", "to": "2013-12-31"}
    request = {"report": "flights", "format": "csv", "parameters": parameters}
    console.print(f"\n[bold]POST {description['api_url']}/exports[/]  as {description['users'][AIRLINE]['email']}")
    console.print_json(data=request)
    started = time.monotonic()
    export = call(description["api_url"] + "/exports", token, request)
    accepted = time.monotonic() - started
    export = _follow(console, export, token)
    ended = time.monotonic() - started
    saved = _save(export, token)
    _show_rows(console, saved)
    console.print(f"{export['rows']:,} rows, {export['bytes']:,} bytes, CRC-32 {export['crc32']}: [bold]{saved}[/]")
    _show_execution(console, description, export)
    console.print(f"POST returned after {accepted:.2f} s. The export was SUCCEEDED after {ended:.2f} s.\n")
    delays = call(description["api_url"] + "/exports", token, request | {"report": "delays", "format": "xlsx"})
    delays = _follow(console, delays, token)
    console.print(
        f"The report delays is a query, reports/delays.sql: {export['rows']:,} flights by month and airport give"
        f" {delays['rows']} rows: [bold]{_save(delays, token)}[/]\n"
    )
    console.print("[bold]Next steps[/]")
    console.print("  make up       keep the stack running; for the first calls, see 'Call it yourself' in README.md")
    console.print("  make invoke FUNCTION=ListReports EVENT=events/list_reports/typical.json     (needs Docker)")
    console.print("  reports/      add a report: one file, no code")
    return saved


def _save(export: dict[str, Any], token: str) -> Path:
    """Saves the file of an export that has ended.

    Raises:
        Trouble: the export did not succeed.
    """
    if export["status"] != "SUCCEEDED":
        raise Trouble(f"The export ended {export['status']}:\n{json.dumps(export['error'], indent=2)}")
    file = call(export["links"]["file"], token)
    saved: Path = ROOT / "out" / file["file_name"]
    saved.parent.mkdir(exist_ok=True)
    with urllib.request.urlopen(file["url"]) as answer:
        saved.write_bytes(answer.read())
    return saved


def call(url: str, token: str, body: object = None) -> Any:
    """Calls the API: POST with a JSON body, or GET without one. Returns the JSON of the answer."""
    headers = {"Authorization": token, "Accept": "application/json", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)


def _follow(console: Console, export: dict[str, Any], token: str) -> dict[str, Any]:
    """Polls the API until the export has ended, and shows its progress."""
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("parts"),
        TimeElapsedColumn(),
    )
    deadline = time.monotonic() + _LIMIT_SECONDS
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(export["status"], total=None)
        while export["status"] not in _TERMINAL and time.monotonic() < deadline:
            time.sleep(0.2)
            export = call(export["links"]["self"], token)
            state = export["progress"]
            progress.update(
                bar, description=export["status"], completed=state["parts_done"], total=state["parts_total"]
            )
    return export


def _show_rows(console: Console, file: Path, rows: int = 4) -> None:
    with file.open(newline="", encoding="utf-8") as text:
        lines = list(itertools.islice(csv.reader(text), rows + 1))
    shown = (3, 5, 9, 10, 12, 13)
    table = Table(title="The first rows, with six of the nineteen columns", title_justify="left")
    for column in shown:
        table.add_column(lines[0][column])
    for line in lines[1:]:
        table.add_row(*(line[column] for column in shown))
    console.print(table)


def _show_execution(console: Console, description: dict[str, Any], export: dict[str, Any]) -> None:
    """Shows the states of the execution, like the event list of the Step Functions console."""
    execution = attempts.execution_arn(description["state_machine_arn"], f"{export['id']}-{export['attempt']}")
    stepfunctions = stack.client("stepfunctions", description)
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=execution)
    table = Table(title=f"Execution {export['id']}-{export['attempt']}", title_justify="left")
    for column, side in (("State", "left"), ("Type", "left"), ("Entered", "right"), ("Duration", "right")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    first: datetime.datetime | None = None
    entered: dict[str, datetime.datetime] = {}
    for event in (event for page in pages for event in page["events"]):
        moment = event["timestamp"]
        first = first or moment
        if name := event.get("stateEnteredEventDetails", {}).get("name"):
            entered[name] = moment
        if name := event.get("stateExitedEventDetails", {}).get("name"):
            kind = event["type"].removesuffix("StateExited")
            since = entered[name]
            table.add_row(
                name, kind, f"{(since - first).total_seconds():.3f} s", f"{(moment - since).total_seconds():.3f} s"
            )
    for run in stepfunctions.list_map_runs(executionArn=execution)["mapRuns"]:
        counts = stepfunctions.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        table.caption = (
            f"FanOutParts: {counts['succeeded']} of {counts['total']} parts succeeded, {counts['failed']} failed"
        )
    console.print(table)
