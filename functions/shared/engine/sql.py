"""Parses one SQL expression into a tree, checks the tree against an allow list, and writes SQL from the tree.

polars runs the SQL that is written from the tree. An expression that sqlglot and polars parse differently is refused,
so the checked expression is the one that runs. Importing sqlglot takes about as long as importing polars:
:mod:`shared.engine.expressions` imports this module only if a report has an expression.
"""

import string
from typing import Any, ClassVar, NamedTuple

import polars as pl
from sqlglot import Dialect, exp, parser, tokens
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import TokenType

FUNCTIONS = frozenset(
    """
    ABS CBRT CEIL CEILING DEGREES DIV EXP FLOOR LN LOG LOG10 LOG1P LOG2 MOD PI POW POWER RADIANS ROUND SIGN SQRT TRUNC
    ACOS ASIN ATAN ATAN2 COS COT SIN TAN BIT_AND BIT_COUNT BIT_NOT BIT_OR BIT_XOR
    BIT_LENGTH CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS ENDS_WITH INITCAP LEFT LENGTH LOWER LPAD LTRIM NORMALIZE
    OCTET_LENGTH REGEXP_LIKE REGEXP_REPLACE REPLACE REVERSE RIGHT RPAD RTRIM SPLIT_PART STARTS_WITH STRPOS SUBSTR
    SUBSTRING TRIM UPPER
    COALESCE GREATEST IF IFNULL LEAST NULLIF
    ARRAY_CONTAINS ARRAY_GET ARRAY_LENGTH
    DATE DATE_PART DAY HOUR MINUTE MONTH QUARTER SECOND STRFTIME STRPTIME TIMESTAMP WEEK YEAR
    """.split()  # noqa: SIM905 - a list would need eighty lines
)
"""Functions of polars SQL ("SQL Interface", polars documentation) whose value depends only on their arguments."""


class _TypedText(exp.Expression):
    """``DATE '2013-01-31'``. sqlglot turns it into a cast, but polars reads a cast of a text differently."""

    arg_types: ClassVar[dict[str, bool]] = {"to": True, "this": True}


# The allowed operations and their SQL. An operand that is an operation gets parentheses.
_OPERATIONS: dict[type[exp.Expr], str] = {
    exp.Add: "{this} + {expression}",
    exp.Sub: "{this} - {expression}",
    exp.Mul: "{this} * {expression}",
    exp.Div: "{this} / {expression}",
    exp.IntDiv: "{this} // {expression}",
    exp.Mod: "{this} % {expression}",
    exp.DPipe: "{this} || {expression}",
    exp.BitwiseAnd: "{this} & {expression}",
    exp.BitwiseOr: "{this} | {expression}",
    exp.EQ: "{this} = {expression}",
    exp.NEQ: "{this} <> {expression}",
    exp.LT: "{this} < {expression}",
    exp.LTE: "{this} <= {expression}",
    exp.GT: "{this} > {expression}",
    exp.GTE: "{this} >= {expression}",
    exp.NullSafeEQ: "{this} IS NOT DISTINCT FROM {expression}",
    exp.NullSafeNEQ: "{this} IS DISTINCT FROM {expression}",
    exp.And: "{this} AND {expression}",
    exp.Or: "{this} OR {expression}",
    exp.Not: "NOT {this}",
    exp.Neg: "-{this}",
    exp.Is: "{this} IS {not}{expression}",
    exp.In: "{this} {not}IN ({expressions})",
    exp.Between: "{this} {not}BETWEEN {low} AND {high}",
    exp.Like: "{this} {not}LIKE {expression}",
    exp.ILike: "{this} {not}ILIKE {expression}",
    exp.Bracket: "{this}[{expressions}]",
}
# The left operands of these get no parentheses: a long chain would nest deeper than polars can parse.
_CHAINS: list[set[type[exp.Expr]]] = [
    {exp.Add, exp.Sub},
    {exp.Mul, exp.Div, exp.IntDiv, exp.Mod},
    {exp.DPipe},
    {exp.And},
    {exp.Or},
]
# Everything else that is allowed.
_OTHERS: dict[type[exp.Expr], str] = {
    exp.Paren: "({this})",
    exp.Anonymous: "{this}({expressions})",
    exp.Cast: "CAST({this} AS {to})",
    exp.TryCast: "TRY_CAST({this} AS {to})",
    exp.Extract: "EXTRACT({this} FROM {expression})",
    exp.Normalize: "NORMALIZE({this}, {form})",
    exp.Case: "CASE {this} {ifs} ELSE {default} END",
    exp.If: "WHEN {this} THEN {true}",
    exp.Column: "{catalog}{db}{table}{this}",
    exp.Identifier: "{this}",
    exp.Literal: "{this}",
    exp.Boolean: "{this}",
    exp.Null: "NULL",
    exp.Var: "{this}",
    exp.DataType: "{this}{expressions}",
    exp.DataTypeParam: "{this}",
    exp.Interval: "INTERVAL {this} {unit}",
    _TypedText: "{to} {this}",
}
_FORMS = _OPERATIONS | _OTHERS
_MARKS = {"is_string", "negate", "quoted", "safe", "typed"}
"""Arguments of a node that its own SQL shows, or that describe how other databases compute it."""
_ALLOWED = (
    "columns, text, numbers, dates, + - * / // % || & | [ ], comparisons, AND, OR, NOT, BETWEEN, IN, IS, LIKE, ILIKE, "
    "CASE, CAST, TRY_CAST, EXTRACT, and functions of one row"
)


class _Dialect(Dialect):
    """SQL in which a function is only a name with arguments, so that sqlglot translates no function."""

    class Tokenizer(tokens.Tokenizer):
        KEYWORDS: ClassVar[Any] = {**tokens.Tokenizer.KEYWORDS, "//": TokenType.DIV, "DIV": TokenType.VAR}

    class Parser(parser.Parser):
        FUNCTIONS: ClassVar[Any] = {}
        FUNCTION_PARSERS: ClassVar[Any] = {
            name: parser.Parser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT", "NORMALIZE")
        }
        NO_PAREN_FUNCTION_PARSERS: ClassVar[Any] = {"CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
        TYPE_LITERAL_PARSERS: ClassVar[Any] = dict.fromkeys(
            (exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP), lambda _, text, to: _TypedText(to=to, this=text)
        )


class SqlFault(NamedTuple):
    """A fault of an expression, and what is allowed instead."""

    detail: str
    allowed: str


def checked(text: str) -> tuple[str, list[SqlFault]]:
    """The SQL that polars runs for the expression, and the expression's faults.

    A worker sees the rows of one part, in batches, and a retry must give the same bytes. An expression therefore must
    not use other rows (``SUM``, ``OVER``), a query (``SELECT``) or the clock (``NOW``).
    """
    try:
        trees = _Dialect().parse_into(exp.Condition, text)
        if len(trees) != 1 or not trees[0]:
            return "", [SqlFault(f"{_short(text)!r} is not one expression", "one SQL expression")]
        writer = _Writer()
        written = writer.write(trees[0])
    except (SqlglotError, RecursionError) as error:
        return "", [_not_an_expression(text, error)]
    if writer.faults:
        return "", writer.faults
    try:
        if not pl.sql_expr(text).meta.eq(pl.sql_expr(written)):
            detail = f"polars does not read {_short(text)!r} as {_short(written)}"
            return "", [SqlFault(detail, "parentheses that show which operands belong together")]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return "", [_not_an_expression(text, error)]
    return _Writer(as_meant=True).write(trees[0]), []


def columns(written: str) -> list[str]:
    """The columns that an expression uses.

    Args:
        written: the SQL that :func:`checked` returns.
    """
    return pl.sql_expr(written).meta.root_names()


def _not_an_expression(text: str, error: BaseException) -> SqlFault:
    if isinstance(error, ParseError) and error.errors:
        reason = f"syntax error at {error.errors[0]['highlight']!r}"
    else:
        reason = str(error).strip().splitlines()[0]
    return SqlFault(f"{_short(text)!r} is not an expression: {_short(reason)}", "an expression of polars SQL")


class _Writer:
    """Writes allowed SQL and collects the faults.

    Args:
        as_meant: replaces SQL that polars computes differently by SQL that gives the standard's result.
    """

    def __init__(self, as_meant: bool = False) -> None:
        self.faults: list[SqlFault] = []
        self._as_meant = as_meant

    def write(self, node: exp.Expr, negated: bool = False) -> str:
        """The SQL of a node; empty if the node is not allowed."""
        form = _FORMS.get(type(node), "")
        names = [name for _, name, _, _ in string.Formatter().parse(form) if name]
        if not form or {name for name, value in node.args.items() if value} - {*names} - _MARKS:
            return self._refuse(f"{_short(node.sql(comments=False))} is not allowed in an expression", _ALLOWED)
        match node:
            case exp.Literal():
                return _quoted(node.name, "'") if node.is_string else node.name
            case exp.Identifier():
                return _quoted(node.name, '"')
            case exp.Boolean() | exp.Var():
                return str(node.this).upper()
            case exp.DataType():
                self._list(node.expressions)
                return node.sql()
            case exp.Interval():
                return "INTERVAL " + _quoted(f"{node.name} {node.text('unit')}", "'")
            case exp.Column():
                if len(node.parts) == 1 and not _is_column(node.this):
                    return self._refuse(f"{node.name} is an SQL keyword", f'"{node.name}" if you mean the column')
                return ".".join(self.write(part) for part in node.parts)
            case exp.Anonymous():
                if (name := node.name.upper()) not in FUNCTIONS:
                    return self._refuse(f"{name} is not an allowed function", ", ".join(sorted(FUNCTIONS)))
                return self._call(name, node.expressions)
            case exp.Is(expression=exp.Boolean()) if self._as_meant:
                form = _FORMS[exp.NullSafeNEQ if negated else exp.NullSafeEQ]
            case exp.Not(this=exp.Is() | exp.In() | exp.Between()):
                return self.write(node.this, negated=True)
        negation = "NOT " if negated or node.args.get("negate") else ""
        return form.format(**{name: negation if name == "not" else self._argument(node, name) for name in names})

    def _call(self, name: str, arguments: list[exp.Expr]) -> str:
        if self._as_meant:
            match name, arguments:
                case "LOG", [base, value]:  # polars takes the base second
                    arguments = [value, base]
                case "LEFT" | "RIGHT", [text, exp.Literal(name="0")]:  # polars returns "" for null too
                    return f"SUBSTR({self.write(text)}, 1, 0)"
                case "REPLACE", [text, exp.Literal(name=""), _]:  # polars would insert between the characters
                    return f"CAST({self.write(text)} AS VARCHAR)"
        return f"{name}({self._list(arguments)})"

    def _argument(self, node: exp.Expr, name: str) -> str:
        value = node.args.get(name)
        if not value:
            return {"default": "NULL", "form": "NFC"}.get(name, "")
        if isinstance(value, list):
            return self._list(value, " " if name == "ifs" else ", ")
        text = self.write(value)
        kinds: set[type[exp.Expr]] = {type(node), type(value)}
        is_nested = kinds <= set(_OPERATIONS)
        is_chain = name == "this" and any(kinds <= chain for chain in _CHAINS)
        return f"({text})" if is_nested and not is_chain else text

    def _list(self, nodes: list[exp.Expr], separator: str = ", ") -> str:
        return separator.join(self.write(node) for node in nodes)

    def _refuse(self, detail: str, allowed: str) -> str:
        self.faults.append(SqlFault(detail, allowed))
        return ""


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark


def _is_column(name: exp.Identifier) -> bool:
    """Whether polars reads a name as a column. It reads LOCALTIME as the current time."""
    try:
        return name.quoted or pl.sql_expr(name.name).meta.is_column()
    except pl.exceptions.PolarsError:
        return False


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."
