"""Formats csv.gz and jsonl.gz: one member, whatever it was made of, and in it exactly the text."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.formats import FORMATS
from shared.files.formats.gzip import _Deflated
from shared.files.segments import Literal, measure
from tests.unit.formats.support import NASTY, TEXT, WORK, make, plan, receipt, splits, whole

TEXTS: dict[str, dict[str, Any]] = {"csv": {"bom": True, "encoding": "utf-16le"}, "jsonl": {"timezone": "Asia/Tokyo"}}


def only_member(content: bytes) -> bytes:
    """What a strict reader finds (RFC 1952): a header, a deflate stream to its last block, a trailer that fits."""
    magic, method, flags, time, extra, system = struct.unpack("<HBBIBB", content[:10])
    assert (magic, method, flags, time, extra, system) == (0x8B1F, 8, 0, 0, 0, 255)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    text = stream.decompress(content[10:])
    assert stream.eof
    assert stream.unconsumed_tail == b""
    assert struct.unpack("<II", stream.unused_data) == (zlib.crc32(text), len(text) % 2**32), "and nothing after it"
    return text


@given(st.lists(TEXT | NASTY), st.sampled_from(list(TEXTS)), st.data())
def test_however_it_was_divided_the_one_member_holds_the_text(cells: list[str], name: str, data: st.DataObject) -> None:
    rows, asked = pl.DataFrame({"a": cells}, {"a": pl.String}), {"types": {"a": "string"}} | TEXTS[name]
    parts = data.draw(splits(rows))
    file = make(f"{name}.gz", parts, **asked)
    assert only_member(file.content) == whole(name, rows, **asked)
    assert make(f"{name}.gz", parts, **asked).content == file.content, "the same split, the same bytes"
    assert measure(file.segments) == (len(file.content), zlib.crc32(file.content))


@pytest.mark.parametrize("name", TEXTS)
def test_no_rows_are_one_member_too(name: str) -> None:
    nothing = pl.DataFrame(schema={"a": pl.Int64})
    for parts in ([[]], [[nothing], [nothing, nothing]]):
        file = make(f"{name}.gz", parts, {"a": "integer"})
        assert only_member(file.content) == make(name, parts, {"a": "integer"}).content
        assert [proof["bytes"] for proof in file.receipts[1:]] == [0] * (len(parts) - 1)


def test_every_reader_of_the_text_reads_a_large_file_that_is_much_smaller(tmp_path: Path) -> None:
    """Its text is several blocks of the compressor."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghij", k=40)) for _ in range(500)]
    rows = pl.DataFrame({"n": range(70_000), "s": chance.choices(words, k=70_000)})
    csv, jsonl = (tmp_path / f"rows.{name}.gz" for name in ("csv", "jsonl"))
    for path, name in ((csv, "csv"), (jsonl, "jsonl")):
        asked: Any = {"types": {"n": "integer", "s": "string"}, "header_style": "name"}
        path.write_bytes(
            make(f"{name}.gz", [[rows[:30_000], rows[30_000:50_000]], [], [rows[50_000:]]], **asked).content
        )
        text = make(name, [[rows]], **asked).content
        assert only_member(path.read_bytes()) == text
        assert path.stat().st_size < len(text) / 3
    for found in (pd.read_csv(csv), pd.read_json(jsonl, lines=True), pl.read_csv(csv), pl.read_ndjson(jsonl)):
        assert pl.DataFrame(found).equals(rows)
    for read in (f"read_csv('{csv}')", f"read_json('{jsonl}', format='newline_delimited')"):
        assert duckdb.sql(f"FROM {read}").pl().equals(rows)


def test_the_writers_chunks_do_not_show() -> None:
    """Where the engine ends a chunk may depend on the processor; where a block ends does not."""
    chance = random.Random(1)
    text = chance.randbytes(1_250_000).hex().encode()

    def deflated(sizes: Iterator[int]) -> bytes:
        into, left = io.BytesIO(), text
        made = _Deflated(into)
        while left:
            chunk = left[: next(sizes)]
            assert made.write(chunk) == len(chunk)
            left = left[len(chunk) :]
        made.finish()
        assert (made.size, made.crc32) == (len(text), zlib.crc32(text))
        return into.getvalue()

    at_once, in_chunks = deflated(iter([len(text)])), deflated(iter(lambda: chance.randrange(1, 900_000), 0))
    assert at_once == in_chunks
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(at_once) == text


def test_a_text_beyond_4_gib_gives_its_length_modulo_2_to_the_32() -> None:
    size = 2**32 + 2**31 + 5
    proof = receipt(0, b"deflated", 1, {"text_bytes": size, "text_crc32": 0x12345678})
    *_, end = FORMATS["jsonl.gz"].layout(plan("jsonl.gz", {"a": "integer"}), WORK, [proof])
    assert end == Literal(b"\x03\x00" + struct.pack("<II", 0x12345678, 2**31 + 5))
