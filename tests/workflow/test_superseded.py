"""An attempt that no longer counts ends quietly and leaves the record to whom it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from moto.s3.models import S3Backend

from tests.workflow.world import EXPORT_ID, PARTS

if TYPE_CHECKING:
    from tests.workflow.world import World


def test_cancelled_before_it_started(world: World) -> None:
    world.cancel()
    execution = world.run()
    world.assert_superseded(execution)
    assert execution.path == "RecordRunning ! Superseded"
    assert world.cloud.calls == []
    assert "started_at" not in world.record


@pytest.mark.parametrize("function", ["PlanParts", "GeneratePart", "AssembleFile"])
def test_cancelled_while_it_ran(world: World, function: str) -> None:
    world.cloud.before(function, world.cancel)
    world.assert_superseded(world.run())
    assert world.cloud.keys("exports/") == []
    assert world.cloud.announcements() == [f"{EXPORT_ID}/1/CANCELLED"]


def test_parts_under_way_when_it_was_cancelled_make_no_file(world: World) -> None:
    world.cloud.before("GeneratePart", world.cancel, part=2)
    world.run()
    assert world.cloud.invocations("GeneratePart") == PARTS
    assert world.cloud.keys("exports/") == []


def test_a_part_that_fails_after_it_was_cancelled_is_no_failure(world: World) -> None:
    world.cloud.after("PlanParts", world.cancel)
    world.cloud.crash("GeneratePart", "Runtime.ExitError", part=2)
    execution = world.run()
    world.assert_superseded(execution)
    assert "GeneratePart ! RecordPartFailure ! PartFailed" in execution.children


def test_cancelled_while_the_file_was_put_together_removes_the_file(world: World) -> None:
    stock = S3Backend.complete_multipart_upload

    def complete(*arguments: Any, **named: Any) -> Any:
        whole = stock(*arguments, **named)
        world.cancel()
        return whole

    with mock.patch.object(S3Backend, "complete_multipart_upload", complete):
        execution = world.run()
    world.assert_superseded(execution)
    assert world.cloud.keys("exports/") == []


def test_cancelled_after_the_file_was_made_leaves_a_record_that_names_no_file(world: World) -> None:
    world.cloud.after("AssembleFile", world.cancel)
    execution = world.run()
    world.assert_superseded(execution)
    assert execution.path.endswith("RecordSucceeded ! Superseded")
    assert not {"file_key", "rows", "expires_at"} & set(world.record)


def test_retried_meanwhile(world: World) -> None:
    def retry(_: object) -> None:
        world.cancel()
        world.requeue()

    first = world.record
    world.cloud.before("AssembleFile", retry)
    execution = world.cloud.run(first)
    world.assert_superseded(execution, "QUEUED")
    assert world.record["attempt"] == 2
    assert world.cloud.keys("exports/") == []
    assert world.run().status == "SUCCEEDED"


def test_another_attempt_than_the_records(world: World) -> None:
    execution = world.cloud.run(world.record | {"attempt": 2})
    world.assert_superseded(execution, "QUEUED")
    assert world.cloud.calls == []


def test_a_record_that_is_gone(world: World) -> None:
    key = {"owner": {"S": world.export["owner"]}, "export_id": {"S": EXPORT_ID}}
    world.cloud.dynamodb.delete_item(TableName=world.cloud.table, Key=key)
    execution = world.cloud.run(world.export)
    assert execution.path == "RecordRunning ! Superseded"
    assert "Item" not in world.cloud.dynamodb.get_item(TableName=world.cloud.table, Key=key)


def test_a_late_worker_keeps_the_file_that_the_record_names(world: World) -> None:
    """Its answer was lost, another worker made the same file again, and the export succeeded meanwhile."""
    stock = S3Backend.complete_multipart_upload

    def complete(*arguments: Any, **named: Any) -> Any:
        whole = stock(*arguments, **named)
        (key,) = world.cloud.keys("exports/")
        world.write(status="SUCCEEDED", file_key=key)
        return whole

    with mock.patch.object(S3Backend, "complete_multipart_upload", complete):
        execution = world.run()
    assert execution.status == "SUCCEEDED"
    assert world.record["status"] == "SUCCEEDED"
    assert world.cloud.keys("exports/") == [world.record["file_key"]]
