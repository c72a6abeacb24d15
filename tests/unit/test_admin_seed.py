"""The commands `exports-admin seed` and `token`: what they add, what they keep, and their errors."""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import polars as pl
import pytest
from moto import mock_aws

from exports_admin import emulator, sample_data, seed
from exports_admin import stack as deployment
from tests.unit import cli_stack
from tests.unit.cli_stack import Run, Stack, refusal
from tests.unit.support import REGION
from tests.unit.test_admin import Admin, command_line, describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

admin = pytest.fixture(command_line)
cli_api = pytest.fixture(cli_stack.running)
BUCKET = "report-exports-data"
JANUARY, FEBRUARY = (f"data/flights/year=2013/month={month}/flights.parquet" for month in (1, 2))
PLANES = "data/planes/planes.parquet"
FLIGHTS = pl.DataFrame({"carrier": ["DL", "UA"], "dep_delay": [1, None], "dest": ["JFK", "EWR"]})
DESCRIBED = describe() | {"bucket": BUCKET, "endpoint_url": None, "user_pool_client_id": "client"}
DESCRIBED["api_url"] = "https://a.execute-api.eu-west-1.amazonaws.com/v1"


@cache
def client(service: str, **_: str) -> Any:
    """A client, made once for all tests, because that takes longer than most tests."""
    session: Any = boto3.session.Session("testing", "testing", region_name=REGION)
    return session.client(service)


def pool(cognito: Any) -> str:
    """Makes a user pool; its id."""
    schema = [{"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True}]
    made = cognito.create_user_pool(PoolName="users", UsernameAttributes=["email"], Schema=schema)
    return str(made["UserPool"]["Id"])


class Account:
    """An account with a stack whose bucket and pool are its own, and whose sample data are three small files."""

    def __init__(self) -> None:
        self.s3, self.cognito = client("s3"), client("cognito-idp")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.pool = pool(self.cognito)
        self.folder = "data/"

    def describe(self, name: str) -> dict[str, Any]:
        own = {"user_pool_id": self.pool, "data_location": f"s3://{BUCKET}/{self.folder}", "stack": name}
        return DESCRIBED | own | {"tenant_claim": "custom:tenant_id"}

    def keys(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def etag(self, key: str) -> str:
        return str(self.s3.head_object(Bucket=BUCKET, Key=key)["ETag"])

    def put(self, key: str, content: pl.DataFrame | bytes, **how: Any) -> None:
        if isinstance(content, pl.DataFrame):
            file = io.BytesIO()
            content.write_parquet(file, **how)
            content = file.getvalue()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    def user(self, email: str) -> dict[str, Any]:
        found = self.cognito.admin_get_user(UserPoolId=self.pool, Username=email)
        return {each["Name"]: each["Value"] for each in found["UserAttributes"]} | {"status": found["UserStatus"]}


@pytest.fixture
def account(alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    def write(folder: Path) -> list[Path]:
        files = [folder / f"flights/year=2013/month={month}/flights.parquet" for month in (1, 2)]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            FLIGHTS.write_parquet(file)
        planes = folder / "planes/planes.parquet"
        planes.parent.mkdir(exist_ok=True)
        pl.DataFrame({"tailnum": ["N1"]}).write_parquet(planes)
        return [*files, planes]

    monkeypatch.setattr(sample_data, "FOLDER", tmp_path)
    monkeypatch.setattr(sample_data, "write", write)
    monkeypatch.setattr(sample_data, "airlines", lambda: ["DL", "UA"])
    monkeypatch.setattr(boto3, "client", lambda service, **_: client(service))
    with mock_aws():
        made = Account()
        monkeypatch.setattr(deployment, "find", made.describe)
        monkeypatch.setattr(deployment, "find_own", made.describe)
        yield made


def test_an_empty_stack_gets_the_sample_data_and_a_first_user(admin: Admin, account: Account) -> None:
    ran = admin("seed", "exports-staging")
    assert ran.code == 0, ran.err
    assert account.keys() == [JANUARY, FEBRUARY, PLANES]
    said = ran.out.splitlines()
    assert said[0] == f"s3://{BUCKET}/data/flights/: 4 flights in 2 files (2 uploaded, 0 existed before)"
    assert said[1] == f"s3://{BUCKET}/data/planes/: 1 planes in 1 file (1 uploaded, 0 existed before)"
    assert said[2].startswith(f"ua@example.com: new user of tenant UA in {account.pool}; temporary password ")
    assert said[3] == "Next: bin/exports sign-in --stack exports-staging --email ua@example.com"
    user = account.user("ua@example.com")
    assert (user["custom:tenant_id"], user["email_verified"], user["status"]) == ("UA", "true", "FORCE_CHANGE_PASSWORD")


def test_what_exists_is_kept_and_what_is_missing_is_added(admin: Admin, account: Account) -> None:
    account.put(JANUARY, FLIGHTS, compression="uncompressed")  # the same rows in other bytes
    before = account.etag(JANUARY)
    assert "(1 uploaded, 1 existed before)" in admin("seed").out
    ran = admin("seed")
    assert (ran.code, ran.err, account.etag(JANUARY)) == (0, "", before)
    assert ran.out.splitlines()[:3] == [
        f"s3://{BUCKET}/data/flights/: 4 flights in 2 files (0 uploaded, 2 existed before)",
        f"s3://{BUCKET}/data/planes/: 1 planes in 1 file (0 uploaded, 1 existed before)",
        f"ua@example.com: existing user of tenant UA in {account.pool} (FORCE_CHANGE_PASSWORD)",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (FLIGHTS.drop("dest"), "has no column dest"),
        (FLIGHTS.with_columns(extra=1), "has a column extra that the sample data lacks"),
        (FLIGHTS.cast({"dep_delay": pl.Float64}), "column dep_delay is Float64, not Int64"),
        (FLIGHTS.head(1), "has 1 rows, not 2"),
        (FLIGHTS.with_columns(dep_delay=pl.lit(None, pl.Int64)), "has other values in dep_delay"),
        (FLIGHTS.reverse().drop("dest"), "has no column dest"),
        (FLIGHTS.drop("dest").head(1), "has no column dest; has 1 rows, not 2"),
    ],
)
def test_every_difference_from_the_sample_data_is_named(content: pl.DataFrame, fault: str) -> None:
    assert seed._difference(content, FLIGHTS) == fault


def test_other_data_is_replaced_only_on_request(admin: Admin, account: Account) -> None:
    account.put(JANUARY, FLIGHTS.drop("dest"))
    account.put(FEBRUARY, b"PAR1 not")
    before = account.etag(JANUARY)
    ran = admin("seed")
    first, second, last = ran.err.splitlines()
    assert (ran.code, ran.out, account.etag(JANUARY)) == (1, "", before)
    assert first == f"s3://{BUCKET}/{JANUARY}: has no column dest"
    assert second.startswith(f"s3://{BUCKET}/{FEBRUARY}: is not readable Parquet: ")
    assert last == (
        "exports-admin: These files are not the sample data. Nothing was changed. "
        "--replace replaces the files that differ. It removes no other file."
    )
    with pytest.raises(account.cognito.exceptions.UserNotFoundException):
        account.user("ua@example.com")
    account.put(FEBRUARY, b"")
    assert f"{FEBRUARY}: is not readable Parquet: " in admin("seed").err
    ran = admin("seed", "--replace")
    assert (ran.code, "(2 uploaded, 0 existed before)" in ran.out) == (0, True)
    assert account.etag(JANUARY) != before


def test_a_file_that_is_not_part_of_the_sample_data_is_never_changed(admin: Admin, account: Account) -> None:
    account.put("data/flights/_SUCCESS", b"")  # no report reads it
    account.put("data/weather/x.parquet", FLIGHTS)  # another dataset
    assert admin("seed").code == 0
    key = "data/flights/year=2014/month=1/flights.parquet"
    account.put(key, FLIGHTS)
    for words in ([], ["--replace"]):
        assert admin("seed", *words).fails(
            1, f"s3://{BUCKET}/{key}: is not part of the sample data, but reports would read it"
        )
        assert len(account.keys()) == 6


@pytest.mark.parametrize("folder", ["work/", "exports/data/"])
def test_a_folder_whose_files_expire_is_not_filled(admin: Admin, account: Account, folder: str) -> None:
    account.folder = folder
    said = f"exports-admin: Files under s3://{BUCKET}/{folder} expire. Deploy with another DataPrefix.\n"
    assert admin("seed") == Run(1, "", said)
    assert account.keys() == []


def test_a_user_of_another_tenant_is_not_changed(admin: Admin, account: Account) -> None:
    ran = admin("seed", "--email", "ann@example.com", "--tenant", "DL", "--invite")
    assert f"new user of tenant DL in {account.pool}; Cognito mails the temporary password\n" in ran.out
    account.cognito.admin_create_user(UserPoolId=account.pool, Username="bob@example.com")
    for name, what in (
        ("ann", "of tenant DL, and was not changed. Use --tenant DL or another --email."),
        ("bob", "without a tenant, and was not changed. Use another --email."),
    ):
        ran = admin("seed", "--email", f"{name}@example.com")
        assert (ran.code, ran.err) == (1, f"exports-admin: {name}@example.com is an existing user {what}\n")
    assert account.user("ann@example.com")["custom:tenant_id"] == "DL"


def test_a_tenant_must_have_sample_data(admin: Admin, account: Account) -> None:
    assert admin("seed", "--tenant", "XX").fails(2, "'XX' has no flight in the sample data. These have: DL, UA.")
    assert account.keys() == []


@pytest.fixture
def emulated(alone: None, cli_api: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack on the emulator, where `make up` has created users."""
    users = {"UA": {"email": "ua@example.com", "password": "secret"}}
    described = DESCRIBED | {"endpoint_url": f"{cli_api.url}/", "users": users}
    monkeypatch.setattr(deployment, "find", lambda _: described)
    monkeypatch.setattr(emulator, "describe", lambda: described)
    monkeypatch.setenv("NO_PROXY", "*")
    return cli_api


def test_a_user_of_the_emulator_gets_a_token(admin: Admin, emulated: Stack) -> None:
    assert admin("token", "--tenant", "UA") == Run(0, "id-1\n", "")
    assert emulated.asked[0].body["AuthParameters"] == {"USERNAME": "ua@example.com", "PASSWORD": "secret"}
    said = "exports-admin: The tenant XX has no user. These tenants have one: UA. To add one: "
    create = "bin/exports-admin user you@example.com --tenant XX\n"
    assert admin("token", "--tenant", "XX") == Run(1, "", said + create)


def test_the_users_of_another_issuer_are_not_created_here(
    admin: Admin, emulated: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = DESCRIBED | {"issuer": "https://id.example.com/", "tenant_claim": "tenant"}
    monkeypatch.setattr(deployment, "find", lambda _: described)
    for words in (("token", "--email", "ann@example.com"), ("user", "ann@example.com", "--tenant", "UA")):
        assert "The users of this stack are those of https://id.example.com/." in admin(*words).err
    assert emulated.asked == []


def test_a_user_gets_a_token_for_a_password(admin: Admin, emulated: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("token", "--email", "ann@example.com", "--password-stdin")
    monkeypatch.setattr(sys, "stdin", io.StringIO("pass word\nwrong\n"))
    assert admin(*words) == Run(0, "id-1\n", "")
    assert emulated.asked[0].body["AuthParameters"] == {"USERNAME": "ann@example.com", "PASSWORD": "pass word"}
    emulated.answer("POST /", refusal("NotAuthorizedException", "Incorrect"))
    assert admin(*words) == Run(1, "", "exports-admin: Cognito: Incorrect (NotAuthorizedException)\n")


def test_a_token_is_for_one_user_whose_password_is_known(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (admin("token").code, admin("token", "--tenant", "UA", "--email", "a@b.c").code) == (2, 2)
    monkeypatch.setattr(deployment, "find", lambda _: DESCRIBED)
    said = "The password of a user of UA is known only on the emulator. Use --email."
    assert admin("token", "--tenant", "UA") == Run(1, "", f"exports-admin: {said}\n")
