"""The files of datasets as a file system for DuckDB: each in the version that was listed, and nothing else.

DuckDB's own S3 client cannot pin a version ("S3 API support"), and is an extension to install. obstore fetches ranges.
"""

from __future__ import annotations

import datetime
import io
import urllib.parse
from collections.abc import Mapping
from typing import Any

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]

from shared.datasets import objects
from shared.datasets.dataset import File

PROTOCOL = "pinned"
_ANY_TIME = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NULL = "__HIVE_DEFAULT_PARTITION__"


class PinnedFiles(AbstractFileSystem):  # type: ignore[misc]
    """Files by a path of its own: ``<number>.parquet`` in folders of the partition columns, as Hive names them.

    ``failure`` is the first error of a request, because DuckDB replaces errors of a file system by its own.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0
        self.failure: Exception | None = None
        self._files: dict[str, tuple[File, bytes]] = {}

    def add(self, file: File, footer: bytes) -> str:
        """Adds a file, and returns its address for DuckDB, which unescapes the values of folders but not their names.

        Args:
            footer: the last bytes of the file, which need not be fetched again; maybe none.
        """
        folders = "".join(f"{name}={_escaped(value)}/" for name, value in file.values.items())
        path = f"{folders}{len(self._files)}.parquet"
        self._files[path] = (file, footer)
        return f"{PROTOCOL}://{path}"

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: DuckDB gets the list of the files, and never a pattern."""
        return [self._strip_protocol(path)]

    def info(self, path: str, **_: Any) -> Mapping[str, Any]:
        """What DuckDB asks of a file."""
        name = self._strip_protocol(path)
        file, _footer = self._files[name]
        return {"name": name, "size": file.listed.size, "type": "file", "ETag": file.listed.etag}

    def exists(self, path: str, **_: Any) -> bool:
        """Whether the file was added."""
        return self._strip_protocol(path) in self._files

    def isfile(self, path: str) -> bool:
        """Whether the file was added."""
        return self.exists(path)

    def modified(self, path: str) -> datetime.datetime:
        """Any time: a version does not change."""
        return _ANY_TIME

    def open(self, path: str, mode: str = "rb", **_: Any) -> _Reader:
        """The file for reading."""
        if mode != "rb":
            raise PermissionError("the files of a dataset are read only")
        return _Reader(self, *self._files[self._strip_protocol(path)])


class _Reader(io.RawIOBase):
    """Reads ranges of a file."""

    def __init__(self, files: PinnedFiles, file: File, footer: bytes) -> None:
        self._all, self._file, self._footer, self._at = files, file, footer, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.listed.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._file.listed.size if size < 0 else min(self._at + size, self._file.listed.size)
        start, self._at = self._at, max(end, self._at)
        if start >= end:
            return b""
        begin = self._file.listed.size - len(self._footer)
        if start >= begin:
            return self._footer[start - begin : end - begin]
        try:
            data = objects.quick_blocks(self._file.listed.version, start, end)
        except Exception as error:
            self._all.failure = self._all.failure or error
            raise
        self._all.fetched += len(data)
        return data


def _escaped(text: str | None) -> str:
    return _NULL if text is None else urllib.parse.quote(text, safe="")
