"""One fault in a world of its own: what happened, in the words of docs/operations.md, checked to be true."""

from __future__ import annotations

import datetime
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from botocore.exceptions import ClientError

from shared.lambda_ import clock
from shared.records import attempts
from tests.support.moto_machine import RuntimeFault, settle
from tests.workflow import flights
from tests.workflow.world import OWNER

if TYPE_CHECKING:
    from tests.faults.places import Place
    from tests.workflow.world import World

MINUTES = (5, 10, 20, 30, 70)
"""When the schedule runs. The last is the bound within which every accepted export is over."""


@dataclass
class Case:
    """An export, the place that it comes to, and what goes wrong there."""

    world: World
    place: Place
    answers: list[int] = field(default_factory=list)
    """Statuses of what the API answered to the request that the place is about."""
    events: str = "once"
    """How ReconcileExports hears of the end of an execution: once, twice, late (after a retry), or lost."""
    upload_may_stay: bool = False
    """Whether nobody could abort an upload that was begun: then it lies there until the bucket's rule removes it."""

    def run(self) -> str:
        """Lets everything happen until time has passed; what happened."""
        self.place.go(self)
        settle()
        if self.place.function:
            self.world.cloud.disturb(self.place.function, None)
        if self.place.only_reads:
            return ", ".join(str(answer) for answer in dict.fromkeys(self.answers))
        before = self._what_reconciling_changes()
        self._let_time_pass()
        words = self._words(reconciled=self._what_reconciling_changes() != before)
        self._assert_true()
        return words

    # Time passes

    def reconcile(self, execution: str | None = None, **later: float) -> None:
        """ReconcileExports hears of an execution's end, or of the schedule; when it fails, Lambda tries twice more."""
        event = self.world.cloud.end_of(execution) if execution else {"detail-type": "Scheduled Event"}
        moment = clock.now() + datetime.timedelta(**later)
        for _ in range(3):
            try:
                with mock.patch.object(clock, "now", return_value=moment):
                    self.world.cloud.call("ReconcileExports", event)
                break
            except (Exception, RuntimeFault):  # what it leaves undone is seen afterwards
                continue
        # An execution cannot end while this is called from within it, or from within a function that it needs too.
        if threading.current_thread() is threading.main_thread() and not self.world.cloud.function_runs:
            settle()

    def executions(self) -> list[str]:
        """ARNs, in the order of their names."""
        machine = self.world.cloud.machine_arn
        found = self.world.cloud.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
        return sorted(each["executionArn"] for each in found)

    def _let_time_pass(self) -> None:
        if self.events in ("once", "twice"):
            self._tell_of_ends(1 if self.events == "once" else 2)
        self._schedule()
        if self.events == "late":
            if self.find().get("status") in ("FAILED", "CANCELLED"):
                assert self.world.ask("RetryExport")["statusCode"] == 202
                settle()
            self._tell_of_ends(1)
            self._schedule()

    def _tell_of_ends(self, times: int) -> None:
        for arn in self.executions() * times:
            self.reconcile(arn)

    def _schedule(self) -> None:
        for minutes in MINUTES:
            self.reconcile(minutes=minutes)

    # What happened

    def find(self) -> dict[str, Any]:
        """The owner's only export, which is the case's from then on; empty when there is none."""
        found = self.world.cloud.dynamodb.query(
            TableName=self.world.cloud.table,
            KeyConditionExpression="#owner = :owner AND export_id < :keys",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": OWNER}, ":keys": {"S": "key#"}},
        )["Items"]
        assert len(found) <= 1, "a repeated request made a second export"
        if not found:
            return {}
        self.world.export["export_id"] = found[0]["export_id"]["S"]
        return self.world.record

    def _what_reconciling_changes(self) -> tuple[Any, ...]:
        record = self.find()
        return record.get("status"), record.get("failure"), record.get("letter"), len(self.world.cloud.letters())

    def _words(self, reconciled: bool) -> str:
        """What an operator is told: ``retried, FAILED RowsMissing, extra dead letter``."""
        words = [str(answer) for answer in self.answers]
        words += ["retried"] * bool(self.world.cloud.waits)
        words += ["reconciled"] * (reconciled and self.place.kind != "reconcile")
        record = self.find()
        words.append(self._end_of(record) if record else "no export")
        if record.get("status") == "SUCCEEDED" and record["file_key"] not in self.world.cloud.keys("exports/"):
            words.append("file deleted")
        letters, failed = len(self.world.cloud.letters()), len(self._announced("FAILED"))
        words += ["extra dead letter"] * (letters > failed) + ["no dead letter"] * (letters < failed)
        return ", ".join(words)

    def _end_of(self, record: dict[str, Any]) -> str:
        attempt = f"attempt {record['attempt']} " if record["attempt"] > 1 else ""
        failure = record["failure"]["type"] if record["status"] == "FAILED" else ""
        return f"{attempt}{record['status']} {failure if failure != self.place.failure else ''}".strip()

    # What must hold, whatever happened

    def _assert_true(self) -> None:
        record, cloud = self.find(), self.world.cloud
        self._assert_announced_once(record)
        self._assert_letters()
        assert self._running() == []
        assert not cloud.open_uploads() or self.upload_may_stay
        if not record:
            assert cloud.keys("exports/") == []
            return
        assert record["status"] in ("SUCCEEDED", "FAILED", "CANCELLED"), "the record is not terminal"
        assert record["finished_at"]
        assert "active_owner" not in record, "the export is not settled"
        assert "letter" not in record
        if record["status"] == "SUCCEEDED":
            self._assert_whole(record)
        else:
            assert cloud.keys("exports/") == [], "a file that no record names"
        if record["status"] == "FAILED":
            assert json.loads(record["failure"]["error"])["Error"] == record["failure"]["type"]

    def _assert_whole(self, record: dict[str, Any]) -> None:
        if self.place.removes and self.world.cloud.keys("exports/") == []:  # its owner has asked for that
            return
        assert self.world.cloud.keys("exports/") == [record["file_key"]]
        body = self.world.file()
        assert body == flights.expected_csv(1, 2)
        assert record["bytes"] == len(body)
        assert record["rows"] == body.count(b"\n") - 1

    def _assert_announced_once(self, record: dict[str, Any]) -> None:
        announced = self.world.cloud.announcements()
        assert len(announced) == len({each.rsplit("/", 1)[0] for each in announced}), announced
        if record:
            assert f"{record['export_id']}/{record['attempt']}/{record['status']}" in announced

    def _assert_letters(self) -> None:
        letters = self.world.cloud.letters()
        record = self.find()
        sent, failed = {letter["attempt"] for letter in letters}, self._announced("FAILED")
        assert sent <= failed, "a letter for what has not failed"
        # One that the owner retried or removed before its letter was sent gets none.
        assert failed - sent <= (set() if record.get("status") == "FAILED" else {1}), "a letter is lost"
        assert all(letter["failure"]["type"] for letter in letters)

    def _announced(self, status: str) -> set[int]:
        return {int(each.split("/")[1]) for each in self.world.cloud.announcements() if each.endswith(f"/{status}")}

    def _running(self) -> list[str]:
        describe = self.world.cloud.stepfunctions.describe_execution
        return [arn for arn in self.executions() if describe(executionArn=arn)["status"] == "RUNNING"]


def start_again(case: Case) -> None:
    """Asks once more for the start of the attempt: its name is taken."""
    record: Any = case.world.record
    with case.world.cloud.as_function("RequestExport"):
        attempts.start(record)


def start_twin(case: Case) -> None:
    """Starts a second execution of the attempt, under another name, and waits for its end."""
    try:
        arn = case.world.cloud.start(case.world.record, name="twin")
    except (ClientError, KeyError):  # there is one already, or nothing to start
        return
    describe = case.world.cloud.stepfunctions.describe_execution
    over = threading.Event()
    while describe(executionArn=arn)["status"] == "RUNNING":
        over.wait(0.005)


def cancel(case: Case) -> None:
    """DeleteExport, as the owner calls it: it records, and stops the execution."""
    if case.find():
        case.world.ask("DeleteExport")


def cancel_only(case: Case) -> None:
    """DeleteExport where Step Functions cannot be reached: the execution runs on."""
    if case.find():
        case.world.cancel()


def retry(case: Case) -> None:
    """RetryExport, as the owner calls it; an export that has not failed is cancelled before."""
    if record := case.find():
        if record["status"] != "FAILED":
            case.world.cancel()
        case.world.ask("RetryExport")


def remove_world(world: World) -> None:
    """Makes the world one in which nothing was asked for yet."""
    key = {"owner": {"S": OWNER}, "export_id": {"S": world.export["export_id"]}}
    world.cloud.dynamodb.delete_item(TableName=world.cloud.table, Key=key)
