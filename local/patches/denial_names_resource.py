"""A refused call says which resource it was refused for.

AWS ("Troubleshoot access denied error messages"): `User: … is not authorized to perform: dynamodb:GetItem on resource:
arn:… because no identity-based policy allows the dynamodb:GetItem action`.
Stock: the message names the action only, so that of two buckets nobody knows which one is meant.
Here: the resource that was asked for is named, as S3 does it, in quotes.
"""

from typing import Any

from ministack.core import iam_actions


def apply() -> None:
    """Word the denials of identity-based policies that MiniStack does not word itself."""
    respond = iam_actions.access_denied_response

    def named(service: str, action: str, principal_arn: str, request_id: str, **details: Any) -> Any:
        resource, explicit = details.get("resource_arn", "*"), details.get("explicit_deny", False)
        by_resource_policy = explicit and details.get("resource_policy_arn")
        if not (details.get("message") or details.get("error_code") or by_resource_policy or resource == "*"):
            shown = f'"{resource}"' if service == "s3" else resource
            details["message"] = iam_actions.identity_denial_message(action, principal_arn, shown, explicit)
        return respond(service, action, principal_arn, request_id, **details)

    iam_actions.access_denied_response = named
