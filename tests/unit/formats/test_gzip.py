"""Formats csv.gz and jsonl.gz: one member, whatever it was made of, and in it exactly the text."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from shared.files.formats import FORMATS
from shared.files.formats.gzip import Gzip
from shared.files.segments import Literal, measure
from tests.unit.formats.support import ROWS, TYPES, WORK, frame, make, plan, receipt, splits, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ["csv", "jsonl"]


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


@settings(max_examples=30)
@given(
    st.lists(ROWS, max_size=5).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows)))),
    st.sampled_from(TEXTS),
    st.booleans(),
)
def test_however_it_was_divided_the_one_member_holds_the_text(
    given: tuple[list[dict[str, Any]], list[list[pl.DataFrame]]], name: str, bom: bool
) -> None:
    rows, parts = given
    options = {"bom": bom} if name == "csv" else {}
    file = make(f"{name}.gz", parts, TYPES, **options)
    text = whole(name, frame(rows), TYPES, **options)
    assert only_member(file.content) == text
    assert gzip.decompress(file.content) == text
    assert igzip.decompress(file.content) == text
    assert make(f"{name}.gz", parts, TYPES, **options).content == file.content, "the same split gives the same bytes"
    assert measure(file.segments) == (len(file.content), zlib.crc32(file.content))


def large(rows: int) -> pl.DataFrame:
    """Rows whose text is several blocks of the compressor."""
    chance = random.Random(rows)
    words = ["".join(chance.choices("abcdefghij", k=40)) for _ in range(500)]
    return pl.DataFrame({"n": range(rows), "s": chance.choices(words, k=rows)})


LARGE = {"n": "integer", "s": "string"}


@pytest.mark.parametrize("name", TEXTS)
def test_a_large_text_is_whole_and_much_smaller(name: str) -> None:
    rows = large(70_000)
    content = make(f"{name}.gz", [[rows[:30_000], rows[30_000:]], [], [rows[:1]]], LARGE).content
    text = make(name, [[rows], [rows[:1]]], LARGE).content
    assert only_member(content) == text
    assert len(text) > 3 * 1024**2
    assert len(content) < len(text) / 3


def test_the_writers_chunks_do_not_show() -> None:
    """Where the engine ends a chunk may depend on the processor; where a block ends does not."""

    class Text:
        name = extension = "text"
        options_schema: ClassVar[dict[str, Any]] = {}
        growth = 1.0

        def __init__(self, sizes: Iterator[int]) -> None:
            self._sizes = sizes

        def writer(self, _: Any, into: Any, *, first: bool) -> Any:
            assert not first
            sizes = self._sizes

            class Chunks:
                def write(self, rows: Any) -> None:
                    left = rows
                    while left:
                        size = next(sizes)
                        assert into.write(left[:size]) == len(left[:size])
                        left = left[size:]

                def close(self) -> dict[str, Any]:
                    return {}

            return Chunks()

    chance = random.Random(1)
    text = bytes(chance.choices(b"abcdefgh,\n", k=5_000_000))
    made = []
    for sizes in (iter([len(text)]), iter(lambda: chance.randrange(1, 900_000), 0)):
        into = io.BytesIO()
        writer = Gzip(Text(sizes)).writer({}, into, first=False)  # type: ignore[typeddict-item]
        writer.write(text)  # type: ignore[arg-type]
        facts = writer.close()
        made.append((into.getvalue(), facts))
    assert made[0] == made[1]
    assert made[0][1] == {"text_bytes": len(text), "text_crc32": zlib.crc32(text)}
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(made[0][0]) == text


def test_a_text_beyond_4_gib_gives_its_length_modulo_2_to_the_32() -> None:
    size = 2**32 + 2**31 + 5
    facts = {"text_bytes": size, "text_crc32": 0x12345678}
    proof = receipt(0, b"deflated", 1, facts)
    *_, end = FORMATS["jsonl.gz"].layout(plan("jsonl.gz", {"a": "integer"}), WORK, [proof])
    assert end == Literal(b"\x03\x00" + struct.pack("<II", 0x12345678, 2**31 + 5))


def test_a_header_of_a_thousand_columns_is_whole() -> None:
    types = {f"c{index}": "integer" for index in range(5_000)}
    content = make("csv.gz", [[]], types).content
    text = only_member(content)
    assert len(text) > 0xFFFF
    assert text == make("csv", [[]], types).content


@pytest.mark.parametrize("name", TEXTS)
def test_no_rows_are_one_member_too(name: str) -> None:
    nothing = pl.DataFrame(schema={"a": pl.Int64})
    for parts in ([[]], [[nothing], [nothing, nothing]]):
        file = make(f"{name}.gz", parts, {"a": "integer"})
        assert only_member(file.content) == make(name, parts, {"a": "integer"}).content
        assert [proof["bytes"] for proof in file.receipts[1:]] == [0] * (len(parts) - 1)


def test_readers_of_the_text_read_it_compressed(tmp_path: Path) -> None:
    rows = large(1_000)
    csv, jsonl = tmp_path / "rows.csv.gz", tmp_path / "rows.jsonl.gz"
    for path, name in ((csv, "csv.gz"), (jsonl, "jsonl.gz")):
        options = {"header_style": "name"}
        path.write_bytes(make(name, [[rows[:400]], [rows[:0]], [rows[400:]]], LARGE, **options).content)
    assert pl.read_csv(csv).equals(rows)
    assert pl.read_ndjson(jsonl).equals(rows)
    for frames in (pd.read_csv(csv), pd.read_json(jsonl, lines=True)):
        assert [tuple(row) for row in frames.itertuples(index=False)] == rows.rows()
    assert duckdb.sql(f"FROM read_csv('{csv}')").fetchall() == rows.rows()
    assert duckdb.sql(f"FROM read_json('{jsonl}', format='newline_delimited')").fetchall() == rows.rows()
