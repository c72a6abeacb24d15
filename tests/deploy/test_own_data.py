"""Reports of data that the project has never seen, from the definition to the file: nothing but reports/ is changed."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from exports_admin import sample_data
from local import launcher
from tests.integration.source import read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.conftest import Project
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

pytestmark = pytest.mark.xdist_group("deploy")

PAGES = launcher.ROOT / "docs" / "howto"
TABLE = "flights-of-a-day"


def of_page(name: str, language: str, start: str) -> str:
    """The block of a page that starts so."""
    text = (PAGES / name).read_text("utf-8")
    (block,) = re.findall(rf"^```{language}\n({re.escape(start)}.*?)```", text, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def own(project: Project, tmp_path: Path) -> Deployed:
    """A stack with the reports of the pages, which may read one table."""
    reports = tmp_path / "own-reports"
    reports.mkdir()
    (reports / "weather.yaml").write_text(of_page("add-a-report.md", "yaml", "title: Weather"))
    by_key = of_page("dynamodb-source.md", "yaml", "title: Departures").replace("table: departures", f"table: {TABLE}")
    (reports / "departures.yaml").write_text(by_key)
    (reports / "from-new-york.yaml").write_text(by_key.replace("tenant: carrier", "tenant: origin"))
    (reports / "elsewhere.yaml").write_text(by_key.replace(TABLE, "another-table"))
    project.use("ReportsLayer", reports)
    return project.deploy("own", SourceTable=TABLE)


def exported(caller: Caller, report: str, **parameters: str) -> dict[str, Any]:
    answer = caller.post({"report": report, "format": "csv", "parameters": parameters})
    assert answer.status == 202, answer
    return caller.follow(answer.json).end


def test_a_newcomers_reports_are_exported(own: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the first export says while there is no data.
    airport = own.sign_up("JFK")
    june = {"from": "2013-06-01", "to": "2013-06-30"}
    early = exported(airport, "weather", **june)
    assert (early["status"], early["error"]["type"]) == ("FAILED", "SourceMissing")
    assert "no Parquet file under" in early["error"]["detail"]
    early = exported(airport, "from-new-york")
    assert (early["status"], early["error"]["type"]) == ("FAILED", "SourceMissing")
    assert f"there is no DynamoDB table {TABLE}" in early["error"]["detail"]

    # Parquet, as docs/howto/add-a-report.md makes it.
    monkeypatch.chdir(tmp_path)
    source = sample_data.source().with_name("weather.csv")
    (tmp_path / "weather.csv").write_bytes(source.read_bytes())
    exec(of_page("add-a-report.md", "python", "import pathlib"), {})
    for file in (tmp_path / "weather").rglob("*.parquet"):
        own.client("s3").upload_file(str(file), own["bucket"], f"data/{file.relative_to(tmp_path).as_posix()}")
    with source.open(newline="") as opened:
        hours = [row for row in csv.DictReader(opened) if row["time_hour"][:7] == "2013-06" and row["origin"] == "JFK"]
    weather = exported(airport, "weather", **june)
    assert (weather["status"], weather["rows"]) == ("SUCCEEDED", len(hours)), weather
    header, *rows = read(airport.download(weather).content)
    assert header == [
        "Hour (UTC)",
        "Humidity (%)",
        "Wind direction (°)",
        "Wind speed (mph)",
        "Temperature (°C)",
        "Gusts (mph)",
    ]
    assert [row[1] and float(row[1]) for row in rows] == [h["humid"] != "NA" and float(h["humid"]) for h in hours]

    # A table: by a range of the tenant's partition, and by segments where the tenant is not in the key.
    flights = put_flights(own)
    airline = own.sign_up("UA")
    by_range = exported(airline, "departures")
    united = [row for row in flights if row["carrier"] == "UA"]
    assert (by_range["status"], by_range["rows"]) == ("SUCCEEDED", len(united)), by_range
    assert cells(airline, by_range) == sorted(row["id"] for row in united)
    by_segments = exported(airport, "from-new-york")
    here = [row for row in flights if row["origin"] == "JFK"]
    assert (by_segments["status"], by_segments["rows"]) == ("SUCCEEDED", len(here)), by_segments
    assert sorted(cells(airport, by_segments)) == sorted(row["id"] for row in here)

    # The roles may read the table that SourceTable names, and no other.
    own.client("dynamodb").create_table(
        TableName="another-table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    refused = exported(airport, "elsewhere")
    assert (refused["status"], refused["error"]["type"]) == ("FAILED", "SourceUnavailable"), refused
    assert "dynamodb:DescribeTable" in refused["error"]["detail"]


def cells(caller: Caller, export: dict[str, Any]) -> list[str]:
    """The first column of a file."""
    return [row[0] for row in read(caller.download(export).content)[1:]]


def put_flights(own: Deployed) -> list[dict[str, Any]]:
    """A day's flights as items, by airline and a sort key."""
    client = own.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("carrier", "id")],
        KeySchema=[{"AttributeName": "carrier", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
    )
    serialize, items = TypeSerializer().serialize, []
    for number, row in enumerate(sample_data.read().head(400).to_dicts()):
        values = {name: row[name] for name in ("carrier", "origin", "dest", "dep_delay")} | {"id": f"{number:05}"}
        values["day"] = f"{row['year']}-{row['month']:02}-{row['day']:02}"
        items.append(values)
    for start in range(0, len(items), 25):
        put = [
            {"PutRequest": {"Item": {name: serialize(value) for name, value in item.items()}}}
            for item in items[start : start + 25]
        ]
        assert not client.batch_write_item(RequestItems={TABLE: put})["UnprocessedItems"]
    return items
