"""An access denied error names the resource.

AWS ("Troubleshoot access denied error messages"): `User: … is not authorized to perform: dynamodb:GetItem on resource:
arn:… because no identity-based policy allows the dynamodb:GetItem action`.
Stock: the message names only the action, so you cannot tell which of two buckets it is about.
Here: the message names the requested resource, for S3 in quotes, as S3 does.
"""

from typing import Any

from ministack.core import iam_actions


def apply() -> None:
    """Writes the message for denials by identity-based policies that have no message of MiniStack's."""
    respond = iam_actions.access_denied_response

    def named(service: str, action: str, principal_arn: str, request_id: str, **details: Any) -> Any:
        resource, explicit = details.get("resource_arn", "*"), details.get("explicit_deny", False)
        by_resource_policy = explicit and details.get("resource_policy_arn")
        if not (details.get("message") or details.get("error_code") or by_resource_policy or resource == "*"):
            shown = f'"{resource}"' if service == "s3" else resource
            details["message"] = iam_actions.identity_denial_message(action, principal_arn, shown, explicit)
        return respond(service, action, principal_arn, request_id, **details)

    iam_actions.access_denied_response = named
