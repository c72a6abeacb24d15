"""The program exports-admin: which stack it operates, and its errors if it cannot reach one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient

from exports_admin import __main__, emulator, stack
from exports_admin.connection import connect
from exports_cli.trouble import Trouble
from shared.lambda_.telemetry import logger
from tests.unit.cli_stack import Run
from tests.unit.support import REGION, ROOT, event

OF_AWS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


Admin = Callable[..., Run]


def command_line(alone: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Admin]:
    """Runs exports-admin in this process."""
    level = logger.log_level

    def admin(*arguments: str) -> Run:
        monkeypatch.setattr(sys, "argv", ["exports-admin", *arguments])
        with patch.dict(os.environ), pytest.raises(SystemExit) as ended:
            __main__.main()
        out, err = capsys.readouterr()
        said = ended.value.code
        return Run(1, out, f"{err}{said}\n") if isinstance(said, str) else Run(int(said or 0), out, err)

    yield admin
    logger.setLevel(level)


admin = pytest.fixture(command_line)


def describe(_name: str = "") -> dict[str, Any]:
    """A stack whose resources have the names that the environment of the functions has."""
    names = event("environment")["ReconcileExports"]
    own = {"table": names["EXPORTS_TABLE"], "dead_letters_url": names["DEAD_LETTERS_URL"], "retention_days": 7}
    return own | {"region": REGION, "bucket": "report-exports-local", "state_machine_arn": names["STATE_MACHINE_ARN"]}


@pytest.fixture(autouse=True)
def nothing_configured(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without configuration files and without an emulator; its environment has a Region and credentials."""
    monkeypatch.setattr(emulator, "describe", lambda: None)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


IN_VARIABLES = ("ExportsBucketName", "ExportsTableName", "DeadLettersUrl", "StateMachineArn")
OTHERS = ("ApiUrl", "ApiId", "UserPoolId", "UserPoolClientId", "DataLocation", "EventBusName")
OUTPUTS = {name: f"the {name}" for name in (*IN_VARIABLES, *OTHERS)}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The outputs of the stacks in the account, by name; `exports-staging` is a stack of Report Exports."""
    stacks = {"exports-staging": OUTPUTS}
    parameters = {"RetentionDays": "9", "SenderEmail": "", "PageUrl": ""}

    def answer(client: Any, operation: str, asked: dict[str, str]) -> Any:
        assert (operation, client.meta.region_name) == ("DescribeStacks", REGION)
        if asked["StackName"] not in stacks:
            error = {"Code": "ValidationError", "Message": f"Stack with id {asked['StackName']} does not exist"}
            raise client.exceptions.from_code("ValidationError")({"Error": error}, operation)
        outputs = stacks[asked["StackName"]].items()
        described = {"StackStatus": "CREATE_COMPLETE"} | {
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        return {"Stacks": [described]}

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    return stacks


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_product_gets_the_variables_of_the_functions_of_the_stack(
    region: str, deployed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv(region, REGION)
    names = ("EXPORTS_BUCKET", "EXPORTS_TABLE", "DEAD_LETTERS_URL", "STATE_MACHINE_ARN")
    expected = {name: OUTPUTS[output] for name, output in zip(names, IN_VARIABLES, strict=True)}
    expected |= {"AWS_DEFAULT_REGION": REGION, "RETENTION_DAYS": "9"}
    with patch.dict(os.environ):
        connect("exports-staging")
        assert {name: os.environ[name] for name in expected} == expected


def test_a_stack_that_cannot_be_used_is_named(deployed: dict[str, dict[str, str]], admin: Admin) -> None:
    deployed["shop"] = {"ApiUrl": "https://shop.example.com"}
    missing = "An error occurred (ValidationError) when calling the DescribeStacks operation"
    for name, said in (
        ("nowhere", f"nowhere in {REGION} cannot be read: {missing}: Stack with id nowhere does not exist"),
        ("shop", "shop (CREATE_COMPLETE) is not a stack of Report Exports: it has no output ExportsTableName."),
    ):
        assert admin("dead-letters", "--stack", name) == Run(1, "", f"exports-admin: The stack {said}\n")


UNREADABLE = f"The stack report-exports in {REGION} cannot be read: "


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"AWS_DEFAULT_REGION": None},
            "No Region is set. Set AWS_REGION, or set AWS_PROFILE to a profile with a Region.",
        ),
        (
            dict.fromkeys(OF_AWS[2:]),
            "There are no AWS credentials. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
        (
            dict.fromkeys(OF_AWS),
            "The emulator is not running. Start it: make up. "
            "For a stack on AWS, set AWS_PROFILE (or AWS_REGION and credentials) and use --stack NAME.",
        ),
        ({"AWS_ENDPOINT_URL": "here"}, f"{UNREADABLE}Invalid endpoint: here"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            f'{UNREADABLE}Could not connect to the endpoint URL: "http://127.0.0.1:9/"',
        ),
    ],
)
def test_an_environment_that_leads_to_no_stack_is_explained(
    variables: dict[str, str | None], said: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    assert admin("dead-letters") == Run(1, "", f"exports-admin: {said}\n")


def test_without_a_configuration_of_aws_the_running_emulator_is_operated(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "describe", lambda: {"endpoint_url": "http://here", "region": "us-east-1"})
    asked: list[tuple[str | None, ...]] = []

    def find(_name: str) -> None:
        asked.append(tuple(os.environ.get(name) for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")))
        raise Trouble("seen")

    monkeypatch.setattr(stack, "find", find)
    for name in OF_AWS:
        monkeypatch.delenv(name, raising=False)
    assert admin("dead-letters") == Run(1, "", "exports-admin: seen\n")
    monkeypatch.setenv("AWS_REGION", REGION)
    admin("dead-letters")
    assert asked == [("us-east-1", "http://here"), (None, None)]


def test_a_profile_that_does_not_exist_is_one_line_in_every_folder(tmp_path: Path) -> None:
    """In a process of its own, because the product's imports read the configuration of AWS too."""
    (tmp_path / "shared").mkdir()
    linked = tmp_path / "exports-admin"
    linked.symlink_to(ROOT / "bin" / "exports-admin")
    environment = os.environ | {"AWS_PROFILE": "nobody"}
    run = subprocess.run([str(linked), "dead-letters"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert run.stderr.startswith("exports-admin: ")
    assert "The config profile (nobody) could not be found" in run.stderr


def test_the_program_installs_its_dependencies_first(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "exports-admin", tmp_path / "bin")
    (tmp_path / "python").write_text("#!/bin/sh\necho runs $@\n")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "Makefile").write_text(
        "setup:\n\techo Installing\n\tmkdir -p .venv/bin\n\tcp python .venv/bin\n\ttouch .venv/ready-3.13\n"
    )
    command = [str(tmp_path / "bin" / "exports-admin"), "dead-letters", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("runs -P -m exports_admin dead-letters --json\n", "Installing\n")
    shutil.rmtree(tmp_path / ".venv")
    (tmp_path / "Makefile").write_text("setup:\n\tfalse\n")
    assert subprocess.run(command, capture_output=True).returncode == 1


@pytest.mark.parametrize("program", ["exports", "exports-admin"])
def test_without_make_the_program_says_what_to_do(program: str, tmp_path: Path) -> None:
    for name in ("dirname", "readlink", "ls"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / program, tmp_path / "bin")
    run = subprocess.run([str(tmp_path / "bin" / program)], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    said = f"{program}: make is missing. Install it; this program then installs its dependencies.\n"
    assert (run.returncode, run.stdout, run.stderr) == (1, "", said)
