"""exports download: the file is whole and proven, or is not there; what has come is never fetched twice."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports_cli import download
from exports_cli.api import Api
from exports_cli.session import Given
from exports_cli.trouble import Trouble, TryAgain
from tests.unit import cli_stack
from tests.unit.cli_stack import EXPORT_ID, Said, Stack, export, problem
from tests.unit.test_cli import command_line, signed, slept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.test_cli import Cli

__all__ = ["signed", "slept"]

stack = pytest.fixture(cli_stack.running)
cli = pytest.fixture(command_line)
LONG = bytes(range(256)) * 4096  # a mebibyte


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


def ranges(stack: Stack) -> list[str | None]:
    """What was asked of S3."""
    return [each.headers.get("Range") for each in stack.asked if each.path.startswith("/s3/")]


def test_the_file_is_saved_under_the_exports_own_name(signed: Cli, ready: Stack, here: Path) -> None:
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG
    assert partials(here) == []


def test_the_token_goes_to_the_api_and_nowhere_else(signed: Cli, ready: Stack) -> None:
    assert signed("download", EXPORT_ID).code == 0
    assert [each.headers.get("Authorization") for each in ready.asked if each.path.startswith("/s3/")] == [None]


def test_a_folder_may_be_named_instead_of_a_file(signed: Cli, ready: Stack, here: Path) -> None:
    (here / "out").mkdir()
    assert signed("download", EXPORT_ID, "-o", "out").code == 0
    assert (here / "out" / "flights-UA.csv").read_bytes() == LONG
    ran = signed("download", EXPORT_ID, "-o", "absent/x.csv")
    assert (ran.code, "absent" in ran.err, "Traceback" in ran.err) == (1, True, False)


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "..", ".", ".bashrc", "", "a\nb"])
def test_the_api_does_not_decide_where_a_file_goes(name: str, signed: Cli, ready: Stack, here: Path) -> None:
    ready.file_name = name
    assert signed("download", EXPORT_ID).code == 0
    (saved,) = here.iterdir()
    assert saved.name in ("evil.csv", f"export-{EXPORT_ID}")


def test_a_file_of_no_bytes_is_a_file(signed: Cli, ready: Stack, here: Path) -> None:
    ready.content = b""
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == b""


def test_a_broken_connection_goes_on_where_it_was_with_an_address_signed_anew(
    signed: Cli, ready: Stack, here: Path
) -> None:
    ready.cuts = [300_000, 100, 0, 500_000]
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG
    asked = [int(each.removeprefix("bytes=").rstrip("-")) for each in ranges(ready) if each]
    assert asked == sorted(asked)
    assert asked[0] == 300_000
    assert len(ready.calls(f"GET /v1/exports/{EXPORT_ID}/file")) == 1 + len(ranges(ready))  # the first gave the name
    assert {each.headers.get("If-Match") for each in ready.asked if "Range" in each.headers} == {'"0123abc-2"'}


def test_a_download_that_was_given_up_goes_on_later(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000, *[0] * 5]
    ran = signed("download", EXPORT_ID)
    assert ran.code == 5
    assert "400,000 of 1,048,576 bytes are kept" in ran.err
    assert not (here / "flights-UA.csv").exists()
    (partial,) = partials(here)
    assert partial.read_bytes() == LONG[:400_000]
    ready.asked.clear()
    assert signed("download", EXPORT_ID).code == 0
    assert ranges(ready) == ["bytes=400000-"]
    assert (here / "flights-UA.csv").read_bytes() == LONG
    assert partials(here) == []


def test_an_address_that_has_expired_is_asked_for_again(signed: Cli, ready: Stack, here: Path) -> None:
    ready.answer("S3", Said(403), Said(403))
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG
    ready.answer("S3", *[Said(403)] * 5)
    ran = signed("download", EXPORT_ID, "-o", "other.csv")
    assert (ran.code, "The download failed (S3 answered 403)" in ran.err) == (5, True)


def test_nothing_of_another_object_is_kept(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000, *[0] * 5]
    ready.content = LONG[::-1]
    assert signed("download", EXPORT_ID).code == 5
    ready.content, ready.etag = LONG, '"f.f/f"'
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG
    assert partials(here) == []


def test_a_server_that_ignores_if_match_is_not_believed(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000, *[0] * 5]
    signed("download", EXPORT_ID)
    ready.etag = '"another"'
    original = ready._range
    ready._range = lambda asked: original(asked._replace(headers=asked.headers | {"If-Match": '"another"'}))  # type: ignore[method-assign]
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG


def test_a_server_that_ignores_range_begins_anew(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000]
    original = ready._range
    ready._range = lambda asked: (200, 0) if "Range" in asked.headers else original(asked)  # type: ignore[method-assign]
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == LONG


@pytest.mark.parametrize("came", [LONG[:-1] + b"x", LONG[:-1], LONG + b"x"], ids=["other", "short", "long"])
def test_what_is_not_the_export_never_gets_its_name(
    came: bytes, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.content = came
    monkeypatch.setattr(ready, "_now", lambda: export(content=LONG))
    ran = signed("download", EXPORT_ID)
    assert ran.code == (1 if len(came) == len(LONG) else 5)
    assert not (here / "flights-UA.csv").exists()
    if ran.code == 1:
        assert "The downloaded file is not the export's" in ran.err
        assert partials(here) == []


def test_a_damaged_part_is_found_out(signed: Cli, ready: Stack, here: Path) -> None:
    ready.cuts = [400_000, *[0] * 5]
    signed("download", EXPORT_ID)
    (partial,) = partials(here)
    partial.write_bytes(b"x" * 400_000)
    assert signed("download", EXPORT_ID).code == 1
    assert list(here.iterdir()) == []
    assert signed("download", EXPORT_ID).code == 0


def test_a_file_that_is_there_is_not_fetched_again(signed: Cli, ready: Stack, here: Path) -> None:
    (here / "mine.csv").write_bytes(LONG)
    ran = signed("download", EXPORT_ID, "-o", "mine.csv")
    assert (ran.code, "unchanged" in ran.out) == (0, True)
    assert ranges(ready) == []


def test_another_file_is_replaced_only_when_told_to(signed: Cli, ready: Stack, here: Path) -> None:
    (here / "mine.csv").write_bytes(b"mine")
    ran = signed("download", EXPORT_ID, "-o", "mine.csv")
    assert (ran.code, "Use --force" in ran.err) == (1, True)
    assert (here / "mine.csv").read_bytes() == b"mine"
    assert signed("download", EXPORT_ID, "-o", "mine.csv", "--force").code == 0
    assert (here / "mine.csv").read_bytes() == LONG


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something that happens once the first connection has brought what it brings."""
    append = download._append

    def appended(*given: Any) -> str:
        why = append(*given)
        happens()
        return why

    monkeypatch.setattr(download, "_append", appended)


def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_made_during_the_transfer_is_not_replaced(
    links: bool, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        no_links(monkeypatch)
    meanwhile(monkeypatch, lambda: (here / "mine.csv").write_bytes(b"mine"))
    ran = signed("download", EXPORT_ID, "-o", "mine.csv")
    assert (ran.code, "mine.csv already exists and is not this export's file. Use --force" in ran.err) == (1, True)
    assert (here / "mine.csv").read_bytes() == b"mine"
    assert [each.read_bytes() for each in partials(here)] == [LONG]
    assert signed("download", EXPORT_ID, "-o", "mine.csv", "--force").code == 0  # nothing is fetched again
    assert len(ranges(ready)) == 1
    assert (here / "mine.csv").read_bytes() == LONG
    assert partials(here) == []


def test_the_same_export_made_during_the_transfer_is_as_good(
    signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: (here / "mine.csv").write_bytes(LONG))
    ran = signed("download", EXPORT_ID, "-o", "mine.csv")
    assert (ran.code, "unchanged" in ran.out) == (0, True)
    assert partials(here) == []


def test_a_file_system_without_hard_links_will_do(
    signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch)
    assert signed("download", EXPORT_ID, "-o", "mine.csv").code == 0
    assert (here / "mine.csv").read_bytes() == LONG
    assert list(here.iterdir()) == [here / "mine.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
@pytest.mark.parametrize("begun", [True, False])
def test_two_downloads_do_not_write_one_file(
    begun: bool, signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has begun before this one looks, or between its look and its first byte."""
    partial = download._partial(here / "mine.csv", "0123abc-2")
    with download._Locks() as other:
        original = ready._range

        def starts(asked: Any) -> tuple[int, int]:
            assert other.take(partial)
            partial.write_bytes(b"theirs")
            return original(asked)

        if begun:
            assert other.take(partial)
            partial.write_bytes(b"theirs")
        else:
            monkeypatch.setattr(ready, "_range", starts)
        ran = signed("download", EXPORT_ID, "-o", "mine.csv", "--force")
        assert (ran.code, "Another download of this file is running" in ran.err) == (5, True)
        assert partial.read_bytes() == b"theirs"
    monkeypatch.setattr(ready, "_range", original)
    partial.unlink()
    assert signed("download", EXPORT_ID, "-o", "mine.csv").code == 0


def test_a_lock_is_of_the_file_that_has_the_name_now(here: Path) -> None:
    partial = here / "part"
    with download._Locks() as one, download._Locks() as other:
        assert one.take(partial)
        assert one.take(partial)
        assert not other.take(partial)
        partial.unlink()
        assert one.take(partial)  # made anew
        assert not other.take(partial)
    with download._Locks() as third:
        assert third.take(partial)


@pytest.mark.parametrize("words", [["run", "flights", "-f", "csv"], ["retry", EXPORT_ID]])
def test_where_a_file_cannot_go_no_export_is_requested(words: list[str], signed: Cli, stack: Stack, here: Path) -> None:
    (here / "mine.csv").write_bytes(b"mine")
    for output, said in (
        ("mine.csv", "Use --force to replace it"),
        ("absent/x.csv", "The folder absent does not exist"),
    ):
        ran = signed(*words, "-o", output)
        assert (ran.code, said in ran.err) == (1, True)
    assert stack.asked == []
    assert signed(*words, "-o", "mine.csv", "--force").code == 0
    assert (here / "mine.csv").read_bytes() == stack.content


def test_a_run_with_a_key_may_find_its_file_there(signed: Cli, ready: Stack, here: Path) -> None:
    words = ["run", "flights", "-f", "csv", "--idempotency-key", "monday", "-o", "mine.csv"]
    assert signed(*words).code == 0
    ran = signed(*words)
    assert (ran.code, "unchanged" in ran.out) == (0, True)
    asked = len(ready.asked)
    assert signed(*words[:-1], "absent/x.csv").code == 1
    assert len(ready.asked) == asked


def test_an_expired_file_ends_it(signed: Cli, ready: Stack, here: Path) -> None:
    ready.answer(f"GET /v1/exports/{EXPORT_ID}", Said(200, export("EXPIRED")))
    assert signed("download", EXPORT_ID).code == 3
    gone = Said(410, problem(410, "expired", "The file has expired", "Request it again."))
    ready.answer(f"GET /v1/exports/{EXPORT_ID}/file", gone)
    ran = signed("download", EXPORT_ID)
    look = f"To see it: exports show {EXPORT_ID}\n"
    assert ran == (1, "", f"exports: The file has expired (410 expired): Request it again.\n{look}")
    assert list(here.iterdir()) == []


def test_download_waits_for_what_is_not_finished_unless_told_not_to(signed: Cli, stack: Stack, here: Path) -> None:
    stack.goes = ["RUNNING"]
    ran = signed("download", EXPORT_ID, "--no-wait")
    assert (ran.code, "and has no file yet" in ran.err) == (3, True)
    stack.goes = ["RUNNING", "RUNNING", "SUCCEEDED"]
    assert signed("download", EXPORT_ID).code == 0
    assert (here / "flights-UA.csv").read_bytes() == stack.content


def test_ctrl_c_keeps_what_has_come(signed: Cli, ready: Stack, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = download._append

    def interrupted(*given: Any) -> str:
        append(*given)
        raise KeyboardInterrupt

    ready.cuts = [400_000]
    monkeypatch.setattr(download, "_append", interrupted)
    ran = signed("download", EXPORT_ID)
    assert (ran.code, "The partial file is kept." in ran.err) == (130, True)
    assert f"To continue: exports download {EXPORT_ID}" in ran.err
    assert [each.stat().st_size for each in partials(here)] == [400_000]


def test_a_full_disk_is_no_traceback(signed: Cli, ready: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = signed("download", EXPORT_ID)
    go_on = f"To continue: exports download {EXPORT_ID}\n"
    assert (ran.code, ran.err) == (1, f"exports: [Errno 28] No space left on device\n{go_on}")


@given(content=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 600), max_size=12))
def test_however_often_it_breaks_off_there_is_the_file_or_none(
    content: bytes, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every start but the last may be given up; the bytes that came are never other than the file's."""
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
