"""Which objects of a dataset's folder are its files, and with which values of their partition columns."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.errors import (
    ColumnMismatch,
    ExpressionFailed,
    InvalidDefinition,
    SourceChanged,
    SourceMissing,
    SourceSchemaMismatch,
    SourceUnreadable,
    TableUnsupported,
    ValueOutOfRange,
)
from shared.lambda_ import contract
from tests.unit.lake import BUCKET, Lake, file, parameter, report, shown
from tests.unit.support import EXPORT_ID, FUNCTIONS, OWNER, PLAN

ONE = file(id=[1])


def rows(definition: dict[str, Any], tenant: str = "acme") -> list[tuple[Any, ...]]:
    """The rows of a report as they are read for a tenant."""
    return shown(Query.of(definition, {}, tenant))


def refused(error: type[Exception], said: str, definition: dict[str, Any]) -> None:
    """Asserts that reading ends in an error that says so."""
    with pytest.raises(error, match=said):
        rows(definition)


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_data_whatever_its_ending_and_one_of_another_format_is_refused_by_name(lake: Lake) -> None:
    names = ["b.PARQUET", "b.parq", "b.pq", "000000_0.snappy", "part-00001.c000", "b"]
    for name in names:
        lake.put(f"x=1/_y=2/{name}", ONE)
    assert rows(report("id")) == [(1,)] * len(names)
    for name in ("b.csv", "b.json", "b.orc", "b.parquet.gz", "b"):
        key = lake.put(f"x=1/_y=2/{name}", b"id,tenant\n1,acme\n")
        refused(SourceUnreadable, f"s3://lake/data/sales/x=1/_y=2/{name} is not readable Parquet", report("id"))
        del lake.objects[key]


HIDDEN = [
    *("", "_SUCCESS", ".part-0.parquet.crc", "part-0.parquet.crc", "notes.txt", "README.md", "0a1b-manifest.csv"),
    *(
        "month=1_$folder$",
        "a.parquet._COPYING_",
        "_temporary/0/task_1/a.parquet",
        "month=1/.ipynb_checkpoints/a.parquet",
    ),
    *(".hive-staging_1/-ext-10000/a.parquet", "_impala_insert_staging/a.parquet"),
]


def test_what_writers_leave_behind_is_not_data(lake: Lake) -> None:
    for name in HIDDEN:
        lake.put(name, ONE)
    said = "no Parquet file under s3://lake/data/sales/; other .*, such as s3://lake/data/sales/"
    refused(SourceMissing, said, report("id"))
    lake.put("a.parquet", ONE)
    assert rows(report("id")) == [(1,)]


@pytest.mark.parametrize("dataset", ["work", "exports/sales"])
def test_the_exports_own_files_are_no_dataset(lake: Lake, monkeypatch: pytest.MonkeyPatch, dataset: str) -> None:
    monkeypatch.setenv("DATA_PREFIX", "")
    where = f"s3://{BUCKET}/{dataset}/"
    monkeypatch.setenv("EXPORTS_BUCKET", BUCKET)
    said = f"source.dataset: {where} holds the files of exports"
    refused(InvalidDefinition, said, report("id", dataset=dataset))
    monkeypatch.setenv("EXPORTS_BUCKET", "another")
    refused(SourceMissing, f"no Parquet file under {where}", report("id", dataset=dataset))


# ── Folders ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("texts", "declared", "kind", "expected"),
    [
        *((texts, None, "string", texts) for texts in (["02139", "10115"], ["007", "7"])),
        (["1", "10", "2"], None, "integer", [1, 2, 10]),
        (["9", "99999999999999999999"], None, "string", ["9", "99999999999999999999"]),
        (["__HIVE_DEFAULT_PARTITION__", "3"], None, "integer", [3, None]),
        (["01", "12"], "integer", "integer", [1, 12]),
        (["1", "2"], "string", "string", ["1", "2"]),
        (["2024-05-01"], "date", "date", [datetime.date(2024, 5, 1)]),
        (["2024-05-01 12%3A30%3A00"], "timestamp", "timestamp", [datetime.datetime(2024, 5, 1, 12, 30)]),
        (["true", "false"], "boolean", "boolean", [False, True]),
        (["1.50"], "decimal(6,2)", "decimal", [decimal.Decimal("1.50")]),
        (["1.5"], "number", "number", [1.5]),
    ],
)
def test_a_folders_value_has_the_declared_type_else_is_an_integer_only_if_plain(
    lake: Lake, texts: list[str], declared: str | None, kind: str, expected: list[Any]
) -> None:
    for text in texts:
        lake.put(f"k={text}/a.parquet", ONE)
    assert rows(report(f"k:{kind}", columns={"k": declared} if declared else {})) == [(value,) for value in expected]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        *(("integer", text) for text in ("x", "9223372036854775808")),
        *(("date", "2024-13-01"), ("boolean", "1"), ("decimal(4,2)", "1.005"), ("time", "12:00:00")),
    ],
)
def test_a_folder_that_is_no_value_of_the_declared_type_is_named(lake: Lake, declared: str, text: str) -> None:
    lake.put(f"k={text}/a.parquet", ONE)
    said = rf"column k is declared {declared[:4]}.*k={text}/a.parquet has k={text}; allowed: "
    refused(ColumnMismatch, said, report("k", columns={"k": declared}))
    if declared == "integer":
        refused(ColumnMismatch, said + "-9223372036854775", report("id", bounds={"k": [1, 31]}))


def test_bounds_of_a_column_that_is_text_are_refused(lake: Lake) -> None:
    lake.put("a.parquet", file(id=[1], place=["Rome"]))
    definition = report("id", bounds={"place": [1, 2]}, parameters=parameter("string", "==", "place"))
    with pytest.raises(ColumnMismatch, match="column place has bounds, which need an integer; the source gives string"):
        shown(Query.of(definition, {"p": "Rome"}, "acme"))


def test_files_come_in_the_order_of_their_partitions_and_one_that_is_partitioned_otherwise_is_named(lake: Lake) -> None:
    for month in (10, 2, 1):
        lake.put(f"year=2020/month={month}/a.parquet", file(id=[month, month * 100]))
    assert rows(report("id")) == [(1,), (100,), (2,), (200,), (10,), (1000,)]
    lake.put("year=2020/b.parquet", ONE)
    said = r"month=1/a\.parquet is partitioned by month, year, but .*/b\.parquet by year"
    refused(SourceSchemaMismatch, said, report("id"))


def test_columns_that_are_all_partitions_still_give_a_row_for_each_row(lake: Lake) -> None:
    lake.put("tenant=acme/month=3/a.parquet", file(id=[1, 2, 3]))
    lake.put("tenant=other/month=4/a.parquet", ONE)
    assert rows(report("month")) == [(3,)] * 3


def test_folders_above_the_dataset_are_no_columns(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PREFIX", "id=7/data")
    lake.objects["id=7/data/sales/a.parquet"] = ONE
    assert rows(report("id")) == [(1,)]


# ── Table formats ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("marker", "table"),
    [
        ("metadata/v2.metadata.json", "an Iceberg table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("_delta_log/00000000000000000000.json", "a Delta table"),
    ],
)
def test_a_table_that_keeps_old_rows_is_refused_with_the_way_out_from_within_and_from_without(
    lake: Lake, marker: str, table: str
) -> None:
    lake.objects |= {"data/sales/orders/data/a.parquet": ONE, "data/sales/orders/metadata/notes.txt": b""}
    lake.put("a.parquet", ONE)
    assert rows(report("id", dataset="sales/orders/data")) == [(1,)]
    lake.put(f"orders/{marker}", b"{}")
    said = {"sales": f" is {table}", "sales/orders/data": f"/ is {table}, and data is a folder of its files;"}
    if "Delta" not in table:
        said["sales/orders"] = f"/ is {table}"
    for dataset, what in said.items():
        refused(TableUnsupported, f"s3://lake/data/sales/orders{what}.* source.dataset", report("id", dataset=dataset))


# ── Delta ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}


def metadata(*partitioned: str, **configuration: str) -> dict[str, Any]:
    types = {"id": "long", "tenant": "string", "day": "date", "zip": "string", "month": "integer"}
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in types.items()]
    schema = json.dumps({"type": "struct", "fields": fields})
    said = {"schemaString": schema, "partitionColumns": list(partitioned), "configuration": configuration}
    return {"metaData": {"id": "t", "format": {"provider": "parquet"}} | said}


def add(path: str, **values: str | None) -> dict[str, Any]:
    return {"add": {"path": path, "partitionValues": values, "size": 1, "modificationTime": 1, "dataChange": True}}


def remove(path: str) -> dict[str, Any]:
    return {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": True}}


def commit(lake: Lake, version: int, *actions: dict[str, Any]) -> None:
    lake.put(f"_delta_log/{version:020d}.json", "\n".join(map(json.dumps, actions)).encode())


TEXT = pa.string()
ACTIONS = {
    "add": pa.struct([("path", TEXT), ("partitionValues", pa.map_(TEXT, TEXT)), ("size", pa.int64())]),
    "remove": pa.struct([("path", TEXT)]),
    "metaData": pa.struct(
        {"schemaString": TEXT, "partitionColumns": pa.list_(TEXT), "configuration": pa.map_(TEXT, TEXT)}.items()
    ),
    "protocol": pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())]),
}


def checkpoint(lake: Lake, version: int, *actions: dict[str, Any], piece: str) -> None:
    """As Spark writes it: a column for each kind of action, maps as Parquet has them."""

    def held(kind: str, action: dict[str, Any]) -> dict[str, Any] | None:
        values = {field.name: action.get(kind, {}).get(field.name) for field in ACTIONS[kind]}
        maps = {name: list(value.items()) for name, value in values.items() if isinstance(value, dict)}
        return values | maps if kind in action else None

    arrays = {kind: pa.array([held(kind, action) for action in actions], of) for kind, of in ACTIONS.items()}
    lake.put(f"_delta_log/{version:020d}.checkpoint{piece}.parquet", file(**arrays))


def test_a_delta_table_is_read_as_of_its_last_version(lake: Lake) -> None:
    for path, numbers in {"a.parquet": [1, 2], "b.parquet": [1, 3], "c.parquet": [9]}.items():
        lake.put(path, file(id=numbers))
    commit(lake, 0, PROTOCOL, metadata(), add("a.parquet"))
    commit(lake, 1, remove("a.parquet"), add("b.parquet"), {"commitInfo": {"operation": "UPDATE"}})
    assert rows(report("id")) == [(1,), (3,)]


def test_a_delta_tables_partitions_are_those_of_its_log(lake: Lake) -> None:
    lake.put("Xy/zip=1%2F2/a.parquet", ONE)
    lake.put("b.parquet", file(id=[2]))
    values = {"day": "2024-05-01", "zip": "02139", "month": "7"}
    commit(lake, 0, PROTOCOL, metadata(*values), add("Xy/zip=1%252F2/a.parquet", **values))
    commit(lake, 1, add("b.parquet", month="8", zip=None, day=""))
    found = rows(report("id", "day:date", "zip:string", "month"))
    assert found == [(1, datetime.date(2024, 5, 1), "02139", 7), (2, None, None, 8)]


def test_a_delta_table_goes_on_from_its_last_whole_checkpoint(lake: Lake) -> None:
    for path, number in {"a.parquet": 1, "b.parquet": 2, "c.parquet": 3}.items():
        lake.put(path, file(id=[number]))
    # The log before version 10 was cleaned up; the checkpoint of version 11 lacks a piece.
    checkpoint(lake, 10, PROTOCOL, metadata("zip"), add("a.parquet", zip="007"), piece=".0000000001.0000000002")
    checkpoint(lake, 10, add("b.parquet", zip=None), remove("c.parquet"), piece=".0000000002.0000000002")
    checkpoint(lake, 11, add("c.parquet", zip="1"), piece=".0000000001.0000000002")
    commit(lake, 11, remove("b.parquet"), add("c.parquet", zip="1"))
    assert rows(report("id", "zip:string")) == [(1, "007"), (3, "1")]


def test_a_part_of_a_delta_table_is_an_event_that_generate_part_takes(lake: Lake) -> None:
    lake.put("a.parquet", ONE)
    commit(lake, 0, PROTOCOL, metadata("day", "zip"), add("a.parquet", day="2024-05-01", zip=None))
    _, extents = parquet.plan(Query.of(report("id"), {}, "acme"))
    [part] = planning.divide(extents, 1, 1)
    event = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1, "plan": PLAN, "part": part}
    contract.require(contract.event_contract(str(FUNCTIONS / "generate_part" / "app.py")), event)


def later(version: int, **more: Any) -> dict[str, Any]:
    return {"protocol": {"minReaderVersion": version, "minWriterVersion": 7} | more}


WITH_VECTORS = later(3, readerFeatures=["deletionVectors"])
HIDING = {"add": add("a.parquet")["add"] | {"deletionVector": {"storageType": "u"}}}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (later(2), "needs reader version 2"),
        (WITH_VECTORS, r"needs reader version 3 \(deletionVectors\)"),
        (metadata(**{"delta.columnMapping.mode": "name"}), "uses column mapping"),
        (HIDING, "has deletion vectors"),
        (add("s3://elsewhere/a.parquet"), "refers to files of another folder, as a shallow clone does"),
        (add("/elsewhere/a.parquet"), "refers to files of another folder, as a shallow clone does"),
    ],
    ids=["version 2", "version 3", "mapping", "vectors", "bucket", "folder"],
)
def test_a_delta_table_of_a_later_kind_is_refused_with_the_way_out(lake: Lake, action: Any, said: str) -> None:
    lake.put("a.parquet", ONE)
    commit(lake, 0, PROTOCOL, metadata(), add("a.parquet"))
    commit(lake, 1, action)
    refused(TableUnsupported, f"the Delta table s3://lake/data/sales/ {said}; only reader version 1", report("id"))


def test_a_delta_table_that_is_as_it_must_be_again_is_read_and_says_so_when_it_is_empty(lake: Lake) -> None:
    for path in ("a.parquet", "b.parquet"):
        lake.put(path, ONE)
    commit(lake, 0, WITH_VECTORS, metadata("zip"), HIDING)
    commit(lake, 1, remove("a.parquet"), add("b.parquet"))  # which names no zip
    commit(lake, 2, PROTOCOL)
    assert rows(report("id", "zip:string")) == [(1, None)]
    commit(lake, 3, remove("b.parquet"))
    refused(SourceMissing, "has no rows in version 3", report("id"))


def test_a_delta_log_that_is_not_whole_is_no_log(lake: Lake) -> None:
    lake.put("a.parquet", ONE)
    commit(lake, 0, add("a.parquet"))
    refused(SourceUnreadable, "has no protocol or no schema", report("id"))
    commit(lake, 0, PROTOCOL, metadata(), add("a.parquet"), add("gone.parquet"))
    refused(SourceChanged, r"version 0 names gone.parquet, which does not exist", report("id"))
    commit(lake, 2, remove("gone.parquet"))
    refused(SourceUnreadable, "its log lacks version 1", report("id"))
    lake.put("_delta_log/00000000000000000001.json", b"not a log")
    refused(SourceUnreadable, r"00000000000000000001.json is not a readable log of a Delta table", report("id"))


# ── Files that differ ───────────────────────────────────────────────────────────────────────────────────────────────


NARROW, WIDE = (
    pa.array([decimal.Decimal(text)], pa.decimal128(digits, 2)) for text, digits in (("1.10", 10), ("2.20", 12))
)


@pytest.mark.parametrize(
    ("one", "other", "expected", "kind"),
    [
        (pa.array([1], pa.int32()), pa.array([2], pa.int64()), pl.Int64, "integer"),
        (pa.array([1], pa.uint8()), pa.array([2], pa.int16()), pl.Int64, "integer"),
        (pa.array(["x"]).dictionary_encode(), pa.array(["y"]), pl.String, "string"),
        (NARROW, WIDE, pl.Decimal(12, 2), "decimal"),
        (pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("us")), pl.Datetime("us"), "timestamp"),
        (pa.array(["x"]), pa.nulls(1), pl.String, "string"),
        (pa.nulls(1), pa.array([[1]]), pl.List(pl.Int64), "json"),
        (pa.array(["x"]), pa.array([], pa.float64()), pl.String, "string"),
    ],
)
def test_files_that_differ_harmlessly_are_read_together(
    lake: Lake, one: Any, other: Any, expected: Any, kind: str
) -> None:
    asked = Query.of(report(f"v:{kind}"), {}, "acme")
    for first, second in ((one, other), (other, one)):
        for path, values in {"a.parquet": first, "b.parquet": second}.items():
            lake.put(path, file(v=values, tenant=pa.array(["acme"] * len(values), pa.string())))
        assert parquet.plan(asked)[0]["v"] == expected
        assert shown(asked) == [(value,) for value in [*first.to_pylist(), *second.to_pylist()]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((pa.array([1]), pa.array([other])) for other in ("x", 1.5)),
        (pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC"))),
        (pa.array([decimal.Decimal("1.1")]), pa.array([decimal.Decimal("1.11")])),
        (pa.array([1]), None),
    ],
)
def test_files_that_differ_in_meaning_are_named(lake: Lake, one: Any, other: Any) -> None:
    lake.put("a.parquet", file(v=one))
    lake.put("b.parquet", ONE if other is None else file(v=other))
    kinds = ".*" if other is not None else "missing"
    said = rf"column v is {kinds} in s3://lake/data/sales/b.parquet, .* in .*a.parquet"
    refused(SourceSchemaMismatch, said, report("v"))


def test_files_without_rows_whose_tenants_have_no_type_are_an_export_without_rows(lake: Lake) -> None:
    lake.put("a.parquet", file(tenant=pa.nulls(0), v=pa.array([], pa.int64())))
    assert rows(report("v")) == []


def test_a_column_that_is_optional_is_null_where_a_file_lacks_it_or_every_file(lake: Lake) -> None:
    lake.put("a.parquet", ONE)
    assert rows(report("id", "note:string", columns={"note": "string"})) == [(1, None)]
    refused(ColumnMismatch, "the source has no column price", report("price"))
    lake.put("b.parquet", file(id=[2], note=["x"]))
    assert rows(report("id", "note:string")) == [(1, None), (2, "x")]
    assert rows(report("note:string")) == [(None,), ("x",)]


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("number", pa.array([1.5], pa.float32())),
        ("integer", pa.array([7], pa.uint64())),
        ("json", pa.array([{"a": 1}])),
    ],
    ids=["number", "integer", "json"],
)
def test_a_declared_column_has_the_type_of_the_files_that_have_it(lake: Lake, declared: str, values: Any) -> None:
    lacking, null, having = ONE, file(id=[1], note=pa.nulls(1)), file(id=[2], note=values)
    for first, second in ((lacking, having), (having, lacking), (null, having), (having, null)):
        lake.put("a.parquet", first)
        lake.put("b.parquet", second)
        found = rows(report("id", f"note:{declared}", columns={"note": declared}))
        assert sorted(found, key=lambda row: row[0]) == [(1, None), (2, values[0].as_py())]


def test_a_moment_that_nanoseconds_cannot_hold_is_named_where_files_count_them(lake: Lake) -> None:
    far = pa.array([datetime.datetime(9999, 12, 31)], pa.timestamp("us"))
    lake.put("a.parquet", file(v=far))
    lake.put("b.parquet", file(v=pa.array([0], pa.timestamp("ns"))))
    refused(ValueOutOfRange, "column v holds a timestamp that does not fit in nanoseconds", report("v:timestamp"))
    asked = report("v:timestamp", parameters=parameter("date", ">="))
    assert len(parquet.plan(Query.of(asked, {"p": "2000-01-01"}, "acme"))[1]) == 1


# ── Tenants ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def tenants(tenant: Any, whose: str) -> list[tuple[Any, ...]]:
    return rows(report("id") | {"tenant": tenant}, whose)


def test_a_tenant_may_be_an_integer_in_a_column_of_any_name_or_an_expression(lake: Lake) -> None:
    lake.put("a.parquet", file(**{"id": [1, 2, 3], "Kunde-Nr. 1": pa.array([7, 70, None], pa.int32())}))
    assert tenants("Kunde-Nr. 1", "7") == [(1,)]
    for nobody in ("007", "7.0", "+7", "acme", "99999999999999999999999"):
        assert tenants("Kunde-Nr. 1", nobody) == []
    lake.put("a.parquet", file(id=[1, 2, 3], owner=["acme/eu", "secret/eu", None]))
    assert tenants({"expression": "SPLIT_PART(owner, '/', 1)"}, "acme") == [(1,)]
    with pytest.raises(ExpressionFailed, match=r"^the expression of tenant fails on the data: conversion") as failed:
        tenants({"expression": "CAST(CAST(owner AS BIGINT) AS VARCHAR)"}, "acme")
    assert "secret" not in str(failed.value)


def test_a_tenant_is_text_even_where_every_folder_is_a_number(lake: Lake) -> None:
    for number, owner in enumerate(("1001", "01001")):
        lake.put(f"owner={owner}/a.parquet", file(id=[number]))
    assert tenants("owner", "1001") == [(0,)]


def test_no_error_names_the_folders_of_another_tenant(lake: Lake) -> None:
    for folder in ("tenant=globex/month=Q1-secret", "tenant=initech", "tenant=acme/month=1"):
        lake.put(f"{folder}/a.parquet", ONE)
    for tenant, found in {"acme": [(1,)], "nobody": []}.items():
        assert rows(report("id", columns={"month": "integer"}), tenant) == found


def test_row_groups_of_other_tenants_are_not_planned_and_their_rows_never_read_out(lake: Lake) -> None:
    lake.put("a.parquet", file(2, id=list(range(7)), tenant=["aaa", "aab", "acme", "acme", "acme", "zed", "zed"]))
    extents: list[Any] = parquet.plan(Query.of(report("id"), {}, "acme"))[1]
    assert [(extent["offset"], extent["rows"]) for extent in extents] == [(2, 2), (4, 2)]
    assert rows(report("id")) == [(2,), (3,), (4,)]


# ── Times of day ────────────────────────────────────────────────────────────────────────────────────────────────────

DAY = 86_400_000_000


@pytest.mark.parametrize("kind", [pa.time32("ms"), pa.time64("us"), pa.time64("ns")], ids=str)
def test_a_time_of_day_is_exact_to_its_last_moment(lake: Lake, kind: pa.DataType) -> None:
    values = pa.array([0, DAY - (1_000 if kind.unit == "ms" else 1), None], pa.time64("us")).cast(kind)
    lake.put("a.parquet", file(v=values))
    assert [row[0] for row in rows(report("v:time"))] == [*values.to_pylist()]
    lake.put("a.parquet", file(v=pa.array([values.to_pylist(), None, []], pa.list_(kind))))
    assert [row[0] for row in rows(report("v:json"))] == [values.to_pylist(), None, []]


@pytest.mark.parametrize("moment", [DAY, -1, 91_800_000_000, 18_446_744_073_709_552])
def test_a_time_that_no_clock_shows_is_refused_and_never_null(lake: Lake, moment: int) -> None:
    said = r"column v holds a time of day outside 00:00:00 to 23:59:59\.9{9}; write"
    for kind, values in (
        ("time", pa.array([1, moment], pa.time64("us"))),
        ("time", pa.array([1, min(moment, DAY) * 1000], pa.time64("ns"))),
        ("json", pa.array([[1], [moment]], pa.list_(pa.time64("us")))),
    ):
        lake.put("a.parquet", file(v=values))
        refused(ValueOutOfRange, said, report(f"v:{kind}"))
