"""What planning reads of a dataset, what it leaves out, and what it refuses by name; counted in bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.datasets import footers
from shared.engine.query import Query
from shared.engine.sources import parquet, parquet_rows, parquet_types
from shared.errors import RowGroupTooLarge, SourceUnreadable
from shared.parquet import footer as parquet_footer
from shared.parquet import thrift
from tests.unit.lake import Lake, file, footer_of, parameter, query, report, shown, with_footer

LEAST = parameter("integer", ">=", "n")


def content(numbers: range, group: int = 10_000, **more: Any) -> bytes:
    """Rows of the tenant, 8 bytes of a column each, in row groups."""
    return file(group, {"compression": "none", "use_dictionary": ["tenant"]}, n=list(numbers), **more)


def test_planning_reads_footers_and_nothing_else(lake: Lake) -> None:
    whole = content(range(100_000))
    for number in range(3):
        lake.put(f"{number}.parquet", whole)
    parquet.plan(query("n"))
    footers_alike = 2 * len(footer_of(whole))
    assert lake.bytes == footers.FOOTER_GUESS + 2 * footers_alike
    assert len(whole) > 10 * footers.FOOTER_GUESS > 100 * footers_alike


def test_a_footer_that_is_longer_than_the_first_is_asked_for_again(lake: Lake) -> None:
    lake.put("0.parquet", content(range(10)))
    lake.put("1.parquet", content(range(1_000), group=5))
    assert sum(extent["rows"] for extent in parquet.plan(query("n"))[1]) == 1_010
    assert [key for key, _, _ in lake.asked] == ["data/sales/0.parquet", *["data/sales/1.parquet"] * 2]


FOLDERS = {"month": ("1", "2", "3"), "region": ("eu-1", "eu-2", "us-1")}


@pytest.mark.parametrize(
    ("column", "kind", "operator", "value", "folders"),
    [
        ("month", "integer", "==", 2, {"month=2"}),
        ("month", "integer", "in", [3, 1, 7], {"month=1", "month=3"}),
        ("region", "string", "in", ["us-1"], {"region=us-1"}),
        ("region", "string", "contains", "eu", {"region=eu-1", "region=eu-2"}),
        ("month", "boolean", "is null", False, {"month=1", "month=2", "month=3"}),
    ],
)
def test_only_files_whose_partitions_may_match_are_read(
    lake: Lake, column: str, kind: str, operator: str, value: Any, folders: set[str]
) -> None:
    for each in FOLDERS[column]:
        lake.put(f"{column}={each}/a.parquet", content(range(10)))
    assert len(shown(query("n", parameters=parameter(kind, operator, column), p=value))) == 10 * len(folders)
    assert {key.split("/")[2] for key, _, _ in lake.asked} == folders


def test_partitions_and_declared_bounds_of_an_expression_decide_without_a_footer(lake: Lake) -> None:
    lake.put("year=2019/month=12/a.parquet", b"not Parquet")
    lake.put("year=2020/month=1/a.parquet", file(n=[5, 6], day=[1, 2]))
    written = {"expression": "year * 10000 + month * 100 + day", "monotonic": True, "value_as": "yyyymmdd"}
    definition = report("n", bounds={"day": [1, 31]}, parameters=parameter("date", ">=", **written))
    assert shown(Query.of(definition, {"p": "2020-01-02"}, "acme")) == [(6,)]


def test_a_row_group_that_a_filter_excludes_is_never_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GAP", 0)
    key = lake.put("a.parquet", content(range(100_000)))
    schema, extents = parquet.plan(query("n", parameters=LEAST, p=175_000))
    assert (extents, list(schema), lake.bytes) == ([], ["tenant", "n"], footers.FOOTER_GUESS)
    lake.asked.clear()
    groups = parquet_footer.read(footer_of(lake.objects[key])).row_groups
    assert shown(query("n", parameters=LEAST, p=75_000)) == [(n,) for n in range(75_000, 100_000)]
    planned, footer, *data = lake.asked
    assert planned == footer
    assert min(start for _, start, _ in data) == groups[7].chunks[0].start
    assert sum(end - start for _, start, end in data) <= sum(c.bytes for g in groups[7:] for c in g.chunks)


def test_a_schema_is_worked_out_once_for_files_that_share_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        lake.put(f"{number:02}.parquet", content(range(5)))
    seen = []
    original = parquet_types.columns
    monkeypatch.setattr(parquet_types, "columns", lambda *asked: seen.append(asked) or original(*asked))
    assert len(parquet.plan(query("n"))[1]) == 20
    assert len(seen) == 1


# What is refused


def of_chunks(change: Callable[[thrift.Struct], object]) -> bytes:
    """A file of which every column chunk is said to be otherwise than it is."""

    def of_footer(fields: thrift.Struct) -> None:
        for group in fields[4][1][1]:
            for chunk in group[1][1][1]:
                change(chunk)

    return with_footer(WHOLE, of_footer)


def encrypted(chunk: thrift.Struct) -> None:
    chunk.clear()
    chunk[8] = (thrift.STRUCT, {})


WHOLE = content(range(50))
FOOTER = len(footer_of(WHOLE))
BROKEN = {
    "empty": (b"", "it is empty or truncated"),
    "text": (b"year,month\n2013,1\n", "it does not end with PAR1$"),
    "its end cut": (WHOLE[:-20], "it does not end with PAR1$"),
    "its beginning cut": (WHOLE[200:], "column tenant lies at bytes|column n lies at bytes"),
    "nothing but its end": (WHOLE[-8:], "shorter than its footer"),
    "a footer of zeros": (WHOLE[: -FOOTER - 8] + bytes(FOOTER) + WHOLE[-8:], "damaged|out of spec"),
    "encrypted columns": (of_chunks(encrypted), "encrypted columns; only files without encryption"),
    "an encrypted footer": (WHOLE[:-4] + b"PARE", "its footer is encrypted; only files without encryption can be read"),
    "an unknown codec": (
        of_chunks(lambda chunk: chunk[3][1].update({4: (thrift.I32, 3)})),
        "column tenant is compressed with codec 3; allowed: none, SNAPPY, GZIP",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_named_when_it_is_planned(lake: Lake, name: str) -> None:
    damaged, why = BROKEN[name]
    lake.put("a.parquet", WHOLE)
    lake.put("b.parquet", damaged)
    said = rf"s3://lake/data/sales/b\.parquet is not readable( Parquet)?: .*({why})"
    with pytest.raises(SourceUnreadable, match=said):
        parquet.plan(query("n"))


def test_an_extent_has_the_bytes_of_the_needed_columns_and_a_row_group_that_no_disk_holds_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("a.parquet", content(range(20_000), wide=["some words"] * 20_000))
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 90_000)
    (first, second) = parquet.plan(query("n"))[1]
    assert 80_000 < first["bytes"] == second["bytes"] < 85_000
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 80_000)
    why = r"s3://lake/data/sales/a\.parquet has a row group of 10000 rows .* have \d+ bytes; at most 80000 bytes are"
    with pytest.raises(RowGroupTooLarge, match=why):
        parquet.plan(query("n"))


def test_a_column_that_nobody_asks_for_may_be_anything(lake: Lake) -> None:
    lake.put("a.parquet", content(range(5), odd=[[[1]]] * 5))
    lake.put("b.parquet", content(range(5), odd=["x"] * 5))
    assert len(shown(query("n"))) == 10
