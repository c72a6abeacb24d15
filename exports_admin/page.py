"""Renders an attempt as one HTML page, without scripts or network access, for light and dark mode."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from exports_admin.drawing import draw
from exports_admin.text import PARTS, STATES, part_tables, parts_summary, states, summary
from exports_cli.text import line

if TYPE_CHECKING:
    from exports_admin.overview import Overview

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #16191f; --dim: #5f6b7a; --line: #d5dbe1; --box: #f5f7f9;
  --way: #a9b3bd; --good: #1d8102; --bad: #c7290f; --caught: #b35900; --now: #0972d3; }
@media (prefers-color-scheme: dark) { :root { --back: #101418; --text: #e8ebee; --dim: #9aa5b1; --line: #37414c;
  --box: #1a2027; --way: #5a6672; --good: #5cc13d; --bad: #ff6b52; --caught: #f59e42; --now: #58aaff; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; } caption { text-align: left; color: var(--dim); padding: .5rem 0; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 600; white-space: nowrap; }
td:not(:last-child) { white-space: nowrap; } td:last-child { overflow-wrap: anywhere; min-width: 16rem; }
svg text { fill: var(--text); font: 600 13px system-ui, sans-serif; }
svg .small { fill: var(--dim); font: 11px system-ui, sans-serif; }
.way { fill: none; stroke: var(--way); stroke-width: 1.5; } .way.error { stroke-dasharray: 4 3; }
.way.taken { stroke: var(--text); stroke-width: 2; } .head { fill: var(--way); } .head-taken { fill: var(--text); }
.state rect { fill: var(--box); stroke: var(--line); stroke-width: 1.5; }
.state.not-reached > text { fill: var(--dim); } .state.not-reached > rect { stroke-dasharray: 3 3; }
.succeeded > rect { stroke: var(--good); stroke-width: 3; } .caught > rect { stroke: var(--caught); stroke-width: 3; }
.failed > rect, .timed-out > rect, .aborted > rect { stroke: var(--bad); stroke-width: 3; }
.running > rect { stroke: var(--now); stroke-width: 3; }
td.succeeded { color: var(--good); } td.caught { color: var(--caught); } td.running { color: var(--now); }
td.failed, td.timed-out, td.aborted { color: var(--bad); }
"""


def render(machine: dict[str, Any], seen: Overview) -> str:
    """Renders the page.

    Args:
        machine: the definition with which the execution ran.
        seen: the result of :func:`exports_admin.overview.of`.
    """
    title = f"{seen['export_id']} attempt {seen['attempt']}: {seen['status']}"
    status = {state["name"]: state["status"] for state in seen["states"]}
    taken = set(pairwise(state["name"] for state in seen["states"]))
    if seen["parts"]:
        status, taken = status | seen["parts"]["states"], taken | set(seen["parts"]["ways"])
    pairs = {"owner": line(seen["owner"])} | summary(seen)
    body = [
        f"<h1>{_safe(title)}</h1>",
        "<table>",
        *(f"<tr><th>{name}</th><td>{_safe(value)}</td></tr>" for name, value in pairs.items() if value),
        "</table>",
        "<h2>Workflow</h2>",
        f'<div class="scroll">{draw(machine, status, taken)}</div>',
        "<h2>States</h2>",
        _table("", STATES, states(seen)),
    ]
    if parts := seen["parts"]:
        body += ["<h2>Parts</h2>", f"<p>{_safe(parts_summary(parts))}.</p>"]
        body += [_table(name, PARTS, rows) for name, rows in part_tables(parts).items()]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width"/>'
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    status = head.index("status")
    cells = [
        [
            f'<td class="{cell.replace(" ", "-")}">{_safe(cell)}</td>'
            if number == status
            else f"<td>{_safe(cell)}</td>"
            for number, cell in enumerate(row)
        ]
        for row in rows
    ]
    lines = ["".join(row) for row in [[f"<th>{name}</th>" for name in head], *cells]]
    title = f"<caption>{_safe(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{title}' + "\n".join(f"<tr>{each}</tr>" for each in lines) + "</table></div>"


def _safe(text: str) -> str:
    return escape(line(text))
