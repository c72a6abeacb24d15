"""Assembly: whatever the sizes of the fragments, S3 gets an upload it accepts and the file is their concatenation."""

import io
import random
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PartChanged, TooManyParts
from shared.files import assembly
from shared.files.assembly import MAX_PART, MIN_PART, Copy, Upload
from shared.files.segments import Literal, Range, Segment, combine_crc32, measure
from shared.lambda_ import aws
from tests.unit.lake import BUCKET, over_http

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


BLOCK = bytes(12 * MIB)
SEGMENTS = st.lists(SIZES | st.integers(0, len(BLOCK)).map(lambda size: Literal(BLOCK[:size])), max_size=30).map(
    lambda drawn: [part(number, each) if isinstance(each, int) else each for number, each in enumerate(drawn)]
)


@given(SEGMENTS)
def test_an_upload_holds_every_byte_once_in_parts_that_s3_takes_and_sends_little_through_here(
    given_segments: list[Segment],
) -> None:
    planned = assembly.plan_upload(given_segments)
    assert planned == assembly.plan_upload(list(given_segments)), "the same parts are always uploaded alike"
    assert all(size_of(each) >= MIN_PART for each in planned[:-1])
    assert all(size_of(each) <= MAX_PART for each in planned)
    assert all(each.source.object_size > MIN_PART for each in planned if isinstance(each, Copy))

    remaining, at = [segment for segment in given_segments if segment.size], 0
    for piece in pieces(planned):
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

    # Small parts are sent, and of a large one only the head that a remainder before it needs to reach the least size.
    sent: Counter[str] = Counter()
    for each in planned:
        if isinstance(each, Upload):
            ranges = [piece for piece in each.pieces if isinstance(piece, Range)]
            assert sum(piece.size for piece in ranges) < 2 * MIN_PART
            sent.update({piece.key: piece.size for piece in ranges})
    for before, segment in pairwise([segment for segment in given_segments if segment.size]):
        if isinstance(segment, Range) and segment.size >= 2 * MIN_PART:
            assert sent[segment.key] < MIN_PART
            if isinstance(before, Range) and before.size >= 2 * MIN_PART:
                assert segment.key not in sent


@given(st.lists(st.integers(2 * MIN_PART, 3 * MAX_PART), min_size=1, max_size=30))
def test_nothing_is_sent_through_here_when_every_part_can_be_copied(sizes: list[int]) -> None:
    planned = assembly.plan_upload([part(number, size) for number, size in enumerate(sizes)])
    assert all(isinstance(each, Copy) for each in planned)


def test_more_parts_than_s3_allows_are_refused() -> None:
    with pytest.raises(TooManyParts, match="10001 parts; S3 allows 10000"):
        assembly.plan_upload([part(number, MIN_PART + 1) for number in range(10_001)])


@given(st.binary(max_size=2000), st.binary(max_size=2000), st.sampled_from([1, 50, 1000]))
def test_the_crc_of_two_parts_is_that_of_their_concatenation(first: bytes, second: bytes, times: int) -> None:
    second *= times
    assert combine_crc32(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


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
def s3(server: str) -> Iterator[Any]:
    """A client of an empty bucket."""
    with over_http(server) as client:
        yield client


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


@pytest.mark.parametrize("sizes", [[], [3, 0, 5], [6 * MIB, 1, 11 * MIB, 2 * MIB, 2 * MIB, 9]], ids=str)
def test_the_file_is_the_concatenation_of_its_parts(s3: Any, sizes: list[int]) -> None:
    given_segments, content = store(s3, sizes)
    assembly.assemble("file", given_segments, "text/csv", "f.csv")
    found = s3.get_object(Bucket=BUCKET, Key="file")
    assert found["Body"].read() == content
    assert (found["ContentType"], found["ContentDisposition"]) == ("text/csv", 'attachment; filename="f.csv"')
    assert measure(given_segments) == (len(content), zlib.crc32(content))


def test_a_file_of_no_bytes_is_a_file(s3: Any) -> None:
    assembly.assemble("empty", [Literal(b"")], "application/jsonl", "f.jsonl")
    found = s3.get_object(Bucket=BUCKET, Key="empty")
    assert (found["Body"].read(), found["ContentType"]) == (b"", "application/jsonl")


def test_s3_is_told_the_checksum_and_the_size_of_the_whole_file(s3: Any) -> None:
    given_segments, content = store(s3, [11 * MIB, 7 * MIB])
    calls: dict[str, list[dict[str, Any]]] = {}

    def record(params: Any, model: Any, **_: Any) -> None:
        calls.setdefault(model.name, []).append(params)

    s3.meta.events.register("provide-client-params.s3.*", record)
    assembly.assemble("file", given_segments, "text/csv", "f.csv")
    s3.meta.events.unregister("provide-client-params.s3.*", record)

    def told(call: str, *names: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(each[name] for name in names) for each in calls[call])

    first, second = (segment.etag for segment in given_segments[1:] if isinstance(segment, Range))
    assert told("UploadPartCopy", "PartNumber", "CopySource", "CopySourceRange", "CopySourceIfMatch") == [
        (2, f"{BUCKET}/part-0", f"bytes={MIN_PART - 4}-{11 * MIB - 1}", first),
        (3, f"{BUCKET}/part-1", f"bytes=0-{7 * MIB - 1}", second),
    ]
    assert told("GetObject", "Key", "Range", "IfMatch") == [("part-0", f"bytes=0-{MIN_PART - 5}", first)]
    assert told("UploadPart", "PartNumber", "ChecksumAlgorithm") == [(1, "CRC32")]
    assert told("CreateMultipartUpload", "ChecksumAlgorithm", "ChecksumType") == [("CRC32", "FULL_OBJECT")]
    assert told("CompleteMultipartUpload", "MpuObjectSize", "ChecksumType") == [(len(content), "FULL_OBJECT")]
    [completed] = calls["CompleteMultipartUpload"]
    assert [part["PartNumber"] for part in completed["MultipartUpload"]["Parts"]] == [1, 2, 3]


def test_the_checksum_of_a_part_is_handed_on_as_s3_answered_it(fake: Fake) -> None:
    """S3 compares them with its own ("CompletedPart" of the Amazon S3 API Reference)."""
    for checksums in (True, False):  # a store that answers none gets none
        fake.checksums = checksums
        assembly.assemble("file", [part(0, 2 * MIN_PART), part(1, 9)], "text/csv", "f.csv")
    untold = [{"PartNumber": 1, "ETag": "copied"}, {"PartNumber": 2, "ETag": "1"}]
    sums = [{"ChecksumCRC32": "Y29weQ=="}, {"ChecksumCRC32": "c2VudA=="}]
    assert fake.completed == [[each | checksum for each, checksum in zip(untold, sums, strict=True)], untold]


@pytest.mark.parametrize("silence", [error(endpoint_url="s3") for error in (EndpointConnectionError, ReadTimeoutError)])
def test_what_went_wrong_is_told_though_the_upload_cannot_be_aborted(fake: Fake, silence: Exception) -> None:
    def vanish() -> None:
        raise PartChanged("a part was replaced")

    fake.before_read, fake.silence = vanish, silence
    with pytest.raises(PartChanged, match="a part was replaced"):
        assembly.assemble("file", [part(0, 9)], "text/csv", "f.csv")


def test_a_part_that_changed_since_its_receipt_stops_the_file_and_leaves_nothing(s3: Any) -> None:
    given_segments, _ = store(s3, [6 * MIB, 3])
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


def test_many_small_parts_are_downloaded_side_by_side_and_sent_in_few(fake: Fake) -> None:
    first = threading.Barrier(16, timeout=30)
    waits = iter(range(16))
    fake.before_read = lambda: first.wait() if next(waits, None) is not None else None
    assembly.assemble("file", [part(number, 10 * 1024) for number in range(600)], "text/csv", "f.csv")
    assert sorted(fake.sent) == [6000 * 1024 - MIN_PART, MIN_PART]
