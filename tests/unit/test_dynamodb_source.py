"""The DynamoDB source: every item once, counted twice; what does not fit is named, and never shown."""

from __future__ import annotations

import decimal
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from checks import reports
from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import dynamodb
from shared.errors import ColumnMismatch, SourceChanged, SourceMissing, SourceUnavailable
from shared.lambda_ import aws, clock, contract
from tests.unit.support import FUNCTIONS, NOW, ROOT
from tests.unit.tables import Tables, in_memory

TABLE = "orders"
COLUMNS = {
    "tenant": "string",
    "number": "integer",
    "note": "string",
    "weight": "number",
    "price": "decimal(38,2)",
    "paid": "boolean",
}
TYPES = {"string": "string", "integer": "integer", "number": "number", "decimal(38,2)": "decimal", "boolean": "boolean"}
PART = contract.validator(json.loads((FUNCTIONS / "generate_part" / "event.schema.json").read_text("utf-8")))


def query(columns: dict[str, str] = COLUMNS, tenant: str = "acme") -> Query:
    definition = {
        "source": {"type": "dynamodb", "table": TABLE, "columns": columns},
        "tenant": "tenant",
        "columns": [{"name": name, "type": TYPES.get(kind, "decimal")} for name, kind in columns.items()],
    }
    return Query.of(definition, {}, tenant)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    with mock_aws():
        yield in_memory(monkeypatch, TABLE)


def of_many_keys(tables: Tables, count: int = 40) -> None:
    """A table whose key does not hold the tenant, with items of two of them."""
    tables.make("id")
    for number in range(count):
        tables.put(id=f"o{number}", tenant="acme" if number % 3 else "other", number=number)


def of_one_partition(tables: Tables, count: int = 40) -> None:
    """A table whose partition key is the tenant."""
    tables.make("tenant", "number")
    for number in range(count):
        tables.put(tenant="acme" if number % 3 else "other", number=number)


LAYOUTS = {"segments": of_many_keys, "ranges": of_one_partition}
NUMBERS = query({"tenant": "string", "number": "integer"})


@pytest.fixture(params=LAYOUTS)
def laid_out(request: pytest.FixtureRequest, tables: Tables) -> Tables:
    LAYOUTS[request.param](tables)
    return tables


def scanned(extents: Any, asked: Query = NUMBERS, fetched: Counter[str] | None = None) -> list[pl.DataFrame]:
    return list(dynamodb.scan(asked, {}, extents, fetched))


def numbers(frames: list[pl.DataFrame]) -> list[int]:
    return [number for frame in frames for number in frame["number"]]


# ── Every item once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_item_of_the_tenant_is_read_once_and_none_of_another(laid_out: Tables) -> None:
    schema, extents = dynamodb.plan(NUMBERS)
    assert schema == {"tenant": pl.String, "number": pl.Int64}
    parts = planning.divide(extents, 20, 1)
    frames = [frame for part in parts for frame in scanned(part["sources"])]
    assert sorted(numbers(frames)) == [number for number in range(40) if number % 3]
    assert {tenant for frame in frames for tenant in frame["tenant"]} == {"acme"}
    assert sum(part["rows"] for part in parts) == 26


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_however_parts_are_made_they_hold_all_items(
    laid_out: Tables, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(planning, "MIN_ROWS", 1)
    parts = planning.divide(dynamodb.plan(NUMBERS)[1], workers, 1)
    assert len(parts) > 1 or workers == 1
    assert sorted(n for part in parts for n in numbers(scanned(part["sources"]))) == [n for n in range(40) if n % 3]


def test_only_the_tenants_partition_is_read_in_the_order_of_the_sort_key(tables: Tables) -> None:
    of_one_partition(tables)
    _, extents = dynamodb.plan(NUMBERS)
    assert [extent["rows"] for extent in extents] == [7, 7, 7, 5]
    assert [extent["after"] for extent in extents] == [
        None,
        *[{"name": "number", "type": "N", "value": n} for n in ("10", "20", "31")],
    ]  # type: ignore[typeddict-item]
    assert extents[-1]["until"] is None  # type: ignore[typeddict-item]
    assert numbers(scanned(extents)) == [number for number in range(40) if number % 3]
    assert not any("Segment" in asked for asked in tables.asked)


def test_ranges_that_follow_each_other_become_one(tables: Tables) -> None:
    of_one_partition(tables)
    ((source,),) = [part["sources"] for part in planning.divide(dynamodb.plan(NUMBERS)[1], 20, 1)]
    assert (source["rows"], source["after"], source["until"]) == (26, None, None)  # type: ignore[typeddict-item]


def test_a_last_page_without_items_leaves_the_last_range_open(tables: Tables) -> None:
    tables.make("tenant", "number")
    for number in range(14):
        tables.put(tenant="acme", number=number)
    _, extents = dynamodb.plan(NUMBERS)
    assert [extent["rows"] for extent in extents] == [7, 7]
    assert extents[-1]["until"] is None  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("sort_key", "kind"), [(None, ""), ("number", "B")])
def test_a_partition_without_a_sort_key_that_a_plan_can_hold_is_one_range(
    tables: Tables, sort_key: str | None, kind: str
) -> None:
    tables.make("tenant", sort_key, kind)
    for number in range(9 if sort_key else 1):
        tables.put(tenant="acme", **({"number": bytes([number])} if sort_key else {}), note=str(number))
    _, extents = dynamodb.plan(query({"tenant": "string", "note": "string"}))
    assert [extent["rows"] for extent in extents] == [9 if sort_key else 1]
    (frame,) = scanned(extents, query({"tenant": "string", "note": "string"}))
    assert frame.height == extents[0]["rows"]


def test_a_tenant_without_items_has_none(laid_out: Tables) -> None:
    assert dynamodb.plan(query({"tenant": "string", "number": "integer"}, "nobody"))[1] == []


def test_batches_are_bounded(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    of_one_partition(tables)
    monkeypatch.setattr(dynamodb, "BATCH_ROWS", 14)
    [part] = planning.divide(dynamodb.plan(NUMBERS)[1], 1, 1)
    assert [frame.height for frame in scanned(part["sources"])] == [14, 12]
    monkeypatch.setattr(dynamodb, "BATCH_PAGES", 1)
    assert max(frame.height for frame in scanned(dynamodb.plan(NUMBERS)[1])) == 7


def test_the_larger_a_table_the_more_segments_and_always_the_same_until_it_has_doubled(tables: Tables) -> None:
    of_many_keys(tables, 2)

    def segments(size: int) -> int:
        tables.asked.clear()
        dynamodb._segments(NUMBERS, size)
        return len(tables.asked)

    mega = 1024**2
    assert [segments(size) for size in (0, 33 * mega, 64 * mega, 65 * mega, 128 * mega)] == [4, 8, 8, 16, 16]


def test_what_a_plan_pins_is_what_a_part_may_be_given(laid_out: Tables) -> None:
    for part in planning.divide(dynamodb.plan(NUMBERS)[1], 20, 1):
        event = {"owner": "acme#u", "export_id": "01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7", "attempt": 1}
        assert contract.faults(PART, event | {"plan": "0" * 16, "part": part}) == []


def test_two_plans_never_share_a_part(laid_out: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table has no versions: a finished part may hold items that have changed since, though their number has not."""
    assert dynamodb.plan(NUMBERS) != dynamodb.plan(NUMBERS)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    assert dynamodb.plan(NUMBERS) == dynamodb.plan(NUMBERS)


def test_every_read_is_consistent_and_fetches_no_more_than_is_needed(laid_out: Tables) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    fetched: Counter[str] = Counter()
    planned = len(tables_asked := laid_out.asked)
    scanned(extents, fetched=fetched)
    assert all(asked["ConsistentRead"] for asked in tables_asked)
    assert {asked["Select"] for asked in tables_asked[:planned]} == {"COUNT"}
    assert all(
        set(asked["ExpressionAttributeNames"].values()) == {"tenant", "number"} for asked in tables_asked[planned:]
    )
    assert fetched["bytes"] == 100 * (len(tables_asked) - planned) > 0


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DIGITS = st.decimals(min_value=-(10**35), max_value=10**35, places=2, allow_nan=False).map(
    lambda d: d.quantize(decimal.Decimal("0.01"), context=decimal.Context(prec=38))
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "note": st.none() | st.text(max_size=20),
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "weight": st.none() | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100),
        "price": st.none() | DIGITS,
        "paid": st.none() | st.booleans(),
    },
)


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_values_come_as_they_were_put(items: list[dict[str, Any]]) -> None:
    stored = [{"tenant": {"S": "acme"}} | {name: as_stored(value) for name, value in item.items()} for item in items]
    frame = dynamodb._frame(query(), stored)
    assert frame.schema == {name: dict(zip(COLUMNS, DTYPES, strict=True))[name] for name in sorted(COLUMNS)}
    for name in COLUMNS:
        expected = ["acme" if name == "tenant" else item.get(name) for item in items]
        assert frame[name].to_list() == expected


DTYPES = [pl.String, pl.Int64, pl.String, pl.Float64, pl.Decimal(38, 2), pl.Boolean]


def as_stored(value: Any) -> dict[str, Any]:
    """As DynamoDB hands it out; numbers are text."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case float():
            return {"N": repr(value)}
        case _:
            return {"N": str(value)}


@pytest.mark.parametrize("text", ["1E+2", "100", "100.0", "1.00E2"])
def test_a_number_is_its_value_however_it_is_written(text: str) -> None:
    assert dynamodb._integer(text) == 100
    assert dynamodb._reader("decimal(5,2)")[1](text) == decimal.Decimal("100.00")


SECRET = "4111111111111111"
WRONG: list[tuple[str, str, Any, str]] = [
    ("number", "integer", {"S": SECRET}, "a string"),
    ("number", "integer", {"N": SECRET + ".5"}, "a number that does not fit this type"),
    ("number", "integer", {"N": SECRET + "0000"}, "a number that does not fit this type"),
    ("number", "integer", {"BOOL": True}, "a boolean"),
    ("note", "string", {"N": SECRET}, "a number"),
    ("note", "string", {"B": SECRET.encode()}, "binary"),
    ("note", "string", {"M": {"card": {"S": SECRET}}}, "a map"),
    ("note", "string", {"L": [{"S": SECRET}]}, "a list"),
    ("note", "string", {"SS": [SECRET]}, "a string set"),
    ("note", "string", {"NS": [SECRET]}, "a number set"),
    ("note", "string", {"BS": [SECRET.encode()]}, "a binary set"),
    ("price", "decimal(38,2)", {"N": SECRET + ".125"}, "a number that does not fit this type"),
    ("price", "decimal(4,2)", {"N": SECRET}, "a number that does not fit this type"),
    ("price", "decimal(4,2)", {"N": "1E+125"}, "a number that does not fit this type"),
    ("paid", "boolean", {"N": "1"}, "a number"),
]


@pytest.mark.parametrize(("name", "declared", "value", "found"), WRONG)
def test_a_value_of_another_type_is_named_and_not_shown(
    tables: Tables, name: str, declared: str, value: Any, found: str
) -> None:
    tables.make("id")
    tables.put(id="1", tenant="acme", **{name: value})
    asked = query({"tenant": "string", name: declared})
    with pytest.raises(ColumnMismatch) as refused:
        scanned(dynamodb.plan(asked)[1], asked)
    said = f"attribute {name} is declared {declared}, but an item of table orders has {found}"
    assert str(refused.value) == said
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_key_of_another_type_than_declared_is_named_before_anything_is_read(tables: Tables) -> None:
    of_one_partition(tables)
    with pytest.raises(
        ColumnMismatch, match="attribute number is declared string, but in the key of table orders it is a"
    ):
        dynamodb.plan(query({"tenant": "string", "number": "string"}))
    assert tables.asked == []


def test_a_column_that_is_not_declared_is_named(laid_out: Tables) -> None:
    definition = {
        "source": {"type": "dynamodb", "table": TABLE, "columns": {"tenant": "string"}},
        "tenant": "tenant",
        "columns": [{"name": "nothing", "type": "string"}],
    }
    with pytest.raises(ColumnMismatch, match="the source has no column nothing; it has: tenant"):
        dynamodb.plan(Query.of(definition, {}, "acme"))
    assert laid_out.asked == []


def test_the_pages_report_fits_the_columns_that_it_declares(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "dynamodb-source.md").read_text("utf-8")
    (definition,) = re.findall(r"^```yaml\n(title: .*?)```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "departures.yaml").write_text(definition)
    assert reports.faults(tmp_path) == []


# ── What changes, and what AWS refuses ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("more", [True, False], ids=["more items", "fewer items"])
def test_a_table_that_changed_since_it_was_counted_is_noticed(laid_out: Tables, more: bool) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    if more:
        laid_out.put(id="o100", tenant="acme", number=100)
    else:
        laid_out.client.delete_item(TableName=TABLE, Key=key_of(laid_out, 7))
    with pytest.raises(SourceChanged, match=r"had [0-9]+ items when the export was planned; it has [0-9]+ now"):
        scanned(extents)


def key_of(tables: Tables, number: int) -> dict[str, Any]:
    whole = {"id": {"S": f"o{number}"}, "tenant": {"S": "acme"}, "number": {"N": str(number)}}
    keys = tables.client.describe_table(TableName=TABLE)["Table"]["KeySchema"]
    return {each["AttributeName"]: whole[each["AttributeName"]] for each in keys}


def test_items_of_another_tenant_change_nothing(laid_out: Tables) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    laid_out.put(id="o100", tenant="other", number=100)
    assert len(numbers(scanned(extents))) == 26


def test_a_table_that_is_not_there_is_missing(tables: Tables) -> None:
    with pytest.raises(SourceMissing, match="there is no DynamoDB table orders in this account and Region"):
        dynamodb.plan(NUMBERS)


def test_a_table_that_is_gone_since_it_was_planned_has_changed(laid_out: Tables) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    laid_out.client.delete_table(TableName=TABLE)
    with pytest.raises(SourceChanged, match="table orders was removed after the export was planned"):
        scanned(extents)


@pytest.mark.parametrize("when", ["planned", "read"])
def test_what_is_throttled_is_left_to_be_tried_again(laid_out: Tables, when: str) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    laid_out.before = lambda call: refuse("ProvisionedThroughputExceededException", call)
    with pytest.raises(ClientError) as refused:
        dynamodb.plan(NUMBERS) if when == "planned" else scanned(extents)
    assert aws.is_transient(refused.value)


@pytest.mark.parametrize("when", ["planned", "read"])
def test_a_missing_permission_is_named(laid_out: Tables, when: str) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    laid_out.before = lambda call: refuse("AccessDeniedException", call)
    with pytest.raises(SourceUnavailable, match="table orders: not allowed"):
        dynamodb.plan(NUMBERS) if when == "planned" else scanned(extents)


def refuse(code: str, call: str) -> None:
    raise ClientError({"Error": {"Code": code, "Message": "not allowed"}}, call.title())
