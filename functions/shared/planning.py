"""How the rows of a report are divided into parts. Pure: extents in, parts out, the same for the same input."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.work import Extent, Part

MIN_ROWS = 10_000
"""Fewer rows than this are not worth an invocation of their own."""
MAX_ROWS = 500_000
MAX_BYTES = 64 * 1024 * 1024
"""Compressed source bytes of one part. They bound its time; its memory follows the largest row group it reads from."""
MAX_ITEM_BYTES = 30_000
"""A Map's item must stay under 32 KB; ids and names come to it."""
_ITEM_FRAME, _DIGITS = 60, 20  # bytes of an item around its sources; room for an extent's numbers to grow


def divide(extents: list[Extent], workers: int) -> list[Part]:
    """Parts of about equal size that together hold every row of ``extents`` once, in order.

    Args:
        extents: row groups in the order of the file, each with ``rows`` ≥ 1.
        workers: how many parts may run at once (MapConcurrency); small exports are divided among them.

    Returns:
        At least one part; the only one has no sources when there are no extents.
    """
    rows = sum(extent["rows"] for extent in extents)
    target = min(max(math.ceil(rows / max(workers, 1)), MIN_ROWS), MAX_ROWS)
    drafts = [_Draft()]
    for extent in extents:
        for piece in _split(extent, target):
            if not drafts[-1].takes(piece, target):
                drafts.append(_Draft())
            drafts[-1].add(piece)
    return [Part(part=number, sources=draft.sources, rows=draft.rows) for number, draft in enumerate(drafts)]


@dataclass
class _Draft:
    """A part while it is filled."""

    sources: list[Extent] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    item_bytes: int = _ITEM_FRAME

    def takes(self, extent: Extent, target: int) -> bool:
        """Whether the extent still fits; an empty part takes any."""
        return not self.sources or (
            self.rows + extent["rows"] <= target
            and self.bytes + extent["bytes"] <= MAX_BYTES
            and self.item_bytes + _item_bytes(extent) <= MAX_ITEM_BYTES
        )

    def add(self, extent: Extent) -> None:
        """Adds an extent; one that continues the last of the same object makes it longer instead."""
        self.rows += extent["rows"]
        self.bytes += extent["bytes"]
        last = self.sources[-1] if self.sources else None
        if last and last["key"] == extent["key"] and last["offset"] + last["rows"] == extent["offset"]:
            last["rows"] += extent["rows"]
            last["bytes"] += extent["bytes"]
        else:
            self.sources.append(extent.copy())
            self.item_bytes += _item_bytes(extent)


def _split(extent: Extent, target: int) -> Iterator[Extent]:
    """An extent in pieces no larger than a part may be: one huge row group becomes equal runs of rows."""
    pieces = max(math.ceil(extent["rows"] / target), math.ceil(extent["bytes"] / MAX_BYTES))
    pieces = min(pieces, extent["rows"])
    for piece in range(pieces):
        low, high = (extent["rows"] * step // pieces for step in (piece, piece + 1))
        yield Extent(
            key=extent["key"],
            etag=extent["etag"],
            offset=extent["offset"] + low,
            rows=high - low,
            bytes=extent["bytes"] * (high - low) // extent["rows"],
        )


def _item_bytes(extent: Extent) -> int:
    return len(json.dumps(extent)) + _DIGITS
