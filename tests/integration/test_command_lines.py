"""bin/exports and bin/exports-admin against the deployed stack: what lies on the disk, and what is left of an owner."""

from __future__ import annotations

import csv
import json
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
from tests.integration.operating import Operator, Ran, operator, run, without_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

__all__ = ["operator"]

JANUARY = ["-p", "from=2013-01-01", "-p", "to=2013-01-31"]


class Cli:
    """A user's own folder and configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "here"
        self.folder.mkdir()
        self._environment = without_aws() | {"XDG_CONFIG_HOME": str(folder / "config")}

    def __call__(self, *words: str, typed: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
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


# ── exports ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_run_leaves_the_file_of_the_export_on_the_disk(cli: Cli, caller: Caller) -> None:
    words = ["run", "flights", "-f", "csv", *JANUARY, "-p", "minimum_delay=0", "--option", "bom=true"]
    words += ["--idempotency-key", "monday"]
    export = cli.json(*words)
    saved = cli.folder / export["file"]
    content = saved.read_bytes()
    assert content == caller.download(export).content
    assert (len(content), f"{zlib.crc32(content):08x}") == (export["bytes"], export["crc32"])
    assert content.startswith("\N{BOM}".encode())
    rows = list(csv.DictReader(saved.read_text("utf-8-sig").splitlines()))
    assert len(rows) == export["rows"] > 0
    assert all(int(row["Departure delay (minutes)"]) >= 0 for row in rows)
    ran = cli(*words)
    assert "An earlier run with this key requested the same export." in ran.stderr
    assert "unchanged" in ran.stdout
    assert [each["id"] for each in caller.exports()] == [export["id"]]
    assert list(cli.folder.iterdir()) == [saved]


def test_a_download_goes_on_from_what_is_there(cli: Cli, caller: Caller) -> None:
    export = caller.make(first="2013-01-01", last="2013-06-30")
    signed = caller.signed(export)
    there = http("GET", signed["url"])
    name, half = signed["file_name"], len(there.content) // 2

    def partial(name: str, etag: str) -> Path:
        """Where a download keeps what has come."""
        return cli.folder / f".{name}.{quote(etag, safe='')}.part"

    # That it is not fetched anew, a damaged part proves: its bytes stay, and the CRC-32 finds them out.
    begun = partial(name, there.headers["ETag"].strip('"'))
    for content, code in ((there.content[:half], 0), (b"x" * half, 1)):
        begun.write_bytes(content)
        ran = cli("download", export["id"], "-o", name, "--force", code=code)
        assert ("The downloaded file is not the export's" in ran.stderr) == bool(code)
        assert (cli.folder / name).read_bytes() == there.content
        assert not begun.exists()

    # A part of another object is of no use: S3 answers 412 to its ETag.
    other = partial("other.csv", "0" * 32)
    other.write_bytes(b"x" * half)
    cli("download", export["id"], "-o", "other.csv")
    assert (cli.folder / "other.csv").read_bytes() == there.content
    assert not other.exists()


def test_an_active_export_is_cancelled_and_then_made_after_all(cli: Cli, caller: Caller, deployed: Deployed) -> None:
    export_id = deployed.fabricate(caller.owner, "RUNNING")  # a real one may end before a second program has started
    assert f"{export_id} is CANCELLED." in cli("cancel", export_id).stdout
    assert "cannot be cancelled" in cli("cancel", export_id, code=1).stderr
    assert "is CANCELLED" in cli("download", export_id, code=3).stderr
    assert [record["status"] for record in deployed.records(caller.owner)] == ["CANCELLED"]
    again = cli.json("retry", export_id, "-o", "again.csv")
    assert (again["status"], again["attempt"]) == ("SUCCEEDED", 2)
    assert (cli.folder / "again.csv").read_bytes() == caller.download(again).content
    assert [each["id"] for each in cli.json("list", "--status", "succeeded")] == [export_id]
    assert cli.json("show", export_id)["crc32"] == again["crc32"]


def test_reports_and_faults_are_those_of_the_stack(cli: Cli, caller: Caller) -> None:
    assert cli.json("reports") == caller.get("/reports").json["reports"]
    ran = cli("run", "flights", "-f", "pdf", "-p", "minimum_delay=many", "-p", "nobody=x", code=1)
    for pointer in ("/format", "/parameters/minimum_delay", "/parameters/nobody"):
        assert f"\n  {pointer}  " in ran.stderr, ran.stderr
    assert "(400 invalid-request)" in ran.stderr
    assert caller.exports() == []


def test_a_session_outlives_its_id_token_but_not_who_signs_out(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "config" / "report-exports" / "default.json"
    session = json.loads(kept.read_text())
    kept.write_text(json.dumps(session | {"id_token": "expired"}))  # the API refuses it
    assert cli.json("list") == []
    assert json.loads(kept.read_text())["id_token"].count(".") == 2
    cli("sign-out")
    assert not kept.exists()
    kept.write_text(json.dumps(session | {"expires_at": 0}))  # somebody has copied it: it is worth nothing
    assert "The session has ended" in cli("list", code=4).stderr


# ── exports-admin token and seed ────────────────────────────────────────────────────────────────────────────────────


def test_a_token_is_what_the_api_takes(deployed: Deployed, caller: Caller) -> None:
    ran = run(deployed, "token", "--email", caller.email, "--password-stdin", typed=stack.PASSWORD + "\n")
    answer = http("GET", f"{deployed['api_url']}/reports", headers={"Authorization": ran.out.strip()})
    assert answer.status == 200


@pytest.mark.xdist_group("dataset")
def test_a_seeded_user_signs_in_chooses_a_password_and_exports(
    deployed: Deployed, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    email = f"test-{uuid.uuid4().hex}@example.com"

    def seed() -> str:
        """What it says, once no other test has files of its own among the flights."""
        ran = run(deployed, "seed", deployed["stack"], "--tenant", "HA", "--email", email)
        assert ran.code == 0 or "is not part of the sample data, but reports would read it" in ran.err, ran.err
        return ran.out if ran.code == 0 else ""

    said = until(seed, "a dataset without files of other tests") or ""
    assert "336,776 flights in 12 files (0 uploaded, 12 existed before)" in said
    password = said.split("temporary password ")[1].split(",")[0]

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

    def needed(*words: str, but: str = "") -> list[str]:
        """The actions without which a command fails."""
        return [each for each in operator.needs(words[0]) if each != but and operator.run(*words, refused=each).code]

    put = ("put", str(rows.parent), undone, "--replace")
    folder = deployed["data_location"].removeprefix(f"s3://{deployed['bucket']}/")
    deployed.client("s3").put_object(Bucket=deployed["bucket"], Key=f"{folder}{undone}/old.parquet", Body=b"")
    only_a_large_file = "s3:AbortMultipartUpload"  # that breaks off needs it
    assert {*needed(*put, but=only_a_large_file), only_a_large_file} == {*operator.needs("put")}
    assert operator.run(*put).code == 0
    assert deployed.keys(f"{folder}{undone}/") == [f"{folder}{undone}/month=1/rows.parquet"]

    user = ("user", f"{undone}@example.com", "--tenant", undone)
    moved = ("user", f"{undone}@example.com", "--tenant", "b", "--change")
    only_to_move = "cognito-idp:AdminUpdateUserAttributes"
    only_once_it_is_there = "cognito-idp:AdminSetUserPassword"
    before = [each for each in operator.needs("user") if each not in (only_to_move, only_once_it_is_there)]
    assert all(operator.run(*user, refused=each).code for each in [*before, only_once_it_is_there])
    deployed.client("cognito-idp").admin_delete_user(UserPoolId=deployed["user_pool_id"], Username=user[1])
    assert operator.run(*user).code == 0
    token = run(deployed, "token", "--tenant", undone).out.strip()
    assert http("GET", f"{deployed['api_url']}/reports", headers={"Authorization": token}).status == 200
    assert operator.run(*moved, refused=only_to_move).code
    assert operator.run(*moved).code == 0


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
    assert json.loads(planned.out)["would_go"]["exports"] == 3
    assert len(deployed.records(caller.owner, everything=True)) == 4

    ran = run(deployed, "erase", "--owner", caller.owner, "--yes", "--json")
    said = json.loads(ran.out)
    assert (said["gone"]["exports"], said["gone"]["keys"], said["gone"]["uploads"] >= 1) == (3, 1, True)
    assert said["gone"]["files"] >= 1
    # A worker that was under way may have written after all: then the same command finds its file, as it says.
    until(lambda: deployed.execution(active)["status"] != "RUNNING", "the execution to be stopped")
    assert run(deployed, "erase", "--owner", caller.owner, "--yes").code == 0
    assert deployed.records(caller.owner, everything=True) == []
    assert left(deployed, caller, [done["id"]]) == []
    assert deployed.execution(active)["status"] in ("ABORTED", "SUCCEEDED")
    assert caller.get(f"/exports/{done['id']}").status == 404
    assert other.download(kept).content


@pytest.mark.emulator_only("makes a role; AWS knows a new one only after a while")
def test_who_erases_needs_the_permissions_that_are_documented_and_no_others(
    deployed: Deployed, operator: Operator, sign_up: Callable[[str], Caller]
) -> None:
    """What `replay` needs too, its own test proves."""
    caller, foreign = sign_up(f"test-{uuid.uuid4().hex[:12]}"), f"foreign-{uuid.uuid4().hex}"

    def erase(whose: str, name: str, without: str) -> Ran:
        """Erases something of everything, so that every action is needed."""
        export_id = deployed.fabricate(caller.owner, "RUNNING")
        deployed.write_json(f"work/{export_id}/0123456789abcdef/plan.json", {})
        key = f"{deployed.files_of(caller)}{export_id}/1/unfinished"
        deployed.client("s3").create_multipart_upload(Bucket=deployed["bucket"], Key=key)
        return operator.run("erase", whose, name, "--yes", refused=without)

    failure = {"state": "PlanParts", "type": "Error", "error": "{}", "part": ""}
    letter = {"owner": "nobody#0", "export_id": foreign, "attempt": 1, "failure": failure}
    deployed.client("sqs").send_message(QueueUrl=deployed["dead_letters_url"], MessageBody=json.dumps(letter))
    for action in sorted({*operator.needs("erase")} - {*operator.needs("replay"), "dynamodb:Scan"}):
        assert erase("--owner", caller.owner, action).code == 1, f"{action} was not needed"
    for whose, name, unused in (
        ("--owner", caller.owner, "dynamodb:Scan"),
        ("--tenant", caller.tenant, "dynamodb:Query"),
    ):
        ran = erase(whose, name, unused)
        assert ran.code == 0, ran.err
        assert left(deployed, caller, []) == []
    assert deployed.letter(foreign)["owner"] == "nobody#0"
