"""The addresses of a stack: from the user, from CloudFormation outputs, or from .local/stack.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypedDict

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from exports_cli.trouble import Trouble

_GATEWAY = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Place(TypedDict):
    """The addresses of a stack that its users need."""

    api_url: str  # without a slash at the end
    client_id: str
    cognito_url: str


def safe(api_url: str) -> str:
    """Checks that a token may be sent to an address: it uses TLS or is on this machine.

    Returns:
        The address without a slash at the end.

    Raises:
        Trouble: the token must not be sent there.
    """
    address = _parsed(api_url)
    if not address.host or (address.scheme != "https" and not _here(address)):
        raise Trouble(f"A token is not sent to {api_url}: the address must begin with https://.")
    return api_url.rstrip("/")


def _parsed(address: str) -> Url:
    """Parses an address with the parser of the HTTP client. Another parser may read another host from it."""
    try:
        return parse_url(address)
    except LocationParseError as error:
        raise Trouble(f"{address} is not a valid address.") from error


def is_here(address: str) -> bool:
    """Whether an address is on this machine, as the emulator's is."""
    return _here(_parsed(address))


def _here(address: Url) -> bool:
    return address.scheme in ("http", "https") and address.host in _LOOPBACK


def said(api_url: str, client_id: str, region: str | None) -> Place:
    """The addresses of a stack whose API is known. The default Region is that in the API's host name.

    Raises:
        Trouble: a token must not be sent to the address, or the Region is unknown.
    """
    api_url = safe(api_url)
    if not region:
        host = _parsed(api_url).host or ""
        matched = _GATEWAY.fullmatch(host)
        if not matched:
            raise Trouble(f"The address {host} contains no Region: add --region.")
        region = matched[1]
    return {"api_url": api_url, "client_id": client_id, "cognito_url": cognito_url(region)}


def cognito_url(region: str) -> str:
    """The address of Cognito in a Region.

    Raises:
        Trouble: the name is not a Region's. It could lead to another host.
    """
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise Trouble(f"{region!r} is not a Region. Use lower-case letters, digits and -, as in eu-west-1.")
    return f"https://cognito-idp.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def of_stack(name: str, region: str | None) -> Place:
    """The addresses of a stack in the AWS account of the environment, from its CloudFormation outputs.

    Raises:
        Trouble: the stack cannot be read, is not a stack of Report Exports, or boto3 is missing.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        remedy = "pip install 'report-exports[aws]', or use --api-url and --client-id"
        raise Trouble(f"--stack needs boto3: {remedy}.") from error
    try:
        client: Any = boto3.session.Session(region_name=region).client("cloudformation")
        stack = client.describe_stacks(StackName=name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise Trouble(f"The stack {name} cannot be read: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if issuer := outputs.get("Issuer"):
        remedy = f"Get a token there, and set EXPORTS_TOKEN and EXPORTS_API_URL={outputs.get('ApiUrl')}"
        raise Trouble(f"The users of the stack {name} sign in at {issuer}, not in a user pool. {remedy}.")
    if missing := {"ApiUrl", "UserPoolClientId"} - outputs.keys():
        why = f"it has no output {' and no output '.join(sorted(missing))}"
        raise Trouble(f"The stack {name} ({stack['StackStatus']}) is not a stack of Report Exports: {why}.")
    return said(outputs["ApiUrl"], outputs["UserPoolClientId"], client.meta.region_name)


def local() -> tuple[Place, dict[str, dict[str, str]]]:
    """The stack of the nearest .local/stack.json, and its users by tenant: ``{email, password}``.

    Raises:
        Trouble: there is no such file, or it would send a password or a token to another machine. Somebody else may
            have written a file in a parent folder.
    """
    folders = [Path.cwd(), *Path.cwd().parents, Path(__file__).parent.parent]
    source = next((file for folder in folders if (file := folder / ".local" / "stack.json").is_file()), None)
    if source is None:
        raise Trouble("The emulator is not running: there is no .local/stack.json. Start it in the project: make up")
    described: dict[str, Any] = json.loads(source.read_text("utf-8"))
    api_url, endpoint_url = safe(described["api_url"]), described["endpoint_url"]
    if endpoint_url:
        for name, address in (("api_url", api_url), ("endpoint_url", endpoint_url)):
            if not _here(_parsed(address)):
                allowed = ", ".join(_LOOPBACK)
                raise Trouble(f"{source}: {name} is {address}, but the emulator must be on this machine ({allowed}).")
    place: Place = {
        "api_url": api_url,
        "client_id": described["user_pool_client_id"],
        "cognito_url": endpoint_url or cognito_url(described["region"]),  # no endpoint: tests use a stack on AWS
    }
    return place, described.get("users", {})
