"""`make deploy`: asks once, saves the answers, and changes only the parameters that are named.

CloudFormation keeps the parameters of a stack: `sam deploy` sends `UsePreviousValue` for each one without an override.
So `make deploy` sends the answers in samconfig.local.toml, PARAMETERS of this call, and the runtime of this Python.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import click
import tomlkit
from botocore.exceptions import BotoCoreError, ClientError
from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]

from checks.repository import ROOT, Document
from exports_admin import change_set, packages
from exports_admin.packages import RUNTIME
from exports_admin.stack import region as named_region
from exports_admin.stack import require_region
from exports_cli.trouble import Trouble

ANSWERS = "samconfig.local.toml"
"""The file of the answers, unless CONFIG names another one. Git ignores it."""
ASKED = {
    "DataBucket": "",
    "DataPrefix": "DataBucket",
    "UserPoolId": "",
    "UserPoolClientId": "UserPoolId",
    "TenantClaim": "UserPoolId",
    "AllowedOrigin": "",
    "SenderEmail": "",
    "PageUrl": "SenderEmail",
    "AlertEmail": "",
}
"""The parameters that a first deployment asks for. A parameter is asked only if the one that its value names is set."""
_CASE_SENSITIVE = "UsernamesCaseSensitive"
_HEADER = """\
# Your answers to `make deploy`. It sends these parameters each time. Every other parameter keeps its value.
# Git ignores samconfig.local.toml. To share the answers, commit them under another name: CONFIG=samconfig.prod.toml
version = 0.1
"""
_Parameters = dict[str, dict[str, Any]]


class Plan(NamedTuple):
    """The stack and the parameters to deploy."""

    config: Path
    """The configuration for `sam build` and `sam deploy`: samconfig.toml and the answers."""
    answers: Path
    changed: bool
    """Whether the answers must be saved."""
    stack: str
    region: str
    named: dict[str, str]
    """The parameters to save."""
    asks: bool
    reviewed: bool
    """Whether the change set is only made. :mod:`exports_admin.change_set` executes it after a review."""


def main() -> int:
    """Deploys. Returns 1 after a message that says what to do if it cannot."""
    try:
        plan = prepare(ROOT, os.environ)
        _run(plan, sys.executable, "-m", "checks", "deployment")
        (ROOT / ".aws-sam" / "digest").unlink(missing_ok=True)  # this build replaces the one of `make up`
        _sam(plan, "build")
        click.echo(f"• {packages.require_allowed()}")
        save(plan)
        _deploy(plan)
    except Trouble as trouble:
        click.echo(f"\n{trouble}", err=True)
        return 1
    except click.Abort:
        click.echo("\nNothing was deployed.", err=True)
        return 1
    except subprocess.CalledProcessError as error:  # the command has printed its error
        click.echo(error.stdout or "", nl=False)
        return error.returncode
    except KeyboardInterrupt:
        return 130
    return 0


def prepare(folder: Path, environment: Mapping[str, str]) -> Plan:
    """Determines the stack and its parameters, prints the changes, and writes the configuration for SAM CLI.

    Args:
        folder: the folder of template.yaml and samconfig.toml.
        environment: CONFIG is the file of the answers, STACK the stack's name, and PARAMETERS holds `Name=value …` in
            shell syntax. With CI, there are no prompts. With REVIEW, the change set is made and not executed.

    Raises:
        Trouble: a value is missing, not allowed, or contradicts the deployed stack.
    """
    asks, reviewed = not _is_set(environment, "CI"), _is_set(environment, "REVIEW")
    answers = folder / (environment.get("CONFIG") or ANSWERS)
    project, saved = _read(folder / "samconfig.toml"), _read(answers)
    parameters: _Parameters = Document((folder / "template.yaml").read_text("utf-8"), "template.yaml").data[
        "Parameters"
    ]
    config = _merged(project, saved)
    settings = config["default"]["global"]["parameters"] | config["default"]["deploy"]["parameters"]

    named = _known(_overrides(project) | _overrides(saved), parameters)
    changes = _given(environment.get("PARAMETERS", ""), parameters)
    stack, requested = _setting(saved, "stack_name") or _setting(project, "stack_name"), environment.get("STACK")
    if stack and requested and stack != requested:
        raise Trouble(
            f"The saved answers are for the stack {stack}. Use another file for another stack:\n"
            f"make deploy STACK={requested} CONFIG=samconfig.{requested}.toml"
        )
    first, region = not stack, settings.get("region") or named_region()
    stack = stack or requested or settings.get("stack_name") or ""
    if first and asks:
        click.echo("Press Enter to accept the value in brackets.\n")
        stack = click.prompt("Stack name", default=stack or None)
        region = click.prompt("AWS Region", default=region or "us-east-1")
    elif first and not requested:
        raise Trouble(
            f"{answers.name} names no stack, and CI=1 does not prompt.\n"
            "Name the stack, or a file with answers:\n"
            "make deploy CI=1 STACK=report-exports\n"
            "make deploy CI=1 CONFIG=samconfig.prod.toml"
        )
    region = require_region(region)

    current = deployed(stack, region, settings.get("profile"))
    runtime = (current | named | changes).get("PythonRuntime", RUNTIME)
    _require_runtime(stack, runtime, parameters)
    before = {name: str(rule.get("Default", "")) for name, rule in parameters.items()} | current
    if first and asks:
        if current:
            click.echo(f"\n{stack} is already deployed. Press Enter to keep the value of a parameter.")
        changes = _ask(parameters, before | named | changes) | changes
    if current and _CASE_SENSITIVE in parameters.keys() - current.keys() - named.keys() - changes.keys():
        changes[_CASE_SENSITIVE] = "true"  # the pool is older than the parameter, and Cognito cannot change it
    named |= changes
    _require_allowed(named, parameters)

    sent = named | {"PythonRuntime": RUNTIME}
    click.echo(f"\n• {'Updating' if current else 'Creating'} the stack {stack} in {region}")
    for name, value in sent.items():
        if value != before[name]:
            click.echo(f"• {name}: {before[name]!r} becomes {value!r}")
    target = {"stack_name": stack, "region": region, "confirm_changeset": asks and not reviewed}
    target |= {"no_execute_changeset": True} if reviewed else {}
    if settings.get("s3_bucket"):
        config["default"]["deploy"]["parameters"].pop("resolve_s3", None)  # SAM CLI accepts only one of them
    overrides = {"parameter_overrides": {name: _quoted(value) for name, value in sent.items()}}
    config["default"]["build"]["parameters"] |= overrides
    config["default"]["deploy"]["parameters"] |= target | overrides
    written = folder / ".aws-sam" / "samconfig.toml"
    written.parent.mkdir(exist_ok=True)
    written.write_text(tomlkit.dumps(config), "utf-8")
    return Plan(written, answers, asks and (first or bool(changes)), stack, region, named, asks, reviewed)


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "") not in ("", "0", "false")


def save(plan: Plan) -> None:
    """Saves the answers if they have changed. Other content of the file is kept."""
    if not plan.changed:
        return
    text = plan.answers.read_text("utf-8") if plan.answers.exists() else _HEADER
    document = tomlkit.parse(text)
    settings: Any = document
    for name in ("default", "deploy", "parameters"):
        settings = settings.setdefault(name, tomlkit.table(is_super_table=name != "parameters"))
    settings |= {"stack_name": plan.stack, "region": plan.region, "parameter_overrides": plan.named}
    plan.answers.write_text(tomlkit.dumps(document), "utf-8")
    click.echo(
        f"• The answers are saved in {plan.answers.name}. To change them, edit the file or use"
        " make deploy PARAMETERS='Name=value …'"
    )


def deployed(stack: str, region: str, profile: str | None) -> dict[str, str]:
    """The parameters of a stack; empty if the stack does not exist yet.

    Raises:
        Trouble: the stack cannot be read, or belongs to another product.
    """
    try:
        session = boto3.session.Session(profile_name=profile, region_name=region)
        description = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: AWS_ENDPOINT_URL is not a valid address
        if "does not exist" in str(error):
            return {}
        raise Trouble(f"The stack {stack} in {region} cannot be read: {error}") from error
    if description["StackStatus"] == "REVIEW_IN_PROGRESS":  # its first change set was not executed
        return {}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in description.get("Parameters", [])}
    if "PythonRuntime" not in parameters:
        raise Trouble(f"The stack {stack} in {region} is not a stack of Report Exports. Choose another name.")
    return parameters


def _ask(parameters: _Parameters, defaults: dict[str, str]) -> dict[str, str]:
    """Prompts for the parameters. Returns those that differ from the defaults."""
    answers = dict(defaults)
    for name, needs in ASKED.items():
        if needs and not answers[needs]:
            continue

        def allowed(value: str, name: str = name) -> str:
            if fault := _fault(value, parameters[name]):
                raise click.BadParameter(f"{value!r}: {fault}")
            return value

        click.echo(f"\n{parameters[name]['Description']}")
        answers[name] = click.prompt(name, default=defaults[name], value_proc=allowed)
    others = ", ".join(name for name in parameters if name not in ASKED and name != "PythonRuntime")
    click.echo(f"\nThese parameters have defaults that fit most stacks. You can change them at any time: {others}.")
    return {name: value for name, value in answers.items() if value != defaults[name]}


def _given(text: str, parameters: _Parameters) -> dict[str, str]:
    try:
        words = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise Trouble(f"PARAMETERS cannot be read ({error}): {text}") from error
    if invalid := [name + equals for name, equals, _ in words if not equals or name not in parameters]:
        raise Trouble(
            f"PARAMETERS is not valid: {', '.join(invalid)}. Write Name=value, separated by spaces, and put values with"
            f" spaces in quotes.\nThe parameters are {', '.join(parameters)}."
        )
    return {name: value for name, _, value in words}


def _known(named: dict[str, str], parameters: _Parameters) -> dict[str, str]:
    for name in named:
        if name not in parameters:
            click.echo(f"• The template has no parameter {name}. It is ignored")
    return {name: value for name, value in named.items() if name in parameters}


def _require_allowed(named: dict[str, str], parameters: _Parameters) -> None:
    checked = {name: _fault(value, parameters[name]) for name, value in named.items()}
    if faults := [f"{name}={named[name]!r}: {fault}" for name, fault in checked.items() if fault]:
        raise Trouble("\n".join(faults))


def _fault(value: str, rule: dict[str, Any]) -> str:
    """Why CloudFormation would refuse the value; "" if it would accept it."""
    if rule["Type"] == "Number":
        least, most = rule.get("MinValue", float("-inf")), rule.get("MaxValue", float("inf"))
        if not re.fullmatch(r"-?[0-9]+", value) or not least <= int(value) <= most:
            return f"it must be a whole number from {least} to {most}"
    if (allowed := rule.get("AllowedValues")) and value not in allowed:
        return f"it must be one of {', '.join(allowed)}"
    if (pattern := rule.get("AllowedPattern")) and not re.fullmatch(pattern, value):
        return f"it must match {pattern}"
    return ""


def _require_runtime(stack: str, runtime: str, parameters: _Parameters) -> None:
    """Requires that the stack has the runtime of this Python: the build runs on no other."""
    if fault := _fault(RUNTIME, parameters["PythonRuntime"]):
        raise Trouble(f"This Python builds for {RUNTIME}, but {fault}. Use another: make deploy PYTHON=python3.13")
    if runtime != RUNTIME:
        keep = f"To keep its runtime:  make deploy PYTHON={runtime}\n"
        raise Trouble(
            f"The stack {stack} runs on {runtime}, but this Python builds for {RUNTIME}.\n"
            f"{'' if _fault(runtime, parameters['PythonRuntime']) else keep}"
            f"To change its runtime:  make deploy PARAMETERS=PythonRuntime={RUNTIME}"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    except ValueError as error:
        raise Trouble(f"{file.name} cannot be read: {error}") from error


def _merged(*documents: dict[str, Any]) -> dict[str, Any]:
    """Merges several samconfig documents. A later one overrides an earlier one."""
    commands: dict[str, dict[str, Any]] = {name: {"parameters": {}} for name in ("global", "build", "deploy")}
    for document in documents:
        for command, sections in document.get("default", {}).items():
            commands.setdefault(command, {"parameters": {}})["parameters"] |= sections.get("parameters", {})
    return {"version": 0.1, "default": commands}


def _setting(document: dict[str, Any], name: str) -> Any:
    """A setting that `sam deploy --guided` or `make deploy` has saved. [default.global] in samconfig.toml is none."""
    return document.get("default", {}).get("deploy", {}).get("parameters", {}).get(name)


def _overrides(document: dict[str, Any]) -> dict[str, str]:
    overrides = _setting(document, "parameter_overrides")
    if isinstance(overrides, dict):
        return {name: str(value) for name, value in overrides.items()}
    return dict(CfnParameterOverridesType().convert(overrides or "", None, None))


def _quoted(value: str) -> str:
    """Quotes a value for SAM CLI, which removes a pair of quotes, and a backslash before a quote or a space."""
    return '"' + re.sub(r"""\\(?=[ "'])""", r"\\\\", value) + '"'


def _deploy(plan: Plan) -> None:
    """Deploys; or makes the change set, and writes its ARN to the file of :mod:`exports_admin.change_set`."""
    change_set.FILE.unlink(missing_ok=True)
    if not plan.reviewed:
        _sam(plan, "deploy")
        return
    output = _sam(plan, "deploy", stdout=subprocess.PIPE).stdout
    click.echo(output)
    if arn := change_set.named_in(output):
        change_set.FILE.write_text(arn, "utf-8")


def _sam(plan: Plan, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    sam = str(Path(sys.executable).with_name("sam"))
    return _run(plan, sam, command, "--config-file", str(plan.config), **options)


def _run(plan: Plan, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    stdin = None if plan.asks else subprocess.DEVNULL
    return subprocess.run(command, cwd=ROOT, stdin=stdin, check=True, text=True, **options)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
