"""What every source keeps to, and that docs/howto/add-a-source.md is all it takes to add one."""

from __future__ import annotations

import io
import json
import re
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import aws, planning, sources
from shared.errors import ColumnMismatch, SourceChanged, SourceMissing, SourceSchemaMismatch, SourceUnreadable
from shared.query import Query
from shared.sources import SOURCES, Source
from tests.unit.lake import BUCKET, Lake

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "add-a-source.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "functions" / "shared" / "report.schema.json").read_text("utf-8"))


def of_the_page() -> Source:
    """The module that the page shows."""
    (path,) = re.findall(r"`functions/(shared/sources/\w+)\.py`, for", PAGE)
    module: Any = types.ModuleType(path.replace("/", "."))
    (code,) = re.findall(r"```python\n(\"\"\"Source.*?)```", PAGE, re.DOTALL)
    exec(compile(code, path, "exec"), module.__dict__)
    return module  # type: ignore[no-any-return]


def parquet_file(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_parquet(file, row_group_size=3)
    return file.getvalue()


def csv_file(rows: pl.DataFrame) -> bytes:
    return rows.write_csv().encode()


EVERY: dict[str, tuple[Source, Callable[[pl.DataFrame], bytes]]] = {
    "csv": (of_the_page(), csv_file),
    "parquet": (SOURCES["parquet"], parquet_file),
}


@pytest.fixture(params=EVERY)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(kind: str) -> Source:
    return EVERY[kind][0]


def sales(start: int, count: int) -> pl.DataFrame:
    """Rows of two tenants, numbered, all of them text."""
    numbers = range(start, start + count)
    return pl.DataFrame(
        {
            "tenant": ["acme" if number % 3 else "other" for number in numbers],
            "n": [str(number) for number in numbers],
            "unused": ["x"] * count,
        },
        schema=dict.fromkeys(("tenant", "n", "unused"), pl.String),
    )


def store(lake: Lake, kind: str, name: str, rows: pl.DataFrame) -> str:
    return lake.put(f"{name}.{kind}", EVERY[kind][1](rows))


def query(column: str = "n", declared: str = "string") -> Query:
    definition = {
        "source": {"type": "any", "dataset": "sales"},
        "tenant": "tenant",
        "columns": [{"name": column, "type": declared}],
    }
    return Query.of(definition, {}, "acme")


def scanned(source: Source, extents: Any, fetched: Counter[str] | None = None) -> list[pl.DataFrame]:
    return list(source.scan(query(), {"tenant": "String", "n": "String"}, extents, fetched))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5), parts=st.integers(1, 7))
@pytest.mark.parametrize("kind", EVERY)
def test_however_rows_are_divided_each_is_read_once_and_in_order(kind: str, sizes: list[int], parts: int) -> None:
    source, lake = EVERY[kind][0], Lake()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DATA_BUCKET", BUCKET)
        patched.setenv("DATA_PREFIX", "data")
        patched.setattr(aws, "s3", lambda: lake)
        patched.setattr(planning, "MIN_ROWS", 1)
        for number, size in enumerate(sizes):
            store(lake, kind, str(number), sales(100 * number, size))
        _, extents = source.plan(query())
        divided = planning.divide(extents, parts, 1)
        frames = [frame for part in divided for frame in scanned(source, part["sources"])]
    assert [part["rows"] for part in divided] == [sum(e["rows"] for e in part["sources"]) for part in divided]
    rows = [100 * number + row for number, size in enumerate(sizes) for row in range(size)]
    assert [n for frame in frames for n in query().apply(frame)["n"]] == [str(row) for row in rows if row % 3]
    assert all(frame.columns == ["n", "tenant"] for frame in frames)


def test_the_same_dataset_is_planned_alike(lake: Lake, kind: str, source: Source) -> None:
    for number in (3, 1, 2):
        store(lake, kind, str(number), sales(number, 5))
    assert source.plan(query()) == source.plan(query())


def test_what_is_fetched_is_counted(lake: Lake, kind: str, source: Source) -> None:
    store(lake, kind, "1", sales(0, 9))
    extents = source.plan(query())[1]
    lake.asked.clear()
    fetched: Counter[str] = Counter()
    scanned(source, extents, fetched)
    assert fetched["bytes"] == lake.bytes > 0


def test_a_dataset_without_files_is_missing(lake: Lake, source: Source) -> None:
    lake.put("notes.txt", b"x")
    with pytest.raises(SourceMissing, match="under s3://lake/data/sales/"):
        source.plan(query())


def test_files_with_other_columns_are_named(lake: Lake, kind: str, source: Source) -> None:
    store(lake, kind, "1", sales(0, 5))
    store(lake, kind, "2", sales(0, 5).rename({"n": "m"}))
    with pytest.raises(SourceSchemaMismatch, match=rf"s3://lake/data/sales/2\.{kind}"):
        source.plan(query())


def test_a_column_that_is_not_there_is_named(lake: Lake, kind: str, source: Source) -> None:
    store(lake, kind, "1", sales(0, 5))
    with pytest.raises(ColumnMismatch, match="no column nothing; it has: tenant, n, unused"):
        source.plan(query("nothing"))


def test_a_column_of_another_type_is_named(lake: Lake, kind: str, source: Source) -> None:
    store(lake, kind, "1", sales(0, 5))
    with pytest.raises(ColumnMismatch, match="column n is declared integer"):
        source.plan(query("n", "integer"))


def test_an_empty_file_is_named(lake: Lake, kind: str, source: Source) -> None:
    lake.put(f"1.{kind}", b"")
    with pytest.raises(SourceUnreadable, match=rf"s3://lake/data/sales/1\.{kind} is not readable"):
        source.plan(query())


@pytest.mark.parametrize("when", ["planned", "read"])
@pytest.mark.parametrize(("now", "said"), [("replaced", "was replaced"), ("removed", "is gone")])
def test_a_file_that_changes_is_noticed(lake: Lake, kind: str, source: Source, when: str, now: str, said: str) -> None:
    key = store(lake, kind, "1", sales(0, 5))
    extents = source.plan(query())[1]

    def change(_: str) -> None:
        if now == "removed":
            lake.objects.pop(key, None)
        else:
            store(lake, kind, "1", sales(0, 6))

    lake.before = change
    with pytest.raises(SourceChanged, match=rf"s3://lake/data/sales/1\.{kind} {said}"):
        source.plan(query()) if when == "planned" else scanned(source, extents)


def test_a_report_may_name_every_source_and_no_other() -> None:
    assert SCHEMA["properties"]["source"]["properties"]["type"] == {"enum": sorted(SOURCES)}


def test_the_lines_of_the_page_register_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r"^SOURCES: .*$", PAGE, re.MULTILINE)
    names = vars(sources) | {"csv_files": of_the_page()}
    exec("from __future__ import annotations\n" + line, names)
    (allowed,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(allowed) == {"enum": sorted(names["SOURCES"])}
    assert line.replace('"csv": csv_files, ', "") in Path(sources.__file__).read_text("utf-8")
