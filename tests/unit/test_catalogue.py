"""Report definitions: the good ones become schemas and defaults, the bad ones say what to repair."""

import copy
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exports_admin import sample_data
from shared.catalogue import reports
from shared.engine import column_types
from shared.errors import InvalidDefinition, UnknownReport
from tests.unit.support import REPORTS

GOOD: dict[str, Any] = {
    "title": "Orders",
    "source": {"type": "parquet", "dataset": "shop/orders", "bounds": {"month": [1, 12]}},
    "tenant": "shop",
    "parameters": {
        "from": {"title": "From", "type": "date", "required": True, "filter": {"column": "day", "operator": ">="}},
        "to": {"title": "To", "type": "date", "filter": {"column": "day", "operator": "<="}},
        "state": {
            "title": "State",
            "type": "string",
            "enum": ["open", "paid"],
            "default": "paid",
            "filter": {"column": "state", "operator": "=="},
        },
        "least": {
            "title": "Least",
            "type": "number",
            "minimum": 0,
            "maximum": 1000,
            "default": 0,
            "filter": {"expression": "amount * 100", "operator": ">="},
        },
    },
    "spans": [{"first": "from", "last": "to", "at_most_days": 31}],
    "columns": [
        {"name": "day", "title": "Day", "type": "date"},
        {"name": "amount", "title": "Amount", "type": "decimal", "expression": "amount * 100"},
    ],
}
Change = Callable[[dict[str, Any]], object]


def parse(definition: Any, name: str = "orders") -> reports.Report:
    return reports.parse(name, yaml.safe_dump(definition))


def changed(change: Change) -> dict[str, Any]:
    definition = copy.deepcopy(GOOD)
    change(definition)
    return definition


def at(*path: Any, value: Any) -> Change:
    """Sets the value at this path of a definition."""

    def change(definition: Any) -> None:
        for step in path[:-1]:
            definition = definition[step]
        definition[path[-1]] = value

    return change


def without(*path: Any) -> Change:
    """Takes away what stands at this path of a definition."""

    def change(definition: Any) -> None:
        for step in path[:-1]:
            definition = definition[step]
        del definition[path[-1]]

    return change


# ── Good ones ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_parameters_become_a_closed_json_schema() -> None:
    assert parse(GOOD).parameters_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["from"],
        "properties": {
            "from": {"title": "From", "type": "string", "format": "date"},
            "to": {"title": "To", "type": "string", "format": "date"},
            "state": {
                "title": "State",
                "type": "string",
                "maxLength": 256,
                "enum": ["open", "paid"],
                "default": "paid",
            },
            "least": {"title": "Least", "type": "number", "minimum": 0, "maximum": 1000, "default": 0},
        },
    }


LISTED: dict[str, Any] = {
    "states": {
        "title": "States",
        "type": "string",
        "enum": ["open", "paid"],
        "default": ["paid"],
        "filter": {"column": "state", "operator": "in"},
    },
    "days": {"title": "Days", "type": "date", "filter": {"column": "day", "operator": "in"}},
    "note": {"title": "Note", "type": "string", "filter": {"column": "note", "operator": "contains"}},
    "unpaid": {"title": "Unpaid", "type": "boolean", "filter": {"column": "paid_at", "operator": "is null"}},
}


def test_of_in_a_request_gives_a_list_of_contains_a_text_and_of_is_null_a_boolean() -> None:
    report = parse(changed(at("parameters", value=GOOD["parameters"] | LISTED)))
    found = report.parameters_schema["properties"]
    several = {"type": "array", "minItems": 1, "maxItems": 100, "uniqueItems": True}
    states = {"type": "string", "maxLength": 256, "enum": ["open", "paid"]}
    assert {name: found[name] for name in LISTED} == {
        "states": several | {"title": "States", "items": states, "default": ["paid"]},
        "days": several | {"title": "Days", "items": {"type": "string", "format": "date"}},
        "note": {"title": "Note", "type": "string", "minLength": 1, "maxLength": 256},
        "unpaid": {"title": "Unpaid", "type": "boolean"},
    }
    assert report.faults({"from": "2026-01-01", "states": ["open", "paid"], "note": "%", "unpaid": False}) == []


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"states": "open"}, "/states"),
        ({"states": []}, "/states"),
        ({"states": ["open", "open"]}, "/states"),
        ({"states": ["open", "lost"]}, "/states/1"),
        ({"days": ["2026-01-01", "yesterday"]}, "/days/1"),
        ({"days": [f"{year}-01-01" for year in range(1900, 2001)]}, "/days"),
        ({"note": ""}, "/note"),
        ({"unpaid": None}, "/unpaid"),
    ],
)
def test_what_is_no_list_of_such_values_is_refused_at_its_place(asked: dict[str, Any], where: str) -> None:
    report = parse(changed(at("parameters", value=GOOD["parameters"] | LISTED)))
    assert [fault["pointer"] for fault in report.faults({"from": "2026-01-01"} | asked)] == [where]


def test_defaults_are_filled_in_and_what_is_given_stays() -> None:
    report = parse(GOOD)
    assert report.resolve({"from": "2026-01-01"}) == {"from": "2026-01-01", "state": "paid", "least": 0}
    assert report.resolve({"state": "open", "least": 5}) == {"state": "open", "least": 5}


def test_a_dataset_may_be_a_folder_as_rds_names_it() -> None:
    parse(changed(at("source", "dataset", value="export-1/shop/public.orders")))


def test_a_report_needs_no_parameters() -> None:
    report = parse({name: GOOD[name] for name in ("title", "source", "tenant", "columns")})
    assert report.faults({}) == []
    assert report.resolve({}) == {}
    assert [fault["pointer"] for fault in report.faults({"from": "2026-01-01"})] == ["/from"]


@pytest.mark.parametrize(
    ("first", "last", "fault"),
    [
        ("2026-01-01", "2026-01-01", None),
        ("2026-01-01", "2026-01-31", None),
        ("2026-01-01", "2026-02-01", ("2026-01-01 to 2026-02-01 is 32 days", "at most 31 days, up to 2026-01-31")),
        ("2026-01-02", "2026-01-01", ("2026-01-01 is before from 2026-01-02", "2026-01-02 or later")),
        ("0001-01-01", "9999-12-31", ("0001-01-01 to 9999-12-31 is 3652059 days", "at most 31 days, up to 0001-01-31")),
    ],
)
def test_a_span_is_counted_in_days_with_both_ends(first: str, last: str, fault: tuple[str, str] | None) -> None:
    found = [
        (each["pointer"], each["detail"], each["allowed"]) for each in parse(GOOD).faults({"from": first, "to": last})
    ]
    assert found == ([("/to", *fault)] if fault else [])


def test_a_span_with_an_open_end_is_no_fault() -> None:
    assert parse(GOOD).faults({"from": "2026-01-01"}) == []


def test_a_span_is_looked_at_only_when_its_ends_are_dates() -> None:
    found = parse(GOOD).faults({"from": "yesterday", "to": "2026-01-01"})
    assert [each["pointer"] for each in found] == ["/from"]


def test_a_folder_is_its_yaml_files_by_name(tmp_path: Path) -> None:
    for name in ("orders.yaml", "a-1.yaml", "notes.md"):
        (tmp_path / name).write_text(yaml.safe_dump(GOOD))
    assert list(reports.load(tmp_path)) == ["a-1", "orders"]


def test_the_deployed_reports_are_read_once(tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders.yaml").write_text(yaml.safe_dump(GOOD))
    monkeypatch.setenv("REPORTS_FOLDER", str(tmp_path))
    assert reports.report("orders").definition == GOOD
    (tmp_path / "orders.yaml").unlink()
    assert reports.report("orders").id == "orders"


def test_a_report_that_is_not_deployed_names_those_that_are(
    tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orders", "refunds"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(GOOD))
    monkeypatch.setenv("REPORTS_FOLDER", str(tmp_path))
    with pytest.raises(UnknownReport, match=r"^there is no report 'order'; the reports are: orders, refunds$"):
        reports.report("order")


# ── The one that is deployed ────────────────────────────────────────────────────────────────────────────────────────


def test_every_report_of_the_project_is_valid() -> None:
    assert "flights" in reports.load(REPORTS)


def test_flights_has_exactly_the_columns_of_its_source() -> None:
    with zipfile.ZipFile(sample_data.source()) as archive, archive.open("flights.csv") as source:
        header = source.readline().decode().strip().replace('"', "").split(",")
    columns = reports.load(REPORTS)["flights"].definition["columns"]
    assert [column["name"] for column in columns] == header
    assert len(header) == 19


def test_flights_declares_the_types_of_its_source() -> None:
    declared = reports.load(REPORTS)["flights"].definition["source"]["columns"]
    schema = sample_data.read().schema
    assert column_types.faults(declared, schema) == []
    assert [*declared] == [*schema]


def test_flights_belongs_to_the_airline() -> None:
    assert reports.load(REPORTS)["flights"].definition["tenant"] == "carrier"


@pytest.mark.parametrize(("last", "pointers"), [("2012-12-31", []), ("2013-01-01", ["/to"])])
def test_flights_spans_a_leap_year_and_no_more(last: str, pointers: list[str]) -> None:
    faults = reports.load(REPORTS)["flights"].faults({"from": "2012-01-01", "to": last})
    assert [each["pointer"] for each in faults] == pointers


# ── Bad ones ────────────────────────────────────────────────────────────────────────────────────────────────────────

NAME = "a value of type string, text matching ^[A-Za-z_][A-Za-z0-9_]{0,127}$"
TENANT = """a value such as "tenant_id", {"expression": "SPLIT_PART(owner, '/', 1)"}"""
OPERATORS = 'one of "==", "!=", "<", "<=", ">", ">=", "in", "contains", "is null"'
BAD: dict[str, tuple[Change, str]] = {
    "no title": (
        without("title"),
        "/title: is missing, allowed: a value of type string, at least 1 character, at most 100 characters",
    ),
    "an empty title": (
        at("title", value=""),
        '/title: "" is not allowed, allowed: a value of type string, at least 1 character, at most 100 characters',
    ),
    "no tenant": (without("tenant"), f"/tenant: is missing, allowed: {TENANT}"),
    "a tenant that is no column": (at("tenant", value=""), f'/tenant: "" is not allowed, allowed: {TENANT}'),
    "a tenant of DynamoDB that is an integer": (
        lambda definition: definition.update(
            source={"type": "dynamodb", "table": "orders", "columns": {"owner": "integer"}}, tenant="owner"
        ),
        "/tenant: is declared as integer, but DynamoDB compares it with text, allowed: an attribute of text",
    ),
    "a tenant of DynamoDB that is an expression": (
        lambda definition: definition.update(
            source={"type": "dynamodb", "table": "orders", "columns": {"owner": "string"}},
            tenant={"expression": "LOWER(owner)"},
        ),
        "/tenant: is an expression, but DynamoDB cannot filter by an expression, allowed: an attribute of text",
    ),
    "an unknown field": (
        at("colums", value=[]),
        "/colums: unknown field, allowed: columns, description, parameters, source, spans, tenant, title",
    ),
    "an unknown source": (
        at("source", "type", value="csv"),
        '/source/type: "csv" is not allowed, allowed: one of "dynamodb", "parquet"',
    ),
    "a folder of no dataset": (
        without("source", "dataset"),
        "/source/dataset: is missing, allowed: a value of type string, "
        "text matching ^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$",
    ),
    "a table of files": (
        at("source", "table", value="orders"),
        "/source/table: unknown field, allowed: bounds, columns, dataset, type",
    ),
    "a table without its columns": (
        at("source", value={"type": "dynamodb", "table": "orders"}),
        "/source/columns: is missing, allowed: a value of type object",
    ),
    "a table in a folder": (
        at("source", value={"type": "dynamodb", "table": "orders", "columns": {"a": "string"}, "dataset": "orders"}),
        "/source/dataset: unknown field, allowed: columns, table, type",
    ),
    "a type that DynamoDB does not have": (
        at("source", value={"type": "dynamodb", "table": "orders", "columns": {"day": "date"}}),
        '/source/columns/day: "date" is not allowed, allowed: a value such as '
        '"string", "integer", "number", "decimal(12,2)", "boolean"',
    ),
    "a dataset outside its folder": (
        at("source", "dataset", value="../other"),
        '/source/dataset: "../other" is not allowed, '
        "allowed: a value of type string, text matching ^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$",
    ),
    "bounds with one end": (
        at("source", "bounds", "month", value=[1]),
        "/source/bounds/month: [1] is not allowed, allowed: a value of type array, at least 2 items, at most 2 items",
    ),
    "bounds beyond 64 bits": (
        at("source", "bounds", "month", value=[1, 2**63]),
        "/source/bounds/month/1: 9223372036854775808 is not allowed, allowed: a value of type integer, "
        "at least -9223372036854775808, at most 9223372036854775807",
    ),
    "bounds of the tenant": (
        at("source", "bounds", "shop", value=[1, 2]),
        "/source/bounds/shop: is the tenant, which cannot have bounds, allowed: other integer columns",
    ),
    "a minimum that no double reaches": (
        at("parameters", "least", "minimum", value=10**309),
        f"/parameters/least/minimum: {10**309} is greater than the maximum, allowed: at most 1000; "
        "/parameters/least/default: 0 is not allowed, allowed: a value of type number, "
        f"at least {10**309}, at most 1000",
    ),
    "bounds that are no integers": (
        at("source", "bounds", "month", value=[1, "x"]),
        '/source/bounds/month/1: "x" is not allowed, allowed: a value of type integer, '
        "at least -9223372036854775808, at most 9223372036854775807",
    ),
    "no columns": (
        at("columns", value=[]),
        "/columns: [] is not allowed, allowed: a value of type array, at least 1 item, at most 16384 items",
    ),
    "a column without a type": (
        without("columns", 0, "type"),
        "/columns/0/type: is missing, allowed: one of "
        '"string", "integer", "number", "decimal", "boolean", "date", "time", "timestamp", "binary", "json"',
    ),
    "a column of an unknown type": (
        at("columns", 1, "type", value="money"),
        '/columns/1/type: "money" is not allowed, allowed: one of '
        '"string", "integer", "number", "decimal", "boolean", "date", "time", "timestamp", "binary", "json"',
    ),
    "a column that is there twice": (
        at("columns", 1, "name", value="day"),
        "/columns/1/name: duplicate name 'day', allowed: a unique name",
    ),
    "a title that is there twice": (
        at("columns", 1, "title", value="Day"),
        "/columns/1/title: duplicate title 'Day', allowed: a unique title",
    ),
    "a parameter of an unknown type": (
        at("parameters", "to", "type", value="timestamp"),
        '/parameters/to/type: "timestamp" is not allowed, '
        'allowed: one of "string", "integer", "number", "boolean", "date"',
    ),
    "a filter with an unknown operator": (
        at("parameters", "to", "filter", "operator", value="LIKE"),
        f'/parameters/to/filter/operator: "LIKE" is not allowed, allowed: {OPERATORS}',
    ),
    "a part of a date": (
        at("parameters", "to", "filter", "operator", value="contains"),
        "/parameters/to/filter/operator: contains requires a string, but the parameter is a date, "
        "allowed: type: string",
    ),
    "a null that is a text": (
        at("parameters", "state", "filter", "operator", value="is null"),
        "/parameters/state/filter/operator: is null requires a boolean, but the parameter is a string, "
        "allowed: type: boolean",
    ),
    "a list whose default is none": (
        at("parameters", "state", "filter", "operator", value="in"),
        '/parameters/state/default: "paid" is not allowed, allowed: a value of type array, at least 1 item, '
        "at most 100 items, no duplicates",
    ),
    "a span of a list": (
        at("parameters", "to", "filter", "operator", value="in"),
        "/spans/0/last: 'to' is not a date parameter, allowed: one of the date parameters: from",
    ),
    "a span of no parameter": (
        at("spans", 0, "last", value="until"),
        "/spans/0/last: 'until' is not a date parameter, allowed: one of the date parameters: from, to",
    ),
    "a span of a parameter that is no date": (
        at("spans", 0, "first", value="state"),
        "/spans/0/first: 'state' is not a date parameter, allowed: one of the date parameters: from, to",
    ),
    "a span of no days": (
        at("spans", 0, "at_most_days", value=0),
        "/spans/0/at_most_days: 0 is not allowed, allowed: a value of type integer, at least 1",
    ),
    "a default that its own parameter refuses": (
        at("parameters", "state", "default", value="lost"),
        '/parameters/state/default: "lost" is not allowed, allowed: one of "open", "paid"',
    ),
    "a default of another type": (
        at("parameters", "least", "default", value="0"),
        '/parameters/least/default: "0" is not allowed, allowed: a value of type number, at least 0, at most 1000',
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_definition_is_refused_with_its_file_the_place_and_what_is_allowed(what: str) -> None:
    change, fault = BAD[what]
    with pytest.raises(InvalidDefinition) as refused:
        parse(changed(change))
    assert str(refused.value) == f"orders.yaml: {fault}"


@pytest.mark.parametrize(
    "rule", [{"operator": "=="}, {"operator": "==", "column": "day", "expression": "day"}], ids=["neither", "both"]
)
def test_a_filter_is_of_a_column_or_an_expression_and_the_refusal_says_so(rule: dict[str, str]) -> None:
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml: /parameters/to/filter: ") as refused:
        parse(changed(at("parameters", "to", "filter", value=rule)))
    allowed = str(refused.value).rsplit("allowed: ", 1)[1]
    assert "column" in allowed
    assert "expression" in allowed


def test_a_parameter_with_an_odd_name_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r'^orders\.yaml: /parameters.*"from day" is not allowed'):
        parse(changed(at("parameters", "from day", value=GOOD["parameters"]["to"])))


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml: /parameters/state/pattern: "):
        parse(changed(at("parameters", "state", "pattern", value="([")))


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "1" * 5000], ids=["inf", "-inf", "nan", "5,000 digits"])
def test_a_number_that_json_does_not_have_is_refused_with_its_line(number: str) -> None:
    with pytest.raises(InvalidDefinition, match=r"is not a finite number\s+in .*line 2, column 10"):
        reports.parse("orders", f"title: T\ndefault: {number}\n")


@pytest.mark.parametrize(
    ("kind", "value", "allowed"),
    [
        ("integer", 2**63 - 1, None),
        ("integer", -(2**63), None),
        ("integer", 2**63, "at least -9223372036854775808, at most 9223372036854775807"),
        ("integer", 10**400, "at most 9223372036854775807"),
        ("integer", 9.3e18, "at most 9223372036854775807"),
        ("number", 1.7e308, None),
        ("number", -(10**308), None),
        ("number", 10**309, "at least -1.7976931348623157e+308, at most 1.7976931348623157e+308"),
        ("number", float("inf"), "at most 1.7976931348623157e+308"),
    ],
)
def test_a_number_that_the_engine_does_not_take_is_refused_at_its_place(
    kind: str, value: float, allowed: str | None
) -> None:
    for limit in ({}, {"maximum": 10**500}):
        parameter = {"title": "P", "type": kind, "filter": {"column": "amount", "operator": ">="}} | limit
        found = parse(changed(at("parameters", value={"p": parameter, **GOOD["parameters"]}))).faults(
            {"from": "2026-01-01", "p": value}
        )
        assert [fault["pointer"] for fault in found] == (["/p"] if allowed else [])
        assert all(fault["allowed"].endswith(allowed or "") for fault in found)


def test_bounds_that_no_value_can_lie_within_are_refused() -> None:
    """They would leave every file out, and the export would be empty without a word."""
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml: /source/bounds/month"):
        parse(changed(at("source", "bounds", "month", value=[12, 1])))


def test_every_fault_is_named_at_once() -> None:
    def change(definition: dict[str, Any]) -> None:
        for each in (without("title"), at("tenant", value=1), at("columns", 0, "type", value="x")):
            each(definition)

    with pytest.raises(InvalidDefinition) as refused:
        parse(changed(change))
    assert re.findall(r"(?:orders\.yaml: |; )(/\S+): ", str(refused.value)) == ["/columns/0/type", "/tenant", "/title"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "null is not allowed, allowed: a value of type object"),
        ("- title", '["title"] is not allowed, allowed: a value of type object'),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        reports.parse("orders", text)
    assert str(refused.value) == f"orders.yaml: {message}"


QUOTED = """\
title: Orders
source: {type: parquet, dataset: orders, columns: {shop: string, amount: "decimal(12,2)"}}
tenant: shop
parameters:
  least:
    title: Least
    type: string
    default: none
    filter:
      column: amount
      operator: ">="
columns:
  - {name: amount, title: "Amount, net", type: decimal}
"""


@pytest.mark.parametrize(
    ("was", "now", "advice"),
    [
        ('"decimal(12,2)"', "decimal(12,2)", 'amount: "decimal(12,2)"'),
        ('"Amount, net"', "Amount, net, paid", 'title: "Amount, net, paid"'),
        ('">="', ">=", 'operator: ">="'),
        ('">="', "!=", 'operator: "!="'),
        ('">="', "*", 'operator: "*"'),
        ('">="', "%", 'operator: "%"'),
        (
            'filter:\n      column: amount\n      operator: ">="',
            "filter: {column: amount, operator: >=}",
            'operator: ">="',
        ),
        ("title: Least", "title: % of all", 'title: "% of all"'),
        ("title: Least", "title: @least", 'title: "@least"'),
        ("title: Least", "title: * least", 'title: "* least"'),
        ("title: Least", "title: & least", 'title: "& least"'),
        ("title: Least", "title: ! least", 'title: "! least"'),
        ("title: Least", "title: `least`", 'title: "`least`"'),
        ("title: Least", "title: Amount: least", 'title: "Amount: least"'),
        ("title: Least", 'title: [least] "amount"', "title: '[least] \"amount\"'"),
        ("default: none", "pattern: [A-Z]{3}", 'pattern: "[A-Z]{3}"'),
        ('title: "Amount, net", type', "title: ^[A-Z]{3,4}$, type", 'title: "^[A-Z]{3,4}$"'),
    ],
)
def test_a_value_that_yaml_reads_otherwise_is_told_to_be_put_in_quotes(was: str, now: str, advice: str) -> None:
    reports.parse("orders", QUOTED)
    assert was in QUOTED
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml is not valid YAML: ") as refused:
        reports.parse("orders", QUOTED.replace(was, now))
    assert str(refused.value).rpartition("\n")[2] == f"Put it in quotes: {advice}"


@pytest.mark.parametrize(
    ("was", "now", "where"),
    [
        ("title: Least", "title: no", "/parameters/least/title"),
        ("title: Least", "title: 2013", "/parameters/least/title"),
        ("title: Least", "title: # of orders", "/parameters/least/title"),
        ("title: Least", "title: null", "/parameters/least/title"),
        ("title: Least", "title: [A-Z]", "/parameters/least/title"),
        ("title: Least", "title: {least}", "/parameters/least/title"),
        ("tenant: shop", "tenant: on", "/tenant"),
        ("default: none", "default: no", "/parameters/least/default"),
        ("default: none", "default: 5", "/parameters/least/default"),
        ("default: none", "enum: [NO, SE]", "/parameters/least/enum/0"),
        ("default: none", "enum: [SE, 1]", "/parameters/least/enum/1"),
        ("default: none", "enum: [SE, null]", "/parameters/least/enum/1"),
        ("  least:", "  on:", "/parameters"),
        ('">="', ">", "/parameters/least/filter/operator"),
    ],
)
def test_a_text_that_yaml_reads_as_something_else_is_told_to_be_put_in_quotes(was: str, now: str, where: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        reports.parse("orders", QUOTED.replace(was, now))
    [fault] = refused.value.faults
    assert (fault["pointer"], fault["allowed"].rpartition(": ")[2]) == (where, "put it in quotes")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2013-01-31", "2013-01-31"),
        ("2013-13-31", "2013-13-31"),
        ("2013-01-31 10:00:00", "2013-01-31 10:00:00"),
        ("=", "="),
        ("02139", "02139"),
        ("12:30", "12:30"),
        ("0x10", "0x10"),
        ("10", 10),
        ("-1_000", -1000),
        ("0", 0),
        ("1.50", 1.5),
        (".5", 0.5),
        ("-1.7e+308", -1.7e308),
        ("true", True),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    """YAML 1.1 makes dates of days, 1113 of 02139, 750 of 12:30, and fails on ``=``."""
    kind = {str: "string", bool: "boolean"}.get(type(value), "number")
    changed = QUOTED.replace("type: string\n", f"type: {kind}\n").replace("none", text)
    assert reports.parse("orders", changed).definition["parameters"]["least"]["default"] == value


def test_a_day_may_stand_without_quotes_wherever_a_date_is_asked_for() -> None:
    text = QUOTED.replace("type: string\n", "type: date\n").replace("default: none", "enum: [2013-01-31, 2013-02-28]")
    assert reports.parse("orders", text).parameters_schema["properties"]["least"]["enum"] == [
        "2013-01-31",
        "2013-02-28",
    ]


@pytest.mark.parametrize("text", ["title: [", "title: *nowhere", "title: !!python/object:os.system x"])
def test_a_file_that_is_not_plain_yaml_is_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml is not valid YAML: "):
        reports.parse("orders", text)


@pytest.mark.parametrize("name", ["Orders", "1st", "or ders", "", "orders\n", "a" * 65, "../orders", "or.ders"])
def test_a_file_with_an_odd_name_is_refused(name: str) -> None:
    with pytest.raises(
        InvalidDefinition, match=r"the file name of a report must match \[a-z\]\[a-z0-9-\]\{0,63\}\.yaml$"
    ):
        parse(GOOD, name)


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="lone surrogate"):
        reports.parse("orders", QUOTED.replace("title: Least", 'title: "\\ud800"'))
