"""A page of an API signs users in at the domain of a user pool.

AWS (AWS::Cognito::ManagedLoginBranding): a template gives a client a style; managed login sends a user back to an
address in the client's CallbackURLs, or in its LogoutURLs, exactly as it is written there.
Stock: CloudFormation refuses the type. The addresses that a template makes of an API's id (https://<id>.execute-api…)
are not where the emulator serves that API, so nobody can be sent back.
Here: the style exists by name only. In a client's addresses, the emulator's address of an API replaces that of AWS.
"""

import os
import re
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import cognito
from ministack.services.cloudformation import provisioners

_API = re.compile(r"https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")
_ADDRESSES = ("CallbackURLs", "LogoutURLs")


def apply() -> None:
    """Accepts styles, and rewrites the addresses of each client that is created or updated."""
    create, update = cognito._create_user_pool_client, cognito._update_user_pool_client
    cognito._create_user_pool_client = lambda data: create(_here(data))
    cognito._update_user_pool_client = lambda data: update(_here(data))
    provisioners._RESOURCE_HANDLERS["AWS::Cognito::ManagedLoginBranding"] = {
        "create": lambda _name, properties, _stack: (f"{properties['UserPoolId']}|{new_uuid()}", {}),
        "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
        "delete": lambda _physical_id, _properties: None,
    }


def _here(client: dict[str, Any]) -> dict[str, Any]:
    """The request for a client, with addresses that lead to the emulator."""
    ours = rf"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/\1"
    return client | {name: [_API.sub(ours, each) for each in client[name]] for name in _ADDRESSES if name in client}
