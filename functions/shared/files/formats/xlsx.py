"""Format ``xlsx``: a spreadsheet (ECMA-376), made by many workers and assembled without reading the rows again.

A fragment is a sequence of blocks. A block is some thousand rows of a sheet's XML, compressed (:mod:`.deflate`). A
sheet is one entry of the archive: its start, its blocks, its end. If a part knows the number of its first row, rows and
cells have references, and blocks end where sheets end. Otherwise, a new sheet begins before a block that does not fit.
If the number of rows is known, the first fragment begins with all bytes before the first row. Otherwise, or if the file
must begin differently, the assembler writes these bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from shared.files.formats import deflate, options, workbook
from shared.files.formats.archive import Archive, Content
from shared.files.formats.format import Format
from shared.files.segments import Literal, Range, Segment, joined_crc32

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan, Receipt, Work

MAX_ROWS = 1_048_576
"""Maximum number of rows of a sheet, including the header ("Excel specifications and limits")."""
_BLOCK_ROWS = 16_384
_AT_ONCE = 64
"""Columns times blocks that are converted at once. Each call of polars has a cost, and the cells are in memory."""
_NARROWEST, _WIDEST, _ROOM = 8, 60, 2


class Xlsx(Format):
    """See the module."""

    name = "xlsx"
    extension = "xlsx"
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    growth = 1.75
    has_places = True
    options_schema = options.closed(header_style=options.header_style("title", "name"), timezone=options.TIMEZONE)

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> _Blocks:
        return _Blocks(plan, self._options(plan), into, first, first_row)

    @override
    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        widths = [receipt["fragment"]["widths"] for receipt in receipts if receipt["fragment"]["widths"]]
        start = _sheet_start(plan, self._options(plan), widths[0] if widths else [])
        sheets = _sheets(work, receipts)
        heights = [1 + sum(block.rows for block in blocks) for blocks in sheets]
        archive = _new_archive(plan, heights)
        for number, (blocks, height) in enumerate(zip(sheets, heights, strict=True), start=1):
            end = workbook.sheet_end(len(plan["definition"]["columns"]), height)
            archive.add(workbook.sheet_path(number), _sheet(start, blocks, end), follows=number == 1)
        return _copied_head(work, receipts, archive.close())

    def _options(self, plan: Plan) -> dict[str, Any]:
        return options.resolve(self.options_schema, plan["options"])


class _Block(NamedTuple):
    """Rows of a sheet: ``size`` and ``crc32`` of their XML, and the range of its compressed bytes."""

    rows: int
    size: int
    crc32: int
    packed: Range


def _sheets(work: Work, receipts: Sequence[Receipt]) -> list[list[_Block]]:
    """The blocks of each sheet. There is at least one sheet, which may have no blocks."""
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
    whole, start = Range.of(work, receipt), receipt["fragment"]["head"]["bytes"]
    for rows, size, crc32, packed_size, packed_crc32 in receipt["fragment"]["blocks"]:
        packed = replace(whole, start=start, size=packed_size, crc32=packed_crc32)
        yield _Block(rows, size, crc32, packed)
        start += packed_size


def _sheet(start: bytes, blocks: list[_Block], end: bytes) -> Content:
    size, crc32 = joined_crc32(
        [
            (len(start), zlib.crc32(start)),
            *((block.size, block.crc32) for block in blocks),
            (len(end), zlib.crc32(end)),
        ]
    )
    rows = [_together(list(group)) for _, group in groupby(blocks, lambda block: block.packed.key)]
    packed_end = Literal(deflate.stored(end) + deflate.LAST_BLOCK)
    return Content((Literal(deflate.stored(start)), *rows, packed_end), size, crc32)


def _together(blocks: list[_Block]) -> Range:
    """Consecutive blocks as one range."""
    size, crc32 = joined_crc32([(block.packed.size, block.packed.crc32) for block in blocks])
    return replace(blocks[0].packed, size=size, crc32=crc32)


def _new_archive(plan: Plan, heights: list[int]) -> Archive:
    """The file before its sheets. ``heights`` are the numbers of their rows, including headers."""
    archive, definition = Archive(), plan["definition"]
    for path, data in workbook.others(definition["title"], definition["columns"], heights).items():
        archive.add(path, Content.stored(data))
    return archive


def _sheet_start(plan: Plan, settings: dict[str, Any], widths: list[int]) -> bytes:
    """The beginning of a sheet, before its rows. ``widths`` are those of the first part with rows."""
    titles = [column[settings["header_style"]] for column in plan["definition"]["columns"]]
    longest = [max(each) for each in zip(map(len, titles), widths or [0] * len(titles), strict=True)]
    return workbook.sheet_start(titles, [min(max(length + _ROOM, _NARROWEST), _WIDEST) for length in longest])


def _head(plan: Plan, settings: dict[str, Any], widths: list[int], rows: int) -> bytes:
    """The bytes before the first row of a file with ``rows`` rows."""
    full, rest = divmod(rows, _room())
    archive = _new_archive(plan, [MAX_ROWS] * full + [1 + rest] * (rest > 0 or not full))
    archive.add(workbook.sheet_path(1), _sheet(_sheet_start(plan, settings, widths), [], b""), follows=True)
    *known, _, _ = archive.segments  # without the sheet's end and its descriptor
    return _joined(known)


def _copied_head(work: Work, receipts: Sequence[Receipt], segments: list[Segment]) -> list[Segment]:
    """The segments, with the head taken from the first part if that part has the same head."""
    head = list(takewhile(lambda segment: isinstance(segment, Literal), segments))
    data = _joined(head)
    if not receipts or receipts[0]["fragment"]["head"] != {"bytes": len(data), "crc32": zlib.crc32(data)}:
        return segments
    whole, rest = Range.of(work, receipts[0]), segments[len(head) :]
    copied = replace(whole, size=len(data), crc32=zlib.crc32(data))
    if isinstance(rows := rest[0], Range) and rows.key == whole.key:
        size, crc32 = joined_crc32([(copied.size, copied.crc32), (rows.size, rows.crc32)])
        return [replace(copied, size=size, crc32=crc32), *rest[1:]]
    return [copied, *rest]


def _joined(literals: list[Segment]) -> bytes:
    return b"".join(each.data for each in literals if isinstance(each, Literal))


class _Blocks:
    """Writes rows as blocks with equal numbers of rows, except the last block and, if known, a sheet's last block."""

    def __init__(
        self, plan: Plan, settings: dict[str, Any], into: IO[bytes], first: bool, first_row: int | None
    ) -> None:
        from shared.files.formats.sheet import Rows

        self._plan, self._settings, self._into, self._row = plan, settings, into, first_row
        self._total = plan.get("rows_passing") if first else None
        styles = workbook.own_styles(plan["definition"]["columns"])
        self._rows = Rows(settings["timezone"], styles, referenced=first_row is not None)
        self._waiting: list[pl.DataFrame] = []
        self._blocks: list[tuple[int, ...]] = []
        self._widths: list[int] = []
        self._head = {"bytes": 0, "crc32": 0}

    def write(self, rows: pl.DataFrame) -> None:
        self._waiting.append(rows)
        if sum(each.height for each in self._waiting) >= _BLOCK_ROWS:
            self._write_blocks()

    def close(self) -> dict[str, Any]:
        if self._waiting:
            self._write_blocks(is_last=True)
        if not self._blocks:
            self._begin()
        return {"head": self._head, "blocks": self._blocks, "widths": self._widths}

    def _write_blocks(self, *, is_last: bool = False) -> None:
        import polars as pl

        waiting = pl.concat(self._waiting)
        heights = self._heights(waiting.height, is_last)
        step = max(1, _AT_ONCE // waiting.width)
        for at in range(0, len(heights), step):
            some = heights[at : at + step]
            self._write(waiting[: sum(some)], some)
            waiting = waiting[sum(some) :]
        self._waiting = [waiting]

    def _heights(self, rows: int, is_last: bool) -> list[int]:
        """The number of rows of each block for these rows. Remaining rows wait for more rows."""
        heights, row = [], self._row
        while rows:
            full = _BLOCK_ROWS if row is None else min(_BLOCK_ROWS, _room() - row % _room())
            if rows < full and not is_last:
                break
            heights.append(min(full, rows))
            rows -= heights[-1]
            row = None if row is None else row + heights[-1]
        return heights

    def _write(self, rows: pl.DataFrame, heights: list[int]) -> None:
        from isal import isal_zlib

        if not self._blocks:
            self._widths = self._rows.widths(rows)
            self._begin()
        for height, xml in self._rows.xml(rows, heights, self._numbers(rows.height)):
            with xml:
                packed = deflate.block(xml)
                self._blocks.append((height, len(xml), isal_zlib.crc32(xml), len(packed), isal_zlib.crc32(packed)))
            self._into.write(packed)

    def _numbers(self, rows: int) -> pl.Series | None:
        """The row numbers of the next rows in their sheets."""
        import polars as pl

        if self._row is None:
            return None
        first, self._row = self._row, self._row + rows
        return pl.int_range(first, self._row, eager=True) % _room() + 2

    def _begin(self) -> None:
        """Writes the bytes before the rows, if they are known."""
        if self._total is None:
            return
        head = _head(self._plan, self._settings, self._widths, self._total)
        self._head = {"bytes": len(head), "crc32": zlib.crc32(head)}
        self._into.write(head)


def _room() -> int:
    """Maximum number of rows of a sheet without its header."""
    return MAX_ROWS - 1
