"""The revisions that make architecture-diff compares are read from git, and one that cannot be compared says why."""

import re
import subprocess
from pathlib import Path

import pytest

from architecture import checkout
from architecture.__main__ import main
from architecture.checkout import TEMPLATE as TEMPLATE_FILE
from checks.repository import ROOT
from tests.support.edits import TEMPLATE, WORKFLOW_FILE, inside


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the templates, the workflow, the report and SAM's configuration on its branch main."""
    for name in (TEMPLATE_FILE, WORKFLOW_FILE, "reports/flights.yaml", "samconfig.toml", "deploy/roles.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "It")
    return git(folder, "rev-parse", "HEAD")


def test_a_branch_is_compared_with_the_commit_at_which_it_left_main(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = git(repository, "rev-parse", "HEAD")
    (repository / "template.yaml").write_text(inside(TEMPLATE, "ApiErrorsAlarm", "Threshold: 5", "Threshold: 7"))
    commit(repository)  # main has moved, which is no change of the branch
    git(repository, "switch", "--quiet", "--create", "branch", start)
    (repository / "functions" / "plan_parts").mkdir(parents=True)
    (repository / "functions" / "plan_parts" / "app.py").write_text("new", "utf-8")
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"## Architecture: this checkout against main ({start[:10]})\n")
    assert "**The architecture is the same. Only code differs.**" in out
    assert "- **PlanParts**: `functions/plan_parts/app.py`" in out
    assert main(["--head", "main", "--base", "branch"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"## Architecture: main against branch ({start[:10]})\n")
    (line,) = [line for line in out.splitlines() if line.startswith("- ")]
    assert line.startswith("- **ApiErrorsAlarm**: `Threshold` `5` → `7` (template.yaml:")


def test_a_rollback_is_compared_with_what_it_takes_back(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = git(repository, "rev-parse", "HEAD")
    (repository / "template.yaml").write_text(inside(TEMPLATE, "ApiErrorsAlarm", "Threshold: 5", "Threshold: 7"))
    newer = commit(repository)
    assert main(["--base", "HEAD", "--head", before]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"## Architecture: {before} against HEAD ({newer[:10]})\n")
    assert "- **ApiErrorsAlarm**: `Threshold` `7` → `5` (template.yaml:" in out


def test_the_roles_of_a_deployment_and_the_configuration_of_sam_are_compared_too(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, old, new in (
        ("deploy/roles.yaml", "Action: iam:PassRole", "Action: iam:*"),
        ("samconfig.toml", '"CAPABILITY_IAM"', '"CAPABILITY_NAMED_IAM"'),
    ):
        text = (repository / name).read_text("utf-8")
        assert old in text
        (repository / name).write_text(text.replace(old, new), "utf-8")
    assert main(["--base", "HEAD"]) == 0
    out = capsys.readouterr().out
    assert "`permission-wildcard`" in out
    assert re.search(
        r"^- \*\*deploy/roles\.yaml \w+\*\*: may now `iam:\*` .* \(deploy/roles\.yaml:\d+\)$", out, re.MULTILINE
    )
    assert (
        "**samconfig.toml**: `default.deploy.parameters.capabilities` `CAPABILITY_IAM` → `CAPABILITY_NAMED_IAM`" in out
    )


def test_main_at_the_remote_counts_if_there_is_no_branch_main(repository: Path) -> None:
    start = git(repository, "rev-parse", "HEAD")
    git(repository, "update-ref", "refs/remotes/origin/main", start)
    git(repository, "branch", "--quiet", "--move", "main", "mine")
    assert checkout.base_of("main") == start


@pytest.mark.parametrize(
    ("base_name", "said"),
    [
        ("nowhere", "git knows neither nowhere nor origin/nowhere."),
        (
            "empty",
            "has no architecture to compare: git show failed: fatal: path 'template.yaml' exists on disk, but not",
        ),
        ("broken", "A file of "),
        ("other", "other and HEAD have no commit in common."),
    ],
)
def test_a_base_that_cannot_be_compared_says_why(
    repository: Path, base_name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "switch", "--quiet", "--orphan", "other")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    git(repository, "switch", "--quiet", "main")
    whole = TEMPLATE
    for name in ("empty", "broken"):
        (repository / "template.yaml").write_text("Resources: {") if name == "broken" else (
            repository / "template.yaml"
        ).unlink()
        git(repository, "tag", name, commit(repository))
        (repository / "template.yaml").write_text(whole, "utf-8")
    commit(repository)
    assert main(["--base", base_name]) == 1
    assert said in capsys.readouterr().err
