"""A zip archive (APPNOTE.TXT 6.3.10) as segments: literal bytes and references to parts.

The sizes and checksum of an entry precede its content. They follow it if its beginning is written before they are
known. The archive contains no modification times.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.files.segments import Literal, Segment

_STORED, _DEFLATED = 0, 8
_UTF8, _FOLLOWS = 0x0800, 0x0008  # general purpose bits 11 and 3
_FIRST_DAY = 0x0021  # 1980-01-01, the earliest date that zip can store
_VERSION, _VERSION_64 = 20, 45
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Content:
    """The content of an entry: its segments, and the size and CRC-32 of the decompressed bytes."""

    segments: tuple[Segment, ...]
    size: int
    crc32: int
    method: int = _DEFLATED

    @classmethod
    def stored(cls, data: bytes) -> Content:
        """Content without compression."""
        return cls((Literal(data),), len(data), zlib.crc32(data), _STORED)

    @property
    def packed_size(self) -> int:
        """Size in the archive, in bytes."""
        return sum(segment.size for segment in self.segments)


@dataclass
class Archive:
    """An archive that grows entry by entry."""

    segments: list[Segment] = field(default_factory=list)
    _size: int = 0
    _directory: list[bytes] = field(default_factory=list)

    def add(self, path: str, content: Content, *, follows: bool = False) -> None:
        """Appends an entry (4.3.7).

        Args:
            follows: whether sizes and checksum follow the content (4.3.9). The header is then the same for every
                content of less than 4 GiB. For larger content, the header holds the sizes.
        """
        name, sizes = path.encode(), (content.size, content.packed_size)
        offset = self._size
        large = any(size >= _MAX_32 for size in sizes)
        follows = follows and not large
        flags = _UTF8 | _FOLLOWS * follows
        proof = (content.crc32, content.packed_size, content.size)
        extra = struct.pack("<HHQQ", 1, 16, *sizes) if large else b""
        shown = (0, 0, 0) if follows else (content.crc32, _MAX_32, _MAX_32) if large else proof
        version = _VERSION_64 if large else _VERSION
        header = struct.pack(
            "<IHHHHHIIIHH",
            0x04034B50,
            version,
            flags,
            content.method,
            0,
            _FIRST_DAY,
            *shown,
            len(name),
            len(extra),
        )
        descriptor = [Literal(struct.pack("<IIII", 0x08074B50, *proof))] if follows else []
        self._append([Literal(header + name + extra), *content.segments, *descriptor])
        self._directory.append(_directory_entry(name, content, offset, flags))

    def close(self) -> list[Segment]:
        """Appends the directory (4.3.12 to 4.3.16) and returns all segments."""
        start, entries = self._size, len(self._directory)
        directory = b"".join(self._directory)
        tail = directory
        if start >= _MAX_32 or start + len(directory) >= _MAX_32 or entries >= _MAX_16:
            tail += struct.pack(
                "<IQHHIIQQQQ", 0x06064B50, 44, _VERSION_64, _VERSION_64, 0, 0, entries, entries, len(directory), start
            )
            tail += struct.pack("<IIQI", 0x07064B50, 0, start + len(directory), 1)
        count = min(entries, _MAX_16)
        sizes = (min(len(directory), _MAX_32), min(start, _MAX_32))
        self._append([Literal(tail + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, *sizes, 0))])
        return self.segments

    def _append(self, segments: Iterable[Segment]) -> None:
        for segment in segments:
            self.segments.append(segment)
            self._size += segment.size


def _directory_entry(name: bytes, content: Content, offset: int, flags: int) -> bytes:
    values = (content.size, content.packed_size, offset)
    large = [value for value in values if value >= _MAX_32]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, packed, where = (min(value, _MAX_32) for value in values)
    version = _VERSION_64 if large else _VERSION
    return (
        struct.pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50,
            version,
            version,
            flags,
            content.method,
            0,
            _FIRST_DAY,
            content.crc32,
            packed,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            0,
            where,
        )
        + name
        + extra
    )
