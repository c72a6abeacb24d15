"""GeneratePart in every format: the receipt holds what the file is later made of, and proves it."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from generate_part import app
from shared.engine.sources import SOURCES
from shared.errors import RowsMissing
from shared.files import work
from shared.files.formats import FORMATS, resolve_options
from shared.files.work import Work
from tests.unit.support import EXPORT_ID, OWNER, TENANT, Cloud

SECRET = "a name that no log may hold"
PLAN = "0123456789abcdef"
ROWS = pl.DataFrame({"carrier": [TENANT, "DL", TENANT], "name": [SECRET, "other", None]})
FETCHED = 12_345


class Source:
    """Three rows in two batches, of which the tenant has two."""

    @staticmethod
    def scan(_query: Any, _schema: Any, _extents: Any, fetched: Counter[str]) -> Iterator[pl.DataFrame]:
        fetched["bytes"] += FETCHED
        yield from (ROWS[:1], ROWS[1:])


@pytest.fixture
def generate(
    cloud: Cloud, configure: Callable[[str], None], handler: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Makes the one part of an export in a format, its place in the file where it is given."""
    configure("GeneratePart")
    monkeypatch.setenv("EXPORTS_BUCKET", cloud.bucket)
    monkeypatch.setitem(SOURCES, "parquet", Source)  # type: ignore[arg-type]
    definition = {
        "title": "Names",
        "source": {"type": "parquet", "dataset": "names"},
        "tenant": "carrier",
        "columns": [{"name": "name", "title": "Name", "type": "string"}],
    }
    schema = {name: str(dtype) for name, dtype in ROWS.schema.items()}
    plan = {"plan": PLAN, "engine": work.ENGINE_VERSION, "definition": definition, "schema": schema}
    extent = {"key": "names/1.parquet", "etag": '"e"', "offset": 0, "rows": 3, "bytes": 10}
    part = {"part": 0, "sources": [extent], "rows": 3}

    def generate(name: str, **place: int) -> Any:
        asked: Any = {"options": resolve_options(name, {}), "format": name, "tenant": TENANT, "parameters": {}}
        Work(EXPORT_ID, PLAN).write_plan(plan | asked, [])
        task = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1, "plan": PLAN, "part": part | place}
        return handler("GeneratePart")(task)

    return generate


@pytest.mark.parametrize("name", FORMATS)
def test_the_receipt_is_of_the_part_that_is_stored_and_no_value_of_a_row_is_logged(
    name: str, generate: Callable[[str], Any], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(app.logger, "info", lambda message, extra: said.append((message, extra)))
    answered = generate(name)
    stored = cloud.s3.get_object(Bucket=cloud.bucket, Key=Work(EXPORT_ID, PLAN).part_key(0))
    content = stored["Body"].read()
    receipt = Work(EXPORT_ID, PLAN).read_receipt(0)
    assert receipt is not None
    assert answered == generate(name) == {"part": 0, "rows": 2, "bytes": len(content)}
    assert (receipt["bytes"], receipt["crc32"], receipt["etag"]) == (len(content), zlib.crc32(content), stored["ETag"])
    assert (receipt["rows_read"], receipt["rows_written"], receipt["bytes_read"]) == (3, 2, FETCHED)
    assert 10 * 1024**2 < receipt["peak_memory_bytes"] < 64 * 1024**3
    plan = Work(EXPORT_ID, PLAN).read_plan()
    assert FORMATS[name].layout(plan, Work(EXPORT_ID, PLAN), [receipt])
    assert [message for message, _ in said] == ["part made", "part already made"]
    assert all("fragment" not in extra["receipt"] and extra["receipt"]["bytes"] for _, extra in said)
    assert SECRET not in json.dumps(said)


def test_a_part_that_writes_other_rows_than_were_counted_is_not_stored(
    generate: Callable[..., Any], cloud: Cloud
) -> None:
    with pytest.raises(RowsMissing, match="part 0 wrote 2 rows, but its plan counted 3"):
        generate("xlsx", first_row=7, rows_passing=3)
    assert Work(EXPORT_ID, PLAN).read_receipt(0) is None
    assert generate("xlsx", first_row=7, rows_passing=2)["rows"] == 2


def test_a_parquet_receipt_holds_values_which_is_why_it_is_not_logged(generate: Callable[[str], Any]) -> None:
    generate("parquet")
    receipt = Work(EXPORT_ID, PLAN).read_receipt(0)
    assert receipt is not None
    assert SECRET.encode() in base64.b64decode(receipt["fragment"]["groups"])
