"""A source's columns in a definition's words: each type fits what it means, and nothing else."""

import itertools

import polars as pl
import pytest

from shared.engine import column_types
from shared.errors import InvalidDefinition

FITTING: dict[str, list[pl.DataType]] = {
    "string": [pl.String(), pl.Categorical(), pl.Enum(["a"])],
    "integer": [pl.Int8(), pl.UInt16(), pl.Int64()],
    "number": [pl.Float32(), pl.Float64()],
    "decimal(12,2)": [pl.Decimal(12, 2), pl.Decimal(38, 2)],
    "decimal(12,0)": [pl.Decimal(12, 0)],
    "boolean": [pl.Boolean()],
    "date": [pl.Date()],
    "time": [pl.Time()],
    "timestamp": [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns")],
    "timestamp(UTC)": [pl.Datetime("us", "UTC")],
    "timestamp(Europe/Paris)": [pl.Datetime("ms", "Europe/Paris")],
    "binary": [pl.Binary()],
    "json": [pl.List(pl.String), pl.Array(pl.Int64, 2), pl.Struct({"a": pl.Date}), pl.Map(pl.String, pl.Int64)],
}


@pytest.mark.parametrize("of", FITTING)
def test_a_type_fits_its_own_and_no_other(of: str) -> None:
    for declared, dtype in itertools.product(FITTING, FITTING[of]):
        found = column_types.faults({"c": declared}, pl.Schema({"c": dtype, "other": pl.Int64}))
        assert [fault["detail"] for fault in found] == (
            [] if declared == of else [f"column c is declared {declared}; the source gives {column_types.word(dtype)}"]
        )
    assert column_types.word(pl.Duration("us")) == "Duration(time_unit='us')"


@pytest.mark.parametrize("declared", FITTING)
def test_a_type_is_named_in_a_definitions_words_and_its_own_schema_and_nulls_fit_it(declared: str) -> None:
    assert column_types.word(FITTING[declared][0]) == declared
    for schema in (column_types.schema({"c": declared}), pl.Schema({"c": pl.Null()})):
        assert column_types.faults({"c": declared}, schema) == []


@pytest.mark.parametrize("dtype", [*(fitting[-1] for name, fitting in FITTING.items() if name != "string"), pl.Null()])
def test_a_type_is_read_from_the_text_that_a_plan_holds(dtype: pl.DataType) -> None:
    nested = pl.List(pl.Struct({"a 'b\"": dtype, "m": pl.Map(pl.String, dtype)}))
    assert column_types.parsed(str(dtype)) == dtype
    assert column_types.parsed(str(nested)) == nested


@pytest.mark.parametrize("text", ["", "Nothing", "read_parquet", "Int64(", "print(1)", "__import__('os')", "1"])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a polars type"):
        column_types.parsed(text)


def test_a_time_zone_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(InvalidDefinition, match=r"timestamp\(Mars\), which has an unknown time zone") as refused:
        column_types.schema({"a": "timestamp(UTC)", "b": "timestamp(Mars)"})
    assert [fault["pointer"] for fault in refused.value.faults] == ["/source/columns/b"]
