"""The formats of the file. A format is one module with a :class:`Format` in it.

Workers write fragments that do not depend on their place, but that the first begins with what the file begins with. The
assembler has them put together in the order of the parts, with what belongs between and after them. API functions and
AssembleFile read names, options and layouts only: this package imports no engine at its top. What each format
guarantees stands in docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

from shared.api import notification
from shared.files.formats import options
from shared.files.formats.csv import Csv
from shared.files.formats.gzip import Gzip
from shared.files.formats.jsonl import Jsonl
from shared.files.formats.parquet import Parquet
from shared.files.formats.xlsx import Xlsx
from shared.files.segments import Segment
from shared.lambda_ import contract
from shared.lambda_.faults import Fault

if TYPE_CHECKING:
    import polars as pl

    from shared.files.work import Plan, Receipt, Work


class Writer(Protocol):
    """Makes the fragment of one part."""

    def write(self, rows: pl.DataFrame) -> None:
        """Appends rows, none of them perhaps. Columns are those of the definition, in its order, named by its names."""

    def close(self) -> dict[str, Any]:
        """Writes what is left, and says what :meth:`Format.layout` must know of the fragment: JSON, a few kilobytes.

        It becomes the receipt's ``fragment``.
        """


class Format(Protocol):
    """What a format offers."""

    @property
    def name(self) -> str:
        """What a request gives as ``format``."""

    @property
    def extension(self) -> str:
        """What the file's name ends in, without the dot."""

    @property
    def content_type(self) -> str:
        """The file's ``Content-Type``. There is never a ``Content-Encoding``: what is saved is the file itself."""

    @property
    def growth(self) -> float:
        """Bytes of a fragment for each byte of Parquet that it is made of, rather too few than too many.

        By it parts are planned that are large enough to be copied by S3. A DynamoDB table is counted in bytes of raw
        items, a Scan's in those of all tenants, which make less of a fragment: parts may then be too small for S3 to
        copy, and go through AssembleFile, which is right but slower.
        """

    @property
    def options_schema(self) -> dict[str, Any]:
        """JSON Schema of ``options`` in a request, closed, each option with its default."""

    def writer(self, plan: Plan, into: IO[bytes], *, first: bool) -> Writer:
        """Begins the fragment of a part. Only workers call it: it may import the engine.

        Args:
            first: whether it is the first part, whose fragment begins as the file does: then S3 can copy it whole,
                where a head would have to be joined with 5 MiB of it.
        """

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """The file as a sequence of bytes and of parts. Needs no engine.

        Args:
            receipts: of every part, in order; a part may hold no bytes.
        """


_CSV, _JSONL = Csv(), Jsonl()
_ALL: tuple[Format, ...] = (_CSV, Gzip(_CSV), _JSONL, Gzip(_JSONL), Parquet(), Xlsx())
FORMATS = {each.name: each for each in _ALL}
"""The formats by the name that a request gives."""


def resolve_options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What of a request's options the file depends on, with the format's defaults filled in: all but ``notify``."""
    of_file = {option: value for option, value in given.items() if option != "notify"}
    return options.resolve(FORMATS[name].options_schema, of_file)


def option_faults(name: str, given: object) -> list[Fault]:
    """Every fault of a request's options; pointers start at the options' own root."""
    schema = notification.with_option(FORMATS[name].options_schema)
    return contract.faults(schema, given) or options.zone_faults(schema, given)
