"""GET /exports and below: what a caller may know of the caller's own exports, and nothing of anybody else's."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from read_exports import app
from shared.api import cursors
from shared.lambda_ import aws
from tests.unit.support import (
    CREATED,
    EXPORT_ID,
    HERE,
    NO_ANSWER,
    OWNER,
    PLAN,
    TENANT,
    Answer,
    Calls,
    Cloud,
    Frozen,
    busy,
    cancelled,
    event,
    failed,
    kind,
    number,
    queued,
    running,
    said_when_busy,
    succeeded,
)

Get = Callable[..., Answer]

OTHER_PLAN = "b81e60aa7c2f9d04"

# What each event under events/ is answered when the caller has one export, which has SUCCEEDED.
OUTCOMES = {
    "custom_domain": 200,
    "file": 302,
    "file_as_json": 200,
    "limits": 200,
    "list": 200,
    "list_bad_query": 400,
    "list_page": 200,
    "malformed_id": 404,
    "typical": 200,
}


@pytest.fixture
def get(cloud: Cloud, time: Frozen, api: Callable[[str, Any], Answer]) -> Get:
    """Sends an event of events/read_exports/, with another id, query, header or claim where given."""

    def get(
        case: str = "typical",
        export_id: str | None = None,
        query: dict[str, str] | None = None,
        claims: dict[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        given = event(f"read_exports/{case}")
        given["headers"] |= headers
        given["requestContext"]["authorizer"]["claims"] |= claims or {}
        if export_id is not None:
            given["pathParameters"] = {"id": export_id}
        if query is not None:
            given["queryStringParameters"] = query
        return api("ReadExports", given)

    return get


# ── The events under events/ ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("case", "status"), OUTCOMES.items())
def test_an_event_is_answered(case: str, status: int, get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    assert get(case).status == status


@pytest.mark.parametrize("case", sorted(OUTCOMES))
def test_nothing_is_ever_written(case: str, get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(succeeded(), running(number(1)))
    calls.made.clear()
    get(case)
    assert set(calls.made) <= {"GetItem", "Query", "ListObjectsV2", "HeadObject", "GetObject"}


@pytest.mark.parametrize("case", sorted(OUTCOMES))
def test_a_token_of_another_client_is_refused_before_anything_else(case: str, get: Get, calls: Calls) -> None:
    assert get(case, claims={"aud": "another"}).status == 401
    assert calls.made == []


@pytest.mark.parametrize("case", sorted(OUTCOMES))
def test_a_caller_without_a_tenant_is_refused_before_anything_else(case: str, get: Get, calls: Calls) -> None:
    assert get(case, claims={"custom:tenant_id": ""}).status == 403
    assert calls.made == []


@pytest.mark.parametrize(
    ("case", "operation", "code"),
    [
        ("typical", "GetItem", "AccessDeniedException"),
        ("list", "Query", "ResourceNotFoundException"),
        ("typical", "ListObjectsV2", "AccessDenied"),
        ("typical", "HeadObject", "403"),
    ],
)
def test_another_error_of_aws_is_not_swallowed(
    case: str, operation: str, code: str, get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(running())
    cloud.put(f"work/{EXPORT_ID}/{PLAN}/plan.json", {"plan": PLAN, "parts_total": 3})
    calls.fail(operation, code)
    with pytest.raises(ClientError):
        get(case)


@pytest.mark.parametrize(
    ("case", "operation", "failure"),
    [
        ("typical", "GetItem", "ProvisionedThroughputExceededException"),
        ("typical", "GetItem", NO_ANSWER),
        ("file", "GetItem", "ThrottlingException"),
        ("list", "Query", "ThrottlingException"),
        ("limits", "Query", NO_ANSWER),
        ("typical", "ListObjectsV2", "SlowDown"),
        ("list", "ListObjectsV2", "SlowDown"),
        ("typical", "HeadObject", NO_ANSWER),
    ],
)
def test_aws_that_throttles_or_does_not_answer_is_said_to_be_busy(
    case: str, operation: str, failure: str | Exception, get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(running())
    cloud.put(f"work/{EXPORT_ID}/{PLAN}/plan.json", {"plan": PLAN, "parts_total": 3})
    calls.fail(operation, failure)
    answered = get(case)
    assert busy(answered)
    assert answered.body["detail"] == said_when_busy(failure)


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
def test_an_export_under_way_says_when_to_look_again(record: dict[str, Any], get: Get, cloud: Cloud) -> None:
    cloud.write(record)
    answered = get()
    assert answered.headers["Retry-After"] == "1"
    assert answered.body["links"] == {"self": HERE}


def test_what_the_file_lacks_is_told_with_its_remedy(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded() | {"warning": "NoCellReferences"})
    told = get().body["warning"]
    assert (told["type"], told["title"]) == ("NoCellReferences", "The cells have no references")
    assert "narrow the parameters" in told["remedy"]


def test_nothing_is_cached_on_the_way(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    assert get().headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("case", ["typical", "file", "file_as_json"])
@pytest.mark.parametrize(
    "claims",
    [{"sub": "someone-else"}, {"custom:tenant_id": "DL"}, {"custom:tenant_id": "U"}],
    ids=["another user", "another tenant", "a tenant whose name begins alike"],
)
def test_an_export_of_somebody_else_is_not_there(case: str, claims: dict[str, str], get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    answered = get(case, claims=claims)
    assert (answered.status, kind(answered)) == (404, "no-such-export")
    assert EXPORT_ID not in json.dumps(answered.body)


@pytest.mark.parametrize("case", ["typical", "file"])
def test_an_export_that_is_not_there_is_answered_as_one_of_somebody_else(case: str, get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    assert get(case, export_id=number(1)) == get(case, claims={"sub": "someone-else"})


@pytest.mark.parametrize(
    "export_id",
    [
        "",
        "x",
        EXPORT_ID.upper(),
        EXPORT_ID + "\n",
        EXPORT_ID + "/",
        EXPORT_ID.replace("-", ""),
        EXPORT_ID.replace("-7c3e", "-4c3e"),
        "key#" + "0" * 64,
        "../" + EXPORT_ID,
        "٠" + EXPORT_ID[1:],
    ],
)
def test_an_id_that_is_none_is_not_there_and_is_not_looked_up(
    export_id: str, get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write({"owner": OWNER, "export_id": "key#" + "0" * 64, "first_export_id": EXPORT_ID, "body_hash": ""})
    calls.made.clear()
    answered = get(export_id=export_id)
    assert (answered.status, kind(answered)) == (404, "no-such-export")
    assert calls.made == []


def test_an_export_is_read_consistently(get: Get, cloud: Cloud) -> None:
    """An export that was just accepted is never 404."""
    seen = []
    cloud.dynamodb.meta.events.register(
        "provide-client-params.dynamodb.GetItem", lambda params, **_: seen.append(params)
    )
    cloud.write(queued())
    get()
    assert [params["ConsistentRead"] for params in seen] == [True]


# ── Progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


def plan(cloud: Cloud, name: str, parts_total: int, receipts: int) -> str:
    """Writes a plan of the export and the receipts of its first parts; the plan's key."""
    for part in range(receipts):
        cloud.put(f"work/{EXPORT_ID}/{name}/parts/{part:06d}", "bytes")
        cloud.put(f"work/{EXPORT_ID}/{name}/receipts/{part:06d}.json", {"part": part})
    cloud.put(f"work/{EXPORT_ID}/{name}/parts.json", [])
    cloud.put(f"work/{EXPORT_ID}/{name}/plan.json", {"plan": name, "parts_total": parts_total})
    return f"work/{EXPORT_ID}/{name}/plan.json"


def test_before_there_is_a_plan_the_total_is_unknown(get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    assert get().body["progress"] == {"parts_done": 0, "parts_total": None}


def test_a_plan_that_is_still_being_written_is_none(get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    cloud.put(f"work/{EXPORT_ID}/{PLAN}/parts.json", [])
    assert get().body["progress"] == {"parts_done": 0, "parts_total": None}


@pytest.mark.parametrize("receipts", [0, 2, 3])
def test_progress_is_the_number_of_receipts(receipts: int, get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    plan(cloud, PLAN, 3, receipts)
    cloud.put(f"work/{EXPORT_ID}/{PLAN}/parts/{receipts:06d}", "a part whose receipt is not there yet")
    assert get().body["progress"] == {"parts_done": receipts, "parts_total": 3}


def test_the_markers_of_folders_are_no_receipts_and_no_plans(get: Get, cloud: Cloud) -> None:
    """A console that makes a folder leaves an object whose key ends in a slash."""
    cloud.write(running())
    plan(cloud, PLAN, 3, receipts=1)
    for marker in ("", f"{OTHER_PLAN}/", f"{PLAN}/", f"{PLAN}/receipts/"):
        cloud.put(f"work/{EXPORT_ID}/{marker}", "")
    assert get().body["progress"] == {"parts_done": 1, "parts_total": 3}


def test_a_plan_that_is_removed_while_it_is_looked_for_is_none(get: Get, cloud: Cloud, calls: Calls) -> None:
    """As DeleteExport does, beside a page that shows the export."""
    cloud.write(failed())
    plan(cloud, PLAN, 3, receipts=1)
    calls.fail("GetObject", "NoSuchKey")
    assert get().body["progress"] == {"parts_done": 0, "parts_total": None}


@pytest.mark.parametrize(("older", "newer"), [(PLAN, OTHER_PLAN), (OTHER_PLAN, PLAN)])
def test_the_newest_plan_counts(older: str, newer: str, get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    cloud.age(plan(cloud, older, 9, receipts=5), seconds=60)
    plan(cloud, newer, 4, receipts=1)
    assert get().body["progress"] == {"parts_done": 1, "parts_total": 4}


def test_the_receipts_of_another_export_do_not_count(get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    cloud.put(f"work/{number(1)}/{PLAN}/plan.json", {"plan": PLAN, "parts_total": 3})
    assert get().body["progress"] == {"parts_done": 0, "parts_total": None}


def test_a_failed_export_shows_how_far_it_came(get: Get, cloud: Cloud) -> None:
    cloud.write(failed())
    plan(cloud, PLAN, 3, receipts=2)
    assert get().body["progress"] == {"parts_done": 2, "parts_total": 3}


def test_a_new_attempt_does_not_go_back(get: Get, cloud: Cloud) -> None:
    cloud.write(queued(attempt=2))
    plan(cloud, PLAN, 3, receipts=2)
    assert get().body["progress"] == {"parts_done": 2, "parts_total": 3}


def test_progress_is_what_it_is_now(get: Get, cloud: Cloud) -> None:
    cloud.write(running())
    plan(cloud, PLAN, 3, receipts=1)
    assert get().body["progress"]["parts_done"] == 1
    cloud.put(f"work/{EXPORT_ID}/{PLAN}/receipts/000001.json", {"part": 1})
    assert get().body["progress"]["parts_done"] == 2


def test_progress_is_each_exports_own(get: Get, cloud: Cloud) -> None:
    cloud.write(running(), running(number(1)))
    plan(cloud, PLAN, 3, receipts=1)
    assert get().body["progress"] == {"parts_done": 1, "parts_total": 3}
    assert get(export_id=number(1)).body["progress"] == {"parts_done": 0, "parts_total": None}


# ── The file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def signed(url: str) -> tuple[Any, dict[str, str]]:
    """A presigned address, split; its query parameters."""
    parts = urlsplit(url)
    return parts, {name: values[0] for name, values in parse_qs(parts.query).items()}


def test_the_file_is_a_redirect_to_an_address_signed_now(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    answered = get("file")
    assert answered.status == 302
    assert answered.body is None
    assert "Content-Type" not in answered.headers
    parts, query = signed(answered.headers["Location"])
    assert (parts.scheme, parts.netloc) == ("https", "report-exports-local.s3.eu-west-1.amazonaws.com")
    assert parts.path == "/" + succeeded()["file_key"]
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Credential"].endswith("/eu-west-1/s3/aws4_request")
    assert query["X-Amz-Expires"] == "300"
    assert query["response-content-disposition"] == 'attachment; filename="flights-UA-20261123-2a8c41e7.csv"'


def test_who_wants_json_gets_the_address_as_json(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    answered = get("file_as_json")
    assert answered.status == 200
    assert "Location" not in answered.headers
    _, query = signed(answered.body.pop("url"))
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert answered.body == {
        "file_name": "flights-UA-20261123-2a8c41e7.csv",
        "expires_at": "2026-11-23T09:17:31.482Z",
    }


def test_the_file_can_be_fetched_from_the_address_alone(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded())
    cloud.s3.put_object(Bucket=cloud.bucket, Key=succeeded()["file_key"], Body=b"Year,Month\n2013,1\n")
    url = get("file_as_json").body["url"]
    bucket, key = urlsplit(url).netloc.split(".")[0], urlsplit(url).path[1:]
    assert cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"Year,Month\n2013,1\n"


def test_an_address_does_not_outlive_the_file(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(expires_at="2026-11-23T09:13:31.482Z"))
    answered = get("file_as_json")
    assert signed(answered.body["url"])[1]["X-Amz-Expires"] == "60"
    assert answered.body["expires_at"] == "2026-11-23T09:13:31.482Z"


def test_an_address_in_the_files_last_moment_is_still_valid(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(expires_at="2026-11-23T09:12:31.483Z"))
    assert signed(get("file").headers["Location"])[1]["X-Amz-Expires"] == "1"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "s3.us-east-1.amazonaws.com"),
        ("ap-southeast-2", "s3.ap-southeast-2.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_an_address_names_the_regions_own_host(
    region: str, host: str, get: Get, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The global host answers a redirect, which no signature survives."""
    cloud.write(succeeded())
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(boto3, "client", boto3.Session(region_name=region).client)
        aws.prompt_s3.cache_clear()
        aws.prompt_s3()
    url = get("file").headers["Location"]
    assert urlsplit(url).netloc == f"report-exports-local.{host}"


def test_the_address_is_signed_without_asking_aws(get: Get, cloud: Cloud, calls: Calls) -> None:
    cloud.write(succeeded())
    calls.made.clear()
    get("file")
    assert calls.made == ["GetItem"]


@pytest.mark.parametrize("record", [queued(), running(), failed(), cancelled()], ids=lambda r: r["status"])
@pytest.mark.parametrize("case", ["file", "file_as_json"])
def test_there_is_no_file_before_the_export_succeeded(
    case: str, record: dict[str, Any], get: Get, cloud: Cloud
) -> None:
    cloud.write(record)
    answered = get(case)
    assert (answered.status, kind(answered)) == (409, "not-ready")
    assert answered.body["detail"].startswith(f"The export is {record['status']}.")


@pytest.mark.parametrize("case", ["file", "file_as_json"])
def test_a_file_that_expired_is_gone(case: str, get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(expires_at=CREATED))
    answered = get(case)
    assert (answered.status, kind(answered)) == (410, "expired")
    assert CREATED in answered.body["detail"]


def test_expired_is_derived_and_never_written(get: Get, cloud: Cloud, time: Frozen) -> None:
    cloud.write(succeeded())
    time.pass_by(days=7, seconds=8)
    assert get().body["status"] == "SUCCEEDED"
    time.pass_by(seconds=1)
    shown = get().body
    assert shown["status"] == "EXPIRED"
    assert shown["links"] == {"self": HERE}
    assert shown["rows"] == 58665
    assert [record["status"] for record in cloud.records()] == ["SUCCEEDED"]


# ── What went wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def caught(error: str, cause: str | None) -> str:
    """A Catch's output as the state machine stores it."""
    return json.dumps({"Error": error} | ({} if cause is None else {"Cause": cause}))


def test_an_error_of_a_function_is_explained(get: Get, cloud: Cloud) -> None:
    message = "s3://lake/data/flights/year=2013/month=1/flights.parquet was replaced after the export was planned"
    cause = json.dumps({"errorMessage": message, "errorType": "SourceChanged", "requestId": "1", "stackTrace": []})
    cloud.write(
        failed(state="GeneratePart", type="SourceChanged", part="0", error=caught("SourceChanged", cause)),
    )
    answered = get()
    assert answered.body["status"] == "FAILED"
    assert answered.body["error"] == {
        "type": "SourceChanged",
        "title": "The data changed during the export",
        "detail": message,
        "state": "GeneratePart",
        "part": 0,
        "retryable": True,
        "remedy": "Retry. The new attempt uses the current data.",
    }


def test_an_error_of_a_service_is_shown_with_its_text(get: Get, cloud: Cloud) -> None:
    name = "S3.S3Exception"
    cloud.write(failed(state="FanOutParts", type=name, error=caught(name, "Access Denied (Status Code: 403)")))
    error = get().body["error"]
    assert (error["type"], error["detail"]) == (name, "Access Denied (Status Code: 403)")
    assert (error["title"], error["part"]) == ("An AWS service failed", None)


def test_an_error_without_a_cause_has_no_detail(get: Get, cloud: Cloud) -> None:
    cloud.write(failed(type="States.Timeout", error=caught("States.Timeout", None)))
    error = get().body["error"]
    assert (error["title"], error["detail"], error["retryable"]) == ("A step took too long", "", True)


def test_only_an_export_that_failed_shows_an_error(get: Get, cloud: Cloud) -> None:
    failure = failed(type="States.Timeout", error=caught("States.Timeout", None))["failure"]
    cloud.write(running(failure=failure))
    assert get().body["error"] is None


# ── The list ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ids(answered: Answer) -> list[str]:
    assert answered.status == 200
    return [each["id"] for each in answered.body["exports"]]


def test_who_has_none_gets_an_empty_list(get: Get) -> None:
    answered = get("list")
    assert (answered.status, answered.body) == (200, {"exports": [], "cursor": None})


def test_the_newest_comes_first(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(number(2)), succeeded(number(0)), running(number(1)))
    answered = get("list")
    assert ids(answered) == [number(2), number(1), number(0)]
    assert answered.body["cursor"] is None


def test_each_is_shown_as_it_is_alone(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(), running(number(1)), failed(number(2)))
    plan(cloud, PLAN, 3, receipts=2)
    assert get("list").body["exports"] == [get(export_id=each).body for each in (EXPORT_ID, number(2), number(1))]


def test_what_keys_stand_for_is_never_listed(get: Get, cloud: Cloud) -> None:
    for digit in "0f":
        cloud.write({"owner": OWNER, "export_id": f"key#{digit * 64}", "first_export_id": EXPORT_ID, "body_hash": "x"})
    cloud.write(succeeded())
    assert ids(get("list")) == [EXPORT_ID]


def test_exports_of_others_are_never_listed(get: Get, cloud: Cloud) -> None:
    cloud.write(succeeded(number(1), owner=f"{TENANT}#someone-else"), succeeded(number(2), owner=f"{OWNER}x"))
    cloud.write(succeeded())
    assert ids(get("list")) == [EXPORT_ID]


def test_twenty_are_a_page_and_the_cursor_leads_on(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(45)])
    found, cursor, pages = [], None, []
    while True:
        answered = get("list", query={"cursor": cursor} if cursor else None)
        found += ids(answered)
        pages.append(len(answered.body["exports"]))
        if (cursor := answered.body["cursor"]) is None:
            break
    assert pages == [20, 20, 5]
    assert found == [number(index) for index in reversed(range(45))]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_last_page_has_no_cursor(limit: int, get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(3)])
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answered = get("list", query={"limit": str(limit)} | ({"cursor": cursor} if cursor else {}))
        found += ids(answered)
        cursor, pages = answered.body["cursor"], pages + 1
    assert found == [number(2), number(1), number(0)]
    assert pages == -(-3 // limit)


def test_a_hundred_is_the_largest_page(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(101)])
    assert len(ids(get("list", query={"limit": "100"}))) == 100


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"])
def test_the_list_can_be_narrowed_to_a_status(status: str, get: Get, cloud: Cloud) -> None:
    every = {
        "QUEUED": queued(number(0)),
        "RUNNING": running(number(1)),
        "SUCCEEDED": succeeded(number(2)),
        "FAILED": failed(number(3)),
        "CANCELLED": cancelled(number(4)),
        "EXPIRED": succeeded(number(5), expires_at=CREATED),
    }
    cloud.write(*every.values())
    answered = get("list", query={"status": status})
    assert ids(answered) == [every[status]["export_id"]]
    assert answered.body["exports"][0]["status"] == status


def test_a_narrowed_list_has_full_pages(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) if index % 3 else running(number(index)) for index in range(12)])
    first = get("list", query={"status": "RUNNING", "limit": "3"})
    assert ids(first) == [number(9), number(6), number(3)]
    second = get("list", query={"status": "RUNNING", "limit": "3", "cursor": first.body["cursor"]})
    assert (ids(second), second.body["cursor"]) == ([number(0)], None)


def test_so_many_records_are_looked_at_for_a_page_and_no_more(
    get: Get, cloud: Cloud, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are of another status: the page is short, or empty, and its cursor leads on."""
    monkeypatch.setattr(app, "_EXAMINED", 100)
    cloud.write(*[failed(number(index)) if index in (20, 210) else succeeded(number(index)) for index in range(240)])
    found, cursor, queries = [], None, []
    while not queries or cursor:
        calls.made.clear()
        answered = get("list", query={"status": "FAILED", "limit": "2"} | ({"cursor": cursor} if cursor else {}))
        found.append(ids(answered))
        cursor, _ = answered.body["cursor"], queries.append(calls.made.count("Query"))
    assert found == [[number(210)], [], [number(20)]]
    assert max(queries) <= 2


@pytest.mark.parametrize(
    ("query", "claims"),
    [
        ({}, {"sub": "someone-else"}),
        ({}, {"custom:tenant_id": "DL"}),
        ({"status": "SUCCEEDED"}, {}),
        ({"status": "RUNNING"}, {"sub": "someone-else"}),
    ],
)
def test_a_cursor_of_another_list_is_refused(
    query: dict[str, str], claims: dict[str, str], get: Get, cloud: Cloud, calls: Calls
) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(3)])
    cursor = get("list", query={"limit": "1"}).body["cursor"]
    calls.made.clear()
    assert get("list", query=query | {"cursor": cursor}, claims=claims).body["errors"] == NO_CURSOR
    assert calls.made == []


def test_a_cursor_of_a_narrowed_list_does_not_lead_through_the_whole(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(3)])
    cursor = get("list", query={"limit": "1", "status": "SUCCEEDED"}).body["cursor"]
    assert get("list", query={"cursor": cursor}).body["errors"] == NO_CURSOR
    assert ids(get("list", query={"cursor": cursor, "status": "SUCCEEDED"})) == [number(1), number(0)]


def test_the_size_of_a_page_may_change_on_the_way(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(4)])
    cursor = get("list", query={"limit": "1"}).body["cursor"]
    assert ids(get("list", query={"cursor": cursor, "limit": "2"})) == [number(2), number(1)]


def test_a_cursor_still_leads_on_when_its_export_is_gone(get: Get, cloud: Cloud) -> None:
    cloud.write(*[succeeded(number(index)) for index in range(3)])
    cursor = get("list", query={"limit": "1"}).body["cursor"]
    key = {"owner": {"S": OWNER}, "export_id": {"S": number(2)}}
    cloud.dynamodb.delete_item(TableName=cloud.table, Key=key)
    assert ids(get("list", query={"cursor": cursor})) == [number(1), number(0)]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


NO_CURSOR = [
    {
        "pointer": "/cursor",
        "detail": "is not a cursor of this list",
        "allowed": "the unchanged cursor of the previous page, from the same caller and with the same status",
    }
]

STATUSES = 'one of "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"'
LIMITS = "a value of type string, text matching ^([1-9][0-9]?|100)$"


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ({"status": "DONE"}, [("/status", '"DONE" is not allowed', STATUSES)]),
        ({"status": "running"}, [("/status", '"running" is not allowed', STATUSES)]),
        ({"limit": "0"}, [("/limit", '"0" is not allowed', LIMITS)]),
        ({"limit": "101"}, [("/limit", '"101" is not allowed', LIMITS)]),
        ({"limit": "-1"}, [("/limit", '"-1" is not allowed', LIMITS)]),
        ({"limit": "٣"}, [("/limit", '"٣" is not allowed', LIMITS)]),
        ({"page": "2"}, [("/page", "unknown field", "cursor, limit, status")]),
        (
            {"limit": "", "status": ""},
            [("/limit", '"" is not allowed', LIMITS), ("/status", '"" is not allowed', STATUSES)],
        ),
    ],
)
def test_a_bad_query_is_refused(
    query: dict[str, str], faults: list[tuple[str, str, str]], get: Get, calls: Calls
) -> None:
    answered = get("list", query=query)
    assert (answered.status, kind(answered)) == (400, "invalid-request")
    assert [(each["pointer"], each["detail"], each["allowed"]) for each in answered.body["errors"]] == faults
    assert calls.made == []


CURSOR = cursors.write(EXPORT_ID, OWNER, None)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ü", encoded("x"), encoded(EXPORT_ID), encoded("key#" + "0" * 28), CURSOR + "=", CURSOR + "\n", "A" * 43],
)
def test_a_cursor_that_is_none_is_refused(cursor: str, get: Get, calls: Calls) -> None:
    answered = get("list", query={"cursor": cursor})
    assert (answered.status, kind(answered)) == (400, "invalid-request")
    assert answered.body["errors"] == NO_CURSOR
    assert calls.made == []


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("used", "remaining"), [(0, 5), (2, 3), (5, 0), (6, 0)])
def test_the_limits_say_what_may_still_be_done(used: int, remaining: int, get: Get, cloud: Cloud) -> None:
    cloud.write(*[running(number(index)) for index in range(used)])
    cloud.write(succeeded(), running(number(9), owner="DL#x", active_owner="DL#x"))
    answered = get("limits")
    assert answered.status == 200
    assert answered.body == {
        "active_exports": {"limit": 5, "used": used, "remaining": remaining},
        "rows_per_export": 1_000_000_000,
        "retention_days": 7,
    }
