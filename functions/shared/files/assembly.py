"""Assembles one file from parts inside S3.

The file is a sequence of :data:`Segment`. S3 copies ranges of parts into a multipart upload. A part of an upload has at
least 5 MiB, so the assembler downloads and joins smaller segments. Limits: "Amazon S3 multipart upload limits" and
"UploadPartCopy" of the Amazon S3 documentation.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.errors import PartChanged, TooManyParts
from shared.files import names
from shared.files.segments import Literal, Range, Segment, measure
from shared.files.work import bucket, is_missing, is_replaced
from shared.lambda_ import aws

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopyPartResultTypeDef, UploadPartOutputTypeDef

MIN_PART = 5 * 1024**2
"""Minimum size in bytes of every part of an upload except the last. The source of a range copy must be larger."""
MAX_PART = 5 * 1024**3
MAX_PARTS = 10_000
_THREADS = 8
_READS = 32


@dataclass(frozen=True)
class Copy:
    """A part of the upload that S3 copies."""

    source: Range


@dataclass(frozen=True)
class Upload:
    """A part of the upload that is joined from small pieces and sent to S3."""

    pieces: tuple[Segment, ...]


def plan_upload(segments: Iterable[Segment]) -> list[Copy | Upload]:
    """The parts of a multipart upload that together hold the bytes of the segments, in order, within S3's limits.

    Raises:
        TooManyParts: the file needs more than 10,000 parts.
    """
    parts: list[Copy | Upload] = []
    pending: list[Segment] = []

    def pending_bytes() -> int:
        return sum(piece.size for piece in pending)

    def flush() -> None:
        if pending:
            parts.append(Upload(tuple(pending)))
            pending.clear()

    for segment in segments:
        if not segment.size:
            continue
        # The beginning of the next segment fills the pending pieces up to the minimum size.
        head = max(0, MIN_PART - pending_bytes()) if pending else 0
        if isinstance(segment, Range) and segment.object_size > MIN_PART and segment.size - head >= MIN_PART:
            if head:
                pending.append(segment.slice(0, head))
            flush()
            parts.extend(Copy(piece) for piece in _split(segment.slice(head, segment.size - head)))
        else:
            pending.append(segment)
            if pending_bytes() >= MIN_PART:
                flush()
    flush()
    if not parts:  # an upload needs at least one part, and its last part may be empty
        parts.append(Upload(()))
    if len(parts) > MAX_PARTS:
        raise TooManyParts(f"the file needs {len(parts)} parts; S3 allows {MAX_PARTS}")
    return parts


def assemble(key: str, segments: Sequence[Segment], content_type: str, file_name: str) -> None:
    """Creates the object from the segments. S3 refuses it if its CRC-32 differs from that of the segments.

    Args:
        key: key in the exports bucket.
        file_name: the name under which a browser saves the file: see :mod:`shared.files.names`.

    Raises:
        TooManyParts: see :func:`plan_upload`.
        PartChanged: a part was replaced or removed after its receipt was written.
        botocore.exceptions.ClientError: S3 refused the file, for example with ``BadDigest`` for a wrong checksum.

    If it fails, it aborts the upload.
    """
    parts = plan_upload(segments)
    size, crc32 = measure(segments)
    s3 = aws.s3()
    upload = s3.create_multipart_upload(
        Bucket=bucket(),
        Key=key,
        ChecksumAlgorithm="CRC32",
        ChecksumType="FULL_OBJECT",
        ContentType=content_type,
        ContentDisposition=names.content_disposition(file_name),
    )["UploadId"]
    try:
        with ThreadPoolExecutor(_READS) as reads, ThreadPoolExecutor(_THREADS) as pool:
            sent = list(pool.map(lambda numbered: _send(key, upload, reads, *numbered), enumerate(parts, start=1)))
        s3.complete_multipart_upload(
            Bucket=bucket(),
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": sent},
            ChecksumCRC32=base64.b64encode(crc32.to_bytes(4, "big")).decode(),
            ChecksumType="FULL_OBJECT",
            MpuObjectSize=size,
        )
    except BaseException:
        with contextlib.suppress(*aws.FAILS):  # the original error matters more; the bucket's lifecycle rule cleans up
            s3.abort_multipart_upload(Bucket=bucket(), Key=key, UploadId=upload)
        raise


def _split(whole: Range) -> list[Range]:
    """A range as the fewest pieces that S3 can copy, of about equal size."""
    count = -(-whole.size // MAX_PART)
    bounds = [whole.size * step // count for step in range(count + 1)]
    return [whole.slice(low, high - low) for low, high in pairwise(bounds)]


def _send(key: str, upload: str, reads: ThreadPoolExecutor, number: int, part: Copy | Upload) -> CompletedPartTypeDef:
    try:
        return _send_part(key, upload, reads, number, part)
    except ClientError as error:
        if is_missing(error) or is_replaced(error):
            sources = [part.source] if isinstance(part, Copy) else part.pieces
            keys = ", ".join(source.key for source in sources if isinstance(source, Range))
            raise PartChanged(f"one of {keys} was replaced or removed after its receipt was written") from error
        raise


def _send_part(
    key: str, upload: str, reads: ThreadPoolExecutor, number: int, part: Copy | Upload
) -> CompletedPartTypeDef:
    where = {"Bucket": bucket(), "Key": key, "UploadId": upload, "PartNumber": number}
    if isinstance(part, Copy):
        answer = aws.s3().upload_part_copy(
            **where,  # type: ignore[arg-type]
            CopySource={"Bucket": bucket(), "Key": part.source.key},
            CopySourceRange=part.source.header,
            CopySourceIfMatch=part.source.etag,
        )
        return _completed(number, answer["CopyPartResult"])
    body = b"".join(reads.map(_read, part.pieces))
    sent = aws.s3().upload_part(**where, Body=body, ChecksumAlgorithm="CRC32")  # type: ignore[arg-type]
    return _completed(number, sent)


def _completed(number: int, stored: CopyPartResultTypeDef | UploadPartOutputTypeDef) -> CompletedPartTypeDef:
    """S3's response for a stored part, with its checksum, which S3 compares again when the upload is completed."""
    checksum: CompletedPartTypeDef = {"ChecksumCRC32": stored["ChecksumCRC32"]} if stored.get("ChecksumCRC32") else {}
    return checksum | {"PartNumber": number, "ETag": stored["ETag"]}


def _read(piece: Segment) -> bytes:
    if isinstance(piece, Literal):
        return piece.data
    answer = aws.s3().get_object(Bucket=bucket(), Key=piece.key, Range=piece.header, IfMatch=piece.etag)
    return answer["Body"].read()
