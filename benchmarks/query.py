"""Compares RunQuery with the bare engine: a group, a join and a sort of the same files, side by side.

    python -m benchmarks.query [rows, 10,000,000] [repetitions, 3]
    python -m benchmarks.query memory [rows, 20,000,000] [MiB for DuckDB, 2105]

- *RunQuery* is the function from its start to its receipt: it lists, reads footers, loads the tables, runs the query,
  writes and stores the file. A stub of S3 (benchmarks/stub_s3.py) sends the data.
- *over S3* is DuckDB's COPY of the same query over the same stub, without tables, checks and upload.
- *over files* is DuckDB's COPY over local files, and *polars* is its SQL over them.

Each run is a process of its own. ``memory`` runs the sort alone, by default with the limit that QueryMemory 3008 gives.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "functions"))

CUSTOMERS = 200_000
_FILE_ROWS = 500_000
_TYPES = {
    "tenant": "string",
    "id": "integer",
    "customer": "integer",
    "amount": "decimal(12,2)",
    "discount": "number",
    "day": "date",
    "note": "string",
}
_NEEDED = {
    "group": ["tenant", "customer", "amount", "discount"],
    "join": ["tenant", "customer", "amount", "day"],
    "sort": [*_TYPES],
}
"""The columns that a report of each query declares."""
QUERIES = {
    "group": (
        "SELECT customer, count(*) AS n, sum(amount) AS total, avg(discount) AS mean FROM sales "
        "GROUP BY customer ORDER BY total DESC, customer",
        {"customer": "integer", "n": "integer", "total": "decimal", "mean": "number"},
    ),
    "join": (
        "SELECT country, day, count(*) AS n, sum(amount) AS total FROM sales JOIN people USING (customer) "
        "GROUP BY country, day ORDER BY country, day",
        {"country": "string", "day": "date", "n": "integer", "total": "decimal"},
    ),
    "sort": (
        "SELECT id, customer, amount, discount, day, note FROM sales ORDER BY amount DESC, id",
        {
            "id": "integer",
            "customer": "integer",
            "amount": "decimal",
            "discount": "number",
            "day": "date",
            "note": "string",
        },
    ),
}
WAYS = ("RunQuery", "over S3", "over files", "polars")


def make(folder: Path, rows: int) -> None:
    """Writes the datasets ``sales`` and ``people`` into a folder, unless they are there."""
    import numpy as np
    import polars as pl

    if (folder / "made").exists():
        return
    for name in ("sales", "people"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for at, first in enumerate(range(0, rows, _FILE_ROWS)):
        count, random = min(_FILE_ROWS, rows - first), np.random.default_rng(at)
        table = pl.DataFrame(
            {
                "tenant": pl.repeat("acme", count, eager=True),
                "id": np.arange(first, first + count),
                "customer": random.integers(0, CUSTOMERS, count),
                "amount": pl.Series(random.integers(0, 10_000_000, count)).cast(pl.Decimal(12, 0)),
                "discount": np.round(random.random(count), 4),
                "day": pl.Series(random.integers(15_000, 15_730, count), dtype=pl.Int32).cast(pl.Date),
                "note": pl.Series(random.integers(0, 2**62, count)).cast(pl.String),
            }
        ).with_columns((pl.col("amount") / 100).cast(pl.Decimal(12, 2)))
        table.write_parquet(folder / "sales" / f"{at:04}.parquet", row_group_size=122_880)
    people = pl.DataFrame({"customer": range(CUSTOMERS)}).with_columns(
        pl.concat_str(pl.lit("C"), pl.col("customer") % 60).alias("country"),
        pl.concat_str(pl.lit("customer "), pl.col("customer")).alias("name"),
    )
    people.write_parquet(folder / "people" / "0.parquet")
    (folder / "made").touch()


def once(way: str, query: str, folder: Path, memory: int = 2105, spill: int = 3072) -> dict[str, Any]:
    """Runs a query in this process.

    Returns:
        ``seconds``, and ``cpu`` seconds of all threads; ``rows``, ``fetched`` bytes, and ``peak`` bytes of the process.
    """
    importlib.import_module(_MODULES[way])  # a function that has started has done so
    begun, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.parquet"
        rows, fetched = RUNS[way](query, folder, out, memory, spill)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    return {"seconds": seconds, "cpu": cpu, "rows": rows, "fetched": fetched, "peak": peak}


def statement(query: str) -> Any:
    """The query as RunQuery runs it."""
    from shared.catalogue.reports import Report
    from shared.queries.statement import Statement

    sql, columns = QUERIES[query]
    needed = {name: _TYPES[name] for name in _NEEDED[query]}
    datasets: dict[str, Any] = {"sales": {"dataset": "sales", "tenant": "tenant", "columns": needed}}
    if query == "join":
        people = {"customer": "integer", "country": "string"}
        datasets["people"] = {"dataset": "people", "shared": True, "columns": people}
    definition = {
        "title": query,
        "source": {"type": "query", "engine": "duckdb", "sql": "query.sql", "datasets": datasets},
        "columns": [{"name": name, "title": name, "type": kind} for name, kind in columns.items()],
    }
    record: Any = {"owner": "acme#user", "export_id": "export", "parameters": "{}"}
    return Statement.of(Report(query, definition, sql), record)


def _run_query(query: str, folder: Path, out: Path, memory: int, spill: int) -> tuple[int, int]:
    from unittest import mock

    from benchmarks import stub_s3

    variables = {"QUERY_MEMORY": str(round(memory / 0.7)), "QUERY_SPILL": str(spill), "QUERY_SECONDS": "870"}
    variables |= {"MAX_ROWS_PER_EXPORT": "1000000000", "EXPORTS_BUCKET": stub_s3.BUCKET}
    with mock.patch.dict(os.environ, variables):
        from run_query import app
        from shared.queries import engine

        seen, write = [], engine.write

        def counted(*arguments: Any) -> Any:
            seen.append(write(*arguments))
            return seen[-1]

        record: Any = {"owner": "acme#user", "export_id": "export", "attempt": 1}
        with mock.patch.object(engine, "write", counted), mock.patch.object(app.attempts, "running"):
            receipt = app._run(statement(query), record, time.monotonic() + 870, None)
    return receipt["rows"], seen[0][2]


def _over_s3(query: str, folder: Path, out: Path, memory: int, spill: int) -> tuple[int, int]:
    from shared.queries import tables
    from shared.queries.pinned import PinnedFiles

    files, scans = PinnedFiles(), {}
    for source in tables.find(statement(query)):
        scans[source.dataset.name] = [files.add(*each) for each in source.files]
    return _copy(query, scans, out, memory, spill, files), files.fetched


def _over_files(query: str, folder: Path, out: Path, memory: int, spill: int) -> tuple[int, int]:
    scans = {name: [str(file) for file in sorted((folder / name).glob("*.parquet"))] for name in ("sales", "people")}
    return _copy(query, scans, out, memory, spill, None), 0


def _copy(query: str, scans: dict[str, list[str]], out: Path, memory: int, spill: int, files: Any) -> int:
    import duckdb

    from shared.queries.engine import GROUP_ROWS

    config: dict[str, Any] = {"memory_limit": f"{memory} MiB", "temp_directory": f"{out.parent}/spill"}
    config |= {"max_temp_directory_size": f"{spill} MiB"}
    with duckdb.connect(config=config) as connection:
        if files:
            connection.register_filesystem(files)
        for name, addresses in scans.items():
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({addresses!r})")
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS}"
        answer = connection.execute(f"COPY ({QUERIES[query][0]}) TO '{out}' ({options})").fetchone()
    return int(answer[0]) if answer else 0


def _polars(query: str, folder: Path, out: Path, memory: int, spill: int) -> tuple[int, int]:
    import polars as pl

    frames = {name: pl.scan_parquet(folder / name / "*.parquet") for name in ("sales", "people")}
    result: Any = pl.SQLContext(frames).execute(QUERIES[query][0])
    result.sink_parquet(out, compression="zstd", row_group_size=30_720)
    return int(pl.scan_parquet(out).select(pl.len()).collect().item()), 0


_MODULES = {"RunQuery": "run_query.app", "over S3": "shared.queries.tables", "over files": "duckdb", "polars": "polars"}
RUNS = {"RunQuery": _run_query, "over S3": _over_s3, "over files": _over_files, "polars": _polars}


def run(way: str, query: str, folder: Path, **limits: int) -> dict[str, Any]:
    """Runs a query in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.query", "once", way, query, str(folder), json.dumps(limits)]
    named = {
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_METRICS_NAMESPACE": "bench",
        "POWERTOOLS_TRACE_DISABLED": "1",
    }
    done = subprocess.run(words, cwd=ROOT, env=os.environ | named, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{way}, {query} failed:\n{done.stderr[-2000:]}")
    sample: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return sample


def facts(rows: int, repetitions: int, folder: Path) -> dict[str, Any]:
    """By query and way: the samples of :func:`once`; the n-th of each belong together."""
    from benchmarks import stub_s3

    make(folder, rows)
    samples: dict[str, Any] = {query: {way: [] for way in WAYS} for query in QUERIES}
    with stub_s3.serving(folder, 0):
        for turn in range(repetitions):
            for query in QUERIES:
                for way in WAYS[turn % len(WAYS) :] + WAYS[: turn % len(WAYS)]:
                    samples[query][way].append(run(way, query, folder))
                rows_made = {samples[query][way][-1]["rows"] for way in WAYS}
                if len(rows_made) > 1:
                    raise RuntimeError(f"{query}: the ways return {rows_made} rows")
    return samples


def main(words: list[str]) -> None:
    """Runs the measurement; see the module docstring."""
    if words[:1] == ["once"]:
        print(json.dumps(once(words[1], words[2], Path(words[3]), **json.loads(words[4]))))
        return
    is_memory = words[:1] == ["memory"]
    numbers = [int(word) for word in words[is_memory:]]
    rows = numbers[0] if numbers else 20_000_000 if is_memory else 10_000_000
    folder = ROOT / "out" / "bench" / "query" / str(rows)
    if is_memory:
        from benchmarks import stub_s3

        make(folder, rows)
        with stub_s3.serving(folder, 0):
            print(json.dumps(run("RunQuery", "sort", folder, memory=numbers[1] if len(numbers) > 1 else 2105)))
        return
    samples = facts(rows, numbers[1] if len(numbers) > 1 else 3, folder)
    for query, ways in samples.items():
        for way, found in ways.items():
            wall, cpu = (
                (
                    statistics.median(each[key] for each in found),
                    statistics.median(
                        ours[key] / each[key] for ours, each in zip(ways["RunQuery"], found, strict=True)
                    ),
                )
                for key in ("seconds", "cpu")
            )
            peak, fetched = max(each["peak"] for each in found), found[0]["fetched"]
            print(
                f"{query:5} {way:10} wall {wall[0]:6.2f} s (RunQuery {wall[1]:4.2f}x)  "
                f"CPU {cpu[0]:6.2f} s (RunQuery {cpu[1]:4.2f}x)  {peak / 1e6:5,.0f} MB  {fetched:,} bytes"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
