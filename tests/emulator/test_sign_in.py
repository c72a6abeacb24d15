"""What a user pool's tokens and discovery name, where its sign-in leads, and an alarm on an expression."""

from __future__ import annotations

import base64
import json
from typing import Any

import requests

from tests.emulator.conftest import Api, Cloud, code_of, differs, unique

# user_pool_issuer


@differs(stock=False, patched=True)
def test_the_issuer_of_a_token_is_where_its_keys_are(api: Api, cloud: Cloud, expected: bool) -> None:
    payload = api.token.split(".")[1]
    issuer = json.loads(base64.urlsafe_b64decode(payload + "=="))["iss"]
    described = requests.get(f"{cloud.url}/{api.pool}/.well-known/openid-configuration", timeout=10).json()
    assert described["issuer"] == issuer
    assert expected is (issuer == f"{cloud.url}/{api.pool}")
    if expected:
        assert requests.get(described["jwks_uri"], timeout=10).json()["keys"]
        pool = {"Resources": {"Pool": {"Type": "AWS::Cognito::UserPool"}}}
        assert created(cloud, pool, {"Fn::GetAtt": ["Pool", "ProviderURL"]}).startswith(f"{cloud.url}/us-east-1_")


# page_sign_in


@differs(stock=400, patched=200)
def test_a_user_may_come_back_from_the_sign_in_to_an_api(cloud: Cloud, expected: int) -> None:
    cognito, of_aws = cloud.client("cognito-idp"), "https://a1b2c3.execute-api.us-east-1.amazonaws.com/v1/"
    pool = cognito.create_user_pool(PoolName=unique("users"))["UserPool"]["Id"]
    made = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="page",
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthFlows=["code"],
        AllowedOAuthScopes=["openid"],
        CallbackURLs=[of_aws],
        LogoutURLs=[of_aws],
    )
    back = f"{cloud.url}/_aws/execute-api/a1b2c3/v1/"
    asked = {"client_id": made["UserPoolClient"]["ClientId"], "response_type": "code", "redirect_uri": back}
    assert requests.get(f"{cloud.url}/oauth2/authorize", asked, timeout=10).status_code == expected


@differs(stock="ValidationError", patched=None)
def test_a_template_may_give_managed_login_a_style(cloud: Cloud, expected: str | None) -> None:
    style = {"UserPoolId": {"Ref": "Pool"}, "UseCognitoProvidedValues": True}
    resources = {
        "Pool": {"Type": "AWS::Cognito::UserPool"},
        "Style": {"Type": "AWS::Cognito::ManagedLoginBranding", "Properties": style},
    }
    template = json.dumps({"Resources": resources})
    create = cloud.client("cloudformation").create_stack
    assert code_of(create, StackName=unique("style"), TemplateBody=template) == expected


# alarm_on_an_expression

METRIC = {"Namespace": "AWS/Lambda", "MetricName": "Errors"}
ALARM = {
    "AlarmName": "expression",
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "EvaluationPeriods": 1,
    "Threshold": 1,
    "Metrics": [
        {"Id": "errors", "ReturnData": False, "MetricStat": {"Metric": METRIC, "Period": 300, "Stat": "Sum"}},
        {"Id": "twice", "Expression": "errors * 2"},
    ],
}


@differs(stock="ROLLBACK_COMPLETE", patched="CREATE_COMPLETE")
def test_a_template_may_have_an_alarm_on_an_expression(cloud: Cloud, expected: str) -> None:
    stacks, name = cloud.client("cloudformation"), unique("stack")
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM}}}
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))

    def status() -> str:
        return str(stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    cloud.until(lambda: status().endswith("COMPLETE"))
    assert status() == expected


def created(cloud: Cloud, template: dict[str, Any], output: dict[str, Any]) -> str:
    """An output of a new stack."""
    stacks, name = cloud.client("cloudformation"), unique("stack")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template | {"Outputs": {"It": {"Value": output}}}))
    made = cloud.until(lambda: stacks.describe_stacks(StackName=name)["Stacks"][0].get("Outputs"))
    return str(made[0]["OutputValue"])
