"""Computes from real parts how much of a file goes through the assembler, without making the whole file.

It writes one part of each size that the planner makes, then plans the file's layout and upload as AssembleFile does.
The assembler downloads and uploads only what S3 cannot copy.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import orders
from benchmarks.contestants import WORK, plan, write_part
from shared.engine import planning
from shared.engine.sources.parquet_rows import BATCH_ROWS
from shared.files.assembly import Copy, plan_upload
from shared.files.formats import FORMATS
from shared.files.segments import Literal, Range
from shared.files.work import ObjectExtent, Plan, Receipt

GIGABYTE = 1_000_000_000
ONE_SHEET = 1_048_575
WORKERS = 20  # the default of MapConcurrency


def facts(folder: Path) -> dict[str, Any]:
    """By case: ``rows``, ``parts``, ``bytes``, ``literal`` and ``fetched`` bytes, ``percent`` fetched, ``seconds``."""
    cases = {"csv.gz": through("csv.gz", _rows_of("csv.gz", GIGABYTE, folder), folder)}
    if "xlsx" in FORMATS:
        cases["xlsx"] = through("xlsx", ONE_SHEET, folder)
        cases["xlsx, 1 GB"] = through("xlsx", _rows_of("xlsx", GIGABYTE, folder), folder)
    cases |= {f"parquet, {rows:,} rows": through("parquet", rows, folder) for rows in (1_000_000, 100_000_000)}
    return cases


def through(name: str, rows: int, folder: Path) -> dict[str, Any]:
    """How much of a file with this many orders goes through the assembler."""
    parts = planning.divide(_extents(rows, folder), WORKERS, FORMATS[name].growth)
    placed, wanted = FORMATS[name].has_places, plan(name, rows)
    make = cache(lambda number, rows, first_row: _receipt(wanted, number, rows, folder, first_row))
    # Parts with equal rows are equal, except the first, and except where parts hold their positions.
    firsts = accumulate((part["rows"] for part in parts), initial=0)
    receipts: list[Receipt] = [
        make(min(part["part"], 1), part["rows"], first if placed else None) | {"part": part["part"]}
        for part, first in zip(parts, firsts, strict=False)
    ]
    started = time.perf_counter()
    segments = FORMATS[name].layout(wanted, WORK, receipts)
    uploads = plan_upload(segments)
    seconds = time.perf_counter() - started
    pieces = [piece for upload in uploads if not isinstance(upload, Copy) for piece in upload.pieces]
    fetched = sum(piece.size for piece in pieces if isinstance(piece, Range))
    size = sum(segment.size for segment in segments)
    return {
        "rows": rows,
        "parts": len(parts),
        "bytes": size,
        "literal": sum(piece.size for piece in pieces if isinstance(piece, Literal)),
        "fetched": fetched,
        "percent": 100 * fetched / size,
        "uploads": len(uploads),
        "seconds": seconds,
    }


def _rows_of(name: str, size: int, folder: Path) -> int:
    """Rows for a file of about this size, in whole files of orders."""
    receipt = _receipt(plan(name), 1, orders.FILE_ROWS, folder, orders.FILE_ROWS)
    return round(size / receipt["bytes"]) * orders.FILE_ROWS


def _extents(rows: int, folder: Path) -> list[ObjectExtent]:
    """The row groups that the source would find."""
    size = orders.write(orders.FILE_ROWS, folder)[0].stat().st_size
    return [
        {
            "key": f"orders/part-{number:04d}.parquet",
            "etag": '"benchmark"',
            "offset": 0,
            "rows": min(orders.FILE_ROWS, rows - start),
            "bytes": size,
        }
        for number, start in enumerate(range(0, rows, orders.FILE_ROWS))
    ]


def _receipt(wanted: Plan, number: int, rows: int, folder: Path, first_row: int | None) -> Receipt:
    """The receipt of a real part with this many orders."""
    with tempfile.TemporaryDirectory() as scratch:
        return write_part(wanted, number, _batches(rows, folder), Path(scratch) / "part", first_row)


def _batches(rows: int, folder: Path) -> Iterator[pl.DataFrame]:
    """Batches as a scan returns them."""
    files = orders.write(-(-rows // orders.FILE_ROWS) * orders.FILE_ROWS, folder)
    yield from pl.concat([pl.read_parquet(file) for file in files]).head(rows).iter_slices(BATCH_ROWS)
