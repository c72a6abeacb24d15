"""What every source keeps to, and that docs/howto/add-a-source.md is all it takes to add one."""

from __future__ import annotations

import contextlib
import json
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.engine import planning, sources
from shared.engine.query import Query
from shared.engine.sources import SOURCES, Source, dynamodb
from shared.errors import ColumnMismatch, SourceChanged, SourceMissing, SourceSchemaMismatch, SourceUnreadable
from shared.lambda_ import clock
from tests.unit import lake as lakes
from tests.unit.lake import Lake, file
from tests.unit.support import NOW
from tests.unit.tables import in_memory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "add-a-source.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "functions" / "shared" / "catalogue" / "report.schema.json").read_text("utf-8"))


def of_the_page() -> Source:
    """The module that the page shows."""
    (path,) = re.findall(r"`functions/(shared/engine/sources/\w+)\.py`, for", PAGE)
    (code,) = re.findall(r"```python\n(\"\"\"Source.*?)```", PAGE, re.DOTALL)
    module: Any = types.ModuleType(path.replace("/", "."))
    exec(compile(code, path, "exec"), module.__dict__)
    return module  # type: ignore[no-any-return]


FILES: dict[str, tuple[Source, Callable[[pl.DataFrame], bytes]]] = {
    "csv": (of_the_page(), lambda rows: rows.write_csv().encode()),
    "parquet": (SOURCES["parquet"], lambda rows: file(3, **{each.name: each.to_arrow() for each in rows})),
}


class Files:
    """A dataset of files, in a lake."""

    definition: ClassVar = {"type": "any", "dataset": "sales"}
    missing = "under s3://lake/data/sales/"

    def __init__(self, kind: str, lake: Lake) -> None:
        self.kind, self.lake = kind, lake
        self.source, self._written = FILES[kind]

    def put(self, name: str, rows: pl.DataFrame) -> str:
        return self.lake.put(f"{name}.{self.kind}", self._written(rows))

    @property
    def sent(self) -> int:
        return self.lake.bytes

    def order(self, numbers: list[str]) -> list[str]:
        """Numbers of the rows that were put, in the order in which they come: that of the files."""
        return numbers

    def without_data(self) -> None:
        self.lake.put("notes.txt", b"x")


class Table:
    """A table whose partition key is the tenant."""

    columns: ClassVar = dict.fromkeys(("tenant", "n", "unused"), "string")
    definition: ClassVar = {"type": "dynamodb", "table": "sales", "columns": columns}
    missing = "there is no DynamoDB table sales in this account and Region"
    source = SOURCES["dynamodb"]
    key: tuple[str, ...] = ("tenant", "n")

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.tables = in_memory(patched, "sales")

    def put(self, name: str, rows: pl.DataFrame) -> None:
        if not self.tables.is_there:
            self.tables.make(*self.key, kind="S")
        self.tables.put(row | {"id": f"{name}-{number}"} for number, row in enumerate(rows.to_dicts()))

    @property
    def sent(self) -> int:
        return self.tables.sent

    def order(self, numbers: list[str]) -> list[str]:
        """That of the sort key."""
        return sorted(numbers)

    def without_data(self) -> None:
        pass


class Segments(Table):
    """A table whose key does not hold the tenant: its items come in the order of their segments."""

    key = ("id",)

    def order(self, numbers: list[str]) -> list[str]:
        total, found = dynamodb.MIN_SEGMENTS, []
        for segment in range(total):
            page = self.tables.client.scan(TableName="sales", Segment=segment, TotalSegments=total)
            found += [item["n"]["S"] for item in page["Items"] if item["n"]["S"] in numbers]
        return found


Store = Files | Table
EVERY = [*FILES, "dynamodb ranges", "dynamodb segments"]


@contextlib.contextmanager
def stored(kind: str) -> Iterator[Store]:
    """A new and empty place for data of a kind. The time stands still: a table's plan holds it."""
    if kind in FILES:
        with lakes.in_memory() as lake:
            yield Files(kind, lake)
    else:
        with pytest.MonkeyPatch.context() as patched, mock_aws():
            patched.setattr(clock, "now", lambda: NOW)
            yield (Segments if kind.endswith("segments") else Table)(patched)


@pytest.fixture(params=EVERY)
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    with stored(request.param) as found:
        yield found


@pytest.fixture(params=FILES)
def files(request: pytest.FixtureRequest) -> Iterator[Any]:
    with stored(request.param) as found:
        yield found


def sales(start: int, count: int) -> pl.DataFrame:
    """Rows of two tenants, numbered, all of them text."""
    rows = [("acme" if at % 3 else "other", str(at), "x") for at in range(start, start + count)]
    return pl.DataFrame(rows, schema=dict.fromkeys(("tenant", "n", "unused"), pl.String), orient="row")


def query(store: Store, column: str = "n", declared: str = "string") -> Query:
    columns = [{"name": column, "type": declared}]
    return Query.of({"source": store.definition, "tenant": "tenant", "columns": columns}, {}, "acme")


def scanned(store: Store, extents: Any, fetched: Counter[str] | None = None) -> list[pl.DataFrame]:
    return list(store.source.scan(query(store), {"tenant": "String", "n": "String"}, extents, fetched))


@settings(max_examples=max(6, settings.default.max_examples // 10))  # type: ignore[union-attr]
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5), parts=st.integers(1, 7))
@pytest.mark.parametrize("kind", EVERY)
def test_however_rows_are_divided_each_is_read_once_and_in_order(kind: str, sizes: list[int], parts: int) -> None:
    with pytest.MonkeyPatch.context() as patched, stored(kind) as store:
        patched.setattr(planning, "MIN_ROWS", 1)
        for number, size in enumerate(sizes):
            store.put(str(number), sales(100 * number, size))
        _, extents = store.source.plan(query(store))
        assert store.source.plan(query(store))[1] == extents
        divided = planning.divide(extents, parts, 1)
        before, fetched = store.sent, Counter[str]()
        frames = [frame for part in divided for frame in scanned(store, part["sources"], fetched)]
        assert fetched["bytes"] == store.sent - before
        rows = [100 * number + row for number, size in enumerate(sizes) for row in range(size)]
        expected = store.order([str(row) for row in rows if row % 3])
    assert [part["rows"] for part in divided] == [sum(e["rows"] for e in part["sources"]) for part in divided]
    assert [n for frame in frames for n in query(store).apply(frame)["n"]] == expected
    assert all(frame.columns == ["n", "tenant"] for frame in frames)


def test_a_dataset_without_data_is_missing(store: Store) -> None:
    store.without_data()
    with pytest.raises(SourceMissing, match=store.missing):
        store.source.plan(query(store))


def test_a_column_that_is_not_there_or_of_another_type_is_named(store: Store) -> None:
    store.put("1", sales(0, 5))
    for column, declared, said in (
        ("nothing", "string", "no column nothing; it has: tenant, n, unused"),
        ("n", "integer", "column n is declared integer"),
    ):
        with pytest.raises(ColumnMismatch, match=said):
            store.source.plan(query(store, column, declared))


def test_a_file_with_other_columns_or_none_is_named(files: Files) -> None:
    files.put("1", sales(0, 5))
    files.put("2", sales(0, 5).rename({"n": "m"}))
    with pytest.raises(SourceSchemaMismatch, match=rf"s3://lake/data/sales/2\.{files.kind}"):
        files.source.plan(query(files))
    files.lake.put(f"2.{files.kind}", b"")
    with pytest.raises(SourceUnreadable, match=rf"s3://lake/data/sales/2\.{files.kind} is not readable"):
        files.source.plan(query(files))


@pytest.mark.parametrize("when", ["planned", "read"])
@pytest.mark.parametrize("now", ["replaced", "removed"])
def test_a_file_that_changes_is_noticed(files: Files, when: str, now: str) -> None:
    key = files.put("1", sales(0, 5))
    extents = files.source.plan(query(files))[1]
    changed = {} if now == "removed" else {key: b"another"}
    files.lake.before = lambda _: setattr(files.lake, "objects", changed)
    said = rf"s3://lake/data/sales/1\.{files.kind} was {now} after the export was planned"
    with pytest.raises(SourceChanged, match=said):
        files.source.plan(query(files)) if when == "planned" else scanned(files, extents)


def test_a_report_may_name_every_source_and_no_other_and_the_lines_of_the_page_register_its_source() -> None:
    assert SCHEMA["properties"]["source"]["properties"]["type"] == {"enum": sorted(SOURCES)}
    (line,) = re.findall(r"^SOURCES: .*$", PAGE, re.MULTILINE)
    names = vars(sources) | {"csv_files": of_the_page()}
    exec("from __future__ import annotations\n" + line, names)
    (allowed,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(allowed) == {"enum": sorted(names["SOURCES"])}
    assert line.replace('"csv": csv_files, ', "") in Path(sources.__file__).read_text("utf-8")
