"""A state machine acts only with its own role.

AWS ("How Step Functions generates IAM policies for integrated services"): every integration is a call signed with the
machine's role. A denied call fails the state with the service exception of the integration
(`Lambda.AWSLambdaException`, `DynamoDB.AmazonDynamoDBException` ...), whose message names the principal, the action and
the resource.
Stock: integrations run without checks, so a machine with an empty role succeeds.
Here: a context variable holds the role of the running execution. MiniStack's own IAM evaluation checks it before an
integration is called or an ItemReader reads. Other patches use the same check for what they do with a role.
"""

import hashlib
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator as iam
from ministack.services import stepfunctions as sfn
from ministack.services import sts

EXCEPTIONS = {"lambda": "Lambda.AWSLambdaException", "dynamodb": "DynamoDB.AmazonDynamoDBException"}
EXCEPTIONS |= {"sqs": "SQS.AmazonSQSException", "events": "EventBridge.AmazonEventBridgeException"}
EXCEPTIONS |= {"states": "StepFunctions.AWSStepFunctionsException"}
_role: ContextVar[tuple[str, str] | None] = ContextVar("state_machine_role", default=None)


def apply() -> None:
    """Remembers the role of an execution, and checks it before every integration."""
    run, read_object = sfn._run_execution, sfn._s3_object_text

    def run_with_role(arn: str) -> None:
        execution = sfn._executions.get(arn) or {}
        machine = sfn._state_machines.get(execution.get("stateMachineArn")) or {}
        _role.set((machine["roleArn"], execution["name"]) if machine.get("roleArn") else None)
        run(arn)

    def checked(invoke: Any) -> Any:
        def checked_invoke(resource: str, data: Any, *rest: Any) -> Any:
            authorize(*permission(resource, data if isinstance(data, dict) else {}))
            return invoke(resource, data, *rest)

        return checked_invoke

    def checked_read(bucket: str, key: str) -> Any:
        authorize("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}", "States.ItemReaderFailed")
        return read_object(bucket, key)

    sfn._run_execution, sfn._s3_object_text = run_with_role, checked_read
    sfn._invoke_resource = checked(sfn._invoke_resource)
    sfn._invoke_with_callback = checked(sfn._invoke_with_callback)


def permission(resource: str, data: dict[str, Any]) -> tuple[str, str, str]:
    """The IAM action, the resource's ARN and the exception for a Task's integration."""
    if ":::" not in resource:  # the ARN of a function
        return "lambda:InvokeFunction", resource, EXCEPTIONS["lambda"]
    name = resource.partition(":::")[2]
    service, operation = name.removeprefix("aws-sdk:").split(".")[0].split(":")[:2]
    exception = EXCEPTIONS.get(service, f"{service.title()}.{service.title()}Exception")
    if name.startswith("aws-sdk:"):
        prefix = sfn._prefix_sdk_error(service, "").partition(".")[0]
        exception = f"{prefix}.{prefix}Exception"
        service = {"sfn": "states", "eventbridge": "events"}.get(service, service)
    function, entries = str(data.get("FunctionName")), data.get("Entries") or [{}]
    bus = entries[0].get("EventBusName", "default")
    target = {
        "lambda": function if function.startswith("arn:") else f"function:{function}",
        "dynamodb": f"table/{data.get('TableName')}",
        "sqs": str(data.get("QueueUrl")).rsplit("/", 1)[-1],
        "events": f"event-bus/{bus.rsplit('/', 1)[-1]}",
        "states": str(data.get("StateMachineArn", "*")),
    }.get(service, "*")
    if target != "*" and not target.startswith("arn:"):
        target = f"arn:aws:{service}:{sfn.get_region()}:{sfn.get_account_id()}:{target}"
    operation = "InvokeFunction" if service == "lambda" else operation[0].upper() + operation[1:]
    return f"{service}:{operation}", target, exception


def authorize(action: str, resource: str, exception: str, context: dict[str, str] | None = None) -> None:
    """Raises the exception in the execution unless its role allows the action on the resource, with condition keys."""
    current = _role.get()
    if current is not None and (refused := refusal(*current, action, resource, context)):
        raise sfn._ExecutionError(exception, refused)


def refusal(role: str, session: str, action: str, resource: str, context: dict[str, str] | None = None) -> str | None:
    """The IAM message if the role does not allow the action, or None if it does."""
    account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
    caller = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    key = f"ASIA{hashlib.sha256(caller.encode()).hexdigest()[:16].upper()}"
    details = {"Arn": caller, "UserId": f"{name}:{session}", "SecretAccessKey": key, "SessionToken": key}
    sts.register_session(key, details)
    details = {"resource_arn": resource, "service_context": context}
    if (denied := iam.enforce(key, action, action.partition(":")[0], sfn.get_region(), **details)) is None:
        return None
    explicit = getattr(denied, "decision", "") == "Deny"
    reason = "of an explicit deny" if explicit else f"no identity-based policy allows the {action} action"
    message = f"User: {caller} is not authorized to perform: {action} on resource: {resource} because {reason}"
    return f"{message} (Status Code: 403; Error Code: AccessDeniedException)"
