"""Deploying: by pressing Enter, again, twice side by side, into what is there already, and while exports run."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from exports_admin import deploy
from exports_admin import stack as deployment
from exports_cli.trouble import Trouble
from local import launcher, reports_layer
from tests.deploy.conftest import BUILT, Project, deployed_as, packaged, parameters, resources
from tests.integration.api import Caller
from tests.integration.deployed import until
from tests.unit.support import template

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.deployed import Deployed

pytestmark = pytest.mark.xdist_group("deploy")

JANUARY = {"from": "2013-01-01", "to": "2013-01-31"}
WAITING = """

import pathlib, time
_made = handler


def handler(event, context):
    while not pathlib.Path({signal!r}).exists():
        time.sleep(0.02)
    return _made(event, context)
"""


def states(deployed: Deployed, export: dict[str, Any]) -> list[str]:
    """The states that an export's execution went through."""
    arn = deployed.execution(export)["executionArn"]
    pages = deployed.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def test_enter_enter_enter_deploys(guided: tuple[Deployed, str]) -> None:
    deployed, written = guided
    assert "may not have authorization defined" not in written
    assert "Successfully created/updated stack - report-exports" in written
    defaults = {name: str(rule["Default"]) for name, rule in template()["Parameters"].items()}
    assert parameters(deployed) == defaults | {"PythonRuntime": launcher.RUNTIME}
    assert deployed.sign_up("HA").make(**JANUARY)["rows"] == 31


def test_a_second_make_deploy_keeps_every_parameter(
    first: Deployed, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployment.environment(first["endpoint_url"]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", launcher.REGION)
    shutil.copy(launcher.ROOT / "samconfig.toml", tmp_path)

    def make_deploy(typed: str = "", **environment: str) -> dict[str, str]:
        (tmp_path / "template.yaml").write_text(project.template, "utf-8")
        with CliRunner().isolation(input=typed):
            plan = deploy.prepare(tmp_path, environment)
            deploy.save(plan)
        launcher.sam("deploy", "--config-file", str(plan.config), port=project.cloud.port, folder=tmp_path, typed="y\n")
        return parameters(deployed_as("kept", project.cloud))

    pool = {"UserPoolId": first["user_pool_id"], "UserPoolClientId": first["user_pool_client_id"]}
    own = {"DataBucket": first["bucket"], "DataPrefix": ""} | pool
    own |= {"SenderEmail": "reports@example.com", "PageUrl": "https://a.example.com/?b=(c,'d')&e=\"f\""}
    own |= {"AlertEmail": "ops@example.com", "RetentionDays": "30", "AllowedOrigin": "https://a.example.com"}
    answers = ["kept", launcher.REGION, own["DataBucket"], "", *pool.values(), "", own["AllowedOrigin"]]
    answers += [own["SenderEmail"], own["PageUrl"], own["AlertEmail"]]
    deployed = make_deploy("".join(f"{each}\n" for each in answers), PARAMETERS="RetentionDays=30 DataPrefix=")
    defaults = {name: str(rule["Default"]) for name, rule in template()["Parameters"].items()}
    assert deployed == defaults | own | {"PythonRuntime": launcher.RUNTIME}

    added = "\n  Added:\n    Type: String\n    Default: by an upgrade\n"
    project.template = project.template.replace("\nParameters:\n", f"\nParameters:{added}", 1)
    project.template = re.sub(r"MemorySize: \d+", "MemorySize: 640", project.template, count=1)
    assert make_deploy() == deployed | {"Added": "by an upgrade"}
    (tmp_path / deploy.ANSWERS).unlink()
    assert make_deploy(CI="1", STACK="kept", PARAMETERS="RetentionDays=31") == deployed | {
        "Added": "by an upgrade",
        "RetentionDays": "31",
    }


def test_reports_that_were_deployed_alone_are_those_of_a_whole_deployment(
    first: Deployed, project: Project, tmp_path: Path
) -> None:
    def layers() -> dict[str, list[str]]:
        pages = first.client("lambda").get_paginator("list_functions").paginate()
        found = {each["FunctionName"]: each.get("Layers", []) for page in pages for each in page["Functions"]}
        return {name: [layer["Arn"] for layer in found[name]] for name in found}

    (folder := tmp_path / "changed").mkdir()
    for name in ("flights", "delays"):
        shutil.copy(launcher.ROOT / "reports" / "flights.yaml", folder / f"{name}.yaml")
    project.use("ReportsLayer", folder)
    project.deploy(first["stack"])
    whole = packaged(first)
    reports_layer.deploy(first["stack"], first.description, launcher.ROOT / "reports")
    before = layers()
    reports_layer.deploy(first["stack"], first.description, folder)
    assert packaged(first) == whole
    assert {each["id"] for each in first.sign_up("HA").get("/reports").json["reports"]} == {"delays", "flights"}
    alone = layers()
    assert {name for name in before if before[name] != alone[name]} == {
        f"{first['stack']}-{name}" for name in ("list-reports", "request-export", "run-query", "plan-parts")
    }
    project.deploy(first["stack"])
    assert layers() == alone
    reports_layer.deploy(first["stack"], first.description, launcher.ROOT / "reports")


def test_a_second_stack_stands_beside_the_first(first: Deployed, project: Project) -> None:
    second = project.deploy("second", AlertEmail="ops@example.com", SenderEmail="reports@example.com")
    assert set(resources(first).values()) & set(resources(second).values()) == {"v1"}  # the stage of each API
    export = first.sign_up("HA").make(**JANUARY)
    assert second.keys("exports/") == second.keys("work/") == []
    stranger = second.sign_up("HA")
    assert stranger.get(f"/exports/{export['id']}").status == 404

    topic = resources(second)["Alerts"]
    (subscription,) = second.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
    assert told(second) == [topic]
    assert told(first) == []


def test_mail_is_there_with_a_sender_and_nothing_of_it_without(first: Deployed, project: Project) -> None:
    written = template()["Resources"]
    of_mail = {name for name, resource in written.items() if resource.get("Condition") == "SendsMail"}
    assert {"NotifyRule", "Notifications", "Unmailed", "NotifyOwner", "NotifyOwnerRole"} < of_mail
    assert not of_mail & set(resources(first))
    body = {"report": "flights", "format": "csv", "parameters": JANUARY, "options": {"notify": True}}
    [fault] = first.sign_up("HA").post(body).problem(400, "invalid-request")["errors"]
    assert (fault["pointer"], fault["allowed"]) == ("/options/notify", "false")

    mailing = project.deploy("mailing", SenderEmail="reports@example.com")
    assert of_mail < set(resources(mailing))
    mailing.client("sesv2").create_email_identity(EmailIdentity="reports@example.com")
    caller = mailing.sign_up("HA")
    export = caller.post(body).json
    assert export["options"]["notify"] is True
    assert caller.follow(export).end["status"] == "FAILED"  # it has no data
    [mail] = until(lambda: mailing.mails(caller.email), "a mail")
    assert f"Find export {export['id']} in the application" in mail["text"]  # there is no PageUrl


def told(deployed: Deployed) -> list[str]:
    """Whom the stack's alarms tell."""
    pages = deployed.client("cloudwatch").get_paginator("describe_alarms")
    found = [alarm for page in pages.paginate() for alarm in page["MetricAlarms"]]
    own = [alarm for alarm in found if alarm["AlarmName"].startswith(f"{deployed['stack']}-")]
    described, mails = template()["Resources"].values(), bool(deployed["sender_email"])
    alarms = [resource for resource in described if resource["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(own) == sum(mails or "Condition" not in alarm for alarm in alarms)
    return sorted({action for alarm in own for action in alarm["AlarmActions"]})


def test_a_stack_uses_a_bucket_and_a_pool_that_are_there(first: Deployed, project: Project) -> None:
    user, before = first.sign_up("HA"), first.keys("")
    third = project.deploy(
        "third",
        DataBucket=first["bucket"],
        UserPoolId=first["user_pool_id"],
        UserPoolClientId=first["user_pool_client_id"],
    )
    assert not {"UserPool", "UserPoolClient"} & set(resources(third))
    assert third["data_location"] == f"s3://{first['bucket']}/data/"
    there = Caller(third["api_url"], user.token)
    export = there.make(**JANUARY)
    assert there.download(export).content == user.download(user.make(**JANUARY)).content
    assert [key for key in third.keys("exports/") if export["id"] in key]
    assert user.get(f"/exports/{export['id']}").status == 404
    assert [key for key in first.keys("") if export["id"] in key] == []
    assert set(before) < set(first.keys(""))


def test_only_a_stack_whose_data_and_users_are_its_own_is_tested(
    first: Deployed, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", first["endpoint_url"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", launcher.REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert deployment.find_own(first["stack"]) == deployment.find(first["stack"]) == first.description
    pool = {"UserPoolId": first["user_pool_id"], "UserPoolClientId": first["user_pool_client_id"]}
    for given, said in (({"DataBucket": first["bucket"]}, "not its own"), (pool, "The user pool of")):
        project.deploy("shared", **given)
        with pytest.raises(Trouble, match=said):
            deployment.find_own("shared")
    with pytest.raises(Trouble, match="The stack nowhere in us-east-1 cannot be read"):
        deployment.find_own("nowhere")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Trouble, match="No Region is set"):
        deployment.find_own("nowhere")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"UserPoolId": "us-east-1_abcdefghi"}, "UserPoolId requires UserPoolClientId"),
        ({"DataPrefix": ""}, "Without DataBucket, the datasets need their own folder"),
        ({"DataPrefix": "exports/x"}, "Parameter 'DataPrefix' must be a folder such as data or lake/sales"),
        ({"DataBucket": "another", "DataPrefix": "work"}, "Parameter 'DataPrefix' must be a folder"),
        ({"MapConcurrency": "0"}, "MapConcurrency"),
        ({"AlertEmail": "ann"}, "AlertEmail"),
    ],
)
def test_parameters_that_contradict_are_refused(first: Deployed, parameters: dict[str, str], said: str) -> None:
    cloudformation = first.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    # A request may hold a template of 51,200 bytes, S3 one of a megabyte.
    first.client("s3").put_object(Bucket=first["bucket"], Key="template.yaml", Body=packaged(first).encode())
    address = f"{first['endpoint_url']}/{first['bucket']}/template.yaml"
    refused = {"StackName": "refused", "TemplateURL": address, "Parameters": given}
    with pytest.raises(ClientError, match=f"operation: .*{said}"):
        cloudformation.create_stack(**refused, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
    with pytest.raises(ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName="refused")


def test_a_deployment_during_an_export_harms_nothing(first: Deployed, project: Project, tmp_path: Path) -> None:
    signal, checking = tmp_path / "go", tmp_path / "checking.asl.json"
    checking.write_text(with_another_state())
    released = project.template

    project.use("GeneratePart", waiting_for(signal, tmp_path))
    deployed = project.deploy("changing", DataBucket=first["bucket"])
    caller = deployed.sign_up("HA")
    signal.touch()
    old = caller.make(**JANUARY)
    content = caller.download(old).content
    signal.unlink()
    running = caller.request(**JANUARY)
    until(lambda: "FanOutParts" in states(deployed, running), "the plan")
    cancelled = caller.cancel()

    project.template = released
    project.use("ReportExport", checking)
    project.deploy("changing", DataBucket=first["bucket"])
    assert caller.get(running["links"]["self"]).json["status"] == "RUNNING"
    assert caller.download(old).content == content
    signal.touch()
    ended = caller.follow(running).end
    assert ended["status"] == "SUCCEEDED", ended
    assert caller.download(ended).content == content
    assert "Checked" not in states(deployed, ended)

    after = caller.make(**JANUARY)
    assert "Checked" in states(deployed, after)
    assert caller.download(after).content == caller.download(old).content == content

    retried = caller.follow(caller.retry(cancelled).json).end
    assert retried["status"] == "SUCCEEDED", retried
    assert "Checked" in states(deployed, retried)
    assert caller.download(retried).content == content


def test_an_export_is_over_soon_after_its_machines_time_is_up(
    first: Deployed, project: Project, tmp_path: Path
) -> None:
    """The bound, scaled down: three seconds instead of an hour, with a worker that does not end."""
    signal = tmp_path / "go"
    project.use("GeneratePart", waiting_for(signal, tmp_path))
    project.template = project.template.replace("MinValue: 60", "MinValue: 1")
    deployed = project.deploy("bounded", DataBucket=first["bucket"], MachineTimeoutSeconds="3")
    caller = deployed.sign_up("HA")
    with deployed.listening(caller.owner) as announcements:
        ended = caller.follow(caller.request(**JANUARY)).end
        assert (ended["status"], ended["error"]["type"]) == ("FAILED", "ExecutionTimedOut"), ended
        assert ended["error"]["state"] == "FanOutParts"
        assert [event["detail-type"] for event in announcements.of(ended)] == ["Export Failed"]
    assert deployed.execution(ended)["status"] == "TIMED_OUT"
    assert deployed.letter(ended["id"])["failure"]["type"] == "ExecutionTimedOut"
    assert caller.get("/limits").json["active_exports"]["used"] == 0

    signal.touch()  # the worker goes on
    part = f"work/{ended['id']}/"
    until(lambda: any("/receipts/" in key for key in deployed.keys(part)), "the part")
    assert deployed.keys("exports/") == []
    retried = caller.follow(caller.retry(ended).json).end
    assert retried["status"] == "SUCCEEDED", retried


def waiting_for(signal: Path, folder: Path) -> Path:
    """GeneratePart's code, which waits until the file `signal` is there."""
    waiting = folder / "waiting"
    shutil.copytree(BUILT / "GeneratePart", waiting)
    with (waiting / "generate_part" / "app.py").open("a") as code:
        code.write(WAITING.format(signal=str(signal)))
    return waiting


def with_another_state() -> str:
    """The definition, with a state between AssembleFile and RecordSucceeded."""
    text = (launcher.ROOT / "statemachines" / "report_export.asl.json").read_text("utf-8")
    before, after = text.split('"Next": "RecordSucceeded"')
    start = '"States": {'
    assert before.index(start)
    checked = '\n    "Checked": {"Type": "Pass", "Next": "RecordSucceeded"},'
    return before.replace(start, start + checked, 1) + '"Next": "Checked"' + after
