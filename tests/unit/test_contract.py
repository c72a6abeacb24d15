"""Faults: one for each thing that is wrong, with its place, and what would be right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidEvent
from shared.lambda_ import contract
from shared.lambda_.faults import pointer, tokens

CLOSED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "size"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "day": {"type": "string", "format": "date"},
        "kind": {"enum": ["a", "b"]},
        "like": {"pattern": "^x", "examples": ["x1", "x2"]},
        "version": {"const": 1},
        "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": ["string", "null"]}},
        "inner": {"type": "object", "additionalProperties": False, "properties": {"a/b": {"type": "boolean"}}},
    },
}
GOOD = {"name": "abc", "size": 1}


def found(instance: object, schema: dict[str, Any] = CLOSED) -> list[tuple[str, str, str]]:
    return [(each["pointer"], each["detail"], each["allowed"]) for each in contract.faults(schema, instance)]


def test_what_is_right_has_no_fault() -> None:
    whole = {"day": "2026-11-23", "kind": "b", "version": 1, "tags": ["x", None], "inner": {"a/b": True}}
    assert found(GOOD) == found(GOOD | whole) == []


NAME, SIZE = "text matching ^[a-z]+$, at most 5 characters", "integer, at least 1, at most 9"


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        *(("name", value, NAME) for value in ("ABC", "ABCDEF", "abcdef")),
        *(("size", value, SIZE) for value in ("1", True, 10, 0.5, 0)),
        ("day", "2026-13-01", "format date, YYYY-MM-DD"),
        ("kind", "c", 'one of "a", "b"'),
        ("like", "y", 'a value such as "x1", "x2"'),
        ("version", 2, "1"),
        ("tags", [], "array, at least 1 item, at most 2 items"),
    ],
)
def test_a_wrong_value_is_one_fault_with_its_place_and_what_is_allowed(field: str, value: Any, allowed: str) -> None:
    [fault] = found(GOOD | {field: value})
    assert fault[:2] == (f"/{field}", f"{json.dumps(value)} is not allowed")
    assert fault[2].endswith(allowed)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("kind", "x" * 500, ("/kind", '"' + "x" * 76 + "... is not allowed", 'one of "a", "b"')),
        ("tags", ["x", 5], ("/tags/1", "5 is not allowed", "a value of type string or null")),
        ("inner", {"a/b": 1}, ("/inner/a~1b", "1 is not allowed", "a value of type boolean")),
        ("inner", {"~c": 1}, ("/inner/~0c", "unknown field", "a/b")),
    ],
    ids=["long", "item", "inner", "unknown"],
)
def test_a_fault_is_short_and_at_its_own_place(field: str, value: Any, fault: tuple[str, str, str]) -> None:
    assert found(GOOD | {field: value}) == [fault]


def test_every_missing_and_every_unknown_field_is_a_fault_of_its_own() -> None:
    assert found({}) == [
        ("/name", "is missing", f"a value of type string, {NAME}"),
        ("/size", "is missing", f"a value of type {SIZE}"),
    ]
    known = "day, inner, kind, like, name, size, tags, version"
    unknown = [(place, "unknown field", known) for place in ("/b~1c", "/x")]
    assert found(GOOD | {"x": 1, "b/c": 2}) == unknown


@pytest.mark.parametrize(("given", "said"), [({}, "has none of a, b"), ({"a": 1, "b": 2}, "has a and b")])
def test_one_of_several_fields_is_asked_for(given: dict[str, int], said: str) -> None:
    choice = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert found(given, choice) == [("", said, "exactly one of a, b")]


def test_faults_are_sorted_by_place_as_numbers_where_they_are_some_and_the_same_every_time() -> None:
    wrong = {"zz": 1, "tags": [1, "x", 2], "name": "ABC", "inner": {"y": 1, "x": 2}}
    first = [pointer for pointer, _, _ in found(wrong)]
    assert first == ["/inner/x", "/inner/y", "/name", "/size", "/tags", "/tags/0", "/tags/2", "/zz"]
    assert found(dict(reversed(wrong.items()))) == found(wrong)
    rule = {"items": {"items": {"type": "string"}}}
    items = [pointer for pointer, _, _ in found([[""] * 11 + [0]] * 3 + [[0] * 11] + [[]] * 6 + [[0]], rule)]
    assert items == ["/0/11", "/1/11", "/2/11", *(f"/3/{index}" for index in range(11)), "/10/0"]
    names = found({"10": 0, "2": 0, "x": 0, "9" * 5000: 0}, {"additionalProperties": {"type": "string"}})
    assert [pointer for pointer, _, _ in names] == ["/2", "/10", "/" + "9" * 5000, "/x"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^\d{3}$", "123", "\u0663\u0663\u0663"),
        (r"^[\d]$", "1", "\u0663"),
        (r"^\D$", "\u0663", "1"),
        (r"^\w+$", "a_1", "\u00e9"),
        (r"^a\b", "a\u00e9", "ab"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^\S$", "\x1c", "\u00a0"),
        (r"^.$", "\u00e9", "\u2028"),
        (r"^[.$]$", "$", "a"),
        (r"^\$\.$", "$.", "$a"),
        (r"^a$", "a", "a\n"),
        (r"b|a$", "xb", "a\n"),
    ],
)
def test_a_pattern_means_what_ecma_262_says(pattern: str, matching: str, other: str) -> None:
    assert found(matching, {"pattern": pattern}) == []
    assert found(other, {"pattern": pattern}) != []


@pytest.mark.parametrize(
    ("pattern", "is_one"),
    [
        *((pattern, True) for pattern in (r"^[A-Z]{3}$", r"\d\x41\u0041\/\.", "(?:a)(?=b)(?!c)(?<=d)(?<!e)", "[(?P]")),
        *((pattern, False) for pattern in ("[", "(?i)a", "(?P<a>b)", "(?#a)", r"\Aa", r"a\Z", r"\p{L}", r"\N{DASH}")),
    ],
)
def test_only_what_ecma_262_has_too_is_a_pattern(pattern: str, is_one: bool) -> None:
    assert (found(pattern, {"format": "regex"}) == []) == is_one


@pytest.mark.parametrize(
    "day", ["\u0662013-01-01", "0000-01-01", "10000-01-01", "2013-01-01\n", "2013-1-1", "2013-02-29", "20261123"]
)
def test_what_is_no_day_is_no_date(day: str) -> None:
    assert found(day, {"format": "date"}) != []


@pytest.mark.parametrize(
    ("path", "escaped"), [((), ""), (("a", 0), "/a/0"), (("a/b", "c~d"), "/a~1b/c~0d"), (("~1",), "/~01"), (("",), "/")]
)
def test_pointers_are_escaped(path: tuple[Any, ...], escaped: str) -> None:
    assert pointer(*path) == escaped


@given(st.lists(st.text() | st.integers(min_value=0), max_size=4))
def test_a_pointer_leads_back_to_its_path(path: list[Any]) -> None:
    assert tokens(pointer(*path)) == [str(step) for step in path]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ([], "[] is not allowed, allowed: a value of type object"),
        (
            {"name": "abc", "x": 1},
            f"/size: is missing, allowed: a value of type {SIZE}; "
            "/x: unknown field, allowed: day, inner, kind, like, name, size, tags, version",
        ),
    ],
    ids=["the whole", "fields"],
)
def test_a_broken_event_is_refused_with_one_sentence_per_fault(event: Any, said: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        contract.require(contract.validator(CLOSED), event)
    assert str(refused.value) == said


def test_a_fault_can_always_be_sent() -> None:
    for value in ("\ud800", {"\ud800": 1}, float("nan"), 10**400, object()):
        for fault in contract.faults(CLOSED, GOOD | {"kind": value}):
            json.dumps(fault, allow_nan=False)
