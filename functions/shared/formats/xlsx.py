"""Format ``xlsx``: a spreadsheet (ECMA-376), made by many and put together without reading the rows again.

A fragment is a sequence of blocks: some thousand rows of a sheet's XML, compressed (:mod:`.deflate`). A sheet is one
entry of the archive: its start, blocks, its end. A new sheet begins before a block that would not fit; no block is cut.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from shared.assembly import Literal, Range, Segment, joined_crc32
from shared.formats import deflate, options, workbook
from shared.formats.archive import Archive, Content

if TYPE_CHECKING:
    import polars as pl

    from shared.work import Plan, Receipt, Work

MAX_ROWS = 1_048_576
"""Rows of a sheet, the header's among them ("Excel specifications and limits")."""
_BLOCK_ROWS = 16_384
_NARROWEST, _WIDEST, _ROOM = 8, 60, 2


class Xlsx:
    """See the module."""

    name = "xlsx"
    extension = "xlsx"
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    options_schema = options.closed(header_style=options.header_style("title", "name"), timezone=options.TIMEZONE)

    def writer(self, plan: Plan, into: IO[bytes]) -> _Blocks:
        """See :class:`shared.formats.Format`."""
        return _Blocks(self._options(plan)["timezone"], into)

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """See :class:`shared.formats.Format`."""
        style = self._options(plan)["header_style"]
        titles = [column[style] for column in plan["definition"]["columns"]]
        start = workbook.sheet_start(titles, _widths(titles, receipts))
        sheets = _sheets(work, receipts)
        archive = Archive()
        for path, data in workbook.others(plan["definition"]["title"], len(sheets)).items():
            archive.add(path, Content.stored(data))
        for number, blocks in enumerate(sheets, start=1):
            archive.add(workbook.sheet_path(number), _sheet(start, blocks))
        return archive.close()

    def _options(self, plan: Plan) -> dict[str, Any]:
        return options.resolve(self.options_schema, plan["options"])


class _Block(NamedTuple):
    """Rows of a sheet: ``size`` and ``crc32`` of their XML, and where they lie."""

    rows: int
    size: int
    crc32: int
    packed: Range


def _sheets(work: Work, receipts: Sequence[Receipt]) -> list[list[_Block]]:
    """The blocks of each sheet; at least one sheet, which may have none."""
    sheets: list[list[_Block]] = [[]]
    rows = 1
    for block in (block for receipt in receipts for block in _blocks(work, receipt)):
        if rows + block.rows > MAX_ROWS:
            sheets.append([])
            rows = 1
        sheets[-1].append(block)
        rows += block.rows
    return sheets


def _blocks(work: Work, receipt: Receipt) -> Iterator[_Block]:
    whole, start = Range.of(work, receipt), 0
    for rows, size, crc32, packed_size, packed_crc32 in receipt["fragment"]["blocks"]:
        packed = replace(whole, start=start, size=packed_size, crc32=packed_crc32)
        yield _Block(rows, size, crc32, packed)
        start += packed_size


def _sheet(start: bytes, blocks: list[_Block]) -> Content:
    size, crc32 = joined_crc32(
        [
            (len(start), zlib.crc32(start)),
            *((block.size, block.crc32) for block in blocks),
            (len(workbook.SHEET_END), zlib.crc32(workbook.SHEET_END)),
        ]
    )
    rows = [_together(list(group)) for _, group in groupby(blocks, lambda block: block.packed.key)]
    end = Literal(deflate.stored(workbook.SHEET_END) + deflate.LAST_BLOCK)
    return Content((Literal(deflate.stored(start)), *rows, end), size, crc32)


def _together(blocks: list[_Block]) -> Range:
    """Blocks that lie one after the other, as one range."""
    size, crc32 = joined_crc32([(block.packed.size, block.packed.crc32) for block in blocks])
    return replace(blocks[0].packed, size=size, crc32=crc32)


def _widths(titles: list[str], receipts: Sequence[Receipt]) -> list[int]:
    """Of the columns, in characters: room for their titles and for the longest value that was seen."""
    seen = [receipt["fragment"]["widths"] for receipt in receipts if receipt["fragment"]["widths"]]
    longest = [max(each) for each in zip([len(title) for title in titles], *seen, strict=True)]
    return [min(max(length + _ROOM, _NARROWEST), _WIDEST) for length in longest]


class _Blocks:
    """Rows as blocks, all but the last of the same number of rows."""

    def __init__(self, zone: str, into: IO[bytes]) -> None:
        from shared.formats.sheet import Rows

        self._rows, self._into = Rows(zone), into
        self._waiting: list[pl.DataFrame] = []
        self._blocks: list[tuple[int, ...]] = []
        self._widths: list[int] = []

    def write(self, rows: pl.DataFrame) -> None:
        self._waiting.append(rows)
        height = sum(each.height for each in self._waiting)
        if height >= _BLOCK_ROWS:
            whole = self._together()
            for start in range(0, height - height % _BLOCK_ROWS, _BLOCK_ROWS):
                self._write(whole.slice(start, _BLOCK_ROWS))
            self._waiting = [whole.slice(height - height % _BLOCK_ROWS)]

    def close(self) -> dict[str, Any]:
        if self._waiting and (rest := self._together()).height:
            self._write(rest)
        return {"blocks": self._blocks, "widths": self._widths}

    def _together(self) -> pl.DataFrame:
        import polars as pl

        return pl.concat(self._waiting)

    def _write(self, rows: pl.DataFrame) -> None:
        from isal import isal_zlib

        if not self._widths:
            self._widths = self._rows.widths(rows)
        with self._rows.xml(rows) as xml:
            packed = deflate.block(xml)
            self._blocks.append((rows.height, len(xml), isal_zlib.crc32(xml), len(packed), isal_zlib.crc32(packed)))
        self._into.write(packed)
