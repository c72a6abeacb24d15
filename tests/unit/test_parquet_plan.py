"""What planning reads of a dataset, what it leaves out, and what it refuses by name; counted in bytes."""

from __future__ import annotations

import dataclasses
import datetime
import io
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.engine.query import Query
from shared.engine.sources import parquet, parquet_rows, parquet_types
from shared.errors import (
    ColumnMismatch,
    RowGroupTooLarge,
    ServiceUnavailable,
    SourceChanged,
    SourceSchemaMismatch,
    SourceUnavailable,
    SourceUnreadable,
)
from shared.parquet import footer as parquet_footer
from shared.parquet import thrift
from shared.parquet.footer import Excerpt, Pages
from tests.unit.lake import Lake, query, refused, scan

AMOUNT = {"least": {"type": "integer", "filter": {"column": "n", "operator": ">="}}}
MONTH = {"month": {"type": "integer", "filter": {"column": "month", "operator": "=="}}}


def content(numbers: range, group: int = 10_000, **more: Any) -> bytes:
    """Rows of the tenant, 8 bytes of a column each, in row groups."""
    columns = {"tenant": ["acme"] * len(numbers), "n": list(numbers)} | more
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=group, compression="none", use_dictionary=["tenant"])
    return file.getvalue()


def read(asked: Query) -> pl.DataFrame:
    schema, extents = parquet.plan(asked)
    return scan(asked, extents, {name: str(dtype) for name, dtype in schema.items()})


def test_planning_reads_footers_and_nothing_else(lake: Lake) -> None:
    whole = content(range(100_000))
    for number in range(3):
        lake.put(f"{number}.parquet", whole)
    parquet.plan(query("n"))
    footers_alike = 2 * len(footer_of(whole))
    assert lake.bytes == parquet_rows.FOOTER_GUESS + 2 * footers_alike
    assert len(whole) > 10 * parquet_rows.FOOTER_GUESS > 100 * footers_alike


def test_a_footer_that_is_longer_than_the_first_is_asked_for_again(lake: Lake) -> None:
    lake.put("0.parquet", content(range(10)))
    lake.put("1.parquet", content(range(1_000), group=5))
    assert sum(extent["rows"] for extent in parquet.plan(query("n"))[1]) == 1_010
    assert [key for key, _, _ in lake.asked] == ["data/sales/0.parquet", *["data/sales/1.parquet"] * 2]


def test_a_file_that_its_partition_excludes_is_never_read_of(lake: Lake) -> None:
    for month in (1, 2, 3):
        lake.put(f"month={month}/a.parquet", content(range(20_000)))
    assert read(query("n", parameters=MONTH, month=2)).height == 20_000
    assert {key for key, _, _ in lake.asked} == {"data/sales/month=2/a.parquet"}


@pytest.mark.parametrize(
    ("parameter", "value", "folders"),
    [
        ({"type": "integer", "filter": {"column": "month", "operator": "in"}}, [3, 1, 7], {"month=1", "month=3"}),
        ({"type": "string", "filter": {"column": "region", "operator": "in"}}, ["us-1"], {"region=us-1"}),
        (
            {"type": "string", "filter": {"column": "region", "operator": "contains"}},
            "eu",
            {"region=eu-1", "region=eu-2"},
        ),
        (
            {"type": "boolean", "filter": {"column": "month", "operator": "is null"}},
            False,
            {"month=1", "month=2", "month=3"},
        ),
    ],
)
def test_of_lists_and_parts_of_texts_too_only_the_partitions_that_may_match_are_read(
    lake: Lake, parameter: dict[str, Any], value: Any, folders: set[str]
) -> None:
    name = parameter["filter"]["column"]
    for each in {"month": ("1", "2", "3"), "region": ("eu-1", "eu-2", "us-1")}[name]:
        lake.put(f"{name}={each}/a.parquet", content(range(10)))
    assert read(query("n", parameters={"p": parameter}, p=value)).height == 10 * len(folders)
    assert {key.split("/")[2] for key, _, _ in lake.asked} == folders


def test_a_row_group_that_a_filter_excludes_is_never_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GAP", 0)
    key = lake.put("a.parquet", content(range(100_000)))
    groups = parquet_footer.read(footer_of(lake.objects[key])).row_groups
    assert read(query("n", parameters=AMOUNT, least=75_000))["n"].to_list() == list(range(70_000, 100_000))
    planned, footer, *data = lake.asked
    assert planned == footer
    assert min(start for _, start, _ in data) == groups[7].chunks[0].start
    assert sum(end - start for _, start, end in data) <= sum(c.bytes for g in groups[7:] for c in g.chunks)


def test_when_a_filter_excludes_everything_no_row_is_read(lake: Lake) -> None:
    lake.put("a.parquet", content(range(20_000)))
    schema, extents = parquet.plan(query("n", parameters=AMOUNT, least=75_000))
    assert (extents, list(schema)) == ([], ["tenant", "n"])
    assert lake.bytes == parquet_rows.FOOTER_GUESS


def test_the_bytes_of_an_extent_are_those_of_the_needed_columns(lake: Lake) -> None:
    lake.put("a.parquet", content(range(20_000), wide=["some words"] * 20_000))
    (first, second) = parquet.plan(query("n"))[1]
    assert first["bytes"] == second["bytes"]
    assert 80_000 < first["bytes"] < 85_000


def test_a_schema_is_worked_out_once_for_files_that_share_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        lake.put(f"{number:02}.parquet", content(range(5)))
    seen = []
    original = parquet_types.columns
    monkeypatch.setattr(parquet_types, "columns", lambda *asked: seen.append(asked) or original(*asked))
    assert len(parquet.plan(query("n"))[1]) == 50
    assert len(seen) == 1


# What is refused


def footer_of(whole: bytes) -> bytes:
    size = parquet_footer.footer_length(whole[-8:])
    return whole[-8 - size : -8]


def lzo(whole: bytes) -> bytes:
    """The same, said to be compressed by LZO."""
    footer = parquet_footer.read(footer_of(whole))
    excerpt = Excerpt(footer, footer.columns)
    for group in footer.row_groups:
        chunks = [dataclasses.replace(chunk, metadata=chunk.metadata | {4: 3}) for chunk in group.chunks]
        pages = {
            position: Pages([whole[chunk.start : chunk.end]], group.rows, chunk.metadata[9] - chunk.start)
            for position, chunk in enumerate(chunks)
        }
        excerpt.add(dataclasses.replace(group, chunks=chunks), group.rows, pages)
    return excerpt.file()


def with_encrypted_columns(whole: bytes) -> bytes:
    """The same, with a footer that says so of each column (ColumnChunk, field 8)."""
    fields = thrift.read(footer_of(whole))
    for group in fields[4][1][1]:
        group[1] = (thrift.LIST, (thrift.STRUCT, [{8: (thrift.STRUCT, {})} for _ in group[1][1][1]]))
    footer = thrift.write(fields).data
    return whole[: -len(footer_of(whole)) - 8] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


WHOLE = content(range(50))
NO_FOOTER = WHOLE[: -len(footer_of(WHOLE)) - 8] + bytes(len(footer_of(WHOLE))) + WHOLE[-8:]
BROKEN = {
    "empty": (b"", "it is empty or truncated"),
    "text": (b"year,month\n2013,1\n", "it does not end with PAR1$"),
    "its end cut": (WHOLE[:-20], "it does not end with PAR1$"),
    "its beginning cut": (WHOLE[200:], "column tenant lies at bytes|column n lies at bytes"),
    "nothing but its end": (WHOLE[-8:], "shorter than its footer"),
    "a footer of zeros": (NO_FOOTER, "damaged|out of spec"),
    "encrypted columns": (with_encrypted_columns(WHOLE), "encrypted columns; only files without encryption"),
    "an encrypted footer": (WHOLE[:-4] + b"PARE", "its footer is encrypted; only files without encryption can be read"),
    "an unknown codec": (lzo(WHOLE), "column tenant is compressed with codec 3; allowed: none, SNAPPY, GZIP"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_named_when_it_is_planned(lake: Lake, name: str) -> None:
    lake.put("a.parquet", WHOLE)
    damaged, why = BROKEN[name]
    lake.put("b.parquet", damaged)
    with pytest.raises(
        SourceUnreadable, match=rf"s3://lake/data/sales/b\.parquet is not readable( Parquet)?: .*({why})"
    ):
        parquet.plan(query("n"))


def test_a_row_group_that_no_disk_holds_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("a.parquet", content(range(20_000), wide=["some words"] * 20_000))
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 80_000)
    why = r"s3://lake/data/sales/a\.parquet has a row group of 10000 rows .* have \d+ bytes; at most 80000 bytes are"
    with pytest.raises(RowGroupTooLarge, match=why):
        parquet.plan(query("n"))
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 90_000)
    assert len(parquet.plan(query("n"))[1]) == 2


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array([b"x"], pa.binary()), "Binary"),
        (pa.array([datetime.timedelta(1)], pa.duration("us")), "Duration"),
        (pa.array(["five"]), "String"),
        (pa.array([[1]]), "List"),
        (pa.array([1.5]), "Float64"),
    ],
    ids=str,
)
def test_a_column_of_another_type_than_declared_is_refused_by_name(lake: Lake, values: pa.Array, found: str) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"tenant": ["acme"], "n": values}), file)
    lake.put("a.parquet", file.getvalue())
    with pytest.raises(
        ColumnMismatch, match=f"column n is declared integer, which needs an integer; the source gives {found}"
    ):
        parquet.plan(query("n"))


def test_a_column_that_nobody_asks_for_may_be_anything(lake: Lake) -> None:
    lake.put("a.parquet", content(range(5), odd=pa.array([[[1]]] * 5)))
    lake.put("b.parquet", content(range(5), odd=["x"] * 5))
    assert read(query("n")).height == 10


def test_a_file_without_a_column_that_others_have_is_named(lake: Lake) -> None:
    lake.put("a.parquet", content(range(5), m=list(range(5))))
    lake.put("b.parquet", content(range(5)))
    with pytest.raises(SourceSchemaMismatch, match=r"column m is missing in s3://lake/data/sales/b\.parquet, Int64 in"):
        parquet.plan(query("n", "m"))


def test_a_file_that_is_replaced_between_listing_and_reading_is_noticed(lake: Lake) -> None:
    key = lake.put("a.parquet", WHOLE)
    lake.before = lambda _: lake.objects.update({key: content(range(51))})
    with pytest.raises(SourceChanged, match=r"s3://lake/data/sales/a\.parquet was replaced"):
        parquet.plan(query("n"))


def test_a_file_that_is_removed_between_listing_and_reading_is_noticed(lake: Lake) -> None:
    key = lake.put("a.parquet", WHOLE)
    lake.before = lambda _: lake.objects.pop(key)
    with pytest.raises(SourceChanged, match=r"s3://lake/data/sales/a\.parquet was removed"):
        parquet.plan(query("n"))


def test_a_file_that_may_not_be_read_is_named(lake: Lake) -> None:
    lake.put("a.parquet", WHOLE)

    def refuse(_: str) -> None:
        raise refused("AccessDenied", 403)

    lake.before = refuse
    with pytest.raises(SourceUnavailable, match=r"s3://lake/data/sales/a\.parquet: AccessDenied"):
        parquet.plan(query("n"))


def test_a_footer_that_breaks_off_on_its_way_is_worth_another_try(lake: Lake) -> None:
    lake.put("a.parquet", WHOLE)
    lake.breaks_off = True
    with pytest.raises(ServiceUnavailable, match=r"a\.parquet: S3 did not send all"):
        parquet.plan(query("n"))
