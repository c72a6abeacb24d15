"""IAM checks the sender of a mail.

AWS ("Actions, resources, and condition keys for Amazon SES v2"): the resource of SendEmail is the sending identity: the
address, or its domain if only that is an identity. The condition key `ses:FromAddress` has the sender's address.
Stock: checks the resource `*` without that key, so a role that names an identity or the key cannot send.
Here: both are checked. Not modelled: subdomains of an identity.
"""

import json
from typing import Any

import ministack.app as gateway
from ministack.core.responses import get_account_id
from ministack.services import ses_v2


def apply() -> None:
    """Checks the permission for the sender when SES v2 sends a mail."""
    stock = gateway._enforce_ses_v2

    def enforce(method: str, path: str, headers: Any, body: bytes, query: Any, request_id: str) -> Any:
        if path != "/v2/email/outbound-emails":
            return stock(method, path, headers, body, query, request_id)
        sender = json.loads(body)["FromEmailAddress"]
        domain = sender.rpartition("@")[2]
        identity = domain if domain in ses_v2._identities and sender not in ses_v2._identities else sender
        arn = f"arn:aws:ses:{gateway.extract_region(headers, query)}:{get_account_id()}:identity/{identity}"
        named = {"resource_arn": arn, "named_resource": arn, "service_context": {"ses:FromAddress": sender}}
        return gateway._enforce_data_plane("sesv2", "ses:SendEmail", headers, query, request_id, **named)

    gateway._enforce_ses_v2 = enforce
