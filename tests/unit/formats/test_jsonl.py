"""Format jsonl: every cell as json, polars, duckdb and pandas read it."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.formats.support import (
    DIVIDED,
    FLOATS,
    INTEGERS,
    KINDS,
    NASTY,
    TEXT,
    TYPES,
    Divided,
    as_held,
    differences,
    frame,
    make,
    same,
    values,
    whole,
)

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def objects(content: bytes) -> list[dict[str, Any]]:
    """What the json module reads: every line by itself, no number rounded, no name twice."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in found}) == len(found)
        return dict(found)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert content == b"" or content.endswith(b"\n")
    lines = content.decode("utf-8").split("\n")[:-1]
    return [json.loads(line, object_pairs_hook=pairs, parse_constant=refuse) for line in lines]


def number(value: Any) -> Any:
    return WORDS[value] if isinstance(value, str) else value


def struct(value: dict[str, Any]) -> dict[str, Any]:
    backs: dict[str, Any] = {"price": decimal.Decimal, "day": datetime.date.fromisoformat, "x": number}
    inner = value["inner"]
    return value | {"inner": inner and {name: inner[name] and back(inner[name]) for name, back in backs.items()}}


# How a reader gets each column's value back from JSON.
BACK: dict[str, Any] = {
    **dict.fromkeys(["real", "single", "half"], number),
    **dict.fromkeys(["money", "fraction"], decimal.Decimal),
    "day": datetime.date.fromisoformat,
    "clock": datetime.time.fromisoformat,
    **dict.fromkeys(["local", "utc", "zoned"], datetime.datetime.fromisoformat),
    "moments": lambda items: [item and datetime.datetime.fromisoformat(item) for item in items],
    "halves": lambda items: pl.Series(map(number, items), dtype=pl.Float16).to_list(),
    "struct": struct,
}


@given(DIVIDED)
def test_every_cell_of_every_type_is_read_back_as_it_was_however_the_rows_were_divided(divided: Divided) -> None:
    rows, parts = divided
    content = make("jsonl", parts, TYPES).content
    assert content == whole("jsonl", frame(rows), TYPES)
    found = objects(content)
    assert [list(each) for each in found] == [list(KINDS)] * len(rows), "every key, always, in order"
    for name in KINDS:
        back = BACK.get(name, lambda value: value)
        read = [None if each[name] is None else back(each[name]) for each in found]
        assert differences(as_held(name, read), values(rows, name)) == [], name


SCHEMA = {"n": pl.Int64, "s": pl.String, "x": pl.Float64, "b": pl.Boolean}
DECLARED = {"n": "integer", "s": "string", "x": "number", "b": "boolean"}
ROW = st.tuples(st.none() | INTEGERS, st.none() | TEXT | NASTY, st.none() | FLOATS, st.none() | st.booleans())


@given(rows=st.lists(ROW, min_size=1))
def test_a_row_is_the_same_bytes_beside_any_other_and_every_reader_finds_its_cells(
    rows: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The engine's own JSON, which cannot hold NaN, is used where no row needs more."""
    held = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    content = whole("jsonl", held, DECLARED)
    assert content == b"".join(whole("jsonl", row, DECLARED) for row in held.iter_slices(1))

    path = tmp_path_factory.getbasetemp() / "cells.jsonl"
    path.write_bytes(content)
    types = "{n: 'BIGINT', s: 'VARCHAR', x: 'DOUBLE', b: 'BOOLEAN'}"
    found = duckdb.sql(f"FROM read_json('{path}', format='newline_delimited', columns={types})").fetchall()
    assert differences(found, rows) == []

    finite = held.filter(pl.col("x").is_finite() | pl.col("x").is_null())
    by_polars = pl.read_ndjson(io.BytesIO(whole("jsonl", finite, DECLARED)), schema=SCHEMA)
    assert differences(by_polars.rows(), finite.rows()) == []


NUMBERS = {1.0: "1.0", math.nan: '"NaN"', math.inf: '"Infinity"', -math.inf: '"-Infinity"'}
NUMBERS |= {-0.0: "-0.0", 5e-324: "5e-324", 1e300: "1e+300"}
HUGE = [10**15 - 1, 2**53 + 1, 10**19 - 1, -(10**37)]
MONEY = [decimal.Decimal("1.10"), decimal.Decimal(0), None]
DEEP = pl.Struct({"a": pl.List(pl.Int64), "b": pl.Struct({"x": pl.Float64})})
NOON = datetime.datetime(2013, 7, 1, 12)


@pytest.mark.parametrize(
    ("declared", "dtype", "given", "written"),
    [
        ("decimal", pl.Decimal(38, 2), MONEY, ['"1.10"', '"0.00"', "null"]),
        ("integer", pl.Int128, HUGE, [str(each) for each in HUGE]),
        ("number", pl.Float64, [*NUMBERS, None], [*NUMBERS.values(), "null"]),
        ("json", DEEP, [{"a": [1, None], "b": {"x": None}}, None], ['{"a":[1,null],"b":{"x":null}}', "null"]),
        ("json", DEEP, [{"a": [], "b": None}], ['{"a":[],"b":null}']),
        ("json", pl.Struct({"x": pl.List(pl.Float32)}), [{"x": [-math.inf]}, None], ['{"x":["-Infinity"]}', "null"]),
        ("json", pl.Struct({"t": pl.Datetime("us")}), [None, {"t": None}], ["null", '{"t":null}']),
        ("json", pl.List(pl.Datetime("us", "UTC")), [[NOON]], ['["2013-07-01T14:00:00+02:00"]']),
    ],
)
def test_a_value_is_written_as(declared: str, dtype: Any, given: list[Any], written: list[str]) -> None:
    content = whole("jsonl", pl.DataFrame({"a": given}, {"a": dtype}), {"a": declared}, timezone="Europe/Berlin")
    assert content.decode() == "".join(f'{{"a":{each}}}\n' for each in written)


def test_keys_are_names_or_titles() -> None:
    for value, written in ((1.0, "1.0"), (math.nan, '"NaN"')):
        rows = pl.DataFrame({"é": [value]})
        assert whole("jsonl", rows, {"é": "number"}).decode() == f'{{"é":{written}}}\n'
        assert list(json.loads(whole("jsonl", rows, {"é": "number"}, header_style="title"))) == ['Title, "é"']


def test_no_rows_are_an_empty_file() -> None:
    for parts in ([[]], [[pl.DataFrame(schema={"a": pl.Int64})], []]):
        assert make("jsonl", parts, {"a": "integer"}).content == b""


@pytest.mark.parametrize(
    ("one", "other"), [(0.0, -0.0), (True, 1), (decimal.Decimal("1.0"), decimal.Decimal("1.00")), ([math.nan], [None])]
)
def test_the_comparison_of_these_tests_tells_apart_what_python_may_call_equal(one: Any, other: Any) -> None:
    assert same(one, one)
    assert not same(one, other)
