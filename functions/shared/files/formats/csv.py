"""Formats ``csv`` and, within gzip, ``csv.gz``: RFC 4180 in UTF-8, a header line, a line feed after every line.

A null is an empty field, an empty text is ``""``; where a line has but one field, readers skip an empty one, so that a
null is ``""`` there too. Text that a spreadsheet would run as a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from shared.files.formats import options
from shared.files.formats.format import TextFormat

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# OWASP, "CSV Injection": what makes a spreadsheet take a text for a formula.
_FORMULA_START = r"^[=+\-@\t\r]"


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
    )

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool) -> _Lines:
        asked = options.resolve(self.options_schema, plan["options"])
        if first:
            into.write(self._head(plan, asked))
        return _Lines(asked, into)

    def _head(self, plan: Plan, asked: dict[str, Any]) -> bytes:
        """What stands before the first row."""
        head = io.StringIO()
        if asked["header_style"] != "none":
            names = [column[asked["header_style"]] for column in plan["definition"]["columns"]]
            csv.writer(head, delimiter=asked["delimiter"], lineterminator="\n").writerow(names)
        return (_BYTE_ORDER_MARK if asked["bom"] else b"") + head.getvalue().encode()


class _Lines:
    """Rows as lines, as they come."""

    def __init__(self, asked: dict[str, Any], into: IO[bytes]) -> None:
        self._asked, self._into = asked, into

    def write(self, rows: pl.DataFrame) -> None:
        null = '""' if rows.width == 1 else ""
        cells = rows.select(self._cell(name, dtype).alias(name) for name, dtype in rows.schema.items())
        cells.write_csv(self._into, include_header=False, separator=self._asked["delimiter"], null_value=null)

    def close(self) -> dict[str, Any]:
        return {}

    def _cell(self, name: str, dtype: pl.DataType) -> pl.Expr:
        import polars as pl

        from shared.files.formats import cells

        cell, zone = pl.col(name), self._asked["timezone"]
        if dtype.is_nested():
            return pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, zone))
        if dtype == pl.Datetime:
            return cells.timestamp(cell, dtype, zone)
        if dtype == pl.Time:
            return cells.clock(cell)
        if dtype == pl.Binary:
            return cells.binary(cell)
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            cell = cell.cast(pl.String)
            if self._asked["spreadsheet_safe"]:
                return pl.when(cell.str.contains(_FORMULA_START)).then(pl.lit("'") + cell).otherwise(cell)
        return cell
