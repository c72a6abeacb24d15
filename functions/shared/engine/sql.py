"""SQL of one expression: parsed into a tree, checked against a list of what is allowed, written again from the tree.

polars gets the text that is written from the tree. A text that sqlglot and polars parse differently is refused, so what
is checked is what runs. The import of sqlglot takes about as long as that of polars:
:mod:`shared.engine.expressions` imports this module only when a report has an expression.
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
    """.split()  # noqa: SIM905 - eighty lines of one word each say no more
)
"""Functions of polars SQL ("SQL Interface", polars documentation) whose value depends on nothing but its arguments."""


class _TypedText(exp.Expression):
    """``DATE '2013-01-31'``, of which sqlglot makes a cast; polars reads a cast of a text otherwise."""

    arg_types: ClassVar[dict[str, bool]] = {"to": True, "this": True}


# Each operation that is allowed, and how it is written. An operand that is an operation is put in parentheses.
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
# Left operands of these need no parentheses: a long chain of them would nest deeper than polars parses.
_CHAINS: list[set[type[exp.Expr]]] = [
    {exp.Add, exp.Sub},
    {exp.Mul, exp.Div, exp.IntDiv, exp.Mod},
    {exp.DPipe},
    {exp.And},
    {exp.Or},
]
# Whatever else is allowed.
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
"""Arguments of a node that its own text shows, or that say how other databases compute it."""
_ALLOWED = (
    "columns, text, numbers, dates, + - * / // % || & | [ ], comparisons, AND, OR, NOT, BETWEEN, IN, IS, LIKE, ILIKE, "
    "CASE, CAST, TRY_CAST, EXTRACT, and functions of the row"
)


class _Dialect(Dialect):
    """SQL in which a function is a name with arguments: sqlglot translates none of them."""

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


class Wrong(NamedTuple):
    """What is wrong with an expression, and what is allowed."""

    detail: str
    allowed: str


def checked(text: str) -> tuple[str, list[Wrong]]:
    """The expression as polars is to run it, and everything that is wrong with it.

    A part of an export sees its own rows, in batches, and is made again after a failure with the same bytes. So an
    expression may not use other rows (``SUM``, ``OVER``), a query (``SELECT``) or the clock (``NOW``).
    """
    try:
        trees = _Dialect().parse_into(exp.Condition, text)
        if len(trees) != 1 or not trees[0]:
            return "", [Wrong(f"{_short(text)!r} is not one expression", "one SQL expression")]
        writer = _Writer()
        written = writer.write(trees[0])
    except (SqlglotError, RecursionError) as error:
        return "", [_no_expression(text, error)]
    if writer.wrong:
        return "", writer.wrong
    try:
        if not pl.sql_expr(text).meta.eq(pl.sql_expr(written)):
            detail = f"polars does not read {_short(text)!r} as {_short(written)}"
            return "", [Wrong(detail, "parentheses around what belongs together")]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return "", [_no_expression(text, error)]
    return _Writer(as_meant=True).write(trees[0]), []


def columns(written: str) -> list[str]:
    """The columns that an expression, as :func:`checked` returns it, is computed from."""
    return pl.sql_expr(written).meta.root_names()


def _no_expression(text: str, error: BaseException) -> Wrong:
    if isinstance(error, ParseError) and error.errors:
        why = f"it cannot be read at {error.errors[0]['highlight']!r}"
    else:
        why = str(error).strip().splitlines()[0]
    return Wrong(f"{_short(text)!r} is not an expression: {_short(why)}", "an expression of polars SQL")


class _Writer:
    """Writes what is allowed and notes what is not.

    Args:
        as_meant: for polars to compute what SQL means, where it reads a text in another way.
    """

    def __init__(self, as_meant: bool = False) -> None:
        self.wrong: list[Wrong] = []
        self._as_meant = as_meant

    def write(self, node: exp.Expr, negated: bool = False) -> str:
        """Its SQL; nothing where it is not allowed."""
        form = _FORMS.get(type(node), "")
        names = [name for _, name, _, _ in string.Formatter().parse(form) if name]
        if not form or {name for name, value in node.args.items() if value} - {*names} - _MARKS:
            return self._refuse(f"{_short(node.sql(comments=False))} is not a value of the row alone", _ALLOWED)
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
                    return self._refuse(f"{node.name} is a word of SQL, not a column", f'"{node.name}" for the column')
                return ".".join(self.write(part) for part in node.parts)
            case exp.Anonymous():
                if (name := node.name.upper()) not in FUNCTIONS:
                    return self._refuse(f"{name} is not a function of the row alone", ", ".join(sorted(FUNCTIONS)))
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
                case "LEFT" | "RIGHT", [text, exp.Literal(name="0")]:  # polars gives "" also for null
                    return f"SUBSTR({self.write(text)}, 1, 0)"
                case "REPLACE", [text, exp.Literal(name=""), _]:  # polars replaces what stands between the characters
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
        self.wrong.append(Wrong(detail, allowed))
        return ""


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark


def _is_column(name: exp.Identifier) -> bool:
    """Whether polars takes a name for a column: it takes LOCALTIME for the time."""
    try:
        return name.quoted or pl.sql_expr(name.name).meta.is_column()
    except pl.exceptions.PolarsError:
        return False


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."
