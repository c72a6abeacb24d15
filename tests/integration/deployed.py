"""The deployed stack from behind: what an administrator sees of it. All it is told is .local/stack.json."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import uuid_utils.compat
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from exports_admin import stack
from shared.lambda_ import contract
from tests.integration.api import PATIENCE_SECONDS, Caller, http
from tests.unit.support import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
_HELD_SECONDS = 30
ANNOUNCEMENT = json.loads((FUNCTIONS / "shared" / "records" / "export_ended.schema.json").read_text("utf-8"))


class Deployed:
    """The stack that .local/stack.json describes."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.emulated = description["endpoint_url"] is not None
        self.client = cache(lambda service: stack.client(service, description))
        # Every explicit name starts with the stack's.
        self.name = description["state_machine_arn"].rsplit(":", 1)[-1].removesuffix("-report-export")
        self._made: list[Caller] = []

    def __getitem__(self, name: str) -> Any:
        return self.description[name]

    # Users

    def sign_up(self, tenant: str | None) -> Caller:
        """A new user of the tenant, signed in; removed with all its exports by :meth:`clean`."""
        user = stack.create_user(self.description, f"test-{uuid.uuid4().hex}@example.com", tenant)
        caller = self.caller(user)
        self._made.append(caller)
        return caller

    def caller(self, user: dict[str, str], client_id: str | None = None, token: str = "IdToken") -> Caller:
        """A user of ours with a token, by default the one that the API wants."""
        return Caller(
            self["api_url"], self.sign_in(user, client_id or self["user_pool_client_id"])[token], user["email"]
        )

    def sign_in(self, user: dict[str, str], client_id: str) -> dict[str, str]:
        """All tokens of a user."""
        answer = self.client("cognito-idp").initiate_auth(
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": user["email"], "PASSWORD": user["password"]},
        )
        return dict(answer["AuthenticationResult"])

    def clean(self) -> None:
        """Removes the users that were made, and their records and files."""
        for caller in self._made:
            self.client("cognito-idp").admin_delete_user(UserPoolId=self["user_pool_id"], Username=caller.email)
            if "custom:tenant_id" not in caller.claims:
                continue
            for record in self.records(caller.owner, everything=True):
                self.forget(record)
                self.remove(f"work/{record['export_id']}/")
            self.remove(self.files_of(caller))

    # Records

    def records(self, owner: str, *, everything: bool = False) -> list[dict[str, Any]]:
        """The owner's records as the table holds them, oldest first; with everything, its idempotency items too."""
        deserialize = TypeDeserializer().deserialize
        pages = (
            self.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self["table"],
                ConsistentRead=True,
                KeyConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}},
            )
        )
        items = [{name: deserialize(value) for name, value in item.items()} for page in pages for item in page["Items"]]
        return [item for item in items if everything or not item["export_id"].startswith("key#")]

    def fabricate(self, owner: str, status: str, **values: Any) -> str:
        """Puts a record that nothing works on straight into the table; its id."""
        now = datetime.datetime.now(datetime.UTC)
        record = {
            "owner": owner,
            "export_id": str(uuid_utils.compat.uuid7()),
            "report": "flights",
            "format": "csv",
            "parameters": json.dumps({"from": "2013-01-01", "to": "2013-01-31"}),
            "options": json.dumps({"spreadsheet_safe": True, "bom": False}),
            "status": status,
            "attempt": 1,
            "created_at": stamp(now),
            "file_name": "flights.csv",
            "delete_after": int(now.timestamp()) + 86_400,
        }
        if status in ("QUEUED", "RUNNING"):
            record["active_owner"] = owner
        else:
            record |= {"started_at": stamp(now), "finished_at": stamp(now), "detail_type": f"Export {status.title()}"}
        if status == "SUCCEEDED":
            expires = stamp(now + datetime.timedelta(days=1))
            file = {
                "plan": "0" * 16,
                "parts_total": 1,
                "rows": 1,
                "bytes": 1,
                "crc32": "00000000",
                "warning": "",
                "file_key": "exports/none",
            }
            record |= file | {"expires_at": expires}
        record |= values
        serialize = TypeSerializer().serialize
        item = {name: serialize(value) for name, value in record.items()}
        self.client("dynamodb").put_item(TableName=self["table"], Item=item)
        return str(record["export_id"])

    def update(self, owner: str, export_id: str, name: str, value: Any) -> None:
        """Sets one attribute of a record."""
        self.client("dynamodb").update_item(
            TableName=self["table"],
            Key={"owner": {"S": owner}, "export_id": {"S": export_id}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": TypeSerializer().serialize(value)},
        )

    def forget(self, record: dict[str, Any]) -> None:
        """Removes a record: nobody is told."""
        key = {name: {"S": record[name]} for name in ("owner", "export_id")}
        self.client("dynamodb").delete_item(TableName=self["table"], Key=key)

    # Files

    def files_of(self, caller: Caller) -> str:
        """Prefix of the files of a caller's exports."""
        return f"exports/{caller.owner.replace('#', '/')}/"

    def keys(self, prefix: str) -> list[str]:
        """Keys in the exports bucket."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self["bucket"], Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read_json(self, key: str) -> Any:
        """An object of the exports bucket."""
        return json.loads(self.client("s3").get_object(Bucket=self["bucket"], Key=key)["Body"].read())

    def write_json(self, key: str, content: object) -> None:
        """Puts an object into the exports bucket."""
        self.client("s3").put_object(Bucket=self["bucket"], Key=key, Body=json.dumps(content).encode())

    def remove(self, prefix: str) -> None:
        """Removes objects of the exports bucket."""
        objects = [{"Key": key} for key in self.keys(prefix)]
        for start in range(0, len(objects), 1000):
            self.client("s3").delete_objects(Bucket=self["bucket"], Delete={"Objects": objects[start : start + 1000]})

    @contextmanager
    def source_file(self, path: str, content: bytes) -> Iterator[str]:
        """An object among the datasets for as long as this lasts; its key."""
        bucket, prefix = self["data_location"].removeprefix("s3://").split("/", 1)
        self.client("s3").put_object(Bucket=bucket, Key=prefix + path, Body=content)
        try:
            yield prefix + path
        finally:
            self.client("s3").delete_object(Bucket=bucket, Key=prefix + path)

    # The workflow

    def execution(self, export: dict[str, Any]) -> dict[str, Any]:
        """The execution of an export's attempt."""
        executions = self["state_machine_arn"].replace(":stateMachine:", ":execution:")
        arn = f"{executions}:{export['id']}-{export['attempt']}"
        return dict(self.client("stepfunctions").describe_execution(executionArn=arn))

    def letter(self, export_id: str) -> dict[str, Any]:
        """The dead letter of an export, taken out of the queue; all others stay in it."""
        letter = until(lambda: self.find_letter(export_id), f"a dead letter of export {export_id}")
        assert letter is not None
        return letter

    def find_letter(self, export_id: str) -> dict[str, Any] | None:
        """The dead letter of an export, taken out of the queue; None when there is none now."""
        sqs, queue, others, found = self.client("sqs"), self["dead_letters_url"], [], None
        asked = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": _HELD_SECONDS}
        asked["WaitTimeSeconds"] = 0 if self.emulated else 1  # on AWS only who waits asks every server of the queue
        while found is None:
            received = sqs.receive_message(**asked).get("Messages", [])
            if not received:
                break
            for message in received:
                body = json.loads(message["Body"])
                if body["export_id"] == export_id:
                    found = body
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                else:
                    others.append(message["ReceiptHandle"])
        for handle in others:
            with suppress(sqs.exceptions.ClientError):  # somebody else received or removed it meanwhile
                sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
        return found

    @contextmanager
    def listening(self, owner: str) -> Iterator[Announcements]:
        """What the event bus announces of this owner's exports, from now on."""
        events, sqs, name = self.client("events"), self.client("sqs"), f"{self.name}-test-{uuid.uuid4().hex[:12]}"
        bus, queue = self["event_bus"], sqs.create_queue(QueueName=name)["QueueUrl"]
        try:
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            pattern = {"source": ["report-exports"], "detail": {"owner": [owner]}}
            rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
            allowed = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
            events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
            announcements = Announcements(sqs, queue)
            self._wait_until_heard(announcements, owner)
            yield announcements
        finally:
            with suppress(events.exceptions.ResourceNotFoundException):
                events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
                events.delete_rule(Name=name, EventBusName=bus)
            sqs.delete_queue(QueueUrl=queue)

    def _wait_until_heard(self, announcements: Announcements, owner: str) -> None:
        """A new rule takes a while to work on AWS: a probe is sent until one arrives."""
        detail = json.dumps({"owner": owner, "key": "probe"})
        probe = {"Source": "report-exports", "DetailType": "Probe", "Detail": detail, "EventBusName": self["event_bus"]}

        def heard() -> bool:
            self.client("events").put_events(Entries=[probe])
            return bool(announcements.receive())

        until(heard, "the rule on the event bus to work")
        announcements.received.clear()

    # Mail

    def mails(self, to: str) -> list[dict[str, Any]]:
        """The mails that the emulator's SES has sent to an address, in order; on AWS nobody can read them back."""
        assert self.emulated
        answer = http("GET", f"{self['endpoint_url']}/_ministack/ses/messages")
        sent = [mail for mails in answer.json["messages"].values() for mail in mails if mail["To"] == [to]]
        names = {"from": "Source", "to": "To", "subject": "Subject", "text": "BodyText", "html": "BodyHtml"}
        return [{ours: mail[theirs] for ours, theirs in names.items()} for mail in sent]

    # Logs

    def log_lines(self, function: str, since: str) -> list[dict[str, Any]]:
        """The JSON lines that a function has logged since a time of an export; metrics are none."""
        start = int(datetime.datetime.fromisoformat(since).timestamp() * 1000)
        asked = {"logGroupName": f"/aws/lambda/{self.name}-{function}", "startTime": start}
        pages = self.client("logs").get_paginator("filter_log_events").paginate(**asked)
        found = []
        for page in pages:
            for event in page["events"]:
                with suppress(ValueError):
                    found.append(json.loads(event["message"]))
        return [line for line in found if isinstance(line, dict) and "_aws" not in line]


class Announcements:
    """The events that reached a queue; each keeps the published schema."""

    def __init__(self, sqs: Any, queue: str) -> None:
        self._sqs, self._queue = sqs, queue
        self.received: list[dict[str, Any]] = []

    def receive(self) -> list[dict[str, Any]]:
        """Takes in what there is; everything so far."""
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "Probe" or contract.faults(ANNOUNCEMENT, event) == []
            self.received.append(event)
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return self.received

    def of(self, export: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an export, as soon as there is one."""
        return until(lambda: [e for e in self.receive() if e["detail"].get("export_id") == export["id"]], "an event")


def until(condition: Callable[[], T | None], what: str) -> T:
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain for {what}"
        time.sleep(0.1)
    return value


def stamp(moment: datetime.datetime) -> str:
    """A time as the records hold it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
