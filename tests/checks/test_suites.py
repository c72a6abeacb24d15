"""Slow tests run when a file has changed that they depend on, and hold no deployment back."""

import subprocess

import pytest

from checks import Fault, __main__, documents, iam, page, suites, template, workflow
from exports_admin import deploy


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout without another fault than that a suite has not passed on it."""
    for each in (documents, iam, page, template, workflow):
        monkeypatch.setattr(each, "faults", list[Fault])
    monkeypatch.setattr(suites, "stale", lambda: ["deploy"])


@pytest.mark.usefixtures("untested")
def test_make_check_asks_for_a_suite_that_has_not_passed(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([]) == 1
    assert "Run make test-deploy, and commit the file." in capsys.readouterr().err


@pytest.mark.usefixtures("untested")
def test_make_deploy_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []

    def run(_: object, *command: str) -> None:
        ran.append(command)
        raise subprocess.CalledProcessError(1, command)  # nothing is deployed

    monkeypatch.setattr(deploy, "prepare", lambda *_: None)
    monkeypatch.setattr(deploy, "_run", run)
    assert deploy.main() == 1
    [(_, *command)] = ran
    assert command[:2] == ["-m", "checks"]
    assert __main__.main(command[2:]) == 0
