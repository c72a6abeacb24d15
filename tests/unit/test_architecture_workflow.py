"""The workflow that shows the architecture of a pull request: the job that may write runs none of its code."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.unit.support import ROOT
from tests.unit.test_deploy_workflow import TEXT as DEPLOY

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / ".github" / "workflows" / "architecture.yml").read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
COMPARE, COMMENT = (WORKFLOW["jobs"][name] for name in ("compare", "comment"))
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_it_runs_for_pull_requests_without_secrets_and_each_job_has_the_least_permissions() -> None:
    assert WORKFLOW[True] == "pull_request"  # not pull_request_target; YAML 1.1 reads "on" as true
    assert WORKFLOW["permissions"] == {}
    assert (COMPARE["permissions"], COMMENT["permissions"]) == ({"contents": "read"}, {"pull-requests": "write"})
    assert "secrets" not in TEXT
    scripts = [step["run"] for job in (COMPARE, COMMENT) for step in job["steps"] if "run" in step]
    assert not [script for script in scripts if "${{" in script]  # no value from outside becomes part of a script
    assert {*re.findall(r"\bmake (?:--silent )?([a-z-]+)", "\n".join(scripts))} == {"setup", "architecture-diff"}
    assert {"setup", "architecture-diff"} <= {*TARGETS}


def test_the_job_that_may_write_checks_nothing_out_and_does_not_run_for_forks() -> None:
    assert [[*step] for step in COMMENT["steps"]] == [["name", "env", "run"]]
    assert COMMENT["if"].startswith("github.event.pull_request.head.repo.full_name == github.repository")
    assert COMPARE["steps"][0]["with"] == {"persist-credentials": False, "fetch-depth": 0}


def test_each_action_is_pinned_as_in_the_workflow_that_deploys() -> None:
    uses = re.findall(r"uses: \S+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", TEXT, re.MULTILINE)
    assert len(uses) == TEXT.count("uses:") == 2
    assert all(each in DEPLOY for each in uses)


def run(tmp_path: Path, script: str, programs: dict[str, str], **environment: str) -> Path:
    """Runs a step in a folder with programs of this test. Returns the folder."""
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (tmp_path / name).chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    files = {"RUNNER_TEMP": str(tmp_path)} | {
        name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    }
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=files | environment | {"PATH": path}, check=True)
    return tmp_path


def test_the_summary_has_everything_and_the_comment_what_fits(tmp_path: Path) -> None:
    text = "→" * 30_000  # 90,000 bytes
    (tmp_path / "markdown").write_text(text, "utf-8")
    make = f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/markdown'
    run(tmp_path, COMPARE["steps"][-1]["run"], {"make": make}, GITHUB_BASE_REF="main")
    assert (tmp_path / "asked").read_text("utf-8") == "--silent architecture-diff BASE=main\n"
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text("utf-8") == text
    first, *lines, last = (tmp_path / "GITHUB_OUTPUT").read_text("utf-8").splitlines()
    assert first == f"markdown<<{last}"
    assert lines == ["→" * 20_000]


@pytest.mark.parametrize(
    ("markdown", "existing", "called"),
    [
        ("**1 dangerous change**", "", "POST repos/octo/exports/issues/7/comments"),
        ("**1 dangerous change**", "42", "PATCH repos/octo/exports/issues/comments/42"),
        ("**The architecture is the same.**", "42", "PATCH repos/octo/exports/issues/comments/42"),
        ("**The architecture is the same.**", "", ""),
    ],
)
def test_there_is_one_comment_and_none_if_there_is_nothing_to_tell(
    tmp_path: Path, markdown: str, existing: str, called: str
) -> None:
    gh = f'case "$*" in *--method*) echo "$4 $5" > {tmp_path}/called;; *) echo "{existing}";; esac'
    environment = {"GITHUB_REPOSITORY": "octo/exports", "NUMBER": "7", "MARKDOWN": markdown}
    run(tmp_path, COMMENT["steps"][0]["run"], {"gh": gh}, **environment)
    sent = tmp_path / "called"
    assert (sent.read_text("utf-8").strip() if sent.exists() else "") == called
    assert (tmp_path / "comment.md").read_text("utf-8") == f"<!-- architecture-diff -->\n{markdown}\n"


def test_the_hooks_call_targets_that_there_are_for_files_that_there_are() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    for hook in local["hooks"]:
        assert hook["entry"].split()[2] in TARGETS
        for path in re.findall(r"[\w./]+", hook["files"].replace("\\.", ".").removeprefix("^")):
            assert (ROOT / path).exists(), path
