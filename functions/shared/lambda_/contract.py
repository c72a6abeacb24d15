"""Contracts as JSON Schema (draft 2020-12). A function checks its input before any work and lists every fault.

A fault is ``{"pointer": JSON Pointer (RFC 6901), "detail": what is wrong, "allowed": what is allowed}``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

from shared.errors import InvalidEvent
from shared.lambda_.faults import Fault, pointer, sentence, tokens

# A character class, an escape, an extension group, or a special character.
_TOKEN = re.compile(r"\[(?:\\.|[^\]])*\]|\\.|\(\?<?.?|[$.]", re.DOTALL)
_SPACE = r"\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_ECMA = {"$": r"\Z", ".": r"[^\n\r\u2028\u2029]", r"\s": f"[{_SPACE}]", r"\S": f"[^{_SPACE}]"}
_ECMA_GROUPS = ("(?:", "(?=", "(?!", "(?<=", "(?<!")
_ECMA_LETTERS = "bBdDfnrsStuvwWx"


def _pattern(_validator: Any, pattern: str, instance: object, _schema: Any) -> Iterator[ValidationError]:
    r"""Checks ``pattern`` with the semantics of JSON Schema (ECMA-262).

    In Python ``$`` also matches before a final line feed, ``\d`` matches digits of any script, and ``\w`` and ``\b``
    treat letters of any script as letters.
    """
    expression = _TOKEN.sub(lambda match: _ECMA.get(match[0], match[0]), pattern)
    if isinstance(instance, str) and not re.search(expression, instance, re.ASCII):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_FORMATS = FormatChecker()


@_FORMATS.checks("regex", raises=re.error)
def _is_pattern(value: object) -> bool:
    """Whether a value is a pattern in Python and in ECMA-262, since callers read it too."""
    if not isinstance(value, str):
        return True
    re.compile(value)
    for token in _TOKEN.findall(value):
        if token.startswith("(?") and not token.startswith(_ECMA_GROUPS):
            return False
        if token.startswith("\\") and token[1].isalpha() and token[1] not in _ECMA_LETTERS:
            return False
    return True


_Validator: type[Draft202012Validator] = cast(Any, validators).extend(Draft202012Validator, {"pattern": _pattern})


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator that also checks ``format``."""
    return _Validator(schema, format_checker=_FORMATS)


def faults(schema: dict[str, Any] | Draft202012Validator, instance: object) -> list[Fault]:
    """Every fault of ``instance``, in the order of its place; empty when the instance is valid."""
    checker = validator(schema) if isinstance(schema, dict) else schema
    by_place: dict[tuple[str, str], Fault] = {}
    for error in checker.iter_errors(instance):
        for fault in _describe(error, cast(Any, checker.schema)):
            # A value that violates two rules of its schema is one fault, whose ``allowed`` names both rules.
            by_place.setdefault((fault["pointer"], fault["detail"]), fault)
    return [by_place[place] for place in sorted(by_place, key=lambda place: (_order(place[0]), place[1]))]


def _order(where: str) -> list[tuple[bool, int, str]]:
    """The sort key of a pointer: /2 comes before /10."""
    steps = [(token, token.isascii() and token.isdigit() and len(token) < 10) for token in tokens(where)]
    return [(not is_index, int(token) if is_index else 0, token) for token, is_index in steps]


def event_contract(app_file: str) -> Draft202012Validator:
    """The validator of ``event.schema.json`` beside a function's ``app.py``."""
    return validator(json.loads((Path(app_file).parent / "event.schema.json").read_text("utf-8")))


def require(contract: Draft202012Validator, event: object) -> None:
    """Refuses an event that violates the contract.

    Raises:
        InvalidEvent: with one sentence per fault.
    """
    if event_faults := faults(contract, event):
        raise InvalidEvent("; ".join(sentence(fault) for fault in event_faults))


def _describe(error: ValidationError, root: dict[str, Any]) -> Iterator[Fault]:
    where, value = list(error.absolute_path), cast(Any, error.validator_value)
    schema, instance = cast(Any, error.schema), cast(Any, error.instance)
    match error.validator:
        case "required":
            missing = [name for name in value if name not in instance]
            # jsonschema reports one error for each missing name; its message quotes the name.
            name = next(name for name in missing if error.message.startswith(repr(name)))
            rules = schema.get("properties", {}).get(name, {})
            yield Fault(pointer=pointer(*where, name), detail="is missing", allowed=_allowed(rules, root))
        case "additionalProperties" | "unevaluatedProperties":
            names = sorted(schema.get("properties", {}))
            for name in sorted(set(instance) - set(names), key=str):
                allowed = ", ".join(names) or "none"
                yield Fault(pointer=pointer(*where, name), detail="unknown field", allowed=allowed)
        case "oneOf":
            choices = [" and ".join(choice.get("required", [])) for choice in value]
            present = [name for name in choices if name in instance]
            detail = f"has {' and '.join(present) or 'none of ' + ', '.join(choices)}"
            yield Fault(pointer=pointer(*where), detail=detail, allowed=f"exactly one of {', '.join(choices)}")
        case _:
            detail = f"{_short(instance)} is not allowed"
            yield Fault(pointer=pointer(*where), detail=detail, allowed=_allowed(schema, root))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


_WORDS = {
    "type": "a value of type {}",
    "format": "format {}",
    "pattern": "text matching {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} character{}",
    "maxLength": "at most {} character{}",
    "minItems": "at least {} item{}",
    "maxItems": "at most {} item{}",
    "uniqueItems": "no duplicates",
}


def _allowed(schema: object, root: dict[str, Any]) -> str:
    if not isinstance(schema, dict):
        return "no value"
    if "$ref" in schema:  # every $ref of the project points into the schema's own $defs
        return _allowed(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "const" in schema:
        return _short(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(_short(value) for value in schema["enum"])
    if "examples" in schema:  # examples are easier to read than a long pattern
        return "a value such as " + ", ".join(_short(value) for value in schema["examples"])
    words = []
    for rule, phrase in _WORDS.items():
        if rule in schema:
            value = schema[rule]
            value = "date, YYYY-MM-DD" if (rule, value) == ("format", "date") else value
            value, plural = " or ".join(value) if isinstance(value, list) else value, "" if value == 1 else "s"
            words.append(phrase.format(value, plural))
    return ", ".join(words) or "a value that the schema describes"
