"""What an expression of a report may be: a value computed from its own row, the same each time.

A part sees its own rows only, in batches, and a part that is made again must come out alike. So an expression may not
look at other rows (``SUM``, ``OVER``), ask another table (``SELECT``), or ask the clock (``NOW``).
"""

import re

# Functions of polars SQL that compute a value from a row ("SQL Interface", polars documentation).
FUNCTIONS = frozenset(
    """
    ABS CBRT CEIL CEILING DEGREES DIV EXP FLOOR LN LOG LOG10 LOG1P LOG2 MOD PI POW POWER RADIANS ROUND SIGN SQRT
    ACOS ASIN ATAN ATAN2 COS COT SIN TAN BIT_AND BIT_COUNT BIT_NOT BIT_OR BIT_XOR
    BIT_LENGTH CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS ENDS_WITH INITCAP LEFT LENGTH LOWER LPAD LTRIM NORMALIZE
    OCTET_LENGTH REGEXP_LIKE REPLACE REVERSE RIGHT RPAD RTRIM SPLIT_PART STARTS_WITH STRPOS SUBSTR SUBSTRING TRIM UPPER
    CAST TRY_CAST COALESCE GREATEST IF IFNULL LEAST NULLIF
    DATE DATE_PART EXTRACT STRFTIME STRPTIME TIMESTAMP
    """.split()  # noqa: SIM905 - sixty lines of one word each say no more
)
_KEYWORDS = frozenset("ALL AND ANY AS BETWEEN BY CASE ELSE ILIKE IN IS LIKE NOT OR THEN WHEN".split())  # noqa: SIM905
_TYPES = frozenset({"CHAR", "DECIMAL", "NUMERIC", "VARCHAR"})
_NEVER = frozenset({"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "OVER", "SELECT"})
# A text, a quoted name, a word with or without an opening parenthesis, or any other character.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|([A-Za-z_][A-Za-z0-9_]*)(\s*\()?|.", re.DOTALL)


def not_of_its_row(expression: str) -> list[str]:
    """What in an expression is not a value of its own row, in upper case; empty when all is well."""
    found = []
    for word, call in _TOKEN.findall(expression):
        name = word.upper()
        if name in _NEVER or (call and name not in FUNCTIONS | _KEYWORDS | _TYPES):
            found.append(name)
    return found
