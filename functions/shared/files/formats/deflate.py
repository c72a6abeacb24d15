"""Raw deflate (RFC 1951) in pieces that can be joined: each ends on a byte and refers to no data before it."""

from __future__ import annotations

import struct
import zlib

LEVEL = 1
"""Level of igzip. It takes a tenth of the time of zlib's level 6, but gives more bytes, especially for repetitive text.
Level 2 takes up to a quarter more time and saves one byte in a hundred."""
LAST_BLOCK = b"\x03\x00"
"""An empty block that is marked as the last one."""
_MAX_STORED = 0xFFFF


def stored(data: bytes) -> bytes:
    """Blocks without compression (3.2.4), none of them the last. The bytes do not depend on a compressor."""
    pieces = (data[start : start + _MAX_STORED] for start in range(0, len(data), _MAX_STORED))
    return b"".join(struct.pack("<BHH", 0, len(piece), len(piece) ^ _MAX_STORED) + piece for piece in pieces)


def block(data: bytes | memoryview) -> bytes:
    """Compressed bytes. Only workers call this function: it needs the compressor of their layer."""
    from isal import isal_zlib

    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
