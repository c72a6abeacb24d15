"""The contestants: each makes one file of all orders, in the fastest way that it has, on one thread.

    python -m benchmarks.contestants NAME OUT FILE…

makes the file and prints ``{cpu, wall, peak, before}``: CPU seconds (user and system), wall-clock seconds, and resident
memory in bytes, at its peak and before the work. Imports are not measured; reading the Parquet files is.

This project's contestants are the real writers and layouts of functions/shared/files/formats; each source file becomes
one part. On AWS, S3 puts the parts together; here the benchmark copies the bytes, and our figures include that.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from isal import isal_zlib

sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))

from benchmarks.orders import COLUMNS, orders
from shared.files import assembly
from shared.files.formats import FORMATS, resolve_options
from shared.files.segments import Literal, Segment, measure
from shared.files.work import ENGINE_VERSION, Plan, Receipt, Work

WORK = Work("benchmark", "plan")
Make = Callable[[list[Path], Path], None]


@dataclass(frozen=True)
class Contestant:
    """A way to make a file, and what its reader must know."""

    kind: str
    """How the file is read back (:mod:`benchmarks.round_trip`); empty if it makes no file to read back."""
    load: Callable[[], Make]
    """Imports what is needed; returns the function that makes the file from files of orders."""
    about: str = ""
    needs: str = ""
    """The module of a package that is not in the development environment."""
    titles: bool = False
    """Whether its header has the columns' titles; otherwise it has their names."""
    safe: bool = False
    """Whether text that looks like a formula gets an apostrophe."""
    after: str = ""
    """The contestant whose parts it assembles."""
    forgets: frozenset[str] = frozenset()
    """What the file cannot hold: ``null`` (as distinct from empty text), ``zone`` (that times are UTC), ``control``
    (characters), ``fraction`` (of seconds)."""

    @property
    def is_here(self) -> bool:
        """Whether its package is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


def plan(name: str, rows: int = 0, **options: Any) -> Plan:
    """A plan for an export of the orders; ``rows`` is 0 if their number is not known."""
    counted: Any = {"rows_passing": rows} if rows and FORMATS[name].has_places else {}
    return counted | {
        "plan": WORK.plan,
        "engine": ENGINE_VERSION,
        "report": "orders",
        "definition": {"title": "Orders", "columns": COLUMNS},
        "parameters": {},
        "options": resolve_options(name, options),
        "format": name,
        "tenant": "benchmark",
        "schema": {},
        "parts_total": 0,
        "rows": rows,
    }


def write_part(
    wanted: Plan, number: int, batches: Iterator[pl.DataFrame], into: Path, first_row: int | None = None
) -> Receipt:
    """Writes a part's fragment to a file as GeneratePart does; returns its receipt after a round trip through JSON."""
    rows = crc32 = 0
    with into.open("wb+") as fragment:
        writer = FORMATS[wanted["format"]].writer(wanted, fragment, first=number == 0, first_row=first_row)
        for batch in batches:
            writer.write(batch)
            rows += batch.height
        facts = writer.close()
        size = fragment.tell()
        fragment.seek(0)
        while block := fragment.read(1024 * 1024):
            crc32 = isal_zlib.crc32(block, crc32)
    receipt: Receipt = {
        "part": number,
        "etag": '"benchmark"',
        "bytes": size,
        "crc32": crc32,
        "rows_read": rows,
        "rows_written": rows,
        "fragment": facts,
        "bytes_read": 0,
        "peak_memory_bytes": 0,
    }
    return json.loads(json.dumps(receipt))  # type: ignore[no-any-return]


def parts_folder(out: Path) -> Path:
    """The folder of the parts of a file and of ``receipts.json``; the caller removes it (:func:`remove`)."""
    return out.with_name(f"{out.name}.parts")


def put_together(segments: list[Segment], parts: Path, out: Path) -> None:
    """Makes the file from its segments, as S3 does; the file of a part is named by the part's number."""
    with out.open("wb") as into:
        for segment in segments:
            if isinstance(segment, Literal):
                into.write(segment.data)
                continue
            into.flush()
            with (parts / Path(segment.key).name).open("rb") as source:
                _copy(source.fileno(), segment.start, segment.size, into.fileno())
            into.seek(0, os.SEEK_END)


def _copy(source: int, start: int, size: int, into: int) -> None:
    while size:
        sent = os.sendfile(into, source, start, size)
        if not sent:
            raise EOFError(f"a part is {size} bytes too short")
        start, size = start + sent, size - sent


def _ours(name: str, referenced: bool = True, **options: Any) -> Make:
    wanted = plan(name, **options)
    layout = FORMATS[name].layout

    def make(files: list[Path], out: Path) -> None:
        parts = parts_folder(out)
        parts.mkdir()
        receipts: list[Receipt] = []
        for number, file in enumerate(files):
            before = sum(receipt["rows_written"] for receipt in receipts) if referenced else None
            receipts.append(write_part(wanted, number, iter([pl.read_parquet(file)]), parts / f"{number:06d}", before))
        (parts / "receipts.json").write_text(json.dumps(receipts))
        put_together(layout(wanted, WORK, receipts), parts, out)

    # Load engines and compressors before the measurement starts.
    warm = FORMATS[name].writer(wanted, io.BytesIO(), first=True)
    warm.write(orders(0, 1))
    warm.close()
    return make


def _parquet_assembly() -> Make:
    """Only the work of AssembleFile, on the parts and receipts of the contestant ``parquet``."""
    wanted = plan("parquet")

    def make(files: list[Path], out: Path) -> None:
        del files
        parts = parts_folder(out)
        segments = FORMATS["parquet"].layout(wanted, WORK, json.loads((parts / "receipts.json").read_text()))
        assembly.plan_upload(segments)
        measure(segments)
        put_together(segments, parts, out)

    return make


def _read() -> Make:
    """Only decodes the orders: the minimum for everything that reads with polars."""

    def make(files: list[Path], out: Path) -> None:
        out.write_text(str(sum(pl.read_parquet(file).height for file in files)))

    return make


def _polars_csv() -> Make:
    def make(files: list[Path], out: Path) -> None:
        pl.scan_parquet(files).sink_csv(out)

    return make


def _polars_rows(files: list[Path], *, zoned: bool = True) -> Iterator[tuple[Any, ...]]:
    for file in files:
        rows = pl.read_parquet(file)
        if not zoned:
            rows = rows.with_columns(pl.col("created_at").dt.replace_time_zone(None))
        yield from rows.iter_rows()


def _pyarrow_rows(files: list[Path]) -> Iterator[tuple[Any, ...]]:
    import pyarrow.parquet as pq

    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(use_threads=False):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _warm_pyarrow() -> None:
    """Makes pyarrow convert a timestamp with a zone, which imports much (pandas too, if installed)."""
    import datetime

    import pyarrow as pa
    import pyarrow.parquet

    pa.array([datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)]).to_pylist()


def _csv_module(rows: Callable[[list[Path]], Iterator[tuple[Any, ...]]]) -> Make:
    _warm_pyarrow()

    def make(files: list[Path], out: Path) -> None:
        with out.open("w", newline="", encoding="utf-8", buffering=1024 * 1024) as into:
            writer = csv.writer(into, lineterminator="\n")
            writer.writerow(column["name"] for column in COLUMNS)
            writer.writerows(rows(files))

    return make


def _csv_module_gzip(rows: Callable[[list[Path]], Iterator[tuple[Any, ...]]]) -> Make:
    _warm_pyarrow()

    def make(files: list[Path], out: Path) -> None:
        with (
            out.open("wb") as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed,
            io.BufferedWriter(compressed, 1024 * 1024) as buffered,
            io.TextIOWrapper(buffered, "utf-8", newline="") as into,
        ):
            writer = csv.writer(into, lineterminator="\n")
            writer.writerow(column["name"] for column in COLUMNS)
            writer.writerows(rows(files))

    return make


def _xlsxwriter() -> Make:
    """Writes every cell with the method for its type, which is the fastest way."""
    import datetime

    import xlsxwriter

    def make(files: list[Path], out: Path) -> None:
        book = xlsxwriter.Workbook(str(out), {"constant_memory": True})
        book.set_properties({"created": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)})
        sheet = book.add_worksheet("Orders")
        sheet.freeze_panes(1, 0)
        sheet.write_row(0, 0, [column["name"] for column in COLUMNS], book.add_format({"bold": True}))
        day, moment = (book.add_format({"num_format": f}) for f in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"))
        money = book.add_format({"num_format": "#,##0.00"})
        number, text, boolean, date = sheet.write_number, sheet.write_string, sheet.write_boolean, sheet.write_datetime
        for at, row in enumerate(_polars_rows(files, zoned=False), start=1):
            number(at, 0, row[0])
            text(at, 1, row[1])
            number(at, 2, row[2])
            if row[3] is not None:
                text(at, 3, row[3])
            date(at, 4, row[4], moment)
            if row[5] is not None:
                date(at, 5, row[5], day)
            text(at, 6, row[6])
            text(at, 7, row[7])
            number(at, 8, row[8])
            number(at, 9, row[9], money)
            if row[10] is not None:
                number(at, 10, row[10])
            if row[11] is not None:
                boolean(at, 11, row[11])
        book.close()

    return make


def _floats(files: list[Path]) -> pl.DataFrame:
    """All rows at once, with the types that the bindings accept."""
    kept = pl.col("created_at").dt.replace_time_zone(None), pl.col("amount").cast(pl.Float64)
    return pl.read_parquet(files).with_columns(*kept)


def _rustpy_xlsxwriter() -> Make:
    import rustpy_xlsxwriter

    def make(files: list[Path], out: Path) -> None:
        styles = {"bold_headers": True, "freeze_row": 1, "datetime_format": "yyyy-mm-dd hh:mm:ss"}
        money, day = rustpy_xlsxwriter.Format(), rustpy_xlsxwriter.Format()
        formats = {"amount": money.set_num_format("#,##0.00"), "ship_date": day.set_num_format("yyyy-mm-dd")}
        rustpy_xlsxwriter.write_worksheet(_floats(files), str(out), "Orders", column_formats=formats, **styles)

    return make


def _jetxl() -> Make:
    import jetxl

    pl.DataFrame().to_arrow()  # imports pyarrow

    def make(files: list[Path], out: Path) -> None:
        formats = {"created_at": "datetime", "ship_date": "date", "amount": "decimal2"}
        table = _floats(files).to_arrow()
        jetxl.write_sheet_arrow(table, str(out), "Orders", freeze_rows=1, styled_headers=True, column_formats=formats)

    return make


def _polars_parquet() -> Make:
    def make(files: list[Path], out: Path) -> None:
        pl.scan_parquet(files).sink_parquet(out, compression="zstd")

    return make


def _pyarrow_parquet() -> Make:
    import pyarrow as pa
    import pyarrow.dataset  # read_table imports it
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)

    def make(files: list[Path], out: Path) -> None:
        with pq.ParquetWriter(out, pq.read_schema(files[0]), compression="zstd") as writer:
            for file in files:
                writer.write_table(pq.read_table(file, use_threads=False))

    return make


def _options(name: str) -> dict[str, Any]:
    """Turns spreadsheet_safe off for a fair comparison, because no other tool has it."""
    return {"spreadsheet_safe": False} if "spreadsheet_safe" in FORMATS[name].options_schema["properties"] else {}


def _has_titles(name: str) -> bool:
    return bool(resolve_options(name, {}).get("header_style", "title") == "title")


_NULL = frozenset({"null"})
CONTESTANTS = {
    **{
        name: Contestant(name, partial(_ours, name, **_options(name)), f"ours, {name}", titles=_has_titles(name))
        for name in FORMATS
    },
    "csv safe": Contestant(
        "csv", partial(_ours, "csv", spreadsheet_safe=True), "ours, csv with spreadsheet_safe", titles=True, safe=True
    ),
    "xlsx without references": Contestant(
        "xlsx", partial(_ours, "xlsx", referenced=False), "ours, xlsx without references", titles=True
    ),
    "parquet assembly": Contestant("parquet", _parquet_assembly, "ours, assembly of the parts", after="parquet"),
    "read": Contestant("", _read, "only reading the orders"),
    "polars sink_csv": Contestant("csv", _polars_csv, "polars sink_csv"),
    "csv module": Contestant(
        "csv", partial(_csv_module, _pyarrow_rows), "csv module, rows from pyarrow", "pyarrow", forgets=_NULL
    ),
    "csv module, polars": Contestant(
        "csv", partial(_csv_module, _polars_rows), "csv module, rows from polars", "pyarrow", forgets=_NULL
    ),
    "gzip": Contestant(
        "csv.gz",
        partial(_csv_module_gzip, _pyarrow_rows),
        "csv module and gzip 6, rows from pyarrow",
        "pyarrow",
        forgets=_NULL,
    ),
    "gzip, polars": Contestant(
        "csv.gz",
        partial(_csv_module_gzip, _polars_rows),
        "csv module and gzip 6, rows from polars",
        "pyarrow",
        forgets=_NULL,
    ),
    "xlsxwriter": Contestant("xlsx", _xlsxwriter, "xlsxwriter, constant_memory, typed cells", "xlsxwriter"),
    "rustpy-xlsxwriter": Contestant(
        "xlsx",
        _rustpy_xlsxwriter,
        "rustpy-xlsxwriter, from polars",
        "rustpy_xlsxwriter",
        forgets=frozenset({"fraction"}),
    ),
    "jetxl": Contestant("xlsx", _jetxl, "jetxl, from Arrow", "jetxl", forgets=frozenset({"control", "fraction"})),
    "polars sink_parquet": Contestant("parquet", _polars_parquet, "re-encoding by polars"),
    "pyarrow": Contestant("parquet", _pyarrow_parquet, "re-encoding by pyarrow"),
}
"""By name. Other Rust bindings were tried: rvgsrust-xlsxwriter, fastxlsxio and kyrax are slower; rustypyxl turns text
that begins with ``=`` into formulas, so its file does not hold the data."""


def main(name: str, out: Path, files: list[Path]) -> None:
    """Makes the file and prints the measurement; see the module docstring."""
    make = CONTESTANTS[name].load()
    before, processor, clock = _resident("VmRSS"), _processor(), time.perf_counter()
    make(files, out)
    used = {"cpu": _processor() - processor, "wall": time.perf_counter() - clock}
    print(json.dumps(used | {"peak": _resident("VmHWM"), "before": before}))


def remove(out: Path) -> None:
    """Removes the file and its parts."""
    out.unlink(missing_ok=True)
    shutil.rmtree(parts_folder(out), ignore_errors=True)


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _resident(which: str) -> int:
    """Bytes from /proc, because getrusage would include the memory of the parent process."""
    status = Path("/proc/self/status")
    if status.exists():
        match = re.search(rf"{which}:\s+(\d+) kB", status.read_text())
        return int(match[1]) * 1024 if match else 0
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
