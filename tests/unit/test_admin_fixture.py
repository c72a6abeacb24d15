"""exports-admin fixture: a function's input becomes a file under events/, and what it says when it cannot."""

import json
from pathlib import Path
from typing import Any

import pytest

from exports_admin import executions, fixture
from shared.lambda_ import contract
from tests.unit.support import EXPORT_ID, OWNER, ROOT, USER
from tests.unit.test_admin import Admin, Run, command_line
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
    part,
    succeeded,
)

admin = pytest.fixture(command_line)
past = pytest.fixture(in_memory)
OTHER = "0d9e8f7a-1111-4222-8333-444455556666"

STATES = {
    "PlanParts": ("plan_parts", [], GIVEN),
    "GeneratePart": ("generate_part", ["2"], made(2)),
    "AssembleFile": ("assemble_file", [], GIVEN | {"plan": "3fa94c1d07be5526"}),
}


@pytest.mark.parametrize("state", STATES)
def test_what_a_function_was_given_is_written_as_the_other_fixtures_are(
    state: str, admin: Admin, past: StepFunctions
) -> None:
    folder, number, given = STATES[state]
    succeeded(past)
    ran = admin("fixture", EXPORT_ID, state, *number)
    assert ran.out == json.dumps(given, indent=2) + "\n"
    contract.require(contract.event_contract(str(ROOT / "functions" / folder / "app.py")), json.loads(ran.out))
    named = f"{state}, part 2," if number else state
    assert ran.err == (
        f"Wrote the input of {named} in attempt 1. The user's id was replaced. To keep it, use --keep-owner.\n"
        f"make invoke FUNCTION={state} EVENT=events/{folder}/CASE.json\n"
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


def test_who_asked_is_replaced_wherever_it_stands(admin: Admin, past: StepFunctions) -> None:
    of_somebody(past)
    out = admin("fixture", EXPORT_ID, "GeneratePart", "0").out
    assert OTHER not in out
    written = json.loads(out)
    assert (written["owner"], written["part"]["sources"][0]["key"]) == (OWNER, f"data/{USER}/a.parquet")


def test_who_asked_is_kept_on_demand(admin: Admin, past: StepFunctions) -> None:
    of_somebody(past)
    ran = admin("fixture", EXPORT_ID, "GeneratePart", "0", "--keep-owner")
    assert json.loads(ran.out)["owner"] == OWNER.replace(USER, OTHER)
    assert "replaced" not in ran.err


def test_it_is_written_to_a_file(admin: Admin, past: StepFunctions, tmp_path: Path) -> None:
    succeeded(past)
    file = tmp_path / "case.json"
    ran = admin("fixture", EXPORT_ID, "PlanParts", "--output", str(file))
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(file.read_text()) == GIVEN
    assert ran.err.endswith(f"\nmake invoke FUNCTION=PlanParts EVENT={file}\n")


def test_a_fixture_that_cannot_be_made_leaves_the_file_alone(admin: Admin, past: StepFunctions, tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text("before")
    assert admin("fixture", EXPORT_ID, "PlanParts", "--output", str(file)).code == 1
    assert file.read_text() == "before"


def test_of_several_tries_the_last_is_taken_and_that_is_said(admin: Admin, past: StepFunctions) -> None:
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", PLANNED, "States.Timeout", "Lambda.Unknown"))
    assert admin("fixture", EXPORT_ID, "PlanParts").err.startswith(
        "Wrote the input of PlanParts in attempt 1 (the last of 3 tries)."
    )


def test_an_earlier_attempt_can_be_named(admin: Admin, past: StepFunctions) -> None:
    second = PLANNED | {"Payload": GIVEN | {"attempt": 2}}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", PLANNED))
    past.put(f"{EXPORT_ID}-2", History(GIVEN | {"attempt": 2}).worker("PlanParts", second))
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out)["attempt"] == 2
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts", "--attempt", "1").out)["attempt"] == 1


@pytest.mark.parametrize("status", ["RUNNING", "ABORTED", "TIMED_OUT"])
def test_it_does_not_matter_how_the_attempt_ended(status: str, admin: Admin, past: StepFunctions) -> None:
    past.put(f"{EXPORT_ID}-1", History().direct("RecordRunning").enter("PlanParts").schedule(PLANNED), status)
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out) == GIVEN


def test_the_part_that_failed_is_found(admin: Admin, past: StepFunctions) -> None:
    def children() -> None:
        past.child(0, part(0))
        past.child(1, failing_part(1), "FAILED")

    failed_in_a_part(past, children)
    assert json.loads(admin("fixture", EXPORT_ID, "GeneratePart", "1").out) == made(1)


def test_a_function_whose_own_arn_is_the_resource_has_a_fixture(admin: Admin, past: StepFunctions) -> None:
    past.definition["States"]["PlanParts"]["Resource"] = f"{FUNCTION}plan-parts"
    scheduled = {"resource": f"{FUNCTION}plan-parts", "input": json.dumps(GIVEN)}
    history = History().enter("PlanParts")
    past.put(f"{EXPORT_ID}-1", history.add("LambdaFunctionScheduled", lambdaFunctionScheduledEventDetails=scheduled))
    assert json.loads(admin("fixture", EXPORT_ID, "PlanParts").out) == GIVEN


# ── what cannot be done ─────────────────────────────────────────────────────────────────────────────────────────────

CALLERS = "These are: PlanParts, GeneratePart PART, AssembleFile."
WRONG = {
    "an id that is none": (["x", "PlanParts"], "'x' is not the id of an export."),
    "a state that calls AWS itself": (
        [EXPORT_ID, "SendToDeadLetters"],
        f"SendToDeadLetters is not a state that calls a function. {CALLERS}",
    ),
    "a state that is not there": ([EXPORT_ID, "Plan"], f"Plan is not a state that calls a function. {CALLERS}"),
    "a part that is not said": (
        [EXPORT_ID, "GeneratePart"],
        "GeneratePart runs once for each part. Add the number of the part, as in GeneratePart 0.",
    ),
    "a part where there is none": (
        [EXPORT_ID, "PlanParts", "3"],
        "PlanParts runs once in an attempt, not for each part. Omit the 3.",
    ),
    "a part that is no number": ([EXPORT_ID, "GeneratePart", "x"], "'x' is not a valid integer range."),
    "an attempt that is none": ([EXPORT_ID, "PlanParts", "--attempt", "0"], "0 is not in the range x>=1."),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_command_that_is_called_wrongly_says_what_is_allowed(case: str, admin: Admin, past: StepFunctions) -> None:
    arguments, said = WRONG[case]
    succeeded(past)
    ran = admin("fixture", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(f"{said}\n")


def planned(past: StepFunctions, status: str, error: tuple[str, str] | None = None) -> None:
    history = History().direct("RecordRunning").enter("PlanParts").schedule(PLANNED)
    past.put(f"{EXPORT_ID}-1", history, status, error)


def not_all_begun(past: StepFunctions) -> None:
    failed_in_a_part(past, lambda: past.child(0, failing_part(1), "FAILED"))
    past.totals = dict.fromkeys(past.runs, 3)


def never_called(past: StepFunctions) -> None:
    error = ("States.Runtime", "no such path")
    past.put(f"{EXPORT_ID}-1", History().enter("PlanParts"), "FAILED", error)


NOT_THERE: dict[str, tuple[Any, list[str], str]] = {
    "an export that is unknown": (
        lambda past: None,
        ["PlanParts"],
        f"There is no execution of {EXPORT_ID}. The export is of another stack, or it never started. "
        "AWS keeps an execution for 90 days after its end.",
    ),
    "an attempt that is unknown": (
        succeeded,
        ["PlanParts", "--attempt", "7"],
        f"Attempt 7 at {EXPORT_ID} has no execution: it never started. "
        "AWS keeps an execution for 90 days after its end.",
    ),
    "a state that a failed attempt did not reach": (
        lambda past: planned(past, "FAILED", ("States.Runtime", "x")),
        ["AssembleFile"],
        "AssembleFile did not run in attempt 1, which failed in PlanParts.",
    ),
    "a state that a running attempt has not reached": (
        lambda past: planned(past, "RUNNING"),
        ["AssembleFile"],
        "AssembleFile did not run in attempt 1, which is running in PlanParts.",
    ),
    "a state that a stopped attempt did not reach": (
        lambda past: planned(past, "ABORTED"),
        ["AssembleFile"],
        "AssembleFile did not run in attempt 1, which was stopped in PlanParts.",
    ),
    "a state that an attempt did not reach in time": (
        lambda past: planned(past, "TIMED_OUT"),
        ["AssembleFile"],
        "AssembleFile did not run in attempt 1, which timed out in PlanParts.",
    ),
    "an attempt that has just begun": (
        lambda past: past.put(f"{EXPORT_ID}-1", History(), "RUNNING"),
        ["PlanParts"],
        "PlanParts did not run in attempt 1, which has just started.",
    ),
    "a state that called no function": (
        never_called,
        ["PlanParts"],
        "PlanParts called no function in attempt 1, which failed in PlanParts: States.Runtime: no such path",
    ),
    "a part before there are any": (
        lambda past: planned(past, "FAILED"),
        ["GeneratePart", "0"],
        "No part started in attempt 1, which failed in PlanParts.",
    ),
    "a part that there is not": (
        succeeded,
        ["GeneratePart", "3"],
        "There is no part 3 in attempt 1. Its 3 parts are 0 to 2.",
    ),
    "a part that was not begun": (
        not_all_begun,
        ["GeneratePart", "2"],
        "Part 2 did not start in attempt 1, which failed in GeneratePart, part 1.",
    ),
}


@pytest.mark.parametrize("case", NOT_THERE)
def test_what_is_not_there_is_said(case: str, admin: Admin, past: StepFunctions) -> None:
    arrange, arguments, said = NOT_THERE[case]
    arrange(past)
    assert admin("fixture", EXPORT_ID, *arguments) == Run(1, "", f"exports-admin: {said}\n")


ENDS: dict[str, Any] = {
    "a part failed": (not_all_begun, "failed in GeneratePart, part 1"),
    "a state failed": (
        lambda past: past.put(f"{EXPORT_ID}-1", History().failed("PlanParts", "SourceMissing"), "FAILED", ("x", "{}")),
        "failed in PlanParts",
    ),
    "the definition broke": (lambda past: planned(past, "FAILED", ("States.Runtime", "x")), "failed in PlanParts"),
    "its time was up": (lambda past: planned(past, "TIMED_OUT"), "timed out in PlanParts"),
    "it was stopped": (lambda past: planned(past, "ABORTED"), "was stopped in PlanParts"),
    "it succeeded": (succeeded, "succeeded"),
}


@pytest.mark.parametrize("case", ENDS)
def test_fixture_and_show_name_the_same_failed_state(case: str, admin: Admin, past: StepFunctions) -> None:
    arrange, said = ENDS[case]
    arrange(past)
    made = executions.find(EXPORT_ID, None)
    assert fixture._outcome(made, made.steps()) == f"which {said}"
    shown = admin("show", EXPORT_ID).out
    where = said.partition(" in ")[2]
    assert (f" in {where}" in shown) == bool(where)
    error = json.loads(admin("show", EXPORT_ID, "--json").out)["error"]
    assert (error["state"] if error else "") == where.partition(",")[0]


def test_an_input_that_breaks_the_contract_is_refused_with_its_place(admin: Admin, past: StepFunctions) -> None:
    given = GIVEN | {"attempt": "1", "format": "csv"}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", PLANNED | {"Payload": given}))
    ran = admin("fixture", EXPORT_ID, "PlanParts")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("exports-admin: The input does not match functions/plan_parts/event.schema.json: ")
    assert '/attempt: "1" is not allowed' in ran.err
    assert "/format: unknown field" in ran.err
    assert ran.err.endswith("Another version processed the export. Check out that version.\n")


def test_a_function_of_another_version_is_named(admin: Admin, past: StepFunctions) -> None:
    call = PLANNED | {"FunctionName": f"{FUNCTION}make-plan"}
    past.put(f"{EXPORT_ID}-1", History().worker("PlanParts", call))
    assert admin("fixture", EXPORT_ID, "PlanParts").err == (
        "exports-admin: This version has no function report-exports-make-plan: "
        "there is no file functions/make_plan/event.schema.json.\n"
    )
