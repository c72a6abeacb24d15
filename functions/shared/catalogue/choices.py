"""The columns, the order and the number of a file's rows: what a definition sets, and what a request may choose."""

from collections.abc import Iterable
from typing import Any, TypedDict

from shared.errors import ParametersRefused
from shared.lambda_.faults import Fault, pointer, sentence

MOST_COLUMNS = 400
"""Columns that a request may choose. A page of 100 exports with 400 names of 128 characters each is smaller than 6 MB,
the largest answer of a Lambda function ("Lambda quotas")."""
MOST_KEYS = 16
RULES = {"sort", "limit", "sortable"}
"""The fields of a definition that order and limit the rows."""
_WITHOUT_ORDER = ("json", "binary")
_NAMES_SHOWN = 50


class Key(TypedDict):
    """A sort key: the name of a report's column, and its direction."""

    column: str
    descending: bool


def faults(definition: dict[str, Any], columns: list[str] | None, sort: list[Key] | None) -> list[Fault]:
    """Every fault of a request's choices; pointers are relative to the body.

    Args:
        definition: of the report.
        columns: of the request, valid by its schema; None if it chose none.
        sort: likewise.
    """
    names, sortable = {each["name"]: None for each in definition["columns"]}, definition.get("sortable", [])
    found = [
        Fault(pointer=pointer("columns", index), detail=f"the report has no column {name!r}", allowed=_one_of(names))
        for index, name in enumerate(columns or [])
        if name not in names
    ]
    if sort is not None and not sortable:
        return [*found, Fault(pointer="/sort", detail="this report offers no sort", allowed="no sort")]
    for index, key in enumerate(sort or []):
        if key["column"] not in sortable:
            detail = f"the report does not offer to sort by {key['column']!r}"
            found.append(Fault(pointer=pointer("sort", index, "column"), detail=detail, allowed=_one_of(sortable)))
    return found + _duplicates(sort or [])


def chosen(definition: dict[str, Any], columns: list[str] | None) -> dict[str, Any]:
    """The definition with only the chosen columns, in the chosen order. Parameters may still filter by the others.

    Args:
        definition: of a report.
        columns: of the export's record; None for all columns of the report.

    Raises:
        ParametersRefused: the report no longer has a chosen column.
    """
    if columns is None:
        return definition
    if unknown := faults(definition, columns, None):
        raise ParametersRefused("; ".join(sentence(fault) for fault in unknown))
    by_name = {each["name"]: each for each in definition["columns"]}
    return definition | {"columns": [by_name[name] for name in columns]}


def contradictions(definition: dict[str, Any]) -> list[Fault]:
    """The faults of ``sort``, ``limit`` and ``sortable`` in a definition that is valid by its schema."""
    kind, present = definition["source"]["type"], [name for name in definition if name in RULES]
    if kind == "dynamodb":
        detail = "is not possible, because DynamoDB reads items in the order of its keys"
        return [Fault(pointer=pointer(name), detail=detail, allowed="a report from Parquet files") for name in present]
    if kind == "query":
        found = [
            Fault(pointer=pointer(name), detail="is not for a query", allowed=f"{words} in the SQL")
            for name, words in (("sort", "ORDER BY"), ("limit", "LIMIT"))
            if name in definition
        ]
        return found + [fault for fault in _unsortable(definition) if fault["pointer"].startswith("/sortable/")]
    found = [*_unsortable(definition), *_duplicates(definition.get("sort", [])), *_not_total(definition)]
    return found + (_undeclared(definition) if present else [])


def _unsortable(definition: dict[str, Any]) -> list[Fault]:
    """The columns of ``sort`` and ``sortable`` by which no rows can be sorted."""
    is_query = definition["source"]["type"] == "query"
    columns = {each["name"]: each for each in definition["columns"]}
    allowed = _one_of(
        name
        for name, column in columns.items()
        if column["type"] not in _WITHOUT_ORDER and (is_query or "expression" not in column)
    )
    places = [(pointer("sort", index, "column"), key["column"]) for index, key in enumerate(definition.get("sort", []))]
    places += [(pointer("sortable", index), name) for index, name in enumerate(definition.get("sortable", []))]
    found = []
    for where, name in places:
        column = columns.get(name)
        if column is None:
            found.append(Fault(pointer=where, detail=f"the report has no column {name!r}", allowed=allowed))
        elif column["type"] in _WITHOUT_ORDER:
            detail = f"{name} has the type {column['type']}, which has no order"
            found.append(Fault(pointer=where, detail=detail, allowed=allowed))
        elif "expression" in column and not is_query:
            detail = f"{name} is an expression, and only source columns can be sorted"
            advice = "; for a computed order, write a query report (docs/howto/query-report.md)"
            found.append(Fault(pointer=where, detail=detail, allowed=allowed + advice))
    return found


def _not_total(definition: dict[str, Any]) -> list[Fault]:
    """A limit whose rows could change between attempts, and a column that is unique before the last."""
    sort = definition.get("sort", [])
    found = [
        Fault(
            pointer=pointer("sort", index, "unique"),
            detail="columns after a unique one order nothing",
            allowed="unique: true in the last column",
        )
        for index, key in enumerate(sort[:-1])
        if key.get("unique")
    ]
    if "limit" not in definition:
        return found
    allowed = "a sort whose last column has unique: true, because no two rows of a tenant have the same value; "
    allowed += "without such a column, write a query report (docs/howto/query-report.md)"
    if not sort:
        detail = "needs a sort, because the first rows of a source could change between attempts"
        found.append(Fault(pointer="/limit", detail=detail, allowed=allowed))
    elif not sort[-1].get("unique"):
        detail = "rows that are equal in every sort column could change between attempts"
        found.append(Fault(pointer=pointer("sort", len(sort) - 1), detail=detail, allowed=allowed))
    return found


def _undeclared(definition: dict[str, Any]) -> list[Fault]:
    """The source columns that the report uses by name and that ``source.columns`` lacks: a query needs their types."""
    declared = definition["source"].get("columns")
    if declared is None:
        detail = "is missing, and a report with sort, limit or sortable needs the types of its columns"
        allowed = "every source column that the report uses"
        return [Fault(pointer="/source/columns", detail=detail, allowed=allowed)]
    uses = [("/tenant", definition["tenant"])] if isinstance(definition["tenant"], str) else []
    uses += [
        (pointer("parameters", name, "filter", "column"), parameter["filter"]["column"])
        for name, parameter in definition.get("parameters", {}).items()
        if "column" in parameter["filter"]
    ]
    uses += [
        (pointer("columns", index), column["name"])
        for index, column in enumerate(definition["columns"])
        if "expression" not in column
    ]
    detail = "source.columns lacks {!r}, and a report with sort, limit or sortable needs its type"
    return [
        Fault(pointer=where, detail=detail.format(name), allowed=_one_of(declared))
        for where, name in uses
        if name not in declared
    ]


def _duplicates(sort: list[Any]) -> list[Fault]:
    """The keys whose column an earlier key has."""
    columns = [key["column"] for key in sort]
    return [
        Fault(pointer=pointer("sort", index, "column"), detail=f"duplicate column {name!r}", allowed="each column once")
        for index, name in enumerate(columns)
        if name in columns[:index]
    ]


def _one_of(names: Iterable[str]) -> str:
    """What is allowed: a report may have 16,384 columns, and a request 400 faults."""
    listed = [*names]
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    return f"one of {', '.join(listed[:_NAMES_SHOWN])}{more}" if listed else "none"
