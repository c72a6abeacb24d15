"""The footer of a Parquet file: row groups, their sizes and statistics, without reading any data.

Written to parquet.thrift of the Apache Parquet format (github.com/apache/parquet-format) and the Thrift compact
protocol (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md). polars reads footers too, but does not
show row groups or statistics.
"""

import struct
from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
TAIL = len(MAGIC) + 4
"""Bytes after the footer: its length (little endian) and the magic."""

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)


@dataclass(frozen=True)
class Chunk:
    """One column of one row group. ``bounds`` are its lower and upper bound as stored (PLAIN), None where absent."""

    compressed_bytes: int
    bounds: tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class RowGroup:
    """A row group: its rows and its columns by dotted path."""

    rows: int
    chunks: dict[str, Chunk]


def footer_length(tail: bytes) -> int:
    """Bytes of the footer, from the last :data:`TAIL` bytes of a file.

    Raises:
        ValueError: these are not the last bytes of a Parquet file.
    """
    if len(tail) < TAIL or tail[-4:] != MAGIC:
        raise ValueError(f"the last four bytes are {tail[-4:]!r}, not {MAGIC!r}")
    return int(struct.unpack("<I", tail[-8:-4])[0])


def row_groups(footer: bytes) -> list[RowGroup]:
    """The row groups of a footer (FileMetaData, field 4), in the order of the file.

    Raises:
        ValueError: the bytes are not a footer.
    """
    try:
        metadata = _Reader(footer).struct()
        return [_row_group(group) for group in metadata.get(4, [])]
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError, struct.error) as error:
        raise ValueError(f"the footer is damaged ({type(error).__name__}: {error})") from error


def _row_group(group: dict[int, Any]) -> RowGroup:
    chunks = {}
    for column in group[1]:
        metadata = column[3]
        statistics = metadata.get(12, {})
        path = ".".join(name.decode() for name in metadata[3])
        chunks[path] = Chunk(metadata[7], (statistics.get(6), statistics.get(5)))
    return RowGroup(group[3], chunks)


class _Reader:
    """Thrift compact protocol, as far as Parquet uses it. A struct becomes a dict by field id."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        field = 0
        while (header := self._byte()) != _STOP:
            delta, kind = header >> 4, header & 15
            field = field + delta if delta else self._zigzag()
            fields[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # booleans within a list take a byte each
                return self._byte() == _TRUE
            case 3:
                return struct.unpack("b", self._take(1))[0]
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return struct.unpack("<d", self._take(8))[0]
            case 8:
                return self._take(self._varint())
            case 9 | 10:
                header = self._byte()
                size = header >> 4 if header >> 4 != 15 else self._varint()
                return [self._value(header & 15) for _ in range(size)]
            case 12:
                return self.struct()
        raise ValueError(f"the footer holds a value of unknown kind {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise IndexError(f"{size} bytes at {self._at} lie beyond the end")
        self._at += size
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
