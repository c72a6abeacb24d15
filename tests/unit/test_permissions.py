"""Each permission answers "why does this need that?": rail 5 of AGENTS.md, held."""

import re
from typing import Any

import pytest

from tests.unit.support import ROOT, template

ROLES = [name for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::IAM::Role"]


def statements(role: str) -> list[dict[str, Any]]:
    policies = template()["Resources"][role]["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return given if isinstance(given, list) else [given]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_its_actions_and_says_why(role: str) -> None:
    assert "ManagedPolicyArns" not in template()["Resources"][role]["Properties"]
    for statement in statements(role):
        assert re.fullmatch(r"([A-Z][a-z0-9]*){2,}", statement["Sid"]), statement
        assert all(re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action) for action in actions(statement)), statement


def test_everything_is_allowed_only_with_a_reason_beside_it() -> None:
    lines = (ROOT / "template.yaml").read_text("utf-8").splitlines()
    bare = [line for line in lines if re.search(r"Resource: ['\"]\*['\"]", line) and " # " not in line]
    assert bare == []


def test_every_function_has_a_role_of_its_own() -> None:
    resources = template()["Resources"].values()
    roles = [str(each["Properties"]["Role"]) for each in resources if each["Type"] == "AWS::Serverless::Function"]
    assert len(set(roles)) == len(roles)
