"""Reads the footer and the page headers of a Parquet file: positions of row groups, columns and pages, and bounds.

Follows parquet.thrift of the Apache Parquet format (github.com/apache/parquet-format) and the Thrift compact protocol
(github.com/apache/thrift, doc/specs/thrift-compact-protocol.md). polars reads footers too, but does not show row
groups, statistics or pages.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from shared.parquet import arrow, thrift
from shared.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Encoded, Reader

MAGIC = b"PAR1"
TAIL = len(MAGIC) + 4
"""Bytes after the footer: its length (little endian) and the magic number."""
_ENCRYPTED = b"PARE"
_REPEATED = 2
# LogicalType and ConvertedType of parquet.thrift.
STRING, ENUM, DECIMAL, UNKNOWN, JSON, UUID, FLOAT16 = 1, 4, 5, 11, 12, 14, 15
_LOGICAL = {STRING, 2, 3, ENUM, DECIMAL, 6, 7, 8, 10, UNKNOWN, JSON, 13, UUID, FLOAT16}
"""The logical types that can be read."""
_UNSUPPORTED = {16: "a VARIANT", 17: "a GEOMETRY", 18: "a GEOGRAPHY"}
_UTF8, _ENUM, _DATE, _TIME_MILLIS, _TIME_MICROS, _JSON, _INTERVAL = 0, 4, 6, 7, 8, 19, 21
_TIME, _TIMESTAMP = 7, 8
_UNITS = {_DATE: "d", _TIME_MILLIS: "ms", _TIME_MICROS: "us", 9: "ms", 10: "us"}
"""Units of dates, times and timestamps, by ConvertedType."""
_MAX_DIGITS = 38
_SCHEMA, _KEY_VALUES = 2, 5
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DAMAGE = (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError, struct.error)


@dataclass(frozen=True)
class Chunk:
    """A leaf column in a row group.

    ``path`` holds the names down to the leaf, and ``metadata`` is its ColumnMetaData. The chunk lies at bytes ``start``
    to ``end`` of the file. ``bounds`` are its lower and upper bound as stored (PLAIN), None if absent.
    ``offset_index`` is the position of its OffsetIndex, if it has one.
    """

    path: tuple[str, ...]
    metadata: dict[int, Any]
    start: int
    end: int
    bounds: tuple[bytes | None, bytes | None]
    offset_index: tuple[int, int] | None

    @property
    def column(self) -> str:
        """Name of the leaf's column."""
        return self.path[0]

    @property
    def bytes(self) -> int:
        """Compressed size."""
        return self.end - self.start

    @property
    def uncompressed_bytes(self) -> int:
        """Size before compression, but encoded."""
        return int(self.metadata[6])


@dataclass(frozen=True)
class RowGroup:
    """A row group: its number of rows and its leaf columns, in the order of the schema."""

    rows: int
    chunks: list[Chunk]


@dataclass(frozen=True)
class Column:
    """A column of the schema, with its nested elements.

    ``elements`` are its SchemaElements, depth first. ``raw`` holds their bytes, with JSON and ENUM replaced by text and
    times of day by integers. ``unsupported`` describes the type of a column that cannot be read; otherwise it is empty.
    """

    elements: tuple[dict[int, Any], ...]
    raw: bytes
    unsupported: str

    @property
    def is_flat(self) -> bool:
        """Whether each row has exactly one value, which may be null: the column is neither a list nor a struct."""
        return len(self.elements) == 1 and not is_group(self.elements[0]) and self.elements[0].get(3) != _REPEATED

    @property
    def leaves(self) -> list[dict[int, Any]]:
        """The elements that hold values."""
        return [element for element in self.elements if not is_group(element)]


@dataclass(frozen=True)
class Footer:
    """FileMetaData: the row groups in the order of the file, and the bytes of ``schema`` and ``key_values``."""

    row_groups: list[RowGroup]
    schema: bytes
    key_values: bytes

    @property
    def columns(self) -> dict[str, Column]:
        """The columns by name, in the order of the file."""
        return _columns(self.schema)

    def arrow_types(self, column: str) -> list[arrow.Type] | None:
        """The types of a column's leaves in the Arrow schema, which pyarrow and others also store; None if absent."""
        return _arrow_types(self.key_values).get(column)


class Page(NamedTuple):
    """A page of a column chunk: bytes ``start`` to ``end``, including its header. A dictionary page has no rows."""

    start: int
    end: int
    rows: int


class Pages(NamedTuple):
    """Pages of one column chunk for :class:`Excerpt`. The data pages begin ``data`` bytes after the first page."""

    buffers: list[bytes]
    values: int
    data: int


def footer_length(tail: bytes) -> int:
    """Bytes of the footer, from the last :data:`TAIL` bytes of a file.

    Raises:
        ValueError: these are not the last bytes of a Parquet file, or the file is encrypted.
    """
    if tail[-4:] == _ENCRYPTED:
        raise ValueError("its footer is encrypted; only files without encryption can be read")
    if len(tail) < TAIL:
        raise ValueError(f"it has only {len(tail)} bytes")
    if tail[-4:] != MAGIC:
        raise ValueError(f"it does not end with {MAGIC.decode()}")  # do not show the last bytes: they may be of a row
    return int(struct.unpack("<I", tail[-8:-4])[0])


def read(footer: bytes) -> Footer:
    """A footer (FileMetaData) from its bytes.

    Raises:
        ValueError: the bytes are not a footer, or a column is encrypted or in another file.
    """
    reader, groups, raw = Reader(footer), list[RowGroup](), {_SCHEMA: b"", _KEY_VALUES: b""}
    try:
        for field, kind in reader.fields():
            begin = reader.at
            if field == 4:
                groups = [_row_group(reader) for _ in reader.elements()]
                continue
            reader.field(kind)
            if field in raw:
                raw[field] = reader.taken(begin)
        _columns(raw[_SCHEMA])
    except _DAMAGE as error:
        raise ValueError(f"the footer is damaged ({type(error).__name__}: {error})") from error
    return Footer(groups, raw[_SCHEMA], raw[_KEY_VALUES])


Read = Callable[[int, int], bytes]
"""Returns the bytes of a file between two positions; fewer at the end of the file."""


def pages(read: Read, chunk: Chunk, is_flat: bool) -> list[Page] | None:
    """The pages of a column chunk, from their headers.

    Args:
        read: reads the file.
        is_flat: whether each row of the column has exactly one value.

    Returns:
        None if only decoding shows the rows of a page: for lists in pages of version 1.

    Raises:
        ValueError: the chunk does not consist of pages.
    """
    pages, at = [], chunk.start
    try:
        while at < chunk.end:
            header, length = _page_header(read, at, chunk.end)
            kind, end = header[1], at + length + header[3]
            if header[3] < 0 or end > chunk.end:
                raise IndexError("a page lies outside its column chunk")
            if kind == _DATA_PAGE_V2:
                pages.append(Page(at, end, _number(header[8][3])))
            elif kind == _DATA_PAGE and is_flat:
                pages.append(Page(at, end, _number(header[5][1])))
            elif kind == _DATA_PAGE:
                return None
            elif kind == _DICTIONARY_PAGE:
                pages.append(Page(at, end, 0))
            at = end
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error
    return pages


def indexed_pages(read: Read, chunk: Chunk, rows: int) -> list[Page] | None:
    """The pages of a column chunk of ``rows`` rows, from its OffsetIndex; None if it has none.

    Raises:
        ValueError: the index is damaged.
    """
    index = chunk.offset_index
    if index is None:
        return None
    try:
        locations = Reader(read(*index)).struct()[1]
        firsts = [location[3] for location in locations] + [rows]
        pages = [
            Page(_number(location[1]), location[1] + _number(location[2]), _number(after - first))
            for location, (first, after) in zip(locations, pairwise(firsts), strict=True)
        ]
        if pages and pages[0].start > chunk.start:
            pages.insert(0, Page(chunk.start, pages[0].start, 0))
        if not pages or any(page.rows < 0 or not chunk.start <= page.start <= page.end <= chunk.end for page in pages):
            raise IndexError("a page lies outside its column chunk")
    except _DAMAGE as error:
        raise ValueError(f"an offset index is damaged ({type(error).__name__}: {error})") from error
    return pages


def values(read: Read, page: Page) -> int:
    """How many values a data page holds. For lists, these are more than its rows.

    Raises:
        ValueError: the bytes are not a data page.
    """
    try:
        header, _ = _page_header(read, page.start, page.end)
        return _number((header.get(5) or header[8])[1])
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error


def require_intact(pages: bytes, column: str) -> None:
    """Checks the checksums of pages (``crc`` of PageHeader). Many writers leave it out.

    Args:
        pages: whole pages, with their headers.

    Raises:
        ValueError: a checksum does not match, or the bytes are not pages.
    """
    at, view = 0, memoryview(pages)
    try:
        while at < len(pages):
            header, length = _page_header(lambda low, high: pages[low:high], at, len(pages))
            begin, at = at + length, at + length + _number(header[3])
            if 4 in header and zlib.crc32(view[begin:at]) != header[4] & 0xFFFFFFFF:
                raise ValueError(f"a page of column {column} does not match its checksum")
    except _DAMAGE as error:
        raise ValueError(f"a page header is damaged ({type(error).__name__}: {error})") from error


def _page_header(read: Read, at: int, end: int) -> tuple[dict[int, Any], int]:
    """A PageHeader and its length: usually some dozens of bytes, but its statistics may be long."""
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
    """A small Parquet file with some columns and rows of a large file.

    Its footer holds only what is needed to read these columns: no other column, no sort order, no Arrow schema. Other
    parts of the large file's footer may therefore be unknown to the reader.
    """

    def __init__(self, footer: Footer, columns: Collection[str]) -> None:
        self._columns = [column for name, column in footer.columns.items() if name in columns]
        self._rows, self._at = 0, len(MAGIC)
        self._body = [MAGIC]
        self._groups: list[bytes] = []

    def add(self, group: RowGroup, rows: int, columns: dict[int, Pages]) -> None:
        """Adds a row group of ``rows`` rows.

        Args:
            columns: the pages of each chunk of the excerpt's columns, by the chunk's position in the row group.
        """
        chunks = [Encoded(self._chunk(group.chunks[position], columns[position])) for position in sorted(columns)]
        self._rows += rows
        self._groups.append(thrift.write({1: (LIST, (STRUCT, chunks)), 2: (I64, 0), 3: (I64, rows)}).data)

    def file(self) -> bytes:
        """The bytes of the file."""
        root = thrift.write({4: (BINARY, b"schema"), 5: (I32, len(self._columns))}).data
        elements = 1 + sum(len(column.elements) for column in self._columns)
        schema = thrift.list_header(STRUCT, elements) + root + b"".join(column.raw for column in self._columns)
        groups = [Encoded(group) for group in self._groups]
        fields = {1: (I32, 1), _SCHEMA: (LIST, Encoded(schema)), 3: (I64, self._rows), 4: (LIST, (STRUCT, groups))}
        footer = thrift.write(fields).data
        return b"".join([*self._body, footer, struct.pack("<I", len(footer)), MAGIC])

    def _chunk(self, chunk: Chunk, pages: Pages) -> bytes:
        """A ColumnChunk for pages in this file."""
        start, size, original = self._at, sum(map(len, pages.buffers)), chunk.metadata
        self._body += pages.buffers
        self._at += size
        metadata = {
            1: (I32, original[1]),
            2: (LIST, (I32, original[2])),
            3: (LIST, (BINARY, original[3])),
            4: (I32, original[4]),
            5: (I64, pages.values),
            6: (I64, original[6]),
            7: (I64, size),
            9: (I64, start + pages.data),
        }
        if pages.data:
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
    column = reader.struct()
    if 8 in column or 9 in column:
        raise ValueError("it has encrypted columns; only files without encryption can be read")
    if 1 in column:
        raise ValueError("some of its columns are in other files; only files with all their columns can be read")
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
        start,
        start + metadata[7],
        (_stored(statistics.get(6)), _stored(statistics.get(5))),
        (_number(column[4]), column[4] + _number(column[5])) if column.get(4) and column.get(5) else None,
    )


def _stored(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _number(value: Any) -> int:
    """A number of a footer. The numbers read here are never negative."""
    if type(value) is not int or value < 0:
        raise TypeError(f"expected a number of at least 0, not a negative number or a {type(value).__name__}")
    return value


def is_group(element: dict[int, Any]) -> bool:
    """Whether a SchemaElement holds other elements and not values."""
    return bool(element.get(5))


@lru_cache(maxsize=64)
def _columns(schema: bytes) -> dict[str, Column]:
    """The columns of a schema by name. Cached, because most files of a dataset share a schema."""
    reader = Reader(schema)
    elements, raws = list[dict[int, Any]](), list[bytes]()
    for _ in reader.elements():
        begin = reader.at
        elements.append(reader.struct())
        raws.append(_simplified(elements[-1]) or reader.taken(begin))
    columns: dict[str, Column] = {}
    at = 1
    while at < len(elements):
        end, name = _after(elements, at), elements[at][4].decode()
        nested = tuple(elements[at:end])
        unsupported = "duplicated" if name in columns else next(filter(None, map(_unsupported, nested)), "")
        columns[name] = Column(nested, b"".join(raws[at:end]), unsupported)
        at = end
    return columns


def is_time(element: dict[int, Any]) -> bool:
    """Whether a SchemaElement is a time of day."""
    return _TIME in element.get(10, {}) or element.get(6) in (_TIME_MILLIS, _TIME_MICROS)


def unit_of(element: dict[int, Any]) -> str:
    """The unit of a date, a time or a timestamp: ``d``, ``ms``, ``us`` or ``ns``; empty for other types."""
    logical = element.get(10, {})
    if details := logical.get(_TIME) or logical.get(_TIMESTAMP):
        return {1: "ms", 2: "us", 3: "ns"}.get(next(iter(details[2]), 0), "")
    return _UNITS.get(element.get(6, -1), "")


def _simplified(element: dict[int, Any]) -> bytes:
    """The element of an ENUM or JSON as text, and of a time of day as its stored integer; empty for other elements."""
    if is_group(element):
        return b""
    is_text = element.get(6) in (_ENUM, _JSON) or {ENUM, JSON} & set(element.get(10, {}))
    if not (is_text or is_time(element)):
        return b""
    kept: thrift.Struct = {1: (I32, element[1]), 3: (I32, element[3]), 4: (BINARY, element[4])}
    as_text: thrift.Struct = {6: (I32, _UTF8), 10: (STRUCT, {STRING: (STRUCT, {})})}
    return thrift.write(kept | as_text if is_text else kept).data


def _unsupported(element: dict[int, Any]) -> str:
    """A description of an element that cannot be read; empty for an element that can."""
    logical = element.get(10)
    if logical is not None and not (logical and set(logical) <= _LOGICAL):
        return next((_UNSUPPORTED[kind] for kind in logical if kind in _UNSUPPORTED), "of an unknown logical type")
    if element.get(6) == _INTERVAL:
        return "an INTERVAL"
    if element.get(8, 0) > _MAX_DIGITS:
        return f"a decimal of {element[8]} digits (at most {_MAX_DIGITS} can be read)"
    return ""


def _after(schema: list[dict[int, Any]], at: int) -> int:
    """Position after an element and its nested elements."""
    remaining = 1
    while remaining:
        remaining += schema[at].get(5, 0) - 1
        at += 1
    return at


@lru_cache(maxsize=64)
def _arrow_types(key_values: bytes) -> dict[str, list[arrow.Type]]:
    if not key_values:
        return {}
    try:
        reader = Reader(key_values)
        stored = {entry[1]: entry.get(2, b"") for entry in (reader.struct() for _ in reader.elements())}
        return arrow.leaves(stored.get(b"ARROW:schema", b""))
    except (*_DAMAGE, ValueError):
        return {}
