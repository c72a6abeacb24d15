"""What the template says of what AWS would do with it, where no deployment on this machine shows it."""

import re
import time
from typing import Any

import pytest

from checks import repository
from checks.template.stack import Stack
from tests.support.moto_machine import Template
from tests.unit.support import template

PATTERN = re.compile(template()["Parameters"]["DataPrefix"]["AllowedPattern"])
"""Java's expressions, as CloudFormation has them, and Python's mean the same by all that it uses."""


@pytest.mark.parametrize(
    "folder", ["", "data", "lake/work", "data/exports/x", "workers", "exports.2013", "a/b=1", ".x"]
)
def test_a_folder_for_the_data_is_accepted(folder: str) -> None:
    assert PATTERN.fullmatch(folder)


@pytest.mark.parametrize(
    "folder", ["work", "exports", "work/data", "exports/x", "/data", "data/", "a//b", "..", "data/../work", "a/./b"]
)
def test_a_folder_whose_files_would_expire_or_that_is_none_is_refused(folder: str) -> None:
    assert not PATTERN.fullmatch(folder)


def test_what_expires_is_what_no_data_may_lie_under() -> None:
    rules = template()["Resources"]["ExportsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule]
    assert expiring == ["work/", "exports/"]
    assert not any(PATTERN.fullmatch(f"{prefix}x") for prefix in expiring)


def test_every_deployment_reaches_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM's hash of the API does not see a parameter's new value, such as AllowedOrigin's, so it must not be used."""

    def deployment_at(moment: float) -> str:
        monkeypatch.setattr(time, "time", lambda: moment)
        (name,) = [name for name, _ in Stack(repository.read("template.yaml")).of("AWS::ApiGateway::Deployment")]
        return str(name)

    assert deployment_at(1_800_000_000.0) != deployment_at(1_800_000_060.0)


def test_no_metric_of_the_api_costs_anything() -> None:
    """MetricsEnabled counts each method apart, at a price; the stage, which the alarm watches, is always counted."""
    api = template()["Resources"]["Api"]["Properties"]
    assert [each["MetricsEnabled"] for each in api["MethodSettings"]] == [False]
    watched = template()["Resources"]["ApiErrorsAlarm"]["Properties"]
    assert [each["Name"] for each in watched["Dimensions"]] == ["ApiName", "Stage"]
    assert watched["Dimensions"][0]["Value"] == api["Name"]


def test_users_are_the_same_in_capitals_unless_the_pool_is_older() -> None:
    """Cognito never changes it, and refuses an update that adds it (UsernameConfiguration)."""
    case = template()["Resources"]["UserPool"]["Properties"]["UsernameConfiguration"]
    assert case == {"Fn::If": ["HasCaseSensitiveUsernames", {"Ref": "AWS::NoValue"}, {"CaseSensitive": False}]}
    assert template()["Parameters"]["UsernamesCaseSensitive"]["Default"] == "false"


@pytest.mark.parametrize(
    ("parameter", "value", "accepted"),
    [
        ("DomainName", "", True),
        ("DomainName", "exports.example.com", True),
        ("DomainName", "Exports.example.com", False),
        ("DomainName", "https://exports.example.com", False),
        ("DomainName", "localhost", False),
        ("CertificateArn", "arn:aws:acm:eu-west-1:123456789012:certificate/1234abcd-12ab", True),
        ("CertificateArn", "arn:aws:iam::123456789012:server-certificate/mine", False),
        ("HostedZoneId", "Z0123456789ABCDEFGHIJ", True),
        ("HostedZoneId", "/hostedzone/Z0123456789ABCDEFGHIJ", False),
        ("BucketKeyArn", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1234abcd", True),
        ("BucketKeyArn", "arn:aws:kms:eu-west-1:123456789012:alias/mine", False),
        ("PageDomainPrefix", "", True),
        ("PageDomainPrefix", "example-exports-2", True),
        ("PageDomainPrefix", "Example", False),
        ("PageDomainPrefix", "example-", False),
        ("PageDomainPrefix", "x" * 64, False),
        ("PageDomainPrefix", "my-aws-exports", False),
        ("PageDomainPrefix", "amazonas", False),
        ("PageDomainPrefix", "cognito", False),
        ("OidcScope", "openid", True),
        ("OidcScope", "email openid api://x/read", True),
        ("OidcScope", "email", False),
        ("OidcScope", "myopenid", False),
    ],
)
def test_a_parameter_takes_what_aws_or_the_issuer_would_take(parameter: str, value: str, accepted: bool) -> None:
    pattern = template()["Parameters"][parameter]["AllowedPattern"]
    assert (re.fullmatch(pattern, value) is not None) == accepted


def holds(condition: Any, values: dict[str, str]) -> bool:
    """Whether a condition of a rule holds for these values of parameters."""
    match condition:
        case {"Fn::Equals": [{"Ref": name}, value]}:
            return values[name] == str(value)
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::And": each}:
            return all(holds(inner, values) for inner in each)
    raise AssertionError(condition)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, []),
        ({"DomainName": "a.example.com", "CertificateArn": "arn"}, []),
        ({"DomainName": "a.example.com", "CertificateArn": "arn", "HostedZoneId": "Z1"}, []),
        ({"DomainName": "a.example.com"}, ["DomainName requires CertificateArn"]),
        ({"CertificateArn": "arn"}, ["CertificateArn and HostedZoneId are used only with DomainName"]),
        ({"HostedZoneId": "Z1"}, ["CertificateArn and HostedZoneId are used only with DomainName"]),
        ({"DataPrefix": ""}, ["Without DataBucket, the datasets need their own folder"]),
        ({"UserPoolId": "pool"}, ["UserPoolId requires UserPoolClientId"]),
        ({"OidcIssuer": "https://x", "OidcAudience": "a", "OidcClientId": "c"}, []),
        ({"OidcClientId": "c"}, ["OidcClientId requires OidcIssuer"]),
        (
            {"OidcIssuer": "https://x", "OidcAudience": "a", "PageDomainPrefix": "p"},
            ["PageDomainPrefix is for a user pool"],
        ),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(given: dict[str, str], told: list[str]) -> None:
    values = {name: str(each["Default"]) for name, each in template()["Parameters"].items()} | given
    broken = [
        assertion["AssertDescription"]
        for rule in template()["Rules"].values()
        if holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]
    assert [each.startswith(text) for each, text in zip(broken, told, strict=True)] == [True] * len(told)


def test_without_a_domain_and_a_key_a_stack_is_as_before() -> None:
    of = {name: each["Default"] for name, each in template()["Parameters"].items() if "Default" in each}
    assert [of[name] for name in ("DomainName", "CertificateArn", "HostedZoneId", "BucketKeyArn")] == [""] * 4
    conditions = {each.get("Condition") for name, each in template()["Resources"].items() if name.startswith("Domain")}
    assert conditions == {"HasDomainName", "HasDomainRecord"}
    (rule,) = template()["Resources"]["ExportsBucket"]["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule == {
        "ServerSideEncryptionByDefault": {
            "Fn::If": [
                "HasBucketKey",
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "BucketKeyArn"}},
                {"SSEAlgorithm": "AES256"},
            ]
        },
        "BucketKeyEnabled": {"Fn::If": ["HasBucketKey", True, {"Ref": "AWS::NoValue"}]},
    }


def test_the_api_has_one_url_and_it_is_the_domains_if_there_is_one() -> None:
    condition, ours, _ = template()["Outputs"]["ApiUrl"]["Value"]["Fn::If"]
    assert (condition, ours) == ("HasDomainName", {"Fn::Sub": "https://${DomainName}"})
    mapping = template()["Resources"]["DomainMapping"]["Properties"]
    assert "BasePath" not in mapping  # the API makes its links of the path that the caller used
    assert template()["Resources"]["Domain"]["Properties"]["SecurityPolicy"] == "TLS_1_2"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_bucket_refuses_everybody_without_tls_and_is_never_public() -> None:
    stack = Template()
    assert stack.properties("ExportsBucketPolicy")["PolicyDocument"]["Statement"] == [
        {
            "Sid": "RefuseWithoutTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [stack.resolve({"Fn::GetAtt": ["ExportsBucket", "Arn"]}), f"{stack._arn('ExportsBucket')}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    bucket = stack.properties("ExportsBucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_users_of_the_own_pool_neither_sign_up_nor_write_their_tenant() -> None:
    stack = Template(PageDomainPrefix="p")
    assert stack.properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    clients = [name for name, each in stack.text["Resources"].items() if each["Type"] == "AWS::Cognito::UserPoolClient"]
    assert clients == ["UserPoolClient", "PageClient"]
    for client in clients:
        assert stack.properties(client)["WriteAttributes"] == ["email"], "an empty list leaves everything writable"


ONLY_HEADS: set[str] = set()
"""Roles that read no content of an object and ask HeadObject for no checksum: S3 does not use the key for them."""


def test_each_role_that_reads_or_writes_files_may_use_the_buckets_key_and_no_other_role_may() -> None:
    """A write needs GenerateDataKey, a read Decrypt, and a multipart upload both."""
    for name, role in Stack(repository.read("template.yaml")).of("AWS::IAM::Role"):
        statements = [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]]
        plain = [each for each in statements if "Fn::If" not in each]
        actions = {action for each in plain for action in listed(each["Action"])}
        needed = {"kms:Decrypt"} if actions & {"s3:GetObject", "s3:AbortMultipartUpload"} else set()
        needed -= {"kms:Decrypt"} if name in ONLY_HEADS else set()
        needed |= {"kms:GenerateDataKey"} if "s3:PutObject" in actions else set()
        conditional = [each["Fn::If"][1] for each in statements if each.get("Fn::If", [""])[0] == "HasBucketKey"]
        allowed = {action for each in conditional for action in listed(each["Action"])}
        assert allowed == needed, f"{name}: allow {needed or 'nothing'} if HasBucketKey (or see ONLY_HEADS)"
        for each in conditional:
            assert each["Resource"] == {"Ref": "BucketKeyArn"}
            assert each["Condition"] == {
                "StringEquals": {"kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}}
            }


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, ""),
        ({"PageUrl": "https://app.example.com/exports", "PageDomainPrefix": "p"}, "https://app.example.com/exports"),
        ({"PageDomainPrefix": "p"}, r"https://.*execute-api.*/v1/"),
        ({"OidcIssuer": "https://x", "OidcClientId": "c"}, r"https://.*execute-api.*/v1/"),
        ({"PageDomainPrefix": "p", "DomainName": "exports.example.com"}, "https://exports.example.com/"),
    ],
)
def test_mails_link_to_the_stacks_page_unless_there_is_another_or_nobody_can_sign_in(
    given: dict[str, str], url: str
) -> None:
    assert re.fullmatch(url, Template(**given).environment("NotifyOwner")["PAGE_URL"])


def test_the_page_of_the_own_pool_has_a_client_that_the_api_accepts_and_that_cannot_use_passwords() -> None:
    stack = Template(PageDomainPrefix="p")
    assert stack.environment("Authorize")["AUDIENCE"].split(",")[1:] == [stack.resolve({"Ref": "PageClient"})]
    client = stack.properties("PageClient")
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert all(url.startswith("https://") and url.endswith("/") for url in client["CallbackURLs"] if url)
