"""The file formats. Each format is a module with a :class:`Format`.

Workers write fragments. A fragment does not depend on its position, except that the first one begins with the file's
head. The assembler joins the fragments in the order of the parts and adds the bytes between and after them. API
functions and AssembleFile only need names, options and layouts, so the top level of this package does not import
polars. docs/formats.md describes what each format guarantees.
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
"""The formats by their name in a request."""


def resolve_options(name: str, requested: dict[str, Any]) -> dict[str, Any]:
    """The options of a request that the file's bytes depend on, with the format's defaults."""
    return options.resolve(FORMATS[name].options_schema, options.of_file(requested))


def option_faults(name: str, requested: object) -> list[Fault]:
    """All faults of a request's options. Pointers start at the options' root."""
    schema = FORMATS[name].options_schema
    if faults := contract.faults(options.requestable(schema), requested):
        return faults
    checked: Any = requested
    return [
        *options.zone_faults(schema, checked),
        *options.dialect_faults(schema, checked),
        *names.faults(checked.get("file_name"), FORMATS[name].extension),
    ]
