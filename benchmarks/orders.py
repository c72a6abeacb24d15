"""The data of the measurements: orders with twelve columns of seven types and realistic text.

    python -m benchmarks.orders ROWS FOLDER

Names have quotes, line breaks and formulas, are empty, or are in different scripts. Four columns have nulls; there are
decimals and a time zone. The seed of each file is fixed, so a million and ten million rows have the same first file.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

FILE_ROWS = 62_500
CUSTOMERS = 200_000
NULLS = {"customer_name": 0.02, "ship_date": 0.15, "discount": 0.3, "is_gift": 0.05}
"""Share of nulls by column; other columns have none."""
COLUMNS = [
    {"name": "order_id", "title": "Order", "type": "integer"},
    {"name": "order_uuid", "title": "Order UUID", "type": "string"},
    {"name": "customer_id", "title": "Customer", "type": "integer"},
    {"name": "customer_name", "title": "Customer name", "type": "string"},
    {"name": "created_at", "title": "Created", "type": "timestamp"},
    {"name": "ship_date", "title": "Shipped", "type": "date"},
    {"name": "status", "title": "Status", "type": "string"},
    {"name": "country", "title": "Country", "type": "string"},
    {"name": "quantity", "title": "Quantity", "type": "integer"},
    {"name": "amount", "title": "Amount", "type": "decimal"},
    {"name": "discount", "title": "Discount", "type": "number"},
    {"name": "is_gift", "title": "Gift", "type": "boolean"},
]
"""The columns as in a report's definition."""
FIRST_ID = 10_000_000
STATUSES = {"NEW": 0.05, "PAID": 0.1, "SHIPPED": 0.2, "DELIVERED": 0.5, "CANCELLED": 0.1, "RETURNED": 0.05}
COUNTRIES = ["ES", "FR", "DE", "US", "BR", "JP", "GB", "IT", "PL", "NL"]
NASTY = [
    "=SUM(A1:A9)",
    "+1-555-0100",
    "-cmd|' /C calc'!A0",
    "@evil",
    '=HYPERLINK("http://x","y")',
    "line one\nline two",
    "tab\there",
    "  padded  ",
    "",
    "emoji 😀 name",
    "ctrl\x01char",
]
_FIRST = ["José", "Zoë", "Björn", "Łukasz", "Nguyễn", "陳", "Иван", "Ana", "Mary", "John"]
_FIRST += ["Fátima", "Søren", "O'Brien", "Renée", "山田", "محمد", "Priya", "Chloé", "Jürgen", "Åsa"]
_LAST = [
    "Müller",
    "García, S.L.",
    "Smith",
    'O"Neil "Jr."',
    "Kowalski",
    "Tran",
    "Петров",
    "太郎",
    "Silva & Sons",
    "D'Angelo",
    "<Lee>",
    "van der Berg",
    "Øster",
    "Șerban",
    "Nowak",
    "Líder, Inc.",
]
PEOPLE = [f"{first} {last}" for first, last in itertools.product(_FIRST, _LAST)]
_EPOCH = np.datetime64("2025-01-01T00:00:00", "us")
_MONTH = 30 * 86_400 * 1_000_000  # microseconds: each file holds a month of orders, in order
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def write(rows: int, folder: Path) -> list[Path]:
    """Writes the missing ones of ``part-0000.parquet`` and so on, of at most 62,500 rows each; returns all.

    Raises:
        ValueError: ``rows`` is less than 1.
    """
    if rows < 1:
        raise ValueError(f"{rows} rows; at least 1 is needed")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        height = min(FILE_ROWS, rows - start)
        file = folder / f"part-{number:04d}.parquet"
        if not (file.exists() and pl.read_parquet_metadata(file).get("orders") == str(height)):
            waiting = file.with_suffix(".waiting")
            orders(number, height).write_parquet(waiting, compression="zstd", metadata={"orders": str(height)})
            waiting.rename(file)
        files.append(file)
    return files


def orders(number: int, rows: int) -> pl.DataFrame:
    """The orders of one file; the same number and rows always give the same orders."""
    draw = np.random.default_rng(1_000 + number)
    created = (
        _EPOCH
        + (number * _MONTH + np.arange(rows) * (_MONTH // rows)).astype("timedelta64[us]")
        + draw.integers(0, 999, rows).astype("timedelta64[ms]")
    )
    shipped = created + draw.integers(3_600, 9 * 86_400, rows).astype("timedelta64[s]")
    likely = np.r_[np.full(len(PEOPLE), 1.0), np.full(len(NASTY), 0.5)]
    cents = draw.gamma(2, 4_000, rows).astype(np.int64)
    frame = pl.DataFrame(
        {
            "order_id": np.arange(rows, dtype=np.int64) + FIRST_ID + number * FILE_ROWS,
            "order_uuid": _hexadecimal(draw.integers(0, 16, (rows, 32), dtype=np.uint8)),
            "customer_id": draw.integers(1, CUSTOMERS, rows),
            "customer_name": _choose(draw, [*PEOPLE, *NASTY], list(likely / likely.sum()), rows),
            "created_at": pl.Series(created).dt.replace_time_zone("UTC"),
            "ship_date": pl.Series(shipped).dt.date(),
            "status": _choose(draw, list(STATUSES), list(STATUSES.values()), rows),
            "country": _choose(draw, COUNTRIES, None, rows),
            "quantity": draw.integers(1, 20, rows).astype(np.int32),
            "amount": (pl.Series(cents).cast(pl.Decimal(16, 2)) / 100).cast(pl.Decimal(14, 2)),
            "discount": np.round(draw.random(rows) * 0.4, 4),
            "is_gift": draw.random(rows) < 0.1,
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(draw.random(rows) >= share)).then(pl.col(name)).alias(name) for name, share in NULLS.items()
    )


def _choose(draw: np.random.Generator, values: list[str], weights: Sequence[float] | None, rows: int) -> pl.Series:
    return pl.Series(values, dtype=pl.String).gather(draw.choice(len(values), rows, p=weights))


def _hexadecimal(digits: npt.NDArray[np.uint8]) -> pl.Series:
    """The digits of each row as text."""
    return pl.Series(_HEX[digits].view(f"S{digits.shape[1]}").ravel().tolist(), dtype=pl.Binary).cast(pl.String)


if __name__ == "__main__":
    made = write(int(sys.argv[1]), Path(sys.argv[2]))
    print(f"{len(made)} files, {sum(file.stat().st_size for file in made) / 1e6:.1f} MB")
