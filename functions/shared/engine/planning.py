"""Divides the rows of a report into parts. Pure and deterministic: the same extents give the same parts."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from shared.errors import TooManyParts
from shared.files.assembly import MIN_PART
from shared.files.work import Extent, ObjectExtent, Part

MIN_ROWS = 10_000
"""Fewer rows than this do not justify a separate invocation."""
MAX_ROWS = 500_000
MAX_BYTES = 64 * 1024 * 1024
"""Compressed source bytes of one part. Bytes and rows limit the part's time; the scan limits its memory."""
THROUGH_BYTES = 32 * 1024 * 1024
"""Largest file, in bytes, that the assembler downloads and uploads again. S3 should copy the parts of larger files."""
COPIED_BYTES = MIN_PART * 5 // 4
"""Target size, in bytes, of a fragment that S3 copies, with room for the slack and for an estimate that is too high."""
SLACK = 0.125
"""How far a part's end may move from its even position to fall between two row groups, as a share of a part."""
MAX_PARTS = 5_000
"""Each part may need two parts of the multipart upload: its own and one for the bytes before it. S3 allows 10,000."""
LARGEST = 4
"""Parts may grow to this multiple of the target size to stay within MAX_PARTS."""
MAX_ITEM_BYTES = 30_000
"""A Map item must stay under 32 KB, including ids and names."""
_ITEM_BYTES = 22_000  # target: a part may exceed it by twice the slack
_ITEM_FRAME, _DIGITS = 60, 20  # bytes of an item besides its sources; room for an extent's numbers to grow


def divide(extents: Sequence[Extent], workers: int, growth: float) -> list[Part]:
    """Parts of about equal size that together hold every row of ``extents`` once, in order.

    The size of a part is the largest of its shares of the rows, of the bytes, and of the length of its item. The sizes
    differ by at most twice the slack, except for a part of a single row or of an extent that cannot be cut.

    Args:
        extents: runs of rows in the order of the file, each with ``rows`` ≥ 1.
        workers: how many parts may run at once (MapConcurrency). A small export is divided among them.
        growth: approximate bytes of a fragment per byte of its source: see :class:`shared.files.formats.Format`.

    Returns:
        At least one part. If there are no extents, one part without sources.

    Raises:
        TooManyParts: even parts of LARGEST times the target size would be more than MAX_PARTS.
    """
    rows, size = (sum(extent[counted] for extent in extents) for counted in ("rows", "bytes"))
    target = max(math.ceil(rows / max(workers, 1)), MIN_ROWS)
    if size * growth > THROUGH_BYTES:
        target = max(target, math.ceil(rows * COPIED_BYTES / (size * growth)))
    target = min(target, MAX_ROWS)
    for times in range(1, LARGEST + 1):
        drafts = _fill(extents, _Scale(target * times, MAX_BYTES * times))
        if len(drafts) <= MAX_PARTS:
            return [Part(part=number, sources=draft.sources, rows=draft.rows) for number, draft in enumerate(drafts)]
    raise TooManyParts(
        f"{rows} rows in {len({_holder(extent) for extent in extents})} files or tables need {len(drafts)} parts; "
        f"at most {MAX_PARTS} are allowed"
    )


@dataclass(frozen=True)
class _Scale:
    """The rows and bytes of a part of size 1."""

    rows: int
    bytes: int

    def size(self, extent: Extent, item_bytes: int) -> float:
        return max(extent["rows"] / self.rows, extent["bytes"] / self.bytes, item_bytes / _ITEM_BYTES)


@dataclass
class _Draft:
    """A part that is being filled."""

    sources: list[Extent] = field(default_factory=list)
    rows: int = 0
    item_bytes: int = _ITEM_FRAME

    def takes(self, extent: Extent) -> bool:
        """Whether the part's item has room for the extent."""
        last = self.sources[-1] if self.sources else None
        return not last or self.item_bytes + _item_bytes(extent, last) <= MAX_ITEM_BYTES

    def add(self, extent: Extent) -> None:
        """Appends an extent, or extends the last one if the new extent continues it."""
        self.rows += extent["rows"]
        last = self.sources[-1] if self.sources else None
        self.item_bytes += _item_bytes(extent, last)
        if last and _continues(extent, last):
            last["rows"] += extent["rows"]
            last["bytes"] += extent["bytes"]
            if "until" in extent:
                cast(dict[str, Any], last)["until"] = cast(dict[str, Any], extent)["until"]
        else:
            self.sources.append(extent.copy())


def _fill(extents: Sequence[Extent], scale: _Scale) -> list[_Draft]:
    """Parts that end as close to even shares as row groups, or otherwise rows, allow."""
    sizes = [
        scale.size(extent, _item_bytes(extent, before))
        for extent, before in zip(extents, [None, *extents][:-1], strict=True)
    ]
    shares = max(math.ceil(sum(sizes)), 1)
    share = sum(sizes) / shares
    slack = SLACK * share
    drafts, done, at = [_Draft()], 0.0, 1

    def is_over() -> bool:
        return at < shares and at * share - done <= slack

    for rest, size in zip(extents, sizes, strict=True):
        while size:
            if drafts[-1].sources and (is_over() or not drafts[-1].takes(rest)):
                drafts.append(_Draft())
            while is_over():
                at += 1
            room = at * share - done
            fits = at == shares or size <= room + slack
            if not fits and not _can_cut(rest):
                if drafts[-1].sources and room < size - room:  # without the extent, the part is closer to its share
                    drafts.append(_Draft())
                    at += 1
                fits = True
            rows = rest["rows"] if fits else max(1, round(rest["rows"] * room / size))
            left = size * (rest["rows"] - rows) / rest["rows"]
            first, rest = _cut(rest, rows)
            drafts[-1].add(first)
            done, size = done + size - left, left
    return drafts


def _can_cut(extent: Extent) -> bool:
    """Whether the extent can be cut: any run of its rows can be read separately."""
    return "offset" in extent


def _holder(extent: Extent) -> str:
    """Name of the object or table that holds the extent."""
    return str(extent.get("key") or extent.get("table"))


def _cut(extent: Extent, rows: int) -> tuple[Extent, Extent]:
    """The first ``rows`` rows of an extent, and the rest."""
    if rows == extent["rows"]:
        return extent, extent
    whole = cast(ObjectExtent, extent)
    size = whole["bytes"] * rows // whole["rows"]
    first = whole | {"rows": rows, "bytes": size}
    rest = {"offset": whole["offset"] + rows, "rows": whole["rows"] - rows, "bytes": whole["bytes"] - size}
    return first, whole | rest  # type: ignore[return-value]


def _continues(extent: Extent, last: Extent) -> bool:
    """Whether ``extent`` begins where ``last`` ends."""
    here, before = cast(dict[str, Any], extent), cast(dict[str, Any], last)
    if "offset" in here and "offset" in before:
        return bool(here["key"] == before["key"] and before["offset"] + before["rows"] == here["offset"])
    if "after" in here and "until" in before:
        return bool(here["table"] == before["table"] and here["after"] is not None and here["after"] == before["until"])
    return False


def _item_bytes(extent: Extent, last: Extent | None) -> int:
    """How many bytes an item grows by when ``extent`` is added after ``last``."""
    return 0 if last and _continues(extent, last) else len(json.dumps(extent)) + _DIGITS
