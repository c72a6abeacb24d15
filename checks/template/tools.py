"""The tools that others have made, on the template as it is deployed: cfn-lint, and checkov less what is to be left."""

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
    """What cfn-lint says. In the template as it is written it does not look into what is SAM's own."""
    faults = []
    # Circles are told by a rule of ours, which names them whole.
    for match in lint(json.dumps(stack.transformed), config=ManualArgs(regions=["us-east-1"], ignore_checks=["E3004"])):
        if len(match.path) > 1 and match.path[0] == "Resources":
            said = re.sub(r"\[.{80,}\]", "those that there are", match.message).rstrip(".")
            faults.append(
                stack.fault(match.path[1], f"cfn-lint {match.rule.id}: {said}", "Correct it", *match.path[2:])
            )
    return faults


def checkov(stack: Stack) -> list[Fault]:
    """What checkov says and is not skipped."""
    return unskipped(stack, _report(stack))


def unskipped(stack: Stack, report: dict[str, Any]) -> list[Fault]:
    """What checkov found and is not skipped, and what is skipped and was not found.

    ``# checkov:skip=<check>: <reason>`` within a resource is for it and what SAM makes of it; before the first,
    for all resources.
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
                faults.append(Fault(file, line, _around(stack, line), "a skip lacks its check or its reason", remedy))
    for found in report["results"]["failed_checks"]:
        name, check = stack.origin(found["resource"].partition(".")[2]), found["check_id"]
        by = next((each for each in ((name, check), ("Resources", check)) if each in skips), None)
        if by:
            used.add(by)
        else:
            remedy = f"Mend it, or give the reason within the resource: # checkov:skip={check}: <reason>"
            faults.append(stack.fault(name, f"checkov {check} fails: {found['check_name']}", remedy))
    for by in skips.keys() - used:
        faults.append(Fault(file, skips[by], by[0], f"the skip of {by[1]} skips nothing", "Remove it"))
    return faults


def _report(stack: Stack) -> dict[str, Any]:
    """Checkov's own report.

    Raises:
        SystemExit: checkov is not there, or it failed.
    """
    if not PYTHON.exists():
        raise SystemExit("checkov is not installed; make check installs it.")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "template.json").write_text(json.dumps(stack.transformed), "utf-8")
        command = [str(PYTHON), "-m", "checkov.main", *OPTIONS.split()]
        # No configuration of checkov's, in variables or at home, may change what is found.
        ran = subprocess.run(command, capture_output=True, cwd=folder, env={"HOME": folder}, text=True)
    try:
        report: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        raise SystemExit(f"checkov failed: {ran.stderr or ran.stdout}") from None
    if report["summary"]["parsing_errors"]:
        raise SystemExit("checkov cannot read the template.")
    return report


def _around(stack: Stack, line: int) -> str:
    """The resource on whose lines the line is; before the first, Resources."""
    starts = {stack.document.line("Resources", name): name for name in stack.written}
    return next((starts[start] for start in sorted(starts, reverse=True) if start <= line), "Resources")
