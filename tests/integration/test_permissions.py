"""IAM refuses a function what its role does not say."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.api import Caller, Followed
    from tests.integration.deployed import Deployed

# Runs with a worker's role and tells which of these calls succeed, or how they are refused.
PROBE = """
import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    return {name: attempt(*call) for name, call in event.items()}


def attempt(service, method, arguments):
    try:
        getattr(boto3.client(service), method)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"
"""
DENIED = {"AccessDenied", "AccessDeniedException"}


@pytest.fixture
def with_the_role_of_generate_part(deployed: Deployed) -> Iterator[str]:
    """Name of a function of the test's own that runs with the role of GeneratePart."""
    functions, name = deployed.client("lambda"), f"{deployed.name}-test-{uuid.uuid4().hex[:12]}"
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("probe.py", PROBE)
    model = functions.get_function_configuration(FunctionName=f"{deployed.name}-generate-part")
    functions.create_function(
        FunctionName=name,
        Runtime=model["Runtime"],
        Role=model["Role"],
        LoggingConfig=model["LoggingConfig"],
        Handler="probe.handler",
        Timeout=30,
        MemorySize=512,
        Code={"ZipFile": package.getvalue()},
    )
    try:
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        yield name
    finally:
        functions.delete_function(FunctionName=name)


def test_a_worker_reaches_its_work_and_nothing_else(
    with_the_role_of_generate_part: str, deployed: Deployed, united: Followed, united_user: Caller
) -> None:
    bucket, table = deployed["bucket"], deployed["table"]
    plan = next(key for key in deployed.keys(f"work/{united.end['id']}/") if key.endswith("/plan.json"))
    result = next(key for key in deployed.keys("exports/UA/") if united.end["id"] in key)
    key = {"owner": {"S": united_user.owner}, "export_id": {"S": united.end["id"]}}
    calls: dict[str, list[Any]] = {
        "read the plan": ["s3", "get_object", {"Bucket": bucket, "Key": plan}],
        "read the record": ["dynamodb", "get_item", {"TableName": table, "Key": key}],
        "remove the record": ["dynamodb", "delete_item", {"TableName": table, "Key": key}],
        "read a result": ["s3", "get_object", {"Bucket": bucket, "Key": result}],
        "write a result": ["s3", "put_object", {"Bucket": bucket, "Key": result, "Body": "x"}],
        "write the plan": ["s3", "put_object", {"Bucket": bucket, "Key": plan, "Body": "x"}],
        "write data": ["s3", "put_object", {"Bucket": bucket, "Key": "data/flights/x", "Body": "x"}],
        "remove a part": ["s3", "delete_object", {"Bucket": bucket, "Key": plan.replace("plan.json", "parts/000000")}],
        "start the machine": ["stepfunctions", "start_execution", {"stateMachineArn": deployed["state_machine_arn"]}],
        "send a letter": ["sqs", "send_message", {"QueueUrl": deployed["dead_letters_url"], "MessageBody": "x"}],
    }
    payload = json.dumps(calls).encode()
    answer = deployed.client("lambda").invoke(FunctionName=with_the_role_of_generate_part, Payload=payload)
    outcome = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, outcome
    assert outcome.pop("read the plan") == "allowed"
    assert {name: code for name, code in outcome.items() if code not in DENIED} == {}
