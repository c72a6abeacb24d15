"""What the integration tests leave out: each test makes the functions use a permission that they seldom need."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.iam.conftest import BUCKET, FOLDER, ended
from tests.integration.deployed import until
from tests.integration.test_reconcile import reconcile

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

JANUARY = {"from": "2013-01-01", "to": "2013-01-31"}
YEAR = {"from": "2013-01-01", "to": "2013-12-31"}


def invoke(deployed: Deployed, function: str, event: Any, **more: str) -> dict[str, Any]:
    """What a function answers; its error if it fails."""
    name = f"{deployed.name}-{function}"
    answer = deployed.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode(), **more)
    return dict(json.loads(answer["Payload"].read() or b"{}") or {})


def record(deployed: Deployed, caller: Caller, export: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in deployed.records(caller.owner) if each["export_id"] == export["id"])


def attempt(deployed: Deployed, caller: Caller, export: dict[str, Any]) -> dict[str, Any]:
    """The input of AssembleFile for an export that has succeeded, which counts as running again."""
    found = record(deployed, caller, export)
    deployed.update(caller.owner, export["id"], "status", "RUNNING")
    return {"owner": caller.owner, "export_id": export["id"], "attempt": 1, "plan": found["plan"]}


def test_an_export_is_made_of_encrypted_data_and_its_owner_gets_the_file_and_a_mail(
    deployed: Deployed, united_user: Caller
) -> None:
    export = ended(united_user, report="flights", parameters=YEAR, options={"notify": True})
    assert (export["status"], export["progress"]["parts_total"] > 1) == ("SUCCEEDED", True), export
    assert united_user.download(export).status == 200
    until(lambda: deployed.mails(united_user.email), "the mail of a sender whose domain is verified")


def test_a_table_is_read_by_its_key_and_by_segments(deployed: Deployed, united_user: Caller) -> None:
    assert ended(united_user, report="departures")["status"] == "SUCCEEDED"
    assert ended(deployed.sign_up("JFK"), report="from-new-york")["status"] == "SUCCEEDED"


SORTED = [{"column": "flight"}]


def test_a_query_reads_the_data_and_the_parts_read_its_result(deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, report="flights", parameters=JANUARY, sort=SORTED)
    assert export["status"] == "SUCCEEDED", export


def test_a_query_without_a_result_is_told(deployed: Deployed, united_user: Caller) -> None:
    sort = json.dumps([key | {"descending": False} for key in SORTED])
    export = deployed.fabricate(united_user.owner, "RUNNING", queries=True, sort=sort)
    failed = invoke(deployed, "plan-parts", {"owner": united_user.owner, "export_id": export, "attempt": 1})
    assert failed.get("errorType") == "QueryChanged", failed


def test_a_source_that_is_gone_is_named(deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, report="flights", parameters=JANUARY)
    task = attempt(deployed, united_user, export)
    work = f"work/{export['id']}/{task['plan']}/"
    part = deployed.read_json(f"{work}parts.json")[0]
    deployed.remove(f"{work}receipts/")
    month = f"{FOLDER}/flights/year=2013/month=1/flights.parquet"
    s3 = deployed.client("s3")
    content = s3.get_object(Bucket=BUCKET, Key=month)["Body"].read()
    s3.delete_object(Bucket=BUCKET, Key=month)
    try:
        failed = invoke(deployed, "generate-part", task | {"part": part})
    finally:
        s3.put_object(Bucket=BUCKET, Key=month, Body=content)
    assert failed.get("errorType") == "SourceChanged", failed


def test_a_part_without_a_receipt_is_counted_as_missing(deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, report="flights", parameters=JANUARY)
    task = attempt(deployed, united_user, export)
    deployed.remove(f"work/{export['id']}/{task['plan']}/receipts/")
    failed = invoke(deployed, "assemble-file", task)
    assert failed.get("errorType") == "RowsMissing", failed


def test_a_part_that_is_gone_aborts_the_upload(deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, report="flights", parameters=JANUARY)
    task = attempt(deployed, united_user, export)
    deployed.remove(f"work/{export['id']}/{task['plan']}/parts/")
    failed = invoke(deployed, "assemble-file", task)
    assert failed.get("errorType") == "PartChanged", failed
    assert not deployed.client("s3").list_multipart_uploads(Bucket=deployed["bucket"]).get("Uploads")


def test_the_file_of_an_export_that_was_cancelled_meanwhile_is_removed(deployed: Deployed, united_user: Caller) -> None:
    export = ended(united_user, report="flights", parameters=YEAR)
    s3, task = deployed.client("s3"), attempt(deployed, united_user, export)
    deployed.update(united_user.owner, export["id"], "file_key", "none")
    for _ in range(10):  # the upload may end too soon
        deployed.update(united_user.owner, export["id"], "status", "RUNNING")
        with ThreadPoolExecutor() as pool:
            assembling = pool.submit(invoke, deployed, "assemble-file", task)
            while not assembling.done():
                if s3.list_multipart_uploads(Bucket=deployed["bucket"]).get("Uploads"):
                    deployed.update(united_user.owner, export["id"], "status", "CANCELLED")
                    break
        if assembling.result().get("errorType") == "NotRunning":
            break
    assert deployed.keys(deployed.files_of(united_user)) == []


def test_a_file_that_exists_is_proven_and_one_that_does_not_fails_the_export(
    deployed: Deployed, united_user: Caller
) -> None:
    for kept, status in ((True, "SUCCEEDED"), (False, "FAILED")):
        export = ended(united_user, report="flights", parameters=JANUARY)
        attempt(deployed, united_user, export)
        if not kept:
            deployed.remove(record(deployed, united_user, export)["file_key"])
        reconcile(deployed, united_user, export["id"])
        assert record(deployed, united_user, export)["status"] == status


def test_the_execution_of_a_cancelled_export_is_stopped(deployed: Deployed, united_user: Caller) -> None:
    export = united_user.post({"report": "flights", "format": "csv", "parameters": YEAR}).json
    until(lambda: record(deployed, united_user, export)["status"] == "RUNNING", "the execution to run")
    for name, value in (("active_owner", "settling"), ("finished_at", export["created_at"]), ("status", "CANCELLED")):
        deployed.update(united_user.owner, export["id"], name, value)
    reconcile(deployed, united_user, export["id"])
    assert deployed.execution(export | {"attempt": 1})["status"] == "ABORTED"


def test_the_schedule_looks_at_every_active_export(deployed: Deployed, united_user: Caller) -> None:
    export = deployed.fabricate(united_user.owner, "RUNNING", started_at="2013-01-01T00:00:00.000Z")
    invoke(deployed, "reconcile-exports", {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}})
    assert united_user.get(f"/exports/{export}").json["status"] == "FAILED"


def test_an_event_that_cannot_be_reconciled_is_kept(deployed: Deployed) -> None:
    functions, sqs, name = deployed.client("lambda"), deployed.client("sqs"), f"{deployed.name}-reconcile-exports"
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    queue = sqs.get_queue_url(QueueName=f"{deployed.name}-unreconciled")["QueueUrl"]
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "the event")
    assert json.loads(message["Body"])["responsePayload"]["errorType"] == "InvalidEvent"


def test_a_repeated_request_adopts_an_export_that_did_not_start(deployed: Deployed, united_user: Caller) -> None:
    body = {"report": "flights", "format": "csv", "parameters": JANUARY}
    first = united_user.post(body, Idempotency_Key="again").json
    united_user.follow(first)
    deployed.update(united_user.owner, first["id"], "status", "QUEUED")
    again = united_user.post(body, Idempotency_Key="again")
    assert (again.status, again.json["id"]) == (202, first["id"]), again
    assert record(deployed, united_user, first)["adopted"] is True
    deployed.update(united_user.owner, first["id"], "status", "SUCCEEDED")


def test_an_export_that_cannot_start_is_withdrawn(deployed: Deployed, united_user: Caller) -> None:
    machines, arn = deployed.client("stepfunctions"), deployed["state_machine_arn"]
    machine = machines.describe_state_machine(stateMachineArn=arn)
    machines.delete_state_machine(stateMachineArn=arn)
    try:
        refused = united_user.post({"report": "flights", "format": "csv", "parameters": JANUARY})
    finally:
        machines.create_state_machine(**{name: machine[name] for name in ("name", "definition", "roleArn")})
    assert refused.status >= 500, refused
    assert deployed.records(united_user.owner) == []
