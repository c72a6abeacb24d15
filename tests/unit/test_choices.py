"""Sort, limit and columns: what a definition may say, what a request may choose, and what a plan makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plan_parts import app as plan_parts
from shared.api import request
from shared.catalogue import choices, reports
from shared.errors import InvalidDefinition, ParametersRefused
from shared.lambda_ import contract
from tests.unit.exports import export
from tests.unit.lake import Lake, by_polars
from tests.unit.support import Answer, Cloud, event, pointers, queued

Post = Callable[..., Answer]

SALES: dict[str, Any] = yaml.safe_load("""
title: Sales
source:
  type: parquet
  dataset: sales
  columns: {tenant: string, id: integer, day: integer, amount: integer, note: json}
tenant: tenant
parameters:
  least: {title: Least, type: integer, filter: {column: amount, operator: ">="}}
columns:
  - {name: id, title: Id, type: integer}
  - {name: day, title: Day, type: integer}
  - {name: amount, title: Amount, type: integer}
  - {name: twice, title: Twice, type: integer, expression: amount * 2}
  - {name: note, title: Note, type: json}
""")
UNIQUE = [{"column": "amount", "descending": True}, {"column": "id", "unique": True}]


def parse(**more: Any) -> reports.Report:
    return reports.parse("sales", yaml.safe_dump(SALES | more), {}.__getitem__)


def refused(**more: Any) -> dict[str, str]:
    """The faults of a definition: detail and what is allowed, by place."""
    with pytest.raises(InvalidDefinition) as error:
        parse(**more)
    return {fault["pointer"]: f"{fault['detail']}, allowed: {fault['allowed']}" for fault in error.value.faults}


# ── The definition ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "queries"),
    [
        ({}, False),
        ({"sortable": ["amount", "id"]}, False),
        ({"sort": [{"column": "amount"}]}, True),
        ({"sort": UNIQUE, "limit": 10_000_000, "sortable": ["day"]}, True),
    ],
)
def test_a_sort_a_limit_and_a_choice_are_allowed_and_a_sort_or_a_limit_is_a_query(
    more: dict[str, Any], queries: bool
) -> None:
    report = parse(**more)
    assert report.queries(None) is queries
    assert report.queries([{"column": "amount", "descending": False}]) is True


NAMES = "one of id, day, amount"
COMPUTED = f"{NAMES}; for a computed order, write a query report (docs/howto/query-report.md)"
TOTAL = "a sort whose last column has unique: true, because no two rows of a tenant have the same value"
TOTAL += "; without such a column, write a query report (docs/howto/query-report.md)"


@pytest.mark.parametrize(
    ("more", "place", "fault"),
    [
        ({"sort": [{"column": "dely"}]}, "/sort/0/column", f"the report has no column 'dely', allowed: {NAMES}"),
        ({"sortable": ["id", "dely"]}, "/sortable/1", f"the report has no column 'dely', allowed: {NAMES}"),
        # The tenant is a column of the source, and not of the report.
        ({"sortable": ["tenant"]}, "/sortable/0", f"the report has no column 'tenant', allowed: {NAMES}"),
        (
            {"sort": [{"column": "id"}, {"column": "id", "descending": True}]},
            *("/sort/1/column", "duplicate column 'id', allowed: each column once"),
        ),
        ({"sortable": ["id", "id"]}, "/sortable", '["id", "id"] is not allowed, allowed: '),
        ({"sort": [{"column": "note"}]}, "/sort/0/column", "note has the type json, which has no order, allowed: "),
        (
            {"sortable": ["twice"]},
            *("/sortable/0", f"twice is an expression, and only source columns can be sorted, allowed: {COMPUTED}"),
        ),
        (
            {"sort": [{"column": "id", "unique": True}, {"column": "day"}]},
            *("/sort/0/unique", "columns after a unique one order nothing, allowed: unique: true in the last column"),
        ),
        (
            {"limit": 5},
            "/limit",
            f"needs a sort, because the first rows of a source could change between attempts, allowed: {TOTAL}",
        ),
        (
            {"limit": 5, "sort": [{"column": "id"}, {"column": "day"}]},
            *("/sort/1", f"rows that are equal in every sort column could change between attempts, allowed: {TOTAL}"),
        ),
        ({"limit": 0, "sort": UNIQUE}, "/limit", "0 is not allowed, allowed: a value of type integer, at least 1"),
        ({"limit": 10_000_001, "sort": UNIQUE}, "/limit", "10000001 is not allowed, allowed: "),
        ({"sort": []}, "/sort", "[] is not allowed, allowed: a value of type array, at least 1 item"),
    ],
)
def test_a_sort_that_cannot_be_kept_is_refused_at_its_place(more: dict[str, Any], place: str, fault: str) -> None:
    found = refused(**more)
    assert [*found] == [place]
    assert found[place].startswith(fault)


@pytest.mark.parametrize("more", [{"sort": UNIQUE}, {"sort": UNIQUE, "limit": 5}, {"sortable": ["id"]}])
def test_a_query_of_files_needs_the_types_of_its_columns(more: dict[str, Any]) -> None:
    files = {"type": "parquet", "dataset": "sales"}
    assert [*refused(source=files, **more)] == ["/source/columns"]
    found = refused(source=files | {"columns": {"id": "integer", "day": "integer"}}, **more)
    assert [*found] == ["/tenant", "/parameters/least/filter/column", "/columns/2", "/columns/4"]
    assert found["/columns/2"].endswith(
        "lacks 'amount', and a report with sort, limit or sortable needs its type, allowed: one of day, id"
    )


def test_the_names_of_columns_differ_for_sql_too() -> None:
    alike = SALES["source"] | {"columns": SALES["source"]["columns"] | {"ID": "integer"}}
    parse(source=alike)
    [(place, fault)] = refused(source=alike, sort=UNIQUE).items()
    assert (place, fault.partition(",")[0]) in (
        ("/source/columns/id", "id and ID are one name in SQL"),
        ("/source/columns/ID", "ID and id are one name in SQL"),
    )


def test_the_items_of_a_table_have_the_order_of_its_keys() -> None:
    source = {"type": "dynamodb", "table": "sales", "columns": {"tenant": "string", "amount": "integer"}}
    found = refused(source=source, sort=UNIQUE, limit=5, sortable=["id"])
    assert sorted(found) == ["/limit", "/sort", "/sortable"]
    assert {*found.values()} == {
        "is not possible, because DynamoDB reads items in the order of its keys, allowed: a report from Parquet files"
    }


QUERY = {
    "title": "Sales",
    "source": {
        "type": "query",
        "engine": "duckdb",
        "sql": "sales.sql",
        "datasets": {"sales": {"dataset": "sales", "tenant": "tenant", "columns": SALES["source"]["columns"]}},
    },
    "columns": [{key: column[key] for key in ("name", "title", "type")} for column in SALES["columns"]],
}


def test_a_query_writes_its_order_and_its_limit_in_sql_and_may_offer_any_column() -> None:
    report = parse_query(sortable=["twice", "id"])
    assert report.queries(None) is True
    with pytest.raises(InvalidDefinition) as error:
        parse_query(sort=UNIQUE, limit=5, sortable=["note", "gone"])
    assert [(fault["pointer"], fault["allowed"]) for fault in error.value.faults] == [
        ("/sort", "ORDER BY in the SQL"),
        ("/limit", "LIMIT in the SQL"),
        ("/sortable/0", "one of id, day, amount, twice"),
        ("/sortable/1", "one of id, day, amount, twice"),
    ]


def parse_query(**more: Any) -> reports.Report:
    return reports.parse("sales", yaml.safe_dump(QUERY | more), {"sales.sql": "FROM sales"}.__getitem__)


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────

LIMITED = {"sort": UNIQUE, "limit": 3}
OF_REPORTS = {"sales": {"sortable": ["amount", "day"]}, "top": LIMITED | {"sortable": ["day"]}, "plain": {}}
DEFINITIONS = {name: reports.Report(name, parse(**more).definition) for name, more in OF_REPORTS.items()}
LEAST = {"report": "sales", "format": "csv"}


@pytest.fixture
def post(api: Callable[[str, Any], Answer], monkeypatch: pytest.MonkeyPatch) -> Post:
    """Sends a request body to a deployment with the reports `sales`, `top` and `plain`."""
    monkeypatch.setattr(reports, "load", lambda _: DEFINITIONS)

    def post(more: dict[str, Any], **headers: str) -> Answer:
        given = event("request_export/least") | {"body": json.dumps(LEAST | more)}
        given["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        return api("RequestExport", given)

    return post


def key(column: str, **more: Any) -> dict[str, Any]:
    return {"column": column} | more


BODIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"columns": ["note", "id"]}, []),
    ({"columns": ["id", "day", "gone"]}, ["/columns/2"]),
    ({"columns": ["tenant"]}, ["/columns/0"]),
    ({"columns": []}, ["/columns"]),
    ({"columns": ["id", "id"]}, ["/columns"]),
    ({"columns": [f"c{number}" for number in range(choices.MOST_COLUMNS + 1)]}, ["/columns"]),
    ({"columns": ["id", 1]}, ["/columns/1"]),
    ({"columns": "id"}, ["/columns"]),
    ({"sort": [key("day", descending=True), key("amount")]}, []),
    ({"sort": [key("id")]}, ["/sort/0/column"]),
    ({"sort": [key("day"), key("gone")]}, ["/sort/1/column"]),
    ({"sort": [key("day", descending="yes")]}, ["/sort/0/descending"]),
    ({"sort": [key("day", unique=True)]}, ["/sort/0/unique"]),
    ({"sort": [{"descending": True}]}, ["/sort/0/column"]),
    ({"sort": []}, ["/sort"]),
    ({"report": "plain", "sort": [key("day")]}, ["/sort"]),
    ({"report": "plain", "columns": ["gone"], "sort": [key("day")]}, ["/columns/0", "/sort"]),
    # A fault in one field hides none in another.
    ({"columns": ["id", "id"], "sort": [key("id")], "x": 1}, ["/columns", "/sort/0/column", "/x"]),
    ({"report": "gone", "columns": ["gone"]}, ["/report"]),
]


@pytest.mark.parametrize(("more", "places"), BODIES)
def test_a_choice_is_checked_as_the_schema_says(
    more: dict[str, Any], places: list[str], post: Post, cloud: Cloud
) -> None:
    answered = post(more)
    assert answered.status == 202 if not places else sorted(pointers(answered)) == places
    assert contract.validator(request.whole(DEFINITIONS)).is_valid(LEAST | more) == (not places)


@pytest.mark.usefixtures("no_aws")
def test_a_fault_of_a_choice_says_what_is_allowed(post: Post) -> None:
    answered = post({"columns": ["id", "gone"], "sort": [key("day"), key("gone"), key("day", descending=True)]})
    assert answered.body["errors"] == [
        {
            "pointer": "/columns/1",
            "detail": "the report has no column 'gone'",
            "allowed": "one of id, day, amount, twice, note",
        },
        {
            "pointer": "/sort/1/column",
            "detail": "the report does not offer to sort by 'gone'",
            "allowed": "one of amount, day",
        },
        # JSON Schema sees two different keys here.
        {"pointer": "/sort/2/column", "detail": "duplicate column 'day'", "allowed": "each column once"},
    ]
    [fault] = post({"report": "plain", "sort": [key("day")]}).body["errors"]
    assert (fault["detail"], fault["allowed"]) == ("this report offers no sort", "no sort")


@pytest.mark.parametrize(("width", "end"), [(50, "c48, c49"), (52, "c48, c49 and 2 more")])
def test_of_a_wide_report_50_columns_are_named(width: int, end: str) -> None:
    definition = {"columns": [{"name": f"c{number}"} for number in range(width)]}
    [fault] = choices.faults(definition, ["gone"], None)
    assert fault["allowed"].startswith("one of c0, c1, ")
    assert fault["allowed"].endswith(f" {end}")


SHOWN = {"columns", "sort"}


@pytest.mark.parametrize(
    ("more", "written"),
    [
        ({}, {"record_version": 1}),
        ({"columns": ["note", "id"]}, {"record_version": 2, "columns": ["note", "id"]}),
        (
            {"sort": [key("day", descending=True), key("amount")]},
            {
                "record_version": 2,
                "queries": True,
                "sort": [key("day", descending=True), key("amount", descending=False)],
            },
        ),
        ({"report": "top"}, {"record_version": 2, "queries": True}),
    ],
)
def test_only_what_was_chosen_is_recorded_started_and_shown(
    more: dict[str, Any], written: dict[str, Any], post: Post, api: Callable[[str, Any], Answer], cloud: Cloud
) -> None:
    answered = post(more)
    [record] = cloud.records()
    found = {name: record[name] for name in ("record_version", "queries", *SHOWN) if name in record}
    assert found | {name: json.loads(found[name]) for name in SHOWN & {*found}} == written
    chosen = {name: written[name] for name in SHOWN & {*written}}
    cloud.write(record | {"export_id": event("read_exports/typical")["pathParameters"]["id"]})
    one, page = api("ReadExports", event("read_exports/typical")).body, api("ReadExports", event("read_exports/list"))
    for shown in (answered.body, one, *page.body["exports"]):
        assert {name: shown[name] for name in SHOWN & {*shown}} == chosen
    [given] = cloud.executions().values()
    least = {name: record[name] for name in ("owner", "export_id", "attempt")}
    assert given == least | ({"query": True} if "queries" in written else {})


def test_a_retry_runs_the_query_too(post: Post, api: Callable[[str, Any], Answer], cloud: Cloud) -> None:
    post({"report": "top", "columns": ["id"]})
    [record] = cloud.records()
    retry = event("retry_export/typical")
    cloud.write(record | {"export_id": retry["pathParameters"]["id"], "status": "CANCELLED"})
    answered = api("RetryExport", retry)
    assert (answered.status, answered.body["columns"]) == (202, ["id"])
    [started] = [given for name, given in cloud.executions().items() if name.endswith("-2")]
    assert started == {"owner": record["owner"], "export_id": answered.body["id"], "attempt": 2, "query": True}


@pytest.mark.parametrize("other", [{"columns": ["day", "id"]}, {"columns": ["id", "day"], "sort": [key("day")]}, {}])
def test_a_key_is_refused_for_another_choice(other: dict[str, Any], post: Post, cloud: Cloud) -> None:
    first = post({"columns": ["id", "day"]}, Idempotency_Key="k")
    assert post({"columns": ["id", "day"]}, Idempotency_Key="k").body["id"] == first.body["id"]
    assert post(other, Idempotency_Key="k").status == 422
    assert len(cloud.records()) == 1


def test_the_reports_say_by_which_columns_they_can_be_sorted(
    api: Callable[[str, Any], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "load", lambda _: DEFINITIONS)
    listed = api("ListReports", event("list_reports/typical")).body["reports"]
    assert {each["id"]: each["sortable"] for each in listed} == {
        "sales": ["amount", "day"],
        "top": ["day"],
        "plain": [],
    }


# ── The plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.from_regex(r"[a-z]{1,3}\Z"), min_size=1, max_size=20, unique=True), st.data())
def test_chosen_columns_are_those_of_the_definition_in_the_chosen_order(names: list[str], data: st.DataObject) -> None:
    definition = {"title": "T", "columns": [{"name": name, "title": name * 2, "type": "string"} for name in names]}
    assert choices.chosen(definition, None) == choices.chosen(definition, names) == definition
    some = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    made = choices.chosen(definition, some)
    assert [each["name"] for each in made["columns"]] == some
    assert all(each in definition["columns"] for each in made["columns"])
    assert made | {"columns": definition["columns"]} == definition


@pytest.fixture
def planned(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The plan of an export of `plain`, unless its record says otherwise."""
    rows = {"tenant": ["UA"] * 6, "id": range(6), "day": [1] * 6, "amount": range(0, 60, 10), "note": [["x"]] * 6}
    lake.put("a.parquet", by_polars(pl.DataFrame(rows), group=2))
    monkeypatch.setenv("MAX_ROWS_PER_EXPORT", "100")
    monkeypatch.setattr(reports, "deployed", lambda: DEFINITIONS)

    def planned(parameters: dict[str, Any] | None = None, **record: Any) -> Any:
        more = {"report": "plain", "parameters": json.dumps(parameters or {}), **record}
        return plan_parts._plan(queued(**more), 10)  # type: ignore[arg-type]

    return planned


def test_a_plan_has_the_chosen_columns_and_its_name_tells_their_order(planned: Callable[..., Any]) -> None:
    names = {}
    for columns in (["amount", "id"], ["id", "amount"], [each["name"] for each in SALES["columns"]]):
        plan, _ = planned(columns=json.dumps(columns))
        assert [each["name"] for each in plan["definition"]["columns"]] == columns
        names[plan["plan"]] = columns
    assert len(names) == 3
    assert planned()[0]["plan"] in names, "all columns in the order of the report are the whole report"


def test_a_column_that_is_not_chosen_still_filters_and_prunes(planned: Callable[..., Any]) -> None:
    plan, parts = planned({"least": 20}, columns='["day"]')
    assert [each["name"] for each in plan["definition"]["columns"]] == ["day"]
    assert [(each["offset"], each["rows"]) for part in parts for each in part["sources"]] == [(2, 4)]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"columns": '["id", "gone"]'}, "/columns/1: the report has no column 'gone', allowed: one of id, day, "),
        (
            {"sort": '[{"column": "day", "descending": true}]', "queries": True},
            "/sort: this report offers no sort, allowed: no sort",
        ),
        (
            {"report": "sales", "sort": '[{"column": "id", "descending": true}]', "queries": True},
            "/sort/0/column: the report does not offer to sort by 'id', allowed: one of amount, day",
        ),
        # Requested before the report got its limit, or while it had one: the file would have other rows.
        ({"report": "top"}, "the report has changed since the request and now runs a query"),
        ({"queries": True}, "the report has changed since the request and no longer runs a query"),
    ],
)
def test_a_report_that_has_changed_refuses_the_choice(
    record: dict[str, Any], said: str, planned: Callable[..., Any]
) -> None:
    with pytest.raises(ParametersRefused) as refused:
        planned(**record)
    assert str(refused.value).startswith(said)


def test_a_file_has_the_chosen_columns_in_the_chosen_order(lake: Lake) -> None:
    rows = {"tenant": ["acme"] * 3, "id": [1, 2, 3], "day": [4, 5, 6], "amount": [7, 8, 9]}
    lake.put("a.parquet", by_polars(pl.DataFrame(rows), group=1))
    definition = DEFINITIONS["plain"].definition
    columns = choices.chosen(definition, ["twice", "id"])["columns"]
    filters = {"parameters": definition["parameters"], "given": {"least": 8}}
    assert export("csv", columns, parts=2, **filters).decode() == "Twice,Id\n16,2\n18,3\n"
