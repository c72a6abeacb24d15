"""Measures how long planning and reading many small files take.

    python -m benchmarks.planning [files, 20,000]

Plans a report over many files of twenty columns and a thousand rows, all with one schema, prints how long each step
took, and scans the first part. A stub of S3 (benchmarks/stub_s3.py) answers each request after 20 ms.

In November 2026, boto3 alone took 2.7 times the CPU time of obstore and the footers together.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))

from benchmarks import stub_s3
from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import parquet

DEFINITION = {
    "source": {"type": "parquet", "dataset": "many"},
    "tenant": "tenant",
    "columns": [{"name": name, "type": "string"} for name in ("tenant", "text_1", "text_2", "text_3")],
}


def main() -> None:
    """Runs the measurement; see the module docstring."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder), files)
        with stub_s3.serving(Path(folder), 0.02):
            begun, processor = time.perf_counter(), time.process_time()
            query = Query.of(DEFINITION, {}, "acme")
            schema, extents = parquet.plan(query)
            planned = time.perf_counter()
            parts = planning.divide(extents, 20, 1)
            ended, used = time.perf_counter(), time.process_time() - processor
            types = {name: str(dtype) for name, dtype in schema.items()}
            rows = sum(frame.height for frame in parquet.scan(query, types, parts[0]["sources"]))
            scanned = time.perf_counter() - ended
    largest = max(len(json.dumps(part, ensure_ascii=False).encode()) for part in parts)
    print(
        f"{files} files: listing and footers {planned - begun:.1f} s ({used:.1f} s of "
        f"CPU time), dividing {ended - planned:.1f} s, {len(parts)} parts, largest item {largest} bytes; "
        f"the first part, {rows} rows of {len(parts[0]['sources'])} files, scanned in {scanned:.1f} s"
    )


def _make(folder: Path, files: int) -> None:
    numbers = pl.int_range(1000, eager=True)
    columns = {f"number_{index}": numbers.hash(index) for index in range(9)}
    columns |= {f"text_{index}": numbers.hash(index).cast(pl.String) for index in range(10)}
    first = folder / "first"
    pl.DataFrame(columns).with_columns(tenant=pl.lit("acme")).write_parquet(first)
    for number in range(files):
        file = folder / "many" / f"day={number // 100}" / f"{number:06}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        os.link(first, file)


if __name__ == "__main__":
    main()
