"""Reads the last version of a Delta table from its log: "Delta Transaction Log Protocol" (github.com/delta-io/delta).

Only reader version 1 is supported. Later versions change the meaning of the files: deletion vectors hide their rows,
and column mapping renames their columns.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.datasets import objects, partitions
from shared.datasets.objects import ListedObject
from shared.errors import SourceChanged, SourceUnreadable, TableUnsupported

Rows = Callable[[bytes, Collection[str]], Iterable[Mapping[str, Any]]]
"""The rows of a Parquet file in memory, with those of the columns that the file has. Raises ValueError for a damaged
file. Each engine has its own reader."""
LOG = "_delta_log/"
_COMMIT = re.compile(LOG + r"(\d{20})\.json")
_CHECKPOINT = re.compile(LOG + r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_ACTIONS = ("add", "remove", "metaData", "protocol")
_TYPES = {
    "string": "string",
    **dict.fromkeys(("byte", "short", "integer", "long"), "integer"),
    **dict.fromkeys(("float", "double"), "number"),
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp(UTC)",
}
_REMEDY = (
    "only reader version 1 is supported. Write the current rows into a folder of Parquet files and name that folder in "
    "source.dataset, or remove the feature (ALTER TABLE … DROP FEATURE)"
)


@dataclass
class Snapshot:
    """A version of a table: its files, by their path within the table's folder, with their partition columns."""

    version: int
    files: dict[str, partitions.Values]
    types: dict[str, str]


@dataclass
class _State:
    """The table's state after the actions read so far."""

    protocol: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    added: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read(folder: str, listed: Mapping[str, ListedObject], rows: Rows) -> Snapshot:
    """The last version of a table.

    Args:
        folder: prefix of the table's keys.
        listed: the table's objects, by their path within the folder.
        rows: reads a checkpoint.

    Raises:
        TableUnsupported: the table needs a newer reader, or refers to files outside its folder.
        SourceUnreadable: the table's log is damaged or has a gap.
        SourceChanged: the table's log names a file that does not exist.
    """
    commits = {int(match[1]): listed[path] for path in listed if (match := _COMMIT.fullmatch(path))}
    base, checkpoint = _checkpoint(listed)
    version, state = max([*commits, base]), _State()
    where = f"the Delta table {objects.address(folder)}"
    needed = range(base + 1, version + 1)
    if missing := [each for each in needed if each not in commits] or [0] * (version < 0):
        raise SourceUnreadable(f"{where}: its log lacks version {missing[0]}, and no later checkpoint replaces it")
    for source in [*checkpoint, *(commits[each] for each in needed)]:
        try:
            is_checkpoint = source.key.endswith(".parquet")
            for action in rows(_content(source), _ACTIONS) if is_checkpoint else _lines(source):
                _apply(state, action, where)
        except _DAMAGE as error:
            raise SourceUnreadable(f"{objects.address(source.key)} is not a readable log of a Delta table") from error
    if state.protocol is None or state.metadata is None:
        raise SourceUnreadable(f"{where}: its log has no protocol or no schema")
    try:
        table = _snapshot(version, state, where)
    except _DAMAGE as error:
        raise SourceUnreadable(f"{where}: its log is damaged") from error
    for path in table.files:
        if path not in listed:
            detail = f"{where}: version {version} names {path}, which does not exist"
            raise SourceChanged(f"{detail}; retry the export, and if it fails again, run FSCK REPAIR TABLE")
    return table


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


def _checkpoint(listed: Mapping[str, ListedObject]) -> tuple[int, list[ListedObject]]:
    """The version and the pieces of the last complete checkpoint; -1 and no pieces if there is none."""
    pieces: dict[tuple[int, int], dict[int, ListedObject]] = {}
    for path, listed_object in listed.items():
        if match := _CHECKPOINT.fullmatch(path):
            version, piece, count = (int(number or 1) for number in match.groups())
            pieces.setdefault((version, count), {})[piece] = listed_object
    complete = {version: some for (version, count), some in pieces.items() if len(some) == count}
    last = max(complete, default=-1)
    return last, [complete[last][piece] for piece in sorted(complete[last])] if complete else []


def _apply(state: _State, action: Mapping[str, Any], where: str) -> None:
    """Applies one action of the log ("Actions"). A row of a checkpoint has all kinds of actions, all but one null."""
    if (protocol := action.get("protocol")) and protocol.get("minReaderVersion") is not None:
        state.protocol = protocol
    if (metadata := action.get("metaData")) and metadata.get("schemaString") is not None:
        state.metadata = metadata
    if (added := action.get("add")) and added.get("path") is not None:
        state.added[_path(added, where)] = added
    if (removed := action.get("remove")) and removed.get("path") is not None:
        state.added.pop(_path(removed, where), None)


def _snapshot(version: int, state: _State, where: str) -> Snapshot:
    """The table's version at the end of the log.

    Raises:
        TableUnsupported: the table needs a newer reader.
    """
    assert state.protocol is not None
    assert state.metadata is not None
    features = state.protocol.get("readerFeatures") or []
    if state.protocol["minReaderVersion"] != 1 or features:
        named = f" ({', '.join(features)})" if features else ""
        raise TableUnsupported(f"{where} needs reader version {state.protocol['minReaderVersion']}{named}; {_REMEDY}")
    if _pairs(state.metadata.get("configuration")).get("delta.columnMapping.mode", "none") != "none":
        raise TableUnsupported(f"{where} uses column mapping; {_REMEDY}")
    if any(added.get("deletionVector") for added in state.added.values()):
        raise TableUnsupported(f"{where} has deletion vectors; {_REMEDY}")
    types = dict(_types(state.metadata["partitionColumns"], json.loads(state.metadata["schemaString"])["fields"]))
    files = {}
    for path, added in state.added.items():
        values = _pairs(added["partitionValues"])
        # Empty text means null: "Partition Value Serialization".
        files[path] = {name: values.get(name) or None for name in types}
    return Snapshot(version, files, types)


def _path(action: Mapping[str, Any], where: str) -> str:
    """A file's path within the table's folder. The log stores it as a URI (RFC 2396)."""
    path: str = action["path"]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|/", path):
        raise TableUnsupported(f"{where} refers to files of another folder, as a shallow clone does; {_REMEDY}")
    return urllib.parse.unquote(path)


def _types(columns: Iterable[str], fields: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Types of the partition columns. A type that ``_TYPES`` lacks becomes text."""
    kinds = {each["name"]: each["type"] for each in fields}
    for name in columns:
        kind = kinds[name]
        precision = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", kind) if isinstance(kind, str) else None
        yield name, f"decimal({precision[1]},{precision[2]})" if precision else _TYPES.get(kind, "string")


def _pairs(mapping: Any) -> dict[str, Any]:
    """A map as a dict. In JSON it is an object, in Parquet a list of keys and values."""
    if isinstance(mapping, list):
        return {each["key"]: each["value"] for each in mapping}
    return dict(mapping or {})


def _lines(commit: ListedObject) -> Iterator[Mapping[str, Any]]:
    return (json.loads(line) for line in _content(commit).splitlines() if line.strip())


def _content(listed: ListedObject) -> bytes:
    return b"".join(objects.blocks(listed.version, 0, listed.size)) if listed.size else b""
