"""Third-party tools on the template as deployed: cfn-lint, and checkov without its justified skips."""

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from checks import Fault
from checks.repository import ROOT
from checks.template.stack import Stack

PYTHON = ROOT / ".local" / "checkov" / "bin" / "python"
OPTIONS = "--framework cloudformation --output json --quiet --compact --skip-download --soft-fail --file template.json"


def cfn_lint(stack: Stack) -> list[Fault]:
    """The findings of cfn-lint on the deployed template, because in the written one it does not check SAM's types."""
    faults = []
    # A rule of this project reports cycles (E3004), and names all their steps.
    for match in lint(json.dumps(stack.transformed), config=ManualArgs(regions=["us-east-1"], ignore_checks=["E3004"])):
        if len(match.path) > 1 and match.path[0] == "Resources":
            message = re.sub(r"\[.{80,}\]", "the allowed values", match.message).rstrip(".")
            faults.append(
                stack.fault(match.path[1], f"cfn-lint {match.rule.id}: {message}", "Correct it", *match.path[2:])
            )
    return faults


def checkov(stack: Stack) -> list[Fault]:
    """The findings of checkov that are not skipped."""
    return unskipped(stack, _report(stack))


def unskipped(stack: Stack, report: dict[str, Any]) -> list[Fault]:
    """The findings of a checkov report that are not skipped, and the skips that match no finding.

    ``# checkov:skip=<check>: <reason>`` in a resource applies to it and to what SAM makes from it; before the first
    resource, it applies to all.
    """
    file, faults, used = stack.document.file, [], set()
    skips: dict[tuple[str, str], int] = {}
    for line, comment in stack.document.comments.items():
        if comment.startswith("checkov:"):
            skip = re.fullmatch(r"checkov:skip=(CKV\w+): *(\S.*)", comment)
            if skip:
                skips[_around(stack, line), skip[1]] = line
            else:
                remedy = "Write # checkov:skip=<check>: <reason>"
                faults.append(Fault(file, line, _around(stack, line), "the skip has no check or no reason", remedy))
    for finding in report["results"]["failed_checks"]:
        name, check = stack.origin(finding["resource"].partition(".")[2]), finding["check_id"]
        by = next((each for each in ((name, check), ("Resources", check)) if each in skips), None)
        if by:
            used.add(by)
        else:
            remedy = f"Fix it, or give the reason in the resource: # checkov:skip={check}: <reason>"
            faults.append(stack.fault(name, f"checkov {check} fails: {finding['check_name']}", remedy))
    for by in skips.keys() - used:
        faults.append(Fault(file, skips[by], by[0], f"the skip of {by[1]} matches no finding", "Remove it"))
    return faults


def _report(stack: Stack) -> dict[str, Any]:
    """Checkov's own report.

    Raises:
        SystemExit: checkov is not installed, or it failed.
    """
    if not PYTHON.exists():
        raise SystemExit("checkov is not installed. Run make check, which installs it.")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "template.json").write_text(json.dumps(stack.transformed), "utf-8")
        command = [str(PYTHON), "-m", "checkov.main", *OPTIONS.split()]
        # No checkov configuration, in variables or the home directory, may change the findings.
        ran = subprocess.run(command, capture_output=True, cwd=folder, env={"HOME": folder}, text=True)
    try:
        report: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        raise SystemExit(f"checkov failed: {ran.stderr or ran.stdout}") from None
    if report["summary"]["parsing_errors"]:
        raise SystemExit("checkov cannot read the template.")
    return report


def _around(stack: Stack, line: int) -> str:
    """The resource that contains the line; before the first resource, ``Resources``."""
    starts = {stack.document.line("Resources", name): name for name in stack.written}
    return next((starts[start] for start in sorted(starts, reverse=True) if start <= line), "Resources")
