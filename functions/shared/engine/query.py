"""What a report asks of its source: columns and filters as polars expressions, never as spliced text."""

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
    """Whether it is a list, struct or map of values that JSON has, or that the other column types show as text."""
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
# Output types of the definition's column types; a clock time may be text HH:MM, because 24:00 is one.
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
        "a list, a struct or a map of values of the other types, or text that is JSON",
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
"""Types of output columns of which nothing is known but that they are null."""


@dataclass(frozen=True)
class Filter:
    """``expression operator value`` of a parameter; rows for which it is null are left out, as in SQL.

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
                # Not is_in, which casts values and column to one type: of 64-bit integers that may be a float.
                return pl.any_horizontal([each.predicate() for each in self._alternatives()])
            case "contains":
                return self.expression.cast(pl.String).str.contains(self.value, literal=True)
            case "is null":
                return self.expression.is_null() if self.value else self.expression.is_not_null()
        return _OPERATORS[self.operator](self.expression, pl.lit(self.value))

    def _alternatives(self) -> list[Filter]:
        """What ``in`` stands for: one of them must pass."""
        return [replace(self, operator="==", value=value) for value in self.value]

    def may_match(self, low: pl.DataFrame, high: pl.DataFrame) -> pl.Series:
        """For each row of bounds, whether some row between them may pass.

        Args:
            low: lower bounds of the source's columns, one row a group, null where unknown.
            high: upper bounds, likewise.

        Returns:
            Booleans; true wherever the bounds cannot tell.
        """
        unknown = pl.repeat(True, low.height, eager=True)
        if self.operator == "in":
            return reduce(operator.or_, (each.may_match(low, high) for each in self._alternatives()))
        if self.operator == "contains" and self.expression.meta.is_column():
            # A partition has but one value, as has a group whose bounds are one: nulls do not pass anyway.
            is_one = _evaluate(low, self.expression) == _evaluate(high, self.expression)
            contains = self.expression.str.contains(self.value, literal=True)
            return ~is_one.fill_null(False) | _evaluate(low, contains).fill_null(True)
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


def _hides_nulls(expression: pl.Expr) -> bool:
    """Whether a null in one column may leave the value to another: then bounds of columns are none of the value."""
    written = expression.meta.serialize(format="json")
    return any(name in written for name in _NULL_SAFE)


_NULL_SAFE = ("Coalesce", "MaxHorizontal", "MinHorizontal", "Ternary", "IsNull", "IsNotNull", "FillNull", "Concat")


def _evaluate(bounds: pl.DataFrame, predicate: pl.Expr) -> pl.Series:
    """The predicate for each row of bounds; null where it fails, for bounds taken together need not be a value."""
    try:
        found = semantics.resolved(predicate, bounds.schema)
        sure = found.expression if found.overflow is None else pl.when(~found.overflow).then(found.expression)
        return bounds.select(sure.alias("")).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a bound may be beyond the calendar
        if bounds.height == 1:
            return pl.Series([None], dtype=pl.Boolean)
        half = bounds.height // 2
        return pl.concat([_evaluate(bounds[:half], predicate), _evaluate(bounds[half:], predicate)])


@dataclass(frozen=True)
class Query:
    """A report's definition with a caller's parameters and tenant put in."""

    dataset: str
    """What the source calls it: a folder, a table."""
    tenant_column: str | None
    """The column that is the tenant; None where an expression is."""
    declared: dict[str, str]
    """The source's columns as the definition declares them, by name; none where it does not."""
    bounds: dict[str, tuple[int, int]]
    """Bounds of integer columns that hold for every row."""
    filters: list[Filter]
    columns: list[tuple[str, str, pl.Expr]]
    """(name, type, expression) of each output column."""
    optional: frozenset[str] = frozenset()
    """The source's columns that a file may lack: then they are null."""

    @classmethod
    def of(cls, definition: dict[str, Any], parameters: dict[str, Any], tenant: str) -> Query:
        """The query of a report definition for resolved parameters.

        Args:
            definition: as report.schema.json has it, of :func:`shared.engine.expressions.checked`.
        """
        whose = definition["tenant"]
        column = whose if isinstance(whose, str) else None
        expression = pl.col(column) if column else pl.sql_expr(whose["expression"])
        filters = [Filter("tenant", expression, "==", tenant, monotonic=bool(column))]
        for name, parameter in definition.get("parameters", {}).items():
            if name in parameters:
                rule = parameter["filter"]
                expression = pl.col(rule["column"]) if "column" in rule else pl.sql_expr(rule["expression"])
                monotonic = "column" in rule or (rule.get("monotonic", False) and not _hides_nulls(expression))
                value = _value(parameter, parameters[name])
                filters.append(Filter(name, expression, rule["operator"], value, monotonic))
        columns, optional = [], set[str]()
        for each in definition["columns"]:
            name, sql = each["name"], each.get("expression")
            columns.append((name, each["type"], pl.sql_expr(sql) if sql else pl.col(name)))
            optional |= {*columns[-1][2].meta.root_names()} if each.get("optional") else set()
        source = definition["source"]
        bounds = {name: (low, high) for name, (low, high) in source.get("bounds", {}).items()}
        declared = source.get("columns", {})
        where = source.get("dataset") or source["table"]
        return cls(where, column, declared, bounds, filters, columns, frozenset(optional))

    @classmethod
    def planned(cls, plan: Plan) -> Query:
        """The query of a plan."""
        return cls.of(plan["definition"], plan["parameters"], plan["tenant"])

    def needs(self) -> list[str]:
        """Names of the source's columns that are read, in a fixed order."""
        expressions = [*(rule.expression for rule in self.filters), *(expression for _, _, expression in self.columns)]
        return sorted({name for expression in expressions for name in expression.meta.root_names()})

    def rules(self, schema: Mapping[str, pl.DataType]) -> list[Filter]:
        """The filters as they compare with a source of this schema.

        A tenant is text. A column of integers is compared with the integer that the tenant's text is, if it is one.
        """
        column = self.tenant_column
        if column is None or column not in schema or not schema[column].is_integer():
            return self.filters
        tenant, *others = self.filters
        return [replace(tenant, value=int(tenant.value) if _INTEGER.fullmatch(tenant.value) else _NOBODY), *others]

    def nothing(self, schema: dict[str, str]) -> pl.DataFrame:
        """No rows of the source.

        Args:
            schema: types of the source's columns, as a plan holds them.
        """
        return pl.DataFrame(
            schema={name: column_types.wide(column_types.parsed(schema[name])) for name in self.needs()}
        )

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
        tenant, *others = self.rules(schema)
        for where, expression, judge in [
            ("/tenant", tenant.expression, partial(_compares, tenant)),
            *(
                (pointer("parameters", rule.parameter, "filter"), rule.expression, partial(_compares, rule))
                for rule in others
            ),
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

    def apply(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The output rows of source rows, in their order.

        Raises:
            ExpressionFailed: an expression fails on a value.
            ValueOutOfRange: a date, time or timestamp of the source is none that could be written exactly.
        """
        filters, columns = self._resolved(rows.schema)
        output = [each.expression.alias(name) for name, each in columns]
        # Not select: of constants alone it would give one row.
        shown = self._passing(
            rows, filters, columns, lambda kept: kept.with_columns(output).select([name for name, _ in columns])
        )
        _require_in_range(shown)
        for name, kind, _ in self.columns:
            if kind == "json" and shown.schema[name] in _TEXT:
                _require_json(shown[name])
        return shown.cast({name: _NULLS[kind] for name, kind, _ in self.columns if shown.schema[name] == pl.Null})

    def count(self, rows: pl.DataFrame) -> int:
        """How many source rows pass every filter, which is how many :meth:`apply` gives.

        Raises:
            ExpressionFailed, ValueOutOfRange: of a filter's columns.
        """
        filters, _ = self._resolved(rows.schema)
        return int(self._passing(rows, filters, [], lambda kept: kept.select(pl.len())).item())

    def of_filters(self) -> Query:
        """The query without its columns: it needs only what it filters by."""
        return replace(self, columns=[])

    def _passing(
        self,
        rows: pl.DataFrame,
        filters: list[tuple[str, Resolved]],
        columns: list[tuple[str, Resolved]],
        ask: Callable[[pl.LazyFrame], pl.LazyFrame],
    ) -> pl.DataFrame:
        """What is asked of the source rows that pass every filter."""
        if len({tuple(column.chunk_lengths()) for column in rows}) > 1:
            # polars would leave empty chunks when it filters, and some of its functions fail on those (polars 2.1).
            rows = rows.rechunk()
        try:
            # First of all the tenant's rows: no expression ever sees, nor any error ever shows, another's.
            own = rows.filter(filters[0][1].expression)
        except _FAILURES as error:
            raise _failed(filters[0][0], first_line(error)) from error
        _require_in_range(own)
        try:
            kept = own.lazy().filter(reduce(operator.and_, (each.expression for _, each in filters)))
            known = semantics.extremes(own, (each for _, each in [*filters, *columns]))
            wrapped = semantics.overflowing(filters, known, lambda: own)
            wrapped = wrapped or semantics.overflowing(columns, known, kept.collect)
            if not wrapped:
                return ask(kept).collect()
        except _FAILURES as error:
            raise _failed(self._failing(own), first_line(error)) from error
        raise _failed(wrapped, "a value overflows its type")

    def _resolved(self, schema: pl.Schema) -> tuple[list[tuple[str, Resolved]], list[tuple[str, Resolved]]]:
        """The filters, by parameter, and the columns, by name, for a schema."""
        filters = [(rule.parameter, rule.predicate()) for rule in self.rules(schema)]
        columns = [(name, expression) for name, _, expression in self.columns]
        found: list[list[tuple[str, Resolved]]] = [[], []]
        for list_, named in zip(found, (filters, columns), strict=True):
            for name, expression in named:
                try:
                    list_.append((name, semantics.resolved(expression, schema)))
                except pl.exceptions.PolarsError as error:  # of a column whose fields only the data tells
                    raise _failed(name, first_line(error)) from error
        return found[0], found[1]

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
"""What the engine raises for a value: it panics of dates beyond its calendar."""
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_NOBODY = 2**127 - 1
"""What a column of integers is compared with for a tenant whose text is no integer."""


def _require_in_range(rows: pl.DataFrame) -> None:
    """That the calendar has every day and moment of these rows, and the engine has read each as it is.

    The infinity of PostgreSQL and DuckDB is a day beyond every calendar. A timestamp stored as INT96 that nanoseconds
    of 64 bits cannot hold is read as the greatest of them, before 1677 too (tests/unit/test_value_range.py).

    Raises:
        ValueOutOfRange: naming the column.
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
                        f"column {name} holds a timestamp outside of 1677-09-21 to 2262-04-11, "
                        "the range of nanoseconds; write the column as TIMESTAMP in microseconds, as Spark does with "
                        "spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS"
                    )
            elif low < _FIRST_DAY * _A_DAY[unit] or high >= (_LAST_DAY + 1) * _A_DAY[unit]:
                raise ValueOutOfRange(
                    f"column {name} holds {'a date' if unit == 'd' else 'a timestamp'} beyond the calendar, such as "
                    "infinity; years from -262142 to 262141 are allowed. Write null, or 9999-12-31, instead"
                )


def _moments(column: pl.Series) -> Iterator[pl.Series]:
    """The dates and timestamps of a column, wherever they stand in it."""
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


def _gives(name: str, declared: str, empty: pl.LazyFrame, expression: pl.Expr) -> tuple[str, str]:
    """What is wrong with a report's column, nothing when it is well, and what is allowed."""
    fits, meaning = _TYPES[declared]
    try:
        resolved = semantics.resolved(expression, empty.collect_schema()).expression
        found = empty.select(resolved.alias(name)).collect().schema[name]
    except pl.exceptions.PolarsError as error:
        nulls = [each for each in expression.meta.root_names() if empty.collect_schema()[each] == pl.Null]
        hint = f"; declare {', '.join(nulls)} in source.columns, for the data has no type for it" if nulls else ""
        return f"column {name}: {first_line(error)}{hint}", "an expression of the types that the source has"
    if found == pl.Null or fits(found):
        return "", ""
    return f"column {name} is declared {declared}: {meaning}; the source gives {found}", "the type that it gives"


def _compares(rule: Filter, empty: pl.LazyFrame, _: pl.Expr) -> tuple[str, str]:
    """What is wrong with a filter, nothing when it is well, and what is allowed."""
    wrong = f"the filter of {rule.parameter} does not fit what it filters"
    value = rule.value[0] if rule.operator == "in" else rule.value
    fits, meaning = _ANY if rule.operator == "is null" else _COMPARED[type(value)]
    try:
        schema = empty.collect_schema()
        found = empty.select(semantics.resolved(rule.expression, schema).expression.alias("")).collect_schema()[""]
        if found != pl.Null and not fits(found):
            return f"{wrong}: {meaning} is compared with {found}", meaning
        if isinstance(value, datetime.date) and found == pl.Datetime and rule.operator not in (">=", "<"):
            # A date is its midnight there: "<=" would leave out all but the first moment of the last day.
            return (
                f"{wrong}: a timestamp is not compared with a date by {rule.operator}",
                "CAST(… AS DATE), or >= and <",
            )
        empty.filter(semantics.resolved(rule.predicate(), schema).expression).collect()
    except pl.exceptions.PolarsError as error:
        return f"{wrong}: {first_line(error)}", meaning
    return "", ""


# What a parameter's value may be compared with. polars would compare more: a date with an integer, as days since 1970.
_COMPARED: dict[type, tuple[Callable[[pl.DataType], bool], str]] = {
    str: (_TYPES["string"][0], "text"),
    bool: (_TYPES["boolean"][0], "a boolean"),
    int: (lambda t: t.is_numeric(), "a number"),
    float: (lambda t: t.is_numeric(), "a number"),
    datetime.date: (lambda t: t in (pl.Date, pl.Datetime), "a date or a timestamp"),
}
_ANY: tuple[Callable[[pl.DataType], bool], str] = (lambda _: True, "a value of any type")


_LARGEST_INTEGER = 2**63
"""polars refuses integers that are much larger. JSON does not tell 1e30 from an integer of as many digits."""


def _value(parameter: dict[str, Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_value(parameter, each) for each in value]
    if parameter["type"] == "number" and abs(value) >= _LARGEST_INTEGER:
        return float(value)
    if parameter["type"] != "date":
        return value
    day = datetime.date.fromisoformat(value)
    return int(day.strftime("%Y%m%d")) if parameter["filter"].get("value_as") == "yyyymmdd" else day


def _failed(name: str, why: str) -> ExpressionFailed:
    return ExpressionFailed(f"the expression of {name} fails on the data: {why}")


def _require_json(texts: pl.Series) -> None:
    """Whether each text is JSON (RFC 8259).

    Raises:
        ExpressionFailed: one is not.
    """
    text = texts.cast(pl.String)
    # The engine is quick, but takes null for no value, and knows no numbers beyond those of a double.
    doubtful = text.filter(text.is_not_null() & text.to_frame("").select(_PARSED).to_series().is_null())
    for each in doubtful:
        try:
            json.loads(each, parse_int=str, parse_constant=_refuse)
        except (ValueError, RecursionError):
            detail = f"column {texts.name} is declared json: a text in it is not JSON"
            raise ExpressionFailed(detail) from None  # the cause would show the text


_PARSED = pl.col("").str.json_path_match("$")


def _refuse(constant: str) -> None:
    """NaN and Infinity, which Python would read."""
    raise ValueError(constant)


def first_line(error: BaseException) -> str:
    """What polars says, without the values that it quotes: they are rows, which no log or record may hold."""
    line = str(error).strip().partition("\n")[0]
    if line.startswith("cannot advance"):
        return "an interval leads beyond the calendar"
    return line.split(" values:")[0].split(": [")[0]
