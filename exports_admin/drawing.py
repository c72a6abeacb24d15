"""Draws a state machine as SVG, in layers from top to bottom. The path that the execution took is highlighted.

A state is in the layer below all states that lead to it. An arrow to the next layer is direct. Longer arrows use a lane
on the right, one lane for each target, so that no arrow crosses a box.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from exports_admin.executions import processor
from exports_cli.text import line

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH, _HEIGHT = 190, 44  # of a box
_SIDE, _GAP = 40, 46  # horizontal and vertical space between boxes
_PAD, _TITLE = 16, 46  # inside a Map
_LANE, _STEP = 18, 7  # space between lanes, and between parallel arrows


class Arrow(NamedTuple):
    """A transition from one state to another."""

    source: str
    target: str
    error: bool  # only a Catch leads there


@dataclass
class Box:
    """A state and its position, in pixels from the top left corner of its machine."""

    name: str
    kind: str
    layer: int
    column: int
    inner: Layout | None
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        """The width, with the states inside."""
        return max(_WIDTH, 8 * len(self.name) + 24, self.inner.width + 2 * _PAD if self.inner else 0)

    @property
    def height(self) -> float:
        """The height, with the states inside."""
        return self.inner.height + _TITLE + _PAD if self.inner else _HEIGHT


@dataclass
class Layout:
    """The layout of a machine, or of the states inside a Map."""

    boxes: dict[str, Box]
    arrows: list[Arrow]
    lanes: list[str] = field(default_factory=list)  # the targets that have a lane
    right: float = 0  # right edge of the boxes
    width: float = 0
    height: float = 0


def arrows(machine: dict[str, Any]) -> list[Arrow]:
    """Every transition between two states, each once."""
    errors: dict[tuple[str, str], bool] = {}
    for name, state in machine["States"].items():
        rules = [*state.get("Choices", []), {"Next": state.get("Default")}, {"Next": state.get("Next")}]
        for ways, error in ((rules, False), (state.get("Catch", []), True)):
            for target in (way.get("Next") for way in ways):
                if target in machine["States"]:
                    errors.setdefault((name, target), error)
    return [Arrow(source, target, error) for (source, target), error in errors.items()]


def layout(machine: dict[str, Any]) -> Layout:
    """Places every state and arrow."""
    ways = arrows(machine)
    layers = _layers(machine, ways)
    boxes: dict[str, Box] = {}
    following: dict[int, int] = {}  # the next free column of each layer
    in_order = dict.fromkeys([*_main_line(machine), *machine["States"]])
    for name in sorted(in_order, key=lambda name: layers[name]):
        state, layer = machine["States"][name], layers[name]
        # A box is not left of its sources: the main line stays on the left, the error handling is beside it.
        least = min((boxes[way.source].column for way in ways if way.target == name and way.source in boxes), default=0)
        column, inner = max(following.get(layer, 0), least), processor(state)
        boxes[name] = Box(name, state["Type"], layer, column, layout(inner) if inner else None)
        following[layer] = column + 1
    placed = Layout(boxes, ways)
    placed.lanes = list(dict.fromkeys(way.target for way in ways if layers[way.target] != layers[way.source] + 1))
    _place(placed)
    return placed


def _main_line(machine: dict[str, Any]) -> Iterator[str]:
    name, seen = machine["StartAt"], set[str]()
    while name in machine["States"] and name not in seen:
        yield name
        seen.add(name)
        state = machine["States"][name]
        name = state.get("Next") or state.get("Default") or ""


def _layers(machine: dict[str, Any], ways: list[Arrow]) -> dict[str, int]:
    """The length of the longest path to each state. Transitions back to an earlier state do not count."""
    back: set[tuple[str, str]] = set()
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        for way in ways:
            if way.source == name and way.target in (*path, name):
                back.add(way[:2])
            elif way.source == name and way.target not in done:
                walk(way.target, (*path, name))
        done.add(name)

    for name in (machine["StartAt"], *machine["States"]):
        if name not in done:
            walk(name, ())
    layers = dict.fromkeys(machine["States"], 0)
    forward = [way for way in ways if way[:2] not in back]
    for _ in layers:  # the longest path visits each state once
        for way in forward:
            layers[way.target] = max(layers[way.target], layers[way.source] + 1)
    return layers


def _place(placed: Layout) -> None:
    boxes = placed.boxes.values()
    columns = [
        max((box.width for box in boxes if box.column == number), default=0.0)
        for number in range(max(box.column for box in boxes) + 1)
    ]
    y = 0.0
    for layer in range(max(box.layer for box in boxes) + 1):
        row = [box for box in boxes if box.layer == layer]
        for box in row:
            left = sum(columns[: box.column]) + _SIDE * box.column
            box.x, box.y = left + (columns[box.column] - box.width) / 2, y
        y += max((box.height for box in row), default=0) + _GAP
    placed.right = sum(columns) + _SIDE * (len(columns) - 1)
    placed.width = placed.right + _LANE * len(placed.lanes) + (_LANE if placed.lanes else 0)
    placed.height = y - _GAP


def draw(machine: dict[str, Any], status: dict[str, str], taken: set[tuple[str, str]]) -> str:
    """Draws the SVG element.

    Args:
        machine: a definition in the Amazon States Language.
        status: the status of each state that was entered. It is the class of the box, with hyphens for blanks.
        taken: the transitions that the execution took, as (source, target).
    """
    placed = layout(machine)
    view = f"-10 -10 {placed.width + 20:g} {placed.height + 20:g}"
    drawn = "\n".join(_parts_of(placed, status, taken))
    markers = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="{name}" d="M0 0 8 4 0 8z"/></marker>'
        for name in ("head", "head-taken")
    )
    size = f'width="{placed.width + 20:g}" height="{placed.height + 20:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="The workflow" viewBox="{view}" {size}>'
        f"<defs>{markers}</defs>\n{drawn}\n</svg>"
    )


def _parts_of(placed: Layout, status: dict[str, str], taken: set[tuple[str, str]]) -> Iterator[str]:
    for way in sorted(placed.arrows, key=lambda way: way[:2] in taken):  # the taken ones last, so that they are on top
        names = ["way", *(["error"] if way.error else []), *(["taken"] if way[:2] in taken else [])]
        head = "head-taken" if way[:2] in taken else "head"
        label = f"{way.source} to {way.target}{', on an error' if way.error else ''}"
        points = " ".join(f"{x:g},{y:g}" for x, y in _route(placed, way))
        yield (
            f'<polyline class="{" ".join(names)}" points="{points}" marker-end="url(#{head})">'
            f"<title>{_safe(label)}</title></polyline>"
        )
    for box in placed.boxes.values():
        yield from _box(box, status, taken)


def _box(box: Box, status: dict[str, str], taken: set[tuple[str, str]]) -> Iterator[str]:
    stands = status.get(box.name, "not reached")
    yield f'<g class="state {stands.replace(" ", "-")}" transform="translate({box.x:g} {box.y:g})">'
    yield f"<title>{_safe(f'{box.name}: {stands}')}</title>"
    yield f'<rect width="{box.width:g}" height="{box.height:g}" rx="6"/>'
    yield f'<text x="12" y="19">{_safe(box.name)}</text>'
    yield f'<text class="small" x="12" y="34">{_safe(box.kind)} · {stands}</text>'
    if box.inner:
        yield f'<g transform="translate({_PAD} {_TITLE})">'
        yield from _parts_of(box.inner, status, taken)
        yield "</g>"
    yield "</g>"


def _route(placed: Layout, way: Arrow) -> list[tuple[float, float]]:
    """The corners of an arrow, from the bottom of its source to the top of its target."""
    source, target = placed.boxes[way.source], placed.boxes[way.target]
    below = source.y + max(box.height for box in placed.boxes.values() if box.layer == source.layer)
    if target.layer == source.layer + 1:
        begin, end = source.x + source.width / 2, target.x + target.width / 2
        # Arrows to different targets turn at different heights, so that the reader can follow each.
        turn = below + _GAP - 12 - _STEP * min(target.column, 2)
        corners = [(begin, source.y + source.height), (begin, turn), (end, turn), (end, target.y)]
        return corners if begin != end else [corners[0], corners[3]]
    lane = placed.lanes.index(way.target)
    begin = source.x + source.width / 2 + 24 + _STEP * lane
    end, x = target.x + target.width - 24 - _STEP * lane, placed.right + _LANE * (lane + 1)
    leave, arrive = below + 8 + _STEP * (lane % 3), target.y - 14 - _STEP * (lane % 3)
    bottom = source.y + source.height
    return [(begin, bottom), (begin, leave), (x, leave), (x, arrive), (end, arrive), (end, target.y)]


def _safe(text: str) -> str:
    return escape(line(text))
