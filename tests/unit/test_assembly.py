"""Assembly: whatever the sizes of the fragments, S3 gets an upload it accepts and the file is their concatenation."""

import io
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import PartChanged, TooManyParts
from shared.files import assembly
from shared.files.assembly import MAX_PART, MIN_PART, Copy, Upload
from shared.files.segments import Literal, Range, Segment, combine_crc32, measure
from shared.lambda_ import aws

BUCKET = "exports"
MIB = 1024**2
SIZES = st.one_of(
    st.integers(0, 10),
    st.integers(0, 20 * MIB),
    st.sampled_from([MIN_PART - 1, MIN_PART, MIN_PART + 1, 2 * MIN_PART, MAX_PART, MAX_PART + 1, 2 * MAX_PART + 1]),
    st.integers(0, 3 * MAX_PART),
)


def part(number: int, size: int) -> Range:
    return Range(f"part-{number}", '"etag"', 0, size, size)


def size_of(planned: Copy | Upload) -> int:
    return planned.source.size if isinstance(planned, Copy) else sum(piece.size for piece in planned.pieces)


def pieces(planned: list[Copy | Upload]) -> list[Segment]:
    return [piece for each in planned for piece in ([each.source] if isinstance(each, Copy) else each.pieces)]


segments = st.lists(SIZES, max_size=30).map(
    lambda sizes: [Literal(b"head"), *(part(n, s) for n, s in enumerate(sizes))]
)


@given(segments)
def test_the_parts_of_an_upload_hold_every_byte_once_and_in_order(given_segments: list[Segment]) -> None:
    remaining = [segment for segment in given_segments if segment.size]
    at = 0
    for piece in pieces(assembly.plan_upload(given_segments)):
        whole = remaining[0]
        if isinstance(whole, Literal):
            assert piece == whole
        else:
            assert isinstance(piece, Range)
            assert (piece.key, piece.start) == (whole.key, at)
        at += piece.size
        if at == whole.size:
            remaining.pop(0)
            at = 0
    assert not remaining


@given(segments)
def test_the_parts_of_an_upload_are_within_the_limits_of_s3(given_segments: list[Segment]) -> None:
    planned = assembly.plan_upload(given_segments)
    assert all(MIN_PART <= size_of(each) <= MAX_PART for each in planned[:-1])
    assert all(size_of(each) <= MAX_PART for each in planned)
    copies = [each.source for each in planned if isinstance(each, Copy)]
    assert all(source.object_size > MIN_PART for source in copies)


@given(segments)
def test_little_is_sent_through_here(given_segments: list[Segment]) -> None:
    """Small parts, and of a large one only the head that a remainder before it needs to reach the least size."""
    sent: dict[str, int] = {}
    for each in assembly.plan_upload(given_segments):
        if isinstance(each, Upload):
            assert size_of(each) < 2 * MIN_PART
            for piece in each.pieces:
                if isinstance(piece, Range):
                    sent[piece.key] = sent.get(piece.key, 0) + piece.size
    for before, segment in pairwise([segment for segment in given_segments if segment.size]):
        assert isinstance(segment, Range)
        if segment.size >= 2 * MIN_PART:
            assert sent.get(segment.key, 0) < MIN_PART
            if isinstance(before, Range) and before.size >= 2 * MIN_PART:
                assert segment.key not in sent


@given(st.lists(st.integers(2 * MIN_PART, 3 * MAX_PART), min_size=1, max_size=30))
def test_nothing_is_sent_through_here_when_every_part_can_be_copied(sizes: list[int]) -> None:
    planned = assembly.plan_upload([part(number, size) for number, size in enumerate(sizes)])
    assert all(isinstance(each, Copy) for each in planned)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12 * MIB)), max_size=25))
def test_literals_may_stand_anywhere_and_be_of_any_size(drawn: list[tuple[bool, int]]) -> None:
    block = bytes(12 * MIB)
    given_segments = [
        Literal(block[:size]) if is_literal else part(number, size) for number, (is_literal, size) in enumerate(drawn)
    ]
    planned = assembly.plan_upload(given_segments)
    assert sum(map(size_of, planned)) == sum(size for _, size in drawn)
    assert all(size_of(each) >= MIN_PART for each in planned[:-1])
    assert [piece for piece in pieces(planned) if isinstance(piece, Literal)] == [
        segment for segment in given_segments if isinstance(segment, Literal) and segment.size
    ]


@given(segments)
def test_the_same_parts_are_always_uploaded_alike(given_segments: list[Segment]) -> None:
    assert assembly.plan_upload(given_segments) == assembly.plan_upload(list(given_segments))


def test_more_parts_than_s3_allows_are_refused() -> None:
    with pytest.raises(TooManyParts, match="10001 parts; S3 allows 10000"):
        assembly.plan_upload([part(number, MIN_PART + 1) for number in range(10_001)])


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_the_crc_of_two_parts_is_that_of_their_concatenation(first: bytes, second: bytes) -> None:
    combined = combine_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(first + second)


def test_the_crc_of_large_parts_is_combined_without_reading_them() -> None:
    block = bytes(range(256)) * 4096
    crc32 = 0
    for _ in range(20):
        crc32 = combine_crc32(crc32, zlib.crc32(block), len(block))
    assert crc32 == zlib.crc32(block * 20)


class Fake:
    """The calls of S3 that assembling makes; ``before_read`` is called within each download."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.completed: list[Any] = []
        self.before_read: Callable[[], object] = lambda: None
        self.checksums = True
        self.silence: Exception | None = None

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "1"}

    def get_object(self, Key: str, Range: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.before_read()
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        return {"Body": io.BytesIO(bytes(last - first + 1))}

    def upload_part(self, Body: bytes, **_: Any) -> dict[str, str]:  # noqa: N803
        self.sent.append(len(Body))
        return {"ETag": "1"} | self._checksum("c2VudA==")

    def upload_part_copy(self, **_: Any) -> dict[str, Any]:
        return {"CopyPartResult": {"ETag": "copied"} | self._checksum("Y29weQ==")}

    def complete_multipart_upload(self, MultipartUpload: Any, **_: Any) -> None:  # noqa: N803
        self.completed.append(MultipartUpload["Parts"])

    def abort_multipart_upload(self, **_: Any) -> None:
        if self.silence:
            raise self.silence

    def _checksum(self, text: str) -> dict[str, str]:
        return {"ChecksumCRC32": text} if self.checksums else {}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake()
    monkeypatch.setenv("EXPORTS_BUCKET", BUCKET)
    monkeypatch.setattr(aws, "s3", lambda: found)
    return found


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty bucket; every call of the code under test is counted in ``calls``."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    monkeypatch.setenv("EXPORTS_BUCKET", BUCKET)
    aws.s3.cache_clear()
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield aws.s3()
    for item in aws.s3().list_objects_v2(Bucket=BUCKET).get("Contents", []):
        aws.s3().delete_object(Bucket=BUCKET, Key=item["Key"])
    aws.s3.cache_clear()


def store(s3: Any, sizes: list[int]) -> tuple[list[Segment], bytes]:
    """A head and stored parts of these sizes, and the bytes of all."""
    made: list[Segment] = [Literal(b"a,b\n")]
    content = b"a,b\n"
    for number, size in enumerate(sizes):
        body = random.Random(size + number).randbytes(size)
        etag = s3.put_object(Bucket=BUCKET, Key=f"part-{number}", Body=body)["ETag"]
        if size:
            made.append(Range(f"part-{number}", etag, 0, size, size, zlib.crc32(body)))
        content += body
    return made, content


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [10],
        [0, 0],
        [3, 0, 5],
        [6 * MIB],
        [6 * MIB, 1, 6 * MIB],
        [MIN_PART, MIN_PART, MIN_PART],
        [12 * MIB, 2 * MIB, 2 * MIB, 2 * MIB, 7 * MIB, 9],
        [1 * MIB] * 12,
    ],
    ids=str,
)
def test_the_file_is_the_concatenation_of_its_parts(s3: Any, sizes: list[int]) -> None:
    given_segments, content = store(s3, sizes)
    assembly.assemble("file", given_segments, "text/csv", "f.csv")
    assert measure(given_segments) == (len(content), zlib.crc32(content))
    found = s3.get_object(Bucket=BUCKET, Key="file")
    assert found["Body"].read() == content
    assert (found["ContentType"], found["ContentDisposition"]) == ("text/csv", 'attachment; filename="f.csv"')


def test_a_file_of_no_bytes_is_a_file(s3: Any) -> None:
    assembly.assemble("empty", [Literal(b"")], "application/jsonl", "f.jsonl")
    found = s3.get_object(Bucket=BUCKET, Key="empty")
    assert (found["Body"].read(), found["ContentType"]) == (b"", "application/jsonl")


@settings(max_examples=8, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 100), st.integers(4 * MIB, 11 * MIB)), max_size=4))
def test_any_fragments_make_their_concatenation(server: str, sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL_S3", server)
        patched.setenv("AWS_ACCESS_KEY_ID", "test")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patched.setenv("EXPORTS_BUCKET", BUCKET)
        aws.s3.cache_clear()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        given_segments, content = store(aws.s3(), sizes)
        assembly.assemble("file", given_segments, "text/csv", "f.csv")
        assert aws.s3().get_object(Bucket=BUCKET, Key="file")["Body"].read() == content
        aws.s3.cache_clear()


def test_s3_is_told_the_checksum_and_the_size_of_the_whole_file(s3: Any) -> None:
    given_segments, content = store(s3, [11 * MIB, 7 * MIB])
    calls: dict[str, list[dict[str, Any]]] = {}
    s3.meta.events.register(
        "provide-client-params.s3.*",
        lambda params, model, **_: calls.setdefault(model.name, []).append(params),
        unique_id="record",
    )
    assembly.assemble("file", given_segments, "text/csv", "f.csv")
    s3.meta.events.unregister("provide-client-params.s3.*", unique_id="record")
    copies = {copy["PartNumber"]: (copy["CopySource"], copy["CopySourceRange"]) for copy in calls["UploadPartCopy"]}
    assert copies == {
        2: (f"{BUCKET}/part-0", f"bytes={MIN_PART - 4}-{11 * MIB - 1}"),
        3: (f"{BUCKET}/part-1", f"bytes=0-{7 * MIB - 1}"),
    }
    (read,) = calls["GetObject"]
    assert (read["Key"], read["Range"]) == ("part-0", f"bytes=0-{MIN_PART - 5}")
    assert read["IfMatch"] == given_segments[1].etag
    (sent,) = calls["UploadPart"]
    assert (sent["PartNumber"], sent["ChecksumAlgorithm"]) == (1, "CRC32")
    (created,) = calls["CreateMultipartUpload"]
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == ("CRC32", "FULL_OBJECT")
    assert all(copy["CopySourceIfMatch"] in {s.etag for s in given_segments[1:]} for copy in calls["UploadPartCopy"])
    (completed,) = calls["CompleteMultipartUpload"]
    assert completed["MpuObjectSize"] == len(content)
    assert completed["ChecksumType"] == "FULL_OBJECT"
    assert [part["PartNumber"] for part in completed["MultipartUpload"]["Parts"]] == [1, 2, 3]


def test_the_checksum_of_a_part_is_handed_on_as_s3_answered_it(fake: Fake) -> None:
    """S3 compares them with its own ("CompletedPart" of the Amazon S3 API Reference)."""
    copied, small = part(0, 2 * MIN_PART), part(1, 9)
    assembly.assemble("file", [copied, small], "text/csv", "f.csv")
    fake.checksums = False  # a store that answers none gets none
    assembly.assemble("file", [copied, small], "text/csv", "f.csv")
    [told, untold] = fake.completed
    assert told == [
        {"PartNumber": 1, "ETag": "copied", "ChecksumCRC32": "Y29weQ=="},
        {"PartNumber": 2, "ETag": "1", "ChecksumCRC32": "c2VudA=="},
    ]
    assert untold == [{"PartNumber": 1, "ETag": "copied"}, {"PartNumber": 2, "ETag": "1"}]


@pytest.mark.parametrize(
    "silence", [EndpointConnectionError(endpoint_url="https://s3"), ReadTimeoutError(endpoint_url="https://s3")]
)
def test_what_went_wrong_is_told_though_the_upload_cannot_be_aborted(fake: Fake, silence: Exception) -> None:
    def vanish() -> None:
        raise PartChanged("a part was replaced")

    fake.before_read, fake.silence = vanish, silence
    with pytest.raises(PartChanged, match="a part was replaced"):
        assembly.assemble("file", [part(0, 9)], "text/csv", "f.csv")


def test_a_part_that_changed_since_its_receipt_stops_the_file_and_leaves_nothing(s3: Any) -> None:
    given_segments, _ = store(s3, [12 * MIB, 3])
    s3.put_object(Bucket=BUCKET, Key="part-1", Body=b"new")
    with pytest.raises(PartChanged, match="one of part-1 was replaced or removed after its receipt was written"):
        assembly.assemble("file", given_segments, "text/csv", "f.csv")
    assert "file" not in [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_the_server_of_these_tests_refuses_parts_that_are_too_small(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given_segments, _ = store(s3, [2 * MIB] * 4)
    monkeypatch.setattr(assembly, "MIN_PART", MIB)
    with pytest.raises(ClientError, match="EntityTooSmall"):
        assembly.assemble("file", given_segments, "text/csv", "f.csv")
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_the_same_parts_make_the_same_bytes(s3: Any) -> None:
    given_segments, _ = store(s3, [6 * MIB, 3, 7 * MIB, 100])
    etags = set()
    for key in ("one", "two"):
        assembly.assemble(key, given_segments, "text/csv", "f.csv")
        etags.add(s3.head_object(Bucket=BUCKET, Key=key)["ETag"])
    assert len(etags) == 1


def test_many_small_parts_are_downloaded_side_by_side_and_sent_in_few(fake: Fake) -> None:
    first = threading.Barrier(16, timeout=30)
    waits = iter(range(16))
    fake.before_read = lambda: first.wait() if next(waits, None) is not None else None
    assembly.assemble("file", [part(number, 1024) for number in range(6000)], "text/csv", "f.csv")
    assert sorted(fake.sent) == [6000 * 1024 - MIN_PART, MIN_PART]
