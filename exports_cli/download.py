"""Downloads the file of an export, verifies its size and CRC-32, and resumes interrupted downloads.

A partial file lies next to the target as ``.<name>.<ETag>.part``. Its ETag identifies the object in S3. Each connection
asks the API for a new signed address, so an address may expire during the download. S3 documents If-Match with Range
(API reference, "GetObject"), but not If-Range: it answers 412 if the object has changed. A download locks its partial
file (flock(2)), so that no other download writes to it. There is no lock on Windows.
"""

from __future__ import annotations

import glob
import os
import re
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import urllib3

from exports_cli import web
from exports_cli.trouble import Trouble, TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

    from exports_cli.api import Api, Export

if sys.platform != "win32":
    import fcntl

_CHUNK = 256 * 1024
_TRIES = 5
"""Consecutive connections without a new byte, after which the download fails."""
Show: TypeAlias = "Callable[[int], None]"
"""Receives the number of bytes that have arrived so far."""


class _Locks:
    """The partial files that this download has locked. They are released when it ends."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def __enter__(self) -> _Locks:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)

    def take(self, partial: Path) -> bool:
        """Locks the partial file, which is created if it is missing. Returns False if another download holds it."""
        if sys.platform == "win32":
            return True
        if partial in self._held:
            if _is(self._held[partial], partial):
                return True
            os.close(self._held.pop(partial))  # another process has removed or replaced the file
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:  # the file system has no locks
            pass
        self._held[partial] = descriptor
        return _is(descriptor, partial)  # the previous holder may have removed the file


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and characters that change the direction of text and so can disguise a name."""


class Saved(NamedTuple):
    """The path of the file, and whether it existed before this download."""

    path: Path
    before: bool


def name(file_name: str, export: Export) -> str:
    """The default name of the file: the API's name if it is safe (no folder, not hidden), else ``export-<id>``."""
    plain = Path(file_name.replace("\\", "/")).name
    return plain if plain and not plain.startswith(".") and not _HIDDEN.search(plain) else f"export-{export['id']}"


def save(api: Api, export: Export, output: Path | None, show: Show, *, force: bool = False) -> Saved:
    """Downloads the file of a SUCCEEDED export. Resumes an earlier download of the same object.

    Args:
        api: the API that signs the file's address.
        export: the export as the API returns it, with ``bytes`` and ``crc32``.
        output: a file or a folder. Default: the API's file name, in the current folder.
        show: receives the progress.
        force: replaces an existing file.

    Raises:
        TryAgain: the connection failed repeatedly (the partial file is kept), or another download of this file runs.
        Trouble: another file exists at the target, or the downloaded file is not the export's.
    """
    target = output or Path()
    if target.is_dir():
        target = target / name(api.file(export["id"])["file_name"], export)
    if target.exists() and not force:
        return _existing(target, export)
    _refuse_missing_folder(target)
    with _Locks() as locks:
        partial = _receive(api, export, target, show, locks)
        if not _proven(partial, export):
            partial.unlink()
            raise Trouble(
                f"The downloaded file is not the export's: its size must be {export['bytes']:,} bytes and its CRC-32"
                f" {export['crc32']}. It was removed. Download it again."
            )
        saved = Saved(target, before=False)
        if force:
            partial.replace(target)
        else:
            try:
                _publish(partial, target)
            except FileExistsError:  # another process created it during the download
                saved = _existing(target, export)
        for left in _partials(target):
            if locks.take(left):
                left.unlink(missing_ok=True)
    return saved


def refuse(output: Path, *, force: bool) -> None:
    """Checks the target before the export is requested.

    Raises:
        Trouble: the target exists, or its folder does not.
    """
    if output.is_dir():
        return
    if output.exists() and not force:
        raise Trouble(f"{output} already exists. Use --force to replace it, or -o for another file.")
    _refuse_missing_folder(output)


def _refuse_missing_folder(target: Path) -> None:
    if not target.parent.is_dir():
        raise Trouble(f"The folder {target.parent} does not exist. Create it, or use -o for another file.")


def _existing(target: Path, export: Export) -> Saved:
    """The existing file, if it is the export's."""
    if _proven(target, export):
        return Saved(target, before=True)
    raise Trouble(
        f"{target} already exists and is not this export's file. Use --force to replace it, or -o for another file."
    )


def _publish(partial: Path, target: Path) -> None:
    """Gives the file its name, unless another file has that name. rename(2) would replace the other file.

    Raises:
        FileExistsError: another file has the name.
    """
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: reserve the name with an empty file, then replace that file
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            partial.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    else:
        partial.unlink()


def _receive(api: Api, export: Export, target: Path, show: Show, locks: _Locks) -> Path:
    """Downloads until the partial file has the size of the export, and returns it."""
    tries, why = 0, ""
    partials = _partials(target)
    for each in partials:
        _lock(each, locks)
    partial = max(partials, key=lambda path: path.stat().st_mtime, default=None)
    while True:
        have = partial.stat().st_size if partial else 0
        if partial and have > export["bytes"]:
            partial.unlink()
            partial, have, why = None, 0, "the partial file was longer than the export"
        show(have)
        if partial and have == export["bytes"]:
            return partial
        if tries >= _TRIES:
            raise TryAgain(f"The download failed ({why}). {have:,} of {export['bytes']:,} bytes are kept.")
        if tries:
            time.sleep(2 ** (tries - 1) / 2)
        partial, why = _connect(api.file(export["id"])["url"], target, partial, have, show, locks)
        came = partial is not None and have < partial.stat().st_size <= export["bytes"]
        tries = 0 if came else tries + 1


def _connect(
    url: str, target: Path, partial: Path | None, have: int, show: Show, locks: _Locks
) -> tuple[Path | None, str]:
    """Makes one connection. Returns the partial file that is left, and why the connection ended."""
    headers = {"Range": f"bytes={have}-", "If-Match": f'"{_etag(partial)}"'} if partial and have else {}
    answer = web.send("GET", url, headers=headers, stream=True)
    try:
        if answer.status in (412, 416):  # the object was replaced, so the partial file is useless
            if partial:
                partial.unlink()
            return None, "the file in S3 has changed"
        if answer.status not in (200, 206):
            return partial, f"S3 answered {answer.status}"
        goes_on = partial is not None and answer.status == 206
        if goes_on and not (_etag_of(answer) == _etag(partial) and _first_byte(answer) == have):
            if partial:
                partial.unlink()
            return None, "S3 returned another object"
        if not goes_on:
            if partial:
                partial.unlink()
            partial, have = _partial(target, _etag_of(answer)), 0
        assert partial is not None
        _lock(partial, locks)
        return partial, _append(answer, partial, have, show)
    finally:
        answer.close()


def _lock(partial: Path, locks: _Locks) -> None:
    if not locks.take(partial):
        raise TryAgain(
            f"Another download of this file is running (it writes {partial}). Wait for it, or use -o for another file."
        )


def _append(answer: urllib3.BaseHTTPResponse, partial: Path, have: int, show: Show) -> str:
    """Appends the body to the partial file. Returns why the body ended."""
    with partial.open("r+b" if have else "wb") as file:
        file.seek(have)
        try:
            for chunk in answer.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                have += len(chunk)
                show(have)
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__
        finally:
            file.flush()
            os.fsync(file.fileno())
    return "the connection ended"


def _partial(target: Path, etag: str) -> Path:
    escaped = quote(etag, safe="").replace(".", "%2E")  # _etag takes the text after the last dot
    return target.with_name(f".{target.name}.{escaped}.part")


def _partials(target: Path) -> list[Path]:
    return list(target.parent.glob(f".{glob.escape(target.name)}.*.part"))


def _etag(partial: Path | None) -> str:
    return unquote(partial.name.removesuffix(".part").rpartition(".")[2]) if partial else ""


def _etag_of(answer: urllib3.BaseHTTPResponse) -> str:
    return answer.headers.get("ETag", "").strip('"')


def _first_byte(answer: urllib3.BaseHTTPResponse) -> int | None:
    matched = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(matched[1]) if matched else None


def _proven(path: Path, export: Export) -> bool:
    """Whether a file has the size and the CRC-32 of the export."""
    if not path.is_file() or path.stat().st_size != export["bytes"]:
        return False
    crc32 = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc32 = zlib.crc32(chunk, crc32)
    return f"{crc32:08x}" == str(export["crc32"])
