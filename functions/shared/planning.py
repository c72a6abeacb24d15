"""How the rows of a report are divided into parts. Pure: extents in, parts out, the same for the same input."""

import json
import math
from collections.abc import Iterable

from shared.work import Extent, Part

MIN_ROWS = 10_000
"""Fewer rows than this are not worth an invocation of their own."""
MAX_ROWS = 500_000
MAX_BYTES = 64 * 1024 * 1024
"""Compressed source bytes of one part: bounds its memory and time."""
MAX_ITEM_BYTES = 30_000
"""A Map's item must stay under 32 KB."""


def divide(extents: list[Extent], workers: int) -> list[Part]:
    """
    Parts of about equal size that together hold every row of ``extents`` once, in order.

    Args:
        extents: row groups in the order of the file, each with ``rows`` ≥ 1.
        workers: how many parts may run at once (MapConcurrency); small exports are divided among them.

    Returns:
        At least one part; the only one has no sources when there are no extents.
    """
    rows = sum(extent["rows"] for extent in extents)
    target = min(max(math.ceil(rows / max(workers, 1)), MIN_ROWS), MAX_ROWS)
    parts: list[list[Extent]] = [[]]
    for extent in _split(extents, target):
        if parts[-1] and not _fits(parts[-1], extent, target):
            parts.append([])
        _append(parts[-1], extent)
    return [
        Part(part=number, sources=sources, rows=sum(extent["rows"] for extent in sources))
        for number, sources in enumerate(parts)
    ]


def _split(extents: Iterable[Extent], target: int) -> Iterable[Extent]:
    """Extents no larger than a part may be; one huge row group is cut into equal runs of rows."""
    for extent in extents:
        pieces = max(math.ceil(extent["rows"] / target), math.ceil(extent["bytes"] / MAX_BYTES))
        pieces = min(pieces, extent["rows"])
        for piece in range(pieces):
            low, high = (extent["rows"] * step // pieces for step in (piece, piece + 1))
            share = extent["bytes"] * (high - low) // extent["rows"]
            yield extent | {"offset": extent["offset"] + low, "rows": high - low, "bytes": share}


def _fits(part: list[Extent], extent: Extent, target: int) -> bool:
    together = [*part, extent]
    return (
        sum(member["rows"] for member in together) <= target
        and sum(member["bytes"] for member in together) <= MAX_BYTES
        and len(json.dumps(together)) <= MAX_ITEM_BYTES
    )


def _append(part: list[Extent], extent: Extent) -> None:
    """Adds an extent; one that continues the last of the same object makes it longer instead."""
    last = part[-1] if part else None
    if last and last["key"] == extent["key"] and last["offset"] + last["rows"] == extent["offset"]:
        last["rows"] += extent["rows"]
        last["bytes"] += extent["bytes"]
    else:
        part.append(extent.copy())
