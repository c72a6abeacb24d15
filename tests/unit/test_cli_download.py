"""The command `exports download`: the file is complete and verified, or it does not exist. It resumes what it has."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports_cli import download
from exports_cli.api import Api
from exports_cli.session import Given
from exports_cli.trouble import Trouble, TryAgain
from tests.unit.cli_stack import EXPORT_ID, Run, Said, Stack, export, problem
from tests.unit.test_cli import ONE, RUN, cli, signed, slept, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.test_cli import Cli

__all__ = ["cli", "signed", "slept", "stack"]

LONG = bytes(range(256)) * 4096  # a mebibyte
DOWNLOAD = ("download", EXPORT_ID, "-o", "mine.csv")


@pytest.fixture
def ready(stack: Stack) -> Stack:
    """A stack whose export has succeeded."""
    stack.goes, stack.content = ["SUCCEEDED"], LONG
    return stack


@pytest.fixture
def here(tmp_path: Path, cli: Cli) -> Path:
    return tmp_path / "here"


def partials(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part"))


def broken_off(signed: Cli, ready: Stack) -> Run:
    """A download that gives up after some bytes."""
    ready.cuts = [400_000, *[0] * 5]
    return signed(*DOWNLOAD)


def of_s3(stack: Stack, header: str) -> list[str | None]:
    """The values of a header in the requests to S3."""
    return [each.headers.get(header) for each in stack.asked if each.path.startswith("/s3/")]


def require_saved(signed: Cli, here: Path, *words: str) -> None:
    """Downloads to mine.csv, which then is the only file."""
    ran = signed(*DOWNLOAD, *words)
    assert ran.code == 0, ran.err
    assert list(here.iterdir()) == [here / "mine.csv"]
    assert (here / "mine.csv").read_bytes() == LONG


def test_the_file_is_saved_under_the_name_of_the_export(signed: Cli, ready: Stack, here: Path) -> None:
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG
    assert of_s3(ready, "Authorization") == [None]
    (here / "out").mkdir()
    assert signed("download", EXPORT_ID, "-o", "out").code == 0
    assert (here / "out" / "flights-UA.csv").read_bytes() == LONG
    said = "exports: The folder absent does not exist. Create it, or use -o for another file.\n"
    ran = signed("download", EXPORT_ID, "-o", "absent/x.csv")
    assert ran == Run(1, "", f"{said}To continue: exports download {EXPORT_ID} -o absent/x.csv\n")


def test_the_api_does_not_decide_where_a_file_goes(signed: Cli, ready: Stack, here: Path) -> None:
    ready.file_name = "../../evil.csv"
    assert signed("download", EXPORT_ID).code == 0
    assert list(here.iterdir()) == [here / "evil.csv"]
    for name in ("/etc/evil.csv", "..\\evil.csv"):
        assert download.name(name, export()) == "evil.csv"
    for name in ("..", ".", ".bashrc", "", "a\nb", "a\u202eb"):
        assert download.name(name, export()) == f"export-{EXPORT_ID}"


def test_a_broken_connection_is_resumed_with_a_new_signed_address(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [300_000, 100, 0, 500_000]
    require_saved(signed, here)
    asked = [int(each.removeprefix("bytes=").rstrip("-")) for each in of_s3(ready, "Range") if each]
    assert asked == sorted(asked)
    assert asked[0] == 300_000
    assert len(ready.calls(f"GET {ONE}/file")) == len(of_s3(ready, "Range")) == 5
    assert of_s3(ready, "If-Match") == [None, *['"0123abc-2"'] * 4]


def test_a_download_that_gave_up_is_resumed_by_the_next_one(signed: Cli, ready: Stack, here: Path) -> None:
    assert broken_off(signed, ready).fails(5, "400,000 of 1,048,576 bytes are kept")
    (partial,) = here.iterdir()
    assert partial.read_bytes() == LONG[:400_000]
    ready.asked.clear()
    require_saved(signed, here)
    assert of_s3(ready, "Range") == ["bytes=400000-"]


def test_an_expired_address_is_replaced(signed: Cli, ready: Stack, here: Path) -> None:
    ready.answer("S3", Said(403), Said(403))
    require_saved(signed, here)
    ready.answer("S3", *[Said(403)] * 5)
    assert signed("download", EXPORT_ID, "-o", "other.csv").fails(5, "The download failed (S3 answered 403)")


@pytest.mark.parametrize("honest", [True, False])
def test_no_byte_of_another_object_is_kept(honest: bool, signed: Cli, ready: Stack, here: Path) -> None:
    ready.content = LONG[::-1]
    assert broken_off(signed, ready).code == 5
    ready.content, ready.etag = LONG, '"f.f/f"'
    if not honest:  # the server ignores If-Match
        original = ready._range
        ready._range = lambda asked: original(asked._replace(headers=asked.headers | {"If-Match": ready.etag}))  # type: ignore[method-assign]
    require_saved(signed, here)


def test_a_server_that_ignores_range_sends_the_whole_file(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000]
    original = ready._range
    ready._range = lambda asked: (200, 0) if "Range" in asked.headers else original(asked)  # type: ignore[method-assign]
    require_saved(signed, here)


@pytest.mark.parametrize(
    ("came", "code"), [(LONG[:-1] + b"x", 1), (LONG[:-1], 5), (LONG + b"x", 5)], ids=["other", "short", "long"]
)
def test_a_file_that_is_not_the_export_never_gets_its_name(
    came: bytes, code: int, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.content = came
    monkeypatch.setattr(ready, "_now", lambda: export(content=LONG))
    ran = signed(*DOWNLOAD)
    assert (ran.code, (here / "mine.csv").exists()) == (code, False)
    if code == 1:
        assert "The downloaded file is not the export's: its size must be 1,048,576 bytes and its CRC-32" in ran.err
        assert list(here.iterdir()) == []


def test_a_damaged_partial_file_is_removed(signed: Cli, ready: Stack, here: Path) -> None:
    broken_off(signed, ready)
    (partial,) = partials(here)
    partial.write_bytes(b"x" * 400_000)
    assert signed(*DOWNLOAD).code == 1
    assert list(here.iterdir()) == []
    require_saved(signed, here)


def test_an_existing_file_is_replaced_only_with_force(signed: Cli, ready: Stack, here: Path) -> None:
    (here / "mine.csv").write_bytes(LONG)
    ran = signed(*DOWNLOAD)
    assert (ran.code, ran.out.endswith(", unchanged\n"), of_s3(ready, "Range")) == (0, True, [])
    (here / "mine.csv").write_bytes(b"mine")
    assert signed(*DOWNLOAD).fails(1, "Use --force")
    assert (here / "mine.csv").read_bytes() == b"mine"
    require_saved(signed, here, "--force")


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something that happens after the first connection."""
    append = download._append

    def appended(*given: Any) -> str:
        why = append(*given)
        happens()
        return why

    monkeypatch.setattr(download, "_append", appended)


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError(1, "Operation not permitted")))


def test_a_file_made_during_the_transfer_is_not_replaced(
    hard_links: None, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: (here / "mine.csv").write_bytes(b"mine"))
    assert signed(*DOWNLOAD).fails(1, "mine.csv already exists and is not this export's file. Use --force")
    assert (here / "mine.csv").read_bytes() == b"mine"
    assert [each.read_bytes() for each in partials(here)] == [LONG]
    require_saved(signed, here, "--force")
    assert len(of_s3(ready, "Range")) == 1  # nothing was fetched again


def test_a_file_system_needs_no_hard_links_and_the_same_file_made_during_the_transfer_is_accepted(
    hard_links: None, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_saved(signed, here)
    (here / "mine.csv").unlink()
    meanwhile(monkeypatch, lambda: (here / "mine.csv").write_bytes(LONG))
    require_saved(signed, here)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
@pytest.mark.parametrize("begun", [True, False])
def test_two_downloads_do_not_write_the_same_file(
    begun: bool, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has begun before this one looks, or between its look and its first byte."""
    partial = download._partial(here / "mine.csv", "0123abc-2")
    with download._Locks() as other, monkeypatch.context() as patched:
        original = ready._range

        def start() -> bool:
            return other.take(partial) and partial.write_bytes(b"theirs") > 0

        if begun:
            assert start()
        else:
            patched.setattr(ready, "_range", lambda asked: start() and original(asked))
        assert signed(*DOWNLOAD, "--force").fails(5, "Another download of this file is running")
        assert partial.read_bytes() == b"theirs"
    partial.unlink()
    require_saved(signed, here)


def test_a_lock_belongs_to_the_file_that_has_the_name_now(here: Path) -> None:
    partial = here / "part"
    with download._Locks() as one, download._Locks() as other:
        assert (one.take(partial), one.take(partial), other.take(partial)) == (True, True, False)
        partial.unlink()
        assert (one.take(partial), other.take(partial)) == (True, False)
    with download._Locks() as third:
        assert third.take(partial)


@pytest.mark.parametrize("words", [RUN, ("retry", EXPORT_ID)])
def test_no_export_is_requested_if_its_file_has_no_place(
    words: tuple[str, ...], signed: Cli, stack: Stack, here: Path
) -> None:
    (here / "mine.csv").write_bytes(b"mine")
    assert "Use --force to replace it" in signed(*words, "-o", "mine.csv").err
    assert "The folder absent does not exist" in signed(*words, "-o", "absent/x.csv").err
    assert stack.asked == []
    assert signed(*words, "-o", "mine.csv", "--force").code == 0
    assert (here / "mine.csv").read_bytes() == stack.content


def test_a_run_with_a_key_accepts_the_file_of_an_earlier_run(signed: Cli, ready: Stack, here: Path) -> None:
    words = (*RUN, "--idempotency-key", "monday", "-o")
    assert signed(*words, "mine.csv").code == 0
    assert signed(*words, "mine.csv").out.endswith(", unchanged\n")
    ready.asked.clear()
    assert (signed(*words, "absent/x.csv").code, ready.asked) == (1, [])


def test_an_expired_file_cannot_be_downloaded(signed: Cli, ready: Stack, here: Path) -> None:
    ready.answer(f"GET {ONE}", Said(200, export("EXPIRED")))
    assert signed("download", EXPORT_ID).code == 3
    ready.answer(f"GET {ONE}/file", Said(410, problem(410, "expired", "The file has expired", "Request it again.")))
    said = f"The file has expired (410 expired): Request it again.\nTo see it: exports show {EXPORT_ID}"
    assert signed("download", EXPORT_ID) == Run(1, "", f"exports: {said}\n")
    assert list(here.iterdir()) == []


def test_download_waits_until_the_export_has_ended(signed: Cli, ready: Stack, here: Path) -> None:
    ready.goes = ["RUNNING"]
    said = "exports: The export is RUNNING and has no file yet.\n"
    assert signed("download", EXPORT_ID, "--no-wait") == Run(3, "", said)
    ready.goes = ["RUNNING", "RUNNING", "SUCCEEDED"]
    require_saved(signed, here)


def test_ctrl_c_keeps_the_partial_file(signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.cuts = [400_000]
    meanwhile(monkeypatch, Mock(side_effect=KeyboardInterrupt))
    said = f"exports: The partial file is kept.\nTo continue: exports download {EXPORT_ID}\n"
    assert signed("download", EXPORT_ID) == Run(130, "", said)
    assert [each.stat().st_size for each in partials(here)] == [400_000]


def test_a_full_disk_is_an_error(signed: Cli, ready: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    said = f"exports: [Errno 28] No space left on device\nTo continue: exports download {EXPORT_ID}\n"
    assert signed("download", EXPORT_ID) == Run(1, "", said)


@given(content=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 600), max_size=12))
def test_a_download_that_breaks_off_anywhere_leaves_the_complete_file_or_none(
    content: bytes, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("any") / "file"
    made = Stack()
    made.content, made.cuts = content, list(cuts)
    api, shown = Api(Given(f"{made.url}/v1", "mine")), list[int]()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("time.sleep", lambda _: None)
        patched.setenv("NO_PROXY", "*")
        try:
            for _ in range(len(cuts) + 1):
                try:
                    download.save(api, export(content=content), target, shown.append)
                except TryAgain:
                    assert not target.exists()
                    for partial in partials(target.parent):
                        assert content.startswith(partial.read_bytes())
        finally:
            made.close()
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]
    assert max(shown) == len(content)
    with pytest.raises(Trouble, match="is not this export"):
        download.save(api, export(content=content + b"x"), target, shown.append)
