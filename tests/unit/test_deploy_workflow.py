"""The workflow that deploys: what it may do, in which order, and that a stale change set is not executed."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from checks import repository
from tests.unit.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / ".github" / "workflows" / "deploy.yml").read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
SCRIPTS = [step["run"] for _, step in STEPS if "run" in step]
ROLES = repository.read("deploy/roles.yaml").data


def script(name: str) -> str:
    """The script of the step with this name."""
    (found,) = [step["run"] for _, step in STEPS if step.get("name", "").startswith(name)]
    return str(found)


def test_each_action_is_pinned_by_a_commit_and_names_its_release() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    jobs = [job for text in texts for job in yaml.safe_load(text)["jobs"].values()]
    uses = [use for text in texts for use in re.findall(r"uses: (\S+)(.*)", text)]
    assert len(uses) == sum("uses" in step for job in jobs for step in job["steps"])
    for action, comment in uses:
        assert re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment)
    assert len({action.partition("@")[0] for action, _ in uses}) == len({*uses})  # one release of each


def test_each_job_has_the_least_permissions() -> None:
    assert WORKFLOW["permissions"] == {}
    tokens = {name: job["permissions"] for name, job in JOBS.items()}
    aws = {"contents": "read", "id-token": "write"}
    assert tokens == {"check": {"contents": "read"}, "change-set": aws, "deploy": aws}
    assert {step["with"]["persist-credentials"] for _, step in STEPS if "checkout" in step.get("uses", "")} == {False}


def test_a_change_set_is_executed_only_after_the_check_the_change_set_and_the_approval() -> None:
    assert [JOBS[name].get("needs") for name in ("check", "change-set", "deploy")] == [None, "check", "change-set"]
    environments = {name: job.get("environment") for name, job in JOBS.items()}
    assert environments == {"check": None, "change-set": None, "deploy": "production"}
    assert ROLES["Parameters"]["Environment"]["Default"] == "production"
    assert ROLES["Parameters"]["Branch"]["Default"] == "main"
    assert WORKFLOW[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}  # YAML 1.1 reads "on" as true
    assert JOBS["change-set"]["if"].startswith("github.ref == 'refs/heads/main'")
    assert [name for name, step in STEPS if "--execute" in step.get("run", "")] == ["deploy"]


def test_each_job_takes_the_role_that_is_meant_for_it() -> None:
    roles = {name: step["with"]["role-to-assume"] for name, step in STEPS if "configure-aws" in step.get("uses", "")}
    assert roles == {"change-set": "${{ vars.REVIEW_ROLE_ARN }}", "deploy": "${{ vars.DEPLOY_ROLE_ARN }}"}
    described = {each["Description"] for each in ROLES["Outputs"].values()}
    assert {f"The repository's variable {name}." for name in ("REVIEW_ROLE_ARN", "DEPLOY_ROLE_ARN")} <= described


def test_no_value_from_outside_becomes_part_of_a_script() -> None:
    assert not [run for run in SCRIPTS if "${{" in run]
    secret = [step for _, step in STEPS if "secrets." in str(step)]
    assert [step["name"] for step in secret] == ["Smoke test"]


@pytest.mark.parametrize("run", SCRIPTS, ids=lambda run: run.splitlines()[0][:40])
def test_each_script_is_bash_and_calls_what_is_there(run: str) -> None:
    assert subprocess.run(["bash", "-n"], input=run, text=True).returncode == 0
    for path in re.findall(r"(?<![\w./-])((?:\.ci|deploy|bin)/[\w-]+)", run):
        assert (ROOT / path).stat().st_mode & 0o100, path
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {*re.findall(r"\bmake ([a-z-]+)", run)} <= {*targets}


@pytest.mark.parametrize(("main", "executed"), [("a" * 40, True), ("b" * 40, False)])
def test_the_change_set_of_a_commit_that_main_has_left_is_not_executed(
    tmp_path: Path, main: str, executed: bool
) -> None:
    called = tmp_path / "called"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for path, line in (("gh", f"echo {main}"), (".venv/bin/python", f'echo "$@" > {called}')):
        (tmp_path / path).write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (tmp_path / path).chmod(0o700)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_REPOSITORY": "octo/exports", "GITHUB_SHA": "a" * 40}
    run = ["bash", "-e", "-c", script("Execute exactly this change set")]
    ran = subprocess.run(run, cwd=tmp_path, env=environment | {"CHANGE_SET": "arn"}, capture_output=True, text=True)
    assert (ran.returncode == 0) == executed
    assert called.exists() == executed
    if executed:
        assert called.read_text("utf-8") == "-m exports_admin.change_set arn --execute\n"
    else:
        assert f"main is at {main}, and the change set is of {'a' * 40}. It is not executed." in ran.stdout


@pytest.mark.parametrize("made", [True, False])
def test_the_next_job_gets_the_change_set_that_was_shown(tmp_path: Path, made: bool) -> None:
    for folder in (".aws-sam", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    if made:
        (tmp_path / ".aws-sam" / "change-set").write_text("arn", "utf-8")
    (python := tmp_path / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "changes of $3"\n', "utf-8")
    python.chmod(0o700)
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    run = ["bash", "-e", "-c", script("Show it in the summary")]
    subprocess.run(run, cwd=tmp_path, env=files | {"PATH": "/usr/bin:/bin"}, check=True)
    summary, output = (tmp_path / name for name in files)
    assert summary.read_text("utf-8") == ("changes of arn\n" if made else "There is nothing to change.\n")
    assert (output.read_text("utf-8") if output.exists() else "") == ("arn=arn\n" if made else "")
