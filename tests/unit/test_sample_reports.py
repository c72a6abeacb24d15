"""The sample reports that are queries give what polars computes from the real flights of one airline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from exports_admin import sample_data
from shared.catalogue import reports
from shared.queries import engine, tables
from shared.queries.engine import Limits
from shared.queries.statement import Statement
from tests.support import quick_lane
from tests.unit.lake import in_memory
from tests.unit.support import REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., tuple[pl.DataFrame, list[int]]]

DAY = pl.date("year", "month", "day")


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """All flights of United."""
    return sample_data.read().filter(carrier="UA")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a report for United on the sample data: its rows, and the number of files of each dataset."""

    def run(report: str, **parameters: Any) -> tuple[pl.DataFrame, list[int]]:
        found = reports.load(REPORTS)[report]
        assert found.faults(parameters) == []
        resolved = json.dumps(found.resolve(parameters))
        record: Any = {"owner": "UA#ann", "export_id": "e", "parameters": resolved}
        statement = Statement.of(found, record)
        sources = tables.find(statement)
        limits = Limits(memory=500, spill=500, seconds=60, rows=100_000)
        file, rows, _ = engine.write(statement, sources, limits, lambda: None, tmp_path)
        result = pl.read_parquet(file)
        assert result.height == rows
        assert result.columns == [column["name"] for column in found.definition["columns"]]
        return result, [len(source.files) for source in sources]

    with in_memory() as lake, quick_lane.closed():
        for file in sample_data.write(sample_data.FOLDER):
            lake.objects[f"data/{file.relative_to(sample_data.FOLDER).as_posix()}"] = file.read_bytes()
        yield run


def test_delays_of_a_quarter_read_three_months(run: Run, flights: pl.DataFrame) -> None:
    result, files = run("delays", **{"from": "2013-01-05", "to": "2013-03-31", "origin": "JFK"})
    ours = flights.filter(DAY.is_between(pl.date(2013, 1, 5), pl.date(2013, 3, 31)), origin="JFK")
    expected = ours.group_by("year", "month", "origin").agg(
        flights=pl.len().cast(pl.Int64),
        cancelled=pl.col("dep_delay").null_count().cast(pl.Int64),
        mean_delay=pl.col("dep_delay").mean().round(2),
        median_delay=pl.col("dep_delay").median(),
        late_share=(pl.col("dep_delay") > 15).mean().round(4),
    )
    assert result.rows() == expected.sort("year", "month", "origin").rows()
    assert files == [3]


def test_the_worst_days_are_as_many_as_asked_for_and_the_worst_is_first(run: Run, flights: pl.DataFrame) -> None:
    result, _ = run("worst-days", **{"from": "2013-01-01", "to": "2013-12-31", "days": 5})
    expected = flights.group_by(date=DAY).agg(
        flights=pl.len().cast(pl.Int64),
        cancelled=pl.col("dep_delay").null_count().cast(pl.Int64),
        late=(pl.col("dep_delay") >= 60).sum().cast(pl.Int64),
        mean_delay=pl.col("dep_delay").mean().round(2),
        longest_delay=pl.col("dep_delay").max(),
    )
    assert result.rows() == expected.sort("mean_delay", "date", descending=[True, False]).head(5).rows()


def test_the_fleet_is_every_aircraft_that_flew_with_what_the_register_knows_of_it(
    run: Run, flights: pl.DataFrame
) -> None:
    result, files = run("fleet", **{"from": "2013-12-01", "to": "2013-12-31"})
    flown = flights.filter(pl.col("dep_time").is_not_null(), month=12)
    expected = flown.group_by("tailnum").agg(
        flights=pl.len().cast(pl.Int64),
        hours=pl.col("air_time").sum() / 60,
        distance=pl.col("distance").sum(),
    )
    register = sample_data.planes().select("tailnum", "manufacturer", "model", pl.col("year").alias("built"), "seats")
    expected = expected.join(register, on="tailnum", how="left").select(result.columns)
    expected = expected.sort("flights", "tailnum", descending=[True, False])
    assert result.drop("hours").rows() == expected.drop("hours").rows()
    assert result["hours"].to_list() == pytest.approx(expected["hours"].to_list(), abs=0.0501)
    assert result["manufacturer"].null_count() > 0
    assert files == [1, 1]
