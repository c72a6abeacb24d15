"""Two AWS emulators per session: `stock` is MiniStack as published, `patched` is what the project runs on.

A test runs on `patched`, unless it is marked `differs` or `on_stock`. These two prove that a patch is still needed. The
comment above a group of tests names its patch. tests/integration/ proves what the stack needs to work on `patched`:
sign-in, redirects, layers, roles, the names of errors.

EMULATOR_PYTHON and LAMBDA_PYTHON name the interpreters of the emulator's and the functions' environments. The defaults
are under .local/ at the root of the repository.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import textwrap
import time
import uuid
import zipfile
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION = "000000000000", "us-east-1"
EVERYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
LOGS = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}


def differs(*, stock: Any, patched: Any) -> pytest.MarkDecorator:
    """Runs the test on both emulators, each with what is expected of it."""
    return pytest.mark.parametrize(
        ("cloud", "expected"),
        [pytest.param("stock", stock, id="stock"), pytest.param("patched", patched, id="patched")],
        indirect=["cloud"],
    )


on_stock = pytest.mark.parametrize("cloud", ["stock"], indirect=True)
"""Runs the test on MiniStack as published."""


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(getattr(request, "param", "patched"))


@pytest.fixture
def api(cloud: Cloud) -> Api:
    return deployed_api(cloud)


@pytest.fixture(scope="session")
def stock() -> Iterator[Cloud]:
    yield from running("none")


@pytest.fixture(scope="session")
def patched() -> Iterator[Cloud]:
    yield from running("all")


def running(patches: str, **environment: str) -> Iterator[Cloud]:
    cloud = Cloud(patches, **environment)
    yield cloud
    assert cloud.stop() == 0


def interpreter(variable: str, folder: str) -> str:
    """The interpreter named by the environment variable, or the one `make` built."""
    path = os.environ.get(variable) or str(ROOT / ".local" / folder / "bin" / "python")
    if not Path(path).exists():
        pytest.fail(f"no interpreter at {path}: build the {folder} environment or set {variable}")
    return path


def unique(kind: str) -> str:
    """A name nothing else has."""
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def archive(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return packed.getvalue()


def code_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> str | None:
    """The code of the error that a call is refused with; None if it is not refused."""
    try:
        call(*arguments, **more)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return None


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True, **more}


def invoke(function: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    """A Task state that invokes a function."""
    return task("lambda:invoke", {"FunctionName": function, "Payload": payload or {}}, **more)


def flow(**states: dict[str, Any]) -> dict[str, Any]:
    """The definition of a state machine that starts at the first state."""
    return {"StartAt": next(iter(states)), "States": states}


def catching(error: str, **more: Any) -> dict[str, Any]:
    """The field of a state that catches an error, which leads to the state Caught."""
    return {"Catch": [{"ErrorEquals": [error], "Next": "Caught", **more}]}


def items_from(bucket: str, key: str = "items.json") -> dict[str, Any]:
    """The ItemReader of a Distributed Map; the bucket is a name or a path in the input."""
    place = {"Bucket.$" if bucket.startswith("$") else "Bucket": bucket, "Key": key}
    return {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}, "Parameters": place}


def item_processor(**states: dict[str, Any]) -> dict[str, Any]:
    """The ItemProcessor of a Distributed Map."""
    return {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **flow(**states)}


PASS = {"Type": "Pass", "End": True}


class Cloud:
    """One running emulator, and what tests create in it."""

    def __init__(self, patches: str, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        python = interpreter("LAMBDA_PYTHON", "runtime")
        show = "import sys; print('python%d.%d' % sys.version_info[:2])"
        self.runtime = subprocess.check_output([python, "-c", show], text=True).strip()
        self.command = [interpreter("EMULATOR_PYTHON", "emulator"), str(ROOT / "local" / "emulator.py")]
        ours = {"LAMBDA_PYTHON": python, "SFN_WAIT_SCALE": "0.1", "AWS_SECRET_ACCESS_KEY": "mine"}
        self.process = subprocess.Popen(
            [*self.command, "--port", str(self.port), "--patches", patches],
            env={**os.environ, **ours, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready"), "the emulator did not start"

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(timeout=10)
        self.process.stdout.close()  # type: ignore[union-attr]
        return code

    @cache  # noqa: B019  # a session has few clouds
    def client(self, service: str, key: str = "test", secret: str = "test", token: str | None = None) -> Any:
        """A boto3 client; the administrator's by default."""
        session = boto3.Session(key, secret, token, REGION)
        config = Config(retries={"max_attempts": 0}, signature_version="s3v4" if service == "s3" else None)
        return session.client(service, endpoint_url=self.url, config=config)

    def as_role(self, service: str, *statements: dict[str, Any]) -> Any:
        """A client that may do only what the statements allow."""
        assumed = self.client("sts").assume_role(RoleArn=self.role(*statements), RoleSessionName="test")["Credentials"]
        return self.client(service, assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])

    def role(self, *statements: dict[str, Any]) -> str:
        """A new role with these policy statements that anybody may assume; its ARN."""
        name = unique("role")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        made = self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        if statements:
            self.client("iam").put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=policy(*statements))
        return str(made["Role"]["Arn"])

    def function(self, code: str, *statements: dict[str, Any], **options: Any) -> str:
        """A new Python function with this module text, whose role may write logs unless statements say otherwise."""
        name = unique("function")
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime=self.runtime,
            Handler="app.handler",
            Code={"ZipFile": archive({"app.py": textwrap.dedent(code)})},
            Role=self.role(*statements or (LOGS,)),
            **options,
        )
        return name

    def invoke(self, name: str, event: Any = None) -> dict[str, Any]:
        """Invokes synchronously: `error` tells whether the function failed, `answer` is what it returned."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return {"error": "FunctionError" in answer, "answer": json.loads(answer["Payload"].read() or "null")}

    def logged(self, function: str, text: str) -> list[str]:
        """The messages in a function's log that contain the text, as soon as there are any."""
        logs, group = self.client("logs"), f"/aws/lambda/{function}"
        self.until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
        events = self.until(lambda: logs.filter_log_events(logGroupName=group, filterPattern=text)["events"])
        return [event["message"] for event in events]

    def bucket(self, objects: dict[str, Any] | None = None) -> str:
        """A new bucket with these objects, each stored as JSON; its name."""
        name = unique("bucket")
        self.client("s3").create_bucket(Bucket=name)
        for key, content in (objects or {}).items():
            self.client("s3").put_object(Bucket=name, Key=key, Body=json.dumps(content).encode())
        return name

    def encrypted(self, objects: dict[str, Any]) -> tuple[str, str]:
        """A new bucket with these objects that a KMS key encrypts, and the key, which leaves everything to IAM."""
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        to_iam = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
        key = str(self.client("kms").create_key(Policy=policy(to_iam))["KeyMetadata"]["Arn"])
        bucket = self.bucket(objects)
        by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]}
        self.client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
        return bucket, key

    def keys(self, bucket: str) -> list[str]:
        return [each["Key"] for each in self.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]

    def table(self, **options: Any) -> dict[str, Any]:
        return dict(
            self.client("dynamodb").create_table(
                TableName=unique("table"),
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
                **options,
            )["TableDescription"]
        )

    def count(self, table: str) -> int:
        return int(self.client("dynamodb").scan(TableName=table)["Count"])

    def queue(self) -> str:
        return str(self.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"])

    def messages(self, queue: str, count: int = 1) -> list[Any]:
        """The JSON bodies of the queue's messages, as soon as there are so many."""
        bodies: list[Any] = []

        def enough() -> bool:
            bodies.extend(self.received(queue))
            return len(bodies) >= count

        self.until(enough)
        return bodies

    def received(self, queue: str, **options: Any) -> list[Any]:
        """The JSON bodies of the messages that the queue gives now."""
        answer = self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **options)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def heard_on(self, bus: str, pattern: dict[str, Any]) -> str:
        """The URL of a new queue that receives the bus's events that match."""
        queue, events, rule = self.queue(), self.client("events"), unique("rule")
        events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue.rsplit('/', 1)[-1]}"
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        self.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy(allowed)})
        events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        return queue

    def stack(self, template: dict[str, Any], output: str, **parameters: str) -> str:
        """The reference to this resource of a new stack of CloudFormation."""
        stacks, name = self.client("cloudformation"), unique("stack")
        body = {**template, "Outputs": {"It": {"Value": {"Ref": output}}}}
        stacks.create_stack(
            StackName=name,
            TemplateBody=json.dumps(body),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"],
        )

        def created() -> Any:
            stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
            assert not stack["StackStatus"].endswith("FAILED"), stack
            return stack["StackStatus"] == "CREATE_COMPLETE" and stack["Outputs"]

        return str(self.until(created)[0]["OutputValue"])

    def machine(self, definition: dict[str, Any], *statements: dict[str, Any]) -> str:
        """A new state machine whose role has these statements; its ARN."""
        made = self.client("stepfunctions").create_state_machine(
            name=unique("machine"), definition=json.dumps(definition), roleArn=self.role(*statements)
        )
        return str(made["stateMachineArn"])

    def start(self, machine: str, value: Any = None) -> str:
        started = self.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(value or {}))
        return str(started["executionArn"])

    def described(self, execution: str) -> dict[str, Any]:
        return dict(self.client("stepfunctions").describe_execution(executionArn=execution))

    def ended(self, execution: str) -> dict[str, Any]:
        """The execution's description once it has ended, with its output decoded."""
        self.until(lambda: self.described(execution)["status"] != "RUNNING")
        described = self.described(execution)
        return {**described, "output": json.loads(described.get("output") or "null")}

    def run(self, definition: dict[str, Any], value: Any = None, statements: Any = EVERYTHING) -> dict[str, Any]:
        return self.ended(self.start(self.machine(definition, *statements), value))

    def history(self, execution: str) -> list[dict[str, Any]]:
        events = self.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)
        return list(events["events"])

    def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """Polls until the condition holds and returns its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return value


ANSWERS = """
    import json

    def handler(event, context):
        if event["path"] == "/broken":
            raise ValueError("secret")
        if event["path"] == "/malformed":
            return {"no": "status"}
        return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}
"""
SAM = {"Transform": "AWS::Serverless-2016-10-31"}


def serverless_api(properties: dict[str, Any]) -> dict[str, Any]:
    """The resources of a template that is one API."""
    return {"Resources": {"Api": {"Type": "AWS::Serverless::Api", "Properties": properties}}}


class Api:
    """An API that SAM makes, with one user who can sign in."""

    def __init__(self, cloud: Cloud) -> None:
        self.cognito = cloud.client("cognito-idp")
        self.pool = self.cognito.create_user_pool(PoolName="users")["UserPool"]["Id"]
        function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{cloud.function(ANSWERS)}"
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
        proxy = {"x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}}
        paths = ("/exports", "/exports/{id}", "/broken", "/malformed")
        body = {
            "openapi": "3.0.1",
            "info": {"title": "exports", "version": "1"},
            "paths": {path: {"get": proxy} for path in paths},
        }
        pool = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{self.pool}"
        auth = {"DefaultAuthorizer": "Users", "AddDefaultAuthorizerToCorsPreflight": False}
        nothing_here = {
            "StatusCode": 404,
            "ResponseParameters": {"Headers": {"Content-Type": "'application/problem+json'"}},
            "ResponseTemplates": {"application/json": '{"title": "Nothing here"}'},
        }
        failure = {
            "ResponseParameters": {"Headers": {"Access-Control-Allow-Origin": "'https://app'"}},
            "ResponseTemplates": {"application/json": '{"title": $context.error.messageString}'},
        }
        properties = {
            "StageName": "v1",
            "Auth": {**auth, "Authorizers": {"Users": {"UserPoolArn": pool}}},
            "Cors": {"AllowOrigin": "'https://app'"},
            "GatewayResponses": {"DEFAULT_5XX": failure, "MISSING_AUTHENTICATION_TOKEN": nothing_here},
            "DefinitionBody": body,
        }
        self.url = f"{cloud.url}/_aws/execute-api/{cloud.stack(SAM | serverless_api(properties), 'Api')}/v1"

    @cached_property
    def client(self) -> str:
        """The client of the user pool."""
        flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
        made = self.cognito.create_user_pool_client(UserPoolId=self.pool, ClientName="app", ExplicitAuthFlows=flows)
        return str(made["UserPoolClient"]["ClientId"])

    @cached_property
    def token(self) -> str:
        """The ID token of a user of the pool."""
        user, password = {"UserPoolId": self.pool, "Username": "jo"}, "Correct-horse-1"
        address = {"Name": "email", "Value": "jo@example.com"}
        self.cognito.admin_create_user(**user, UserAttributes=[address], MessageAction="SUPPRESS")
        self.cognito.admin_set_user_password(**user, Password=password, Permanent=True)
        signed_in = self.cognito.admin_initiate_auth(
            UserPoolId=self.pool,
            ClientId=self.client,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "jo", "PASSWORD": password},
        )
        return str(signed_in["AuthenticationResult"]["IdToken"])

    def get(self, path: str) -> requests.Response:
        """Calls the API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.get(f"{self.url}{path}", headers=headers, allow_redirects=False, timeout=10)


deployed_api = cache(Api)
