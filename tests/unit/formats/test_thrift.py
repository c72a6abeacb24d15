"""The Thrift compact protocol: what was written is what is read, and an offset may come in later."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.parquet import thrift
from shared.parquet.thrift import Offset

INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(
    st.tuples(st.just(thrift.TRUE), st.booleans()),
    st.tuples(st.just(thrift.BYTE), st.binary(min_size=1, max_size=1)),
    st.tuples(st.sampled_from([thrift.I16, thrift.I32, thrift.I64]), INTEGERS),
    st.tuples(st.just(thrift.DOUBLE), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(thrift.BINARY), st.binary(max_size=200)),
)
LISTS = st.one_of(
    st.tuples(st.just(thrift.I64), st.lists(INTEGERS, max_size=20)),
    st.tuples(st.just(thrift.TRUE), st.lists(st.booleans(), max_size=20)),
    st.tuples(st.just(thrift.BINARY), st.lists(st.binary(max_size=5), max_size=20)),
)
FIELDS = st.integers(1, 2**15 - 1)
STRUCTS: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(FIELDS, SCALARS | LISTS.map(lambda items: (thrift.LIST, items)), max_size=5),
    lambda inner: st.dictionaries(
        FIELDS,
        inner.map(lambda struct: (thrift.STRUCT, struct))
        | st.lists(inner, max_size=3).map(lambda structs: (thrift.LIST, (thrift.STRUCT, structs))),
        max_size=3,
    ),
    max_leaves=6,
)


@given(STRUCTS)
def test_a_struct_is_read_back_as_it_was_and_refused_where_its_bytes_end_within_it(struct: Any) -> None:
    written = thrift.write(struct)
    assert written.offsets == []
    assert thrift.read(written.data) == struct
    for end in range(len(written.data)):
        with pytest.raises(IndexError):
            thrift.read(written.data[:end])


@given(st.lists(st.integers(0, 2**40), max_size=5), st.integers(0, 2**50))
def test_offsets_are_put_in_later_counted_from_wherever_that_is(offsets: list[int], base: int) -> None:
    def struct(positions: list[Any]) -> Any:
        inner = [{9: (thrift.I64, position), 11: (thrift.BINARY, b"between")} for position in positions]
        return {1: (thrift.LIST, (thrift.STRUCT, inner)), 3: (thrift.I64, 7)}

    template = thrift.write(struct([Offset(offset) for offset in offsets]))
    assert template.fill(base) == thrift.write(struct([base + offset for offset in offsets])).data


def test_fields_are_counted_from_the_one_before() -> None:
    first, second = {2: (thrift.I32, 5)}, {4: (thrift.I64, 6)}
    assert (
        thrift.write(first, stop=False).data + thrift.write(second, after=2).data == thrift.write(first | second).data
    )


def test_the_examples_of_the_specification() -> None:
    examples = {0: "00", -1: "01", 1: "02", -2: "03", 50399: "be9306"}
    assert {value: thrift.integer(value).hex() for value in examples} == examples
    assert thrift.list_header(thrift.I32, 14) == b"\xe5"
    assert thrift.list_header(thrift.I32, 15) == b"\xf5\x0f"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 13"):
        thrift.read(b"\x1d\x00")
