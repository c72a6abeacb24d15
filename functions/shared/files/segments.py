"""A file as a sequence of segments: literal bytes and ranges of parts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from shared.files.work import Receipt, Work


@dataclass(frozen=True)
class Literal:
    """Literal bytes of the file."""

    data: bytes

    @property
    def size(self) -> int:
        """Size of the segment in bytes."""
        return len(self.data)

    @property
    def crc32(self) -> int:
        """CRC-32 of the segment."""
        return zlib.crc32(self.data)


@dataclass(frozen=True)
class Range:
    """``size`` bytes from ``start`` of an object of ``object_size`` bytes. A :meth:`slice` has no ``crc32``."""

    key: str
    etag: str
    start: int
    size: int
    object_size: int
    crc32: int = 0

    @classmethod
    def of(cls, work: Work, receipt: Receipt) -> Range:
        """A whole part."""
        size = receipt["bytes"]
        return cls(work.part_key(receipt["part"]), receipt["etag"], 0, size, size, receipt["crc32"])

    def slice(self, start: int, size: int) -> Range:
        """``size`` bytes from ``start`` of this range."""
        return Range(self.key, self.etag, self.start + start, size, self.object_size)

    @property
    def header(self) -> str:
        """The range as an HTTP byte range."""
        return f"bytes={self.start}-{self.start + self.size - 1}"


Segment = Literal | Range


def measure(segments: Iterable[Segment]) -> tuple[int, int]:
    """Size in bytes and CRC-32 of the joined segments."""
    return joined_crc32((segment.size, segment.crc32) for segment in segments)


def joined_crc32(pieces: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Size and CRC-32 of joined pieces with known (size, CRC-32)."""
    size = crc32 = 0
    for piece_size, piece_crc32 in pieces:
        crc32 = combine_crc32(crc32, piece_crc32, piece_size)
        size += piece_size
    return size, crc32


def combine_crc32(first: int, second: int, second_size: int) -> int:
    """CRC-32 of A+B from the CRC-32 of A, that of B and B's size in bytes, in O(log size): zlib's ``crc32_combine``.

    Appending ``second_size`` zero bytes to A multiplies its CRC by x^(8·size) modulo the polynomial. Then B is added.
    """
    shift = 1 << 31  # x^0, bits reflected
    power = 3  # x^(2^3) is one byte
    while second_size:
        if second_size & 1:
            shift = _multiply(_x_to_the_two_to(power), shift)
        second_size >>= 1
        power += 1
    return _multiply(shift, first) ^ second


def _multiply(a: int, b: int) -> int:
    """Product of two polynomials over GF(2), bits reflected, modulo CRC-32's."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (0xEDB88320 if b & 1 else 0)
    return product


@cache
def _x_to_the_two_to(power: int) -> int:
    """x^(2^power) modulo CRC-32's polynomial."""
    if power == 0:
        return 1 << 30
    half = _x_to_the_two_to(power - 1)
    return _multiply(half, half)
