"""What the unit tests share: the project's files as they read them, the time, and an account of AWS in memory."""

import datetime
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import EndpointConnectionError

from checks import repository

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
FUNCTIONS = ROOT / "functions"
REPORTS = ROOT / "reports"
WEB = ROOT / "web"

REGION = "eu-west-1"
NOW = datetime.datetime(2026, 11, 23, 9, 12, 31, 482000, datetime.UTC)
TENANT = "UA"
USER = "5f1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60"
OWNER = f"{TENANT}#{USER}"
EXPORT_ID = "01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7"
"""The caller, and the export, that the events under events/ name."""
HERE = f"https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/exports/{EXPORT_ID}"
CREATED = "2026-11-23T09:12:31.482Z"
PLAN = "3fa94c1d07be5526"
NO_ANSWER = EndpointConnectionError(endpoint_url="https://aws.eu-west-1.amazonaws.com/")
"""What a client raises whose service is not to be reached."""


@cache
def template() -> dict[str, Any]:
    """template.yaml, its loops expanded."""
    return repository.read("template.yaml").data  # type: ignore[no-any-return]


def functions(of: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The properties of every Lambda function, by logical id."""
    resources = (of or template())["Resources"].items()
    return {name: each["Properties"] for name, each in resources if each["Type"] == "AWS::Serverless::Function"}


def folder_of(function: dict[str, Any]) -> str:
    """The folder of a function, from its Handler ``<folder>.app.handler``."""
    return str(function["Handler"]).removesuffix(".app.handler")


def is_called_by_aws(function: dict[str, Any]) -> bool:
    """Whether AWS decides what its event has besides the fields that the function reads."""
    return bool(function.get("Events")) or folder_of(function) == "authorize"


def event(name: str) -> Any:
    """An event under events/, such as ``event("read_exports/typical")``; a new object every time."""
    return json.loads((EVENTS / f"{name}.json").read_text("utf-8"))


def cases(folder: str) -> list[str]:
    """The names of a folder's valid events."""
    return sorted(path.stem for path in (EVENTS / folder).glob("*.json"))


def number(index: int) -> str:
    """The id of the index-th export, in the order of their age."""
    return f"01a20000-{index:04x}-7000-8000-000000000000"


def queued(export_id: str = EXPORT_ID, **more: Any) -> dict[str, Any]:
    """A record as RequestExport writes it."""
    return {
        "owner": OWNER,
        "active_owner": OWNER,
        "export_id": export_id,
        "report": "flights",
        "format": "csv",
        "parameters": json.dumps({"from": "2013-01-01", "to": "2013-12-31"}),
        "options": json.dumps({"spreadsheet_safe": True, "bom": False}),
        "status": "QUEUED",
        "attempt": 1,
        "created_at": CREATED,
        "queued_at": CREATED,
        "file_name": f"flights-UA-20261123-{export_id[-8:]}.csv",
        "delete_after": 1798621951,
    } | more


def running(export_id: str = EXPORT_ID, **more: Any) -> dict[str, Any]:
    """A record as the state RecordRunning leaves it."""
    return queued(export_id, status="RUNNING", started_at="2026-11-23T09:12:32.100Z", execution_arn="arn") | more


def succeeded(export_id: str = EXPORT_ID, **more: Any) -> dict[str, Any]:
    """A record as the state RecordSucceeded leaves it."""
    record = running(
        export_id,
        status="SUCCEEDED",
        finished_at="2026-11-23T09:12:40.700Z",
        expires_at="2026-11-30T09:12:40.000Z",
        plan=PLAN,
        parts_total=12,
        rows=58665,
        bytes=5123456,
        crc32="0badcafe",
        warning="",
        file_key=file_key(export_id),
        detail_type="Export Succeeded",
        **NO_FAILURE,
    )
    del record["active_owner"]
    return record | more


NO_FAILURE = {"failure_state": "", "failure_type": "", "failure_part": ""}


def file_key(export_id: str = EXPORT_ID, attempt: int = 1) -> str:
    """Key of the file of an attempt at an export of the caller's."""
    return f"exports/{TENANT}/{USER}/{export_id}/{attempt}/flights-UA-20261123-{export_id[-8:]}.csv"


def failed(export_id: str = EXPORT_ID, **failure: str) -> dict[str, Any]:
    """A record as the states RecordFailed and RecordLetterSent leave it; its failure with other values where given."""
    failure = {"state": "PlanParts", "type": "Error", "error": "{}", "part": ""} | failure
    return running(
        export_id,
        status="FAILED",
        active_owner="settling",
        finished_at="2026-11-23T09:12:40.700Z",
        detail_type="Export Failed",
        failure=failure,
        **{f"failure_{name}": failure[name] for name in ("state", "type", "part")},
    )


def cancelled(export_id: str = EXPORT_ID, **more: Any) -> dict[str, Any]:
    """A record of an export that was cancelled while it ran."""
    ended = {"finished_at": "2026-11-23T09:12:40.700Z", "detail_type": "Export Cancelled"} | NO_FAILURE
    return running(export_id, status="CANCELLED", active_owner="settling") | ended | more


class Answer(NamedTuple):
    """An answer of the API, its body decoded."""

    status: int
    headers: dict[str, str]
    body: Any


def answer(returned: dict[str, Any]) -> Answer:
    """What a proxy integration returned, checked for what API Gateway demands of it."""
    assert set(returned) <= {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
    assert isinstance(returned["statusCode"], int)
    assert all(isinstance(value, str) for value in returned["headers"].values())
    assert isinstance(returned["body"], str)
    json.dumps(returned, ensure_ascii=False).encode()  # as the Lambda runtime sends it
    return Answer(returned["statusCode"], returned["headers"], decoded(returned))


def decoded(returned: dict[str, Any]) -> Any:
    """The body of an answer: JSON, a text, or None."""
    is_json = returned["headers"].get("Content-Type", "").endswith("json")
    return json.loads(returned["body"]) if is_json else returned["body"] or None


def kind(answered: Answer) -> str:
    """The name of a problem."""
    assert answered.headers["Content-Type"] == "application/problem+json"
    return str(answered.body["type"].removeprefix("urn:report-exports:problem:"))


def told(answered: Answer) -> tuple[int, str, str, str]:
    """Status, name, title and detail of a problem."""
    assert answered.status == answered.body["status"]
    return answered.status, kind(answered), answered.body["title"], answered.body["detail"]


def pointers(answered: Answer) -> list[str]:
    """The places of the faults of a request that is not valid."""
    assert (answered.status, kind(answered)) == (400, "invalid-request")
    return [fault["pointer"] for fault in answered.body["errors"]]


def busy(answered: Answer) -> bool:
    """Whether the caller is asked to come back."""
    return answered.status == 503 and answered.headers["Retry-After"] == "5" and kind(answered) == "busy"


def said_when_busy(failure: str | Exception, outcome: str = "Nothing was changed") -> str:
    """What a caller is told when a call of AWS failed so: for certain only when AWS throttled."""
    if isinstance(failure, str):
        return f"AWS is throttling. {outcome}. Send the request again."
    return "AWS did not answer. The outcome is unknown. Check before you retry."


class Context:
    """As much of Lambda's context as Powertools reads."""

    function_name = "report-exports-function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:report-exports-function"
    aws_request_id = "7d0c4f5e-2b1a-4a39-8f60-9e3d5c7b1a20"


class Frozen:
    """The time, which stands still until a test moves it."""

    now = NOW

    def pass_by(self, **duration: int) -> None:
        self.now += datetime.timedelta(**duration)


class Cloud:
    """An account in memory: the template's table, a bucket, and a machine that starts executions but runs nothing."""

    def __init__(self, names: dict[str, str], dynamodb: Any, s3: Any, stepfunctions: Any) -> None:
        self.table, self.bucket = names["EXPORTS_TABLE"], names["EXPORTS_BUCKET"]
        self.machine = names["STATE_MACHINE_ARN"]
        self.dynamodb, self.s3, self.stepfunctions = dynamodb, s3, stepfunctions
        table = template()["Resources"]["ExportsTable"]["Properties"]
        described = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        self.dynamodb.create_table(TableName=self.table, **{name: table[name] for name in described})
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.stepfunctions.create_state_machine(
            name=self.machine.rsplit(":", 1)[-1],
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::123456789012:role/report-exports-local",
        )

    def write(self, *items: dict[str, Any]) -> None:
        """Puts items into the table."""
        serialize = TypeSerializer().serialize
        serialized = [{name: serialize(value) for name, value in item.items()} for item in items]
        for start in range(0, len(serialized), 25):  # as many as BatchWriteItem takes
            requests = [{"PutRequest": {"Item": item}} for item in serialized[start : start + 25]]
            self.dynamodb.batch_write_item(RequestItems={self.table: requests})

    def items(self) -> list[dict[str, Any]]:
        """Everything in the table."""
        deserialize = TypeDeserializer().deserialize
        found = self.dynamodb.scan(TableName=self.table)["Items"]
        return [{name: deserialize(value) for name, value in item.items()} for item in found]

    def records(self) -> list[dict[str, Any]]:
        """The exports in the table."""
        return [item for item in self.items() if not item["export_id"].startswith("key#")]

    def remembered(self) -> list[dict[str, Any]]:
        """The idempotency items in the table."""
        return [item for item in self.items() if item["export_id"].startswith("key#")]

    def executions(self) -> dict[str, Any]:
        """The inputs of the executions, by name."""
        found = self.stepfunctions.list_executions(stateMachineArn=self.machine)["executions"]
        describe = self.stepfunctions.describe_execution
        return {each["name"]: json.loads(describe(executionArn=each["executionArn"])["input"]) for each in found}

    def put(self, key: str, content: object) -> None:
        """Puts an object into the bucket, as JSON."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(content).encode())

    def keys(self) -> list[str]:
        """The keys of everything in the bucket."""
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def start(self, record: dict[str, Any]) -> None:
        """Starts the execution of a record's attempt, which runs on until it is stopped."""
        attempt = {name: record[name] for name in ("owner", "export_id", "attempt")}
        name = f"{record['export_id']}-{record['attempt']}"
        self.stepfunctions.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(attempt))

    def stands(self) -> dict[str, str]:
        """How the executions stand, by name."""
        found = self.stepfunctions.list_executions(stateMachineArn=self.machine)["executions"]
        return {each["name"]: each["status"] for each in found}

    def age(self, key: str, seconds: int) -> None:
        """Makes an object older than it is."""
        from moto.backends import get_backend

        stored = get_backend("s3")["123456789012"]["aws"].buckets[self.bucket].keys[key]
        stored.last_modified -= datetime.timedelta(seconds=seconds)


class Calls:
    """The calls that reach AWS, each of which a test may make fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.clients: set[Any] = set()
        self.failures: dict[str, tuple[str | Exception, list[str]]] = {}

    def fail(self, operation: str, failure: str | Exception, reasons: list[str] | None = None) -> None:
        """From now on the operation fails: with AWS's error code, or with what the client raises without an answer.

        ``reasons`` are those of a cancelled transaction.
        """
        self.failures[operation] = (failure, reasons or [])

    def heal(self) -> None:
        """From now on nothing fails."""
        self.failures.clear()
