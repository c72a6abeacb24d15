"""The files of a dataset: which objects of its folder hold rows, and what is known of each without reading it.

Objects that Spark ignores (HadoopFSUtils.shouldFilterOutPathName) and objects that never hold rows are left out. All
other objects must be Parquet. A Delta table is read through its log (:mod:`.delta`). Other table formats are refused,
because they keep old versions of rows beside the current ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from shared.datasets import delta, objects, partitions
from shared.datasets.objects import ListedObject
from shared.errors import ColumnMismatch, SourceMissing, SourceSchemaMismatch, TableUnsupported

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


def files(dataset: str, rows: delta.Rows) -> tuple[list[File], dict[str, str]]:
    """The files of a dataset, at least one, and the types of partition columns that a table's log declares.

    Args:
        rows: reads a checkpoint of a Delta table's log.

    Raises:
        SourceMissing: the dataset has no files.
        TableUnsupported: the files belong to a table whose rows are not simply those of its files.
        SourceUnreadable, and the exceptions of :func:`shared.datasets.objects.blocks`: for a Delta table's log.
    """
    _require_no_parent_table(dataset)
    folder = objects.folder(dataset)
    listed = {each.key.removeprefix(folder): each for each in objects.found(dataset)}
    for path in listed:
        _require_no_table(folder, path)
    if any(path.startswith(delta.LOG) for path in listed):
        snapshot = delta.read(folder, listed, rows)
        logged = [File(listed[path], values, is_logged=True) for path, values in snapshot.files.items()]
        if not logged:
            raise SourceMissing(f"the Delta table {objects.address(folder)} has no rows in version {snapshot.version}")
        return logged, snapshot.types
    data = [File(each, partitions.of(path)) for path, each in listed.items() if is_data(path)]
    if not data:
        others = f"; other objects are there, such as {objects.address(folder)}{next(iter(listed))}" if listed else ""
        raise SourceMissing(f"no Parquet file under {objects.address(folder)}{others}")
    return data, {}


def own(files: list[File], column: str | None, tenant: str) -> list[File]:
    """The files that may hold the tenant's rows, so that no error names another tenant's file or folder.

    Args:
        column: the tenant column; None if it is not known which rows are the tenant's, so that every file counts.

    Raises:
        SourceSchemaMismatch: the files are not all partitioned by the same columns.
    """
    owned = [file for file in files if column is None or file.values.get(column, tenant) == tenant]
    for file in owned:
        if file.values.keys() != owned[0].values.keys():
            names, expected = (", ".join(sorted(each.values)) or "nothing" for each in (file, owned[0]))
            raise SourceSchemaMismatch(
                f"{file.address} is partitioned by {names}, but {owned[0].address} by {expected}; "
                "all files of a dataset need the same partition columns"
            )
    return owned


def partition_types(every: list[File], files: list[File], known: dict[str, str]) -> dict[str, str]:
    """The types of the partition columns, as a definition declares types.

    Args:
        every: the files of all tenants.
        files: the files whose values are checked.
        known: types of columns by name.

    Raises:
        ColumnMismatch: a folder's value does not have the known type.
    """
    types = partitions.types([file.values for file in every], known)
    for name in types.keys() & known.keys():
        for file in files:
            try:
                partitions.value(file.values[name], types[name])
            except ValueError as error:
                allowed = f"{-(2**63)} to {2**63 - 1}" if types[name] == "integer" else _VALUE_FORMS
                raise ColumnMismatch(
                    f"column {name} is declared {types[name]}, but {file.address} has {name}={file.values[name]}; "
                    f"allowed: {allowed}"
                ) from error
    return types


_VALUE_FORMS = "2013-01-31 for a date, 2013-01-31 12:00:00 for a timestamp, true or false, a decimal point in numbers"


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
