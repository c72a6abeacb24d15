"""Planning: every row in exactly one part, in order, and no part larger than a worker bears."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import planning
from shared.work import Extent, Part


@st.composite
def extents(draw: st.DrawFn) -> list[Extent]:
    """Row groups of some files, in order, some of them left out as pruning does."""
    found: list[Extent] = []
    for number in range(draw(st.integers(0, 6))):
        key, offset = f"data/{'k' * draw(st.integers(1, 200))}/{number}.parquet", 0
        for _ in range(draw(st.integers(1, 8))):
            rows = draw(st.integers(1, 2_000_000))
            if draw(st.booleans()):
                size = draw(st.integers(0, 300_000_000))
                found.append(Extent(key=key, etag='"etag"', offset=offset, rows=rows, bytes=size))
            offset += rows
    return found


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


@given(extents(), st.integers(1, 1000))
def test_every_row_is_in_exactly_one_part_and_in_order(given_extents: list[Extent], workers: int) -> None:
    parts = planning.divide(given_extents, workers)
    whole: list[Part] = [{"part": 0, "sources": given_extents, "rows": 0}]
    assert runs(parts) == runs(whole)


@given(extents(), st.integers(1, 1000))
def test_a_part_says_how_many_rows_it_holds(given_extents: list[Extent], workers: int) -> None:
    parts = planning.divide(given_extents, workers)
    assert [part["rows"] for part in parts] == [sum(s["rows"] for s in part["sources"]) for part in parts]
    assert [part["part"] for part in parts] == list(range(len(parts)))


@given(extents(), st.integers(1, 1000))
def test_no_part_is_larger_than_a_worker_bears(given_extents: list[Extent], workers: int) -> None:
    for part in planning.divide(given_extents, workers):
        assert part["rows"] <= planning.MAX_ROWS
        assert part["rows"] == 1 or sum(source["bytes"] for source in part["sources"]) <= planning.MAX_BYTES
        assert len(json.dumps(part)) < 32_000


@given(extents(), st.integers(1, 1000))
def test_the_same_rows_are_always_divided_alike(given_extents: list[Extent], workers: int) -> None:
    assert planning.divide(given_extents, workers) == planning.divide(given_extents, workers)


def test_without_rows_there_is_one_part_with_nothing_to_read() -> None:
    assert planning.divide([], 20) == [{"part": 0, "sources": [], "rows": 0}]


@pytest.mark.parametrize(
    ("rows", "workers", "parts"), [(5_000, 20, 1), (40_000, 4, 4), (400_000, 20, 20), (400_000, 4, 4)]
)
def test_small_exports_are_divided_among_the_workers_but_not_into_crumbs(rows: int, workers: int, parts: int) -> None:
    group = Extent(key="data/one.parquet", etag='"etag"', offset=0, rows=rows, bytes=rows)
    assert len(planning.divide([group], workers)) == parts


def test_one_huge_row_group_is_cut_into_even_runs() -> None:
    group = Extent(key="data/one.parquet", etag='"etag"', offset=7, rows=10, bytes=3 * planning.MAX_BYTES)
    parts = planning.divide([group], 1)
    assert [(s["offset"], s["rows"]) for part in parts for s in part["sources"]] == [(7, 3), (10, 3), (13, 4)]
