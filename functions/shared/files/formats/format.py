"""The interfaces of a format and of its writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

from typing_extensions import override

from shared.files.segments import Range, Segment

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan, Receipt, Work


class Writer(Protocol):
    """Writes the fragment of one part."""

    def write(self, rows: pl.DataFrame) -> None:
        """Appends rows; there may be none. Columns have the names and the order of the definition.

        Called at least once, because a part without rows also has columns.
        """

    def close(self) -> dict[str, Any]:
        """Writes the rest and returns what :meth:`Format.layout` needs to know: JSON of a few kilobytes.

        The result becomes the receipt's ``fragment``.
        """


class Format(Protocol):
    """A file format."""

    name: str
    """Value of ``format`` in a request."""
    extension: str
    """The file's extension, without the dot."""
    content_type: str
    """The default ``Content-Type`` of the file. There is no ``Content-Encoding``, so browsers save the file itself."""
    growth: float
    """Bytes of a fragment per byte of its Parquet source. If in doubt, use a lower value.

    Planning uses it to make parts that are large enough for S3 to copy. For a DynamoDB table, source bytes are bytes of
    raw items (for a Scan, of all tenants), which give smaller fragments. Parts may then be too small for S3 to copy, so
    AssembleFile downloads them, which is correct but slower.
    """
    has_places: bool = False
    """Whether fragments contain the positions of their rows. Planning then counts the rows before each part."""
    options_schema: dict[str, Any]
    """JSON Schema of ``options`` in a request: closed, with a default for each option."""

    def served_as(self, settings: dict[str, Any]) -> str:
        """The ``Content-Type`` of a file with these options."""
        return self.content_type

    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> Writer:
        """Begins the fragment of a part. Only workers call this method: it may import polars.

        Args:
            first: whether this is the first part. Its fragment begins with the file's head, so that S3 can copy it
                whole. A separate head would have to be joined with 5 MiB of the fragment.
            first_row: number of the part's first row in the file, from 0, without headers; None if unknown.
        """

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """The file as a sequence of literal bytes and parts. Does not need polars.

        Args:
            receipts: the receipt of every part, in order. A part may have no bytes.
        """


class TextFormat(Format, Protocol):
    """A format whose file is the sequence of its fragments."""

    @override
    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        return [Range.of(work, receipt) for receipt in receipts if receipt["bytes"]]
