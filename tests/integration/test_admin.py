"""bin/exports-admin against the deployed stack: a failure is seen, understood, made a fixture, and replayed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import uuid_utils.compat

from local.launcher import ROOT
from shared.errors import InvalidEvent
from shared.lambda_ import contract
from tests.integration import source
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.api import Caller, Followed
    from tests.integration.deployed import Deployed

Environment = dict[str, str]


def without_aws() -> Environment:
    """An environment that says nothing of AWS: the running emulator is operated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def run(
    deployed: Deployed, *arguments: str, environment: Environment | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs the program as an operator would."""
    given = environment or (without_aws() if deployed.emulated else dict(os.environ))
    command = [str(ROOT / "bin" / "exports-admin"), *arguments, "--stack", deployed["stack"]]
    return subprocess.run(command, cwd="/", env=given, input=typed, capture_output=True, text=True, timeout=120)


def listed(deployed: Deployed, export_id: str, environment: Environment | None = None) -> dict[str, Any]:
    """An export's letter as `dead-letters` shows it, as soon as no other test holds it."""

    def find() -> dict[str, Any] | None:
        ran = run(deployed, "dead-letters", "--json", environment=environment)
        assert ran.returncode == 0, ran.stderr
        return next((each for each in json.loads(ran.stdout) if each["export_id"] == export_id), None)

    found = until(find, f"the letter of {export_id}")
    assert found is not None
    return found


def replay(deployed: Deployed, export_id: str, environment: Environment | None = None) -> str:
    """What `replay` says of an export, as soon as no other test holds its letter."""

    def attempt() -> str:
        ran = run(deployed, "replay", export_id, environment=environment)
        if ran.returncode:
            assert f"{export_id}: there is no dead letter" in ran.stderr
        return ran.stdout

    return until(attempt, f"the letter of {export_id}")


class Operator:
    """Somebody who has the permissions that docs/operations.md lists, as far as they are given, and no others."""

    def __init__(self, deployed: Deployed) -> None:
        self._iam, self._name = deployed.client("iam"), f"{deployed.name}-test-{uuid.uuid4().hex[:12]}"
        region, account = deployed["state_machine_arn"].split(":")[3:5]
        resources = {
            "the stack": f"arn:aws:cloudformation:{region}:{account}:stack/{deployed['stack']}/*",
            "the queue `STACK-dead-letters`": f"arn:aws:sqs:{region}:{account}:{deployed['stack']}-dead-letters",
            "the table": f"arn:aws:dynamodb:{region}:{account}:table/{deployed['table']}",
            "the bucket": f"arn:aws:s3:::{deployed['bucket']}",
            "its objects": f"arn:aws:s3:::{deployed['bucket']}/*",
            "the pool": f"arn:aws:cognito-idp:{region}:{account}:userpool/{deployed['user_pool_id']}",
            "the state machine": deployed["state_machine_arn"],
            "its executions": f"{deployed['state_machine_arn'].replace(':stateMachine:', ':execution:')}:*",
            "those of its parts": f"{deployed['state_machine_arn'].replace(':stateMachine:', ':execution:')}/Parts:*",
            "its Map Runs": f"{deployed['state_machine_arn'].replace(':stateMachine:', ':mapRun:')}/Parts:*",
        }
        section = (ROOT / "docs" / "operations.md").read_text("utf-8").split("\n## exports-admin\n")[1]
        rows = re.findall(r"^\| (`[\w-]+:.+?) \| (.+?) \| (.+?) \|$", section.split("\n## ")[0], re.MULTILINE)
        named = [(actions, resources[on], commands) for actions, many, commands in rows for on in many.split(", ")]
        self._listed = [(action, on, wanted) for all_, on, wanted in named for action in re.findall(r"`(\S+)`", all_)]
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
        role = self._iam.create_role(RoleName=self._name, AssumeRolePolicyDocument=policy([trust]))["Role"]
        keys = deployed.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
        self.environment = without_aws() | {
            "AWS_REGION": region,
            "AWS_ENDPOINT_URL": deployed["endpoint_url"],
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }

    def needs(self, command: str) -> list[str]:
        """The actions that a command is said to use."""
        mine = {action for action, _, wanted in self._listed if f"`{command}`" in wanted or wanted == "every command"}
        return sorted(mine)

    def may_all_but(self, *refused: str) -> None:
        actions = [(action, on) for action, on, _ in self._listed if action not in refused]
        # The emulator asks for an action of its own where AWS asks for ChangeMessageVisibility.
        actions += [(f"{each}Batch", on) for each, on in actions if each == "sqs:ChangeMessageVisibility"]
        # Nor does it know a Map Run as what a call is about.
        given = [
            {"Effect": "Allow", "Action": each, "Resource": "*" if ":mapRun:" in on else on} for each, on in actions
        ]
        self._iam.put_role_policy(RoleName=self._name, PolicyName="operator", PolicyDocument=policy(given))

    def leave(self) -> None:
        self._iam.delete_role_policy(RoleName=self._name, PolicyName="operator")
        self._iam.delete_role(RoleName=self._name)


@pytest.fixture
def operator(deployed: Deployed) -> Iterator[Operator]:
    """See :class:`Operator`."""
    person = Operator(deployed)
    person.may_all_but()
    yield person
    person.leave()


def policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_what_failed_is_replayed_once_its_cause_is_corrected(
    deployed: Deployed, sign_up: Callable[[str], Caller]
) -> None:
    caller = sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path, content = f"flights/year=2093/month=1/{uuid.uuid4().hex}.parquet", source.parquet(caller.tenant)
    with deployed.source_file(path, bytes(source.with_damaged_footer(content[:]))):
        failed = caller.follow(caller.request(first="2093-01-01", last="2093-01-31")).end
    letter = listed(deployed, failed["id"])
    assert letter == {
        "export_id": failed["id"],
        "attempt": 1,
        "owner": caller.owner,
        "letters": 1,
        "failed_at": failed["finished_at"],
        "error": failed["error"],
        "moved_on": False,
        "now": {"attempt": 1, "status": "FAILED"},
    }
    with deployed.source_file(path, bytes(content)):
        assert replay(deployed, failed["id"]) == f"{failed['id']} attempt 1: attempt 2 has started\n"
        end = caller.follow(failed | {"status": "QUEUED"}).end
    assert (end["status"], end["attempt"], end["rows"]) == ("SUCCEEDED", 2, 1000)
    assert deployed.find_letter(failed["id"]) is None
    again = run(deployed, "replay", failed["id"])
    assert (again.returncode, again.stdout) == (1, "")
    assert f"{failed['id']}: there is no dead letter" in again.stderr


def refusal(deployed: Deployed, export_id: str, operator: Operator) -> str:
    """Why `replay` fails, as soon as no other test holds the letter."""

    def attempt() -> str:
        ran = run(deployed, "replay", export_id, environment=operator.environment)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "Traceback" not in ran.stderr
        return "" if "there is no dead letter" in ran.stderr else ran.stderr

    return until(attempt, f"the letter of {export_id}")


@pytest.mark.emulator_only("makes a role; AWS knows a new one only after a while")
def test_an_operator_needs_the_permissions_that_are_documented_and_no_others(
    deployed: Deployed, operator: Operator, caller: Caller
) -> None:
    dates = {"parameters": json.dumps({"from": "2013-01-01", "to": "2013-01-02"})}
    failure = {"state": "AssembleFile", "type": "RowsMissing", "error": "{}", "part": ""}
    export_id = deployed.fabricate(caller.owner, "FAILED", failure=failure, **dates)
    letter = {"owner": caller.owner, "export_id": export_id, "attempt": 1, "failure": failure, "execution_arn": "arn"}
    deployed.client("sqs").send_message(QueueUrl=deployed["dead_letters_url"], MessageBody=json.dumps(letter))
    assert listed(deployed, export_id, operator.environment)["error"]["retryable"] is True

    # Without the other two the attempt starts nevertheless: letters stay hidden for a while, or in the queue.
    later = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "states:StartExecution"}
    for action in [action for action in operator.needs("replay") if action not in later]:
        operator.may_all_but(action)
        assert action in refusal(deployed, export_id, operator)
    operator.may_all_but("states:StartExecution")
    assert "the dead letter stays" in refusal(deployed, export_id, operator)
    operator.may_all_but()
    assert replay(deployed, export_id, operator.environment) == f"{export_id} attempt 1: attempt 2 has started\n"
    export = caller.get(f"/exports/{export_id}").json
    assert caller.follow(export).end["status"] == "SUCCEEDED"


# ── show and fixture ────────────────────────────────────────────────────────────────────────────────────────────────


def with_damaged_pages(file: bytearray) -> bytearray:
    """What only the reader of a part notices."""
    end = len(file) - 8 - source.footer_length(file)
    file[4:end] = b"\xff" * (end - 4)
    return file


@dataclass
class Failed:
    """An export whose first part cannot be made."""

    export: dict[str, Any]
    key: str
    caller: Caller


@pytest.fixture(scope="module")
def failed(deployed: Deployed) -> Failed:
    """See :class:`Failed`."""
    caller = deployed.sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path = f"flights/year=2092/month=1/{uuid.uuid4().hex}.parquet"
    with deployed.source_file(path, bytes(with_damaged_pages(source.parquet(caller.tenant)))) as key:
        return Failed(caller.follow(caller.request(first="2092-01-01", last="2092-01-31")).end, key, caller)


def fixture_of(deployed: Deployed, failed: Failed, *words: str) -> tuple[Any, str]:
    """The fixture, and what was said besides."""
    ran = run(deployed, "fixture", failed.export["id"], *words)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), ran.stderr


FUNCTIONS = {"PlanParts": ("plan_parts",), "GeneratePart": ("generate_part", "0")}


@pytest.mark.parametrize("state", FUNCTIONS)
def test_a_failed_part_of_an_export_becomes_a_fixture(state: str, deployed: Deployed, failed: Failed) -> None:
    folder, *part = FUNCTIONS[state]
    fixture, said = fixture_of(deployed, failed, state, *part)
    rules = contract.event_contract(str(ROOT / "functions" / folder / "app.py"))
    contract.require(rules, fixture)
    with pytest.raises(InvalidEvent, match="/secret: unknown field"):
        contract.require(rules, fixture | {"secret": 1})
    tenant, user = failed.caller.owner.split("#")
    assert fixture["owner"] == f"{tenant}#5f1e9c52-70a1-70f4-9d8e-3c1b7a2e4d60"
    assert user not in json.dumps(fixture)
    assert (fixture["export_id"], fixture["attempt"]) == (failed.export["id"], 1)
    assert f"EVENT=events/{folder}/" in said
    assert fixture_of(deployed, failed, state, *part, "--keep-owner")[0] == fixture | {"owner": failed.caller.owner}


def test_the_fixture_of_a_part_names_what_the_part_reads(deployed: Deployed, failed: Failed) -> None:
    fixture, _ = fixture_of(deployed, failed, "GeneratePart", "0")
    assert fixture["part"]["part"] == 0
    assert [each["key"] for each in fixture["part"]["sources"]] == [failed.key]
    assert fixture["part"]["rows"] == 1000


def test_a_state_that_was_not_reached_has_no_fixture(deployed: Deployed, failed: Failed) -> None:
    ran = run(deployed, "fixture", failed.export["id"], "AssembleFile")
    said = "exports-admin: AssembleFile did not run in attempt 1, which failed in GeneratePart, part 0.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


def test_an_export_that_never_was_has_none(deployed: Deployed) -> None:
    for command in (["fixture", str(uuid_utils.compat.uuid7()), "PlanParts"], ["show", str(uuid_utils.compat.uuid7())]):
        ran = run(deployed, *command)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"There is no execution of {command[1]}." in ran.stderr


def test_a_failure_is_shown_with_its_state_part_and_remedy(deployed: Deployed, failed: Failed) -> None:
    shown = run(deployed, "show", failed.export["id"]).stdout
    assert shown.startswith(f"{failed.export['id']} attempt 1 of {failed.caller.owner}: failed\n")
    for said in (
        "  failed  in GeneratePart, part 0\n",
        "SourceUnreadable: A source file",
        "  record  attempt 1 is FAILED",
    ):
        assert said in shown
    assert failed.key in shown

    seen = json.loads(run(deployed, "show", failed.export["id"], "--json").stdout)
    assert seen["error"] == seen["record"]["error"] == failed.export["error"]
    assert [(state["name"], state["status"]) for state in seen["states"]] == [
        ("RecordRunning", "succeeded"),
        ("PlanParts", "succeeded"),
        ("FanOutParts", "caught"),
        ("FanOutPartsFailed", "succeeded"),
        ("RecordFailed", "succeeded"),
        ("SendToDeadLetters", "succeeded"),
        ("RecordLetterSent", "succeeded"),
        ("ExportFailed", "failed"),
    ]
    parts = seen["parts"]
    assert (parts["total"], parts["failed"], parts["looked_at"]) == (1, 1, 1)
    assert parts["failures"][0]["error"]["type"] == "SourceUnreadable"
    assert parts["states"] == {"GeneratePart": "caught", "RecordPartFailure": "succeeded", "PartFailed": "failed"}


def test_a_success_is_shown_and_drawn_with_its_parts(deployed: Deployed, united: Followed, tmp_path: Path) -> None:
    export, file = united.end, tmp_path / "page.html"
    seen = json.loads(run(deployed, "show", export["id"], "--json").stdout)
    assert (seen["status"], seen["error"], seen["record"]["rows"]) == ("succeeded", None, export["rows"])
    total = export["progress"]["parts_total"]
    assert (seen["parts"]["total"], seen["parts"]["succeeded"], seen["parts"]["failures"]) == (total, total, [])
    assert len(seen["parts"]["slowest"]) == min(total, 5)
    assert len({part["part"] for part in seen["parts"]["slowest"]}) == min(total, 5)

    assert run(deployed, "show", export["id"], "--html", str(file)).returncode == 0
    page = ElementTree.fromstring(file.read_text("utf-8").removeprefix("<!DOCTYPE html>\n"))
    drawn = {
        group.findtext("{http://www.w3.org/2000/svg}title"): group.get("class")
        for group in page.iter("{http://www.w3.org/2000/svg}g")
    }
    assert drawn["GeneratePart: succeeded"] == "state succeeded"
    assert drawn["RecordFailed: not reached"] == "state not-reached"


@pytest.mark.emulator_only("makes a role; AWS knows a new one only after a while")
@pytest.mark.parametrize("command", [["show"], ["fixture", "GeneratePart", "0"]], ids=["show", "fixture"])
def test_who_looks_needs_the_permissions_that_are_documented_and_no_others(
    command: list[str], deployed: Deployed, operator: Operator, failed: Failed
) -> None:
    words = [command[0], failed.export["id"], *command[1:]]
    if command == ["show"]:
        words += ["--html", os.devnull]
    for action in operator.needs(command[0]):
        operator.may_all_but(action)
        ran = run(deployed, *words, environment=operator.environment)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert action in ran.stderr
        assert "Traceback" not in ran.stderr
    operator.may_all_but(*{action for action in operator.needs("replay") if action not in operator.needs(command[0])})
    assert run(deployed, *words, environment=operator.environment).returncode == 0
