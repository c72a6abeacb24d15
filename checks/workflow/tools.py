"""Third-party tools: cfn-lint's schema of a definition, and npm's asl-validator if Node is installed."""

import json
import os
import re
import shutil
import subprocess
from typing import Any

from cfnlint.api import lint  # type: ignore[import-untyped]

from checks import Fault
from checks.repository import ROOT
from checks.workflow.machine import Machine, Where

MODULES = ROOT / ".local" / "asl-validator" / "node_modules"
"""The folder where make installs asl-validator with npm."""


def cfn_lint(machine: Machine) -> list[Fault]:
    """The findings of cfn-lint on the definition.

    cfn-lint checks only AWS::StepFunctions::StateMachine, so this wraps the definition in one, as SAM does.
    """
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": _filled(machine)}
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    matches = lint(json.dumps({"Resources": {"Machine": resource}}))
    inside = len(("Resources", "Machine", "Properties", "Definition"))
    return [_fault(machine, tuple(each.path)[inside:], f"cfn-lint {each.rule.id}: {each.message}") for each in matches]


def asl_validator(machine: Machine) -> list[Fault]:
    """The findings of asl-validator on the definition; if it cannot run, prints one line that says so."""
    node = shutil.which("node")
    if not node or not (MODULES / "asl-validator").is_dir():
        print(f"asl-validator was not run: {'make check could not install it' if node else 'Node is not installed'}.")
        return []
    command = [node, str(ROOT / "checks" / "asl-validator" / "validate.js")]
    definition, environment = json.dumps(_filled(machine)), os.environ | {"NODE_PATH": str(MODULES)}
    run = subprocess.run(command, input=definition, env=environment, capture_output=True, text=True, timeout=60)
    if run.returncode:
        print(f"asl-validator was not run: {run.stderr.strip().splitlines()[-1]}")
        return []
    return [
        _fault(machine, _place(machine, each), f"asl-validator: {each['Message']}") for each in json.loads(run.stdout)
    ]


def _place(machine: Machine, error: dict[str, Any]) -> Where:
    """The place that asl-validator points at, or else the state that it names."""
    steps = error.get("schemaError", {}).get("instancePath", "").split("/")[1:]
    named = [state.where for state in machine.states if re.search(rf"\b{re.escape(state.name)}\b", error["Message"])]
    return tuple(int(step) if step.isdigit() else step for step in steps) or (named[0] if named else ())


def _fault(machine: Machine, where: Where, wrong: str) -> Fault:
    return machine.fault(where, wrong.rstrip("."), "Correct it")


def _filled(machine: Machine) -> Any:
    """The definition with an ARN, which is valid everywhere, instead of each substitution."""
    return json.loads(re.sub(r"\$\{(\w+)\}", r"arn:aws:lambda:us-east-1:123456789012:function:\1", machine.text))
