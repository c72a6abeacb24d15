"""A query sees the declared types, whatever wrote the files, and its result has the declared types."""

from __future__ import annotations

import datetime
import decimal
import io
import uuid
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import ColumnMismatch, QueryFailed, QueryInvalid, SourceChanged, SourceSchemaMismatch
from shared.queries import engine, tables
from shared.queries.statement import Statement
from tests.unit.lake import Lake, by_arrow, by_duckdb, refused
from tests.unit.queries.support import LIMITS, dataset, frame, put, query, record, rows

D, T = datetime.date, datetime.datetime
UTC = datetime.UTC
NOON = T(2013, 1, 31, 12, 0, 0, 123456)
PARIS = pa.timestamp("us", "Europe/Paris")


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("string", pa.array(["a", None, "é"])),
        ("string", pa.array(["a", None, "b"]).dictionary_encode()),
        *(("integer", pa.array([1, None, 100], kind)) for kind in (pa.int8(), pa.uint16(), pa.int32(), pa.int64())),
        ("integer", pa.array([0, None, 2**63 - 1], pa.uint64())),
        ("number", pa.array([1.5, None, float("inf")])),
        ("number", pa.array([1.5, None, -0.25], pa.float32())),
        ("boolean", pa.array([True, None, False])),
        ("date", pa.array([D(2013, 1, 31), None, D(1900, 2, 28)])),
        ("time", pa.array([datetime.time(23, 59, 59, 1), None, datetime.time()], pa.time64("us"))),
        *(("timestamp", pa.array([T(2013, 1, 31), None, T(1970, 1, 1)], pa.timestamp(unit))) for unit in ("ms", "us")),
        ("timestamp", pa.array([NOON, None, T(1970, 1, 1)], pa.timestamp("ns"))),
        ("timestamp(UTC)", pa.array([NOON, None, T(1970, 1, 1)], pa.timestamp("us", "UTC"))),
        ("decimal(10,2)", pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-99999999.99")])),
        ("decimal(38,0)", pa.array([decimal.Decimal(10**37), None, decimal.Decimal(-1)], pa.decimal128(38, 0))),
        ("binary", pa.array([b"\x00\xff", None, b""])),
        ("string", pa.array([None, None, None], pa.null())),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else str(value.type),
)
def test_a_column_keeps_its_values(lake: Lake, declared: str, values: pa.Array) -> None:
    put(lake, "a.parquet", v=values, k=[0, 1, 2])
    kind = declared.partition("(")[0]
    result = frame(query("SELECT v FROM sales ORDER BY k", {"v": kind}, dataset(v=declared, k="integer")))
    if kind == "timestamp" and declared != kind:
        assert result["v"].to_list() == [each and each.replace(tzinfo=UTC) for each in values.to_pylist()]
    else:
        expected = values.cast(pa.timestamp("us")) if values.type == pa.timestamp("ns") else values
        assert result["v"].to_list() == expected.to_pylist()


@pytest.mark.parametrize("units", [["ns"], ["us", "ns"]])
@pytest.mark.parametrize("zone", ["", "UTC"])
def test_nanoseconds_stay(lake: Lake, units: list[str], zone: str) -> None:
    for unit in units:
        kind = pa.timestamp(unit, zone or None)
        put(lake, f"{unit}.parquet", v=pa.array([1_359_633_600_000_000_001 // (1 if unit == "ns" else 1000)], kind))
    shape = dataset(v=f"timestamp({zone})" if zone else "timestamp")
    result = frame(query("SELECT max(v) AS v FROM sales", {"v": "timestamp"}, shape))
    assert result["v"].to_physical().to_list() == [1_359_633_600_000_000_001]


def test_timestamps_of_spark_are_read(lake: Lake) -> None:
    into = io.BytesIO()
    pq.write_table(pa.table({"v": [NOON]}), into, use_deprecated_int96_timestamps=True)
    lake.put("a.parquet", into.getvalue())
    assert rows(query("FROM sales", {"v": "timestamp"}, dataset(None, v="timestamp"))) == [(NOON,)]


def test_a_uuid_is_text(lake: Lake) -> None:
    content = by_duckdb("SELECT uuid '00000000-0000-0000-0000-00000000002a' AS v")
    lake.put("a.parquet", content)
    assert rows(query("FROM sales", {"v": "string"}, dataset(None, v="string"))) == [(str(uuid.UUID(int=42)),)]


def test_lists_structs_and_maps_are_json(lake: Lake) -> None:
    content = by_duckdb("SELECT [1, NULL] AS l, {'a': 'x', 'b': [1.5]} AS s, MAP {'k': 1} AS m, [[{'a': 1}]] AS n")
    lake.put("a.parquet", content)
    declared = dict.fromkeys(("l", "s", "m", "n"), "json")
    sql = "SELECT l, s, m, n, l->>0 AS first FROM sales"
    found = rows(query(sql, declared | {"first": "string"}, dataset(None, **declared)))
    assert found == [("[1,null]", '{"a":"x","b":[1.5]}', '{"k":1}', '[[{"a":1}]]', "1")]


def test_a_result_has_the_declared_types(lake: Lake) -> None:
    put(lake, "a.parquet", i=pa.array([2**62, 2**62 - 1], pa.int64()), d=[decimal.Decimal("0.10")] * 2)
    sql = """SELECT sum(i) AS huge, avg(i) AS mean, sum(d) AS d, count(*) AS n, [max(i)] AS list, 1::UTINYINT AS tiny,
        NULL AS unknown, 24::VARCHAR || ':00' AS midnight, 5 AS number, to_json({'a': 1}) AS j,
        TIMESTAMPTZ '2013-01-31 12:00:00+02' AS at, uuid '00000000-0000-0000-0000-000000000001' AS id FROM sales"""
    kinds = {"huge": "integer", "mean": "number", "d": "decimal", "n": "integer", "list": "json", "tiny": "integer"}
    kinds |= {"unknown": "date", "midnight": "time", "number": "number", "j": "json", "at": "timestamp", "id": "string"}
    result = frame(query(sql, kinds, dataset(i="integer", d="decimal(10,2)")))
    assert {name: str(kind) for name, kind in result.schema.items()} == {
        "huge": "Int64",
        "mean": "Float64",
        "d": "Decimal(precision=38, scale=2)",
        "n": "Int64",
        "list": "String",
        "tiny": "Int64",
        "unknown": "Date",
        "midnight": "String",
        "number": "Float64",
        "j": "String",
        "at": "Datetime(time_unit='us', time_zone='UTC')",
        "id": "String",
    }
    assert result.row(0)[:4] == (2**63 - 1, 2.0**62, decimal.Decimal("0.20"), 2)


def test_a_sum_beyond_64_bits_fails(lake: Lake) -> None:
    put(lake, "a.parquet", i=[2**62, 2**62])
    with pytest.raises(QueryFailed, match=r"sales\.sql, line 1: the query fails on the data"):
        rows(query("SELECT sum(i) AS s FROM sales", {"s": "integer"}, dataset(i="integer")))


def test_a_result_of_another_type_is_refused_with_every_fault(lake: Lake) -> None:
    put(lake, "a.parquet", i=[1])
    with pytest.raises(QueryInvalid) as refusal:
        rows(
            query(
                "SELECT i AS a, 'x' AS b FROM sales", {"a": "date", "b": "integer", "c": "string"}, dataset(i="integer")
            )
        )
    assert all(name in str(refusal.value) for name in ("a is declared date", "b is declared integer", "no column c"))


@pytest.mark.parametrize("sql", ["SELECT i AS v, i + 1 AS v FROM sales", 'SELECT i AS v, i + 1 AS "V" FROM sales'])
def test_a_result_with_two_columns_of_a_name_is_refused(lake: Lake, sql: str) -> None:
    put(lake, "a.parquet", i=[1])
    with pytest.raises(QueryInvalid, match="the query has 2 columns v, allowed: one"):
        rows(query(sql, {"v": "integer"}, dataset(i="integer")))


def test_a_lambda_of_a_where_needs_no_column(lake: Lake) -> None:
    put(lake, "a.parquet", i=[1, 2, 3], j=[[1], [2], [3]], x=[7, 8, 9])
    where = "len(list_filter(j, lambda v, n: V = 2 AND n < i)) > 0 AND x < 9"
    assert rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer", where=where))) == [(2,)]
    with pytest.raises(ColumnMismatch, match="has no column v; it has: "):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer", where=f"{where} AND v > 0")))


@pytest.mark.parametrize("other", [pa.array([{"a": 1}]), pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))])
def test_a_list_in_one_file_and_a_struct_or_map_in_another_are_refused(lake: Lake, other: Any) -> None:
    keys = [put(lake, "1.parquet", j=[[1]]), put(lake, "2.parquet", j=other)]
    told = rf"column j is a struct or a map in s3://lake/{keys[1]}, a list in s3://lake/{keys[0]}$"
    with pytest.raises(SourceSchemaMismatch, match=told):
        rows(query("SELECT j FROM sales", {"j": "json"}, dataset(j="json")))


def test_no_row_passes_but_the_columns_stay(lake: Lake) -> None:
    put(lake, "a.parquet", i=[1])
    report = query("SELECT i, 'x' AS t FROM sales", {"i": "integer", "t": "string"}, dataset(i="integer"))
    result = frame(report, tenant="nobody")
    assert (result.height, result.schema) == (0, {"i": pl.Int64(), "t": pl.String()})


def test_no_file_remains_but_the_columns_stay(lake: Lake) -> None:
    put(lake, "year=2012/a.parquet", i=[1], j=[[1]])
    shape = dataset(where="year > 2012", i="integer", year="integer", j="json")
    result = frame(query("SELECT i, year, j FROM sales", {"i": "integer", "year": "integer", "j": "json"}, shape))
    assert (result.height, result.schema) == (0, {"i": pl.Int64(), "year": pl.Int64(), "j": pl.String()})


ODD = ['a "b"', "it's", "Zürich €", "UPPER", "two  spaces", "a,b", "select", "$p"]


def test_names_of_columns_may_be_any_text(lake: Lake) -> None:
    lake.put("a.parquet", by_arrow(pa.table({name: [at] for at, name in enumerate(ODD)})))
    names = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" AS c{at}' for at, name in enumerate(ODD))
    shape = dataset(None, **dict.fromkeys(ODD, "integer"))
    found = rows(query(f"SELECT {names} FROM sales", {f"c{at}": "integer" for at in range(len(ODD))}, shape))
    assert found == [tuple(range(len(ODD)))]


TEXTS = {
    "NULL": "NULL",
    "null": "null",
    "": "",
    "a%20b": "a b",
    "x%2Fy": "x/y",
    "007": "007",
    "%C3%A9'%22": "é'\"",
    "a%3Db": "a=b",
    "[1]*?": "[1]*?",
    "%2500": "%00",
    "__HIVE_DEFAULT_PARTITION__": None,
}


def test_names_of_folders_are_values(lake: Lake) -> None:
    for at, text in enumerate(TEXTS):
        put(lake, f"Ort%20%22A%22={text}/a.parquet", k=[at])
    sql = 'SELECT "Ort ""A""" AS v FROM sales ORDER BY k'
    found = rows(query(sql, {"v": "string"}, dataset(k="integer", **{'Ort "A"': "string"})))
    assert [value for (value,) in found] == [*TEXTS.values()]


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("integer", "12", 12),
        ("string", "12", "12"),
        ("number", "1.5", 1.5),
        ("decimal(5,2)", "1.5", decimal.Decimal("1.50")),
        ("boolean", "true", True),
        ("date", "2013-01-31", D(2013, 1, 31)),
        ("timestamp", "2013-01-31 12:00:00.123456", NOON),
        ("timestamp(UTC)", "2013-01-31 12%3A00%3A00.123456", NOON.replace(tzinfo=UTC)),
        ("timestamp(Europe/Paris)", "2013-01-31 13%3A00%3A00.123456+01%3A00", NOON.replace(tzinfo=UTC)),
    ],
)
def test_a_folder_has_the_declared_type_or_is_null(lake: Lake, declared: str, text: str, value: Any) -> None:
    put(lake, f"v={text}/a.parquet", k=[0])
    put(lake, "v=__HIVE_DEFAULT_PARTITION__/a.parquet", k=[1])
    shape = dataset(k="integer", v=declared, where="v IS NULL OR v = v")
    found = rows(query("SELECT v FROM sales ORDER BY k", {"v": declared.partition("(")[0]}, shape))
    assert found == [(value,), (None,)]


def test_a_folder_wins_over_a_column_of_the_same_name(lake: Lake) -> None:
    put(lake, "tenant=acme/a.parquet", tenant=["acme", "other"], i=[1, 2])
    assert rows(query("SELECT i, tenant FROM sales", {"i": "integer", "tenant": "string"}, dataset(i="integer"))) == [
        (1, "acme"),
        (2, "acme"),
    ]


def test_files_of_several_schemas_are_one_table(lake: Lake) -> None:
    put(lake, "1.parquet", i=pa.array([1], pa.int16()), d=pa.array([1], pa.decimal128(9, 2)))
    put(lake, "2.parquet", more=["x"], d=pa.array([2], pa.decimal128(12, 2)), i=pa.array([2], pa.int64()))
    put(lake, "3.parquet", i=pa.array([None], pa.null()), d=pa.array([3], pa.decimal128(5, 2)))
    shape = dataset(i="integer", d="decimal(12,2)")
    found = rows(query("SELECT i, d FROM sales ORDER BY d", {"i": "integer", "d": "decimal"}, shape))
    assert found == [(1, 1), (2, 2), (None, 3)]


@pytest.mark.parametrize(("one", "other"), [("x", 5), (1, 1.5), (True, 1), (D(2013, 1, 1), NOON)])
def test_a_column_of_another_type_in_one_file_is_refused(lake: Lake, one: Any, other: Any) -> None:
    put(lake, "1.parquet", v=[one])
    key = put(lake, "2.parquet", v=[other])
    kinds = {str: "string", int: "integer", bool: "boolean", D: "date"}
    declared = kinds[type(one)]
    with pytest.raises(ColumnMismatch, match=f"column v is declared {declared}, and s3://lake/{key} has"):
        rows(query("SELECT v FROM sales", {"v": declared}, dataset(v=declared)))


def test_a_missing_column_is_refused_with_the_file(lake: Lake) -> None:
    put(lake, "1.parquet", i=[1])
    key = put(lake, "2.parquet", j=[1])
    with pytest.raises(ColumnMismatch, match=f"s3://lake/{key} has no column i; it has: tenant, j"):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer")))


def test_a_column_that_a_rule_alone_needs_may_not_be_missing(lake: Lake) -> None:
    put(lake, "1.parquet", i=[1], paid=[True])
    key = put(lake, "2.parquet", i=[1])
    with pytest.raises(ColumnMismatch, match=f"s3://lake/{key} has no column paid"):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer", where="paid")))


@pytest.mark.parametrize("where", [None, "year > 0"])
def test_two_folders_that_sql_does_not_distinguish_are_refused(lake: Lake, where: str | None) -> None:
    put(lake, "Year=2013/year=2014/a.parquet", i=[1])
    with pytest.raises(ColumnMismatch, match="dataset sales: sales has the columns Year and year, which are one name"):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer", where=where)))


@pytest.mark.parametrize("path", ["a.parquet", "Tenant=acme/a.parquet"])
def test_two_columns_that_sql_does_not_distinguish_are_refused(lake: Lake, path: str) -> None:
    twin = {} if "=" in path else {"Tenant": ["acme"]}
    put(lake, path, tenant=["other"], i=[1], **twin)
    with pytest.raises(ColumnMismatch, match="which are one name in SQL"):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer")))


def test_folders_of_different_depth_are_refused(lake: Lake) -> None:
    put(lake, "year=2013/1.parquet", i=[1])
    put(lake, "2.parquet", i=[1])
    with pytest.raises(SourceSchemaMismatch, match="all files of a dataset need the same partition columns"):
        rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer")))


def test_a_file_that_is_replaced_after_the_listing_is_not_read(lake: Lake) -> None:
    put(lake, "a.parquet", i=[*range(20_000)])
    statement = Statement.of(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer")), record())
    found = tables.find(statement)
    key = put(lake, "a.parquet", i=[*range(1, 20_001)])
    with engine.scratch() as folder, pytest.raises(SourceChanged, match=f"s3://lake/{key} was replaced"):
        engine.write(statement, found, LIMITS, lambda: None, folder)


def test_an_error_of_s3_is_the_error_of_the_query(lake: Lake) -> None:
    put(lake, "a.parquet", i=[*range(20_000)])
    statement = Statement.of(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer")), record())
    found = tables.find(statement)

    def fail(_: str) -> None:
        raise refused("SlowDown", 503)

    lake.before = fail
    with engine.scratch() as folder, pytest.raises(Exception, match="SlowDown"):
        engine.write(statement, found, LIMITS, lambda: None, folder)


def test_small_integers_do_not_overflow_in_a_rule(lake: Lake) -> None:
    put(lake, "a.parquet", y=pa.array([2013], pa.int16()), n=pa.array([2_000_000_000], pa.int32()))
    shape = dataset(y="integer", n="integer", where="y * 10000 + 131 = 20130131 AND n * 3 > 0")
    assert rows(query("SELECT y FROM sales", {"y": "integer"}, shape)) == [(2013,)]


def test_a_table_of_delta_is_its_log_with_its_checkpoint(lake: Lake) -> None:
    import json

    keys = [put(lake, f"{at}.parquet", i=[at]).removeprefix("data/sales/") for at in range(3)]

    def action(path: str, at: int) -> dict[str, Any]:
        return {"add": {"path": path, "partitionValues": {"day": f"2013-01-0{at}"}, "size": 1, "dataChange": True}}

    fields = json.dumps(
        {"type": "struct", "fields": [{"name": "day", "type": "date", "nullable": True, "metadata": {}}]}
    )
    meta = {
        "metaData": {"id": "x", "format": {"provider": "parquet"}, "schemaString": fields, "partitionColumns": ["day"]}
    }
    protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    checkpoint = pl.DataFrame(
        [protocol, meta, action(keys[0], 1), action(keys[1], 2)], infer_schema_length=None
    ).with_columns(
        pl.col("add").struct.with_fields(
            pl.field("partitionValues").map_elements(
                lambda each: [{"key": "day", "value": each["day"]}],
                return_dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
            )
        )
    )
    into = io.BytesIO()
    checkpoint.write_parquet(into)
    log = "_delta_log/0000000000000000000"
    lake.put(f"{log}0.checkpoint.parquet", into.getvalue())
    lake.put(f"{log}1.json", "\n".join(map(json.dumps, [{"remove": {"path": keys[0]}}, action(keys[2], 3)])).encode())
    shape = dataset(i="integer", day="date", where="day >= DATE '2013-01-03'")
    found = rows(query("SELECT i, day FROM sales", {"i": "integer", "day": "date"}, shape))
    assert found == [(2, D(2013, 1, 3))]
