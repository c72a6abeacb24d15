"""exports-admin: which stack it operates, and what it says when there is no way to one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws

from exports_admin import __main__, emulator
from exports_admin.connection import connect
from shared.lambda_.telemetry import logger
from tests.unit.support import REGION, ROOT

OF_AWS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Run(NamedTuple):
    """What a command ended with and wrote."""

    code: int
    out: str
    err: str


Admin = Callable[..., Run]


def command_line(alone: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Admin]:
    """Runs a command line of exports-admin in this process."""
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


@pytest.fixture
def account(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account without a stack, on a machine without an emulator; its CloudFormation."""
    monkeypatch.setattr(emulator, "describe", lambda: None)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with mock_aws():
        yield boto3.session.Session(region_name=REGION).client("cloudformation")


def deploy(cloudformation: Any, name: str, outputs: dict[str, str]) -> None:
    """A stack that has these outputs."""
    body = {
        "Parameters": {
            "RetentionDays": {"Type": "Number", "Default": 9},
            "SenderEmail": {"Type": "String", "Default": ""},
            "PageUrl": {"Type": "String", "Default": ""},
        },
        "Resources": {"DeadLetters": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-letters"}}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body))


OUTPUTS = {
    "ApiUrl": "https://a.execute-api.eu-west-1.amazonaws.com/v1",
    "ApiId": "a",
    "UserPoolId": "pool",
    "UserPoolClientId": "client",
    "ExportsBucketName": "bucket",
    "ExportsTableName": "table",
    "DataLocation": "s3://bucket/data/",
    "DeadLettersUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/report-exports-letters",
    "EventBusName": "bus",
    "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:report-exports-report-export",
}


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_stack_is_found_in_the_region_of_the_environment(
    region: str, account: Any, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv(region, REGION)
    deploy(account, "report-exports", OUTPUTS)
    assert admin("dead-letters") == Run(0, "There are no dead letters.\n", "")


def test_the_product_finds_what_the_stack_gives_its_functions(account: Any) -> None:
    deploy(account, "exports-staging", OUTPUTS)
    with patch.dict(os.environ):
        connect("exports-staging")
        given = {name: os.environ[name] for name in ("EXPORTS_TABLE", "RETENTION_DAYS", "STATE_MACHINE_ARN")}
        assert given == {
            "EXPORTS_TABLE": "table",
            "RETENTION_DAYS": "9",
            "STATE_MACHINE_ARN": OUTPUTS["StateMachineArn"],
        }


def test_a_stack_that_is_not_there_is_named(account: Any, admin: Admin) -> None:
    ran = admin("dead-letters", "--stack", "nowhere")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"exports-admin: The stack nowhere in {REGION} cannot be read: ")
    assert "nowhere does not exist" in ran.err


def test_a_stack_that_is_none_of_ours_is_refused(account: Any, admin: Admin) -> None:
    deploy(account, "shop", {"ApiUrl": "https://shop.example.com"})
    why = "it has no output ExportsTableName"
    said = f"exports-admin: The stack shop (CREATE_COMPLETE) is not a stack of Report Exports: {why}.\n"
    assert admin("dead-letters", "--stack", "shop") == Run(1, "", said)


def test_without_a_region_it_says_how_to_name_one(account: Any, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    said = "exports-admin: No Region is set. Set AWS_REGION, or set AWS_PROFILE to a profile with a Region.\n"
    assert admin("dead-letters") == Run(1, "", said)


def test_without_credentials_it_says_how_to_give_them(
    alone: None, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    ran = admin("dead-letters")
    assert ran.code == 1
    assert ran.err.startswith("exports-admin: There are no AWS credentials. Set AWS_PROFILE, or ")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_PROFILE", "nobody", "The config profile (nobody) could not be found"),
        ("AWS_ENDPOINT_URL", "here", "cannot be read: Invalid endpoint: here"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", 'Could not connect to the endpoint URL: "http://127.0.0.1:9/"'),
    ],
)
def test_a_way_to_aws_that_leads_nowhere_is_named(
    variable: str, value: str, said: str, tmp_path: Path, alone: None
) -> None:
    """Through the program itself, for the product's own imports read the configuration too; from any folder."""
    (tmp_path / "shared").mkdir()
    linked = tmp_path / "exports-admin"
    linked.symlink_to(ROOT / "bin" / "exports-admin")
    environment = os.environ | {variable: value, "AWS_MAX_ATTEMPTS": "1"}
    run = subprocess.run(
        [str(linked), "dead-letters"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("exports-admin: ")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_the_program_sets_itself_up_where_it_was_not(tmp_path: Path) -> None:
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


def test_without_aws_and_emulator_it_says_how_to_start_or_name_a_stack(
    account: Any, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(emulator, "describe", lambda: None)
    said = (
        "exports-admin: The emulator is not running. Start it: make up. "
        "For a stack on AWS, set AWS_PROFILE (or AWS_REGION and credentials) and use --stack NAME.\n"
    )
    assert admin("dead-letters") == Run(1, "", said)


def test_where_nothing_says_anything_of_aws_the_running_emulator_is_meant(
    account: Any, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_AWS:
        monkeypatch.delenv(name, raising=False)
    described = {"endpoint_url": "http://127.0.0.1:9", "region": "us-east-1"}
    monkeypatch.setattr(emulator, "describe", lambda: described)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "The stack report-exports in us-east-1 cannot be read" in admin("dead-letters").err
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    assert f"The stack report-exports in {REGION} cannot be read" in admin("dead-letters").err
