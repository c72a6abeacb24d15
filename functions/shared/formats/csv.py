"""Formats ``csv`` and, within gzip, ``csv.gz``: RFC 4180 in UTF-8, a header line, a line feed after every line.

A null is an empty field, an empty text is ``""``; where a line has but one field, readers skip an empty one, so that a
null is ``""`` there too. Text that a spreadsheet would run as a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from shared.assembly import Literal, Range, Segment
from shared.formats import options

if TYPE_CHECKING:
    import polars as pl

    from shared.work import Plan, Receipt, Work

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# OWASP, "CSV Injection": what makes a spreadsheet take a text for a formula.
_FORMULA_START = r"^[=+\-@\t\r]"


class Csv:
    """See the module."""

    name = "csv"
    extension = "csv"
    content_type = "text/csv; charset=utf-8"
    options_schema = options.closed(
        spreadsheet_safe=options.SPREADSHEET_SAFE,
        bom=options.BOM,
        delimiter=options.DELIMITER,
        header_style=options.header_style("title", "name", "none"),
        timezone=options.TIMEZONE,
    )

    def writer(self, plan: Plan, into: IO[bytes]) -> _Lines:
        """See :class:`shared.formats.Format`."""
        return _Lines(self._options(plan), into)

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """See :class:`shared.formats.Format`: the header, then every part as it is."""
        return [Literal(self.head(plan)), *(Range.of(work, receipt) for receipt in receipts if receipt["bytes"])]

    def head(self, plan: Plan) -> bytes:
        """What stands before the first row."""
        asked = self._options(plan)
        head = io.StringIO()
        if asked["header_style"] != "none":
            names = [column[asked["header_style"]] for column in plan["definition"]["columns"]]
            csv.writer(head, delimiter=asked["delimiter"], lineterminator="\n").writerow(names)
        return (_BYTE_ORDER_MARK if asked["bom"] else b"") + head.getvalue().encode()

    def _options(self, plan: Plan) -> dict[str, Any]:
        return options.resolve(self.options_schema, plan["options"])


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

        from shared.formats import cells

        cell, zone = pl.col(name), self._asked["timezone"]
        if dtype.is_nested():
            return pl.when(cell.is_not_null()).then(cells.json_text(cell, dtype, zone))
        if dtype == pl.Datetime:
            return cells.timestamp(cell, dtype, zone)
        if dtype == pl.Time:
            return cells.clock(cell)
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            cell = cell.cast(pl.String)
            if self._asked["spreadsheet_safe"]:
                return pl.when(cell.str.contains(_FORMULA_START)).then(pl.lit("'") + cell).otherwise(cell)
        return cell
