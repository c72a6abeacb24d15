"""DynamoDB in memory, as a source reads it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer

from shared.engine.sources import dynamodb
from shared.lambda_ import aws
from tests.unit.support import REGION


class Tables:
    """DynamoDB as moto has it, with pages of a few items; ``before`` is called before each call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = _client()
        self.page = 7
        self.is_there = False
        self.sent = 0
        self.asked: list[dict[str, Any]] = []
        self.before: Callable[[str], object] = lambda _: None

    def make(self, hash_key: str, sort_key: str | None = None, kind: str = "N") -> None:
        """The table, with the tenant or something else as its partition key."""
        self.is_there = True
        keys = [(hash_key, "S", "HASH")] + ([(sort_key, kind, "RANGE")] if sort_key else [])
        self.client.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": of} for name, of, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in keys],
        )

    def put(self, items: Iterable[dict[str, Any]]) -> None:
        """Items of Python values."""
        serialize = TypeSerializer().serialize
        puts = [{"PutRequest": {"Item": {name: serialize(value) for name, value in item.items()}}} for item in items]
        for at in range(0, len(puts), 25):
            self.client.batch_write_item(RequestItems={self.name: puts[at : at + 25]})

    def describe_table(self, **asked: Any) -> Any:
        return self.client.describe_table(**asked)

    def scan(self, **asked: Any) -> Any:
        return self._answer(self.client.scan, asked)

    def query(self, **asked: Any) -> Any:
        return self._answer(self.client.query, asked)

    def _answer(self, call: Callable[..., Any], asked: dict[str, Any]) -> Any:
        self.before(call.__name__)
        self.asked.append(asked)
        answer = call(**asked, Limit=self.page)
        answer["ResponseMetadata"]["HTTPHeaders"]["content-length"] = "100"
        self.sent += 100
        return answer


@functools.cache
def _client() -> Any:
    """Made once: making one takes longer than most tests."""
    return boto3.client("dynamodb", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


def in_memory(patched: pytest.MonkeyPatch, name: str) -> Tables:
    """A new account, as yet without the table. It must be within moto's ``mock_aws``."""
    tables = Tables(name)
    patched.setattr(aws, "tables", lambda: tables)
    patched.setattr(dynamodb, "MIN_SEGMENTS", 4)
    patched.setattr(dynamodb, "_THREADS", 1)
    return tables
