"""Source ``dynamodb``: the items of a table, as ``source.columns`` declares them.

If the tenant is the table's partition key, workers read only that partition, by ranges of the sort key that planning
finds page by page. Otherwise they read the segments of a parallel scan, filtered by tenant in DynamoDB. Items are
counted in planning and again in reading, with consistent reads. A table has no versions: each item is read as it is at
that moment (docs/howto/dynamodb-source.md).
"""

from __future__ import annotations

import decimal
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard, cast

import polars as pl
from botocore.exceptions import ClientError

from shared.engine import column_types
from shared.engine.query import Query
from shared.errors import ColumnMismatch, SourceChanged, SourceMissing, SourceUnavailable
from shared.files.work import Extent, Part, RangeExtent, SegmentExtent, SortKey
from shared.lambda_ import aws, clock

SEGMENT_BYTES = 8 * 1024 * 1024
"""Target size of a segment. A segment is not cut, and a part holds several segments."""
MIN_SEGMENTS, MAX_SEGMENTS = 32, 4096
BATCH_ROWS = 20_000
"""Items that a scan holds at once, plus or minus a page."""
BATCH_PAGES = 8
_PAGE_BYTES = 1024 * 1024
"""Maximum bytes of items in one response of Query or Scan ("Paginating table query results", Developer Guide)."""
_THREADS = 32
_KINDS = {
    "S": "a string",
    "N": "a number",
    "BOOL": "a boolean",
    "B": "binary",
    "M": "a map",
    "L": "a list",
    "SS": "a string set",
    "NS": "a number set",
    "BS": "a binary set",
}
_EXACT = decimal.Context(prec=80, traps=[decimal.Inexact, decimal.InvalidOperation])
Items = list[dict[str, Any]]


def plan(query: Query) -> tuple[pl.Schema, list[Extent]]:
    """The schema and the extents (:class:`.Source`). Counting the items uses the capacity of a scan."""
    table = _describe(query.dataset)
    keys = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    _require_declared(query, {name: kinds[name] for name in keys.values()})
    schema = column_types.schema(query.declared)
    query.check(schema)
    if keys["HASH"] == query.tenant_column:
        return schema, _ranges(query, keys.get("RANGE"), kinds)
    return schema, _segments(query, table["TableSizeBytes"])


def scan(
    query: Query, schema: dict[str, str], extents: list[Extent], fetched: Counter[str] | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The items of the extents, in order (:class:`.Source`)."""
    count = Counter[str]() if fetched is None else fetched
    for extent in cast(list[SegmentExtent | RangeExtent], extents):
        rows, pages, items = 0, 0, cast(Items, [])
        for page in _pages(query.dataset, _request(query, extent, "SPECIFIC_ATTRIBUTES"), planned=True):
            count["bytes"] += int(page["ResponseMetadata"]["HTTPHeaders"].get("content-length", 0))
            rows, pages = rows + len(page["Items"]), pages + 1
            items += page["Items"]
            if len(items) >= BATCH_ROWS or pages >= BATCH_PAGES:
                yield _frame(query, items)
                pages, items = 0, []
        if rows != extent["rows"]:
            counts = f"{extent['rows']} items when the export was planned; it has {rows} now"
            raise SourceChanged(f"{_place(extent)} had {counts}")
        if items:
            yield _frame(query, items)


def passing(query: Query, schema: dict[str, str], extents: list[Extent], parts: Sequence[Part]) -> list[int] | None:
    """None: counting would use the capacity of another scan (:class:`.Source`)."""
    return None


def _describe(table: str) -> Any:
    try:
        return aws.tables().describe_table(TableName=table)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise SourceMissing(f"there is no DynamoDB table {table} in this account and Region") from error
        raise _translated(table, error) from error


def _require_declared(query: Query, keys: dict[str, str]) -> None:
    """Checks the declared types of the key's attributes, the only ones whose types DynamoDB knows."""
    for name, kind in keys.items():
        declared = query.declared.get(name)
        if declared and _reader(declared)[0] != kind:
            raise ColumnMismatch(
                f"attribute {name} is declared {declared}, but in the key of table {query.dataset} it is {_KINDS[kind]}"
            )


def _segments(query: Query, size: int) -> list[Extent]:
    """The segments that hold items of the tenant. A table gives the same segments until its size doubles."""
    total = 2 ** math.ceil(math.log2(max(size, 1)))
    segments = min(max(total // SEGMENT_BYTES, MIN_SEGMENTS), MAX_SEGMENTS)
    now = clock.stamp(clock.now())

    def count(segment: int) -> SegmentExtent:
        extent = SegmentExtent(
            table=query.dataset,
            counted_at=now,
            segment=segment,
            segments=segments,
            rows=0,
            bytes=total // segments,
        )
        extent["rows"] = sum(page["Count"] for page in _pages(query.dataset, _request(query, extent, "COUNT")))
        return extent

    with ThreadPoolExecutor(_THREADS) as pool:
        return [extent for extent in pool.map(count, range(segments)) if extent["rows"]]


def _ranges(query: Query, sort_key: str | None, kinds: dict[str, str]) -> list[Extent]:
    """The tenant's partition as one range per page; as one range if a plan cannot store the sort key."""
    start = RangeExtent(
        table=query.dataset, counted_at=clock.stamp(clock.now()), after=None, until=None, rows=0, bytes=0
    )
    ranges, extent = [], start.copy()
    for page in _pages(query.dataset, _request(query, start, "COUNT")):
        extent["rows"] += page["Count"]
        extent["bytes"] += _PAGE_BYTES
        last = page.get("LastEvaluatedKey")
        if last and extent["rows"] and sort_key and kinds[sort_key] != "B":
            extent["until"] = SortKey(name=sort_key, type=kinds[sort_key], value=last[sort_key][kinds[sort_key]])
            ranges.append(extent)
            extent = start.copy()
            extent["after"] = ranges[-1]["until"]
    if extent["rows"]:
        ranges.append(extent)
    if ranges:
        ranges[-1]["until"] = None
    return cast(list[Extent], ranges)


def _is_segment(extent: SegmentExtent | RangeExtent) -> TypeGuard[SegmentExtent]:
    return "segment" in extent


def _request(query: Query, extent: SegmentExtent | RangeExtent, select: str) -> dict[str, Any]:
    """Parameters of Scan or Query that count the tenant's items of an extent, or get the attributes that are needed."""
    tenant, values = {"S": query.filters[0].value}, {":tenant": {"S": query.filters[0].value}}
    request: dict[str, Any] = {"TableName": extent["table"], "ConsistentRead": True, "Select": select}
    names: dict[str, str] = {}

    def placeholder_of(attribute: str) -> str:
        """The placeholder of an attribute in an expression, because its name may be a reserved word of DynamoDB."""
        return names.setdefault(attribute, f"#a{len(names)}")

    condition = f"{placeholder_of(query.tenant_column or '')} = :tenant"  # never an expression: see reports.parse
    if select != "COUNT":
        request["ProjectionExpression"] = ", ".join(placeholder_of(name) for name in query.needs())
    if _is_segment(extent):
        request |= {"Segment": extent["segment"], "TotalSegments": extent["segments"], "FilterExpression": condition}
    else:
        part = cast(RangeExtent, extent)
        if until := part["until"]:
            condition += f" AND {placeholder_of(until['name'])} <= :until"
            values[":until"] = {until["type"]: until["value"]}
        if after := part["after"]:
            request["ExclusiveStartKey"] = {query.tenant_column: tenant, after["name"]: {after["type"]: after["value"]}}
        request["KeyConditionExpression"] = condition
    placeholders = {placeholder: name for name, placeholder in names.items()}
    return request | {"ExpressionAttributeNames": placeholders, "ExpressionAttributeValues": values}


def _pages(table: str, request: dict[str, Any], planned: bool = False) -> Iterator[dict[str, Any]]:
    client: Any = aws.tables()
    call = client.query if "KeyConditionExpression" in request else client.scan
    while request:
        try:
            page = call(**request)
        except ClientError as error:
            if planned and error.response["Error"]["Code"] == "ResourceNotFoundException":
                raise SourceChanged(f"table {table} was removed after the export was planned") from error
            raise _translated(table, error) from error
        yield page
        last = page.get("LastEvaluatedKey")
        request = request | {"ExclusiveStartKey": last} if last else {}


def _translated(table: str, error: ClientError) -> Exception:
    if aws.is_transient(error):
        return error
    return SourceUnavailable(f"table {table}: {error.response['Error'].get('Message') or error}")


def _place(extent: SegmentExtent | RangeExtent) -> str:
    """The name of an extent in messages. It shows no keys: they are values, which no error may hold."""
    if _is_segment(extent):
        return f"segment {extent['segment']} of {extent['segments']} of table {extent['table']}"
    return f"a range of the tenant's partition of table {extent['table']}"


def _frame(query: Query, items: Items) -> pl.DataFrame:
    """The items as rows. An attribute that is missing or NULL in an item becomes null.

    Raises:
        ColumnMismatch: a value does not have the declared type.
    """
    return pl.DataFrame([_column(query, name, items) for name in query.needs()])


def _column(query: Query, name: str, items: Items) -> pl.Series:
    declared = query.declared[name]
    kind, read = _reader(declared)
    values = []
    for item in items:
        value = item.get(name, {"NULL": True})
        if kind in value:
            try:
                values.append(read(value[kind]))
            except (ArithmeticError, ValueError):
                # No cause: it would show the value.
                raise _misfit(query, name, "a number that does not fit this type") from None
        elif "NULL" in value:
            values.append(None)
        else:
            raise _misfit(query, name, _KINDS[next(iter(value))])
    return pl.Series(name, values, dtype=column_types.dtype(declared))


def _misfit(query: Query, name: str, value: str) -> ColumnMismatch:
    declared = query.declared[name]
    return ColumnMismatch(f"attribute {name} is declared {declared}, but an item of table {query.dataset} has {value}")


def _reader(declared: str) -> tuple[str, Callable[[Any], Any]]:
    """The DynamoDB type of a declared type, and the function that converts its values."""
    if declared in _READERS:
        return _READERS[declared]
    dtype = column_types.dtype(declared)
    assert isinstance(dtype, pl.Decimal)  # report.schema.json allows no other type
    step = decimal.Decimal(1).scaleb(-dtype.scale)
    limit = decimal.Decimal(1).scaleb((dtype.precision or 38) - dtype.scale)

    def exact(text: str) -> decimal.Decimal:
        value = _EXACT.create_decimal(text)
        if abs(value) >= limit:
            raise ValueError
        return value.quantize(step, context=_EXACT)

    return "N", exact


def _integer(text: str) -> int:
    value = decimal.Decimal(text)
    if value != value.to_integral_value() or not -(2**63) <= value < 2**63:
        raise ValueError
    return int(value)


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string": ("S", str),
    "integer": ("N", _integer),
    "number": ("N", float),
    "boolean": ("BOOL", bool),
}
