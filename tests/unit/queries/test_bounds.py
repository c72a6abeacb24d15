"""A query has its bounds: rows, bytes, memory, disk and time. Beyond one, it ends, and says which."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from shared.errors import NotRunning, QueryInvalid, QueryTimedOut, QueryTooLarge, RowGroupTooLarge
from shared.files import query_results
from shared.queries import engine, tables
from shared.queries.engine import Limits
from shared.queries.statement import Statement
from tests.unit.lake import Lake, by_polars, footer_of, in_memory
from tests.unit.queries.support import LIMITS, dataset, frame, put, query, record, rows
from tests.unit.support import ROOT

COUNT = 1_200_000
NUMBER = {"v": "integer"}
ENDLESS = "SELECT count(*) AS v FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = -1"


@pytest.fixture(scope="module")
def many() -> Iterator[Lake]:
    """More than a million rows in an order that no column has, with ties; four files of several row groups."""
    numbers = pl.int_range(COUNT, eager=True).shuffle(seed=1)
    table = pl.DataFrame({"v": numbers, "tie": numbers % 5, "text": "x" * 20 + numbers.cast(pl.String)})
    nulls = pl.when(pl.col("v") % 100 > 0).then(pl.col("tie"))
    table = table.with_columns(nulls.alias("tie"), pl.lit("acme").alias("tenant"))
    with in_memory() as lake:
        for at in range(4):
            piece = table[at * COUNT // 4 : (at + 1) * COUNT // 4]
            lake.put(f"part={at}/a.parquet", by_polars(piece, 50_000))
        yield lake


SHAPE = dataset(v="integer", tie="integer", text="string", part="integer")


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.usefixtures("many")
def test_the_file_has_the_order_of_the_query(is_descending: bool) -> None:
    way = "DESC" if is_descending else "ASC"
    sql = f"SELECT v, tie FROM sales ORDER BY tie {way} NULLS LAST, v"
    found = frame(query(sql, NUMBER | {"tie": "integer"}, SHAPE))
    expected = found.sort("tie", "v", descending=[is_descending, False], nulls_last=True)
    assert (found.height, found["tie"].null_count()) == (COUNT, COUNT // 100)
    assert found.equals(expected)


@pytest.mark.usefixtures("many")
def test_the_order_of_a_request_applies_to_the_rows_of_the_query() -> None:
    report = query("SELECT v, tie FROM sales ORDER BY v DESC LIMIT 1000", NUMBER | {"tie": "integer"}, SHAPE)
    keys = [{"column": "tie", "descending": True}, {"column": "v"}]
    found = frame(Statement.of(report, record(sort=keys, columns=["v"])))
    last = pl.DataFrame({"v": range(COUNT - 1000, COUNT)})
    tie = pl.when(pl.col("v") % 100 > 0).then(pl.col("v") % 5)
    assert found.equals(last.sort(tie, "v", descending=[True, False], nulls_last=True))


def test_a_file_has_small_row_groups(many: Lake) -> None:
    statement = Statement.of(query("SELECT v FROM sales ORDER BY v", NUMBER, SHAPE), record())
    with engine.scratch() as folder:
        file, count, _ = engine.write(statement, tables.find(statement), LIMITS, lambda: None, folder)
        groups = [int(row[0]) for row in _groups(file)]
    assert (count, sum(groups), max(groups)) == (COUNT, COUNT, engine.GROUP_ROWS)


def _groups(file: Path) -> list[tuple[int]]:
    import pyarrow.parquet as pq

    footer = pq.ParquetFile(file).metadata
    return [(footer.row_group(at).num_rows,) for at in range(footer.num_row_groups)]


# Files and row groups that need not be read.


def asked(lake: Lake, where: str | None, **parameters: Any) -> tuple[int, set[str]]:
    """The bytes that a query fetches after the footers, and the keys of the files it fetches from."""
    kinds = {"p": "integer", "day": "date"}
    shape = SHAPE | ({"where": where} if where else {})
    statement = Statement.of(query("SELECT v FROM sales", NUMBER, shape, kinds), record(**parameters))
    lake.asked.clear()
    found = tables.find(statement)
    footers, keys = lake.bytes, {key for key, _, _ in lake.asked}
    with engine.scratch() as folder:
        _, _, fetched = engine.write(statement, found, LIMITS, lambda: None, folder)
    assert fetched == lake.bytes - footers
    return fetched, {key.removeprefix("data/sales/") for key in keys}


@pytest.mark.parametrize(
    ("where", "parameters", "files"),
    [
        (None, {}, [0, 1, 2, 3]),
        ("part >= $p", {"p": 2}, [2, 3]),
        ("part >= $P AND v >= 0", {"p": 2}, [2, 3]),
        ("$p IS NULL OR part = $p", {"p": 2}, [2]),
        ("$p IS NULL OR part = $p", {}, [0, 1, 2, 3]),
        ("part = 1 AND part = 2", {}, []),
        ("part IN (0, $p) AND text LIKE 'x%'", {"p": 3}, [0, 3]),
        ("part = year($day) - 2013", {"day": "2014-05-01"}, [1]),
        ("v >= 0 OR part = 1", {}, [0, 1, 2, 3]),
        ("part * 10 + 5 > 30 OR false", {}, [3]),
    ],
)
def test_a_where_on_folders_excludes_files(lake: Lake, where: str | None, parameters: Any, files: list[int]) -> None:
    for at in range(4):
        put(lake, f"part={at}/a.parquet", v=[at], tie=[at], text=["x"])
    _, keys = asked(lake, where, **parameters)
    assert keys == {f"part={at}/a.parquet" for at in files}


@pytest.mark.parametrize(
    "where", ["v >= $p", "v BETWEEN $p AND 9999999999", "($p IS NULL OR v >= $p) AND length(text) > 0"]
)
def test_a_where_excludes_row_groups_although_the_tenant_is_tested_first(lake: Lake, where: str) -> None:
    numbers = pl.int_range(300_000, eager=True)
    table = pl.DataFrame({"v": numbers, "tie": numbers, "text": numbers.cast(pl.String), "tenant": "acme"})
    lake.put("part=0/a.parquet", by_polars(table, 10_000))
    every, _ = asked(lake, None)
    some, _ = asked(lake, where, p=299_000)
    assert some < every / 10


# Bounds.


def test_more_rows_than_an_export_may_have_are_refused(many: Lake) -> None:
    report = query("SELECT v FROM sales", NUMBER, SHAPE)
    with pytest.raises(QueryTooLarge, match=f"the query returns {COUNT} rows; MaxRowsPerExport is 1000:"):
        frame(report, limits=LIMITS._replace(rows=1000))


def test_too_many_bytes_are_refused_before_any_row_is_read(many: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_BYTES", 1_000_000)
    many.asked.clear()
    with pytest.raises(QueryTooLarge, match=r"the query would load \d{8} bytes from sales; at most 1000000 bytes"):
        frame(query("SELECT v FROM sales", NUMBER, SHAPE))
    assert all(end == len(many.objects[key]) for key, _, end in many.asked)
    assert many.bytes < 4 * 64 * 1024 + 1


def test_only_some_bytes_of_footers_are_kept_in_memory(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [put(lake, f"{at}.parquet", v=[at]) for at in range(5)]
    sizes = [len(footer_of(lake.objects[key])) + 8 for key in keys]
    monkeypatch.setattr(tables, "_KEPT_BYTES", sum(sizes[:3]))
    report = query("SELECT s.v FROM sales s JOIN t USING (v)", NUMBER, dataset(v="integer"), t=dataset(v="integer"))
    found = tables.find(Statement.of(report, record()))
    assert [[len(last) for _, last in source.files] for source in found] == [[*sizes[:3], 0, 0], [0] * 5]
    assert sorted(rows(report)) == [(at,) for at in range(5)]


def test_row_groups_of_other_tenants_are_not_counted(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    tenants = ["acme"] * 1000 + ["beta"] * 1000 + ["other"] * 100_000
    lake.put("a.parquet", by_polars(pl.DataFrame({"tenant": tenants, "v": range(len(tenants))}), 1000))
    monkeypatch.setattr(tables, "MAX_BYTES", 20_000)
    report = query("SELECT count(*) AS v FROM sales", NUMBER, dataset(v="integer"))
    assert rows(report, "acme") == [(1000,)]
    with pytest.raises(QueryTooLarge):
        rows(report, "other")


def test_a_row_group_that_does_not_fit_into_memory_is_refused_unless_its_columns_or_rows_are_not_loaded(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_GROUP_BYTES", 50_000)
    texts = [uuid.uuid4().hex for _ in range(2000)]
    key = put(lake, "a.parquet", v=[*range(2000)], text=texts)
    wide, narrow = dataset(v="integer", text="string"), dataset(v="integer")
    told = rf"s3://lake/{key} has a row group of 2000 rows .* at most 50000 bytes of a row group: write smaller"
    with pytest.raises(RowGroupTooLarge, match=told):
        rows(query("SELECT count(*) AS v FROM sales", NUMBER, wide))
    assert rows(query("SELECT count(*) AS v FROM sales", NUMBER, wide), "beta") == [(0,)]
    assert rows(query("SELECT count(*) AS v FROM sales", NUMBER, narrow)) == [(2000,)]


@pytest.mark.usefixtures("many")
def test_a_sort_beyond_memory_spills() -> None:
    found = frame(
        query("SELECT v, text AS t FROM sales ORDER BY t DESC", NUMBER | {"t": "string"}, SHAPE), limits=TIGHT
    )
    assert found["t"].is_sorted(descending=True)


TIGHT = Limits(memory=60, spill=500, seconds=120, rows=10_000_000)


@pytest.mark.parametrize(
    ("sql", "spill"),
    [
        ("SELECT v FROM sales ORDER BY repeat(text, 6)", 1),
        ("SELECT len(string_agg(text, '')) AS v FROM sales", 500),
    ],
)
@pytest.mark.usefixtures("many")
def test_a_query_beyond_memory_and_what_may_be_spilled_names_both(sql: str, spill: int) -> None:
    told = rf"^sales\.sql: the query needs more than 60 MiB of memory and {spill} MiB of spilled data: "
    with pytest.raises(QueryTooLarge, match=told):
        frame(query(sql, NUMBER, SHAPE), limits=TIGHT._replace(spill=spill))


@pytest.mark.parametrize(
    ("memory", "fails", "databases"),
    [(1000, False, [":memory:"]), (1000, True, [":memory:", "query.duckdb"]), (100, False, ["query.duckdb"])],
    ids=["small tables", "they need more than they seemed to", "large tables"],
)
@pytest.mark.usefixtures("many")
def test_small_tables_need_no_file_unless_the_query_needs_the_memory(
    memory: int, fails: bool, databases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, run = list[str](), engine._run

    def watched(*arguments: Any) -> tuple[int, int]:
        opened.append(Path(arguments[-1]).name)
        if fails and len(opened) == 1:
            arguments[4].write_bytes(b"the first part of a result")
            raise QueryTooLarge("memory")
        return run(*arguments)

    monkeypatch.setattr(engine, "_run", watched)
    found = frame(query("SELECT v FROM sales ORDER BY v", NUMBER, SHAPE), limits=LIMITS._replace(memory=memory))
    assert (opened, found["v"].to_list()) == (databases, list(range(COUNT)))


def test_a_query_that_takes_too_long_is_ended(lake: Lake) -> None:
    put(lake, "a.parquet", v=[1])
    begun = time.monotonic()
    with pytest.raises(QueryTimedOut, match="the query takes longer than 1 seconds"):
        frame(query(ENDLESS, NUMBER, dataset(v="integer")), limits=LIMITS._replace(seconds=1))
    assert time.monotonic() - begun < 10


def test_a_query_that_nobody_wants_is_ended(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_LOOK", 0.2)
    put(lake, "a.parquet", v=[1])
    looks = []

    def still_wanted() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise NotRunning("cancelled")

    begun = time.monotonic()
    with pytest.raises(NotRunning, match="cancelled"):
        frame(query(ENDLESS, NUMBER, dataset(v="integer")), still_wanted=still_wanted)
    assert time.monotonic() - begun < 10
    assert len(looks) == 3


def test_a_query_that_nobody_wants_has_no_result_even_if_it_ends_at_that_moment(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOOK", 0.05)
    put(lake, "a.parquet", v=[1])
    copied, copy = [], engine._copy

    def slowly(*arguments: Any) -> int:
        copied.append(count := copy(*arguments))
        time.sleep(0.5)  # Python, which no interrupt of DuckDB ends
        return count

    monkeypatch.setattr(engine, "_copy", slowly)

    def still_wanted() -> None:
        if copied:
            raise NotRunning("cancelled")

    with pytest.raises(NotRunning, match="cancelled"):
        frame(query("SELECT v FROM sales", NUMBER, dataset(v="integer")), still_wanted=still_wanted)
    assert copied == [1]


def test_an_interrupt_between_two_statements_is_not_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_LOOK", 0.05)
    put(lake, "a.parquet", v=[1])
    create = tables.create

    def then_wait(*arguments: Any) -> None:
        create(*arguments)
        time.sleep(0.3)

    monkeypatch.setattr(tables, "create", then_wait)

    def still_wanted() -> None:
        raise NotRunning("cancelled")

    begun = time.monotonic()
    with pytest.raises(NotRunning, match="cancelled"):
        frame(query(ENDLESS, NUMBER, dataset(v="integer")), still_wanted=still_wanted)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("sql", "line"),
    [("SELECT 1 AS v\nFROM\nnowhere", 3), ("SELECT\n  v,\n  CAST(text AS INTEGER) + nothing\nFROM sales", 3)],
)
@pytest.mark.parametrize("sort", [None, [{"column": "v"}]])
def test_a_fault_has_its_line(lake: Lake, sql: str, line: int, sort: Any) -> None:
    put(lake, "part=0/a.parquet", v=[0], tie=[0], text=["x"])
    statement = Statement.of(query(sql, NUMBER, SHAPE), record(sort=sort))
    with pytest.raises(QueryInvalid, match=rf"^sales\.sql, line {line}: "):
        frame(statement)


def test_folders_that_a_killed_process_left_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with engine.scratch() as folder:
        assert folder.name.startswith(f"report-exports-query-{os.getpid()}-")
    left = tmp_path / f"report-exports-query-{2**22 + 1}-x"  # no process has this number (proc(5), pid_max)
    left.mkdir()
    kept = [tmp_path / f"report-exports-query-{os.getppid()}-x", tmp_path / "query-plan-notes"]
    for folder in kept:
        folder.mkdir()
    engine.remove_left_over()
    assert (left.exists(), [folder.exists() for folder in kept]) == (False, [True, True])


def test_the_engine_of_a_result_is_the_one_that_is_installed() -> None:
    pinned = (ROOT / "layers" / "query" / "requirements.txt").read_text().partition(" ")[0]
    assert pinned.replace("==", " ") == query_results.ENGINE


def test_pyarrow_reads_what_a_query_writes(lake: Lake) -> None:
    put(lake, "a.parquet", v=pa.array([1, None], pa.int64()))
    assert rows(query("SELECT v FROM sales ORDER BY v DESC NULLS LAST", NUMBER, dataset(v="integer"))) == [
        (1,),
        (None,),
    ]
