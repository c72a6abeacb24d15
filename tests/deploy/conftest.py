"""Stacks on an AWS emulator of their own, deployed by the sam command line from what `make up` built."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from exports_admin import sample_data
from exports_admin import stack as deployment
from local import launcher
from tests.emulator.conftest import Cloud
from tests.integration.deployed import Deployed
from tests.support import stack_beside
from tests.unit.support import template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNTIME = f"PythonRuntime={launcher.RUNTIME}"
BUILT = launcher.ROOT / ".aws-sam" / "build"


@pytest.fixture(scope="session", autouse=True)
def deployable() -> None:
    """Fails everything where a deployment is refused: skipped tests would be noted as passed."""
    if launcher.PARAMETERS["PythonRuntime"] != launcher.RUNTIME:
        pytest.fail(f"A stack cannot run on {launcher.RUNTIME}. Run make test-deploy PYTHON=python3.13.", pytrace=False)


class Project:
    """The packaged template, in which a test may change things before it is deployed."""

    def __init__(self, folder: Path, cloud: Cloud, template: str) -> None:
        self.folder, self.cloud, self.template = folder, cloud, template

    def use(self, resource: str, path: Path) -> None:
        """Takes a function's code, a layer, or the state machine's definition, from this path."""
        uri = rf"(^  {resource}:\n(?:    .*\n)*?      (?:CodeUri|ContentUri|DefinitionUri):).*\n(?:        .*\n)*"
        self.template, found = re.subn(uri, rf"\g<1> {path}\n", self.template, flags=re.MULTILINE)
        assert found == 1, resource

    def deploy(self, name: str, **parameters: str) -> Deployed:
        """A stack of this name with these parameters."""
        file = self.folder / "template.yaml"
        file.write_text(self.template, "utf-8")
        overrides = [RUNTIME, *(f"{key}={value}" for key, value in parameters.items())]
        options = ["--language-extensions", "--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--stack-name", name]
        sam_deploy = ["deploy", "--template-file", str(file), *options, "--parameter-overrides", *overrides]
        launcher.sam(*sam_deploy, port=self.cloud.port, folder=self.folder)
        return deployed_as(name, self.cloud)


def deployed_as(name: str, cloud: Cloud) -> Deployed:
    """The stack of this name, which is there."""
    return Deployed(deployment.describe(name, launcher.REGION, cloud.url))


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """An AWS emulator with nothing on it."""
    stack_beside.wait()
    if not (BUILT / "template.yaml").exists():
        pytest.fail("nothing is built: make up first, or run make test", pytrace=False)
    running = Cloud("all")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def guided(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> tuple[Deployed, str]:
    """The stack that Enter, Enter, Enter and y deploy, with a month of flights in it; and what sam wrote meanwhile."""
    folder = tmp_path_factory.mktemp("guided")
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(launcher.ROOT / name, folder)
    for name in (".aws-sam", "statemachines", "reports", "web"):
        (folder / name).symlink_to(launcher.ROOT / name)
    asked = ["deploy", "--guided", "--parameter-overrides", RUNTIME]
    enter = "\n" * (2 + len(template()["Parameters"]) + 6)  # name and Region; change set, roles, rollback, what to save
    written = launcher.sam(*asked, port=cloud.port, folder=folder, typed=f"{enter}y\n")
    deployed = deployed_as(launcher.STACK, cloud)
    month = "flights/year=2013/month=1/flights.parquet"
    sample_data.write(sample_data.FOLDER)
    deployed.client("s3").upload_file(str(sample_data.FOLDER / month), deployed["bucket"], f"data/{month}")
    return deployed, written


@pytest.fixture
def project(first: Deployed, cloud: Cloud, tmp_path: Path) -> Project:
    """The project as the first stack was deployed from it, to be changed and deployed."""
    return Project(tmp_path, cloud, packaged(first))


@pytest.fixture(scope="session")
def first(guided: tuple[Deployed, str]) -> Deployed:
    """The stack that `sam deploy --guided` made."""
    return guided[0]


def packaged(deployed: Deployed) -> str:
    """The template that a stack was deployed from: its code lies in S3."""
    found = deployed.client("cloudformation").get_template(StackName=deployed["stack"], TemplateStage="Original")
    return str(found["TemplateBody"])


def parameters(deployed: Deployed) -> dict[str, Any]:
    """What a stack was deployed with."""
    found = deployed.client("cloudformation").describe_stacks(StackName=deployed["stack"])["Stacks"][0]
    return {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}


def resources(deployed: Deployed) -> dict[str, str]:
    """The physical ids of a stack's resources by their logical ones."""
    pages = deployed.client("cloudformation").get_paginator("list_stack_resources")
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages.paginate(StackName=deployed["stack"])
        for resource in page["StackResourceSummaries"]
    }
