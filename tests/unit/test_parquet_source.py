"""Source parquet: plans from footers alone, leaves out what filters exclude, reads every row that was planned."""

import datetime
import io
from collections.abc import Iterator
from typing import Any

import boto3
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.query import Query
from shared.engine.sources import objects, parquet, parquet_rows
from shared.errors import (
    ColumnMismatch,
    InvalidDefinition,
    SourceChanged,
    SourceMissing,
    SourceSchemaMismatch,
    SourceUnreadable,
)
from shared.files.work import Extent
from shared.lambda_ import aws
from tests.support import quick_lane

BUCKET = "lake"
DEFINITION: dict[str, Any] = {
    "source": {"type": "parquet", "dataset": "sales", "bounds": {"day": [1, 31]}},
    "tenant": "tenant",
    "parameters": {
        "from": {
            "type": "date",
            "filter": {
                "expression": "year * 10000 + month * 100 + day",
                "monotonic": True,
                "value_as": "yyyymmdd",
                "operator": ">=",
            },
        },
        "amount": {"type": "integer", "filter": {"column": "amount", "operator": ">="}},
        "shipped": {"type": "date", "filter": {"column": "shipped", "operator": "<="}},
        "place": {"type": "string", "filter": {"column": "place", "operator": "=="}},
    },
    "columns": [
        {"name": "year", "type": "integer"},
        {"name": "amount", "type": "integer"},
        {"name": "place", "type": "string"},
    ],
}


@pytest.fixture(scope="module", autouse=True)
def s3(server: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": server,
            "DATA_BUCKET": BUCKET,
            "DATA_PREFIX": "data",
            "EXPORTS_BUCKET": "exports-of-the-stack",
        }.items():
            patched.setenv(name, value)
        aws.s3.cache_clear()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        with quick_lane.opened():
            yield aws.s3()
        aws.s3.cache_clear()


@pytest.fixture(autouse=True)
def empty(s3: Any) -> None:
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])


def sales(**columns: list[Any]) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    defaults = {
        "tenant": ["acme"] * count,
        "day": [1] * count,
        "amount": list(range(count)),
        "shipped": [datetime.date(2020, 1, 1)] * count,
        "place": ["Rome"] * count,
    }
    return pl.DataFrame(defaults | columns)


def store(s3: Any, key: str, frame: pl.DataFrame, row_group_size: int = 2) -> None:
    into = io.BytesIO()
    frame.write_parquet(into, row_group_size=row_group_size)
    s3.put_object(Bucket=BUCKET, Key=f"data/sales/{key}", Body=into.getvalue())


def query(**parameters: Any) -> Query:
    return Query.of(DEFINITION, parameters, "acme")


def read(asked: Query) -> list[dict[str, Any]]:
    schema, extents = parquet.plan(asked)
    frames = parquet.scan(asked, {name: str(dtype) for name, dtype in schema.items()}, extents)
    return [row for frame in frames for row in asked.apply(frame).to_dicts()]


def planned(asked: Query) -> list[tuple[str, int, int]]:
    return [(e["key"].removeprefix("data/sales/"), e["offset"], e["rows"]) for e in parquet.plan(asked)[1]]


def test_rows_of_every_file_are_read_in_the_order_of_the_partitions(s3: Any) -> None:
    for month in (10, 2, 1):
        store(s3, f"year=2020/month={month}/a.parquet", sales(amount=[month, month * 100]))
    assert [row["amount"] for row in read(query())] == [1, 100, 2, 200, 10, 1000]


def test_of_many_files_only_the_footers_are_asked_for_and_not_by_boto3(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        store(s3, f"year=2020/month=1/{number:03}.parquet", sales(amount=[number] * 3))
    store(s3, "year=2020/month=1/wide.parquet", sales(place=["x" * 20] * 5_000), row_group_size=5)
    asked: list[Any] = []
    monkeypatch.setattr(objects, "tail", lambda *what: asked.append(what))
    assert planned(query()) == [
        *(
            (f"year=2020/month=1/{number:03}.parquet", at, rows)
            for number in range(100)
            for at, rows in ((0, 2), (2, 1))
        ),
        *(("year=2020/month=1/wide.parquet", at, 5) for at in range(0, 5_000, 5)),
    ]
    assert asked == []


def test_what_obstore_does_not_get_boto3_names(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path has no empty folders, and its errors no codes."""
    store(s3, "year=2020/month=1//a%20b.parquet", sales(amount=[5]))
    assert [row["amount"] for row in read(query())] == [5]
    listed = objects.found
    for change, meaning in (
        (lambda key: s3.delete_object(Bucket=BUCKET, Key=key), "was removed"),
        (replace, "was replaced"),
    ):
        store(s3, "year=2020/month=1//a%20b.parquet", sales(amount=[5]))
        found = list(listed("sales"))
        monkeypatch.setattr(objects, "found", lambda _, found=found: iter(found))
        change(found[0].key)
        with pytest.raises(SourceChanged, match=meaning):
            parquet.plan(query())


def replace(key: str) -> None:
    aws.s3().put_object(Bucket=BUCKET, Key=key, Body=b"another")


def test_partition_columns_are_columns_like_any_other(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    assert read(query()) == [{"year": 2020, "amount": 5, "place": "Rome"}]


def test_files_that_a_filter_excludes_are_not_even_opened(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="data/sales/year=2019/month=12/broken.parquet", Body=b"not Parquet")
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    assert [row["amount"] for row in read(query(**{"from": "2020-01-01"}))] == [5]


def test_row_groups_that_a_filter_excludes_are_not_planned(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[1, 2, 10, 20, 100, 200]))
    assert planned(query(amount=20)) == [
        ("year=2020/month=1/a.parquet", 2, 2),
        ("year=2020/month=1/a.parquet", 4, 2),
    ]


def test_row_groups_of_other_tenants_are_not_planned(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(tenant=["aaa", "aab", "acme", "acme", "zed", "zed"]))
    assert planned(query()) == [("year=2020/month=1/a.parquet", 2, 2)]


def test_a_row_of_another_tenant_is_never_read_out(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(tenant=["acme", "other", "acme"], amount=[1, 2, 3]), 3)
    assert [row["amount"] for row in read(query())] == [1, 3]


def test_a_null_passes_no_filter(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[None, 7]))
    assert [row["amount"] for row in read(query(amount=0))] == [7]


def test_nothing_in_range_is_a_plan_of_nothing(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    assert planned(query(**{"from": "2021-01-01"})) == []


def test_names_that_start_with_a_dot_or_underscore_and_other_endings_are_not_data(s3: Any) -> None:
    for name in ("_SUCCESS", "_tmp.parquet", ".hidden.parquet", "notes.txt", "", "x_$folder$"):
        s3.put_object(Bucket=BUCKET, Key=f"data/sales/year=2020/month=1/{name}", Body=b"x")
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    assert len(read(query())) == 1


@pytest.mark.parametrize(
    "name", ["with space.parquet", "a%20b.parquet", "a[1].parquet", "stern*.parquet", "ä?.parquet"]
)
def test_odd_file_names_are_read(s3: Any, name: str) -> None:
    store(s3, f"year=2020/month=1/{name}", sales(amount=[5]))
    assert len(read(query())) == 1


def test_a_footer_larger_than_the_first_read_is_read_whole(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=list(range(1500))), row_group_size=1)
    assert len(read(query(amount=1490))) == 10


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "other"]),
        st.none() | st.integers(-5, 5),
        st.none() | st.dates(datetime.date(2019, 12, 1), datetime.date(2020, 2, 1)),
        st.none() | st.sampled_from(["Rome", "Oslo", "", "Zürich"]),
        st.integers(1, 28),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(
    ROWS,
    st.integers(1, 6),
    st.fixed_dictionaries(
        {},
        optional={
            "amount": st.integers(-6, 6),
            "shipped": st.dates(datetime.date(2019, 12, 1), datetime.date(2020, 2, 1)).map(str),
            "place": st.sampled_from(["Rome", "Oslo", "Zürich"]),
            "from": st.dates(datetime.date(2020, 1, 1), datetime.date(2020, 2, 5)).map(str),
        },
    ),
)
def test_leaving_out_what_filters_exclude_never_loses_a_row(
    s3: Any, rows: list[Any], group: int, parameters: dict[str, Any]
) -> None:
    frame = pl.DataFrame(
        rows,
        schema={"tenant": pl.String, "amount": pl.Int64, "shipped": pl.Date, "place": pl.String, "day": pl.Int64},
        orient="row",
    )
    store(s3, "year=2020/month=1/a.parquet", frame, group)
    wanted = [
        {"year": 2020, "amount": amount, "place": place}
        for tenant, amount, shipped, place, day in rows
        if tenant == "acme"
        and ("amount" not in parameters or (amount is not None and amount >= parameters["amount"]))
        and ("shipped" not in parameters or (shipped is not None and str(shipped) <= parameters["shipped"]))
        and ("place" not in parameters or place == parameters["place"])
        and ("from" not in parameters or f"2020-01-{day:02d}" >= parameters["from"])
    ]
    assert read(query(**parameters)) == wanted


def test_a_dataset_without_files_is_missing(s3: Any) -> None:
    with pytest.raises(SourceMissing, match="no Parquet file under s3://lake/data/sales/"):
        parquet.plan(query())


@pytest.mark.parametrize("content", [b"", b"x", b"not Parquet at all", b"PAR1\xff\xff\xff\x7fPAR1"])
def test_a_file_that_is_not_parquet_is_named(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key="data/sales/year=2020/month=1/bad.parquet", Body=content)
    with pytest.raises(SourceUnreadable, match=r"month=1/bad\.parquet is not readable Parquet"):
        parquet.plan(query())


def test_damaged_data_is_named_when_it_is_read(s3: Any) -> None:
    into = io.BytesIO()
    sales(amount=list(range(1000))).write_parquet(into, compression="zstd")
    content = bytearray(into.getvalue())
    content[4:3000] = bytes(2996)
    s3.put_object(Bucket=BUCKET, Key="data/sales/year=2020/month=1/bad.parquet", Body=bytes(content))
    with pytest.raises(SourceUnreadable, match=r"month=1/bad\.parquet is not readable Parquet"):
        read(query())


def test_files_with_other_columns_are_named(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    store(s3, "year=2020/month=2/b.parquet", sales(amount=["five"]))
    with pytest.raises(SourceSchemaMismatch, match=r"column amount is String in .*b\.parquet, Int64 in .*a\.parquet"):
        parquet.plan(query())


def test_files_that_are_partitioned_otherwise_are_named(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    store(s3, "year=2020/b.parquet", sales(amount=[5]))
    with pytest.raises(SourceSchemaMismatch, match="partitioned by"):
        parquet.plan(query())


def test_a_column_that_the_source_does_not_have_is_named(s3: Any) -> None:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]).drop("place"))
    with pytest.raises(ColumnMismatch, match="no column place; it has: tenant, day, amount, shipped, year, month"):
        parquet.plan(query())


def planned_file(s3: Any) -> list[Extent]:
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5]))
    return parquet.plan(query())[1]


def scanned(extents: list[Extent]) -> list[pl.DataFrame]:
    return list(parquet.scan(query(), {"year": "Int64", "month": "Int64"}, extents))


def test_a_file_that_was_replaced_after_planning_is_noticed(s3: Any) -> None:
    extents = planned_file(s3)
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[6]))
    with pytest.raises(SourceChanged, match="was replaced after the export was planned"):
        scanned(extents)


def test_a_file_that_is_gone_after_planning_is_noticed(s3: Any) -> None:
    extents = planned_file(s3)
    s3.delete_object(Bucket=BUCKET, Key=extents[0]["key"])
    with pytest.raises(SourceChanged, match="was removed after the export was planned"):
        scanned(extents)


def test_what_was_fetched_stays_what_it_was_when_the_file_is_replaced_during_the_scan(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 1)
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[5, 6, 7]), row_group_size=3)
    frames = parquet.scan(query(), {"year": "Int64", "month": "Int64"}, parquet.plan(query())[1])
    found = [next(frames)]
    store(s3, "year=2020/month=1/a.parquet", sales(amount=[8, 9, 10]))
    assert [frame["amount"].to_list() for frame in [*found, *frames]] == [[5], [6], [7]]


def test_a_scan_holds_no_more_than_a_batch_at_once(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 3)
    store(s3, "year=2020/month=1/a.parquet", sales(amount=list(range(8))), row_group_size=8)
    frames = scanned(parquet.plan(query())[1])
    assert [frame.height for frame in frames] == [3, 3, 2]


def test_columns_that_are_all_partitions_still_give_a_row_for_each_row(s3: Any) -> None:
    only = DEFINITION | {"parameters": {}, "tenant": "tenant", "columns": [{"name": "month", "type": "integer"}]}
    store(s3, "tenant=acme/month=3/a.parquet", pl.DataFrame({"x": [1, 2, 3]}))
    store(s3, "tenant=other/month=4/a.parquet", pl.DataFrame({"x": [1]}))
    assert read(Query.of(only, {}, "acme")) == [{"month": 3}] * 3


def test_a_tenant_is_text_even_where_every_folder_is_a_number(s3: Any) -> None:
    by_number = DEFINITION | {"parameters": {}, "columns": [{"name": "amount", "type": "integer"}]}
    store(s3, "tenant=1001/a.parquet", sales(amount=[1]).drop("tenant"))
    store(s3, "tenant=01001/a.parquet", sales(amount=[2]).drop("tenant"))
    assert read(Query.of(by_number, {}, "1001")) == [{"amount": 1}]


@pytest.mark.parametrize("value", ["mon", "9223372036854775808", "-99999999999999999999"])
@pytest.mark.parametrize("declared", [{"bounds": {"day": [1, 31]}}, {"columns": {"day": "integer"}}])
def test_a_folder_that_is_no_integer_as_declared_is_named(s3: Any, value: str, declared: dict[str, Any]) -> None:
    store(s3, "day=1/a.parquet", sales(amount=[1]).drop("day"))
    store(s3, f"day={value}/a.parquet", sales(amount=[1]).drop("day"))
    definition = DEFINITION | {"source": {"type": "parquet", "dataset": "sales"} | declared}
    with pytest.raises(
        ColumnMismatch, match=rf"sales/day={value}/a.parquet has day={value}; allowed: -9223372036854775"
    ):
        parquet.plan(Query.of(definition, {}, "acme"))


def test_a_folder_of_more_than_64_bits_is_text(s3: Any) -> None:
    by_order = {"name": "order", "type": "string", "filter": {"column": "order", "operator": "=="}}
    shown = DEFINITION | {"parameters": {"order": by_order}, "columns": [{"name": "order", "type": "string"}]}
    for order in ("9", "99999999999999999999"):
        store(s3, f"order={order}/a.parquet", sales(amount=[1]))
    assert read(Query.of(shown, {"order": "99999999999999999999"}, "acme")) == [{"order": "99999999999999999999"}]


def test_bounds_of_a_column_that_is_text_are_refused(s3: Any) -> None:
    store(s3, "a.parquet", sales(amount=[1]))
    definition = DEFINITION | {"source": {"type": "parquet", "dataset": "sales", "bounds": {"place": [1, 2]}}}
    definition["columns"] = [{"name": "amount", "type": "integer"}]
    by_place = {"type": "string", "filter": {"column": "place", "operator": "=="}}
    with pytest.raises(ColumnMismatch, match="column place has bounds, which need an integer; the source gives string"):
        parquet.plan(Query.of(definition | {"parameters": {"place": by_place}}, {"place": "Rome"}, "acme"))


def test_an_expression_over_small_integers_does_not_overflow(s3: Any) -> None:
    small = {"day": pl.Int8, "amount": pl.Int16}
    store(s3, "year=2020/month=12/a.parquet", sales(day=[31, 1], amount=[300, 301]).cast(small))  # type: ignore[arg-type]
    shown = DEFINITION | {"columns": [{"name": "product", "type": "integer", "expression": "day * 100 * amount"}]}
    assert read(Query.of(shown, {"from": "2020-12-02"}, "acme")) == [{"product": 930_000}]


def test_bounds_of_small_unsigned_integers_are_read_right(s3: Any) -> None:
    large = sales(amount=[3_000_000_000, 4_000_000_000]).cast({"amount": pl.UInt32})
    store(s3, "year=2020/month=1/a.parquet", large, 1)
    assert [row["amount"] for row in read(query(amount=3_500_000_000))] == [4_000_000_000]


def test_the_largest_unsigned_integers_are_filtered_too(s3: Any) -> None:
    huge = sales(amount=[2**63 + 1, 5]).cast({"amount": pl.UInt64})
    store(s3, "year=2020/month=1/a.parquet", huge, 1)
    assert [row["amount"] for row in read(query(amount=6))] == [2**63 + 1]


@pytest.mark.parametrize("dataset", ["work", "exports/sales"])
def test_the_exports_own_files_are_no_dataset(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_BUCKET", BUCKET)
    monkeypatch.setenv("DATA_PREFIX", "")
    definition = {**DEFINITION, "source": {"type": "parquet", "dataset": dataset}}
    with pytest.raises(InvalidDefinition, match=f"source.dataset: s3://{BUCKET}/{dataset}/ holds the files of exports"):
        parquet.plan(Query.of(definition, {}, "acme"))


def test_a_dataset_of_another_bucket_may_be_called_so(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PREFIX", "")
    with pytest.raises(SourceMissing, match=f"no Parquet file under s3://{BUCKET}/work/"):
        parquet.plan(Query.of({**DEFINITION, "source": {"type": "parquet", "dataset": "work"}}, {}, "acme"))
