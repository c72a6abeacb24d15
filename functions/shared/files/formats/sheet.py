"""Converts rows to spreadsheet cells with polars expressions. Only workers import this module.

ECMA-376, part 1, section 18.3.1: ``row`` and ``c``, with references if the row numbers are known. Texts are inline
(``inlineStr``), so a text is never a formula. polars' CSV writer joins the cells: the separator is a character that
each cell ends with, and the text for a null is an empty cell. Each cell depends only on its value, however the rows are
divided:

- a number that Excel would change becomes text: more than 15 digits, or outside its range;
- a day before 1900-03-01, which Excel counts wrongly, becomes ISO 8601 text;
- a timestamp is converted to the zone; timestamps and times of day are truncated to milliseconds, which are shown only
  if they are not 0.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

from shared.errors import TextTooLong
from shared.files.formats import cells, workbook
from shared.files.formats.workbook import (
    DATE,
    TIME,
    TIME_MS,
    TIMESTAMP,
    TIMESTAMP_MS,
    WRAPPED,
    decimal_style,
)

MAX_TEXT = 32_767
"""Maximum UTF-16 code units in a cell ("Excel specifications and limits")."""
_DIGITS = 15
_LARGEST, _SMALLEST = 9.99999999999999e307, 2.2250738585072014e-308
_EPOCH, _FIRST, _LAST = 25_569, 61, 2_958_465
"""1970-01-01, 1900-03-01 and 9999-12-31 as day numbers of Excel."""
_DAY_MS, _SECOND_MS = 86_400_000, 1_000
_SPECIAL = ["&", "<", ">", *workbook.FORBIDDEN]
_WRITTEN = ["&amp;", "&lt;", "&gt;", *workbook.WRITTEN]
_WHITE = r"^\s|\s$|[\t\n]|  "
_CARE = rf"[\x00-\x1f&<>\x{{fffe}}\x{{ffff}}]|_x|{_WHITE}"
_CARE_BYTES = bytes([*range(32), *b"&<>"])
_BETWEEN = "\x7f"
# The parts of a cell, without the shape's text before and after it: see _Shape.
_TEXT, _KEPT, _TEXT_END = ' t="inlineStr"><is><t>', ' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c"
_WRAPPED = f' s="{WRAPPED}"{_KEPT}'
_NUMBER_END = "</v></c"
_BOOLEANS = (' t="b"><v>0</v></c', ' t="b"><v>1</v></c')
_FEW, _SAMPLE = 8_192, 4_096
_WIDTH_ROWS, _NESTED_WIDTH = 1_024, 40
_AT_ONCE = 1_024**2
"""Approximate bytes per write. For larger buffers polars allocates new memory, which costs a tenth of the time."""
_CARE_ROWS = 4_096
_TOGETHER = 64
"""Approximate number of values in one field. More is faster, but a sheet may have thousands of columns."""


class _Shape(NamedTuple):
    """The text that polars' CSV writer puts between the cells of a row, and the text before and after each cell.

    Without references, a row is ``<row>`` and its cells; each begins with ``<c``, with ``>`` between them. With
    references, a quote separates references and the text between them:
    ``5"><c r="A5``, `` s="1"><v>3</v></c><c r=``, ``B5``, ``/``.
    """

    separator: str
    row: str
    row_end: str
    before: str
    after: str


_PLAIN = _Shape(">", "<row>", "></row>", "<c", "")
_REFERENCED = _Shape('"', '<row r="', "></row>", "", "><c r=")


class Rows:
    """Makes the rows of one part, and caches the cells of repeated texts."""

    def __init__(self, zone: str, styles: dict[str, int] | None = None, *, referenced: bool = False) -> None:
        self._zone, self._styles, self._shape = zone, styles or {}, _REFERENCED if referenced else _PLAIN
        self._into = io.BytesIO(self._shape.row.encode())  # reused, because new memory costs time
        self._columns: list[_Column] = []
        self._row_bytes = 512

    def xml(
        self, rows: pl.DataFrame, heights: Sequence[int], numbers: pl.Series | None = None
    ) -> Iterator[tuple[int, memoryview]]:
        """The rows as ``<row>…</row>``, in blocks of ``heights`` rows.

        Yields the number of rows and their bytes. The caller must release the bytes before the next block.

        Args:
            numbers: numbers of the rows in their sheet, if cells have references.

        Raises:
            TextTooLong: a text does not fit in a cell.
        """
        if not self._columns:
            self._columns = [self._column(number, name, rows.width) for number, name in enumerate(rows.columns)]
        fields = rows.select(self._fields(rows, numbers))
        shape, start = self._shape, 0
        for height in heights:
            self._into.seek(len(shape.row))
            for some in self._some(fields.slice(start, height)):
                some.write_csv(
                    self._into,
                    include_header=False,
                    separator=shape.separator,
                    null_value=f"{shape.before}/{shape.after}",
                    quote_style="never",
                    line_terminator=shape.row_end + shape.row,
                )
            start, end = start + height, self._into.tell() - len(shape.row)  # without the beginning of another row
            self._row_bytes = max(1, end // height)
            yield height, self._into.getbuffer()[:end]

    def _some(self, fields: pl.DataFrame) -> Iterator[pl.DataFrame]:
        return fields.iter_slices(max(1, _AT_ONCE // self._row_bytes))

    def widths(self, rows: pl.DataFrame) -> list[int]:
        """The length in characters of the longest value of each column in the first rows."""
        return [_width(column) for column in rows.head(_WIDTH_ROWS)]

    def _column(self, number: int, name: str, width: int) -> _Column:
        after = self._shape.after if number < width - 1 else ""
        return _Column(self._zone, self._styles.get(name), self._shape.before, after)

    def _fields(self, rows: pl.DataFrame, numbers: pl.Series | None) -> Iterator[pl.Expr]:
        """The fields that polars' CSV writer joins. If cells have references, several cells share a field.

        A cell that may be empty is a separate field, because the writer fills in nulls.
        """
        columns = [(column, each.cells(column)) for column, each in zip(rows, self._columns, strict=True)]
        if numbers is None:
            yield from (cell.together().alias(column.name) for column, cell in columns)
            return
        number, last, run = pl.lit(numbers.cast(pl.String)), rows.width - 1, _Cells("", ())
        for at, (column, cell) in enumerate(columns):
            name = workbook.column_name(at)
            run = run.then(_Cells(f"{name}{{}}", (number,)) if at else _Cells(f'{{}}"><c r="{name}{{}}', (number,) * 2))
            if column.null_count():
                yield run.together().alias(f"before {at}")
                # No reference follows the last cell, so the writer's text for a null does not fit there.
                yield (cell.together().fill_null("/") if at == last else cell.together()).alias(f"{at}")
                run = _Cells("", ())
            else:
                run = run.then(cell)
                if at == last or len(run.values) >= _TOGETHER:
                    yield run.together().alias(f"to {at}")
                    run = _Cells("", ())


class _Cells(NamedTuple):
    """The cells of some rows: a text, and the value for each ``{}`` in it. A cell is null if a value is."""

    text: str
    values: tuple[pl.Expr, ...]

    def then(self, others: _Cells) -> _Cells:
        """These cells followed by others, with the separator of references between them."""
        between = _REFERENCED.separator if self.text else ""
        return _Cells(f"{self.text}{between}{others.text}", self.values + others.values)

    def together(self) -> pl.Expr:
        """The cells as one expression."""
        return self.values[0] if self.text == "{}" else pl.format(self.text, *self.values)


class _Column:
    """Makes the cells of a column, without the separator between them.

    Args:
        style: style of numbers, if the report defines one.
        before: text at the beginning of every cell.
        after: text at the end of every cell.
    """

    def __init__(self, zone: str, style: int | None, before: str, after: str) -> None:
        self._zone, self._style, self._before, self._after = zone, style, before, after
        self._few: _Few | None = None

    def cells(self, column: pl.Series) -> _Cells:
        """The cells of some values.

        Raises:
            TextTooLong: a text does not fit in a cell.
        """
        dtype, cell = column.dtype, pl.col(column.name)
        if dtype.is_nested():
            text = pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, self._zone))
            return self._text(column.to_frame().select(text.alias(column.name)).to_series())
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            return self._text(column.cast(pl.String))
        if dtype == pl.Binary:
            return self._text(column.to_frame().select(cells.binary(cell)).to_series())
        if dtype == pl.Boolean:
            no, yes = (pl.lit(f"{self._before}{each}{self._after}") for each in _BOOLEANS)
            return _Cells("{}", (pl.when(cell).then(yes).when(~cell).then(no),))
        if dtype == pl.Date:
            return self._dates(column)
        if dtype == pl.Datetime:
            return self._timestamps(column)
        if dtype == pl.Time:
            return self._moments(column.to_physical() // 10**6, 0, TIME, TIME_MS)
        if dtype.is_integer():
            return self._integers(column)
        if dtype.is_decimal():
            return self._decimals(column)
        return self._floats(column)

    def _text(self, column: pl.Series) -> _Cells:
        if self._few is None:
            self._few = _Few(column)
        if (codes := self._few.codes(column, self._texts)) is not None:
            return _Cells("{}", (pl.lit(self._few.cells.gather(codes)),))
        if _may_need_care(column):
            return _Cells("{}", (pl.lit(self._texts(column)),))
        _require_short(column)
        return self._cell(_TEXT, pl.lit(column), _TEXT_END)

    def _texts(self, column: pl.Series) -> pl.Series:
        """The cells of texts."""
        _require_short(column)
        text = pl.col(column.name)
        simple = column.to_frame().select(self._cell(_TEXT, text, _TEXT_END).together()).to_series()
        careful = column.str.contains(_CARE).arg_true()
        written = text.str.replace_all(workbook.LOOKS_WRITTEN, "_x005F_$1").str.replace_many(_SPECIAL, _WRITTEN)
        starts = (_TEXT, _KEPT, _WRAPPED)
        plain, kept, wrapped = (self._cell(start, written, _TEXT_END).together() for start in starts)
        has_breaks, has_white = text.str.contains("\n", literal=True), text.str.contains(_WHITE)
        special = pl.when(has_breaks).then(wrapped).when(has_white).then(kept).otherwise(plain)
        return simple.scatter(careful, column.gather(careful).to_frame().select(special).to_series())

    def _integers(self, column: pl.Series) -> _Cells:
        cell, limit = pl.col(column.name), 10**_DIGITS
        low, high = _bounds(column)
        if -limit < low and high < limit:
            return self._looked_up(column, low, high, self._style) or self._number(cell, self._style)
        fits = cell.is_between(1 - limit, limit - 1)
        return self._either(fits, self._number(cell, self._style), cell.cast(pl.String))

    def _decimals(self, column: pl.Series) -> _Cells:
        scale = column.dtype.scale  # type: ignore[attr-defined]
        cell, number = pl.col(column.name), self._number(pl.col(column.name), self._style or decimal_style(scale))
        low, high = _bounds(column)
        limit = 10 ** (_DIGITS - scale)
        if -limit < low and high < limit:
            return number
        digits = cell.cast(pl.String).str.strip_chars_end("0" if scale else "").str.replace_all(r"[-.]", "")
        digits = digits.str.strip_chars_start("0").str.len_bytes()
        return self._either(digits <= _DIGITS, number, cell.cast(pl.String))

    def _floats(self, column: pl.Series) -> _Cells:
        cell, size = pl.col(column.name), pl.col(column.name).cast(pl.Float64).abs()
        fits, number = (cell == 0) | size.is_between(_SMALLEST, _LARGEST), self._number(cell, self._style)
        if column.to_frame().select(fits.all()).item():
            return number
        words = pl.when(cell.is_nan()).then(pl.lit("NaN")).when(cell == float("inf")).then(pl.lit("Infinity"))
        text = words.when(cell == float("-inf")).then(pl.lit("-Infinity")).otherwise(cell.cast(pl.String))
        return self._either(fits, number, text)

    def _dates(self, column: pl.Series) -> _Cells:
        days = column.to_physical().cast(pl.Int64) + _EPOCH
        low, high = _bounds(days)
        number = self._number(pl.lit(days), DATE)
        if low >= _FIRST and high <= _LAST:
            return self._looked_up(days, low, high, DATE) or number
        return self._either(pl.lit(days).is_between(_FIRST, _LAST), number, pl.col(column.name).dt.strftime("%Y-%m-%d"))

    def _timestamps(self, column: pl.Series) -> _Cells:
        cell = pl.col(column.name)
        known = column.dtype.time_zone is not None  # type: ignore[attr-defined]
        local = cell.dt.convert_time_zone(self._zone).dt.replace_time_zone(None) if known else cell
        millis = column.to_frame().select(local.dt.epoch("ms")).to_series()
        low, high = _bounds(millis)
        first, end = ((day - _EPOCH) * _DAY_MS for day in (_FIRST, _LAST + 1))
        number = self._moments(millis, _EPOCH, TIMESTAMP, TIMESTAMP_MS)
        if low >= first and high < end:
            return number
        fits = pl.lit(millis).is_between(first, end, closed="left")
        return self._either(fits, number, cells.timestamp(cell, column.dtype, self._zone))

    def _moments(self, millis: pl.Series, epoch: int, style: int, exact: int) -> _Cells:
        """Milliseconds since a day, in a style that shows milliseconds if they are not whole seconds."""
        styles = pl.Series([str(style), str(exact)]).gather((millis % _SECOND_MS != 0).cast(pl.UInt32))
        text = f'{self._before} s="{{}}"><v>{{}}{_NUMBER_END}{self._after}'
        return _Cells(text, (pl.lit(styles), pl.lit(millis / _DAY_MS + epoch)))

    def _looked_up(self, column: pl.Series, low: int, high: int, style: int | None) -> _Cells | None:
        """The cells of integers in a narrow range, each made once; None if the range is not narrow."""
        if high - low >= column.len() // 4:
            return None
        start, end = self._before + _number_start(style), _NUMBER_END + self._after
        table = pl.Series([f"{start}{number}{end}" for number in range(low, high + 1)], dtype=pl.String)
        return _Cells("{}", (pl.lit(table.gather(column.cast(pl.Int64) - low)),))

    def _either(self, fits: pl.Expr, number: _Cells, text: pl.Expr) -> _Cells:
        """Each value as a number if it fits, otherwise as text."""
        otherwise = self._cell(_TEXT, text, _TEXT_END).together()
        return _Cells("{}", (pl.when(fits).then(number.together()).otherwise(otherwise),))

    def _number(self, value: pl.Expr, style: int | None) -> _Cells:
        return self._cell(_number_start(style), value, _NUMBER_END)

    def _cell(self, start: str, value: pl.Expr, end: str) -> _Cells:
        return _Cells(f"{self._before}{start}{{}}{end}{self._after}", (value,))


class _Few:
    """The cells of a column with few different values, each made once."""

    def __init__(self, column: pl.Series) -> None:
        sample = column.head(_SAMPLE)
        self._are_few = sample.n_unique() * 4 <= sample.len()
        self._values = pl.Series(dtype=pl.String)
        self.cells = pl.Series(dtype=pl.String)

    def codes(self, column: pl.Series, make: Callable[[pl.Series], pl.Series]) -> pl.Series | None:
        """The number of each row's cell, null for null; None if there are many different values."""
        if not self._are_few:
            return None
        codes = column.cast(pl.Enum(self._values), strict=False)
        if codes.null_count() > column.null_count():
            new = column.filter(codes.is_null()).drop_nulls().unique()
            self._are_few = self._values.len() + new.len() <= _FEW
            if not self._are_few:
                return None
            self._values = pl.concat([self._values, new], rechunk=True)
            self.cells = pl.concat([self.cells, make(new)], rechunk=True)
            codes = column.cast(pl.Enum(self._values))
        return codes.to_physical()


def _number_start(style: int | None) -> str:
    return f' s="{style}"><v>' if style else "><v>"


def _may_need_care(column: pl.Series) -> bool:
    """Whether a text may contain characters special to XML or spreadsheets. Fast for texts of numbers and letters."""
    return any(_some_need_care(column.slice(start, _CARE_ROWS)) for start in range(0, column.len(), _CARE_ROWS))


def _some_need_care(column: pl.Series) -> bool:
    joined = f"{_BETWEEN}{column.str.join(_BETWEEN).item()}{_BETWEEN}"
    if not joined.isascii() or "_" in joined or len(joined.encode().translate(None, _CARE_BYTES)) < len(joined):
        return True
    return " " in joined and any(each in joined for each in ("  ", f"{_BETWEEN} ", f" {_BETWEEN}"))


def _bounds(column: pl.Series) -> tuple[Any, Any]:
    """Smallest and largest value; (0, -1) if there are no values."""
    low, high = column.min(), column.max()
    return (0, -1) if low is None else (low, high)


def _require_short(column: pl.Series) -> None:
    if (column.str.len_bytes().max() or 0) <= MAX_TEXT:  # type: ignore[operator]
        return
    surrogates = column.str.count_matches("[\U00010000-\U0010ffff]")  # characters with two code units
    longest: Any = (column.str.len_chars() + surrogates).max()
    if longest > MAX_TEXT:
        raise TextTooLong(
            f"a text of column {column.name} has {longest} characters; a spreadsheet cell holds at most {MAX_TEXT}"
        )


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
