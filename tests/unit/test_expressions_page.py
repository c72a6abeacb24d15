"""docs/expressions.md: every operator and function has an example, and each example is right, here and in DuckDB."""

import datetime
import re
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
from sqlglot import exp

from shared.engine import sql
from shared.engine.query import Query
from shared.errors import ColumnMismatch, ExpressionFailed
from tests.unit.support import ROOT

PAGE = (ROOT / "docs" / "expressions.md").read_text("utf-8")
EXAMPLES = [
    [cell.replace("\\|", "|").strip("`") for cell in cells]
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for cells in [re.split(r" \| ", line.removeprefix("| ").removesuffix(" |"))]
    if len(cells) == 4
]
ROW = pl.DataFrame(
    {
        "tenant": ["acme"],
        "n": [7],
        "k": [-2],
        "m": [2**62],
        "zero": [0],
        "x": [2.5],
        "y": [-0.125],
        "price": [Decimal("12.345")],
        "name": ["Ann Lee"],
        "city": ["Zürich"],
        "code": ["ab-12-c"],
        "born": ["2013-01-31"],
        "day": [datetime.date(2013, 12, 31)],
        "seen": [datetime.datetime(2013, 12, 31, 10, 11, 12, 500000)],
        "ok": [True],
        "none": [None],
        "maybe": [None],
        "tags": [["a", "b", "c"]],
        "home": [{"city": "Oslo"}],
    },
    schema_overrides={"price": pl.Decimal(10, 3), "none": pl.Int64, "maybe": pl.Boolean},
)


def text(value: Any) -> str:
    """A value as the page shows it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case datetime.date() | datetime.time():
            return value.isoformat()
    return str(value)


def computed(expression: str, kind: str) -> str:
    written, wrong = sql.checked(expression)
    column = {"name": "v", "type": kind or "integer", "expression": written}
    query = Query.of(
        {"source": {"type": "parquet", "dataset": "d"}, "tenant": "tenant", "columns": [column]}, {}, "acme"
    )
    try:
        query.check(ROW.schema)
        return "refused" if wrong else text(query.apply(ROW)["v"][0])
    except ColumnMismatch as error:
        # Not for the type alone.
        return str(error) if " is declared " in str(error) else "refused"
    except ExpressionFailed:
        return "fails"


def test_every_example_gives_what_the_page_says() -> None:
    found = [[expression, computed(expression, kind), kind] for expression, _, kind, _ in EXAMPLES]
    assert found == [example[:3] for example in EXAMPLES]


def test_the_page_says_where_duckdb_differs() -> None:
    with duckdb.connect() as connection:
        connection.register("row", ROW.to_arrow())

        def duck(expression: str) -> str:
            try:
                [[value]] = connection.execute(f'SELECT {expression} FROM "row"').fetchall()
            except duckdb.Error:
                return "none"
            return text(value)

        for expression, value, _, other in EXAMPLES:
            expected = other or ("none" if value in ("fails", "refused") else value)
            assert (expression, duck(expression)) == (expression, expected)


def test_every_operator_and_function_has_an_example() -> None:
    trees = [tree for expression, *_ in EXAMPLES for tree in sql._Dialect().parse_into(exp.Condition, expression)]
    nodes = [node for tree in trees if tree for node in tree.walk()]
    functions = {node.name.upper() for node in nodes if isinstance(node, exp.Anonymous)}
    functions |= {"NORMALIZE"} if any(isinstance(node, exp.Normalize) for node in nodes) else set()
    assert functions == sql.FUNCTIONS
    assert {*sql._OPERATIONS} <= {type(node) for node in nodes}
