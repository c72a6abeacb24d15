"""exports: what it asks of a stack, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pytest

from exports_cli import places, session
from exports_cli.commands import exports
from exports_cli.parameters import typed
from exports_cli.text import values
from exports_cli.trouble import StackGone
from tests.unit import cli_stack
from tests.unit.cli_stack import EXPORT_ID, REPORTS, Said, Stack, export, problem
from tests.unit.support import ROOT
from tests.unit.test_packaging import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Cli = Callable[..., "Run"]

stack = pytest.fixture(cli_stack.running)


class Run(NamedTuple):
    """What a command ended with and wrote."""

    code: int
    out: str
    err: str


def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs `exports` in this process, in a folder and with a configuration of the test's own."""
    for name in ("EXPORTS_TOKEN", "EXPORTS_API_URL", "EXPORTS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str, typed: str = "") -> Run:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            exports.main(list(words), prog_name="exports")
        out, err = capsys.readouterr()
        return Run(int(ended.value.code or 0), out, err)

    yield run


cli = pytest.fixture(command_line)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waited; nobody does."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def signed_in(stack: Stack) -> None:
    """A session of this stack, as sign-in leaves it."""
    place = places.Place(api_url=f"{stack.url}/v1", client_id="client", cognito_url=f"{stack.url}/")
    stack.tokens += 1
    tokens: Any = {"id_token": f"id-{stack.tokens}", "refresh_token": "refresh", "seconds": 3600}
    session.save("default", session.begun(place, "ann@example.com", tokens))


@pytest.fixture
def signed(cli: Cli, stack: Stack, slept: list[float]) -> Cli:
    """A command line whose user is signed in."""
    signed_in(stack)
    return cli


@pytest.fixture
def emulator(stack: Stack, cli: Cli) -> Path:
    """A stack that runs here: its .local/stack.json lies above the folder one works in."""
    file = session.folder().parent.parent / ".local" / "stack.json"
    file.parent.mkdir(parents=True)
    users = {"UA": {"email": "ua@example.com", "password": "secret"}}
    described = {
        "api_url": f"{stack.url}/v1",
        "user_pool_client_id": "client",
        "endpoint_url": f"{stack.url}/",
        "region": "us-east-1",
        "users": users,
    }
    file.write_text(json.dumps(described))
    return file


# ── Signing in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_signs_in_leaves_a_session_that_nobody_else_can_read(cli: Cli, stack: Stack, emulator: Path) -> None:
    ran = cli("sign-in", "--emulator", "--email", "ann@example.com", "--password-stdin", typed="pass word\n")
    kept = session.file("default")
    assert (ran.code, ran.out) == (0, "")
    assert str(kept) in ran.err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "pass word" not in kept.read_text()
    (asked,) = stack.asked
    assert asked.body == {
        "ClientId": "client",
        "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": {"USERNAME": "ann@example.com", "PASSWORD": "pass word"},
    }
    assert asked.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert "Authorization" not in asked.headers


def test_a_tenants_user_of_the_emulator_needs_no_password(cli: Cli, stack: Stack, emulator: Path) -> None:
    assert cli("sign-in", "--emulator", "--tenant", "UA").code == 0
    assert stack.asked[0].body["AuthParameters"] == {"USERNAME": "ua@example.com", "PASSWORD": "secret"}
    assert cli("sign-in", "--emulator", "--tenant", "XX").err.endswith(
        "The tenant XX has no user. These tenants have one: UA.\n"
    )


def test_who_signs_in_again_need_not_say_where(cli: Cli, stack: Stack, emulator: Path) -> None:
    signed_in(stack)
    emulator.unlink()
    assert cli("sign-in", "--email", "bob@example.com", "--password-stdin", typed="x\n").code == 0
    assert stack.asked[0].body["AuthParameters"]["USERNAME"] == "bob@example.com"
    found = session.load("default")
    assert found
    assert found["email"] == "bob@example.com"


def test_a_temporary_password_is_replaced_by_ones_own(
    cli: Cli, stack: Stack, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = {
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": "s",
        "ChallengeParameters": {"USER_ID_FOR_SRP": "id"},
    }
    stack.answer("POST /", Said(200, challenge))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "my own")
    ran = cli("sign-in", "--emulator", "--email", "ann@example.com", "--password-stdin", typed="temporary\n")
    assert (ran.code, "Choose a new one" in ran.err) == (0, True)
    answered = stack.asked[1]
    assert answered.headers["X-Amz-Target"].endswith(".RespondToAuthChallenge")
    assert answered.body == {
        "ClientId": "client",
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": "s",
        "ChallengeResponses": {"USERNAME": "id", "NEW_PASSWORD": "my own"},
    }


def test_a_second_factor_is_asked_for(cli: Cli, stack: Stack, emulator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.answer("POST /", Said(200, {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "s"}))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "123456")
    assert cli("sign-in", "--emulator", "--email", "a@b.c", "--password-stdin", typed="x\n").code == 0
    assert stack.asked[1].body["ChallengeResponses"] == {"USERNAME": "a@b.c", "SOFTWARE_TOKEN_MFA_CODE": "123456"}


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (Said(400, {"__type": "NotAuthorizedException", "message": "Incorrect username or password."}), 4, "Incorrect"),
        (
            Said(400, {"__type": "x#InvalidParameterException", "message": "USER_PASSWORD_AUTH flow not enabled"}),
            1,
            "Enable ALLOW_USER_PASSWORD_AUTH for the client, or set EXPORTS_TOKEN",
        ),
        (Said(400, {"__type": "TooManyRequestsException", "message": "Rate exceeded"}), 5, "Rate exceeded"),
        (Said(200, {"ChallengeName": "WEB_AUTHN"}), 1, "Cognito sent the challenge WEB_AUTHN, which `exports`"),
        (Said(418), 1, "Cognito: 418"),
    ],
)
def test_who_may_not_sign_in_is_told_why(
    said: Said, code: int, words: str, cli: Cli, stack: Stack, emulator: Path
) -> None:
    stack.answer("POST /", said)
    ran = cli("sign-in", "--emulator", "--email", "ann@example.com", "--password-stdin", typed="x\n")
    assert ran.code == code
    assert words in ran.err
    assert not session.file("default").exists()


def test_who_signs_out_leaves_nothing(signed: Cli, stack: Stack) -> None:
    assert signed("sign-out").err == "Signed out ann@example.com.\n"
    assert list(session.folder().iterdir()) == []
    assert stack.asked[0].body == {"ClientId": "client", "Token": "refresh"}
    assert signed("sign-out").err == "You were not signed in.\n"


def test_a_session_goes_even_where_it_cannot_be_revoked(signed: Cli, stack: Stack) -> None:
    stack.answer("POST /", Said(400, {"__type": "UnsupportedOperationException", "message": "Revocation is off"}))
    ran = signed("sign-out")
    assert (ran.code, session.file("default").exists()) == (1, False)
    assert "was removed, but the session is not revoked. Cognito: Revocation is off" in ran.err


def test_profiles_do_not_know_of_each_other(signed: Cli) -> None:
    assert signed("--profile", "other", "list").code == 4
    assert signed("--profile", "../x", "list").code == 2


DAMAGED = ["{", "[]", "{}", "\x00", json.dumps(dict.fromkeys(session.Session.__annotations__, "x"))]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_session_that_cannot_be_read_is_said_to_be_so(content: str, signed: Cli) -> None:
    session.file("default").write_text(content)
    ran = signed("list")
    assert (ran.code, "Sign in again" in ran.err) == (4, True)
    signed("sign-out")
    assert not session.file("default").exists()


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_session_stands_in_nobodys_way(
    content: str, signed: Cli, stack: Stack, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.file("default").write_text(content)
    ran = signed("sign-in")
    assert (ran.code, "Name the stack" in ran.err) == (2, True)
    with monkeypatch.context() as machine:
        machine.setenv("EXPORTS_TOKEN", "mine")
        assert "set EXPORTS_API_URL" in signed("list").err
        machine.setenv("EXPORTS_API_URL", f"{stack.url}/v1")
        assert signed("list").code == 0
    assert signed("sign-in", "--emulator", "--tenant", "UA").code == 0
    assert signed("list").code == 0


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--api-url", "https://a"],
        ["--client-id", "c"],
        ["--emulator", "--stack", "s"],
        ["--tenant", "UA"],
        ["--emulator", "--tenant", "UA", "--email", "a@b.c"],
    ],
)
def test_it_must_be_said_which_stack(words: list[str], cli: Cli) -> None:
    assert cli("sign-in", *words).code == 2


@pytest.mark.parametrize(
    ("api_url", "region", "cognito"),
    [
        ("https://a1.execute-api.eu-west-1.amazonaws.com/v1", None, "https://cognito-idp.eu-west-1.amazonaws.com/"),
        (
            "https://a1.execute-api.cn-north-1.amazonaws.com.cn/v1/",
            None,
            "https://cognito-idp.cn-north-1.amazonaws.com.cn/",
        ),
        ("https://exports.example.com", "us-east-2", "https://cognito-idp.us-east-2.amazonaws.com/"),
    ],
)
def test_the_pools_region_is_that_of_the_api(api_url: str, region: str | None, cognito: str) -> None:
    assert places.said(api_url, "c", region) == {
        "api_url": api_url.rstrip("/"),
        "client_id": "c",
        "cognito_url": cognito,
    }


def test_a_token_is_sent_over_tls_alone(cli: Cli) -> None:
    ran = cli("sign-in", "--api-url", "http://exports.example.com", "--client-id", "c", "--region", "eu-west-1")
    assert (ran.code, "must begin with https://" in ran.err) == (1, True)
    ran = cli("sign-in", "--api-url", "https://exports.example.com", "--client-id", "c")
    assert (ran.code, "add --region" in ran.err) == (1, True)


NOT_SAFE = ["http://exports.example.com/v1", "ftp://localhost/v1", "exports.example.com", "https://", "http://["]


@pytest.mark.parametrize("api_url", [*NOT_SAFE, "http://evil.example\\@localhost/v1", "http://localhost.evil.example"])
def test_a_token_of_ones_own_is_sent_over_tls_alone(api_url: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_TOKEN", "mine")
    monkeypatch.setenv("EXPORTS_API_URL", api_url)
    ran = cli("list")
    assert ran.code == 1
    assert "must begin with https://" in ran.err or "is not a valid address." in ran.err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"endpoint_url": "http://evil.example/"}, "endpoint_url is http://evil.example/"),
        ({"endpoint_url": "https://evil.example/"}, "endpoint_url is https://evil.example/"),
        ({"api_url": "https://evil.example/v1"}, "api_url is https://evil.example/v1"),
        ({"api_url": "http://evil.example/v1", "endpoint_url": None}, "must begin with https://"),
        ({"api_url": "https://a.example/v1", "endpoint_url": None, "region": "evil.example/x"}, "is not a Region"),
    ],
)
def test_an_emulator_is_on_this_machine(
    wrong: dict[str, Any], words: str, cli: Cli, stack: Stack, emulator: Path
) -> None:
    emulator.write_text(json.dumps(json.loads(emulator.read_text()) | wrong))
    ran = cli("sign-in", "--emulator", "--tenant", "UA")
    assert (ran.code, words in ran.err) == (1, True), ran.err
    assert stack.asked == []


def test_the_description_may_be_of_a_stack_on_aws(cli: Cli, emulator: Path) -> None:
    on_aws = {"api_url": "https://a1.execute-api.eu-west-1.amazonaws.com/v1", "endpoint_url": None}
    emulator.write_text(json.dumps(json.loads(emulator.read_text()) | on_aws | {"region": "eu-west-1"}))
    place, _ = places.local()
    assert place["cognito_url"] == "https://cognito-idp.eu-west-1.amazonaws.com/"


# ── Calling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_is_told_to_sign_in_first(cli: Cli) -> None:
    assert cli("list") == Run(4, "", "exports: You are not signed in. Sign in first: exports sign-in --help\n")


def test_a_token_that_has_run_out_is_made_anew_and_kept(signed: Cli, stack: Stack) -> None:
    found = session.load("default")
    assert found
    session.save("default", {**found, "expires_at": int(time.time()) + 30})
    assert signed("list").code == 0
    assert stack.asked[0].body["AuthFlow"] == "REFRESH_TOKEN_AUTH"
    assert stack.asked[1].headers["Authorization"] == "id-2"
    assert signed("list").code == 0
    assert len(stack.calls("POST /")) == 1
    assert stat.S_IMODE(session.file("default").stat().st_mode) == 0o600


def test_a_token_that_the_api_refuses_is_made_anew_once(signed: Cli, stack: Stack) -> None:
    stack.refuse_token()
    assert signed("list").code == 0
    assert [each.headers["Authorization"] for each in stack.calls("GET /v1/exports")] == ["id-1", "id-2"]
    stack.answer("GET /v1/exports", *[Said(401, problem(401, "foreign-token", "Not meant for this API", "x"))] * 2)
    assert signed("list") == Run(4, "", "exports: Not meant for this API (401 foreign-token): x\n")


def test_a_session_that_has_ended_says_so(signed: Cli, stack: Stack) -> None:
    stack.refuse_token()
    stack.answer("POST /", Said(400, {"__type": "NotAuthorizedException", "message": "Refresh Token has expired"}))
    ran = signed("list")
    assert (ran.code, "The session has ended. Sign in again" in ran.err) == (4, True)


def test_a_machine_brings_a_token_of_its_own(cli: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_TOKEN", "mine")
    assert "set EXPORTS_API_URL" in cli("list").err
    monkeypatch.setenv("EXPORTS_API_URL", f"{stack.url}/v1/")
    assert cli("list").code == 0
    assert stack.asked[-1].headers["Authorization"] == "mine"
    stack.answer("GET /v1/exports", Said(401))
    ran = cli("list")
    assert (ran.code, "refuses the token in EXPORTS_TOKEN" in ran.err) == (4, True)


def test_a_busy_api_is_asked_again_when_it_says(signed: Cli, stack: Stack, slept: list[float]) -> None:
    busy = Said(503, problem(503, "busy", "The service is busy", "AWS is throttling."), {"Retry-After": "5"})
    stack.answer("GET /v1/reports", busy, busy)
    ran = signed("reports", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, REPORTS)
    assert slept == [5, 5]
    assert ran.err == "The API is busy (503). Retrying in 5 s.\n" * 2


def test_an_api_that_stays_busy_is_given_up(signed: Cli, stack: Stack, slept: list[float]) -> None:
    busy = Said(503, problem(503, "busy", "The service is busy", "AWS is throttling."), {"Retry-After": "1"})
    stack.answer("GET /v1/reports", *[busy] * 6)
    assert signed("reports") == Run(5, "", "exports: The service is busy (503 busy): AWS is throttling.\n")
    assert len(stack.asked) == 6


def test_an_api_out_of_reach_is_named_without_what_is_secret(signed: Cli, stack: Stack) -> None:
    stack.close()
    ran = signed("list")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith(f"exports: {stack.url} does not answer: ")


def test_every_fault_is_shown_with_its_pointer(signed: Cli, stack: Stack) -> None:
    faults = [
        {"pointer": "/parameters/from", "detail": "is required", "allowed": "a date"},
        {"pointer": "", "detail": "says \x1b[31mred", "allowed": "an object"},
    ]
    body = problem(400, "invalid-request", "The request is not valid", "The request has 2 faults: …", errors=faults)
    stack.answer("POST /v1/exports", Said(400, body))
    ran = signed("run", "flights", "-f", "csv")
    assert ran == Run(
        1,
        "",
        "exports: The request is not valid (400 invalid-request)\n"
        "  /parameters/from  is required\n"
        "      allowed: a date\n"
        "  (body)  says \N{REPLACEMENT CHARACTER}[31mred\n"
        "      allowed: an object\n",
    )
    stack.answer("POST /v1/exports", Said(400, body))
    ran = signed("run", "flights", "-f", "csv", "--json")
    assert (ran.code, ran.out, json.loads(ran.err)) == (1, "", body)


def test_an_answer_that_is_no_json_is_no_answer(signed: Cli, stack: Stack) -> None:
    stack.answer("GET /v1/reports", Said(200), Said(400, {"message": "Bad request"}))
    assert "The API answered 200 without JSON" in signed("reports").err
    assert signed("reports").err == "exports: The API answered 400 (400): Bad request\n"


# What the emulator says of an API that it does not have, what API Gateway does, and what another program might.
@pytest.mark.parametrize("said", [Said(404, {"message": "Not Found"}), Said(403, {"message": "Forbidden"}), Said(404)])
def test_a_session_of_a_stack_that_is_gone_is_said_to_be_so(said: Said, signed: Cli, stack: Stack) -> None:
    stack.answer("GET /v1/exports", said)
    why = f"The stack of this session was deleted or replaced ({stack.url}/v1 answered {said.status})"
    assert signed("list") == Run(4, "", f"exports: {why}. Sign in again: exports sign-in --emulator\n")


def test_a_session_of_a_user_pool_that_is_gone_is_said_to_be_so(signed: Cli, stack: Stack) -> None:
    gone = Said(400, {"__type": "ResourceNotFoundException", "message": "User pool client client does not exist."})
    stack.answer("GET /v1/exports", Said(401))
    stack.answer("POST /", gone, gone)
    ran = signed("list")
    assert (ran.code, ran.err.count("\n")) == (4, 1)
    assert ran.err.startswith("exports: The stack of this session was deleted or replaced (Cognito: User pool client ")
    assert signed("sign-out") == Run(0, "", "Signed out ann@example.com.\n")


def test_what_is_said_of_a_stack_that_is_gone_fits_where_it_was(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(StackGone("x", here=False)).endswith("Sign in again: exports sign-in --stack NAME")
    monkeypatch.setenv("EXPORTS_TOKEN", "token")
    stack.answer("GET /v1/exports", Said(404))
    said = f"exports: There is no stack of Report Exports at {stack.url}/v1 (404). Correct EXPORTS_API_URL.\n"
    assert signed("list") == Run(1, "", said)


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("http://127.0.0.1:9", ". If it is the emulator, start it: make up"),
        ("https://gone.invalid", ". If your network works, the stack was deleted: sign in to another one (exports sig"),
    ],
)
def test_an_address_where_nobody_answers_is_told_with_what_to_do(
    address: str, remedy: str, cli: Cli, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTS_TOKEN", "token")
    monkeypatch.setenv("EXPORTS_API_URL", address)
    ran = cli("list")
    assert ran.code == 5
    assert f"exports: {address} does not answer: " in ran.err
    assert remedy in ran.err


# ── Requesting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_run_requests_waits_and_saves(signed: Cli, stack: Stack, tmp_path: Path) -> None:
    ran = signed(
        "run", "flights", "--format", "csv", "-p", "from=2013-01-01", "-p", "minimum_delay=60", "--option", "bom=true"
    )
    saved = tmp_path / "here" / "flights-UA.csv"
    assert ran.code == 0
    assert saved.read_bytes() == stack.content
    assert ran.out.startswith(f"flights-UA.csv: 2 rows, {len(stack.content)} bytes, CRC-32 ")
    assert ran.err == f"{EXPORT_ID} QUEUED\n{EXPORT_ID} RUNNING\n"
    (asked,) = stack.calls("POST /v1/exports")
    assert asked.body == {
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-01-01", "minimum_delay": 60},
        "options": {"bom": True},
    }
    assert list(saved.parent.iterdir()) == [saved]


def test_every_run_has_a_key_so_that_it_is_one_export_even_when_sent_twice(signed: Cli, stack: Stack) -> None:
    stack.answer("POST /v1/exports", Said(503, problem(503, "busy", "Busy", "x"), {"Retry-After": "1"}))
    for _ in range(2):
        assert signed("run", "flights", "-f", "csv", "--no-wait").code == 0
    keys = [each.headers["Idempotency-Key"] for each in stack.calls("POST /v1/exports")]
    assert keys[0] == keys[1] != keys[2]


def test_a_key_of_ones_own_is_sent_and_a_replay_is_told(signed: Cli, stack: Stack) -> None:
    stack.answer("POST /v1/exports", Said(202, export("QUEUED"), {"Idempotent-Replayed": "true"}))
    ran = signed("run", "flights", "-f", "csv", "--idempotency-key", "monday", "--no-wait")
    assert stack.calls("POST /v1/exports")[0].headers["Idempotency-Key"] == "monday"
    assert "An earlier run with this key requested the same export." in ran.err


def test_who_does_not_wait_gets_the_id(signed: Cli, stack: Stack) -> None:
    ran = signed("run", "flights", "-f", "csv", "--no-wait")
    hint = f"The export is QUEUED. To wait for its file: exports download {EXPORT_ID}\n"
    assert ran == Run(0, f"{EXPORT_ID}\n", hint)
    ran = signed("run", "flights", "-f", "csv", "--no-wait", "--json")
    assert json.loads(ran.out)["id"] == EXPORT_ID
    assert signed("run", "flights", "-f", "csv", "--no-wait", "-o", "x").code == 2


def test_a_script_gets_the_export_and_where_its_file_is(signed: Cli, stack: Stack) -> None:
    stack.goes = ["SUCCEEDED"]
    said = json.loads(signed("run", "flights", "-f", "csv", "-o", "mine.csv", "--json").out)
    assert said == export(content=stack.content) | {"file": "mine.csv"}


def test_waiting_asks_no_sooner_than_it_may_and_more_rarely_with_time(
    signed: Cli, stack: Stack, slept: list[float]
) -> None:
    stack.goes = ["RUNNING"] * 30 + ["SUCCEEDED"]
    stack.answer("POST /v1/exports", Said(202, export("QUEUED"), {"Retry-After": "3"}))
    assert signed("run", "flights", "-f", "csv").code == 0
    assert slept[0] == 3
    assert slept[1:] == sorted(slept[1:])
    assert slept[-1] == 5


@pytest.mark.parametrize(("status", "retryable"), [("FAILED", True), ("FAILED", False), ("CANCELLED", None)])
def test_an_export_without_a_file_says_why_and_ends_with_3(
    status: str, retryable: bool | None, signed: Cli, stack: Stack
) -> None:
    stack.goes = ["RUNNING", status]
    if retryable is not None:
        stack.error = {
            "type": "SourceUnreadable",
            "title": "A source file cannot be read",
            "detail": "s3://b/x.parquet",
            "state": "GeneratePart",
            "part": 7,
            "retryable": retryable,
            "remedy": "Replace the file.",
        }
    ran = signed("run", "flights", "-f", "csv")
    assert (ran.code, ran.out) == (3, "")
    assert f"{EXPORT_ID} is {status}." in ran.err
    assert ("GeneratePart, part 7" in ran.err) == (status == "FAILED")
    if retryable is not None:
        assert ("may succeed" if retryable else "fails again until the cause is corrected") in ran.err
        assert "Replace the file." in ran.err


def test_ctrl_c_leaves_the_export_running_and_says_how_to_go_on(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    ran = signed("run", "flights", "-f", "csv", "-o", "my june.csv")
    assert (ran.code, ran.out) == (130, "")
    assert f"{EXPORT_ID} continues. To cancel it: exports cancel {EXPORT_ID}\n" in ran.err
    assert ran.err.endswith(f"To continue: exports download {EXPORT_ID} -o 'my june.csv'\n")
    assert stack.calls(f"DELETE /v1/exports/{EXPORT_ID}") == []


BUSY = Said(503, problem(503, "busy", "The service is busy", "AWS is throttling."))


@pytest.mark.parametrize(
    ("call", "said", "code", "hint"),
    [
        (f"GET /v1/exports/{EXPORT_ID}", [BUSY] * 6, 5, "To continue: exports download {} -o 'my june.csv' --force"),
        (f"GET /v1/exports/{EXPORT_ID}", [Said(400, {"message": "No"})], 1, "To see it: exports show {}"),
        (
            f"GET /v1/exports/{EXPORT_ID}/file",
            [BUSY] * 6,
            5,
            "To continue: exports download {} -o 'my june.csv' --force",
        ),
        ("S3", [Said(500)] * 5, 5, "To continue: exports download {} -o 'my june.csv' --force"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_export_that_was_requested_is_never_lost_sight_of(
    as_json: bool, call: str, said: list[Said], code: int, hint: str, signed: Cli, stack: Stack
) -> None:
    stack.answer(call, *said)
    ran = signed("run", "flights", "-f", "csv", "-o", "my june.csv", "--force", *["--json"] * as_json)
    assert (ran.code, ran.out) == (code, "")
    if as_json:
        told = json.loads(ran.err[ran.err.index("{") :])
        assert (told["export_id"], told["go_on"]) == (EXPORT_ID, hint.format(EXPORT_ID))
        assert hint.format(EXPORT_ID) not in told["title"]
    else:
        assert ran.err.endswith(f"\n{hint.format(EXPORT_ID)}\n")


def test_a_session_that_ends_while_waiting_leaves_the_export_to_come_back_to(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: stack.refuse_token())
    stack.answer("POST /", Said(400, {"__type": "NotAuthorizedException", "message": "Refresh Token has expired"}))
    ran = signed("run", "flights", "-f", "csv")
    assert (ran.code, "Sign in again: exports sign-in" in ran.err) == (4, True)
    assert ran.err.endswith(f"\nTo continue: exports download {EXPORT_ID}\n")


def test_words_are_sent_as_what_they_are_to_be() -> None:
    schema: Any = REPORTS[0]["parameters"]
    given = {"from": "2013", "minimum_delay": "-5", "share": "0.5", "late": "true", "new": "1"}
    once = {name: [value] for name, value in given.items()}
    assert typed(once, schema) == {"from": "2013", "minimum_delay": -5, "share": 0.5, "late": True, "new": "1"}
    wrong = {"minimum_delay": "many", "share": "true", "late": "1"}  # the API says what is wrong with them
    assert typed({name: [value] for name, value in wrong.items()}, schema) == wrong


def test_a_list_is_what_is_given_under_one_name() -> None:
    schema: Any = {"properties": {"day": {"type": "array", "items": {"type": "integer"}}}}
    assert typed({"day": ["1", "2", "x"]}, schema) == {"day": [1, 2, "x"]}
    assert typed({"day": ["1"]}, schema) == {"day": [1]}
    assert values({"day": [1, 2], "of": "May"}) == "day=1 day=2 of=May"


def test_a_tab_is_typed_as_it_is_shown() -> None:
    schema: Any = {"properties": {"delimiter": {"type": "string", "enum": [",", "\t"]}, "name": {"type": "string"}}}
    shown = {"delimiter": [r"\t"], "name": [r"\t"]}  # a text without an enum is sent as it is
    assert typed(shown, schema) == {"delimiter": "\t", "name": r"\t"}
    assert typed({"delimiter": ["\t"]}, schema) == {"delimiter": "\t"}
    assert typed({"delimiter": [","]}, schema) == {"delimiter": ","}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"delimiter": "\t", "bom": True}, r"delimiter=\t bom=true"),
        ({"delimiter": ","}, "delimiter=,"),
        ({"delimiter": " "}, 'delimiter=" "'),
        ({"file_name": "June flights"}, 'file_name="June flights"'),
        ({"file_name": ""}, 'file_name=""'),
        ({"timezone": None}, "timezone=null"),
    ],
)
def test_options_read_as_names_and_values(options: dict[str, Any], shown: str, signed: Cli, stack: Stack) -> None:
    assert values(options) == shown
    stack.answer(f"GET /v1/exports/{EXPORT_ID}", Said(200, export(options=options)))
    assert f"options    {shown}\n" in signed("show", EXPORT_ID).out


@pytest.mark.parametrize("words", [["-p", "from"], ["-p", "=x"], ["-p", "a=1", "-p", "a=2"], ["--option", "x"]])
def test_a_parameter_is_a_name_and_a_value(words: list[str], signed: Cli) -> None:
    assert signed("run", "flights", "-f", "csv", *words).code == 2


# ── Looking, cancelling, retrying ───────────────────────────────────────────────────────────────────────────────────


def test_reports_are_listed_and_explained(signed: Cli) -> None:
    assert "flights  Flights  csv" in signed("reports").out
    said = signed("reports", "flights").out
    for words in (
        "from           date     required",
        "integer  default 0",
        "Formats (-f)\ncsv\n",
        "delimiter  , | \\t              csv",
        "bom        boolean  bom=false  csv",
        "Destination",
    ):
        assert words in said, said
    ran = signed("reports", "nothing")
    assert (ran.code, ran.err) == (1, "exports: There is no report 'nothing'. The reports are: flights.\n")


def test_formats_share_the_row_of_an_option(signed: Cli, stack: Stack) -> None:
    bom = {"title": "Byte order mark", "type": "boolean", "default": False}
    pipe = {"title": "Delimiter", "enum": [",", "|"], "default": ","}
    formats = [
        {"name": "csv", "options": {"properties": {"bom": bom, "delimiter": pipe}}},
        {"name": "csv.gz", "options": {"properties": {"bom": bom}}},
    ]
    stack.answer("GET /v1/reports", Said(200, {"reports": [REPORTS[0] | {"formats": formats}]}))
    rows = [line.split("  ") for line in signed("reports", "flights").out.splitlines()]
    cells = [[cell.strip() for cell in row if cell] for row in rows]
    assert ["bom", "boolean", "bom=false", "all", "Byte order mark"] in cells
    assert ["delimiter", ', | "|"', "delimiter=,", "csv", "Delimiter"] in cells


def test_exports_are_listed_page_by_page(signed: Cli, stack: Stack) -> None:
    first = Said(200, {"exports": [export("RUNNING")] * 2, "cursor": "next=1"})
    empty = Said(200, {"exports": [], "cursor": "next=2"})
    stack.answer("GET /v1/exports", first, empty)
    ran = signed("list", "--status", "running", "-n", "3", "--json")
    assert len(json.loads(ran.out)) == 3
    asked = [each.path for each in stack.calls("GET /v1/exports")]
    every = "/v1/exports?limit=100&status=RUNNING"
    assert asked == [every, f"{every}&cursor=next%3D1", f"{every}&cursor=next%3D2"]
    stack.answer("GET /v1/exports", Said(200, {"exports": [], "cursor": None}))
    assert signed("list").out == "You have no exports.\n"
    stack.answer("GET /v1/exports", Said(200, {"exports": [], "cursor": None}))
    assert signed("list", "--status", "failed").out == "You have no FAILED exports.\n"


def test_in_a_pipe_no_id_is_cut(signed: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert EXPORT_ID in signed("list").out


PAGE = [export(created_at="2026-11-23T09:12:31.482Z")] * 25


@pytest.mark.parametrize(
    ("words", "last", "rows", "hint"),
    [
        ([], True, 20, "5 more exports. To list all: exports list --all\n"),
        ([], False, 20, "At least 5 more exports. To list all: exports list --all\n"),
        (["-n", "24"], True, 24, "1 more export. To list all: exports list --all\n"),
        (["-n", "25"], True, 25, ""),
        (["-n", "25"], False, 25, "There may be more exports. To list all: exports list --all\n"),
        (
            ["--status", "FAILED", "-n", "24"],
            True,
            24,
            "1 more export. To list all: exports list --status failed --all\n",
        ),
        (["--all"], True, 25, ""),
    ],
)
def test_a_list_says_how_many_exports_it_does_not_show(
    words: list[str], last: bool, rows: int, hint: str, signed: Cli, stack: Stack
) -> None:
    stack.answer("GET /v1/exports", Said(200, {"exports": PAGE, "cursor": None if last else "next"}))
    ran = signed("list", *words)
    assert (ran.code, ran.err, ran.out.count(EXPORT_ID)) == (0, hint, rows)
    assert len(stack.calls("GET /v1/exports")) == 1


def test_all_exports_are_listed_to_the_last_page(signed: Cli, stack: Stack) -> None:
    pages = [Said(200, {"exports": PAGE, "cursor": cursor}) for cursor in ("1", "2", None)]
    stack.answer("GET /v1/exports", *pages, *pages)
    assert signed("list", "--all").out.count(EXPORT_ID) == 75
    assert len(json.loads(signed("list", "--all", "--json").out)) == 75
    assert signed("list", "--all", "-n", "3").code == 2


# ── The end of an id ────────────────────────────────────────────────────────────────────────────────────────────────

OTHER_ID = "01a207ad-a9fb-7c3e-9b52-6f0d2b8c41e7"  # differs from EXPORT_ID also in its last 8 characters


@pytest.mark.parametrize("end", [EXPORT_ID[-8:], EXPORT_ID[-12:], EXPORT_ID[1:]])
def test_a_command_takes_the_end_of_an_id(end: str, signed: Cli, stack: Stack) -> None:
    stack.goes = ["SUCCEEDED"]
    listed = Said(200, {"exports": [export(id=OTHER_ID), export()], "cursor": None})
    stack.answer("GET /v1/exports", *[listed] * 4)
    assert f"export     {EXPORT_ID}\n" in signed("show", end).out
    assert signed("cancel", end).out == f"{EXPORT_ID} is SUCCEEDED.\n"
    assert signed("retry", end, "--no-wait").out == f"{EXPORT_ID}\n"
    assert signed("download", end).code == 0


def test_the_end_of_an_id_must_be_of_one_export(signed: Cli, stack: Stack) -> None:
    end, twin = EXPORT_ID[-8:], EXPORT_ID.replace("01a207ad", "01a207ae")
    none = Said(200, {"exports": [export(id=OTHER_ID)], "cursor": None})
    stack.answer("GET /v1/exports", none, Said(200, {"exports": [export(), export(id=twin)], "cursor": None}))
    why = f"None of your exports has an id that ends with {end}. To list them: exports list --all"
    assert signed("cancel", end) == Run(1, "", f"exports: {why}\n")
    why = f"2 exports end with {end}: {EXPORT_ID}, {twin}. Give the whole id."
    assert signed("cancel", end) == Run(1, "", f"exports: {why}\n")
    assert stack.calls(f"DELETE /v1/exports/{EXPORT_ID}") == []


def test_the_end_of_an_id_is_searched_in_the_newest_exports(signed: Cli, stack: Stack) -> None:
    stack.answer("GET /v1/exports", *[Said(200, {"exports": [export(id=OTHER_ID)] * 100, "cursor": "next"})] * 11)
    assert "None of your 1,000 newest exports has an id" in signed("show", EXPORT_ID[-8:]).err
    assert len(stack.calls("GET /v1/exports")) == 10


def test_a_whole_id_and_what_is_no_id_are_not_searched(signed: Cli, stack: Stack) -> None:
    for text in (EXPORT_ID, EXPORT_ID[-7:], "monday's one", EXPORT_ID.upper()):
        signed("show", text)
    assert stack.calls("GET /v1/exports") == []


def test_an_export_is_shown(signed: Cli, stack: Stack) -> None:
    stack.goes = ["SUCCEEDED"]
    said = signed("show", EXPORT_ID).out
    assert "status     SUCCEEDED" in said
    assert "parameters from=2013-01-01" in said
    assert "options    bom=false" in said
    assert json.loads(signed("show", EXPORT_ID, "--json").out)["status"] == "SUCCEEDED"
    ran = signed("show", "a/../b")
    assert (ran.code, stack.asked[-1].path) == (1, "/v1/exports/a%2F..%2Fb")


def test_what_the_file_lacks_is_shown(signed: Cli, stack: Stack) -> None:
    lacks = {"type": "NoCellReferences", "title": "It lacks them", "remedy": "Ask for less."}
    stack.answer(f"GET /v1/exports/{EXPORT_ID}", Said(200, export(warning=lacks)))
    assert "warning    It lacks them. Ask for less.\n" in signed("show", EXPORT_ID).out


def test_only_what_is_active_is_cancelled_so_that_no_file_is_removed(signed: Cli, stack: Stack) -> None:
    call = f"DELETE /v1/exports/{EXPORT_ID}"
    stack.goes = ["CANCELLED"]
    assert signed("cancel", EXPORT_ID) == Run(0, f"{EXPORT_ID} is CANCELLED.\n", "")
    said = "The export is SUCCEEDED and cannot be cancelled."
    stack.answer(call, Said(409, problem(409, "not-active", "The export is not active", said)))
    ran = signed("cancel", EXPORT_ID)
    assert (ran.code, ran.err) == (1, f"exports: The export is not active (409 not-active): {said}\n")
    assert {each.path for each in stack.calls(call)} == {f"/v1/exports/{EXPORT_ID}?if=active"}


def test_a_retry_is_repeated_only_where_it_was_not_begun(signed: Cli, stack: Stack) -> None:
    call = f"POST /v1/exports/{EXPORT_ID}/retry"
    stack.answer(call, Said(503, problem(503, "busy", "Busy", "Look first."), {"Retry-After": "1"}))
    assert signed("retry", EXPORT_ID, "--no-wait").code == 5
    assert len(stack.calls(call)) == 1
    stack.answer(call, Said(429, {"message": "Too Many Requests"}, {"Retry-After": "1"}))
    assert signed("retry", EXPORT_ID, "--no-wait").code == 0
    assert len(stack.calls(call)) == 3


@pytest.mark.parametrize(("status", "code", "times"), [(429, 0, 2), (502, 5, 1), (503, 5, 1), (504, 5, 1)])
def test_a_cancelling_is_repeated_only_where_it_was_not_begun(
    status: int, code: int, times: int, signed: Cli, stack: Stack
) -> None:
    call = f"DELETE /v1/exports/{EXPORT_ID}"
    stack.answer(call, Said(status, {"message": "Too Many Requests"}, {"Retry-After": "1"}))
    assert signed("cancel", EXPORT_ID).code == code
    assert len(stack.calls(call)) == times


def test_retry_waits_for_the_file_too(signed: Cli, stack: Stack, tmp_path: Path) -> None:
    assert signed("retry", EXPORT_ID, "-o", "again.csv").code == 0
    assert (tmp_path / "here" / "again.csv").read_bytes() == stack.content
    stack.answer(f"POST /v1/exports/{EXPORT_ID}/retry", Said(409, problem(409, "not-retryable", "No", "It runs.")))
    assert signed("retry", EXPORT_ID).code == 1


# ── The package ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_package_is_installed_with_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"exports": "exports_cli.__main__:main"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["exports_cli"]
    given = {word.split(">")[0] for word in project["project"]["dependencies"]}
    optional = {"boto3", "botocore"}
    files = (ROOT / "exports_cli").glob("*.py")
    assert set().union(*map(imported, files)) - set(sys.stdlib_module_names) - optional == given | {"exports_cli"}


def test_it_runs_without_aws_libraries_and_from_any_folder(tmp_path: Path) -> None:
    linked = tmp_path / "exports"
    linked.symlink_to(ROOT / "bin" / "exports")
    ran = subprocess.run([str(linked), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Exit status:" in ran.stdout
    code = "import exports_cli.commands, sys; print([m for m in sys.modules if m.startswith(('boto', 'shared'))])"
    environment = {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_without_boto3_a_stack_is_named_by_its_addresses(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    ran = cli("sign-in", "--stack", "report-exports")
    assert (ran.code, "pip install 'report-exports[aws]'" in ran.err) == (1, True)
