"""Checks that a file holds the orders, with readers that share no code with the writer: pyarrow and calamine.

It compares every cell, in order, for files of any size. It ignores only what a kind of file cannot hold
(:attr:`benchmarks.contestants.Contestant.forgets`).
"""

from __future__ import annotations

import csv
import datetime
import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from benchmarks.contestants import Contestant
from benchmarks.orders import COLUMNS

NAMES = [column["name"] for column in COLUMNS]
TITLES = [column["title"] for column in COLUMNS]
_CHUNK = 50_000
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # ECMA-376, part 1, 22.9.2.19: ST_Xstring
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_MILLISECOND = datetime.timedelta(milliseconds=1)


class Mismatch(Exception):
    """The file differs from its source; the message says where."""


def check(contestant: Contestant, file: Path, sources: list[Path]) -> int:
    """Compares the file with the files of orders that it was made from.

    Returns:
        The number of rows.

    Raises:
        Mismatch: the file differs; the message has the first difference.
    """
    batches = _READERS[contestant.kind](file, contestant)
    held, at = next(batches, None), 0
    for source in sources:
        rows = _expected(pl.read_parquet(source), contestant)
        while (held is None or held.height < rows.height) and (more := next(batches, None)) is not None:
            held = more if held is None else pl.concat([held, more])
        if held is None or held.height < rows.height:
            raise Mismatch(f"{file.name} has {at + (held.height if held is not None else 0)} rows and should have more")
        _compare(held.head(rows.height), rows, at, file)
        held, at = held.slice(rows.height), at + rows.height
    if (held is not None and held.height) or next(batches, None) is not None:
        raise Mismatch(f"{file.name} has more than {at} rows")
    return at


def _expected(rows: pl.DataFrame, contestant: Contestant) -> pl.DataFrame:
    """The orders as the file must hold them."""
    text = cs.string()
    if contestant.safe:
        starts = text.str.contains(r"^[=+\-@\t\r]")
        rows = rows.with_columns(pl.when(starts).then(pl.lit("'") + text).otherwise(text).name.keep())
    if contestant.kind == "xlsx":  # no nulls, no decimals, and timestamps in milliseconds without a zone
        rows = rows.with_columns(
            text.fill_null(""), pl.col("amount").cast(pl.Float64), pl.col("created_at").dt.replace_time_zone(None)
        )
    elif "null" in contestant.forgets:
        rows = rows.with_columns(pl.when(text != "").then(text).name.keep())
    if "fraction" in contestant.forgets:
        rows = rows.with_columns(pl.col("created_at").dt.truncate("1s"))
    if "control" in contestant.forgets:
        rows = rows.with_columns(text.str.replace_all(_CONTROL, ""))
    return rows


def _compare(actual: pl.DataFrame, expected: pl.DataFrame, at: int, file: Path) -> None:
    for name in NAMES:
        left, right = actual[name], expected[name].cast(actual[name].dtype)
        same = left.eq_missing(right)
        if file.suffix == ".xlsx" and name == "created_at":
            same = ((left - right).abs() <= _MILLISECOND).fill_null(False)
        elif file.suffix == ".xlsx" and name == "amount":
            same = ((left - right).abs() < 1e-9 * right.abs().clip(1)).fill_null(False)
        if not same.all():
            row = int(same.arg_true().len() and (~same).arg_true()[0]) if same.any() else 0
            raise Mismatch(f"{file.name}, row {at + row}, {name}: {left[row]!r} instead of {right[row]!r}")


def _header(actual: list[str], contestant: Contestant, file: Path) -> None:
    wanted = TITLES if contestant.titles else NAMES
    if actual != wanted:
        raise Mismatch(f"{file.name}: the header is {actual} instead of {wanted}")


def _csv(file: Path, contestant: Contestant) -> Iterator[pl.DataFrame]:
    import pyarrow as pa
    import pyarrow.csv as pv

    opened: Any = gzip.open if contestant.kind == "csv.gz" else open
    with opened(file, "rt", encoding="utf-8", newline="") as lines:
        _header(next(csv.reader(lines)), contestant, file)
    types = {
        "order_id": pa.int64(),
        "customer_id": pa.int64(),
        "created_at": pa.timestamp("us", None if "zone" in contestant.forgets else "UTC"),
        "ship_date": pa.date32(),
        "quantity": pa.int64(),
        "amount": pa.decimal128(14, 2),
        "discount": pa.float64(),
        "is_gift": pa.bool_(),
    }
    reader = pv.open_csv(
        pa.input_stream(str(file), compression="gzip" if contestant.kind == "csv.gz" else None),
        pv.ReadOptions(use_threads=False, column_names=NAMES, skip_rows=1, block_size=16 * 1024 * 1024),
        pv.ParseOptions(newlines_in_values=True),
        pv.ConvertOptions(
            column_types={name: types.get(name, pa.string()) for name in NAMES},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    for batch in reader:
        rows = pl.from_arrow(batch)
        assert isinstance(rows, pl.DataFrame)
        if "zone" in contestant.forgets:
            rows = rows.with_columns(pl.col("created_at").dt.replace_time_zone("UTC"))
        yield rows


def _jsonl(file: Path, contestant: Contestant) -> Iterator[pl.DataFrame]:
    import json

    opened: Any = gzip.open if contestant.kind == "jsonl.gz" else open
    schema = {name: pl.String() for name in NAMES} | {
        "order_id": pl.Int64(),
        "customer_id": pl.Int64(),
        "quantity": pl.Int64(),
        "discount": pl.Float64(),
        "is_gift": pl.Boolean(),
    }
    with opened(file, "rt", encoding="utf-8", newline="\n") as lines:
        while batch := [json.loads(line) for _, line in zip(range(_CHUNK), lines, strict=False)]:
            _header(list(batch[0]), contestant, file)
            yield pl.DataFrame(batch, schema=schema).with_columns(
                pl.col("amount").cast(pl.Decimal(14, 2)),
                pl.col("created_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
                pl.col("ship_date").str.to_date(),
            )


def _parquet(file: Path, contestant: Contestant) -> Iterator[pl.DataFrame]:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file)
    _header(opened.schema_arrow.names, contestant, file)
    for batch in opened.iter_batches(_CHUNK):
        rows = pl.from_arrow(batch)
        assert isinstance(rows, pl.DataFrame)
        yield rows


def _xlsx(file: Path, contestant: Contestant) -> Iterator[pl.DataFrame]:
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(str(file))
    for name in book.sheet_names:
        rows = iter(book.get_sheet_by_name(name).iter_rows())
        _header([str(cell) for cell in next(rows)], contestant, file)
        while batch := [row for _, row in zip(range(_CHUNK), rows, strict=False)]:
            columns = zip(*batch, strict=True)
            yield pl.DataFrame({name: _cells(name, cells) for name, cells in zip(NAMES, columns, strict=True)})


def _cells(name: str, cells: tuple[Any, ...]) -> pl.Series:
    """A column of a sheet; every cell must have the column's type."""
    kind = next(column["type"] for column in COLUMNS if column["name"] == name)
    if kind == "string":
        if not all(isinstance(cell, str) for cell in cells):
            raise Mismatch(f"{name} has cells that are not text")
        return pl.Series(name, [_ESCAPED.sub(lambda match: chr(int(match[1], 16)), cell) for cell in cells], pl.String)
    values = [None if cell == "" else cell for cell in cells]
    types: dict[str, tuple[type | tuple[type, ...], Any, Callable[[Any], Any]]] = {
        "integer": ((int, float), pl.Int64, int),
        "number": ((int, float), pl.Float64, float),
        "decimal": ((int, float), pl.Float64, float),
        "boolean": (bool, pl.Boolean, bool),
        "date": (datetime.date, pl.Date, lambda value: value),
        "timestamp": (datetime.date, pl.Datetime("us"), _moment),
    }
    wanted, dtype, convert = types[kind]
    if unexpected := next((value for value in values if not (value is None or isinstance(value, wanted))), None):
        raise Mismatch(f"{name} has {unexpected!r}, which is not of type {kind}")
    return pl.Series(name, [None if value is None else convert(value) for value in values], dtype)


def _moment(value: datetime.date) -> datetime.datetime:
    return value if isinstance(value, datetime.datetime) else datetime.datetime.combine(value, datetime.time())


_READERS: dict[str, Callable[[Path, Contestant], Iterator[pl.DataFrame]]] = {
    "csv": _csv,
    "csv.gz": _csv,
    "jsonl": _jsonl,
    "jsonl.gz": _jsonl,
    "parquet": _parquet,
    "xlsx": _xlsx,
}
