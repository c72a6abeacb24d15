"""The file of an export, whole and proven, under its name; or a part of it, under another, from which it goes on.

What has come lies beside the target as ``.<name>.<ETag>.part``: the ETag in its name says of which object it is, so
that there are no two files to keep in step. Each connection asks the API for an address signed now; one that has
expired in the meantime is so no matter. S3 documents If-Match with Range (API reference, "GetObject"), not If-Range:
412 then says what If-Range would say by sending everything. Whoever writes a partial file holds its lock (flock(2)), so
that two downloads do not write into each other; Windows has no such lock, and there nothing watches over that.
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
"""Connections in a row that bring nothing."""
Show: TypeAlias = "Callable[[int], None]"
"""Is told how many bytes there are."""


class _Locks:
    """The partial files that this download alone writes, until it ends."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def __enter__(self) -> _Locks:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)

    def take(self, partial: Path) -> bool:
        """Whether the partial file is this download's own now; it is made where there was none."""
        if sys.platform == "win32":
            return True
        if partial in self._held:
            if _is(self._held[partial], partial):
                return True
            os.close(self._held.pop(partial))  # the file of that name has been removed
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:  # a file system without locks
            pass
        self._held[partial] = descriptor
        return _is(descriptor, partial)  # whoever had it may have removed it meanwhile


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Controls, and what turns the direction of text so that a name looks like another."""


class Saved(NamedTuple):
    """Where the file is, and whether it was there before."""

    path: Path
    before: bool


def name(file_name: str, export: Export) -> str:
    """What to call the file where the user does not say: the API's name, which must not lead elsewhere."""
    plain = Path(file_name.replace("\\", "/")).name
    return plain if plain and not plain.startswith(".") and not _HIDDEN.search(plain) else f"export-{export['id']}"


def save(api: Api, export: Export, output: Path | None, show: Show, *, force: bool = False) -> Saved:
    """Downloads the file of a SUCCEEDED export; goes on where an earlier download of the same object stopped.

    Args:
        api: where it is from.
        export: as the API shows it: with ``bytes`` and ``crc32``.
        output: a file, or a folder; without one the API's name for it, here.
        show: is told how far it is.
        force: replaces another file of that name.

    Raises:
        TryAgain: the connection broke down again and again, and what has come stays; or another download of it runs.
        Trouble: another file is there, or what came is not the export.
    """
    target = output or Path()
    if target.is_dir():
        target = target / name(api.file(export["id"])["file_name"], export)
    if target.exists() and not force:
        return _there(target, export)
    _refuse_missing_folder(target)
    with _Locks() as locks:
        partial = _receive(api, export, target, show, locks)
        if not _proven(partial, export):
            partial.unlink()
            raise Trouble(
                f"What came is not the export: its size or CRC-32 is not {export['bytes']:,} bytes, {export['crc32']}."
                " It was removed. Download it again."
            )
        saved = Saved(target, before=False)
        if force:
            partial.replace(target)
        else:
            try:
                _publish(partial, target)
            except FileExistsError:  # since the transfer began
                saved = _there(target, export)
        for left in _partials(target):
            if locks.take(left):
                left.unlink(missing_ok=True)
    return saved


def refuse(output: Path, *, force: bool) -> None:
    """Looks at where a file is to go before there is an export.

    Raises:
        Trouble: it cannot go there.
    """
    if output.is_dir():
        return
    if output.exists() and not force:
        raise Trouble(f"{output} is there already. Say --force to replace it, or -o another.")
    _refuse_missing_folder(output)


def _refuse_missing_folder(target: Path) -> None:
    if not target.parent.is_dir():
        raise Trouble(f"{target.parent} is no folder: make it, or say -o another.")


def _there(target: Path, export: Export) -> Saved:
    """What is there already, where that is the export."""
    if _proven(target, export):
        return Saved(target, before=True)
    raise Trouble(f"{target} is there already, and is not this export. Say --force to replace it, or -o another.")


def _publish(partial: Path, target: Path) -> None:
    """Gives the file its name unless another has it (rename(2) would replace that).

    Raises:
        FileExistsError: another has it.
    """
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken by an empty file, which is ours to replace
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            partial.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    else:
        partial.unlink()


def _receive(api: Api, export: Export, target: Path, show: Show, locks: _Locks) -> Path:
    """The partial file, once it is as long as the export."""
    tries, why = 0, ""
    begun = _partials(target)
    for each in begun:
        _lock(each, locks)
    partial = max(begun, key=lambda path: path.stat().st_mtime, default=None)
    while True:
        have = partial.stat().st_size if partial else 0
        if partial and have > export["bytes"]:
            partial.unlink()
            partial, have, why = None, 0, "it is longer than the export"
        show(have)
        if partial and have == export["bytes"]:
            return partial
        if tries >= _TRIES:
            raise TryAgain(f"The file does not come ({why}); {have:,} bytes of {export['bytes']:,} are kept.")
        if tries:
            time.sleep(2 ** (tries - 1) / 2)
        partial, why = _connect(api.file(export["id"])["url"], target, partial, have, show, locks)
        came = partial is not None and have < partial.stat().st_size <= export["bytes"]
        tries = 0 if came else tries + 1


def _connect(
    url: str, target: Path, partial: Path | None, have: int, show: Show, locks: _Locks
) -> tuple[Path | None, str]:
    """One connection: what there is afterwards, and why it ended."""
    headers = {"Range": f"bytes={have}-", "If-Match": f'"{_etag(partial)}"'} if partial and have else {}
    answer = web.send("GET", url, headers=headers, stream=True)
    try:
        if answer.status in (412, 416):  # another object by now: nothing of the old one is of use
            if partial:
                partial.unlink()
            return None, "it changed"
        if answer.status not in (200, 206):
            return partial, f"S3 answered {answer.status}"
        goes_on = partial is not None and answer.status == 206
        if goes_on and not (_etag_of(answer) == _etag(partial) and _first_byte(answer) == have):
            if partial:
                partial.unlink()
            return None, "the answer is of another object"
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
            f"Another download of this file is running: it writes {partial}. Wait for it, or say -o another."
        )


def _append(answer: urllib3.BaseHTTPResponse, partial: Path, have: int, show: Show) -> str:
    """Writes what comes to the end of the partial file; why no more came."""
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
    return "it ended"


def _partial(target: Path, etag: str) -> Path:
    escaped = quote(etag, safe="").replace(".", "%2E")  # the name is read back from its last dot
    return target.with_name(f".{target.name}.{escaped}.part")


def _partials(target: Path) -> list[Path]:
    return list(target.parent.glob(f".{glob.escape(target.name)}.*.part"))


def _etag(partial: Path | None) -> str:
    return unquote(partial.name.removesuffix(".part").rpartition(".")[2]) if partial else ""


def _etag_of(answer: urllib3.BaseHTTPResponse) -> str:
    return answer.headers.get("ETag", "").strip('"')


def _first_byte(answer: urllib3.BaseHTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _proven(path: Path, export: Export) -> bool:
    """Whether a file is the export: as long, and of the same CRC-32."""
    if not path.is_file() or path.stat().st_size != export["bytes"]:
        return False
    crc32 = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc32 = zlib.crc32(chunk, crc32)
    return f"{crc32:08x}" == str(export["crc32"])
