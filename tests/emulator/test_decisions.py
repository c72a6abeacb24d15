"""DECISIONS names a file that gets what IAM decides about the roles of stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.emulator.conftest import ACCOUNT, code_of, policy, running

if TYPE_CHECKING:
    from pathlib import Path


def test_each_decision_has_the_role_the_action_the_resource_and_what_was_compared(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    for cloud in running("all", DECISIONS=str(file)):
        bucket = cloud.bucket()
        mine = {"Sid": "ListMine", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
        mine |= {"Condition": {"StringEquals": {"s3:prefix": "mine/"}}}
        properties = {
            "AssumeRolePolicyDocument": json.loads(
                policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
            ),
            "Policies": [{"PolicyName": "it", "PolicyDocument": json.loads(policy(mine))}],
        }
        parameters = {"Size": {"Type": "String", "Default": "small"}}
        resources = {"Reader": {"Type": "AWS::IAM::Role", "Properties": properties}}
        name = cloud.stack({"Parameters": parameters, "Resources": resources}, "Reader")
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        s3 = cloud.client("s3", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        answers = [code_of(s3.list_objects_v2, Bucket=bucket, Prefix=prefix) for prefix in ("mine/", "other/")]
        assert answers == [None, "AccessDenied"]
        cloud.as_role("s3", mine).list_objects_v2(Bucket=bucket, Prefix="mine/")  # a role of no stack
    stack, *decisions = map(json.loads, file.read_text("utf-8").splitlines())
    assert (stack["parameters"], stack["names"]) == ({"Size": "small"}, {name: "Reader"})
    same: dict[str, Any] = {"stack": stack["stack"], "role": "Reader", "session": "me"}
    same |= {"action": "s3:ListBucket", "resource": f"arn:aws:s3:::{bucket}"}
    assert decisions == [
        same | {"context": {"s3:prefix": "mine/"}, "allowed": True},
        same | {"context": {"s3:prefix": "other/"}, "allowed": False},
    ]
