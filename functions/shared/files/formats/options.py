"""The options that several formats have. A format offers those that mean something in it, and refuses all others."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from shared.lambda_.faults import Fault, pointer

SPREADSHEET_SAFE = {
    "title": "Safe to open in a spreadsheet",
    "description": "An apostrophe before text that starts with = + - @, these in full width, tab, return or line feed, "
    "in the header too; number columns stay.",
    "type": "boolean",
    "default": True,
}
BOM = {
    "title": "Byte order mark",
    "description": "Starts the file with a byte order mark, which Excel needs to read UTF-8 and UTF-16.",
    "type": "boolean",
    "default": False,
}
DELIMITER = {
    "title": "Delimiter",
    "description": "What separates the fields of a line. It changes nothing in numbers: see decimal_comma.",
    "enum": [",", ";", "\t", "|"],
    "default": ",",
}
DECIMAL_COMMA = {
    "title": "Decimal comma",
    "description": "Numbers have a comma for their decimal point, but within JSON. Needs a delimiter that is no comma.",
    "type": "boolean",
    "default": False,
}
LINE_ENDING = {
    "title": "Line ending",
    "description": "What ends a line: a line feed, or return and line feed as RFC 4180 has it. Text keeps its own.",
    "enum": ["lf", "crlf"],
    "default": "lf",
}
ENCODING = {
    "title": "Encoding",
    "description": "How text becomes bytes. windows-1252 has few characters: one that it lacks fails the export.",
    "enum": ["utf-8", "utf-16le", "windows-1252"],
    "default": "utf-8",
}
TIMEZONE = {
    "title": "Time zone",
    "description": "Name in the IANA time zone database, such as Europe/Berlin. Timestamps of a known zone are shown "
    "in it, with their offset; timestamps without a zone stay as they are.",
    "type": "string",
    "maxLength": 64,
    "default": "UTC",
}
NOTIFY = {
    "title": "Mail me",
    "description": "A mail to the caller's verified address when the file is ready, or when it could not be made.",
    "type": "boolean",
    "default": False,
}
FILE_NAME = {
    "title": "File name",
    "description": "What the file is called when it is downloaded; by default after report and date. Characters that a "
    "file name cannot have become _, and the format's ending is put to it. The export's file_name is the outcome.",
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
}
_OF_EVERY_FORMAT = {"file_name": FILE_NAME, "notify": NOTIFY}
"""No byte of a file depends on them."""
_STYLES = {
    "title": "The columns' titles, as people read them",
    "name": "the columns' names, as programs read them",
    "none": "no header",
}
# In the database's list of names and in no clock: it stands for a machine whose zone was not set yet.
_NO_ZONE = "Factory"


def header_style(*styles: str) -> dict[str, Any]:
    """How columns are called in the file; the first style is the default."""
    described = "; ".join(f"{style}: {_STYLES[style]}" for style in styles)
    return {"title": "Column headers", "description": f"{described}.", "enum": list(styles), "default": styles[0]}


def closed(**offered: dict[str, Any]) -> dict[str, Any]:
    """The schema of exactly these options."""
    return {"type": "object", "additionalProperties": False, "properties": offered}


def requestable(schema: dict[str, Any], *, notify: bool = True) -> dict[str, Any]:
    """A format's options as a request may give them: with those of every format.

    Args:
        notify: whether a mail can be asked for.
    """
    more = {name: rule for name, rule in _OF_EVERY_FORMAT.items() if notify or name != "notify"}
    return schema | {"properties": schema["properties"] | more}


def of_file(given: dict[str, Any]) -> dict[str, Any]:
    """What of a request's options the bytes of the file depend on."""
    return {name: value for name, value in given.items() if name not in _OF_EVERY_FORMAT}


def resolve(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in: a record may be older than an option."""
    return {option: rule["default"] for option, rule in schema["properties"].items()} | given


def zone_faults(schema: dict[str, Any], given: Any) -> list[Fault]:
    """What JSON Schema cannot say: whether there is such a time zone."""
    if "timezone" not in schema["properties"] or (name := resolve(schema, given)["timezone"]) in zones():
        return []
    allowed = "a name of the IANA time zone database, such as Europe/Berlin, America/New_York or UTC"
    detail = f"{json.dumps(name, ensure_ascii=False)} is no time zone"
    return [Fault(pointer=pointer("timezone"), detail=detail, allowed=allowed)]


def dialect_faults(schema: dict[str, Any], given: Any) -> list[Fault]:
    """What JSON Schema cannot say: options of a dialect of csv that contradict each other."""
    if "encoding" not in schema["properties"]:
        return []
    asked, found = resolve(schema, given), []
    if asked["decimal_comma"] and asked["delimiter"] == ",":
        detail = "is true, and the delimiter is a comma too"
        found.append(Fault(pointer="/decimal_comma", detail=detail, allowed='false, or the delimiter ";", tab or "|"'))
    if asked["bom"] and asked["encoding"] == "windows-1252":
        detail = "is true, and windows-1252 has no byte order mark"
        found.append(Fault(pointer="/bom", detail=detail, allowed="false, or the encoding utf-8 or utf-16le"))
    return found


@cache
def zones() -> frozenset[str]:
    """Names of the time zones: those of the pinned package tzdata, whatever the host has."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split()) - {_NO_ZONE}
