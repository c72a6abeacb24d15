"""The footer reader sees what polars wrote, and says so when there is nothing to see."""

import contextlib
import io
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.parquet import footer as parquet_footer


def footer_of(content: bytes) -> bytes:
    size = parquet_footer.footer_length(content[-8:])
    return content[-8 - size : -8]


def parquet(frame: pl.DataFrame, row_group_size: int) -> bytes:
    into = io.BytesIO()
    frame.write_parquet(into, row_group_size=row_group_size)
    return into.getvalue()


@given(
    st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=5)), max_size=60),
    st.integers(1, 20),
)
def test_rows_and_bounds_of_every_row_group_are_read(rows: list[tuple[int | None, str | None]], group: int) -> None:
    frame = pl.DataFrame(rows, schema={"n": pl.Int64, "s": pl.String}, orient="row")
    found = parquet_footer.read(footer_of(parquet(frame, group))).row_groups
    assert sum(each.rows for each in found) == len(rows)
    at = 0
    for each in found:
        numbers = [n for n, _ in rows[at : at + each.rows] if n is not None]
        low, high = each.chunks[0].bounds
        if numbers:
            assert low is not None
            assert high is not None
            assert int.from_bytes(low, "little", signed=True) == min(numbers)
            assert int.from_bytes(high, "little", signed=True) == max(numbers)
        at += each.rows


@given(st.binary(max_size=300))
def test_bytes_that_are_no_footer_never_end_in_another_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):  # some bytes are a footer by chance, as the empty struct is
        parquet_footer.read(content)


def test_a_damaged_footer_never_ends_in_another_error() -> None:
    whole = footer_of(parquet(pl.DataFrame({"n": range(100), "s": ["x"] * 100}), 10))
    chance = random.Random(1)
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(ValueError):
            for group in parquet_footer.read(bytes(damaged)).row_groups:
                numbers = [group.rows, *(n for c in group.chunks for n in (c.start, c.end, c.uncompressed_bytes))]
                assert all(type(number) is int and number >= 0 for number in numbers)


def test_a_file_that_is_not_parquet_is_refused_by_its_last_bytes() -> None:
    with pytest.raises(ValueError, match=r"it does not end with PAR1$"):
        parquet_footer.footer_length(b"abcd.csv")


def test_an_encrypted_footer_says_so() -> None:
    with pytest.raises(ValueError, match="its footer is encrypted; only files without encryption can be read"):
        parquet_footer.footer_length(b"....PARE")


def test_columns_with_one_value_for_each_row_are_told_from_lists_and_structs() -> None:
    frame = pl.DataFrame({"n": [1], "l": [[1]], "s": [{"a": 1, "b": {"c": 2}}], "t": ["x"], "ls": [[{"a": [1]}]]})
    columns = parquet_footer.read(footer_of(parquet(frame, 1))).columns
    assert [name for name, column in columns.items() if column.is_flat] == ["n", "t"]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 40))
def test_an_excerpt_of_whole_chunks_is_a_file_of_its_own(sizes: list[int], group: int) -> None:
    frame = pl.DataFrame({"n": range(sum(sizes)), "l": [[number] * (number % 3) for number in range(sum(sizes))]})
    whole = parquet(frame, group)
    footer = parquet_footer.read(footer_of(whole))
    excerpt = parquet_footer.Excerpt(footer, frame.columns)
    for each in footer.row_groups:
        pages = {
            position: parquet_footer.Pages([whole[c.start : c.end]], c.metadata[5], c.metadata[9] - c.start)
            for position, c in enumerate(each.chunks)
        }
        excerpt.add(each, each.rows, pages)
    assert pl.read_parquet(io.BytesIO(excerpt.file())).equals(frame)
