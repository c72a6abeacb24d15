"""A Delta table as of the last version in its log: "Delta Transaction Log Protocol" (github.com/delta-io/delta).

Only reader version 1 is read. Later ones change what the files mean: deletion vectors hide rows of them, column mapping
renames their columns.
"""

from __future__ import annotations

import io
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from shared.engine.sources import objects, partitions
from shared.engine.sources.objects import Found
from shared.errors import SourceUnreadable, TableUnsupported

LOG = "_delta_log/"
_COMMIT = re.compile(LOG + r"(\d{20})\.json")
_CHECKPOINT = re.compile(LOG + r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_ACTIONS = ("add", "remove", "metaData", "protocol")
_TYPES = {
    "string": pl.String(),
    **dict.fromkeys(("byte", "short", "integer", "long"), pl.Int64()),
    **dict.fromkeys(("float", "double"), pl.Float64()),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
}
_WAY_OUT = (
    "only reader version 1 is read. Write the current rows into a folder of Parquet files and name that folder in "
    "source.dataset, or turn the feature off (ALTER TABLE … DROP FEATURE)"
)


@dataclass
class Snapshot:
    """A version of a table: its files by their path within the table's folder, with their partition columns.

    ``seen`` are the actions that every log must have, as far as they were met.
    """

    version: int
    seen: set[str] = field(default_factory=set)
    files: dict[str, partitions.Values] = field(default_factory=dict)
    types: dict[str, pl.DataType] = field(default_factory=dict)


def read(folder: str, listed: Mapping[str, Found]) -> Snapshot:
    """The last version of a table.

    Args:
        folder: prefix of the table's keys.
        listed: its objects, by their path within the folder.

    Raises:
        TableUnsupported: it takes a reader that this is not, or refers to files outside of its folder.
        SourceUnreadable: its log is damaged or has a gap, or names a file that is not there.
    """
    commits = {int(found[1]): listed[path] for path in listed if (found := _COMMIT.fullmatch(path))}
    base, checkpoint = _checkpoint(listed)
    table = Snapshot(max([*commits, base]))
    where = f"the Delta table {objects.address(folder)}"
    needed = range(base + 1, table.version + 1)
    if missing := [version for version in needed if version not in commits] or [0] * (table.version < 0):
        raise SourceUnreadable(f"{where}: its log lacks version {missing[0]}, and no later checkpoint holds it")
    for source in [*checkpoint, *(commits[version] for version in needed)]:
        try:
            actions = list(_rows(source) if source.key.endswith(".parquet") else _lines(source))
            for action in actions:
                _apply(table, action, where)
        except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
            raise SourceUnreadable(f"{objects.address(source.key)} is no log of a Delta table") from error
    if table.seen != {"protocol", "metaData"}:
        raise SourceUnreadable(f"{where}: its log names no protocol or no schema")
    for path in table.files:
        if path not in listed:
            said = f"{where}: version {table.version} names {path}, which is not there"
            raise SourceUnreadable(f"{said}; restore it, or repair the table (FSCK REPAIR TABLE)")
    return table


def _checkpoint(listed: Mapping[str, Found]) -> tuple[int, list[Found]]:
    """The last checkpoint of which every piece is there, and its version; -1 where there is none."""
    pieces: dict[tuple[int, int], dict[int, Found]] = {}
    for path, found in listed.items():
        if match := _CHECKPOINT.fullmatch(path):
            version, piece, of = (int(number or 1) for number in match.groups())
            pieces.setdefault((version, of), {})[piece] = found
    whole = {version: held for (version, of), held in pieces.items() if len(held) == of}
    last = max(whole, default=-1)
    return last, [whole[last][piece] for piece in sorted(whole[last])] if whole else []


def _apply(table: Snapshot, action: Mapping[str, Any], where: str) -> None:
    """Takes one action of the log ("Actions")."""
    if (protocol := action.get("protocol")) and protocol.get("minReaderVersion") is not None:
        features = protocol.get("readerFeatures") or []
        table.seen.add("protocol")
        if protocol["minReaderVersion"] != 1 or features:
            named = f" ({', '.join(features)})" if features else ""
            raise TableUnsupported(f"{where} takes reader version {protocol['minReaderVersion']}{named}; {_WAY_OUT}")
    if (metadata := action.get("metaData")) and metadata.get("schemaString") is not None:
        table.seen.add("metaData")
        if _pairs(metadata.get("configuration")).get("delta.columnMapping.mode", "none") != "none":
            raise TableUnsupported(f"{where} has column mapping; {_WAY_OUT}")
        table.types = dict(_types(metadata["partitionColumns"], json.loads(metadata["schemaString"])["fields"]))
    if (added := action.get("add")) and added.get("path") is not None:
        if added.get("deletionVector"):
            raise TableUnsupported(f"{where} has deletion vectors; {_WAY_OUT}")
        # An empty text is null: "Partition Value Serialization".
        values = {name: text or None for name, text in _pairs(added["partitionValues"]).items()}
        table.files[_path(added, where)] = values
    if (removed := action.get("remove")) and removed.get("path") is not None:
        table.files.pop(_path(removed, where), None)


def _path(action: Mapping[str, Any], where: str) -> str:
    """A file's path within the table's folder: the log holds it as a URI (RFC 2396)."""
    path: str = action["path"]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|/", path):
        raise TableUnsupported(f"{where} refers to files of another folder, as a shallow clone does; {_WAY_OUT}")
    return urllib.parse.unquote(path)


def _types(columns: Iterable[str], fields: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, pl.DataType]]:
    """Types of the partition columns; text where a file's name could not hold the type either."""
    kinds = {each["name"]: each["type"] for each in fields}
    for name in columns:
        kind = kinds[name]
        precision = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", kind) if isinstance(kind, str) else None
        yield name, pl.Decimal(int(precision[1]), int(precision[2])) if precision else _TYPES.get(kind, pl.String())


def _pairs(mapping: Any) -> dict[str, Any]:
    """A map: an object in JSON, a list of keys and values in Parquet."""
    if isinstance(mapping, list):
        return {each["key"]: each["value"] for each in mapping}
    return dict(mapping or {})


def _lines(commit: Found) -> Iterator[Mapping[str, Any]]:
    return (json.loads(line) for line in _content(commit).splitlines() if line.strip())


def _rows(checkpoint: Found) -> Iterator[Mapping[str, Any]]:
    file = io.BytesIO(_content(checkpoint))
    columns = [name for name in _ACTIONS if name in pl.read_parquet_schema(file)]
    file.seek(0)
    return pl.read_parquet(file, columns=columns).iter_rows(named=True)


def _content(found: Found) -> bytes:
    return b"".join(objects.blocks(found.key, found.etag, 0, found.size)) if found.size else b""
