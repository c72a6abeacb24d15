"""Planning: every row in exactly one part, in order, and no part larger than a worker bears."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine import planning
from shared.errors import TooManyParts
from shared.files.assembly import MIN_PART
from shared.files.formats import FORMATS
from shared.files.work import Extent, ObjectExtent, Part, SegmentExtent


def files_of(letters: str, length: int, groups: st.SearchStrategy[Any], least: int, most: int) -> Any:
    """Files by a letter of their key, how often it stands there, and row groups: rows, bytes, whether they are read."""
    file = st.tuples(st.sampled_from(letters), st.integers(1, length), groups)
    return st.lists(file, min_size=least, max_size=most)


def groups_of(rows: int, size: int, kept: st.SearchStrategy[bool], least: int, most: int) -> Any:
    return st.lists(st.tuples(st.integers(1, rows), st.integers(0, size), kept), min_size=least, max_size=most)


USUAL = files_of('ké漢😀"', 200, groups_of(2_000_000, 300_000_000, st.booleans(), 0, 8), 0, 6)
TINY = files_of("aé漢", 300, groups_of(50, 5_000, st.just(True), 0, 1), 50, 400)
ONE_ROW_GROUP = files_of("k", 1, groups_of(10**9, 10**11, st.just(True), 1, 1), 1, 1)


def laid_out(files: list[tuple[str, int, list[tuple[int, int, bool]]]]) -> list[Extent]:
    """Row groups of some files, in order, some of them left out as pruning does."""
    found = []
    for number, (letter, length, groups) in enumerate(files):
        key, offset = f"data/{letter * length}/{number}.parquet", 0
        for rows, size, kept in groups:
            if kept:
                found.append(ObjectExtent(key=key, etag='"etag"', offset=offset, rows=rows, bytes=size))
            offset += rows
    return found


def one_group(rows: int, size: int) -> list[Extent]:
    return laid_out([("k", 1, [(rows, size, True)])])


EXTENTS = st.one_of(USUAL, TINY, ONE_ROW_GROUP).map(laid_out)


def runs(parts: list[Part]) -> list[tuple[str, int, int]]:
    """(key, first row, row after the last) of every source, runs that continue each other joined."""
    joined: list[tuple[str, int, int]] = []
    for source in (source for part in parts for source in part["sources"]):
        low, high = source["offset"], source["offset"] + source["rows"]
        if joined and joined[-1][0] == source["key"] and joined[-1][2] == low:
            joined[-1] = (source["key"], joined[-1][1], high)
        else:
            joined.append((source["key"], low, high))
    return joined


@settings(max_examples=max(60, settings.default.max_examples))  # type: ignore[union-attr]
@given(EXTENTS, st.integers(1, 1000))
def test_every_row_is_in_exactly_one_part_in_order_and_no_part_is_larger_than_a_worker_bears(
    extents: list[Extent], workers: int
) -> None:
    parts = planning.divide(extents, workers, 1)
    assert parts == planning.divide(extents, workers, 1)
    assert runs(parts) == runs([{"part": 0, "sources": extents, "rows": 0}])
    assert [part["part"] for part in parts] == list(range(len(parts)))
    assert all(part["rows"] for part in parts) or not extents
    counted = sum(source["bytes"] for part in parts for source in part["sources"])
    assert counted == sum(extent["bytes"] for extent in extents)
    most = 1 + 2 * planning.SLACK
    for part in parts:
        assert part["rows"] == sum(source["rows"] for source in part["sources"]) <= planning.MAX_ROWS * most + 1
        size = sum(source["bytes"] for source in part["sources"])
        row = max((source["bytes"] / source["rows"] for source in part["sources"]), default=0)
        assert size <= planning.MAX_BYTES * most + row
        assert len(json.dumps(part, ensure_ascii=False).encode()) < 32_000  # as the Map reads it


@given(
    st.lists(st.tuples(st.integers(1, 300_000), st.integers(1, 30_000_000)), min_size=1, max_size=60),
    st.integers(1, 100),
)
def test_parts_are_even(groups: list[tuple[int, int]], workers: int) -> None:
    """A part is at most twice the slack larger or smaller than the mean, but for a row on either side."""
    files = laid_out([("k", 1, [(rows, size, True)]) for rows, size in groups])
    rows, size = (sum(extent[counted] for extent in files) for counted in ("rows", "bytes"))
    copied = math.ceil(rows * planning.COPIED_BYTES / size) if size > planning.THROUGH_BYTES else 0
    target = min(max(-(-rows // workers), planning.MIN_ROWS, copied), planning.MAX_ROWS)
    scale = planning._Scale(target, planning.MAX_BYTES)
    parts = planning.divide(files, workers, 1)
    sizes = [sum(scale.size(source, 0) for source in part["sources"]) for part in parts]
    mean = sum(sizes) / len(parts)
    row = max(scale.size(extent, 0) / extent["rows"] for extent in files)
    assert max(sizes) <= mean * (1 + 2 * planning.SLACK) + row + 0.01
    assert min(sizes) >= mean * (1 - 2 * planning.SLACK) - row - 0.01


def test_without_rows_there_is_one_part_with_nothing_to_read() -> None:
    assert planning.divide([], 20, 1) == [{"part": 0, "sources": [], "rows": 0}]


@pytest.mark.parametrize(
    ("files", "workers", "parts"),
    [
        ([(5_000, 5_000)], 20, 1),
        ([(40_000, 40_000)], 4, 4),
        *(([(400_000, 400_000)], workers, workers) for workers in (20, 4)),
        ([(27_000, 500_000)] * 12, 20, 20),  # twelve months
    ],
)
def test_rows_are_divided_among_the_workers_but_neither_into_crumbs_nor_into_a_second_wave(
    files: list[tuple[int, int]], workers: int, parts: int
) -> None:
    extents = laid_out([("k", 1, [(rows, size, True)]) for rows, size in files])
    assert len(planning.divide(extents, workers, 1)) == parts


@pytest.mark.parametrize(
    ("name", "rows", "parts"),
    [("xlsx", 500_000, 20), ("xlsx", 1_000_000, 10), ("csv", 1_000_000, 17), ("parquet", 1_500_000, 7)],
)
def test_parts_of_a_large_file_are_large_enough_to_be_copied_by_s3(name: str, rows: int, parts: int) -> None:
    """Rows of 36 bytes; 20 workers stand ready, but what they make must not all go through the assembler."""
    growth = FORMATS[name].growth
    divided = planning.divide(one_group(rows, 36 * rows), 20, growth)
    assert len(divided) == parts
    fragment = min(part["rows"] for part in divided) * 36 * growth
    assert (fragment > MIN_PART) == (rows > 500_000)


def test_parts_end_between_row_groups_where_one_ends_close_by() -> None:
    groups = laid_out([("k", 1, [(95_000, 0, True), (105_000, 0, True), (104_000, 0, True), (96_000, 0, True)])])
    parts = planning.divide(groups, 4, 1)
    assert [part["rows"] for part in parts] == [95_000, 105_000, 104_000, 96_000]


def test_one_huge_row_group_is_cut_into_even_runs() -> None:
    [group] = laid_out([("k", 1, [(7, 0, False), (10, 3 * planning.MAX_BYTES, True)])])
    parts = planning.divide([group], 1, 1)
    assert [(s["offset"], s["rows"]) for part in parts for s in part["sources"]] == [(7, 3), (10, 4), (14, 3)]


def test_parts_grow_rather_than_become_too_many() -> None:
    parts = planning.divide(one_group(2 * planning.MAX_PARTS * planning.MAX_ROWS, 0), 20, 1)
    assert planning.MAX_PARTS / 2 < len(parts) <= planning.MAX_PARTS
    assert max(part["rows"] for part in parts) <= 2 * planning.MAX_ROWS * (1 + 2 * planning.SLACK)


def test_more_parts_than_an_upload_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_PARTS", 10)
    with pytest.raises(TooManyParts, match="22000000 rows in 1 files or tables need 11 parts; at most 10 are allowed"):
        planning.divide(one_group(11 * planning.LARGEST * planning.MAX_ROWS, 0), 20, 1)


SEGMENTS = st.lists(st.tuples(st.integers(1, 3_000_000), st.integers(0, 200_000_000)), max_size=60).map(
    lambda sizes: [
        SegmentExtent(table="orders", counted_at="", segment=n, segments=len(sizes), rows=rows, bytes=size)
        for n, (rows, size) in enumerate(sizes)
    ]
)


def test_an_extent_without_an_offset_is_neither_cut_nor_joined_even_if_it_is_of_an_object() -> None:
    groups: list[Any] = [{"key": "k", "etag": "e", "group": n, "rows": 10**7, "bytes": 1} for n in range(4)]
    assert [source for part in planning.divide(groups, 8, 1) for source in part["sources"]] == groups


@given(SEGMENTS, st.integers(1, 1000))
def test_what_is_not_cut_is_whole_in_one_part_which_is_larger_than_its_share_by_less_than_its_last(
    segments: list[SegmentExtent], workers: int
) -> None:
    parts = planning.divide(segments, workers, 1)
    assert [source for part in parts for source in part["sources"]] == segments
    for part in parts if segments else []:
        assert part["rows"] == sum(source["rows"] for source in part["sources"])
        *before, _ = part["sources"]
        assert sum(source["rows"] for source in before) <= planning.MAX_ROWS * planning.LARGEST
        assert sum(source["bytes"] for source in before) <= planning.MAX_BYTES * planning.LARGEST
