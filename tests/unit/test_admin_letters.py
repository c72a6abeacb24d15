"""exports-admin: what dead letters it shows, what replay does with them, and what it says when it cannot."""

import json
from typing import Any

import pytest

from exports_admin import dead_letter_queue, stack
from shared.lambda_ import aws
from shared.records import table
from tests.unit.support import (
    EXPORT_ID,
    NO_ANSWER,
    OWNER,
    REGION,
    Calls,
    Cloud,
    Frozen,
    cancelled,
    event,
    failed,
    number,
    queued,
    running,
    succeeded,
)
from tests.unit.test_admin import Admin, Run, command_line

QUEUE = event("environment")["ReconcileExports"]["DEAD_LETTERS_URL"]
FINISHED = failed()["finished_at"]

admin = pytest.fixture(command_line)


class Queue:
    """The queue of dead letters."""

    def __init__(self) -> None:
        aws.sqs().create_queue(QueueName=QUEUE.rpartition("/")[2])

    def send(self, export_id: str = EXPORT_ID, attempt: int = 1, kind: str = "RowsMissing", **failure: str) -> None:
        """A letter as the state SendToDeadLetters sends it."""
        cause = json.dumps({"errorMessage": "part 7 has no receipt", "errorType": kind})
        caught = json.dumps({"Error": kind, "Cause": cause})
        why = {"state": "AssembleFile", "type": kind, "error": caught, "part": ""} | failure
        letter = {"owner": OWNER, "export_id": export_id, "attempt": attempt, "failure": why, "execution_arn": "arn"}
        self.put(json.dumps(letter))

    def put(self, body: str) -> None:
        aws.sqs().send_message(QueueUrl=QUEUE, MessageBody=body)

    def count(self) -> int:
        """How many can be received now: none is hidden any more."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        visible, hidden = aws.sqs().get_queue_attributes(QueueUrl=QUEUE, AttributeNames=names)["Attributes"].values()
        assert int(hidden) == 0
        return int(visible)


@pytest.fixture
def queue(cloud: Cloud, time: Frozen, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """An account with a stack, which is found without asking CloudFormation each time."""
    names = event("environment")["ReconcileExports"]
    described = {
        "region": REGION,
        "dead_letters_url": QUEUE,
        "bucket": "report-exports-local",
        "table": names["EXPORTS_TABLE"],
        "state_machine_arn": names["STATE_MACHINE_ARN"],
        "retention_days": 7,
    }
    monkeypatch.setattr(stack, "find", lambda name: described)
    monkeypatch.setattr(dead_letter_queue, "_WAIT_SECONDS", 0)
    return Queue()


def started(cloud: Cloud) -> list[str]:
    return sorted(cloud.executions())


# ── dead-letters ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_letters_are_no_fault(admin: Admin, queue: Queue) -> None:
    assert admin("dead-letters") == Run(0, "There are no dead letters.\n", "")
    assert admin("dead-letters", "--json") == Run(0, "[]\n", "")


def test_a_letter_says_what_failed_and_what_to_do(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send(kind="SourceUnreadable", state="GeneratePart", part="7")
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


def test_a_script_reads_the_same_as_json(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed(), succeeded(number(2), attempt=3))
    queue.send()
    queue.send(number(2), attempt=2, kind="Boom", state="PlanParts", error="{}")
    ran = admin("dead-letters", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == [
        {
            "export_id": number(2),
            "attempt": 2,
            "owner": OWNER,
            "letters": 1,
            "failed_at": None,
            "error": {
                "type": "Boom",
                "title": "An unexpected error occurred",
                "detail": "",
                "state": "PlanParts",
                "part": None,
                "retryable": False,
                "remedy": "Tell the operators. The execution in the Step Functions console shows the failed state.",
            },
            "moved_on": True,
            "now": {"attempt": 3, "status": "SUCCEEDED"},
        },
        {
            "export_id": EXPORT_ID,
            "attempt": 1,
            "owner": OWNER,
            "letters": 1,
            "failed_at": FINISHED,
            "error": {
                "type": "RowsMissing",
                "title": "The file would be incomplete",
                "detail": "part 7 has no receipt",
                "state": "AssembleFile",
                "part": None,
                "retryable": True,
                "remedy": "Retry. The new attempt makes only the missing parts.",
            },
            "moved_on": False,
            "now": {"attempt": 1, "status": "FAILED"},
        },
    ]


MOVED_ON: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a newer attempt runs": ([running(attempt=2)], "attempt 2 is RUNNING"),
    "a newer attempt failed": ([failed() | {"attempt": 3}], "attempt 3 is FAILED"),
    "cancelled": ([cancelled(attempt=2)], "attempt 2 is CANCELLED"),
    "succeeded": ([succeeded(attempt=2)], "attempt 2 is SUCCEEDED"),
    "expired": ([succeeded(attempt=2, expires_at="2026-11-23T09:12:31.482Z")], "attempt 2 is EXPIRED"),
    "removed": ([], "the export was deleted"),
}


@pytest.mark.parametrize("case", MOVED_ON)
def test_a_letter_whose_export_has_moved_on_says_so(case: str, admin: Admin, queue: Queue, cloud: Cloud) -> None:
    items, stands = MOVED_ON[case]
    cloud.write(*items)
    queue.send()
    ran = admin("dead-letters")
    assert f"  now     {stands}; replay only removes the dead letter\n" in ran.out
    assert "  failed  in AssembleFile\n" in ran.out


def test_doubled_letters_are_shown_once_with_their_number(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send()
    queue.send()
    assert admin("dead-letters").out.startswith(f"{EXPORT_ID} attempt 1 of {OWNER} (2 dead letters)\n")
    [shown] = json.loads(admin("dead-letters", "--json").out)
    assert shown["letters"] == 2
    assert queue.count() == 2


def test_what_a_user_has_sent_does_not_command_the_operators_terminal(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send(error=json.dumps({"Cause": "no \x1b[2Jsuch\n  now     fine\x9b"}))
    ran = admin("dead-letters")
    assert "  detail  no \ufffd[2Jsuch now fine\ufffd\n" in ran.out
    assert "\x9b" not in admin("dead-letters", "--json").out


def test_a_letter_without_a_detail_or_a_state_has_no_line_for_it(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send(state="", error="{}")
    out = admin("dead-letters").out
    assert f"  failed  {FINISHED} in no state\n" in out
    assert "detail" not in out


def test_all_letters_are_shown_however_many_in_the_order_of_their_exports(admin: Admin, queue: Queue) -> None:
    for index in reversed(range(23)):
        queue.send(number(index))
    shown = json.loads(admin("dead-letters", "--json").out)
    assert [each["export_id"] for each in shown] == [number(index) for index in range(23)]
    assert queue.count() == 23


BROKEN = {
    "no JSON": ("hello", "Expecting value"),
    "no object": ("[]", "[] is not allowed"),
    "no attempt": ('{"owner": "UA#x", "export_id": "x", "failure": {}}', "/attempt: is missing"),
    "an error that is none": (
        '{"owner": "UA#x", "export_id": "x", "attempt": 1,'
        ' "failure": {"state": "", "type": "x", "part": "", "error": "{"}}',
        "Expecting property name",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_message_that_is_no_letter_is_named_and_stays(case: str, admin: Admin, queue: Queue, cloud: Cloud) -> None:
    body, said = BROKEN[case]
    queue.put(body)
    queue.send()
    cloud.write(failed())
    ran = admin("dead-letters", "--json")
    assert len(json.loads(ran.out)) == 1
    assert "is not a dead letter and stays in the queue: " in ran.err
    assert said in ran.err
    assert admin("replay", "--all").code == 0
    assert queue.count() == 1


def test_letters_that_somebody_else_reads_are_not_passed_over_in_silence(admin: Admin, queue: Queue) -> None:
    queue.send()
    aws.sqs().receive_message(QueueUrl=QUEUE)
    ran = admin("dead-letters")
    assert ran.out == "There are no dead letters.\n"
    assert ran.err == "Another consumer may hold 1 more dead letter. Try again in 120 s to see them.\n"


def test_letters_show_again_when_the_listing_breaks_off(admin: Admin, queue: Queue, calls: Calls) -> None:
    queue.send()
    calls.fail("GetItem", "AccessDeniedException")
    ran = admin("dead-letters")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("exports-admin: An error occurred (AccessDeniedException) when calling the GetItem")
    assert queue.count() == 1


# ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_export_is_tried_again_and_its_letter_goes(
    admin: Admin, queue: Queue, cloud: Cloud, time: Frozen
) -> None:
    cloud.write(failed(), failed(number(2)))
    queue.send()
    queue.send(number(2))
    assert admin("replay", EXPORT_ID) == Run(0, f"{EXPORT_ID} attempt 1: attempt 2 has started\n", "")
    expected = queued(attempt=2, delete_after=int(time.now.timestamp()) + (7 + 30) * 24 * 3600)
    assert {record["export_id"]: record for record in cloud.records()} == {
        EXPORT_ID: expected,
        number(2): failed(number(2)),
    }
    assert cloud.executions() == {f"{EXPORT_ID}-2": {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 2}}
    assert queue.count() == 1


def test_an_export_that_is_named_is_tried_again_even_if_it_fails_again(
    admin: Admin, queue: Queue, cloud: Cloud
) -> None:
    cloud.write(failed())
    queue.send(kind="ColumnMismatch")
    assert admin("replay", EXPORT_ID).code == 0
    assert started(cloud) == [f"{EXPORT_ID}-2"]


def test_doubles_go_with_their_letter(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send()
    queue.send()
    assert admin("replay", EXPORT_ID).out.count("has started") == 1
    assert queue.count() == 0
    assert started(cloud) == [f"{EXPORT_ID}-2"]


def test_letters_of_two_attempts_are_one_new_attempt(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed() | {"attempt": 2})
    queue.send(attempt=2)
    queue.send(attempt=1)
    assert admin("replay", EXPORT_ID).out == (
        f"{EXPORT_ID} attempt 1: only the dead letter was removed, because attempt 2 is FAILED\n"
        f"{EXPORT_ID} attempt 2: attempt 3 has started\n"
    )
    assert queue.count() == 0
    assert started(cloud) == [f"{EXPORT_ID}-3"]


@pytest.mark.parametrize("arguments", [["--all"], [EXPORT_ID]], ids=["all", "named"])
@pytest.mark.parametrize("case", MOVED_ON)
def test_where_the_export_has_moved_on_only_the_letter_goes(
    case: str, arguments: list[str], admin: Admin, queue: Queue, cloud: Cloud
) -> None:
    items, stands = MOVED_ON[case]
    cloud.write(*items)
    queue.send(kind="ColumnMismatch")
    said = f"{EXPORT_ID} attempt 1: only the dead letter was removed, because {stands}\n"
    assert admin("replay", *arguments) == Run(0, said, "")
    assert queue.count() == 0
    assert cloud.records() == items
    assert started(cloud) == []


def test_all_skips_what_fails_again_until_it_is_corrected(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(*[failed(number(index)) for index in range(3)])
    for index, kind in enumerate(["RowsMissing", "ExpressionFailed", "States.Timeout"]):
        queue.send(number(index), kind=kind)
    assert admin("replay", "--all") == Run(
        0,
        f"{number(0)} attempt 1: attempt 2 has started\n"
        f"{number(1)} attempt 1: skipped, ExpressionFailed: Correct the expression in reports/<report>.yaml.\n"
        f"{number(2)} attempt 1: attempt 2 has started\n"
        "Skipped 1 dead letter. Correct the cause, then use --all --corrected.\n",
        "",
    )
    assert started(cloud) == [f"{number(0)}-2", f"{number(2)}-2"]
    assert queue.count() == 1
    assert admin("replay", "--all", "--corrected").out == f"{number(1)} attempt 1: attempt 2 has started\n"
    assert queue.count() == 0


def test_all_of_a_type_leaves_the_others(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(*[failed(number(index)) for index in range(2)])
    queue.send(number(0), kind="RowsMissing")
    queue.send(number(1), kind="States.Timeout")
    assert admin("replay", "--all", "--type", "RowsMissing").out == f"{number(0)} attempt 1: attempt 2 has started\n"
    assert started(cloud) == [f"{number(0)}-2"]
    ran = admin("replay", "--all", "--type", "RowsMissing")
    assert ran == Run(0, "There are no dead letters of type RowsMissing. There are some of type States.Timeout.\n", "")
    assert queue.count() == 1


def test_replaying_twice_does_no_harm(admin: Admin, queue: Queue, cloud: Cloud) -> None:
    cloud.write(failed())
    queue.send()
    admin("replay", "--all")
    assert admin("replay", "--all") == Run(0, "There are no dead letters.\n", "")
    assert admin("replay", EXPORT_ID, number(3)) == Run(
        1, "", f"{EXPORT_ID}: there is no dead letter\n{number(3)}: there is no dead letter\n"
    )
    assert started(cloud) == [f"{EXPORT_ID}-2"]


@pytest.mark.parametrize("failure", ["ThrottlingException", "AccessDeniedException", NO_ANSWER])
@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem", "StartExecution"])
def test_a_letter_stays_until_the_attempt_has_started(
    operation: str, failure: str | Exception, admin: Admin, queue: Queue, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(failed(), failed(number(1)))
    queue.send()
    queue.send(number(1))
    calls.fail(operation, failure)
    ran = admin("replay", "--all")
    assert (ran.code, ran.out) == (1, "")
    for name, line in zip([number(1), EXPORT_ID], ran.err.splitlines(), strict=True):
        assert line.startswith(f"{name} attempt 1: replay failed, the dead letter stays: ")
    calls.heal()
    assert queue.count() == 2
    assert started(cloud) == []
    ran = admin("replay", "--all")
    assert (ran.code, ran.out.count("attempt 2 has started")) == (0, 2)
    assert queue.count() == 0
    assert started(cloud) == sorted([f"{EXPORT_ID}-2", f"{number(1)}-2"])


def test_one_that_fails_does_not_keep_the_others(
    admin: Admin, queue: Queue, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed(), failed(number(1)))
    queue.send()
    queue.send(number(1))
    write = table.retry

    def fail_once(record: Any, *given: Any) -> Any:
        if record["export_id"] == number(1):
            raise NO_ANSWER
        return write(record, *given)

    monkeypatch.setattr(table, "retry", fail_once)
    ran = admin("replay", "--all")
    assert (ran.code, ran.out) == (1, f"{EXPORT_ID} attempt 1: attempt 2 has started\n")
    assert queue.count() == 1


def test_an_attempt_whose_letter_could_not_be_removed_is_started_once(
    admin: Admin, queue: Queue, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(failed())
    queue.send()
    calls.fail("DeleteMessage", "AccessDenied")
    ran = admin("replay", EXPORT_ID)
    assert ran.code == 1
    assert "when calling the DeleteMessage operation" in ran.err
    calls.heal()
    assert admin("replay", EXPORT_ID).out == f"{EXPORT_ID} attempt 1: attempt 2 has started\n"
    assert queue.count() == 0
    assert started(cloud) == [f"{EXPORT_ID}-2"]


def test_two_operators_at_once_start_one_attempt(
    admin: Admin, queue: Queue, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    queue.send()
    write = table.retry

    def after_another(record: Any, *given: Any) -> Any:
        assert write(record, *given)
        return write(record, *given)

    monkeypatch.setattr(table, "retry", after_another)
    assert admin("replay", EXPORT_ID) == Run(0, f"{EXPORT_ID} attempt 1: attempt 2 has started\n", "")
    assert [record["attempt"] for record in cloud.records()] == [2]
    assert started(cloud) == [f"{EXPORT_ID}-2"]
    assert queue.count() == 0


def test_an_export_that_is_removed_meanwhile_only_loses_its_letter(
    admin: Admin, queue: Queue, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write(failed())
    queue.send()
    write = table.retry

    def after_its_removal(record: Any, *given: Any) -> Any:
        assert table.remove(record)
        return write(record, *given)

    monkeypatch.setattr(table, "retry", after_its_removal)
    said = f"{EXPORT_ID} attempt 1: only the dead letter was removed, because the export was deleted\n"
    assert admin("replay", EXPORT_ID) == Run(0, said, "")
    assert (cloud.records(), started(cloud), queue.count()) == ([], [], 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Either name the exports to replay or use --all."),
        (["--all", EXPORT_ID], "Either name the exports to replay or use --all."),
        (["--type", "RowsMissing", EXPORT_ID], "Use --type and --corrected with --all only."),
        (["--corrected", EXPORT_ID], "Use --type and --corrected with --all only."),
        ([EXPORT_ID, "x"], "'x' is not the id of an export. To list the ids: exports-admin dead-letters"),
        (["--everything"], "No such option: --everything"),
    ],
)
def test_a_command_line_that_is_wrong_is_refused_before_anything_is_done(
    arguments: list[str], said: str, admin: Admin, no_aws: None
) -> None:
    ran = admin("replay", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
