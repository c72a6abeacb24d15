"""bin/exports-admin against the deployed stack: a dead letter is found, understood and worked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from local.stack import ROOT
from tests.integration import source
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

Environment = dict[str, str]


def without_aws() -> Environment:
    """An environment that says nothing of AWS: the running emulator is operated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def run(
    deployed: Deployed, *arguments: str, environment: Environment | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the program as an operator would."""
    given = environment or (without_aws() if deployed.emulated else dict(os.environ))
    command = [str(ROOT / "bin" / "exports-admin"), *arguments, "--stack", deployed["stack"]]
    return subprocess.run(command, cwd="/", env=given, capture_output=True, text=True, timeout=120)


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
            assert f"{export_id}: there is no letter" in ran.stderr
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
            "the state machine": deployed["state_machine_arn"],
        }
        section = (ROOT / "docs" / "operations.md").read_text("utf-8").split("\n## exports-admin\n")[1]
        rows = re.findall(r"^\| (`\w+:.+?) \| (.+?) \|", section.split("\n## ")[0], re.MULTILINE)
        self.listed = [(action, resources[on]) for actions, on in rows for action in re.findall(r"`(\S+)`", actions)]
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

    def may_all_but(self, *refused: str) -> None:
        actions = [each for each in self.listed if each[0] not in refused]
        # The emulator asks for an action of its own where AWS asks for ChangeMessageVisibility.
        actions += [(f"{each}Batch", on) for each, on in actions if each == "sqs:ChangeMessageVisibility"]
        given = [{"Effect": "Allow", "Action": each, "Resource": on} for each, on in actions]
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
    assert f"{failed['id']}: there is no letter" in again.stderr


def refusal(deployed: Deployed, export_id: str, operator: Operator) -> str:
    """Why `replay` fails, as soon as no other test holds the letter."""

    def attempt() -> str:
        ran = run(deployed, "replay", export_id, environment=operator.environment)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "Traceback" not in ran.stderr
        return "" if "there is no letter" in ran.stderr else ran.stderr

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
    actions = [action for action, _ in operator.listed]
    for action in sorted(set(actions) - {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "states:StartExecution"}):
        operator.may_all_but(action)
        assert action in refusal(deployed, export_id, operator)
    operator.may_all_but("states:StartExecution")
    assert "its letter stays" in refusal(deployed, export_id, operator)
    operator.may_all_but()
    assert replay(deployed, export_id, operator.environment) == f"{export_id} attempt 1: attempt 2 has started\n"
    export = caller.get(f"/exports/{export_id}").json
    assert caller.follow(export).end["status"] == "SUCCEEDED"
