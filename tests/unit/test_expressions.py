"""An expression may use its own row, and nothing else."""

import contextlib

import polars as pl
import pytest

from shared import expressions


@pytest.mark.parametrize(
    "expression",
    [
        "dep_delay / 60",
        "ROUND(dep_delay / 60, 2)",
        "LPAD(CAST(dep_time // 100 AS VARCHAR), 2, '0') || ':00'",
        "CASE WHEN (a > 1) AND (b IN (1, 2)) THEN 'SUM(x) OVER' ELSE \"NOW\" END",
        "CAST(price AS DECIMAL(10, 2))",
        "sum_of_sales",
    ],
)
def test_a_value_of_the_row_is_fine(expression: str) -> None:
    assert expressions.not_of_its_row(expression) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("SUM(a)", ["SUM"]),
        ("a - avg (b)", ["AVG"]),
        ("COUNT(*)", ["COUNT"]),
        ("ABS(LAG(a) OVER (ORDER BY b))", ["LAG", "OVER"]),
        ("NOW()", ["NOW"]),
        ("current_date", ["CURRENT_DATE"]),
        ("(SELECT 1)", ["SELECT"]),
        ("UNNEST(a)", ["UNNEST"]),
    ],
)
def test_what_looks_further_is_named(expression: str, found: list[str]) -> None:
    assert [word for word in expressions.not_of_its_row(expression) if word != "OVER ("] == found


ARGUMENTS = [
    *("n", "s", "d", "t", "m", "n, 1", "n, n", "s, s", "s, 2", "s, 1, 1", "s, 2, '0'", "s, 'a', 'b'", "s, '1', 1"),
    *("'year', d", "d, '%Y'", "t, '%Y-%m-%d'", "n > 1, n, n", "'-', s, s"),
]


@pytest.mark.parametrize("function", sorted(expressions.FUNCTIONS - {"CAST", "TRY_CAST", "EXTRACT", "PI"}))
def test_every_allowed_function_is_known_to_polars_and_gives_a_value_for_each_row(function: str) -> None:
    texts = {"s": ["1", "2", "3"], "t": ["2013-01-01"] * 3, "m": ["2013-01-01 10:00:00"] * 3}
    rows = pl.DataFrame({"n": [1, 2, 3]} | texts).with_columns(pl.col("t").str.to_date().alias("d"))
    heights = []
    for arguments in ARGUMENTS:
        with contextlib.suppress(pl.exceptions.PolarsError):
            heights.append(rows.select(pl.sql_expr(f"{function}({arguments})").alias("x")).height)
    assert set(heights) == {rows.height}
