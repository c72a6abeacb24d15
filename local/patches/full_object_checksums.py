"""A multipart upload created with ChecksumType FULL_OBJECT is checked as a whole.

AWS ("Checking object integrity in Amazon S3"): with CRC32 and FULL_OBJECT the completion may carry the whole object's
CRC-32; S3 compares it with what it assembled, answers BadDigest and creates nothing when they differ, and reports it,
with its type, from then on. A copied part has its checksum too.
Stock: makes every multipart checksum COMPOSITE and compares the whole object's value with that.
Here: the assembled bytes' checksum is computed, and MiniStack completes the upload without one of its own.
"""

import re
from typing import Any

from ministack.services import s3

from .entity_too_small import named_parts


def apply() -> None:
    """Wrap the calls of a multipart upload's life, and the one that reports the checksum's type."""
    create, copy = s3._create_multipart_upload, s3._upload_part_copy
    complete, attributes = s3._complete_multipart_upload, s3._get_object_attributes

    def create_upload(bucket: str, key: str, headers: dict[str, str]) -> Any:
        status, answer, body = create(bucket, key, headers)
        if status == 200 and headers.get("x-amz-checksum-type") == "FULL_OBJECT":
            upload = s3._multipart_uploads[re.findall("<UploadId>(.+?)<", body.decode())[0]]
            upload["whole"], answer["x-amz-checksum-type"] = upload["checksum_algorithm"], "FULL_OBJECT"
        return status, answer, body

    def copy_part(bucket: str, key: str, query: Any, headers: dict[str, str]) -> Any:
        status, answer, body = copy(bucket, key, query, headers)
        upload = s3._multipart_uploads.get(s3._qp(query, "uploadId")) or {}
        if status == 200 and (algorithm := upload.get("checksum_algorithm")):
            part = upload["parts"][int(s3._qp(query, "partNumber"))]
            part["checksums"] = {algorithm: s3._compute_s3_checksum(algorithm, part["body"])}
            body = with_elements(body, {f"Checksum{algorithm}": part["checksums"][algorithm]})
        return status, answer, body

    def complete_upload(bucket: str, key: str, body: bytes, query: Any, headers: Any = None) -> Any:
        upload = s3._multipart_uploads.get(s3._qp(query, "uploadId")) or {}
        if (algorithm := upload.get("whole")) is None:
            return complete(bucket, key, body, query, headers)
        checksum = s3._compute_s3_checksum(algorithm, b"".join(part["body"] for part in named_parts(body, query)))
        if (headers or {}).get(f"x-amz-checksum-{algorithm.lower()}", checksum) != checksum:
            message = f"The {algorithm} you specified did not match the calculated checksum."
            return s3._error("BadDigest", message, 400, f"/{bucket}/{key}")
        upload["checksum_algorithm"] = None  # or MiniStack would make a composite of it
        status, answer, body = complete(bucket, key, body, query, headers)
        upload["checksum_algorithm"] = algorithm
        if status == 200:
            s3._buckets[bucket]["objects"][key].update(checksums={algorithm: checksum}, checksum_type="FULL_OBJECT")
            body = with_elements(body, {f"Checksum{algorithm}": checksum, "ChecksumType": "FULL_OBJECT"})
        return status, answer, body

    def get_attributes(bucket: str, key: str, headers: Any, query: Any) -> Any:
        status, answer, body = attributes(bucket, key, headers, query)
        record = (s3._buckets.get(bucket) or {"objects": {}})["objects"].get(key) or {}
        whole = record.get("checksum_type") == "FULL_OBJECT"
        return status, answer, body.replace(b">COMPOSITE<", b">FULL_OBJECT<") if whole else body

    s3._create_multipart_upload, s3._upload_part_copy = create_upload, copy_part
    s3._complete_multipart_upload, s3._get_object_attributes = complete_upload, get_attributes


def with_elements(body: bytes, elements: dict[str, str]) -> bytes:
    """The XML document with elements added at the end of its root."""
    document, _, root = body.rpartition(b"</")
    return document + "".join(f"<{name}>{text}</{name}>" for name, text in elements.items()).encode() + b"</" + root
