"""The files of a dataset: which objects of its folder hold rows, and what is known of each without reading it.

Objects that Spark ignores (HadoopFSUtils.shouldFilterOutPathName) and objects that never hold rows are left out. All
other objects must be Parquet. A Delta table is read through its log (:mod:`.delta`). Other table formats are refused,
because they keep old versions of rows beside the current ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from shared.engine.sources import delta, objects, partitions
from shared.engine.sources.objects import ListedObject
from shared.errors import SourceMissing, TableUnsupported

NO_DATA = (".crc", ".md5", ".sha256", ".md", ".txt", ".metadata", "-manifest.csv", "_$folder$", "._COPYING_")
"""Endings of objects that hold no rows: checksums, notes, and what Athena and Hadoop write beside the data."""
_MARKERS = {"_delta_log/": "a Delta table", ".hoodie/": "a Hudi table", "metadata/": "an Iceberg table"}
_MARKER_ENDINGS = {"metadata/": ".metadata.json"}
_REMEDY = (
    "write its current rows into a folder of Parquet files, for example with UNLOAD in Athena, and name that folder in "
    "source.dataset"
)


@dataclass(frozen=True)
class File:
    """A file that holds rows. ``values`` are its partition columns, from the names of its folders or from a log."""

    listed: ListedObject
    values: partitions.Values
    is_logged: bool = False

    @property
    def key(self) -> str:
        """Key of the object."""
        return self.listed.key

    @cached_property
    def address(self) -> str:
        """The object's S3 URI, for messages."""
        return objects.address(self.key)


def files(dataset: str) -> tuple[list[File], dict[str, pl.DataType]]:
    """The files of a dataset, at least one, and the types of partition columns that a table's log declares.

    Raises:
        SourceMissing: the dataset has no files.
        TableUnsupported: the files belong to a table whose rows are not simply those of its files.
        SourceUnreadable, and the exceptions of :func:`shared.engine.sources.objects.blocks`: for a Delta table's log.
    """
    _require_no_parent_table(dataset)
    folder = objects.folder(dataset)
    listed = {each.key.removeprefix(folder): each for each in objects.found(dataset)}
    for path in listed:
        _require_no_table(folder, path)
    if any(path.startswith(delta.LOG) for path in listed):
        snapshot = delta.read(folder, listed)
        logged = [File(listed[path], values, is_logged=True) for path, values in snapshot.files.items()]
        if not logged:
            raise SourceMissing(f"the Delta table {objects.address(folder)} has no rows in version {snapshot.version}")
        return logged, snapshot.types
    data = [File(each, partitions.of(path)) for path, each in listed.items() if is_data(path)]
    if not data:
        others = f"; other objects are there, such as {objects.address(folder)}{next(iter(listed))}" if listed else ""
        raise SourceMissing(f"no Parquet file under {objects.address(folder)}{others}")
    return data, {}


def is_data(path: str) -> bool:
    """Whether the file at a path in the dataset holds rows; else reports pass over it."""
    *folders, name = path.split("/")
    return bool(name) and not name.endswith(NO_DATA) and not any(map(_is_hidden, [*folders, name]))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _require_no_parent_table(dataset: str) -> None:
    """Checks that the dataset is not a folder inside a table, such as ``data`` of an Iceberg table."""
    *parents, last = dataset.split("/")
    for depth in range(1, len(parents) + 1):
        folder = objects.folder("/".join(parents[:depth]))
        for marker, table in _MARKERS.items():
            if any(key.endswith(_MARKER_ENDINGS.get(marker, "")) for key in objects.first_keys(folder + marker)):
                where = objects.address(folder)
                raise TableUnsupported(f"{where} is {table}, and {last} is a folder of its files; {_REMEDY}")


def _require_no_table(folder: str, path: str) -> None:
    """Checks that an object does not make the dataset, or a folder in it, a table of an unsupported format."""
    parts = path.split("/")
    for at, part in enumerate(parts[:-1]):
        fault = ""
        if part == "_delta_log" and at:
            fault = "is a Delta table inside the dataset; name the table's own folder in source.dataset"
        elif part == ".hoodie":
            fault = f"is a Hudi table, which keeps old versions of rows; {_REMEDY}"
        elif part == "metadata" and path.endswith(".metadata.json"):
            fault = f"is an Iceberg table, which keeps old versions of rows; {_REMEDY}"
        if fault:
            raise TableUnsupported(f"{objects.address(folder + '/'.join(parts[:at]))} {fault}")
