"""Rows of Parquet files: those that were asked for, whoever wrote them, and no more bytes than that takes."""

from __future__ import annotations

import contextlib
import datetime
import errno
import gc
import io
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

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
from tests.unit.lake import BUCKET, Lake, extent, query, refused, scan

MIB = 1024**2


@contextlib.contextmanager
def limits(**changes: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in changes.items():
            patched.setattr(parquet_rows, name, value)
        yield


def everything(rows: int) -> pl.DataFrame:
    """A column of every kind, with nulls."""
    numbers = list(range(rows))

    def some(values: list[Any]) -> list[Any]:
        return [None if number % 7 == 3 else value for number, value in enumerate(values)]

    day = datetime.date(2020, 1, 1)
    return pl.DataFrame(
        {
            "tenant": ["acme" if number % 3 else "other" for number in numbers],
            "n": some(numbers),
            "small": pl.Series(some([number % 100 for number in numbers]), dtype=pl.Int8),
            "x": some([number / 7 for number in numbers]),
            "text": some([f"text {number} é" * (number % 4) for number in numbers]),
            "few": some([f"v{number % 3}" for number in numbers]),
            "flag": some([number % 2 == 0 for number in numbers]),
            "day": some([day + datetime.timedelta(number) for number in numbers]),
            "time": pl.Series(some([datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=n) for n in numbers])),
            "amount": pl.Series(some([str(n) for n in numbers])).cast(pl.Decimal(20, 4)),
            "list": some([list(range(number % 4)) for number in numbers]),
            "record": [{"a": number, "b": f"b{number}"} for number in numbers],
        }
    )


def by_polars(frame: pl.DataFrame, group: int, page: int) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file, row_group_size=group, data_page_size=page)
    return file.getvalue()


def by_arrow(frame: pl.DataFrame, group: int, page: int, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(frame.to_arrow(), file, row_group_size=group, data_page_size=page, write_batch_size=16, **options)
    return file.getvalue()


WRITERS = {
    "polars": by_polars,
    "arrow": by_arrow,
    "arrow, pages of version 2": lambda *given: by_arrow(*given, data_page_version="2.0", compression="gzip"),
    "arrow, indexed": lambda *given: by_arrow(*given, write_page_index=True, compression="zstd"),
    "arrow, indexed, no dictionary": lambda *given: by_arrow(*given, write_page_index=True, use_dictionary=False),
    "arrow, uncompressed": lambda *given: by_arrow(*given, compression="none"),
}


@settings(max_examples=40, deadline=None)
@given(data=st.data(), group=st.integers(1, 400), page=st.sampled_from([64, 512, MIB]), batch=st.integers(1, 400))
@pytest.mark.parametrize("writer", WRITERS)
def test_any_run_of_rows_is_what_was_written(
    writer: str, data: st.DataObject, group: int, page: int, batch: int
) -> None:
    frame = everything(300)
    lake = Lake()
    key = lake.put("one.parquet", WRITERS[writer](frame, group, page))
    offset = data.draw(st.integers(0, 299))
    rows = data.draw(st.integers(1, 300 - offset))
    columns = data.draw(st.lists(st.sampled_from(frame.columns), min_size=1, unique=True))
    with pytest.MonkeyPatch.context() as patched, limits(BATCH_ROWS=batch, FOOTER_GUESS=1000):
        patched.setenv("DATA_BUCKET", BUCKET)
        patched.setenv("DATA_PREFIX", "data")
        patched.setattr(aws, "s3", lambda: lake)
        asked = query(*columns, tenant=columns[0])
        found = scan(asked, [extent(lake, key, offset, rows)])
    expected = frame.select(asked.needs()).cast({pl.Int8: pl.Int64})[offset : offset + rows]
    assert_frame_equal(found, expected)


@pytest.mark.parametrize("rows", [100, 99])
def test_an_index_that_did_not_come_with_the_footer_is_fetched(lake: Lake, rows: int) -> None:
    frame = everything(100).select("tenant", "n", "list")
    key = lake.put("one.parquet", by_arrow(frame, 100, 64, write_page_index=True))
    with limits(BATCH_ROWS=10, FOOTER_GUESS=8):
        found = scan(query("n", "list"), [extent(lake, key, 0, rows)])
    assert_frame_equal(found, frame.select("list", "n", "tenant")[:rows])


def wide(lake: Lake, rows: int = 20_000, **options: Any) -> str:
    """A file of three columns of noise, 160 KB each, in two row groups."""
    chance = random.Random(1)
    frame = pl.DataFrame(
        {"tenant": ["acme"] * rows} | {name: [chance.getrandbits(62) for _ in range(rows)] for name in "abc"}
    )
    return lake.put("wide.parquet", by_arrow(frame, rows // 2, 8192, compression="none", **options))


@pytest.fixture
def no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GAP", 0)


def chunk_bytes(content: bytes, *columns: str) -> int:
    metadata = pq.read_metadata(io.BytesIO(content))
    chunks = [
        metadata.row_group(g).column(c) for g in range(metadata.num_row_groups) for c in range(metadata.num_columns)
    ]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)


@pytest.mark.usefixtures("no_gap")
def test_only_chunks_of_needed_columns_are_fetched(lake: Lake) -> None:
    key = wide(lake, use_dictionary=False)
    scan(query("b", tenant="b"), [extent(lake, key, 0, 20_000)])
    (_, start, end), *rest = lake.asked
    assert end - start == parquet_rows.FOOTER_GUESS
    assert lake.bytes - parquet_rows.FOOTER_GUESS == chunk_bytes(lake.objects[key], "b")
    assert len(rest) == 2


@pytest.mark.usefixtures("no_gap")
def test_row_groups_of_no_extent_are_not_fetched(lake: Lake) -> None:
    key = wide(lake, use_dictionary=False)
    scan(query("b", tenant="b"), [extent(lake, key, 0, 10_000)])
    assert lake.bytes - parquet_rows.FOOTER_GUESS == chunk_bytes(lake.objects[key], "b") // 2


@pytest.mark.usefixtures("no_gap")
def test_of_a_row_group_with_an_index_only_the_pages_of_the_rows_are_fetched(lake: Lake) -> None:
    key = wide(lake, use_dictionary=False, write_page_index=True)
    found = scan(query("b", tenant="b"), [extent(lake, key, 5_000, 100)])
    assert found.height == 100
    assert lake.bytes - parquet_rows.FOOTER_GUESS < 3 * 8192 + 1024


@pytest.mark.usefixtures("no_gap")
def test_lists_are_read_by_page_too(lake: Lake) -> None:
    chance = random.Random(1)
    lists = [[chance.getrandbits(62)] * (number % 3) for number in range(50_000)]
    frame = pl.DataFrame({"tenant": ["acme"] * 50_000, "l": lists})
    key = lake.put("lists.parquet", by_polars(frame, 50_000, 8192))
    assert scan(query("l", tenant="l"), [extent(lake, key, 30_000, 10)])["l"].to_list() == lists[30_000:30_010]
    assert lake.bytes < parquet_rows.FOOTER_GUESS + 64 * 1024 < len(lake.objects[key]) / 2


def test_every_byte_that_is_fetched_is_counted(lake: Lake) -> None:
    key = wide(lake)
    fetched: Counter[str] = Counter(bytes=5)
    list(parquet.scan(query("a", "c"), {}, [extent(lake, key, 0, 9_000), extent(lake, key, 12_000, 10)], fetched))
    assert fetched == {"bytes": 5 + lake.bytes}


def test_a_small_file_takes_one_request(lake: Lake) -> None:
    keys = [lake.put(f"{number}.parquet", by_polars(everything(5), 5, MIB)) for number in range(40)]
    rows = scan(query("n"), [extent(lake, key, 0, 5) for key in keys])
    assert rows.height == 200
    assert Counter(key for key, _, _ in lake.asked) == dict.fromkeys(keys, 1)


def test_neighbouring_chunks_take_one_request(lake: Lake) -> None:
    key = wide(lake)
    scan(query("a", "b", "c"), [extent(lake, key, 0, 20_000)])
    assert len(lake.asked) == 2


def test_a_batch_is_bounded_in_bytes_too(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 16_000)
    key = wide(lake, use_dictionary=False)
    frames = list(parquet.scan(query("a", tenant="a"), {}, [extent(lake, key, 0, 20_000)]))
    assert max(frame.height for frame in frames) <= 2_000
    assert sum(frame.height for frame in frames) == 20_000


def test_small_row_groups_are_read_together(lake: Lake) -> None:
    key = lake.put("groups.parquet", by_polars(everything(300), 3, MIB))
    frames = list(parquet.scan(query("n"), {}, [extent(lake, key, 0, 300)]))
    assert [frame.height for frame in frames] == [300]


def test_files_are_fetched_at_the_same_time(lake: Lake) -> None:
    keys = [lake.put(f"{number}.parquet", by_polars(everything(5), 5, MIB)) for number in range(4)]
    together = threading.Barrier(4, timeout=30)
    lake.before = lambda _: together.wait()
    assert scan(query("n"), [extent(lake, key, 0, 5) for key in keys]).height == 20


def test_a_scan_that_is_given_up_leaves_no_thread_and_no_file(lake: Lake) -> None:
    keys = [wide(lake), *(lake.put(f"{number}.parquet", by_polars(everything(5), 5, MIB)) for number in range(30))]
    before = threading.active_count()
    frames = parquet.scan(query("a"), {}, [extent(lake, key, 0, 5) for key in keys])
    next(frames)
    frames.close()  # what stays open warns, and a warning fails the test
    gc.collect()
    assert threading.active_count() == before


# What goes wrong


def test_a_file_that_is_replaced_between_two_requests_is_never_mixed(lake: Lake) -> None:
    key = wide(lake)
    asked = [extent(lake, key, 0, 20_000)]

    def replace(_: str) -> None:
        if len(lake.asked) == 1:
            lake.objects[key] = lake.objects[key][:-1] + b"?"

    lake.before = replace
    with pytest.raises(
        SourceChanged, match=r"s3://lake/data/sales/wide\.parquet was replaced after the export was planned"
    ):
        scan(query("a"), asked)


def test_an_answer_that_breaks_off_is_worth_another_try(lake: Lake) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]
    lake.breaks_off = True
    with pytest.raises(ServiceUnavailable, match=r"wide\.parquet: S3 did not send all"):
        scan(query("a"), asked)


def test_what_s3_refuses_for_good_names_the_object(lake: Lake) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]

    def refuse(_: str) -> None:
        raise refused("AccessDenied", 403)

    lake.before = refuse
    with pytest.raises(SourceUnavailable, match=r"s3://lake/data/sales/wide\.parquet: AccessDenied"):
        scan(query("a"), asked)


def test_what_s3_refuses_for_now_is_left_to_the_frame_of_the_function(lake: Lake) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]

    def refuse(_: str) -> None:
        raise refused("SlowDown", 503)

    lake.before = refuse
    with pytest.raises(ClientError) as raised:
        scan(query("a"), asked)
    assert aws.is_transient(raised.value)


def test_a_full_disk_names_the_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [extent(lake, wide(lake), 0, 20_000)]

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RowGroupTooLarge, match=r"s3://lake/data/sales/wide\.parquet: its row groups do not fit"):
        scan(query("a"), asked)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("batch", [10, 1000])
def test_damage_is_found_or_harmless_and_never_another_error(lake: Lake, writer: str, batch: int) -> None:
    whole = WRITERS[writer](everything(60), 40, 256)
    asked, chance = query(*everything(1).columns), random.Random(1)
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        key = lake.put(f"{number}.parquet", bytes(damaged))
        with limits(BATCH_ROWS=batch), contextlib.suppress(SourceUnreadable):
            rows = sum(frame.height for frame in parquet.scan(asked, {}, [extent(lake, key, 5, 50)]))
            assert rows <= 50


@pytest.mark.parametrize("cut", [slice(4, 200), slice(4, 4000), slice(2000, 2001)])
def test_a_file_that_lost_bytes_within_is_named(lake: Lake, cut: slice) -> None:
    content = bytearray(by_polars(everything(3000), 3000, MIB))
    del content[cut]
    key = lake.put("cut.parquet", bytes(content))
    with pytest.raises(SourceUnreadable, match=r"s3://lake/data/sales/cut\.parquet is not readable Parquet"):
        scan(query(*everything(1).columns), [extent(lake, key, 0, 3000)])


def test_an_error_says_nothing_of_the_rows(lake: Lake) -> None:
    content = by_arrow(pl.DataFrame({"tenant": ["acme"] * 9, "n": ["secret"] * 9}), 9, MIB, compression="none")
    key = lake.put("odd.parquet", content.replace(b"secret", b"\xff\xfecret"))
    with pytest.raises(ExportError) as raised:
        scan(query("n"), [extent(lake, key, 0, 9)])
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("codec", ["gzip", "brotli", "lz4", "zstd", "snappy", "none"])
def test_every_usual_codec_is_read(lake: Lake, codec: str) -> None:
    key = lake.put("one.parquet", by_arrow(everything(20), 20, MIB, compression=codec))
    assert scan(query("n"), [extent(lake, key, 0, 20)])["n"].to_list() == everything(20)["n"].to_list()


def test_lists_in_pages_that_do_not_say_their_rows_are_read_too(lake: Lake) -> None:
    values = [[n] * (n % 5) for n in range(500)]
    file = io.BytesIO()
    pq.write_table(pa.table({"tenant": ["acme"] * 500, "l": values}), file, data_page_size=64, write_batch_size=8)
    key = lake.put("lists.parquet", file.getvalue())
    with limits(BATCH_ROWS=50):
        assert scan(query("l"), [extent(lake, key, 123, 300)])["l"].to_list() == values[123:423]


@pytest.mark.parametrize("offset", [0, 100])  # all of the row group, or by page
def test_a_page_without_the_bytes_of_its_checksum_is_refused(lake: Lake, offset: int) -> None:
    numbers, into = list(range(1000, 3000)), io.BytesIO()
    table = pa.table({"n": numbers, "tenant": ["acme"] * len(numbers)})
    pq.write_table(table, into, write_page_checksum=True, data_page_size=1024, use_dictionary=False, compression="none")
    content = bytearray(into.getvalue())
    key = lake.put("a.parquet", bytes(content))
    rows = len(numbers) - offset
    assert scan(query("n"), [extent(lake, key, offset, rows)]).height == rows
    content[content.index((2000).to_bytes(8, "little"))] ^= 1
    lake.put("a.parquet", bytes(content))
    with pytest.raises(SourceUnreadable, match="a page of column n does not match its checksum"):
        scan(query("n"), [extent(lake, key, offset, rows)])
