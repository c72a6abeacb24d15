"""Answers held against openapi.json, more strictly than a client may: what it does not name is a breach."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.lambda_ import contract
from tests.unit.support import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import Draft202012Validator

OURS = ("Location", "Retry-After", "Idempotent-Replayed", "WWW-Authenticate")
"""Headers that mean something to a caller; the others say how the answer came."""


@cache
def description() -> Any:
    """openapi.json."""
    return json.loads((FUNCTIONS / "list_reports" / "openapi.json").read_text("utf-8"))


def breaches(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | str) -> list[str]:
    """What is otherwise than described in an answer to a call of a path; without a query, from the API's root on."""
    operation = _operation(method, path)
    if operation is None:
        return [] if method == "OPTIONS" or status == 404 else [f"{method} {path} is not described"]
    described = operation["responses"].get(str(status)) or operation["responses"].get(f"{status // 100}XX")
    if described is None:
        return [f"{method} {path} is not described to answer {status}"]
    if "$ref" in described:
        described = description()["components"]["responses"][described["$ref"].rpartition("/")[2]]
    given = {name.lower(): value for name, value in headers.items()}
    found = [
        f"the header {name} is not described"
        for name in OURS
        if name.lower() in given and name not in described.get("headers", {})
    ]
    kinds = described.get("content", {})
    if not kinds:
        return found + ([f"there is a body, {body!r}"] if body else [])
    kind = given.get("content-type", "").removesuffix("; charset=utf-8")
    if kind not in kinds:
        return [*found, f"Content-Type is {kind}, not {' or '.join(kinds)}"]
    if not kind.endswith("json"):
        return found
    errors = _validator(json.dumps(kinds[kind]["schema"])).iter_errors(json.loads(body))
    return found + [f"{error.json_path}: {error.message}" for error in errors]


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in description()["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            return operations.get(method.lower())  # type: ignore[no-any-return]
    return None


@cache
def _validator(schema: str) -> Draft202012Validator:
    parsed = json.loads(schema)
    return contract.validator(_closed({"allOf": [parsed], "components": description()["components"]}))


def _closed(schema: Any) -> Any:
    """The schema, with no object in it that lets unnamed fields in."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
