"""The options that several formats share. A format offers the options that apply to it and refuses all others."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from shared.lambda_.faults import Fault, pointer

SPREADSHEET_SAFE = {
    "title": "Safe to open in a spreadsheet",
    "description": "Adds an apostrophe before text that starts with = + - @ (also in full width), tab, carriage return "
    "or line feed, in the header too. Number columns do not change.",
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
    "description": "Separates the fields of a line. It does not change numbers: see decimal_comma.",
    "enum": [",", ";", "\t", "|"],
    "default": ",",
}
DECIMAL_COMMA = {
    "title": "Decimal comma",
    "description": "Writes numbers with a decimal comma, except in JSON. Requires a delimiter other than the comma.",
    "type": "boolean",
    "default": False,
}
LINE_ENDING = {
    "title": "Line ending",
    "description": "Ends each line with a line feed (lf), or with carriage return and line feed as in RFC 4180 (crlf). "
    "Line breaks in text do not change.",
    "enum": ["lf", "crlf"],
    "default": "lf",
}
ENCODING = {
    "title": "Encoding",
    "description": "Character encoding of the file. An export fails if a text has a character that windows-1252 lacks.",
    "enum": ["utf-8", "utf-16le", "windows-1252"],
    "default": "utf-8",
}
TIMEZONE = {
    "title": "Time zone",
    "description": "Name in the IANA time zone database, such as Europe/Berlin. Timestamps with a time zone are "
    "converted to it and shown with their offset. Timestamps without a time zone do not change.",
    "type": "string",
    "maxLength": 64,
    "default": "UTC",
}
NOTIFY = {
    "title": "Notify me by email",
    "description": "Sends an email to your verified address when the file is ready or the export has failed.",
    "type": "boolean",
    "default": False,
}
FILE_NAME = {
    "title": "File name",
    "description": "Name of the downloaded file. The default consists of the report and the date. Characters that file "
    "names cannot contain become _, and the format's extension is added. The export's file_name shows the result.",
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
}
_OF_EVERY_FORMAT = {"file_name": FILE_NAME, "notify": NOTIFY}
"""Options that do not change the bytes of a file."""
_STYLES = {
    "title": "the columns' titles, for people",
    "name": "the columns' names, for programs",
    "none": "no header",
}
# The database lists it, but it is not a real time zone: it means that the machine's zone is not configured.
_NO_ZONE = "Factory"


def header_style(*styles: str) -> dict[str, Any]:
    """The option for the column headers in the file. The first style is the default."""
    described = "; ".join(f"{style}: {_STYLES[style]}" for style in styles)
    return {"title": "Column headers", "description": f"{described}.", "enum": list(styles), "default": styles[0]}


def closed(**offered: dict[str, Any]) -> dict[str, Any]:
    """A schema that allows exactly these options."""
    return {"type": "object", "additionalProperties": False, "properties": offered}


def requestable(schema: dict[str, Any], *, notify: bool = True) -> dict[str, Any]:
    """A format's options in a request, including the options of every format.

    Args:
        notify: whether a request may ask for an email.
    """
    more = {name: rule for name, rule in _OF_EVERY_FORMAT.items() if notify or name != "notify"}
    return schema | {"properties": schema["properties"] | more}


def of_file(requested: dict[str, Any]) -> dict[str, Any]:
    """The options of a request that the file's bytes depend on."""
    return {name: value for name, value in requested.items() if name not in _OF_EVERY_FORMAT}


def resolve(schema: dict[str, Any], requested: dict[str, Any]) -> dict[str, Any]:
    """The options with defaults for those that are missing: a record may be older than an option."""
    return {option: rule["default"] for option, rule in schema["properties"].items()} | requested


def zone_faults(schema: dict[str, Any], requested: Any) -> list[Fault]:
    """The fault of an unknown time zone, which JSON Schema cannot check."""
    if "timezone" not in schema["properties"] or (name := resolve(schema, requested)["timezone"]) in zones():
        return []
    allowed = "a name in the IANA time zone database, such as Europe/Berlin, America/New_York or UTC"
    detail = f"{json.dumps(name, ensure_ascii=False)} is not a known time zone"
    return [Fault(pointer=pointer("timezone"), detail=detail, allowed=allowed)]


def dialect_faults(schema: dict[str, Any], requested: Any) -> list[Fault]:
    """The faults of csv options that contradict each other, which JSON Schema cannot check."""
    settings, faults = resolve(schema, requested), []
    if settings.get("decimal_comma") and settings.get("delimiter") == ",":
        detail = "is true, but the delimiter is also a comma"
        faults.append(Fault(pointer="/decimal_comma", detail=detail, allowed='false, or the delimiter ";", tab or "|"'))
    if settings.get("bom") and settings.get("encoding") == "windows-1252":
        detail = "is true, but windows-1252 has no byte order mark"
        faults.append(Fault(pointer="/bom", detail=detail, allowed="false, or the encoding utf-8 or utf-16le"))
    return faults


@cache
def zones() -> frozenset[str]:
    """Names of the time zones in the pinned package tzdata, independent of the host."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split()) - {_NO_ZONE}
