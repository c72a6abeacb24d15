"""Dates, times and timestamps at the ends of their ranges: exact, or refused with the column's name."""

from __future__ import annotations

import datetime

import polars as pl
import pyarrow as pa
import pytest

from shared.engine.query import Query
from shared.errors import ExpressionFailed, ValueOutOfRange
from tests.unit.lake import by_arrow, by_duckdb, parameter, report

GREATEST = 2**63 - 1


def query(kind: str = "timestamp", expression: str | None = None, **given: str) -> Query:
    """A query of column v, or of an expression, from a day on if that is given as ``p``."""
    shown = report(f"v:{kind}", parameters=parameter("date", ">="))
    if expression:
        shown["columns"][0]["expression"] = expression
    return Query.of(shown, given, "acme")


def int96(moments: list[datetime.datetime]) -> pl.DataFrame:
    """Timestamps as Spark, Impala and SQL Server store them, read by the engine."""
    table = pa.table({"v": pa.array(moments, pa.timestamp("us")), "tenant": ["acme"] * len(moments)})
    return pl.read_parquet(by_arrow(table, use_deprecated_int96_timestamps=True, store_schema=False))


def test_the_engine_reads_int96_exactly_or_as_the_greatest_nanosecond_and_never_wraps() -> None:
    days = [(1, 1, 0), (4, 11, 23), (4, 12, 0), (9, 20, 0), (9, 22, 0), (12, 31, 23)]
    moments = [datetime.datetime(year, *day) for year in range(1, 10_000) for day in days]
    epoch = datetime.datetime(1970, 1, 1)
    exact = [(moment - epoch) // datetime.timedelta(microseconds=1) * 1000 for moment in moments]
    expected = [each if -(2**63) <= each <= GREATEST else GREATEST for each in exact]
    assert int96(moments)["v"].to_physical().to_list() == expected


@pytest.mark.parametrize("year", [1, 1600, 1676, 2263, 9999])
def test_a_timestamp_of_the_tenants_that_int96_reading_would_change_is_refused(year: int) -> None:
    rows = int96([datetime.datetime(2024, 1, 1), datetime.datetime(year, 6, 1)])
    for given in ({}, {"p": "2300-01-01"}, {"p": "1500-01-01"}):
        with pytest.raises(ValueOutOfRange, match="column v holds a timestamp outside 1677-09-21 to 2262-04-11"):
            query(**given).apply(rows)
    assert query().apply(rows.with_columns(tenant=pl.Series(["acme", "other"]))).height == 1


INFINITIES = {
    **{f"'{{}}'::{type_}": "timestamp" for type_ in ("TIMESTAMP", "TIMESTAMPTZ")},
    "'{}'::DATE": "date",
    **dict.fromkeys(["['{}'::DATE]", "{{'from': '{}'::TIMESTAMP}}"], "json"),
}


@pytest.mark.parametrize(("sql", "kind"), INFINITIES.items())
def test_infinity_is_refused_wherever_it_stands(sql: str, kind: str) -> None:
    for moment in ("infinity", "-infinity"):
        rows = pl.read_parquet(by_duckdb(f"SELECT {sql.format(moment)} AS v, 'acme' AS tenant"))
        said = r"column v holds a (date|timestamp) outside the calendar, such as infinity"
        with pytest.raises(ValueOutOfRange, match=said):
            query(kind).apply(rows)


@pytest.mark.parametrize("day", [-96_464_927, 95_025_871])
@pytest.mark.parametrize("unit", ["d", "ms", "us"])
def test_the_first_and_the_last_day_that_are_allowed_can_be_written(day: int, unit: str) -> None:
    dates = pl.Series("v", [day], dtype=pl.Int64).cast(pl.Int32).cast(pl.Date)
    column = dates if unit == "d" else dates.cast(pl.Datetime(unit))  # type: ignore[arg-type]
    rows = pl.DataFrame({"v": column, "tenant": ["acme"]})
    shown = query().apply(rows)["v"].dt.strftime("%Y-%m-%d").item()
    assert shown == ("-262142-01-01" if day < 0 else "+262141-12-31")
    one_more = pl.DataFrame({"v": column.dt.offset_by("-1d" if day < 0 else "1d"), "tenant": ["acme"]})
    with pytest.raises(ValueOutOfRange):
        query().apply(one_more)


OVERFLOW = "a value overflows its type"


@pytest.mark.parametrize(
    ("expression", "kind", "why"),
    [
        ("day + n", "date", OVERFLOW),
        ("day - n", "date", OVERFLOW),
        ("YEAR(day + n)", "integer", OVERFLOW),
        ("CAST(day + n AS TIMESTAMP)", "timestamp", OVERFLOW),
        ("at + INTERVAL '270000 years'", "timestamp", "adding an interval gives a date outside the calendar"),
    ],
)
def test_what_an_expression_leads_beyond_the_calendar_is_refused_and_not_shown(
    expression: str, kind: str, why: str
) -> None:
    day = datetime.date(2019, 4, 15)
    rows = pl.DataFrame({"day": [day], "at": [datetime.datetime(1970, 1, 1)], "n": [99_999_999], "tenant": ["acme"]})
    with pytest.raises(ExpressionFailed, match=f"the expression of v fails on the data: {why}$"):
        query(kind, expression).apply(rows)
