"""A data bucket in memory that remembers every byte that was asked for."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.lambda_ import aws
from shared.parquet import footer as parquet_footer
from shared.parquet import thrift

BUCKET = "lake"


class Lake:
    """The calls of boto3's S3 client that a source makes.

    ``asked`` holds (key, first byte, byte after the last) of every request; ``before`` is called before each.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.before: Callable[[str], object] = lambda _: None
        self.breaks_off = False

    def put(self, path: str, content: bytes) -> str:
        """Stores an object of the dataset ``sales``; its key."""
        key = f"data/sales/{path}"
        self.objects[key] = content
        return key

    @property
    def bytes(self) -> int:
        """Bytes that were sent."""
        return sum(end - start for _, start, end in self.asked)

    def get_paginator(self, operation: str) -> Lake:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert Bucket == BUCKET
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        for at in range(0, len(keys), 1000):
            contents = [{"Key": k, "ETag": self._etag(k), "Size": len(self.objects[k])} for k in keys[at : at + 1000]]
            yield {"Contents": contents}

    def get_object(self, Bucket: str, Key: str, Range: str, IfMatch: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == BUCKET
        self.before(Key)
        if Key not in self.objects:
            raise refused("NoSuchKey", 404)
        if IfMatch != self._etag(Key):
            raise refused("PreconditionFailed", 412)
        content = self.objects[Key]
        first, _, last = Range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        end = min(int(last) + 1, len(content)) if first else len(content)
        if start >= end:
            raise refused("InvalidRange", 416)
        self.asked.append((Key, start, end))
        sent = content[start : end - 1 if self.breaks_off else end]
        headers = {"content-range": f"bytes {start}-{end - 1}/{len(content)}"}
        return {
            "Body": StreamingBody(io.BytesIO(sent), end - start),
            "ContentLength": end - start,
            "ResponseMetadata": {"HTTPHeaders": headers},
        }

    def _etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'


def refused(code: str, status: int) -> ClientError:
    """What boto3 raises when S3 refuses."""
    error: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "GetObject")


@contextlib.contextmanager
def in_memory() -> Iterator[Lake]:
    """A new and empty data bucket, which sources read instead of S3."""
    stored = Lake()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"DATA_BUCKET": BUCKET, "DATA_PREFIX": "data", "EXPORTS_BUCKET": "exports"}.items():
            patched.setenv(name, value)
        patched.setattr(aws, "s3", lambda: stored)
        yield stored


@contextlib.contextmanager
def over_http(server: str) -> Iterator[Any]:
    """The client of a bucket of moto's server, the one for data and for exports; afterwards it is empty."""
    variables = {"AWS_ENDPOINT_URL": server, "AWS_DEFAULT_REGION": "us-east-1", "DATA_PREFIX": "data"}
    variables |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    variables |= dict.fromkeys(("DATA_BUCKET", "EXPORTS_BUCKET"), BUCKET)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        aws.s3.cache_clear()
        aws.s3().create_bucket(Bucket=BUCKET)
        yield aws.s3()
        for item in aws.s3().list_objects_v2(Bucket=BUCKET).get("Contents", []):
            aws.s3().delete_object(Bucket=BUCKET, Key=item["Key"])
        aws.s3.cache_clear()


def file(group: int | None = None, options: dict[str, Any] | None = None, **columns: Any) -> bytes:
    """A file of pyarrow, in row groups of a size; every row is of the tenant ``acme`` unless the columns say more."""
    tenants = {"tenant": ["acme"] * len(next(iter(columns.values())))}
    return by_arrow(pa.table(tenants | columns), group, **(options or {}))


def by_arrow(table: pa.Table, group: int | None = None, **options: Any) -> bytes:
    """A table in a file of pyarrow, in row groups of a size."""
    into = io.BytesIO()
    pq.write_table(table, into, row_group_size=group, **options)
    return into.getvalue()


def by_polars(table: pl.DataFrame | pa.Table, group: int | None = None, **options: Any) -> bytes:
    """A table in a file of polars, in row groups of a size."""
    into = io.BytesIO()
    pl.DataFrame(table).write_parquet(into, row_group_size=group, **options)
    return into.getvalue()


def by_duckdb(select: str, options: str = "", **tables: pa.Table) -> bytes:
    """What a query finds, in a file of DuckDB."""
    import duckdb  # it takes a moment, which many tests need not wait for

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        connection.execute(f"COPY ({select}) TO '{folder}/a.parquet' (FORMAT parquet{options})")
        return Path(folder, "a.parquet").read_bytes()


def footer_of(content: bytes) -> bytes:
    """The footer of a file."""
    size = parquet_footer.footer_length(content[-8:])
    return content[-8 - size : -8]


def with_footer(content: bytes, change: Callable[[thrift.Struct], object]) -> bytes:
    """The file with another footer."""
    old = footer_of(content)
    fields = thrift.read(old)
    change(fields)
    new = thrift.write(fields).data
    return content[: -8 - len(old)] + new + len(new).to_bytes(4, "little") + b"PAR1"


def report(*columns: str, parameters: dict[str, Any] | None = None, **source: Any) -> dict[str, Any]:
    """A report of columns ``name`` (integers) or ``name:type``; the column ``note`` is optional."""
    named = [each.partition(":") for each in columns]
    return {
        "source": {"type": "parquet", "dataset": "sales"} | source,
        "tenant": "tenant",
        "parameters": parameters or {},
        "columns": [{"name": name, "type": kind or "integer", "optional": name == "note"} for name, _, kind in named],
    }


def parameter(kind: str, operator: str, column: str = "v", **rule: Any) -> dict[str, Any]:
    """The parameter ``p`` of a report: a filter of a column, or of an ``expression``."""
    of = {} if "expression" in rule else {"column": column}
    return {"p": {"title": "P", "type": kind, "filter": of | {"operator": operator} | rule}}


def query(*columns: str, tenant: str = "tenant", parameters: dict[str, Any] | None = None, **values: Any) -> Query:
    """A query of a report's columns for the tenant ``acme``."""
    return Query.of(report(*columns, parameters=parameters) | {"tenant": tenant}, values, "acme")


def extent(lake: Lake, key: str, offset: int, rows: int) -> Any:
    """Some rows of an object as it is now."""
    return {"key": key, "etag": lake._etag(key), "offset": offset, "rows": rows, "bytes": len(lake.objects[key])}


def scan(asked: Query, extents: list[Any], schema: dict[str, str] | None = None) -> pl.DataFrame:
    """All rows of extents as one frame."""
    return pl.concat(list(parquet.scan(asked, schema or {}, extents)))


def shown(asked: Query, extents: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of an export: of everything that is planned, or of some extents."""
    schema, planned = parquet.plan(asked)
    text = {name: str(dtype) for name, dtype in schema.items()}
    frames = parquet.scan(asked, text, planned if extents is None else extents)
    return [row for frame in frames for row in asked.apply(frame).rows()]
