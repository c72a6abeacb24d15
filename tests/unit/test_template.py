"""What the template says of what AWS would do with it, where no deployment on this machine shows it."""

import re
import time

import pytest

from checks import repository
from checks.template.stack import Stack
from tests.unit.support import template

PATTERN = re.compile(template()["Parameters"]["DataPrefix"]["AllowedPattern"])
"""Java's expressions, as CloudFormation has them, and Python's mean the same by all that it uses."""


@pytest.mark.parametrize(
    "folder", ["", "data", "lake/work", "data/exports/x", "workers", "exports.2013", "a/b=1", ".x"]
)
def test_a_folder_for_the_data_is_accepted(folder: str) -> None:
    assert PATTERN.fullmatch(folder)


@pytest.mark.parametrize(
    "folder", ["work", "exports", "work/data", "exports/x", "/data", "data/", "a//b", "..", "data/../work", "a/./b"]
)
def test_a_folder_whose_files_would_expire_or_that_is_none_is_refused(folder: str) -> None:
    assert not PATTERN.fullmatch(folder)


def test_what_expires_is_what_no_data_may_lie_under() -> None:
    rules = template()["Resources"]["ExportsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule]
    assert expiring == ["work/", "exports/"]
    assert not any(PATTERN.fullmatch(f"{prefix}x") for prefix in expiring)


def test_every_deployment_reaches_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM's hash of the API does not see a parameter's new value, such as AllowedOrigin's, so it must not be used."""

    def deployment_at(moment: float) -> str:
        monkeypatch.setattr(time, "time", lambda: moment)
        (name,) = [name for name, _ in Stack(repository.read("template.yaml")).of("AWS::ApiGateway::Deployment")]
        return str(name)

    assert deployment_at(1_800_000_000.0) != deployment_at(1_800_000_060.0)


def test_no_metric_of_the_api_costs_anything() -> None:
    """MetricsEnabled counts each method apart, at a price; the stage, which the alarm watches, is always counted."""
    api = template()["Resources"]["Api"]["Properties"]
    assert [each["MetricsEnabled"] for each in api["MethodSettings"]] == [False]
    watched = template()["Resources"]["ApiErrorsAlarm"]["Properties"]
    assert [each["Name"] for each in watched["Dimensions"]] == ["ApiName", "Stage"]
    assert watched["Dimensions"][0]["Value"] == api["Name"]


def test_users_are_the_same_in_capitals_unless_the_pool_is_older() -> None:
    """Cognito never changes it, and refuses an update that adds it (UsernameConfiguration)."""
    case = template()["Resources"]["UserPool"]["Properties"]["UsernameConfiguration"]
    assert case == {"Fn::If": ["HasCaseSensitiveUsernames", {"Ref": "AWS::NoValue"}, {"CaseSensitive": False}]}
    assert template()["Parameters"]["UsernamesCaseSensitive"]["Default"] == "false"
