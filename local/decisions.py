"""Records every decision of IAM about the roles of deployed stacks, in the file that DECISIONS names.

A line is a JSON object. It describes a stack, the first time that one of its roles acts, and when it has changed:

    {"stack": "report-exports", "parameters": {name: value}, "names": {physical id: logical id}}

or a decision about an action of a role, which a function, a state machine or a pipe has assumed:

    {"stack": …, "role": logical id, "session": …, "action": …, "resource": ARN, "context": {…}, "allowed": true}

The context has the condition keys that the role's policies use. Every writer appends whole lines, so that several
emulators, and the tests that name themselves between these lines (tests/support/recorded.py), can share the file.
"""

import json
import os
from typing import Any

from ministack.core import iam_evaluator as iam
from ministack.core.responses import get_account_id
from ministack.services import cloudformation, sts

VARIABLE = "DECISIONS"
_described: dict[str, int] = {}


def record() -> None:
    """Starts recording if the environment asks for it. Patches that ask IAM must be applied before."""
    if not (path := os.environ.get(VARIABLE)):
        return
    file, decide = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), iam.enforce

    def recording(key: str, action: str, service: str, region: str, *rest: Any, **more: Any) -> Any:
        refused = decide(key, action, service, region, *rest, **more)
        if isinstance(refused, iam.AuthError):
            return refused
        found = role_of(key)
        if found is not None:
            stack, role, physical, session = found
            resource = rest[0] if rest else more.get("resource_arn", "*")
            context = rest[1] if len(rest) > 1 else more.get("service_context")
            line = {"stack": stack["StackName"], "role": role, "session": session, "action": action}
            line |= {"resource": resource, "context": of_conditions(physical, context or {})}
            lines = [*describe(stack), line | {"allowed": refused is None}]
            os.write(file, "".join(f"{json.dumps(each)}\n" for each in lines).encode())
        return refused

    iam.enforce = recording


def role_of(key: str) -> tuple[dict[str, Any], str, str, str] | None:
    """The stack, the logical and physical name of its role, and the session; None for every other caller."""
    principal = (sts._sessions.get(key) or {}).get("Arn", "")
    if ":assumed-role/" not in principal:
        return None
    _, physical, session = principal.rsplit("/", 2)
    for stack in cloudformation._stacks.values():
        for logical, resource in list(stack["_resources"].items()):
            if resource["ResourceType"] == "AWS::IAM::Role" and resource["PhysicalResourceId"] == physical:
                return stack, logical, physical, session
    return None


def of_conditions(role: str, context: dict[str, Any]) -> dict[str, Any]:
    """The values of the request that the role's conditions compare."""
    documents = iam._gather_role_policies(role, get_account_id())
    blocks = [block for document in documents for each in document for block in each.conditions.values()]
    compared = {name.lower() for block in blocks for name in block}
    return {name: value for name, value in context.items() if name.lower() in compared}


def describe(stack: dict[str, Any]) -> list[dict[str, Any]]:
    """The line that describes the stack, if it has other resources than when it was last described."""
    if _described.get(stack["StackId"]) == len(stack["_resources"]):
        return []
    _described[stack["StackId"]] = len(stack["_resources"])
    names = {str(each["PhysicalResourceId"]): logical for logical, each in stack["_resources"].items()}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    return [{"stack": stack["StackName"], "parameters": parameters, "names": names}]
