"""The footer and the page headers of a Parquet file: where its row groups, columns and pages are, and their bounds.

Written to parquet.thrift of the Apache Parquet format (github.com/apache/parquet-format) and the Thrift compact
protocol (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md). polars reads footers too, but does not
show row groups, statistics or pages.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from shared.parquet import thrift
from shared.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Encoded, Reader

MAGIC = b"PAR1"
TAIL = len(MAGIC) + 4
"""Bytes after the footer: its length (little endian) and the magic."""
_ENCRYPTED = b"PARE"
_REPEATED = 2
_INTERVAL = 21
INT32, INT64, INT96, BYTE_ARRAY = 1, 2, 3, 6
"""Physical types of parquet.thrift, as far as they matter here."""
_DATE, _TIMESTAMP_MILLIS, _TIMESTAMP_MICROS = 6, 9, 10
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DAMAGE = (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError, struct.error)


@dataclass(frozen=True)
class Chunk:
    """One leaf column of one row group.

    ``path`` are the names down to the leaf, ``metadata`` is its ColumnMetaData, ``raw`` its ColumnChunk as it stands
    in the footer. It lies from byte ``start`` to ``end`` of the file. ``bounds`` are its lower and upper bound as
    stored (PLAIN), None where absent. ``offset_index`` is where its OffsetIndex lies, if it has one.
    """

    path: tuple[str, ...]
    metadata: dict[int, Any]
    raw: bytes
    start: int
    end: int
    bounds: tuple[bytes | None, bytes | None]
    offset_index: tuple[int, int] | None

    @property
    def column(self) -> str:
        """Name of the column that the leaf belongs to."""
        return self.path[0]

    @property
    def bytes(self) -> int:
        """Compressed size."""
        return self.end - self.start

    @property
    def physical_type(self) -> int:
        """How its values are stored: ``Type`` of parquet.thrift."""
        return int(self.metadata[1])

    @property
    def uncompressed_bytes(self) -> int:
        """Size before compression; still encoded."""
        return int(self.metadata[6])


@dataclass(frozen=True)
class RowGroup:
    """A row group: its rows and its leaf columns, in the order of the schema."""

    rows: int
    chunks: list[Chunk]


class Raw(NamedTuple):
    """A field of FileMetaData as it stands in the footer: its id, its Thrift type, its bytes."""

    field: int
    kind: int
    value: bytes


@dataclass(frozen=True)
class Footer:
    """FileMetaData: its row groups in the order of the file, and all its other fields as they stand.

    ``flat`` are the columns of which each row has exactly one value, null or not: neither lists nor structs. Of dates
    (``d``) and timestamps (``ms``, ``us``, ``ns``) it has the unit.
    """

    row_groups: list[RowGroup]
    flat: dict[str, str]
    others: list[Raw]

    @property
    def schema(self) -> tuple[bytes, ...]:
        """What decides the types of the columns: the schema and the key-value metadata, as they stand."""
        return tuple(raw.value for raw in self.others if raw.field in (2, 5))


class Page(NamedTuple):
    """A page within a column chunk: bytes ``start`` to ``end``, header included; a dictionary has no rows."""

    start: int
    end: int
    rows: int


class Pages(NamedTuple):
    """Pages of one column chunk, as :class:`Excerpt` takes them; data begins ``data`` bytes after the first."""

    buffers: list[bytes]
    values: int
    data: int


def footer_length(tail: bytes) -> int:
    """Bytes of the footer, from the last :data:`TAIL` bytes of a file.

    Raises:
        ValueError: these are not the last bytes of a Parquet file, or it is encrypted.
    """
    if tail[-4:] == _ENCRYPTED:
        raise ValueError("its footer is encrypted; only files without encryption can be read")
    if len(tail) < TAIL:
        raise ValueError(f"it has no more than {len(tail)} bytes")
    if tail[-4:] != MAGIC:
        raise ValueError(f"it does not end with {MAGIC.decode()}")  # what it ends with may be of a row
    return int(struct.unpack("<I", tail[-8:-4])[0])


def read(footer: bytes) -> Footer:
    """A footer (FileMetaData) from its bytes.

    Raises:
        ValueError: the bytes are not a footer, or a column is encrypted, in another file, or of no known type.
    """
    reader, groups, flat, others = Reader(footer), [], dict[str, str](), []
    try:
        for field, kind in reader.fields():
            begin = reader.at
            if field == 4:
                groups = [_row_group(reader) for _ in reader.elements()]
                continue
            value = reader.field(kind)
            if field == 2:
                _require_readable(value)
                flat = dict(_flat(value))
            if field != 3:
                others.append(Raw(field, kind, reader.taken(begin)))
    except _DAMAGE as error:
        raise ValueError(f"the footer is damaged ({type(error).__name__}: {error})") from error
    return Footer(groups, flat, others)


Read = Callable[[int, int], bytes]
"""Bytes of a file from one position to another; fewer at its end."""


def pages(read: Read, chunk: Chunk, is_flat: bool) -> list[Page] | None:
    """The pages of a column chunk, from their headers.

    Args:
        read: the file.
        is_flat: whether each row of the column has exactly one value.

    Returns:
        None where the rows of a page are not known without decoding it: lists in pages of version 1.

    Raises:
        ValueError: there are no pages there.
    """
    found, at = [], chunk.start
    try:
        while at < chunk.end:
            header, length = _page_header(read, at, chunk.end)
            kind, end = header[1], at + length + header[3]
            if header[3] < 0 or end > chunk.end:
                raise IndexError("a page lies beyond its column chunk")
            if kind == _DATA_PAGE_V2:
                found.append(Page(at, end, _number(header[8][3])))
            elif kind == _DATA_PAGE and is_flat:
                found.append(Page(at, end, _number(header[5][1])))
            elif kind == _DATA_PAGE:
                return None
            elif kind == _DICTIONARY_PAGE:
                found.append(Page(at, end, 0))
            at = end
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error
    return found


def indexed_pages(read: Read, chunk: Chunk, rows: int) -> list[Page] | None:
    """The pages of a column chunk of ``rows`` rows, without looking at them; None where there is no OffsetIndex.

    Raises:
        ValueError: the index is damaged.
    """
    index = chunk.offset_index
    if index is None:
        return None
    try:
        places = Reader(read(*index)).struct()[1]
        firsts = [place[3] for place in places] + [rows]
        found = [
            Page(_number(place[1]), place[1] + _number(place[2]), _number(after - first))
            for place, (first, after) in zip(places, pairwise(firsts), strict=True)
        ]
        if found and found[0].start > chunk.start:
            found.insert(0, Page(chunk.start, found[0].start, 0))
        if not found or any(page.rows < 0 or not chunk.start <= page.start <= page.end <= chunk.end for page in found):
            raise IndexError("a page lies beyond its column chunk")
    except _DAMAGE as error:
        raise ValueError(f"an offset index is damaged ({type(error).__name__}: {error})") from error
    return found


def values(read: Read, page: Page) -> int:
    """How many values a data page holds, which for lists are more than its rows.

    Raises:
        ValueError: there is no data page there.
    """
    try:
        header, _ = _page_header(read, page.start, page.end)
        return _number((header.get(5) or header[8])[1])
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error


def require_intact(pages: bytes, column: str) -> None:
    """That pages which have a checksum (``crc`` of PageHeader) have its bytes; many writers leave it out.

    Args:
        pages: whole ones, with their headers.

    Raises:
        ValueError: one has not, or there is no page there.
    """
    at, view = 0, memoryview(pages)
    try:
        while at < len(pages):
            header, length = _page_header(lambda low, high: pages[low:high], at, len(pages))
            begin, at = at + length, at + length + _number(header[3])
            if 4 in header and zlib.crc32(view[begin:at]) != header[4] & 0xFFFFFFFF:
                raise ValueError(f"a page of column {column} does not have the bytes of its checksum")
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error


def _page_header(read: Read, at: int, end: int) -> tuple[dict[int, Any], int]:
    """A PageHeader and its length: mostly some dozens of bytes, but statistics within it may be long."""
    size = 256
    while True:
        reader = Reader(read(at, min(at + size, end)))
        try:
            return reader.struct(), reader.at
        except IndexError:
            if at + size >= end:
                raise
            size *= 16


class Excerpt:
    """A small Parquet file with some columns of some rows of a large one.

    Columns that are not given stay in the schema, but cannot be read.
    """

    def __init__(self, footer: Footer) -> None:
        self._footer, self._rows = footer, 0
        self._body = [MAGIC]
        self._at = len(MAGIC)
        self._groups: list[bytes] = []

    def add(self, group: RowGroup, rows: int, columns: dict[int, Pages]) -> None:
        """Adds a row group of ``rows`` rows; ``columns`` holds pages of its chunks, by the chunk's position."""
        chunks = [
            Encoded(self._chunk(chunk, columns[position]) if position in columns else chunk.raw)
            for position, chunk in enumerate(group.chunks)
        ]
        self._rows += rows
        self._groups.append(thrift.write({1: (LIST, (STRUCT, chunks)), 2: (I64, 0), 3: (I64, rows)}).data)

    def file(self) -> bytes:
        """The file."""
        fields = {raw.field: (raw.kind, Encoded(raw.value)) for raw in self._footer.others}
        groups = [Encoded(group) for group in self._groups]
        footer = thrift.write(fields | {3: (I64, self._rows), 4: (LIST, (STRUCT, groups))}).data
        return b"".join([*self._body, footer, struct.pack("<I", len(footer)), MAGIC])

    def _chunk(self, chunk: Chunk, given: Pages) -> bytes:
        """A ColumnChunk for pages that stand in this file."""
        start, size, known = self._at, sum(map(len, given.buffers)), chunk.metadata
        self._body += given.buffers
        self._at += size
        metadata = {
            1: (I32, known[1]),
            2: (LIST, (I32, known[2])),
            3: (LIST, (BINARY, known[3])),
            4: (I32, known[4]),
            5: (I64, given.values),
            6: (I64, known[6]),
            7: (I64, size),
            9: (I64, start + given.data),
        }
        if given.data:
            metadata[11] = (I64, start)
        return thrift.write({2: (I64, 0), 3: (STRUCT, metadata)}).data


def _row_group(group: Reader) -> RowGroup:
    chunks: list[Chunk] = []
    rows = 0
    for field, kind in group.fields():
        if field == 1:
            chunks = [_chunk(group) for _ in group.elements()]
        elif field == 3:
            rows = _number(group.field(kind))
        else:
            group.field(kind)
    return RowGroup(rows, chunks)


def _chunk(reader: Reader) -> Chunk:
    begin = reader.at
    column = reader.struct()
    if 8 in column or 9 in column:
        raise ValueError("it has encrypted columns; only files without encryption can be read")
    if 1 in column:
        raise ValueError("it has columns in other files; only files that hold all their columns can be read")
    metadata = column[3]
    for field in (1, 4, 5, 6, 7):
        _number(metadata[field])
    for encoding in metadata[2]:
        _number(encoding)
    statistics = metadata.get(12, {})
    dictionary, data = metadata.get(11, 0), _number(metadata[9])
    start = dictionary if 0 < dictionary < data else data
    return Chunk(
        tuple([name.decode() for name in metadata[3]]),
        metadata,
        reader.taken(begin),
        start,
        start + metadata[7],
        (_stored(statistics.get(6)), _stored(statistics.get(5))),
        (_number(column[4]), column[4] + _number(column[5])) if column.get(4) and column.get(5) else None,
    )


def _stored(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _number(value: Any) -> int:
    """A number of a footer: none of those that are read here is ever negative."""
    if type(value) is not int or value < 0:
        raise TypeError(f"a number is expected, not a {type(value).__name__} or less than 0")
    return value


def _require_readable(schema: list[dict[int, Any]]) -> None:
    """A type that polars does not know keeps it from opening the file, whoever needs the column."""
    for element in schema:
        if element.get(6) == _INTERVAL:
            raise ValueError(f"column {element[4].decode()} is an INTERVAL; a number or a text can be read")


def _flat(schema: list[dict[int, Any]]) -> Iterator[tuple[str, str]]:
    """The columns of a schema, which stands depth first, that are neither lists nor structs, with their unit."""
    at = 1
    while at < len(schema):
        element = schema[at]
        if not element.get(5) and element.get(3) != _REPEATED:
            yield element[4].decode(), _unit(element)
        at = _after(schema, at)


def _unit(element: dict[int, Any]) -> str:
    """What a date or a timestamp counts: its LogicalType says it, or its older ConvertedType; nothing for others."""
    if timestamp := element.get(10, {}).get(8):
        return {1: "ms", 2: "us", 3: "ns"}.get(next(iter(timestamp[2]), 0), "")
    return {_DATE: "d", _TIMESTAMP_MILLIS: "ms", _TIMESTAMP_MICROS: "us"}.get(element.get(6, -1), "")


def _after(schema: list[dict[int, Any]], at: int) -> int:
    """Position after an element and all that is in it."""
    open_ones = 1
    while open_ones:
        open_ones += schema[at].get(5, 0) - 1
        at += 1
    return at
