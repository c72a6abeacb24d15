"""A read of a key that does not exist gives 403 unless the caller may list the bucket.

AWS ("GetObject", "HeadObject", "GetObjectAttributes", permissions): without `s3:ListBucket` S3 does not reveal
whether the object exists and answers 403 AccessDenied; with it, 404.
Stock: always answers 404, which hides a missing permission.
Here: a 404 for a missing key becomes AccessDenied if IAM does not let the caller list the bucket. The patch ignores
MiniStack's internal reads, which have no credentials.
"""

from typing import Any

from ministack.core import iam_evaluator as iam
from ministack.core.router import extract_access_key_id
from ministack.services import s3


def apply() -> None:
    """Wraps the calls that read a key."""
    for name in ("_get_object", "_head_object", "_get_object_attributes"):
        setattr(s3, name, told_only_to_listers(getattr(s3, name)))


def told_only_to_listers(read: Any) -> Any:
    """The call, which answers "no such key" only to callers that may list the bucket."""

    def wrapped(bucket: str, key: str, headers: Any = None, query: Any = None) -> Any:
        answer = read(bucket, key, headers or {}, query or {})
        caller = extract_access_key_id(headers or {}, query or {})
        if answer[0] != 404 or b"<Code>NoSuchKey</Code>" not in answer[2] or not caller:
            return answer
        if iam.enforce(caller, "s3:ListBucket", "s3", s3.get_region(), resource_arn=f"arn:aws:s3:::{bucket}") is None:
            return answer
        return s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")

    return wrapped
