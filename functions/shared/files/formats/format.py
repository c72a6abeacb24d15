"""What a format offers, and what its writer does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

from typing_extensions import override

from shared.files.segments import Range, Segment

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan, Receipt, Work


class Writer(Protocol):
    """Makes the fragment of one part."""

    def write(self, rows: pl.DataFrame) -> None:
        """Appends rows, none of them perhaps. Columns are those of the definition, in its order, named by its names.

        Called at least once: a part without rows has its columns too.
        """

    def close(self) -> dict[str, Any]:
        """Writes what is left, and says what :meth:`Format.layout` must know of the fragment: JSON, a few kilobytes.

        It becomes the receipt's ``fragment``.
        """


class Format(Protocol):
    """What a format offers."""

    name: str
    """What a request gives as ``format``."""
    extension: str
    """What the file's name ends in, without the dot."""
    content_type: str
    """The file's ``Content-Type`` by default. There is no ``Content-Encoding``: what is saved is the file itself."""
    growth: float
    """Bytes of a fragment for each byte of Parquet that it is made of, rather too few than too many.

    By it parts are planned that are large enough to be copied by S3. A DynamoDB table is counted in bytes of raw items,
    a Scan's in those of all tenants, which make less of a fragment: parts may then be too small for S3 to copy, and go
    through AssembleFile, which is right but slower.
    """
    has_places: bool = False
    """Whether fragments say where their rows stand: planning then counts the rows that come before each part."""
    options_schema: dict[str, Any]
    """JSON Schema of ``options`` in a request, closed, each option with its default."""

    def served_as(self, asked: dict[str, Any]) -> str:
        """The ``Content-Type`` of a file with these options."""
        return self.content_type

    def writer(self, plan: Plan, into: IO[bytes], *, first: bool, first_row: int | None = None) -> Writer:
        """Begins the fragment of a part. Only workers call it: it may import the engine.

        Args:
            first: whether it is the first part, whose fragment begins as the file does: then S3 can copy it whole,
                where a head would have to be joined with 5 MiB of it.
            first_row: number of the part's first row in the file, from 0, without headers; None where it is not known.
        """

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """The file as a sequence of bytes and of parts. Needs no engine.

        Args:
            receipts: of every part, in order; a part may hold no bytes.
        """


class TextFormat(Format, Protocol):
    """A format whose file is its fragments, one after the other."""

    @override
    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        return [Range.of(work, receipt) for receipt in receipts if receipt["bytes"]]
