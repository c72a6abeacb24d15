"""Draws two kinds of plots as SVG, readable on light and dark pages; no library makes them as small.

The axes are logarithmic: both axes of a line plot, and the value axis of a bar plot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

_STYLE = """<style>
text { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 12px; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.bound { stroke: #57606a; stroke-width: 2; stroke-dasharray: 4 3; }
.spread { stroke: #24292f; stroke-width: 1.5; }
.line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .grid { stroke: #30363d; } .bound { stroke: #9198a1; } .spread { stroke: #e6edf3; }
}
</style>"""
# Distinguishable with colour blindness, on white and on black.
_COLOURS = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6bb1",
    "#999999",
    "#b8860b",
    "#20b2aa",
]
_WIDTH, _LEFT, _TOP, _RIGHT, _ROW = 760, 70, 44, 210, 26


def lines(title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draws a line for each series of one or more points (x, y), both above 0."""
    height, below = 420, 50
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    place_x = _scale(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    place_y = _scale(min(ys), max(ys), height - below, _TOP)
    drawn = [_text(_LEFT, 22, title, "title")]
    for tick in _ticks(min(xs), max(xs)):
        x = place_x(tick)
        drawn += [
            _line(x, _TOP, x, height - below, "grid"),
            _text(x, height - below + 18, _short(tick), anchor="middle"),
        ]
    for tick in _ticks(min(ys), max(ys)):
        y = place_y(tick)
        drawn += [_line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"), _text(_LEFT - 8, y + 4, _short(tick), anchor="end")]
    drawn.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, height - 10, across, anchor="middle"))
    drawn.append(f'<g transform="translate(16 {height / 2}) rotate(-90)">{_text(0, 0, up, anchor="middle")}</g>')
    free = float(_TOP)
    for (name, points), colour in zip(
        sorted(series.items(), key=lambda item: place_y(item[1][-1][1])), _COLOURS * len(series), strict=False
    ):
        places = [(place_x(x), place_y(y)) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        free = max(free + 16, places[-1][1])
        drawn += [_line(places[-1][0] + 4, places[-1][1], _WIDTH - _RIGHT + 14, free, "grid")]
        drawn += [f'<circle cx="{_WIDTH - _RIGHT + 20}" cy="{free:.1f}" r="4" fill="{colour}"/>']
        drawn += [_text(_WIDTH - _RIGHT + 30, free + 4, name)]
    return _whole(max(height, int(free) + 20), drawn)


def bars(title: str, rows: Sequence[tuple[str, float, float, float, float | None]]) -> str:
    """Draws a bar for each (name, value, minimum, maximum, bound), all above 0, with the bound across it."""
    left, right = 330, 70
    values = [value for row in rows for value in row[1:] if value]
    place = _scale(min([*values, 0.5]), max(values), left, _WIDTH - right)
    bottom = _TOP + _ROW * len(rows)
    drawn = [_text(16, 22, title, "title")]
    for tick in _ticks(min([*values, 0.5]), max(values)):
        drawn += [_line(place(tick), _TOP, place(tick), bottom, "grid")]
        drawn += [_text(place(tick), bottom + 16, f"{_short(tick)}×", anchor="middle")]
    for number, (name, value, low, high, bound) in enumerate(rows):
        y = _TOP + number * _ROW
        start, end = sorted((place(1), place(value)))
        drawn.append(_text(left - 8, y + 17, name, anchor="end"))
        where = f'x="{start:.1f}" y="{y + 5}" width="{max(end - start, 1):.1f}" height="{_ROW - 10}"'
        drawn.append(f'<rect {where} fill="{_COLOURS[0]}"/>')
        drawn.append(_line(place(low), y + _ROW / 2, place(high), y + _ROW / 2, "spread"))
        if bound:
            drawn.append(_line(place(bound), y + 1, place(bound), y + _ROW - 1, "bound"))
        drawn.append(_text(max(end, place(high), place(bound or value)) + 6, y + 17, f"{value:.3g}×"))
    return _whole(bottom + 30, drawn)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    least, most = math.log10(low), math.log10(high)
    span = most - least or 1.0
    return lambda value: start + (math.log10(value) - least) / span * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times each power of ten between the two; only the powers if there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 3 else (1,)
    return [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]


def _short(value: float) -> str:
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _text(x: float, y: float, words: str, name: str = "", anchor: str = "start") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _whole(height: int, drawn: list[str]) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', _STYLE, *drawn, "</svg>", ""])
