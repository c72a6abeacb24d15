"""Five permissions are taken from the deployed stack, one at a time: what needs it fails, and IAM says why."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.iam.conftest import ended
from tests.integration.api import http
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.iam.conftest import Elsewhere
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

pytestmark = pytest.mark.denies
YEAR = {"report": "flights", "parameters": {"from": "2013-01-01", "to": "2013-12-31"}}


class Removal(NamedTuple):
    """A permission to take away."""

    role: str
    sid: str
    action: str

    def __str__(self) -> str:
        return f"{self.role}-{self.sid}-{self.action.replace(':', '.')}"


def without(template: dict[str, Any], removal: Removal) -> dict[str, Any]:
    """The template in which the statement does not allow the action."""
    changed = copy.deepcopy(template)
    (policy,) = changed["Resources"][removal.role]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    whole = [each.get("Fn::If", [None, each])[1] for each in statements]
    place = next(index for index, each in enumerate(whole) if each["Sid"] == removal.sid)
    actions = [whole[place]["Action"]] if isinstance(whole[place]["Action"], str) else whole[place]["Action"]
    actions.remove(removal.action)
    if actions:
        whole[place]["Action"] = actions
    else:
        del statements[place]
    return changed


def denials(deployed: Deployed) -> set[tuple[str, str]]:
    """Role and action of all requests that IAM has denied to this stack."""
    lines = map(json.loads, Path(os.environ["DECISIONS"]).read_text("utf-8").splitlines())
    found = [each for each in lines if each.get("stack") == deployed["stack"] and each.get("allowed") is False]
    return {(each["role"], each["action"]) for each in found}


@pytest.fixture
def removed(request: pytest.FixtureRequest, elsewhere: Elsewhere, deployed: Deployed) -> Iterator[Removal]:
    """Deploys the template without the permission."""
    if "DECISIONS" not in os.environ:
        pytest.skip("make iam records what IAM decides")
    elsewhere.deploy(without(elsewhere.template, request.param))
    assert (request.param.role, request.param.action) not in denials(deployed)
    yield request.param
    assert (request.param.role, request.param.action) in denials(deployed)


def removes(*removals: Removal) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("removed", removals, ids=str, indirect=True)


@removes(Removal("RequestExportRole", "StartTheMachine", "states:StartExecution"))
def test_nothing_is_accepted(removed: Removal, deployed: Deployed, united_user: Caller) -> None:
    answer = united_user.post(YEAR | {"format": "csv"})
    assert answer.status == 502, answer
    assert deployed.records(united_user.owner) == []


@removes(
    Removal("PlanPartsRole", "WriteThePlan", "s3:PutObject"),
    Removal("GeneratePartRole", "ReadTheDataset", "s3:GetObject"),
    Removal("ReportExportRole", "WriteTheMapsResults", "s3:PutObject"),
)
def test_the_export_fails_and_says_what_is_denied(removed: Removal, deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, **YEAR)
    assert export["status"] == "FAILED", export
    letter = deployed.letter(export["id"])
    assert f"not authorized to perform: {removed.action}" in json.dumps(letter), letter


@removes(Removal("ReadExportsRole", "DecryptThePlanAndTheSignedFile", "kms:Decrypt"))
def test_the_file_is_there_but_its_address_opens_nothing(
    removed: Removal, deployed: Deployed, united_user: Caller
) -> None:
    export = united_user.post(YEAR | {"format": "csv"}).json
    until(lambda: deployed.execution(export)["status"] == "SUCCEEDED", "the file")
    address = united_user.get(f"/exports/{export['id']}/file").headers["Location"]
    answer = http("GET", address)
    assert answer.status == 403, answer
    assert f"not authorized to perform: {removed.action}".encode() in answer.content
