"""Fetches the footers of Parquet files, and nothing else of them."""

from __future__ import annotations

from shared.datasets import objects
from shared.datasets.objects import Version
from shared.errors import SourceUnreadable
from shared.parquet import footer as parquet_footer


def read_footer(version: Version) -> tuple[objects.Answer, bytes, int]:
    """The last bytes of a file, its footer, and the number of bytes fetched.

    Raises:
        SourceUnreadable, and the exceptions of :func:`shared.datasets.objects.blocks`.
    """
    answer = objects.tail(version, FOOTER_GUESS)
    fetched, needed = len(answer.data), _needed(version, answer)
    if needed > len(answer.data):
        answer = objects.tail(version, needed)
        fetched += len(answer.data)
    return answer, answer.data[-needed : -parquet_footer.TAIL], fetched


async def quick_footer(version: Version, guess: int) -> bytes:
    """Like :func:`read_footer`, for many files at once. Returns the footer, which usually fits in ``guess`` bytes."""
    answer = await objects.quick_tail(version, guess)
    needed = _needed(version, answer)
    if needed > len(answer.data):
        answer = await objects.quick_tail(version, needed)
    return answer.data[-needed : -parquet_footer.TAIL]


def _needed(version: Version, answer: objects.Answer) -> int:
    """Bytes from the start of a file's footer to its end."""
    try:
        needed = parquet_footer.footer_length(answer.data) + parquet_footer.TAIL
        if needed > answer.size:
            raise ValueError("the file is shorter than its footer")
    except ValueError as error:
        raise unreadable(version, str(error)) from error
    return needed


FOOTER_GUESS = 64 * 1024
"""Bytes from the end of a file. They usually contain the footer, and often a whole small file."""


def unreadable(version: Version, reason: str) -> SourceUnreadable:
    """The exception for a file that cannot be read.

    Args:
        reason: without a value of the file.
    """
    return SourceUnreadable(f"{version.address} is not readable Parquet: {reason}")
