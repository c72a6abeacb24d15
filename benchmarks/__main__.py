"""``make bench``: runs the benchmarks and writes docs/performance.md.

    python -m benchmarks [GROUP ...] [--rows N] [--repetitions N]

Without names it measures everything. Results are kept in out/bench/<rows>/results.json, so that you can repeat one
measurement alone; the page shows all kept results. Only a run of 1,000,000 rows writes docs/performance.md, and exits
with 1 if a requirement is missed. Every other run is a trial and writes out/bench/<rows>/performance.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import assembler, claims, measure, orders, polling, profiling, report, service, sizes
from benchmarks.contestants import CONTESTANTS, remove
from benchmarks.measure import ROOT
from benchmarks.round_trip import Mismatch
from shared.files.formats import FORMATS

COMPARED = {
    "csv": ["csv", "csv safe", "polars sink_csv", "csv module", "csv module, polars"],
    "csv.gz": ["csv.gz", "gzip", "gzip, polars"],
    "xlsx": ["xlsx", "xlsx without references", "xlsxwriter", *claims.RUST],
    "parquet": ["parquet", "parquet assembly", "polars sink_parquet", "pyarrow"],
}
GROUPS = [*COMPARED, "scale", "profile", "assembler", "sizes", "service", "polling"]


def main(words: list[str]) -> int:
    """Returns 0; 1 if a file is wrong or, at full size, a requirement is missed; 2 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--rows", type=_positive, default=report.FULL_ROWS)
    parser.add_argument("--repetitions", type=_positive, default=5)
    parser.add_argument("--page", action="store_true", help="only write the page again, without measuring")
    arguments = parser.parse_args(words)
    if unknown := [group for group in arguments.groups if group not in GROUPS]:
        parser.error(f"unknown: {', '.join(unknown)}; allowed: {', '.join(GROUPS)}")
    bench = _Bench(arguments.rows, arguments.repetitions)
    try:
        for group in [] if arguments.page else arguments.groups or GROUPS:
            bench.measure(group)
    except Mismatch as mismatch:
        print(f"\nWRONG FILE: {mismatch}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    finally:
        bench.write()
    lost = claims.missed(claims.verdicts(bench.results))
    return 1 if lost and arguments.rows == report.FULL_ROWS else 0


class _Bench:
    """The measurements at one number of rows, and the folder that keeps them."""

    def __init__(self, rows: int, repetitions: int) -> None:
        self._rows, self._repetitions = rows, repetitions
        self._folder = ROOT / "out" / "bench" / str(rows)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._kept = self._folder / "results.json"
        kept = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        self.results: claims.Results = kept.get("results", {})
        self._machine: dict[str, str] = kept.get("machine") or measure.machine()

    def measure(self, group: str) -> None:
        """Runs one measurement and keeps its result."""
        _say(f"• {group}")
        self._machine = measure.machine()
        measurements: dict[str, Callable[[], dict[str, Any]]] = {
            "scale": self._scale,
            "profile": self._profile,
            "assembler": self._assembler,
            "sizes": self._sizes,
            "service": self._service,
            "polling": self._polling,
        }
        taken = measurements[group]() if group in measurements else self._compare(group)
        self.results[group] = {"date": measure.now(), "rows": self._rows, **taken}
        self._kept.write_text(json.dumps({"machine": self._machine, "results": self.results}, indent=1))

    def write(self) -> None:
        """Writes the page, and prints the claims."""
        if not self.results:
            return
        is_full = self._rows == report.FULL_ROWS
        page = ROOT / "docs" / "performance.md" if is_full else self._folder / "performance.md"
        report.write(self.results, self._machine, self._rows, page)
        _say(f"\n{report.summary(self.results)}\n\nSee {page.relative_to(ROOT)}")

    def _files(self, rows: int) -> list[Path]:
        return orders.write(rows, ROOT / "out" / "bench" / "orders" / str(rows))

    def _compare(self, group: str) -> dict[str, Any]:
        files = self._files(self._rows)
        return {"samples": measure.take_turns(COMPARED[group], files, self._repetitions, self._folder, _say)}

    def _scale(self) -> dict[str, Any]:
        """Every format, and reading alone, at 0.1, 1 and 10 times the rows; the other tools at 0.1 times."""
        rows = {"tenth": max(1, self._rows // 10), "whole": self._rows, "tenfold": 10 * self._rows}
        samples: dict[str, Any] = {}
        ours = [name for name in CONTESTANTS if name == "read" or CONTESTANTS[name].about == f"ours, {name}"]
        for size, count in rows.items():
            _say(f"{count:,} rows")
            names = [*ours, *report.RIVALS] if size == "tenth" else ours
            taken = measure.take_turns(names, self._files(count), min(self._repetitions, 3), self._folder, _say)
            samples |= {f"{name} {size}": some for name, some in taken.items()}
        bytes_a_row = sum(file.stat().st_size for file in self._files(self._rows)) / self._rows
        return {"samples": samples, "facts": {"rows": rows, "source_bytes_a_row": bytes_a_row}}

    def _profile(self) -> dict[str, Any]:
        shares, out = {}, self._folder / "profiled"
        for name in FORMATS:
            try:
                shares[name] = profiling.profile(name, self._files(self._rows), out)
            finally:
                remove(out)
        return {"facts": shares}

    def _assembler(self) -> dict[str, Any]:
        return {"facts": assembler.facts(ROOT / "out" / "bench" / "orders" / "parts")}

    def _sizes(self) -> dict[str, Any]:
        packages = sizes.packages(ROOT / ".aws-sam" / "build")
        return {"facts": {"imports": sizes.imports(self._repetitions), "packages": packages}}

    def _service(self) -> dict[str, Any]:
        files = self._files(10 * self._rows)
        return {"facts": service.measure(files, self._repetitions, ROOT / "out" / "bench" / "service", _say)}

    def _polling(self) -> dict[str, Any]:
        return {"facts": polling.measure(_say)}


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


_say: Callable[[str], None] = lambda words: print(words, flush=True)  # noqa: E731


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
