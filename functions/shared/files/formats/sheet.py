"""Rows as cells of a spreadsheet, by expressions of the engine. Only workers import this module.

ECMA-376, part 1, section 18.3.1: ``row`` and ``c`` without their references, so that rows do not know where they stand;
texts are inline (``inlineStr``), so none is ever a formula. The engine's writer of CSV puts the cells together: what
separates them is the ``>`` that each ends in, and what it writes for a null is an empty cell. What a value becomes
depends on that value alone, however the rows are divided:

- a number that Excel would change becomes text: of more than 15 digits, or beyond what it can hold;
- a day before 1900-03-01, which Excel counts wrongly, becomes ISO 8601 text;
- a timestamp is shown in the zone, to the millisecond.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import polars as pl

from shared.errors import TextTooLong
from shared.files.formats import cells
from shared.files.formats.workbook import DATE, GENERAL, TIME, TIMESTAMP, decimal_style

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
_LOOKS_WRITTEN = "_(x[0-9A-Fa-f]{4}_)"
_WHITE = r"^\s|\s$|[\t\n]|  "
_CARE = rf"[\x00-\x1f&<>\x{{fffe}}\x{{ffff}}]|_x|{_WHITE}"
_CARE_BYTES = bytes([*range(32), *b"&<>"])
_BETWEEN = "\x7f"
# Cells but for their last character.
_TEXT, _KEPT, _TEXT_END = '<c t="inlineStr"><is><t>', '<c t="inlineStr"><is><t xml:space="preserve">', "</t></is></c"
_NUMBER_END, _EMPTY = "</v></c", "<c/"
_BOOLEANS = ('<c t="b"><v>0</v></c', '<c t="b"><v>1</v></c')
_ROW, _ROW_END = "<row>", "></row>"
_FEW, _SAMPLE = 8_192, 4_096
_WIDTH_ROWS, _NESTED_WIDTH = 1_024, 40
_AT_ONCE = 4_096  # the engine takes large buffers anew from the system each time, which costs a tenth of the time


class Rows:
    """Makes the rows of one part; it remembers the texts that come again and again."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._into = io.BytesIO(_ROW.encode())  # written again and again: new memory costs time
        self._texts: dict[str, _Texts] = {}

    def xml(self, rows: pl.DataFrame, height: int) -> Iterator[tuple[int, memoryview]]:
        """The rows as ``<row>…</row>``, one after the other, ``height`` of them at a time.

        Each time how many they are, and their bytes, to be released before the next.

        Raises:
            TextTooLong: a text does not fit in a cell.
        """
        cells = rows.select(self._cells(column).alias(column.name) for column in rows)
        for block in cells.iter_slices(height):
            self._into.seek(len(_ROW))
            for some in block.iter_slices(_AT_ONCE):
                some.write_csv(
                    self._into,
                    include_header=False,
                    separator=">",
                    null_value=_EMPTY,
                    quote_style="never",
                    line_terminator=_ROW_END + _ROW,
                )
            # No row begins after the last.
            yield block.height, self._into.getbuffer()[: self._into.tell() - len(_ROW)]

    def widths(self, rows: pl.DataFrame) -> list[int]:
        """Characters of the longest value of each column, among the first rows."""
        return [_width(column) for column in rows.head(_WIDTH_ROWS)]

    def _cells(self, column: pl.Series) -> pl.Expr:
        """The cells of a column, null where they are empty, without the ``>`` at their end."""
        dtype, cell = column.dtype, pl.col(column.name)
        if dtype.is_nested():
            text = pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, self._zone))
            return self._text(column.to_frame().select(text.alias(column.name)).to_series())
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            return self._text(column.cast(pl.String))
        if dtype == pl.Binary:
            return self._text(column.to_frame().select(cells.binary(cell)).to_series())
        if dtype == pl.Boolean:
            return pl.when(cell).then(pl.lit(_BOOLEANS[1])).when(~cell).then(pl.lit(_BOOLEANS[0]))
        if dtype == pl.Date:
            return _days(column)
        if dtype == pl.Datetime:
            return _timestamps(column, self._zone)
        if dtype == pl.Time:
            return _number(cell.to_physical() / _DAY_NS, TIME)
        if dtype.is_integer():
            return _integers(column)
        if dtype.is_decimal():
            return _decimals(column)
        return _floats(column)

    def _text(self, column: pl.Series) -> pl.Expr:
        texts = self._texts.get(column.name)
        if texts is None:
            texts = self._texts[column.name] = _Texts(column)
        if (codes := texts.codes(column)) is not None:
            return pl.lit(texts.cells.gather(codes))
        return pl.lit(_texts(column))


class _Texts:
    """The cells of a column of few values, each made once."""

    def __init__(self, column: pl.Series) -> None:
        sample = column.head(_SAMPLE)
        self._few = sample.n_unique() * 4 <= sample.len()
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
            self._values = pl.concat([self._values, new], rechunk=True)
            self.cells = pl.concat([self.cells, _texts(new)], rechunk=True)
            codes = column.cast(pl.Enum(self._values))
        return codes.to_physical()


def _integers(column: pl.Series) -> pl.Expr:
    cell, limit = pl.col(column.name), 10**_DIGITS
    low, high = _bounds(column)
    if -limit < low and high < limit:
        if high - low < column.len() // 4:
            return _looked_up(column, low, high, GENERAL)
        return _number(cell)
    return _either(cell.is_between(1 - limit, limit - 1), _number(cell), cell.cast(pl.String))


def _decimals(column: pl.Series) -> pl.Expr:
    scale = column.dtype.scale  # type: ignore[attr-defined]
    cell, style = pl.col(column.name), decimal_style(scale)
    low, high = _bounds(column)
    limit = 10 ** (_DIGITS - scale)
    if -limit < low and high < limit:
        return _number(cell, style)
    digits = cell.cast(pl.String).str.strip_chars_end("0" if scale else "").str.replace_all(r"[-.]", "")
    digits = digits.str.strip_chars_start("0").str.len_bytes()
    return _either(digits <= _DIGITS, _number(cell, style), cell.cast(pl.String))


def _floats(column: pl.Series) -> pl.Expr:
    cell, size = pl.col(column.name), pl.col(column.name).cast(pl.Float64).abs()
    fits = (cell == 0) | size.is_between(_SMALLEST, _LARGEST)
    if column.to_frame().select(fits.all()).item():
        return _number(cell)
    words = pl.when(cell.is_nan()).then(pl.lit("NaN")).when(cell == float("inf")).then(pl.lit("Infinity"))
    text = words.when(cell == float("-inf")).then(pl.lit("-Infinity")).otherwise(cell.cast(pl.String))
    return _either(fits, _number(cell), text)


def _days(column: pl.Series) -> pl.Expr:
    days = column.to_physical().cast(pl.Int64) + _EPOCH
    low, high = _bounds(days)
    if low >= _FIRST and high <= _LAST:
        if high - low < column.len() // 4:
            return _looked_up(days, low, high, DATE)
        return _number(pl.lit(days), DATE)
    fits = pl.lit(days).is_between(_FIRST, _LAST)
    return _either(fits, _number(pl.lit(days), DATE), pl.col(column.name).dt.strftime("%Y-%m-%d"))


def _timestamps(column: pl.Series, zone: str) -> pl.Expr:
    cell = pl.col(column.name)
    known = column.dtype.time_zone is not None  # type: ignore[attr-defined]
    local = cell.dt.convert_time_zone(zone).dt.replace_time_zone(None) if known else cell
    serial = column.to_frame().select(local.dt.epoch("ms") / _DAY_MS + _EPOCH).to_series()
    low, high = _bounds(serial)
    if low >= _FIRST and high < _LAST + 1:
        return _number(pl.lit(serial), TIMESTAMP)
    fits = pl.lit(serial).is_between(_FIRST, _LAST + 1, closed="left")
    return _either(fits, _number(pl.lit(serial), TIMESTAMP), cells.timestamp(cell, column.dtype, zone))


def _number_start(style: int) -> str:
    return f'<c s="{style}"><v>' if style else "<c><v>"


def _number(value: pl.Expr, style: int = GENERAL) -> pl.Expr:
    return _around(_number_start(style), value, _NUMBER_END)


def _looked_up(column: pl.Series, low: int, high: int, style: int) -> pl.Expr:
    """The cells of integers of a narrow range, each cell made once."""
    start = _number_start(style)
    table = pl.Series([f"{start}{number}{_NUMBER_END}" for number in range(low, high + 1)], dtype=pl.String)
    return pl.lit(table.gather(column.cast(pl.Int64) - low))


def _texts(column: pl.Series) -> pl.Series:
    """The cells of any texts.

    Raises:
        TextTooLong: a text does not fit in a cell.
    """
    _require_short(column)
    text = pl.col(column.name)
    simple = column.to_frame().select(_around(_TEXT, text, _TEXT_END)).to_series()
    if not _may_need_care(column):
        return simple
    careful = column.str.contains(_CARE).arg_true()
    written = text.str.replace_all(_LOOKS_WRITTEN, "_x005F_$1").str.replace_many(_SPECIAL, _WRITTEN)
    plain, kept = (_around(start, written, _TEXT_END) for start in (_TEXT, _KEPT))
    cells = pl.when(text.str.contains(_WHITE)).then(kept).otherwise(plain)
    return simple.scatter(careful, column.gather(careful).to_frame().select(cells).to_series())


def _may_need_care(column: pl.Series) -> bool:
    """Whether a text may have what XML or a spreadsheet reads otherwise. Quick, for texts of numbers and letters."""
    joined = f"{_BETWEEN}{column.str.join(_BETWEEN).item()}{_BETWEEN}"
    if not joined.isascii() or "_" in joined or len(joined.encode().translate(None, _CARE_BYTES)) < len(joined):
        return True
    return " " in joined and any(each in joined for each in ("  ", f"{_BETWEEN} ", f" {_BETWEEN}"))


def _either(fits: pl.Expr, number: pl.Expr, text: pl.Expr) -> pl.Expr:
    """Each value as a number where it fits, as text where it does not."""
    return pl.when(fits).then(number).otherwise(_around(_TEXT, text, _TEXT_END))


def _bounds(column: pl.Series) -> tuple[Any, Any]:
    """Least and largest value; 0 where there is none."""
    low, high = column.min(), column.max()
    return (0, -1) if low is None else (low, high)


def _around(before: str, value: pl.Expr, after: str) -> pl.Expr:
    """Null where the value is."""
    return pl.format(f"{before}{{}}{after}", value)


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
    if dtype.is_nested() or dtype == pl.Binary:
        return _NESTED_WIDTH
    text = column.cast(pl.String)
    longest = int(text.str.len_chars().max() or 0)  # type: ignore[arg-type]
    return longest + longest // 3 if dtype.is_decimal() else longest
