"""What the SQL of a report may say, read from the syntax tree of DuckDB's own parser ("JSON SQL serialization").

A query names the tables that it is offered, and functions of values. It names no file, no setting and no function that
reads one. DuckDB refuses them again when the query runs, because external access is off and the configuration locked.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import duckdb

TABLE_FUNCTIONS = frozenset({"generate_series", "range", "unnest"})
"""Table functions whose rows depend only on their arguments."""
REFUSED_FUNCTIONS = frozenset(
    {
        *("current_setting", "getenv", "getvariable", "nextval", "currval", "setval", "write_log"),
        *("current_query", "json_serialize_plan", "sleep_ms", "pg_sleep"),
    }
)
"""Functions of one row that read or write something other than their arguments, or that wait."""
_SELECTS = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
"""Nodes of a tree that read. A common table expression of DuckDB may also write: INSERT, UPDATE, DELETE, COPY TO."""
KINDS = {
    **dict.fromkeys(("integer", "number"), "number"),
    **dict.fromkeys(("date", "timestamp"), "moment"),
    **dict.fromkeys(("decimal", "boolean", "time", "binary", "json"), ""),
    "string": "text",
}
"""Kinds of values, by declared type, that DuckDB compares without a conversion that may fail; "" if there is none."""
_TYPES: dict[str, tuple[type, ...]] = {
    "any": (type(None),),
    "number": (int, float),
    "moment": (datetime.date,),
    "text": (str,),
}
_NO_KINDS: Mapping[str, str] = {}


_OF_NULL = frozenset({"+", "-", "*", "/", "//", "%", "year", "month", "day", "quarter"})
"""Functions that give null if an argument is null."""
_NULL_CLASSES = frozenset({"COMPARISON", "COLUMN_REF", "CONSTANT", "PARAMETER", "CAST", "TYPE"})


class SqlFault(NamedTuple):
    """A fault: the line of the SQL from 1, what is wrong, and what is allowed."""

    line: int
    detail: str
    allowed: str


class Condition(NamedTuple):
    """A condition: the names of its columns, and the SQL of each operand of its ``AND`` with its own columns.

    ``safe`` are those that cannot fail, whatever the row. ``hides_nulls`` says whether the condition may be true on a
    row in which one of its columns is null. Bounds of its columns then do not bound its value.
    """

    columns: frozenset[str]
    operands: list[tuple[str, frozenset[str]]]
    safe: list[str]
    hides_nulls: bool = True


def faults(sql: str, tables: Collection[str]) -> list[SqlFault]:
    """Everything in a query that is not allowed.

    Args:
        sql: one SELECT.
        tables: the tables that it may name.
    """
    tree, found = _tree(sql)
    if tree is None:
        return found
    if len(tree["statements"]) != 1:
        detail = f"there are {len(tree['statements'])} statements"
        return [SqlFault(1, detail, "one SELECT")]
    offered = frozenset(name.lower() for name in tables)
    for node, known in _scoped(tree, offered):
        detail, allowed = _fault(node, known, sorted(offered))
        if detail:
            found.append(SqlFault(_line(sql, node), detail, allowed))
    return found


def condition(sql: str, kinds: Mapping[str, str] = _NO_KINDS) -> tuple[Condition, list[SqlFault]]:
    """A condition on the columns of one table, and everything in it that is not allowed.

    It is parsed without parentheses too: ``1 = 1) OR (1 = 1`` would otherwise end those that a caller puts around it.

    Args:
        kinds: kinds of values (:data:`KINDS`) by the column's name in lower case, or the parameter's with $ before it.
    """
    tree, found = _tree(f"SELECT 1 WHERE (\n{sql}\n)")
    alone, unbalanced = _tree(f"SELECT 1 WHERE\n{sql}")
    if tree is None or alone is None or len(tree["statements"]) != 1:
        found = found or unbalanced
        return Condition(frozenset(), [], []), [each._replace(line=1) for each in found] or [_one_condition()]
    node = tree["statements"][0]["node"]
    where = node.get("where_clause")
    if not where or node["type"] != "SELECT_NODE" or node["from_table"]["type"] != "EMPTY" or node["modifiers"]:
        return Condition(frozenset(), [], []), [_one_condition()]
    for each in _nodes(where):
        detail, allowed = _fault(each, set(), [])
        if each.get("class") == "SUBQUERY":
            detail, allowed = "a subquery is not allowed in a condition", "the columns of the dataset"
        elif each.get("class") == "WINDOW":
            detail, allowed = "a window is not allowed in a condition", "the columns of one row"
        if detail:
            found.append(SqlFault(1, detail, allowed))
    nodes = where["children"] if where["type"] == "CONJUNCTION_AND" else [where]
    operands = [(_written(node, each), _columns(each)) for each in nodes]
    safe = [text for (text, _), each in zip(operands, nodes, strict=True) if _cannot_fail(each, kinds)]
    return Condition(_columns(where), operands, safe, _hides_nulls(where)), found


def parameters(sql: str) -> dict[str, int]:
    """The parameters that a query names, in lower case because DuckDB ignores it, with the line of the first use."""
    tree, _ = _tree(sql)
    found = [node for node in _nodes(tree) if node.get("class") == "PARAMETER"]
    return {str(node["identifier"]).lower(): _line(sql, node) for node in reversed(found)}


def operations(expression: str) -> list[str]:
    """The functions, operators and casts of an expression, from the outermost to the innermost.

    They are in lower case, as DuckDB's parser names them: ``+``, ``~~`` for LIKE, ``try_cast as double``, and
    ``cast as integer`` for each type of integers. Comparisons, AND, OR, NOT, IN and CASE are not among them. There are
    none if DuckDB does not parse the expression.
    """
    found = []
    for node in _nodes(_tree(f"SELECT (\n{expression}\n)")[0]):
        if node.get("class") == "FUNCTION":
            found.append(node["function_name"].lower())
        elif node.get("class") == "CAST":
            name = re.sub("^u?(tiny|small|big|huge)int$", "integer", node["type_expr"]["type_name"].lower())
            found.append(f"{'try_' if node['try_cast'] else ''}cast as {name}")
    return found


def columns(expression: str, known: Collection[str]) -> set[str]:
    """Which of the known columns an expression names; all of them if DuckDB does not parse it."""
    tree, _ = _tree(f"SELECT (\n{expression}\n)")
    if tree is None:
        return set(known)
    named = {part for node in _nodes(tree) if node.get("class") == "COLUMN_REF" for part in node["column_names"]}
    return {name for name in known if name.lower() in {each.lower() for each in named}}


def _one_condition() -> SqlFault:
    return SqlFault(1, "this is not one condition", "one condition in DuckDB's SQL")


def _tree(sql: str) -> tuple[dict[str, Any] | None, list[SqlFault]]:
    (answer,) = _parser().execute("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": sql}).fetchone() or ("",)
    try:
        tree: dict[str, Any] = json.loads(answer)
    except RecursionError:
        return None, [SqlFault(1, "it is nested too deeply", "some hundreds of levels")]
    if not tree["error"]:
        return tree, []
    line = sql.encode()[: int(tree.get("position") or 0)].count(b"\n") + 1
    return None, [SqlFault(line, str(tree["error_message"]).strip().partition("\n")[0], "one SELECT in DuckDB's SQL")]


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A database for its parser alone. It is kept, because opening one takes longer than the rest."""
    return duckdb.connect(config={"threads": 1, "enable_external_access": "false"})


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a tree, in the order of the text."""
    return (node for node, _ in _scoped(tree, frozenset()))


def _scoped(tree: Any, tables: frozenset[str]) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every object of a tree in the order of the text, with the tables that it may name.

    These are the given ones and the common table expressions in scope: each after its own text, or in its recursive
    part. Elsewhere the same name would be another table, such as one of DuckDB's catalog.
    """
    stack = [(tree, tables)]
    while stack:
        node, known = stack.pop()
        if isinstance(node, dict):
            yield node, known
            children = []
            for each in node["cte_map"]["map"] if isinstance(node.get("cte_map"), dict) else []:
                children.append((each["value"], known))
                known |= {str(each["key"]).lower()}
            is_recursive = node.get("type") == "RECURSIVE_CTE_NODE"
            within = known | {str(node["cte_name"]).lower()} if is_recursive else known
            children += [
                (value, within if key == "right" else known) for key, value in node.items() if key != "cte_map"
            ]
            stack += reversed(children)
        elif isinstance(node, list):
            stack += [(value, known) for value in reversed(node)]


def _fault(node: dict[str, Any], tables: Collection[str], offered: list[str]) -> tuple[str, str]:
    if "cte_map" in node and node["type"] not in _SELECTS:
        return "it writes", "one SELECT"
    match node.get("type"):
        case "BASE_TABLE":
            path = [part for part in (node["catalog_name"], node["schema_name"], node["table_name"]) if part]
            if len(path) > 1 or path[0].lower() not in tables:
                return f"there is no table {'.'.join(path)}", f"the report's datasets: {', '.join(offered) or 'none'}"
        case "TABLE_FUNCTION":
            if (name := node["function"]["function_name"].lower()) not in TABLE_FUNCTIONS:
                return f"the table function {name} is not allowed", ", ".join(sorted(TABLE_FUNCTIONS))
        case "FUNCTION":
            if node["function_name"].lower() in REFUSED_FUNCTIONS:
                return f"the function {node['function_name']} is not allowed", "functions of their arguments"
        case "SHOW_REF" | "COLUMN_DATA" | "DELIM_GET":
            return "only tables can be selected from", f"the report's datasets: {', '.join(offered) or 'none'}"
    return "", ""


def kind_of(value: Any) -> str:
    """The kind of a parameter's value."""
    for kind, types in _TYPES.items():
        if isinstance(value, types) and not isinstance(value, bool):
            return kind
    return ""


def _cannot_fail(node: dict[str, Any], kinds: Mapping[str, str]) -> bool:
    """Whether a condition compares, without any conversion that may fail on a row."""
    match node["class"]:
        case "CONJUNCTION":
            return all(_cannot_fail(each, kinds) for each in node["children"])
        case "COMPARISON":
            parts = [node["left"], node["right"]]
        case "BETWEEN":
            parts = [node["input"], node["lower"], node["upper"]]
        case "OPERATOR" if node["type"] in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
            return node["children"][0]["class"] in ("COLUMN_REF", "PARAMETER")
        case "OPERATOR" if node["type"] == "COMPARE_IN":
            parts = node["children"]
        case "OPERATOR" if node["type"] == "OPERATOR_NOT":
            return all(_cannot_fail(each, kinds) for each in node["children"])
        case _:
            return False
    return len(found := {_kind(each, kinds) for each in parts} - {"any"}) <= 1 and "" not in found


def _hides_nulls(where: dict[str, Any]) -> bool:
    found = [node for node in _nodes(where) if "class" in node and node["class"] not in _NULL_CLASSES]
    return any(node.get("function_name", "").lower() not in _OF_NULL for node in found)


def _kind(node: dict[str, Any], kinds: Mapping[str, str]) -> str:
    match node["class"]:
        case "COLUMN_REF" if len(node["column_names"]) == 1:
            return kinds.get(node["column_names"][0].lower(), "")
        case "PARAMETER":
            return kinds.get(f"${node['identifier'].lower()}", "")
        case "CONSTANT":
            return {"INTEGER": "number", "STRING": "any"}.get(node.get("literal", {}).get("kind", ""), "")
    return ""


def _columns(node: dict[str, Any]) -> frozenset[str]:
    """The columns of a condition, without the parameters of its lambdas. ``j -> 'a'`` is JSON, and no lambda."""
    found = set[str]()
    stack: list[tuple[Any, frozenset[str]]] = [(node, frozenset())]
    while stack:
        each, hidden = stack.pop()
        if isinstance(each, list):
            stack += [(value, hidden) for value in each]
        elif isinstance(each, dict):
            if each.get("syntax_type") == "LAMBDA_KEYWORD":
                hidden |= {name.lower() for name in _columns(each["lhs"])}
            if each.get("class") == "COLUMN_REF" and each["column_names"][0].lower() not in hidden:
                found.add(each["column_names"][0])
            stack += [(value, hidden) for value in each.values()]
    return frozenset(found)


def _written(statement: dict[str, Any], operand: dict[str, Any]) -> str:
    """The SQL of an operand of a statement's condition."""
    alone = {"statements": [{"node": {**statement, "where_clause": operand}, "named_param_map": []}], "error": False}
    text = "SELECT json_deserialize_sql($tree::JSON)"
    (sql,) = _parser().execute(text, {"tree": json.dumps(alone)}).fetchone() or ("",)
    return str(sql).partition(" WHERE ")[2]


def _line(sql: str, node: dict[str, Any]) -> int:
    """The line of a node; 1 if the parser does not say where it is."""
    place = node.get("query_location", 0)
    return sql.encode()[:place].count(b"\n") + 1 if place <= len(sql.encode()) else 1
