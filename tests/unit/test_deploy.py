"""`make deploy`: what it asks, what it saves, and what it hands to `sam build` and `sam deploy`."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner
from samcli.cli.types import CfnParameterOverridesType

from exports_admin import deploy
from exports_cli.trouble import Trouble
from tests.unit.support import NOW, ROOT, template

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = {name: str(rule["Default"]) for name, rule in template()["Parameters"].items()}
(PARAMETERS,) = re.findall(r"^Parameters:\n(?:  .*\n|\n)*", (ROOT / "template.yaml").read_text("utf-8"), re.MULTILINE)
OWN = {"DataBucket": "lake", "DataPrefix": "raw", "UserPoolId": "us-east-1_a", "UserPoolClientId": "abc"}
OWN |= {"AlertEmail": "ops@example.com"}
ENTER = "\n"
MINE_IN_CI = {"CI": "1", "STACK": "mine"}
RUNTIME = {"PythonRuntime": "python3.13"}


class Project:
    """A checkout of its own, and the parameters of the stack that AWS would describe."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "samconfig.toml").write_text((ROOT / "samconfig.toml").read_text("utf-8"), "utf-8")
        (folder / "template.yaml").write_text(PARAMETERS, "utf-8")
        self.folder, self.stack, self.answers = folder, dict[str, str](), folder / deploy.ANSWERS
        monkeypatch.setattr(deploy, "deployed", lambda stack, region, profile: self.stack)
        monkeypatch.setattr(deploy, "RUNTIME", "python3.13")

    def deploy(self, typed: str = "", **environment: str) -> str:
        """Deploys, as far as sam is not needed; what a person reads meanwhile."""
        with CliRunner().isolation(input=typed) as (written, *_):
            plan = deploy.prepare(self.folder, environment)
            deploy.save(plan)
            self.stack = DEFAULTS | self.stack | self.sent()
            return written.getvalue().decode()

    def sent(self, command: str = "deploy") -> dict[str, str]:
        """The overrides, as SAM CLI reads them."""
        return dict(CfnParameterOverridesType().convert(self.config(command)["parameter_overrides"], None, None))

    def config(self, command: str = "deploy") -> dict[str, Any]:
        document = tomllib.loads((self.folder / ".aws-sam" / "samconfig.toml").read_text("utf-8"))
        return dict(document["default"][command]["parameters"])

    def saved(self) -> dict[str, Any]:
        """What the file of the answers holds."""
        return dict(tomllib.loads(self.answers.read_text("utf-8"))["default"]["deploy"]["parameters"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    return Project(tmp_path, monkeypatch)


@pytest.mark.parametrize("runtime", ["python3.12", "python3.13"])
def test_a_second_deployment_asks_nothing_and_keeps_every_parameter(
    project: Project, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setattr(deploy, "RUNTIME", runtime)
    typed = ["mine", "", *list(OWN.values())[:4], "", "", "", OWN["AlertEmail"]]  # tenant claim, origin, no mail
    asked = project.deploy("".join(f"{each}\n" for each in typed))
    assert [name for name in deploy.ASKED if f"\n{name} [" in asked] == [n for n in deploy.ASKED if n != "PageUrl"]
    expected = DEFAULTS | OWN | {"PythonRuntime": runtime}
    assert project.stack == expected
    assert project.saved() == {"stack_name": "mine", "region": "eu-west-1", "parameter_overrides": OWN}

    assert project.deploy() == "\n• Updating the stack mine in eu-west-1\n"
    assert project.stack == expected
    assert project.sent("build") == project.sent("deploy") == OWN | {"PythonRuntime": runtime}
    assert (project.config()["stack_name"], project.config()["region"]) == ("mine", "eu-west-1")
    assert project.config()["confirm_changeset"] is True


def test_enter_is_enough_and_another_checkout_offers_what_is_deployed_and_changes_nothing(project: Project) -> None:
    project.deploy(ENTER * 7)
    assert project.stack == DEFAULTS
    assert project.saved() == {"stack_name": "report-exports", "region": "eu-west-1", "parameter_overrides": {}}
    project.answers.unlink()
    project.stack = DEFAULTS | OWN
    assert "AlertEmail [ops@example.com]" in project.deploy(ENTER * 11)
    assert project.stack == DEFAULTS | OWN
    assert project.sent() == RUNTIME


def test_a_wrong_answer_is_asked_for_again(project: Project) -> None:
    said = project.deploy(ENTER * 6 + "ops\nops@example.com\n")
    assert "'ops': it must match" in said
    assert project.stack["AlertEmail"] == "ops@example.com"


def test_a_parameter_is_named_once_and_kept(project: Project) -> None:
    project.deploy(ENTER * 7)
    said = project.deploy(PARAMETERS="RetentionDays=30 SenderEmail=reports@example.com")
    assert "• RetentionDays: '7' becomes '30'\n" in said
    project.deploy(PARAMETERS="SenderEmail=")
    project.deploy()
    assert project.stack == DEFAULTS | {"RetentionDays": "30"}


@pytest.mark.parametrize(
    "value", ["", "a b", 'say "hi"', '"quoted"', "it's", "a=b", "a,b", "a\\", "a\\ b", '\\"', "$HOME", "Ä # €", "a\nb"]
)
def test_every_value_survives(project: Project, value: str) -> None:
    project.answers.write_text('[default.deploy.parameters]\nstack_name = "mine"\n')
    project.deploy(PARAMETERS=shlex.join([f"TenantClaim={value}"]))
    assert project.saved()["parameter_overrides"]["TenantClaim"] == project.sent()["TenantClaim"] == value
    project.deploy()
    assert project.sent("build")["TenantClaim"] == project.stack["TenantClaim"] == value


def test_a_new_parameter_has_its_default_and_a_removed_one_is_left_out(project: Project) -> None:
    project.deploy(ENTER * 7)
    project.deploy(PARAMETERS="SourceTable=flights RetentionDays=30")
    upgraded = project.folder / "template.yaml"
    upgraded.write_text(upgraded.read_text("utf-8").replace("  SourceTable:\n", "  Table:\n", 1), "utf-8")
    del project.stack["SourceTable"]
    assert "The template has no parameter SourceTable" in project.deploy()
    assert project.sent() == {"RetentionDays": "30"} | RUNTIME


def test_the_pool_of_an_older_stack_stays_as_it_is(project: Project) -> None:
    project.stack = {name: value for name, value in DEFAULTS.items() if name != "UsernamesCaseSensitive"}
    project.deploy(ENTER * 7)
    assert project.sent() == {"UsernamesCaseSensitive": "true"} | RUNTIME
    assert project.saved()["parameter_overrides"] == {"UsernamesCaseSensitive": "true"}


def test_what_sam_deploy_guided_saved_counts_as_answers(project: Project) -> None:
    with (project.folder / "samconfig.toml").open("a") as config:  # SAM writes behind the last section, deploy's
        config.write('stack_name = "theirs"\nregion = "eu-north-1"\n')
        config.write(r'parameter_overrides = "DataPrefix=\"\" MapConcurrency=\"3\""')
    assert "Stack name" not in project.deploy()
    assert project.sent() == {"DataPrefix": "", "MapConcurrency": "3"} | RUNTIME
    assert (project.config()["stack_name"], project.config()["region"]) == ("theirs", "eu-north-1")
    assert not project.answers.exists()


def test_other_settings_of_the_answers_reach_sam_and_stay(project: Project) -> None:
    project.answers.write_text(
        '# ours\n[default.deploy.parameters]\nstack_name = "mine"\ntags = "team=exports"\n'
        'parameter_overrides = "RetentionDays=30"\n'
    )
    project.deploy(PARAMETERS="MapConcurrency=5")
    assert project.config()["tags"] == project.saved()["tags"] == "team=exports"
    assert project.config()["capabilities"] == "CAPABILITY_IAM"
    assert project.saved()["parameter_overrides"] == {"RetentionDays": "30", "MapConcurrency": "5"}
    assert project.answers.read_text().startswith("# ours\n")


def test_another_interpreter_than_the_stacks_is_refused_until_the_runtime_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.deploy(ENTER * 7)
    monkeypatch.setattr(deploy, "RUNTIME", "python3.12")
    said = r"runs on python3.13, but(.|\n)*make deploy PYTHON=python3.13\n(.|\n)*=python3.12$"
    with pytest.raises(Trouble, match=said):
        project.deploy()
    project.deploy(PARAMETERS="PythonRuntime=python3.12")
    project.deploy()
    assert project.stack == DEFAULTS | {"PythonRuntime": "python3.12"}
    monkeypatch.setattr(deploy, "RUNTIME", "python3.11")
    with pytest.raises(Trouble, match=r"builds for python3.11, but it must be one of python3.12, "):
        project.deploy()


def test_a_stack_whose_runtime_is_no_longer_offered_is_told_only_how_to_change_it(project: Project) -> None:
    project.deploy(ENTER * 7)
    project.stack["PythonRuntime"] = "python3.11"
    with pytest.raises(Trouble, match=r"runs on python3.11, but .*\nTo change its runtime:  make deploy"):
        project.deploy()


def test_ci_asks_nothing_and_writes_no_answers(project: Project) -> None:
    project.deploy(CI="true", STACK="mine", PARAMETERS="RetentionDays=30")
    assert project.stack == DEFAULTS | {"RetentionDays": "30"}
    assert project.config()["confirm_changeset"] is False
    assert not project.answers.exists()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CI": "1"}, r"names no stack(.|\n)*make deploy CI=1 STACK=report-exports"),
        (MINE_IN_CI | {"AWS_REGION": ""}, "No Region is set"),
        ({"PARAMETERS": "Retention=30 AlertEmail"}, r"not valid: Retention=, AlertEmail\.(.|\n)*\nThe parameters are "),
        ({"PARAMETERS": "AlertEmail='"}, "PARAMETERS cannot be read"),
        (MINE_IN_CI | {"PARAMETERS": "RetentionDays=0 AlertEmail=x"}, r"from 1 to 365\nAlertEmail='x': it"),
        (MINE_IN_CI | {"PARAMETERS": "PythonRuntime=python2.7"}, "runs on python2.7, but"),
    ],
)
def test_what_cannot_be_deployed_is_said_before_anything_is_built(
    project: Project, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("AWS_REGION", environment.pop("AWS_REGION", "eu-west-1"))
    with pytest.raises(Trouble, match=said):
        project.deploy(**environment)
    assert not (project.folder / ".aws-sam").exists()


def test_a_reviewed_deployment_only_makes_the_change_set(project: Project) -> None:
    project.deploy(REVIEW="1", **MINE_IN_CI)
    assert project.config()["no_execute_changeset"] is True
    project.deploy(**MINE_IN_CI)
    assert "no_execute_changeset" not in project.config()


def test_a_bucket_for_packages_takes_the_place_of_sams_own(project: Project) -> None:
    """SAM CLI refuses `s3_bucket` together with `resolve_s3`, which samconfig.toml has."""
    project.answers.write_text('[default.deploy.parameters]\nstack_name = "mine"\ns3_bucket = "packages"\n')
    project.deploy()
    assert project.config()["s3_bucket"] == "packages"
    assert "resolve_s3" not in project.config()


def test_the_answers_of_one_stack_are_not_sent_to_another(project: Project) -> None:
    project.deploy(ENTER * 7)
    with pytest.raises(Trouble, match=r"for the stack report-exports(.|\n)*STACK=b CONFIG=samconfig\.b\.toml"):
        project.deploy(STACK="b")
    project.deploy(ENTER * 7, STACK="b", CONFIG="samconfig.b.toml")
    assert project.config()["stack_name"] == "b"


def test_answers_that_are_no_toml_are_named(project: Project) -> None:
    project.answers.write_text("stack_name: mine\n")
    with pytest.raises(Trouble, match=r"samconfig\.local\.toml cannot be read: Expected '=' .*line 1"):
        project.deploy()


MINE = [{"ParameterKey": name, "ParameterValue": value} for name, value in RUNTIME.items()]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"StackStatus": "UPDATE_COMPLETE", "Parameters": MINE}, RUNTIME),
        ({"StackStatus": "REVIEW_IN_PROGRESS"}, {}),  # somebody said no to the first change set
        ("Stack with id mine does not exist", {}),
        ({"StackStatus": "CREATE_COMPLETE", "Parameters": []}, "The stack mine in eu-west-1 is not a stack of Report"),
        ("not authorized to perform: cloudformation", "The stack mine in eu-west-1 cannot be read: .*not a"),
    ],
)
def test_what_is_deployed_is_what_cloudformation_says(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | str, found: dict[str, str] | str
) -> None:
    client = boto3.client("cloudformation", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(boto3.session.Session, "client", lambda *_: client)
    with Stubber(client) as stubber:
        if isinstance(answer, str):
            stubber.add_client_error("describe_stacks", "ValidationError", answer)
        else:
            stack = {"StackName": "mine", "CreationTime": NOW} | answer
            stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "mine"})
        if isinstance(found, str):
            with pytest.raises(Trouble, match=found):
                deploy.deployed("mine", "eu-west-1", None)
        else:
            assert deploy.deployed("mine", "eu-west-1", None) == found
