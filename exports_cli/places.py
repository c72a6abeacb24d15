"""Where a stack is: said by the user, found by its CloudFormation outputs, or in .local/stack.json."""

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
    """A stack as its users see it."""

    api_url: str  # no slash at the end
    client_id: str
    cognito_url: str


def safe(api_url: str) -> str:
    """An API's address, without a slash at the end, that a token may be sent to: by TLS, or on this machine.

    Raises:
        Trouble: it is none.
    """
    address = _parsed(api_url)
    if not address.host or (address.scheme != "https" and not _here(address)):
        raise Trouble(f"{api_url} is no address for a token: it must begin with https://.")
    return api_url.rstrip("/")


def _parsed(address: str) -> Url:
    """As the client that calls it reads it: what another parser takes for the host may be another one."""
    try:
        return parse_url(address)
    except LocationParseError as error:
        raise Trouble(f"{address} is no address.") from error


def is_here(address: str) -> bool:
    """Whether it is an address of this machine: the emulator's."""
    return _here(_parsed(address))


def _here(address: Url) -> bool:
    return address.scheme in ("http", "https") and address.host in _LOOPBACK


def said(api_url: str, client_id: str, region: str | None) -> Place:
    """A stack whose addresses are known; the Region is that of the API's host where that says it.

    Raises:
        Trouble: an address that a token must not be sent to, or a Region that nobody named.
    """
    api_url = safe(api_url)
    if not region:
        host = _parsed(api_url).host or ""
        found = _GATEWAY.fullmatch(host)
        if not found:
            raise Trouble(f"{host} does not say the Region of its user pool: add --region.")
        region = found[1]
    return {"api_url": api_url, "client_id": client_id, "cognito_url": cognito_url(region)}


def cognito_url(region: str) -> str:
    """The address of a Region's user pools.

    Raises:
        Trouble: that is no Region, and would lead elsewhere.
    """
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise Trouble(f"{region!r} is no Region: small letters, digits and - are allowed, as in eu-west-1.")
    return f"https://cognito-idp.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def of_stack(name: str, region: str | None) -> Place:
    """A stack of the environment's AWS account, by the outputs that CloudFormation tells of it.

    Raises:
        Trouble: there is none, it is none of Report Exports, or there is no way to ask.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        remedy = "pip install 'report-exports[aws]', or say --api-url and --client-id"
        raise Trouble(f"Finding a stack by its name needs boto3: {remedy}.") from error
    try:
        client: Any = boto3.session.Session(region_name=region).client("cloudformation")
        found = client.describe_stacks(StackName=name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise Trouble(f"The stack {name} cannot be read: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    if not {"ApiUrl", "UserPoolClientId"} <= outputs.keys():
        raise Trouble(f"The stack {name} ({found['StackStatus']}) is none of Report Exports: it has no such outputs.")
    return said(outputs["ApiUrl"], outputs["UserPoolClientId"], client.meta.region_name)


def local() -> tuple[Place, dict[str, dict[str, str]]]:
    """The stack of the nearest .local/stack.json, and its users by tenant: ``{email, password}``.

    Raises:
        Trouble: there is none, or it leads a password or a token elsewhere: the file may be of a folder that somebody
            else has made.
    """
    folders = [Path.cwd(), *Path.cwd().parents, Path(__file__).parent.parent]
    found = next((file for folder in folders if (file := folder / ".local" / "stack.json").is_file()), None)
    if found is None:
        raise Trouble("The emulator is not running: here is no .local/stack.json. Start it in the project: make up")
    described: dict[str, Any] = json.loads(found.read_text("utf-8"))
    api_url, endpoint_url = safe(described["api_url"]), described["endpoint_url"]
    if endpoint_url:
        for name, address in (("api_url", api_url), ("endpoint_url", endpoint_url)):
            if not _here(_parsed(address)):
                allowed = ", ".join(_LOOPBACK)
                raise Trouble(f"{found}: {name} is {address}, and an emulator is on this machine ({allowed}).")
    place: Place = {
        "api_url": api_url,
        "client_id": described["user_pool_client_id"],
        "cognito_url": endpoint_url or cognito_url(described["region"]),  # none: a stack on AWS that tests have filled
    }
    return place, described.get("users", {})
