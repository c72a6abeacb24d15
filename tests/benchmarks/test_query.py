"""The benchmark of queries: every way gives the same result, so that their times may be compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from benchmarks import query, stub_s3
from shared.lambda_ import aws
from tests.support import quick_lane


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The datasets, which one stub of S3 serves, because clients are kept."""
    found = tmp_path_factory.mktemp("query")
    query.make(found, 3000)
    with stub_s3.serving(found, 0), quick_lane.opened():
        aws.s3.cache_clear()
        yield found
    aws.s3.cache_clear()


@pytest.mark.parametrize("asked", query.QUERIES)
def test_every_way_gives_the_same_rows(folder: Path, tmp_path: Path, asked: str) -> None:
    results = []
    for way in ("over S3", "over files", "polars"):
        out = tmp_path / f"{way}.parquet"
        query.RUNS[way](asked, folder, out, 500, 500)
        results.append(pl.read_parquet(out).rows())
    sample = query.run("RunQuery", asked, folder)
    assert results[0] == results[1]
    assert len(results[2]) == len(results[0]) == sample["rows"] > 0
    assert [row[:2] for row in results[2]] == [row[:2] for row in results[0]]
    assert min(sample["seconds"], sample["cpu"], sample["fetched"], sample["peak"]) > 0


def test_a_way_that_fails_is_no_measurement(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="over files, sort failed"):
        query.run("over files", "sort", folder, memory=0)
