"""Report definitions: valid ones become schemas and defaults, others are refused with what to repair."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from exports_admin import sample_data
from shared.catalogue import reports
from shared.engine import column_types
from shared.errors import InvalidDefinition, UnknownReport
from tests.unit.support import REPORTS

GOOD: dict[str, Any] = yaml.safe_load("""
title: Orders
source: {type: parquet, dataset: export-1/shop/public.orders, bounds: {month: [1, 12]}}
tenant: shop
parameters:
  from: {title: From, type: date, required: true, filter: {column: day, operator: ">="}}
  to: {title: To, type: date, filter: {column: day, operator: "<="}}
  state: {title: State, type: string, enum: [open, paid], default: paid, filter: {column: state, operator: "=="}}
  least: {title: Least, type: number, minimum: 0, maximum: 1000, default: 0,
          filter: {expression: amount * 100, operator: ">="}}
spans: [{first: from, last: to, at_most_days: 31}]
columns:
  - {name: day, title: Day, type: date}
  - {name: amount, title: Amount, type: decimal, expression: amount * 100}
""")
MISSING = object()


def parse(definition: Any, name: str = "orders") -> reports.Report:
    return reports.parse(name, yaml.safe_dump(definition), {}.__getitem__)


def changed(place: str, value: Any) -> dict[str, Any]:
    """The valid definition with another value at a place, such as ``columns/0/type``; or with none there."""
    definition = copy.deepcopy(GOOD)
    *path, last = [int(step) if step.isdigit() else step for step in place.split("/")]
    inner: Any = definition
    for step in path:
        inner = inner[step]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return definition


def refused(definition: Any) -> InvalidDefinition:
    """How a definition is refused."""
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml: ") as error:
        parse(definition)
    return error.value


def pointers(report: reports.Report, **parameters: Any) -> list[str]:
    """The places of the faults of a request's parameters."""
    return [fault["pointer"] for fault in report.faults({"from": "2026-01-01"} | parameters)]


# ── Valid definitions ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_parameters_become_a_closed_json_schema() -> None:
    date, enum = {"type": "string", "format": "date"}, {"enum": ["open", "paid"], "default": "paid"}
    assert parse(GOOD).parameters_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["from"],
        "properties": {
            "from": {"title": "From"} | date,
            "to": {"title": "To"} | date,
            "state": {"title": "State", "type": "string", "maxLength": 256} | enum,
            "least": {"title": "Least", "type": "number", "minimum": 0, "maximum": 1000, "default": 0},
        },
    }


LISTED = yaml.safe_load("""
states: {title: States, type: string, enum: [open, paid], default: [paid], filter: {column: state, operator: in}}
days: {title: Days, type: date, filter: {column: day, operator: in}}
note: {title: Note, type: string, filter: {column: note, operator: contains}}
unpaid: {title: Unpaid, type: boolean, filter: {column: paid_at, operator: is null}}
""")
WITH_LISTED = changed("parameters", GOOD["parameters"] | LISTED)


def test_the_operator_decides_whether_a_parameter_is_a_list_a_text_or_a_boolean() -> None:
    report = parse(WITH_LISTED)
    several = {"type": "array", "minItems": 1, "maxItems": 100, "uniqueItems": True}
    states = {"type": "string", "maxLength": 256, "enum": ["open", "paid"]}
    assert {name: report.parameters_schema["properties"][name] for name in LISTED} == {
        "states": several | {"title": "States", "items": states, "default": ["paid"]},
        "days": several | {"title": "Days", "items": {"type": "string", "format": "date"}},
        "note": {"title": "Note", "type": "string", "minLength": 1, "maxLength": 256},
        "unpaid": {"title": "Unpaid", "type": "boolean"},
    }
    assert pointers(report, states=["open", "paid"], note="%", unpaid=False) == []
    assert pointers(report, states=["open", "lost"]) == ["/states/1"]
    assert pointers(report, days=[f"{year}-01-01" for year in range(1900, 2001)]) == ["/days"]


def test_a_report_needs_no_parameters_and_those_that_are_not_set_have_their_defaults() -> None:
    report = parse(GOOD)
    assert report.resolve({"from": "2026-01-01"}) == {"from": "2026-01-01", "state": "paid", "least": 0}
    assert report.resolve({"state": "open", "least": 5}) == {"state": "open", "least": 5}
    without = parse({name: GOOD[name] for name in ("title", "source", "tenant", "columns")})
    assert (without.faults({}), without.resolve({}), pointers(without)) == ([], {}, ["/from"])


@pytest.mark.parametrize(
    ("first", "last", "fault"),
    [
        ("2026-01-01", "2026-01-01", None),
        ("2026-01-01", "2026-01-31", None),
        ("2026-01-01", "2026-02-01", ("2026-01-01 to 2026-02-01 is 32 days", "at most 31 days, up to 2026-01-31")),
        ("2026-01-02", "2026-01-01", ("2026-01-01 is before from 2026-01-02", "2026-01-02 or later")),
        ("0001-01-01", "9999-12-31", ("0001-01-01 to 9999-12-31 is 3652059 days", "at most 31 days, up to 0001-01-31")),
        ("2026-01-01", None, None),
        ("2026-01-01", "yesterday", ('"yesterday" is not allowed', "a value of type string, format date, YYYY-MM-DD")),
    ],
)
def test_a_span_of_two_dates_is_counted_in_days_with_both_ends(
    first: str, last: str | None, fault: tuple[str, str] | None
) -> None:
    found = parse(GOOD).faults({"from": first} | ({"to": last} if last else {}))
    expected = [("/to", *fault)] if fault else []
    assert [(each["pointer"], each["detail"], each["allowed"]) for each in found] == expected


def test_the_reports_are_the_yaml_files_of_the_deployed_folder_and_are_read_once(
    tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orders.yaml", "a-1.yaml", "notes.md"):
        (tmp_path / name).write_text(yaml.safe_dump(GOOD))
    monkeypatch.setenv("REPORTS_FOLDER", str(tmp_path))
    assert list(reports.deployed()) == ["a-1", "orders"]
    (tmp_path / "orders.yaml").unlink()
    assert (reports.report("orders").id, reports.report("orders").definition) == ("orders", GOOD)
    with pytest.raises(UnknownReport, match=r"^there is no report 'order'; the reports are: a-1, orders$"):
        reports.report("order")


def test_the_report_flights_matches_its_source() -> None:
    flights, schema = reports.load(REPORTS)["flights"], sample_data.read().schema
    declared = flights.definition["source"]["columns"]
    assert column_types.faults(declared, schema) == []
    assert [column["name"] for column in flights.definition["columns"]] == [*declared] == [*schema]
    assert (len(schema), flights.definition["tenant"]) == (19, "carrier")
    leap_year = {"from": "2012-01-01", "to": "2012-12-31"}
    assert flights.faults(leap_year) == []
    assert [fault["pointer"] for fault in flights.faults(leap_year | {"to": "2013-01-01"})] == ["/to"]


# ── Definitions that are not valid ──────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, list[Any]] = {
    "title": [MISSING, ""],
    "tenant": [MISSING, ""],
    "colums": [[]],
    "source/type": ["none"],
    "source/dataset": [MISSING, "../other"],
    "source/table": ["orders"],
    "source/bounds/month": [[1]],
    "source/bounds/month/1": [2**63, "x"],
    "columns": [[]],
    "columns/0/type": [MISSING],
    "columns/1/type": ["money"],
    "spans/0/at_most_days": [0],
    "parameters/to/type": ["timestamp"],
    "parameters/to/filter": [{"operator": "=="}, {"operator": "==", "column": "day", "expression": "day"}],
    "parameters/to/filter/operator": ["LIKE"],
    "parameters/state/pattern": ["(["],
}


@pytest.mark.parametrize("place", WRONG)
def test_a_definition_that_breaks_the_schema_is_refused_at_its_place(place: str) -> None:
    for value in WRONG[place]:
        assert [fault["pointer"] for fault in refused(changed(place, value)).faults] == [f"/{place}"]


def test_every_fault_is_named_with_its_place_and_what_is_allowed() -> None:
    definition = changed("title", MISSING) | {"tenant": 1, "colums": []}
    del definition["parameters"]["to"]["filter"]["column"]
    assert str(refused(definition)) == (
        "orders.yaml: /colums: unknown field, allowed: columns, description, limit, parameters, sort, "
        "sortable, source, spans, tenant, title; "
        "/parameters/to/filter: has none of column, expression, allowed: exactly one of column, expression; "
        '/tenant: 1 is not allowed, allowed: a value such as "tenant_id", '
        '{"expression": "SPLIT_PART(owner, \'/\', 1)"}; YAML reads it as a number: put it in quotes; '
        "/title: is missing, allowed: a value of type string, at least 1 character, at most 100 characters"
    )


NO_NUMBER = "a column of type date is not shown as a number, allowed: columns of type integer, number, decimal"
NO_TEXT = "contains requires type: string, but the parameter has type: date, allowed: type: string"
NO_BOOLEAN = "is null requires type: boolean, but the parameter has type: string, allowed: type: boolean"
LETTERS = "a value of type string, at most 256 characters; YAML reads it as a number: put it in quotes"


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("source/bounds/shop", [1, 2], "is the tenant, which cannot have bounds, allowed: other integer columns"),
        # Bounds that no value can lie within would leave every file out.
        ("source/bounds/month", [12, 1], "12 is greater than 1, allowed: the minimum, then the maximum"),
        ("parameters/to/filter/operator", "contains", NO_TEXT),
        ("parameters/state/filter/operator", "is null", NO_BOOLEAN),
        ("parameters/to/maximum", 366, "has no meaning for a parameter of type date, allowed: type: integer or number"),
        ("parameters/to/pattern", "^2", "has no meaning for a parameter of type date, allowed: type: string"),
        ("parameters/state/default", "lost", '"lost" is not allowed, allowed: one of "open", "paid"'),
        ("parameters/state/enum/0", 5, f"5 is not allowed, allowed: {LETTERS}"),
        ("spans/0/first", "state", "'state' is not a date parameter, allowed: one of the date parameters: from, to"),
        ("columns/1/name", "day", "duplicate name 'day', allowed: a unique name"),
        ("columns/1/title", "Day", "duplicate title 'Day', allowed: a unique title"),
        ("columns/0/format", "0.00", NO_NUMBER),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused_at_its_place(place: str, value: Any, fault: str) -> None:
    assert str(refused(changed(place, value))) == f"orders.yaml: /{place}: {fault}"


NEVER_USED = "is never used, because the parameter is required, allowed: either required or default"
TOO_MANY_PLACES = "decimal(2,3) has more decimal places than digits, allowed: decimal(2,0) to (2,2)"
DYNAMODB = {"type": "dynamodb", "table": "orders", "columns": {"owner": "string"}}


@pytest.mark.parametrize(
    ("place", "value", "pointer", "fault"),
    [
        ("parameters/from day", GOOD["parameters"]["to"], "parameters", '"from day" is not allowed'),
        ("parameters/to/filter/operator", "in", "spans/0/last", "'to' is not a date parameter"),
        ("parameters/state/filter/operator", "in", "parameters/state/default", '"paid" is not allowed'),
        ("parameters/state/required", True, "parameters/state/default", NEVER_USED),
        ("source/columns", {"amount": "decimal(2,3)"}, "source/columns/amount", TOO_MANY_PLACES),
        ("source", {"type": "dynamodb", "table": "orders"}, "source/columns", "is missing"),
        ("source", DYNAMODB | {"dataset": "orders"}, "source/dataset", ""),
        ("source", DYNAMODB | {"columns": {"day": "date"}}, "source/columns/day", ""),
    ],
)
def test_a_fault_is_told_where_it_is_though_another_place_changed(
    place: str, value: Any, pointer: str, fault: str
) -> None:
    [found] = refused(changed(place, value)).faults
    assert found["pointer"] == f"/{pointer}"
    assert f"{found['detail']}, allowed: {found['allowed']}".startswith(fault)


def test_a_minimum_beyond_the_maximum_is_refused_with_the_default_that_it_does_not_allow() -> None:
    found = {fault["pointer"]: fault for fault in refused(changed("parameters/least/minimum", 10**309)).faults}
    assert [*found] == ["/parameters/least/minimum", "/parameters/least/default"]
    minimum = found["/parameters/least/minimum"]
    assert (minimum["detail"], minimum["allowed"]) == (f"{10**309} is greater than the maximum", "at most 1000")


@pytest.mark.parametrize(
    ("tenant", "type_", "fault"),
    [
        ("owner", "integer", "is declared as integer, but DynamoDB compares it with text"),
        ({"expression": "LOWER(owner)"}, "string", "is an expression, but DynamoDB cannot filter by an expression"),
    ],
)
def test_the_tenant_of_a_dynamodb_table_is_an_attribute_of_text(tenant: Any, type_: str, fault: str) -> None:
    error = refused(changed("source", DYNAMODB | {"columns": {"owner": type_}}) | {"tenant": tenant})
    assert str(error) == f"orders.yaml: /tenant: {fault}, allowed: an attribute of text"


@pytest.mark.parametrize("name", ["Orders", "1st", "or ders", "", "orders\n", "a" * 65, "../orders", "or.ders"])
def test_a_file_name_that_is_not_allowed_is_refused(name: str) -> None:
    with pytest.raises(InvalidDefinition, match=r"the file name of a report must match \[a-z\].*\{0,63\}\.yaml$"):
        parse(GOOD, name)


@pytest.mark.parametrize(
    ("kind", "value", "allowed"),
    [
        *(("integer", value, None) for value in (2**63 - 1, -(2**63))),
        ("integer", 2**63, "at least -9223372036854775808, at most 9223372036854775807"),
        *(("integer", value, "at most 9223372036854775807") for value in (10**400, 9.3e18)),
        *(("number", value, None) for value in (1.7e308, -(10**308))),
        ("number", 10**309, "at least -1.7976931348623157e+308, at most 1.7976931348623157e+308"),
        ("number", float("inf"), "at most 1.7976931348623157e+308"),
    ],
)
def test_a_number_that_the_engine_does_not_take_is_refused_at_its_place(
    kind: str, value: float, allowed: str | None
) -> None:
    for limit in ({}, {"maximum": 10**500}):
        parameter = {"title": "P", "type": kind, "filter": {"column": "amount", "operator": ">="}} | limit
        found = parse(changed("parameters/p", parameter)).faults({"from": "2026-01-01", "p": value})
        assert [fault["pointer"] for fault in found] == (["/p"] if allowed else [])
        assert all(fault["allowed"].endswith(allowed or "") for fault in found)


# ── What YAML makes of a text ───────────────────────────────────────────────────────────────────────────────────────

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
TITLES = ("% of all", "@least", "* least", "& least", "! least", "`least`", "Amount: least")
IN_BLOCK, IN_BRACES = 'filter:\n      column: amount\n      operator: ">="', "filter: {column: amount, operator: >=}"


@pytest.mark.parametrize(
    ("was", "now", "advice"),
    [
        ('"decimal(12,2)"', "decimal(12,2)", 'amount: "decimal(12,2)"'),
        ('"Amount, net"', "Amount, net, paid", 'title: "Amount, net, paid"'),
        *(('">="', text, f'operator: "{text}"') for text in (">=", "!=", "*", "%")),
        (IN_BLOCK, IN_BRACES, 'operator: ">="'),
        *(("Least", text, f'title: "{text}"') for text in TITLES),
        ("Least", '[least] "amount"', "title: '[least] \"amount\"'"),
        ("default: none", "pattern: [A-Z]{3}", 'pattern: "[A-Z]{3}"'),
        ('title: "Amount, net", type: decimal}', "title: f(a, b), type: g(c, d)}", 'title: "f(a, b)"'),
        ('title: "Amount, net", type: decimal}', "title: A, type: decimal, format: #,##0}", 'format: "#,##0"'),
        ('title: "Amount, net", type', "title: #,##0, type", 'title: "#,##0"'),
        ('title: "Amount, net", type', "title: ^[A-Z]{3,4}$, type", 'title: "^[A-Z]{3,4}$"'),
    ],
)
def test_an_error_of_yaml_says_which_value_needs_quotes(was: str, now: str, advice: str) -> None:
    reports.parse("orders", QUOTED, {}.__getitem__)
    assert was in QUOTED
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml is not valid YAML: ") as error:
        reports.parse("orders", QUOTED.replace(was, now), {}.__getitem__)
    assert str(error.value).rpartition("\n")[2] == f"Put it in quotes: {advice}"


@pytest.mark.parametrize(
    ("was", "now", "where"),
    [
        *(("Least", text, "least/title") for text in ("no", "2013", "# of orders", "null", "[A-Z]", "{least}")),
        *(("none", text, "least/default") for text in ("no", "5")),
        ("default: none", "enum: [NO, SE]", "least/enum/0"),
        *(("default: none", f"enum: [SE, {text}]", "least/enum/1") for text in ("1", "null")),
        ('">="', ">", "least/filter/operator"),
        ("  least:", "  on:", ""),
        ("tenant: shop", "tenant: on", "/tenant"),
    ],
)
def test_a_text_that_yaml_reads_as_another_type_needs_quotes_too(was: str, now: str, where: str) -> None:
    with pytest.raises(InvalidDefinition) as error:
        reports.parse("orders", QUOTED.replace(was, now), {}.__getitem__)
    [fault] = error.value.faults
    place = where if where.startswith("/") else f"/parameters/{where}".rstrip("/")
    assert (fault["pointer"], fault["allowed"].rpartition(": ")[2]) == (place, "put it in quotes")


TEXTS = ("2013-01-31", "2013-13-31", "2013-01-31 10:00:00", "=", "02139", "12:30", "0x10")
NUMBERS = {"10": 10, "-1_000": -1000, "0": 0, "1.50": 1.5, ".5": 0.5, "-1.7e+308": -1.7e308}


@pytest.mark.parametrize(("text", "value"), [*zip(TEXTS, TEXTS, strict=True), *NUMBERS.items(), ("true", True)])
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    """YAML 1.1 makes dates of days, 1113 of 02139, 750 of 12:30, and fails on ``=``."""
    kind = {str: "string", bool: "boolean"}.get(type(value), "number")
    quoted = QUOTED.replace("type: string\n", f"type: {kind}\n").replace("none", text)
    assert reports.parse("orders", quoted, {}.__getitem__).definition["parameters"]["least"]["default"] == value


NOT_YAML = " is not valid YAML: "
NOT_FINITE = NOT_YAML + r".*is not a finite number\s+in .*line 2, column 10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": null is not allowed, allowed: a value of type object$"),
        ("- title", r""": \["title"\] is not allowed, allowed: a value of type object$"""),
        *((text, NOT_YAML) for text in ("title: [", "title: *nowhere", "title: !!python/object:os.system x")),
        ("title: T\ntitle: U", NOT_YAML + r"duplicate key 'title'\s+in .*line 2, column 1"),
        *((f"title: T\ndefault: {text}", NOT_FINITE) for text in (".inf", "-.inf", ".nan")),
        pytest.param("title: T\ndefault: " + "1" * 5000, NOT_FINITE, id="5,000 digits"),
        ('title: "\\ud800"', " has a lone surrogate "),
    ],
)
def test_a_file_that_is_not_a_plain_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidDefinition, match=r"^orders\.yaml" + message):
        reports.parse("orders", text, {}.__getitem__)
