"""The files of a dataset: which objects of its folder are data, and what is known of each without reading it.

Objects are left out as Spark leaves them out (HadoopFSUtils.shouldFilterOutPathName), and those that are known to hold
no rows. Whatever else lies there must be Parquet. A Delta table is read by its log (:mod:`.delta`). Other table formats
keep old versions of rows beside the current ones, so they are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from shared.engine.sources import delta, objects, partitions
from shared.engine.sources.objects import Found
from shared.errors import SourceMissing, TableUnsupported

NO_DATA = (".crc", ".md5", ".sha256", ".md", ".txt", ".metadata", "-manifest.csv", "_$folder$", "._COPYING_")
"""Endings of names that hold no rows: checksums, notes, what Athena and Hadoop write beside the data."""
_MARKERS = {"_delta_log/": "a Delta table", ".hoodie/": "a Hudi table", "metadata/": "an Iceberg table"}
_LAST = {"metadata/": ".metadata.json"}
_WAY_OUT = (
    "write its current rows into a folder of Parquet files, as Athena's UNLOAD does, and name that folder in "
    "source.dataset"
)


@dataclass(frozen=True)
class File:
    """A file that holds rows; ``values`` are of its partition columns, from the names of its folders or from a log."""

    found: Found
    values: partitions.Values
    is_logged: bool = False

    @property
    def key(self) -> str:
        """Key of the object."""
        return self.found.key

    @cached_property
    def address(self) -> str:
        """The object as a person names it."""
        return objects.address(self.key)


def files(dataset: str) -> tuple[list[File], dict[str, pl.DataType]]:
    """The files of a dataset, at least one, and the types of partition columns that a table's log declares.

    Raises:
        SourceMissing: there are none.
        TableUnsupported: they are of a table that is not just its files.
        SourceUnreadable, and what :func:`shared.engine.sources.objects.blocks` raises: a Delta table's log.
    """
    _require_no_table_around(dataset)
    folder = objects.folder(dataset)
    listed = {found.key.removeprefix(folder): found for found in objects.found(dataset)}
    for path in listed:
        _require_plain(folder, path)
    if any(path.startswith(delta.LOG) for path in listed):
        snapshot = delta.read(folder, listed)
        logged = [File(listed[path], values, is_logged=True) for path, values in snapshot.files.items()]
        if not logged:
            raise SourceMissing(f"the Delta table {objects.address(folder)} has no rows in version {snapshot.version}")
        return logged, snapshot.types
    data = [File(found, partitions.of(path)) for path, found in listed.items() if is_data(path)]
    if not data:
        beside = f", but {objects.address(folder)}{next(iter(listed))}" if listed else ""
        raise SourceMissing(f"no Parquet file under {objects.address(folder)}{beside}")
    return data, {}


def is_data(path: str) -> bool:
    """Whether the file at a path in the dataset holds rows; else reports pass over it."""
    *folders, name = path.split("/")
    return bool(name) and not name.endswith(NO_DATA) and not any(map(_is_hidden, [*folders, name]))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _require_no_table_around(dataset: str) -> None:
    """That the dataset is no folder of files within a table, as ``data`` is of an Iceberg table."""
    *parents, last = dataset.split("/")
    for depth in range(1, len(parents) + 1):
        folder = objects.folder("/".join(parents[:depth]))
        for marker, table in _MARKERS.items():
            if any(key.endswith(_LAST.get(marker, "")) for key in objects.first_keys(folder + marker)):
                where = objects.address(folder)
                raise TableUnsupported(f"{where} is {table}, and {last} only a folder of its files; {_WAY_OUT}")


def _require_plain(folder: str, path: str) -> None:
    """That an object does not make the dataset, or a folder in it, a table of a format that is not read."""
    parts = path.split("/")
    for at, part in enumerate(parts[:-1]):
        said = ""
        if part == "_delta_log" and at:
            said = "is a Delta table within the dataset; name it in source.dataset itself"
        elif part == ".hoodie":
            said = f"is a Hudi table, which keeps old versions of rows; {_WAY_OUT}"
        elif part == "metadata" and path.endswith(".metadata.json"):
            said = f"is an Iceberg table, which keeps old versions of rows; {_WAY_OUT}"
        if said:
            raise TableUnsupported(f"{objects.address(folder + '/'.join(parts[:at]))} {said}")
