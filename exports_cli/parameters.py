"""``name=value`` of the command line as the JSON that the API takes."""

from __future__ import annotations

import json
from typing import Any

import click


def given(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, list[str]]:
    """The values by their names, as they were typed, in their order."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE.")
        found.setdefault(name, []).append(value)
    return found


def typed(values: dict[str, list[str]], schema: dict[str, Any]) -> dict[str, Any]:
    """The values of the types that a JSON Schema wants of them; a list is what was given under one name.

    What is not of its type, or is unknown, goes as it was typed: the API names every fault, and knows all the rules.

    Raises:
        click.UsageError: of what takes one value several are given.
    """
    properties, found = schema.get("properties", {}), {}
    for name, several in values.items():
        rule = properties.get(name, {})
        if rule.get("type") == "array":
            found[name] = [_typed(value, rule.get("items", {}).get("type", "string")) for value in several]
        elif len(several) > 1:
            raise click.UsageError(f"{name!r} is given twice, and takes one value.")
        else:
            found[name] = _typed(several[0], rule.get("type", "string"))
    return found


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
