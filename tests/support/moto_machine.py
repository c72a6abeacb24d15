"""The real state machine with the real handlers, in this process, on moto's interpreter.

Tables, queue, bucket, environment variables and the machine's substitutions are read from template.yaml. boto3 is
answered by moto within the process. Where moto differs from AWS a function below puts it right; a test in
tests/workflow/test_moto.py proves that moto still differs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.events.models import EventPattern
from moto.sesv2.responses import SESV2Response
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.catch.catch_decl import CatchDecl
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
    distributed_item_processor_worker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.result_writer_decl import ResultWriter
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (
    StateTaskServiceDynamoDB,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sqs import (
    StateTaskServiceSqs,
)
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.utils import TMP_THREADS

from checks import repository
from shared.catalogue import reports
from shared.files import work
from shared.lambda_ import aws
from tests.support.edges import path, paths_of_children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
    from moto.stepfunctions.parser.asl.eval.environment import Environment
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION, STACK = "123456789012", "us-east-1", "test"
REQUEST_ID = "00000000-0000-4000-8000-000000000000"
FOR_GOOD = 100
"""Times that are more than any Retry allows."""

Event = dict[str, Any]
Hook = Callable[[Event], object]


DistributedItemProcessorWorker = distributed_item_processor_worker.DistributedItemProcessorWorker


class Template:
    """template.yaml with parameters, and with names in place of its resources."""

    def __init__(self, **parameters: object) -> None:
        self.text = _template()
        declared = self.text["Parameters"]
        assert not set(parameters) - set(declared), f"no such parameter: {set(parameters) - set(declared)}"
        self.parameters = {name: rule.get("Default") for name, rule in declared.items()} | parameters

    def properties(self, resource: str) -> dict[str, Any]:
        """A resource's properties, resolved."""
        return self.resolve(self.text["Resources"][resource].get("Properties", {}))

    def name(self, resource: str) -> str:
        """A resource's physical name."""
        properties = self.text["Resources"][resource].get("Properties", {})
        given = [properties[key] for key in ("FunctionName", "QueueName", "Name") if key in properties]
        return self.resolve(given[0]) if given else f"{STACK}-{resource.lower()}"

    def functions(self) -> list[str]:
        """Logical ids of the Lambda functions."""
        return [name for name, each in self.text["Resources"].items() if each["Type"] == "AWS::Serverless::Function"]

    def environment(self, function: str) -> dict[str, str]:
        """The environment variables that Lambda gives a function."""
        shared = self.text["Globals"]["Function"]["Environment"]["Variables"]
        own = self.text["Resources"][function]["Properties"].get("Environment", {}).get("Variables", {})
        variables = {name: str(value) for name, value in self.resolve(shared | own).items()}
        layers = {"REPORTS_FOLDER": "ReportsLayer", "WEB_FOLDER": "WebLayer"}
        places = {name: self.text["Resources"][layer]["Properties"]["ContentUri"] for name, layer in layers.items()}
        return {name: str(ROOT / places[name]) if value == "/opt" else value for name, value in variables.items()}

    def definition(self) -> str:
        """The machine's definition with its DefinitionSubstitutions put in, as SAM does it."""
        machine = self.text["Resources"]["ReportExport"]["Properties"]
        substitutions = self.resolve(machine["DefinitionSubstitutions"])
        text = (ROOT / machine["DefinitionUri"]).read_text("utf-8")
        return re.sub(r"\$\{(\w+)\}", lambda name: str(substitutions[name[1]]), text)

    def resolve(self, value: Any) -> Any:
        """A value with CloudFormation's functions in it, those that are used here, replaced by what they give."""
        match value:
            case {"Ref": "AWS::NoValue"}:
                return None
            case {"Ref": name}:
                return self._ref(name)
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self._arn(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return f"{name}.{attribute}"
            case {"Fn::If": [condition, yes, no]}:
                return self.resolve(yes if self.resolve({"Condition": condition}) else no)
            case {"Condition": str(condition)} if condition in self.text["Conditions"]:
                return self.resolve(self.text["Conditions"][condition])
            case {"Fn::And": conditions}:
                return all(map(self.resolve, conditions))
            case {"Fn::Or": conditions}:
                return any(map(self.resolve, conditions))
            case {"Fn::Equals": [left, right]}:
                return self.resolve(left) == self.resolve(right)
            case {"Fn::Not": [condition]}:
                return not self.resolve(condition)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([\w:]+)(\.Arn)?\}", self._substitute, text)
            case dict():
                return {key: self.resolve(part) for key, part in value.items()}
            case list():
                return [self.resolve(part) for part in value]
        return value

    def _substitute(self, found: re.Match[str]) -> str:
        return str(self._arn(found[1]) if found[2] else self._ref(found[1]))

    def _ref(self, name: str) -> Any:
        pseudo = {"AWS::StackName": STACK, "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
        pseudo |= {"AWS::URLSuffix": "amazonaws.com"}
        if name in pseudo or name in self.parameters:
            return (pseudo | self.parameters)[name]
        if self.text["Resources"][name]["Type"] == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self.name(name)}"
        if self.text["Resources"][name]["Type"] == "AWS::Serverless::StateMachine":
            return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{self.name(name)}"
        return self.name(name)

    def _arn(self, name: str) -> str:
        service = self.text["Resources"][name]["Type"].split("::")[1].lower()
        kind = {"serverless": ("lambda", "function:"), "dynamodb": ("dynamodb", "table/")}.get(service, (service, ""))
        return f"arn:aws:{kind[0]}:{REGION}:{ACCOUNT}:{kind[1]}{self.name(name)}"


@cache
def _template() -> dict[str, Any]:
    return repository.read("template.yaml").data  # type: ignore[no-any-return]


# Powertools reads its variables once, when it is imported.
with mock.patch.dict(os.environ, _template()["Globals"]["Function"]["Environment"]["Variables"]):
    telemetry = importlib.import_module("shared.lambda_.telemetry")


@dataclass(frozen=True)
class Execution:
    """How an execution ended, and the :func:`path` that it and each child of its Map went."""

    arn: str
    status: str
    error: str | None
    cause: str | None
    path: str
    children: list[str]

    @property
    def states(self) -> list[str]:
        """Names of its states, in order."""
        return re.findall(r"\w+", re.sub(r"@\d+", "", self.path))


@dataclass
class Cloud:
    """One stack: its resources, what is to go wrong in it, and what was called."""

    template: Template
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(function, event) of every invocation that reached a handler."""
    tasks: Counter[str] = field(default_factory=Counter)
    """How often each Task state called its service."""
    waits: list[float] = field(default_factory=list)
    """Seconds that retries would have waited."""
    mails: list[dict[str, Any]] = field(default_factory=list)
    """What SES was asked to send and took, in order."""
    _refusals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _lost_answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _before: dict[str, list[Hook]] = field(default_factory=lambda: defaultdict(list))
    _after: dict[str, list[Hook]] = field(default_factory=lambda: defaultdict(list))
    _map_runs: list[EventManager] = field(default_factory=list)
    _one_at_a_time: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        services = ("s3", "dynamodb", "dynamodbstreams", "sesv2", "sqs", "stepfunctions")
        self.s3, self.dynamodb, self.streams, self.ses, self.sqs, self.stepfunctions = map(_client, services)
        self.table, self.bucket = self.template.name("ExportsTable"), self.template.name("ExportsBucket")
        self.dead_letters_url = self.template.resolve({"Ref": "DeadLetters"})
        self._make_resources()

    def _make_resources(self) -> None:
        table, queue, machine = map(self.template.properties, ("ExportsTable", "DeadLetters", "ReportExport"))
        described = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        stream = table["StreamSpecification"] | {"StreamEnabled": True}
        made = self.dynamodb.create_table(
            TableName=self.table, StreamSpecification=stream, **{key: table[key] for key in described}
        )
        self.stream_arn = made["TableDescription"]["LatestStreamArn"]
        if self.template.parameters["SenderEmail"]:
            self.ses.create_email_identity(EmailIdentity=self.template.parameters["SenderEmail"])
        self.s3.create_bucket(Bucket=self.bucket)
        self.sqs.create_queue(QueueName=queue["QueueName"])
        self.machine_arn = self.stepfunctions.create_state_machine(
            name=machine["Name"],
            type=machine["Type"],
            definition=self.template.definition(),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/{STACK}-report-export",
        )["stateMachineArn"]

    # What goes wrong, and what happens meanwhile

    def refuse(self, state: str, error: str, times: int = FOR_GOOD) -> None:
        """The service that a Task state calls refuses the next calls with this error code."""
        self._refusals[state] += [error] * times

    def lose_answer(self, state: str, error: str) -> None:
        """The service does once what a Task state asks of it, but the state sees this error code."""
        self._lost_answers[state].append(error)

    def crash(self, function: str, error: str, times: int = FOR_GOOD, part: int | None = None) -> None:
        """The next invocations of a function, or of a part, end with an error of Lambda's, such as Sandbox.Timedout."""

        def end(_: Event) -> None:
            raise RuntimeFault(error)

        self._before[_hook_name(function, part)] += [end] * times

    def before(self, function: str, hook: Hook, part: int | None = None) -> None:
        """Calls ``hook(event)`` once, before the function's handler starts; of this part only."""
        self._before[_hook_name(function, part)].append(hook)

    def after(self, function: str, hook: Hook, part: int | None = None) -> None:
        """As :meth:`before`, after the handler has ended well."""
        self._after[_hook_name(function, part)].append(hook)

    # What runs

    def run(self, record: Mapping[str, Any]) -> Execution:
        """Runs the attempt of a record, until nothing runs any more."""
        arn = self.stepfunctions.start_execution(
            stateMachineArn=self.machine_arn,
            name=f"{record['export_id']}-{record['attempt']}",
            input=json.dumps(
                {key: record[key] for key in ("owner", "export_id", "attempt")}
                | ({"query": True} if record.get("queries") else {})
            ),
        )["executionArn"]
        settle()
        found = self.stepfunctions.describe_execution(executionArn=arn)
        history = self.stepfunctions.get_execution_history(executionArn=arn)["events"]
        way, children = path(self._machine, history), self._ways_of_children()
        return Execution(arn, found["status"], found.get("error"), found.get("cause"), way, children)

    @property
    def _machine(self) -> dict[str, Any]:
        return json.loads(self.template.definition())  # type: ignore[no-any-return]

    def _ways_of_children(self) -> list[str]:
        return [way for run in self._map_runs for way in paths_of_children(self._machine, run.get_event_history())]

    def invoke(self, function_name: str, body: str, response_headers: dict[str, str]) -> bytes:
        """What Lambda answers to an invocation."""
        called = function_name.rsplit(":", 1)[-1]
        function = next(each for each in self.template.functions() if self.template.name(each) == called)
        event = json.loads(body)
        part = event["part"]["part"] if function == "GeneratePart" else None
        try:
            _happen(self._before, function, part, event)
            with self.as_function(function):
                self.calls.append((function, event))
                answer = _handler(self.template, function)(event, _context(self.template, function))
            _happen(self._after, function, part, event)
        except (Exception, RuntimeFault) as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            answer = {
                "errorMessage": str(error),
                "errorType": error.name if isinstance(error, RuntimeFault) else type(error).__name__,
                "requestId": REQUEST_ID,
                "stackTrace": traceback.format_tb(error.__traceback__),
            }
        return json.dumps(answer).encode()

    def call(self, function: str, event: Event) -> Any:
        """What a function's handler returns for an event that does not come from the machine."""
        with self.as_function(function):
            return _handler(self.template, function)(event, _context(self.template, function))

    @contextlib.contextmanager
    def as_function(self, function: str) -> Iterator[None]:
        """The environment of a function; one at a time, as in Lambda, where each has a process of its own."""
        with self._one_at_a_time, mock.patch.object(os, "environ", self._environment(function)):
            yield

    def _environment(self, function: str) -> dict[str, str]:
        """This process's environment, with exactly the variables that the template gives to one of the functions."""
        all_functions = self.template.functions()
        given = {name for each in all_functions for name in self.template.environment(each)}
        others = {name: value for name, value in os.environ.items() if name not in given}
        return others | self.template.environment(function)

    # What there is afterwards

    def record(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record as it is now."""
        item = self.dynamodb.get_item(TableName=self.table, Key=_key(record))["Item"]
        plain = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
        return {name: int(value) if isinstance(value, Decimal) else value for name, value in plain.items()}

    def update(self, record: Mapping[str, Any], **values: object) -> None:
        """Writes attributes of the record past the machine."""
        self.dynamodb.update_item(
            TableName=self.table,
            Key=_key(record),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": TypeSerializer().serialize(each) for name, each in values.items()},
        )

    def keys(self, prefix: str) -> list[str]:
        """Keys of the bucket's objects under a prefix."""
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])]

    def read(self, key: str) -> bytes:
        """An object of the bucket."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()  # type: ignore[no-any-return]

    def open_uploads(self) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        return [upload["Key"] for upload in self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters; they stay in the queue."""
        answer = self.sqs.receive_message(QueueUrl=self.dead_letters_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def parts_called(self) -> list[int]:
        """Numbers of the parts that GeneratePart's handler ran for, sorted."""
        return sorted(event["part"]["part"] for function, event in self.calls if function == "GeneratePart")

    def announcements(self) -> list[str]:
        """``<export>/<attempt>/<status>`` of each change of the table that the Pipe's filter lets through.

        AWS does not document what Pipes makes of a path that leads nowhere: each that the Pipe reads must be there.
        """
        pipe = self.template.properties("AnnouncePipe")
        read = re.findall(r"\$\.dynamodb\.NewImage\.(\w+)\.([SN])\b", json.dumps(pipe["TargetParameters"]))
        assert len(read) == json.dumps(pipe["TargetParameters"]).count("$.")
        filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
        patterns = [EventPattern.load(each["Pattern"]) for each in filters]
        images = [
            change["dynamodb"]["NewImage"]
            for change in self._changes()
            if any(pattern.matches_event(change) for pattern in patterns)
        ]
        assert not [(name, image) for image in images for name, kind in read if kind not in image.get(name, {})]
        return ["/".join((each["export_id"]["S"], each["attempt"]["N"], each["status"]["S"])) for each in images]

    def _changes(self) -> list[dict[str, Any]]:
        stream = self.streams.describe_stream(StreamArn=self.stream_arn)["StreamDescription"]
        shard = stream["Shards"][0]["ShardId"]
        start = self.streams.get_shard_iterator(
            StreamArn=self.stream_arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        changes = self.streams.get_records(ShardIterator=start)["Records"]
        return json.loads(json.dumps(changes, default=str))  # type: ignore[no-any-return]


def _key(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {"owner": {"S": record["owner"]}, "export_id": {"S": record["export_id"]}}


# Lambda, as far as a handler sees it


def _handler(template: Template, function: str) -> Callable[[Any, Any], Any]:
    module, name = template.properties(function)["Handler"].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _context(template: Template, function: str) -> SimpleNamespace:
    return SimpleNamespace(
        function_name=template.name(function),
        memory_limit_in_mb=template.properties(function).get("MemorySize", 512),
        invoked_function_arn=template.resolve({"Fn::GetAtt": [function, "Arn"]}),
        aws_request_id=REQUEST_ID,
    )


class RuntimeFault(BaseException):
    """An end of a function that none of its code is the reason of, nor catches: its time is up, its memory is full."""

    def __init__(self, name: str) -> None:
        super().__init__(f"RequestId: {REQUEST_ID} Error: {name}")
        self.name = name


def _hook_name(function: str, part: int | None) -> str:
    return function if part is None else f"{function}/{part}"


def _happen(hooks: dict[str, list[Hook]], function: str, part: int | None, event: Event) -> None:
    for name in dict.fromkeys((function, _hook_name(function, part))):
        if hooks[name]:
            hooks[name].pop(0)(event)


# moto's interpreter, put right


def settle() -> None:
    """Waits for moto's threads. A part goes on when its Map has failed, as a running Lambda function does."""
    while TMP_THREADS:
        thread = TMP_THREADS.pop()
        while not thread._started.is_set():  # moto lists a thread before it starts it
            time.sleep(0.001)
        thread.join(timeout=60)
        assert not thread.is_alive(), "an execution hangs"


@contextlib.contextmanager
def faults(cloud: Cloud) -> Iterator[None]:
    """Counts what Task states ask of their services, and lets them fail as a test has said."""

    def refusal(code: str) -> Exception:
        metadata = {"HTTPStatusCode": 400, "RequestId": REQUEST_ID}
        return ClientError({"Error": {"Code": code, "Message": "made by a test"}, "ResponseMetadata": metadata}, "")  # type: ignore[typeddict-item]

    def failing(stock: Callable[..., None]) -> Callable[..., None]:
        def call(task: Any, env: Environment, *arguments: Any, **named: Any) -> None:
            cloud.tasks[task.name] += 1
            if cloud._refusals[task.name]:
                raise refusal(cloud._refusals[task.name].pop(0))
            stock(task, env, *arguments, **named)
            if cloud._lost_answers[task.name]:
                raise refusal(cloud._lost_answers[task.name].pop(0))

        return call

    with contextlib.ExitStack() as stack:
        for service in (StateTaskServiceDynamoDB, StateTaskServiceLambda, StateTaskServiceSqs):
            stack.enter_context(mock.patch.object(service, "_eval_service_task", failing(service._eval_service_task)))
        yield


def _map_failed(env: Environment, name: StatesErrorNameType, cause: str) -> FailureEventException:
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(name),
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails={"error": name.to_name(), "cause": cause}),
        )
    )


@contextlib.contextmanager
def made_once() -> Iterator[None]:
    """Definitions and paths are parsed and clients made once, not for each execution. Only the time differs."""

    def interpreters(service_name: str, **_: object) -> Any:
        return _client(service_name)

    def products(service: str, **arguments: Any) -> Any:
        if service not in _product_clients:
            _product_clients[service] = boto3.client(service, **arguments)
        return _product_clients[service]

    with (
        mock.patch.object(AmazonStateLanguageParser, "parse", _parse),
        mock.patch.object(json_path, "parse", _json_path),
        mock.patch.object(boto_client, "boto3", SimpleNamespace(client=interpreters)),
        mock.patch.object(aws, "boto3", SimpleNamespace(client=products)),
    ):
        yield


_parse = cache(AmazonStateLanguageParser.parse)
_json_path = cache(json_path.parse)  # jsonpath_ng makes a grammar anew for each path
_product_clients: dict[str, Any] = {}


@cache
def _client(service: str) -> Any:
    return boto3.client(service, region_name=REGION, config=Config(retries={"total_max_attempts": 1}))


@contextlib.contextmanager
def keeping_the_mails(cloud: Cloud) -> Iterator[None]:
    """Keeps each mail whole; of one with text and HTML moto keeps the HTML only."""
    stock = SESV2Response.send_email

    def send(response: SESV2Response) -> str:
        answer = stock(response)
        cloud.mails.append(json.loads(response.body))
        return answer

    with mock.patch.object(SESV2Response, "send_email", send):
        yield


@contextlib.contextmanager
def histories_of_children(cloud: Cloud) -> Iterator[None]:
    """Keeps what the children of a Map did; moto throws it away, on AWS each child has a history of its own."""
    stock = DistributedIterationComponent._map_run

    def keep(component: Any, env: Environment, eval_input: Any) -> None:
        cloud._map_runs.append(env.event_manager)
        stock(component, env=env, eval_input=eval_input)

    with mock.patch.object(DistributedIterationComponent, "_map_run", keep):
        yield


@contextlib.contextmanager
def failed_child_fails_its_map() -> Iterator[None]:
    """
    The first child that fails ends the Map, with an error that does not tell why.

    So it is on AWS where nothing is tolerated. In moto the output of a failed child is null and the Map succeeds.
    """
    stock = DistributedItemProcessorWorker._eval_job

    def evaluate(worker: Any, env: Environment, job: Any) -> None:
        stock(worker, env=env, job=job)
        if isinstance(env.program_state(), ProgramError):
            name = StatesErrorNameType.StatesExceedToleratedFailureThreshold
            job.job_output = _map_failed(env, name, "The specified tolerated failure threshold was exceeded")

    with mock.patch.object(DistributedItemProcessorWorker, "_eval_job", evaluate):
        yield


@contextlib.contextmanager
def result_writer_reads_the_states_input() -> Iterator[None]:
    """A ResultWriter's paths start at the state's input; in moto at the Map's results."""

    def write(writer: ResultWriter, env: Environment) -> None:
        env.stack.append(env.states.get_input())
        writer.parargs.eval(env=env)
        parameters = env.stack.pop()
        env.stack[-1] = parameters
        writer.resource_eval.eval_resource(env=env)

    with mock.patch.object(ResultWriter, "_eval_body", write):
        yield


@contextlib.contextmanager
def fail_state_takes_any_error() -> Iterator[None]:
    """A Fail state's ErrorPath may hand on an error of Step Functions' own (States.Timeout); moto refuses that."""

    def error_name(name: str) -> ErrorName:
        known = name in {each.to_name() for each in StatesErrorNameType}
        return StatesErrorName(StatesErrorNameType.from_name(name)) if known else CustomErrorName(name)

    with mock.patch.object(state_fail, "CustomErrorName", error_name):
        yield


@contextlib.contextmanager
def some_errors_are_never_caught() -> Iterator[None]:
    """States.ALL catches neither States.Runtime nor States.DataLimitExceeded ("Handling errors"); in moto it does."""
    catch = CatchDecl._eval_body

    def catch_others(self: CatchDecl, env: Environment) -> None:
        name = env.stack[-1].error_name
        if name is not None and name.error_name in ("States.Runtime", "States.DataLimitExceeded"):
            env.stack.append(CatchOutcome.NotCaught)
        else:
            catch(self, env)

    with mock.patch.object(CatchDecl, "_eval_body", catch_others):
        yield


# The cloud


@contextlib.contextmanager
def moto_cloud(**parameters: object) -> Iterator[Cloud]:
    """
    A new stack, of which nothing is left afterwards.

    Args:
        parameters: of the template, where they are not to be the defaults.
    """
    config: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
    with contextlib.ExitStack() as stack:
        # A dict in place of os.environ, so that no variable of the process changes: polars' threads read those at any
        # time, and C's getenv must not run beside setenv.
        region = {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
        stack.enter_context(mock.patch.object(os, "environ", {**os.environ, **region}))
        stack.enter_context(mock_aws(config=config))
        _forget()
        stack.callback(_forget)
        stack.enter_context(made_once())
        cloud = Cloud(Template(**parameters))
        stack.enter_context(mock.patch.object(LambdaSimpleBackend, "invoke", _invoke(cloud)))
        stack.enter_context(mock.patch.object(retrier_decl, "time", SimpleNamespace(sleep=cloud.waits.append)))
        stack.enter_context(keeping_the_mails(cloud))
        stack.enter_context(histories_of_children(cloud))
        stack.enter_context(failed_child_fails_its_map())
        stack.enter_context(result_writer_reads_the_states_input())
        stack.enter_context(faults(cloud))
        stack.enter_context(fail_state_takes_any_error())
        stack.enter_context(some_errors_are_never_caught())
        stack.callback(settle)
        yield cloud


def _invoke(cloud: Cloud) -> Callable[..., bytes]:
    def invoke(_: Any, function_name: str, qualifier: str | None, body: str, headers: Any, answered: Any) -> bytes:
        return cloud.invoke(function_name, body, answered)

    return invoke


def _forget() -> None:
    """Drops what a function's process keeps from one invocation to the next."""
    clients = (aws.dynamodb, aws.prompt_s3, aws.s3, aws.ses, aws.sqs, aws.stepfunctions)
    for cached in (*clients, reports.deployed, work.parts_total):
        cached.cache_clear()
    telemetry.metrics.clear_metrics()
