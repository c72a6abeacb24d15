"""The DynamoDB source: every item once, counted twice; what does not fit is named, and never shown."""

from __future__ import annotations

import decimal
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
from shared.errors import ColumnMismatch, SourceChanged, SourceUnavailable
from shared.lambda_ import aws, clock, contract
from tests.unit.support import EXPORT_ID, FUNCTIONS, NOW, OWNER, PLAN, ROOT
from tests.unit.tables import Tables, in_memory

TABLE = "orders"


def query(columns: dict[str, str], tenant: str = "acme") -> Query:
    definition = {
        "source": {"type": "dynamodb", "table": TABLE, "columns": columns},
        "tenant": "tenant",
        "columns": [{"name": name, "type": kind.partition("(")[0]} for name, kind in columns.items()],
    }
    return Query.of(definition, {}, tenant)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    with mock_aws():
        yield in_memory(monkeypatch, TABLE)


@pytest.fixture(params=["segments", "ranges"])
def laid_out(request: pytest.FixtureRequest, tables: Tables) -> Tables:
    """40 items, 26 of them of the tenant, in a table whose key holds the tenant or does not."""
    fill(tables, "number" if request.param == "ranges" else None)
    return tables


def fill(tables: Tables, sort_key: str | None, count: int = 40) -> None:
    tables.make("tenant" if sort_key else "id", sort_key)
    tables.put({"id": f"o{n}", "tenant": "acme" if n % 3 else "other", "number": n} for n in range(count))


NUMBERS = query({"tenant": "string", "number": "integer"})
MINE = [number for number in range(40) if number % 3]


def scanned(extents: Any, asked: Query = NUMBERS, fetched: Counter[str] | None = None) -> list[pl.DataFrame]:
    return list(dynamodb.scan(asked, {}, extents, fetched))


def numbers(frames: list[pl.DataFrame]) -> list[int]:
    return [number for frame in frames for number in frame["number"]]


# ── Every item once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_item_of_the_tenant_is_read_once_and_none_of_another_in_parts_that_a_plan_may_hold(
    laid_out: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, extents = dynamodb.plan(NUMBERS)
    assert schema == {"tenant": pl.String, "number": pl.Int64}
    monkeypatch.setattr(planning, "MIN_ROWS", 1)
    event_of_part = contract.event_contract(str(FUNCTIONS / "generate_part" / "app.py"))
    for workers in (1, 20):
        parts = planning.divide(extents, workers, 1)
        assert len(parts) > 1 or workers == 1
        assert sum(part["rows"] for part in parts) == len(MINE)
        frames = [frame for part in parts for frame in scanned(part["sources"])]
        assert sorted(numbers(frames)) == MINE
        assert {tenant for frame in frames for tenant in frame["tenant"]} == {"acme"}
        for part in parts:
            event = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1, "plan": PLAN, "part": part}
            contract.require(event_of_part, event)
    assert dynamodb.plan(query({"tenant": "string", "number": "integer"}, "nobody"))[1] == []


def test_only_the_tenants_partition_is_read_in_the_order_of_the_sort_key(tables: Tables) -> None:
    fill(tables, "number")
    extents: list[Any] = dynamodb.plan(NUMBERS)[1]
    assert [extent["rows"] for extent in extents] == [7, 7, 7, 5]
    bounds = [{"name": "number", "type": "N", "value": n} for n in ("10", "20", "31")]
    assert [extent["after"] for extent in extents] == [None, *bounds]
    assert [extent["until"] for extent in extents] == [*bounds, None]
    assert numbers(scanned(extents)) == MINE
    assert not any("Segment" in asked for asked in tables.asked)
    joined: list[Any] = planning.divide(extents, 20, 1)[0]["sources"]
    assert [(source["rows"], source["after"], source["until"]) for source in joined] == [(26, None, None)]


def test_a_last_page_without_items_leaves_the_last_range_open(tables: Tables) -> None:
    tables.make("tenant", "number")
    tables.put({"tenant": "acme", "number": number} for number in range(14))
    extents: list[Any] = dynamodb.plan(NUMBERS)[1]
    assert [(extent["rows"], extent["until"] is None) for extent in extents] == [(7, False), (7, True)]


@pytest.mark.parametrize(("sort_key", "kind", "count"), [(None, "", 1), ("number", "B", 9)])
def test_a_partition_without_a_sort_key_that_a_plan_can_hold_is_one_range(
    tables: Tables, sort_key: str | None, kind: str, count: int
) -> None:
    tables.make("tenant", sort_key, kind)
    tables.put({"tenant": "acme", "number": bytes([number]), "note": "x"} for number in range(count))
    asked = query({"tenant": "string", "note": "string"})
    extents = dynamodb.plan(asked)[1]
    assert [extent["rows"] for extent in extents] == [count]
    assert [frame.height for frame in scanned(extents, asked)] == [count]


def test_batches_are_bounded(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tables, "number")
    monkeypatch.setattr(dynamodb, "BATCH_ROWS", 14)
    [part] = planning.divide(dynamodb.plan(NUMBERS)[1], 1, 1)
    assert [frame.height for frame in scanned(part["sources"])] == [14, 12]
    monkeypatch.setattr(dynamodb, "BATCH_PAGES", 1)
    assert [frame.height for frame in scanned(part["sources"])] == [7, 7, 7, 5]


@pytest.mark.parametrize(("mebibytes", "segments"), [(0, 4), (33, 8), (64, 8), (65, 16), (128, 16)])
def test_the_larger_a_table_the_more_segments_and_always_the_same_until_it_has_doubled(
    tables: Tables, mebibytes: int, segments: int
) -> None:
    fill(tables, None, 2)
    dynamodb._segments(NUMBERS, mebibytes * 1024**2)
    assert len(tables.asked) == segments


def test_two_plans_never_share_a_part(laid_out: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table has no versions: a finished part may hold items that have changed since, though their number has not."""
    assert dynamodb.plan(NUMBERS) != dynamodb.plan(NUMBERS)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    assert dynamodb.plan(NUMBERS) == dynamodb.plan(NUMBERS)


def test_every_read_is_consistent_and_fetches_no_more_than_is_needed(laid_out: Tables) -> None:
    _, extents = dynamodb.plan(NUMBERS)
    fetched: Counter[str] = Counter()
    planned = len(asked := laid_out.asked)
    scanned(extents, fetched=fetched)
    assert all(each["ConsistentRead"] for each in asked)
    assert {each["Select"] for each in asked[:planned]} == {"COUNT"}
    assert all(set(each["ExpressionAttributeNames"].values()) == {"tenant", "number"} for each in asked[planned:])
    assert fetched["bytes"] == 100 * (len(asked) - planned) > 0


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = {
    "tenant": ("string", pl.String, st.just("acme")),
    "note": ("string", pl.String, st.text(max_size=20)),
    "number": ("integer", pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "weight": ("number", pl.Float64, st.floats(-1e100, 1e100)),
    "price": ("decimal(38,2)", pl.Decimal(38, 2), st.integers(-(10**37), 10**37).map(lambda n: decimal.Decimal(n) / 4)),
    "paid": ("boolean", pl.Boolean, st.booleans()),
}
ITEMS = st.fixed_dictionaries({}, optional={name: st.none() | values for name, (_, _, values) in COLUMNS.items()})


def as_stored(value: Any) -> dict[str, Any]:
    """As DynamoDB hands it out; numbers are text."""
    if value is None:
        return {"NULL": True}
    kind = {bool: "BOOL", str: "S"}.get(type(value), "N")
    return {kind: repr(value) if isinstance(value, float) else str(value) if kind == "N" else value}


@given(st.lists(ITEMS, min_size=1, max_size=8))
def test_values_come_as_they_were_put(items: list[dict[str, Any]]) -> None:
    stored = [{name: as_stored(value) for name, value in item.items()} for item in items]
    frame = dynamodb._frame(query({name: declared for name, (declared, _, _) in COLUMNS.items()}), stored)
    assert frame.schema == {name: COLUMNS[name][1] for name in sorted(COLUMNS)}
    for name in COLUMNS:
        assert frame[name].to_list() == [item.get(name) for item in items]


@pytest.mark.parametrize("text", ["1E+2", "100", "100.0", "1.00E2"])
def test_a_number_is_its_value_however_it_is_written(text: str) -> None:
    assert dynamodb._integer(text) == 100
    assert dynamodb._reader("decimal(5,2)")[1](text) == decimal.Decimal("100.00")


SECRET = "4111111111111111"


MISFIT = "a number that does not fit this type"


@pytest.mark.parametrize(
    ("declared", "value", "found"),
    [
        ("integer", {"S": SECRET}, "a string"),
        ("integer", {"BOOL": True}, "a boolean"),
        *(("integer", {"N": SECRET + rest}, MISFIT) for rest in (".5", "0000")),
        *(("decimal(4,2)", {"N": number}, MISFIT) for number in (SECRET, "1E+125")),
        ("decimal(38,2)", {"N": SECRET + ".125"}, MISFIT),
        *((declared, {"N": SECRET}, "a number") for declared in ("string", "boolean")),
        ("string", {"B": SECRET.encode()}, "binary"),
        ("string", {"M": {"card": {"S": SECRET}}}, "a map"),
        ("string", {"L": [{"S": SECRET}]}, "a list"),
        ("string", {"SS": [SECRET]}, "a string set"),
        ("string", {"NS": [SECRET]}, "a number set"),
        ("string", {"BS": [SECRET.encode()]}, "a binary set"),
    ],
)
def test_a_value_of_another_type_is_named_and_not_shown(declared: str, value: Any, found: str) -> None:
    with pytest.raises(ColumnMismatch) as refused:
        dynamodb._frame(query({"tenant": "string", "v": declared}), [{"tenant": {"S": "acme"}, "v": value}])
    assert str(refused.value) == f"attribute v is declared {declared}, but an item of table orders has {found}"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_key_of_another_type_than_declared_is_named_before_anything_is_read(tables: Tables) -> None:
    tables.make("tenant", "number")
    said = "attribute number is declared string, but in the key of table orders it is a number"
    with pytest.raises(ColumnMismatch, match=said):
        dynamodb.plan(query({"tenant": "string", "number": "string"}))
    assert tables.asked == []


def test_the_pages_report_fits_the_columns_that_it_declares(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "dynamodb-source.md").read_text("utf-8")
    (definition,) = re.findall(r"^```yaml\n(title: .*?)```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "departures.yaml").write_text(definition)
    assert reports.faults(tmp_path) == []


# ── What changes, and what AWS refuses ──────────────────────────────────────────────────────────────────────────────


def test_a_tenants_items_that_changed_since_they_were_counted_are_noticed(laid_out: Tables) -> None:
    def require(said: str) -> None:
        with pytest.raises(SourceChanged, match=said):
            scanned(extents)

    _, extents = dynamodb.plan(NUMBERS)
    changed = r"had [0-9]+ items when the export was planned; it has [0-9]+ now"
    laid_out.put([{"id": "o100", "tenant": "other", "number": 100}])
    assert len(numbers(scanned(extents))) == len(MINE)
    laid_out.put([{"id": "o200", "tenant": "acme", "number": 200}])
    require(changed)
    keys = [each["AttributeName"] for each in laid_out.describe_table(TableName=TABLE)["Table"]["KeySchema"]]
    for number in (200, 7):
        whole = {"id": {"S": f"o{number}"}, "tenant": {"S": "acme"}, "number": {"N": str(number)}}
        laid_out.client.delete_item(TableName=TABLE, Key={name: whole[name] for name in keys})
    require(changed)
    laid_out.client.delete_table(TableName=TABLE)
    require("table orders was removed after the export was planned")


@pytest.mark.parametrize("when", ["planned", "read"])
def test_a_missing_permission_is_named_and_what_is_throttled_is_left_to_a_retry(laid_out: Tables, when: str) -> None:
    _, extents = dynamodb.plan(NUMBERS)

    def refuse(code: str) -> Any:
        def before(call: str) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "not allowed"}}, call.title())

        laid_out.before = before
        dynamodb.plan(NUMBERS) if when == "planned" else scanned(extents)

    with pytest.raises(SourceUnavailable, match="table orders: not allowed"):
        refuse("AccessDeniedException")
    with pytest.raises(ClientError) as refused:
        refuse("ProvisionedThroughputExceededException")
    assert aws.is_transient(refused.value)
