"""Faults: one for each thing that is wrong, with its place, and what would be right."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidEvent
from shared.lambda_ import contract
from shared.lambda_.faults import pointer, sentence
from tests.unit.support import FUNCTIONS, event

EXAMPLES = settings(derandomize=True, database=None, deadline=None, max_examples=60)
CLOSED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "size"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "day": {"type": "string", "format": "date"},
        "kind": {"enum": ["a", "b"]},
        "version": {"const": 1},
        "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": ["string", "null"]}},
        "inner": {"type": "object", "additionalProperties": False, "properties": {"a/b": {"type": "boolean"}}},
    },
}
GOOD = {"name": "abc", "size": 1}


def found(instance: object, schema: dict[str, Any] = CLOSED) -> list[tuple[str, str, str]]:
    return [(each["pointer"], each["detail"], each["allowed"]) for each in contract.faults(schema, instance)]


def test_what_is_right_has_no_fault() -> None:
    whole = GOOD | {"day": "2026-11-23", "kind": "b", "version": 1, "tags": ["x", None], "inner": {"a/b": True}}
    assert found(GOOD) == []
    assert found(whole) == []


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("name", "ABC", ("/name", '"ABC" is not allowed', "text matching ^[a-z]+$, at most 5 characters")),
        ("name", "ABCDEF", ("/name", '"ABCDEF" is not allowed', "text matching ^[a-z]+$, at most 5 characters")),
        ("name", "abcdef", ("/name", '"abcdef" is not allowed', "text matching ^[a-z]+$, at most 5 characters")),
        ("size", "1", ("/size", '"1" is not allowed', "integer, at least 1, at most 9")),
        ("size", True, ("/size", "true is not allowed", "integer, at least 1, at most 9")),
        ("size", 10, ("/size", "10 is not allowed", "integer, at least 1, at most 9")),
        ("size", 0.5, ("/size", "0.5 is not allowed", "integer, at least 1, at most 9")),
        ("size", 0, ("/size", "0 is not allowed", "integer, at least 1, at most 9")),
        ("day", "2026-13-01", ("/day", '"2026-13-01" is not allowed', "format date, YYYY-MM-DD")),
        ("day", "20261123", ("/day", '"20261123" is not allowed', "format date, YYYY-MM-DD")),
        ("kind", "c", ("/kind", '"c" is not allowed', 'one of "a", "b"')),
        ("version", 2, ("/version", "2 is not allowed", "1")),
        ("tags", [], ("/tags", "[] is not allowed", "array, at least 1 item, at most 2 items")),
        ("tags", ["x", 5], ("/tags/1", "5 is not allowed", "string or null")),
        ("inner", {"a/b": 1}, ("/inner/a~1b", "1 is not allowed", "boolean")),
        ("inner", {"~c": 1}, ("/inner/~0c", "unknown field", "a/b")),
    ],
)
def test_a_wrong_value_is_one_fault_with_its_place_and_what_is_allowed(
    field: str, value: Any, fault: tuple[str, str, str]
) -> None:
    [(pointer, detail, allowed)] = found(GOOD | {field: value})
    assert (pointer, detail) == fault[:2]
    assert allowed.endswith(fault[2])


def test_every_missing_field_is_a_fault_of_its_own() -> None:
    assert found({}) == [
        ("/name", "is missing", "a value of type string, text matching ^[a-z]+$, at most 5 characters"),
        ("/size", "is missing", "a value of type integer, at least 1, at most 9"),
    ]


def test_every_unknown_field_is_a_fault_of_its_own() -> None:
    known = "day, inner, kind, name, size, tags, version"
    assert found(GOOD | {"x": 1, "b/c": 2}) == [
        ("/b~1c", "unknown field", known),
        ("/x", "unknown field", known),
    ]


def test_faults_are_sorted_by_place_and_the_same_every_time() -> None:
    wrong = {"zz": 1, "tags": [1, "x", 2], "name": "ABC", "inner": {"y": 1, "x": 2}}
    first = found(wrong)
    assert [pointer for pointer, _, _ in first] == [
        "/inner/x",
        "/inner/y",
        "/name",
        "/size",
        "/tags",
        "/tags/0",
        "/tags/2",
        "/zz",
    ]
    assert all(found(dict(reversed(wrong.items()))) == first for _ in range(3))


def test_an_item_comes_before_one_with_a_higher_index() -> None:
    rule = {"items": {"items": {"type": "string"}}}
    faults = found([[""] * 11 + [0]] * 3 + [[0] * 11] + [[]] * 6 + [[0]], rule)
    assert [pointer for pointer, _, _ in faults] == [
        *("/0/11", "/1/11", "/2/11"),
        *(f"/3/{index}" for index in range(11)),
        "/10/0",
    ]
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
    "day", ["\u0662013-01-01", "0000-01-01", "10000-01-01", "2013-01-01\n", "2013-1-1", "2013-02-29"]
)
def test_what_is_no_day_is_no_date(day: str) -> None:
    assert found(day, {"format": "date"}) != []


def test_the_whole_may_be_what_is_wrong() -> None:
    [fault] = contract.faults(CLOSED, [])
    assert fault == {"pointer": "", "detail": "[] is not allowed", "allowed": "a value of type object"}
    assert sentence(fault) == "[] is not allowed, allowed: a value of type object"


def test_a_long_value_is_shown_shortened() -> None:
    [(_, detail, _)] = found(GOOD | {"kind": "x" * 500})
    assert detail == '"' + "x" * 76 + "... is not allowed"


@pytest.mark.parametrize(
    ("tokens", "escaped"),
    [((), ""), (("a", 0), "/a/0"), (("a/b", "c~d"), "/a~1b/c~0d"), (("~1",), "/~01"), (("",), "/")],
)
def test_pointers_are_escaped(tokens: tuple[Any, ...], escaped: str) -> None:
    assert pointer(*tokens) == escaped


@EXAMPLES
@given(st.lists(st.text() | st.integers(min_value=0), max_size=4))
def test_a_pointer_leads_back_to_its_path(path: list[Any]) -> None:
    tokens = pointer(*path).split("/")[1:]
    assert [token.replace("~1", "/").replace("~0", "~") for token in tokens] == [str(step) for step in path]


def test_a_broken_event_is_refused_with_one_sentence_per_fault() -> None:
    with pytest.raises(InvalidEvent) as refused:
        contract.require(contract.validator(CLOSED), {"name": "abc", "x": 1})
    assert str(refused.value) == (
        "/size: is missing, allowed: a value of type integer, at least 1, at most 9; "
        "/x: unknown field, allowed: day, inner, kind, name, size, tags, version"
    )


# ── No worker lets a broken task in, whatever is broken ─────────────────────────────────────────────────────────────

TASKS = [
    (folder, f"{folder}/{case}")
    for folder, case in (
        ("plan_parts", "typical"),
        ("generate_part", "typical"),
        ("generate_part", "no_rows"),
        ("assemble_file", "typical"),
    )
]
RULES = {folder: contract.event_contract(str(FUNCTIONS / folder / "app.py")) for folder, _ in TASKS}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field and item of an event."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield (*path, step)
        yield from places(inner, (*path, step))


def inside(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


FIELDS = [(folder, case, path) for folder, case in TASKS for path in places(event(case))]
NAMED = [each for each in FIELDS if isinstance(each[2][-1], str)]
OBJECTS = [(folder, case, ()) for folder, case in TASKS] + [
    each for each in FIELDS if isinstance(inside(event(each[1]), each[2]), dict)
]
KINDS = {"string": str, "integer": int, "array": list, "object": dict}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def same_kind(one: Any, other: Any) -> bool:
    """Whether JSON Schema takes both for the same type; 2.0 is an integer."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    if isinstance(one, int):
        return isinstance(other, int) or (isinstance(other, float) and other.is_integer())
    return isinstance(other, type(one))


def pointers(folder: str, task: Any) -> list[str]:
    return [fault["pointer"] for fault in contract.faults(RULES[folder], task)]


@EXAMPLES
@given(st.sampled_from(NAMED))
def test_a_task_without_one_of_its_fields_is_refused_at_that_field(field: tuple[str, str, tuple[Any, ...]]) -> None:
    folder, case, path = field
    task = event(case)
    del inside(task, path[:-1])[path[-1]]
    assert pointers(folder, task) == [pointer(*path)]


@EXAMPLES
@given(st.sampled_from(OBJECTS), st.text(), ANYTHING)
def test_a_task_with_a_field_more_is_refused_at_that_field(
    place: tuple[str, str, tuple[Any, ...]], name: str, value: Any
) -> None:
    folder, case, path = place
    task = event(case)
    if name in inside(task, path):
        return
    inside(task, path)[name] = value
    assert pointers(folder, task) == [pointer(*path, name)]


@EXAMPLES
@given(st.sampled_from(FIELDS), ANYTHING)
def test_a_field_of_another_type_is_refused_at_that_field(field: tuple[str, str, tuple[Any, ...]], value: Any) -> None:
    folder, case, path = field
    task = event(case)
    if same_kind(inside(task, path), value):
        return
    inside(task, path[:-1])[path[-1]] = copy.deepcopy(value)
    assert set(pointers(folder, task)) == {pointer(*path)}


@EXAMPLES
@given(st.sampled_from(TASKS), ANYTHING)
def test_what_is_no_object_is_no_task(task: tuple[str, str], value: Any) -> None:
    if not isinstance(value, dict):
        assert pointers(task[0], value) == [""]


@pytest.mark.parametrize(("folder", "case"), TASKS)
@pytest.mark.parametrize("field", ["owner", "export_id", "plan"])
def test_a_line_feed_after_what_matches_does_not_match(folder: str, case: str, field: str) -> None:
    task = event(case)
    if field in task:
        task[field] += "\n"
        assert pointers(folder, task) == [f"/{field}"]


def test_a_fault_can_always_be_sent() -> None:
    for value in ("\ud800", {"\ud800": 1}, float("nan"), 10**400, object()):
        for fault in contract.faults(CLOSED, GOOD | {"kind": value}):
            json.dumps(fault, allow_nan=False)
