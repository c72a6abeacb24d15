"""bin/exports and bin/exports-admin against the deployed stack: what lies on the disk, and what is left of an owner."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import uuid
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from exports_admin import own, stack
from local import launcher
from local.launcher import ROOT
from tests.integration import source
from tests.integration.api import flights, http
from tests.integration.deployed import until
from tests.integration.test_admin import Operator, operator, run, without_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

__all__ = ["operator"]

JANUARY = ["-p", "from=2013-01-01", "-p", "to=2013-01-31"]
Ran = subprocess.CompletedProcess[str]


class Cli:
    """A user's own folder and configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "here"
        self.folder.mkdir()
        self._environment = without_aws() | {"XDG_CONFIG_HOME": str(folder / "config")}

    def __call__(self, *words: str, typed: str = "", code: int = 0) -> Ran:
        ran = subprocess.run(
            [str(ROOT / "bin" / "exports"), *words],
            cwd=self.folder,
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=180,
            start_new_session=True,  # without a terminal, even where a person runs the tests
        )
        assert ran.returncode == code, ran
        assert "Traceback" not in ran.stderr
        return ran

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)


@pytest.fixture
def cli(tmp_path: Path, caller: Caller) -> Cli:
    """The command line of the caller, signed in to the stack of .local/stack.json."""
    made = Cli(tmp_path)
    made("sign-in", "--emulator", "--email", caller.email, "--password-stdin", typed=stack.PASSWORD + "\n")
    return made


def partial(cli: Cli, name: str, etag: str) -> Path:
    """Where a download keeps what has come."""
    return cli.folder / f".{name}.{quote(etag, safe='')}.part"


# ── exports ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_run_leaves_the_file_of_the_export_on_the_disk(cli: Cli, caller: Caller) -> None:
    export = cli.json("run", "flights", "-f", "csv", *JANUARY, "-p", "minimum_delay=0", "--option", "bom=true")
    saved = cli.folder / export["file"]
    content = saved.read_bytes()
    assert content == caller.download(export).content
    assert (len(content), f"{zlib.crc32(content):08x}") == (export["bytes"], export["crc32"])
    assert export["parameters"]["minimum_delay"] == 0
    assert content.startswith("\N{BOM}".encode())
    rows = list(csv.DictReader(saved.read_text("utf-8-sig").splitlines()))
    assert len(rows) == export["rows"] > 0
    assert all(int(row["Departure delay (minutes)"]) >= 0 for row in rows)
    assert list(cli.folder.iterdir()) == [saved]


def test_a_download_goes_on_from_what_is_there(cli: Cli, caller: Caller) -> None:
    export = caller.make(first="2013-01-01", last="2013-06-30")
    signed = caller.signed(export)
    there = http("GET", signed["url"])
    name, half = signed["file_name"], len(there.content) // 2
    begun = partial(cli, name, there.headers["ETag"].strip('"'))
    begun.write_bytes(there.content[:half])
    cli("download", export["id"])
    assert (cli.folder / name).read_bytes() == there.content
    assert list(cli.folder.iterdir()) == [cli.folder / name]

    # That it was not fetched anew, a damaged part proves: its bytes stay, and the CRC-32 finds them out.
    begun.write_bytes(b"x" * half)
    ran = cli("download", export["id"], "-o", name, "--force", code=1)
    assert "The downloaded file is not the export's" in ran.stderr
    assert (cli.folder / name).read_bytes() == there.content
    assert not begun.exists()

    # A part of another object is of no use: S3 answers 412 to its ETag.
    other = partial(cli, "other.csv", "0" * 32)
    other.write_bytes(b"x" * half)
    cli("download", export["id"], "-o", "other.csv")
    assert (cli.folder / "other.csv").read_bytes() == there.content
    assert not other.exists()


def test_an_active_export_is_cancelled_and_one_that_has_ended_is_not(
    cli: Cli, caller: Caller, deployed: Deployed
) -> None:
    export_id = deployed.fabricate(caller.owner, "RUNNING")  # a real one may end before a second program has started
    assert f"{export_id} is CANCELLED." in cli("cancel", export_id).stdout
    assert [record["status"] for record in deployed.records(caller.owner)] == ["CANCELLED"]
    assert "cannot be cancelled" in cli("cancel", export_id, code=1).stderr
    assert "is CANCELLED" in cli("download", export_id, code=3).stderr
    assert len(deployed.records(caller.owner)) == 1


def test_a_cancelled_export_is_retried_and_then_there(cli: Cli, caller: Caller, deployed: Deployed) -> None:
    export_id = deployed.fabricate(caller.owner, "CANCELLED")
    again = cli.json("retry", export_id, "-o", "again.csv")
    assert (again["status"], again["attempt"]) == ("SUCCEEDED", 2)
    assert (cli.folder / "again.csv").read_bytes() == caller.download(again).content
    assert [each["id"] for each in cli.json("list", "--status", "succeeded")] == [export_id]
    assert cli.json("show", export_id)["crc32"] == again["crc32"]
    assert "(409 " in cli("retry", export_id, code=1).stderr


def test_a_key_makes_two_runs_one_export(cli: Cli, caller: Caller) -> None:
    words = ["run", "flights", "-f", "jsonl", *JANUARY, "--idempotency-key", "monday", "-o", "monday.jsonl"]
    first = cli.json(*words)
    ran = cli(*words)
    assert "An earlier run with this key requested the same export." in ran.stderr
    assert "unchanged" in ran.stdout
    assert [export["id"] for export in caller.exports()] == [first["id"]]


def test_reports_are_those_of_the_stack(cli: Cli, caller: Caller) -> None:
    assert cli.json("reports") == caller.get("/reports").json["reports"]
    assert "minimum_delay" in cli("reports", "flights").stdout


def test_every_fault_is_told_where_it_is(cli: Cli, caller: Caller) -> None:
    ran = cli("run", "flights", "-f", "pdf", "-p", "minimum_delay=many", "-p", "nobody=x", code=1)
    for pointer in ("/format", "/parameters/minimum_delay", "/parameters/nobody"):
        assert f"\n  {pointer}  " in ran.stderr, ran.stderr
    assert "(400 invalid-request)" in ran.stderr
    assert caller.exports() == []
    assert "(404 no-such-export)" in cli("show", "0190a2b4-0000-7000-8000-000000000000", code=1).stderr


def test_who_has_signed_out_is_out(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "config" / "report-exports" / "default.json"
    session = json.loads(kept.read_text())
    cli("sign-out")
    assert not kept.exists()
    assert "You are not signed in" in cli("list", code=4).stderr
    kept.write_text(json.dumps(session | {"expires_at": 0}))  # somebody has copied it: it is worth nothing
    assert "The session has ended" in cli("list", code=4).stderr


def test_a_session_outlives_its_id_token(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "config" / "report-exports" / "default.json"
    session = json.loads(kept.read_text())
    kept.write_text(json.dumps(session | {"id_token": "expired"}))  # the API refuses it
    assert cli.json("list") == []
    assert json.loads(kept.read_text())["id_token"].count(".") == 2


# ── exports-admin token and seed ────────────────────────────────────────────────────────────────────────────────────


def admin(deployed: Deployed, *words: str, typed: str | None = None) -> Ran:
    """Runs a command of exports-admin whose stack is named in its words."""
    environment = without_aws() if deployed.emulated else dict(os.environ)
    command = [str(ROOT / "bin" / "exports-admin"), *words]
    return subprocess.run(command, cwd="/", env=environment, input=typed, capture_output=True, text=True, timeout=120)


def test_a_token_is_what_the_api_takes(deployed: Deployed, caller: Caller) -> None:
    ran = run(deployed, "token", "--email", caller.email, "--password-stdin", typed=stack.PASSWORD + "\n")
    assert ran.returncode == 0, ran.stderr
    answer = http("GET", f"{deployed['api_url']}/reports", headers={"Authorization": ran.stdout.strip()})
    assert answer.status == 200


@pytest.mark.xdist_group("dataset")
def test_a_seeded_user_signs_in_chooses_a_password_and_exports(
    deployed: Deployed, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    email = f"test-{uuid.uuid4().hex}@example.com"

    def seed() -> Ran:
        """Other tests put files of their own among the flights for a while."""

        def alone() -> Ran | None:
            ran = admin(deployed, "seed", deployed["stack"], "--tenant", "HA", "--email", email)
            return None if "is not part of the sample data" in ran.stderr else ran

        ran = until(alone, "a dataset without files of other tests")
        assert ran.returncode == 0, ran.stderr
        return ran

    ran = seed()
    assert "336,776 flights in 12 files (0 uploaded, 12 existed before)" in ran.stdout
    password = ran.stdout.split("temporary password ")[1].split(",")[0]
    assert f"{email}: existing user of tenant HA in {deployed['user_pool_id']} (" in seed().stdout

    cli = Cli(tmp_path)
    own = f"Own-{uuid.uuid4().hex}"
    words = ["sign-in", "--emulator", "--email", email, "--password-stdin"]
    cli(*words, typed=f"{password}\n{own}\n{own}\n")
    request.addfinalizer(
        lambda: deployed.client("cognito-idp").admin_delete_user(UserPoolId=deployed["user_pool_id"], Username=email)
    )
    assert cli.json("run", "flights", "-f", "csv", *JANUARY)["rows"] == 31
    cli(*words, typed=f"{password}\n", code=4)  # the temporary one is worth nothing any more
    cli(*words, typed=f"{own}\n")


def test_seed_says_what_is_among_the_flights_and_changes_nothing(deployed: Deployed) -> None:
    email = f"test-{uuid.uuid4().hex}@example.com"
    path = f"flights/year=2094/month=1/{uuid.uuid4().hex}.parquet"
    with deployed.source_file(path, b"x") as key:
        ran = admin(deployed, "seed", deployed["stack"], "--email", email)
    assert ran.returncode == 1
    assert f"/{key}: is not part of the sample data, but reports would read it" in ran.stderr
    cognito = deployed.client("cognito-idp")
    with pytest.raises(cognito.exceptions.UserNotFoundException):
        cognito.admin_get_user(UserPoolId=deployed["user_pool_id"], Username=email)


# ── exports-admin put and user ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def undone(deployed: Deployed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a dataset, a tenant and users, of which nothing is left or remembered at the end."""
    files = [launcher.DESCRIPTION, own.file()]
    before = [file.read_text() if file.exists() else None for file in files]
    name = f"test-{uuid.uuid4().hex}"
    yield name
    for file, text in zip(files, before, strict=True):
        file.write_text(text) if text is not None else file.unlink(missing_ok=True)
    bucket, folder = deployed["data_location"].removeprefix("s3://").split("/", 1)
    for key in deployed.keys(f"{folder}{name}/"):
        deployed.client("s3").delete_object(Bucket=bucket, Key=key)
    pool, found = deployed["user_pool_id"], deployed.client("cognito-idp").get_paginator("list_users")
    for user in [user for page in found.paginate(UserPoolId=pool) for user in page["Users"]]:
        if any(each["Value"].startswith(name) for each in user["Attributes"]):
            deployed.client("cognito-idp").admin_delete_user(UserPoolId=pool, Username=user["Username"])


@pytest.mark.emulator_only(
    "makes a role, which AWS knows only after a while, and signs in with the emulator's password"
)
def test_who_brings_data_and_users_needs_the_permissions_that_are_documented_and_no_others(
    deployed: Deployed, operator: Operator, undone: str, tmp_path: Path
) -> None:
    rows = (tmp_path / "mine" / "month=1").resolve()
    rows.mkdir(parents=True)
    (rows / "rows.parquet").write_bytes(source.parquet(undone))
    everything = {
        action for command in ("replay", "erase", "seed", "put", "user") for action in operator.needs(command)
    }

    def may(command: str, *words: str, refused: str = "") -> bool:
        operator.may_all_but(*(everything - set(operator.needs(command))), refused)
        ran = run(deployed, command, *words, environment=operator.environment)
        assert "Traceback" not in ran.stderr
        return ran.returncode == 0

    put = ("put", str(rows.parent), undone, "--replace")
    user, moved = (f"{undone}@example.com", "--tenant", undone), (f"{undone}@example.com", "--tenant", "b", "--change")
    of_put = set(operator.needs("put")) - {"s3:AbortMultipartUpload"}  # only a large file that breaks off needs it
    folder = deployed["data_location"].removeprefix(f"s3://{deployed['bucket']}/")
    deployed.client("s3").put_object(Bucket=deployed["bucket"], Key=f"{folder}{undone}/old.parquet", Body=b"")
    assert [action for action in sorted(of_put) if may(*put, refused=action)] == []
    assert may(*put)
    assert deployed.keys(f"{folder}{undone}/") == [f"{folder}{undone}/month=1/rows.parquet"]

    of_user = set(operator.needs("user"))
    made = {"cognito-idp:AdminSetUserPassword", "cognito-idp:AdminUpdateUserAttributes"}  # after the user exists
    assert [action for action in sorted(of_user - made) if may("user", *user, refused=action)] == []
    assert not may("user", *user, refused="cognito-idp:AdminSetUserPassword")
    deployed.client("cognito-idp").admin_delete_user(UserPoolId=deployed["user_pool_id"], Username=user[0])
    assert may("user", *user)
    token = run(deployed, "token", "--tenant", undone).stdout.strip()
    assert http("GET", f"{deployed['api_url']}/reports", headers={"Authorization": token}).status == 200
    assert not may("user", *moved, refused="cognito-idp:AdminUpdateUserAttributes")
    assert may("user", *moved)


# ── exports-admin erase ─────────────────────────────────────────────────────────────────────────────────────────────


def left(deployed: Deployed, caller: Caller, ids: list[str]) -> list[Any]:
    """Everything that the stack holds of a caller."""
    items = deployed.records(caller.owner, everything=True)
    keys = [key for export_id in ids for key in deployed.keys(f"work/{export_id}/")]
    uploads = deployed.client("s3").list_multipart_uploads(Bucket=deployed["bucket"], Prefix=deployed.files_of(caller))
    return [*items, *keys, *deployed.keys(deployed.files_of(caller)), *uploads.get("Uploads", [])]


def test_nothing_is_left_of_an_owner_and_all_of_the_others(
    deployed: Deployed, caller: Caller, sign_up: Callable[[str], Caller]
) -> None:
    other = sign_up("HA")
    kept = other.make(first="2013-01-01", last="2013-01-02")
    done = caller.make(first="2013-01-01", last="2013-01-31")
    assert caller.post(flights(first="2013-01-01", last="2013-01-01"), Idempotency_Key="monday").status == 202
    active = caller.request()
    upload = {"Bucket": deployed["bucket"], "Key": f"{deployed.files_of(caller)}{done['id']}/9/unfinished"}
    deployed.client("s3").create_multipart_upload(**upload)
    ids = [export["id"] for export in caller.exports()]
    assert len(ids) == 3

    planned = run(deployed, "erase", "--owner", caller.owner, "--dry-run", "--json")
    assert json.loads(planned.stdout)["would_go"]["exports"] == 3
    assert len(deployed.records(caller.owner, everything=True)) == 4

    ran = run(deployed, "erase", "--owner", caller.owner, "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["gone"]["exports"], said["gone"]["keys"], said["gone"]["uploads"] >= 1) == (3, 1, True)
    assert said["gone"]["files"] >= 1
    # A worker that was under way may have written after all: then the same command finds its file, as it says.
    until(lambda: deployed.execution(active)["status"] != "RUNNING", "the execution to be stopped")
    assert run(deployed, "erase", "--owner", caller.owner, "--yes").returncode == 0
    assert deployed.records(caller.owner, everything=True) == []
    assert left(deployed, caller, [done["id"]]) == []
    assert deployed.execution(active)["status"] in ("ABORTED", "SUCCEEDED")
    assert caller.get(f"/exports/{done['id']}").status == 404
    assert other.download(kept).content


def test_nothing_is_left_of_a_tenant(deployed: Deployed, sign_up: Callable[[str], Caller]) -> None:
    tenant = f"test-{uuid.uuid4().hex[:12]}"
    first, second, near = sign_up(tenant), sign_up(tenant), sign_up(f"{tenant}0")
    made = {user: user.make(first="2013-01-01", last="2013-01-02") for user in (first, second, near)}
    ran = run(deployed, "erase", "--tenant", tenant, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert f"Removed of tenant {tenant}: 2 exports (0 active)" in ran.stdout
    for user in (first, second):
        assert left(deployed, user, [made[user]["id"]]) == []
    assert near.download(made[near]).content is not None


@pytest.mark.emulator_only("makes a role; AWS knows a new one only after a while")
def test_who_erases_needs_the_permissions_that_are_documented_and_no_others(
    deployed: Deployed, operator: Operator, sign_up: Callable[[str], Caller]
) -> None:
    """What `replay` needs too, its own test proves."""
    caller, foreign = sign_up(f"test-{uuid.uuid4().hex[:12]}"), f"foreign-{uuid.uuid4().hex}"
    all_, needed = set(operator.needs("replay") + operator.needs("seed")), set(operator.needs("erase"))

    def fill() -> None:
        """Something of everything, so that every action is needed."""
        export_id = deployed.fabricate(caller.owner, "RUNNING")
        deployed.write_json(f"work/{export_id}/0123456789abcdef/plan.json", {})
        key = f"{deployed.files_of(caller)}{export_id}/1/unfinished"
        deployed.client("s3").create_multipart_upload(Bucket=deployed["bucket"], Key=key)

    def erase(whose: str, name: str, *refused: str) -> Ran:
        fill()
        operator.may_all_but(*((all_ - needed) | set(refused)))
        ran = run(deployed, "erase", whose, name, "--yes", environment=operator.environment)
        assert "Traceback" not in ran.stderr
        return ran

    failure = {"state": "PlanParts", "type": "Error", "error": "{}", "part": ""}
    letter = {"owner": "nobody#0", "export_id": foreign, "attempt": 1, "failure": failure}
    deployed.client("sqs").send_message(QueueUrl=deployed["dead_letters_url"], MessageBody=json.dumps(letter))
    for action in sorted(needed - set(operator.needs("replay")) - {"dynamodb:Scan"}):
        ran = erase("--owner", caller.owner, action)
        assert ran.returncode == 1, f"{action} was not needed: {ran.stdout}"
    for whose, name, unused in (
        ("--owner", caller.owner, "dynamodb:Scan"),
        ("--tenant", caller.tenant, "dynamodb:Query"),
    ):
        ran = erase(whose, name, unused)
        assert ran.returncode == 0, ran.stderr
        assert left(deployed, caller, []) == []
    assert deployed.letter(foreign)["owner"] == "nobody#0"
