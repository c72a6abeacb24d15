"""Format ``csv`` and, compressed, ``csv.gz``: RFC 4180, by default in UTF-8 with a line feed after every line.

A null is an empty field; an empty text is ``""``. Readers skip empty lines, so in a file of one column a null is also
``""``. Text that a spreadsheet would run as a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from shared.errors import TextNotEncodable
from shared.files.formats import options
from shared.files.formats.format import TextFormat

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan

_MARK = "\ufeff"
# The first characters that make a spreadsheet read a text as a formula: OWASP, "CSV Injection", and its Testing Guide,
# WSTG-INPV-21, which adds the full-width signs.
_FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_SYLK = "ID"
_CODECS = {"utf-8": "utf-8", "utf-16le": "utf-16-le", "windows-1252": "cp1252"}
_CODED_ROWS = 8192
"""Rows that are encoded at once. Their text is in memory."""


class Csv(TextFormat):
    """See the module."""

    name = "csv"
    extension = "csv"
    content_type = "text/csv; charset=utf-8"
    growth = 3
    options_schema = options.closed(
        spreadsheet_safe=options.SPREADSHEET_SAFE,
        bom=options.BOM,
        delimiter=options.DELIMITER,
        header_style=options.header_style("title", "name", "none"),
        timezone=options.TIMEZONE,
        decimal_comma=options.DECIMAL_COMMA,
        line_ending=options.LINE_ENDING,
        encoding=options.ENCODING,
    )

    @override
    def served_as(self, settings: dict[str, Any]) -> str:
        encoding = settings.get("encoding", "utf-8")
        # RFC 2781, 3.3: text labelled UTF-16LE has no byte order mark.
        marked = encoding == "utf-16le" and settings.get("bom")
        return f"text/csv; charset={'utf-16' if marked else encoding}"

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> _Lines:
        settings = options.resolve(self.options_schema, plan["options"])
        if first:
            into.write(self._head(plan, settings))
        return _Lines(settings, into)

    def _head(self, plan: Plan, settings: dict[str, Any]) -> bytes:
        """The bytes before the first row.

        Raises:
            TextNotEncodable: the encoding lacks a character of a title.
        """
        codec, mark = _CODECS[settings["encoding"]], _MARK if settings["bom"] else ""
        if settings["header_style"] == "none":
            return mark.encode(codec)
        names = [column[settings["header_style"]] for column in plan["definition"]["columns"]]
        if settings["spreadsheet_safe"]:
            names = [f"'{name}" if re.match(_FORMULA, name) else name for name in names]
        head = io.StringIO()
        ending = _LINE_ENDINGS[settings["line_ending"]]
        # Before Python 3.13, csv quotes a carriage return only if it is part of the line ending.
        csv.writer(head, delimiter=settings["delimiter"], lineterminator="\r\n").writerow(names)
        line = head.getvalue().removesuffix("\r\n") + ending
        for number, name in enumerate(names):
            if not _fits(name, codec):
                where = f"the title of column {plan['definition']['columns'][number]['name']}"
                raise _not_encodable(where, settings["encoding"])
        return (mark + _not_sylk(line, settings["delimiter"], ending)).encode(codec)


_LINE_ENDINGS = {"lf": "\n", "crlf": "\r\n"}


def _not_sylk(line: str, delimiter: str, ending: str) -> str:
    """A file's first line, with its first field quoted if it begins with ``ID``: Excel would read the file as SYLK."""
    if not line.startswith(_SYLK):
        return line
    field = line.removesuffix(ending).partition(delimiter)[0]
    return f'"{field}"{line[len(field) :]}'


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _not_encodable(where: str, encoding: str) -> TextNotEncodable:
    return TextNotEncodable(f"{where} has a character that {encoding} cannot encode")


class _Lines:
    """Writes rows as lines."""

    def __init__(self, settings: dict[str, Any], into: IO[bytes]) -> None:
        self._settings, self._into = settings, into
        self._encoding, self._ending = settings["encoding"], _LINE_ENDINGS[settings["line_ending"]]
        # A part does not know whether rows precede its own, so each part checks its first row.
        self._may_be_sylk = settings["header_style"] == "none"
        self._written = 0

    def write(self, rows: pl.DataFrame) -> None:
        cells = rows.select(self._cell(name, dtype).alias(name) for name, dtype in rows.schema.items())
        if self._may_be_sylk and cells.height:
            self._may_be_sylk = False
            line = io.BytesIO()
            self._lines(cells[:1], line)
            safe = _not_sylk(line.getvalue().decode(), self._settings["delimiter"], self._ending)
            self._into.write(self._encoded(safe, cells[:1]))
            cells = cells[1:]
        if self._encoding == "utf-8":
            self._lines(cells, self._into)
            return
        for some in cells.iter_slices(_CODED_ROWS):
            text = io.BytesIO()
            self._lines(some, text)
            self._into.write(self._encoded(text.getvalue().decode(), some))

    def close(self) -> dict[str, Any]:
        return {}

    def _lines(self, cells: pl.DataFrame, into: IO[bytes]) -> None:
        cells.write_csv(
            into,
            include_header=False,
            separator=self._settings["delimiter"],
            line_terminator=self._ending,
            decimal_comma=self._settings["decimal_comma"],
            null_value='""' if cells.width == 1 else "",
        )

    def _encoded(self, text: str, cells: pl.DataFrame) -> bytes:
        """The lines of these cells in the requested encoding.

        Raises:
            TextNotEncodable: names the column, and the row within the part.
        """
        try:
            encoded = text.encode(_CODECS[self._encoding])
        except UnicodeEncodeError:
            encoded = None  # do not chain the error: it holds the rows
        if encoded is None:
            raise self._refusal(cells)
        self._written += cells.height
        return encoded

    def _refusal(self, cells: pl.DataFrame) -> TextNotEncodable:
        import polars as pl

        codec = _CODECS[self._encoding]
        texts = cells.select(pl.col(pl.String))
        row, name = next(
            (row, name)
            for row, values in enumerate(texts.iter_rows(), start=self._written + 1)
            for name, value in zip(texts.columns, values, strict=True)
            if value and not _fits(value, codec)
        )
        return _not_encodable(f"column {name} in row {row} of the part", self._encoding)

    def _cell(self, name: str, dtype: pl.DataType) -> pl.Expr:
        import polars as pl

        from shared.files.formats import cells

        cell, zone = pl.col(name), self._settings["timezone"]
        if dtype.is_nested():
            return pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, zone))
        if dtype == pl.Datetime:
            return cells.timestamp(cell, dtype, zone)
        if dtype == pl.Time:
            return cells.clock(cell)
        if dtype == pl.Binary:
            cell = cells.binary(cell)
        if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Binary):
            cell = cell.cast(pl.String)
            if self._settings["spreadsheet_safe"]:
                return pl.when(cell.str.contains(_FORMULA)).then(pl.lit("'") + cell).otherwise(cell)
        return cell
