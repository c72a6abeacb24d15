"""The benchmark: its data is what it should be, every file that it times is read back, its page hides nothing."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks import __main__ as bench
from benchmarks import (
    assembler,
    claims,
    contestants,
    cost,
    measure,
    orders,
    polling,
    profiling,
    report,
    round_trip,
    service,
    svg,
)
from benchmarks.contestants import CONTESTANTS, Contestant
from checks import reports

ROWS = 700
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="Node runs web/poll.js")
INSTALLED = {name: each for name, each in CONTESTANTS.items() if each.kind}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of orders."""
    folder = tmp_path_factory.mktemp("orders")
    files = [folder / "part-0000.parquet", folder / "part-0001.parquet"]
    for number, file in enumerate(files):
        orders.orders(number, ROWS).write_parquet(file)
    return files


# The data


@pytest.fixture(scope="module")
def month() -> pl.DataFrame:
    return orders.orders(3, orders.FILE_ROWS)


def test_orders_have_twelve_columns_of_the_types_that_the_report_declares(month: pl.DataFrame) -> None:
    kinds = {
        "integer": lambda t: t.is_integer(),
        "string": lambda t: t == pl.String,
        "timestamp": lambda t: t == pl.Datetime("us", "UTC"),
        "date": lambda t: t == pl.Date,
        "decimal": lambda t: t == pl.Decimal(14, 2),
        "number": lambda t: t == pl.Float64,
        "boolean": lambda t: t == pl.Boolean,
    }
    assert month.columns == [column["name"] for column in orders.COLUMNS]
    assert len(month.columns) == 12
    assert all(kinds[column["type"]](month.schema[column["name"]]) for column in orders.COLUMNS)


def test_nulls_are_in_the_stated_shares_of_the_stated_columns(month: pl.DataFrame) -> None:
    for name in month.columns:
        share = orders.NULLS.get(name, 0.0)
        spread = 5 * math.sqrt(share * (1 - share) / month.height)
        assert abs(month[name].null_count() / month.height - share) <= spread, name


def test_every_value_that_is_chosen_occurs_as_often_as_stated(month: pl.DataFrame) -> None:
    assert set(month["customer_name"].drop_nulls()) == {*orders.PEOPLE, *orders.NASTY}
    assert set(month["country"]) == set(orders.COUNTRIES)
    assert month["order_uuid"].n_unique() == month["order_id"].n_unique() == month.height
    assert month["customer_id"].is_between(1, orders.CUSTOMERS - 1).all()
    found = dict(month["status"].value_counts(normalize=True).iter_rows())
    assert found == pytest.approx(orders.STATUSES, abs=0.01)


def test_the_same_file_is_made_of_the_same_orders_whatever_the_number_of_rows(tmp_path: Path) -> None:
    few, many = orders.write(100, tmp_path / "few"), orders.write(orders.FILE_ROWS + 1, tmp_path / "many")
    assert [pl.read_parquet(file).height for file in (*few, *many)] == [100, orders.FILE_ROWS, 1]
    assert orders.orders(1, 500).equals(orders.orders(1, 500))
    assert not orders.orders(1, 500).equals(orders.orders(2, 500))
    written = few[0].stat().st_mtime_ns
    assert orders.write(100, tmp_path / "few")[0].stat().st_mtime_ns == written
    assert pl.read_parquet(orders.write(99, tmp_path / "few")).height == 99
    with pytest.raises(ValueError, match="0 rows; at least 1 is needed"):
        orders.write(0, tmp_path)


# The contestants


@pytest.mark.parametrize("name", INSTALLED)
def test_a_contestants_file_holds_every_order(name: str, sources: list[Path], tmp_path: Path) -> None:
    contestant = CONTESTANTS[name]
    if not contestant.is_here:
        pytest.skip(f"{contestant.needs} is in requirements/bench.in only")
    out = tmp_path / f"orders.{contestant.kind}"
    for each in (contestant.after, name):
        if each:
            CONTESTANTS[each].load()(sources, out)
    assert round_trip.check(contestant, out, sources) == 2 * ROWS


@pytest.mark.parametrize("name", ["csv", "csv.gz", "jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize("column", ["customer_name", "created_at", "amount", "discount", "is_gift", "ship_date"])
def test_one_wrong_cell_is_found(name: str, column: str, sources: list[Path], tmp_path: Path) -> None:
    others = {
        "customer_name": pl.lit("somebody else"),
        "created_at": pl.col(column).dt.offset_by("5ms"),
        "amount": pl.col(column) + pl.lit(1).cast(pl.Decimal(14, 2)),
        "discount": pl.lit(0.123456789),
        "is_gift": ~pl.col(column),
        "ship_date": pl.lit(None, pl.Date),
    }
    rows = pl.read_parquet(sources[1])
    at = rows.select(pl.arg_where(pl.col(column).is_not_null())).to_series()[-1]
    changed = tmp_path / "changed.parquet"
    wrong = pl.when(pl.int_range(pl.len()) == at).then(others[column]).otherwise(pl.col(column)).alias(column)
    rows.with_columns(wrong).cast(rows.schema).write_parquet(changed)
    out = tmp_path / f"orders.{name}"
    CONTESTANTS[name].load()([sources[0], changed], out)
    with pytest.raises(round_trip.Mismatch, match=rf"row {ROWS + at}, {column}"):
        round_trip.check(CONTESTANTS[name], out, sources)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "xlsx"])
def test_a_file_with_fewer_or_more_rows_is_found(name: str, sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / f"orders.{name}"
    CONTESTANTS[name].load()(sources, out)
    with pytest.raises(round_trip.Mismatch, match=f"more than {ROWS} rows"):
        round_trip.check(CONTESTANTS[name], out, sources[:1])
    with pytest.raises(round_trip.Mismatch, match=f"has {2 * ROWS} rows and should have more"):
        round_trip.check(CONTESTANTS[name], out, [*sources, sources[0]])


def test_a_header_of_other_names_is_found(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    CONTESTANTS["csv"].load()(sources, out)
    with pytest.raises(round_trip.Mismatch, match="the header is"):
        round_trip.check(Contestant("csv", CONTESTANTS["csv"].load, titles=False), out, sources)


def test_the_run_fails_when_a_timed_file_is_wrong(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(name: str, files: list[Path], out: Path) -> measure.Sample:
        CONTESTANTS[name].load()(files[:1], out)
        return measure.Sample(1.0, 1.0, 1, 1, out.stat().st_size)

    monkeypatch.setattr(measure, "run", forgetful)
    with pytest.raises(round_trip.Mismatch, match="should have more"):
        measure.take_turns(["csv"], sources, 1, tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contestants do their work here, which is quicker than a process each."""

    def run(name: str, files: list[Path], out: Path) -> measure.Sample:
        CONTESTANTS[name].load()(files, out)
        return measure.Sample(1.0, 1.0, 2, 1, out.stat().st_size)

    monkeypatch.setattr(measure, "run", run)


@pytest.mark.usefixtures("in_process")
def test_contestants_take_turns_and_who_is_missing_is_told(sources: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    taken = measure.take_turns(["csv", "nobody", "polars sink_csv"], sources, 2, tmp_path, said.append)
    assert {name: len(samples) for name, samples in taken.items()} == {"csv": 2, "polars sink_csv": 2}
    order = [line.split(":")[0] for line in said]
    assert order == ["csv", "nobody", "polars sink_csv", "nobody", "polars sink_csv", "csv"]
    assert "not measured, the format does not exist" in said[1]
    assert f"{2 * ROWS} rows read back" in said[0]


def test_a_contestant_works_in_a_process_of_its_own_on_one_thread(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []
    run = subprocess.run

    def spy(*words: Any, env: dict[str, str], **more: Any) -> Any:
        started.append(env)
        return run(*words, env=env, **more)

    monkeypatch.setattr(subprocess, "run", spy)
    taken = measure.run("csv", sources, tmp_path / "orders.csv")
    assert [each["POLARS_MAX_THREADS"] for each in started] == ["1"]
    assert taken.cpu > 0
    assert taken.wall > 0
    assert taken.peak >= taken.before > 0
    assert taken.size == (tmp_path / "orders.csv").stat().st_size


def test_a_contestant_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)csv failed:.*missing\.parquet"):
        measure.run("csv", [tmp_path / "missing.parquet"], tmp_path / "orders.csv")


# The claims


def sample(cpu: float, peak: int = 100) -> dict[str, Any]:
    return {"cpu": cpu, "wall": cpu, "peak": peak, "before": 50, "size": 1000}


def results(ours: float, **others: Any) -> claims.Results:
    """As they would be if our xlsx took so many seconds, and xlsxwriter 30."""
    samples = {"xlsx": [sample(ours), sample(ours * 1.1)], "xlsxwriter": [sample(30), sample(30)]}
    return {"xlsx": {"date": "2026-01-01 00:00", "rows": report.FULL_ROWS, "samples": samples}} | others


def page(found: claims.Results) -> str:
    return report.render(found, {}, report.FULL_ROWS, "performance")


def costs(seconds: float, kind: str, *sizes: str) -> list[list[str]]:
    """The rows of the costs' table, if reading and writing take so many seconds."""
    facts = {"rows": {"tenth": 100_000, "whole": 1_000_000, "tenfold": 10_000_000}, "source_bytes_a_row": 35.0}
    taken = {f"{name} {size}": [sample(seconds)] for name in ("read", kind) for size in claims.SIZES}
    scale = {"date": "2026-01-01 00:00", "rows": report.FULL_ROWS, "samples": taken, "facts": facts}
    wanted = tuple(f"| {size} | {kind} |" for size in sizes)
    lines = page(results(seconds, scale=scale)).splitlines()
    return [line.split(" | ") for line in lines if line.startswith(wanted)]


def verdict(found: claims.Results, work: str, against: str) -> claims.Verdict:
    return next(
        each for each in claims.verdicts(found) if each.claim.work == work and each.claim.against.startswith(against)
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.7, "goal reached"), (1.1, "requirement met"), (1.3, "**REQUIREMENT MISSED**")]
)
def test_a_claim_is_judged_by_the_median_of_the_turns(seconds: float, words: str) -> None:
    found = verdict(results(seconds), "xlsx", "xlsxwriter")
    assert found.words == words
    assert found.figure
    assert found.figure.low == pytest.approx(30 / seconds / 1.1)
    assert found.figure.high == pytest.approx(30 / seconds)


def test_the_best_rival_counts() -> None:
    samples = {"parquet assembly": [sample(1)] * 2, "polars sink_parquet": [sample(9)] * 2, "pyarrow": [sample(4)] * 2}
    measured = results(1.0, parquet={"samples": samples})
    figure = verdict(measured, "parquet assembly", "re-encoding").figure
    assert figure
    assert figure.note == "pyarrow"


def test_a_rival_that_loses_characters_is_not_the_one_to_beat_and_stands_beside() -> None:
    measured = results(1.0)
    measured["xlsx"]["samples"] |= {"rustpy-xlsxwriter": [sample(9)] * 2, "jetxl": [sample(4)] * 2}
    figures = [verdict(measured, "xlsx", against).figure for against in ("fastest Rust", "jetxl")]
    assert [(figure.note, figure.high) for figure in figures if figure] == [("rustpy-xlsxwriter", 9), ("", 4)]
    assert all("control" in contestants.CONTESTANTS[name].forgets for name in set(claims.RUST) - set(claims.KEEPING))
    assert not any("control" in contestants.CONTESTANTS[name].forgets for name in claims.KEEPING)


def test_a_missed_must_stands_first_on_the_page_and_in_the_table_and_ends_the_run_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = page(results(1.3))
    assert missed.startswith("> # ⚠ 1 REQUIREMENT MISSED\n> - **xlsx** against xlsxwriter")
    assert "required: ≥ 25×" in missed
    assert re.search(r"^\| xlsx \| xlsxwriter.*\*\*REQUIREMENT MISSED\*\*", missed, re.MULTILINE)
    assert "REQUIREMENT MISSED" not in page(results(0.7))
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    for seconds, status in ((1.3, 1), (0.7, 0)):
        folder = tmp_path / "out" / "bench" / str(report.FULL_ROWS)
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs").mkdir(exist_ok=True)
        (folder / "results.json").write_text(json.dumps({"machine": {}, "results": results(seconds)}))
        assert bench.main(["--page"]) == status
    assert "goal reached" in (tmp_path / "docs" / "performance.md").read_text()


@pytest.mark.usefixtures("in_process")
def test_a_trial_says_that_it_proves_nothing_and_leaves_the_page_of_the_project_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setitem(bench.COMPARED, "csv", ["csv", "polars sink_csv"])
    assert bench.main(["csv", "--rows", "300", "--repetitions", "1"]) == 0
    page = (tmp_path / "out" / "bench" / "300" / "performance.md").read_text()
    assert "A trial of 300 rows; it proves nothing" in page
    assert not (tmp_path / "docs").exists()


def test_what_was_not_measured_is_named() -> None:
    unknown = next(line for line in page(results(1.0)).splitlines() if "Not measured" in line)
    assert "parquet assembly" in unknown
    assert "ten rows, warm" in unknown
    assert "xlsxwriter" not in unknown


def test_growth_is_that_of_the_worst_format() -> None:
    taken = {"csv whole": [sample(1)], "csv tenfold": [sample(10)], "xlsx whole": [sample(1)]}
    taken["xlsx tenfold"] = [sample(13, peak=150)]
    scale = {"samples": taken, "facts": {"rows": {"tenth": 1, "whole": 10, "tenfold": 100}}}
    found = results(1.0, scale=scale)
    time, memory = (
        verdict(found, f"ten times the rows, {what}", "") for what in ("CPU per row", "memory of the worker")
    )
    assert time.figure == claims.Figure(1.3, 1.3, 1.3, "xlsx")
    assert memory.figure == claims.Figure(1.5, 1.5, 1.5, "xlsx")


def test_the_page_keeps_what_stands_outside_of_the_markers(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"# Ours\n\nabove\n\n{report.BEGIN}\nold\n{report.END}\n\nbelow\n")
    for _ in range(2):
        report.write(results(1.0), {"processor": "fast"}, report.FULL_ROWS, file)
    text = file.read_text()
    assert text.startswith("# Ours\n\nabove\n")
    assert text.endswith("\n\nbelow\n")
    assert "old" not in text
    assert "| processor | fast |" in text
    assert (tmp_path / "performance" / "ratios.svg").exists()
    file.write_text("nothing")
    with pytest.raises(ValueError, match="must have each of these lines once"):
        report.write(results(1.0), {}, report.FULL_ROWS, file)


def test_the_projects_page_has_the_markers() -> None:
    text = (measure.ROOT / "docs" / "performance.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


@pytest.mark.parametrize("words", [["nothing"], ["csv", "--rows", "0"], ["--rows", "many"]])
def test_an_order_that_makes_no_sense_is_refused_with_what_is_allowed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench.main(words)
    assert (
        "allowed: csv, csv.gz" if words == ["nothing"] else "a whole number of at least 1"
    ) in capsys.readouterr().err


# What is computed


def test_what_goes_through_the_assembler_is_what_the_upload_does_not_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 6 * 1024 * 1024
    receipt = contestants.write_part(contestants.plan("csv"), 0, iter([orders.orders(0, 10)]), tmp_path / "part")
    monkeypatch.setattr(assembler, "_receipt", lambda *_: receipt | {"bytes": size})
    monkeypatch.setattr(
        assembler,
        "_extents",
        lambda rows, _: [
            {"key": f"{at}", "etag": "", "offset": 0, "rows": 500_000, "bytes": 1} for at in range(rows // 500_000)
        ],
    )
    found = assembler.through("csv", 20_000_000, tmp_path)
    assert found["parts"] == 40
    assert found["bytes"] == 40 * size
    assert (found["fetched"], found["percent"]) == (0, 0), "each part is copied as it is"
    monkeypatch.setattr(assembler, "_receipt", lambda *_: receipt | {"bytes": size // 2})
    found = assembler.through("csv", 20_000_000, tmp_path)
    assert (found["fetched"], found["percent"]) == (40 * size // 2, 100), "S3 copies nothing so small"


def test_costs_grow_with_the_rows_and_each_price_names_its_page() -> None:
    measured = cost.Measured(cpu=1.5, size=50_000_000)
    ours = [cost.ours(rows, measured, 35.0, "arm").total for rows in (10**6, 10**8, 10**9)]
    assert 50 < ours[2] / ours[0] < 1000
    assert cost.ours(10**8, measured, 35.0, "x86").compute > cost.ours(10**8, measured, 35.0, "arm").compute
    assert cost.athena(1, measured, 35.0).compute == pytest.approx(10e6 / 1e12 * 5)
    assert cost.glue(1, measured).compute == pytest.approx(2 * 0.44 / 60)
    assert all("ricing" in price.page and price.dollars > 0 for price in cost.PRICES.values())


def test_a_library_that_lambda_would_stop_is_said_to_be_unable() -> None:
    assert cost.library(10**6, cost.Measured(60, 1), "arm").remark == ""
    assert cost.library(10**8, cost.Measured(60, 1), "arm").remark.startswith("cannot: 150 of 15 minutes")


def test_the_page_says_which_way_is_the_cheapest() -> None:
    rows = costs(1.5, "csv", "1M", "1,000M")
    assert len(rows) == 2
    for cells in rows:
        kept = dict(zip(("ours", "theirs"), map(float, cells[8].split(" / ")), strict=True))
        ways = {"ours, arm": float(cells[2]) + kept["ours"], "Athena": float(cells[5]) + kept["theirs"]}
        ways |= {"ours, x86": float(cells[3]) + kept["ours"], "Glue": float(cells[6]) + kept["theirs"]}
        assert cells[9].strip(" |") == min(ways, key=ways.__getitem__)


def test_a_way_that_cannot_be_gone_is_not_the_cheapest() -> None:
    rows = costs(50, "xlsx", "1M", "100M")
    assert ["cannot" in cells[4] for cells in rows] == [False, True]
    assert [cells[9].strip(" |") for cells in rows] == ["library", "ours, arm"]


def test_plots_are_readable_on_light_and_dark_pages_and_safe_to_embed() -> None:
    drawn = svg.lines("a <b>", "rows", "s", {"one & two": [(10, 1), (100, 20)], "three": [(50, 5)]})
    bars = svg.bars("ratios", [("x : y", 30.0, 25.0, 35.0, 25.0), ("slow", 0.9, 0.8, 1.0, None)])
    for text in (drawn, bars):
        assert text.startswith("<svg xmlns=")
        assert "prefers-color-scheme: dark" in text
        assert "nan" not in text
    assert "a &lt;b&gt;" in drawn
    assert "one &amp; two" in drawn
    assert drawn.count("<polyline") == 2


def test_a_profile_names_the_calls_that_the_time_is_spent_in(sources: list[Path], tmp_path: Path) -> None:
    found = profiling.profile("csv.gz", sources, tmp_path / "orders.csv.gz")
    assert "Compress.compress" in dict(found)
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
    assert 0 < sum(share for _, share in found) <= 1
    profiled = {"date": "2026-01-01 00:00", "rows": 1, "facts": {"csv.gz": [["Compress.compress", 0.62]]}}
    assert "| csv.gz | Compress.compress 62% |" in page(results(1.0, profile=profiled))
    with pytest.raises(RuntimeError, match=r"(?s)csv failed:.*missing\.parquet"):
        profiling.profile("csv", [tmp_path / "missing.parquet"], tmp_path / "orders.csv")


def test_the_report_of_the_service_benchmark_is_a_valid_one(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(json.dumps(service.REPORT))
    assert reports.faults(tmp_path) == []


def test_the_service_is_not_measured_where_nothing_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match="Run make bench, which sets everything up"):
        service.measure([], 1, tmp_path, lambda _: None)


def test_every_contestant_of_a_comparison_is_known_and_packages_are_those_of_the_requirements() -> None:
    assert {name for names in bench.COMPARED.values() for name in names} <= set(CONTESTANTS)
    wanted = (measure.ROOT / "requirements" / "bench.in").read_text()
    for contestant in CONTESTANTS.values():
        assert contestant.needs.replace("_", "-") in wanted
    assert importlib.util.find_spec("pyarrow"), "the readers need it"


# Watching


@needs_node
def test_a_visible_page_asks_less_and_less_often_and_a_hidden_one_never() -> None:
    reads = [2, 4, 6.8, 10.72, 16.208, 23.8912, 34.64768, 49.64768]  # pauses: 2 s, then 1.4 times as long, up to 15 s
    assert polling.schedule(60) == [(0, "load"), *((pytest.approx(at), "export") for at in reads)]
    hour = [at for at, what in polling.schedule(3600) if what == "export"]
    assert {round(after - at, 6) for at, after in itertools.pairwise(hour[7:])} == {15}
    assert polling.schedule(3600, hidden=True) == []


@needs_node
def test_a_watched_minute_costs_one_list_for_each_read_and_one_get() -> None:
    python = [sys.executable, "-m", "benchmarks.polling", next(iter(polling.CASES))]
    counts = json.loads(subprocess.run(python, cwd=measure.ROOT, capture_output=True, check=True).stdout)
    assert counts == {
        "api": 3 + 8,
        "lambda": 3 + 8 + 1,
        "GetItem": 8,
        "Query": 2,
        "Scan": 1,
        polling.HALF_UNITS: 2 * 8 + 3,
        "ListObjectsV2": 8,
        "GetObject": 1,
    }
    prices = {name: price.dollars for name, price in cost.PRICES.items()}
    dollars = 11 * prices["api request"] + 12 * (prices["lambda request"] + 0.1 * 0.5 * prices["lambda x86"])
    dollars += 9.5 * prices["dynamodb read"] + 8 * prices["s3 put"] + prices["s3 get"]
    assert cost.watching(counts) == pytest.approx(dollars)
    watched = {"date": "2026-01-01 00:00", "rows": 1, "facts": {"one page": counts}}
    assert f"| one page | 11 | 12 | 11 | 8 | 0 | 1 | {dollars:.6f} |" in page(results(1.0, polling=watched))
