"""GET /exports and below: how a caller's exports are shown, listed and handed out."""

import io
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from read_exports import app
from shared.api.explanations import explain, explain_to_user
from shared.files import work
from shared.lambda_ import aws, telemetry
from tests.unit.support import (
    CREATED,
    EXPORT_ID,
    HERE,
    OWNER,
    PLAN,
    Answer,
    Calls,
    Cloud,
    Frozen,
    busy,
    cancelled,
    cases,
    event,
    failed,
    number,
    pointers,
    queued,
    running,
    said_when_busy,
    succeeded,
    told,
)

Get = Callable[..., Answer]

OTHER_PLAN = "b81e60aa7c2f9d04"
WORK = f"work/{EXPORT_ID}/{PLAN}"


@pytest.fixture
def get(time: Frozen, api: Callable[[str, Any], Answer]) -> Get:
    """Sends an event of events/read_exports/, with another id, query or caller where given."""

    def get(
        case: str = "typical",
        export_id: str | None = None,
        query: dict[str, str] | None = None,
        known: dict[str, str] | None = None,
    ) -> Answer:
        given = event(f"read_exports/{case}")
        given["requestContext"].setdefault("authorizer", {}).update(known or {})
        if export_id is not None:
            given["pathParameters"] = {"id": export_id}
        if query is not None:
            given["queryStringParameters"] = query
        return api("ReadExports", given)

    return get


# ── AWS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_ever_written(get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(running(), succeeded(number(1)))
    calls.made.clear()
    for case in {*cases("read_exports")} - {"no_authorizer"}:
        get(case)
    assert set(calls.made) == {"GetItem", "Query", "Scan", "ListObjectsV2"}


@pytest.mark.parametrize(
    ("case", "operation"),
    [("typical", "GetItem"), ("list", "Query"), ("typical", "ListObjectsV2"), ("typical", "GetObject")],
)
def test_throttling_is_busy_and_another_error_stays_what_it_is(
    case: str, operation: str, get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(running())
    cloud.put(f"{WORK}/plan.json", {"plan": PLAN, "parts_total": 3})
    calls.fail(operation, "ThrottlingException")
    answered = get(case)
    assert busy(answered)
    assert answered.body["detail"] == said_when_busy("throttled")
    calls.fail(operation, "AccessDeniedException")
    with pytest.raises(ClientError):
        get(case)


# ── One export ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_export_shows_everything(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    answered = get()
    assert answered.status == 200
    assert "Retry-After" not in answered.headers
    assert answered.body == {
        "id": EXPORT_ID,
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-01-01", "to": "2013-12-31"},
        "options": {"spreadsheet_safe": True, "bom": False},
        "file_name": "flights-UA-20261123-2a8c41e7.csv",
        "status": "SUCCEEDED",
        "progress": {"parts_done": 12, "parts_total": 12},
        "created_at": CREATED,
        "started_at": "2026-11-23T09:12:32.100Z",
        "finished_at": "2026-11-23T09:12:40.700Z",
        "expires_at": "2026-11-30T09:12:40.000Z",
        "rows": 58665,
        "bytes": 5123456,
        "crc32": "0badcafe",
        "attempt": 1,
        "warning": None,
        "error": None,
        "links": {"self": HERE, "file": f"{HERE}/file"},
    }


@pytest.mark.parametrize("record", [queued(), running()], ids=["QUEUED", "RUNNING"])
def test_an_active_export_says_when_to_look_again_and_has_no_file(
    record: dict[str, Any], get: Get, cloud: Cloud
) -> None:
    cloud.write(record)
    answered = get()
    assert (answered.headers["Retry-After"], answered.body["links"]) == ("1", {"self": HERE})


def test_an_export_that_was_just_accepted_is_never_404(get: Get, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read consistently."""
    read, consistent = cloud.dynamodb.get_item, []

    def get_item(**given: Any) -> Any:
        consistent.append(given["ConsistentRead"])
        return read(**given)

    monkeypatch.setattr(cloud.dynamodb, "get_item", get_item)
    cloud.write(queued())
    assert get().status == 200
    assert consistent == [True]


def test_a_warning_is_shown_with_its_remedy(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded() | {"warning": "NoCellReferences"})
    assert get().body["warning"] == {
        "type": "NoCellReferences",
        "title": "The cells have no references",
        "remedy": "Excel and LibreOffice read the file. Readers that need cell references, such as exceljs, do not. "
        "For them, narrow the parameters.",
    }


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("s3://lake/data/a/month=1/f.parquet was replaced", "[hidden] was replaced"),
        (
            "no Parquet file under s3://lake/data/sales/; others are there",
            "no Parquet file under [hidden]; others are there",
        ),
        ("one of ['work/1/p/parts/000001', 'x'] was removed", "one of ['[hidden]', 'x'] was removed"),
        ("User: arn:aws:sts::1:assumed-role/r/f is not allowed", "User: [hidden] is not allowed"),
        ("(s3://lake/a b.parquet)", "([hidden] b.parquet)"),
    ],
)
def test_a_user_does_not_see_where_the_data_is(message: str, shown: str) -> None:
    failure: Any = {"state": "GeneratePart", "type": "X", "part": "", "error": json.dumps({"Cause": message})}
    assert explain(failure)["detail"] == message
    assert explain_to_user(failure, "sales")["detail"] == f"{shown} (the operators can see the complete detail)"


def test_only_a_failed_export_shows_its_error(get: Get, cloud: Cloud) -> None:
    message = "column dep_delay has a text in row 7"
    cause = json.dumps({"errorMessage": message, "errorType": "SourceChanged", "requestId": "1", "stackTrace": []})
    error = json.dumps({"Error": "SourceChanged", "Cause": cause})
    record = failed(state="GeneratePart", type="SourceChanged", part="0", error=error)
    cloud.write(record, running(number(1), failure=record["failure"]))
    shown = get().body
    assert shown["status"] == "FAILED"
    assert shown["error"] == {
        "type": "SourceChanged",
        "title": "The data changed during the export",
        "detail": message,
        "state": "GeneratePart",
        "part": 0,
        "retryable": True,
        "remedy": "Retry. The new attempt uses the current data.",
    }
    assert get(export_id=number(1)).body["error"] is None


def test_the_remedy_of_a_failed_export_names_the_file_of_its_report(get: Get, cloud: Cloud) -> None:
    cloud.write(failed(type="InvalidDefinition"))
    shown = get().body
    assert shown["error"]["remedy"] == f"Correct reports/{shown['report']}.yaml."


# ── Progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


def planned(parts_total: int, receipts: int, plan: str = PLAN) -> dict[str, Any]:
    """The objects of a plan and of its first parts, the last of which has no receipt yet."""
    folder = f"work/{EXPORT_ID}/{plan}"
    parts = {f"{folder}/parts/{part:06d}": "bytes" for part in range(receipts + 1)}
    proofs = {f"{folder}/receipts/{part:06d}.json": {"part": part} for part in range(receipts)}
    return (
        parts | proofs | {f"{folder}/parts.json": [], f"{folder}/plan.json": {"plan": plan, "parts_total": parts_total}}
    )


MARKERS = dict.fromkeys(
    [f"work/{EXPORT_ID}/{each}" for each in ("", f"{OTHER_PLAN}/", f"{PLAN}/", f"{PLAN}/receipts/")]
)
"""A console that makes a folder leaves an object whose key ends in a slash."""


@pytest.mark.parametrize(
    ("record", "objects", "done", "total"),
    [
        (running(), {}, 0, None),
        (running(), {f"{WORK}/parts.json": []}, 0, None),
        (running(), {f"work/{number(1)}/{PLAN}/plan.json": {"plan": PLAN, "parts_total": 3}}, 0, None),
        (running(), planned(3, receipts=0), 0, 3),
        (running(), planned(3, receipts=3), 3, 3),
        (running(), planned(3, receipts=1) | MARKERS, 1, 3),
        (failed(), planned(3, receipts=2), 2, 3),
        (queued(attempt=2), planned(3, receipts=2), 2, 3),
    ],
    ids=["no plan", "half a plan", "another's plan", "none", "all", "folders", "failed", "second attempt"],
)
def test_progress_is_the_number_of_receipts_of_the_plan(
    record: dict[str, Any], objects: dict[str, Any], done: int, total: int | None, get: Get, cloud: Cloud
) -> None:
    cloud.write(record)
    for key, content in objects.items():
        cloud.put(key, content)
    assert get().body["progress"] == {"parts_done": done, "parts_total": total}


@pytest.mark.parametrize(
    ("record", "objects", "phase"),
    [
        (running() | {"queries": True}, {f"work/{EXPORT_ID}/query/0123456789abcdef/result.json": {}}, "querying"),
        (running() | {"queries": True}, planned(3, receipts=1), "parts"),
        (failed() | {"queries": True}, planned(3, receipts=1), None),
        (running(), planned(3, receipts=1), None),
    ],
    ids=["no plan", "a plan", "failed", "no query"],
)
def test_a_running_export_of_a_query_says_whether_it_runs_the_query(
    record: dict[str, Any], objects: dict[str, Any], phase: str | None, get: Get, cloud: Cloud
) -> None:
    cloud.write(record)
    for key, content in objects.items():
        cloud.put(key, content)
    assert get().body["progress"].get("phase") == phase


def reading(calls: Calls, get: Get, export_id: str = EXPORT_ID) -> tuple[int, int | None, list[str]]:
    """Reads an export: its parts done, its parts, and the calls of S3."""
    calls.made.clear()
    progress = get(export_id=export_id).body["progress"]
    assert calls.made[0] == "GetItem"
    return progress["parts_done"], progress["parts_total"], calls.made[1:]


@pytest.mark.parametrize(("older", "newer"), [(PLAN, OTHER_PLAN), (OTHER_PLAN, PLAN)])
def test_the_newest_plan_counts(older: str, newer: str, get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    for key, content in (planned(9, 5, older) | planned(4, 1, newer)).items():
        cloud.put(key, content)
    cloud.age(f"work/{EXPORT_ID}/{older}/plan.json", seconds=60)
    assert get().body["progress"] == {"parts_done": 1, "parts_total": 4}


def test_a_plan_that_is_removed_while_it_is_looked_for_does_not_count(get: Get, cloud: Cloud, calls: Calls) -> None:
    """DeleteExport may remove it at the same time."""
    cloud.write(failed())
    cloud.put(f"{WORK}/plan.json", {"plan": PLAN, "parts_total": 3})
    calls.fail("GetObject", "NoSuchKey")
    assert get().body["progress"] == {"parts_done": 0, "parts_total": None}


def test_a_warm_function_reads_a_plan_once_and_lists_once_for_each_read(get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(running())
    for key, content in planned(3, receipts=1).items():
        cloud.put(key, content)
    assert reading(calls, get) == (1, 3, ["ListObjectsV2", "GetObject"])
    cloud.put(f"{WORK}/receipts/000001.json", {"part": 1})
    assert reading(calls, get) == (2, 3, ["ListObjectsV2"])


@pytest.mark.parametrize("attempt", [1, 2], ids=["PlanParts was tried again", "a retry"])
def test_another_plan_is_never_shown_with_the_parts_of_the_one_before(
    attempt: int, get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(running())
    for key, content in planned(9, receipts=5).items():
        cloud.put(key, content)
    cloud.age(f"{WORK}/plan.json", seconds=60)
    assert reading(calls, get)[:2] == (5, 9)
    cloud.write(running(attempt=attempt))
    assert reading(calls, get) == (5, 9, ["ListObjectsV2"])  # progress survives until there is another plan
    for key, content in planned(4, receipts=1, plan=OTHER_PLAN).items():
        cloud.put(key, content)
    assert reading(calls, get) == (1, 4, ["ListObjectsV2", "GetObject"])
    assert reading(calls, get) == (1, 4, ["ListObjectsV2"])


@pytest.mark.parametrize("record", [failed(), cancelled(), queued(attempt=2)], ids=["FAILED", "CANCELLED", "QUEUED"])
def test_a_plan_that_was_removed_is_not_remembered(
    record: dict[str, Any], get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(record)
    for key, content in planned(3, receipts=2).items():
        cloud.put(key, content)
    assert reading(calls, get)[:2] == (2, 3)
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=f"{WORK}/plan.json")
    assert reading(calls, get) == (0, None, ["ListObjectsV2"])


def test_an_export_never_shows_the_parts_of_another_export(get: Get, cloud: Cloud) -> None:
    cloud.write(running(), running(number(1)))
    cloud.put(f"{WORK}/plan.json", {"plan": PLAN, "parts_total": 3})
    cloud.put(f"work/{number(1)}/{PLAN}/plan.json", {"plan": PLAN, "parts_total": 9})
    assert [get(export_id=each).body["progress"]["parts_total"] for each in (EXPORT_ID, number(1))] == [3, 9]


def test_a_function_remembers_a_limited_number_of_plans(
    get: Get, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work.parts_total.cache_info().maxsize == 1_000
    monkeypatch.setattr(work, "parts_total", lru_cache(2)(work.parts_total.__wrapped__))
    for index in range(3):
        cloud.write(running(number(index)))
        cloud.put(f"work/{number(index)}/{PLAN}/plan.json", {"plan": PLAN, "parts_total": index + 1})
    for index, asked in ((0, True), (1, True), (1, False), (2, True), (1, False), (0, True)):
        done, total, made = reading(calls, get, number(index))
        assert (done, total, "GetObject" in made) == (0, index + 1, asked)


def test_many_parts_cost_one_list_for_each_page_of_receipts(
    get: Get, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of all parts are one entry of a page, and so are plan.json and parts.json."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    cloud.write(running())
    for key, content in planned(40, receipts=27).items():
        cloud.put(key, content)
    assert reading(calls, get) == (27, 40, ["ListObjectsV2"] * 3 + ["GetObject"])
    cloud.put(f"{WORK}/receipts/000027.json", {"part": 27})
    assert reading(calls, get) == (28, 40, ["ListObjectsV2"] * 4)


def test_a_finished_export_is_shown_from_its_record(get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(succeeded())
    assert reading(calls, get) == (12, 12, [])


# ── The file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def signed(url: str) -> dict[str, str]:
    """The query parameters of a presigned URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_file_is_a_redirect_to_a_url_that_is_signed_without_asking_aws(
    get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(succeeded())
    calls.made.clear()
    answered = get("file")
    assert calls.made == ["GetItem"]
    assert (answered.status, answered.body) == (302, None)
    parts, query = urlsplit(answered.headers["Location"]), signed(answered.headers["Location"])
    assert (parts.scheme, parts.netloc) == ("https", "report-exports-local.s3.eu-west-1.amazonaws.com")
    assert parts.path == "/" + succeeded()["file_key"]
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Credential"].endswith("/eu-west-1/s3/aws4_request")
    assert query["X-Amz-Expires"] == "300"
    assert query["response-content-disposition"] == 'attachment; filename="flights-UA-20261123-2a8c41e7.csv"'


def test_a_caller_who_accepts_json_gets_the_url_as_json(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    answered = get("file_as_json")
    assert (answered.status, answered.headers.get("Location")) == (200, None)
    assert signed(answered.body.pop("url"))["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert answered.body == {
        "file_name": "flights-UA-20261123-2a8c41e7.csv",
        "expires_at": "2026-11-23T09:17:31.482Z",
    }


def test_the_log_says_whose_file_was_handed_out_until_when_and_not_where(
    get: Get, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", stream)
    cloud.write(succeeded())
    get("file")
    (line,) = stream.getvalue().splitlines()
    known = {"correlation_id": EXPORT_ID, "owner": OWNER, "expires_at": "2026-11-23T09:17:31.482Z"}
    assert json.loads(line).items() >= ({"message": "file address signed"} | known).items()
    assert "X-Amz" not in line


def test_a_url_does_not_outlive_the_file_but_is_valid_in_its_last_moment(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(expires_at="2026-11-23T09:13:31.482Z"))
    answered = get("file_as_json")
    assert signed(answered.body["url"])["X-Amz-Expires"] == "60"
    assert answered.body["expires_at"] == "2026-11-23T09:13:31.482Z"
    cloud.write(succeeded(expires_at="2026-11-23T09:12:31.483Z"))
    assert signed(get("file").headers["Location"])["X-Amz-Expires"] == "1"


def test_a_url_names_the_regions_own_host(get: Get, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The global host answers a redirect, which no signature survives."""
    cloud.write(succeeded())
    for region, host in (
        ("us-east-1", "s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(boto3, "client", boto3.Session(region_name=region).client)
            aws.prompt_s3.cache_clear()
            aws.prompt_s3()
        assert urlsplit(get("file").headers["Location"]).netloc == f"report-exports-local.{host}"


def test_only_a_succeeded_export_has_a_file(get: Get, cloud: Cloud) -> None:
    for record in (queued(), running(), failed(), cancelled()):
        cloud.write(record)
        problem = (
            *(409, "not-ready", "The export has no file"),
            f"The export is {record['status']}. Only a SUCCEEDED export has a file.",
        )
        assert told(get("file")) == told(get("file_as_json")) == problem


def test_a_file_expires_and_the_record_does_not_say_so(get: Get, cloud: Cloud, time: Frozen) -> None:
    cloud.write(succeeded())
    time.pass_by(days=7, seconds=8)
    assert get().body["status"] == "SUCCEEDED"
    time.pass_by(milliseconds=518)
    shown = get().body
    assert (shown["status"], shown["links"], shown["rows"]) == ("EXPIRED", {"self": HERE}, 58665)
    problem = (
        *(410, "expired", "The file has expired"),
        "The file expired at 2026-11-30T09:12:40.000Z. Request the export again.",
    )
    assert told(get("file")) == told(get("file_as_json")) == problem
    assert cloud.records() == [succeeded()]


# ── The list ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ids(answered: Answer) -> list[str]:
    assert answered.status == 200
    return [each["id"] for each in answered.body["exports"]]


def pages(get: Get, **query: str) -> list[list[str]]:
    """The ids on each page of a list, to its end."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while not found or cursor:
        answered = get("list", query=query | cursor)
        found.append(ids(answered))
        cursor = {"cursor": answered.body["cursor"]} if answered.body["cursor"] else {}
    return found


def newest(*indexes: int) -> list[str]:
    """The ids of exports."""
    return [number(index) for index in indexes]


def test_a_caller_without_exports_gets_an_empty_list(get: Get, cloud: Cloud) -> None:
    assert get("list").body == {"exports": [], "cursor": None}


def test_the_newest_comes_first_and_each_is_shown_as_it_is_alone_but_uncounted(
    get: Get, cloud: Cloud, calls: Calls
) -> None:
    key = {"owner": OWNER, "export_id": f"key#{'0' * 64}", "first_export_id": EXPORT_ID, "body_hash": "x"}
    cloud.write(succeeded(number(2)), running(number(0)), failed(), key, key | {"export_id": f"key#{'f' * 64}"})
    for object_key, content in planned(3, receipts=2).items():
        cloud.put(object_key, content)
    calls.made.clear()
    answered = get("list").body
    assert calls.made == ["Query"]
    alone = [get(export_id=each).body for each in (EXPORT_ID, number(2), number(0))]
    assert [each["progress"]["parts_done"] for each in alone] == [2, 12, 0]
    for each in (alone[0], alone[2]):
        each["progress"] = {"parts_done": None, "parts_total": None}
    assert answered == {"exports": alone, "cursor": None}


def test_a_page_has_20_exports_or_up_to_100_where_asked_for(get: Get, cloud: Cloud) -> None:
    cloud.write(*(succeeded(number(index)) for index in range(101)))
    assert ids(get("list")) == newest(*range(100, 80, -1))
    assert ids(get("list", query={"limit": "100"})) == newest(*range(100, 0, -1))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_last_page_has_no_cursor(limit: int, get: Get, cloud: Cloud) -> None:
    cloud.write(*(succeeded(number(index)) for index in range(3)))
    assert (
        pages(get, limit=str(limit))
        == {
            1: [newest(2), newest(1), newest(0)],
            2: [newest(2, 1), newest(0)],
            3: [newest(2, 1, 0)],
        }[limit]
    )


def test_the_list_can_be_narrowed_to_a_status(get: Get, cloud: Cloud) -> None:
    every = {
        "QUEUED": queued(number(0)),
        "RUNNING": running(number(1)),
        "SUCCEEDED": succeeded(number(2)),
        "FAILED": failed(number(3)),
        "CANCELLED": cancelled(number(4)),
        "EXPIRED": succeeded(number(5), expires_at=CREATED),
    }
    cloud.write(*every.values())
    for status, record in every.items():
        [shown] = get("list", query={"status": status}).body["exports"]
        assert (shown["id"], shown["status"]) == (record["export_id"], status)


def test_a_narrowed_list_has_full_pages(get: Get, cloud: Cloud) -> None:
    cloud.write(*(succeeded(number(index)) if index % 3 else running(number(index)) for index in range(12)))
    assert pages(get, status="RUNNING", limit="3") == [newest(9, 6, 3), newest(0)]


def test_a_page_examines_a_limited_number_of_records(get: Get, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many have another status: the page is short or empty, and its cursor leads on."""
    monkeypatch.setattr(app, "_EXAMINED", 4)
    cloud.write(*(failed(number(index)) if index in (1, 9) else succeeded(number(index)) for index in range(10)))
    assert pages(get, status="FAILED", limit="2") == [newest(9), [], newest(1)]


def test_a_cursor_leads_on_with_another_limit_and_when_its_export_is_removed(get: Get, cloud: Cloud) -> None:
    cloud.write(*(succeeded(number(index)) for index in range(4)))
    cursor = get("list", query={"limit": "1"}).body["cursor"]
    key = {"owner": {"S": OWNER}, "export_id": {"S": number(3)}}
    cloud.dynamodb.delete_item(TableName=cloud.table, Key=key)
    assert ids(get("list", query={"cursor": cursor, "limit": "2"})) == newest(2, 1)


def test_a_cursor_of_another_list_is_refused(get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(*(succeeded(number(index)) for index in range(3)))
    cursor = get("list", query={"limit": "1"}).body["cursor"]
    narrowed = get("list", query={"limit": "1", "status": "SUCCEEDED"}).body["cursor"]
    calls.made.clear()
    for query, known in (
        ({"cursor": cursor}, {"user": "someone-else"}),
        ({"cursor": cursor}, {"tenant": "DL"}),
        ({"cursor": cursor, "status": "SUCCEEDED"}, {}),
        ({"cursor": narrowed}, {}),
        ({"cursor": ""}, {}),
        ({"cursor": "x"}, {}),
    ):
        assert get("list", query=query, known=known).body["errors"] == [
            {
                "pointer": "/cursor",
                "detail": "is not a cursor of this list",
                "allowed": "the unchanged cursor of the previous page, from the same caller and with the same status",
            }
        ]
    assert calls.made == []


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"status": "DONE"}, ["/status"]),
        ({"status": "running"}, ["/status"]),
        ({"limit": "0"}, ["/limit"]),
        ({"limit": "101"}, ["/limit"]),
        ({"limit": "-1"}, ["/limit"]),
        ({"limit": "٣"}, ["/limit"]),
        ({"page": "2"}, ["/page"]),
        ({"limit": "", "status": "", "cursor": "x"}, ["/limit", "/status"]),
        ({"cursor": "A" * 201}, ["/cursor"]),
    ],
)
@pytest.mark.usefixtures("no_aws")
def test_a_bad_query_is_refused(query: dict[str, str], places: list[str], get: Get) -> None:
    assert pointers(get("list", query=query)) == places


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_limits_say_how_many_exports_may_still_be_requested(get: Get, cloud: Cloud) -> None:
    others = ["UA#someone-else", "UA#auth0=7C7b", "UAL#x", "DL#x"]
    cloud.write(
        succeeded(), *(running(number(90 + at), owner=each, active_owner=each) for at, each in enumerate(others))
    )
    for used, remaining in ((0, 5), (2, 3), (5, 0), (6, 0)):
        cloud.write(*(running(number(index)) for index in range(used)))
        assert get("limits").body == {
            "active_exports": {"limit": 5, "used": used, "remaining": remaining},
            "active_exports_of_tenant": {"limit": 50, "used": used + 2, "remaining": 48 - used},
            "rows_per_export": 1_000_000_000,
            "retention_days": 7,
        }
