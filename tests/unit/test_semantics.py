"""What expressions compute is what SQL says: no integer wraps, halves are rounded one way, dates are no numbers."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine import sql
from shared.engine.query import Query
from shared.errors import ExpressionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST, GREATEST = -(2**63), 2**63 - 1


def query(kind: str, expression: str, *filters: str) -> Query:
    written, wrong = sql.checked(expression)
    assert not wrong
    parameters = {
        f"p{at}": {
            "type": "integer",
            "filter": {"expression": sql.checked(each)[0], "operator": ">=", "monotonic": True},
        }
        for at, each in enumerate(filters)
    }
    definition = {
        "source": {"type": "parquet", "dataset": "d"},
        "tenant": "tenant",
        "parameters": parameters,
        "columns": [{"name": "x", "type": kind, "expression": written}],
    }
    return Query.of(definition, dict.fromkeys(parameters, 0), "acme")


def rows(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(tenant=pl.lit("acme"))


def computed(expression: str, frame: pl.DataFrame, kind: str = "integer") -> list[Any]:
    return query(kind, expression).apply(frame)["x"].to_list()


def divided(one: int, other: int) -> int | None:
    """Towards zero, as SQL divides."""
    return None if other == 0 else abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)


def remainder(one: int, other: int) -> int | None:
    return None if other == 0 else one - (divided(one, other) or 0) * other


OPERATORS: dict[str, Callable[[int, int], int | None]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": divided,
    "%": remainder,
}
EXTREMES = st.sampled_from([0, 1, -1, 2, 3, 2**31, 2**32 + 1, 3037000500, -3037000500, 2**62, LEAST, GREATEST])
INTEGERS = EXTREMES | st.integers(LEAST, GREATEST)
Tree = Any


def trees(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.tuples(st.sampled_from([*OPERATORS]), inner, inner)
            | st.tuples(st.sampled_from(["-", "ABS"]), inner)
            | st.tuples(st.just("CASE"), inner, inner, inner)
        ),
        max_leaves=6,
    )


def text(tree: Tree) -> str:
    match tree:
        case int():
            return f"({tree})" if tree < 0 else str(tree)
        case str():
            return tree
        case ("CASE", condition, one, other):
            return f"(CASE WHEN {text(condition)} > 0 THEN {text(one)} ELSE {text(other)} END)"
        case (op, one, other):
            return f"({text(one)} {op} {text(other)})"
        case (op, one):
            return f"({op}({text(one)}))"
    raise AssertionError(tree)


def exact(tree: Tree, row: dict[str, int | None], seen: list[int]) -> int | None:
    """The value, with every value on the way to it."""
    value: int | None
    match tree:
        case int():
            value = tree
        case str():
            value = row[tree]
        case ("CASE", condition, one, other):
            value = exact(one if (exact(condition, row, seen) or 0) > 0 else other, row, seen)
        case (op, one, other):
            left, right = exact(one, row, seen), exact(other, row, seen)
            value = None if left is None or right is None else OPERATORS[op](left, right)
        case ("-", one):
            value = None if (inner := exact(one, row, seen)) is None else -inner
        case (_, one):
            value = None if (inner := exact(one, row, seen)) is None else abs(inner)
        case _:
            raise AssertionError(tree)
    if value is not None:
        seen.append(value)
    return value


LITERALS = st.sampled_from([1, 2, 10_000, 2**31, GREATEST])


@settings(max_examples=250)
@given(
    trees(st.sampled_from(["v", "w"]) | LITERALS),
    st.lists(st.tuples(INTEGERS | st.none(), INTEGERS | st.none()), min_size=1, max_size=4),
)
def test_integers_are_exact_or_the_expression_fails(tree: Tree, values: list[tuple[int | None, int | None]]) -> None:
    asked = query("integer", text(tree))
    failing = 0
    for v, w in values:
        seen: list[int] = []
        value = exact(tree, {"v": v, "w": w}, seen)
        try:
            found = asked.apply(rows(v=pl.Series([v], dtype=pl.Int64), w=pl.Series([w], dtype=pl.Int64)))
            assert found["x"].to_list() == [value]
        except ExpressionFailed:
            failing += 1
            assert "//" in text(tree) or any(not LEAST <= each <= GREATEST for each in seen)
    together = rows(
        v=pl.Series([v for v, _ in values], dtype=pl.Int64), w=pl.Series([w for _, w in values], dtype=pl.Int64)
    )
    if failing:  # the batch fails exactly where one of its rows does
        with pytest.raises(ExpressionFailed, match="the expression of x fails on the data"):
            asked.apply(together)
    else:
        assert asked.apply(together)["x"].to_list() == [exact(tree, {"v": v, "w": w}, []) for v, w in values]


@settings(max_examples=150)
@given(
    trees(st.sampled_from(["v", "u", "h"]) | LITERALS),
    INTEGERS,
    st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    st.sampled_from([0, -1, 2**126, -(2**127), 2**127 - 1]) | INTEGERS,
)
def test_unsigned_and_wide_integers_are_exact_or_the_expression_fails(tree: Tree, v: int, u: int, h: int) -> None:
    frame = rows(v=pl.Series([v], dtype=pl.Int64), u=pl.Series([u], dtype=pl.UInt64), h=pl.Series([h], dtype=pl.Int128))
    try:
        found = computed(text(tree), frame)
    except ExpressionFailed:
        return
    assert found == [exact(tree, {"v": v, "u": u, "h": h}, [])]
