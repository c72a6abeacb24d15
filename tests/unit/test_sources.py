"""What every source keeps to, and that docs/howto/add-a-source.md is all it takes to add one."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import polars as pl
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import SOURCES, Source, dynamodb
from shared.errors import (
    ColumnMismatch,
    SourceChanged,
    SourceMissing,
    SourceSchemaMismatch,
    SourceUnavailable,
    SourceUnreadable,
)
from shared.files.work import Extent
from shared.lambda_ import clock, contract
from tests.unit import lake as lakes
from tests.unit.lake import Lake, file, refused
from tests.unit.support import EXPORT_ID, FUNCTIONS, NOW, OWNER
from tests.unit.tables import in_memory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "add-a-source.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "functions" / "shared" / "catalogue" / "report.schema.json").read_text("utf-8"))
TASK = contract.event_contract(str(FUNCTIONS / "generate_part" / "app.py"))


(PATH,) = re.findall(r"`(functions/shared/engine/sources/\w+\.py)`, for", PAGE)
(CODE,) = re.findall(r"```python\n(\"\"\"Source.*?)```", PAGE, re.DOTALL)


def of_the_page() -> Source:
    """The module that the page shows."""
    module: Any = types.ModuleType(PATH)
    exec(compile(CODE, PATH, "exec"), module.__dict__)
    return module  # type: ignore[no-any-return]


# By the ending of its files: the source, and how rows are written as a file in groups of that many rows.
FILES: dict[str, tuple[Source, Callable[[pl.DataFrame, int], bytes]]] = {
    "csv": (SOURCES.get("csv") or of_the_page(), lambda rows, _: rows.write_csv().encode()),
    "parquet": (SOURCES["parquet"], lambda rows, group: file(group, **{each.name: each.to_arrow() for each in rows})),
}
ONLY_TEXT = {"csv"}
LARGEST_BATCH = 131_072


class Files:
    """A dataset of files, in a lake."""

    definition: ClassVar = {"type": "any", "dataset": "sales"}
    missing = "under s3://lake/data/sales/"

    def __init__(self, kind: str, lake: Lake) -> None:
        self.kind, self.lake = kind, lake
        self.source, self._written = FILES[kind]
        self.small = "string" if kind in ONLY_TEXT else "integer"

    def put(self, name: str, rows: pl.DataFrame, group: int = 3) -> str:
        return self.lake.put(f"{name}.{self.kind}", self._written(rows, group))

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

    small = "integer"
    columns: ClassVar = dict.fromkeys(("tenant", "n", "unused"), "string") | {"small": small}
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
    """Rows of two tenants, numbered: text, and a small integer."""
    rows = [("acme" if at % 3 else "other", str(at), "x", 7) for at in range(start, start + count)]
    types = dict.fromkeys(("tenant", "n", "unused"), pl.String()) | {"small": pl.Int16()}
    return pl.DataFrame(rows, schema=types, orient="row")


def query(store: Store, column: str = "n", declared: str = "string") -> Query:
    columns = [{"name": column, "type": declared}, {"name": "small", "type": store.small}]
    return Query.of({"source": store.definition, "tenant": "tenant", "columns": columns}, {}, "acme")


def text(schema: pl.Schema) -> dict[str, str]:
    """The schema as a plan stores it."""
    return {name: str(dtype) for name, dtype in schema.items()}


def scanned(store: Store, schema: pl.Schema, extents: list[Extent]) -> list[pl.DataFrame]:
    return list(store.source.scan(query(store), text(schema), extents))


def exported(store: Store) -> list[pl.DataFrame]:
    """All that an export reads."""
    return scanned(store, *store.source.plan(query(store)))


@settings(max_examples=max(6, settings.default.max_examples // 10))  # type: ignore[union-attr]
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5), parts=st.integers(1, 7))
@pytest.mark.parametrize("kind", EVERY)
def test_however_rows_are_divided_each_is_read_once_and_in_order(kind: str, sizes: list[int], parts: int) -> None:
    with pytest.MonkeyPatch.context() as patched, stored(kind) as store:
        patched.setattr(planning, "MIN_ROWS", 1)
        for number, size in enumerate(sizes):
            store.put(str(number), sales(100 * number, size))
        asked = query(store)
        schema, extents = store.source.plan(asked)
        assert store.source.plan(asked) == (schema, extents)
        divided = planning.divide(extents, parts, 1)
        before, fetched = store.sent, Counter[str]()
        read = [list(store.source.scan(asked, text(schema), part["sources"], fetched)) for part in divided]
        assert fetched["bytes"] == store.sent - before
        counts = store.source.passing(asked.of_filters(), text(schema), extents, divided)
        rows = [100 * number + row for number, size in enumerate(sizes) for row in range(size)]
        expected = store.order([str(row) for row in rows if row % 3])
    frames = [frame for part in read for frame in part]
    assert [n for frame in frames for n in asked.apply(frame)["n"]] == expected
    assert [sum(frame.height for frame in part) for part in read] == [part["rows"] for part in divided]
    assert counts in (None, [sum(asked.apply(frame).height for frame in part) for part in read])
    assert all(list(frame.schema.items()) == list(asked.nothing(text(schema)).schema.items()) for frame in frames)
    assert all(extent["rows"] >= 1 for extent in extents)
    for part in divided:
        contract.require(TASK, {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1, "plan": "0" * 16, "part": part})


def test_batches_are_of_bounded_size(files: Files) -> None:
    files.put("1", sales(0, 2 * LARGEST_BATCH), 2 * LARGEST_BATCH)
    heights = [frame.height for frame in exported(files)]
    assert sum(heights) == 2 * LARGEST_BATCH
    assert max(heights) <= LARGEST_BATCH


def test_the_bytes_of_all_extents_are_no_more_than_the_files_hold(files: Files) -> None:
    for name in ("1", "2"):
        files.put(name, sales(0, 20))
    extents = files.source.plan(query(files))[1]
    assert all(extent["bytes"] for extent in extents)
    assert sum(extent["bytes"] for extent in extents) <= sum(map(len, files.lake.objects.values()))


def test_a_dataset_without_data_is_missing(store: Store) -> None:
    store.without_data()
    with pytest.raises(SourceMissing, match=store.missing):
        store.source.plan(query(store))


@pytest.mark.parametrize("rows", [0, 5])
def test_a_column_that_is_not_there_or_of_another_type_is_named(store: Store, rows: int) -> None:
    store.put("1", sales(0, rows))
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


def test_a_file_of_another_kind_is_named_and_nothing_of_it_is_shown(files: Files) -> None:
    files.put("1", sales(0, 5))
    files.lake.put(f"2.{files.kind}", b"\xff" + b"secret" * 20)
    with pytest.raises((SourceUnreadable, SourceSchemaMismatch)) as raised:
        exported(files)
    assert f"s3://lake/data/sales/2.{files.kind} " in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("when", ["planned", "after planning", "read"])
@pytest.mark.parametrize("now", ["replaced", "removed"])
def test_a_file_that_changes_is_noticed(files: Files, when: str, now: str) -> None:
    key = files.put("1", sales(0, 5))
    schema, extents = files.source.plan(query(files))
    changed = {} if now == "removed" else {key: files.lake.objects[key] + b"\n"}
    if when == "after planning":
        files.lake.objects = changed
    else:
        files.lake.before = lambda _: setattr(files.lake, "objects", changed)
    said = rf"s3://lake/data/sales/1\.{files.kind} was {now} after the export was planned"
    with pytest.raises(SourceChanged, match=said):
        files.source.plan(query(files)) if when == "planned" else scanned(files, schema, extents)


@pytest.mark.parametrize(("code", "status", "error"), [("SlowDown", 503, ClientError), ("No", 403, SourceUnavailable)])
def test_a_refusal_by_s3_is_not_a_fault_of_the_file(files: Files, code: str, status: int, error: type) -> None:
    files.put("1", sales(0, 5))
    schema, extents = files.source.plan(query(files))
    files.lake.before = Mock(side_effect=refused(code, status))
    with pytest.raises(error):
        files.source.plan(query(files))
    with pytest.raises(error):
        scanned(files, schema, extents)


def test_a_report_may_name_every_source_and_no_other() -> None:
    assert sorted(SCHEMA["properties"]["source"]["properties"]["type"]["enum"]) == sorted(SOURCES)


def test_the_module_of_the_page_has_the_style_of_the_project() -> None:
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "--stdin-filename", PATH, "-"]
    found = subprocess.run(ruff, input=CODE, capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
