"""A mail is sent as somebody, and IAM asks as whom.

AWS ("Actions, resources, and condition keys for Amazon SES v2"): SendEmail is allowed on the identity that sends, and
under `ses:FromAddress`.
Stock: asks for `*` without that key, so that a role that names either may send nothing.
Here: the sender's address is both. Not modelled: the identity that is a domain.
"""

import json
from typing import Any

import ministack.app as gateway
from ministack.core.responses import get_account_id


def apply() -> None:
    """Ask for the sender when SES v2 is to send a mail."""
    stock = gateway._enforce_ses_v2

    def enforce(method: str, path: str, headers: Any, body: bytes, query: Any, request_id: str) -> Any:
        if path != "/v2/email/outbound-emails":
            return stock(method, path, headers, body, query, request_id)
        sender = json.loads(body)["FromEmailAddress"]
        arn = f"arn:aws:ses:{gateway.extract_region(headers, query)}:{get_account_id()}:identity/{sender}"
        named = {"resource_arn": arn, "named_resource": arn, "service_context": {"ses:FromAddress": sender}}
        return gateway._enforce_data_plane("sesv2", "ses:SendEmail", headers, query, request_id, **named)

    gateway._enforce_ses_v2 = enforce
