"""RunQuery: one result for an export, made once, whoever asks again, and its receipt."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from shared.catalogue import reports
from shared.catalogue.reports import Report
from shared.errors import NotRunning, ParametersRefused, QueryChanged, QueryTooLarge, ServiceUnavailable
from shared.files import query_results
from shared.queries import engine
from tests.unit.lake import file
from tests.unit.queries.support import dataset, query
from tests.unit.support import EXPORT_ID, OWNER, Cloud, Context, running

Run = Callable[[], dict[str, Any]]
REPORT = query(
    "SELECT v FROM sales WHERE $least IS NULL OR v >= $least ORDER BY v DESC",
    {"v": "integer"},
    dataset("tenant", None, "sales", v="integer"),
    {"least": "integer"},
)
EVENT = {"owner": OWNER, "export_id": EXPORT_ID, "attempt": 1}
FOLDER = f"work/{EXPORT_ID}/query"


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Report]:
    """The deployed reports, which a test may change."""
    found = {"sales": REPORT}
    monkeypatch.setattr(reports, "report", found.__getitem__)
    return found


@pytest.fixture
def sources(cloud: Cloud, deployed: dict[str, Report], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with the dataset of the report, and the record of a running export."""
    variables = {"DATA_BUCKET": "lake", "DATA_PREFIX": "data", "EXPORTS_BUCKET": cloud.bucket}
    variables |= {"EXPORTS_TABLE": cloud.table, "MAX_ROWS_PER_EXPORT": "1000"}
    variables |= {"QUERY_MEMORY": "1024", "QUERY_SECONDS": "120", "QUERY_SPILL": "100"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cloud.s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    put(cloud, "a.parquet", 3, 1, 2)
    cloud.write(exported())
    return cloud  # type: ignore[return-value]


def put(cloud: Cloud, name: str, *values: int) -> None:
    content = file(tenant=["UA"] * len(values) + ["AA"], v=[*values, 99])
    cloud.s3.put_object(Bucket="lake", Key=f"data/sales/{name}", Body=content)


def exported(**more: Any) -> dict[str, Any]:
    return running(report="sales", parameters="{}", queries=True) | more


@pytest.fixture
def run(sources: Cloud) -> Run:
    """Invokes the function for the export."""
    app = importlib.import_module("run_query.app")
    return lambda: app.handler(EVENT, Context())


def stored(cloud: Cloud) -> dict[str, bytes]:
    """The export's objects, by key within its folder of queries."""
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket, Prefix=f"{FOLDER}/").get("Contents", [])
    read = {each["Key"]: cloud.s3.get_object(Bucket=cloud.bucket, Key=each["Key"])["Body"].read() for each in listed}
    return {key.removeprefix(f"{FOLDER}/"): content for key, content in read.items()}


def receipt(cloud: Cloud) -> Any:
    return json.loads(next(content for key, content in stored(cloud).items() if key.endswith("/result.json")))


def result(cloud: Cloud) -> list[int]:
    """The values of the file that the receipt names."""
    content = cloud.s3.get_object(Bucket=cloud.bucket, Key=receipt(cloud)["key"])["Body"].read()
    assert len(content) == receipt(cloud)["bytes"]
    return pl.read_parquet(io.BytesIO(content))["v"].to_list()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every call of S3 with its key or prefix."""
    seen, original = list[tuple[str, str]](), BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        seen.append((operation, str(parameters.get("Key", parameters.get("Prefix")))))
        return original(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", make)
    return seen


def test_a_result_is_one_file_and_a_receipt(run: Run, sources: Cloud) -> None:
    told = run()
    assert told == {"result": receipt(sources)["name"], "rows": 3}
    assert result(sources) == [3, 2, 1]
    assert len(stored(sources)) == 2
    assert {key: receipt(sources)[key] for key in ("rows", "engine")} == {"rows": 3, "engine": query_results.ENGINE}
    assert receipt(sources)["sources"]["sales"]["files"] == 1
    head = sources.s3.head_object(Bucket=sources.bucket, Key=receipt(sources)["key"])
    assert head["ETag"] == receipt(sources)["etag"]


def test_another_attempt_reads_no_data_and_gets_the_same_rows(
    run: Run, sources: Cloud, requests: list[tuple[str, str]]
) -> None:
    first = run()
    put(sources, "b.parquet", 7)
    put(sources, "a.parquet", 8)
    requests.clear()
    assert run() == first
    assert [operation for operation, _ in requests] == ["GetItem", "GetObject", "HeadObject"]
    assert result(sources) == [3, 2, 1]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_result_whose_file_has_vanished_is_made_anew(run: Run, sources: Cloud, how: str) -> None:
    first = run()
    old = receipt(sources)["key"]
    if how == "removed":
        sources.s3.delete_object(Bucket=sources.bucket, Key=old)
    else:
        sources.s3.put_object(Bucket=sources.bucket, Key=old, Body=b"other")
    put(sources, "b.parquet", 7)
    assert run() == first | {"rows": 4}
    assert receipt(sources)["key"] != old
    assert result(sources) == [7, 3, 2, 1]


@pytest.mark.parametrize("is_stale", [False, True])
def test_of_two_tries_at_once_the_first_receipt_stands(
    run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch, is_stale: bool
) -> None:
    """The other try ends while this one runs; with a receipt whose file has vanished, too."""
    if is_stale:
        run()
        sources.s3.delete_object(Bucket=sources.bucket, Key=receipt(sources)["key"])
    others, write = list[dict[str, Any]](), engine.write

    def write_after_another(*arguments: Any) -> Any:
        done = write(*arguments)
        if not others:
            others.append({})
            others.append(run())
            others.append(receipt(sources))
        return done

    monkeypatch.setattr(engine, "write", write_after_another)
    told = run()
    assert [{}, told, receipt(sources)] == others
    assert result(sources) == [3, 2, 1]


@pytest.mark.parametrize("times", [2, 100])
def test_a_receipt_that_s3_does_not_decide_on_is_written_again_and_then_the_query_is_tried_again(
    run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left, original = [times], BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "PutObject" and parameters["Key"].endswith("result.json") and left[0]:
            left[0] -= 1
            error: Any = {"Error": {"Code": "ConditionalRequestConflict", "Message": ""}}
            raise ClientError(error, operation)
        return original(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", make)
    if times == 2:
        assert run()["rows"] == 3
    else:
        with pytest.raises(ServiceUnavailable, match=r"result\.json: S3 is busy"):
            run()


def test_a_receipt_whose_stale_one_was_removed_meanwhile_is_written(
    run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    for key in stored(sources):
        if key.endswith(".parquet"):
            sources.s3.delete_object(Bucket=sources.bucket, Key=f"{FOLDER}/{key}")
    write = engine.write

    def removed(*arguments: Any) -> Any:
        for key in stored(sources):
            sources.s3.delete_object(Bucket=sources.bucket, Key=f"{FOLDER}/{key}")
        return write(*arguments)

    monkeypatch.setattr(engine, "write", removed)
    assert run()["rows"] == 3
    assert result(sources) == [3, 2, 1]


def test_a_record_that_cannot_be_read_for_a_while_does_not_end_the_query(
    run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, original = [0], BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "GetItem":
            asked[0] += 1
            if asked[0] > 1:
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return original(client, operation, parameters)

    write = engine.write

    def slow(*arguments: Any) -> Any:
        arguments[3]()
        return write(*arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", make)
    monkeypatch.setattr(engine, "write", slow)
    assert run()["rows"] == 3
    assert asked[0] == 2


def test_a_crash_before_the_receipt_leaves_no_result(run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as crash:
        crash.setattr(query_results, "publish", killed)
        with pytest.raises(MemoryError):
            run()
    left = list(stored(sources))
    assert [key.rpartition(".")[2] for key in left] == ["parquet"]
    assert run()["rows"] == 3
    assert receipt(sources)["key"].removeprefix(f"{FOLDER}/") not in left


def test_a_cancelled_export_runs_no_query(run: Run, sources: Cloud, requests: list[tuple[str, str]]) -> None:
    sources.write(exported(status="CANCELLED"))
    requests.clear()
    with pytest.raises(NotRunning):
        run()
    assert [operation for operation, _ in requests] == ["GetItem"]


def test_an_export_that_is_cancelled_meanwhile_stores_nothing(
    run: Run, sources: Cloud, deployed: dict[str, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "SELECT count(*) AS v FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = -1"
    deployed["sales"] = Report("sales", REPORT.definition, endless)
    monkeypatch.setattr(engine, "_LOOK", 0.2)
    copy = engine._copy

    def cancelled(*arguments: Any) -> int:
        sources.write(exported(status="CANCELLED"))
        return copy(*arguments)

    monkeypatch.setattr(engine, "_copy", cancelled)
    with pytest.raises(NotRunning):
        run()
    assert stored(sources) == {}


def test_no_folder_stays_on_the_disk(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run()
    assert list(tmp_path.iterdir()) == []


def test_parameters_that_the_definition_no_longer_accepts_are_refused(
    run: Run, sources: Cloud, deployed: dict[str, Report]
) -> None:
    sources.write(exported(parameters=json.dumps({"least": 2})))
    assert run()["rows"] == 2
    changed = REPORT.definition | {"parameters": {"least": {"title": "least", "type": "date"}}}
    deployed["sales"] = Report("sales", changed, REPORT.sql)
    with pytest.raises(ParametersRefused, match="least"):
        run()


def test_too_many_rows_are_refused_and_not_stored(run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_ROWS_PER_EXPORT", "2")
    with pytest.raises(QueryTooLarge, match="the query returns 3 rows; MaxRowsPerExport is 2"):
        run()
    assert stored(sources) == {}


def test_a_result_larger_than_one_upload_is_refused(run: Run, sources: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("run_query.app"), "_LARGEST", 100)
    with pytest.raises(QueryTooLarge, match="at most 100 bytes are allowed"):
        run()
    assert stored(sources) == {}


def test_a_changed_report_has_another_result_and_the_old_one_stays(
    run: Run, sources: Cloud, deployed: dict[str, Report]
) -> None:
    first = run()
    deployed["sales"] = Report("sales", REPORT.definition, REPORT.sql.replace("DESC", "ASC"))
    second = run()
    assert first["result"] != second["result"]
    assert query_results.require(EXPORT_ID, first["result"])["rows"] == 3
    with pytest.raises(QueryChanged, match="the report was changed, or a new version deployed"):
        query_results.require(EXPORT_ID, "0" * 16)


# The name of a result.


def name(report: Report = REPORT, **record: Any) -> str:
    return query_results.name(report, exported(**record))  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[], str]] = {
    "sql": lambda: name(Report("sales", REPORT.definition, REPORT.sql + " ")),
    "definition": lambda: name(Report("sales", REPORT.definition | {"title": "Other"}, REPORT.sql)),
    "parameters": lambda: name(parameters='{"least": 1}'),
    "another value": lambda: name(parameters='{"least": 2}'),
    "tenant": lambda: name(owner="AA#x"),
    "columns": lambda: name(columns='["v"]'),
    "sort": lambda: name(sort='[{"column": "v"}]'),
    "another way": lambda: name(sort='[{"column": "v", "descending": true}]'),
}


def test_the_name_of_a_result_changes_with_everything_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name(), *(change() for change in CHANGES.values())]
    monkeypatch.setattr(query_results, "ENGINE", "duckdb 9.9.9")
    names.append(name())
    assert len(set(names)) == len(CHANGES) + 2


def test_the_name_of_a_result_changes_with_nothing_else() -> None:
    other = {"export_id": EXPORT_ID.replace("7", "8"), "attempt": 9, "format": "xlsx", "options": '{"bom": true}'}
    other |= {"owner": "UA#somebody-else", "file_name": "x.csv", "created_at": "2027-01-01T00:00:00.000Z"}
    assert name(**other) == name()
    spaced = '{ "b": 1,  "a": "x" }'
    assert name(parameters=spaced) == name(parameters='{"a":"x","b":1}')
