"""The options that several formats have. A format offers those that mean something in it, and refuses all others."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from shared.lambda_.faults import Fault, pointer

SPREADSHEET_SAFE = {
    "title": "Safe to open in a spreadsheet",
    "description": "An apostrophe before text that starts with = + - @ tab or return; number columns stay.",
    "type": "boolean",
    "default": True,
}
BOM = {
    "title": "Byte order mark",
    "description": "Starts the file with a byte order mark, which Excel needs to read UTF-8.",
    "type": "boolean",
    "default": False,
}
DELIMITER = {
    "title": "Delimiter",
    "description": "What separates the fields of a line. Numbers have a decimal point whatever it is.",
    "enum": [",", ";", "\t", "|"],
    "default": ",",
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
"""Every format has it, and no file depends on it."""
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


def with_notify(schema: dict[str, Any]) -> dict[str, Any]:
    """A format's options as a request may give them: with :data:`NOTIFY`."""
    return schema | {"properties": schema["properties"] | {"notify": NOTIFY}}


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


@cache
def zones() -> frozenset[str]:
    """Names of the time zones: those of the pinned package tzdata, whatever the host has."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split()) - {_NO_ZONE}
