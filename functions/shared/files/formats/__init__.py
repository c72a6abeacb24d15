"""The formats of the file. A format is one module with a :class:`Format` in it.

Workers write fragments that do not depend on their place, but that the first begins with what the file begins with. The
assembler has them put together in the order of the parts, with what belongs between and after them. API functions and
AssembleFile read names, options and layouts only: this package imports no engine at its top. What each format
guarantees stands in docs/formats.md.
"""

from __future__ import annotations

from typing import Any

from shared.files import names
from shared.files.formats import options
from shared.files.formats.csv import Csv
from shared.files.formats.format import Format
from shared.files.formats.gzip import Gzip
from shared.files.formats.jsonl import Jsonl
from shared.files.formats.parquet import Parquet
from shared.files.formats.xlsx import Xlsx
from shared.lambda_ import contract
from shared.lambda_.faults import Fault

_CSV, _JSONL = Csv(), Jsonl()
_ALL: tuple[Format, ...] = (_CSV, Gzip(_CSV), _JSONL, Gzip(_JSONL), Parquet(), Xlsx())
FORMATS = {each.name: each for each in _ALL}
"""The formats by the name that a request gives."""


def resolve_options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What of a request's options the file's bytes depend on, with the format's defaults filled in."""
    return options.resolve(FORMATS[name].options_schema, options.of_file(given))


def option_faults(name: str, given: object) -> list[Fault]:
    """Every fault of a request's options; pointers start at the options' own root."""
    schema = FORMATS[name].options_schema
    if found := contract.faults(options.requestable(schema), given):
        return found
    asked: Any = given
    return [
        *options.zone_faults(schema, asked),
        *options.dialect_faults(schema, asked),
        *names.faults(asked.get("file_name"), FORMATS[name].extension),
    ]
