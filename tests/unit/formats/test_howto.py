"""docs/howto/add-a-format.md: who follows it to the letter has a format that passes the test that it shows."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

from shared.files import formats
from tests.unit.support import ROOT

PAGE = (ROOT / "docs" / "howto" / "add-a-format.md").read_text("utf-8")
MODULE, NAME, TESTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The steps, taken one after the other: what the page's test file holds."""
    array = _module("shared.files.formats.array", MODULE)
    monkeypatch.setitem(sys.modules, "shared.files.formats.array", array)
    named: dict[str, Any] = {}
    exec(NAME, named)
    [(added, there)] = re.findall(r"add `(\w+)\(\)` to `(\w+)`", PAGE)
    assert list(formats.FORMATS.values()) == list(vars(formats)[there])
    monkeypatch.setitem(formats.FORMATS, "json", named[added]())
    return vars(_module("test_array", TESTS))


def _module(name: str, text: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(text, name, "exec"), vars(module))
    return module


def test_the_tests_that_the_page_shows_pass(followed: dict[str, Any]) -> None:
    tests = [value for name, value in followed.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        # A few examples tell whether the page is right.
        few = settings(max_examples=20)(test) if is_hypothesis_test(test) else test
        few()


def test_what_it_refuses_and_what_it_offers_comes_by_itself(followed: dict[str, Any]) -> None:
    assert formats.resolve_options("json", {}) == {"header_style": "name", "timezone": "UTC"}
    [fault] = formats.option_faults("json", {"bom": True})
    assert fault["allowed"] == "file_name, header_style, notify, timezone"
