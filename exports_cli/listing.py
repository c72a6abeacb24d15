"""The table of `exports list`: one line for each export, never wider than the terminal."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.cells import cell_len, set_cell_size

from exports_cli import text

if TYPE_CHECKING:
    from exports_cli.api import Export

SHORT = 8
"""Characters of a short id: the end of the id, as in the name of the file. The start is a time and differs less."""
_NARROWEST = 12  # columns to which the report and the parameters are cut
_GAP = "  "
_MISSING = object()


class _Column(NamedTuple):
    name: str
    cells: list[str]
    right: bool = False

    @property
    def width(self) -> int:
        return max(cell_len(cell) for cell in (self.name, *self.cells))

    def cut(self, width: int) -> _Column:
        return self._replace(cells=[_cut(cell, width) for cell in self.cells])


def lines(exports: list[Export], width: int | None, now: datetime.datetime) -> list[str]:
    """The lines that show these exports.

    A parameter with the same value in all rows of a report stands once, above the table. The id is shown in full if
    the table fits into the width, else its last 8 characters.

    Args:
        exports: as the API returns them; at least one.
        width: columns of the terminal; None for any width.
        now: the time from which the ages count.
    """
    common = {name: _common([each for each in exports if each["report"] == name]) for name in _reports(exports)}
    same_format = len(exports) > 1 and len({each["format"] for each in exports}) == 1
    rows = _columns(exports, common, now, with_format=not same_format)
    head, *body = _layout(rows, width)
    return [*_above(exports, common, width, with_format=same_format), click.style(head, bold=True), *body]


def age(created_at: str, now: datetime.datetime) -> str:
    """How long ago a time of the API was, in its largest unit."""
    seconds = max(0, int((now - datetime.datetime.fromisoformat(created_at)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _reports(exports: list[Export]) -> list[str]:
    return list(dict.fromkeys(each["report"] for each in exports))


def _common(exports: list[Export]) -> Export:
    """The parameters that have the same value in all of several exports."""
    first, *others = (each["parameters"] for each in exports)
    if not others:
        return {}
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name, _MISSING) == value and type(other[name]) is type(value) for other in others)
    }


def _above(exports: list[Export], common: dict[str, Export], width: int | None, *, with_format: bool) -> list[str]:
    shared = text.values({"format": exports[0]["format"]}) if with_format else ""
    if len(common) == 1:
        shared = " ".join(filter(None, (shared, *map(text.values, common.values()))))
        common = {}
    above = [f"Same in every row: {shared}"] if shared else []
    above += [f"Same in every {name} row: {text.values(each)}" for name, each in common.items() if each]
    return [_cut(text.line(each), width) for each in above]


def _columns(
    exports: list[Export], common: dict[str, Export], now: datetime.datetime, *, with_format: bool
) -> list[_Column]:
    own = [
        {name: value for name, value in each["parameters"].items() if name not in common[each["report"]]}
        for each in exports
    ]
    named = {
        "export": [each["id"] for each in exports],
        "report": [each["report"] for each in exports],
        "format": [each["format"] for each in exports] if with_format else [],
        "parameters": [text.values(each) for each in own],
        "status": [each["status"] for each in exports],
        "rows": ["" if each["rows"] is None else f"{each['rows']:,}" for each in exports],
        "created": [age(each["created_at"], now) for each in exports],
        "error": [each["error"]["title"] if each["error"] else "" for each in exports],
    }
    return [
        _Column(name, [text.line(cell) for cell in cells], right=name == "rows")
        for name, cells in named.items()
        if any(cells)
    ]


def _layout(columns: list[_Column], width: int | None) -> list[str]:
    """The first layout that fits: everything; without errors; with short ids; with short ids and cut texts."""
    if width is None or _total(columns) <= width:
        return _drawn(columns)
    columns = [each for each in columns if each.name != "error"]
    if _total(columns) > width:
        columns[0] = columns[0]._replace(cells=[cell[-SHORT:] for cell in columns[0].cells])
    for name in ("parameters", "report"):
        columns = [
            each.cut(max(_NARROWEST, each.width - max(0, _total(columns) - width))) if each.name == name else each
            for each in columns
        ]
    return [_cut(each, width) for each in _drawn(columns)]


def _total(columns: list[_Column]) -> int:
    return sum(each.width for each in columns) + len(_GAP) * (len(columns) - 1)


def _drawn(columns: list[_Column]) -> list[str]:
    padded = []
    for column in columns:
        fill = [" " * (column.width - cell_len(cell)) for cell in (column.name, *column.cells)]
        texts = zip(fill, (column.name, *column.cells), strict=True)
        padded.append([space + cell if column.right else cell + space for space, cell in texts])
    return [_GAP.join(row).rstrip() for row in zip(*padded, strict=True)]


def _cut(words: str, width: int | None) -> str:
    """The text, cut to a number of columns. A character may take two columns."""
    if width is None or cell_len(words) <= width:
        return words
    return set_cell_size(words, width - 1).rstrip() + "…"
