"""The formats of the file. A format is one module with a :class:`Format` in it.

Workers write **position-independent** fragments, which the assembler puts together in the order of the parts, with
what belongs before, between and after them. API functions read a format's name and options only: this package
imports no engine at its top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol

from shared.assembly import Segment
from shared.formats.csv import Csv

if TYPE_CHECKING:
    import polars as pl

    from shared.work import Plan, Receipt, Work


class Format(Protocol):
    """What a format offers."""

    name: ClassVar[str]
    extension: ClassVar[str]
    content_type: ClassVar[str]
    options_schema: ClassVar[dict[str, Any]]
    """JSON Schema of ``options`` in a request, each with its default."""

    def write(self, rows: pl.DataFrame, plan: Plan, into: IO[bytes]) -> None:
        """Appends the rows to a part's fragment. Columns are those of the definition, in its order."""

    def layout(self, plan: Plan, work: Work, receipts: Sequence[Receipt]) -> list[Segment]:
        """The file as a sequence of bytes and of parts."""


FORMATS: dict[str, Format] = {each.name: each for each in (Csv(),)}
"""The formats by the name that a request gives."""


def resolve_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A request's options with the format's defaults filled in."""
    schema = FORMATS[name].options_schema["properties"]
    return {option: rule["default"] for option, rule in schema.items()} | options
