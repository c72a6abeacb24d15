"""IAM refuses a function what its role does not say."""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.api import Caller, Followed
    from tests.integration.deployed import Deployed

# Runs with a worker's role and tells which of these calls succeed, or how they are refused: [code, message].
PROBE = """
import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    return {name: attempt(*call) for name, call in event.items()}


def attempt(service, method, arguments):
    try:
        getattr(boto3.client(service), method)(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
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
    name, machine = {"Bucket": bucket}, deployed["state_machine_arn"]
    queue, part = deployed["dead_letters_url"], plan.replace("plan.json", "parts/000000")
    records, files = f":table/{table}", f"arn:aws:s3:::{bucket}/"
    # What is called, and what IAM calls it: the action, and the end of the resource.
    denied: dict[tuple[str, str], list[Any]] = {
        ("dynamodb:GetItem", records): ["dynamodb", "get_item", {"TableName": table, "Key": key}],
        ("dynamodb:DeleteItem", records): ["dynamodb", "delete_item", {"TableName": table, "Key": key}],
        ("s3:GetObject", files + result): ["s3", "get_object", name | {"Key": result}],
        ("s3:PutObject", files + result): ["s3", "put_object", name | {"Key": result, "Body": "x"}],
        ("s3:PutObject", files + plan): ["s3", "put_object", name | {"Key": plan, "Body": "x"}],
        ("s3:PutObject", files + "data/x"): ["s3", "put_object", name | {"Key": "data/x", "Body": "x"}],
        ("s3:DeleteObject", files + part): ["s3", "delete_object", name | {"Key": part}],
        ("states:StartExecution", machine): ["stepfunctions", "start_execution", {"stateMachineArn": machine}],
        ("sqs:SendMessage", queue.rpartition("/")[2]): ["sqs", "send_message", {"QueueUrl": queue, "MessageBody": "x"}],
    }
    calls = {" on ".join(call): arguments for call, arguments in denied.items()}
    calls["allowed"] = ["s3", "get_object", name | {"Key": plan}]
    payload = json.dumps(calls).encode()
    answer = deployed.client("lambda").invoke(FunctionName=with_the_role_of_generate_part, Payload=payload)
    outcome = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, outcome
    assert outcome.pop("allowed") == "allowed"
    for action, resource in denied:
        code, message = outcome.pop(f"{action} on {resource}")
        assert code in DENIED, message
        said = re.search(r"is not authorized to perform: (\S+) on resource: \"?(\S+?)\"? because no identity", message)
        assert said, message
        assert said[1].lower() == action.lower()  # SQS writes its own in small letters
        assert said[2].endswith(resource)
    assert outcome == {}
