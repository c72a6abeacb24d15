"""A second stack on the AWS emulator, whose data, table and key are elsewhere: each condition of a permission holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from samcli.yamlhelper import yaml_parse

from exports_admin import sample_data
from exports_admin import stack as deployment
from local import launcher
from tests.deploy.conftest import RUNTIME
from tests.deploy.test_own_data import TABLE, of_page, put_flights
from tests.emulator.conftest import policy
from tests.integration.deployed import Deployed
from tests.support import stack_beside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api import Caller

STACK, BUCKET, FOLDER, DOMAIN = "elsewhere", "lake-of-another-team", "curated", "example.org"
OWNER = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"}


class Elsewhere:
    """The stack's template, which a test may change and deploy again."""

    def __init__(self, folder: Path, template: dict[str, Any], parameters: dict[str, str], port: int) -> None:
        self.template, self._folder, self._parameters, self._port = template, folder, parameters, port

    def deploy(self, template: dict[str, Any]) -> Deployed:
        """The stack, deployed from this template."""
        file = self._folder / "template.json"
        file.write_text(json.dumps(template), "utf-8")
        options = ["--language-extensions", "--capabilities", "CAPABILITY_IAM", "--resolve-s3"]
        options += ["--stack-name", STACK, "--region", launcher.REGION]
        overrides = [RUNTIME, *(f"{name}={value}" for name, value in self._parameters.items())]
        sam_deploy = ["deploy", "--template-file", str(file), *options, "--parameter-overrides", *overrides]
        launcher.sam(*sam_deploy, port=self._port, folder=self._folder)
        return Deployed(deployment.describe(STACK, launcher.REGION, f"http://127.0.0.1:{self._port}"))


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """The template of the first stack with two reports of a table, and the places that its parameters name."""
    stack_beside.wait()
    first = Deployed(json.loads(launcher.DESCRIPTION.read_text("utf-8")))
    packaged = first.client("cloudformation").get_template(StackName=first["stack"], TemplateStage="Original")
    template, folder = yaml_parse(packaged["TemplateBody"]), tmp_path_factory.mktemp("elsewhere")

    reports = folder / "reports"
    reports.mkdir()
    flights = (launcher.ROOT / "reports" / "flights.yaml").read_text("utf-8")
    (reports / "flights.yaml").write_text(flights)
    by_key = of_page("dynamodb-source.md", "yaml", "title: Departures").replace("table: departures", f"table: {TABLE}")
    (reports / "departures.yaml").write_text(by_key)
    (reports / "from-new-york.yaml").write_text(by_key.replace("tenant: carrier", "tenant: origin"))
    template["Resources"]["ReportsLayer"]["Properties"]["ContentUri"] = str(reports)

    key = str(first.client("kms").create_key(Policy=policy(OWNER))["KeyMetadata"]["Arn"])
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3 = first.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]},
    )
    for file in sample_data.write(sample_data.FOLDER):
        s3.upload_file(str(file), BUCKET, f"{FOLDER}/{file.relative_to(sample_data.FOLDER).as_posix()}")
    first.client("sesv2").create_email_identity(EmailIdentity=DOMAIN)
    where = {"DataBucket": BUCKET, "DataPrefix": FOLDER, "BucketKeyArn": key, "SourceTable": TABLE}
    parameters = launcher.PARAMETERS | where | {"SenderEmail": f"reports@{DOMAIN}", "PageDomainPrefix": "elsewhere"}
    return Elsewhere(folder, template, parameters, first["port"])


@pytest.fixture(scope="session")
def deployed(elsewhere: Elsewhere) -> Deployed:
    """The stack as the template says."""
    found = elsewhere.deploy(elsewhere.template)
    put_flights(found)
    return found


@pytest.fixture
def united_user(deployed: Deployed) -> Caller:
    """A user of the airline whose file has many parts."""
    return deployed.sign_up("UA")


def ended(caller: Caller, **body: Any) -> dict[str, Any]:
    """The end of an export, from the request on."""
    answer = caller.post({"format": "csv", "parameters": {}} | body)
    assert answer.status == 202, answer
    return dict(caller.follow(answer.json).end)
