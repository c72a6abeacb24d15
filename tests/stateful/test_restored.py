"""The table is restored to an earlier time (docs/howto/disaster.md): no wrong file is served, and all comes to rest."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from typing import Any

import pytest

from tests.stateful.memory import Item, Key
from tests.stateful.stage import Stage
from tests.stateful.test_reconcile import files

Table = dict[Key, Item]


@pytest.fixture
def past(stage: Stage) -> dict[str, Table]:
    """An export succeeds. The tables before its request, while it was QUEUED and RUNNING, and after its end."""
    past = {"nothing": copy.deepcopy(stage.memory.table)}
    assert stage.request() == 202
    past["QUEUED"] = copy.deepcopy(stage.memory.table)
    stage.let_happen("after", "RecordRunning", None, lambda _: past.update(RUNNING=copy.deepcopy(stage.memory.table)))
    stage.run_on()
    past["SUCCEEDED"] = copy.deepcopy(stage.memory.table)
    return past


def restore(stage: Stage, table: Table) -> None:
    """The table is as it was. Everything else stays, and the laws of one history do not hold any more."""
    stage.memory.on_change = lambda _old, _new: None
    stage.laws.reached = defaultdict(lambda: ["QUEUED"])
    stage.memory.table.clear()
    stage.memory.table.update(copy.deepcopy(table))


def ask(stage: Stage, resource: str, method: str = "GET") -> dict[str, Any]:
    answer: dict[str, Any] = stage.finish(stage.call(method, resource, 0, EXPORT_ID))
    return answer


EXPORT_ID = "01a20000-0001-7000-8000-000000000000"


def test_a_file_whose_record_is_gone_is_served_to_nobody_and_stays_until_it_expires(
    stage: Stage, past: dict[str, Table]
) -> None:
    restore(stage, past["nothing"])
    stage.reconcile(minutes=60)
    assert ask(stage, "/exports/{id}")["statusCode"] == 404
    assert ask(stage, "/exports/{id}/file")["statusCode"] == 404
    assert len(files(stage)) == 1
    stage.reconcile(stage.ends[0])  # only an event of its own execution leads ReconcileExports to it
    assert files(stage) == []


def test_a_record_from_before_the_end_gets_its_file_which_the_receipts_prove(
    stage: Stage, past: dict[str, Table]
) -> None:
    restore(stage, past["RUNNING"])
    stage.reconcile(minutes=10)
    (record,) = [item for item in past["SUCCEEDED"].values() if "file_key" in item]
    assert stage.export["status"] == "SUCCEEDED"
    assert files(stage) == [record["file_key"]["S"]] == [stage.export["file_key"]]
    assert stage.export["crc32"] == record["crc32"]["S"]
    assert stage.is_at_rest


def test_a_record_from_before_the_start_fails_and_its_file_is_removed(stage: Stage, past: dict[str, Table]) -> None:
    restore(stage, past["QUEUED"])
    stage.reconcile(minutes=10)
    assert (stage.export["status"], stage.export["failure"]["type"]) == ("FAILED", "ExecutionEnded")
    assert files(stage) == []
    assert stage.ask("POST", "/exports/{id}/retry") == 202
    stage.run_on()
    assert (stage.export["status"], stage.export["attempt"]) == ("SUCCEEDED", 2)


def test_a_record_whose_file_was_deleted_leads_to_no_file(stage: Stage, past: dict[str, Table]) -> None:
    assert ask(stage, "/exports/{id}", "DELETE")["statusCode"] == 204
    restore(stage, past["SUCCEEDED"])
    stage.reconcile(minutes=60)
    answer = ask(stage, "/exports/{id}")
    assert json.loads(answer["body"])["status"] == "SUCCEEDED"
    assert files(stage) == []  # the address that the API gives leads to S3's 404
    assert ask(stage, "/exports/{id}", "DELETE")["statusCode"] == 204
    assert stage.export == {}


def test_an_attempt_that_the_record_forgot_fails_once_and_is_then_made_again(stage: Stage) -> None:
    stage.dataset.broken = True
    stage.request()
    stage.run_on()
    failed = copy.deepcopy(stage.memory.table)
    stage.dataset.broken = False
    stage.ask("POST", "/exports/{id}/retry")
    stage.run_on()
    assert (stage.export["status"], stage.export["attempt"]) == ("SUCCEEDED", 2)

    restore(stage, failed)
    stage.reconcile(minutes=60)
    assert (stage.export["status"], len(files(stage))) == ("FAILED", 1)
    assert ask(stage, "/exports/{id}/file")["statusCode"] == 409
    assert stage.ask("POST", "/exports/{id}/retry") == 202  # the execution of attempt 2 has ended long ago
    stage.run_on()
    stage.reconcile(minutes=10)
    assert (stage.export["status"], stage.export["failure"]["type"]) == ("FAILED", "ExecutionEnded")
    assert files(stage) == []
    assert stage.ask("POST", "/exports/{id}/retry") == 202
    stage.run_on()
    assert (stage.export["status"], stage.export["attempt"]) == ("SUCCEEDED", 3)
