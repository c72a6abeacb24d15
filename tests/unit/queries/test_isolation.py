"""A query reaches its tenant's rows and nothing else, by two walls that do not know of each other.

The first is the syntax tree (:func:`shared.queries.syntax.faults`). The second is the database: only the tenant's rows
are in it, it reaches no file outside the query's own folders, and no setting changes that.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ExportError, InvalidDefinition, QueryFailed, QueryInvalid
from shared.queries import syntax, tables
from shared.queries.statement import Dataset, Rule, Statement
from tests.unit.lake import Lake, in_memory
from tests.unit.queries.support import dataset, frame, put, query, record, rows

SECRET = "of-another-tenant"
SALES = "pinned://tenant=other/0.parquet"
ATTACKS = {
    "a file of the dataset by function": f"SELECT note AS v FROM read_parquet('{SALES}')",
    "a file of the dataset by name": f"SELECT note AS v FROM '{SALES}'",
    "every file of the dataset": "SELECT note AS v FROM read_parquet('pinned://**/*.parquet')",
    "its own file, whose other rows are not its own": "SELECT note AS v FROM read_parquet('pinned://0.parquet')",
    "in a subquery": f"SELECT (SELECT max(note) FROM parquet_scan('{SALES}')) AS v FROM sales",
    "in a condition": f"SELECT note AS v FROM sales WHERE EXISTS (SELECT 1 FROM read_parquet('{SALES}'))",
    "in a common table expression": "WITH x AS (SELECT content AS v FROM read_text('/etc/hostname')) FROM x",
    "under the name of an expression elsewhere": (
        f"""SELECT note AS v FROM "{SALES}", (WITH "{SALES}" AS (SELECT 1) FROM "{SALES}")"""
    ),
    "the catalog under the name of an expression elsewhere": (
        "SELECT sql AS v FROM sqlite_master, (WITH sqlite_master AS (SELECT 1) FROM sqlite_master)"
    ),
    "the catalog in a recursive query": "WITH RECURSIVE sqlite_master AS (SELECT sql AS v FROM sqlite_master UNION ALL "
    "SELECT v FROM sqlite_master WHERE false) FROM sqlite_master",
    "the catalog under its own name": "WITH sqlite_master AS (SELECT sql AS v FROM sqlite_master) FROM sqlite_master",
    "a query in a text": f"SELECT note AS v FROM query('SELECT * FROM ''{SALES}''')",
    "a table in a text": f"SELECT note AS v FROM query_table('{SALES}')",
    "a plan in a text": "SELECT * FROM json_execute_serialized_sql('{}')",
    "planning a text": f"SELECT json_serialize_plan('SELECT * FROM ''{SALES}''') AS v",
    "a local file": "SELECT content AS v FROM read_text('/etc/hostname')",
    "a local file, binary": "SELECT content::VARCHAR AS v FROM read_blob('/proc/self/environ')",
    "a local file by name": "SELECT * FROM '/etc/passwd.csv'",
    "a local table": "SELECT * FROM read_csv('/etc/passwd')",
    "a local document": "SELECT * FROM read_json_auto('/etc/hostname')",
    "a local database": "SELECT * FROM read_duckdb('/tmp/x.duckdb', table_name := 't')",
    "names of files": "SELECT file AS v FROM glob('/tmp/*')",
    "what a file looks like": "SELECT * FROM sniff_csv('/etc/passwd')",
    "bounds of a file": f"SELECT stats_min AS v FROM parquet_metadata('{SALES}')",
    "schema of a file": f"SELECT name AS v FROM parquet_schema('{SALES}')",
    "key values of a file": f"SELECT value::VARCHAR AS v FROM parquet_kv_metadata('{SALES}')",
    "a bloom filter of a file": f"SELECT * FROM parquet_bloom_probe('{SALES}', 'note', 'x')",
    "a page of the internet": "SELECT content AS v FROM read_text('https://example.com/')",
    "a bucket": "SELECT * FROM read_parquet('s3://lake/data/sales/a.parquet')",
    "settings": "SELECT value AS v FROM duckdb_settings() WHERE name = 'temp_directory'",
    "a setting": "SELECT current_setting('temp_directory') AS v",
    "a setting through its schema": "SELECT system.main.current_setting('temp_directory') AS v",
    "a setting as a method": "SELECT 'temp_directory'.current_setting() AS v",
    "a variable": "SELECT getvariable('tenant') AS v",
    "the environment": "SELECT getenv('AWS_SECRET_ACCESS_KEY') AS v",
    "the statement around it": "SELECT current_query() AS v",
    "secrets": "SELECT name AS v FROM duckdb_secrets()",
    "which secret": "SELECT name AS v FROM which_secret('s3://lake', 's3')",
    "spilled files": "SELECT path AS v FROM duckdb_temporary_files()",
    "the log": "SELECT message AS v FROM duckdb_logs()",
    "tables of the catalog": "SELECT sql AS v FROM duckdb_tables()",
    "the information schema": "SELECT table_name AS v FROM information_schema.tables",
    "the catalog of PostgreSQL": "SELECT relname AS v FROM pg_catalog.pg_class",
    "another schema": "SELECT note AS v FROM main.sales",
    "pages of the storage": "SELECT stats AS v FROM pragma_storage_info('sales')",
    "what all tables are": "SELECT name AS v FROM (SHOW ALL TABLES)",
    "what a table is": "SELECT column_name AS v FROM (DESCRIBE sales)",
    "what a table holds": "SELECT max AS v FROM (SUMMARIZE sales)",
    "a variable of Python": "SELECT * FROM SECRETS_OF_PYTHON",
    "a function of Python": "SELECT * FROM python_map_function(1, 2)",
    "memory": "SELECT * FROM pandas_scan(94000000)",
    "two statements": "SELECT 1 AS v; SELECT 2 AS v",
    "closing the parenthesis": f"SELECT note AS v FROM sales) UNION ALL (SELECT note FROM '{SALES}'",
    "COPY": "COPY (SELECT 1 AS v) TO '/tmp/stolen.csv'",
    "COPY within": "WITH x AS (COPY (SELECT note FROM sales) TO '/tmp/stolen.csv') SELECT 'x' AS v",
    "ATTACH": "ATTACH '/tmp/x.duckdb'",
    "SET": "SET enable_external_access = true",
    "RESET": "RESET lock_configuration",
    "PRAGMA": "PRAGMA database_list",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "CALL": "CALL enable_logging()",
    "EXPORT": "EXPORT DATABASE '/tmp/stolen'",
    "CREATE": "CREATE OR REPLACE TABLE sales AS SELECT 1 AS v",
    "a secret": "CREATE SECRET (TYPE s3)",
    "a macro": "CREATE MACRO f() AS TABLE SELECT 1 AS v",
    "DELETE within": "WITH x AS (DELETE FROM sales RETURNING note) SELECT note AS v FROM x",
    "INSERT within": "WITH x AS (INSERT INTO sales SELECT * FROM sales RETURNING note) SELECT note AS v FROM x",
    "UPDATE within": "WITH x AS (UPDATE sales SET note = 'x' RETURNING note) SELECT note AS v FROM x",
    "EXPLAIN": "EXPLAIN SELECT 1 AS v",
    "waiting": "SELECT sleep_ms(60000)::VARCHAR AS v",
    "writing to the log": "SELECT write_log('x') AS v",
}
HARMLESS = {
    *("another schema", "the catalog of PostgreSQL", "the information schema", "tables of the catalog", "the log"),
    *("settings", "a setting", "a setting through its schema", "a setting as a method", "a variable", "waiting"),
    *("the statement around it", "spilled files", "what all tables are", "what a table is", "what a table holds"),
    *("the catalog under the name of an expression elsewhere", "the catalog under its own name"),
    "the catalog in a recursive query",
    "writing to the log",
}
"""What the database alone would answer, with nothing of another tenant."""


@pytest.fixture
def sales() -> Iterator[Lake]:
    """Files that hold rows of two tenants, or of the other alone."""
    with in_memory() as lake:
        put(lake, "a.parquet", ["acme", "other"], note=["own", SECRET], i=[1, 2])
        put(lake, "b.parquet", "other", note=[SECRET], i=[3])
        yield lake


def report(sql: str, **more: Any) -> Any:
    return query(sql, {"v": "string"}, dataset(note="string", i="integer"), **more)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_syntax_refuses_it(attack: str) -> None:
    assert syntax.faults(attack, ["sales"])


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_alone_refuses_it_or_shows_nothing(
    sales: Lake, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syntax, "faults", lambda *_: [])
    sql = ATTACKS[attack].replace("60000", "1")
    if attack in HARMLESS:
        found = str(rows(report(sql)))
        assert SECRET not in found
        assert "lake" not in found
    else:
        with pytest.raises((QueryInvalid, QueryFailed)) as refusal:
            rows(report(sql))
        assert SECRET not in str(refusal.value)


def test_every_function_of_this_version_that_has_an_effect_is_known() -> None:
    """After an update of DuckDB: is what it brings new refused, or harmless?"""
    with duckdb.connect() as connection:
        select = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'scalar' AND {}"
        named = (
            "regexp_matches(function_name, 'env|setting|variable|secret|file|read|write|query|plan|sleep|exec|load')"
        )
        effects = {name for (name,) in connection.execute(select.format("stability = 'VOLATILE'")).fetchall()}
        effects |= {name for (name,) in connection.execute(select.format(named)).fetchall()}
    random = {"random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"}
    of_values = {"error", "stats", "vector_type", "parse_filename"}
    numbers = {"current_connection_id", "current_query_id", "current_transaction_id"}
    assert effects - syntax.REFUSED_FUNCTIONS == random | of_values | numbers


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT note AS v FROM sales",
        "FROM (SELECT note AS v FROM Sales) AS x WHERE v <> 'no'",
        "WITH sales AS (SELECT note AS v FROM sales) FROM sales",
        "WITH a AS (FROM sales), b AS (FROM a) SELECT a.note AS v FROM b JOIN a USING (i)",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) "
        "SELECT note AS v FROM n JOIN sales USING (i)",
        "WITH RECURSIVE n AS (WITH a AS (SELECT 1 AS i) FROM a UNION (SELECT i + 1 FROM n WHERE i < 3)) "
        "SELECT note AS v FROM n JOIN sales USING (i)",
        "SELECT note AS v FROM sales, range(1), unnest([1]), generate_series(1, 1)",
        "SELECT note AS v FROM sales QUALIFY row_number() OVER (PARTITION BY note ORDER BY i DESC) = 1;",
        "SELECT note AS v FROM sales -- the end",
        "SELECT note AS v FROM sales WHERE i = (SELECT min(i) FROM sales) UNION SELECT note FROM sales",
        "SELECT " + " || ".join(["left(note, 0)"] * 300) + " || note AS v FROM sales",
    ],
    ids=range(11),
)
def test_an_honest_query_sees_its_own_rows(sales: Lake, sql: str) -> None:
    assert rows(report(sql)) == [("own",)]


ALWAYS = [
    "1 = 1) OR (1 = 1",
    "1 = 1)) OR ((1 = 1",
    "1 = 1) OR (tenant = 'other' --",
    "1 = 1) UNION ALL SELECT * FROM sales WHERE (1 = 1",
    "1 = 1) -- ",
    "1 = 1 /*",
    "1 = 1; SELECT 1",
    "i IN (SELECT i FROM sales)",
    "EXISTS (SELECT 1 FROM read_text('/etc/hostname'))",
    "(SELECT true)",
    "getenv('HOME') IS NULL",
    "current_setting('threads') > 0",
    "row_number() OVER () > 0",
    "1 = 1 ORDER BY 1",
    "1 = 1 LIMIT 1",
    "1 = 1 GROUP BY i",
    "",
]


@pytest.mark.parametrize("where", ALWAYS)
def test_a_where_that_is_more_than_a_condition_is_refused(sales: Lake, where: str) -> None:
    statement = Statement.of(report("SELECT note AS v FROM sales"), record())
    broken = Dataset("sales", "sales", {"tenant": "string", "note": "string", "i": "integer"}, '"tenant"', "tenant")
    broken = Dataset(**vars(broken) | {"rules": (Rule(where),)})
    with pytest.raises(InvalidDefinition, match="the where of dataset sales"):
        rows(Statement(**vars(statement) | {"datasets": (broken,)}))


@pytest.mark.parametrize("where", ["1 = 1 OR 1 = 1", "tenant = 'other' OR true", "true -- )", "$x OR true"])
def test_a_where_chooses_among_the_tenants_own_rows(sales: Lake, where: str) -> None:
    shape = dataset(note="string", where=where)
    assert rows(query("SELECT note AS v FROM sales", {"v": "string"}, shape, {"x": "boolean"})) == [("own",)]


@pytest.mark.parametrize("expression", ["a) = 'x' OR ('x'", "tenant) OR (true", "(SELECT 'acme')", "tenant --"])
def test_the_expression_of_a_tenant_is_one_expression(sales: Lake, expression: str) -> None:
    columns = {"tenant": "string", "note": "string"}
    statement = Statement.of(report("SELECT note AS v FROM sales"), record())
    own = Statement(**vars(statement) | {"datasets": (Dataset("sales", "sales", columns, expression, None),)})
    if expression == "tenant --":
        assert rows(own) == [("own",)]
    else:
        with pytest.raises(InvalidDefinition, match="the tenant of dataset sales"):
            rows(own)


INJECTIONS = ["x' OR 1=1 --", "'; DROP TABLE sales; --", '" OR ""="', "\\' OR 1=1", "%", "$note", "NULL", "\0"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_parameter_is_a_value(sales: Lake, text: str) -> None:
    asked = query(
        "SELECT note AS v FROM sales WHERE note = $p OR $p IS NULL",
        {"v": "string"},
        dataset(note="string", where="note <> $p"),
        {"p": "string"},
    )
    assert rows(asked, p=text) == []
    echo = query("SELECT $P AS v, $p AS w FROM sales", {"v": "string", "w": "string"}, asked_sales(), {"p": "string"})
    assert rows(echo, p=text) == [(text, text)]


def asked_sales() -> Any:
    return dataset(note="string")


@pytest.mark.parametrize("tenant", [*INJECTIONS[:4], "other' OR tenant='other", "*", "a%", "ACME", "acme ", " acme"])
def test_a_tenant_is_a_value(sales: Lake, tenant: str) -> None:
    assert rows(report("SELECT note AS v FROM sales"), tenant) == []


@pytest.mark.parametrize("name", ["tenant_", "TENANT_", "tenant__"])
def test_no_parameter_takes_the_tenants_place(sales: Lake, name: str) -> None:
    asked = query(
        f"SELECT note || ${name} AS v FROM sales",
        {"v": "string"},
        dataset(note="string", where=f"${name} = 'other'"),
        {name: "string"},
    )
    assert rows(asked, **{name: "other"}) == [("ownother",)]


@pytest.mark.parametrize("declared", ["integer", None])
@pytest.mark.parametrize(
    ("tenant", "own"),
    [
        ("7", [(1,)]),
        ("0", [(3,)]),
        ("-7", [(4,)]),
        *((text, []) for text in ("007", "7 ", " 7", "7.0", "+7", "-0", "٧", "7e0", "0x7", "", "9" * 30, "NULL")),
    ],
)
def test_a_tenant_of_a_column_of_integers_has_one_spelling(
    lake: Lake, declared: str | None, tenant: str, own: list[tuple[int]]
) -> None:
    put(lake, "a.parquet", pa.array([7, 70, 0, -7, None], pa.int32()), i=[1, 2, 3, 4, 5])
    columns = {"i": "integer"} | ({"tenant": declared} if declared else {})
    statement = Statement.of(report("SELECT i AS v FROM sales"), record(tenant))
    of = Dataset("sales", "sales", columns, '"tenant"', "tenant")
    assert rows(Statement(**vars(statement) | {"datasets": (of,), "columns": (("v", "integer"),)})) == own


def test_a_tenant_of_folders_that_look_like_numbers_has_one_spelling(lake: Lake) -> None:
    for at, text in enumerate(["7", "07", "7.0", "NULL"]):
        put(lake, f"tenant={text}/a.parquet", None, i=[at])
    for at, text in enumerate(["7", "07", "7.0", "NULL", "null", "7 "]):
        shape = dataset(i="integer")
        assert rows(query("SELECT i FROM sales", {"i": "integer"}, shape), text) == ([(at,)] if at < 4 else [])


def test_a_tenant_sees_no_file_of_another_tenants_folder(lake: Lake) -> None:
    put(lake, "tenant=acme/a.parquet", None, i=[1])
    other = put(lake, "tenant=other/a.parquet", None, i=[2])
    assert rows(query("SELECT i FROM sales", {"i": "integer"}, dataset(i="integer"))) == [(1,)]
    assert other not in [key for key, _, _ in lake.asked]


CONVERSIONS = [
    "SELECT CAST(note AS INTEGER)::VARCHAR AS v FROM sales",
    "SELECT error(note) AS v FROM sales",
    "SELECT note::DATE::VARCHAR AS v FROM sales",
    "SELECT note::JSON->>'a' AS v FROM sales",
    "SELECT decode(note::BLOB || '\\xFF'::BLOB) AS v FROM sales",
    "SELECT (SELECT note FROM sales, range(2)) AS v",
    "SELECT regexp_extract('x', note || '(') AS v FROM sales",
    "SELECT strptime(note, '%Y')::VARCHAR AS v FROM sales",
    "SELECT (9223372036854775807 + i)::VARCHAR AS v FROM sales",
    "SELECT list_extract(MAP {note: 1}, note || 1)::STRUCT(a INTEGER)::VARCHAR AS v FROM sales",
]


@pytest.mark.parametrize("sql", CONVERSIONS)
def test_no_error_quotes_a_value(lake: Lake, sql: str) -> None:
    put(lake, "a.parquet", note=["very-private"], i=[1])
    with pytest.raises(ExportError) as failure:
        rows(report(sql))
    assert "private" not in str(failure.value)
    assert failure.value.__suppress_context__
    assert failure.value.__cause__ is None


def test_no_error_of_loading_quotes_a_value(lake: Lake) -> None:
    put(lake, "a.parquet", note=["very-private"], d=[decimal.Decimal("99999.50")])
    asked = [
        dataset(note="string", where="CAST(note AS INTEGER) > 0"),
        dataset(note="string", where="error(note) IS NULL"),
        dataset(note="string", d="decimal(3,2)"),
    ]
    for shape in asked:
        with pytest.raises(QueryFailed, match=r"dataset sales of sales.sql: the query fails on the data \(") as failure:
            rows(query("SELECT note AS v FROM sales", {"v": "string"}, shape))
        assert "private" not in str(failure.value)
        assert "99999" not in str(failure.value)


RULES = [
    "CAST(note AS INTEGER) = 1",
    "i >= 0 AND CAST(note AS INTEGER) > 0",
    "note = 1",
    "d > 0 AND CAST(d AS DECIMAL(4,2)) > 0",
    "CASE WHEN note <> '1' THEN error(note) ELSE true END",
    "1000000000000 // big > 0",
    "$p IS NULL OR CAST(note AS INTEGER) = $p",
]


@pytest.mark.parametrize("expression", [None, "concat(tenant, '')"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_does_not_fail_on_another_tenants_row(lake: Lake, rule: str, expression: str | None) -> None:
    """DuckDB tests conditions in an order of its own, also within the scan of a file."""
    count = 60_000
    other = [at % 3 > 0 for at in range(count)]
    put(
        lake,
        "a.parquet",
        ["other" if each else "acme" for each in other],
        note=[SECRET if each else "1" for each in other],
        d=pa.array([10**11 if each else 1 for each in other], pa.decimal128(18, 2)),
        big=pa.array([2**64 - 1 if each else 1 for each in other], pa.uint64()),
        i=[*range(count)],
    )
    columns = {"note": "string", "d": "decimal(4,2)", "big": "integer", "i": "integer"}
    statement = Statement.of(query("SELECT count(*) AS v FROM sales", {"v": "integer"}, dataset(i="integer")), record())
    own = expression or '"tenant"'
    of = Dataset("sales", "sales", columns, own, None if expression else "tenant", (Rule(rule),))
    assert rows(Statement(**vars(statement) | {"datasets": (of,), "values": {"p": 1}})) == [(count // 3,)]


# The property: what a tenant gets depends on that tenant's rows alone.

DAY = datetime.date(2013, 1, 1)
ROW = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["acme", "other"]),
        "year": st.sampled_from([2012, 2013]),
        "i": st.none() | st.integers(-3, 3),
        "f": st.none() | st.sampled_from([-1.5, 0.0, 2.25]),
        "t": st.none() | st.sampled_from(["", "a", "B", "é"]),
        "day": st.none() | st.integers(0, 40).map(lambda days: DAY + datetime.timedelta(days)),
    }
)
SCHEMA = {
    "tenant": pl.String(),
    "year": pl.Int64(),
    "i": pl.Int64(),
    "f": pl.Float64(),
    "t": pl.String(),
    "day": pl.Date(),
}
QUERIES = [
    "SELECT i, f, t, day FROM sales WHERE i > 0 OR f IS NULL ORDER BY ALL",
    "SELECT count(*) AS i, sum(f) AS f, t, max(day) AS day FROM sales GROUP BY t ORDER BY ALL",
    "SELECT a.i, b.f, a.t, b.day FROM sales a LEFT JOIN sales b ON a.i = b.i AND a.t < b.t ORDER BY ALL",
    "SELECT i, sum(f) OVER (PARTITION BY t) AS f, t, lag(day) OVER (PARTITION BY t ORDER BY day, i, f) AS day "
    "FROM sales ORDER BY ALL",
    "SELECT DISTINCT i, NULL::DOUBLE AS f, t, day FROM sales ORDER BY day DESC NULLS FIRST, t, i LIMIT 5",
    "SELECT i, f, t, day FROM sales s WHERE EXISTS (SELECT 1 FROM sales o WHERE o.i = s.i AND o.day > s.day) "
    "ORDER BY ALL",
    "SELECT i, f, t, day FROM sales WHERE t NOT IN (SELECT t FROM sales WHERE t IS NOT NULL AND i = 1) ORDER BY ALL",
    "SELECT count(DISTINCT tenant) AS i, NULL::DOUBLE AS f, max(tenant) AS t, min(day) AS day FROM sales",
]
WHERES = [None, "i >= 0", "year >= $year", "day > DATE '2013-01-20'", "$year IS NULL OR year = $year", "t LIKE 'a%'"]
LAYOUTS = [(), ("tenant",), ("year",), ("tenant", "year")]


def write(lake: Lake, files: list[list[dict[str, Any]]], folders: tuple[str, ...], is_sorted: bool) -> None:
    """Writes each file's rows, divided among folders."""
    for at, held in enumerate(files):
        table = pl.DataFrame(held, SCHEMA, orient="row")
        table = table.sort("tenant", "day") if is_sorted else table
        pieces = table.partition_by(folders, as_dict=True) if folders else {(): table}
        for values, piece in pieces.items():
            path = "".join(f"{name}={value}/" for name, value in zip(folders, values, strict=True))
            arrow = piece.drop(folders).to_arrow()
            lake.put(f"{path}{at}.parquet", _file(arrow))


def _file(table: pa.Table) -> bytes:
    from tests.unit.lake import by_arrow

    return by_arrow(table.cast(pa.schema([_plain(each) for each in table.schema])), 3)


def _plain(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3),
    more=st.lists(ROW.map(lambda row: row | {"tenant": "other"}), max_size=6),
    folders=st.sampled_from(LAYOUTS),
    is_sorted=st.booleans(),
    sql=st.sampled_from(QUERIES),
    where=st.sampled_from(WHERES),
    year=st.sampled_from([None, 2012, 2013]),
)
def test_what_a_tenant_gets_is_computed_from_the_tenants_rows_alone(
    files: list[list[dict[str, Any]]],
    more: list[dict[str, Any]],
    folders: tuple[str, ...],
    is_sorted: bool,
    sql: str,
    where: str | None,
    year: int | None,
) -> None:
    shape = dataset(year="integer", i="integer", f="number", t="string", day="date", where=where)
    asked = query(sql, {"i": "integer", "f": "number", "t": "string", "day": "date"}, shape, {"year": "integer"})
    parameters = {} if year is None else {"year": year}
    found = []
    for each in (files, [*files, more] if more else files):
        with in_memory() as lake:
            write(lake, each, folders, is_sorted)
            found.append(frame(asked, **parameters))
    assert found[0].equals(found[1])
    own = pl.DataFrame([row for held in files for row in held if row["tenant"] == "acme"], SCHEMA, orient="row")
    with duckdb.connect() as plain:
        values = {"year": year} if where and "$" in where else {}
        plain.register("every", own.to_arrow())
        tables.run(plain, f"CREATE TABLE sales AS FROM every WHERE {where or 'true'}", values)
        expected = plain.execute(f"SELECT i::BIGINT AS i, f::DOUBLE AS f, t, day FROM ({sql})").fetchall()
    assert found[0].rows() == expected
