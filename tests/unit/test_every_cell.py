"""Random columns of every type, written by three writers: every cell of every format is the value that was written."""

from __future__ import annotations

import base64
import csv
import datetime
import decimal
import io
import json
import math
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.sources import parquet_rows
from tests.unit.exports import column, export
from tests.unit.lake import by_arrow, by_duckdb, by_polars, in_memory

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff_"), max_size=8)
DAYS = st.dates(datetime.date(1000, 1, 1))
DAY = datetime.timedelta(days=1)


def whole(low: int, high: int, unit: datetime.timedelta) -> st.SearchStrategy[datetime.datetime]:
    """Moments of whole units between two years."""
    start, last = (datetime.datetime(year, 1, 1) for year in (low, high))
    return st.integers(0, (last - start) // unit).map(lambda count: start + count * unit)


MOMENTS = whole(1000, 9999, datetime.timedelta(milliseconds=1))
NEAR = whole(1700, 2200, datetime.timedelta(milliseconds=1))
"""Those that nanoseconds can hold."""


def in_utc(moments: st.SearchStrategy[datetime.datetime]) -> st.SearchStrategy[datetime.datetime]:
    return moments.map(lambda moment: moment.replace(tzinfo=datetime.UTC))


def decimals(digits: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    exact = decimal.Context(prec=40)
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda each: decimal.Decimal(each).scaleb(-scale, exact))


class Kind(NamedTuple):
    """A type: in a report, in Arrow, its values, which writers have it."""

    report: str
    arrow: pa.DataType
    values: st.SearchStrategy[Any]
    writers: str = "pyarrow duckdb polars"


PLAIN = [
    Kind("string", pa.string(), TEXT),
    Kind("string", pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b", ""])),
    Kind("string", pa.uuid(), st.uuids(), "pyarrow"),
    Kind("integer", pa.int8(), st.integers(-128, 127)),
    Kind("integer", pa.uint32(), st.integers(0, 2**32 - 1)),
    Kind("integer", pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    Kind("integer", pa.uint64(), st.integers(0, 2**64 - 1)),
    Kind("number", pa.float16(), st.integers(-2000, 2000).map(lambda each: each / 4), "pyarrow polars"),
    Kind("number", pa.float32(), st.integers(-(2**20), 2**20).map(lambda each: each / 8)),
    Kind("number", pa.float64(), st.floats() | st.sampled_from([-0.0, 5e-324, 1.7e308, 0.1 + 0.2])),
    Kind("decimal", pa.decimal128(12, 2), decimals(12, 2)),
    Kind("decimal", pa.decimal128(38, 10), decimals(38, 10)),
    Kind("boolean", pa.bool_(), st.booleans()),
    Kind("date", pa.date32(), DAYS),
    Kind("time", pa.time64("us"), whole(2000, 2001, datetime.timedelta(seconds=1)).map(datetime.datetime.time)),
    Kind("timestamp", pa.timestamp("ms"), MOMENTS),
    Kind("timestamp", pa.timestamp("us"), MOMENTS),
    Kind("timestamp", pa.timestamp("ns"), NEAR),
    Kind("timestamp", pa.timestamp("us", "UTC"), in_utc(MOMENTS)),
    Kind("timestamp", pa.timestamp("us", "Europe/Berlin"), in_utc(NEAR)),
    Kind("timestamp", pa.timestamp("ms", "+05:30"), in_utc(NEAR), "pyarrow"),
    Kind("binary", pa.binary(), st.binary(max_size=6)),
    Kind("json", pa.null(), st.none()),
    Kind("number", pa.null(), st.none()),
]
KEYS = [kind for kind in PLAIN if kind.arrow in (pa.string(), pa.int64(), pa.bool_(), pa.date32())]


@st.composite
def nested(draw: st.DrawFn, writer: str, depth: int = 0) -> Kind:
    """A list, a struct or a map; at times of the same again."""

    def inner() -> Kind:
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            return draw(nested(writer, depth + 1))
        # Neither polars nor pyarrow makes others than these of Arrow's nested arrays.
        return draw(
            plain(writer).filter(lambda kind: kind.arrow != pa.uuid() and not pa.types.is_dictionary(kind.arrow))
        )

    shape = draw(st.sampled_from(["list", "struct", "map"]))
    if shape == "list":
        of = inner()
        return Kind("json", pa.list_(of.arrow), st.lists(st.none() | of.values, max_size=3))
    if shape == "struct":
        fields = {name: inner() for name in draw(st.sampled_from(["a", "ab", 'a"é']))}
        dtype = pa.struct({name: of.arrow for name, of in fields.items()})
        return Kind("json", dtype, st.fixed_dictionaries({name: st.none() | of.values for name, of in fields.items()}))
    key, value = draw(st.sampled_from(KEYS)), inner()
    entries = st.dictionaries(key.values, st.none() | value.values, max_size=3)
    return Kind("json", pa.map_(key.arrow, value.arrow), entries.map(lambda each: list(each.items())))


def plain(writer: str) -> st.SearchStrategy[Kind]:
    return st.sampled_from([kind for kind in PLAIN if writer in kind.writers])


@st.composite
def tables(draw: st.DrawFn, writer: str) -> tuple[dict[str, Kind], list[dict[str, Any]]]:
    """Columns, and rows of values."""
    kinds = draw(st.lists(plain(writer) | nested(writer), min_size=1, max_size=6))
    columns = {f"c{number}": kind for number, kind in enumerate(kinds)}
    row = st.fixed_dictionaries({name: st.none() | kind.values for name, kind in columns.items()})
    return columns, draw(st.lists(row, max_size=12))


WRITERS: dict[str, Callable[[pa.Table, int], bytes]] = {
    "pyarrow": lambda table, group: by_arrow(table, group, data_page_version=("1.0", "2.0")[group % 2]),
    "duckdb": lambda table, _: by_duckdb("FROM cells", cells=table),
    "polars": by_polars,
}


# What each format must hold


def leaves(dtype: pa.DataType, value: Any, leaf: Callable[[Any], Any], of_pairs: Callable[[Any], Any]) -> Any:
    """A value, each leaf of its lists, structs and maps as ``leaf`` has it, and its maps as ``of_pairs`` has them."""

    def inner(of: pa.DataType, each: Any) -> Any:
        return leaves(of, each, leaf, of_pairs)

    if value is None:
        return None
    if pa.types.is_list(dtype):
        return [inner(dtype.value_type, each) for each in value]
    if pa.types.is_struct(dtype):
        return {name: inner(dtype.field(name).type, each) for name, each in value.items()}
    if pa.types.is_map(dtype):
        return of_pairs([(inner(dtype.key_type, key), inner(dtype.item_type, each)) for key, each in value])
    return leaf(value)


def as_stored(dtype: pa.DataType, value: Any) -> Any:
    """As a Parquet reader has it."""
    return leaves(dtype, value, lambda leaf: str(leaf) if isinstance(leaf, uuid.UUID) else leaf, list)


def as_json(dtype: pa.DataType, value: Any) -> Any:
    """As a reader of JSON has it."""

    def leaf(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
        return value if isinstance(value, bool | int | float) else as_text(value)

    def of_pairs(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        return {key if isinstance(key, str) else json.dumps(key): each for key, each in pairs}

    return leaves(dtype, value, leaf, of_pairs)


def as_text(value: Any) -> str:
    """As a line of csv has a value that is neither a list nor a struct."""
    match value:
        case bool():
            return str(value).lower()
        case bytes():
            return base64.b64encode(value).decode()
        case decimal.Decimal():
            return f"{value:f}"
        case datetime.datetime() | datetime.time():
            text = value.replace(tzinfo=None).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
            return text + "Z" * bool(value.tzinfo)
    return "" if value is None else str(value)


def as_cell(kind: Kind, value: Any) -> Any:
    """As openpyxl has it: what Excel would change is text."""
    first = datetime.date(1900, 3, 1)
    match value:
        case None | bool() | datetime.time():
            return value
        case int():
            return value if abs(value) < 10**15 else str(value)
        case decimal.Decimal():
            few = len(value.normalize().as_tuple().digits) <= 15 and abs(value) < 10**15
            return float(value) if few else f"{value:f}"
        case datetime.datetime() if value.date() >= first:
            return value.replace(tzinfo=None)
        case datetime.date() if not isinstance(value, datetime.datetime) and value >= first:
            return datetime.datetime.combine(value, datetime.time())
    return as_text(value)


def alike(found: Any, expected: Any) -> bool:
    """Equality, where NaN is itself, and a text that holds a float is that float."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(alike(found[key], expected[key]) for key in found)
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, float) and isinstance(found, int | float):
        both = math.isnan(found) and math.isnan(expected)
        return both or (found == expected and math.copysign(1, found) == math.copysign(1, expected))
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


@settings(max_examples=max(8, settings.default.max_examples // 5))  # type: ignore[union-attr]
@given(data=st.data(), group=st.integers(1, 5), batch=st.integers(1, 6), parts=st.integers(1, 4))
@pytest.mark.parametrize("writer", WRITERS)
def test_every_cell_of_every_format_is_the_value_that_was_written(
    writer: str, data: st.DataObject, group: int, batch: int, parts: int
) -> None:
    columns, rows = data.draw(tables(writer))
    mine = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    cut = data.draw(st.integers(0, len(rows)))
    kept = [row for row, own in zip(rows, mine, strict=True) if own]
    asked = [column(name, kind.report) for name, kind in columns.items()]
    with in_memory() as lake, pytest.MonkeyPatch.context() as patched:
        for file, run in (("a.parquet", slice(cut)), ("b.parquet", slice(cut, None))):
            tenants = pa.array(["acme" if own else "other" for own in mine[run]], pa.string())
            values = {name: pa.array([row[name] for row in rows[run]], kind.arrow) for name, kind in columns.items()}
            lake.put(file, WRITERS[writer](pa.table({"tenant": tenants} | values), group))
        patched.setattr(parquet_rows, "BATCH_ROWS", batch)
        files = {
            name: export(name, asked, parts, options={"spreadsheet_safe": False} if name == "csv" else {})
            for name in ("csv", "jsonl", "parquet", "xlsx")
        }
    lines = [json.loads(line) for line in files["jsonl"].decode().split("\n")[:-1]]
    texts = list(csv.DictReader(io.StringIO(files["csv"].decode(), newline="")))
    stored = pq.read_table(io.BytesIO(files["parquet"]))
    sheet = openpyxl.load_workbook(io.BytesIO(files["xlsx"])).worksheets[0]
    cells = list(sheet.iter_rows(min_row=2, max_col=len(columns), values_only=True))[: len(kept)]
    assert len(lines) == len(texts) == stored.num_rows == len(kept)
    for at, (name, kind) in enumerate(columns.items()):
        found = stored[name].to_pylist()
        for number, value in enumerate(row[name] for row in kept):
            text, cell = texts[number][name], cells[number][at] if cells else None
            expected = as_json(kind.arrow, value)
            compared = [(lines[number][name], expected), (found[number], as_stored(kind.arrow, value))]
            if pa.types.is_nested(kind.arrow):
                compared += [(json.loads(each) if each else None, expected) for each in (text, cell)]
            elif isinstance(value, float):
                compared += [(float(text), value), (float(cell), value)]
            else:
                compared += [(text, as_text(value))]
                compared += [(cell, as_cell(kind, value))] if cell or value not in ("", b"") else []
            for shown, wanted in compared:
                assert alike(shown, wanted), (kind, shown, wanted)
