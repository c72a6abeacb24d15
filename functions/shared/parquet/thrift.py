"""The Thrift compact protocol (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md), as Parquet uses it.

Values keep their kinds, so that what was read can be written again. A struct is a dict by field id of
``(kind, value)``; a list is ``(kind of its items, items)``. Doubles stay the eight bytes that they are.

An :class:`Offset` in place of an integer is left out of the bytes, and can be put in later: so that who puts it in
needs to know nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_STOP = 0
_BOOLEANS, _INTEGERS, _LISTS = (TRUE, FALSE), (I16, I32, I64), (LIST, SET)
_LONG, _WIDE = 15, 16

Struct = dict[int, tuple[int, Any]]


@dataclass(frozen=True)
class Offset:
    """A position in a file that is not known yet: this far from where the writer's bytes will begin."""

    value: int


@dataclass(frozen=True)
class Template:
    """Bytes that lack some integers: each is ``(where in data it belongs, offset)``."""

    data: bytes
    offsets: Sequence[tuple[int, int]]

    def fill(self, base: int) -> bytes:
        """The bytes with every offset counted from ``base``."""
        pieces, at = [], 0
        for where, offset in self.offsets:
            pieces += [self.data[at:where], integer(base + offset)]
            at = where
        return b"".join([*pieces, self.data[at:]])


def integer(value: int) -> bytes:
    """An i16, i32 or i64: zigzag, then seven bits a byte."""
    return _varint(value << 1 ^ value >> 63)


def list_header(kind: int, size: int) -> bytes:
    """What stands before the items of a list."""
    return bytes([size << 4 | kind]) if size < _LONG else bytes([_LONG << 4 | kind]) + _varint(size)


def read(data: bytes) -> Struct:
    """The struct that the bytes begin with.

    Raises:
        IndexError: the bytes end within it.
        ValueError: it holds a value of an unknown kind.
    """
    return _Reader(data).struct()


def write(fields: Struct, after: int = 0, stop: bool = True) -> Template:
    """A struct as bytes.

    Args:
        after: id of the field that the reader has read before these.
        stop: whether the struct ends here.
    """
    writer = _Writer()
    writer.fields(fields, after)
    return Template(bytes(writer.data) + (bytes([_STOP]) if stop else b""), writer.offsets)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> Struct:
        fields: Struct = {}
        field = 0
        while (header := self._byte()) != _STOP:
            delta, kind = header >> 4, header & 15
            field = field + delta if delta else self._integer()
            fields[field] = (TRUE, kind == TRUE) if kind in _BOOLEANS else (kind, self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _BOOLEANS:  # within a list they take a byte each
            return self._byte() == TRUE
        if kind == BYTE:
            return self._take(1)
        if kind in _INTEGERS:
            return self._integer()
        if kind == DOUBLE:
            return self._take(8)
        if kind == BINARY:
            return self._take(self._varint())
        if kind in _LISTS:
            header = self._byte()
            size = header >> 4 if header >> 4 != _LONG else self._varint()
            return header & 15, [self._value(header & 15) for _ in range(size)]
        if kind == STRUCT:
            return self.struct()
        raise ValueError(f"a value of unknown kind {kind}")

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
        while (byte := self._byte()) >= 0x80:
            result |= (byte & 0x7F) << shift
            shift += 7
        return result | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()
        self.offsets: list[tuple[int, int]] = []

    def fields(self, fields: Struct, last: int = 0) -> None:
        for field, (kind, value) in sorted(fields.items()):
            shown = (TRUE if value else FALSE) if kind in _BOOLEANS else kind
            delta = field - last
            self.data += bytes([delta << 4 | shown]) if delta < _WIDE else bytes([shown]) + integer(field)
            if kind not in _BOOLEANS:
                self._value(kind, value)
            last = field

    def _value(self, kind: int, value: Any) -> None:
        if isinstance(value, Offset):
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
