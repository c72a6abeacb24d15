"""Measures the memory, time and bytes that scanning one huge row group takes.

    python -m benchmarks.scan [rows, 8,000,000]

Writes a file with one row group of the given rows and nine columns and plans it. Then scans the first, the middle and
the last part as GeneratePart does, each in a process of its own. A stub of S3 (benchmarks/stub_s3.py) answers each
request after 20 ms. Prints for each part the peak of anonymous and resident memory above that before the scan, the
seconds, and the bytes fetched.

On two cores, November 2026: 348 MB in 20 parts; a part takes 19 MB, 0.4 s and 91 MB of anonymous memory. The same file
without an OffsetIndex: 357 MB, 0.9 s, 120 MB. Before, when polars itself read S3: 1,392 MB, 3.9 s, 727 MB.
"""

from __future__ import annotations

import multiprocessing
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))

from benchmarks import stub_s3
from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.files.work import Part

COLUMNS = ["day", "amount", "price", "rate", "code", "note", "level", "serial"]
DEFINITION = {
    "source": {"type": "parquet", "dataset": "huge"},
    "tenant": "tenant",
    "columns": [{"name": name, "type": "string", "expression": f"CAST({name} AS VARCHAR)"} for name in COLUMNS],
}


def main() -> None:
    """Runs the measurement; see the module docstring."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 8_000_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "huge" / "one.parquet"
        file.parent.mkdir()
        _apart(_make, file, rows)
        print(f"{rows} rows in one row group, {file.stat().st_size / 1e6:.0f} MB")
        with stub_s3.serving(Path(folder), 0.02):
            schema, extents = parquet.plan(Query.of(DEFINITION, {}, "acme"))
            parts = planning.divide(extents, 20, 1)
            print(f"{len(parts)} parts")
            for part in (parts[0], parts[len(parts) // 2], parts[-1]):
                _apart(_scan, {name: str(dtype) for name, dtype in schema.items()}, part)


def _apart(work: object, *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)  # type: ignore[arg-type]
    process.start()
    process.join()


def _make(file: Path, rows: int) -> None:
    numbers = pl.int_range(rows, eager=True)
    frame = pl.select(
        tenant=pl.when(numbers % 2 == 0).then(pl.lit("acme")).otherwise(pl.lit("other")),
        day=numbers % 31,
        amount=numbers.hash(1) // 4,
        price=(numbers.hash(2) % 10**9) / 1000,
        rate=(numbers.hash(3) % 10**9) / 7,
        code=numbers.hash(4).cast(pl.String),
        note=numbers.hash(5).cast(pl.String) + " and some words",
        level=(numbers.hash(6) % 1000).cast(pl.Int32),
        serial=numbers,
    )
    frame.write_parquet(file, row_group_size=rows)


def _scan(schema: dict[str, str], part: Part) -> None:
    query = Query.of(DEFINITION, {}, "acme")
    fetched: Counter[str] = Counter()
    with _Peak() as peak:
        rows = sum(query.apply(frame).height for frame in parquet.scan(query, schema, part["sources"], fetched))
    print(
        f"part {part['part']}: {part['rows']} rows read, {rows} kept, {fetched['bytes'] / 1e6:.0f} MB fetched, "
        f"{peak.seconds:.1f} s, +{peak.most['RssAnon']:.0f} MB anonymous, +{peak.most['VmRSS']:.0f} MB resident"
    )


class _Peak:
    """A context that records the peak of memory, in MB above that at its start."""

    def __enter__(self) -> _Peak:
        self._before, self.most, self._begun = self._read(), Counter[str](), time.perf_counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begun
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.003):
            for name, now in self._read().items():
                self.most[name] = max(self.most[name], now - self._before[name])

    @staticmethod
    def _read() -> dict[str, int]:
        lines = re.findall(r"(RssAnon|VmRSS):\s+(\d+) kB", Path("/proc/self/status").read_text())
        return {name: int(size) // 1024 for name, size in lines}


if __name__ == "__main__":
    main()
