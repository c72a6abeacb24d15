"""Formats ``jsonl`` and, within gzip, ``jsonl.gz``: JSON Lines, one object (RFC 8259) a line, in UTF-8 without a mark.

Every object has every column, in order; a null is ``null``. What becomes text, and how, says :mod:`.cells`. JSON that
is text in the source stays as it is, but for its line breaks: JSON has those between its values alone.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from shared.files.formats import options
from shared.files.formats.format import TextFormat

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan


class Jsonl(TextFormat):
    """See the module."""

    name = "jsonl"
    extension = "jsonl"
    content_type = "application/jsonl"  # "JSON Lines", MIME type; not registered
    growth = 5
    options_schema = options.closed(header_style=options.header_style("name", "title"), timezone=options.TIMEZONE)

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> _Objects:
        asked = options.resolve(self.options_schema, plan["options"])
        return _Objects(plan["definition"]["columns"], asked, into)


class _Objects:
    """Rows as objects, as they come."""

    def __init__(self, columns: list[dict[str, Any]], asked: dict[str, Any], into: IO[bytes]) -> None:
        self._keys = {column["name"]: column[asked["header_style"]] for column in columns}
        self._json = {column[asked["header_style"]] for column in columns if column["type"] == "json"}
        self._zone, self._into = asked["timezone"], into

    def write(self, rows: pl.DataFrame) -> None:
        import polars as pl

        from shared.files.formats import cells

        rows = rows.rename(self._keys)
        written = {name for name in self._json if not rows.schema[name].is_nested()}
        if written or cells.needs_care(rows):
            values = {
                name: pl.col(name).cast(pl.String).str.replace_all(r"[\r\n]", " ").fill_null("null")
                if name in written
                else cells.json_text(pl.col(name), dtype, self._zone)
                for name, dtype in rows.schema.items()
            }
            lines = rows.select(cells.json_object(values).alias(""))
            lines.write_csv(self._into, include_header=False, quote_style="never")
        else:
            plain = [cells.plain(pl.col(name), dtype, self._zone).alias(name) for name, dtype in rows.schema.items()]
            rows.select(plain).write_ndjson(self._into)

    def close(self) -> dict[str, Any]:
        return {}
