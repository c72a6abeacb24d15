"""A deployed stack, on the AWS emulator or on AWS: reads its outputs, and adds sample data and users."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from exports_admin import sample_data
from exports_cli import cognito, places
from exports_cli.places import Place
from exports_cli.trouble import Trouble

STACK = "report-exports"
"""The default name of a stack."""
PASSWORD = f"Aa1-{secrets.token_urlsafe(18)}"
"""The password of the users that this process creates."""


def describe(stack: str, region: str, endpoint_url: str | None) -> dict[str, Any]:
    """The description of a stack in .local/stack.json: its outputs, its Region and its endpoint.

    Args:
        stack: the name of the stack.
        region: the Region of the stack.
        endpoint_url: the address of the emulator; None on AWS.
    """
    where = {"stack": stack, "region": region, "endpoint_url": endpoint_url}
    return _describe(where, client("cloudformation", where))


def find(stack: str) -> dict[str, Any]:
    """The description of the stack with this name. Region and credentials come from the environment, as in the AWS CLI.

    Raises:
        Trouble: the stack cannot be read or is not a stack of Report Exports, or the Region or credentials are missing.
    """
    where = locate(stack)
    with readable(where):
        return _describe(where, boto3.session.Session().client("cloudformation", region_name=where["region"]))


def locate(stack: str) -> dict[str, Any]:
    """Where a stack is, according to the environment: ``{stack, region, endpoint_url}``.

    Raises:
        Trouble: there is no Region.
    """
    return {"stack": stack, "region": require_region(region()), "endpoint_url": os.environ.get("AWS_ENDPOINT_URL")}


def find_own(stack: str) -> dict[str, Any]:
    """As :func:`find`, but requires that the stack has its own bucket and user pool, so that they can be filled.

    Raises:
        Trouble: as of :func:`find`, or the bucket or the user pool is not the stack's own.
    """
    description = find(stack)
    if not description["own_user_pool"]:
        raise Trouble(f"The user pool of {stack} is not its own. Use a stack without the parameter UserPoolId.")
    if not description["data_location"].startswith(f"s3://{description['bucket']}/"):
        where = description["data_location"]
        raise Trouble(f"{stack} reads {where}, which is not its own. Use a stack without the parameter DataBucket.")
    return description


def region() -> str | None:
    """The Region in the environment; None if there is none.

    Raises:
        Trouble: a profile or a file of the AWS CLI cannot be read.
    """
    try:
        return os.environ.get("AWS_REGION") or boto3.session.Session().region_name  # boto3 does not read AWS_REGION
    except BotoCoreError as error:
        raise Trouble(f"AWS is not configured: {error}") from error


def require_region(name: str | None) -> str:
    """Checks that there is a Region, and returns it.

    Raises:
        Trouble: there is no Region.
    """
    if not name:
        raise Trouble("No Region is set. Set AWS_REGION, or set AWS_PROFILE to a profile with a Region.")
    return name


@contextlib.contextmanager
def readable(where: dict[str, Any]) -> Iterator[None]:
    """Converts the errors of an unreadable stack to :class:`Trouble`."""
    try:
        yield
    except NoCredentialsError as error:
        remedy = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise Trouble(f"There are no AWS credentials. {remedy}") from error
    except (ClientError, BotoCoreError, ValueError) as error:  # ValueError: AWS_ENDPOINT_URL is not a valid address
        raise Trouble(f"The stack {where['stack']} in {where['region']} cannot be read: {error}") from error


def _describe(where: dict[str, Any], cloudformation: Any) -> dict[str, Any]:
    stack, endpoint_url = where["stack"], where["endpoint_url"]
    current = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in current.get("Outputs", [])}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in current.get("Parameters", [])}
    if "ExportsTableName" not in outputs:
        why = "it has no output ExportsTableName"
        raise Trouble(f"The stack {stack} ({current['StackStatus']}) is not a stack of Report Exports: {why}.")
    api_url = f"{endpoint_url}/_aws/execute-api/{outputs['ApiId']}/v1" if endpoint_url else outputs["ApiUrl"]
    return where | {
        "api_url": api_url,
        "issuer": outputs.get("Issuer", ""),  # empty: a user pool
        "user_pool_id": outputs.get("UserPoolId", ""),
        "user_pool_client_id": outputs.get("UserPoolClientId", ""),
        "bucket": outputs["ExportsBucketName"],
        "table": outputs["ExportsTableName"],
        "data_location": outputs["DataLocation"],
        "dead_letters_url": outputs["DeadLettersUrl"],
        "event_bus": outputs["EventBusName"],
        "state_machine_arn": outputs["StateMachineArn"],
        "retention_days": int(parameters["RetentionDays"]),
        "sender_email": parameters["SenderEmail"],
        "page_url": parameters["PageUrl"] or outputs.get("PageUrl", ""),
        "own_user_pool": not parameters.get("UserPoolId"),
        "tenant_claim": parameters.get("TenantClaim", "custom:tenant_id"),  # a stack of before may not have it
    }


def fill(description: dict[str, Any]) -> dict[str, Any]:
    """Uploads the sample data and creates a user for each airline. Returns the description with the users."""
    bucket, prefix = description["data_location"].removeprefix("s3://").split("/", 1)
    s3 = client("s3", description)
    for file in sample_data.write(sample_data.FOLDER):
        s3.upload_file(str(file), bucket, prefix + file.relative_to(sample_data.FOLDER).as_posix())
    if description["endpoint_url"] and description["sender_email"]:  # on AWS, the owner of the address verifies it
        client("sesv2", description).create_email_identity(EmailIdentity=description["sender_email"])
    users = {
        airline: create_user(description, f"{airline.lower()}@example.com", airline)
        for airline in sample_data.airlines()
    }
    return description | {"users": users}


def client(service: str, description: dict[str, Any]) -> Any:
    """A client with administrator rights on the stack: those of the emulator, or those of the environment.

    If the environment names the same endpoint, the client uses the environment's credentials.
    """
    session: Any = boto3
    here = description["endpoint_url"]
    credentials = {} if os.environ.get("AWS_ENDPOINT_URL") == here else access(here)
    return session.client(service, region_name=description["region"], **credentials)


def access(endpoint_url: str | None) -> dict[str, str]:
    """The arguments of a client besides the environment. There are none on AWS."""
    if endpoint_url is None:
        return {}
    return {"endpoint_url": endpoint_url, "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def environment(endpoint_url: str) -> dict[str, str]:
    """The variables that give a process administrator rights on the emulator, besides AWS_DEFAULT_REGION."""
    arguments = access(endpoint_url)
    return {
        "AWS_ENDPOINT_URL": arguments["endpoint_url"],
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
    }


def no_user(tenant: str, users: Iterable[str]) -> Trouble:
    """The error of a tenant for which the emulator has no user."""
    create = f"bin/exports-admin user you@example.com --tenant {tenant}"
    return Trouble(f"The tenant {tenant} has no user. These tenants have one: {', '.join(users)}. To add one: {create}")


def sign_in(description: dict[str, Any], tenant: str) -> str:
    """The ID token of the tenant's user."""
    if tenant not in description["users"]:
        raise no_user(tenant, description["users"])
    user = description["users"][tenant]
    return cognito.sign_in(place(description), user["email"], user["password"])["id_token"]


def user_pool(description: dict[str, Any]) -> str:
    """Id of the user pool.

    Raises:
        Trouble: the users of the stack are those of another issuer.
    """
    if issuer := description.get("issuer"):
        raise Trouble(f"The users of this stack are those of {issuer}. Create them there (docs/howto/sign-in.md).")
    return str(description.get("user_pool_id", ""))


def place(description: dict[str, Any]) -> Place:
    """The addresses of the stack that its users need.

    Raises:
        Trouble: the users of the stack are those of another issuer.
    """
    user_pool(description)
    return Place(
        api_url=description["api_url"],
        client_id=description["user_pool_client_id"],
        cognito_url=description["endpoint_url"] or places.cognito_url(description["region"]),
    )


def create_user(description: dict[str, Any], email: str, tenant: str | None) -> dict[str, str]:
    """Creates a user of the pool with a permanent password."""
    pools, pool = client("cognito-idp", description), user_pool(description)
    attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    if tenant:
        attributes.append({"Name": description["tenant_claim"], "Value": tenant})
    with contextlib.suppress(pools.exceptions.UsernameExistsException):
        pools.admin_create_user(UserPoolId=pool, Username=email, UserAttributes=attributes, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=pool, Username=email, Password=PASSWORD, Permanent=True)
    return {"email": email, "password": PASSWORD}


def attribute(user: dict[str, Any], name: str) -> str | None:
    """An attribute of a user of the pool, such as the claim that names the tenant; None if the user does not have it.

    Args:
        user: as AdminGetUser (``UserAttributes``) or ListUsers (``Attributes``) returns it.
        name: of the attribute.
    """
    attributes = user.get("UserAttributes") or user.get("Attributes") or []
    return next((each["Value"] for each in attributes if each["Name"] == name), None)
