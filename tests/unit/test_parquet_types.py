"""Types of Parquet columns: what each becomes, and that one which cannot be read matters only where it is needed."""

from __future__ import annotations

import base64
import contextlib
import csv
import datetime
import decimal
import io
import json
import re
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.engine.sources import parquet
from shared.errors import ColumnMismatch, ExpressionFailed, SourceUnreadable
from shared.parquet import arrow as arrow_schema
from shared.parquet import thrift
from tests.unit.exports import column, export
from tests.unit.lake import Lake, by_arrow, by_duckdb, file, parameter, query, with_footer

NOON = datetime.datetime(2020, 7, 1, 12, tzinfo=datetime.UTC)
ID = uuid.UUID("123e4567-e89b-12d3-a456-426614174000")


def arrow(values: pa.Array, group: int | None = None, **options: Any) -> bytes:
    """A file of pyarrow: the column ``v``, and ``w`` of numbers."""
    return file(group, options, v=values, w=list(range(len(values))))


def duck(value: str) -> bytes:
    """A file of DuckDB: the column ``v`` of one value, and ``w``."""
    return by_duckdb(f"SELECT 'acme' AS tenant, {value} AS v, 0 AS w")


def of_logical_type(number: int) -> bytes:
    """A file whose column ``v`` is of a logical type."""

    def change(fields: thrift.Struct) -> None:
        logical = (thrift.STRUCT, {number: (thrift.STRUCT, {})})
        next(element for element in fields[2][1][1] if element[4][1] == b"v")[10] = logical

    return with_footer(arrow(pa.array([b"x"])), change)


def lines(content: bytes) -> list[Any]:
    return [json.loads(line)["v"] for line in content.splitlines()]


def cells(content: bytes) -> list[str]:
    return [row[0] for row in csv.reader(io.StringIO(content.decode()))][1:]


def sheet(content: bytes) -> list[Any]:
    rows = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0].iter_rows(min_row=2, values_only=True)
    return [row[0] for row in rows]


def stored(content: bytes) -> pa.ChunkedArray:
    return pq.read_table(io.BytesIO(content))["v"]


def require_shown(expected: list[Any], kind: str, in_parquet: list[Any] | None = None) -> None:
    """Asserts what every format has in column ``v``: as JSON has it, and as a Parquet reader has it."""
    columns = [column("v", kind), column("w", "integer")]
    declared = {"v": "decimal(38,9)" if kind == "decimal" else kind}
    assert lines(export("jsonl", columns, declared=declared)) == expected
    for texts in (cells(export("csv", columns)), sheet(export("xlsx", columns))):
        if kind == "json":
            texts = [json.loads(text) if text else None for text in texts]
        assert [None if text == "" else text for text in texts] == [None if each == "" else each for each in expected]
    if in_parquet is not None:
        assert stored(export("parquet", columns)).to_pylist() == in_parquet


def refused(error: type[Exception], said: str, name: str, columns: list[Any], **more: Any) -> None:
    """Asserts that an export ends in an error that says so."""
    with pytest.raises(error, match=said):
        export(name, columns, **more)


# What cannot be read

WIDE = pa.array([decimal.Decimal("1.10")], pa.decimal256(76, 38))
STRANGE: dict[str, Callable[[], bytes]] = {
    "a decimal of 76 digits (at most 38 can be read)": lambda: arrow(WIDE),
    "a GEOGRAPHY": lambda: of_logical_type(18),
    "an INTERVAL": lambda: duck("INTERVAL 1 DAY"),
    "a VARIANT": lambda: duck("1::VARIANT"),
    "a GEOMETRY": lambda: of_logical_type(17),
    "of an unknown logical type": lambda: of_logical_type(99),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_type_that_cannot_be_read_matters_only_where_the_report_needs_or_declares_the_column(
    what: str, lake: Lake
) -> None:
    lake.put("a.parquet", STRANGE[what]())
    assert export("csv", [column("w", "integer")]) == b"w\n0\n"
    said = f"column v of s3://lake/data/sales/a.parquet is {re.escape(what)}; leave it out"
    for asked, declared in ((column("v", "string"), {}), (column("w", "integer"), {"v": "string"})):
        refused(ColumnMismatch, said, "csv", [asked], declared=declared)
    refused(ColumnMismatch, "the source has no column x; it has: tenant, v, w", "csv", [column("x", "integer")])


def test_a_column_that_is_there_twice_is_named_where_it_is_needed(lake: Lake) -> None:
    lake.put("a.parquet", by_arrow(pa.table([["acme"], [1], [2], [3]], names=["tenant", "v", "w", "v"])))
    assert export("csv", [column("w", "integer")]) == b"w\n2\n"
    refused(ColumnMismatch, r"column v of .* is duplicated", "csv", [column("v", "integer")])


SPLIT: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"v": "BYTE_STREAM_SPLIT"}}


def test_numbers_split_into_their_bytes_are_read_and_of_other_types_the_encoding_is_named(lake: Lake) -> None:
    for dtype in (pa.float16(), pa.float64(), pa.int32(), pa.int64()):
        lake.put("a.parquet", arrow(pa.array([3, None], dtype), **SPLIT))
        assert lines(export("jsonl", [column("v", "number")])) == [3, None]
    for values in (pa.array([decimal.Decimal("1.10"), None]), pa.array([b"abc"], pa.binary(3))):
        lake.put("a.parquet", arrow(values, **SPLIT))
        refused(SourceUnreadable, "column v is encoded as BYTE_STREAM_SPLIT", "csv", [column("v", "decimal")])
        assert export("csv", [column("w", "integer")]).startswith(b"w\n0\n")


# What a footer says besides


def test_the_order_that_a_footer_claims_of_its_rows_does_not_matter(lake: Lake) -> None:
    for order in ({}, {1: (thrift.I32, 0)}, {1: (thrift.I32, 99), 2: (thrift.TRUE, True), 3: (thrift.FALSE, False)}):
        claimed = {4: (thrift.LIST, (thrift.STRUCT, [order]))}
        content = arrow(pa.array([1, 2]))
        lake.put("a.parquet", with_footer(content, lambda fields, of=claimed: fields[4][1][1][0].update(of)))
        assert export("csv", [column("v", "integer")]) == b"v\n1\n2\n"


@pytest.mark.parametrize("value", [b"", b"AAAA", b"not base64!", b"/////wAAAAD/////", b"/////3AAAAAQAAAAAAAKAA=="])
def test_an_arrow_schema_that_nobody_can_read_does_not_matter(value: bytes, lake: Lake) -> None:
    content = arrow(pa.array([NOON], pa.timestamp("us", "Europe/Berlin")))
    schema = {1: (thrift.BINARY, b"ARROW:schema"), 2: (thrift.BINARY, value)}
    entries = (thrift.LIST, (thrift.STRUCT, [schema]))
    lake.put("a.parquet", with_footer(content, lambda fields: fields.update({5: entries})))
    assert lines(export("jsonl", [column("v", "timestamp")])) == ["2020-07-01T12:00:00Z"]
    assert lines(export("jsonl", [column("v", "integer", "HOUR(v)")])) == [12]


def test_a_footer_that_is_damaged_in_its_arrow_schema_ends_in_no_other_error() -> None:
    whole = pa.schema([("a", pa.list_(pa.timestamp("us", "Europe/Berlin"))), ("b", pa.duration("s"))])
    message = bytearray(whole.serialize().to_pybytes())
    for at in range(len(message)):
        for value in (0, 1, 0x7F, 0xFF):
            damaged = message[:at] + bytes([value]) + message[at + 1 :]
            with contextlib.suppress(ValueError, struct.error, UnicodeDecodeError, RecursionError):
                arrow_schema.leaves(base64.b64encode(damaged))


# Time zones


@pytest.mark.parametrize("zone", ["+05:30", "-00:30", "Nowhere/City", "Europe/Berlin"])
@pytest.mark.parametrize("int96", [False, True])
def test_an_instant_is_shown_in_utc_and_an_expression_sees_the_clock_of_the_columns_zone(
    zone: str, int96: bool, lake: Lake
) -> None:
    values = pa.array([NOON], pa.timestamp("us", zone))
    lake.put("a.parquet", arrow(values, use_deprecated_int96_timestamps=int96))
    assert lines(export("jsonl", [column("v", "timestamp")])) == ["2020-07-01T12:00:00Z"]
    assert stored(export("parquet", [column("v", "timestamp")])).to_pylist() == [NOON]
    # Zones that are in no database are shown as instants.
    known, hour = (zone, 14) if zone == "Europe/Berlin" else ("UTC", 12)
    declared = {"v": f"timestamp({known})"}
    assert lines(export("jsonl", [column("v", "integer", "HOUR(v)")], declared=declared)) == [hour]


def test_durations_and_dates_of_milliseconds_are_what_arrow_says(lake: Lake) -> None:
    lake.put("a.parquet", arrow(pa.array([5], pa.duration("s"))))
    refused(
        ColumnMismatch, r"column v is declared integer.* the source gives Duration", "csv", [column("v", "integer")]
    )
    lake.put("a.parquet", arrow(pa.array([NOON], pa.date64())))
    assert lines(export("jsonl", [column("v", "timestamp")])) == ["2020-07-01T00:00:00"]


# UUID, JSON, MAP, binary, nulls, floats of 16 bits


@pytest.mark.parametrize("by_pyarrow", [True, False], ids=["pyarrow", "duckdb"])
def test_a_uuid_is_text_in_every_format_and_in_expressions(by_pyarrow: bool, lake: Lake) -> None:
    listed = f"UNNEST([UUID '{ID}', NULL])"
    lake.put("a.parquet", arrow(pa.array([ID.bytes, None], pa.uuid())) if by_pyarrow else duck(listed))
    require_shown([str(ID), None], "string", [str(ID), None])
    assert cells(export("csv", [column("v", "string", "UPPER(v)")])) == [str(ID).upper(), ""]


def test_uuids_are_pruned_and_filtered_as_text(lake: Lake) -> None:
    ids = [uuid.UUID(int=number << 64) for number in range(100)]
    lake.put("a.parquet", arrow(pa.array([each.bytes for each in ids], pa.uuid()), 10))
    one, given = parameter("string", "=="), {"p": str(ids[37])}
    assert [extent["rows"] for extent in parquet.plan(query("v:string", parameters=one, **given))[1]] == [10]
    assert cells(export("csv", [column("v", "string")], parameters=one, given=given)) == [str(ids[37])]


# Other keys and values are those of test_every_cell.py.
MAPS = {
    "MAP {'é\"': [DATE '2020-01-01']}": {'é"': ["2020-01-01"]},
    "MAP {5: 1.5::DECIMAL(3,1)}": {"5": "1.5"},
    "MAP {TRUE: 'nan'::DOUBLE}": {"true": "NaN"},
    "MAP {DATE '2020-01-01': MAP {'x': 'ab'::BLOB}}": {"2020-01-01": {"x": "YWI="}},
    f"MAP {{UUID '{ID}': {{'u': UUID '{ID}'}}}}": {str(ID): {"u": str(ID)}},
    f"[UUID '{ID}', NULL]": [str(ID), None],
}


@pytest.mark.parametrize("value", MAPS)
def test_a_map_is_an_object_whose_keys_are_text(value: str, lake: Lake) -> None:
    lake.put("a.parquet", duck(value))
    require_shown([MAPS[value]], "json")


def test_a_map_stays_a_map_in_parquet_and_its_last_value_of_a_key_counts(lake: Lake) -> None:
    dtype = pa.map_(pa.string(), pa.map_(pa.int8(), pa.timestamp("us", "Europe/Berlin")))
    lake.put("a.parquet", arrow(pa.array([[("a", []), ("a", [(1, NOON)])], None], dtype)))
    found = stored(export("parquet", [column("v", "json")]))
    assert found.type == pa.map_(pa.string(), pa.map_(pa.int8(), pa.timestamp("us", "UTC")))
    assert found.to_pylist() == [[("a", [(1, NOON)])], None]


TEXTS = ['{"a": 1,\n "b": [1e400, "\\n"]}', "null", '"x"', "-1.50", " [] ", None, "\r\ntrue"]


@pytest.mark.parametrize("of", ["text", "dictionary", "json", "duckdb"])
def test_text_that_is_json_is_json_or_text_as_the_report_says(of: str, lake: Lake) -> None:
    values = pa.array(TEXTS, pa.json_() if of == "json" else pa.string())
    listed = ", ".join("NULL" if text is None else f"'{text}'" for text in TEXTS)
    written = duck(f"UNNEST([{listed}]::JSON[])") if of == "duckdb" else None
    lake.put("a.parquet", written or arrow(values.dictionary_encode() if of == "dictionary" else values))
    expected = [json.loads(text or "null") for text in TEXTS]
    assert lines(export("jsonl", [column("v", "json"), column("w", "integer")])) == expected
    assert lines(export("jsonl", [column("v", "string")])) == TEXTS
    assert stored(export("parquet", [column("v", "json")])).to_pylist() == TEXTS
    assert sheet(export("xlsx", [column("v", "string")]))[0] == TEXTS[0]


@pytest.mark.parametrize("text", ["", "secret", "{'a': 1}", "NaN", "[1] [2]", '{"a": 1', "01"])
def test_text_that_is_no_json_is_refused_with_its_column_but_not_shown(text: str, lake: Lake) -> None:
    lake.put("a.parquet", arrow(pa.array(["{}", text])))
    said = r"^column v is declared json, but one of its texts is not valid JSON$"
    refused(ExpressionFailed, said, "jsonl", [column("v", "json")])


@pytest.mark.parametrize("dtype", [pa.binary(), pa.large_binary(), pa.binary(2)], ids=str)
def test_binary_is_base64_in_text_and_binary_in_parquet(dtype: pa.DataType, lake: Lake) -> None:
    values = {b"\x00\xff": "AP8=", None: None} | ({} if dtype == pa.binary(2) else {b"": "", b"text": "dGV4dA=="})
    lake.put("a.parquet", arrow(pa.array([*values], dtype)))
    require_shown([*values.values()], "binary", [*values])
    said = "column v is declared string, which needs text; the source gives Binary"
    refused(ColumnMismatch, said, "csv", [column("v", "string")])


def test_binary_that_is_text_is_cast_to_it(lake: Lake) -> None:
    as_text = [column("v", "string", "CAST(v AS VARCHAR)")]
    lake.put("a.parquet", arrow(pa.array([b"caf\xc3\xa9"])))
    assert lines(export("jsonl", as_text)) == ["café"]
    lake.put("a.parquet", arrow(pa.array([b"\xff"])))
    refused(ExpressionFailed, "the expression of v fails on the data: invalid utf8", "jsonl", as_text)


KINDS = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.decimal128(38, 9),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("ns"),
    "timestamp": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "json": pa.string(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_nothing_but_nulls_is_of_any_type(kind: str, lake: Lake) -> None:
    for store_schema in (True, False):
        lake.put("a.parquet", arrow(pa.nulls(2), store_schema=store_schema))
        require_shown([None, None], kind, [None, None])
        assert stored(export("parquet", [column("v", kind)])).type == KINDS[kind]
    if kind == "decimal":
        found = stored(export("parquet", [column("v", kind)], declared={"v": "decimal(12,2)"}))
        assert found.type == pa.decimal128(12, 2)


def test_what_computes_or_compares_with_nothing_but_nulls_needs_their_type_or_passes_no_row(lake: Lake) -> None:
    lake.put("a.parquet", arrow(pa.nulls(1)))
    upper = [column("v", "string", "UPPER(v)")]
    assert lines(export("jsonl", upper, declared={"v": "string"})) == [None]
    refused(ColumnMismatch, r"declare v in source\.columns, because the data does not show its type", "jsonl", upper)
    assert export("csv", [column("w", "integer")], parameters=parameter("integer", ">="), given={"p": 1}) == b"w\n"


def test_a_float_of_16_bits_is_one_of_32(lake: Lake) -> None:
    lake.put("a.parquet", arrow(pa.array([0.1, 65504, float("nan"), None], pa.float16())))
    columns = [column("v", "number"), column("w", "integer")]
    assert cells(export("csv", columns)) == ["0.099975586", "65504.0", "NaN", ""]
    assert lines(export("jsonl", columns)) == [0.099975586, 65504, "NaN", None]
    assert stored(export("parquet", columns)).type == pa.float32()
    assert sheet(export("xlsx", columns)) == [0.099975586, 65504, "NaN", None]


# No rows


def test_an_export_without_rows_has_the_schema_of_one_with_rows(lake: Lake, tmp_path: Path) -> None:
    kinds = {
        "money": ("decimal", pa.array([decimal.Decimal("1.10")], pa.decimal128(12, 2))),
        "small": ("integer", pa.array([1], pa.int8())),
        "day": ("date", pa.array([NOON.date()])),
        "clock": ("time", pa.array([NOON.time()], pa.time64("us"))),
        "local": ("timestamp", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms"))),
        "zoned": ("timestamp", pa.array([NOON], pa.timestamp("ns", "Europe/Berlin"))),
        "list": ("json", pa.array([[{"a": decimal.Decimal("1.1")}]])),
        "map": ("json", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))),
        "id": ("string", pa.array([ID.bytes], pa.uuid())),
        "raw": ("binary", pa.array([b"x"])),
        "half": ("number", pa.array([1.5], pa.float16())),
    }
    for month in (1, 2):
        lake.put(f"month={month}/a.parquet", file(**{name: values for name, (_, values) in kinds.items()}))
    columns = [column("month", "integer"), *(column(name, kind) for name, (kind, _) in kinds.items())]
    filters = {
        "no file": (parameter("integer", "==", "month"), 3),
        "no row group": (parameter("integer", ">=", "small"), 2),
        "no row": (parameter("integer", "==", expression="small % 2"), 0),
        "a row": (parameter("integer", "==", "month"), 1),
    }
    made = {
        name: export("parquet", columns, parameters=of, given={"p": value}) for name, (of, value) in filters.items()
    }
    for name, content in made.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
        assert pq.read_schema(io.BytesIO(content)) == pq.read_schema(io.BytesIO(made["a row"]))
        assert pq.read_metadata(io.BytesIO(content)).num_rows == (name == "a row")
    assert duckdb.sql(f"SELECT money, month FROM '{tmp_path}/*.parquet'").fetchall() == [(decimal.Decimal("1.10"), 1)]


def test_a_decimal_has_the_digits_that_are_declared_whatever_the_file(lake: Lake) -> None:
    lake.put("a.parquet", arrow(pa.array([decimal.Decimal("1.10")], pa.decimal128(5, 2))))
    for declared, digits in (("decimal(12,2)", 12), ("decimal(3,2)", 5)):
        found = stored(export("parquet", [column("v", "decimal")], declared={"v": declared}))
        assert (found.type, found.to_pylist()) == (pa.decimal128(digits, 2), [decimal.Decimal("1.10")])
