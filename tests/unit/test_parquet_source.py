"""Source parquet over HTTP, as it runs when deployed: obstore reads footers, and boto3 what obstore does not get."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.datasets import objects
from shared.engine.sources import parquet
from shared.errors import SourceChanged
from tests.support import quick_lane
from tests.unit.lake import BUCKET, file, over_http, query, shown

FOLDER = "data/sales/year=2020/month=1/"


@pytest.fixture
def s3(server: str) -> Iterator[Any]:
    """An empty data bucket."""
    with over_http(server) as client, quick_lane.opened():
        yield client


def test_of_many_files_only_the_footers_are_asked_for_and_not_by_boto3(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}.parquet" for number in range(20)]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=FOLDER + name, Body=file(2, amount=[1, 2, 3]))
    s3.put_object(Bucket=BUCKET, Key=FOLDER + "groups.parquet", Body=file(5, amount=list(range(1000))))
    asked: list[Any] = []
    monkeypatch.setattr(objects, "tail", lambda *what: asked.append(what))
    extents: list[Any] = parquet.plan(query("amount"))[1]
    assert [(extent["key"].removeprefix(FOLDER), extent["offset"], extent["rows"]) for extent in extents] == [
        *((name, at, rows) for name in names for at, rows in ((0, 2), (2, 1))),
        *(("groups.parquet", at, 5) for at in range(0, 1000, 5)),
    ]
    assert asked == []


def test_odd_file_names_are_read(s3: Any) -> None:
    for name in ("with space.parquet", "a%20b.parquet", "a[1].parquet", "stern*.parquet", "ä?.parquet"):
        s3.put_object(Bucket=BUCKET, Key=FOLDER + name, Body=file(amount=[5]))
    assert shown(query("amount", "year")) == [(5, 2020)] * 5


def test_what_obstore_does_not_get_boto3_names(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path has no empty folders, and its errors no codes."""
    key = FOLDER + "/a%20b.parquet"
    s3.put_object(Bucket=BUCKET, Key=key, Body=file(amount=[5]))
    assert shown(query("amount")) == [(5,)]
    found = list(objects.found("sales"))
    monkeypatch.setattr(objects, "found", lambda _: iter(found))
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"another")
    with pytest.raises(SourceChanged, match="was replaced"):
        parquet.plan(query("amount"))
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(SourceChanged, match="was removed"):
        parquet.plan(query("amount"))
