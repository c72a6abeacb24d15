"""The command `exports-admin drift`: what a deployment of this checkout would change in the architecture of a stack."""

from __future__ import annotations

import datetime
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from samcli.yamlhelper import yaml_dump, yaml_parse

from tests.support.edits import TEMPLATE, WORKFLOW, WORKFLOW_FILE, in_state, inside
from tests.unit.support import REPORTS, Cloud
from tests.unit.test_admin import Admin, command_line

if TYPE_CHECKING:
    from collections.abc import Callable

admin = pytest.fixture(command_line)
Deploy = Callable[..., None] if TYPE_CHECKING else object
PACKAGES = "packages"


@pytest.fixture
def deploy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Deploys a stack as `sam deploy` does: its template in the long form, and its packages in S3."""
    cloud.s3.create_bucket(Bucket=PACKAGES, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def upload(key: str, content: bytes | str) -> None:
        cloud.s3.put_object(Bucket=PACKAGES, Key=key, Body=content)

    def deployed(template: str = TEMPLATE, workflow: str = WORKFLOW, *, drift: Any = None, body: Any = None) -> None:
        places = {
            "CodeUri: functions/": f"CodeUri: s3://{PACKAGES}/code",
            f"DefinitionUri: {WORKFLOW_FILE}": f"DefinitionUri: s3://{PACKAGES}/workflow",
            "ContentUri: reports/": f"ContentUri: s3://{PACKAGES}/reports",
        }
        for old, new in places.items():
            assert template.count(old) == 1
            template = template.replace(old, new)
        template = yaml_dump(yaml_parse(template))
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for file in REPORTS.glob("*.yaml"):
                archive.write(file, file.name)
        upload("reports", content.getvalue())
        upload("workflow", workflow)
        original = BaseClient._make_api_call
        answers = {
            "DescribeStacks": {"Stacks": [{"DriftInformation": drift or {"StackDriftStatus": "NOT_CHECKED"}}]},
            "GetTemplate": {"TemplateBody": template if body is None else body(template)},
        }

        def answer(client: Any, operation: str, asked: dict[str, Any]) -> Any:
            return answers[operation] if operation in answers else original(client, operation, asked)

        monkeypatch.setattr(BaseClient, "_make_api_call", answer)

    return deployed


def as_json(template: str) -> Any:
    """The template as JSON, which boto3 parses."""
    return json.loads(json.dumps(yaml_parse(template)))


@pytest.mark.parametrize("body", [None, as_json], ids=["YAML", "JSON"])
def test_a_stack_of_this_checkout_is_the_same(deploy: Deploy, admin: Admin, body: Any) -> None:
    deploy(body=body)
    ran = admin("drift", "--stack", "exports-staging")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("## Architecture: this checkout against the stack exports-staging\n")
    assert "**The architecture is the same.**" in ran.out
    assert "aws cloudformation detect-stack-drift --stack-name exports-staging" in ran.out


def test_what_a_deployment_would_change_is_told_from_the_stack_to_this_checkout(deploy: Deploy, admin: Admin) -> None:
    template = inside(TEMPLATE, "AssembleFileRole", "s3:AbortMultipartUpload, ", "")
    deploy(template, in_state(WORKFLOW, "PlanParts", '"TimeoutSeconds": 300', '"TimeoutSeconds": 200'))
    ran = admin("drift")
    assert ran.code == 1
    lines = [line for line in ran.out.splitlines() if line.startswith("- ")]
    assert len(lines) == 2
    assert lines[0].startswith(
        "- **AssembleFile**: may now `s3:AbortMultipartUpload` on `${ExportsBucket.Arn}/exports/*`"
    )
    assert "**ReportExport.PlanParts**: `TimeoutSeconds` `200` → `300`" in lines[1]


def test_packages_that_cannot_be_read_are_not_compared_and_everything_else_is(
    deploy: Deploy, admin: Admin, cloud: Cloud
) -> None:
    deploy(inside(TEMPLATE, "ApiErrorsAlarm", "Threshold: 5", "Threshold: 7"))
    for key in ("workflow", "reports"):
        cloud.s3.delete_object(Bucket=PACKAGES, Key=key)
    ran = admin("drift")
    assert ran.out.count("\n- **") == 1
    assert "- **ApiErrorsAlarm**: `Threshold` `7` → `5`" in ran.out
    left_out = re.findall(
        r"^Not compared: (\w+), because its package cannot be read: .*NoSuchKey", ran.out, re.MULTILINE
    )
    assert sorted(left_out) == ["ReportExport", "ReportsLayer"]


def test_what_cloudformation_found_the_last_time_is_shown(deploy: Deploy, admin: Admin) -> None:
    when = datetime.datetime(2026, 11, 23, 9, 12, tzinfo=datetime.UTC)
    deploy(drift={"StackDriftStatus": "DRIFTED", "LastCheckTimestamp": when})
    assert "It last looked: DRIFTED (2026-11-23 09:12 UTC)." in admin("drift").out


def test_another_stack_is_refused(deploy: Deploy, admin: Admin) -> None:
    deploy(body=lambda _: "Description: nothing")
    ran = admin("drift", "--stack", "shop")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("exports-admin: The template of the stack shop cannot be compared: ")
