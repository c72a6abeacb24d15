"""A deployed stack, on the AWS emulator or on AWS: described from its outputs, filled with sample data and users."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from exports_admin import sample_data
from exports_cli import cognito, places
from exports_cli.places import Place
from exports_cli.trouble import Trouble

STACK = "report-exports"
"""The name of a stack where nobody says another."""
PASSWORD = f"Aa1-{secrets.token_urlsafe(18)}"
"""Of the users that this process makes."""


def describe(stack: str, region: str, endpoint_url: str | None) -> dict[str, Any]:
    """What .local/stack.json says of a stack: its outputs, and where it is.

    Args:
        stack: its name.
        region: where it is.
        endpoint_url: of the emulator; None on AWS.
    """
    where = {"stack": stack, "region": region, "endpoint_url": endpoint_url}
    return _describe(where, client("cloudformation", where))


def find(stack: str) -> dict[str, Any]:
    """The stack of this name where the environment says, as the AWS CLI understands it.

    Raises:
        Trouble: there is none, it is none of ours, or the environment does not say where or as whom.
    """
    where = {"stack": stack, "region": require_region(region()), "endpoint_url": os.environ.get("AWS_ENDPOINT_URL")}
    with _readable(where):
        return _describe(where, boto3.session.Session().client("cloudformation", region_name=where["region"]))


def find_own(stack: str) -> dict[str, Any]:
    """As :func:`find`, of a stack whose data and users are its own, so that it may be filled.

    Raises:
        Trouble: also when they are not.
    """
    description = find(stack)
    with _readable(description):
        described = client("cloudformation", description).describe_stack_resources(StackName=stack)
    if "UserPool" not in {resource["LogicalResourceId"] for resource in described["StackResources"]}:
        raise Trouble(f"The users of {stack} are in a pool that is not its own. Fill a stack without UserPoolId.")
    if not description["data_location"].startswith(f"s3://{description['bucket']}/"):
        raise Trouble(f"{stack} reads {description['data_location']}, not its own. Fill a stack without DataBucket.")
    return description


def region() -> str | None:
    """The Region that the environment names; None when it names none.

    Raises:
        Trouble: a profile, or a file of the AWS CLI's, cannot be read.
    """
    try:
        return os.environ.get("AWS_REGION") or boto3.session.Session().region_name  # boto3 does not read AWS_REGION
    except BotoCoreError as error:
        raise Trouble(f"AWS is not set up: {error}") from error


def require_region(found: str | None) -> str:
    """The Region.

    Raises:
        Trouble: there is none.
    """
    if not found:
        raise Trouble("Which Region? Set AWS_REGION, or AWS_PROFILE to a profile that names one.")
    return found


@contextlib.contextmanager
def _readable(where: dict[str, Any]) -> Iterator[None]:
    """Makes a stack that cannot be read a :class:`Trouble`."""
    try:
        yield
    except NoCredentialsError as error:
        remedy = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise Trouble(f"As whom? There are no AWS credentials. {remedy}") from error
    except (ClientError, BotoCoreError, ValueError) as error:  # ValueError: AWS_ENDPOINT_URL is no address
        raise Trouble(f"The stack {where['stack']} in {where['region']} cannot be read: {error}") from error


def _describe(where: dict[str, Any], cloudformation: Any) -> dict[str, Any]:
    stack, endpoint_url = where["stack"], where["endpoint_url"]
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
    if "ExportsTableName" not in outputs:
        raise Trouble(f"The stack {stack} ({found['StackStatus']}) is none of Report Exports: it has no such outputs.")
    api_url = f"{endpoint_url}/_aws/execute-api/{outputs['ApiId']}/v1" if endpoint_url else outputs["ApiUrl"]
    return where | {
        "api_url": api_url,
        "user_pool_id": outputs["UserPoolId"],
        "user_pool_client_id": outputs["UserPoolClientId"],
        "bucket": outputs["ExportsBucketName"],
        "table": outputs["ExportsTableName"],
        "data_location": outputs["DataLocation"],
        "dead_letters_url": outputs["DeadLettersUrl"],
        "event_bus": outputs["EventBusName"],
        "state_machine_arn": outputs["StateMachineArn"],
        "retention_days": int(parameters["RetentionDays"]),
        "sender_email": parameters["SenderEmail"],
        "page_url": parameters["PageUrl"],
        "tenant_claim": parameters.get("TenantClaim", "custom:tenant_id"),  # a stack of before may not have it
    }


def fill(description: dict[str, Any]) -> dict[str, Any]:
    """The description, after sample data is among the stack's datasets and each airline has a user."""
    bucket, prefix = description["data_location"].removeprefix("s3://").split("/", 1)
    s3 = client("s3", description)
    for file in sample_data.write(sample_data.FOLDER):
        s3.upload_file(str(file), bucket, prefix + file.relative_to(sample_data.FOLDER).as_posix())
    if description["endpoint_url"] and description["sender_email"]:  # on AWS its owner verifies it
        client("sesv2", description).create_email_identity(EmailIdentity=description["sender_email"])
    users = {
        airline: create_user(description, f"{airline.lower()}@example.com", airline)
        for airline in sample_data.airlines()
    }
    return description | {"users": users}


def client(service: str, description: dict[str, Any]) -> Any:
    """A client of the described stack, with the environment's credentials if it names the same place.

    Otherwise the stack is on the emulator, and the client has its administrator's rights.
    """
    session: Any = boto3
    here = description["endpoint_url"]
    credentials = {} if os.environ.get("AWS_ENDPOINT_URL") == here else access(here)
    return session.client(service, region_name=description["region"], **credentials)


def access(endpoint_url: str | None) -> dict[str, str]:
    """What a client needs besides the environment: nothing on AWS."""
    if endpoint_url is None:
        return {}
    return {"endpoint_url": endpoint_url, "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def environment(endpoint_url: str) -> dict[str, str]:
    """What gives a process an administrator's rights on the emulator, besides AWS_DEFAULT_REGION."""
    given = access(endpoint_url)
    return {
        "AWS_ENDPOINT_URL": given["endpoint_url"],
        "AWS_ACCESS_KEY_ID": given["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": given["aws_secret_access_key"],
    }


def sign_in(description: dict[str, Any], tenant: str) -> str:
    """ID token of the tenant's user."""
    if tenant not in description["users"]:
        raise Trouble(f"There is no user of {tenant}; there are users of {', '.join(description['users'])}.")
    user = description["users"][tenant]
    return cognito.sign_in(place(description), user["email"], user["password"])["id_token"]


def place(description: dict[str, Any]) -> Place:
    """The stack as its users see it."""
    return Place(
        api_url=description["api_url"],
        client_id=description["user_pool_client_id"],
        cognito_url=description["endpoint_url"] or places.cognito_url(description["region"]),
    )


def create_user(description: dict[str, Any], email: str, tenant: str | None) -> dict[str, str]:
    """A user of the pool with a password that is good at once."""
    pools, pool = client("cognito-idp", description), description["user_pool_id"]
    attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    if tenant:
        attributes.append({"Name": description["tenant_claim"], "Value": tenant})
    with contextlib.suppress(pools.exceptions.UsernameExistsException):
        pools.admin_create_user(UserPoolId=pool, Username=email, UserAttributes=attributes, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=pool, Username=email, Password=PASSWORD, Permanent=True)
    return {"email": email, "password": PASSWORD}
