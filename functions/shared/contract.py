"""Closed contracts: JSON Schema (draft 2020-12) checked before any work, every fault listed with its place.

A fault is ``{"pointer": JSON Pointer (RFC 6901), "detail": what is wrong, "allowed": what would be right}``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict, cast

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

from shared.errors import InvalidEvent


class Fault(TypedDict):
    """One thing that is wrong with an input."""

    pointer: str
    detail: str
    allowed: str


_ANCHOR = re.compile(r"(\\.|\[(?:\\.|[^\]])*\])|\$", re.DOTALL)


def _pattern(_validator: Any, pattern: str, instance: object, _schema: Any) -> Iterator[ValidationError]:
    """``pattern`` as JSON Schema means it (ECMA-262): Python's ``$`` would also match before a last line feed."""
    if isinstance(instance, str) and not re.search(_ANCHOR.sub(lambda found: found[1] or r"\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: type[Draft202012Validator] = cast(Any, validators).extend(Draft202012Validator, {"pattern": _pattern})


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator that also checks ``format``."""
    return _Validator(schema, format_checker=FormatChecker())


def faults(schema: dict[str, Any] | Draft202012Validator, instance: object) -> list[Fault]:
    """Every fault of ``instance``, in the order of the places where they stand; empty when it is valid."""
    checker = validator(schema) if isinstance(schema, dict) else schema
    found: dict[tuple[str, str], Fault] = {}
    for error in checker.iter_errors(instance):
        for fault in _describe(error, cast(Any, checker.schema)):
            # One value that breaks two rules of its schema is one fault: what is allowed names them both.
            found.setdefault((fault["pointer"], fault["detail"]), fault)
    return [found[place] for place in sorted(found)]


def event_contract(app_file: str) -> Draft202012Validator:
    """The validator of ``event.schema.json`` beside a function's ``app.py``."""
    return validator(json.loads((Path(app_file).parent / "event.schema.json").read_text("utf-8")))


def require(contract: Draft202012Validator, event: object) -> None:
    """Refuses an event that breaks the contract.

    Raises:
        InvalidEvent: with one sentence per fault.
    """
    if found := faults(contract, event):
        raise InvalidEvent("; ".join(sentence(fault) for fault in found))


def sentence(fault: Fault) -> str:
    """A fault as one line of text."""
    return f"{fault['pointer'] or '(the whole)'}: {fault['detail']}, allowed: {fault['allowed']}"


def pointer(*tokens: object) -> str:
    """RFC 6901 pointer of a path: ``pointer("a", 0)`` is ``/a/0``."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def tokens(where: str) -> list[str]:
    """The path of a pointer: ``tokens("/a/0")`` is ``["a", "0"]``."""
    return [token.replace("~1", "/").replace("~0", "~") for token in where.split("/")[1:]]


def _describe(error: ValidationError, root: dict[str, Any]) -> Iterator[Fault]:
    where, value = list(error.absolute_path), cast(Any, error.validator_value)
    schema, instance = cast(Any, error.schema), cast(Any, error.instance)
    match error.validator:
        case "required":
            missing = [name for name in value if name not in instance]
            # jsonschema reports each missing name as an error of its own; the message quotes it.
            name = next(name for name in missing if error.message.startswith(repr(name)))
            known = schema.get("properties", {}).get(name, {})
            yield Fault(pointer=pointer(*where, name), detail="is missing", allowed=_allowed(known, root))
        case "additionalProperties" | "unevaluatedProperties":
            names = sorted(schema.get("properties", {}))
            for name in sorted(set(instance) - set(names), key=str):
                allowed = ", ".join(names) or "nothing here"
                yield Fault(pointer=pointer(*where, name), detail="is not known here", allowed=allowed)
        case "oneOf":
            choices = [" and ".join(choice.get("required", [])) for choice in value]
            given = [name for name in choices if name in instance] or ["none"]
            detail = f"{' and '.join(given)} of {', '.join(choices)} is given"
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
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def _allowed(schema: object, root: dict[str, Any]) -> str:
    if not isinstance(schema, dict):
        return "nothing here"
    if "$ref" in schema:  # all of ours point into the schema's own $defs
        return _allowed(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "const" in schema:
        return _short(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(_short(value) for value in schema["enum"])
    if "examples" in schema:  # they say more than a long pattern
        return "one like " + ", ".join(_short(value) for value in schema["examples"])
    words = []
    for rule, phrase in _WORDS.items():
        if rule in schema:
            value = schema[rule]
            words.append(phrase.format(" or ".join(value) if isinstance(value, list) else value))
    return ", ".join(words) or "a value the contract describes"
