"""The project's claims, and whether the measurements support them. Pure: results in, verdicts out.

Results are JSON: ``{group: {date, rows, samples: {contestant: [sample]}, facts: {…}}}``; see :mod:`benchmarks.measure`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Results = dict[str, dict[str, Any]]
RUST = ("rustpy-xlsxwriter", "jetxl")
KEEPING = ("rustpy-xlsxwriter",)
"""Those of :data:`RUST` that keep every character: a claim compares only with files that hold all the data."""
SCALED = ("csv", "csv.gz", "xlsx", "parquet")
SIZES = ("tenth", "whole", "tenfold")
_HEAD = 0.525
"""The head in percent of 1 GB: a part of an upload has at least 5 MiB, so the first takes that much of a part."""


@dataclass(frozen=True)
class Figure:
    """A median, with the smallest and the largest measured value."""

    median: float
    low: float
    high: float
    note: str = ""

    @classmethod
    def of(cls, values: Iterable[float], note: str = "") -> Figure:
        """The figure of one or more values."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values), note)


@dataclass(frozen=True)
class Claim:
    """A claim: one row of the table."""

    group: str
    """The measurement that it uses, as in ``make bench ARGS=…``."""
    work: str
    against: str
    at_least: bool
    must: float
    goal: float
    unit: str
    find: Callable[[Results], Figure | None]
    """Returns the figure, or None if it was not measured."""

    def bound(self, value: float) -> str:
        """A bound as the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {value:g}{self.unit}"


@dataclass(frozen=True)
class Verdict:
    """A claim and its measured figure."""

    claim: Claim
    figure: Figure | None

    def _meets(self, bound: float) -> bool:
        if self.figure is None:
            return False
        return self.figure.median >= bound if self.claim.at_least else self.figure.median <= bound

    @property
    def is_missed(self) -> bool:
        """Whether the requirement is missed."""
        return self.figure is not None and not self._meets(self.claim.must)

    @property
    def words(self) -> str:
        """The verdict as the table shows it."""
        if self.figure is None:
            return "not measured"
        if self.is_missed:
            return "**REQUIREMENT MISSED**"
        return "goal reached" if self._meets(self.claim.goal) else "requirement met"


def verdicts(results: Results) -> list[Verdict]:
    """A verdict for every claim, in the order of the table."""
    return [Verdict(claim, claim.find(results)) for claim in CLAIMS]


def missed(judged: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts whose requirement is missed."""
    return [verdict for verdict in judged if verdict.is_missed]


def _samples(results: Results, group: str, name: str) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = results.get(group, {}).get("samples", {}).get(name, [])
    return samples


def ratio(results: Results, group: str, above: str, below: str, note: str = "") -> Figure | None:
    """CPU seconds of one contestant divided by another's, turn by turn."""
    pairs = zip(_samples(results, group, above), _samples(results, group, below), strict=False)
    values = [one["cpu"] / other["cpu"] for one, other in pairs if other["cpu"]]
    return Figure.of(values, note) if values else None


def _faster(group: str, ours: str, theirs: str) -> Callable[[Results], Figure | None]:
    return lambda results: ratio(results, group, theirs, ours)


def _slower(group: str, ours: str, theirs: str) -> Callable[[Results], Figure | None]:
    return lambda results: ratio(results, group, ours, theirs)


def _best_of(group: str, ours: str, theirs: tuple[str, ...]) -> Callable[[Results], Figure | None]:
    """Compares with the fastest of them."""

    def find(results: Results) -> Figure | None:
        ratios = [(ratio(results, group, each, ours, note=each)) for each in theirs]
        return min((each for each in ratios if each), key=lambda each: each.median, default=None)

    return find


def _worst_growth(key: str) -> Callable[[Results], Figure | None]:
    """The format that grows most from the rows to ten times the rows: in CPU seconds per row, or bytes of memory."""

    def find(results: Results) -> Figure | None:
        samples = results.get("scale", {}).get("samples", {})
        rows = results.get("scale", {}).get("facts", {}).get("rows", {})
        growths = []
        for name in SCALED:
            small, large = (samples.get(f"{name} {size}", []) for size in ("whole", "tenfold"))
            if small and large:
                times = rows["tenfold"] / rows["whole"] if key == "cpu" else 1
                pairs = zip(small, large, strict=False)
                growths.append(Figure.of([two[key] / one[key] / times for one, two in pairs], note=name))
        return max(growths, key=lambda each: each.median, default=None)

    return find


def _fact(group: str, *path: str) -> Callable[[Results], Figure | None]:
    """The measured values themselves."""

    def find(results: Results) -> Figure | None:
        value: Any = results.get(group, {}).get("facts", {})
        for name in path:
            value = value.get(name, {})
        if isinstance(value, int | float):
            return Figure.of([value])
        return Figure.of(value) if value else None

    return find


CLAIMS = [
    Claim("xlsx", "xlsx", "xlsxwriter, constant_memory", True, 25, 40, "×", _faster("xlsx", "xlsx", "xlsxwriter")),
    Claim(
        "xlsx",
        "xlsx",
        "fastest Rust binding that keeps every character",
        True,
        3,
        5,
        "×",
        _best_of("xlsx", "xlsx", KEEPING),
    ),
    Claim("xlsx", "xlsx", "jetxl, which drops control characters", True, 1, 3, "×", _faster("xlsx", "xlsx", "jetxl")),
    Claim(
        "csv",
        "csv, spreadsheet_safe off",
        "polars sink_csv alone",
        False,
        1.3,
        1.15,
        "×",
        _slower("csv", "csv", "polars sink_csv"),
    ),
    Claim(
        "csv",
        "csv, spreadsheet_safe on",
        "polars sink_csv alone",
        False,
        1.6,
        1.4,
        "×",
        _slower("csv", "csv safe", "polars sink_csv"),
    ),
    Claim("csv", "csv", "csv module, rows from pyarrow", True, 15, 18, "×", _faster("csv", "csv", "csv module")),
    Claim(
        "csv.gz",
        "csv.gz",
        "csv module and gzip 6, rows from pyarrow",
        True,
        13,
        18,
        "×",
        _faster("csv.gz", "csv.gz", "gzip"),
    ),
    Claim(
        "parquet",
        "parquet assembly",
        "re-encoding, the faster of polars and pyarrow",
        True,
        10,
        10,
        "×",
        _best_of("parquet", "parquet assembly", ("polars sink_parquet", "pyarrow")),
    ),
    Claim(
        "assembler",
        "bytes through the assembler, 1 GB csv.gz",
        "all bytes",
        False,
        1,
        _HEAD,
        " %",
        _fact("assembler", "csv.gz", "percent"),
    ),
    Claim(
        "assembler",
        "bytes through the assembler, one-sheet xlsx",
        "all bytes",
        False,
        1,
        _HEAD,
        " %",
        _fact("assembler", "xlsx", "percent"),
    ),
    Claim("scale", "ten times the rows, CPU per row", "linear growth", False, 1.2, 1.05, "×", _worst_growth("cpu")),
    Claim(
        "scale",
        "ten times the rows, memory of the worker",
        "constant memory",
        False,
        1.2,
        1.05,
        "×",
        _worst_growth("peak"),
    ),
    Claim(
        "service",
        "service on the emulator, POST to SUCCEEDED, csv, wall",
        "engine alone, two processes",
        False,
        2,
        1.4,
        "×",
        _fact("service", "ratios"),
    ),
    Claim(
        "service",
        "ten rows, warm, POST to SUCCEEDED, wall",
        "–",
        False,
        3,
        1.5,
        " s",
        _fact("service", "ten_rows", "seconds"),
    ),
]
