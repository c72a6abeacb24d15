"""exports-admin on the deployed stack, as an administrator runs it, or somebody with few permissions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import boto3
import botocore.session
import pytest
from botocore.loaders import create_loader

from exports_admin import __main__, dead_letter_queue, executions
from local.launcher import ROOT
from shared.lambda_ import aws
from shared.lambda_.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.deployed import Deployed

Environment = dict[str, str]
_loader = cache(create_loader)  # services are described in files that take longer to read than commands do


class Ran(NamedTuple):
    """The exit status and the output of a command."""

    code: int
    out: str
    err: str


def without_aws() -> Environment:
    """An environment that says nothing of AWS: the running emulator is operated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def run(deployed: Deployed, *words: str, environment: Environment | None = None, typed: str = "") -> Ran:
    """Runs a command of exports-admin in this process: one of its own takes seconds to start."""
    given = environment or (without_aws() if deployed.emulated else dict(os.environ))
    arguments = ["exports-admin", *words, *([] if words[0] == "seed" else ["--stack", deployed["stack"]])]
    out, err, level = io.StringIO(), io.StringIO(), logger.log_level
    clients = (aws.dynamodb, aws.prompt_s3, aws.s3, aws.sqs, aws.stepfunctions, executions.stepfunctions)
    with contextlib.ExitStack() as stack:
        for cached in clients:
            cached.cache_clear()
            stack.callback(cached.cache_clear)
        stack.callback(lambda: logger.setLevel(level))
        stack.enter_context(mock.patch.dict(os.environ, given, clear=True))
        stack.enter_context(mock.patch.object(boto3, "DEFAULT_SESSION", None))
        stack.enter_context(mock.patch.object(botocore.session, "create_loader", _loader))
        if deployed.emulated:  # its queue is one server, which needs no time to be asked
            stack.enter_context(mock.patch.object(dead_letter_queue, "_WAIT_SECONDS", 0))
        for name, value in (("argv", arguments), ("stdin", io.StringIO(typed)), ("stdout", out), ("stderr", err)):
            stack.enter_context(mock.patch.object(sys, name, value))
        try:
            __main__.main()
        except SystemExit as ended:
            said = ended.code
    if isinstance(said, str):
        return Ran(1, out.getvalue(), f"{err.getvalue()}{said}\n")
    return Ran(int(said or 0), out.getvalue(), err.getvalue())


class Operator:
    """Somebody who has the permissions that docs/operations.md lists, as far as they are given, and no others."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._iam, self._name = deployed.client("iam"), f"{deployed.name}-test-{uuid.uuid4().hex[:12]}"
        region, account = deployed["state_machine_arn"].split(":")[3:5]
        executions, map_runs = (
            deployed["state_machine_arn"].replace(":stateMachine:", f":{kind}:") for kind in ("execution", "mapRun")
        )
        resources = {
            "the stack": f"arn:aws:cloudformation:{region}:{account}:stack/{deployed['stack']}/*",
            "the queue `STACK-dead-letters`": f"arn:aws:sqs:{region}:{account}:{deployed['stack']}-dead-letters",
            "the table": f"arn:aws:dynamodb:{region}:{account}:table/{deployed['table']}",
            "the bucket": f"arn:aws:s3:::{deployed['bucket']}",
            "its objects": f"arn:aws:s3:::{deployed['bucket']}/*",
            "the pool": f"arn:aws:cognito-idp:{region}:{account}:userpool/{deployed['user_pool_id']}",
            "the state machine": deployed["state_machine_arn"],
            "its executions": f"{executions}:*",
            "those of its parts": f"{executions}/Parts:*",
            "its Map Runs": f"{map_runs}/Parts:*",
        }
        section = (ROOT / "docs" / "operations.md").read_text("utf-8").split("\n## exports-admin\n")[1]
        rows = re.findall(r"^\| (`[\w-]+:.+?) \| (.+?) \| (.+?) \|$", section.split("\n## ")[0], re.MULTILINE)
        named = [(actions, resources[on], commands) for actions, many, commands in rows for on in many.split(", ")]
        self._listed = [(action, on, wanted) for all_, on, wanted in named for action in re.findall(r"`(\S+)`", all_)]
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
        role = self._iam.create_role(RoleName=self._name, AssumeRolePolicyDocument=_policy([trust]))["Role"]
        keys = deployed.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
        self._environment = without_aws() | {
            "AWS_REGION": region,
            "AWS_ENDPOINT_URL": deployed["endpoint_url"],
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }

    def needs(self, command: str) -> list[str]:
        """The actions that a command is said to use."""
        mine = {action for action, _, wanted in self._listed if f"`{command}`" in wanted or wanted == "every command"}
        return sorted(mine)

    def run(self, *words: str, refused: str = "") -> Ran:
        """Runs a command with the permissions that it is said to need, and no others, but for the refused one."""
        allowed = [(action, on) for action, on, _ in self._listed if action in self.needs(words[0])]
        # The emulator asks for an action of its own where AWS asks for ChangeMessageVisibility.
        allowed += [(f"{each}Batch", on) for each, on in allowed if each == "sqs:ChangeMessageVisibility"]
        # Nor does it know a Map Run as what a call is about.
        given = [
            {"Effect": "Allow", "Action": each, "Resource": "*" if ":mapRun:" in on else on}
            for each, on in allowed
            if each != refused
        ]
        self._iam.put_role_policy(RoleName=self._name, PolicyName="operator", PolicyDocument=_policy(given))
        return run(self._deployed, *words, environment=self._environment)

    def leave(self) -> None:
        self._iam.delete_role_policy(RoleName=self._name, PolicyName="operator")
        self._iam.delete_role(RoleName=self._name)


@pytest.fixture
def operator(deployed: Deployed) -> Iterator[Operator]:
    """See :class:`Operator`."""
    person = Operator(deployed)
    yield person
    person.leave()


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
