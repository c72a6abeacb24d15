"""bin/exports-admin against the deployed stack: a failure is seen, understood, made a fixture, and replayed."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import pytest
import uuid_utils.compat

from local.launcher import ROOT
from shared.errors import InvalidEvent
from shared.lambda_ import contract
from tests.integration import source
from tests.integration.deployed import until
from tests.integration.operating import Operator, Ran, operator, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.api import Caller, Followed
    from tests.integration.deployed import Deployed

__all__ = ["operator"]

one_role = pytest.mark.emulator_only("makes a role; AWS knows a new one only after a while")


def once_there(deployed: Deployed, *words: str, operator: Operator | None = None, refused: str = "") -> Ran:
    """What a command says of a dead letter, as soon as no other test holds it."""

    def say() -> Ran | None:
        ran = operator.run(*words, refused=refused) if operator else run(deployed, *words)
        return None if "there is no dead letter" in ran.err else ran

    found = until(say, f"the letter of {words[1]}")
    assert found is not None
    return found


def listed(export_id: str, dead_letters: Callable[[], Ran]) -> dict[str, Any]:
    """An export's letter as `dead-letters` shows it, as soon as no other test holds it."""

    def find() -> dict[str, Any]:
        ran = dead_letters()
        assert ran.code == 0, ran.err
        return next((each for each in json.loads(ran.out) if each["export_id"] == export_id), {})

    found = until(find, f"the letter of {export_id}")
    assert found
    return found


def test_what_failed_is_replayed_once_its_cause_is_corrected(
    deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    caller = sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path, content = f"flights/year=2093/month=1/{uuid.uuid4().hex}.parquet", source.parquet(caller.tenant)
    with deployed.source_file(path, bytes(source.with_damaged_footer(content[:]))):
        failed = caller.follow(caller.request(first="2093-01-01", last="2093-01-31")).end
    letter = listed(failed["id"], lambda: run(deployed, "dead-letters", "--json"))
    assert path in letter["error"]["detail"]
    assert letter | {"error": without_detail(letter["error"])} == {
        "export_id": failed["id"],
        "attempt": 1,
        "owner": caller.owner,
        "letters": 1,
        "failed_at": failed["finished_at"],
        "error": without_detail(failed["error"]),
        "moved_on": False,
        "now": {"attempt": 1, "status": "FAILED"},
    }
    with deployed.source_file(path, bytes(content)):
        said = once_there(deployed, "replay", failed["id"])
        assert said.out == f"{failed['id']} attempt 1: attempt 2 has started\n"
        end = caller.follow(failed | {"status": "QUEUED"}).end
    assert (end["status"], end["attempt"], end["rows"]) == ("SUCCEEDED", 2, 1000)
    again = run(deployed, "replay", failed["id"])
    assert (again.code, again.out) == (1, "")
    assert f"{failed['id']}: there is no dead letter" in again.err


@one_role
def test_who_replays_needs_the_permissions_that_are_documented_and_no_others(
    deployed: Deployed, operator: Operator, caller: Caller
) -> None:
    dates = {"parameters": json.dumps({"from": "2013-01-01", "to": "2013-01-02"})}
    failure = {"state": "AssembleFile", "type": "RowsMissing", "error": "{}", "part": ""}
    export_id = deployed.fabricate(caller.owner, "FAILED", failure=failure, **dates)
    letter = {"owner": caller.owner, "export_id": export_id, "attempt": 1, "failure": failure, "execution_arn": "arn"}
    deployed.client("sqs").send_message(QueueUrl=deployed["dead_letters_url"], MessageBody=json.dumps(letter))
    assert listed(export_id, lambda: operator.run("dead-letters", "--json"))["error"]["retryable"] is True

    # Without the other two the attempt starts nevertheless: letters stay hidden for a while, or in the queue.
    later = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage"}
    for action in [action for action in operator.needs("replay") if action not in later]:
        ran = once_there(deployed, "replay", export_id, operator=operator, refused=action)
        assert (ran.code, ran.out) == (1, "")
        assert ("the dead letter stays" if action == "states:StartExecution" else action) in ran.err
    said = once_there(deployed, "replay", export_id, operator=operator)
    assert said.out == f"{export_id} attempt 1: attempt 2 has started\n"
    assert caller.follow(caller.get(f"/exports/{export_id}").json).end["status"] == "SUCCEEDED"


# ── show and fixture ────────────────────────────────────────────────────────────────────────────────────────────────


class Failed(NamedTuple):
    """An export whose first part cannot be made."""

    export: dict[str, Any]
    key: str
    caller: Caller


@pytest.fixture(scope="module")
def failed(deployed: Deployed) -> Failed:
    """See :class:`Failed`."""
    caller = deployed.sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path = f"flights/year=2092/month=1/{uuid.uuid4().hex}.parquet"
    with deployed.source_file(path, source.with_damaged_pages(source.parquet(caller.tenant))) as key:
        return Failed(caller.follow(caller.request(first="2092-01-01", last="2092-01-31")).end, key, caller)


@pytest.mark.parametrize(
    ("words", "folder"),
    [(["PlanParts"], "plan_parts"), (["GeneratePart", "0"], "generate_part")],
    ids=["PlanParts", "GeneratePart"],
)
def test_a_state_of_an_export_becomes_a_fixture_that_its_function_takes(
    words: list[str], folder: str, deployed: Deployed, failed: Failed
) -> None:
    ran = run(deployed, "fixture", failed.export["id"], *words)
    fixture = json.loads(ran.out)
    rules = contract.event_contract(str(ROOT / "functions" / folder / "app.py"))
    contract.require(rules, fixture)
    with pytest.raises(InvalidEvent, match="/secret: unknown field"):
        contract.require(rules, fixture | {"secret": 1})
    tenant, user = failed.caller.owner.split("#")
    assert fixture["owner"] == f"{tenant}#5f1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60"
    assert user not in ran.out
    assert (fixture["export_id"], fixture["attempt"]) == (failed.export["id"], 1)
    assert f"EVENT=events/{folder}/" in ran.err
    if folder == "generate_part":
        assert (fixture["part"]["part"], fixture["part"]["rows"]) == (0, 1000)
        assert [each["key"] for each in fixture["part"]["sources"]] == [failed.key]


def test_what_never_ran_has_none(deployed: Deployed, failed: Failed) -> None:
    absent = str(uuid_utils.compat.uuid7())
    for words, said in (
        (["fixture", failed.export["id"], "AssembleFile"], "AssembleFile did not run in attempt 1, which failed in "),
        (["fixture", absent, "PlanParts"], f"There is no execution of {absent}."),
        (["show", absent], f"There is no execution of {absent}."),
    ):
        ran = run(deployed, *words)
        assert (ran.code, ran.out) == (1, "")
        assert said in ran.err


def without_detail(error: dict[str, Any]) -> dict[str, Any]:
    """An error without its detail, of which a user does not see the places in S3."""
    return {name: value for name, value in error.items() if name != "detail"}


def test_a_failure_is_shown_with_its_states_part_and_reason(deployed: Deployed, failed: Failed) -> None:
    shown = run(deployed, "show", failed.export["id"]).out
    assert shown.startswith(f"{failed.export['id']} attempt 1 of {failed.caller.owner}: failed\n")
    assert failed.key in shown
    seen = json.loads(run(deployed, "show", failed.export["id"], "--json").out)
    assert seen["error"] == seen["record"]["error"]
    assert without_detail(seen["error"]) == without_detail(failed.export["error"])
    statuses = {state["name"]: state["status"] for state in seen["states"]}
    assert {name for name, status in statuses.items() if status != "succeeded"} == {"FanOutParts", "ExportFailed"}
    assert (statuses["FanOutParts"], statuses["ExportFailed"]) == ("caught", "failed")
    to_parts = ["RecordRunning", "HasQuery", "PlanParts", "FanOutParts"]
    failed_after = ["FanOutPartsFailed", "RecordFailed", "SendToDeadLetters", "RecordLetterSent", "ExportFailed"]
    assert [name for name in statuses if name in to_parts] == to_parts
    assert list(statuses)[-len(failed_after) :] == failed_after
    parts = seen["parts"]
    assert (parts["total"], parts["failed"], parts["looked_at"]) == (1, 1, 1)
    assert parts["failures"][0]["error"]["type"] == "SourceUnreadable"
    assert parts["states"] == {"GeneratePart": "caught", "RecordPartFailure": "succeeded", "PartFailed": "failed"}


def test_a_success_is_shown_and_drawn_with_its_parts(deployed: Deployed, united: Followed, tmp_path: Path) -> None:
    export, file = united.end, tmp_path / "page.html"
    seen = json.loads(run(deployed, "show", export["id"], "--json").out)
    assert (seen["status"], seen["error"], seen["record"]["rows"]) == ("succeeded", None, export["rows"])
    total = export["progress"]["parts_total"]
    assert (seen["parts"]["total"], seen["parts"]["succeeded"], seen["parts"]["failures"]) == (total, total, [])
    assert len({part["part"] for part in seen["parts"]["slowest"]}) == min(total, 5)

    assert run(deployed, "show", export["id"], "--html", str(file)).code == 0
    page = ElementTree.fromstring(file.read_text("utf-8").removeprefix("<!DOCTYPE html>\n"))
    svg = "{http://www.w3.org/2000/svg}"
    drawn = {group.findtext(f"{svg}title"): group.get("class") for group in page.iter(f"{svg}g")}
    assert drawn["GeneratePart: succeeded"] == "state succeeded"
    assert drawn["RecordFailed: not reached"] == "state not-reached"


@pytest.mark.emulator_only("another checkout may have deployed the stack on AWS")
def test_the_stack_that_this_checkout_deployed_does_not_differ_from_it(deployed: Deployed) -> None:
    ran = run(deployed, "drift")
    assert (ran.code, ran.err) == (0, "")
    assert "**The architecture is the same.**" in ran.out
    assert "Not compared" not in ran.out  # the workflow and the reports are read from their packages
    assert "aws cloudformation detect-stack-drift" in ran.out


@one_role
@pytest.mark.parametrize("words", [["show"], ["fixture", "GeneratePart", "0"]], ids=["show", "fixture"])
def test_who_looks_needs_the_permissions_that_are_documented_and_no_others(
    words: list[str], operator: Operator, failed: Failed
) -> None:
    words = [words[0], failed.export["id"], *(words[1:] or ["--html", os.devnull])]
    for action in operator.needs(words[0]):
        ran = operator.run(*words, refused=action)
        assert (ran.code, ran.out) == (1, "")
        assert action in ran.err
    assert operator.run(*words).code == 0
