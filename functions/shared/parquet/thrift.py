"""The Thrift compact protocol (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md), as Parquet uses it.

A struct is written from a dict that maps field ids to ``(kind, value)``; a list is ``(kind of its items, items)``; a
double is eight bytes. :meth:`Reader.typed` reads a struct in this form; :meth:`Reader.struct` reads only the values and
is faster.

An :class:`Offset` in place of an integer is left out of the bytes and inserted later. The code that inserts it does not
need to know the rest of the struct.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_STOP = 0
_BOOLEANS, _INTEGERS, _LISTS = (TRUE, FALSE), (I16, I32, I64), (LIST, SET)
_LONG, _WIDE = 15, 16

Struct = dict[int, tuple[int, Any]]


@dataclass(frozen=True)
class Offset:
    """A position in a file that is not known yet, relative to the beginning of the writer's bytes."""

    value: int


@dataclass(frozen=True)
class Encoded:
    """A value that is already encoded."""

    data: bytes


@dataclass(frozen=True)
class Template:
    """Bytes without some integers. ``offsets`` holds ``(position in data, offset)`` for each of them."""

    data: bytes
    offsets: Sequence[tuple[int, int]]

    def fill(self, base: int) -> bytes:
        """The bytes with all integers inserted: each offset plus ``base``."""
        pieces, at = [], 0
        for position, offset in self.offsets:
            pieces += [self.data[at:position], integer(base + offset)]
            at = position
        return b"".join([*pieces, self.data[at:]])


def integer(value: int) -> bytes:
    """An i16, i32 or i64: zigzag encoding, then seven bits per byte."""
    return _varint(value << 1 ^ value >> 63)


def list_header(kind: int, size: int) -> bytes:
    """The header of a list."""
    return bytes([size << 4 | kind]) if size < _LONG else bytes([_LONG << 4 | kind]) + _varint(size)


def read(data: bytes) -> Struct:
    """The struct at the beginning of the bytes.

    Raises:
        IndexError: the bytes end within the struct.
        ValueError: the struct holds a value of an unknown kind.
    """
    return Reader(data).typed()


def write(fields: Struct, after: int = 0, stop: bool = True) -> Template:
    """A struct as bytes.

    Args:
        after: id of the field that precedes these fields in the struct.
        stop: whether the struct ends after these fields.
    """
    writer = _Writer()
    writer.fields(fields, after)
    return Template(bytes(writer.data) + (bytes([_STOP]) if stop else b""), writer.offsets)


class Reader:
    """Reads values one after the other, beginning at position ``at``.

    Raises:
        IndexError: the bytes end within a value.
        ValueError: a value is of an unknown kind.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Id and kind of each field of a struct. The caller must read the value before the next field."""
        field = 0
        while (header := self._byte()) != _STOP:
            delta, kind = header >> 4, header & 15
            field = field + delta if delta else self._signed()
            yield field, kind

    def struct(self) -> dict[int, Any]:
        """A struct as a dict by field id."""
        # Does not call fields() and value(), for speed: planning reads some hundreds of values of each of many files.
        values: dict[int, Any] = {}
        field, data, at = 0, self._data, self.at
        while True:
            header = data[at]
            at += 1
            if header == _STOP:
                self.at = at
                return values
            kind = header & 15
            if header > 15:
                field += header >> 4
            else:
                self.at = at
                field, at = self._signed(), self.at
            if I16 <= kind <= I64:
                value = data[at]
                at += 1
                if value > 0x7F:
                    byte, value, shift = value, value & 0x7F, 7
                    while byte > 0x7F:
                        byte = data[at]
                        at += 1
                        value |= (byte & 0x7F) << shift
                        shift += 7
                values[field] = (value >> 1) ^ -(value & 1)
            elif kind > FALSE:
                self.at = at
                values[field], at = self.value(kind), self.at
            else:
                values[field] = kind == TRUE

    def field(self, kind: int) -> Any:
        """A field's value. A boolean's value is in its kind."""
        return kind == TRUE if kind in (TRUE, FALSE) else self.value(kind)

    def elements(self) -> range:
        """One number per element of a list. The caller must read each element."""
        header = self._byte()
        return range(header >> 4 if header >> 4 != 15 else self._unsigned())

    def value(self, kind: int) -> Any:
        """A value outside a field: a struct as :meth:`struct` returns it, a list as a list."""
        if kind in (I32, I64, I16):
            return self._signed()
        if kind == BINARY:
            return self._take(self._unsigned())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            header = self._byte()
            size = header >> 4 if header >> 4 != 15 else self._unsigned()
            return [self.value(header & 15) for _ in range(size)]
        if kind in (TRUE, FALSE):  # in a list, each takes a byte
            return self._byte() == TRUE
        if kind == BYTE:
            return struct.unpack("b", self._take(1))[0]
        if kind == DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        raise ValueError(f"a value is of unknown kind {kind}")

    def typed(self) -> Struct:
        """A struct that can be written again: values with their kinds."""
        return {
            field: (TRUE, kind == TRUE) if kind in _BOOLEANS else (kind, self._typed(kind))
            for field, kind in self.fields()
        }

    def _typed(self, kind: int) -> Any:
        if kind == STRUCT:
            return self.typed()
        if kind in _LISTS:
            header = self._byte()
            of, size = header & 15, header >> 4 if header >> 4 != _LONG else self._unsigned()
            return of, [self._typed(of) for _ in range(size)]
        if kind in (BYTE, DOUBLE):
            return self._take(1 if kind == BYTE else 8)
        return self.value(kind)

    def taken(self, begin: int) -> bytes:
        """The bytes read since position ``begin``."""
        return self._data[begin : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _take(self, size: int) -> bytes:
        if self.at + size > len(self._data):
            raise IndexError(f"{size} bytes at position {self.at} lie beyond the end")
        self.at += size
        return self._data[self.at - size : self.at]

    def _unsigned(self) -> int:
        data, at = self._data, self.at
        byte = data[at]
        result, shift = byte & 0x7F, 7
        while byte > 0x7F:
            at += 1
            byte = data[at]
            result |= (byte & 0x7F) << shift
            shift += 7
        self.at = at + 1
        return result

    def _signed(self) -> int:
        value = self._data[self.at]
        if value < 0x80:
            self.at += 1
        else:
            value = self._unsigned()
        return (value >> 1) ^ -(value & 1)


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()
        self.offsets: list[tuple[int, int]] = []

    def fields(self, fields: Struct, last: int = 0) -> None:
        for field, (kind, value) in sorted(fields.items()):
            shown = (TRUE if value else FALSE) if kind in _BOOLEANS and not isinstance(value, Encoded) else kind
            delta = field - last
            self.data += bytes([delta << 4 | shown]) if delta < _WIDE else bytes([shown]) + integer(field)
            if kind not in _BOOLEANS:
                self._value(kind, value)
            last = field

    def _value(self, kind: int, value: Any) -> None:
        if isinstance(value, Encoded):
            self.data += value.data
        elif isinstance(value, Offset):
            self.offsets.append((len(self.data), value.value))
        elif kind in _BOOLEANS:
            self.data.append(TRUE if value else FALSE)
        elif kind in _INTEGERS:
            self.data += integer(value)
        elif kind == BINARY:
            self.data += _varint(len(value)) + value
        elif kind in _LISTS:
            items, of = value[1], value[0]
            self.data += list_header(of, len(items))
            for item in items:
                self._value(of, item)
        elif kind == STRUCT:
            self.fields(value)
            self.data.append(_STOP)
        else:
            self.data += value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
