"""SAM writes the values of parameters, not their defaults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.emulator.conftest import unique

if TYPE_CHECKING:
    from tests.emulator.conftest import Cloud

TEMPLATE: dict[str, Any] = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Parameters": {"Pool": {"Type": "String", "Default": "none"}},
    "Resources": {
        "Api": {
            "Type": "AWS::Serverless::Api",
            "Properties": {
                "StageName": "v1",
                "Auth": {
                    "Authorizers": {
                        "Users": {
                            "UserPoolArn": {
                                "Fn::Sub": "arn:aws:cognito-idp:us-east-1:${AWS::AccountId}:userpool/${Pool}"
                            }
                        }
                    }
                },
                "DefinitionBody": {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/": {}}},
            },
        }
    },
    "Outputs": {"Id": {"Value": {"Ref": "Api"}}},
}


def pool_of(cloud: Cloud) -> str:
    """The pool in the authorizer of an API that was deployed with the pool `ours`."""
    stacks, name = cloud.client("cloudformation"), unique("stack")
    stacks.create_stack(
        StackName=name,
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[{"ParameterKey": "Pool", "ParameterValue": "ours"}],
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
    )
    outputs = cloud.until(lambda: stacks.describe_stacks(StackName=name)["Stacks"][0].get("Outputs"))
    (authorizer,) = cloud.client("apigateway").get_authorizers(restApiId=outputs[0]["OutputValue"])["items"]
    return str(authorizer["providerARNs"][0]).rpartition("/")[2]


def test_stock_writes_the_default(stock: Cloud) -> None:
    assert pool_of(stock) == "none"


def test_the_value_is_written(patched: Cloud) -> None:
    assert pool_of(patched) == "ours"
