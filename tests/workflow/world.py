"""What the tests of the workflow speak of: one export on one stack."""

from __future__ import annotations

import json
from typing import Any

from shared.lambda_ import clock
from shared.records import table
from tests.support.moto_machine import Cloud, Execution
from tests.workflow import flights

EXPORT_ID = "01900000-0000-7000-8000-000000000001"
OWNER = "UA#11111111-2222-4333-8444-555555555555"
PARTS = 4
"""Two months of two row groups, each a part of its own."""


class World:
    """A stack with two months of flights, and one export QUEUED in it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        for month in (1, 2):
            self.put_flights(month)
        self.export = self._request()

    def _request(self) -> dict[str, Any]:
        now = clock.now()
        record: table.Record = {
            "owner": OWNER,
            "active_owner": OWNER,
            "export_id": EXPORT_ID,
            "report": "flights",
            "format": "csv",
            "parameters": json.dumps({"from": "2013-01-01", "to": "2013-02-28"}),
            "options": json.dumps({"spreadsheet_safe": True, "bom": False}),
            "status": "QUEUED",
            "attempt": 1,
            "created_at": clock.stamp(now),
            "queued_at": clock.stamp(now),
            "file_name": "flights.csv",
            "delete_after": table.delete_after(now),
        }
        with self.cloud.as_function("RequestExport"):
            table.create(record, None, int(now.timestamp()))
        return dict(record)

    # What happens

    def run(self) -> Execution:
        """Runs the attempt that the record is at."""
        return self.cloud.run(self.record)

    def ask_in_order(self) -> None:
        """Asks for the flights in the order of their files, so that a query gives the same file."""
        keys = [{"column": column, "descending": False} for column in ("month", "day", "flight")]
        self.write(queries=True, sort=json.dumps(keys))

    def put_flights(self, month: int, count: int = 8) -> None:
        """Stores a month of flights."""
        self.put(flights.key(month), flights.parquet(flights.flights(month, count)))

    def put(self, key: str, body: bytes) -> None:
        """Stores an object."""
        self.cloud.s3.put_object(Bucket=self.cloud.bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Removes an object."""
        self.cloud.s3.delete_object(Bucket=self.cloud.bucket, Key=key)

    def write(self, **attributes: object) -> None:
        """Writes attributes of the record."""
        self.cloud.update(self.export, **attributes)

    def cancel(self, *_: object) -> bool:
        """What DeleteExport does to the record; whether it was active."""
        record: Any = self.record
        with self.cloud.as_function("DeleteExport"):
            return bool(table.cancel(record, clock.stamp(clock.now())))

    # What there is

    @property
    def record(self) -> dict[str, Any]:
        """The export's record as it is now."""
        return self.cloud.record(self.export)

    def file(self) -> bytes:
        """The file that the record names."""
        return self.cloud.read(self.record["file_key"])

    def work(self, *names: str) -> list[str]:
        """Keys of the export's work files, of all its plans, that hold one of these names."""
        return [key for key in self.cloud.keys(f"work/{EXPORT_ID}/") if any(f"/{name}" in key for name in names)]

    def assert_succeeded(self) -> None:
        """The file is right to the byte, that is announced once, and nothing else is left behind."""
        assert self.record["status"] == "SUCCEEDED"
        assert self.file() == flights.expected_csv(1, 2)
        assert self.cloud.announcements() == [f"{EXPORT_ID}/{self.record['attempt']}/SUCCEEDED"]
        assert self.cloud.keys("exports/") == [self.record["file_key"]]
        assert self.cloud.letters() == []
        assert self.cloud.open_uploads() == []

    def assert_failed(self, execution: Execution, state: str, error: str, part: object = None) -> str:
        """
        The attempt failed for this reason, said so everywhere, and left nothing behind that looks like a result.

        Returns:
            What the error says.
        """
        failure = self.record["failure"]
        assert (failure["state"], failure["type"]) == (state, error)
        assert failure["part"] == ("" if part is None else str(part))
        caught = json.loads(failure["error"])
        assert caught["Error"] == error
        assert (execution.status, execution.error, execution.cause) == ("FAILED", error, failure["error"])

        assert self.record["status"] == "FAILED"
        assert self.record["finished_at"]
        assert self.record["active_owner"] == "settling"
        assert "letter" not in self.record
        assert "file_key" not in self.record
        assert self.cloud.letters() == [
            {key: self.record[key] for key in ("owner", "export_id", "attempt", "failure")}
            | {"execution_arn": execution.arn}
        ]
        assert self.cloud.announcements() == [f"{EXPORT_ID}/{self.record['attempt']}/FAILED"]
        made = state != "AssembleFile" and "AssembleFile" in execution.states
        assert made or self.cloud.keys("exports/") == [], "ReconcileExports removes only a file that AssembleFile made"
        assert self.cloud.open_uploads() == []
        return _message(caught["Cause"])

    def assert_superseded(self, execution: Execution, status: str = "CANCELLED") -> None:
        """The attempt ended quietly, and the record is what somebody else made of it."""
        assert execution.status == "SUCCEEDED"
        assert execution.states[-1] == "Superseded"
        assert self.record["status"] == status
        assert "failure" not in self.record
        assert self.cloud.letters() == []
        assert self.cloud.open_uploads() == []
        assert status != "CANCELLED" or self.cloud.announcements() == [f"{EXPORT_ID}/1/CANCELLED"]


def _message(cause: str) -> str:
    """Of a function's error what was raised; of a service's error all of it."""
    return str(json.loads(cause)["errorMessage"]) if cause.startswith("{") else cause
