"""Reads the facts that the Parquet schema lacks from the Arrow schema that Arrow's writers store in a Parquet file.

The key ``ARROW:schema`` holds a Schema message of Arrow's IPC format in base64 ("Encapsulated message format";
Schema.fbs and Message.fbs of github.com/apache/arrow). The message is a FlatBuffer ("FlatBuffer Internals",
flatbuffers.dev): a table begins with the distance to its vtable, which holds the position of each field in the table.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import NamedTuple

_CONTINUES = b"\xff\xff\xff\xff"
# Fields of Message and Schema; of Field; of Timestamp, Duration and Date.
_HEADER, _FIELDS = 2, 1
_NAME, _KIND, _TYPE, _CHILDREN = 0, 2, 3, 5
_UNIT, _ZONE = 0, 1
DATE, TIMESTAMP, DURATION = 8, 10, 18
"""The types (union Type) with more details than the Parquet schema has."""
_DEFAULT_UNIT = {DATE: 1, DURATION: 1}


class Type(NamedTuple):
    """The type of a leaf.

    ``kind`` is its number in Schema.fbs. ``unit`` is the unit of a date (0 days, 1 milliseconds), or of a duration or a
    timestamp (0 seconds, 1 milliseconds, 2 microseconds, 3 nanoseconds). ``zone`` is a timestamp's time zone.
    """

    kind: int
    unit: int = 0
    zone: str = ""


def leaves(stored: bytes) -> dict[str, list[Type]]:
    """The types of each column's leaves, depth first, by column name.

    Args:
        stored: the value of ``ARROW:schema``.

    Raises:
        ValueError, struct.error, UnicodeDecodeError: the value is not an Arrow schema.
    """
    message = base64.b64decode(stored)
    at = 8 if message.startswith(_CONTINUES) else 4
    schema = _Table.root(message[at:]).table(_HEADER)
    return {field.text(_NAME): list(_leaves(field)) for field in schema.tables(_FIELDS)} if schema else {}


def _leaves(field: _Table) -> Iterator[Type]:
    children = field.tables(_CHILDREN)
    for child in children:
        yield from _leaves(child)
    if not children:
        kind, detail = field.byte(_KIND), field.table(_TYPE)
        if detail and kind in (DATE, TIMESTAMP, DURATION):
            zone = detail.text(_ZONE) if kind == TIMESTAMP else ""
            yield Type(kind, detail.short(_UNIT, _DEFAULT_UNIT.get(kind, 0)), zone)
        else:
            yield Type(kind)


class _Table:
    """A table of a FlatBuffer."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - self._number("<i", at)
        self._size = self._number("<H", self._vtable)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from("<I", data)[0])

    def byte(self, field: int) -> int:
        return self._number("<B", at) if (at := self._place(field)) else 0

    def short(self, field: int, default: int) -> int:
        return self._number("<h", at) if (at := self._place(field)) else default

    def text(self, field: int) -> str:
        if not (at := self._place(field)):
            return ""
        at += self._number("<I", at)
        return self._data[at + 4 : at + 4 + self._number("<I", at)].decode()

    def table(self, field: int) -> _Table | None:
        return self._to(at) if (at := self._place(field)) else None

    def tables(self, field: int) -> list[_Table]:
        if not (at := self._place(field)):
            return []
        at += self._number("<I", at)
        return [self._to(at + 4 + 4 * index) for index in range(self._number("<I", at))]

    def _place(self, field: int) -> int:
        """Position of a field; 0 if the table does not have it."""
        at = 4 + 2 * field
        within = self._number("<H", self._vtable + at) if at < self._size else 0
        return self._at + within if within else 0

    def _to(self, at: int) -> _Table:
        """The table that an offset points to."""
        return _Table(self._data, at + self._number("<I", at))

    def _number(self, form: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset points outside the message")
        return int(struct.unpack_from(form, self._data, at)[0])
