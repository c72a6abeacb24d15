"""The commands `exports-admin dead-letters` and `replay`: what they show and change, and their errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from exports_admin import dead_letter_queue, stack
from shared.lambda_ import aws
from shared.records import table
from tests.unit.cli_stack import Run
from tests.unit.support import EXPORT_ID, NO_ANSWER, OWNER, cancelled, failed, number, queued, running, succeeded
from tests.unit.test_admin import Admin, command_line, describe

if TYPE_CHECKING:
    from tests.unit.support import Calls, Cloud, Frozen

QUEUE = describe()["dead_letters_url"]
FINISHED = failed()["finished_at"]

admin = pytest.fixture(command_line)


class Queue:
    """The dead-letter queue."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        aws.sqs().create_queue(QueueName=QUEUE.rpartition("/")[2])

    def send(
        self,
        export_id: str = EXPORT_ID,
        attempt: int = 1,
        kind: str = "RowsMissing",
        owner: str = OWNER,
        **failure: str,
    ) -> None:
        """Sends a dead letter as the state SendToDeadLetters does."""
        cause = json.dumps({"errorMessage": "part 7 has no receipt", "errorType": kind})
        caught = json.dumps({"Error": kind, "Cause": cause})
        why = {"state": "AssembleFile", "type": kind, "error": caught, "part": ""} | failure
        letter = {"owner": owner, "export_id": export_id, "attempt": attempt, "failure": why, "execution_arn": "arn"}
        self.put(json.dumps(letter))

    def fail(self, *export_ids: str, **letter: Any) -> None:
        """Exports that failed, each with its dead letter."""
        for export_id in export_ids or (EXPORT_ID,):
            self.cloud.write(failed(export_id))
            self.send(export_id, **letter)

    def put(self, body: str) -> None:
        aws.sqs().send_message(QueueUrl=QUEUE, MessageBody=body)

    def count(self) -> int:
        """The number of messages, none of which is hidden."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        visible, hidden = aws.sqs().get_queue_attributes(QueueUrl=QUEUE, AttributeNames=names)["Attributes"].values()
        assert int(hidden) == 0
        return int(visible)


@pytest.fixture
def queue(cloud: Cloud, time: Frozen, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The dead-letter queue of a stack that is found without CloudFormation."""
    monkeypatch.setattr(stack, "find", describe)
    monkeypatch.setattr(dead_letter_queue, "_WAIT_SECONDS", 0)
    return Queue(cloud)


def started(cloud: Cloud) -> list[str]:
    return sorted(cloud.executions())


# ── dead-letters ────────────────────────────────────────────────────────────────────────────────────────────────────

NONE = Run(0, "There are no dead letters.\n", "")


def test_without_dead_letters_nothing_is_wrong(admin: Admin, queue: Queue) -> None:
    assert admin("dead-letters") == NONE
    assert admin("dead-letters", "--json") == Run(0, "[]\n", "")
    assert admin("replay", "--all") == NONE


def test_a_dead_letter_says_what_failed_and_what_to_do(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    queue.fail(kind="SourceUnreadable", state="GeneratePart", part="7")
    assert admin("dead-letters") == Run(
        0,
        f"{EXPORT_ID} attempt 1 of {OWNER}\n"
        f"  failed  {FINISHED} in GeneratePart, part 7\n"
        "  error   SourceUnreadable: A source file cannot be read\n"
        "  detail  part 7 has no receipt\n"
        "  retry   fails again until the cause is corrected\n"
        "  remedy  Replace the file that the detail names with a valid one. Then retry.\n"
        "  now     FAILED\n",
        "",
    )
    assert queue.count() == 1
    assert cloud.records() == [failed()]


def test_json_has_the_same_as_the_text(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed(), succeeded(number(2), attempt=3))
    queue.send()
    queue.send(number(2), attempt=2, kind="Boom", state="PlanParts", error="{}")
    moved_on, other = json.loads(admin("dead-letters", "--json").out)
    assert (moved_on["export_id"], moved_on["moved_on"], moved_on["failed_at"]) == (number(2), True, None)
    assert moved_on["now"] == {"attempt": 3, "status": "SUCCEEDED"}
    error = other.pop("error")
    assert list(error) == ["type", "title", "detail", "state", "part", "retryable", "remedy"]
    assert (error["detail"], error["state"], error["part"]) == ("part 7 has no receipt", "AssembleFile", None)
    assert (error["type"], error["retryable"]) == ("RowsMissing", True)
    named = {"export_id": EXPORT_ID, "attempt": 1, "owner": OWNER, "letters": 1, "failed_at": FINISHED}
    assert other == named | {"moved_on": False, "now": {"attempt": 1, "status": "FAILED"}}


def test_duplicates_are_shown_once_and_removed_together(admin: Admin, queue: Queue) -> None:
    queue.fail()
    queue.send()
    assert admin("dead-letters").out.startswith(f"{EXPORT_ID} attempt 1 of {OWNER} (2 dead letters)\n")
    assert queue.count() == 2
    assert admin("replay", EXPORT_ID).out == f"{EXPORT_ID} attempt 1: attempt 2 has started\n"
    assert queue.count() == 0


def test_control_characters_do_not_reach_the_terminal(admin: Admin, queue: Queue) -> None:
    queue.fail(error=json.dumps({"Cause": "no \x1b[2Jsuch\n  now     fine\x9b"}))
    assert "  detail  no \ufffd[2Jsuch now fine\ufffd\n" in admin("dead-letters").out
    assert "\x9b" not in admin("dead-letters", "--json").out


def test_a_dead_letter_without_a_state_and_a_detail_is_shown(admin: Admin, queue: Queue) -> None:
    queue.fail(state="", error="{}")
    out = admin("dead-letters").out
    assert (f"  failed  {FINISHED} in no state\n" in out, "detail" in out) == (True, False)


def test_all_dead_letters_are_shown_the_oldest_export_first(admin: Admin, queue: Queue) -> None:
    for index in reversed(range(23)):
        queue.send(number(index))
    shown = json.loads(admin("dead-letters", "--json").out)
    assert [each["export_id"] for each in shown] == [number(index) for index in range(23)]
    assert queue.count() == 23


def test_a_message_that_is_no_dead_letter_is_named_and_stays(admin: Admin, queue: Queue) -> None:
    failure = '"failure": {"state": "", "type": "x", "part": "", "error": "{"}'
    broken = {
        "hello": "Expecting value",
        "[]": "[] is not allowed",
        '{"owner": "UA#x", "export_id": "x", "failure": {}}': "/attempt: is missing",
        f'{{"owner": "UA#x", "export_id": "x", "attempt": 1, {failure}}}': "Expecting property name",
    }
    for body in broken:
        queue.put(body)
    queue.fail()
    ran = admin("dead-letters", "--json")
    assert len(json.loads(ran.out)) == 1
    for line, said in zip(ran.err.splitlines(), broken.values(), strict=True):
        assert " is not a dead letter and stays in the queue: " in line
        assert said in line
    assert admin("replay", "--all").code == 0
    assert queue.count() == 4


def test_dead_letters_that_another_consumer_holds_are_counted(admin: Admin, queue: Queue) -> None:
    queue.send()
    aws.sqs().receive_message(QueueUrl=QUEUE)
    said = "Another consumer may hold 1 more dead letter. Try again in 120 s to see them.\n"
    assert admin("dead-letters") == Run(0, NONE.out, said)
    queue.send(number(1))
    queue.send(number(2))
    aws.sqs().receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=10)
    assert admin("dead-letters").err.startswith("Another consumer may hold 3 more dead letters. ")


def test_dead_letters_are_visible_again_after_an_error(admin: Admin, queue: Queue, calls: Calls) -> None:
    queue.send()
    calls.fail("GetItem", "AccessDeniedException")
    ran = admin("dead-letters")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("exports-admin: An error occurred (AccessDeniedException) when calling the GetItem")
    assert queue.count() == 1


# ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_export_is_retried_and_its_dead_letter_is_removed(
    admin: Admin, queue: Queue, cloud: Cloud, time: Frozen
) -> None:
    # It fails again until the cause is corrected, but a named export is retried.
    queue.fail(EXPORT_ID, number(2), kind="ColumnMismatch")
    assert admin("replay", EXPORT_ID) == Run(0, f"{EXPORT_ID} attempt 1: attempt 2 has started\n", "")
    retried = queued(attempt=2, delete_after=int(time.now.timestamp()) + (7 + 30) * 24 * 3600)
    assert sorted(cloud.records(), key=lambda record: -record["attempt"]) == [retried, failed(number(2))]
    assert cloud.executions() == {f"{EXPORT_ID}-2": {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 2}}
    assert queue.count() == 1
    missing = "".join(f"{each}: there is no dead letter\n" for each in (EXPORT_ID, number(3)))
    assert admin("replay", EXPORT_ID, number(3)) == Run(1, "", missing)


def test_dead_letters_of_two_attempts_start_one_attempt(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed() | {"attempt": 2})
    queue.send(attempt=2)
    queue.send(attempt=1)
    assert admin("replay", EXPORT_ID).out == (
        f"{EXPORT_ID} attempt 1: only the dead letter was removed, because attempt 2 is FAILED\n"
        f"{EXPORT_ID} attempt 2: attempt 3 has started\n"
    )
    assert queue.count() == 0
    assert started(cloud) == [f"{EXPORT_ID}-3"]


@pytest.mark.parametrize(
    ("items", "stands"),
    [
        ([running(attempt=2)], "attempt 2 is RUNNING"),
        ([failed() | {"attempt": 3}], "attempt 3 is FAILED"),
        ([cancelled(attempt=2)], "attempt 2 is CANCELLED"),
        ([succeeded(attempt=2)], "attempt 2 is SUCCEEDED"),
        ([succeeded(attempt=2, expires_at="2026-11-23T09:12:31.482Z")], "attempt 2 is EXPIRED"),
        ([], "the export was deleted"),
    ],
)
def test_if_the_export_has_moved_on_replay_only_removes_the_dead_letter(
    items: list[dict[str, Any]], stands: str, admin: Admin, queue: Queue, cloud: Cloud
) -> None:
    cloud.write(*items)
    queue.send(kind="ColumnMismatch")
    shown = admin("dead-letters").out
    assert f"  now     {stands}; replay only removes the dead letter\n" in shown
    assert "  failed  in AssembleFile\n" in shown
    said = f"{EXPORT_ID} attempt 1: only the dead letter was removed, because {stands}\n"
    assert admin("replay", "--all") == Run(0, said, "")
    assert (queue.count(), cloud.records(), started(cloud)) == (0, items, [])


def test_replay_all_skips_what_fails_again_until_it_is_corrected(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    for index, kind in enumerate(["RowsMissing", "ExpressionFailed", "States.Timeout"]):
        queue.fail(number(index), kind=kind)
    again = "ExpressionFailed: Correct the expression in reports/flights.yaml."
    skipped = "Skipped 1 dead letter. Correct the cause, then use --all --corrected.\n"
    said = f"{number(0)} attempt 1: attempt 2 has started\n"
    assert admin("replay", "--all", "--type", "RowsMissing") == Run(0, said, "")
    said = "There are no dead letters of type RowsMissing. There are some of type ExpressionFailed, States.Timeout.\n"
    assert admin("replay", "--all", "--type", "RowsMissing") == Run(0, said, "")
    said = f"{number(1)} attempt 1: skipped, {again}\n{number(2)} attempt 1: attempt 2 has started\n{skipped}"
    assert admin("replay", "--all") == Run(0, said, "")
    assert queue.count() == 1
    assert admin("replay", "--all", "--corrected").out == f"{number(1)} attempt 1: attempt 2 has started\n"
    assert queue.count() == 0
    assert started(cloud) == [f"{number(index)}-2" for index in range(3)]


@pytest.mark.parametrize(
    ("operation", "failure"),
    [("GetItem", "AccessDeniedException"), ("UpdateItem", "ThrottlingException"), ("StartExecution", NO_ANSWER)],
)
def test_a_dead_letter_stays_until_the_attempt_has_started(
    operation: str, failure: str | Exception, admin: Admin, queue: Queue, cloud: Cloud, calls: Calls
) -> None:
    queue.fail(EXPORT_ID, number(1))
    calls.fail(operation, failure)
    ran = admin("replay", "--all")
    assert (ran.code, ran.out) == (1, "")
    for name, line in zip([number(1), EXPORT_ID], ran.err.splitlines(), strict=True):
        assert line.startswith(f"{name} attempt 1: replay failed, the dead letter stays: ")
    calls.heal()
    assert (queue.count(), started(cloud)) == (2, [])
    ran = admin("replay", "--all")
    assert (ran.code, ran.out.count("attempt 2 has started"), queue.count()) == (0, 2, 0)
    assert started(cloud) == [f"{number(1)}-2", f"{EXPORT_ID}-2"]


def test_a_dead_letter_that_cannot_be_removed_starts_one_attempt(
    admin: Admin, queue: Queue, cloud: Cloud, calls: Calls
) -> None:
    queue.fail()
    calls.fail("DeleteMessage", "AccessDenied")
    assert admin("replay", EXPORT_ID).fails(1, "when calling the DeleteMessage operation")
    calls.heal()
    assert admin("replay", EXPORT_ID).out == f"{EXPORT_ID} attempt 1: attempt 2 has started\n"
    assert queue.count() == 0
    assert started(cloud) == [f"{EXPORT_ID}-2"]


def unanswered(record: Any) -> None:
    if record["export_id"] == number(1):
        raise NO_ANSWER


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        # One export fails: the other is retried.
        (unanswered, (1, "attempt 2 has started", 1, ["2"])),
        # Another operator starts the attempt, or the owner deletes the export.
        (lambda record: table.retry(record, FINISHED, 1), (0, "attempt 2 has started", 0, ["2", "2"])),
        (table.remove, (0, "only the dead letter was removed, because the export was deleted", 0, [])),
    ],
)
def test_what_happens_during_a_replay_does_no_harm(
    meanwhile: Any, expected: Any, admin: Admin, queue: Queue, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.fail(EXPORT_ID, number(1))
    write = table.retry

    def after(record: Any, *given: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(table, "retry", write)
            meanwhile(record)
        return write(record, *given)

    monkeypatch.setattr(table, "retry", after)
    ran = admin("replay", "--all")
    (said,) = re.findall(f"^{EXPORT_ID} attempt 1: (.*)$", ran.out, re.MULTILINE)
    assert (ran.code, said, queue.count(), [name.rpartition("-")[2] for name in started(cloud)]) == expected


EITHER, ONLY = "Either name the exports to replay or use --all.", "Use --type and --corrected with --all only."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], EITHER),
        (["--all", EXPORT_ID], EITHER),
        (["--type", "RowsMissing", EXPORT_ID], ONLY),
        (["--corrected", EXPORT_ID], ONLY),
        ([EXPORT_ID, "x"], "'x' is not the id of an export. To list the ids: exports-admin dead-letters"),
    ],
)
def test_a_wrong_command_line_is_refused_before_any_call(
    arguments: list[str], said: str, admin: Admin, no_aws: None
) -> None:
    ran = admin("replay", *arguments)
    assert (ran.code, ran.out, said in ran.err) == (2, "", True)
