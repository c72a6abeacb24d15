"""A tenant in the wrong case is told apart from a tenant without rows: by `exports-admin user` and `show`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from exports_admin import stack as deployment
from exports_admin import tenants
from exports_admin.health.deployment import Unchecked
from exports_admin.tenants import Spellings
from shared.errors import SourceMissing
from tests.unit.lake import BUCKET, Lake, file, report
from tests.unit.queries.support import dataset, query
from tests.unit.support import EXPORT_ID, PLAN, REPORTS, Cloud, event, succeeded
from tests.unit.test_admin import Admin, command_line
from tests.unit.test_admin_executions import StepFunctions, in_memory
from tests.unit.test_admin_executions import succeeded as succeeds
from tests.unit.test_admin_seed import Account, account

__all__ = ["account"]

admin = pytest.fixture(command_line)
past = pytest.fixture(in_memory)
DATA = {"data_location": f"s3://{BUCKET}/data/"}


def of(*names: str) -> bytes:
    """A file with a row for each tenant, in row groups of two rows."""
    return file(2, v=list(range(len(names))), tenant=list(names))


# ── The datasets ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_names_of_partition_folders_tell_every_spelling(lake: Lake) -> None:
    for name in ("ACME", "Acme", "zenith"):
        lake.put(f"tenant={name}/part.parquet", b"never read")
    assert tenants.spellings("sales", "tenant", "acme") == Spellings(has=False, others=["ACME", "Acme"])
    assert tenants.spellings("sales", "tenant", "Acme") == Spellings(has=True, others=["ACME"])
    assert tenants.spellings("sales", "tenant", "other") == Spellings(has=False, others=[])


def test_the_bounds_in_the_footers_tell_what_they_can(lake: Lake) -> None:
    lake.put("a.parquet", of("ACME", "BETA"))
    assert tenants.spellings("sales", "tenant", "acme") == Spellings(has=False, others=["ACME"])
    lake.put("b.parquet", of("Zoo", "zoo"))
    assert tenants.spellings("sales", "tenant", "acme") == Spellings(has=None, others=["ACME"])
    assert tenants.spellings("sales", "tenant", "zoo") == Spellings(has=True, others=["Zoo"])
    assert all(start > 0 or end < 4096 for _, start, end in lake.asked)


def test_a_warning_names_the_dataset_and_its_spelling(lake: Lake) -> None:
    lake.put("a.parquet", of("ACME", "BETA"))
    said = "Tenants are case-sensitive, and the dataset sales has ACME, not acme."
    assert tenants.warning(DATA, [report("v"), report("v")], "acme") == said
    assert tenants.warning(DATA, [report("v")], "ACME") == ""
    assert tenants.warning(DATA, [report("v")], "nobody") == ""
    lake.put("b.parquet", of("Zoo", "zoo"))
    unknown = "; its footers do not tell whether it has acme too."
    assert tenants.warning(DATA, [report("v")], "acme").endswith(f"has ACME, not acme{unknown}")


def test_a_tenant_that_one_dataset_has_is_right(lake: Lake) -> None:
    lake.put("a.parquet", of("ACME", "BETA"))
    lake.objects["data/other/a.parquet"] = of("acme", "acme")
    assert tenants.warning(DATA, [report("v"), report("v", dataset="other")], "acme") == ""


def test_each_dataset_of_a_query_that_has_a_tenant_is_compared(lake: Lake) -> None:
    lake.put("a.parquet", of("ACME", "BETA"))
    lake.objects["data/items/a.parquet"] = of("acme", "acme")
    numbers = dataset(folder="numbers") | {"columns": {"tenant": "integer"}}
    for others, said in (
        ({"items": dataset(tenant=None, folder="items", tenant_="string"), "numbers": numbers}, "has ACME, not acme."),
        ({"items": dataset(folder="items")}, ""),
    ):
        definition = query("SELECT 1", {}, sales=dataset(), **others).definition
        assert tenants.warning(DATA, [definition], "acme").endswith(said)
        assert bool(tenants.warning(DATA, [definition], "acme")) == bool(said)


def test_what_cannot_be_compared_says_why(lake: Lake) -> None:
    expression = report("v") | {"tenant": {"expression": "LOWER(tenant)"}}
    table = report("v", type="dynamodb", table="items")
    shared = query("SELECT 1", {}, items=dataset(tenant=None, item="string")).definition
    with pytest.raises(Unchecked, match="no report has a Parquet dataset and a tenant column"):
        tenants.warning(DATA, [expression, table, shared], "acme")
    with pytest.raises(Unchecked, match="no Parquet file under"):
        tenants.warning(DATA, [report("v")], "acme")
    with pytest.raises(SourceMissing):
        tenants.spellings("sales", "tenant", "acme")


# ── The user ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the reports layer that ListReports has."""
    zipped, original = tmp_path / "layer.zip", BaseClient._make_api_call
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(REPORTS / "flights.yaml", "flights.yaml")
    answers = {
        "GetFunctionConfiguration": {"Layers": [{"Arn": "layer"}]},
        "GetLayerVersionByArn": {"Content": {"Location": zipped.as_uri()}},
    }

    def answer(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        return answers[operation] if operation in answers else original(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    return zipped


def test_a_user_of_a_tenant_in_the_wrong_case_is_created_with_a_warning(
    admin: Admin, account: Account, layer: Path
) -> None:
    flights = file(v=[1], carrier=["UA"])
    account.put("data/flights/year=2013/month=1/flights.parquet", flights)
    ran = admin("user", "ann@example.com", "--tenant", "ua")
    said = "Warning: Tenants are case-sensitive, and the dataset flights has UA, not ua."
    assert (ran.code, ran.err.startswith(said), "--change" in ran.err) == (0, True, True)
    assert account.user("ann@example.com")["custom:tenant_id"] == "ua"
    assert admin("user", "ann@example.com", "--tenant", "UA", "--change").err == ""
    assert admin("user", "bob@example.com", "--tenant", "other").err == ""


QUERY = """
title: Sales
source:
  type: query
  engine: duckdb
  sql: sales.sql
  datasets: {sales: {dataset: sales, tenant: tenant, columns: {tenant: string, v: integer}}}
columns: [{name: v, title: V, type: integer}]
"""


def test_a_user_is_also_compared_with_the_datasets_of_queries(admin: Admin, account: Account, layer: Path) -> None:
    account.put("data/sales/a.parquet", file(v=[1], tenant=["UA"]))
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr("sales.yaml", QUERY)
        archive.writestr("sales.sql", "SELECT v FROM sales")
    ran = admin("user", "ann@example.com", "--tenant", "ua")
    said = "Warning: Tenants are case-sensitive, and the dataset sales has UA, not ua."
    assert (ran.code, ran.err.startswith(said)) == (0, True)


def test_a_user_is_created_even_if_the_tenant_cannot_be_compared(admin: Admin, account: Account, layer: Path) -> None:
    ran = admin("user", "ann@example.com", "--tenant", "acme")
    assert ran.code == 0
    assert ran.err.startswith("The tenant was not compared with the datasets: no Parquet file under")
    layer.write_bytes(b"no zip")
    ran = admin("user", "bob@example.com", "--tenant", "acme")
    assert (ran.code, "the deployed reports cannot be read" in ran.err) == (0, True)


# ── An export without rows ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shown(admin: Admin, past: StepFunctions, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `show` says of an export of UA without rows."""
    described = deployment.find("any") | {"data_location": f"s3://{cloud.bucket}/data/"}
    monkeypatch.setattr(deployment, "find", lambda _: described)
    monkeypatch.setenv("EXPORTS_BUCKET", event("environment")["ReadExports"]["EXPORTS_BUCKET"])

    def show(has: str, **plan: Any) -> str:
        cloud.s3.put_object(Bucket=cloud.bucket, Key="data/sales/a.parquet", Body=file(v=[1], tenant=[has]))
        cloud.put(f"work/{EXPORT_ID}/{PLAN}/plan.json", plan | {"tenant": "UA"})
        cloud.write(succeeded(rows=0))
        succeeds(past, parts=1)
        return admin("show", EXPORT_ID).out

    return show


HINT = "\n  hint    Tenants are case-sensitive, and the dataset sales has ua, not UA.\n"


@pytest.mark.parametrize("has", ["ua", "DL"])
def test_an_export_without_rows_shows_the_spelling_of_the_dataset(has: str, shown: Callable[..., str]) -> None:
    assert (HINT in shown(has, definition=report("v"))) == (has == "ua")


def test_an_export_of_a_query_without_rows_is_compared_with_the_datasets_of_the_deployed_report(
    shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed: dict[str, Any] = {}
    monkeypatch.setattr(tenants, "deployed", lambda _: deployed)
    plan = {"report": "turnover", "definition": {"source": {"type": "query"}}}
    assert "could not be compared with the dataset: the report turnover is no longer deployed." in shown("ua", **plan)
    deployed["turnover"] = query("SELECT 1", {}, sales=dataset()).definition
    assert HINT in shown("ua", **plan)
