"""The services in memory say what moto says, to every call that the product makes of them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.files import work
from shared.lambda_ import aws, clock
from shared.records import table as records
from shared.records.table import AlreadyRequested, Record
from tests.stateful.memory import Memory, Refused
from tests.stateful.world import product
from tests.support.moto_machine import REGION, Template
from tests.support.stepper import Ask, Run

NOW = datetime.datetime(2026, 11, 23, 9, 0, tzinfo=datetime.UTC)
TEMPLATE = Template()
OWNER, EXPORTS = "UA#1", ("01a20000-0001-7000-8000-000000000000", "01a20000-0002-7000-8000-000000000000")
FAILURE: records.Failure = {"state": "PlanParts", "type": "Error", "error": "{}", "part": ""}
RESULT = {"key": "exports/a", "crc32": "0", "expires_at": "2026", "parts_total": "1", "rows": "1", "bytes": "1"}
RESULT |= {"delete_after": "9", "warning": ""}
SAID = ("Item", "Attributes", "Items", "Count", "CommonPrefixes", "KeyCount", "ETag", "ContentLength", "ContentRange")


def states() -> dict[str, dict[str, Any]]:
    """The states that write the record."""
    whole = json.loads(TEMPLATE.definition())["States"]
    found = whole | whole["FanOutParts"]["ItemProcessor"]["States"]
    return {name: state for name, state in found.items() if "dynamodb" in state.get("Resource", "")}


def asked(name: str, record: Record) -> dict[str, Any]:
    """What a state asks of DynamoDB."""
    data: dict[str, Any] = {key: record[key] for key in ("owner", "export_id", "attempt")}  # type: ignore[literal-required]
    data |= {"caught": {"Error": "E", "Cause": "C"}, "failure": FAILURE, "plan": {"name": "p"}, "file": RESULT}
    data |= {"part": {"part": 1}}
    run = Run({"StartAt": name, "States": states()}, data, {"Execution": {"Id": "arn"}}, lambda: "2026-11-23T09:00:00Z")
    assert isinstance(run.waits_for, Ask)
    return run.waits_for.arguments


def stamp(minutes: int = 0) -> str:
    return clock.stamp(NOW + datetime.timedelta(minutes=minutes))


# Everything that is done to a record, with the record that the caller believes in.
WRITES: dict[str, Callable[[Record], object]] = {
    "create": lambda record: records.create(record, None, 1),
    "create with a key": lambda record: records.create(record, {"key": "k", "body_hash": "b"}, 1),
    "create later": lambda record: records.create(record, {"key": "k", "body_hash": "b"}, 10**6),
    "withdraw": lambda record: records.withdraw(record, {"key": "k", "body_hash": "b"}),
    "adopt": records.adopt,
    "cancel": lambda record: records.cancel(record, stamp()),
    "retry": lambda record: records.retry(record, stamp(), 1),
    "fail": lambda record: records.fail(record, FAILURE, stamp()),
    "succeed": lambda record: records.succeed(record, RESULT, "p", stamp()),
    "claim": lambda record: records.claim_dead_letter(record, NOW),
    "claim later": lambda record: records.claim_dead_letter(record, NOW + datetime.timedelta(minutes=3)),
    "sent": records.dead_letter_sent,
    "settled": records.settled,
    "remove": records.remove,
    "list": lambda record: [list(records.newest_first(OWNER)), list(records.newest_first(OWNER, EXPORTS[1]))],
    "count": lambda record: [
        records.count_active(OWNER),
        records.count_active_of_tenant(OWNER.split("#")[0]),
        sorted(records.unsettled()),
    ],
    "find": lambda record: records.find_first(OWNER, {"key": "k", "body_hash": "b"}, 1),
} | {name: lambda record, name=name: aws.dynamodb().update_item(**asked(name, record)) for name in states()}  # type: ignore[misc]


@pytest.fixture(scope="module", autouse=True)
def _moto() -> Iterator[None]:
    environment = TEMPLATE.environment("RequestExport") | TEMPLATE.environment("ReconcileExports")
    environment |= {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    with mock.patch.object(os, "environ", {**os.environ, **environment}), mock_aws():
        for cached in (aws.dynamodb, aws.prompt_s3, aws.s3):
            cached.cache_clear()
        yield
        for cached in (aws.dynamodb, aws.prompt_s3, aws.s3):
            cached.cache_clear()


class Both:
    """Each call goes to moto and to memory, which must say the same; everything is gone when it begins."""

    def __init__(self) -> None:
        self.memory = Memory(now=lambda: NOW)
        self._stock = BaseClient._make_api_call
        self._empty()

    def _empty(self) -> None:
        table = TEMPLATE.properties("ExportsTable")
        described = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        dynamodb, s3 = (boto3.client(service) if service == "s3" else aws.dynamodb() for service in ("dynamodb", "s3"))
        if table_name() in dynamodb.list_tables()["TableNames"]:
            dynamodb.delete_table(TableName=table_name())
            for item in s3.list_objects_v2(Bucket=work.bucket()).get("Contents", []):
                s3.delete_object(Bucket=work.bucket(), Key=item["Key"])
        else:
            s3.create_bucket(Bucket=work.bucket())
        dynamodb.create_table(TableName=table_name(), **{key: table[key] for key in described})

    def __enter__(self) -> Both:
        self._patch = mock.patch.object(BaseClient, "_make_api_call", self._call_both())
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _call_both(self) -> Callable[..., Any]:
        def call(client: Any, operation: str, given: dict[str, Any]) -> Any:
            ours = self._outcome(lambda: getattr(self.memory, xform_name(operation))(**given))
            theirs = self._outcome(lambda: self._stock(client, operation, given))
            assert self._said(ours) == self._said(theirs), (operation, given)
            if isinstance(theirs, ClientError):
                raise theirs
            return theirs

        return call

    @staticmethod
    def _outcome(do: Callable[[], Any]) -> Any:
        try:
            return do()
        except (Refused, ClientError) as error:
            return error

    @staticmethod
    def _said(outcome: Any) -> Any:
        if isinstance(outcome, Refused | ClientError):
            reasons = [reason["Code"] for reason in outcome.response.get("CancellationReasons", [])]
            return outcome.response["Error"]["Code"], reasons
        said = {name: outcome[name] for name in SAID if name in outcome}
        said["Contents"] = [(item["Key"], item["ETag"], item["Size"]) for item in outcome.get("Contents", [])]
        for name in ("Item", "Attributes"):
            if not said.get(name):
                said.pop(name, None)
        if "Items" in said:
            said["Items"] = sorted(said["Items"], key=lambda item: item["export_id"]["S"])
        return said


def table_name() -> str:
    return os.environ["EXPORTS_TABLE"]


def record(number: int, **more: Any) -> Record:
    made = {"owner": OWNER, "active_owner": OWNER, "export_id": EXPORTS[number], "status": "QUEUED", "attempt": 1}
    return made | more  # type: ignore[return-value]


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(WRITES)), st.integers(0, 1), st.integers(1, 2), st.sampled_from(["FAILED", "QUEUED"])
        ),
        min_size=10,
        max_size=30,
    )
)
def test_dynamodb_in_memory_is_motos(writes: list[tuple[str, int, int, Any]]) -> None:
    with Both():
        records.create(record(0), None, 1)
        for name, number, attempt, status in writes:
            with contextlib.suppress(AlreadyRequested, ClientError):
                WRITES[name](record(number, attempt=attempt, status=status))
            records.get(OWNER, EXPORTS[number])


def test_s3_in_memory_is_motos() -> None:
    with Both():
        s3, bucket = aws.s3(), work.bucket()
        for key in ("work/a/1/plan.json", "work/a/1/parts/0", "work/a/2/plan.json", "work/b"):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        for delimiter in ("/", "/parts/"):
            s3.list_objects_v2(Bucket=bucket, Prefix="work/a/", Delimiter=delimiter)
        etag = s3.head_object(Bucket=bucket, Key="work/b")["ETag"]
        for some in ("bytes=1-3", "bytes=3-100", "bytes=-2", "bytes=-100"):
            s3.get_object(Bucket=bucket, Key="work/b", Range=some, IfMatch=etag)
        with pytest.raises(ClientError):
            s3.get_object(Bucket=bucket, Key="work/b", IfMatch='"other"')
        for _ in range(2):
            s3.delete_object(Bucket=bucket, Key="work/b")
            assert list(work.keys("work/b")) == []
        for _ in range(2):
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "work/a/2/plan.json"}], "Quiet": True})
            assert list(work.keys("work/a/2/")) == []
        for read in (s3.get_object, s3.head_object):
            with pytest.raises(ClientError):
                read(Bucket=bucket, Key="work/b")


def test_the_world_is_of_its_own_region_whatever_was_asked_of_boto3_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session())
    with product(tmp_path):
        assert aws.dynamodb().meta.region_name == REGION
