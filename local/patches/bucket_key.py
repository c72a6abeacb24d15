"""Who reads or writes objects of a bucket that a KMS key encrypts must be allowed to use the key.

AWS ("Protecting data with server-side encryption: Permissions", "Multipart upload API and permissions"): a read needs
`kms:Decrypt`, and so does what continues or completes a multipart upload. A write, and the start of a multipart upload,
need `kms:GenerateDataKey`. The caller is checked, with the condition key `kms:ViaService`.
Stock: names the key in its answers, and checks nobody.
Here: MiniStack's own IAM evaluation checks the caller, the signer of a presigned URL, and the role of a state machine.
"""

from typing import Any

from ministack.core import iam_actions
from ministack.core import iam_evaluator as iam
from ministack.core.responses import get_region
from ministack.core.router import extract_access_key_id
from ministack.services import s3

from . import machine_role

READ, WRITE = "kms:Decrypt", "kms:GenerateDataKey"
# The action, and the position of the headers, which name the caller.
CALLS = {"_get_object": (READ, 2), "_put_object": (WRITE, 3), "_create_multipart_upload": (WRITE, 2)}
CALLS |= {"_upload_part": (READ, 4), "_upload_part_copy": (READ, 3), "_complete_multipart_upload": (READ, 4)}


def apply() -> None:
    """Wraps the calls of S3, and what a state machine reads and writes."""
    for name, (action, position) in CALLS.items():
        setattr(s3, name, checked(getattr(s3, name), action, position))
    authorize = machine_role.authorize

    def authorize_with_key(action: str, resource: str, exception: str) -> None:
        authorize(action, resource, exception)
        used = {"s3:GetObject": READ, "s3:PutObject": WRITE}.get(action)
        if used and (key := key_of(resource.removeprefix("arn:aws:s3:::").partition("/")[0])):
            authorize(used, key, exception, context())

    machine_role.authorize = authorize_with_key


def checked(call: Any, action: str, position: int) -> Any:
    """The call, for callers who may use the key of the bucket."""

    def wrapped(bucket: str, key: str, *rest: Any) -> Any:
        headers = rest[position - 2] if len(rest) > position - 2 else None
        query = next((each for each in rest if isinstance(each, dict) and each is not headers), {})
        caller = extract_access_key_id(headers or {}, query)
        if caller and (used := key_of(bucket)):
            refused = iam.enforce(caller, action, "kms", get_region(), resource_arn=used, service_context=context())
            if refused is not None:
                who = getattr(refused, "principal_arn", "")
                message = iam_actions.identity_denial_message(action, who, used, False)
                return s3._error("AccessDenied", message, 403, f"/{bucket}/{key}")
        return call(bucket, key, *rest)

    return wrapped


def context() -> dict[str, str]:
    """The condition keys of what S3 asks of KMS."""
    return {"kms:ViaService": f"s3.{get_region()}.amazonaws.com"}


def key_of(bucket: str) -> str | None:
    """The ARN of the key that encrypts the bucket by default; None without one."""
    return s3._bucket_default_sse_headers(bucket).get("x-amz-server-side-encryption-aws-kms-key-id")
