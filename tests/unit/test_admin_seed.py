"""exports-admin seed and token: what they put where, what they leave alone, and what they say is wrong."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import boto3
import polars as pl
import pytest
from moto import mock_aws

from exports_admin import emulator, sample_data
from exports_admin import stack as deployment
from tests.unit import cli_stack
from tests.unit.cli_stack import Said, Stack
from tests.unit.support import REGION
from tests.unit.test_admin import Admin, Run, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

admin = pytest.fixture(command_line)
cli_api = pytest.fixture(cli_stack.running)
BUCKET = "report-exports-data"
JANUARY = "data/flights/year=2013/month=1/flights.parquet"
FLIGHTS = pl.DataFrame({"carrier": ["DL", "UA"], "dep_delay": [1, None], "dest": ["JFK", "EWR"]})


class Account:
    """An account with a stack whose bucket and pool are its own, and whose sample data are two small files."""

    def __init__(self) -> None:
        self.s3: Any = boto3.session.Session(region_name=REGION).client("s3")
        self.cognito: Any = boto3.session.Session(region_name=REGION).client("cognito-idp")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        schema = [{"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True}]
        pool = self.cognito.create_user_pool(PoolName="users", UsernameAttributes=["email"], Schema=schema)
        self.pool = pool["UserPool"]["Id"]
        self.folder = "data/"

    def describe(self, name: str) -> dict[str, Any]:
        return {
            "stack": name,
            "region": REGION,
            "endpoint_url": None,
            "api_url": "https://a.execute-api.eu-west-1.amazonaws.com/v1",
            "user_pool_id": self.pool,
            "user_pool_client_id": "client",
            "bucket": BUCKET,
            "table": "table",
            "data_location": f"s3://{BUCKET}/{self.folder}",
            "dead_letters_url": "url",
            "state_machine_arn": "arn",
            "retention_days": 7,
            "tenant_claim": "custom:tenant_id",
        }

    def keys(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

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
        return files

    monkeypatch.setattr(sample_data, "FOLDER", tmp_path)
    monkeypatch.setattr(sample_data, "write", write)
    monkeypatch.setattr(sample_data, "airlines", lambda: ["DL", "UA"])
    with mock_aws():
        made = Account()
        monkeypatch.setattr(deployment, "find", made.describe)
        monkeypatch.setattr(deployment, "find_own", made.describe)
        yield made


# ── The data ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_stack_gets_the_sample_and_a_first_user(admin: Admin, account: Account) -> None:
    ran = admin("seed", "exports-staging")
    assert ran.code == 0, ran.err
    assert account.keys() == [JANUARY, JANUARY.replace("month=1", "month=2")]
    said = ran.out.splitlines()
    assert said[0] == f"s3://{BUCKET}/data/flights/: 4 flights in 2 files (2 uploaded, 0 existed before)"
    assert said[1].startswith(f"ua@example.com: new user of tenant UA in {account.pool}; temporary password ")
    assert said[2] == "Next: bin/exports sign-in --stack exports-staging --email ua@example.com"
    user = account.user("ua@example.com")
    assert (user["custom:tenant_id"], user["email_verified"], user["status"]) == ("UA", "true", "FORCE_CHANGE_PASSWORD")


def test_seeding_twice_changes_nothing(admin: Admin, account: Account) -> None:
    admin("seed")
    before = account.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    ran = admin("seed")
    assert (ran.code, ran.err) == (0, "")
    assert "(0 uploaded, 2 existed before)" in ran.out
    assert f"existing user of tenant UA in {account.pool} (FORCE_CHANGE_PASSWORD)" in ran.out
    assert "password" not in ran.out.lower().replace("force_change_password", "")
    assert account.s3.list_objects_v2(Bucket=BUCKET)["Contents"] == before


def test_what_is_missing_is_added(admin: Admin, account: Account) -> None:
    admin("seed")
    account.s3.delete_object(Bucket=BUCKET, Key=JANUARY)
    assert "(1 uploaded, 1 existed before)" in admin("seed").out
    assert JANUARY in account.keys()  # noqa: SIM118


def test_the_same_rows_in_other_bytes_are_the_sample(admin: Admin, account: Account) -> None:
    account.put(JANUARY, FLIGHTS, compression="uncompressed")
    assert "(1 uploaded, 1 existed before)" in admin("seed").out


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (FLIGHTS.drop("dest"), "has no column dest"),
        (FLIGHTS.with_columns(extra=1), "has a column extra that the sample data lacks"),
        (FLIGHTS.cast({"dep_delay": pl.Float64}), "column dep_delay is Float64, not Int64"),
        (FLIGHTS.head(1), "has 1 rows, not 2"),
        (FLIGHTS.with_columns(dep_delay=pl.lit(None, pl.Int64)), "has other values in dep_delay"),
        (FLIGHTS.reverse().drop("dest"), "has no column dest"),
        (b"PAR1 not", "is not readable Parquet: "),
        (b"", "is not readable Parquet: "),
    ],
)
def test_a_file_that_is_not_the_samples_is_explained_and_left(
    content: Any, fault: str, admin: Admin, account: Account
) -> None:
    account.put(JANUARY, content)
    before = account.s3.get_object(Bucket=BUCKET, Key=JANUARY)["ETag"]
    ran = admin("seed")
    assert ran.code == 1
    assert f"s3://{BUCKET}/{JANUARY}: {fault}" in ran.err
    assert "Nothing was changed" in ran.err
    assert account.keys() == [JANUARY]
    assert account.s3.get_object(Bucket=BUCKET, Key=JANUARY)["ETag"] == before
    with pytest.raises(account.cognito.exceptions.UserNotFoundException):
        account.user("ua@example.com")
    ran = admin("seed", "--replace")
    assert (ran.code, "(2 uploaded" in ran.out) == (0, True)
    assert account.s3.get_object(Bucket=BUCKET, Key=JANUARY)["ETag"] != before


def test_every_fault_is_told_at_once(admin: Admin, account: Account) -> None:
    account.put(JANUARY, FLIGHTS.drop("dest").head(1))
    account.put(JANUARY.replace("month=1", "month=2"), b"x")
    ran = admin("seed")
    assert "has no column dest; has 1 rows, not 2" in ran.err
    assert "month=2/flights.parquet: is not readable Parquet" in ran.err


def test_a_file_that_is_none_of_the_samples_is_never_touched(admin: Admin, account: Account) -> None:
    key = "data/flights/year=2014/month=1/flights.parquet"
    account.put(key, FLIGHTS)
    account.put("data/flights/_SUCCESS", b"")  # no report reads it
    account.put("data/weather/x.parquet", FLIGHTS)  # another dataset
    for words in ([], ["--replace"]):
        ran = admin("seed", *words)
        assert ran.code == 1
        assert f"s3://{BUCKET}/{key}: is not part of the sample data, but reports would read it" in ran.err
        assert len(account.keys()) == 3


# ── The user ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("folder", ["work/", "exports/data/"])
def test_a_folder_whose_files_expire_is_not_filled(admin: Admin, account: Account, folder: str) -> None:
    account.folder = folder
    ran = admin("seed")
    assert ran.code == 1
    assert f"Files under s3://{BUCKET}/{folder} expire. Deploy with another DataPrefix" in ran.err
    assert account.keys() == []


def test_a_user_of_another_tenant_is_not_changed(admin: Admin, account: Account) -> None:
    admin("seed", "--email", "ann@example.com", "--tenant", "DL")
    ran = admin("seed", "--email", "ann@example.com", "--tenant", "UA")
    assert ran.code == 1
    said = "ann@example.com is an existing user of tenant DL, and was not changed. Use --tenant DL or another --email."
    assert said in ran.err
    assert account.user("ann@example.com")["custom:tenant_id"] == "DL"


def test_a_user_without_a_tenant_is_not_changed(admin: Admin, account: Account) -> None:
    account.cognito.admin_create_user(UserPoolId=account.pool, Username="bob@example.com")
    ran = admin("seed", "--email", "bob@example.com")
    said = "bob@example.com is an existing user without a tenant, and was not changed. Use another --email."
    assert (ran.code, said in ran.err) == (1, True)


def test_a_tenant_without_data_is_refused(admin: Admin, account: Account) -> None:
    ran = admin("seed", "--tenant", "XX")
    assert (ran.code, "'XX' has no flight in the sample data. These have: DL, UA." in ran.err) == (2, True)
    assert account.keys() == []


def test_an_invited_users_password_is_not_written_here(admin: Admin, account: Account) -> None:
    ran = admin("seed", "--email", "ann@example.com", "--invite")
    assert f"new user of tenant UA in {account.pool}; Cognito mails the temporary password" in ran.out


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def emulated(account: Account, cli_api: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack runs on the emulator, where `make up` has made users."""
    described: Any = account.describe("report-exports") | {"endpoint_url": f"{cli_api.url}/"}
    monkeypatch.setattr(deployment, "find", lambda _: described)
    users = {"UA": {"email": "ua@example.com", "password": "secret"}}
    monkeypatch.setattr(emulator, "describe", lambda: described | {"users": users})
    monkeypatch.setenv("NO_PROXY", "*")
    return cli_api


def test_a_tenants_user_of_the_emulator_gets_a_token(admin: Admin, emulated: Stack) -> None:
    assert admin("token", "--tenant", "UA") == Run(0, "id-1\n", "")
    assert emulated.asked[0].body["AuthParameters"] == {"USERNAME": "ua@example.com", "PASSWORD": "secret"}
    said = "exports-admin: The tenant XX has no user. These tenants have one: UA.\n"
    assert admin("token", "--tenant", "XX") == Run(1, "", said)


def test_anybody_gets_a_token_for_a_password(admin: Admin, emulated: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("pass word\n"))
    assert admin("token", "--email", "ann@example.com", "--password-stdin") == Run(0, "id-1\n", "")
    assert emulated.asked[0].body["AuthParameters"] == {"USERNAME": "ann@example.com", "PASSWORD": "pass word"}
    emulated.answer("POST /", Said(400, {"__type": "NotAuthorizedException", "message": "Incorrect"}))
    monkeypatch.setattr(sys, "stdin", io.StringIO("wrong\n"))
    ran = admin("token", "--email", "ann@example.com", "--password-stdin")
    assert ran == Run(1, "", "exports-admin: Cognito: Incorrect (NotAuthorizedException)\n")


def test_on_aws_no_tenants_password_is_known(admin: Admin, account: Account) -> None:
    ran = admin("token", "--tenant", "UA")
    assert (ran.code, "is known only on the emulator. Use --email." in ran.err) == (1, True)


@pytest.mark.parametrize("words", [[], ["--tenant", "UA", "--email", "a@b.c"]])
def test_a_token_is_of_one_user(words: list[str], admin: Admin, account: Account) -> None:
    assert admin("token", *words).code == 2
