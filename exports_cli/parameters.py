"""Converts words of the command line to the JSON that the API accepts."""

from __future__ import annotations

import json
from typing import Any

import click

from exports_cli.text import plain


def given(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, list[str]]:
    """The values by name, as typed and in their order."""
    values: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE.")
        values.setdefault(name, []).append(value)
    return values


def names(_context: click.Context, _parameter: click.Parameter, word: str | None) -> list[str] | None:
    """The names in a list with commas; None if the option is not set."""
    if word is None:
        return None
    listed = [each.strip() for each in word.split(",")]
    if "" in listed:
        raise click.BadParameter(f"{word!r} is not a list of names with a comma between them.")
    return listed


def keys(context: click.Context, parameter: click.Parameter, word: str | None) -> list[dict[str, Any]] | None:
    """The sort keys in a list with commas, ``-`` before a descending one; None if the option is not set."""
    listed = names(context, parameter, word)
    if listed is None:
        return None
    if "-" in listed:
        raise click.BadParameter(f"{word!r} has a minus without a name.")
    return [{"column": each.removeprefix("-"), "descending": each.startswith("-")} for each in listed]


def typed(values: dict[str, list[str]], schema: dict[str, Any]) -> dict[str, Any]:
    r"""Converts the values to the types in a JSON Schema. Values of one name become a list if the schema has an array.

    A value of a wrong type or of an unknown name stays text: the API knows all the rules and reports every fault.
    A value of an enum may be typed as `exports` shows it: ``\t`` is a tab.

    Raises:
        click.UsageError: a name that takes one value has several.
    """
    properties = schema.get("properties", {})
    converted: dict[str, Any] = {}
    for name, several in values.items():
        rule = properties.get(name, {})
        if rule.get("type") == "array":
            converted[name] = [_typed(value, rule.get("items", {})) for value in several]
        elif len(several) > 1:
            raise click.UsageError(f"{name!r} takes one value, but you gave {len(several)}.")
        else:
            converted[name] = _typed(several[0], rule)
    return converted


def _typed(value: str, rule: dict[str, Any]) -> Any:
    kind = rule.get("type", "string")
    if kind == "string":
        texts = [each for each in rule.get("enum", []) if isinstance(each, str)]
        return value if value in texts else next((each for each in texts if plain(each) == value), value)
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    kinds: dict[str, type | tuple[type, ...]] = {"integer": int, "number": (int, float), "boolean": bool}
    expected = kinds.get(kind, object)
    is_flag_for_number = isinstance(parsed, bool) and kind in ("integer", "number")
    return parsed if isinstance(parsed, expected) and not is_flag_for_number else value
