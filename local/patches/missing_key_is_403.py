"""Asking for a key that does not exist is 403 unless the caller may list the bucket.

AWS ("GetObject", "HeadObject", "GetObjectAttributes", permissions): without `s3:ListBucket` S3 does not tell whether
the object exists and answers 403 AccessDenied; with it, 404.
Stock: always 404, which hides a role that lacks the permission.
Here: a 404 for a missing key becomes AccessDenied when IAM does not let the caller list the bucket. Reads MiniStack
makes for itself carry no credentials and are left alone.
"""

from typing import Any

from ministack.core import iam_evaluator as iam
from ministack.core.router import extract_access_key_id
from ministack.services import s3


def apply() -> None:
    """Wrap the calls that name a key to read."""
    for name in ("_get_object", "_head_object", "_get_object_attributes"):
        setattr(s3, name, told_only_to_listers(getattr(s3, name)))


def told_only_to_listers(read: Any) -> Any:
    """The call, with its "no such key" kept for callers that may list the bucket."""

    def wrapped(bucket: str, key: str, headers: Any = None, query: Any = None) -> Any:
        answer = read(bucket, key, headers or {}, query or {})
        caller = extract_access_key_id(headers or {}, query or {})
        if answer[0] != 404 or b"<Code>NoSuchKey</Code>" not in answer[2] or not caller:
            return answer
        if iam.enforce(caller, "s3:ListBucket", "s3", s3.get_region(), resource_arn=f"arn:aws:s3:::{bucket}") is None:
            return answer
        return s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")

    return wrapped
