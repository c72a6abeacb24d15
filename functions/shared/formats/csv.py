"""Format ``csv``: RFC 4180 in UTF-8, a header line once, a line feed after every line.

A null is an empty field, an empty text is ``""``. Dates are ``2013-01-31``, times of day ``05:17:00``, timestamps
``2013-01-01T10:00:00Z`` in UTC. Text that a spreadsheet would run as a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar

from shared.assembly import Literal, Range, Segment

if TYPE_CHECKING:
    import polars as pl

    from shared.work import Plan, Receipt, Work

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# OWASP, "CSV Injection": what makes a spreadsheet take a text for a formula.
_FORMULA_START = r"^[=+\-@\t\r]"


class Csv:
    """See the module."""

    name: ClassVar[str] = "csv"
    extension: ClassVar[str] = "csv"
    content_type: ClassVar[str] = "text/csv; charset=utf-8"
    options_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "spreadsheet_safe": {
                "title": "Safe to open in a spreadsheet",
                "description": "An apostrophe before text that starts with = + - @ tab or return; number columns stay.",
                "type": "boolean",
                "default": True,
            },
            "bom": {
                "title": "Byte order mark",
                "description": "Starts the file with a byte order mark, which Excel needs to read UTF-8.",
                "type": "boolean",
                "default": False,
            },
        },
    }

    def write(self, rows: pl.DataFrame, plan: Plan, into: IO[bytes]) -> None:
        """See :class:`shared.formats.Format`."""
        rows.select(self._cells(rows, plan)).write_csv(into, include_header=False)

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """See :class:`shared.formats.Format`: the header, then every part as it is."""
        head = (_BYTE_ORDER_MARK if plan["options"]["bom"] else b"") + self._header(plan)
        return [Literal(head), *(Range.of(work, receipt) for receipt in receipts if receipt["bytes"])]

    def _cells(self, rows: pl.DataFrame, plan: Plan) -> list[pl.Expr]:
        import polars as pl

        cells = []
        for column in plan["definition"]["columns"]:
            cell = pl.col(column["name"])
            if column["type"] == "string" or rows.schema[column["name"]] == pl.String:
                cell = cell.cast(pl.String)
                if plan["options"]["spreadsheet_safe"]:
                    danger = cell.str.contains(_FORMULA_START)
                    cell = pl.when(danger).then(pl.lit("'") + cell).otherwise(cell)
            elif column["type"] == "timestamp":
                zone = rows.schema[column["name"]].time_zone  # type: ignore[attr-defined]
                cell = cell.dt.convert_time_zone("UTC") if zone else cell
                cell = cell.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("Z" if zone else ""))
            elif column["type"] == "time":
                cell = cell.dt.strftime("%H:%M:%S%.f")
            cells.append(cell.alias(column["name"]))
        return cells

    def _header(self, plan: Plan) -> bytes:
        titles = [column["title"] for column in plan["definition"]["columns"]]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(titles)
        return text.getvalue().encode()
