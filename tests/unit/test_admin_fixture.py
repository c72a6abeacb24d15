"""The command `exports-admin fixture`: it writes the input of a function as an event, or says why it cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.lambda_ import contract
from tests.unit.cli_stack import Run
from tests.unit.support import EXPORT_ID, OWNER, PLAN, ROOT, USER
from tests.unit.test_admin import Admin, command_line
from tests.unit.test_admin_executions import (
    FUNCTION,
    GIVEN,
    PLANNED,
    History,
    StepFunctions,
    failed_in_a_part,
    failing_part,
    in_memory,
    made,
    succeeded,
)

admin = pytest.fixture(command_line)
past = pytest.fixture(in_memory)
OTHER = "0d9e8f7a-1111-4222-8333-444455556666"


@pytest.mark.parametrize(
    ("folder", "words", "given"),
    [
        ("plan_parts", ["PlanParts"], GIVEN),
        ("generate_part", ["GeneratePart", "2"], made(2)),
        ("assemble_file", ["AssembleFile"], GIVEN | {"plan": PLAN}),
    ],
)
def test_the_input_of_a_function_is_written_as_an_event(
    folder: str, words: list[str], given: Any, admin: Admin, past: StepFunctions
) -> None:
    succeeded(past)
    ran = admin("fixture", EXPORT_ID, *words)
    assert ran.out == json.dumps(given, indent=2) + "\n"
    contract.require(contract.event_contract(str(ROOT / "functions" / folder / "app.py")), json.loads(ran.out))
    named = ", part ".join(words) + "," * (len(words) - 1)
    assert ran.err == (
        f"Wrote the input of {named} in attempt 1. The user's id was replaced. To keep it, use --keep-owner.\n"
        f"make invoke FUNCTION={words[0]} EVENT=events/{folder}/CASE.json\n"
    )


def of_somebody(past: StepFunctions) -> None:
    """An attempt of a user whose id also stands elsewhere in the input."""
    owner = OWNER.replace(USER, OTHER)
    given = made(0) | {"owner": owner}
    given["part"]["sources"][0]["key"] = f"data/{OTHER}/a.parquet"
    call = {"FunctionName": f"{FUNCTION}generate-part", "Payload": given}
    succeeded(past, parts=0)
    past.executions[next(iter(past.executions))]["input"] = json.dumps(GIVEN | {"owner": owner})
    past.child(0, History(given).worker("GeneratePart", call))


def test_the_id_of_the_user_is_replaced_everywhere(admin: Admin, past: StepFunctions) -> None:
    of_somebody(past)
    out = admin("fixture", EXPORT_ID, "GeneratePart", "0").out
    assert OTHER not in out
    written = json.loads(out)
    assert (written["owner"], written["part"]["sources"][0]["key"]) == (OWNER, f"data/{USER}/a.parquet")
    ran = admin("fixture", EXPORT_ID, "GeneratePart", "0", "--keep-owner")
    assert json.loads(ran.out)["owner"] == OWNER.replace(USER, OTHER)
    assert ran.err.startswith("Wrote the input of GeneratePart, part 0, in attempt 1.\n")


def test_only_a_complete_fixture_is_written_to_a_file(admin: Admin, past: StepFunctions, tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text("before")
    assert admin("fixture", EXPORT_ID, "PlanParts", "--output", str(file)).code == 1
    assert file.read_text() == "before"
    succeeded(past)
    ran = admin("fixture", EXPORT_ID, "PlanParts", "--output", str(file))
    assert (ran.code, ran.out, json.loads(file.read_text())) == (0, "", GIVEN)
    assert ran.err.endswith(f"\nmake invoke FUNCTION=PlanParts EVENT={file}\n")


def test_the_last_try_of_the_latest_attempt_is_taken(admin: Admin, past: StepFunctions) -> None:
    second = PLANNED | {"Payload": GIVEN | {"attempt": 2}}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", PLANNED, "States.Timeout", "Lambda.Unknown"))
    past.put(f"{EXPORT_ID}-2", History(GIVEN | {"attempt": 2}).worker("PlanParts", second))
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out)["attempt"] == 2
    ran = admin("fixture", EXPORT_ID, "PlanParts", "--attempt", "1")
    assert json.loads(ran.out)["attempt"] == 1
    assert ran.err.startswith("Wrote the input of PlanParts in attempt 1 (the last of 3 tries).")


@pytest.mark.parametrize(
    ("status", "ended"),
    [("RUNNING", "is running"), ("FAILED", "failed"), ("ABORTED", "was stopped"), ("TIMED_OUT", "timed out")],
)
def test_an_attempt_without_a_file_has_the_inputs_of_the_states_that_it_reached(
    status: str, ended: str, admin: Admin, past: StepFunctions
) -> None:
    planned(past, status)
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out) == GIVEN
    for words, said in ((["AssembleFile"], "AssembleFile did not run"), (["GeneratePart", "0"], "No part started")):
        said = f"exports-admin: {said} in attempt 1, which {ended} in PlanParts.\n"
        assert admin("fixture", EXPORT_ID, *words) == Run(1, "", said)


def test_a_failed_part_has_a_fixture(admin: Admin, past: StepFunctions) -> None:
    not_all_begun(past)
    assert json.loads(admin("fixture", EXPORT_ID, "GeneratePart", "1").out) == made(1)


def test_a_state_whose_resource_is_a_function_has_a_fixture(admin: Admin, past: StepFunctions) -> None:
    past.definition["States"]["PlanParts"]["Resource"] = f"{FUNCTION}plan-parts"
    scheduled = {"resource": f"{FUNCTION}plan-parts", "input": json.dumps(GIVEN)}
    history = History().enter("PlanParts")
    past.put(f"{EXPORT_ID}-1", history.add("LambdaFunctionScheduled", lambdaFunctionScheduledEventDetails=scheduled))
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out) == GIVEN


CALLERS = "is not a state that calls a function. These are: RunQuery, PlanParts, "
ONCE = "PlanParts runs once in an attempt, not for each part. Omit the 3."
EACH = "GeneratePart runs once for each part. Add the number of the part, as in GeneratePart 0."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("x PlanParts", "Give the whole id, as `exports list --json` has it."),
        (f"{EXPORT_ID} SendToDeadLetters", f"SendToDeadLetters {CALLERS}"),
        (f"{EXPORT_ID} Plan", ", GeneratePart PART, "),
        (f"{EXPORT_ID} GeneratePart", EACH),
        (f"{EXPORT_ID} PlanParts 3", ONCE),
        (f"{EXPORT_ID} PlanParts --attempt 0", "0 is not in the range x>=1."),
    ],
)
def test_a_wrong_command_line_says_what_is_allowed(
    arguments: str, said: str, admin: Admin, past: StepFunctions
) -> None:
    succeeded(past)
    ran = admin("fixture", *arguments.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def planned(past: StepFunctions, status: str) -> None:
    past.put(f"{EXPORT_ID}-1", History().direct("RecordRunning").enter("PlanParts").schedule(PLANNED), status)


def not_all_begun(past: StepFunctions) -> None:
    failed_in_a_part(past, lambda: past.child(0, failing_part(1), "FAILED"))
    past.totals = dict.fromkeys(past.runs, 3)


KEPT = "AWS keeps an execution for 90 days after its end."
STRANGE = f"There is no execution of {EXPORT_ID}. The export is of another stack, or it never started. {KEPT}"
BROKE = "PlanParts called no function in attempt 1, which failed in PlanParts: States.Runtime: no such path"


def put(history: History, status: str, error: tuple[str, str] | None = None) -> Callable[[StepFunctions], object]:
    return lambda past: past.put(f"{EXPORT_ID}-1", history, status, error)


@pytest.mark.parametrize(
    ("arrange", "arguments", "said"),
    [
        (lambda past: None, "PlanParts", STRANGE),
        (succeeded, "PlanParts --attempt 7", f"Attempt 7 at {EXPORT_ID} has no execution: it never started. {KEPT}"),
        (put(History(), "RUNNING"), "PlanParts", "PlanParts did not run in attempt 1, which has just started."),
        (put(History(), "SUCCEEDED"), "PlanParts", "PlanParts did not run in attempt 1, which succeeded."),
        (put(History().enter("PlanParts"), "FAILED", ("States.Runtime", "no such path")), "PlanParts", BROKE),
        (succeeded, "GeneratePart 3", "There is no part 3 in attempt 1. Its 3 parts are 0 to 2."),
        (not_all_begun, "GeneratePart 2", "Part 2 did not start in attempt 1, which failed in GeneratePart, part 1."),
    ],
)
def test_an_input_that_does_not_exist_is_explained(
    arrange: Callable[[StepFunctions], object], arguments: str, said: str, admin: Admin, past: StepFunctions
) -> None:
    arrange(past)
    assert admin("fixture", EXPORT_ID, *arguments.split()) == Run(1, "", f"exports-admin: {said}\n")


def test_an_input_that_breaks_the_contract_is_an_error(admin: Admin, past: StepFunctions) -> None:
    given = GIVEN | {"attempt": "1", "format": "csv"}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", PLANNED | {"Payload": given}))
    ran = admin("fixture", EXPORT_ID, "PlanParts")
    assert (ran.code, ran.out) == (1, "")
    for said in (
        "exports-admin: The input does not match functions/plan_parts/event.schema.json: ",
        '/attempt: "1" is not allowed',
        "/format: unknown field",
        "Another version processed the export. Check out that version.\n",
    ):
        assert said in ran.err


def test_a_function_of_another_version_is_named(admin: Admin, past: StepFunctions) -> None:
    call = PLANNED | {"FunctionName": f"{FUNCTION}make-plan"}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", call))
    assert admin("fixture", EXPORT_ID, "PlanParts").err == (
        "exports-admin: This version has no function report-exports-make-plan: "
        "there is no file functions/make_plan/event.schema.json.\n"
    )
