"""What a report reads from its source: columns and filters as polars expressions, never as concatenated text."""

from __future__ import annotations

import datetime
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, cast

import polars as pl

from shared.engine import column_types, semantics
from shared.engine.semantics import Resolved
from shared.errors import ColumnMismatch, ExpressionFailed, ValueOutOfRange
from shared.files.query_results import QueryResult
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
    """Whether the type is a list, struct or map whose values are JSON values or have a text form in other columns."""
    if isinstance(dtype, pl.List | pl.Array):
        return _is_json(cast(pl.DataType, dtype.inner), within=True)
    if isinstance(dtype, pl.Map):
        key, value = cast(pl.DataType, dtype.key), cast(pl.DataType, dtype.value)
        return not key.is_nested() and _is_json(key, within=True) and _is_json(value, within=True)
    if isinstance(dtype, pl.Struct):
        return all(_is_json(cast(pl.DataType, each.dtype), within=True) for each in dtype.fields)
    return within and (dtype.is_numeric() or dtype in _WITHIN_JSON)


_TEXT = (pl.String, pl.Categorical, pl.Enum)
_WITHIN_JSON = (*_TEXT, pl.Binary, pl.Boolean, pl.Date, pl.Time, pl.Datetime, pl.Null)
# Output types of the definition's column types. A time of day may be text HH:MM, because 24:00 is a time of day.
_TYPES: dict[str, tuple[Callable[[pl.DataType], bool], str]] = {
    "string": (lambda t: t in _TEXT, "text"),
    "integer": (lambda t: t.is_integer(), "an integer"),
    "number": (lambda t: t.is_float() or t.is_integer(), "a number"),
    "decimal": (lambda t: t.is_decimal(), "a decimal"),
    "boolean": (lambda t: t == pl.Boolean, "a boolean"),
    "date": (lambda t: t == pl.Date, "a date"),
    "time": (lambda t: t in (pl.String, pl.Time), "a time, or text HH:MM"),
    "timestamp": (lambda t: t == pl.Datetime, "a timestamp"),
    "binary": (lambda t: t == pl.Binary, "binary"),
    "json": (
        lambda t: t in _TEXT or _is_json(t),
        "a list, a struct or a map of values of the other types, or JSON text",
    ),
}
_NULLS: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "decimal": pl.Decimal(38, 9),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us", "UTC"),
    "binary": pl.Binary(),
    "json": pl.String(),
}
"""Types of output columns that are known only to be null."""


@dataclass(frozen=True)
class Filter:
    """``expression operator value`` of a parameter. As in SQL, rows for which it is null do not pass.

    The operators are those of report.schema.json. The value of ``in`` is a list.
    """

    parameter: str
    expression: pl.Expr
    operator: str
    value: Any
    monotonic: bool

    def predicate(self) -> pl.Expr:
        """The filter as a boolean expression."""
        match self.operator:
            case "in" if isinstance(self.value[0], str):
                return self.expression.cast(pl.String).is_in(self.value)
            case "in":
                # Not is_in: it casts the values and the column to one type, for 64-bit integers possibly to a float.
                return pl.any_horizontal([each.predicate() for each in self._alternatives()])
            case "contains":
                return self.expression.cast(pl.String).str.contains(self.value, literal=True)
            case "is null":
                return self.expression.is_null() if self.value else self.expression.is_not_null()
        return _OPERATORS[self.operator](self.expression, pl.lit(self.value))

    def _alternatives(self) -> list[Filter]:
        """The ``==`` filters that ``in`` stands for. A row passes if it passes one of them."""
        return [replace(self, operator="==", value=value) for value in self.value]

    def may_match(self, low: pl.DataFrame, high: pl.DataFrame) -> pl.Series:
        """For each row of bounds, whether a row of the source within these bounds may pass.

        Args:
            low: lower bounds of the source's columns, one row per group, null if unknown.
            high: upper bounds, in the same form.

        Returns:
            Booleans; true if the bounds do not decide it.
        """
        unknown = pl.repeat(True, low.height, eager=True)
        if self.operator == "in":
            return reduce(operator.or_, (each.may_match(low, high) for each in self._alternatives()))
        if self.operator == "contains" and self.expression.meta.is_column():
            # A partition has one value, and so has a group with equal bounds. Nulls do not pass anyway.
            has_one_value = _evaluate(low, self.expression) == _evaluate(high, self.expression)
            contains = self.expression.str.contains(self.value, literal=True)
            return ~has_one_value.fill_null(False) | _evaluate(low, contains).fill_null(True)
        if not self.monotonic or self.operator in ("!=", "contains", "is null"):
            return unknown
        tests = {"==": ("<=", ">="), "<": ("<", None), "<=": ("<=", None), ">": (None, ">"), ">=": (None, ">=")}
        on_low, on_high = tests[self.operator]
        result = unknown
        for bounds, test in ((low, on_low), (high, on_high)):
            if test:
                predicate = _OPERATORS[test](self.expression, pl.lit(self.value))
                known = pl.all_horizontal(pl.col(self.expression.meta.root_names()).is_not_null())
                result &= _evaluate(bounds, predicate).fill_null(True) | ~bounds.select(known).to_series()
        return result


def _columns(definition: dict[str, Any]) -> tuple[list[tuple[str, str, pl.Expr]], frozenset[str]]:
    """(name, type, expression) of each column, and the source's columns that a file may lack."""
    columns, optional = [], set[str]()
    for each in definition["columns"]:
        name, sql = each["name"], each.get("expression")
        columns.append((name, each["type"], pl.sql_expr(sql) if sql else pl.col(name)))
        optional |= {*columns[-1][2].meta.root_names()} if each.get("optional") else set()
    return columns, frozenset(optional)


def _hides_nulls(expression: pl.Expr) -> bool:
    """Whether another column may give the value if one is null. The columns' bounds then do not bound the value."""
    serialized = expression.meta.serialize(format="json")
    return any(name in serialized for name in _NULL_SAFE)


_NULL_SAFE = ("Coalesce", "MaxHorizontal", "MinHorizontal", "Ternary", "IsNull", "IsNotNull", "FillNull", "Concat")


def _evaluate(bounds: pl.DataFrame, predicate: pl.Expr) -> pl.Series:
    """The predicate for each row of bounds; null if it fails, because a row of bounds need not exist in the data."""
    try:
        resolved = semantics.resolved(predicate, bounds.schema)
        value = resolved.expression
        certain = value if resolved.overflow is None else pl.when(~resolved.overflow).then(value)
        return bounds.select(certain.alias("")).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a bound may be outside the calendar
        if bounds.height <= 1:
            return pl.Series([None] * bounds.height, dtype=pl.Boolean)
        half = bounds.height // 2
        return pl.concat([_evaluate(bounds[:half], predicate), _evaluate(bounds[half:], predicate)])


@dataclass(frozen=True)
class Query:
    """A report's definition, combined with a caller's parameters and tenant."""

    dataset: str
    """Name of the folder or table in the source."""
    tenant_column: str | None
    """The column that holds the tenant; None if the tenant is an expression, or if a query's result has no others."""
    declared: dict[str, str]
    """The source's columns that the definition declares: types by name."""
    bounds: dict[str, tuple[int, int]]
    """Bounds of integer columns, valid for every row."""
    filters: list[Filter]
    columns: list[tuple[str, str, pl.Expr]]
    """(name, type, expression) of each output column."""
    optional: frozenset[str] = frozenset()
    """The source's columns that a file may lack. Missing columns are null."""
    result: QueryResult | None = None
    """The result to plan, if the rows are those of a report's query."""

    @classmethod
    def of(cls, definition: dict[str, Any], parameters: dict[str, Any], tenant: str) -> Query:
        """The query of a report definition for resolved parameters.

        Args:
            definition: in the form of report.schema.json, from :func:`shared.engine.expressions.checked`.
        """
        source = definition["source"]
        if source["type"] == "query":
            return cls._of_result(definition)
        tenant_rule = definition["tenant"]
        column = tenant_rule if isinstance(tenant_rule, str) else None
        expression = pl.col(column) if column else pl.sql_expr(tenant_rule["expression"])
        filters = [Filter("tenant", expression, "==", tenant, monotonic=bool(column))]
        for name, parameter in definition.get("parameters", {}).items():
            if name in parameters:
                rule = parameter["filter"]
                expression = pl.col(rule["column"]) if "column" in rule else pl.sql_expr(rule["expression"])
                monotonic = "column" in rule or (rule.get("monotonic", False) and not _hides_nulls(expression))
                value = _value(parameter, parameters[name])
                filters.append(Filter(name, expression, rule["operator"], value, monotonic))
        columns, optional = _columns(definition)
        bounds = {name: (low, high) for name, (low, high) in source.get("bounds", {}).items()}
        declared = source.get("columns", {})
        dataset = source.get("dataset") or source["table"]
        return cls(dataset, column, declared, bounds, filters, columns, optional)

    @classmethod
    def _of_result(cls, definition: dict[str, Any]) -> Query:
        """The query of the result of a report's query: every row is the tenant's, and passes."""
        columns, optional = _columns(definition)
        return cls("", None, definition["source"].get("columns", {}), {}, [], columns, optional)

    @classmethod
    def planned(cls, plan: Plan) -> Query:
        """The query of a plan."""
        return cls.of(plan["definition"], plan["parameters"], plan["tenant"])

    def needs(self) -> list[str]:
        """Names of the source's columns that the query reads, sorted."""
        expressions = [*(rule.expression for rule in self.filters), *(expression for _, _, expression in self.columns)]
        return sorted({name for expression in expressions for name in expression.meta.root_names()})

    def rules(self, schema: Mapping[str, pl.DataType]) -> list[Filter]:
        """The filters for a source with this schema.

        A tenant is text. If the tenant column holds integers, the filter compares it with the tenant as an integer.
        """
        column = self.tenant_column
        if column is None or column not in schema or not schema[column].is_integer():
            return self.filters
        tenant, *others = self.filters
        return [replace(tenant, value=int(tenant.value) if _INTEGER.fullmatch(tenant.value) else _NO_TENANT), *others]

    def nothing(self, schema: dict[str, str]) -> pl.DataFrame:
        """A source frame without rows.

        Args:
            schema: types of the source's columns, as a plan stores them.
        """
        return pl.DataFrame(
            schema={name: column_types.wide(column_types.parsed(schema[name])) for name in self.needs()}
        )

    def check(self, schema: pl.Schema) -> None:
        """Checks that the query fits the source's schema.

        Raises:
            ColumnMismatch: the source lacks a column or has it with another type, or a filter cannot compare.
        """
        faults = column_types.faults(self.declared, schema)
        if not faults and (missing := [name for name in self.needs() if name not in schema]):
            raise ColumnMismatch(f"the source has no column {', '.join(missing)}; it has: {', '.join(schema)}")
        if faults := faults or self.misfits(schema):
            raise ColumnMismatch("; ".join(fault["detail"] for fault in faults), faults)

    def misfits(self, schema: pl.Schema) -> list[Fault]:
        """Everything in the definition that does not fit the schema.

        Expressions of a column with unknown fields (an empty struct) are not checked: only the data shows the fields.
        """
        empty = pl.LazyFrame(schema=schema)
        opaque = {name for name, dtype in schema.items() if dtype == pl.Struct([])}
        faults = [
            Fault(
                pointer=pointer("source", "bounds", name),
                detail=f"column {name} has bounds, which need an integer; "
                f"the source gives {column_types.word(schema[name])}",
                allowed="integer columns",
            )
            for name in self.bounds
            if name in schema and not schema[name].is_integer()
        ]
        rules = self.rules(schema)
        for where, expression, check in [
            *(
                (
                    "/tenant" if rule is rules[0] else pointer("parameters", rule.parameter, "filter"),
                    rule.expression,
                    partial(_filter_fault, rule),
                )
                for rule in rules
            ),
            *(
                (pointer("columns", index), expression, partial(_column_fault, name, declared))
                for index, (name, declared, expression) in enumerate(self.columns)
            ),
        ]:
            roots = expression.meta.root_names()
            if missing := sorted({name for name in roots if name not in schema}):
                detail, allowed = f"the source has no column {', '.join(missing)}", f"one of {', '.join(schema)}"
                faults.append(Fault(pointer=where, detail=detail, allowed=allowed))
            elif expression.meta.is_column() or opaque.isdisjoint(roots):
                detail, allowed = check(empty, expression)
                if detail:
                    faults.append(Fault(pointer=where, detail=detail, allowed=allowed))
        return faults

    def apply(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The output rows for source rows, in the same order.

        Raises:
            ExpressionFailed: an expression fails on a value.
            ValueOutOfRange: a date, time or timestamp of the source cannot be written exactly.
        """
        filters, columns = self._resolved(rows.schema)
        output = [each.expression.alias(name) for name, each in columns]
        # Not select: for constants alone, it returns one row.
        shown = self._passing(
            rows, filters, columns, lambda kept: kept.with_columns(output).select([name for name, _ in columns])
        )
        _require_in_range(shown)
        for name, kind, _ in self.columns:
            if kind == "json" and shown.schema[name] in _TEXT:
                _require_json(shown[name])
        return shown.cast({name: _NULLS[kind] for name, kind, _ in self.columns if shown.schema[name] == pl.Null})

    def count(self, rows: pl.DataFrame) -> int:
        """How many source rows pass every filter: the number of rows that :meth:`apply` returns.

        Raises:
            ExpressionFailed, ValueOutOfRange: for a filter or its columns.
        """
        filters, _ = self._resolved(rows.schema)
        return int(self._passing(rows, filters, [], lambda kept: kept.select(pl.len())).item())

    def of_filters(self) -> Query:
        """The query without its output columns: it needs only the columns of its filters."""
        return replace(self, columns=[])

    def _passing(
        self,
        rows: pl.DataFrame,
        filters: list[tuple[str, Resolved]],
        columns: list[tuple[str, Resolved]],
        ask: Callable[[pl.LazyFrame], pl.LazyFrame],
    ) -> pl.DataFrame:
        """The result of ``ask`` for the source rows that pass every filter."""
        if len({tuple(column.chunk_lengths()) for column in rows}) > 1:
            # Otherwise the polars filter leaves empty chunks, and some polars functions fail on those (polars 2.1).
            rows = rows.rechunk()
        try:
            # The tenant's filter comes first: no expression sees, and no error shows, another tenant's rows.
            own = rows.filter(filters[0][1].expression) if filters else rows
        except _FAILURES as error:
            raise _failed(filters[0][0], first_line(error)) from error
        _require_in_range(own)
        try:
            kept = own.lazy()
            if filters:
                kept = kept.filter(reduce(operator.and_, (each.expression for _, each in filters)))
            known = semantics.extremes(own, (each for _, each in [*filters, *columns]))
            overflowing = semantics.overflowing(filters, known, lambda: own)
            overflowing = overflowing or semantics.overflowing(columns, known, kept.collect)
            if not overflowing:
                return ask(kept).collect()
        except _FAILURES as error:
            raise _failed(self._failing(own), first_line(error)) from error
        raise _failed(overflowing, "a value overflows its type")

    def _resolved(self, schema: pl.Schema) -> tuple[list[tuple[str, Resolved]], list[tuple[str, Resolved]]]:
        """The filters (by parameter) and the columns (by name), resolved for a schema."""
        filters = [(rule.parameter, rule.predicate()) for rule in self.rules(schema)]
        columns = [(name, expression) for name, _, expression in self.columns]
        resolved: list[list[tuple[str, Resolved]]] = [[], []]
        for list_, named in zip(resolved, (filters, columns), strict=True):
            for name, expression in named:
                try:
                    list_.append((name, semantics.resolved(expression, schema)))
                except pl.exceptions.PolarsError as error:  # a column whose fields only the data shows
                    raise _failed(name, first_line(error)) from error
        return resolved[0], resolved[1]

    def _failing(self, own: pl.DataFrame) -> str:
        """Name of the first parameter or column whose expression fails on these rows."""
        filters, columns = self._resolved(own.schema)
        for name, each in [*filters, *columns]:
            try:
                own.select(each.expression.alias(name))
            except _FAILURES:
                return name
        return "a column"


_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What polars raises for a value. It panics for dates outside its calendar."""
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_NO_TENANT = 2**127 - 1
"""The value for a tenant column of integers if the tenant's text is not an integer. It matches no row."""


def _require_in_range(rows: pl.DataFrame) -> None:
    """Checks that the calendar holds every date and timestamp of these rows, and that polars has read each exactly.

    PostgreSQL and DuckDB write infinity as a day outside the calendar. polars reads an INT96 timestamp that does not
    fit in 64-bit nanoseconds as the greatest value, even one before 1677 (tests/unit/test_value_range.py).

    Raises:
        ValueOutOfRange: names the column.
    """
    for name in rows.columns:
        for moments in _moments(rows[name]):
            numbers = moments.to_physical()
            low, high = cast(tuple[int | None, int | None], (numbers.min(), numbers.max()))
            if low is None or high is None:
                continue
            unit = moments.dtype.time_unit if isinstance(moments.dtype, pl.Datetime) else "d"
            if unit == "ns":
                if low == _LEAST_NANOSECOND or high == _GREATEST_NANOSECOND:
                    raise ValueOutOfRange(
                        f"column {name} holds a timestamp outside 1677-09-21 to 2262-04-11, "
                        "the range of nanoseconds; write the column as TIMESTAMP in microseconds (in Spark: "
                        "spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS)"
                    )
            elif low < _FIRST_DAY * _A_DAY[unit] or high >= (_LAST_DAY + 1) * _A_DAY[unit]:
                raise ValueOutOfRange(
                    f"column {name} holds {'a date' if unit == 'd' else 'a timestamp'} outside the calendar, such as "
                    "infinity; years from -262142 to 262141 are allowed; write null or 9999-12-31 instead"
                )


def _moments(column: pl.Series) -> Iterator[pl.Series]:
    """The dates and timestamps of a column, including those in lists, structs and maps."""
    if column.dtype in (pl.Date, pl.Datetime):
        yield column
    elif "Date" in str(column.dtype):
        if isinstance(column.dtype, pl.Map):
            pair = pl.Struct({"key": column.dtype.key, "value": column.dtype.value})
            yield from _moments(column.cast(pl.List(pair)))
        elif isinstance(column.dtype, pl.Struct):
            for each in column.struct.fields:
                yield from _moments(column.struct.field(each))
        else:
            yield from _moments(column.explode())


_LEAST_NANOSECOND, _GREATEST_NANOSECOND = -(2**63), 2**63 - 1
_FIRST_DAY, _LAST_DAY = column_types.CALENDAR
_A_DAY = {"d": 1, "ms": 86_400_000, "us": 86_400_000_000}


def _column_fault(name: str, declared: str, empty: pl.LazyFrame, expression: pl.Expr) -> tuple[str, str]:
    """The fault of a report's column and what is allowed; empty if there is no fault."""
    fits, meaning = _TYPES[declared]
    try:
        resolved = semantics.resolved(expression, empty.collect_schema()).expression
        source_type = empty.select(resolved.alias(name)).collect().schema[name]
    except pl.exceptions.PolarsError as error:
        nulls = [each for each in expression.meta.root_names() if empty.collect_schema()[each] == pl.Null]
        hint = f"; declare {', '.join(nulls)} in source.columns, because the data does not show its type"
        detail = f"column {name}: {first_line(error)}{hint if nulls else ''}"
        return detail, "an expression that fits the source's types"
    if source_type == pl.Null or fits(source_type):
        return "", ""
    detail = f"column {name} is declared {declared}, which needs {meaning}; the source gives {source_type}"
    return detail, "the type that the source gives"


def _filter_fault(rule: Filter, empty: pl.LazyFrame, _: pl.Expr) -> tuple[str, str]:
    """The fault of a filter and what is allowed; empty if there is no fault."""
    subject = f"the filter of {rule.parameter}"
    value = rule.value[0] if rule.operator == "in" else rule.value
    fits, meaning = _ANY if rule.operator == "is null" else _COMPARED[type(value)]
    try:
        schema = empty.collect_schema()
        resolved = semantics.resolved(rule.expression, schema).expression
        source_type = empty.select(resolved.alias("")).collect_schema()[""]
        if source_type != pl.Null and not fits(source_type):
            return f"{subject} needs {meaning}; the source gives {source_type}", meaning
        if isinstance(value, datetime.date) and source_type == pl.Datetime and rule.operator not in (">=", "<"):
            # As a timestamp, a date is its midnight: "<=" would exclude the last day except for its first moment.
            return (
                f"{subject} compares a timestamp with a date by {rule.operator}; only >= and < are allowed",
                ">= or <, or CAST(… AS DATE)",
            )
        empty.filter(semantics.resolved(rule.predicate(), schema).expression).collect()
    except pl.exceptions.PolarsError as error:
        return f"{subject} does not fit the source: {first_line(error)}", meaning
    return "", ""


# The types that a parameter's value may be compared with. polars allows more: a date with an integer (days since 1970).
_COMPARED: dict[type, tuple[Callable[[pl.DataType], bool], str]] = {
    str: (_TYPES["string"][0], "text"),
    bool: (_TYPES["boolean"][0], "a boolean"),
    int: (lambda t: t.is_numeric(), "a number"),
    float: (lambda t: t.is_numeric(), "a number"),
    datetime.date: (lambda t: t in (pl.Date, pl.Datetime), "a date or a timestamp"),
}
_ANY: tuple[Callable[[pl.DataType], bool], str] = (lambda _: True, "a value of any type")


_LARGEST_INTEGER = 2**63
"""polars refuses integers that are much larger. JSON does not distinguish 1e30 from an integer with as many digits."""


def _value(parameter: dict[str, Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_value(parameter, each) for each in value]
    if parameter["type"] == "number" and abs(value) >= _LARGEST_INTEGER:
        return float(value)
    if parameter["type"] != "date":
        return value
    day = datetime.date.fromisoformat(value)
    return int(day.strftime("%Y%m%d")) if parameter["filter"].get("value_as") == "yyyymmdd" else day


def _failed(name: str, reason: str) -> ExpressionFailed:
    return ExpressionFailed(f"the expression of {name} fails on the data: {reason}")


def _require_json(texts: pl.Series) -> None:
    """Checks that each text is JSON (RFC 8259).

    Raises:
        ExpressionFailed: a text is not JSON.
    """
    text = texts.cast(pl.String)
    # polars checks fast, but it rejects null and numbers that a double cannot hold. Python checks those texts again.
    doubtful = text.filter(text.is_not_null() & text.to_frame("").select(_PARSED).to_series().is_null())
    for each in doubtful:
        try:
            json.loads(each, parse_int=str, parse_constant=_refuse)
        except (ValueError, RecursionError):
            detail = f"column {texts.name} is declared json, but one of its texts is not valid JSON"
            raise ExpressionFailed(detail) from None  # the cause would show the text


_PARSED = pl.col("").str.json_path_match("$")


def _refuse(constant: str) -> None:
    """Refuses NaN and Infinity, which Python's parser accepts."""
    raise ValueError(constant)


def first_line(error: BaseException) -> str:
    """The first line of polars' message without the values it quotes: no log or record may hold data of rows."""
    line = str(error).strip().partition("\n")[0]
    if line.startswith("cannot advance"):
        return "adding an interval gives a date outside the calendar"
    return line.split(" values:")[0].split(": [")[0]
