"""`exports-admin drift`: compares a deployed stack with this checkout, as `make architecture-diff` does a base."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import Any, NamedTuple

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from architecture import checkout
from architecture.compare import compare, markdown
from architecture.model import MACHINES, Architecture
from checks.repository import Document
from exports_admin.connection import stack_option, use_aws_or_emulator
from exports_admin.stack import locate, readable
from exports_cli.trouble import Trouble

_BY_HAND = """\
This compares templates. A change that somebody made by hand, such as in the console, is in neither of them.
CloudFormation finds those. It last looked: {status}. To look now:

    aws cloudformation detect-stack-drift --stack-name {stack}
    aws cloudformation describe-stack-resource-drifts --stack-name {stack}
"""


class Deployed(NamedTuple):
    """What a stack was deployed from."""

    architecture: Architecture
    without: list[str]
    """What could not be read, and why. The architecture does not have it."""
    status: str
    """What CloudFormation's own drift detection found, and when."""


@click.command("drift")
@stack_option
def command(stack: str) -> None:
    """Compares a deployed stack with this checkout.

    Prints, as Markdown, what a deployment of this checkout would change in the architecture of the stack: permissions
    first. Code and the values of parameters are not compared. The command changes nothing. The exit status is 1 if
    something differs, and 0 if not.
    """
    use_aws_or_emulator()
    where = locate(stack)
    try:
        current = checkout.current()
    except checkout.Unreadable as error:
        raise Trouble(str(error)) from error
    with readable(where):
        deployed = read(boto3.session.Session(region_name=where["region"]), stack, _layer_of_reports(current))
    _leave_out(current, deployed)
    changes = compare(deployed.architecture, current)
    click.echo(markdown(changes, f"Architecture: this checkout against the stack {stack}"))
    for each in deployed.without:
        click.echo(f"Not compared: {each}\n")
    click.echo(_BY_HAND.format(stack=stack, status=deployed.status), nl=False)
    sys.exit(1 if changes else 0)


def read(session: Any, stack: str, layer: str) -> Deployed:
    """The architecture from which a stack was deployed: its template, and what `sam deploy` uploaded for it to S3.

    Args:
        session: of boto3, with the Region of the stack.
        stack: its name.
        layer: the logical id of the layer with the reports; empty if there is none.

    Raises:
        botocore.exceptions.ClientError: the stack does not exist, or its template cannot be read.
        Trouble: the stack's template is not one of Report Exports.
    """
    cloudformation, s3 = session.client("cloudformation"), session.client("s3")
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    body = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    template = body if isinstance(body, str) else json.dumps(body)
    definitions: dict[str, str] = {}
    reports: dict[str, str] = {}
    without = []
    try:
        resources = Document(template, stack).data["Resources"]
        for name, properties in _packaged(resources, layer):
            where = properties.get("DefinitionUri") or properties["ContentUri"]
            try:
                content = _download(s3, where)
                if "DefinitionUri" in properties:
                    definitions[name] = content.decode()
                else:
                    reports = _unzipped(content)
            except (ClientError, BotoCoreError, ValueError, zipfile.BadZipFile) as error:
                without.append(f"{name}, because its package cannot be read: {error}")
        architecture = Architecture(template, definitions, reports)
    except (ValueError, LookupError, TypeError) as error:
        raise Trouble(f"The template of the stack {stack} cannot be compared: {error}") from error
    drift = described.get("DriftInformation", {})
    when = f" ({drift['LastCheckTimestamp']:%Y-%m-%d %H:%M} UTC)" if "LastCheckTimestamp" in drift else ""
    return Deployed(architecture, without, f"{drift.get('StackDriftStatus', 'NOT_CHECKED')}{when}")


def _layer_of_reports(architecture: Architecture) -> str:
    layers = architecture.of("AWS::Serverless::LayerVersion")
    return next((each.name for each in layers if each.properties.get("ContentUri") == f"{checkout.REPORTS}/"), "")


def _packaged(resources: dict[str, Any], layer: str) -> list[tuple[str, dict[str, Any]]]:
    """The properties of the state machines and of the layer of the reports."""
    return [
        (name, each["Properties"])
        for name, each in resources.items()
        if name == layer or (each.get("Type") in MACHINES and "DefinitionUri" in each["Properties"])
    ]


def _download(s3: Any, where: Any) -> bytes:
    """A package from S3, named as SAM names it: ``s3://bucket/key``, or ``{Bucket, Key, Version}``."""
    if isinstance(where, str):
        bucket, _, key = where.removeprefix("s3://").partition("/")
        version = {}
    else:
        bucket, key = where["Bucket"], where["Key"]
        version = {"VersionId": where["Version"]} if "Version" in where else {}
    content: bytes = s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
    return content


def _unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".yaml")}


def _leave_out(current: Architecture, deployed: Deployed) -> None:
    """Removes from this checkout what could not be read of the stack."""
    for name in current.machines.keys() - deployed.architecture.machines.keys():
        del current.machines[name]
    current.config = deployed.architecture.config  # of `sam deploy`, not of a stack
    if not deployed.architecture.reports:
        current.reports.clear()
