"""The footer reader sees what polars wrote, and says so when there is nothing to see."""

import contextlib
import random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.parquet import footer as parquet_footer
from tests.unit.lake import by_polars, footer_of


def written(frame: pl.DataFrame, row_group_size: int) -> bytes:
    return footer_of(by_polars(frame, row_group_size))


NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.integers(1, 20))
def test_rows_and_bounds_of_every_row_group_are_read(numbers: list[int | None], group: int) -> None:
    found = parquet_footer.read(written(pl.DataFrame({"n": pl.Series(numbers, dtype=pl.Int64)}), group)).row_groups
    at = 0
    for each in found:
        low, high = (bound and int.from_bytes(bound, "little", signed=True) for bound in each.chunks[0].bounds)
        held = [number for number in numbers[at : at + each.rows] if number is not None]
        assert not held or (low, high) == (min(held), max(held))
        at += each.rows
    assert at == len(numbers)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_footer_never_end_in_another_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):  # some bytes are a footer by chance, as the empty struct is
        parquet_footer.read(content)


def test_a_damaged_footer_never_ends_in_another_error() -> None:
    whole = written(pl.DataFrame({"n": range(50), "s": ["x"] * 50}), 10)
    chance = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(ValueError):
            for group in parquet_footer.read(bytes(damaged)).row_groups:
                numbers = [group.rows, *(n for c in group.chunks for n in (c.start, c.end, c.uncompressed_bytes))]
                assert all(type(number) is int and number >= 0 for number in numbers)


def test_columns_with_one_value_for_each_row_are_told_from_lists_and_structs() -> None:
    frame = pl.DataFrame({"n": [1], "l": [[1]], "s": [{"a": 1, "b": {"c": 2}}], "t": ["x"], "ls": [[{"a": [1]}]]})
    columns = parquet_footer.read(written(frame, 1)).columns
    assert [name for name, column in columns.items() if column.is_flat] == ["n", "t"]
