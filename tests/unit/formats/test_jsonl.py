"""Format jsonl: every cell as json, polars, duckdb and pandas read it."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.formats.support import (
    FLOATS,
    INTEGERS,
    KINDS,
    NASTY,
    ROWS,
    TEXT,
    TYPES,
    differences,
    frame,
    make,
    same,
    splits,
    utc,
    whole,
)

if TYPE_CHECKING:
    from pathlib import Path

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


# How a reader gets each column's value back from JSON.
BACK: dict[str, Any] = {
    "real": number,
    "single": number,
    "money": decimal.Decimal,
    "fraction": decimal.Decimal,
    "day": datetime.date.fromisoformat,
    "clock": datetime.time.fromisoformat,
    "local": datetime.datetime.fromisoformat,
    "utc": datetime.datetime.fromisoformat,
    "zoned": datetime.datetime.fromisoformat,
    "moments": lambda items: [item and datetime.datetime.fromisoformat(item) for item in items],
    "struct": lambda value: value | {"inner": value["inner"] and inner(value["inner"])},
}


def inner(value: dict[str, Any]) -> dict[str, Any]:
    price, day, x = value["price"], value["day"], value["x"]
    return {
        "price": price and decimal.Decimal(price),
        "day": day and datetime.date.fromisoformat(day),
        "x": number(x),
    }


def expected(name: str, value: Any) -> Any:
    if value is not None and name in ("utc", "zoned"):
        return utc(value)
    return value


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=6))
def test_every_cell_of_every_type_is_read_back_as_it_was(rows: list[dict[str, Any]]) -> None:
    found = objects(whole("jsonl", frame(rows), TYPES))
    assert [list(each) for each in found] == [list(KINDS)] * len(rows), "every key, always, in order"
    for name in KINDS:
        back = BACK.get(name, lambda value: value)
        values = [None if each[name] is None else back(each[name]) for each in found]
        if name == "single":  # the shortest text of a float of 32 bits, which JSON reads as 64
            values = pl.Series(values, dtype=pl.Float32).to_list()
        assert differences(values, [expected(name, row[name]) for row in rows]) == [], name


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))))
def test_parts_and_batches_do_not_show(given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]]) -> None:
    rows, parts = given
    assert make("jsonl", parts, TYPES).content == whole("jsonl", frame(rows), TYPES)


TABLE = st.lists(
    st.tuples(st.none() | INTEGERS, st.none() | TEXT | NASTY, st.none() | FLOATS, st.none() | st.booleans()), min_size=1
)
SCHEMA = {"n": pl.Int64, "s": pl.String, "x": pl.Float64, "b": pl.Boolean}
DECLARED = {"n": "integer", "s": "string", "x": "number", "b": "boolean"}


def in_words(value: float | None) -> str | None:
    return None if value is None else repr(value)


@settings(max_examples=30)
@given(TABLE)
def test_polars_reads_every_cell(rows: list[tuple[Any, ...]]) -> None:
    finite = [row if row[2] is None or math.isfinite(row[2]) else (*row[:2], 0.5, row[3]) for row in rows]
    given = pl.DataFrame(finite, schema=SCHEMA, orient="row")
    found = pl.read_ndjson(io.BytesIO(whole("jsonl", given, DECLARED)), schema=SCHEMA)
    assert differences(found.rows(), given.rows()) == []


@settings(max_examples=20)
@given(rows=TABLE)
def test_duckdb_reads_every_cell(rows: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.jsonl"
    path.write_bytes(whole("jsonl", pl.DataFrame(rows, schema=SCHEMA, orient="row"), DECLARED))
    types = "{n: 'BIGINT', s: 'VARCHAR', x: 'DOUBLE', b: 'BOOLEAN'}"
    found = duckdb.sql(f"FROM read_json('{path}', format='newline_delimited', columns={types})").fetchall()
    assert differences(found, rows) == []


def test_pandas_reads_every_cell(tmp_path: Path) -> None:
    given = pl.DataFrame({"n": [1, -(2**53)], "s": ['=a\n"b"😀', ""], "b": [True, False]})
    path = tmp_path / "cells.jsonl"
    path.write_bytes(whole("jsonl", given, {"n": "integer", "s": "string", "b": "boolean"}))
    found = pd.read_json(path, lines=True, dtype=False)
    assert [tuple(row) for row in found.itertuples(index=False)] == given.rows()


def line(column: Any, declared: str, **options: Any) -> str:
    rows = pl.DataFrame({"a": column})
    return whole("jsonl", rows, {"a": declared}, **options).decode()


def test_a_decimal_is_text_with_all_its_digits_whatever_its_value() -> None:
    values = [decimal.Decimal("1.10"), decimal.Decimal("0"), decimal.Decimal("-" + "9" * 36), None]
    text = line(pl.Series(values, dtype=pl.Decimal(38, 2)), "decimal")
    assert text == '{"a":"1.10"}\n{"a":"0.00"}\n{"a":"-' + "9" * 36 + '.00"}\n{"a":null}\n'


def test_an_integer_is_a_number_whatever_its_size() -> None:
    values = [10**15 - 1, 2**53 + 1, 10**19 - 1, -(10**37)]
    text = line(pl.Series(values, dtype=pl.Int128), "integer")
    assert text == "".join(f'{{"a":{value}}}\n' for value in values)


def test_floats_that_json_has_not_are_words_and_the_others_stay_numbers() -> None:
    text = line([1.0, math.nan, math.inf, -math.inf, -0.0, None, 5e-324, 1e300], "number")
    cells = ["1.0", '"NaN"', '"Infinity"', '"-Infinity"', "-0.0", "null", "5e-324", "1e+300"]
    assert text == "".join(f'{{"a":{cell}}}\n' for cell in cells)


@given(st.lists(st.none() | FLOATS, min_size=1), st.lists(st.none() | TEXT | NASTY, min_size=1))
def test_a_row_is_the_same_bytes_whether_or_not_another_row_holds_a_word(
    floats: list[float | None], texts: list[str | None]
) -> None:
    rows = pl.DataFrame({"x": floats}, schema={"x": pl.Float64}).join(
        pl.DataFrame({"s": texts}, schema={"s": pl.String}), how="cross", maintain_order="left_right"
    )
    types = {"x": "number", "s": "string"}
    alone = b"".join(whole("jsonl", row, types) for row in rows.iter_slices(1))
    assert whole("jsonl", rows, types) == alone


def test_text_that_looks_like_a_word_stays_text() -> None:
    assert line(["NaN", "null", ""], "string") == '{"a":"NaN"}\n{"a":"null"}\n{"a":""}\n'


def test_nothing_is_put_before_text_that_a_spreadsheet_would_run() -> None:
    assert line(["=1+1"], "string") == '{"a":"=1+1"}\n'


def test_lists_and_structs_are_nested_and_nulls_stay_where_they_are() -> None:
    column = pl.Series(
        [{"a": [1, None], "b": {"x": None}}, {"a": [], "b": None}, None],
        dtype=pl.Struct({"a": pl.List(pl.Int64), "b": pl.Struct({"x": pl.Float64})}),
    )
    text = line(column, "json")
    assert text == '{"a":{"a":[1,null],"b":{"x":null}}}\n{"a":{"a":[],"b":null}}\n{"a":null}\n'


def test_floats_within_lists_and_structs_are_words_too_where_json_has_no_number() -> None:
    assert line([[1.0, math.nan, None], None], "json") == '{"a":[1.0,"NaN",null]}\n{"a":null}\n'
    column = pl.Series([{"x": [-math.inf]}, None], dtype=pl.Struct({"x": pl.List(pl.Float32)}))
    assert line(column, "json") == '{"a":{"x":["-Infinity"]}}\n{"a":null}\n'


def test_a_null_struct_is_null_whatever_it_holds() -> None:
    column = pl.Series([None, {"t": None}], dtype=pl.Struct({"t": pl.Datetime("us")}))
    assert line(column, "json") == '{"a":null}\n{"a":{"t":null}}\n'


def test_timestamps_within_a_list_are_in_the_zone_too() -> None:
    utc = pl.Series([[datetime.datetime(2013, 7, 1, 12)]], dtype=pl.List(pl.Datetime("us", "UTC")))
    assert line(utc, "json", timezone="Europe/Berlin") == '{"a":["2013-07-01T14:00:00+02:00"]}\n'


def test_keys_are_names_or_titles() -> None:
    rows = pl.DataFrame({"a": [1]})
    assert whole("jsonl", rows, {"a": "integer"}) == b'{"a":1}\n'
    by_title = whole("jsonl", rows, {"a": "integer"}, header_style="title")
    assert json.loads(by_title) == {'Title, "a"': 1}
    with_words = whole("jsonl", pl.DataFrame({"a": [math.nan]}), {"a": "number"}, header_style="title")
    assert json.loads(with_words) == {'Title, "a"': "NaN"}


@pytest.mark.parametrize("parts", [[[]], [[pl.DataFrame(schema={"a": pl.Int64})], []]])
def test_no_rows_are_an_empty_file(parts: list[list[pl.DataFrame]]) -> None:
    assert make("jsonl", parts, {"a": "integer"}).content == b""


def test_the_comparison_tells_apart_what_python_calls_equal() -> None:
    assert not same(0.0, -0.0)
    assert not same(True, 1)
    assert not same(decimal.Decimal("1.0"), decimal.Decimal("1.00"))
    assert same([math.nan, {"a": None}], [math.nan, {"a": None}])
