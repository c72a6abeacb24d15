"""deploy/smoke ends well only if a user can sign in, export and download."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.unit import cli_stack
from tests.unit.cli_stack import Said, Stack
from tests.unit.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

stack = pytest.fixture(cli_stack.running)
USER = {"SMOKE_EMAIL": "ann@example.com", "SMOKE_PASSWORD": "a long passphrase"}
FLIGHTS = ("--emulator", "flights", "-f", "csv", "-p", "from=2013-01-01")


def smoke(stack: Stack, folder: Path, *words: str, **user: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in a folder whose .local/stack.json names this stack."""
    described = {"api_url": f"{stack.url}/v1", "endpoint_url": f"{stack.url}/", "user_pool_client_id": "client"}
    (folder / ".local").mkdir()
    (folder / ".local" / "stack.json").write_text(json.dumps(described), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EXPORTS_", "SMOKE_"))}
    environment |= {"NO_PROXY": "*", "TMPDIR": str(folder)}
    command = [str(ROOT / "deploy" / "smoke"), *words]
    return subprocess.run(command, env=environment | user, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_user_gets_a_file_and_nothing_stays(stack: Stack, tmp_path: Path) -> None:
    stack.goes = ["SUCCEEDED"]
    ran = smoke(stack, tmp_path, *FLIGHTS, **USER)
    assert (ran.returncode, ran.stdout) == (0, f"The export {cli_stack.EXPORT_ID} is complete: 2 rows, 20 bytes.\n"), (
        ran
    )
    (signed_in, *_) = stack.calls("POST /")
    assert signed_in.body["AuthParameters"] == {"USERNAME": "ann@example.com", "PASSWORD": "a long passphrase"}
    assert stack.calls("POST /v1/exports")[0].body["parameters"] == {"from": "2013-01-01"}
    assert stack.asked[-1].headers["X-Amz-Target"].endswith("RevokeToken")
    assert [each.name for each in tmp_path.iterdir()] == [".local"]


def test_a_failed_export_fails_the_deployment(stack: Stack, tmp_path: Path) -> None:
    stack.goes = ["FAILED"]
    ran = smoke(stack, tmp_path, *FLIGHTS, **USER)
    assert ran.returncode == 3
    assert "is FAILED" in ran.stderr


def test_a_user_who_cannot_sign_in_fails_the_deployment(stack: Stack, tmp_path: Path) -> None:
    stack.answer(
        "POST /", Said(400, {"__type": "NotAuthorizedException", "message": "Incorrect username or password."})
    )
    ran = smoke(stack, tmp_path, *FLIGHTS, **USER)
    assert (ran.returncode, ran.stderr.count("Incorrect username or password")) == (4, 1)


@pytest.mark.parametrize(
    ("words", "user", "told"),
    [
        (FLIGHTS, {}, "SMOKE_EMAIL: Set it to the address of a user"),
        (FLIGHTS, {"SMOKE_EMAIL": "ann@example.com"}, "SMOKE_PASSWORD: Set it to the permanent password"),
        (("--emulator",), USER, "Name the stack and a report"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_sent(
    stack: Stack, tmp_path: Path, words: tuple[str, ...], user: dict[str, str], told: str
) -> None:
    ran = smoke(stack, tmp_path, *words, **user)
    assert ran.returncode != 0
    assert told in ran.stderr
    assert stack.asked == []
