"""What a report asks of its source: columns and filters as polars expressions, never as spliced text."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, cast

import polars as pl

from shared.engine import column_types
from shared.errors import ColumnMismatch, ExpressionFailed
from shared.files.work import Plan
from shared.lambda_.faults import Fault, pointer

_OPERATORS: dict[str, Callable[[Any, Any], pl.Expr]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _is_json(dtype: pl.DataType, within: bool = False) -> bool:
    """Whether it is a list or a struct of values that JSON has, or that the other column types show as text."""
    if isinstance(dtype, pl.List | pl.Array):
        return _is_json(cast(pl.DataType, dtype.inner), within=True)
    if isinstance(dtype, pl.Struct):
        return all(_is_json(cast(pl.DataType, each.dtype), within=True) for each in dtype.fields)
    return within and (dtype.is_numeric() or dtype in _WITHIN_JSON)


_WITHIN_JSON = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Date, pl.Time, pl.Datetime)
# Output types of the definition's column types; a clock time may be text HH:MM, because 24:00 is one.
_TYPES: dict[str, tuple[Callable[[pl.DataType], bool], str]] = {
    "string": (lambda t: t in (pl.String, pl.Categorical, pl.Enum), "text"),
    "integer": (lambda t: t.is_integer(), "an integer"),
    "number": (lambda t: t.is_float() or t.is_integer(), "a number"),
    "decimal": (lambda t: t.is_decimal(), "a decimal"),
    "boolean": (lambda t: t == pl.Boolean, "a boolean"),
    "date": (lambda t: t == pl.Date, "a date"),
    "time": (lambda t: t in (pl.String, pl.Time), "a time, or text HH:MM"),
    "timestamp": (lambda t: t == pl.Datetime, "a timestamp"),
    "json": (_is_json, "a list or a struct, of numbers, text, booleans, dates, times, lists and structs"),
}


@dataclass(frozen=True)
class Filter:
    """``expression operator value`` of a parameter; rows for which it is null are left out, as in SQL."""

    parameter: str
    expression: pl.Expr
    operator: str
    value: Any
    monotonic: bool

    def predicate(self) -> pl.Expr:
        """The filter as a boolean expression."""
        return _OPERATORS[self.operator](self.expression, pl.lit(self.value))

    def may_match(self, low: pl.DataFrame, high: pl.DataFrame) -> pl.Series:
        """For each row of bounds, whether some row between them may pass.

        Args:
            low: lower bounds of the source's columns, one row a group, null where unknown.
            high: upper bounds, likewise.

        Returns:
            Booleans; true wherever the bounds cannot tell.
        """
        unknown = pl.repeat(True, low.height, eager=True)
        if not self.monotonic or self.operator == "!=":
            return unknown
        tests = {"==": ("<=", ">="), "<": ("<", None), "<=": ("<=", None), ">": (None, ">"), ">=": (None, ">=")}
        on_low, on_high = tests[self.operator]
        result = unknown
        for bounds, test in ((low, on_low), (high, on_high)):
            if test:
                predicate = _OPERATORS[test](self.expression, pl.lit(self.value))
                result &= _evaluate(bounds, predicate).fill_null(True)
        return result


def _evaluate(bounds: pl.DataFrame, predicate: pl.Expr) -> pl.Series:
    """The predicate for each row of bounds; null where it fails, for bounds taken together need not be a value."""
    try:
        return bounds.select(predicate.alias("")).to_series()
    except pl.exceptions.PolarsError:
        if bounds.height == 1:
            return pl.Series([None], dtype=pl.Boolean)
        half = bounds.height // 2
        return pl.concat([_evaluate(bounds[:half], predicate), _evaluate(bounds[half:], predicate)])


@dataclass(frozen=True)
class Query:
    """A report's definition with a caller's parameters and tenant put in."""

    dataset: str
    """What the source calls it: a folder, a table."""
    tenant_column: str
    declared: dict[str, str]
    """The source's columns as the definition declares them, by name; none where it does not."""
    bounds: dict[str, tuple[int, int]]
    """Bounds of integer columns that hold for every row."""
    filters: list[Filter]
    columns: list[tuple[str, str, pl.Expr]]
    """(name, type, expression) of each output column."""

    @classmethod
    def of(cls, definition: dict[str, Any], parameters: dict[str, Any], tenant: str) -> Query:
        """The query of a report definition for resolved parameters.

        Args:
            definition: as report.schema.json has it, of :func:`shared.engine.expressions.checked`.
        """
        filters = [Filter("tenant", pl.col(definition["tenant"]), "==", tenant, monotonic=True)]
        for name, parameter in definition.get("parameters", {}).items():
            if name in parameters:
                rule = parameter["filter"]
                expression = pl.col(rule["column"]) if "column" in rule else pl.sql_expr(rule["expression"])
                monotonic = "column" in rule or rule.get("monotonic", False)
                value = _value(parameter, parameters[name])
                filters.append(Filter(name, expression, rule["operator"], value, monotonic))
        columns = []
        for column in definition["columns"]:
            name, sql = column["name"], column.get("expression")
            columns.append((name, column["type"], pl.sql_expr(sql) if sql else pl.col(name)))
        source = definition["source"]
        bounds = {name: (low, high) for name, (low, high) in source.get("bounds", {}).items()}
        declared = source.get("columns", {})
        return cls(source.get("dataset") or source["table"], definition["tenant"], declared, bounds, filters, columns)

    @classmethod
    def planned(cls, plan: Plan) -> Query:
        """The query of a plan."""
        return cls.of(plan["definition"], plan["parameters"], plan["tenant"])

    def needs(self) -> list[str]:
        """Names of the source's columns that are read, in a fixed order."""
        expressions = [*(rule.expression for rule in self.filters), *(expression for _, _, expression in self.columns)]
        return sorted({name for expression in expressions for name in expression.meta.root_names()})

    def check(self, schema: pl.Schema) -> None:
        """Whether the query fits the source's schema.

        Raises:
            ColumnMismatch: a column is not in the source, has another type than declared, or a filter cannot compare.
        """
        found = column_types.faults(self.declared, schema)
        if not found and (missing := [name for name in self.needs() if name not in schema]):
            raise ColumnMismatch(f"the source has no column {', '.join(missing)}; it has: {', '.join(schema)}")
        if found := found or self.misfits(schema):
            raise ColumnMismatch("; ".join(fault["detail"] for fault in found), found)

    def misfits(self, schema: pl.Schema) -> list[Fault]:
        """Whatever in the definition does not fit a schema, each with its place.

        What computes with a column of unknown fields (an empty struct) is left to the data.
        """
        empty = pl.LazyFrame(schema=schema)
        opaque = {name for name, dtype in schema.items() if dtype == pl.Struct([])}
        found = [
            Fault(
                pointer=pointer("source", "bounds", name),
                detail=f"column {name} has bounds; the source gives {column_types.word(schema[name])}",
                allowed="integer columns",
            )
            for name in self.bounds
            if name in schema and not schema[name].is_integer()
        ]
        for where, expression, judge in [
            *((self._place(rule), rule.expression, partial(_compares, rule)) for rule in self.filters),
            *(
                (pointer("columns", index), expression, partial(_gives, name, declared))
                for index, (name, declared, expression) in enumerate(self.columns)
            ),
        ]:
            roots = expression.meta.root_names()
            if missing := sorted({name for name in roots if name not in schema}):
                detail, allowed = f"the source has no column {', '.join(missing)}", f"one of {', '.join(schema)}"
                found.append(Fault(pointer=where, detail=detail, allowed=allowed))
            elif expression.meta.is_column() or opaque.isdisjoint(roots):
                wrong, allowed = judge(empty, expression)
                if wrong:
                    found.append(Fault(pointer=where, detail=wrong, allowed=allowed))
        return found

    def _place(self, rule: Filter) -> str:
        return "/tenant" if rule is self.filters[0] else pointer("parameters", rule.parameter, "filter")

    def apply(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The output rows of source rows, in their order.

        Raises:
            ExpressionFailed: an expression fails on a value.
        """
        output = [expression.alias(name) for name, _, expression in self.columns]
        try:
            # First of all the tenant's rows: no expression ever sees, nor any error ever shows, another's.
            own = rows.filter(self.filters[0].predicate())
            # Not select: of constants alone it would give one row.
            kept = own.lazy().filter(self._predicate()).with_columns(output)
            return kept.select([name for name, _, _ in self.columns]).collect()
        except pl.exceptions.PolarsError as error:
            where = self._failing(own)
            raise ExpressionFailed(f"the expression of {where} fails on the data: {_first_line(error)}") from error

    def _failing(self, own: pl.DataFrame) -> str:
        """Name of the first parameter or column whose expression fails on these rows."""
        for name, expression in [
            *((rule.parameter, rule.predicate()) for rule in self.filters),
            *((name, expression) for name, _, expression in self.columns),
        ]:
            try:
                own.select(expression.alias(name))
            except pl.exceptions.PolarsError:
                return name
        return "a column"

    def _predicate(self) -> pl.Expr:
        return reduce(operator.and_, (rule.predicate() for rule in self.filters))


def _gives(name: str, declared: str, empty: pl.LazyFrame, expression: pl.Expr) -> tuple[str, str]:
    """What is wrong with a report's column, nothing when it is well, and what is allowed."""
    fits, meaning = _TYPES[declared]
    try:
        found = empty.select(expression.alias(name)).collect().schema[name]
    except pl.exceptions.PolarsError as error:
        return f"column {name}: {_first_line(error)}", "an expression of the types that the source has"
    if fits(found):
        return "", ""
    return f"column {name} is declared {declared}: {meaning}; the source gives {found}", "the type that it gives"


def _compares(rule: Filter, empty: pl.LazyFrame, _: pl.Expr) -> tuple[str, str]:
    """What is wrong with a filter, nothing when it is well, and what is allowed."""
    wrong = f"the filter of {rule.parameter} does not fit what it filters"
    fits, meaning = _COMPARED[type(rule.value)]
    try:
        found = empty.select(rule.expression.alias("")).collect_schema()[""]
        if not fits(found):
            return f"{wrong}: {meaning} is compared with {found}", meaning
        if isinstance(rule.value, datetime.date) and found == pl.Datetime and rule.operator not in (">=", "<"):
            # A date is its midnight there: "<=" would leave out all but the first moment of the last day.
            return (
                f"{wrong}: a timestamp is not compared with a date by {rule.operator}",
                "CAST(… AS DATE), or >= and <",
            )
        empty.filter(rule.predicate()).collect()
    except pl.exceptions.PolarsError as error:
        return f"{wrong}: {_first_line(error)}", meaning
    return "", ""


# What a parameter's value may be compared with. polars would compare more: a date with an integer, as days since 1970.
_COMPARED: dict[type, tuple[Callable[[pl.DataType], bool], str]] = {
    str: (_TYPES["string"][0], "text"),
    bool: (_TYPES["boolean"][0], "a boolean"),
    int: (lambda t: t.is_numeric(), "a number"),
    float: (lambda t: t.is_numeric(), "a number"),
    datetime.date: (lambda t: t in (pl.Date, pl.Datetime), "a date or a timestamp"),
}


_LARGEST_INTEGER = 2**63
"""polars refuses integers that are much larger. JSON does not tell 1e30 from an integer of as many digits."""


def _value(parameter: dict[str, Any], value: Any) -> Any:
    if parameter["type"] == "number" and abs(value) >= _LARGEST_INTEGER:
        return float(value)
    if parameter["type"] != "date":
        return value
    day = datetime.date.fromisoformat(value)
    return int(day.strftime("%Y%m%d")) if parameter["filter"].get("value_as") == "yyyymmdd" else day


def _first_line(error: Exception) -> str:
    """What polars says, without the values that it quotes: they are rows, which no log or record may hold."""
    return str(error).strip().splitlines()[0].split(" values:")[0].split(": [")[0]
