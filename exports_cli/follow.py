"""Waiting for an export, and showing how far it is."""

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
_SLOWER = 1.2


def until_ended(api: Api, answer: Answer) -> Export:
    """Asks for an export until it has ended: never sooner than the API wants, more rarely the longer it takes.

    Args:
        api: where it is.
        answer: what the API said of it last.
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
        bar, said = progress.add_task(export["status"], total=None), ""
        while export["status"] in ACTIVE:
            if not shown.is_terminal and export["status"] != said:
                said = export["status"]
                click.echo(f"{export['id']} {said}", err=True)
            time.sleep(max(pause, answer.pause))
            pause = min(pause * _SLOWER, _LONGEST_PAUSE)
            answer = api.export(export["id"])
            export = answer.body
            state = export["progress"]
            progress.update(
                bar, description=export["status"], completed=state["parts_done"] or 0, total=state["parts_total"]
            )
    return dict(export)


@contextmanager
def downloading(export: Export) -> Iterator[Callable[[int], None]]:
    """A bar for a file that comes; gives what is to be told how many bytes there are."""
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
