"""Format ``parquet``: Apache Parquet (github.com/apache/parquet-format), version 1 pages, zstd, one footer.

A fragment consists of row groups, and the first fragment begins with the magic number. The receipt holds the metadata
of the row groups as the footer needs it, but without positions in the file. The assembler inserts the positions and
writes the footer and the bytes after it. For this, it only needs to encode Thrift integers and list headers.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from shared.errors import SourceSchemaMismatch
from shared.files.formats import options
from shared.files.formats.format import Format
from shared.files.segments import Literal, Range, Segment
from shared.parquet import thrift
from shared.parquet.thrift import Offset, Template

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan, Receipt, Work

_MAGIC = b"PAR1"
_GROUP_BYTES = 64 * 1024 * 1024
_GROUP_ROWS = 1_000_000
"""A row group ends when its rows reach this memory or this number. A worker holds one row group at once."""

# Fields of parquet.thrift. FileMetaData:
_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _CREATED_BY, _COLUMN_ORDERS = 2, 3, 4, 6, 7
# RowGroup: columns, total_byte_size, num_rows, file_offset, total_compressed_size. No ordinal, because it has 16 bits.
_COLUMNS, _GROUP_OFFSET, _GROUP_SIZE, _GROUP_KEPT = 1, 5, 6, {2, 3}
# ColumnChunk: file_offset (0 by the specification), meta_data. Without the page index, which is not copied.
_CHUNK_OFFSET, _META = 2, 3
# ColumnMetaData: type, encodings, path_in_schema, codec, num_values, total_uncompressed_size, total_compressed_size,
# data_page_offset, dictionary_page_offset, statistics, encoding_stats, size_statistics.
_TYPE, _CHUNK_SIZE, _OFFSETS, _STATISTICS, _META_KEPT = 1, 7, (9, 11), 12, {1, 2, 3, 4, 5, 6, 7, 12, 13, 16}
_BYTE_ARRAY = 6
# Statistics: max_value, min_value, and whether each is exact or only a bound.
_BOUNDS = {5: 7, 6: 8}
_LONGEST_BOUND = 64  # polars truncates texts to this number of bytes if it can


class Parquet(Format):
    """See the module."""

    name = "parquet"
    extension = "parquet"
    content_type = "application/vnd.apache.parquet"
    growth = 0.8
    options_schema = options.closed(header_style=options.header_style("name", "title"))

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> _RowGroups:
        settings = options.resolve(self.options_schema, plan["options"])
        written = into.write(_MAGIC) if first else 0
        return _RowGroups(plan["definition"]["columns"], settings["header_style"], into, written)

    @override
    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """The row groups, then the footer.

        Raises:
            SourceSchemaMismatch: two parts have different columns.
        """
        with_bytes = [receipt for receipt in receipts if receipt["bytes"]]
        groups, count, base = [], 0, 0
        for receipt in with_bytes:
            fragment = receipt["fragment"]
            offsets = zip(fragment["positions"], fragment["offsets"], strict=True)
            groups.append(Template(base64.b64decode(fragment["groups"]), list(offsets)).fill(base))
            count += fragment["group_count"]
            base += receipt["bytes"]
        schema = _common_schema(receipts)
        rows = sum(receipt["rows_written"] for receipt in receipts)
        footer = b"".join(
            [
                base64.b64decode(schema["start"]),
                thrift.write({_NUM_ROWS: (thrift.I64, rows)}, after=_SCHEMA, stop=False).data,
                bytes([1 << 4 | thrift.LIST]),  # header of the next field: row_groups
                thrift.list_header(thrift.STRUCT, count),
                *groups,
                base64.b64decode(schema["end"]),
            ]
        )
        end = footer + struct.pack("<I", len(footer)) + _MAGIC
        return [*(Range.of(work, receipt) for receipt in with_bytes), Literal(end)]


def _common_schema(receipts: Sequence[Receipt]) -> dict[str, str]:
    """The schema that all parts must share."""
    schema: dict[str, str] = receipts[0]["fragment"]["schema"]
    for receipt in receipts:
        if receipt["fragment"]["schema"] != schema:
            raise SourceSchemaMismatch(
                f"the columns of part {receipt['part']} differ from those of part {receipts[0]['part']}"
            )
    return schema


class _RowGroups:
    """Collects rows and writes them as row groups."""

    def __init__(self, columns: list[dict[str, Any]], style: str, into: IO[bytes], written: int) -> None:
        self._columns, self._style, self._into = columns, style, into
        self._buffer: list[pl.DataFrame] = []
        self._written = written
        self._schema: pl.Schema | None = None
        self._groups: list[Template] = []

    def write(self, rows: pl.DataFrame) -> None:
        import polars as pl

        rows = rows.select(
            pl.col(column["name"]).cast(_stored(rows.schema[column["name"]], column["type"])).alias(column[self._style])
            for column in self._columns
        )
        self._schema = rows.schema
        if not rows.height:
            return
        self._buffer.append(rows)
        size = sum(each.estimated_size() for each in self._buffer)
        if size >= _GROUP_BYTES or sum(each.height for each in self._buffer) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> dict[str, Any]:
        import polars as pl

        self._flush()
        described, _ = _encode(pl.DataFrame(schema=self._schema))
        start = {field: value for field, value in described.items() if field <= _SCHEMA}
        end = {field: value for field, value in described.items() if field in (_CREATED_BY, _COLUMN_ORDERS)}
        joined = _join(self._groups)
        return {
            "schema": {
                "start": _base64(thrift.write(start, stop=False).data),
                "end": _base64(thrift.write(end, after=_ROW_GROUPS).data),
            },
            "group_count": len(self._groups),
            "groups": _base64(joined.data),
            "positions": [position for position, _ in joined.offsets],
            "offsets": [offset for _, offset in joined.offsets],
        }

    def _flush(self) -> None:
        import polars as pl

        if not self._buffer:
            return
        metadata, content = _encode(pl.concat(self._buffer, rechunk=False))
        self._buffer.clear()
        for group in metadata[_ROW_GROUPS][1][1]:
            self._groups.append(thrift.write(self._copy(group, content)))

    def _copy(self, group: thrift.Struct, content: bytes) -> thrift.Struct:
        """Writes the pages of a row group, chunk by chunk, and returns its metadata for the file's footer."""
        start = self._written
        chunks = []
        for chunk in (each[_META][1] for each in group[_COLUMNS][1][1]):
            first, size = min(chunk[field][1] for field in _OFFSETS if field in chunk), chunk[_CHUNK_SIZE][1]
            chunks.append(_chunk(chunk, self._written - first))
            self._into.write(content[first : first + size])
            self._written += size
        positions = {
            _COLUMNS: (thrift.LIST, (thrift.STRUCT, chunks)),
            _GROUP_OFFSET: (thrift.I64, Offset(start)),
            _GROUP_SIZE: (thrift.I64, self._written - start),
        }
        return {field: group[field] for field in _GROUP_KEPT} | positions


def _encode(rows: pl.DataFrame) -> tuple[thrift.Struct, bytes]:
    """A Parquet file of these rows: its metadata, and its bytes."""
    file = io.BytesIO()
    rows.write_parquet(file, compression="zstd", statistics=True, row_group_size=max(rows.height, 1))
    content = file.getvalue()
    (length,) = struct.unpack("<I", content[-8:-4])
    return thrift.read(content[-8 - length : -8]), content


def _chunk(metadata: thrift.Struct, shift: int) -> thrift.Struct:
    """A column chunk whose pages were moved by ``shift`` bytes."""
    kept = {field: value for field, value in metadata.items() if field in _META_KEPT}
    for field in _OFFSETS:
        if field in metadata:
            kept[field] = (thrift.I64, Offset(metadata[field][1] + shift))
    if kept[_TYPE][1] == _BYTE_ARRAY and _STATISTICS in kept:
        kept[_STATISTICS] = (thrift.STRUCT, _bounded(kept[_STATISTICS][1]))
    return {_CHUNK_OFFSET: (thrift.I64, 0), _META: (thrift.STRUCT, kept)}


def _bounded(statistics: thrift.Struct) -> thrift.Struct:
    """Statistics of texts, without bounds that are too long, and with flags that say whether each bound is exact."""
    kept = dict(statistics)
    for bound, flag in _BOUNDS.items():
        if bound in kept and len(kept[bound][1]) > _LONGEST_BOUND:
            del kept[bound]
        elif bound in kept:
            kept[flag] = (thrift.TRUE, len(kept[bound][1]) < _LONGEST_BOUND)
    return kept


def _join(groups: list[Template]) -> Template:
    data, offsets = bytearray(), []
    for group in groups:
        offsets += [(len(data) + position, offset) for position, offset in group.offsets]
        data += group.data
    return Template(bytes(data), offsets)


def _stored(dtype: Any, declared: str = "") -> Any:
    """The type of a column in the file: the source's type if every reader knows it, otherwise a similar type."""
    import polars as pl

    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_stored(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({each.name: _stored(each.dtype) for each in dtype.fields})
    if isinstance(dtype, pl.Map):
        return pl.Map(dtype.key, _stored(dtype.value))
    if dtype in (pl.Categorical, pl.Enum):
        return pl.String()
    if dtype in (pl.Int128, pl.UInt128):
        return pl.Decimal(38, 0)
    if dtype.is_integer() and dtype != pl.UInt64 and declared:
        return pl.Int64()
    return dtype


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
