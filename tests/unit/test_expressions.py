"""An expression may use its own row, and nothing else; what is checked is what polars runs."""

import contextlib
import runpy
import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import engine
from shared.catalogue.reports import Report
from shared.engine import expressions, semantics, sql
from shared.errors import InvalidDefinition

ROWS = pl.DataFrame(
    {
        "n": [3, 1, None, -7],
        "m": [2, 2, 5, 1],
        "s": ["1", "b'B", None, "ü%"],
        "t": ["2013-01-01"] * 4,
        "l": [[1], [2, 3], [3], [4]],
    }
).with_columns(pl.col("t").str.to_date().alias("d"))


def run(expression: str, rows: pl.DataFrame = ROWS) -> list[str]:
    resolved = semantics.resolved(pl.sql_expr(expression), rows.schema).expression
    return [repr(value) for value in rows.with_columns(resolved.alias("x"))["x"]]  # NaN is not NaN


def run_by_row(expression: str) -> list[str]:
    return [value for row in ROWS.iter_slices(1) for value in run(expression, row)]


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("year * 10000 + month * 100 + day", '("year" * 10000) + ("month" * 100) + "day"'),
        ("CASE WHEN a THEN 'SUM(x) OVER' ELSE \"NOW\" END", 'CASE  WHEN "a" THEN \'SUM(x) OVER\' ELSE "NOW" END'),
        ("CASE a WHEN 1 THEN 2 END", 'CASE "a" WHEN 1 THEN 2 ELSE NULL END'),
        ("a::INT /* NOW() */ -- NOW()", 'CAST("a" AS INT)'),
        ("TRY_CAST(price AS DECIMAL(10,2))", 'TRY_CAST("price" AS DECIMAL(10, 2))'),
        ("EXTRACT(year FROM d) = DATE_PART('year', d)", 'EXTRACT(YEAR FROM "d") = DATE_PART(\'year\', "d")'),
        ("d + INTERVAL '1 day'", "\"d\" + INTERVAL '1 DAY'"),
        ("a IS NOT NULL OR NOT b", '("a" IS NOT NULL) OR (NOT "b")'),
        ("s NOT LIKE 'it''s' AND s ILIKE '\\_%'", "(\"s\" NOT LIKE 'it''s') AND (\"s\" ILIKE '\\_%')"),
        ("a NOT BETWEEN 1 AND 2", '"a" NOT BETWEEN 1 AND 2'),
        ("goods.name", '"goods"."name"'),
        ('"a ""b"" ü" - -1', '"a ""b"" ü" - (-1)'),
        ("a IS TRUE AND b IS NOT FALSE", '("a" IS NOT DISTINCT FROM TRUE) AND ("b" IS DISTINCT FROM FALSE)'),
        ("LOG(2, a)", 'LOG("a", 2)'),
        ("LEFT(s, 0)", 'SUBSTR("s", 1, 0)'),
        ("REPLACE(s, '', 'x')", 'CAST("s" AS VARCHAR)'),
        ("STRPTIME(at, '%Y-%m-%dT%H:%M:%SZ')", "STRPTIME(\"at\", '%Y-%m-%dT%H:%M:%SZ')"),
    ],
)
def test_a_value_of_the_row_is_written_again_for_polars(expression: str, written: str) -> None:
    assert sql.checked(expression) == (written, [])


SUMS = ["SUM(a)", "SUM/**/(a)", '"SUM"(a)', "SUM\u00a0(a)", "'a\\' || SUM(x) || 'b'"]
OTHERS = {"now/**/() - avg (b)": "NOW AVG", "a > ANY(b)": "ANY", "COLUMNS('a')": "COLUMNS"}
WHOLE = ["(SELECT 1)", "a IN (SELECT b FROM c)", "CURRENT_DATE"]
WITHIN = {"ABS(LAG(a) OVER (ORDER BY b))": "LAG(a) OVER (ORDER BY b)", "CAST(a AS foo)": "foo"}
WITHIN |= {"SUM(a) FILTER (WHERE b)": "SUM(a) FILTER(WHERE b)", "ABS(DISTINCT a)": "DISTINCT a", "ABS(*)": "*"}
SYNTAX = {"a b": "b", "a, b": ",", "1_000": "_000", "a *": "*"}


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        *((text, ["SUM is not an allowed function"]) for text in SUMS),
        *((text, [f"{name} is not an allowed function" for name in names.split()]) for text, names in OTHERS.items()),
        *((text, [f"{text} is an SQL keyword"]) for text in ("LOCALTIME", "localtimestamp")),
        *((text, [f"{text} is not allowed in an expression"]) for text in WHOLE),
        *((text, [f"{part} is not allowed in an expression"]) for text, part in WITHIN.items()),
        *((text, [f"{text!r} is not an expression: syntax error at '{at}'"]) for text, at in SYNTAX.items()),
        *((text, [f"{text!r} is not one expression"]) for text in ("a; b", "-- a")),
        ("'a", ['"\'a" is not an expression: Error tokenizing ']),
        ("a & b | c ^ d", ["c ^ d"]),
        ("CONCAT()", ["'CONCAT()' is not an expression: CONCAT expects at least 1 argument (found 0)"]),
        ("a || b + c", ['polars does not read \'a || b + c\' as "a" || ("b" + "c")']),
    ],
)
def test_what_is_not_of_the_row_is_refused_by_name(expression: str, wrong: list[str]) -> None:
    written, found = sql.checked(expression)
    assert (written, len(found)) == ("", len(wrong))
    assert all(said in each.detail and each.allowed for said, each in zip(wrong, found, strict=True)), found


def test_what_is_nested_too_deeply_is_refused_in_few_words_and_a_long_chain_is_not_nested() -> None:
    for depth in (100, 5000):
        [wrong] = sql.checked("(" * depth + "a" + ")" * depth)[1]
        assert "is not an expression: " in wrong.detail
        assert len(wrong.detail) < 400
    chain = " OR ".join(["n = 1 AND m = 2"] * 100)  # chains of + and || are those of test_semantics.py
    written, faults = sql.checked(chain)
    assert not faults
    assert run(written) == run(chain)


ARGUMENTS = [
    *("n", "s", "d", "t", "l", "n, 1", "n, n", "s, s", "s, 2", "l, 1", "l, n", "s, 1, 1", "s, 2, '0'"),
    *("s, '1', 1", "s, 'a', 'b'", "'year', d", "d, '%Y'", "t, '%Y-%m-%d'", "n > 1, n, m", "'-', s, s", "s, NFC"),
    *("d::TIMESTAMP", ""),
]


@pytest.mark.parametrize("function", sorted(sql.FUNCTIONS))
def test_every_allowed_function_computes_each_row_alone(function: str) -> None:
    computed = []
    for call in (f"{function}({arguments})" for arguments in ARGUMENTS):
        written, wrong = sql.checked(call)
        with contextlib.suppress(pl.exceptions.PolarsError):
            if not wrong:
                assert run(written) == run_by_row(written)
                assert function == "LOG" or run(written) == run(call)  # polars takes the base second
                computed.append(call)
    assert computed


NUMBERS = st.sampled_from(["n", "m", "1", "2.5", "-3", "1e2"])
TEXTS = st.sampled_from(["s", "t", "'a'", "'it''s -- /*'", "'\\'", "''", "'\u00fc%'"])
WRAPPED = st.sampled_from(["{}", "({})", "{} /* c */"])


def joined(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    """Expressions of these parts, with or without parentheses around the whole."""
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(WRAPPED, *strategies).map(lambda found: found[0].format(" ".join(found[1:])))


BINARY = st.sampled_from(["+", "-", "*", "/", "//", "%", "||", "=", "<>", "<", ">=", "AND", "OR", "&", "|"])
AFTER = st.sampled_from(["IS NULL", "IS NOT NULL", "NOT IN (1, -2)", "LIKE 'a%'", ":: VARCHAR"])


def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        joined(inner, BINARY, inner),
        joined(inner, AFTER),
        joined(inner, st.sampled_from(["BETWEEN", "NOT BETWEEN"]), NUMBERS, "AND", inner),
        joined(st.sampled_from(["-", "NOT", "ABS", "COALESCE"]), "(", inner, ")"),
        joined(st.sampled_from(["-", "NOT"]), inner),
        joined("CASE WHEN", inner, "THEN", inner, "ELSE", inner, "END"),
        joined("CAST(", inner, "AS VARCHAR)"),
    )


@settings(max_examples=max(60, settings.default.max_examples))  # type: ignore[union-attr]
@given(st.recursive(NUMBERS | TEXTS, deeper, max_leaves=6))
def test_an_expression_means_to_polars_what_was_checked_or_is_refused(expression: str) -> None:
    written, wrong = sql.checked(expression)
    if wrong:
        assert written == ""
        return
    try:
        expected = run(expression)
    except pl.exceptions.PolarsError:
        with pytest.raises(pl.exceptions.PolarsError):
            run(written)
    else:
        assert run(written) == expected
        with contextlib.suppress(pl.exceptions.PolarsError):  # a type that does not fit, which the whole never needs
            assert run_by_row(written) == expected


def test_every_fault_of_a_report_is_named_with_its_file_column_and_place() -> None:
    definition = {
        "columns": [{"name": "day"}, {"name": "share", "expression": "n / SUM(n)"}, {"name": "m", "expression": "m"}],
        "parameters": {"from": {"filter": {"expression": "NOW()"}}, "to": {"filter": {"column": "day"}}},
    }
    with pytest.raises(InvalidDefinition, match=r"^sales\.yaml: /columns/1/expression: share: SUM is ") as refused:
        expressions.checked(Report("sales", definition))
    places = [fault["pointer"] for fault in refused.value.faults]
    assert places == ["/columns/1/expression", "/parameters/from/filter/expression"]
    definition["columns"][1]["expression"] = definition["parameters"]["from"]["filter"]["expression"] = "n + 1"
    found = expressions.checked(Report("sales", definition))
    assert [column.get("expression") for column in found["columns"]] == [None, '"n" + 1', '"m"']
    assert found["parameters"]["from"]["filter"]["expression"] == '"n" + 1'
    assert definition["columns"][1]["expression"] == "n + 1"


def test_a_report_without_expressions_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(engine, "sql")
    monkeypatch.setitem(sys.modules, "shared.engine.sql", None)
    checked = runpy.run_path(str(expressions.__file__))["checked"]
    assert checked(Report("r", {"columns": [{"name": "a"}]})) == {"columns": [{"name": "a"}]}
    with pytest.raises(ImportError):
        checked(Report("r", {"columns": [{"name": "a", "expression": "b"}]}))
