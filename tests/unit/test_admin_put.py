"""exports-admin put, user: what becomes of a folder and a user, what is refused, and what the emulator gets again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from exports_admin import emulator, locks, put, restore
from exports_admin import stack as deployment
from shared.catalogue import reports
from tests.unit.support import REGION
from tests.unit.test_admin import Admin, command_line, describe
from tests.unit.test_admin_seed import BUCKET, Account, account, pool

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["account"]

admin = pytest.fixture(command_line)
SALES = pl.DataFrame({"shop": ["acme", "zenith"], "amount": [1, 2]})


def parquet(file: Path) -> int:
    """Writes a file; how many bytes it has."""
    file.parent.mkdir(parents=True, exist_ok=True)
    SALES.write_parquet(file)
    return file.stat().st_size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two Parquet files."""
    for month in (1, 2):
        parquet(tmp_path / f"mine/month={month}/part-0.parquet")
    return tmp_path / "mine"


KEYS = [f"data/sales/month={month}/part-0.parquet" for month in (1, 2)]


def test_a_folder_becomes_a_dataset_with_its_partitions(admin: Admin, account: Account, folder: Path) -> None:
    size = parquet(folder / "month=1/part-0.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "month=1/.part-0.parquet.crc").touch()
    ran = admin("put", str(folder), "sales")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"s3://{BUCKET}/data/sales/: 2 files of {2 * size:,} bytes uploaded",
        "Not uploaded, because reports ignore these names:",
        "  _SUCCESS",
        "  month=1/.part-0.parquet.crc",
    ]
    assert account.keys() == KEYS
    stored = account.s3.get_object(Bucket=BUCKET, Key=KEYS[0])["Body"].read()
    assert pl.read_parquet(io.BytesIO(stored)).equals(SALES)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"shop,amount\nacme,1\n", "is not Parquet: it begins with b'shop', not with b'PAR1'"),
        (b"PAR1 broken off here", "is not a complete Parquet file: it ends with b'here', not with b'PAR1'"),
        (b"PAR1PAR1", "is not Parquet: it is too short"),
    ],
)
def test_nothing_is_uploaded_of_a_folder_with_a_file_that_is_not_parquet(
    admin: Admin, account: Account, folder: Path, content: bytes, fault: str
) -> None:
    (folder / "month=1/more").write_bytes(content)
    (folder / "other.csv").write_bytes(b"x")
    assert admin("put", str(folder), "sales").fails(
        1, f"Nothing was uploaded. In {folder}:\n  month=1/more {fault}\n  other.csv is not Parquet"
    )
    assert account.keys() == []


def test_a_folder_without_parquet_a_table_and_a_place_where_files_expire_are_refused(
    admin: Admin, account: Account, folder: Path
) -> None:
    account.folder = ""
    assert f"Files under s3://{BUCKET}/work/sales/ expire." in admin("put", str(folder), "work/sales").err
    account.folder = "data/"
    (folder / "empty").mkdir()
    assert f"There is no Parquet file in {folder / 'empty'}." in admin("put", str(folder / "empty"), "sales").err
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / "00000000000000000000.json").touch()
    said = f"{folder} is a Delta table, but put uploads only plain Parquet files. Copy a Delta table with its"
    assert said in admin("put", str(folder), "sales").err
    assert account.keys() == []


def test_a_dataset_that_has_files_is_mixed_or_replaced_only_if_that_is_said(
    admin: Admin, account: Account, folder: Path
) -> None:
    old = "data/sales/old.parquet"
    account.put(old, SALES)
    assert admin("put", str(folder), "sales").fails(
        1, f"s3://{BUCKET}/data/sales/ has 1 file. Nothing was uploaded. Use --add"
    )
    assert account.keys() == [old]

    assert admin("put", str(folder), "sales", "--add").code == 0
    assert account.keys() == [*KEYS, old]
    ran = admin("put", str(folder), "sales", "--add")
    assert (ran.code, "has files with these names" in ran.err, "month=1/part-0" in ran.err) == (1, True, True)

    account.put("data/sales-2/other.parquet", SALES)
    assert "uploaded, 1 file deleted" in admin("put", str(folder), "sales", "--replace").out
    assert account.keys() == ["data/sales-2/other.parquet", *KEYS]
    assert admin("put", str(folder), "sales", "--add", "--replace").code == 2


@pytest.mark.parametrize("name", ["", "/sales", "sales/", "../sales", "a b", ".sales", "a//b"])
def test_a_name_that_no_report_can_have_is_refused(admin: Admin, account: Account, folder: Path, name: str) -> None:
    assert admin("put", str(folder), name).fails(2, f"{name!r} is not a dataset")


def test_names_are_those_of_the_product() -> None:
    assert reports._SCHEMA["$defs"]["dataset"]["pattern"] == f"^{put.DATASET.pattern}$"


def test_a_user_of_a_tenant_is_invited_or_gets_a_password(admin: Admin, account: Account) -> None:
    ran = admin("user", "ann@example.com", "--tenant", "acme")
    assert ran.out.splitlines() == [
        f"ann@example.com: new user of tenant acme in {account.pool}; Cognito mails the temporary password",
        "Next: bin/exports sign-in --stack report-exports --email ann@example.com",
    ]
    made = account.user("ann@example.com")
    assert (made["custom:tenant_id"], made["email_verified"]) == ("acme", "true")
    ran = admin("user", "bob@example.com", "--tenant", "acme", "--password", "--stack", "mine")
    assert "; temporary password Aa1-" in ran.out
    assert ran.out.endswith("Next: bin/exports sign-in --stack mine --email bob@example.com\n")


def test_a_user_who_exists_is_moved_only_if_that_is_said_and_to_a_tenant(admin: Admin, account: Account) -> None:
    assert admin("user", "ann@example.com", "--tenant", "acme#1").fails(2, "'acme#1' is not a tenant")
    admin("user", "ann@example.com", "--tenant", "acme")
    assert "(FORCE_CHANGE_PASSWORD)" in admin("user", "ann@example.com", "--tenant", "acme").out
    assert admin("user", "ann@example.com", "--tenant", "zenith").fails(
        1, "ann@example.com is an existing user of tenant acme, and was not changed. Use --change to move"
    )
    ran = admin("user", "ann@example.com", "--tenant", "zenith", "--change")
    assert f"ann@example.com: moved from tenant acme to tenant zenith in {account.pool}." in ran.out
    assert account.user("ann@example.com")["custom:tenant_id"] == "zenith"


def test_what_was_put_on_the_emulator_is_put_again_on_the_next(
    admin: Admin, server: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"region": REGION, "endpoint_url": server}
    s3, cognito = deployment.client("s3", where), deployment.client("cognito-idp", where)
    own = {"stack": "report-exports", "bucket": "ours", "data_location": "s3://ours/data/"}
    description = describe() | where | own | {"tenant_claim": "custom:tenant_id", "users": {}}

    def start() -> dict[str, Any]:
        """An emulator with nothing on it."""
        s3.create_bucket(Bucket="ours", CreateBucketConfiguration={"LocationConstraint": REGION})
        return description | {"user_pool_id": pool(cognito)}

    def keys() -> list[str]:
        return [item["Key"] for item in s3.list_objects_v2(Bucket="ours").get("Contents", [])]

    monkeypatch.setattr(locks, "STATE", tmp_path)
    stack_json = tmp_path / "stack.json"
    stack_json.write_text(json.dumps(start()))
    monkeypatch.setattr(emulator, "describe", lambda: json.loads(stack_json.read_text()))
    monkeypatch.setattr(deployment, "find", lambda _: emulator.describe())
    assert admin("put", str(folder), "sales").code == 0
    ran = admin("user", "ann@example.com", "--tenant", "acme")
    assert "; password Aa1-" in ran.out
    assert ran.out.endswith("Next: bin/exports sign-in --emulator --tenant acme\n")
    assert json.loads(stack_json.read_text())["users"]["acme"]["email"] == "ann@example.com"

    for key in keys():
        s3.delete_object(Bucket="ours", Key=key)
    s3.delete_bucket(Bucket="ours")
    again = restore.restore(start())
    assert keys() == KEYS
    assert again["users"]["acme"]["email"] == "ann@example.com"
    found = cognito.admin_get_user(UserPoolId=again["user_pool_id"], Username="ann@example.com")
    assert {"Name": "custom:tenant_id", "Value": "acme"} in found["UserAttributes"]

    (folder / "month=1/part-0.parquet").write_text("not Parquet any more")
    assert restore.restore(again)["users"] == again["users"]
