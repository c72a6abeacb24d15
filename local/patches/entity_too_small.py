"""S3 refuses parts that are too small in a multipart upload.

AWS ("Amazon S3 multipart upload limits", "UploadPartCopy"): every part except the last must have at least 5 MiB;
otherwise CompleteMultipartUpload answers EntityTooSmall and creates nothing. A range can be copied only from a source
larger than 5 MiB; otherwise the answer is InvalidRequest.
Stock: accepts any size.
Here: the patch checks both sizes before MiniStack's own code runs.
"""

import re
from typing import Any
from urllib.parse import unquote

from ministack.services import s3

SMALLEST = 5 * 1024 * 1024


def apply() -> None:
    """Wraps the two calls."""
    complete, copy = s3._complete_multipart_upload, s3._upload_part_copy

    def checked_complete(bucket: str, key: str, body: bytes, query: Any, headers: Any = None) -> Any:
        if any(part["size"] < SMALLEST for part in named_parts(body, query)[:-1]):
            message = "Your proposed upload is smaller than the minimum allowed size"
            return s3._error("EntityTooSmall", message, 400, f"/{bucket}/{key}")
        return complete(bucket, key, body, query, headers)

    def checked_copy(bucket: str, key: str, query: Any, headers: dict[str, str]) -> Any:
        source = source_of(headers)
        if headers.get("x-amz-copy-source-range") and source and source["size"] <= SMALLEST:
            message = "The specified copy source is not supported as a byte-range copy source"
            return s3._error("InvalidRequest", message, 400, f"/{bucket}/{key}")
        return copy(bucket, key, query, headers)

    s3._complete_multipart_upload, s3._upload_part_copy = checked_complete, checked_copy


def source_of(headers: dict[str, str]) -> Any:
    """The stored object that an UploadPartCopy names, or None."""
    bucket, _, key = unquote(headers["x-amz-copy-source"].partition("?")[0]).lstrip("/").partition("/")
    return (s3._buckets.get(bucket) or {"objects": {}})["objects"].get(key)


def named_parts(body: bytes, query: Any) -> list[dict[str, Any]]:
    """The stored parts that a CompleteMultipartUpload names, in order, without unknown ones."""
    upload = s3._multipart_uploads.get(s3._qp(query, "uploadId")) or {"parts": {}}
    numbers = sorted(int(number) for number in re.findall(rb"<PartNumber>\s*(\d+)", body))
    return [upload["parts"][number] for number in numbers if number in upload["parts"]]
