"""Rules for access: roles, who may assume them, and which parts of the API are public."""

from collections.abc import Iterator

from checks import Fault
from checks.repository import named_below, reference
from checks.template.stack import Stack

ROLE = "AWS::IAM::Role"
ACTORS = {f"AWS::{each}::Function" for each in ("Lambda", "Serverless")} | {"AWS::Pipes::Pipe"}
ACTORS |= {f"AWS::{each}::StateMachine" for each in ("Serverless", "StepFunctions")}
"""Types that act with a role of their own."""
POLICIES = {f"AWS::IAM::{each}" for each in ("ManagedPolicy", "Policy", "RolePolicy")}
DEPUTIES = {f"{service}.amazonaws.com" for service in ("events", "pipes", "scheduler", "states")}
"""Services that act on behalf of others, so a role must say for which account they may assume it."""
APIS = {"Api": "RestApiId", "HttpApi": "ApiId"}


def roles(stack: Stack) -> Iterator[Fault]:
    """Each role is written out completely and belongs to exactly one resource, which names it."""
    for name, resource in stack.written.items():
        properties = resource["Properties"]
        if resource["Type"] in ACTORS:
            if "Policies" in properties:
                remedy = "Move the statements into the role"
                yield stack.fault(name, "has permissions outside its role", remedy, "Properties", "Policies")
            if not stack.has(reference(properties.get("Role", properties.get("RoleArn"))), ROLE):
                yield stack.fault(name, "names no role of this template", "Add a role and name it: !GetAtt <role>.Arn")
    for name, _ in stack.of(*POLICIES):
        yield stack.fault(name, "is a policy outside a role", "Move the statements into the role")
    users = {name: named_below(resource, "Role", "RoleArn") for name, resource in stack.deployed.items()}
    for name, role in stack.of(ROLE):
        if name not in stack.written:
            yield stack.fault(name, f"makes SAM create the role {name}", "Add a role and name it")
            continue
        if "ManagedPolicyArns" in role:
            remedy = "Write only the needed statements into the role"
            yield stack.fault(name, "has a managed policy", remedy, "Properties", "ManagedPolicyArns")
        if "PermissionsBoundary" not in role:
            remedy = "Add PermissionsBoundary: !If [HasPermissionsBoundary, …], as in the other roles"
            yield stack.fault(name, "has no permissions boundary", remedy, "Properties")
        of = [stack.origin(user) for user, named in users.items() if name in named]
        if len(of) != 1:
            wrong = f"is the role of {' and '.join(of) or 'no resource'}"
            yield stack.fault(name, wrong, "Give each resource a role of its own")


def trust(stack: Stack) -> Iterator[Fault]:
    """Only one service may assume a role, and only for this account."""
    path = ("Properties", "AssumeRolePolicyDocument")
    for name, role in stack.of(ROLE):
        statement = role.get("AssumeRolePolicyDocument", {}).get("Statement")
        statements = statement if isinstance(statement, list) else [statement]
        principals = [each.get("Principal") for each in statements if each]
        service = principals[0].get("Service") if principals and isinstance(principals[0], dict) else None
        if principals != [{"Service": service}] or not isinstance(service, str):
            yield stack.fault(name, "can be assumed by more than one service", "Name one: {Service: …}", *path)
            continue
        keys = {key for each in statements for condition in each.get("Condition", {}).values() for key in condition}
        if service in DEPUTIES and not keys & {"aws:SourceAccount", "aws:SourceArn"}:
            remedy = 'Add Condition: {StringEquals: {"aws:SourceAccount": !Ref AWS::AccountId}}'
            yield stack.fault(name, f"can be assumed by {service} for any account", remedy, *path)


def routes(stack: Stack) -> Iterator[Fault]:
    """Every route requires a signed-in caller, unless a comment says why not."""
    for name, resource in stack.written.items():
        for event_name, event in resource["Properties"].get("Events", {}).items():
            if event["Type"] not in APIS:
                continue
            properties = event.get("Properties", {})
            path = ("Properties", "Events", event_name, "Properties", "Auth", "Authorizer")
            authorizer = properties.get("Auth", {}).get("Authorizer")
            api = stack.written.get(reference(properties.get(APIS[event["Type"]])) or "", {}).get("Properties", {})
            if authorizer is None and "DefaultAuthorizer" not in api.get("Auth", {}):
                remedy = f"Name an API that has a DefaultAuthorizer: {APIS[event['Type']]}: !Ref …"
                yield stack.fault(name, f"{event_name} is public", remedy, *path)
            if authorizer == "NONE" and not stack.comment(name, *path):
                remedy = "Say why in a comment at the end of the line, or remove Authorizer: NONE"
                yield stack.fault(name, f"{event_name} is public without a reason", remedy, *path)
    for name, url in stack.of("AWS::Lambda::Url"):
        if url["AuthType"] == "NONE":
            wrong = "has a public URL"
            yield stack.fault(name, wrong, "Write AuthType: AWS_IAM", "Properties", "FunctionUrlConfig")


RULES = (roles, trust, routes)
