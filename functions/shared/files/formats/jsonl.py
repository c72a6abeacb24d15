"""Format ``jsonl`` and, compressed, ``jsonl.gz``: JSON Lines, one object (RFC 8259) per line, UTF-8 without a BOM.

Every object has every column, in order; a null is ``null``. :mod:`.cells` defines which values become text, and how.
JSON text from the source is copied, but its line breaks become spaces: in JSON, they occur only between values.
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
    content_type = "application/jsonl"  # see "JSON Lines", MIME type; it is not registered
    growth = 5
    options_schema = options.closed(header_style=options.header_style("name", "title"), timezone=options.TIMEZONE)

    @override
    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> _Objects:
        settings = options.resolve(self.options_schema, plan["options"])
        return _Objects(plan["definition"]["columns"], settings, into)


class _Objects:
    """Writes rows as objects."""

    def __init__(self, columns: list[dict[str, Any]], settings: dict[str, Any], into: IO[bytes]) -> None:
        self._keys = {column["name"]: column[settings["header_style"]] for column in columns}
        self._json = {column[settings["header_style"]] for column in columns if column["type"] == "json"}
        self._zone, self._into = settings["timezone"], into

    def write(self, rows: pl.DataFrame) -> None:
        import polars as pl

        from shared.files.formats import cells

        rows = rows.rename(self._keys)
        json_texts = {name for name in self._json if not rows.schema[name].is_nested()}
        if json_texts or cells.needs_care(rows):
            values = {
                name: pl.col(name).cast(pl.String).str.replace_all(r"[\r\n]", " ").fill_null("null")
                if name in json_texts
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
