"""Waits for an export and shows its progress."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from exports_cli import text
from exports_cli.api import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exports_cli.api import Answer, Api, Export

_LONGEST_PAUSE = 5.0  # seconds
_SLOWER = 1.2  # factor by which the pause grows


def until_ended(api: Api, answer: Answer) -> Export:
    """Polls an export until it has ended. The pause grows, and is never shorter than the API's Retry-After.

    Args:
        api: the API.
        answer: the API's last answer about the export.
    """
    export, pause = answer.body, 1.0
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("parts"),
        TimeElapsedColumn(),
    )
    shown = text.console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        bar, written = progress.add_task(export["status"], total=None), ""
        while export["status"] in ACTIVE:
            if not shown.is_terminal and export["status"] != written:
                written = export["status"]
                click.echo(f"{export['id']} {written}", err=True)
            time.sleep(max(pause, answer.pause))
            pause = min(pause * _SLOWER, _LONGEST_PAUSE)
            answer = api.export(export["id"])
            export = answer.body
            state = export["progress"]
            progress.update(
                bar,
                description=state.get("phase") or export["status"],
                completed=state["parts_done"] or 0,
                total=state["parts_total"],
            )
    return dict(export)


@contextmanager
def downloading(export: Export) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar for a download. Yields the function that takes the number of bytes so far."""
    shown = text.console(stderr=True)
    columns = (
        TextColumn("Download "),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        bar = progress.add_task("", total=export["bytes"])
        yield lambda have: progress.update(bar, completed=have)
