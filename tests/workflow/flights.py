"""A small dataset `flights` as the report reads it, and the file that is right for it."""

from __future__ import annotations

import datetime
import io
from typing import Any

import polars as pl

COLUMNS = {
    "day": pl.Int64,
    "dep_time": pl.Int64,
    "sched_dep_time": pl.Int64,
    "dep_delay": pl.Int64,
    "arr_time": pl.Int64,
    "sched_arr_time": pl.Int64,
    "arr_delay": pl.Int64,
    "carrier": pl.String,
    "flight": pl.Int64,
    "tailnum": pl.String,
    "origin": pl.String,
    "dest": pl.String,
    "air_time": pl.Int64,
    "distance": pl.Int64,
    "hour": pl.Int64,
    "minute": pl.Int64,
    "time_hour": pl.Datetime("us", "UTC"),
}
HEADER = (
    "Year,Month,Day,Departure time,Scheduled departure time,Departure delay (minutes),Arrival time,"
    "Scheduled arrival time,Arrival delay (minutes),Carrier,Flight number,Tail number,Origin,Destination,"
    "Air time (minutes),Distance (miles),Scheduled hour,Scheduled minute,Scheduled hour (UTC)\n"
)
CLOCK_TIMES = ("dep_time", "sched_dep_time", "arr_time", "sched_arr_time")
ROWS_PER_GROUP = 4


def flights(month: int, count: int = 8) -> list[dict[str, Any]]:
    """Flights of a month of 2013: every fourth is of another carrier, every fifth was cancelled."""
    return [_flight(month, number) for number in range(count)]


def _flight(month: int, number: int) -> dict[str, Any]:
    flown = number % 5 != 4
    return {
        "day": number + 1,
        "dep_time": 517 + number if flown else None,
        "sched_dep_time": 515,
        "dep_delay": 2 + number if flown else None,
        "arr_time": 2400 if flown else None,
        "sched_arr_time": 819,
        "arr_delay": -11 if flown else None,
        "carrier": "AA" if number % 4 == 3 else "UA",
        "flight": 1000 * month + number,
        "tailnum": "N14228" if flown else "",
        "origin": "EWR",
        "dest": "IAH",
        "air_time": 227 if flown else None,
        "distance": 1400,
        "hour": 5,
        "minute": 15,
        "time_hour": datetime.datetime(2013, month, number + 1, 10, tzinfo=datetime.UTC),
    }


def key(month: int) -> str:
    """Key of a month's file."""
    return f"data/flights/year=2013/month={month}/flights.parquet"


def parquet(rows: list[dict[str, Any]], **types: Any) -> bytes:
    """The rows as a file with a row group for every four; ``types`` of columns in place of the right ones."""
    file = io.BytesIO()
    pl.DataFrame(rows, schema=COLUMNS | types).write_parquet(
        file, row_group_size=ROWS_PER_GROUP, compression="uncompressed"
    )
    return file.getvalue()


def expected_csv(*months: int, carrier: str = "UA") -> bytes:
    """The file of a carrier's flights of these months, written by other means than the product's."""
    text = HEADER
    for month in months:
        for flight in flights(month):
            if flight["carrier"] == carrier:
                cells = [_cell(name, flight[name]) for name in COLUMNS]
                text += ",".join(["2013", str(month), *cells]) + "\n"
    return text.encode()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if value == "":
        return '""'
    if name in CLOCK_TIMES:
        return f"{value // 100:02}:{value % 100:02}"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if name == "time_hour" else str(value)
