"""Edits of template.yaml and of the workflow, as a pull request makes them."""

import re

from checks.repository import ROOT

TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")
WORKFLOW_FILE = "statemachines/report_export.asl.json"
WORKFLOW = (ROOT / WORKFLOW_FILE).read_text("utf-8")


def inside(text: str, resource: str, old: str, new: str) -> str:
    """The template with a text of one resource, which must stand there once, replaced."""
    return _within(text, rf"^  {resource}:.*?(?=^  [\w:#]|\Z)", old, new)


def in_state(text: str, state: str, old: str, new: str) -> str:
    """The workflow with a text of one state, which must stand there once, replaced."""
    return _within(text, rf'^( +)"{state}": \{{$.*?^\1\}}', old, new)


def without(text: str, resource: str) -> str:
    """The template without a resource."""
    found, count = re.subn(rf"^  {resource}:\n.*?(?=^  [\w:#]|\Z)", "", text, flags=re.M | re.S)
    assert count == 1, resource
    return found


def with_resource(text: str, resource: str) -> str:
    """The template with one more resource, whose lines are indented as in the template."""
    assert text.count("\nResources:\n") == 1
    return text.replace("\nResources:\n", f"\nResources:\n{resource}")


def _within(text: str, pattern: str, old: str, new: str) -> str:
    (found,) = re.finditer(pattern, text, re.M | re.S)
    assert found[0].count(old) == 1, f"this does not stand there once: {old}"
    return text[: found.start()] + found[0].replace(old, new) + text[found.end() :]
