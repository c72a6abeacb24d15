"""A multipart upload with ChecksumType FULL_OBJECT is checked as a whole, and no MD5 is computed twice.

AWS ("Checking object integrity in Amazon S3"): with CRC32 and FULL_OBJECT, the completion can carry the CRC-32 of the
whole object. S3 compares it with the assembled object. If they differ, S3 answers BadDigest and creates nothing;
otherwise it reports the checksum and its type from then on. A copied part also has a checksum. S3 computes hashes on
machines of its own.
Stock: makes every multipart checksum COMPOSITE, and hashes everything that is put, copied or completed on the same
processors as the functions.
Here: ISA-L computes the checksum of the assembled bytes; an MD5 that the ETag of a stored body gives is reused.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import reduce
from types import SimpleNamespace
from typing import Any
from unittest import mock

from isal import isal_zlib
from ministack.services import s3

from .entity_too_small import named_parts, source_of


def apply() -> None:
    """Wraps the calls of a multipart upload, and the call that reports the checksum's type."""
    create, copy, complete = s3._create_multipart_upload, s3._upload_part_copy, s3._complete_multipart_upload
    attributes, known = s3._get_object_attributes, dict[int, Any]()
    s3.hashlib = SimpleNamespace(**vars(hashlib) | {"md5": lambda body: known.get(id(body)) or hashlib.md5(body)})
    s3.md5_hash, s3.zlib = lambda body: s3.hashlib.md5(body).hexdigest(), isal_zlib

    def create_upload(bucket: str, key: str, headers: dict[str, str]) -> Any:
        status, answer, body = create(bucket, key, headers)
        asked = (headers.get("x-amz-checksum-type"), headers.get("x-amz-checksum-algorithm"))
        if status == 200 and asked == ("FULL_OBJECT", "CRC32"):
            s3._multipart_uploads[re.findall("<UploadId>(.+?)<", body.decode())[0]]["whole"] = True
            answer["x-amz-checksum-type"] = "FULL_OBJECT"
        return status, answer, body

    def copy_part(bucket: str, key: str, query: Any, headers: dict[str, str]) -> Any:
        with mock.patch.dict(known, digests(filter(None, [source_of(headers)]))):
            status, answer, body = copy(bucket, key, query, headers)
        upload = s3._multipart_uploads.get(s3._qp(query, "uploadId")) or {}
        if status == 200 and (algorithm := upload.get("checksum_algorithm")):
            part = upload["parts"][int(s3._qp(query, "partNumber"))]
            part["checksums"] = {algorithm: s3._compute_s3_checksum(algorithm, part["body"])}
            body = with_elements(body, {f"Checksum{algorithm}": part["checksums"][algorithm]})
        return status, answer, body

    def complete_upload(bucket: str, key: str, body: bytes, query: Any, headers: Any = None) -> Any:
        parts, upload = named_parts(body, query), s3._multipart_uploads.get(s3._qp(query, "uploadId")) or {}
        with mock.patch.dict(known, digests(parts)):
            if not upload.get("whole"):
                return complete(bucket, key, body, query, headers)
            crc32 = reduce(lambda before, part: isal_zlib.crc32(part["body"], before), parts, 0)
            checksum = base64.b64encode(crc32.to_bytes(4, "big")).decode()
            if (headers or {}).get("x-amz-checksum-crc32", checksum) != checksum:
                message = "The CRC32 you specified did not match the calculated checksum."
                return s3._error("BadDigest", message, 400, f"/{bucket}/{key}")
            upload["checksum_algorithm"] = None  # otherwise MiniStack makes a composite checksum
            status, answer, body = complete(bucket, key, body, query, headers)
        upload["checksum_algorithm"] = "CRC32"
        if status == 200:
            s3._buckets[bucket]["objects"][key].update(checksums={"CRC32": checksum}, checksum_type="FULL_OBJECT")
            body = with_elements(body, {"ChecksumCRC32": checksum, "ChecksumType": "FULL_OBJECT"})
        return status, answer, body

    def get_attributes(bucket: str, key: str, headers: Any, query: Any) -> Any:
        status, answer, body = attributes(bucket, key, headers, query)
        whole = status == 200 and s3._buckets[bucket]["objects"].get(key, {}).get("checksum_type") == "FULL_OBJECT"
        return status, answer, body.replace(b">COMPOSITE<", b">FULL_OBJECT<") if whole else body

    s3._create_multipart_upload, s3._upload_part_copy = create_upload, copy_part
    s3._complete_multipart_upload, s3._get_object_attributes = complete_upload, get_attributes


def digests(records: Iterable[Any]) -> dict[int, Any]:
    """Hash objects of stored bodies, by their identity; the ETag is the MD5, except for multipart objects."""
    known = {id(each["body"]): bytes.fromhex(each["etag"].strip('"')) for each in records if "-" not in each["etag"]}
    return {body: SimpleNamespace(digest=md5.__bytes__, hexdigest=md5.hex) for body, md5 in known.items()}


def with_elements(body: bytes, elements: dict[str, str]) -> bytes:
    """The XML document with the elements added at the end of its root."""
    document, _, root = body.rpartition(b"</")
    return document + "".join(f"<{name}>{text}</{name}>" for name, text in elements.items()).encode() + b"</" + root
