"""``name=value`` of the command line as the JSON that the API takes."""

from __future__ import annotations

import json
from typing import Any

import click


def given(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """The values by their names, as they were typed."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE.")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice.")
        found[name] = value
    return found


def typed(values: dict[str, str], schema: dict[str, Any]) -> dict[str, Any]:
    """The values of the types that a JSON Schema wants of them.

    What is not of its type, or is unknown, goes as it was typed: the API names every fault, and knows all the rules.
    """
    properties = schema.get("properties", {})
    return {name: _typed(value, properties.get(name, {}).get("type", "string")) for name, value in values.items()}


def _typed(value: str, kind: str) -> Any:
    if kind == "string":
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    kinds: dict[str, type | tuple[type, ...]] = {"integer": int, "number": (int, float), "boolean": bool}
    wanted = kinds.get(kind, object)
    is_flag_for_number = isinstance(found, bool) and kind in ("integer", "number")
    return found if isinstance(found, wanted) and not is_flag_for_number else value
