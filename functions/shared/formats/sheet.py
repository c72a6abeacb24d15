"""Rows as cells of a spreadsheet, by expressions of the engine. Only workers import this module.

ECMA-376, part 1, section 18.3.1: ``row`` and ``c`` without their references, so that rows do not know where they stand;
texts are inline (``inlineStr``), so none is ever a formula. What a value becomes depends on that value alone, however
the rows are divided:

- a number that Excel would change becomes text: of more than 15 digits, or beyond what it can hold;
- a day before 1900-03-01, which Excel counts wrongly, becomes ISO 8601 text;
- a timestamp is shown in the zone, to the millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from shared.errors import TextTooLong
from shared.formats import cells
from shared.formats.workbook import DATE, GENERAL, TIME, TIMESTAMP, decimal_style

MAX_TEXT = 32_767
"""UTF-16 code units that a cell holds ("Excel specifications and limits")."""
_DIGITS = 15
_LARGEST, _SMALLEST = 9.99999999999999e307, 2.2250738585072014e-308
_EPOCH, _FIRST, _LAST = 25_569, 61, 2_958_465
"""1970-01-01, 1900-03-01 and 9999-12-31 as Excel counts days."""
_DAY_MS, _DAY_NS = 86_400_000, 86_400_000_000_000
# XML 1.0: what 2.2 forbids, and the return that readers make a line feed (2.11); ECMA-376 writes them so (22.9.2.19).
_FORBIDDEN = [chr(code) for code in range(32) if code not in (9, 10)] + ["\ufffe", "\uffff"]
_SPECIAL = ["&", "<", ">", *_FORBIDDEN]
_WRITTEN = ["&amp;", "&lt;", "&gt;", *(f"_x{ord(each):04X}_" for each in _FORBIDDEN)]
_NEEDS_CARE = [*_SPECIAL, "_x", "\t", "\n", "  "]
_LOOKS_WRITTEN = "_(x[0-9A-Fa-f]{4}_)"
_WHITE = r"^\s|\s$|[\t\n]|  "
_TEXT, _KEPT, _TEXT_END = '<c t="inlineStr"><is><t>', '<c t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
_EMPTY = "<c/>"
_FEW, _SAMPLE = 8_192, 512
_NESTED_WIDTH = 40

Piece = str | pl.Expr
"""Of a row: the same in every row, or one for each."""


class Rows:
    """Makes the rows of one part; it remembers the texts that come again and again."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._texts: dict[str, _Texts] = {}

    def xml(self, rows: pl.DataFrame) -> bytes:
        """The rows as ``<row>…</row>``, one after the other.

        Raises:
            TextTooLong: a text does not fit in a cell.
        """
        if not rows.height:
            return b""
        pieces = ["<row>", *(piece for column in rows for piece in self._cells(column)), "</row>"]
        text = rows.select(_concat(pieces).str.join("").cast(pl.Binary))
        return text.item()  # type: ignore[no-any-return]

    def widths(self, rows: pl.DataFrame) -> list[int]:
        """Characters of the longest value of each column."""
        return [_width(column) for column in rows]

    def _cells(self, column: pl.Series) -> list[Piece]:
        """The cells of a column."""
        dtype, cell = column.dtype, pl.col(column.name)
        if dtype.is_nested():
            text = pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, self._zone))
            return self._text(column.to_frame().select(text.alias(column.name)).to_series())
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            return self._text(column.cast(pl.String))
        if dtype == pl.Boolean:
            return [_looked_up(column.cast(pl.UInt32), pl.Series(['<c t="b"><v>0</v></c>', '<c t="b"><v>1</v></c>']))]
        if dtype == pl.Date:
            return _days(column)
        if dtype == pl.Datetime:
            return _timestamps(column, self._zone)
        if dtype == pl.Time:
            return _or_empty(column, _number(cell.to_physical() / _DAY_NS, TIME))
        if dtype.is_integer():
            return _integers(column)
        if dtype.is_decimal():
            return _decimals(column)
        return _floats(column)

    def _text(self, column: pl.Series) -> list[Piece]:
        texts = self._texts.setdefault(column.name, _Texts(column))
        if (codes := texts.codes(column)) is not None:
            return [_looked_up(codes, texts.cells)]
        _require_short(column)
        text = pl.lit(column)
        if column.str.contains_any(_NEEDS_CARE).any() or _has_space_at_an_end(column):
            return _or_empty(column, _text(text))
        return _or_empty(column, [_TEXT, text, _TEXT_END])


class _Texts:
    """The cells of a column of few values, each made once."""

    def __init__(self, column: pl.Series) -> None:
        sample = column.head(_SAMPLE)
        self._few = sample.n_unique() * 2 <= sample.len()
        self._values = pl.Series(dtype=pl.String)
        self.cells = pl.Series(dtype=pl.String)

    def codes(self, column: pl.Series) -> pl.Series | None:
        """For each row the number of its cell, null for null; None where the values are many."""
        if not self._few:
            return None
        codes = column.cast(pl.Enum(self._values), strict=False)
        if codes.null_count() > column.null_count():
            new = column.filter(codes.is_null()).drop_nulls().unique()
            self._few = self._values.len() + new.len() <= _FEW
            if not self._few:
                return None
            _require_short(new)
            self._values = pl.concat([self._values, new], rechunk=True)
            self.cells = pl.concat([self.cells, pl.select(_concat(_text(pl.lit(new)))).to_series()], rechunk=True)
            codes = column.cast(pl.Enum(self._values))
        return codes.to_physical()


def _integers(column: pl.Series) -> list[Piece]:
    cell, limit = pl.col(column.name), 10**_DIGITS
    low, high = _bounds(column)
    if -limit < low and high < limit:
        if high - low < column.len() // 4:
            return [_looked_up(column.cast(pl.Int64) - low, _table(low, high, GENERAL))]
        return _or_empty(column, _number(cell))
    return _either(column, cell.is_between(1 - limit, limit - 1), _number(cell), cell.cast(pl.String))


def _decimals(column: pl.Series) -> list[Piece]:
    scale = column.dtype.scale  # type: ignore[attr-defined]
    cell, style = pl.col(column.name), decimal_style(scale)
    digits = cell.cast(pl.String).str.strip_chars_end("0" if scale else "").str.replace_all(r"[-.]", "")
    digits = digits.str.strip_chars_start("0").str.len_bytes()
    low, high = _bounds(column)
    limit = 10 ** (_DIGITS - scale)
    if -limit < low and high < limit:
        return _or_empty(column, _number(cell, style))
    return _either(column, digits <= _DIGITS, _number(cell, style), cell.cast(pl.String))


def _floats(column: pl.Series) -> list[Piece]:
    cell, size = pl.col(column.name), pl.col(column.name).cast(pl.Float64).abs()
    words = pl.when(cell.is_nan()).then(pl.lit("NaN")).when(cell == float("inf")).then(pl.lit("Infinity"))
    text = words.when(cell == float("-inf")).then(pl.lit("-Infinity")).otherwise(cell.cast(pl.String))
    fits = (cell == 0) | size.is_between(_SMALLEST, _LARGEST)
    if column.to_frame().select(fits.all()).item():
        return _or_empty(column, _number(cell))
    return _either(column, fits, _number(cell), text)


def _days(column: pl.Series) -> list[Piece]:
    days = column.to_physical().cast(pl.Int64) + _EPOCH
    low, high = _bounds(days)
    if low >= _FIRST and high <= _LAST:
        if high - low < column.len() // 4:
            return [_looked_up(days - low, _table(low, high, DATE))]
        return _or_empty(column, _number(pl.lit(days), DATE))
    fits = pl.lit(days).is_between(_FIRST, _LAST)
    return _either(column, fits, _number(pl.lit(days), DATE), pl.col(column.name).dt.strftime("%Y-%m-%d"))


def _timestamps(column: pl.Series, zone: str) -> list[Piece]:
    cell = pl.col(column.name)
    known = column.dtype.time_zone is not None  # type: ignore[attr-defined]
    local = cell.dt.convert_time_zone(zone).dt.replace_time_zone(None) if known else cell
    serial = column.to_frame().select(local.dt.epoch("ms") / _DAY_MS + _EPOCH).to_series()
    low, high = _bounds(serial)
    if low >= _FIRST and high < _LAST + 1:
        return _or_empty(column, _number(pl.lit(serial), TIMESTAMP))
    fits = pl.lit(serial).is_between(_FIRST, _LAST + 1, closed="left")
    return _either(column, fits, _number(pl.lit(serial), TIMESTAMP), cells.timestamp(cell, column.dtype, zone))


def _number(value: pl.Expr, style: int = GENERAL) -> list[Piece]:
    return [f'<c s="{style}"><v>' if style else "<c><v>", value, "</v></c>"]


def _text(value: pl.Expr) -> list[Piece]:
    """The cells of any texts."""
    written = value.str.replace_all(_LOOKS_WRITTEN, "_x005F_$1").str.replace_many(_SPECIAL, _WRITTEN)
    return [pl.when(value.str.contains(_WHITE)).then(pl.lit(_KEPT)).otherwise(pl.lit(_TEXT)), written, _TEXT_END]


def _either(column: pl.Series, fits: pl.Expr, number: list[Piece], text: pl.Expr) -> list[Piece]:
    """Each value as a number where it fits, as text where it does not."""
    return _or_empty(column, [pl.when(fits).then(_concat(number)).otherwise(_concat([_TEXT, text, _TEXT_END]))])


def _or_empty(column: pl.Series, pieces: list[Piece]) -> list[Piece]:
    return [_concat(pieces).fill_null(_EMPTY)] if column.null_count() else pieces


def _table(low: int, high: int, style: int) -> pl.Series:
    """The cells of the numbers from low to high."""
    opening = f'<c s="{style}"><v>' if style else "<c><v>"
    return pl.Series([f"{opening}{number}</v></c>" for number in range(low, high + 1)], dtype=pl.String)


def _looked_up(codes: pl.Series, table: pl.Series) -> pl.Expr:
    if codes.null_count():
        codes = codes.cast(pl.Int64).fill_null(table.len())
        table = pl.concat([table, pl.Series([_EMPTY])], rechunk=True)
    return pl.lit(table.gather(codes))


def _bounds(column: pl.Series) -> tuple[Any, Any]:
    """Least and largest value; 0 where there is none."""
    low, high = column.min(), column.max()
    return (0, -1) if low is None else (low, high)


def _concat(pieces: Iterable[Piece]) -> pl.Expr:
    """Pieces put together; neighbours that are the same in every row become one."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and isinstance(piece, str) and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return pl.concat_str([pl.lit(piece) if isinstance(piece, str) else piece for piece in merged])


def _has_space_at_an_end(column: pl.Series) -> bool:
    return bool((column.str.starts_with(" ") | column.str.ends_with(" ")).any())


def _require_short(column: pl.Series) -> None:
    if (column.str.len_bytes().max() or 0) <= MAX_TEXT:  # type: ignore[operator]
        return
    beyond = column.str.count_matches("[\U00010000-\U0010ffff]")  # characters of two code units
    longest: Any = (column.str.len_chars() + beyond).max()
    if longest > MAX_TEXT:
        said = f"a text of column {column.name} has {longest} characters"
        raise TextTooLong(f"{said}; a cell of a spreadsheet holds {MAX_TEXT}")


def _width(column: pl.Series) -> int:
    dtype = column.dtype
    known = {pl.Boolean: 5, pl.Date: 10, pl.Datetime: 19, pl.Time: 8}
    if dtype.base_type() in known:
        return known[dtype.base_type()]
    if dtype.is_nested():
        return _NESTED_WIDTH
    text = column.cast(pl.String)
    longest = int(text.str.len_chars().max() or 0)  # type: ignore[arg-type]
    return longest + longest // 3 if dtype.is_decimal() else longest
