"""The command `exports`: what it sends to a stack, what it prints, and its exit status."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import time
import tomllib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import click
import pytest

from exports_cli import places, session
from exports_cli.commands import exports
from exports_cli.parameters import typed
from exports_cli.text import values
from exports_cli.trouble import NotSignedIn, StackGone, Trouble
from tests.unit import cli_stack
from tests.unit.cli_stack import EXPORT_ID, FLIGHTS, PARAMETERS, Run, Said, Stack, export, problem, refusal
from tests.unit.support import ROOT
from tests.unit.test_packaging import imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cli = Callable[..., Run]

stack = pytest.fixture(cli_stack.running)
ONE = f"/v1/exports/{EXPORT_ID}"
BUSY = Said(503, problem(503, "busy", "The service is busy", "AWS is throttling."), {"Retry-After": "5"})
SOON = BUSY._replace(headers={"Retry-After": "1"})
RUN = ("run", "flights", "-f", "csv")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `exports` in this process, with a folder and a configuration for the test alone."""
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

    return run


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the commands, which the test does not wait for."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def signed_in(stack: Stack) -> None:
    """Saves a session of this stack, as sign-in does."""
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
    """The .local/stack.json of a stack on this machine, in a parent of the current folder."""
    file = session.folder().parent.parent / ".local" / "stack.json"
    file.parent.mkdir(parents=True)
    described: Any = {"api_url": f"{stack.url}/v1", "endpoint_url": f"{stack.url}/", "region": "us-east-1"}
    described |= {"user_pool_client_id": "client", "users": {"UA": {"email": "ua@example.com", "password": "secret"}}}
    file.write_text(json.dumps(described))
    return file


# ── Signing in ──────────────────────────────────────────────────────────────────────────────────────────────────────

SIGN_IN = ("sign-in", "--emulator", "--email", "ann@example.com", "--password-stdin")


def test_sign_in_saves_a_session_that_only_its_owner_can_read(cli: Cli, stack: Stack, emulator: Path) -> None:
    ran = cli(*SIGN_IN, typed="pass word\n")
    kept = session.file("default")
    assert ran == Run(0, "", f"Signed in to {stack.url}/v1 as ann@example.com. The session is saved in {kept}.\n")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (kept, kept.parent)] == [0o600, 0o700]
    assert "pass word" not in kept.read_text()
    (asked,) = stack.asked
    given = {"USERNAME": "ann@example.com", "PASSWORD": "pass word"}
    assert asked.body == {"ClientId": "client", "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": given}
    assert asked.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert "Authorization" not in asked.headers


def test_a_user_of_the_emulator_needs_no_password(cli: Cli, stack: Stack, emulator: Path) -> None:
    assert cli("sign-in", "--emulator", "--tenant", "UA").code == 0
    assert stack.asked[0].body["AuthParameters"] == {"USERNAME": "ua@example.com", "PASSWORD": "secret"}
    ran = cli("sign-in", "--emulator", "--tenant", "XX")
    assert ran.err.endswith("The tenant XX has no user. These tenants have one: UA.\n")


def test_a_second_sign_in_need_not_name_the_stack(signed: Cli, stack: Stack) -> None:
    assert signed("sign-in", "--email", "bob@example.com", "--password-stdin", typed="x\n").code == 0
    assert stack.asked[0].body["AuthParameters"]["USERNAME"] == "bob@example.com"
    assert json.loads(session.file("default").read_text())["email"] == "bob@example.com"


@pytest.mark.parametrize(
    ("name", "more", "answered", "said"),
    [
        (
            "NEW_PASSWORD_REQUIRED",
            {"ChallengeParameters": {"USER_ID_FOR_SRP": "id"}},
            {"USERNAME": "id", "NEW_PASSWORD": "typed"},
            "Your password is temporary. Choose a new one.\n",
        ),
        ("SOFTWARE_TOKEN_MFA", {}, {"USERNAME": "ann@example.com", "SOFTWARE_TOKEN_MFA_CODE": "typed"}, ""),
    ],
)
@pytest.mark.usefixtures("emulator")
def test_a_challenge_of_cognito_is_answered(
    name: str, more: Any, answered: Any, said: str, cli: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = {"ChallengeName": name, "Session": "s"}
    stack.answer("POST /", Said(200, challenge | more))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "typed")
    ran = cli(*SIGN_IN, typed="temporary\n")
    assert (ran.code, ran.err.startswith(said)) == (0, True)
    assert stack.asked[1].headers["X-Amz-Target"].endswith(".RespondToAuthChallenge")
    assert stack.asked[1].body == challenge | {"ClientId": "client", "ChallengeResponses": answered}


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (refusal("NotAuthorizedException", "Incorrect username or password."), 4, "Incorrect"),
        (refusal("x#InvalidParameterException", "USER_PASSWORD_AUTH not on"), 1, "Enable ALLOW_USER_PASSWORD_AUTH"),
        (refusal("TooManyRequestsException", "Rate exceeded"), 5, "Rate exceeded"),
        (Said(200, {"ChallengeName": "WEB_AUTHN"}), 1, "Cognito sent the challenge WEB_AUTHN, which `exports`"),
        (Said(418), 1, "Cognito: 418"),
    ],
)
def test_a_refused_sign_in_says_why(said: Said, code: int, words: str, cli: Cli, stack: Stack, emulator: Path) -> None:
    stack.answer("POST /", said)
    ran = cli(*SIGN_IN, typed="x\n")
    assert (ran.code, words in ran.err, session.file("default").exists()) == (code, True, False)


def test_sign_out_revokes_the_session_and_removes_its_file(signed: Cli, stack: Stack) -> None:
    assert signed("sign-out") == Run(0, "", "Signed out ann@example.com.\n")
    assert list(session.folder().iterdir()) == []
    assert stack.asked[0].body == {"ClientId": "client", "Token": "refresh"}
    assert signed("sign-out") == Run(0, "", "You were not signed in.\n")
    signed_in(stack)
    stack.answer("POST /", refusal("UnsupportedOperationException", "Revocation is off"))
    ran = signed("sign-out")
    assert (ran.code, session.file("default").exists()) == (1, False)
    assert "was removed, but the session is not revoked. Cognito: Revocation is off" in ran.err


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps(dict.fromkeys(session.Session.__annotations__, "x"))])
def test_a_damaged_session_file_is_an_error_but_prevents_no_other_sign_in_or_out(
    content: str, signed: Cli, stack: Stack, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.file("default").write_text(content)
    with pytest.raises(NotSignedIn, match=r"Sign in again: exports sign-in$"):
        session.load("default")
    assert signed("list").code == 4
    assert signed("sign-in").fails(2, "Name the stack")
    with monkeypatch.context() as machine:
        machine.setenv("EXPORTS_TOKEN", "mine")
        assert "set EXPORTS_API_URL" in signed("list").err
        machine.setenv("EXPORTS_API_URL", f"{stack.url}/v1")
        assert signed("list").code == 0
    signed("sign-out")
    assert not session.file("default").exists()
    session.file("default").write_text(content)
    assert signed("sign-in", "--emulator", "--tenant", "UA").code == 0
    assert signed("list").code == 0


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--api-url https://a",
        "--client-id c",
        "--emulator --stack s",
        "--tenant UA",
        "--emulator --tenant UA --email a@b.c",
    ],
)
def test_sign_in_needs_exactly_one_stack(words: str, cli: Cli) -> None:
    assert cli("sign-in", *words.split()).code == 2


@pytest.mark.parametrize(
    ("api_url", "region", "cognito"),
    [
        ("https://a1.execute-api.eu-west-1.amazonaws.com/v1", None, "eu-west-1.amazonaws.com"),
        ("https://a1.execute-api.cn-north-1.amazonaws.com.cn/v1/", None, "cn-north-1.amazonaws.com.cn"),
        ("https://exports.example.com", "us-east-2", "us-east-2.amazonaws.com"),
    ],
)
def test_the_region_of_the_pool_is_that_of_the_api(api_url: str, region: str | None, cognito: str) -> None:
    said = {"api_url": api_url.rstrip("/"), "client_id": "c", "cognito_url": f"https://cognito-idp.{cognito}/"}
    assert places.said(api_url, "c", region) == said


UNSAFE = "A token is not sent to http://a.example: the address must begin with https://."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--client-id c --api-url https://a.example", "The address a.example contains no Region: add --region."),
        ("--client-id c --api-url http://a.example --region eu-west-1", UNSAFE),
        ("--emulator", "The emulator is not running: there is no .local/stack.json. Start it in the project: make up"),
        ("--stack s", "--stack needs boto3: pip install 'report-exports[aws]', or use --api-url and --client-id."),
    ],
)
def test_sign_in_says_why_it_finds_no_stack(
    words: str, said: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "__file__", str(tmp_path / "exports_cli" / "places.py"))
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert cli("sign-in", *words.split()) == Run(1, "", f"exports: {said}\n")


def test_a_stack_is_found_by_its_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"ApiUrl": "https://a1.execute-api.eu-west-1.amazonaws.com/v1", "UserPoolClientId": "client"}
    described: Any = {"StackStatus": "CREATE_COMPLETE"}
    described["Outputs"] = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]

    def session(region_name: str) -> Any:
        meta = SimpleNamespace(region_name=region_name)
        client = SimpleNamespace(meta=meta, describe_stacks=lambda StackName: {"Stacks": [described]})  # noqa: N803
        return SimpleNamespace(client=lambda _: client)

    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(session=SimpleNamespace(Session=session)))
    assert places.of_stack("reports", "eu-west-1") == places.said(outputs["ApiUrl"], "client", "eu-west-1")
    del described["Outputs"]
    why = "it has no output ApiUrl and no output UserPoolClientId"
    with pytest.raises(Trouble, match=rf"^The stack shop \(CREATE_COMPLETE\) is not a stack of Report Exports: {why}"):
        places.of_stack("shop", "eu-west-1")


@pytest.mark.parametrize(
    "api_url",
    [
        "http://a.example/v1",
        "ftp://localhost/v1",
        "a.example",
        "https://",
        "http://[",
        "http://evil.example\\@localhost/v1",
        "http://localhost.evil.example",
    ],
)
def test_a_token_is_sent_only_over_tls_or_to_this_machine(api_url: str) -> None:
    with pytest.raises(Trouble, match=r"must begin with https://\.$|is not a valid address\.$"):
        places.safe(api_url)


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
def test_an_emulator_must_be_on_this_machine(
    wrong: dict[str, Any], words: str, cli: Cli, stack: Stack, emulator: Path
) -> None:
    emulator.write_text(json.dumps(json.loads(emulator.read_text()) | wrong))
    ran = cli("sign-in", "--emulator", "--tenant", "UA")
    assert (ran.code, words in ran.err, stack.asked) == (1, True, [])


def test_stack_json_may_describe_a_stack_on_aws(cli: Cli, emulator: Path) -> None:
    on_aws = {"api_url": "https://a1.execute-api.eu-west-1.amazonaws.com/v1", "endpoint_url": None}
    emulator.write_text(json.dumps(json.loads(emulator.read_text()) | on_aws | {"region": "eu-west-1"}))
    place, _ = places.local()
    assert place["cognito_url"] == "https://cognito-idp.eu-west-1.amazonaws.com/"


# ── Calls of the API ────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_profile_has_a_session_without_which_the_user_is_told_to_sign_in(signed: Cli) -> None:
    said = "exports: You are not signed in. Sign in first: exports sign-in --help\n"
    assert (signed("list").code, signed("--profile", "other", "list")) == (0, Run(4, "", said))
    assert signed("--profile", "../x", "list").code == 2


def test_an_expired_or_refused_token_is_refreshed_once_and_saved(signed: Cli, stack: Stack) -> None:
    saved: Any = session.load("default")
    session.save("default", saved | {"expires_at": int(time.time()) + 30})
    assert (signed("list").code, signed("list").code) == (0, 0)
    assert [each.body and each.body["AuthFlow"] for each in stack.asked] == ["REFRESH_TOKEN_AUTH", None, None]
    assert stack.asked[1].headers["Authorization"] == "id-2"
    assert stat.S_IMODE(session.file("default").stat().st_mode) == 0o600
    stack.refuse_token()
    stack.asked.clear()
    assert signed("list").code == 0
    assert [each.headers["Authorization"] for each in stack.calls("GET /v1/exports")] == ["id-2", "id-3"]


def test_a_token_in_the_environment_is_used_without_a_session(
    cli: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTS_TOKEN", "mine")
    assert "set EXPORTS_API_URL" in cli("list").err
    monkeypatch.setenv("EXPORTS_API_URL", "http://a.example")
    assert cli("list") == Run(1, "", f"exports: {UNSAFE}\n")
    monkeypatch.setenv("EXPORTS_API_URL", f"{stack.url}/v1/")
    assert cli("list").code == 0
    assert stack.asked[-1].headers["Authorization"] == "mine"
    stack.answer("GET /v1/exports", Said(401), Said(404))
    assert cli("list").fails(4, "The API refuses the token in EXPORTS_TOKEN")
    said = f"exports: There is no stack of Report Exports at {stack.url}/v1 (404). Correct EXPORTS_API_URL.\n"
    assert cli("list") == Run(1, "", said)


def test_a_busy_api_is_called_again_after_its_pause(signed: Cli, stack: Stack, slept: list[float]) -> None:
    stack.answer("GET /v1/reports", BUSY, BUSY)
    ran = signed("reports", "--json")
    assert (ran.code, json.loads(ran.out), slept) == (0, [FLIGHTS], [5, 5])
    assert ran.err == "The API is busy (503). Retrying in 5 s.\n" * 2


@pytest.mark.parametrize(
    ("words", "call"),
    [(["cancel", EXPORT_ID], f"DELETE {ONE}"), (["retry", EXPORT_ID, "--no-wait"], f"POST {ONE}/retry")],
)
def test_cancel_and_retry_are_repeated_only_if_they_did_not_start(
    words: list[str], call: str, signed: Cli, stack: Stack
) -> None:
    for status, code, times in ((429, 0, 2), (502, 5, 1), (503, 5, 1)):
        stack.asked.clear()
        stack.answer(call, Said(status, {"message": "Too Many Requests"}, {"Retry-After": "1"}))
        assert (signed(*words).code, len(stack.calls(call))) == (code, times)


OTHER_ID = "01a207ad-a9fb-7c3e-9b52-6f0d2b8c41e7"  # differs from EXPORT_ID also in its last 8 characters
END, TWIN = EXPORT_ID[-8:], EXPORT_ID.replace("01a207ad", "01a207ae")
FAULTS = [
    {"pointer": "/parameters/from", "detail": "is required", "allowed": "a date"},
    {"pointer": "", "detail": "says \x1b[31mred", "allowed": "an object"},
]
INVALID = problem(400, "invalid-request", "The request is not valid", "The request has 2 faults: …", errors=FAULTS)
GONE = "The stack of this session was deleted or replaced ({}). Sign in again: exports sign-in --emulator"
CALLS = {"run": "POST /v1/exports", "reports": "GET /v1/reports"} | dict.fromkeys(("list", "cancel"), "GET /v1/exports")
CANCEL = ("cancel", END)
NONE_ENDS = f"None of your {{}}exports has an id that ends with {END}. To list them: exports list --all"
EXPLAINED = """\
The request is not valid (400 invalid-request)
  /parameters/from  is required
      allowed: a date
  (body)  says \N{REPLACEMENT CHARACTER}[31mred
      allowed: an object"""


def listed(*exports: Any, cursor: str | None = None) -> Said:
    return Said(200, {"exports": exports, "cursor": cursor})


@pytest.mark.parametrize(
    ("words", "answers", "code", "said"),
    [
        (("reports", "nothing"), [], 1, "There is no report 'nothing'. The reports are: flights."),
        (RUN, [Said(400, INVALID)], 1, EXPLAINED),
        (("cancel", EXPORT_ID), [Said(409, problem(409, "ended", "It ended", "x"))], 1, "It ended (409 ended): x"),
        (("list",), [Said(401, problem(401, "foreign", "Foreign", "x"))] * 2, 4, "Foreign (401 foreign): x"),
        (("reports",), [SOON] * 6, 5, "The service is busy (503 busy): AWS is throttling."),
        (("reports",), [Said(200)], 1, "The API answered 200 without JSON (200)"),
        # API Gateway, the emulator without this API, API Gateway without this stage, and another program.
        (("list",), [Said(400, {"message": "Bad"})], 1, "The API answered 400 (400): Bad"),
        (("list",), [Said(404, {"message": "x"})], 4, GONE.format("{url}/v1 answered 404")),
        (("list",), [Said(403, {"message": "x"})], 4, GONE.format("{url}/v1 answered 403")),
        (("list",), [Said(404)], 4, GONE.format("{url}/v1 answered 404")),
        (CANCEL, [listed(export(id=OTHER_ID))], 1, NONE_ENDS.format("")),
        (CANCEL, [listed(*[export(id=OTHER_ID)] * 100, cursor="x")] * 10, 1, NONE_ENDS.format("1,000 newest ")),
        (
            CANCEL,
            [listed(export(), export(id=TWIN))],
            1,
            f"2 exports end with {END}: {EXPORT_ID}, {TWIN}. Give the whole id.",
        ),
    ],
)
def test_an_error_of_the_api_has_a_text_and_an_exit_status(
    words: tuple[str, ...], answers: list[Said], code: int, said: str, signed: Cli, stack: Stack
) -> None:
    call = f"DELETE {ONE}" if words[1:] == (EXPORT_ID,) else CALLS[words[0]]
    stack.answer(call, *answers)
    assert signed(*words) == Run(code, "", f"exports: {said.replace('{url}', stack.url)}\n")
    assert len(stack.calls(call)) == max(1, len(answers))


def test_an_error_of_the_api_is_json_for_scripts(signed: Cli, stack: Stack) -> None:
    stack.answer("POST /v1/exports", Said(400, INVALID))
    ran = signed(*RUN, "--json")
    assert (ran.code, ran.out, json.loads(ran.err)) == (1, "", INVALID)


def test_a_session_of_a_deleted_user_pool_is_an_error(signed: Cli, stack: Stack) -> None:
    stack.answer("GET /v1/exports", Said(401))
    stack.answer("POST /", *[refusal("ResourceNotFoundException", "No client.")] * 2)
    said = GONE.format("Cognito: No client. (ResourceNotFoundException)")
    assert signed("list") == Run(4, "", f"exports: {said}\n")
    assert signed("sign-out") == Run(0, "", "Signed out ann@example.com.\n")
    assert str(StackGone("x", here=False)).endswith("Sign in again: exports sign-in --stack NAME")


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("http://127.0.0.1:9", "If it is the emulator, start it: make up"),
        (
            "https://gone.invalid",
            "If your network works, the stack was deleted: sign in to another one (exports sign-in --help)",
        ),
    ],
)
def test_an_address_that_does_not_answer_is_named_with_a_remedy(
    address: str, remedy: str, cli: Cli, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTS_TOKEN", "token")
    monkeypatch.setenv("EXPORTS_API_URL", address)
    ran = cli("list")
    assert (ran.code, ran.out, ran.err.endswith(f". {remedy}\n")) == (5, "", True)
    assert ran.err.startswith(f"exports: {address} does not answer: ")
    assert "/exports?" not in ran.err  # an address may be signed


# ── Requesting an export ────────────────────────────────────────────────────────────────────────────────────────────


def test_run_requests_an_export_waits_for_it_and_saves_its_file(signed: Cli, stack: Stack, tmp_path: Path) -> None:
    ran = signed(*RUN, "-p", "from=2013-01-01", "-p", "minimum_delay=60", "--option", "bom=true")
    saved = tmp_path / "here" / "flights-UA.csv"
    assert saved.read_bytes() == stack.content
    said = f"flights-UA.csv: 2 rows, {len(stack.content)} bytes, CRC-32 {export(content=stack.content)['crc32']}\n"
    assert ran == Run(0, said, f"{EXPORT_ID} QUEUED\n{EXPORT_ID} RUNNING\n")
    (asked,) = stack.calls("POST /v1/exports")
    parameters = {"from": "2013-01-01", "minimum_delay": 60}
    assert asked.body == {"report": "flights", "format": "csv", "parameters": parameters, "options": {"bom": True}}
    assert list(saved.parent.iterdir()) == [saved]


def test_every_run_sends_a_key_so_that_a_repeated_call_is_one_export(signed: Cli, stack: Stack) -> None:
    replayed = Said(202, export("QUEUED"), {"Idempotent-Replayed": "true"})
    stack.answer("POST /v1/exports", BUSY, Said(202, export("QUEUED")), Said(202, export("QUEUED")), replayed)
    assert signed(*RUN, "--no-wait").code == signed(*RUN, "--no-wait").code == 0
    ran = signed(*RUN, "--no-wait", "--idempotency-key", "monday")
    assert "An earlier run with this key requested the same export.\n" in ran.err
    keys = [each.headers["Idempotency-Key"] for each in stack.calls("POST /v1/exports")]
    assert keys[0] == keys[1] != keys[2] != keys[3] == "monday"


def test_run_prints_the_id_without_waiting_or_as_json_the_export_and_the_path_of_its_file(
    signed: Cli, stack: Stack
) -> None:
    hint = f"The export is QUEUED. To wait for its file: exports download {EXPORT_ID}\n"
    assert signed(*RUN, "--no-wait") == Run(0, f"{EXPORT_ID}\n", hint)
    assert json.loads(signed(*RUN, "--no-wait", "--json").out)["id"] == EXPORT_ID
    assert signed(*RUN, "--no-wait", "-o", "x").code == 2
    stack.goes = ["SUCCEEDED"]
    said = json.loads(signed(*RUN, "-o", "mine.csv", "--json").out)
    assert said == export(content=stack.content) | {"file": "mine.csv"}


def test_the_pauses_obey_retry_after_and_grow_to_5_seconds(signed: Cli, stack: Stack, slept: list[float]) -> None:
    stack.goes = ["RUNNING"] * 11 + ["SUCCEEDED"]
    stack.answer("POST /v1/exports", Said(202, export("QUEUED"), {"Retry-After": "3"}))
    assert signed(*RUN).code == 0
    assert slept[0] == 3
    assert slept[1:] == sorted(slept[1:])
    assert slept[-1] == 5


def test_an_export_without_a_file_says_why(signed: Cli, stack: Stack) -> None:
    stack.error = {"type": "SourceUnreadable", "title": "A source file cannot be read", "detail": "s3://b/x.parquet"}
    stack.error |= {"state": "GeneratePart", "part": 7, "retryable": True, "remedy": "Replace the file."}
    stack.goes = ["FAILED"]
    said = f"""\
exports: {EXPORT_ID} is FAILED.
  failed in  GeneratePart, part 7
  error      SourceUnreadable: A source file cannot be read
  detail     s3://b/x.parquet
  retry      may succeed
  remedy     Replace the file.
"""
    assert signed(*RUN) == Run(3, "", said)
    stack.error |= {"retryable": False}
    assert "  retry      fails again until the cause is corrected\n" in signed(*RUN).err
    stack.goes = ["CANCELLED"]
    assert signed(*RUN) == Run(3, "", f"exports: {EXPORT_ID} is CANCELLED.\n")


def test_ctrl_c_leaves_the_export_running_and_says_how_to_continue(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", Mock(side_effect=KeyboardInterrupt))
    said = f"""\
{EXPORT_ID} QUEUED
exports: {EXPORT_ID} continues. To cancel it: exports cancel {EXPORT_ID}
To continue: exports download {EXPORT_ID} -o 'my june.csv'
"""
    assert signed(*RUN, "-o", "my june.csv") == Run(130, "", said)
    assert stack.calls(f"DELETE {ONE}") == []


TO_CONTINUE = f"To continue: exports download {EXPORT_ID} -o 'my june.csv' --force"


@pytest.mark.parametrize(
    ("call", "said", "code", "hint"),
    [
        (f"GET {ONE}", [BUSY] * 6, 5, TO_CONTINUE),
        (f"GET {ONE}", [Said(400, {"message": "No"})], 1, f"To see it: exports show {EXPORT_ID}"),
        (f"GET {ONE}/file", [BUSY] * 6, 5, TO_CONTINUE),
        ("S3", [Said(500)] * 5, 5, TO_CONTINUE),
    ],
)
def test_an_error_after_the_request_says_how_to_continue(
    call: str, said: list[Said], code: int, hint: str, signed: Cli, stack: Stack
) -> None:
    words = (*RUN, "-o", "my june.csv", "--force")
    stack.answer(call, *said)
    ran = signed(*words)
    assert (ran.code, ran.out, ran.err.endswith(f"\n{hint}\n")) == (code, "", True)
    stack.answer(call, *said)
    told = json.loads(signed(*words, "--json").err.splitlines()[-1])
    assert (told["export_id"], told["go_on"], hint in told["title"]) == (EXPORT_ID, hint, False)


def test_a_session_that_ends_during_the_wait_says_how_to_continue(
    signed: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: stack.refuse_token())
    stack.answer("POST /", refusal("NotAuthorizedException", "Refresh Token has expired"))
    ran = signed(*RUN)
    assert (ran.code, "The session has ended. Sign in again: exports sign-in" in ran.err) == (4, True)
    assert ran.err.endswith(f"\nTo continue: exports download {EXPORT_ID}\n")


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (
            {"from": ["2013"], "minimum_delay": ["-5"], "share": ["0.5"], "late": ["true"], "day": ["1", "2"]},
            {"from": "2013", "minimum_delay": -5, "share": 0.5, "late": True, "day": [1, 2]},
        ),
        # The API says what is wrong with these.
        (
            {"minimum_delay": ["many"], "share": ["true"], "late": ["1"], "day": ["1", "x"], "unknown": ["1"]},
            {"minimum_delay": "many", "share": "true", "late": "1", "day": [1, "x"], "unknown": "1"},
        ),
        # A value of an enum may be typed as it is shown; another text is sent as it is.
        ({"delimiter": [r"\t"], "name": [r"\t"]}, {"delimiter": "\t", "name": r"\t"}),
        ({"delimiter": ["\t"], "day": ["1"]}, {"delimiter": "\t", "day": [1]}),
    ],
)
def test_a_value_has_the_type_of_its_schema(words: dict[str, list[str]], sent: dict[str, Any]) -> None:
    day, delimiter = {"type": "array", "items": {"type": "integer"}}, {"type": "string", "enum": [",", "\t"]}
    more = {"day": day, "delimiter": delimiter, "name": {"type": "string"}}
    assert typed(words, {"properties": PARAMETERS | more}) == sent


def test_a_value_is_shown_as_it_is_typed() -> None:
    texts = {"tab": "\t", "comma": ",", "blank": " ", "name": "June flights", "empty": ""}
    shown = r"""tab=\t comma=, blank=" " name="June flights" empty="" bom=true zone=null day=1 day=2"""
    assert values(texts | {"bom": True, "zone": None, "day": [1, 2]}) == shown


@pytest.mark.parametrize("words", [["-p", "from"], ["-p", "=x"], ["-p", "a=1", "-p", "a=2"], ["--option", "x"]])
def test_a_parameter_is_a_name_and_a_value(words: list[str], signed: Cli) -> None:
    assert signed(*RUN, *words).code == 2


def test_columns_and_sort_are_lists_and_a_minus_means_descending(signed: Cli, stack: Stack) -> None:
    assert signed(*RUN, "--columns", "dest, dep_delay", "--sort", "-dep_delay,dest", "--no-wait").code == 0
    (asked,) = stack.calls("POST /v1/exports")
    sort = [{"column": "dep_delay", "descending": True}, {"column": "dest", "descending": False}]
    assert {name: asked.body[name] for name in ("columns", "sort")} == {"columns": ["dest", "dep_delay"], "sort": sort}
    for words in (("--columns", "dest,"), ("--columns", ""), ("--sort", "-"), ("--sort", "dest,,origin")):
        assert signed(*RUN, *words).code == 2


# ── Reports and exports ─────────────────────────────────────────────────────────────────────────────────────────────


def test_reports_are_listed_and_one_report_is_explained(signed: Cli, stack: Stack) -> None:
    bom = {"title": "Byte order mark", "type": "boolean", "default": False}
    delimiter = {"title": "Delimiter", "enum": [",", "|", "\t"], "default": ","}
    formats = [
        {"name": "csv", "options": {"properties": {"bom": bom, "delimiter": delimiter}}},
        {"name": "csv.gz", "options": {"properties": {"bom": bom}}},
    ]
    stack.answer(
        "GET /v1/reports",
        *[Said(200, {"reports": [FLIGHTS | {"formats": formats, "sortable": ["dest", "origin"]}]})] * 3,
    )
    listed = [each.rstrip() for each in signed("reports").out.splitlines()]
    assert listed == ["report   title    formats", "flights  Flights  csv, csv.gz"]
    explained = "\n".join(each.rstrip() for each in signed("reports", "flights").out.splitlines())
    said = r"""flights: Flights
Every departure.

Parameters (-p name=value)
name           value               meaning
from           date     required   From
minimum_delay  integer  default 0  Minimum delay
share          number   optional   Share
late           boolean  optional   Late

Formats (-f)
csv, csv.gz

Options (--option name=value)
name       value         default      formats  meaning
bom        boolean       bom=false    all      Byte order mark
delimiter  , | "|" | \t  delimiter=,  csv      Delimiter

Columns (--columns)
name  type    title
dest  string  Destination

Columns to sort by (--sort)
dest, origin"""
    assert explained == said


def test_exports_are_listed_page_by_page(signed: Cli, stack: Stack) -> None:
    first = listed(export("RUNNING"), export("RUNNING"), cursor="next=1")
    stack.answer("GET /v1/exports", first, listed(cursor="next=2"))
    ran = signed("list", "--status", "running", "-n", "3", "--json")
    assert len(json.loads(ran.out)) == 3
    every = "/v1/exports?limit=100&status=RUNNING"
    assert [each.path for each in stack.asked] == [every, f"{every}&cursor=next%3D1", f"{every}&cursor=next%3D2"]
    stack.answer("GET /v1/exports", listed(), listed())
    assert signed("list").out == "You have no exports.\n"
    assert signed("list", "--status", "failed").out == "You have no FAILED exports.\n"
    assert signed("list", "--all", "-n", "3").code == 2


PAGE = [export(created_at="2026-11-23T09:12:31.482Z")] * 25


@pytest.mark.parametrize(
    ("words", "pages", "rows", "hint"),
    [
        ([], 1, 20, "5 more exports. To list all: exports list --all\n"),
        ([], 2, 20, "At least 5 more exports. To list all: exports list --all\n"),
        (["--status", "FAILED", "-n", "24"], 1, 24, "1 more export. To list all: exports list --status failed --all\n"),
        (["-n", "25"], 1, 25, ""),
        (["-n", "25"], 2, 25, "There may be more exports. To list all: exports list --all\n"),
        (["--all"], 3, 75, ""),
    ],
)
def test_a_list_says_how_many_exports_it_does_not_show(
    words: list[str], pages: int, rows: int, hint: str, signed: Cli, stack: Stack
) -> None:
    cursors = [*map(str, range(1, pages)), None]
    stack.answer("GET /v1/exports", *[listed(*PAGE, cursor=cursor) for cursor in cursors])
    ran = signed("list", *words)
    assert (ran.code, ran.err, ran.out.count(EXPORT_ID)) == (0, hint, rows)
    assert len(stack.asked) == (pages if words == ["--all"] else 1)


def test_every_command_accepts_the_end_of_an_id(signed: Cli, stack: Stack) -> None:
    stack.goes = ["SUCCEEDED"]
    stack.answer("GET /v1/exports", *[listed(export(id=OTHER_ID), export())] * 5)
    assert f"export     {EXPORT_ID}\n" in signed("show", END).out
    assert f"export     {EXPORT_ID}\n" in signed("show", EXPORT_ID[1:]).out
    assert signed("cancel", END).out == f"{EXPORT_ID} is SUCCEEDED.\n"
    assert signed("retry", END, "--no-wait").out == f"{EXPORT_ID}\n"
    assert signed("download", END).code == 0


def test_a_whole_id_and_other_texts_are_not_searched(signed: Cli, stack: Stack) -> None:
    for text in (EXPORT_ID, EXPORT_ID[-7:], "monday's one", EXPORT_ID.upper()):
        signed("show", text)
    assert stack.calls("GET /v1/exports") == []


def test_show_prints_every_field_of_an_export(signed: Cli, stack: Stack) -> None:
    lacks = {"type": "NoCellReferences", "title": "It lacks them", "remedy": "Ask for less."}
    sort = [{"column": "dep_delay", "descending": True}, {"column": "dest", "descending": False}]
    shown = export(content=b"abc", warning=lacks, file_name="f.csv", columns=["dest", "dep_delay"], sort=sort)
    stack.answer(f"GET {ONE}", *[Said(200, shown)] * 2)
    said = f"""\
export     {EXPORT_ID}
status     SUCCEEDED
report     flights
format     csv
parameters from=2013-01-01
options    bom=false
columns    dest,dep_delay
sort       -dep_delay,dest
progress   12/12 parts
attempt    1
created    2026-11-23T09:12:31.482Z
started    2026-11-23T09:12:32.100Z
finished   2026-11-23T09:12:40.700Z
file name  f.csv
file       2 rows, 3 bytes, CRC-32 352441c2
expires    2026-11-30T09:12:40.000Z
warning    It lacks them. Ask for less.
"""
    assert signed("show", EXPORT_ID) == Run(0, said, "")
    assert json.loads(signed("show", EXPORT_ID, "--json").out) == shown
    assert signed("show", "a/../b").code == 1
    assert stack.asked[-1].path == "/v1/exports/a%2F..%2Fb"


def test_cancel_sends_if_active_so_that_no_file_is_removed(signed: Cli, stack: Stack) -> None:
    stack.goes = ["CANCELLED"]
    assert signed("cancel", EXPORT_ID) == Run(0, f"{EXPORT_ID} is CANCELLED.\n", "")
    assert stack.asked[-1].path == f"{ONE}?if=active"


def test_retry_waits_and_saves_the_file(signed: Cli, stack: Stack, tmp_path: Path) -> None:
    assert signed("retry", EXPORT_ID, "-o", "again.csv").code == 0
    assert (tmp_path / "here" / "again.csv").read_bytes() == stack.content


# ── The package ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_package_is_installed_with_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"exports": "exports_cli.__main__:main"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["exports_cli"]
    given = {word.split(">")[0] for word in project["project"]["dependencies"]}
    optional = {"boto3", "botocore"}
    files = (ROOT / "exports_cli").glob("*.py")
    assert set().union(*map(imported, files)) - set(sys.stdlib_module_names) - optional == given | {"exports_cli"}


def test_the_program_runs_from_any_folder_and_imports_no_aws_library(tmp_path: Path) -> None:
    linked = tmp_path / "exports"
    linked.symlink_to(ROOT / "bin" / "exports")
    environment = {"PYTHONPROFILEIMPORTTIME": "1", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [str(linked), "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "Exit status:" in ran.stdout
    modules = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "exports_cli.commands" in modules
    assert [name for name in modules if name.startswith(("boto", "shared"))] == []
