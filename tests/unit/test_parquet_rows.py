"""Rows of Parquet files: those that were asked for, whoever wrote them, and no more bytes than that takes."""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import gc
import io
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shared.datasets import footers
from shared.engine.sources import parquet, parquet_rows
from shared.errors import (
    ExportError,
    RowGroupTooLarge,
    ServiceUnavailable,
    SourceChanged,
    SourceUnavailable,
    SourceUnreadable,
)
from shared.lambda_ import aws
from tests.unit import lake as lakes
from tests.unit.lake import Lake, by_polars, extent, file, in_memory, query, refused, scan

MIB = 1024**2
ROWS = 120


@contextlib.contextmanager
def limits(**changes: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in changes.items():
            patched.setattr(footers if name == "FOOTER_GUESS" else parquet_rows, name, value)
        yield


@functools.cache
def everything(rows: int) -> pl.DataFrame:
    """A column of every kind, with nulls."""
    numbers, day = list(range(rows)), datetime.datetime(2020, 1, 1)
    columns: dict[str, Any] = {
        "n": numbers,
        "small": [number % 100 for number in numbers],
        "x": [number / 7 for number in numbers],
        "text": [f"text {number} é" * (number % 4) for number in numbers],
        "few": [f"v{number % 3}" for number in numbers],
        "flag": [number % 2 == 0 for number in numbers],
        "day": [day.date() + datetime.timedelta(number) for number in numbers],
        "time": [day + datetime.timedelta(hours=number) for number in numbers],
        "amount": [str(number) for number in numbers],
        "list": [list(range(number % 4)) for number in numbers],
    }
    some = {
        name: [None if at % 7 == 3 else value for at, value in enumerate(values)] for name, values in columns.items()
    }
    frame = pl.DataFrame({"tenant": ["acme" if number % 3 else "other" for number in numbers]} | some)
    frame = frame.with_columns(pl.col("small").cast(pl.Int8), pl.col("amount").cast(pl.Decimal(20, 4)))
    return frame.with_columns(record=pl.Series([{"a": number, "b": f"b{number}"} for number in numbers]))


def by_arrow(frame: pl.DataFrame, group: int, page: int, **options: Any) -> bytes:
    return lakes.by_arrow(frame.to_arrow(), group, data_page_size=page, write_batch_size=16, **options)


WRITERS: dict[str, Any] = {
    "polars": lambda frame, group, page: by_polars(frame, group, data_page_size=page),
    "arrow": by_arrow,
    "arrow, pages of version 2": functools.partial(by_arrow, data_page_version="2.0", compression="gzip"),
    "arrow, indexed": functools.partial(by_arrow, write_page_index=True, compression="zstd"),
    "arrow, indexed, no dictionary": functools.partial(by_arrow, write_page_index=True, use_dictionary=False),
    "arrow, uncompressed": functools.partial(by_arrow, compression="none"),
}


@settings(max_examples=max(8, settings.default.max_examples // 10))  # type: ignore[union-attr]
@given(data=st.data(), group=st.integers(1, 150), batch=st.integers(1, 150))
@pytest.mark.parametrize("writer", WRITERS)
def test_any_run_of_rows_is_what_was_written(writer: str, data: st.DataObject, group: int, batch: int) -> None:
    frame, page = everything(ROWS), data.draw(st.sampled_from([64, 512, MIB]))
    offset = data.draw(st.integers(0, ROWS - 1))
    rows = data.draw(st.integers(1, ROWS - offset))
    columns = data.draw(st.lists(st.sampled_from(frame.columns), min_size=1, unique=True))
    guess = data.draw(st.sampled_from([8, 1000, footers.FOOTER_GUESS]))
    with in_memory() as lake, limits(BATCH_ROWS=batch, FOOTER_GUESS=guess):
        key = lake.put("one.parquet", WRITERS[writer](frame, group, page))
        asked = query(*columns, tenant=columns[0])
        found = list(parquet.scan(asked, {}, [extent(lake, key, offset, rows)]))
    assert max(each.height for each in found) <= batch
    assert_frame_equal(pl.concat(found), frame.select(asked.needs()).cast({pl.Int8: pl.Int64})[offset : offset + rows])


@pytest.mark.parametrize("codec", ["brotli", "lz4", "snappy"])
def test_the_codecs_that_no_writer_above_uses_are_read(lake: Lake, codec: str) -> None:
    key = lake.put("one.parquet", by_arrow(everything(20), 20, MIB, compression=codec))
    assert scan(query("n"), [extent(lake, key, 0, 20)])["n"].to_list() == everything(20)["n"].to_list()


def test_a_batch_is_bounded_in_bytes_too_and_small_row_groups_are_read_together(lake: Lake) -> None:
    def heights(column: str, key: str, rows: int) -> list[int]:
        frames = parquet.scan(query(column, tenant=column), {}, [extent(lake, key, 0, rows)])
        return [frame.height for frame in frames]

    with limits(BATCH_BYTES=16_000):
        bounded = heights("a", wide(lake, use_dictionary=False), 20_000)
    assert max(bounded) <= 2_000
    assert sum(bounded) == 20_000
    assert heights("n", lake.put("groups.parquet", by_polars(everything(ROWS), 3)), ROWS) == [ROWS]


# What is fetched


def wide(lake: Lake, rows: int = 20_000, **options: Any) -> str:
    """A file of three columns of noise, 160 KB each, in two row groups."""
    chance = random.Random(1)
    noise = {name: [chance.getrandbits(62) for _ in range(rows)] for name in "abc"}
    frame = pl.DataFrame({"tenant": ["acme"] * rows} | noise)
    return lake.put("wide.parquet", by_arrow(frame, rows // 2, 8192, compression="none", **options))


def test_only_the_pages_chunks_and_row_groups_of_the_rows_and_columns_are_fetched_and_counted(lake: Lake) -> None:
    def fetched(key: str, offset: int, rows: int) -> int:
        counted, before = Counter(bytes=5), lake.bytes
        with limits(_GAP=0):
            list(parquet.scan(query("b", tenant="b"), {}, [extent(lake, key, offset, rows)], counted))
        assert counted["bytes"] == 5 + lake.bytes - before
        return counted["bytes"] - 5 - footers.FOOTER_GUESS

    key = wide(lake, use_dictionary=False)
    metadata = pq.read_metadata(io.BytesIO(lake.objects[key]))
    first, second = (metadata.row_group(group).column(2).total_compressed_size for group in (0, 1))
    assert fetched(key, 0, 20_000) == first + second
    assert fetched(key, 0, 10_000) == first
    assert fetched(wide(lake, use_dictionary=False, write_page_index=True), 5_000, 100) < 3 * 8192 + 1024


def test_lists_are_read_by_page_too(lake: Lake) -> None:
    chance = random.Random(1)
    lists = [[chance.getrandbits(62)] * (number % 3) for number in range(20_000)]
    frame = pl.DataFrame({"tenant": ["acme"] * len(lists), "l": lists})
    key = lake.put("lists.parquet", by_polars(frame, len(lists), data_page_size=8192))
    with limits(_GAP=0, FOOTER_GUESS=8192):
        assert scan(query("l", tenant="l"), [extent(lake, key, 15_000, 10)])["l"].to_list() == lists[15_000:15_010]
    assert lake.bytes < 48 * 1024 < len(lake.objects[key]) / 2


def small(lake: Lake, count: int) -> list[str]:
    """The keys of so many files of five rows."""
    return [lake.put(f"{number}.parquet", by_polars(everything(5))) for number in range(count)]


def test_a_small_file_takes_one_request_and_neighbouring_chunks_of_a_large_one_another(lake: Lake) -> None:
    keys, large = small(lake, 40), wide(lake)
    assert scan(query("n"), [extent(lake, key, 0, 5) for key in keys]).height == 200
    scan(query("a", "b", "c"), [extent(lake, large, 0, 20_000)])
    assert Counter(key for key, _, _ in lake.asked) == dict.fromkeys(keys, 1) | {large: 2}


def test_files_are_fetched_at_the_same_time(lake: Lake) -> None:
    keys, together = small(lake, 4), threading.Barrier(4, timeout=30)
    lake.before = lambda _: together.wait()
    assert scan(query("n"), [extent(lake, key, 0, 5) for key in keys]).height == 20


def test_a_scan_that_is_given_up_leaves_no_thread_and_no_file(lake: Lake) -> None:
    keys, before = [wide(lake), *small(lake, 30)], threading.active_count()
    frames = parquet.scan(query("a"), {}, [extent(lake, key, 0, 5) for key in keys])
    next(frames)
    frames.close()  # what stays open warns, and a warning fails the test
    gc.collect()
    assert threading.active_count() == before


# What goes wrong


def test_a_file_that_is_replaced_during_its_scan_is_read_as_it_was_or_not_at_all(lake: Lake) -> None:
    small = lake.put("small.parquet", file(v=[5, 6, 7]))
    with limits(BATCH_ROWS=1):
        frames = parquet.scan(query("v"), {}, [extent(lake, small, 0, 3)])
        found = [next(frames)]
        lake.put("small.parquet", file(v=[8, 9, 10]))
        assert [frame["v"].item() for frame in [*found, *frames]] == [5, 6, 7]
    asked = [extent(lake, wide(lake), 0, 20_000)]
    lake.asked.clear()
    lake.before = lambda key: lake.asked and lake.objects.update({key: lake.objects[key][:-1] + b"?"})
    with pytest.raises(SourceChanged, match=r"wide\.parquet was replaced after the export was planned"):
        scan(query("a"), asked)


@pytest.mark.parametrize("when", ["planned", "read"])
def test_what_s3_refuses_for_good_names_the_object_and_what_may_succeed_is_left_to_a_retry(
    lake: Lake, when: str
) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]

    def attempt(code: str, status: int) -> None:
        def fail(_: str) -> None:
            raise refused(code, status)

        lake.before = fail if code else lambda _: None
        parquet.plan(query("a")) if when == "planned" else scan(query("a"), asked)

    with pytest.raises(SourceUnavailable, match=r"s3://lake/data/sales/wide\.parquet: AccessDenied"):
        attempt("AccessDenied", 403)
    with pytest.raises(ClientError) as raised:
        attempt("SlowDown", 503)
    assert aws.is_transient(raised.value)
    lake.breaks_off = True
    with pytest.raises(ServiceUnavailable, match=r"wide\.parquet: S3 did not send all"):
        attempt("", 0)


def test_a_full_disk_names_the_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RowGroupTooLarge, match=r"s3://lake/data/sales/wide\.parquet: its row groups do not fit"):
        scan(query("a"), asked)


@functools.cache
def sixty(writer: str) -> bytes:
    return bytes(WRITERS[writer](everything(60), 40, 256))


@settings(max_examples=max(100, settings.default.max_examples))  # type: ignore[union-attr]
@given(st.sampled_from([*WRITERS]), st.sampled_from([10, 1000]), st.randoms(use_true_random=False))
def test_damage_is_found_or_harmless_and_never_another_error(writer: str, batch: int, chance: random.Random) -> None:
    damaged = bytearray(sixty(writer))
    for _ in range(4):
        damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
    with in_memory() as lake, limits(BATCH_ROWS=batch), contextlib.suppress(SourceUnreadable):
        asked = [extent(lake, lake.put("a.parquet", bytes(damaged)), 5, 50)]
        assert sum(frame.height for frame in parquet.scan(query(*everything(1).columns), {}, asked)) <= 50


def test_a_file_that_lost_bytes_within_is_named(lake: Lake) -> None:
    whole = by_polars(everything(3000))
    for start, end in ((4, 200), (4, 4000), (2000, 2001)):
        key = lake.put("cut.parquet", whole[:start] + whole[end:])
        with pytest.raises(SourceUnreadable, match=r"s3://lake/data/sales/cut\.parquet is not readable Parquet"):
            scan(query(*everything(1).columns), [extent(lake, key, 0, 3000)])


def test_an_error_says_nothing_of_the_rows(lake: Lake) -> None:
    content = file(n=["secret"] * 9, options={"compression": "none"})
    key = lake.put("odd.parquet", content.replace(b"secret", b"\xff\xfecret"))
    with pytest.raises(ExportError) as raised:
        scan(query("n"), [extent(lake, key, 0, 9)])
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("offset", [0, 100])  # all of the row group, or by page
def test_a_page_without_the_bytes_of_its_checksum_is_refused(lake: Lake, offset: int) -> None:
    numbers = list(range(1000, 3000))
    plain = {"write_page_checksum": True, "data_page_size": 1024, "use_dictionary": False, "compression": "none"}
    content = bytearray(file(n=numbers, options=plain))
    key, rows = lake.put("a.parquet", bytes(content)), len(numbers) - offset
    assert scan(query("n"), [extent(lake, key, offset, rows)]).height == rows
    content[content.index((2000).to_bytes(8, "little"))] ^= 1
    lake.put("a.parquet", bytes(content))
    with pytest.raises(SourceUnreadable, match="a page of column n does not match its checksum"):
        scan(query("n"), [extent(lake, key, offset, rows)])
